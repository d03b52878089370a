package migrations

import (
	"fmt"
	"strings"
)

// myActions reads a statement of MySQL 8.0. What ALTER TABLE does online is the table of "Online DDL Operations" of
// its manual. Any of them needs the metadata lock alone for an instant at its begin and end: it waits for
// transactions that used the table, and everybody else waits behind it.
func myActions(c *cursor, version int) []action {
	switch verb := c.any("ALTER", "CREATE", "DROP", "TRUNCATE", "UPDATE", "DELETE", "INSERT", "REPLACE", "LOAD", "OPTIMIZE", "RENAME", "LOCK", "WITH", "SET"); verb {
	case "ALTER":
		if !c.accept("TABLE") {
			return nil
		}
		return myAlterTable(c, version)
	case "CREATE":
		return myCreate(c)
	case "DROP":
		return myDrop(c)
	case "TRUNCATE":
		c.accept("TABLE")
		return each(c, func(t string) action {
			a := action{kind: "truncate", table: t, rule: "data-loss", what: "truncates " + t, data: true, lost: "all rows of " + t}
			return *a.lock(t, exclusive, Instant)
		})
	case "UPDATE", "DELETE":
		all := rowChange(c, verb, none)
		for i := range all {
			all[i].rewrite = strings.NewReplacer("(SELECT id FROM "+all[i].table+" LIMIT 5000)", "(…) LIMIT 5000", "(SELECT id FROM "+all[i].table+" WHERE … LIMIT 5000)", "(…) LIMIT 5000").Replace(all[i].rewrite)
			if verb == "DELETE" && all[i].rewrite != "" {
				all[i].rewrite = fmt.Sprintf("-- again and again until it deletes no row:\nDELETE FROM %s LIMIT 5000;", all[i].table)
			}
		}
		return all
	case "INSERT", "REPLACE":
		for c.any("LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO") != "" {
			continue
		}
		return inserted(c.name(), none)
	case "LOAD":
		if i := c.find("TABLE"); i >= 0 {
			c.i = i + 1
			return inserted(c.name(), none)
		}
	case "OPTIMIZE":
		c.any("NO_WRITE_TO_BINLOG", "LOCAL")
		c.any("TABLE", "TABLES")
		return each(c, func(t string) action {
			a := action{kind: "optimize", table: t, rule: "rewrite", what: "OPTIMIZE TABLE writes " + t + " anew", rewrite: "-- in a window without traffic, or: gh-ost --alter='ENGINE=InnoDB' --table=" + t}
			return *a.lock(t, none, Rewrite)
		})
	case "RENAME":
		c.any("TABLE", "TABLES")
		t := c.name()
		return rename(t, c, exclusive)
	case "LOCK":
		c.any("TABLES", "TABLE")
		var all []action
		for !c.done() {
			p := c.part()
			t := p.name()
			a := action{kind: "lock-table", table: t}
			mode := exclusive
			if p.has("READ") {
				mode = shared
			}
			all = append(all, *a.lock(t, mode, Instant))
		}
		return all
	case "WITH":
		for ; c.i < len(c.t); c.i++ {
			if w := c.peek(); w == "UPDATE" || w == "DELETE" {
				return myActions(c, version)
			}
		}
	case "SET":
		if w := c.any("GLOBAL", "PERSIST"); w != "" {
			k := c.name()
			return []action{{kind: "setting", column: k, undo: fmt.Sprintf("SET %s %s = …; -- as it was before", w, k)}}
		}
	}
	return nil
}

func myCreate(c *cursor) []action {
	replace := c.accept("OR", "REPLACE")
	temporary := c.accept("TEMPORARY")
	switch w := c.any("TABLE", "UNIQUE", "FULLTEXT", "SPATIAL", "INDEX", "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT"); w {
	case "TABLE":
		c.ifs()
		t := c.name()
		a := action{kind: "create-table", table: t, creates: t, undo: fmt.Sprintf("DROP TABLE %s;", t)}
		if temporary {
			a.undo = ""
		}
		return []action{a}
	case "UNIQUE", "FULLTEXT", "SPATIAL", "INDEX":
		if w != "INDEX" {
			c.accept("INDEX")
		}
		n := c.name()
		if i := c.find("ON"); i >= 0 {
			c.i = i + 1
			t := c.name()
			return myIndex(t, n, w)
		}
	case "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT":
		c.ifs()
		n := c.name()
		a := action{kind: "create-object", column: n, undo: fmt.Sprintf("DROP %s %s;", w, n)}
		if replace {
			a.undo = fmt.Sprintf("CREATE OR REPLACE %s %s …; -- as it was before", w, n)
		}
		if w == "TRIGGER" {
			if i := c.find("ON"); i >= 0 {
				c.i = i + 1
				a.table = c.name()
				a.lock(a.table, exclusive, Instant)
			}
		}
		return []action{a}
	}
	return nil
}

