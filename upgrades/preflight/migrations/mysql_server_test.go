package migrations

import (
	"database/sql"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"aftershock/detector"
	"aftershock/internal/servers"

	"github.com/go-sql-driver/mysql"
)

// mySchema is what the statements of these tests work on.
var mySchema = []string{
	"CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(50))",
	`CREATE TABLE orders (id INT NOT NULL PRIMARY KEY, customer INT, state VARCHAR(10) NOT NULL, total DECIMAL(10,2), note TEXT, old INT, kind ENUM('a', 'b'), must INT NOT NULL,
		KEY by_total (total), KEY by_customer (customer), CONSTRAINT customer_fk FOREIGN KEY (customer) REFERENCES customers (id), CONSTRAINT positive CHECK (total > 0)) ENGINE=InnoDB DEFAULT CHARSET=latin1`,
	"CREATE TABLE plain (id INT NOT NULL, a INT) ENGINE=InnoDB",
	"CREATE TABLE events (id INT NOT NULL) ENGINE=InnoDB PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (100), PARTITION p1 VALUES LESS THAN (200))",
	"CREATE TABLE events_old (id INT NOT NULL) ENGINE=InnoDB", "CREATE TABLE spare (id INT) ENGINE=InnoDB",
	"CREATE TABLE places (id INT NOT NULL PRIMARY KEY, spot POINT NOT NULL) ENGINE=InnoDB",
	"INSERT INTO customers VALUES (1, 'a')", "INSERT INTO orders VALUES (1, 1, 'new', 1, 'x', 1, 'a', 1)", "INSERT INTO plain VALUES (1, 1)",
}

