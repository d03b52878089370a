package migrations

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"aftershock/detector"

	"github.com/google/go-cmp/cmp"
)

func brief2(all []detector.Finding) []string {
	var out []string
	for _, f := range all {
		if f.Rule != "migrations/rollback" {
			out = append(out, fmt.Sprintf("%s %s %d", f.Severity, strings.TrimPrefix(f.Rule, "migrations/"), f.Place.Line))
		}
	}
	return out
}

const (
	pgSafe = "SELECT pg_advisory_lock(1); SET lock_timeout = '2s';\n"
	mySafe = "SELECT GET_LOCK('m', 5); SET SESSION lock_wait_timeout = 5;\n"
)

// Each text gives exactly these findings, "severity rule line", behind a line that holds a migration lock and sets a time limit.
func TestRules(t *testing.T) {
	tables := map[string]Table{"big": {Rows: 400e6, Bytes: 60e9, Services: []string{"checkout"}}, "middling": {Rows: 5e6, Bytes: 1e9}, "small": {Rows: 900}, "empty": {}}
	for _, tt := range []struct {
		name, dialect, sql string
		want               []string
	}{
		{"index", PostgreSQL, "CREATE INDEX i ON big (a);\nCREATE INDEX j ON middling (a);\nCREATE INDEX k ON small (a);\nCREATE INDEX l ON other (a);", []string{"blocker index 2", "risk index 3", "note index 4", "risk index 5"}},
		{"index concurrently", PostgreSQL, "CREATE INDEX CONCURRENTLY i ON big (a);", nil},
		{"in a transaction", PostgreSQL, "BEGIN;\nCREATE INDEX CONCURRENTLY i ON big (a);\nCOMMIT;\nVACUUM big;", []string{"blocker not-in-transaction 3"}},
		{"add column", PostgreSQL, "ALTER TABLE big ADD COLUMN a int DEFAULT 7;", nil},
		{"volatile", PostgreSQL, "ALTER TABLE big ADD COLUMN a uuid DEFAULT gen_random_uuid();", []string{"blocker rewrite 2"}},
		{"not null", PostgreSQL, "ALTER TABLE big ADD a int NOT NULL;\nALTER TABLE empty ADD a int NOT NULL;\nALTER TABLE other ADD a int NOT NULL;", []string{"blocker not-null 2", "note not-null 3", "risk not-null 4"}},
		{"set not null", PostgreSQL, "ALTER TABLE middling ALTER a SET NOT NULL;", []string{"risk constraint 2"}},
		{"set not null, proven", PostgreSQL, "ALTER TABLE big ADD CONSTRAINT c CHECK (a IS NOT NULL) NOT VALID;\nALTER TABLE big VALIDATE CONSTRAINT c;\nALTER TABLE big ALTER a SET NOT NULL;\nALTER TABLE big DROP CONSTRAINT c;", nil},
		{"foreign key", PostgreSQL, "ALTER TABLE big ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES small (id);", []string{"blocker constraint 2"}},
		{"own table", PostgreSQL, "CREATE TABLE fresh (id int);\nCREATE INDEX i ON fresh (id);\nALTER TABLE fresh ADD CHECK (id > 0);\nUPDATE fresh SET id = 1;\nDROP TABLE fresh;", nil},
		{"loss", PostgreSQL, "DROP TABLE big;\nALTER TABLE big DROP COLUMN a;\nTRUNCATE empty;", []string{"risk data-loss 2", "risk data-loss 3", "note data-loss 4"}},
		{"whole table", PostgreSQL, "UPDATE big SET a = 1;\nDELETE FROM middling;\nUPDATE big SET a = 1 WHERE id = 2;\nDELETE FROM small;", []string{"risk whole-table 2", "risk whole-table 3", "note whole-table 5"}},
		{"rename", PostgreSQL, "ALTER TABLE small RENAME COLUMN a TO b;\nALTER TABLE small RENAME TO tiny;", []string{"risk rename 2", "risk rename 3"}},
		{"enum", PostgreSQL, "BEGIN;\nALTER TYPE mood ADD VALUE 'happy';\nUPDATE small SET m = 'happy' WHERE id = 1;\nCOMMIT;\nUPDATE small SET m = 'happy' WHERE id = 2;", []string{"blocker enum-in-transaction 4"}},
		{"together", PostgreSQL, "BEGIN;\nALTER TABLE small ADD a int;\nALTER TABLE big ADD a int;\nCOMMIT;", []string{"risk long-transaction 4"}},
		{"lock and fill", PostgreSQL, "BEGIN;\nALTER TABLE big ADD a int;\nUPDATE big SET a = 1;\nCOMMIT;", []string{"risk long-transaction 4", "risk whole-table 4"}},
		{"apart", PostgreSQL, "ALTER TABLE small ADD a int;\nALTER TABLE big ADD a int;", nil},
		{"type", PostgreSQL, "ALTER TABLE middling ALTER COLUMN a TYPE bigint;", []string{"risk rewrite 2"}},
		{"full", PostgreSQL, "VACUUM FULL big;\nCLUSTER middling;\nREINDEX TABLE small;", []string{"blocker rewrite 2", "risk rewrite 3", "note index 4"}},
		{"in a block", PostgreSQL, "DO $$\nBEGIN\n  IF NOT EXISTS (SELECT 1) THEN\n    CREATE INDEX i ON middling (a);\n  END IF;\nEND $$;", []string{"risk index 5"}},
		{"text is no statement", PostgreSQL, "SELECT 'DROP TABLE big; --'; -- DROP TABLE big;\n/* /* */ DROP TABLE big; */ SELECT $x$ ; DROP TABLE big; $x$;", nil},
		{"function", PostgreSQL, "CREATE FUNCTION g() RETURNS int LANGUAGE sql BEGIN ATOMIC DELETE FROM big; SELECT 1; END;\nCREATE FUNCTION h() RETURNS int LANGUAGE sql AS 'DELETE FROM big;';", nil},
		{"copy", PostgreSQL, "COPY small FROM stdin;\n1\tDROP TABLE big;\n\\.\nDROP TABLE middling;", []string{"risk data-loss 5"}},
		{"psql", PostgreSQL, "\\set x 'DROP TABLE big;'\n\\i other.sql\nDROP INDEX i;", []string{"risk drop-index 4"}},
		{"unclosed", PostgreSQL, "SELECT 'x;\nDROP TABLE big;", []string{"risk unreadable 2"}},
		{"my add column", MySQL, "ALTER TABLE big ADD COLUMN a INT;", nil},
		{"my index", MySQL, "CREATE INDEX i ON big (a);\nCREATE FULLTEXT INDEX j ON middling (a);", []string{"risk index 3"}},
		{"my type", MySQL, "ALTER TABLE big MODIFY COLUMN a BIGINT;", []string{"blocker rewrite 2"}},
		{"my algorithm", MySQL, "ALTER TABLE big CONVERT TO CHARACTER SET utf8mb4, ALGORITHM=INPLACE, LOCK=NONE;", []string{"blocker algorithm 2"}},
		{"my copy", MySQL, "ALTER TABLE middling PARTITION BY HASH(id) PARTITIONS 4;", []string{"risk rewrite 2"}},
		{"my delimiter", MySQL, "DELIMITER //\nCREATE PROCEDURE p() BEGIN DELETE FROM big; END//\nDELIMITER ;\nDROP TABLE `big`;", []string{"risk data-loss 5"}},
		{"my comment", MySQL, "# DROP TABLE big;\n/*!40101 DROP TABLE `big` */;\nSELECT \"DROP TABLE big;\";\nSELECT 'it\\'s; DROP TABLE big';", []string{"risk data-loss 3"}},
		{"hidden by a return", PostgreSQL, "-- a\rDROP TABLE big;", []string{"risk data-loss 2"}},
		{"behind a command", PostgreSQL, "\\set a b \\\\ DROP TABLE big;", []string{"risk data-loss 2"}},
		{"commands", PostgreSQL, "\\! rm x\nSELECT 1 \\! id\n;\n\\o | mail x\nSELECT 'DROP TABLE x' \\gexec\n\\copy t from program 'id'\nCOPY t FROM PROGRAM 'id';\n\\ir other.sql\n\\i /etc/passwd\n\\echo '\\! x'", []string{"risk command 2", "risk command 3", "risk command 5", "risk command 6", "risk command 7", "risk command 8", "note statement 10"}},
		{"explain and prepare", PostgreSQL, "EXPLAIN DELETE FROM small;\nEXPLAIN ANALYZE DELETE FROM small;\nEXPLAIN (COSTS off, ANALYZE) DELETE FROM small;\nPREPARE p AS DELETE FROM small;", []string{"note whole-table 3", "note whole-table 4", "note whole-table 5"}},
		{"where all", PostgreSQL, "DELETE FROM small WHERE true;\nUPDATE small SET a = 1 WHERE 1 = 1;\nDELETE FROM small WHERE 1 = 2;\nDELETE FROM small WHERE true AND id = 1;", []string{"note whole-table 2", "note whole-table 3"}},
		{"owned", PostgreSQL, "DROP OWNED BY dten;", []string{"risk data-loss 2"}},
		{"my commands", MySQL, "source /etc/x\nsystem id\n\\! id\nSELECT 1 \\! id\n;\nDELETE FROM small;", []string{"note statement 2", "risk command 3", "risk command 4", "risk command 5", "note whole-table 7"}},
		{"my comment of MariaDB", MySQL, "/*M!100100 DROP TABLE big */;", []string{"risk data-loss 2"}},
		{"my commit", MySQL, "START TRANSACTION;\nUPDATE small SET a=1 WHERE id=1;\nALTER TABLE small ADD b INT;\nCOMMIT;", []string{"risk implied-commit 4"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			head := pgSafe
			if tt.dialect == MySQL {
				head = mySafe
			}
			got := Check(t.Context(), []Text{{File: "m.sql", SQL: head + tt.sql, Dialect: tt.dialect}}, Server{Tables: tables})
			if d := cmp.Diff(tt.want, brief2(got)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			for _, f := range got {
				if f.What == "" || f.Why == "" || f.Do == "" || strings.Contains(f.What, "\n") {
					t.Errorf("%s lacks words: %+v", f.Rule, f)
				}
			}
		})
	}
}

// What a text lacks as a whole, and what makes up for it.
func TestWhole(t *testing.T) {
	const alter = "ALTER TABLE t ADD COLUMN a int;"
	limit, lock := "risk lock-timeout 1", "risk no-migration-lock 1"
	for _, tt := range []struct {
		file, sql, dialect string
		single             bool
		want               []string
	}{
		{"m.sql", alter, PostgreSQL, false, []string{limit, lock}},
		{"m.sql", alter, MySQL, false, []string{limit, lock}},
		{"m.sql", "SET lock_timeout = 0;\n" + alter, PostgreSQL, false, []string{"risk lock-timeout 2", "risk no-migration-lock 2"}},
		{"m.sql", "SET LOCAL lock_timeout TO '5s'; " + alter, PostgreSQL, false, []string{lock}},
		{"V12__add.sql", alter, PostgreSQL, false, []string{limit}},
		{"0001_add.up.sql", alter, PostgreSQL, false, []string{limit}},
		{"0001_add.down.sql", "DROP TABLE t;", PostgreSQL, false, nil},
		{"x.sql", "-- +goose Up\n" + alter + "\n-- +goose Down\nDROP TABLE t;", PostgreSQL, false, []string{"risk lock-timeout 2"}},
		{"x.sql", "-- +goose Up\nCREATE INDEX CONCURRENTLY i ON t (a);", PostgreSQL, false, []string{"blocker not-in-transaction 2"}},
		{"x.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY i ON t (a);", PostgreSQL, false, nil},
		{"x.sql", "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY i ON t (a);", PostgreSQL, false, nil},
		{"x.sql", "SELECT pg_advisory_lock(1); CREATE INDEX CONCURRENTLY i ON t (a);", PostgreSQL, true, []string{"blocker not-in-transaction 1"}},
		{"x.sql", "CREATE TABLE t (a int);\n" + alter, PostgreSQL, false, nil},
		{"x.sql", "SELECT 1;", PostgreSQL, false, nil},
		{"x.sql", alter, "", false, []string{"note dialect 1"}},
		{"x.sql", "ALTER TABLE `t` ADD a int;", "", false, []string{limit, lock}},
		{"db/postgres/x.sql", alter, "", false, []string{limit, lock}},
	} {
		got := brief2(Check(t.Context(), []Text{{File: tt.file, SQL: tt.sql, Dialect: tt.dialect, Single: tt.single}}, Server{}))
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s %q: -want +got:\n%s", tt.file, tt.sql, d)
		}
	}
}