// myIndex builds an index: online, unless of text or space.
func myIndex(t, n, w string) []action {
	a := action{kind: "create-index", table: t, column: n, undo: fmt.Sprintf("ALTER TABLE %s DROP INDEX %s, ALGORITHM=INPLACE, LOCK=NONE;", t, n)}
	if w == "FULLTEXT" || w == "SPATIAL" {
		a.rule, a.what = "index", fmt.Sprintf("a %s index keeps writers of %s out until it is built", w, t)
		a.rewrite = "-- there is no way without the lock: in a window without traffic, or gh-ost"
		return []action{*a.lock(t, shared, Build)}
	}
	return []action{*a.lock(t, none, Build)}
}

func myDrop(c *cursor) []action {
	temporary := c.accept("TEMPORARY")
	w := c.any("TABLE", "TABLES", "INDEX", "DATABASE", "SCHEMA", "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT")
	c.ifs()
	switch w {
	case "TABLE", "TABLES":
		return each(c, func(t string) action {
			a := action{
				kind: "drop-table", table: t, rule: "data-loss", what: "drops the table " + t, data: true, lost: "all rows of " + t,
				rewrite: fmt.Sprintf("RENAME TABLE %s TO %s_retired; -- and drop it once nobody has missed it", t, last(t)),
			}
			if temporary {
				return action{kind: "drop-temporary"}
			}
			return *a.lock(t, exclusive, Instant)
		})
	case "INDEX":
		n := c.name()
		if c.accept("ON") {
			t := c.name()
			a := action{kind: "drop-index", table: t, column: n, undo: fmt.Sprintf("CREATE INDEX %s ON %s (…); -- as it was before (SHOW CREATE TABLE)", n, t)}
			return []action{*a.lock(t, none, Instant)}
		}
	case "DATABASE", "SCHEMA":
		n := c.name()
		return []action{{kind: "drop-database", column: n, rule: "data-loss", what: "drops the database " + n, data: true, lost: "everything in " + n}}
	case "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT":
		n := c.name()
		return []action{{kind: "drop-object", column: n, undo: fmt.Sprintf("CREATE %s %s …; -- as it was before (SHOW CREATE %s)", w, n, w)}}
	}
	return nil
}

// online is how MySQL does a change: the best algorithm that it knows for it, and what waits meanwhile.
type online struct {
	algorithm string // INSTANT, INPLACE or COPY
	mode      string
	span      Span
}

var (
	instantly = online{"INSTANT", none, Instant}
	catalogue = online{"INPLACE", none, Instant}
	rebuilt   = online{"INPLACE", none, Rewrite}
	copied    = online{"COPY", shared, Rewrite}
)

var algorithms = map[string]int{"INSTANT": 0, "INPLACE": 1, "NOCOPY": 1, "COPY": 2}

