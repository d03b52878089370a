package migrations

import (
	"fmt"
	"strings"
)

// mariaDB is the least version of MariaDB's, which are counted as MySQL's and lie above them; typicalMariaDB stands for one
// that isn't known.
const (
	mariaDB        = 100000
	typicalMariaDB = 101100
)

// myActions reads a statement of MySQL from 8.0 on, or of MariaDB. What ALTER TABLE does online is the table of "Online DDL
// Operations" of MySQL's manual, as a server of each corrects it in tests. Any of them needs the metadata lock alone for an instant at its begin and end: it waits for
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
			a.kind, a.undo = "create-temporary", ""
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
		span := Build
		if w == "FULLTEXT" { // the first one of a table adds a hidden column
			span, a.doubt = Rewrite, "where the table has a FULLTEXT index already, it isn't written anew"
		}
		a.rule, a.what = "index", fmt.Sprintf("a %s index keeps writers of %s out until it is built", w, t)
		a.rewrite = "-- there is no way without the lock: in a window without traffic, or gh-ost"
		return []action{*a.lock(t, shared, span)}
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
