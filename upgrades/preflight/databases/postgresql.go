package databases

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"aftershock/upgrades/preflight/inventory"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// PostgreSQL's statements. A partitioned table has the rows and bytes of what is below it. %s is what a table takes and
// what its heap takes.
const (
	pgTables = `
WITH RECURSIVE part AS (
	SELECT oid AS root, oid AS leaf FROM pg_catalog.pg_class WHERE relkind IN ('r', 'm', 'p')
	UNION ALL SELECT p.root, i.inhrelid FROM part p JOIN pg_catalog.pg_inherits i ON i.inhparent = p.leaf
		JOIN pg_catalog.pg_class c ON c.oid = p.leaf AND c.relkind = 'p'
), leaf AS (
	SELECT p.root, c.oid, c.reltuples::float8 AS tuples, c.relpages::float8 AS pages, coalesce(s.n_live_tup, 0)::float8 AS live, %s
	FROM part p JOIN pg_catalog.pg_class c ON c.oid = p.leaf AND c.relkind <> 'p'
	LEFT JOIN pg_catalog.pg_stat_all_tables s ON s.relid = c.oid
)
SELECT CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || t.relname,
	coalesce(sum(CASE
		WHEN l.heap = 0 OR l.oid IS NULL THEN 0
		WHEN l.pages > 0 AND l.tuples >= 0 THEN l.tuples / l.pages * l.heap / current_setting('block_size')::float8
		WHEN l.live > 0 THEN l.live ELSE 'NaN' END), 0)::float8,
	coalesce(sum(CASE l.heap WHEN 0 THEN 0 ELSE l.whole END), 0)::float8
FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace LEFT JOIN leaf l ON l.root = t.oid
WHERE t.relkind IN ('r', 'm', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
GROUP BY 1 ORDER BY 3 DESC, 1 LIMIT $1`
	pgSizes = `pg_catalog.pg_total_relation_size(c.oid)::float8 AS whole, pg_catalog.pg_relation_size(c.oid)::float8 AS heap`
	// pgPages needs no lock: what the last VACUUM or ANALYZE found.
	pgPages = `c.relpages * current_setting('block_size')::float8 + coalesce((SELECT sum(x.relpages) FROM pg_catalog.pg_class x WHERE x.oid = c.reltoastrelid
		OR x.oid IN (SELECT indexrelid FROM pg_catalog.pg_index WHERE indrelid IN (c.oid, c.reltoastrelid))), 0) * current_setting('block_size')::float8 AS whole,
		CASE WHEN c.relpages = 0 AND c.reltuples <> 0 THEN 1 ELSE c.relpages END * current_setting('block_size')::float8 AS heap`
)

// postgresql reads a database of PostgreSQL. Sizes need ACCESS SHARE on each table for an instant: where something
// holds one for longer than timeLock, those of the last VACUUM are taken instead.
func postgresql(ctx context.Context, s Source) (d inventory.Database, notes []string, err error) {
	c, err := pgx.ParseConfig(s.url.String())
	if err != nil {
		return d, nil, errors.New("the URL can't be read: want postgres://user@host:port/name, with parameters that psql knows")
	}
	c.ConnectTimeout = timeConnect
	c.DefaultQueryExecMode = pgx.QueryExecModeExec // no named statements, which poolers don't keep
	c.RuntimeParams["application_name"] = "aftershock"
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return d, nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return d, nil, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	for _, set := range []string{
		fmt.Sprintf("SET LOCAL statement_timeout = %d", timeQuestion.Milliseconds()), fmt.Sprintf("SET LOCAL lock_timeout = %d", timeLock.Milliseconds()),
	} {
		if _, err := tx.Exec(ctx, set); err != nil {
			return d, nil, err
		}
	}
	d.Engine = "postgresql"
	if err := tx.QueryRow(ctx, "SELECT current_database()::text, current_setting('server_version')").Scan(&d.Name, &d.Version); err != nil {
		return d, nil, err
	}
	d.Version, _, _ = strings.Cut(d.Version, " ") // "15.4 (Debian 15.4-1)"
	sub, err := tx.Begin(ctx)
	if err != nil {
		return d, nil, err
	}
	all, err := pgRows(ctx, sub, pgSizes)
	if slow(err) {
		if err := sub.Rollback(ctx); err != nil {
			return d, nil, err
		}
		notes = append(notes, fmt.Sprintf("database %s: a table is locked, or there are too many: rows and sizes are those of the last VACUUM or ANALYZE", d.Name))
		all, err = pgRows(ctx, tx, pgPages)
	}
	if err != nil {
		return d, nil, err
	}
	return d, append(notes, fill(&d, all)...), nil
}

// slow tells that a statement took too long, or waited too long for a lock.
func slow(err error) bool {
	const notAvailable, canceled = "55P03", "57014"
	var p *pgconn.PgError
	return errors.As(err, &p) && (p.Code == notAvailable || p.Code == canceled)
}

func pgRows(ctx context.Context, tx pgx.Tx, sizes string) ([]row, error) {
	found, err := tx.Query(ctx, fmt.Sprintf(pgTables, sizes), maxTables+1)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var all []row
	for found.Next() && len(all) <= maxTables {
		r := row{rows: -1}
		var rows, bytes float64
		if err := found.Scan(&r.name, &rows, &bytes); err != nil {
			return nil, err
		}
		const most = 1 << 60
		r.bytes = int64(math.Min(math.Max(bytes, 0), most))
		if rows >= 0 { // NaN where a part isn't known
			r.rows = int64(math.Round(math.Min(rows, most)))
		}
		all = append(all, r)
	}
	return all, found.Err()
}