var myAlters = []string{
	"ALTER TABLE orders ADD COLUMN a INT",
	"ALTER TABLE orders ADD COLUMN a INT NOT NULL DEFAULT 7",
	"ALTER TABLE orders ADD COLUMN a INT AFTER id",
	"ALTER TABLE orders ADD COLUMN a INT FIRST",
	"ALTER TABLE orders ADD COLUMN (a INT, b INT)",
	"ALTER TABLE orders ADD COLUMN a INT GENERATED ALWAYS AS (id + 1) VIRTUAL",
	"ALTER TABLE orders ADD COLUMN a INT GENERATED ALWAYS AS (id + 1) STORED",
	"ALTER TABLE orders ADD COLUMN a VARCHAR(36) DEFAULT (UUID())",
	"ALTER TABLE orders ADD COLUMN a TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP",
	"ALTER TABLE orders ADD COLUMN a INT CHECK (a > 0)",
	"ALTER TABLE orders ADD COLUMN a INT UNIQUE",
	"ALTER TABLE orders ADD COLUMN a INT REFERENCES customers (id)",
	"ALTER TABLE plain ADD COLUMN n INT AUTO_INCREMENT PRIMARY KEY",
	"ALTER TABLE plain ADD COLUMN n BIGINT NOT NULL AUTO_INCREMENT UNIQUE",
	"ALTER TABLE orders DROP COLUMN old",
	"ALTER TABLE orders ADD COLUMN a INT, DROP COLUMN old",
	"ALTER TABLE orders RENAME COLUMN old TO older",
	"ALTER TABLE orders ALTER COLUMN old SET DEFAULT 5",
	"ALTER TABLE orders ALTER COLUMN old DROP DEFAULT",
	"ALTER TABLE orders ALTER INDEX by_total INVISIBLE",
	"ALTER TABLE orders ALTER COLUMN old SET INVISIBLE",
	"ALTER TABLE orders MODIFY old BIGINT",
	"ALTER TABLE orders MODIFY old INT DEFAULT 3",
	"ALTER TABLE orders MODIFY old INT NOT NULL",
	"ALTER TABLE orders MODIFY must INT NULL",
	"ALTER TABLE orders MODIFY old INT FIRST",
	"ALTER TABLE orders MODIFY state VARCHAR(20) NOT NULL",
	"ALTER TABLE orders MODIFY state VARCHAR(300) NOT NULL",
	"ALTER TABLE orders MODIFY state VARCHAR(5) NOT NULL",
	"ALTER TABLE orders MODIFY kind ENUM('a', 'b', 'c')",
	"ALTER TABLE orders MODIFY kind ENUM('c', 'a', 'b')",
	"ALTER TABLE orders MODIFY state VARCHAR(10) CHARACTER SET utf8mb4 NOT NULL",
	"ALTER TABLE orders CHANGE old older INT",
	"ALTER TABLE orders CHANGE old older BIGINT",
	"ALTER TABLE orders ADD INDEX i (old)",
	"ALTER TABLE orders ADD UNIQUE INDEX i (old)",
	"ALTER TABLE orders ADD UNIQUE (old)",
	"ALTER TABLE orders ADD CONSTRAINT u UNIQUE (old)",
	"ALTER TABLE orders ADD FULLTEXT INDEX i (note)",
	"ALTER TABLE places ADD SPATIAL INDEX i (spot)",
	"ALTER TABLE orders DROP INDEX by_total",
	"ALTER TABLE orders RENAME INDEX by_total TO by_sum",
	"ALTER TABLE plain ADD PRIMARY KEY (id)",
	"ALTER TABLE orders DROP PRIMARY KEY",
	"ALTER TABLE orders DROP PRIMARY KEY, ADD PRIMARY KEY (id, must)",
	"ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (old) REFERENCES customers (id)",
	"ALTER TABLE orders DROP FOREIGN KEY customer_fk",
	"ALTER TABLE orders ADD CONSTRAINT c CHECK (id > 0)",
	"ALTER TABLE orders DROP CONSTRAINT positive",
	"ALTER TABLE orders DROP CHECK positive",
	"ALTER TABLE orders ALTER CHECK positive NOT ENFORCED",
	"ALTER TABLE orders RENAME TO orders2",
	"ALTER TABLE orders CONVERT TO CHARACTER SET utf8mb4",
	"ALTER TABLE orders DEFAULT CHARACTER SET utf8mb4",
	"ALTER TABLE orders CHARACTER SET = utf8mb4",
	"ALTER TABLE orders ENGINE=InnoDB",
	"ALTER TABLE spare ENGINE=MyISAM",
	"ALTER TABLE orders FORCE",
	"ALTER TABLE orders ROW_FORMAT=COMPACT",
	"ALTER TABLE orders KEY_BLOCK_SIZE=8",
	"ALTER TABLE orders COMMENT='x'",
	"ALTER TABLE orders AUTO_INCREMENT=100",
	"ALTER TABLE orders STATS_PERSISTENT=1",
	"ALTER TABLE orders DISABLE KEYS",
	"ALTER TABLE spare ORDER BY id",
	"ALTER TABLE spare PARTITION BY HASH (id) PARTITIONS 4",
	"ALTER TABLE events ADD PARTITION (PARTITION p2 VALUES LESS THAN (300))",
	"ALTER TABLE events DROP PARTITION p0",
	"ALTER TABLE events TRUNCATE PARTITION p0",
	"ALTER TABLE events REORGANIZE PARTITION p0 INTO (PARTITION p00 VALUES LESS THAN (50), PARTITION p01 VALUES LESS THAN (100))",
	"ALTER TABLE events REMOVE PARTITIONING",
	"ALTER TABLE events EXCHANGE PARTITION p0 WITH TABLE events_old",
	"CREATE INDEX i ON orders (old)",
	"CREATE UNIQUE INDEX i ON orders (old)",
	"CREATE FULLTEXT INDEX i ON orders (note)",
	"CREATE SPATIAL INDEX i ON places (spot)",
	"DROP INDEX by_total ON orders",
}