// The story: a script that alters a live schema without a lock, handed over from a script's line 12.
func TestStory(t *testing.T) {
	sql := "BEGIN;\nALTER TABLE orders ADD COLUMN hybrid boolean NOT NULL DEFAULT false;\nUPDATE orders SET hybrid = true;\nALTER TABLE orders ALTER COLUMN state TYPE varchar(4);\nCOMMIT;\nDROP TABLE orders_old;\nALTER SYSTEM SET work_mem = '64MB';\n"
	got := Check(t.Context(), []Text{{File: "scripts/schema.sh", Line: 12, SQL: sql, Dialect: PostgreSQL}}, Server{
		Tables: map[string]Table{"orders": {Rows: 40e6, Bytes: 12e9, Services: []string{"checkout", "cart"}}},
	})
	want := []string{"risk lock-timeout 13", "risk no-migration-lock 13", "risk long-transaction 14", "risk whole-table 14", "blocker rewrite 15", "risk data-loss 17"}
	if d := cmp.Diff(want, brief2(got)); d != "" {
		t.Fatalf("-want +got:\n%s", d)
	}
	byRule := map[string]detector.Finding{}
	for _, f := range got {
		byRule[f.Rule] = f
	}
	h := byRule["migrations/rewrite"].Hypotheses
	wantHypothesis := []detector.Hypothesis{{
		Kind: detector.HypothesisLock, Tables: []string{"orders"}, Services: []string{"cart", "checkout"}, Indicators: []detector.Kind{detector.Latency, detector.Error},
		Says: "statements wait for orders while scripts/schema.sh line 15 runs",
	}}
	if d := cmp.Diff(wantHypothesis, h); d != "" {
		t.Errorf("hypotheses: -want +got:\n%s", d)
	}
	if w := byRule["migrations/rewrite"].What; !strings.Contains(w, "about 5 min (40,000,000 rows, 12.0 GB)") {
		t.Errorf("the rewrite says %q", w)
	}
	at := func(n int) detector.Place { return detector.Place{File: "scripts/schema.sh", Line: n} }
	wantUndo := []detector.Reversion{
		{Level: "configuration", Step: "ALTER TABLE orders ADD COLUMN hybrid boolean NOT NULL DEFAULT false", How: "ALTER TABLE orders DROP COLUMN hybrid;", Place: at(13)},
		{Level: "data", Step: "UPDATE orders SET hybrid = true", Lost: "what the rows held before", Place: at(14)},
		{Level: "data", Step: "ALTER TABLE orders ALTER COLUMN state TYPE varchar(4)", How: "ALTER TABLE orders ALTER COLUMN state TYPE …; -- the one before", Lost: "what of orders.state the type varchar(4) can't hold", Place: at(15)},
		{Level: "data", Step: "DROP TABLE orders_old", Lost: "all rows of orders_old", Place: at(17)},
		{Level: "configuration", Step: "ALTER SYSTEM SET work_mem = '…'", How: "ALTER SYSTEM RESET work_mem; -- or SET it to what it was", Place: at(18)},
	}
	if d := cmp.Diff(wantUndo, byRule["migrations/rollback"].Reversions); d != "" {
		t.Errorf("reversions: -want +got:\n%s", d)
	}
}

