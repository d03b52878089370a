package migrations

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/internal/servers"

	"github.com/google/go-cmp/cmp"
)

// squawked gives squawk's findings, "severity line rule".
func squawked(all []detector.Finding) []string {
	var out []string
	for _, f := range all {
		if f.Rule == "migrations/squawk" {
			rule, _, _ := strings.Cut(f.What, ":")
			out = append(out, fmt.Sprintf("%s %d %s", f.Severity, f.Place.Line, rule))
		}
	}
	return out
}

// The real squawk is asked: what it alone finds is told, in the line that it stands in, and what we say already isn't.
func TestSquawk(t *testing.T) {
	program := servers.Squawk(t)
	t.Chdir(t.TempDir()) // whose settings aren't read
	if err := os.WriteFile(".squawk.toml", []byte("excluded_rules = [\"ban-drop-not-null\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const safe = "SET lock_timeout = '2s'; SET statement_timeout = '1min';\n"
	for _, tt := range []struct {
		name, sql string
		want      []string
	}{
		{"nothing", safe + "SELECT 1;", nil},
		{"its own", safe + "ALTER TABLE t ALTER COLUMN a DROP NOT NULL;", []string{"note 11 ban-drop-not-null"}},
		{"ours as well", safe + "CREATE INDEX i ON t (a); DROP TABLE x;\nALTER TABLE t ADD CONSTRAINT c CHECK (a > 0);", []string{"note 11 prefer-robust-stmts", "note 11 prefer-robust-stmts", "note 12 prefer-robust-stmts"}},
		{"time limits", "ALTER TABLE t ADD a int;", []string{"note 10 require-statement-timeout"}},
		{"taste", safe + "CREATE TABLE n (id int PRIMARY KEY, a varchar(5), b serial, c timestamp);", nil},
		{"lines", safe + "\\echo hello\nCOPY t (a) FROM stdin;\n1\n\\.\n\n/* ü */ ALTER TABLE u\n  ALTER COLUMN a\n  DROP NOT NULL;", []string{"note 18 ban-drop-not-null"}},
		{"silenced", "-- squawk-ignore-file\n" + safe + "ALTER TABLE t /* squawk-ignore ban-drop-not-null */ ALTER COLUMN a DROP NOT NULL;", []string{"note 12 ban-drop-not-null"}},
		{"down", "-- +goose Up\n" + safe + "-- +goose Down\nALTER TABLE t ALTER COLUMN a DROP NOT NULL;", nil},
		{"variables", safe + "ALTER TABLE $T ADD a int;\nALTER TABLE :t ALTER a DROP NOT NULL;\nALTER TABLE t ALTER COLUMN a DROP NOT NULL; SELECT 1::int, 'a:b';", []string{"note 13 ban-drop-not-null"}},
		{"syntax", safe + "ALTER TABLE t ALTER COLUMN a DROP NOT NULL;\nSELECT 1 +;\nSELEC 2;", []string{"note 11 ban-drop-not-null", "risk 12 syntax-error", "risk 13 syntax-error"}},
		{"comment at the end", safe + "ALTER TABLE t ALTER COLUMN a DROP NOT NULL -- why\n", []string{"note 11 ban-drop-not-null"}},
		{"transaction", safe + "BEGIN;\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a);\nCOMMIT;", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := squawked(Check(t.Context(), []Text{{File: "x.sql", Line: 10, SQL: tt.sql, Dialect: PostgreSQL}}, Server{Dialect: PostgreSQL, Version: 150004, Squawk: program}))
			// Whether a migration may run twice is found everywhere; where it is wanted, it is said.
			if !slices.Contains(tt.want, "note 11 prefer-robust-stmts") {
				got = slices.DeleteFunc(got, func(s string) bool { return strings.HasSuffix(s, "prefer-robust-stmts") })
			}
			slices.Sort(got)
			if d := cmp.Diff(tt.want, got, cmp.Transformer("none", func(s []string) []string { return append([]string{}, s...) })); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
	if got := squawked(Check(t.Context(), []Text{{File: "x.sql", SQL: "ALTER TABLE t MODIFY a INT;", Dialect: MySQL}}, Server{Squawk: program})); len(got) > 0 {
		t.Errorf("of MySQL: %v", got)
	}
}

// Each statement of the tests of locks is read by the real squawk.
func TestSquawkReads(t *testing.T) {
	got := Check(t.Context(), []Text{{File: "x.sql", SQL: strings.Join(pgStatements, ";\n") + ";", Dialect: PostgreSQL}}, Server{Squawk: servers.Squawk(t)})
	n := 0
	for _, f := range got {
		if f.Rule == "migrations/squawk" {
			n++
			if strings.Contains(f.What, "syntax-error") || strings.Contains(f.What, "no findings") || f.Do == "" {
				t.Errorf("line %d: %s", f.Place.Line, f.What)
			}
		}
	}
	if n == 0 {
		t.Error("it found nothing")
	}
}

// A program that fails, hangs or writes what it never would is told of once, and ends nothing.
func TestSquawkFails(t *testing.T) {
	texts := []Text{{File: "a.sql", SQL: "DROP TABLE a;", Dialect: PostgreSQL}, {File: "b.sql", SQL: "DROP TABLE b;", Dialect: PostgreSQL}}
	for name, script := range map[string]string{
		"no JSON": "echo hello", "status": "exit 3", "silent": "true", "flood": "yes", "other": `echo '{"a":1}'`,
	} {
		path := filepath.Join(t.TempDir(), "squawk")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		got := squawked(Check(t.Context(), texts, Server{Squawk: path}))
		if d := cmp.Diff([]string{"note 0 squawk gave no findings"}, got); d != "" {
			t.Errorf("%s: -want +got:\n%s", name, d)
		}
	}
	path := filepath.Join(t.TempDir(), "squawk")
	answer := `[{"line":-5,"column":-1,"level":"x","message":"a\u0000b\n\u001b[31m","rule_name":"r\nr"},{"line":999999999,"column":9,"rule_name":"syntax-error"}]`
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+answer+"'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range Check(t.Context(), texts, Server{Squawk: path}) {
		if f.Place.Line < 0 || f.Place.Line > 1 || strings.Contains(f.What, "\n") {
			t.Errorf("%+v", f)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	Check(ctx, texts, Server{Squawk: path})
	if time.Since(began) > 5*time.Second {
		t.Errorf("it took %v", time.Since(began))
	}
}