// myModifies are what MySQL and MariaDB do where what the column was before decides, which the doubt of such a finding says.
var myModifies = map[string][2]string{
	"ALTER TABLE orders MODIFY old BIGINT":                            {"COPY", "COPY"},
	"ALTER TABLE orders MODIFY old INT DEFAULT 3":                     {"INSTANT", "INSTANT"},
	"ALTER TABLE orders CHANGE old older INT":                         {"INSTANT", "INSTANT"},
	"ALTER TABLE orders MODIFY old INT NOT NULL":                      {"INPLACE", "INPLACE"},
	"ALTER TABLE orders MODIFY must INT NULL":                         {"INPLACE", "INPLACE"},
	"ALTER TABLE orders MODIFY state VARCHAR(20) NOT NULL":            {"INPLACE", "INSTANT"},
	"ALTER TABLE orders MODIFY state VARCHAR(300) NOT NULL":           {"COPY", "INSTANT"},
	"ALTER TABLE orders MODIFY state VARCHAR(5) NOT NULL":             {"COPY", "COPY"},
	"ALTER TABLE orders MODIFY kind ENUM('a', 'b', 'c')":              {"INSTANT", "INSTANT"},
	"ALTER TABLE orders MODIFY kind ENUM('c', 'a', 'b')":              {"COPY", "COPY"},
	"ALTER TABLE orders DROP PRIMARY KEY":                             {"COPY", "COPY"},
	"ALTER TABLE orders DROP PRIMARY KEY, ADD PRIMARY KEY (id, must)": {"INPLACE", "INPLACE"},
	"ALTER TABLE orders ENGINE=InnoDB":                                {"INPLACE", "INPLACE"},
	"ALTER TABLE orders DROP CONSTRAINT positive":                     {"INSTANT", "INSTANT"},
}

// modifies holds a statement to myModifies: nobody waits but for a copy.
func (s *myServer) modifies(text string) {
	both, ok := myModifies[text]
	if !ok {
		return
	}
	want := both[0]
	if s.maria {
		want = both[1]
	}
	got := "COPY"
	for _, algorithm := range []string{"INSTANT", "INPLACE"} {
		options := "ALGORITHM=" + algorithm
		if algorithm == "INPLACE" {
			options += ", LOCK=NONE"
		}
		_, err := s.db.ExecContext(s.t.Context(), with(text, options))
		if err == nil {
			s.fresh(tableOf(text))
			got = algorithm
			break
		}
		if !refused(err) {
			s.t.Errorf("%s: %v", text, err)
		}
	}
	if got != want {
		s.t.Errorf("%s: %s, want %s", text, got, want)
	}
}

// myServer is a server with a connection to a database of its own.
type myServer struct {
	t       *testing.T
	db      *sql.DB
	maria   bool
	version int
}

