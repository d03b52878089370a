package journal

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
)

//go:embed migrations
var migrationFiles embed.FS

// migration is one step of the schema, from a file NNNN_name.sql.
type migration struct {
	number int64
	name   string
	script string
}

// readMigrations gives the migrations of one kind of database, which are
// numbered 1, 2, … without a gap.
func readMigrations(kind string) ([]migration, error) {
	entries, err := fs.ReadDir(migrationFiles, path.Join("migrations", kind))
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	var all []migration
	for i, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".sql")
		digits, _, _ := strings.Cut(name, "_")
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n != int64(i+1) {
			return nil, fmt.Errorf("read the migrations: %s stands where number %d belongs", e.Name(), i+1)
		}
		script, err := fs.ReadFile(migrationFiles, path.Join("migrations", kind, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read the migrations: %w", err)
		}
		all = append(all, migration{n, name, string(script)})
	}
	return all, nil
}

// migrate brings the database to this program's schema. Migrations only go
// forward, each in a transaction of its own; a database that is ahead of the
// program is refused untouched.
func migrate(ctx context.Context, db database, jobs queue) error {
	all, err := db.migrations()
	if err != nil {
		return err
	}
	return db.migrating(ctx, func() error {
		err := db.write(ctx, func(t tx) error {
			_, err := t.exec(ctx, `CREATE TABLE IF NOT EXISTS aftershock_migrations (
				number BIGINT PRIMARY KEY, name TEXT NOT NULL, at_us BIGINT NOT NULL)`)
			return err
		})
		if err != nil {
			return fmt.Errorf("make the table of migrations: %w", err)
		}
		at := int64(0)
		err = one(ctx, db.read(), func(r row) error { return r.Scan(&at) },
			`SELECT coalesce(max(number), 0) FROM aftershock_migrations`)
		if err != nil {
			return fmt.Errorf("read the table of migrations: %w", err)
		}
		if at > int64(len(all)) {
			return fmt.Errorf("%w: it is at migration %d and this program knows %d: run the newer program", ErrNewer, at, len(all))
		}
		if err := jobs.migrate(ctx); err != nil {
			return err
		}
		for _, m := range all[at:] {
			err := db.write(ctx, func(t tx) error {
				if _, err := t.exec(ctx, m.script); err != nil {
					return err
				}
				_, err := t.exec(ctx, `INSERT INTO aftershock_migrations (number, name, at_us) VALUES ($1, $2, $3)`,
					m.number, m.name, time.Now().UnixMicro())
				return err
			})
			if err != nil {
				return fmt.Errorf("migrate to %s: %w", m.name, err)
			}
		}
		return nil
	})
}
