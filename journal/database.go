package journal

import (
	"context"
)

// tx is what the journal's statements need of a transaction, whichever the
// database. Placeholders are written $1, $2, …
type tx interface {
	// exec runs a statement and gives the number of rows it touched.
	exec(ctx context.Context, query string, args ...any) (int64, error)
	// each runs a query and calls scan once for each of its rows.
	each(ctx context.Context, scan func(row) error, query string, args ...any) error
}

// row is one row of a result.
type row interface{ Scan(dest ...any) error }

// database is SQLite or PostgreSQL. Its errors are those of the driver;
// explain says them in words.
type database interface {
	// write runs f in one transaction, and only one at a time: all that f did
	// is durable when write returns nil, and nothing of it otherwise, unless
	// the connection broke while committing.
	write(ctx context.Context, f func(tx) error) error
	// read is for queries outside of a transaction, beside the writer.
	read() tx
	// migrations are the statements by number, beginning with 1.
	migrations() ([]migration, error)
	// migrating runs f while no other program migrates this database.
	migrating(ctx context.Context, f func() error) error
	// adopt gives back the jobs of programs that are gone, and is called by
	// the program whose jobs are run as owner, again and again.
	adopt(ctx context.Context, owner int32) (int64, error)
	// leave ends what adopt began.
	leave(ctx context.Context)
	// size is what kind of database it is, and what it takes.
	size(ctx context.Context) (kind string, bytes int64, err error)
	// explain says what the error of the driver means and what to do.
	explain(err error) error
	close() error
}

// one scans the single row of a query; ErrNotFound when there is none.
func one(ctx context.Context, t tx, scan func(row) error, query string, args ...any) error {
	found := false
	err := t.each(ctx, func(r row) error {
		found = true
		return scan(r)
	}, query, args...)
	if err == nil && !found {
		return ErrNotFound
	}
	return err
}
