package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteReaders is how many queries may run beside the writer.
const sqliteReaders = 4

// sqliteDB is a SQLite file in WAL mode: one connection writes (SQLite knows
// one writer, and waiting in Go is kinder than SQLITE_BUSY), a few others
// read the last committed state without waiting for it.
type sqliteDB struct {
	file           string
	writer, reader *sql.DB
}

func openSQLite(dir string) (*sqliteDB, error) {
	file, err := filepath.Abs(filepath.Join(dir, "journal.db"))
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", dir, err)
	}
	source := func(options url.Values) string {
		options.Set("_busy_timeout", "10000")
		return (&url.URL{Scheme: "file", Path: file, OmitHost: true, RawQuery: options.Encode()}).String()
	}
	// FULL makes each commit wait for the disk, so that what was announced is
	// still there after a loss of power.
	writer, err := sql.Open("sqlite", source(url.Values{
		"_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_txlock": {"immediate"}, "_foreign_keys": {"on"},
	}))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	writer.SetMaxOpenConns(1)
	reader, err := sql.Open("sqlite", source(url.Values{"_query_only": {"on"}}))
	if err != nil {
		_ = writer.Close()
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	reader.SetMaxOpenConns(sqliteReaders)
	return &sqliteDB{file: file, writer: writer, reader: reader}, nil
}

// sqlConn is a *sql.Tx or a *sql.DB.
type sqlConn interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

type sqliteTx struct{ conn sqlConn }

// numbered turns $1 into ?1, since SQLite takes $1 for a name.
func numbered(query string) string {
	b := []byte(query)
	for i := 0; i+1 < len(b); i++ {
		if b[i] == '$' && '1' <= b[i+1] && b[i+1] <= '9' {
			b[i] = '?'
		}
	}
	return string(b)
}

func (t sqliteTx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := t.conn.ExecContext(ctx, numbered(query), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (t sqliteTx) each(ctx context.Context, scan func(row) error, query string, args ...any) (err error) {
	rows, err := t.conn.QueryContext(ctx, numbered(query), args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (d *sqliteDB) read() tx { return sqliteTx{d.reader} }

func (d *sqliteDB) write(ctx context.Context, f func(tx) error) error {
	t, err := d.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = t.Rollback() }()
	if err := f(sqliteTx{t}); err != nil {
		return err
	}
	return t.Commit()
}

func (d *sqliteDB) migrations() ([]migration, error) { return readMigrations("sqlite") }

// migrating needs no lock: Open holds the directory's.
func (d *sqliteDB) migrating(_ context.Context, f func() error) error { return f() }

// adopt sets free the jobs that this file's last program was running: since
// Open holds the directory's lock, it runs no more. Only the first call of an
// owner finds any.
func (d *sqliteDB) adopt(ctx context.Context, owner int32) (int64, error) {
	var adopted int64
	err := d.write(ctx, func(t tx) error {
		if _, err := t.exec(ctx, `DELETE FROM river_leader WHERE leader_id <> $1`, ownerName(owner)); err != nil {
			return err
		}
		var err error
		adopted, err = t.exec(ctx, `
			UPDATE river_job SET state = 'available'
			WHERE state = 'running' AND coalesce(json_extract(attempted_by, '$[#-1]'), '') <> $1`, ownerName(owner))
		return err
	})
	return adopted, err
}

func (d *sqliteDB) leave(context.Context) {}

func (d *sqliteDB) explain(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	// The low byte is the primary code, the rest says more.
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("the disk of %s is full: make room: %w", d.file, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("another program holds %s locked: close it: %w", d.file, err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN:
		return fmt.Errorf("%s can't be written: check its owner and mode: %w", d.file, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%s is damaged: restore the directory from a backup: %w", d.file, err)
	case sqlite3.SQLITE_IOERR:
		return fmt.Errorf("the disk of %s fails or is full: %w", d.file, err)
	}
	return err
}

// close waits for the readers first: the last connection to go folds the WAL
// into the file.
func (d *sqliteDB) close() error {
	return errors.Join(d.reader.Close(), d.writer.Close())
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
