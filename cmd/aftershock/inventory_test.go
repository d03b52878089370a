package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aftershock/internal/servers"
	"aftershock/rehearsal/mirror"

	"github.com/jackc/pgx/v5"
)

// shopDatabase makes a database with a table of some rows, and gives its URL.
func shopDatabase(t *testing.T, rows int) string {
	t.Helper()
	url := servers.PostgreSQL(t).Database()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	for _, sql := range []string{"CREATE TABLE orders (id int, note text)", "CREATE TABLE spare (id int)"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Exec(t.Context(), "INSERT INTO orders SELECT n, repeat('x', 400) FROM generate_series(1, $1) n", rows); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "ANALYZE"); err != nil {
		t.Fatal(err)
	}
	return url
}

// What is read from a database tells how long a migration locks its tables, and what a rehearsal's copy lacks.
func TestInventoryOfDatabases(t *testing.T) {
	dir := t.TempDir()
	production, staged := filepath.Join(dir, "production.yaml"), filepath.Join(dir, "copy.json")
	known := filepath.Join(dir, "known.yaml")
	if err := os.WriteFile(known, []byte("retired_hosts: [sftp.old.example.com]\ndatabases:\n- {engine: postgres, name: test1, tables: [{name: gone}]}\n- {engine: redis}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, rows := range map[string]int{production: 200_000, staged: 0} {
		got := call(t, "", "inventory", "--host=false", "--database", shopDatabase(t, rows), "--known", known, "--out", file)
		if got.status != exitOK || !strings.Contains(got.out, "2 databases") {
			t.Fatalf("%+v", got)
		}
	}
	text, err := os.ReadFile(production)
	if err != nil || strings.Contains(string(text), "gone") || !strings.Contains(string(text), "sftp.old") || !strings.Contains(string(text), "redis") {
		t.Errorf("what was known and what is read: %s (%v)", text, err)
	}
	pkg := filepath.Join(dir, "package")
	if err := os.MkdirAll(filepath.Join(pkg, "migrations"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(pkg, "migrations", "V1__index.sql"), []byte("SET lock_timeout = '2s';\nCREATE INDEX i ON orders (id);\nTRUNCATE spare;\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{production, staged} {
		got := call(t, "", "inspect", pkg, "--against", file)
		if says := strings.Contains(strings.Join(strings.Fields(got.out), " "), "about 2 s (200,000 rows, 0.1 GB)"); says != (file == production) {
			t.Errorf("%s: %+v", file, got)
		}
	}
	p, errP := mirror.Read(production)
	c, errC := mirror.Read(staged)
	if errP != nil || errC != nil {
		t.Fatal(errP, errC)
	}
	var told []string
	for _, d := range mirror.Compare(p, c) {
		told = append(told, d.Says)
	}
	if all := strings.Join(told, "\n"); !strings.Contains(all, "no rows in orders") || strings.Contains(all, "spare") {
		t.Errorf("the copy differs in %q", all)
	}
}

func TestInventoryRefusesPasswords(t *testing.T) {
	for _, args := range [][]string{
		{"--host=false"}, {"--host=false", "--database", "postgres://a:geheim@127.0.0.1:1/b"}, {"--database", "/none"}, {"--host=false", "--database", "postgres://a@127.0.0.1:1/b"},
	} {
		got := call(t, "", append([]string{"inventory"}, args...)...)
		if got.status != exitUsage || strings.Contains(got.errors+got.out, "geheim") || strings.Count(strings.TrimSpace(got.errors), "\n") > 1 {
			t.Errorf("%v: %+v", args, got)
		}
	}
}
