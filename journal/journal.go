// Package journal is the durable history of Aftershock and its durable work:
// upgrades, verdicts, events, alerts, the audit of toggles, and the jobs that
// they owe, in SQLite in the data directory or in PostgreSQL.
//
// It promises: what one call writes is there wholly or not at all, whatever
// instant the process or the machine dies at; what a call acknowledged by nil
// stays; repeating a call that wrote already changes nothing and doubles
// nothing; and a job is worked at least once, until it succeeds or is given up
// for good. Only from the journal do others read what was said.
//
// All methods may be called at the same time. Their errors say in one line
// what was tried and what to do.
package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
)

var (
	// ErrNotFound says that the journal has nothing under that name.
	ErrNotFound = errors.New("not found")
	// ErrConflict says that somebody else wrote in between.
	ErrConflict = errors.New("changed in between")
	// ErrLocked says that the directory belongs to another running process.
	ErrLocked = errors.New("in use")
	// ErrNewer says that a newer program has migrated the database.
	ErrNewer = errors.New("the database is newer than this program")
	// ErrInvalid says that what was given can't be written or asked for, and
	// that trying again won't help.
	ErrInvalid = errors.New("invalid")
)

// Config says where the journal is.
type Config struct {
	// URL is that of a PostgreSQL database (postgres:// or postgresql://),
	// which must be Aftershock's own; empty for SQLite in the data directory.
	URL string `yaml:"url"`
}

// SetDefaults does nothing: the zero Config is SQLite in the data directory.
func (c *Config) SetDefaults() {}

// Validate names what is wrong, each with its YAML path under path. It doesn't
// repeat the URL, which may hold a password.
func (c *Config) Validate(path string) []error {
	if c.URL == "" {
		return nil
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return []error{fmt.Errorf("%s.url: not a URL: give postgres://user@host/database, or nothing for SQLite", path)}
	case u.Scheme != "postgres" && u.Scheme != "postgresql":
		return []error{fmt.Errorf("%s.url: scheme %q: only postgres:// is known; leave it empty for SQLite", path, u.Scheme)}
	}
	return nil
}

// Journal is an open journal.
type Journal struct {
	db      database
	jobs    queue
	log     logrus.FieldLogger
	metrics *metrics
	lock    io.Closer
	changes *changes
	// working is held while Work runs.
	working sync.Mutex
}

// Open opens the journal and brings it to this program's schema. dir is made
// if it isn't there and belongs to this process until Close: a second Open
// gives ErrLocked at once, in any process. With a PostgreSQL URL dir may be
// empty. A database that a newer program wrote gives ErrNewer.
func Open(ctx context.Context, c Config, dir string, log logrus.FieldLogger, reg prometheus.Registerer) (*Journal, error) {
	j, err := open(ctx, c, dir, log)
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	if j.metrics, err = newMetrics(reg); err != nil {
		return nil, fmt.Errorf("open the journal: %w", errors.Join(err, j.Close()))
	}
	return j, nil
}

func open(ctx context.Context, c Config, dir string, log logrus.FieldLogger) (_ *Journal, err error) {
	j := &Journal{log: log, changes: newChanges()}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.Close())
		}
	}()
	if errs := c.Validate("journal"); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if c.URL == "" && dir == "" {
		return nil, errors.New("neither a data directory nor a URL is given")
	}
	if dir != "" {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return nil, fmt.Errorf("make the data directory: %w", err)
		}
		lock, err := lockDirectory(dir)
		if err != nil {
			return nil, err
		}
		j.lock = lock
	}
	if c.URL == "" {
		db, err := openSQLite(dir)
		if err != nil {
			return nil, err
		}
		j.db, j.jobs = db, newSQLiteQueue(db, log)
	} else {
		db, err := openPostgres(ctx, c.URL)
		if err != nil {
			return nil, (*postgresDB)(nil).explain(err)
		}
		j.db, j.jobs = db, newPostgresQueue(db, log)
	}
	if err := migrate(ctx, j.db, j.jobs); err != nil {
		return nil, j.db.explain(err)
	}
	return j, nil
}

// Close closes the journal. Work must have returned.
func (j *Journal) Close() error {
	var errs []error
	if j.db != nil {
		errs = append(errs, j.db.close())
	}
	if j.lock != nil {
		errs = append(errs, j.lock.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close the journal: %w", err)
	}
	return nil
}

// Ping says whether the database answers.
func (j *Journal) Ping(ctx context.Context) error {
	n := 0
	return j.read("ask the journal", func(t tx) error {
		return one(ctx, t, func(r row) error { return r.Scan(&n) }, `SELECT 1`)
	})
}

// write runs f in a transaction; what says in an error what was tried.
func (j *Journal) write(ctx context.Context, what string, f func(tx) error) error {
	start := time.Now()
	err := j.db.write(ctx, f)
	j.metrics.wrote(time.Since(start), err)
	if err != nil {
		return fmt.Errorf("%s: %w", what, j.db.explain(err))
	}
	j.changes.note()
	return nil
}

// read runs queries; what says in an error what was tried.
func (j *Journal) read(what string, f func(tx) error) error {
	if err := f(j.db.read()); err != nil {
		return fmt.Errorf("%s: %w", what, j.db.explain(err))
	}
	return nil
}