func myAlterTable(c *cursor, version int) []action {
	t := c.name()
	if t == "" {
		return nil
	}
	var all []action
	worst := instantly
	asked, lock, key := "", "", false
	for !c.done() {
		p := c.part()
		switch {
		case p.accept("ALGORITHM"):
			p.accept("=")
			asked = p.peek()
			continue
		case p.accept("LOCK"):
			p.accept("=")
			lock = p.peek()
			continue
		}
		key = key || p.has("PRIMARY", "KEY")
		how, a := mySub(t, p, version)
		if algorithms[how.algorithm] > algorithms[worst.algorithm] || how.algorithm == worst.algorithm && how.span != Instant {
			worst = how
		}
		if how.mode == shared {
			worst.mode = shared
		}
		all = append(all, a)
	}
	if len(all) == 0 {
		return nil
	}
	if asked == "COPY" {
		worst = copied
	}
	main := &all[0]
	main.lock(t, worst.mode, worst.span)
	switch {
	case asked != "" && asked != "DEFAULT" && algorithms[asked] < algorithms[worst.algorithm] && main.doubt == "":
		main.rule, main.what = "algorithm", fmt.Sprintf("ALGORITHM=%s is refused for this: MySQL can do it by %s only", asked, worst.algorithm)
		main.rewrite = "gh-ost --table=" + t + " --alter='…' --execute -- or pt-online-schema-change"
	case lock == "NONE" && worst.mode == shared && main.doubt == "":
		main.rule, main.what = "algorithm", "LOCK=NONE is refused for this: MySQL keeps writers out of "+t
		main.rewrite = "gh-ost --table=" + t + " --alter='…' --execute -- or pt-online-schema-change"
	case worst.mode == shared && main.rule == "":
		main.rule, main.what = "rewrite", fmt.Sprintf("copies %s as a whole, and keeps writers out until it is done", t)
		main.rewrite = fmt.Sprintf("gh-ost --table=%s --alter='…' --execute\n-- or pt-online-schema-change; to be refused rather than locked out: ALTER TABLE %s …, ALGORITHM=INPLACE, LOCK=NONE;", t, t)
	}
	return all
}

// mySub reads one of the things that ALTER TABLE does.
func mySub(t string, c *cursor, version int) (online, action) {
	since := func(v int) bool { return version == 0 || version >= v }
	a := action{kind: "alter-table", table: t}
	switch w := c.any("ADD", "DROP", "MODIFY", "CHANGE", "RENAME", "ALTER", "ENGINE", "FORCE", "CONVERT", "DEFAULT", "CHARACTER", "ROW_FORMAT", "KEY_BLOCK_SIZE", "AUTO_INCREMENT", "PARTITION", "COALESCE", "REORGANIZE", "TRUNCATE", "EXCHANGE", "REMOVE", "ORDER", "DISABLE", "ENABLE", "COMMENT"); w {
	case "ADD":
		return myAdd(t, c, version)
	case "DROP":
		return myDropPart(t, c, since(80029))
	case "MODIFY", "CHANGE":
		return myModify(t, w, c)
	case "RENAME":
		if c.accept("INDEX") || c.accept("KEY") {
			return catalogue, a
		}
		return instantly, renamed(rename(t, c, exclusive))
	case "ALTER":
		c.accept("COLUMN")
		a.column = c.name()
		a.undo = fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s SET DEFAULT …; -- as it was before", t, a.column)
		return instantly, a
	case "ENGINE":
		c.accept("=")
		a.undo = "the same with the engine of before"
		if strings.EqualFold(c.name(), "innodb") {
			a.doubt = "where the table is of another engine already, it is copied, and writers wait"
			return rebuilt, a
		}
		return copied, a
	case "FORCE", "ROW_FORMAT", "KEY_BLOCK_SIZE":
		return rebuilt, a
	case "CONVERT", "ORDER", "COALESCE", "REORGANIZE", "REMOVE":
		a.undo = "the same with what it was before, which copies the table again"
		return copied, a
	case "PARTITION":
		a.undo = fmt.Sprintf("ALTER TABLE %s REMOVE PARTITIONING; -- copies the table again", t)
		return copied, a
	case "TRUNCATE", "EXCHANGE":
		a.rule, a.what, a.data, a.lost = "data-loss", "empties or exchanges a partition of "+t, true, "the rows of the partition"
		return catalogue, a
	}
	return catalogue, a // defaults, comments, AUTO_INCREMENT
}

// renamed gives rename's action without its lock, which ALTER TABLE has as a whole.
func renamed(all []action) action {
	a := all[0]
	a.locks = nil
	return a
}