func newMyServer(t *testing.T, server *servers.MySQLServer) *myServer {
	t.Helper()
	db, err := sql.Open("mysql", server.DSN(server.Database()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxIdleConns(8)
	s := &myServer{t: t, db: db}
	v := s.text("SELECT VERSION()")
	s.maria = strings.Contains(v, "MariaDB")
	engine := "mysql"
	if s.maria {
		engine = "mariadb"
	}
	_, s.version = ServerOf(engine, v)
	for _, x := range mySchema {
		s.run(x)
	}
	t.Log(v)
	return s
}

func (s *myServer) run(text string) {
	s.t.Helper()
	if _, err := s.db.ExecContext(s.t.Context(), text); err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
}

func (s *myServer) text(query string) (out string) {
	s.t.Helper()
	if err := s.db.QueryRowContext(s.t.Context(), query).Scan(&out); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	return out
}

// fresh makes a table as it was.
func (s *myServer) fresh(table string) {
	s.t.Helper()
	s.run("DROP TABLE IF EXISTS orders2, " + table)
	for _, x := range mySchema {
		if strings.HasPrefix(x, "CREATE TABLE "+table+" ") || strings.HasPrefix(x, "INSERT INTO "+table+" ") {
			s.run(x)
		}
	}
}

// space tells the file of a table apart from that of the table written anew.
func (s *myServer) space(table string) string {
	where := "INNODB_TABLES"
	if s.maria {
		where = "INNODB_SYS_TABLES"
	}
	return s.text("SELECT COALESCE(GROUP_CONCAT(SPACE ORDER BY NAME), '') FROM information_schema." + where + " WHERE NAME = CONCAT(DATABASE(), '/" + table + "')")
}

// refused are what servers answer where a change can't be done as it is asked to.
func refused(err error) bool {
	const algorithm, reason = 1845, 1846
	var e *mysql.MySQLError
	return errors.As(err, &e) && (e.Number == algorithm || e.Number == reason)
}

// with puts options into a statement, where its grammar has them.
func with(sql, options string) string {
	head, rest, partitions := strings.Cut(sql, " PARTITION BY ")
	switch {
	case partitions:
		return head + " " + options + " PARTITION BY " + rest
	case strings.HasSuffix(sql, " REMOVE PARTITIONING"):
		return strings.TrimSuffix(sql, " REMOVE PARTITIONING") + " " + options + " REMOVE PARTITIONING"
	case strings.HasPrefix(sql, "ALTER TABLE events "):
		return strings.Replace(sql, "ALTER TABLE events ", "ALTER TABLE events "+options+", ", 1)
	case strings.HasSuffix(sql, " ORDER BY id"):
		return strings.Replace(sql, "ALTER TABLE spare ", "ALTER TABLE spare "+options+", ", 1)
	case strings.HasPrefix(sql, "ALTER"):
		return sql + ", " + options
	}
	return sql + " " + strings.ReplaceAll(options, ",", "")
}

func tableOf(sql string) string {
	words := strings.Fields(sql)
	if i := slices.Index(words, "ON"); i > 0 && words[0] != "ALTER" {
		return words[i+1]
	}
	return words[2]
}

// Of each statement a server is asked for the algorithms and for letting writers go on: what it refuses is what is told to
// be refused, and what it writes anew has another file.
func TestMySQLServerLocks(t *testing.T) {
	t.Run("MySQL", func(t *testing.T) { serverLocks(newMyServer(t, servers.MySQL(t))) })
	t.Run("MariaDB", func(t *testing.T) { serverLocks(newMyServer(t, servers.MariaDB(t))) })
}

func serverLocks(s *myServer) {
	asked := 0
	for _, text := range myAlters {
		table := tableOf(text)
		parts := table == "events"
		if s.maria && parts || strings.Contains(text, "TRUNCATE PARTITION") || strings.Contains(text, "EXCHANGE PARTITION") {
			continue // these take any algorithm, and MariaDB's grammar none
		}
		before := s.space(table)
		if _, err := s.db.ExecContext(s.t.Context(), text); err != nil {
			const syntax, unsafe = 1064, 1674
			var e *mysql.MySQLError
			if !errors.As(err, &e) || e.Number != syntax && e.Number != unsafe {
				s.t.Errorf("%s: %v", text, err)
			}
			continue // the other one's grammar
		}
		asked++
		rewritten := s.space(table) != before
		s.fresh(table)
		how, all := Locks(text, MySQL, s.version), s.actions(text)
		if len(how) != 1 {
			s.t.Errorf("%s: told %+v", text, how)
			continue
		}
		doubt := slices.ContainsFunc(all, func(a action) bool { return a.doubt != "" })
		if told := how[0].Span == Rewrite; told != rewritten && !doubt && !parts && !strings.Contains(text, "RENAME TO") {
			s.t.Errorf("%s: told rewrite %t, the server did %t", text, told, rewritten)
		}
		s.modifies(text)
		if doubt || strings.HasSuffix(text, "ENGINE=MyISAM") && s.maria { // which takes any
			continue
		}
		for _, options := range []string{"ALGORITHM=INSTANT", "ALGORITHM=INPLACE, LOCK=NONE", "ALGORITHM=INPLACE, LOCK=SHARED", "ALGORITHM=COPY, LOCK=NONE", "LOCK=NONE"} {
			full := with(text, options)
			_, err := s.db.ExecContext(s.t.Context(), full)
			if err != nil && !refused(err) {
				var e *mysql.MySQLError
				if errors.As(err, &e) && e.Number == 1064 {
					continue // DROP INDEX of MariaDB takes one option alone
				}
				s.t.Errorf("%s: %v", full, err)
				continue
			}
			if err == nil {
				s.fresh(table)
			}
			told := slices.ContainsFunc(s.actions(full), func(a action) bool { return a.rule == "algorithm" })
			if strings.HasPrefix(text, "ALTER") && told != (err != nil) && !(strings.Contains(options, "LOCK=SHARED") && how[0].Mode == exclusive) {
				s.t.Errorf("%s: told refused %t, the server: %v", full, told, err)
			}
			if options == "LOCK=NONE" && (how[0].Mode != none) != (err != nil) {
				s.t.Errorf("%s: told %s, the server: %v", full, how[0].Mode, err)
			}
		}
	}
	s.t.Logf("%d statements", asked)
	if asked < 60 {
		s.t.Errorf("only %d statements were asked about", asked)
	}
}

func (s *myServer) actions(text string) []action {
	all, problem := split(text, 1, true)
	if problem != "" || len(all) != 1 {
		s.t.Fatalf("%s: %d statements, %s", text, len(all), problem)
	}
	return actions(all[0], MySQL, s.version)
}

// Which statements commit the open transaction is asked of a server, and each change of a table is seen waiting for a
// transaction that used it.
func TestMySQLServerTransactions(t *testing.T) {
	t.Run("MySQL", func(t *testing.T) { serverTransactions(newMyServer(t, servers.MySQL(t))) })
	t.Run("MariaDB", func(t *testing.T) { serverTransactions(newMyServer(t, servers.MariaDB(t))) })
}

func serverTransactions(s *myServer) {
	ctx := s.t.Context()
	s.run("CREATE TABLE probe (id INT) ENGINE=InnoDB")
	conn, err := s.db.Conn(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	for _, text := range []string{
		"ALTER TABLE orders ADD COLUMN a INT", "CREATE INDEX i ON orders (old)", "DROP INDEX i ON orders", "CREATE TABLE new (id INT)", "CREATE TEMPORARY TABLE temp (id INT)", "DROP TEMPORARY TABLE temp",
		"RENAME TABLE new TO newer", "DROP TABLE newer", "TRUNCATE TABLE spare", "CREATE VIEW v AS SELECT 1", "DROP VIEW v", "CREATE TRIGGER tr BEFORE INSERT ON spare FOR EACH ROW SET @x = 1", "DROP TRIGGER tr",
		"OPTIMIZE TABLE spare", "INSERT INTO spare VALUES (1)", "UPDATE spare SET id = 2 WHERE id = 1", "DELETE FROM spare WHERE id = 2", "REPLACE INTO customers VALUES (7, 'x')", "SET @a = 1",
	} {
		for _, x := range []string{"DELETE FROM probe", "COMMIT", "START TRANSACTION", "INSERT INTO probe VALUES (1)", text, "ROLLBACK"} {
			if _, err := conn.ExecContext(ctx, x); err != nil {
				s.t.Fatalf("%s: %v", x, err)
			}
		}
		committed := s.text("SELECT COUNT(*) FROM probe") != "0"
		told := slices.ContainsFunc(Check(ctx, []Text{{File: "x.sql", SQL: "START TRANSACTION;\n" + text + ";", Dialect: MySQL}}, Server{Version: s.version}), func(f detector.Finding) bool {
			return f.Rule == "migrations/implied-commit"
		})
		if told != committed {
			s.t.Errorf("%s: told commit %t, the server did %t", text, told, committed)
		}
	}
	s.waits(conn)
}

// waits holds a transaction that read the tables open.
func (s *myServer) waits(reader *sql.Conn) {
	ctx := s.t.Context()
	for _, x := range []string{"START TRANSACTION", "SELECT COUNT(*) FROM orders, spare, customers"} {
		if _, err := reader.ExecContext(ctx, x); err != nil {
			s.t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for text, waits := range map[string]bool{
		"ALTER TABLE orders ADD COLUMN z INT": true, "CREATE INDEX z ON orders (old)": true, "TRUNCATE TABLE spare": true, "DROP TABLE spare": true, "RENAME TABLE spare TO spare2": true,
		"CREATE TRIGGER z BEFORE INSERT ON spare FOR EACH ROW SET @x = 1": true, "INSERT INTO customers VALUES (8, 'x')": false, "UPDATE customers SET name = 'y' WHERE id = 8": false,
	} {
		all.Go(func() {
			conn, err := s.db.Conn(ctx)
			if err == nil {
				defer conn.Close()
				if _, err = conn.ExecContext(ctx, "SET SESSION lock_wait_timeout = 1"); err == nil {
					_, err = conn.ExecContext(ctx, text)
				}
			}
			const timeout = 1205
			var e *mysql.MySQLError
			if waited := errors.As(err, &e) && e.Number == timeout; waited != waits || err != nil && !waited {
				s.t.Errorf("%s: waits %t, want %t (%v)", text, waited, waits, err)
			}
		})
	}
	all.Wait()
}