// The same done without harm has nothing above a note.
func TestMended(t *testing.T) {
	sql := `SELECT pg_advisory_lock(hashtext('migrations'));
SET lock_timeout = '2s';
ALTER TABLE orders ADD COLUMN hybrid boolean NOT NULL DEFAULT false;
CREATE INDEX CONCURRENTLY orders_hybrid ON orders (hybrid);
ALTER TABLE orders ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES customers (id) NOT VALID;
ALTER TABLE orders VALIDATE CONSTRAINT c;
`
	for _, f := range Check(t.Context(), []Text{{File: "x.sql", SQL: sql, Dialect: PostgreSQL}}, Server{Tables: map[string]Table{"orders": {Rows: 1e9, Bytes: 1e12}}}) {
		if f.Severity != detector.Note {
			t.Errorf("%+v", f)
		}
	}
}

// MySQL's locks by version, against the table of "Online DDL Operations" in its manual: TestMySQLServerLocks asks servers, of one version each.
func TestMySQLLocks(t *testing.T) {
	for _, tt := range []struct {
		sql     string
		version int
		mode    string
		span    Span
	}{
		{"ALTER TABLE t ADD COLUMN a INT", 80036, none, Instant},
		{"ALTER TABLE t ADD COLUMN a INT AFTER b", 80036, none, Instant},
		{"ALTER TABLE t ADD COLUMN a INT AFTER b", 80020, none, Rewrite},
		{"ALTER TABLE t ADD COLUMN a INT", 50744, none, Rewrite},
		{"ALTER TABLE t ADD COLUMN a INT AUTO_INCREMENT PRIMARY KEY", 80036, shared, Rewrite},
		{"ALTER TABLE t ADD COLUMN a INT GENERATED ALWAYS AS (b+1) STORED", 80036, shared, Rewrite},
		{"ALTER TABLE t DROP COLUMN a", 80036, none, Instant},
		{"ALTER TABLE t DROP COLUMN a", 80020, none, Rewrite},
		{"ALTER TABLE t RENAME COLUMN a TO b", 80036, none, Instant},
		{"ALTER TABLE t ALTER COLUMN a SET DEFAULT 5", 80036, none, Instant},
		{"ALTER TABLE t MODIFY a BIGINT", 80036, shared, Rewrite},
		{"ALTER TABLE t ADD INDEX i (a)", 80036, none, Build},
		{"CREATE UNIQUE INDEX i ON t (a)", 80036, none, Build},
		{"ALTER TABLE t ADD FULLTEXT INDEX i (a)", 80036, shared, Rewrite},
		{"ALTER TABLE t ADD SPATIAL INDEX i (a)", 80036, shared, Build},
		{"ALTER TABLE t ADD COLUMN a INT REFERENCES u (id)", 80036, none, Instant}, // passed over before 9.0
		{"ALTER TABLE t ADD COLUMN a INT REFERENCES u (id)", 90100, shared, Rewrite},
		{"ALTER TABLE t ADD COLUMN a INT AFTER b", 100308, none, Rewrite},
		{"ALTER TABLE t ADD COLUMN a INT", 100230, none, Rewrite},
		{"ALTER TABLE t DROP COLUMN a", 100308, none, Rewrite},
		{"ALTER TABLE t ALGORITHM=COPY, LOCK=SHARED PARTITION BY HASH (a)", 80036, shared, Rewrite},
		{"ALTER TABLE t DROP INDEX i", 80036, none, Instant},
		{"ALTER TABLE t ADD PRIMARY KEY (a)", 80036, none, Rewrite},
		{"ALTER TABLE t DROP PRIMARY KEY", 80036, shared, Rewrite},
		{"ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES u (id)", 80036, shared, Rewrite},
		{"ALTER TABLE t DROP FOREIGN KEY f", 80036, none, Instant},
		{"ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4", 80036, shared, Rewrite},
		{"ALTER TABLE t ENGINE=InnoDB", 80036, none, Rewrite},
		{"ALTER TABLE t ENGINE=MyISAM", 80036, shared, Rewrite},
		{"ALTER TABLE t ADD COLUMN a INT, ALGORITHM=COPY", 80036, shared, Rewrite},
		{"OPTIMIZE TABLE t", 80036, none, Rewrite},
		{"TRUNCATE t", 80036, exclusive, Instant},
		{"RENAME TABLE t TO u", 80036, exclusive, Instant},
		{"LOCK TABLES t READ", 80036, shared, Instant},
	} {
		got := Locks(tt.sql, MySQL, tt.version)
		if d := cmp.Diff([]Lock{{Table: "t", Mode: tt.mode, Span: tt.span}}, got); d != "" {
			t.Errorf("%s (%d): -want +got:\n%s", tt.sql, tt.version, d)
		}
	}
}

