package databases

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aftershock/internal/servers"
	"aftershock/upgrades/preflight/inventory"

	"github.com/jackc/pgx/v5"
)

func take(t testing.TB, text string) (inventory.Database, []string) {
	t.Helper()
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	d, notes, err := Take(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return d, notes
}

// size gives a table's rows and bytes, -1 for what isn't known.
func size(t testing.TB, d inventory.Database, name string) (rows, bytes int64) {
	t.Helper()
	rows, bytes = -1, -1
	for _, x := range d.Tables {
		if x.Name == name {
			if x.Rows != nil {
				rows = *x.Rows
			}
			if x.Bytes != nil {
				bytes = *x.Bytes
			}
			return rows, bytes
		}
	}
	t.Fatalf("there is no table %s in %+v", name, d.Tables)
	return 0, 0
}

func about(t testing.TB, what string, got, want, within int64) {
	t.Helper()
	if got < want-within || got > want+within {
		t.Errorf("%s: %d, want %d, give or take %d", what, got, want, within)
	}
}

func postgres(t testing.TB) (url string, conn *pgx.Conn) {
	t.Helper()
	url = servers.PostgreSQL(t).Database()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if _, err := conn.Exec(t.Context(), `
CREATE TABLE orders (id int PRIMARY KEY, note text); INSERT INTO orders SELECT n, repeat('x', 100) FROM generate_series(1, 50000) n; ANALYZE orders;
INSERT INTO orders SELECT n, repeat('x', 100) FROM generate_series(50001, 100000) n;
CREATE TABLE empty (id int PRIMARY KEY, note text);
CREATE SCHEMA shop; CREATE TABLE shop."Odd ""name" (id int); INSERT INTO shop."Odd ""name" SELECT generate_series(1, 500); ANALYZE shop."Odd ""name";
CREATE TABLE events (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') PARTITION BY RANGE (id);
CREATE TABLE events_2a PARTITION OF events_2 FOR VALUES FROM (0) TO (100000);
INSERT INTO events SELECT n, date '2026-01-15' FROM generate_series(1, 1000) n; INSERT INTO events SELECT n, date '2026-02-15' FROM generate_series(1, 2000) n; ANALYZE events;
CREATE TABLE hollow (id int) PARTITION BY RANGE (id);
CREATE VIEW seen AS SELECT 1;`); err != nil {
		t.Fatal(err)
	}
	return url, conn
}

func TestPostgreSQL(t *testing.T) {
	url, conn := postgres(t)
	d, _ := take(t, url)
	if d.Engine != "postgresql" || d.Name != "test1" || !strings.Contains(d.Version, ".") || strings.Contains(d.Version, " ") {
		t.Errorf("%s %s %s", d.Engine, d.Name, d.Version)
	}
	var total int64
	if err := conn.QueryRow(t.Context(), "SELECT pg_total_relation_size('orders')").Scan(&total); err != nil {
		t.Fatal(err)
	}
	rows, bytes := size(t, d, "orders")
	about(t, "rows of orders, which doubled since they were counted", rows, 100_000, 2000)
	about(t, "bytes of orders", bytes, total, 0)
	if rows, bytes := size(t, d, "empty"); rows != 0 || bytes != 0 {
		t.Errorf("an empty table has %d rows and %d bytes", rows, bytes)
	}
	if rows, bytes := size(t, d, "hollow"); rows != 0 || bytes != 0 {
		t.Errorf("a table without partitions has %d rows and %d bytes", rows, bytes)
	}
	rows, _ = size(t, d, `shop.Odd "name`)
	about(t, "rows of another schema's", rows, 500, 0)
	_, one := size(t, d, "events_1")
	_, two := size(t, d, "events_2a")
	rows, bytes = size(t, d, "events")
	about(t, "rows of all partitions", rows, 3000, 0)
	about(t, "bytes of all partitions", bytes, one+two, 0)
	if len(d.Tables) != 8 {
		t.Errorf("%d tables, want 8", len(d.Tables))
	}
}

// A migration that holds a table alone keeps the reading waiting for a second, no longer.
func TestPostgreSQLLocked(t *testing.T) {
	url, conn := postgres(t)
	for _, sql := range []string{"VACUUM ANALYZE", "BEGIN", "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	d, notes := take(t, url)
	if time.Since(began) > 10*time.Second {
		t.Errorf("it took %v", time.Since(began))
	}
	if len(notes) == 0 || !strings.Contains(notes[0], "a table is locked") {
		t.Errorf("notes: %q", notes)
	}
	rows, bytes := size(t, d, "orders")
	about(t, "rows", rows, 100_000, 2000)
	about(t, "bytes", bytes, 16_000_000, 2_000_000)
	if rows, bytes := size(t, d, "empty"); rows != 0 || bytes != 0 {
		t.Errorf("an empty table has %d rows and %d bytes", rows, bytes)
	}
}

// A user who may only connect has the sizes as well; one without a password is told so, and no message has it.
func TestPostgreSQLPasswords(t *testing.T) {
	const secret = "geheim%40s"
	url, _ := postgres(t)
	wrong := strings.Replace(url, "postgres@", "nobody:"+secret+"@", 1)
	if _, err := Parse(wrong); err == nil || strings.Contains(err.Error(), "geheim") || !strings.Contains(err.Error(), "has a password") {
		t.Errorf("a password in the call: %v", err)
	}
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte(wrong+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(file); err == nil || !strings.Contains(err.Error(), "chmod 600") || strings.Contains(err.Error(), "geheim") {
		t.Errorf("a file that others read: %v", err)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = Take(t.Context(), s)
	if err == nil || strings.Contains(err.Error(), "geheim") || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("an unknown user: %v", err)
	}
}

func TestPostgreSQLReader(t *testing.T) {
	url, conn := postgres(t)
	if _, err := conn.Exec(t.Context(), "CREATE ROLE reader LOGIN PASSWORD 'geheim'; REVOKE ALL ON SCHEMA public FROM PUBLIC"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGPASSWORD", "geheim")
	d, _ := take(t, strings.Replace(url, "postgres@", "reader@", 1))
	if rows, bytes := size(t, d, "orders"); rows < 90_000 || bytes < 1_000_000 {
		t.Errorf("%d rows, %d bytes", rows, bytes)
	}
}

func TestMySQL(t *testing.T)   { mysqlOrMariaDB(t, servers.MySQL(t), "mysql") }
func TestMariaDB(t *testing.T) { mysqlOrMariaDB(t, servers.MariaDB(t), "mariadb") }

func mysqlOrMariaDB(t *testing.T, server *servers.MySQLServer, engine string) {
	name := server.Database()
	pool, err := sql.Open("mysql", server.DSN(name))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for _, s := range []string{
		"CREATE TABLE orders (id INT PRIMARY KEY AUTO_INCREMENT, note VARCHAR(200))", "INSERT INTO orders (note) VALUES (REPEAT('x', 100)), (REPEAT('x', 100))",
		"CREATE TABLE hollow (id INT PRIMARY KEY)", "CREATE TABLE `odd ``name` (id INT)", "INSERT INTO `odd ``name` VALUES (1)", "CREATE VIEW seen AS SELECT 1",
		"CREATE TABLE events (id INT) PARTITION BY HASH (id) PARTITIONS 4", "INSERT INTO events VALUES (1), (2), (3), (4)",
		"CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'geheim'", "GRANT SELECT ON " + name + ".* TO reader@'127.0.0.1'",
		"CREATE USER stranger@'127.0.0.1' IDENTIFIED BY 'geheim'", "GRANT INSERT ON " + name + ".* TO stranger@'127.0.0.1'",
	} {
		if _, err := pool.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	for range 14 {
		if _, err := pool.ExecContext(t.Context(), "INSERT INTO orders (note) SELECT note FROM orders"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pool.ExecContext(t.Context(), "ANALYZE TABLE orders, hollow, events"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MYSQL_PWD", "geheim")
	as := func(user string) string { return strings.Replace(server.URL, "root@", user+"@", 1) + "/" + name }
	d, notes := take(t, as("reader"))
	if d.Engine != engine || d.Name != name || d.Version == "" || strings.Contains(d.Version, "-") {
		t.Errorf("%s %s %s", d.Engine, d.Name, d.Version)
	}
	rows, bytes := size(t, d, "orders")
	about(t, "rows", rows, 32_768, 3500)
	about(t, "bytes", bytes, 5_000_000, 2_000_000)
	if rows, bytes := size(t, d, "hollow"); rows != 0 || bytes != 0 {
		t.Errorf("an empty table has %d rows and %d bytes", rows, bytes)
	}
	if _, bytes := size(t, d, "odd `name"); bytes <= 0 {
		t.Errorf("a table with a row has %d bytes", bytes)
	}
	size(t, d, "events")
	if len(d.Tables) != 4 {
		t.Errorf("%d tables, want 4: %+v, %q", len(d.Tables), d.Tables, notes)
	}
	d, notes = take(t, as("stranger"))
	if rows, _ := size(t, d, "hollow"); rows != -1 || len(notes) != 1 || !strings.Contains(notes[0], "aren't known") {
		t.Errorf("a user who can't look into the table knows of %d rows: %q", rows, notes)
	}
	t.Setenv("MYSQL_PWD", "falsch")
	s, err := Parse(as("reader"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Take(t.Context(), s); err == nil || !strings.Contains(err.Error(), "Access denied") || strings.Contains(err.Error(), "falsch") {
		t.Errorf("a wrong password: %v", err)
	}
}

// What answers isn't a database, or doesn't answer: an error in one line, in time.
func TestHostile(t *testing.T) {
	for name, answer := range map[string]string{"nothing": "", "http": "HTTP/1.1 400 Bad Request\r\n\r\n", "noise": strings.Repeat("\xff", 4096), "error": "E\x00\x00\x00\x0aSFATAL\x00\x00"} {
		for _, engine := range []string{"postgres", "mysql"} {
			t.Run(engine+" "+name, func(t *testing.T) {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				go func() {
					for {
						c, err := l.Accept()
						if err != nil {
							return
						}
						_, _ = c.Write([]byte(answer))
						_ = c.Close()
					}
				}()
				s, err := Parse(fmt.Sprintf("%s://a@%s/b", engine, l.Addr()))
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := Take(t.Context(), s); err == nil || strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 500 {
					t.Errorf("error %v", err)
				}
			})
		}
	}
}

func TestParse(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct{ text, want string }{
		{"postgres://a@b/c", ""},
		{"mysql://a@/c?socket=/run/mysqld.sock", ""},
		{write("good", "postgres://a:geheim@b/c\n"), ""},
		{"oracle://a@b/c", `is of "oracle"`},
		{"postgres://a@b/c?password=geheim", "has a password"},
		{"postgres://a:geheim%zz@b/c", "can't be read"},
		{"://", "can't be read"},
		{write("bad", "postgres://a:geheim@b:x/c"), "can't be read"},
		{write("no URL", "geheim"), "postgres:// or mysql://"},
		{write("large", strings.Repeat("geheim", 1000)), "larger than"},
		{dir, "no regular file"},
		{dir + "/none", "no such file"},
	} {
		_, err := Parse(tt.text)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) || err != nil && strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v, want %q", tt.text, err, tt.want)
		}
	}
	for text, want := range map[string]string{"mysql://a@b": "needs a user and a database", "mysql://a@b/c?allowAllFiles=true": "isn't known"} {
		s, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := Take(t.Context(), s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