func myAdd(t string, c *cursor, version int) (online, action) {
	a := action{kind: "add-constraint", table: t}
	named := ""
	if c.accept("CONSTRAINT") && c.peek() != "FOREIGN" && c.peek() != "CHECK" && c.peek() != "UNIQUE" && c.peek() != "PRIMARY" {
		named = c.name()
	}
	switch w := c.any("PRIMARY", "UNIQUE", "INDEX", "KEY", "FULLTEXT", "SPATIAL", "FOREIGN", "CHECK", "PARTITION"); w {
	case "PRIMARY":
		a.undo = fmt.Sprintf("ALTER TABLE %s DROP PRIMARY KEY; -- copies the table", t)
		return rebuilt, a
	case "UNIQUE", "INDEX", "KEY", "FULLTEXT", "SPATIAL":
		c.any("INDEX", "KEY")
		n := named
		if c.peek() != "(" {
			n = c.name()
		}
		x := myIndex(t, n, w)[0]
		l := x.locks[0]
		x.locks = nil
		return online{"INPLACE", l.Mode, l.Span}, x
	case "FOREIGN":
		a.undo = fmt.Sprintf("ALTER TABLE %s DROP FOREIGN KEY %s;", t, or(named, "…"))
		a.doubt = "not where foreign_key_checks=0, which checks no row"
		return copied, a
	case "CHECK":
		a.undo = fmt.Sprintf("ALTER TABLE %s DROP CHECK %s;", t, or(named, "…"))
		return copied, a
	case "PARTITION":
		return catalogue, a
	}
	c.accept("COLUMN")
	c.ifs()
	c.accept("(")
	a.kind, a.column = "add-column", c.name()
	a.undo = fmt.Sprintf("ALTER TABLE %s DROP COLUMN %s;", t, a.column)
	switch {
	case c.has("STORED"):
		return copied, a
	case c.has("AUTO_INCREMENT"):
		return online{"INPLACE", shared, Rewrite}, a
	case (c.outer("AFTER") || c.outer("FIRST")) && version > 0 && version < 80029, version > 0 && version < 80012:
		return rebuilt, a
	}
	return instantly, a
}

func myDropPart(t string, c *cursor, instant bool) (online, action) {
	a := action{kind: "drop-constraint", table: t}
	switch w := c.any("INDEX", "KEY", "FOREIGN", "CONSTRAINT", "CHECK", "PRIMARY", "PARTITION"); w {
	case "INDEX", "KEY", "FOREIGN", "CONSTRAINT", "CHECK":
		c.accept("KEY")
		a.undo = fmt.Sprintf("ALTER TABLE %s ADD … %s …; -- as it was before (SHOW CREATE TABLE)", t, c.name())
		return catalogue, a
	case "PRIMARY":
		a.undo = fmt.Sprintf("ALTER TABLE %s ADD PRIMARY KEY (…);", t)
		a.doubt = "not where the same statement adds another"
		return copied, a
	case "PARTITION":
		a.kind, a.rule, a.what, a.data, a.lost = "drop-partition", "data-loss", "drops a partition of "+t, true, "the rows of the partition"
		return catalogue, a
	}
	c.accept("COLUMN")
	c.ifs()
	a.kind, a.column = "drop-column", c.name()
	a.rule, a.what, a.data = "data-loss", fmt.Sprintf("drops the column %s of %s", a.column, t), true
	a.lost = fmt.Sprintf("the values of %s.%s", t, a.column)
	a.rewrite = fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s SET INVISIBLE; -- and drop it with the next release (8.0.23)", t, a.column)
	if instant {
		return instantly, a
	}
	return rebuilt, a
}

// myModify is MODIFY and CHANGE. What the column was before isn't known.
func myModify(t, w string, c *cursor) (online, action) {
	c.accept("COLUMN")
	col := c.name()
	if w == "CHANGE" {
		col = c.name()
	}
	a := action{
		kind: "alter-type", table: t, column: col, rule: "rewrite", data: true, what: fmt.Sprintf("changes the column %s of %s, which copies it and keeps writers out where the type changes", col, t),
		lost: fmt.Sprintf("what of %s.%s the new type can't hold", t, col), undo: fmt.Sprintf("ALTER TABLE %s MODIFY %s …; -- as it was before (SHOW CREATE TABLE)", t, col),
		rewrite: fmt.Sprintf("ALTER TABLE %s %s …, ALGORITHM=INPLACE, LOCK=NONE; -- is refused rather than locking; then: gh-ost --table=%s --alter='…' --execute", t, w, t),
		doubt:   "not where the type stays (its name, default or NOT NULL), a VARCHAR grows within 255 or beyond 256 bytes, or an ENUM gets values at its end",
	}
	return copied, a
}
