package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aftershock/internal/servers"
	"aftershock/rehearsal/mirror"
	"aftershock/upgrades/preflight/inventory"

	"github.com/google/go-cmp/cmp"
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
		{"--host=false"}, {"--host=false", "--database", "host=127.0.0.1 password=geheim dbname=b"}, {"--host=false", "--database", "postgres://a:geheim@127.0.0.1:1/b"}, {"--database", "/none"}, {"--host=false", "--database", "postgres://a@127.0.0.1:1/b"},
	} {
		got := call(t, "", append([]string{"inventory"}, args...)...)
		if got.status != exitUsage || strings.Contains(got.errors+got.out, "geheim") || strings.Count(strings.TrimSpace(got.errors), "\n") > 1 {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

// Which versions run comes from telemetry, as it is at its end, in the place of what was known of the same services.
func TestInventoryOfTelemetry(t *testing.T) {
	dir := t.TempDir()
	telemetry, known, out := filepath.Join(dir, "telemetry.om"), filepath.Join(dir, "known.yaml"), filepath.Join(dir, "inventory.json")
	var text strings.Builder
	text.WriteString("# TYPE shopd_build info\n")
	for second := 0; second <= 1800; second += 15 {
		first := "1.4.0"
		if second >= 900 {
			first = "1.5.0"
		}
		fmt.Fprintf(&text, "shopd_build_info{service=\"shop\",instance=\"a:1\",version=%q} 1 %d\n", first, 1_795_950_000+second)
		fmt.Fprintf(&text, "shopd_build_info{service=\"shop\",instance=\"b:1\",version=\"1.4.0\"} 1 %d\n", 1_795_950_000+second)
	}
	text.WriteString("# EOF\n")
	for file, content := range map[string]string{
		telemetry: text.String(),
		known:     "services:\n- {service: shop, version: 1.3.0}\n- {service: ledger, version: 2.0.0}\n",
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := call(t, "", "inventory", "--host=false", "--telemetry", telemetry, "--known", known, "--out", out)
	if got.status != exitOK || !strings.Contains(got.out, "3 services") {
		t.Fatalf("%+v", got)
	}
	inv, err := inventory.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	want := []inventory.Service{
		{Service: "ledger", Version: "2.0.0"},
		{Service: "shop", Binary: "shopd", Version: "1.4.0", Instances: []string{"b:1"}},
		{Service: "shop", Binary: "shopd", Version: "1.5.0", Instances: []string{"a:1"}},
	}
	if d := cmp.Diff(want, inv.Services); d != "" {
		t.Error(d)
	}
	if err := os.WriteFile(telemetry, []byte("# TYPE up gauge\nup{instance=\"a:1\"} 1 1795950000\nup{instance=\"a:1\"} 1 1795950060\n# EOF\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := call(t, "", "inventory", "--host=false", "--telemetry", telemetry); got.status != exitUsage || !strings.Contains(got.errors, "no *_build_info") {
		t.Errorf("%+v", got)
	}
}
