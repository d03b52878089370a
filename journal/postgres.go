package journal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Advisory locks are numbers that all programs on one database share: the
// first half is "aftr" in ASCII, the second says what is locked, or which
// owner of jobs is alive (those are above lockOwners).
const (
	lockClass   int32 = 0x61667472
	lockMigrate int32 = 1
	lockWrite   int32 = 2
	lockOwners  int32 = 1000
)

// ownerPrefix begins the name by which river knows a program that works jobs.
const ownerPrefix = "aftershock-"

func ownerName(owner int32) string { return ownerPrefix + strconv.Itoa(int(owner)) }

// postgresDB is a PostgreSQL database, which several daemons may share.
type postgresDB struct {
	pool *pgxpool.Pool
	// alive holds the connection whose advisory lock tells the other daemons
	// that this one is alive.
	mu    sync.Mutex
	alive *pgx.Conn
}

func openPostgres(ctx context.Context, rawURL string) (*postgresDB, error) {
	config, err := pgxpool.ParseConfig(rawURL)
	if err != nil {
		return nil, err // pgx leaves the password out
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = 10 * time.Second
	}
	parameters := config.ConnConfig.RuntimeParams
	if parameters["application_name"] == "" {
		parameters["application_name"] = "aftershock"
	}
	// The server shall notice within a minute that a daemon's machine is gone,
	// since its locks tell that it is alive.
	for name, value := range map[string]string{
		"tcp_keepalives_idle": "20", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3",
	} {
		if _, set := parameters[name]; !set {
			parameters[name] = value
		}
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return &postgresDB{pool: pool}, nil
}

// pgxConn is a pgx.Tx or a *pgxpool.Pool.
type pgxConn interface {
	Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
}

type postgresTx struct{ conn pgxConn }

func (t postgresTx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	tag, err := t.conn.Exec(ctx, query, args...)
	return tag.RowsAffected(), err
}

func (t postgresTx) each(ctx context.Context, scan func(row) error, query string, args ...any) error {
	rows, err := t.conn.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (d *postgresDB) read() tx { return postgresTx{d.pool} }

// write lets one transaction in at a time, as SQLite does: numbers of events
// then appear in their order, and a cursor over them skips none.
func (d *postgresDB) write(ctx context.Context, f func(tx) error) error {
	return pgx.BeginFunc(ctx, d.pool, func(t pgx.Tx) error {
		if _, err := t.Exec(ctx, `SELECT pg_advisory_xact_lock($1, $2)`, lockClass, lockWrite); err != nil {
			return err
		}
		return f(postgresTx{t})
	})
}

func (d *postgresDB) migrations() ([]migration, error) { return readMigrations("postgres") }

// migrating takes a connection beside the pool, however small that is. Its end
// gives the lock back.
func (d *postgresDB) migrating(ctx context.Context, f func() error) error {
	conn, err := pgx.ConnectConfig(ctx, d.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1, $2)`, lockClass, lockMigrate); err != nil {
		return err
	}
	return f()
}

// adopt holds an advisory lock on the owner's number for as long as the
// program lives, and sets free the jobs of owners whose lock it can get:
// those are dead.
func (d *postgresDB) adopt(ctx context.Context, owner int32) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.alive == nil {
		conn, err := pgx.ConnectConfig(ctx, d.pool.Config().ConnConfig)
		if err != nil {
			return 0, err
		}
		if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1, $2)`, lockClass, owner); err != nil {
			_ = conn.Close(ctx)
			return 0, err
		}
		d.alive = conn
	}
	adopted, err := adoptDead(ctx, d.alive, owner)
	if err != nil {
		_ = d.alive.Close(ctx)
		d.alive = nil
	}
	return adopted, err
}

func adoptDead(ctx context.Context, conn *pgx.Conn, self int32) (int64, error) {
	rows, err := conn.Query(ctx, `
		SELECT DISTINCT attempted_by[array_upper(attempted_by, 1)] FROM river_job WHERE state = 'running'
		UNION SELECT leader_id FROM river_leader`)
	if err != nil {
		return 0, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[*string])
	if err != nil {
		return 0, err
	}
	adopted := int64(0)
	for _, name := range names {
		if name == nil || *name == ownerName(self) {
			continue
		}
		digits, ours := strings.CutPrefix(*name, ownerPrefix)
		number, err := strconv.ParseInt(digits, 10, 32)
		if !ours || err != nil {
			continue // of another program on river's tables
		}
		n, err := adoptFrom(ctx, conn, *name, int32(number))
		if err != nil {
			return adopted, err
		}
		adopted += n
	}
	return adopted, nil
}

// adoptFrom frees the jobs of one owner, if that is dead.
func adoptFrom(ctx context.Context, conn *pgx.Conn, name string, owner int32) (int64, error) {
	adopted := int64(0)
	err := pgx.BeginFunc(ctx, conn, func(t pgx.Tx) error {
		dead := false
		if err := t.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1, $2)`, lockClass, owner).Scan(&dead); err != nil || !dead {
			return err
		}
		if _, err := t.Exec(ctx, `DELETE FROM river_leader WHERE leader_id = $1`, name); err != nil {
			return err
		}
		tag, err := t.Exec(ctx, `
			UPDATE river_job SET state = 'available'
			WHERE state = 'running' AND attempted_by[array_upper(attempted_by, 1)] = $1`, name)
		adopted = tag.RowsAffected()
		return err
	})
	return adopted, err
}

func (d *postgresDB) leave(ctx context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.alive != nil {
		_ = d.alive.Close(ctx)
		d.alive = nil
	}
}

func (d *postgresDB) explain(err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch {
		case e.Code == "53100":
			return fmt.Errorf("the disk of the PostgreSQL server is full: make room: %w", err)
		case e.Code == "53300":
			return fmt.Errorf("the PostgreSQL server has no connection left: raise max_connections: %w", err)
		case e.Code == "25006":
			return fmt.Errorf("the PostgreSQL server is read-only: give the primary's URL: %w", err)
		case strings.HasPrefix(e.Code, "28"):
			return fmt.Errorf("the PostgreSQL server refuses the user: check journal.url: %w", err)
		case e.Code == "42501":
			return fmt.Errorf("the PostgreSQL user may not do that: give it a database of its own: %w", err)
		}
		return err
	}
	var dial *pgconn.ConnectError
	if errors.As(err, &dial) {
		return fmt.Errorf("the PostgreSQL server can't be reached: check journal.url and the server: %w", err)
	}
	return err
}

func (d *postgresDB) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	d.leave(ctx)
	d.pool.Close()
	return nil
}
