package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"aftershock/detector"
	"aftershock/internal/servers"
)

func testNewer(t *testing.T, p place) {
	j := p.open(t)
	commit(t, j, tick())
	err := j.db.write(t.Context(), func(x tx) error {
		_, err := x.exec(t.Context(), `INSERT INTO aftershock_migrations (number, name, at_us) VALUES (9000, 'future', 0)`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), p.config, p.dir, quiet(), nil)
	if !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "migration 9000") {
		t.Errorf("got %v, want ErrNewer", err)
	}
	// The refusal left the directory free.
	if _, err = Open(t.Context(), p.config, p.dir, quiet(), nil); errors.Is(err, ErrLocked) {
		t.Error("a refused Open holds the directory")
	}
}

func testNewerJobs(t *testing.T, p place) {
	j := p.open(t)
	err := j.db.write(t.Context(), func(x tx) error {
		_, err := x.exec(t.Context(), `INSERT INTO river_migration (line, version, created_at) VALUES ('main', 9000, CURRENT_TIMESTAMP)`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err = Open(t.Context(), p.config, p.dir, quiet(), nil); !errors.Is(err, ErrNewer) {
		t.Errorf("got %v, want ErrNewer", err)
	}
}

func testLocked(t *testing.T, p place) {
	j := p.open(t)
	_, err := Open(t.Context(), p.config, p.dir, quiet(), nil)
	if want := fmt.Sprintf("by process %d", os.Getpid()); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want ErrLocked and %q in one line", err, want)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	p.open(t)
}

func TestSQLiteFullDisk(t *testing.T) {
	j := place{dir: t.TempDir()}.open(t)
	commit(t, j, tick())
	db := j.db.(*sqliteDB)
	// A bound on the pages gives what a full disk gives. There is one writing
	// connection, so the bound stays.
	limit := func(pages string) {
		t.Helper()
		if _, err := db.writer.ExecContext(t.Context(), `PRAGMA max_page_count = `+pages); err != nil {
			t.Fatal(err)
		}
	}
	limit("1") // as many as there are
	big := Tick{Time: noon}
	for n := range 2000 {
		big.Verdicts = append(big.Verdicts, verdict("u2", fmt.Sprint(n), detector.Clear))
	}
	err := j.Commit(t.Context(), big)
	if err == nil || !strings.Contains(err.Error(), "is full: make room") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want one line on the full disk", err)
	}
	if n := rows(t, j, "verdicts"); n != 2 {
		t.Errorf("got %d verdicts, want the 2 from before", n)
	}
	limit("1000000")
	commit(t, j, big)
	if n := rows(t, j, "verdicts"); n != 2002 {
		t.Errorf("got %d verdicts, want 2002", n)
	}
}

func TestSQLiteHeldLocked(t *testing.T) {
	dir := t.TempDir()
	j := place{dir: dir}.open(t)
	if _, err := j.db.(*sqliteDB).writer.ExecContext(t.Context(), `PRAGMA busy_timeout = 100`); err != nil {
		t.Fatal(err)
	}
	other, err := sql.Open("sqlite", filepath.Join(dir, "journal.db")+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	holding, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	err = j.Commit(t.Context(), tick())
	if err == nil || !strings.Contains(err.Error(), "holds "+filepath.Join(dir, "journal.db")+" locked") {
		t.Errorf("got %v, want a word on the lock", err)
	}
	if n := rows(t, j, "verdicts"); n != 0 { // reading goes on
		t.Errorf("got %d verdicts, want none", n)
	}
	if err := holding.Rollback(); err != nil {
		t.Fatal(err)
	}
	commit(t, j, tick())
}

func TestSQLiteDamaged(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "journal.db"), []byte(strings.Repeat("no database", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), Config{}, dir, quiet(), nil)
	if err == nil || !strings.Contains(err.Error(), "is damaged: restore") {
		t.Errorf("got %v, want a word on the damage", err)
	}
}

func TestSQLiteStrangeDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b?c=d#e%20f&_txlock=deferred", "sub")
	j := place{dir: dir}.open(t)
	commit(t, j, tick())
	if _, err := os.Stat(filepath.Join(dir, "journal.db")); err != nil {
		t.Error(err)
	}
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2"} {
		got := ""
		if err := j.db.(*sqliteDB).writer.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("got %s %q %v, want %q", pragma, got, err, want)
		}
	}
	if err := j.db.(*sqliteDB).reader.QueryRowContext(t.Context(), `DELETE FROM alerts RETURNING key`).Err(); err == nil {
		t.Error("a reading connection wrote")
	}
}

func TestPostgreSQLGone(t *testing.T) {
	t.Parallel()
	server := servers.PostgreSQL(t)
	p := place{config: Config{URL: server.Database()}}
	j := p.open(t)
	commit(t, j, tick())
	worked := make(chan Job, 10)
	work(t, j, map[string]Handler{"deliver": func(_ context.Context, job Job) error { worked <- job; return nil }})
	receive(t, worked)
	server.Stop()
	if err := j.Commit(t.Context(), tick()); err == nil {
		t.Error("committed into the void")
	}
	_, err := Open(t.Context(), p.config, "", quiet(), nil)
	if err == nil || !strings.Contains(err.Error(), "can't be reached: check journal.url") {
		t.Errorf("got %v, want a word on the server", err)
	}
	server.Start()
	until(t, "the server's return", func() bool { return j.Ping(t.Context()) == nil })
	commit(t, j, tick())
	if n := rows(t, j, "events"); n != 2 {
		t.Errorf("got %d events, want 2", n)
	}
	enqueue(t, j, Job{Kind: "deliver", Key: "after"})
	for receive(t, worked).Key != "after" { // the first may come again
	}
}

func TestOpenNeedsAPlace(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		dir    string
		want   string
	}{
		"nothing":   {Config{}, "", "neither a data directory nor a URL"},
		"scheme":    {Config{URL: "mysql://root:secret@h/d"}, "", `journal.url: scheme "mysql"`},
		"no url":    {Config{URL: "postgres://u:secret@h:port/d"}, "", "journal.url: not a URL"},
		"directory": {Config{}, "/dev/null/x", "make the data directory"},
	} {
		_, err := Open(t.Context(), c.config, c.dir, quiet(), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want %q without the password", name, err, c.want)
		}
	}
	for _, good := range []string{"", "postgres://u@h/d", "postgresql:///d?host=/run/postgresql"} {
		c := Config{URL: good}
		if errs := c.Validate("journal"); errs != nil {
			t.Errorf("%q: %v", good, errs)
		}
	}
}

func TestMetricsAreRegisteredOnce(t *testing.T) {
	reg := prometheus.NewRegistry()
	j, err := Open(t.Context(), Config{}, t.TempDir(), quiet(), reg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	commit(t, j, tick())
	if _, err := Open(t.Context(), Config{}, t.TempDir(), quiet(), reg); err == nil {
		t.Error("two journals share one registry")
	}
	families, err := reg.Gather()
	if err != nil || len(families) == 0 || families[0].GetName() != "aftershock_jobs_adopted_total" {
		t.Errorf("got %v, %v", families, err)
	}
}
