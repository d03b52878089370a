package migrations

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"aftershock/internal/servers"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// schema is what the statements of these tests work on.
const schema = `
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer int, state varchar(10), total numeric(10,2), note text, old int);
CREATE UNIQUE INDEX orders_total ON orders (total);
CREATE TABLE events (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE events_2 (id int, at date);
CREATE TABLE parent (id int);
CREATE VIEW big AS SELECT id, note FROM orders;
CREATE TABLE child (id int NOT NULL, name text);
CREATE MATERIALIZED VIEW sums AS SELECT id, total FROM orders;
CREATE UNIQUE INDEX ON sums (id);
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE SEQUENCE seq;
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;
CREATE TRIGGER tr BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION f();
ALTER TABLE orders ADD CONSTRAINT positive CHECK (total > 0) NOT VALID;
ALTER TABLE orders ADD CONSTRAINT customer_fk FOREIGN KEY (customer) REFERENCES customers NOT VALID;
INSERT INTO customers VALUES (1, 'a'); INSERT INTO orders VALUES (1, 1, 'new', 1, 'x', 1);
CREATE INDEX orders_id ON orders (id); ALTER TABLE orders CLUSTER ON orders_id;
`

// pgStatements are one of each kind that takes a lock.
var pgStatements = []string{
	"ALTER TABLE orders ADD COLUMN a int",
	"ALTER TABLE orders ADD COLUMN IF NOT EXISTS a int DEFAULT 7",
	"ALTER TABLE orders ADD COLUMN a timestamptz NOT NULL DEFAULT now()",
	"ALTER TABLE orders ADD COLUMN a uuid DEFAULT gen_random_uuid()",
	"ALTER TABLE orders ADD COLUMN a bigserial",
	"ALTER TABLE orders ADD COLUMN a int GENERATED ALWAYS AS (id * 2) STORED",
	"ALTER TABLE orders ADD COLUMN a int REFERENCES customers (id)",
	"ALTER TABLE orders ADD COLUMN a int CHECK (a > 0)",
	"ALTER TABLE orders ADD COLUMN a int UNIQUE",
	"ALTER TABLE orders ADD a int, DROP COLUMN old",
	"ALTER TABLE orders DROP COLUMN old",
	"ALTER TABLE orders ALTER COLUMN old TYPE bigint",
	"ALTER TABLE orders ALTER COLUMN state TYPE varchar(20)",
	"ALTER TABLE orders ALTER state SET DEFAULT 'x'",
	"ALTER TABLE orders ALTER COLUMN state SET NOT NULL",
	"ALTER TABLE orders ALTER COLUMN state DROP NOT NULL",
	"ALTER TABLE orders ALTER COLUMN state SET STATISTICS 500",
	"ALTER TABLE orders ALTER COLUMN state SET (n_distinct = 5)",
	"ALTER TABLE orders ALTER COLUMN state SET STORAGE EXTERNAL",
	"ALTER TABLE orders ADD CONSTRAINT c CHECK (id > 0)",
	"ALTER TABLE orders ADD CONSTRAINT c CHECK (id > 0) NOT VALID",
	"ALTER TABLE orders ADD CONSTRAINT c FOREIGN KEY (old) REFERENCES customers (id)",
	"ALTER TABLE orders ADD FOREIGN KEY (old) REFERENCES customers (id) NOT VALID",
	"ALTER TABLE orders ADD CONSTRAINT c UNIQUE (note)",
	"ALTER TABLE orders ADD CONSTRAINT c UNIQUE USING INDEX orders_total",
	"ALTER TABLE parent ADD PRIMARY KEY (id)",
	"ALTER TABLE orders VALIDATE CONSTRAINT positive",
	"ALTER TABLE orders DROP CONSTRAINT positive",
	"ALTER TABLE orders RENAME TO orders2",
	"ALTER TABLE orders RENAME COLUMN old TO older",
	"ALTER TABLE orders RENAME CONSTRAINT positive TO pos",
	"ALTER TABLE orders DISABLE TRIGGER tr",
	"ALTER TABLE orders ENABLE ROW LEVEL SECURITY",
	"ALTER TABLE orders SET (fillfactor = 70)",
	"ALTER TABLE orders RESET (fillfactor)",
	"ALTER TABLE orders SET UNLOGGED",
	"ALTER TABLE orders SET WITHOUT CLUSTER",
	"ALTER TABLE orders CLUSTER ON orders_total",
	"ALTER TABLE orders OWNER TO postgres",
	"ALTER TABLE orders REPLICA IDENTITY FULL",
	"ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')",
	"ALTER TABLE events DETACH PARTITION events_1",
	"ALTER TABLE child INHERIT customers",
	"ALTER SEQUENCE seq INCREMENT 2",
	"CREATE INDEX i ON orders (note)",
	"CREATE UNIQUE INDEX i ON orders USING btree (note) WHERE id > 0",
	"CREATE TABLE new (id int REFERENCES customers)",
	"CREATE TABLE events_3 PARTITION OF events FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')",
	"CREATE TABLE new () INHERITS (parent)",
	"CREATE TRIGGER tr2 BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION f()",
	"CREATE RULE r AS ON DELETE TO orders DO INSTEAD NOTHING",
	"CREATE POLICY p ON orders USING (true)",
	"CREATE STATISTICS s ON state, total FROM orders",
	"CREATE OR REPLACE VIEW big AS SELECT id, note FROM orders",
	"DROP TRIGGER tr ON orders",
	"DROP VIEW big",
	"TRUNCATE TABLE orders",
	"TRUNCATE orders, events_2",
	"UPDATE orders SET state = 'x'",
	"DELETE FROM orders WHERE id = 5",
	"INSERT INTO orders (id) VALUES (9)",
	"WITH x AS (SELECT 1) DELETE FROM orders WHERE id IN (SELECT * FROM x)",
	"LOCK TABLE orders IN SHARE ROW EXCLUSIVE MODE",
	"LOCK orders, customers",
	"REINDEX TABLE orders",
	"ANALYZE orders",
	"REFRESH MATERIALIZED VIEW sums",
	"REFRESH MATERIALIZED VIEW CONCURRENTLY sums",
	"CLUSTER orders",
	"COMMENT ON TABLE orders IS 'x'",
	"DROP TABLE events_2",
	"ALTER TYPE mood ADD VALUE 'happy'",
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// heldLocks gives the strongest lock on each table that a session's transaction holds, as "table: MODE".
func heldLocks(t testing.TB, conn *pgx.Conn) []string {
	t.Helper()
	rows, err := conn.Query(context.Background(), `SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
		WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')`)
	if err != nil {
		t.Fatal(err)
	}
	best := map[string]int{}
	for rows.Next() {
		var name, mode string
		if err := rows.Scan(&name, &mode); err != nil {
			t.Fatal(err)
		}
		i := slices.Index(modes, spaced(mode))
		if i < 0 {
			t.Fatalf("unknown mode %s", mode)
		}
		best[name] = max(best[name], i)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	var all []string
	for name, i := range best {
		all = append(all, name+": "+modes[i])
	}
	slices.Sort(all)
	return all
}

// spaced writes pg_locks' AccessExclusiveLock as the manual does.
func spaced(mode string) string {
	var b strings.Builder
	for i, r := range strings.TrimSuffix(mode, "Lock") {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}

// Each statement is run in a transaction on a real server: the locks that it then holds on tables that were there before are those
// that are told. Tables that are merely read (ACCESS SHARE) aren't told.
func TestPostgreSQLLocks(t *testing.T) {
	conn := connect(t, servers.PostgreSQL(t).Database())
	ctx := context.Background()
	if _, err := conn.Exec(ctx, schema); err != nil {
		t.Fatal(err)
	}
	existing := []string{"customers", "orders", "events", "events_1", "events_2", "parent", "child", "big", "sums", "seq"}
	for _, sql := range pgStatements {
		if _, err := conn.Exec(ctx, "BEGIN"); err != nil {
			t.Fatal(err)
		}
		var want []string
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		} else {
			for _, l := range heldLocks(t, conn) {
				name, mode, _ := strings.Cut(l, ": ")
				if name == "orders2" {
					l = "orders: " + mode
					name = "orders"
				}
				if slices.Contains(existing, name) && mode != "ACCESS SHARE" {
					want = append(want, l)
				}
			}
			if strings.HasPrefix(sql, "DROP TABLE") || strings.HasPrefix(sql, "DROP VIEW") { // gone from pg_class
				want = append(want, strings.Fields(sql)[2]+": ACCESS EXCLUSIVE")
			}
		}
		if _, err := conn.Exec(ctx, "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range Locks(sql, PostgreSQL, 0) {
			got = append(got, l.Table+": "+l.Mode)
		}
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: -PostgreSQL +told:\n%s", sql, d)
		}
	}
}

// Statements that want no transaction are seen waiting for a lock that conflicts with theirs.
func TestPostgreSQLLocksOutside(t *testing.T) {
	url := servers.PostgreSQL(t).Database()
	holder, watcher := connect(t, url), connect(t, url)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := holder.Exec(ctx, schema); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"CREATE INDEX CONCURRENTLY i ON orders (note)", "REINDEX TABLE CONCURRENTLY orders", "VACUUM orders", "VACUUM FULL orders", "VACUUM (FULL, ANALYZE) orders",
		"ALTER TABLE events DETACH PARTITION events_1 CONCURRENTLY",
	} {
		if _, err := holder.Exec(ctx, "BEGIN; LOCK TABLE orders IN EXCLUSIVE MODE; LOCK TABLE ONLY events IN EXCLUSIVE MODE"); err != nil {
			t.Fatal(err)
		}
		runner := connect(t, url)
		done := make(chan error, 1)
		go func() { _, err := runner.Exec(ctx, sql); done <- err }()
		mode := ""
		for mode == "" && ctx.Err() == nil {
			if err := watcher.QueryRow(ctx, "SELECT coalesce(max(mode), '') FROM pg_locks WHERE NOT granted AND locktype = 'relation'").Scan(&mode); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := holder.Exec(ctx, "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Errorf("%s: %v", sql, err)
		}
		got := Locks(sql, PostgreSQL, 0)
		if len(got) != 1 || got[0].Mode != spaced(mode) {
			t.Errorf("%s: told %+v, PostgreSQL asks for %s", sql, got, spaced(mode))
		}
	}
}

// Whether a table is written anew shows in its file's name.
func TestPostgreSQLRewrites(t *testing.T) {
	conn := connect(t, servers.PostgreSQL(t).Database())
	ctx := context.Background()
	if _, err := conn.Exec(ctx, schema); err != nil {
		t.Fatal(err)
	}
	node := func() (n string) {
		if err := conn.QueryRow(ctx, "SELECT pg_relation_filenode('orders')::text || ' ' || (SELECT count(*) FROM orders)").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, sql := range pgStatements {
		if !strings.HasPrefix(sql, "ALTER TABLE orders") && sql != "CLUSTER orders" || strings.Contains(sql, "RENAME TO") {
			continue
		}
		before := node()
		if _, err := conn.Exec(ctx, "BEGIN; "+sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		rewritten := node() != before
		if _, err := conn.Exec(ctx, "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		told, doubt := false, false
		all, _ := split(sql, 1, false)
		for _, a := range actions(all[0], PostgreSQL, 0) {
			for _, l := range a.locks {
				told = told || l.Table == "orders" && l.Span == Rewrite
			}
			doubt = doubt || a.doubt != ""
		}
		if told != rewritten && !doubt {
			t.Errorf("%s: told rewrite %t, PostgreSQL did %t", sql, told, rewritten)
		}
	}
}

// The ways without harm that are proposed are SQL that a server takes, with the places of names filled in.
func TestRewritesRun(t *testing.T) {
	server := servers.PostgreSQL(t)
	ran := 0
	for _, sql := range pgStatements {
		all, _ := split(sql, 1, false)
		for _, a := range actions(all[0], PostgreSQL, 0) {
			if a.rule == "" || a.rewrite == "" || strings.Contains(a.rewrite, "…") || strings.Contains(a.rewrite, "TABLE;") {
				continue
			}
			parts, problem := split(a.rewrite, 1, false)
			if problem != "" {
				t.Errorf("%s: the rewrite can't be split: %s", sql, problem)
			}
			if len(parts) == 0 {
				continue // only advice
			}
			conn := connect(t, server.Database())
			if _, err := conn.Exec(context.Background(), schema); err != nil {
				t.Fatal(err)
			}
			for _, p := range parts {
				if _, err := conn.Exec(context.Background(), strings.ReplaceAll(p.raw, " NAME ", " c ")); err != nil {
					t.Errorf("%s: %s: %v", sql, p.raw, err)
				}
				for _, l := range Locks(p.raw, PostgreSQL, 0) {
					// SET NOT NULL sees the validated CHECK before it; nobody writes to a materialized view.
					if l.Writes(PostgreSQL) && l.Span != Instant && !strings.Contains(p.raw, "SET NOT NULL") && l.Table != "sums" {
						t.Errorf("%s: the rewrite %s keeps writers out for a %s", sql, p.raw, l.Span)
					}
				}
				ran++
			}
		}
	}
	if ran < 12 {
		t.Errorf("only %d statements were run", ran)
	}
	t.Log(fmt.Sprint(ran, " statements of rewrites were run"))
}