func TestHostile(t *testing.T) {
	const most = 1 << 20
	for name, sql := range map[string]string{
		"large": strings.Repeat("a", MaxText+1), "zero": "a\x00", "bytes": "\xff\xfe", "quotes": strings.Repeat("'", most-1), "dollars": strings.Repeat("$a", most/2), "comments": strings.Repeat("/*", most/2),
		"semicolons": strings.Repeat(";", most), "statements": strings.Repeat("DROP TABLE t;", most/13), "parentheses": "ALTER TABLE t ADD " + strings.Repeat("(", most/2), "commas": "ALTER TABLE t " + strings.Repeat("ADD a int,", most/11),
		"words": strings.Repeat("WITH ", most/5), "blocks": "DO $$" + strings.Repeat("BEGIN DROP TABLE t;", most/30) + "$$", "inserts": "INSERT INTO t VALUES " + strings.Repeat("(1,'x'),", most/8),
	} {
		t.Run(name, func(t *testing.T) {
			if got := Check(t.Context(), []Text{{File: "x.sql", SQL: sql, Dialect: PostgreSQL}}, Server{}); len(got) > maxFindings+20 {
				t.Errorf("%d findings", len(got))
			}
		})
	}
}

func FuzzCheck(f *testing.F) {
	for _, s := range pgStatements {
		f.Add(s+";", true)
	}
	f.Add("DELIMITER //\nCREATE PROCEDURE p() BEGIN DELETE FROM `a`; END//\nALTER TABLE t ADD COLUMN (a INT), ALGORITHM=INPLACE, LOCK=NONE//", false)
	f.Add("-- +goose Up\nDO $$BEGIN IF x THEN ALTER TABLE t ADD a int; END IF; END$$;\n-- +goose Down\n", true)
	f.Fuzz(func(t *testing.T, sql string, pg bool) {
		dialect := MySQL
		if pg {
			dialect = PostgreSQL
		}
		lines := strings.Count(sql, "\n")
		for _, x := range Check(t.Context(), []Text{{File: "x.sql", Line: 5, SQL: sql, Dialect: dialect}}, Server{Tables: map[string]Table{"t": {Rows: 1e9}}}) {
			if x.Place.Line < 5 || x.Place.Line > 5+lines || strings.Contains(x.What, "\n") || !utf8.ValidString(x.What) || x.Do == "" {
				t.Errorf("of %d lines: %+v", lines, x)
			}
		}
		// Every byte of a statement belongs to one statement alone, in order.
		all, _ := split(sql, 1, !pg)
		rest := sql
		for _, s := range all {
			i := strings.Index(rest, s.raw)
			if i < 0 {
				t.Fatalf("%q isn't in what follows the statements before it", s.raw)
			}
			rest = rest[i+len(s.raw):]
		}
	})
}

// What a script has run is judged, whatever its name and the words for tools in it say; and a mark of the byte order is no word.
func TestRun(t *testing.T) {
	for name, c := range map[string]Text{"a way back": {File: "rollback.sql", SQL: pgSafe + "DROP TABLE t;"}, "a part that goes back": {File: "x.sql", SQL: pgSafe + "-- +goose Down\nDROP TABLE t;"}} {
		c.Dialect = PostgreSQL
		if got := brief2(Check(t.Context(), []Text{c}, Server{})); len(got) > 0 {
			t.Errorf("%s: %v", name, got)
		}
		c.Run = true
		if got := brief2(Check(t.Context(), []Text{c}, Server{})); len(got) != 1 || !strings.HasPrefix(got[0], "risk data-loss") {
			t.Errorf("%s, run: %v", name, got)
		}
	}
	if got := brief2(Check(t.Context(), []Text{{File: "x.sql", SQL: "\ufeffDROP TABLE t;", Dialect: PostgreSQL}}, Server{})); len(got) == 0 || !strings.Contains(got[0], "data-loss") {
		t.Error(got)
	}
}
