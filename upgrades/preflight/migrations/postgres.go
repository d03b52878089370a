package migrations

import (
	"fmt"
	"strings"
)

// pgActions reads a statement of PostgreSQL. The locks are those of "Explicit Locking" and of each statement's
// page of the manual of PostgreSQL 15; a test holds them against a server's pg_locks.
func pgActions(c *cursor) []action {
	start := c.i
	switch verb := c.any("ALTER", "CREATE", "DROP", "TRUNCATE", "UPDATE", "DELETE", "INSERT", "MERGE", "VACUUM", "ANALYZE", "CLUSTER", "REINDEX", "REFRESH", "LOCK", "COPY", "COMMENT", "WITH", "DO"); verb {
	case "ALTER":
		return pgAlter(c)
	case "CREATE":
		return pgCreate(c)
	case "DROP":
		return pgDrop(c)
	case "TRUNCATE":
		c.accept("TABLE")
		return each(c, func(t string) action {
			a := action{kind: "truncate", table: t, rule: "data-loss", what: "truncates " + t, data: true, lost: "all rows of " + t}
			return *a.lock(t, accessExclusive, Instant)
		})
	case "UPDATE", "DELETE":
		return rowChange(c, verb, rowExclusive)
	case "INSERT", "MERGE":
		c.accept("INTO")
		return inserted(c.name(), rowExclusive)
	case "COPY":
		t := c.name()
		if !c.outer("FROM") {
			return nil
		}
		return inserted(t, rowExclusive)
	case "VACUUM", "ANALYZE":
		return pgVacuum(c, verb)
	case "CLUSTER":
		c.accept("VERBOSE")
		t := c.name()
		a := action{
			kind: "cluster", table: t, rule: "rewrite", what: "CLUSTER writes " + or(t, "every clustered table") + " anew",
			rewrite: "-- outside the upgrade, without locking: pg_repack --table=" + or(t, "TABLE"),
		}
		return []action{*a.lock(t, accessExclusive, Rewrite)}
	case "REINDEX":
		return pgReindex(c)
	case "REFRESH":
		c.accept("MATERIALIZED", "VIEW")
		if c.accept("CONCURRENTLY") {
			v := c.name()
			a := action{kind: "refresh", table: v}
			return []action{*a.lock(v, "EXCLUSIVE", Rewrite)}
		}
		v := c.name()
		a := action{
			kind: "refresh", table: v, rule: "rewrite", what: "refreshing " + v + " keeps readers out until it is done",
			rewrite: fmt.Sprintf("REFRESH MATERIALIZED VIEW CONCURRENTLY %s; -- needs a unique index on it", v),
		}
		return []action{*a.lock(v, accessExclusive, Rewrite)}
	case "LOCK":
		return pgLockTable(c)
	case "COMMENT":
		if c.accept("ON", "TABLE") {
			t := c.name()
			a := action{kind: "comment", table: t}
			return []action{*a.lock(t, shareUpdateExclusive, Instant)}
		}
	case "WITH":
		// The statement behind the queries it names.
		for c.i < len(c.t) {
			if w := c.peek(); w == "UPDATE" || w == "DELETE" || w == "INSERT" {
				return pgActions(c)
			}
			c.i++
		}
	case "DO":
		return nil
	}
	c.i = start
	return nil
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// each makes an action of each name of a list.
func each(c *cursor, f func(string) action) []action {
	var all []action
	for {
		c.accept("ONLY")
		t := c.name()
		if t == "" {
			return all
		}
		all = append(all, f(t))
		c.accept("*")
		if !c.accept(",") {
			return all
		}
	}
}

// narrows tells a WHERE that leaves rows out: not one of TRUE or 1 = 1 alone.
func (c *cursor) narrows() bool {
	d := *c
	n := d.find("WHERE")
	if n < 0 || !c.outer("WHERE") {
		return false
	}
	d.i = n + 1
	if d.accept("TRUE") && d.done() {
		return false
	}
	rest := d.t[n+1:]
	return len(rest) != 3 || rest[0].kind != kindNumber || rest[1].text != "=" || rest[2].text != rest[0].text
}

// rowChange is UPDATE and DELETE, of all rows or of some.
func rowChange(c *cursor, verb, mode string) []action {
	c.accept("FROM")
	c.accept("ONLY")
	for c.any("LOW_PRIORITY", "IGNORE", "QUICK") != "" {
		continue
	}
	t := c.name()
	if t == "" {
		return nil
	}
	a := action{kind: strings.ToLower(verb), table: t, data: true, lost: "what the rows held before"}
	if verb == "DELETE" {
		a.lost = "the rows that it deletes"
	}
	span := Instant
	if !c.narrows() && !c.outer("JOIN") && !c.outer("LIMIT") {
		span = Rows
		a.rule, a.what = "whole-table", fmt.Sprintf("%s without WHERE changes every row of %s at once", verb, t)
		if verb == "UPDATE" {
			a.rewrite = fmt.Sprintf("-- again and again, each in a transaction of its own, until it changes no row:\nUPDATE %s %s WHERE id IN (SELECT id FROM %s WHERE … LIMIT 5000);", t, clip(c.text(), 200), t)
		} else {
			a.rewrite = fmt.Sprintf("-- again and again, each in a transaction of its own, until it deletes no row:\nDELETE FROM %s WHERE id IN (SELECT id FROM %s LIMIT 5000);", t, t)
		}
	}
	return []action{*a.lock(t, mode, span)}
}

func inserted(t, mode string) []action {
	if t == "" {
		return nil
	}
	a := action{kind: "insert", table: t, data: true, undo: fmt.Sprintf("delete the rows that it put into %s", t)}
	return []action{*a.lock(t, mode, Instant)}
}

func pgVacuum(c *cursor, verb string) []action {
	full := c.has("FULL")
	if c.accept("(") {
		for !c.done() && !c.accept(")") {
			c.i++
		}
	}
	for c.any("FULL", "FREEZE", "VERBOSE", "ANALYZE") != "" {
		continue
	}
	t := c.name()
	a := action{kind: "vacuum", table: t}
	if !full || verb == "ANALYZE" {
		if verb == "ANALYZE" {
			a.kind = "analyze"
		}
		return []action{*a.lock(t, shareUpdateExclusive, Scan)}
	}
	a.rule, a.what = "rewrite", "VACUUM FULL writes "+or(t, "every table")+" anew"
	a.rewrite = fmt.Sprintf("VACUUM (ANALYZE) %s; -- or pg_repack, where the space is needed back", t)
	return []action{*a.lock(t, accessExclusive, Rewrite)}
}

func pgReindex(c *cursor) []action {
	if c.accept("(") {
		for !c.done() && !c.accept(")") {
			c.i++
		}
	}
	what := c.any("TABLE", "INDEX", "SCHEMA", "DATABASE", "SYSTEM")
	concurrently := c.accept("CONCURRENTLY")
	n := c.name()
	a := action{kind: "reindex", table: n}
	t := n
	if what != "TABLE" {
		t = "" // the index's table isn't named
	}
	if concurrently {
		a.kind = "reindex-concurrently"
		return []action{*a.lock(t, shareUpdateExclusive, Build)}
	}
	a.rule, a.what = "index", fmt.Sprintf("REINDEX of %s keeps writers out until it is built", n)
	a.rewrite = fmt.Sprintf("REINDEX %s CONCURRENTLY %s;", what, n)
	return []action{*a.lock(t, "SHARE", Build)}
}

func pgLockTable(c *cursor) []action {
	c.accept("TABLE")
	names := each(c, func(t string) action { return action{kind: "lock-table", table: t} })
	mode := accessExclusive
	if c.accept("IN") {
		d := cursor{t: c.t, i: c.i}
		var words []string
		for !d.done() && d.peek() != "MODE" {
			words = append(words, d.peek())
			d.i++
		}
		mode = strings.Join(words, " ")
	}
	for i := range names {
		names[i].lock(names[i].table, mode, Instant)
	}
	return names
}

func pgCreate(c *cursor) []action {
	replace := c.accept("OR", "REPLACE")
	temporary := c.any("TEMPORARY", "TEMP", "UNLOGGED", "GLOBAL", "LOCAL") != ""
	switch w := c.any("TABLE", "UNIQUE", "INDEX", "TRIGGER", "CONSTRAINT", "VIEW", "MATERIALIZED", "RULE", "POLICY", "STATISTICS", "SEQUENCE", "TYPE", "EXTENSION", "SCHEMA", "FUNCTION", "PROCEDURE", "DATABASE"); w {
	case "TABLE":
		return pgCreateTable(c, temporary)
	case "UNIQUE", "INDEX":
		if w == "UNIQUE" {
			c.accept("INDEX")
		}
		return pgCreateIndex(c, w == "UNIQUE")
	case "TRIGGER", "CONSTRAINT", "RULE", "POLICY":
		c.accept("TRIGGER")
		n := c.name()
		i := c.find("ON")
		if w == "RULE" {
			i = c.find("TO")
		}
		if i < 0 {
			return nil
		}
		c.i = i + 1
		t := c.name()
		kind, mode := "TRIGGER", shareRowExclusive
		if w == "RULE" || w == "POLICY" {
			kind, mode = w, accessExclusive
		}
		a := action{kind: "create-" + strings.ToLower(kind), table: t, column: n, undo: fmt.Sprintf("DROP %s %s ON %s;", kind, n, t)}
		return []action{*a.lock(t, mode, Instant)}
	case "VIEW":
		c.ifs()
		v := c.name()
		a := action{kind: "create-view", table: v, undo: fmt.Sprintf("DROP VIEW %s;", v)}
		if replace {
			a.undo = fmt.Sprintf("CREATE OR REPLACE VIEW %s AS …; -- as it was before (pg_get_viewdef)", v)
			a.lock(v, accessExclusive, Instant)
		}
		return []action{a}
	case "MATERIALIZED":
		c.accept("VIEW")
		c.ifs()
		v := c.name()
		return []action{{kind: "create-table", table: v, creates: v, undo: fmt.Sprintf("DROP MATERIALIZED VIEW %s;", v)}}
	case "STATISTICS":
		if i := c.find("FROM"); i >= 0 {
			c.ifs()
			n := c.name()
			c.i = i + 1
			t := c.name()
			a := action{kind: "create-statistics", table: t, undo: fmt.Sprintf("DROP STATISTICS %s;", n)}
			return []action{*a.lock(t, shareUpdateExclusive, Instant)}
		}
	case "SEQUENCE", "TYPE", "EXTENSION", "SCHEMA":
		c.ifs()
		n := c.name()
		return []action{{kind: "create-object", column: n, undo: fmt.Sprintf("DROP %s %s;", w, n)}}
	case "FUNCTION", "PROCEDURE":
		n := c.name()
		a := action{kind: "create-object", column: n, undo: fmt.Sprintf("DROP %s %s;", w, n)}
		if replace {
			a.undo = fmt.Sprintf("CREATE OR REPLACE %s %s …; -- as it was before (pg_get_functiondef)", w, n)
		}
		return []action{a}
	}
	return nil
}

func pgCreateTable(c *cursor, temporary bool) []action {
	exists := c.accept("IF", "NOT", "EXISTS")
	t := c.name()
	a := action{kind: "create-table", table: t, creates: t, undo: fmt.Sprintf("DROP TABLE %s;", t)}
	if exists {
		a.undo = fmt.Sprintf("DROP TABLE %s; -- if this created it", t)
	}
	if temporary && c.i > 2 && (c.t[1].text == "TEMP" || c.t[1].text == "TEMPORARY") {
		a.undo = ""
	}
	if c.accept("PARTITION", "OF") {
		a.lock(c.name(), accessExclusive, Instant)
	}
	all := []action{a}
	for i := c.i; i < len(c.t); i++ {
		d := cursor{t: c.t, i: i}
		switch {
		case d.accept("REFERENCES"):
			r := d.name()
			if r == t {
				continue
			}
			x := action{kind: "references", table: r}
			all = append(all, *x.lock(r, shareRowExclusive, Instant))
		case d.accept("INHERITS", "("):
			p := d.name()
			x := action{kind: "inherits", table: p}
			all = append(all, *x.lock(p, shareUpdateExclusive, Instant))
		}
	}
	return all
}

func pgCreateIndex(c *cursor, unique bool) []action {
	concurrently := c.accept("CONCURRENTLY")
	c.ifs()
	n := ""
	if c.peek() != "ON" {
		n = c.name()
	}
	if !c.accept("ON") {
		return nil
	}
	only := c.accept("ONLY")
	t := c.name()
	a := action{kind: "create-index", table: t, column: n, undo: fmt.Sprintf("DROP INDEX CONCURRENTLY %s;", n)}
	if n == "" {
		a.undo = fmt.Sprintf("DROP INDEX CONCURRENTLY …; -- the new one on %s", t)
	}
	if concurrently {
		a.kind = "create-index-concurrently"
		return []action{*a.lock(t, shareUpdateExclusive, Build)}
	}
	word := ""
	if unique {
		word = "UNIQUE "
	}
	a.rule, a.what = "index", fmt.Sprintf("CREATE INDEX without CONCURRENTLY keeps writers of %s out until it is built", t)
	a.rewrite = fmt.Sprintf("CREATE %sINDEX CONCURRENTLY %s ON %s %s; -- in no transaction", word, n, t, clip(c.text(), 200))
	span := Build
	if only {
		span = Instant
	}
	return []action{*a.lock(t, "SHARE", span)}
}

func pgDrop(c *cursor) []action {
	c.accept("MATERIALIZED")
	w := c.any("TABLE", "INDEX", "VIEW", "TRIGGER", "RULE", "POLICY", "SCHEMA", "DATABASE", "SEQUENCE", "FUNCTION", "TYPE", "EXTENSION", "OWNED")
	concurrently := c.accept("CONCURRENTLY")
	c.ifs()
	switch w {
	case "TABLE":
		return each(c, func(t string) action {
			a := action{
				kind: "drop-table", table: t, rule: "data-loss", what: "drops the table " + t, data: true, lost: "all rows of " + t,
				rewrite: fmt.Sprintf("ALTER TABLE %s RENAME TO %s_retired; -- and drop it once nobody has missed it", t, last(t)),
			}
			return *a.lock(t, accessExclusive, Instant)
		})
	case "VIEW":
		return each(c, func(v string) action {
			a := action{kind: "drop-view", table: v, undo: fmt.Sprintf("CREATE VIEW %s AS …; -- as it was before", v)}
			return *a.lock(v, accessExclusive, Instant)
		})
	case "INDEX":
		n := c.name()
		a := action{kind: "drop-index", column: n, undo: "CREATE INDEX CONCURRENTLY " + n + " …; -- as it was before (pg_get_indexdef)"}
		if concurrently {
			a.kind = "drop-index-concurrently"
			return []action{a}
		}
		a.rule, a.what = "drop-index", "DROP INDEX without CONCURRENTLY waits for everybody who uses its table, and all others wait behind it"
		a.rewrite = fmt.Sprintf("DROP INDEX CONCURRENTLY %s; -- in no transaction", n)
		return []action{a}
	case "TRIGGER", "RULE", "POLICY":
		n := c.name()
		if c.accept("ON") {
			t := c.name()
			a := action{kind: "drop-" + strings.ToLower(w), table: t, column: n, undo: fmt.Sprintf("CREATE %s %s … ON %s …; -- as it was before", w, n, t)}
			return []action{*a.lock(t, accessExclusive, Instant)}
		}
	case "OWNED":
		c.accept("BY")
		n := c.name()
		return []action{{kind: "drop-owned", column: n, rule: "data-loss", what: "drops all that " + n + " owns", data: true, lost: "everything that " + n + " owns"}}
	case "SCHEMA", "DATABASE":
		n := c.name()
		return []action{{kind: "drop-" + strings.ToLower(w), column: n, rule: "data-loss", what: fmt.Sprintf("drops the %s %s", strings.ToLower(w), n), data: true, lost: "everything in " + n}}
	case "SEQUENCE", "FUNCTION", "TYPE", "EXTENSION":
		n := c.name()
		return []action{{kind: "drop-object", column: n, undo: fmt.Sprintf("CREATE %s %s …; -- as it was before", w, n)}}
	}
	return nil
}

// last gives a name without its schema's.
func last(n string) string { return n[strings.LastIndexByte(n, '.')+1:] }
