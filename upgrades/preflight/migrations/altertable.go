package migrations

import (
	"fmt"
	"strings"
)

func pgAlter(c *cursor) []action {
	switch w := c.any("TABLE", "INDEX", "TYPE", "SEQUENCE", "VIEW", "MATERIALIZED", "SYSTEM", "DATABASE", "ROLE", "USER"); w {
	case "TABLE":
		return pgAlterTable(c)
	case "INDEX":
		c.ifs()
		n := c.name()
		if c.accept("RENAME", "TO") {
			return []action{{kind: "rename-index", column: n, undo: fmt.Sprintf("ALTER INDEX %s RENAME TO %s;", c.name(), last(n))}}
		}
	case "TYPE":
		n := c.name()
		switch {
		case c.accept("ADD", "VALUE"):
			c.ifs()
			return []action{{kind: "enum-value", column: n, lost: "nothing; but a value of an enum can't be taken out again"}}
		case c.accept("RENAME", "VALUE"):
			return []action{{kind: "rename-value", column: n, rule: "rename", what: "renames a value of the enum " + n, undo: "rename it back"}}
		}
	case "SEQUENCE":
		c.ifs()
		n := c.name()
		a := action{kind: "alter-sequence", table: n, undo: fmt.Sprintf("ALTER SEQUENCE %s …; -- as it was before", n)}
		return []action{*a.lock(n, shareRowExclusive, Instant)}
	case "SYSTEM", "DATABASE", "ROLE", "USER":
		n := ""
		if w != "SYSTEM" {
			n = " " + c.name()
		}
		if c.accept("SET") {
			k := c.name()
			return []action{{kind: "setting", column: k, undo: fmt.Sprintf("ALTER %s%s RESET %s; -- or SET it to what it was", w, n, k)}}
		}
	}
	return nil
}

// pgAlterTable reads ALTER TABLE with all that it names.
func pgAlterTable(c *cursor) []action {
	c.ifs()
	c.accept("ONLY")
	t := c.name()
	if t == "" {
		return nil
	}
	c.accept("*")
	var all []action
	for !c.done() {
		all = append(all, pgSub(t, c.part())...)
	}
	return all
}

// pgSub reads one of the things that ALTER TABLE does.
func pgSub(t string, c *cursor) []action {
	a := action{kind: "alter-table", table: t}
	one := func(mode string, span Span) []action { return []action{*a.lock(t, mode, span)} }
	switch {
	case c.accept("ADD"):
		return pgAdd(t, c)
	case c.accept("ALTER", "COLUMN"), c.accept("ALTER", "CONSTRAINT"), c.accept("ALTER"):
		return pgColumn(t, c)
	case c.accept("DROP"):
		return pgDropPart(t, c)
	case c.accept("VALIDATE", "CONSTRAINT"):
		a.kind, a.column = "validate", c.name()
		return one(shareUpdateExclusive, Scan)
	case c.accept("RENAME"):
		return rename(t, c, accessExclusive)
	case c.accept("ENABLE"), c.accept("DISABLE"):
		c.any("ALWAYS", "REPLICA")
		if c.accept("TRIGGER") {
			a.kind, a.undo = "switch-trigger", "switch it back: ALTER TABLE "+t+" ENABLE or DISABLE TRIGGER …;"
			return one(shareRowExclusive, Instant)
		}
		a.undo = "switch it back"
		return one(accessExclusive, Instant)
	case c.accept("SET", "SCHEMA"):
		a.kind, a.rule, a.what = "rename", "rename", "moves "+t+" to another schema"
		a.undo = "ALTER TABLE " + c.name() + "." + last(t) + " SET SCHEMA …; -- the one before"
		return one(accessExclusive, Instant)
	case c.accept("SET", "TABLESPACE"), c.accept("SET", "LOGGED"), c.accept("SET", "UNLOGGED"), c.accept("SET", "ACCESS", "METHOD"):
		a.rule, a.what = "rewrite", "copies "+t+" as a whole"
		a.rewrite = "-- in a window without traffic, or by pg_repack"
		a.undo = "the same statement with what it was before, which copies it again"
		return one(accessExclusive, Rewrite)
	case c.accept("SET", "WITHOUT"), c.accept("CLUSTER", "ON"), c.accept("SET", "("), c.accept("RESET", "("):
		a.kind, a.undo = "setting", "ALTER TABLE "+t+" SET (…); -- as it was before"
		return one(shareUpdateExclusive, Instant)
	case c.accept("ATTACH", "PARTITION"):
		p := c.name()
		a.kind, a.column, a.undo = "attach", p, fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s CONCURRENTLY;", t, p)
		a.lock(t, shareUpdateExclusive, Instant)
		a.lock(p, accessExclusive, Scan)
		a.doubt = "a CHECK that has the partition's bounds spares the scan"
		return []action{a}
	case c.accept("DETACH", "PARTITION"):
		p := c.name()
		a.kind, a.column, a.undo = "detach", p, fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s …;", t, p)
		if c.accept("CONCURRENTLY") {
			return one(shareUpdateExclusive, Instant)
		}
		a.lock(t, accessExclusive, Instant)
		a.lock(p, accessExclusive, Instant)
		return []action{a}
	case c.accept("INHERIT"), c.accept("NO", "INHERIT"):
		a.lock(c.name(), shareUpdateExclusive, Instant)
		return one(accessExclusive, Instant)
	}
	return one(accessExclusive, Instant) // OWNER TO, REPLICA IDENTITY, FORCE ROW LEVEL SECURITY, OF …
}

// rename is RENAME of a table, a column or a constraint.
func rename(t string, c *cursor, mode string) []action {
	a := action{kind: "rename", table: t, rule: "rename"}
	switch {
	case c.accept("TO"), c.accept("AS"), c.accept("="):
		to := c.name()
		a.column = to
		a.what, a.undo = "renames the table "+t+" to "+to, fmt.Sprintf("ALTER TABLE %s RENAME TO %s;", to, last(t))
		a.rewrite = fmt.Sprintf("-- in one transaction, so that the old build goes on working:\nALTER TABLE %s RENAME TO %s;\nCREATE VIEW %s AS SELECT * FROM %s;", t, to, t, to)
	case c.accept("CONSTRAINT"), c.accept("INDEX"), c.accept("KEY"):
		n := c.name()
		c.accept("TO")
		a.rule, a.undo = "", fmt.Sprintf("ALTER TABLE %s RENAME CONSTRAINT %s TO %s;", t, c.name(), n)
	default:
		c.accept("COLUMN")
		n := c.name()
		c.accept("TO")
		to := c.name()
		a.column = n
		a.what, a.undo = fmt.Sprintf("renames the column %s of %s to %s", n, t, to), fmt.Sprintf("ALTER TABLE %s RENAME COLUMN %s TO %s;", t, to, n)
		a.rewrite = fmt.Sprintf("-- add %s beside it, write both, fill it in batches, read the new one, and drop %s with the next release\nALTER TABLE %s ADD COLUMN %s …;", to, n, t, to)
	}
	return []action{*a.lock(t, mode, Instant)}
}

// volatile are functions whose value differs from row to row; the others that are known don't.
var volatile = []string{"RANDOM", "GEN_RANDOM_UUID", "UUID_GENERATE_V4", "UUID_GENERATE_V1", "UUID_GENERATE_V1MC", "CLOCK_TIMESTAMP", "TIMEOFDAY", "NEXTVAL", "TXID_CURRENT", "GEN_RANDOM_BYTES"}

func pgAdd(t string, c *cursor) []action {
	named := ""
	if c.accept("CONSTRAINT") {
		named = c.name()
	}
	if w := c.peek(); named != "" || w == "CHECK" || w == "UNIQUE" || w == "PRIMARY" || w == "FOREIGN" || w == "EXCLUDE" {
		return pgConstraint(t, named, c)
	}
	c.accept("COLUMN")
	c.ifs()
	col := c.name()
	a := action{kind: "add-column", table: t, column: col, undo: fmt.Sprintf("ALTER TABLE %s DROP COLUMN %s;", t, col)}
	span := Instant
	serial := c.any("SERIAL", "BIGSERIAL", "SMALLSERIAL", "SERIAL4", "SERIAL8") != ""
	for _, f := range volatile {
		if c.has("DEFAULT") && c.has(f, "(") {
			serial = true
		}
	}
	kind := typeName(c)
	all := []action{}
	switch {
	case serial, c.has("GENERATED"):
		span = Rewrite
		a.rule, a.what = "rewrite", fmt.Sprintf("adds %s with a value that differs from row to row, which writes %s anew", col, t)
		a.rewrite = fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s;\nALTER TABLE %s ALTER COLUMN %s SET DEFAULT …;\n-- and fill the rows that are there in batches", t, col, kind, t, col)
	case c.outer("NOT") && c.has("NOT", "NULL") && !c.has("DEFAULT"):
		a.rule, a.what = "not-null", fmt.Sprintf("adds %s NOT NULL without a default, which fails where %s has any row", col, t)
		a.rewrite = fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s NOT NULL DEFAULT …;", t, col, kind)
	}
	switch {
	case c.has("PRIMARY", "KEY"), c.outer("UNIQUE"):
		if span == Instant {
			span = Build
		}
		a.rule, a.what = or(a.rule, "constraint"), or(a.what, fmt.Sprintf("adds %s with a unique index, which is built while everybody waits", col))
		a.rewrite = or(a.rewrite, fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s;\nCREATE UNIQUE INDEX CONCURRENTLY %s_key ON %s (%s);\nALTER TABLE %s ADD CONSTRAINT %s_key UNIQUE USING INDEX %s_key;", t, col, kind, col, t, col, t, col, col))
	case c.outer("CHECK"):
		if span == Instant {
			span = Scan
		}
	}
	if i := c.find("REFERENCES"); i >= 0 {
		d := cursor{t: c.t, i: i + 1}
		r := action{kind: "references", table: d.name()}
		all = append(all, *r.lock(r.table, shareRowExclusive, Instant))
	}
	a.lock(t, accessExclusive, span)
	return append([]action{a}, all...)
}

// typeName gives a column's type, as it stands before its constraints.
func typeName(c *cursor) string {
	d := &cursor{t: c.t, i: c.i}
	for !d.done() {
		switch d.peek() {
		case "NOT", "NULL", "DEFAULT", "CHECK", "UNIQUE", "PRIMARY", "REFERENCES", "COLLATE", "GENERATED", "CONSTRAINT", "USING":
			return (&cursor{t: c.t[:d.i], i: c.i}).text()
		}
		d.i++
	}
	return c.text()
}

func pgConstraint(t, named string, c *cursor) []action {
	n := or(named, "…")
	a := action{kind: "add-constraint", table: t, column: named, rule: "constraint", undo: fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s;", t, n)}
	later := c.has("NOT", "VALID")
	body := clip(c.text(), 300)
	valid := fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s %s NOT VALID;\nALTER TABLE %s VALIDATE CONSTRAINT %s; -- in a transaction of its own", t, or(named, "NAME"), body, t, or(named, "NAME"))
	w := c.peek()
	if later {
		a.rule = ""
	}
	switch w {
	case "FOREIGN":
		span := Scan
		if later {
			span = Instant
		}
		parent := ""
		if i := c.find("REFERENCES"); i >= 0 {
			d := cursor{t: c.t, i: i + 1}
			parent = d.name()
		}
		a.kind = "add-foreign-key"
		a.what = fmt.Sprintf("adds a foreign key without NOT VALID: writers of %s and %s wait until every row was looked at", t, parent)
		a.rewrite = valid
		a.lock(t, shareRowExclusive, span)
		if parent != t {
			a.lock(parent, shareRowExclusive, span)
		}
	case "CHECK":
		span := Scan
		if later {
			span = Instant
		}
		a.what = fmt.Sprintf("adds a CHECK without NOT VALID: everybody who uses %s waits until every row was looked at", t)
		a.rewrite = valid
		a.lock(t, accessExclusive, span)
	default: // UNIQUE, PRIMARY KEY, EXCLUDE
		span := Build
		if c.has("USING", "INDEX") {
			span, a.rule = Instant, ""
		}
		kind := map[string]string{"PRIMARY": "PRIMARY KEY"}[w]
		a.what = fmt.Sprintf("adds %s, whose index is built while everybody who uses %s waits", or(kind, w), t)
		columns := ""
		if i := c.find("("); i >= 0 {
			columns = clip((&cursor{t: c.t, i: i}).text(), 200)
		}
		name := or(named, last(t)+"_key")
		a.rewrite = fmt.Sprintf("CREATE UNIQUE INDEX CONCURRENTLY %s ON %s %s; -- in no transaction\nALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s;", name, t, columns, t, name, or(kind, w), name)
		if w == "EXCLUDE" {
			a.rewrite = "-- there is no way without the lock: in a window without traffic"
		}
		a.lock(t, accessExclusive, span)
	}
	return []action{a}
}

// pgColumn is ALTER COLUMN.
func pgColumn(t string, c *cursor) []action {
	col := c.name()
	alter := fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s ", t, col)
	a := action{kind: "alter-column", table: t, column: col}
	one := func(mode string, span Span) []action { return []action{*a.lock(t, mode, span)} }
	switch {
	case c.accept("TYPE"), c.accept("SET", "DATA", "TYPE"):
		return pgType(t, col, c)
	case c.accept("SET", "NOT", "NULL"):
		a.kind, a.undo, a.rule = "set-not-null", alter+"DROP NOT NULL;", "constraint"
		a.what = fmt.Sprintf("SET NOT NULL keeps everybody out of %s until every row was looked at", t)
		check := last(t) + "_" + col + "_set"
		a.rewrite = fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s IS NOT NULL) NOT VALID;\nALTER TABLE %s VALIDATE CONSTRAINT %s; -- in a transaction of its own\n%sSET NOT NULL; -- sees the constraint and looks at no row\nALTER TABLE %s DROP CONSTRAINT %s;",
			t, check, col, t, check, alter, t, check)
		return one(accessExclusive, Scan)
	case c.accept("DROP", "NOT", "NULL"):
		a.undo = alter + "SET NOT NULL;"
	case c.accept("SET", "DEFAULT"), c.accept("DROP", "DEFAULT"):
		a.undo = alter + "SET DEFAULT …; -- or DROP DEFAULT, as it was before"
	case c.accept("SET", "STATISTICS"), c.accept("SET", "("), c.accept("RESET", "("):
		a.kind, a.undo = "setting", alter+"SET …; -- as it was before"
		return one(shareUpdateExclusive, Instant)
	}
	return one(accessExclusive, Instant)
}

// pgType is ALTER COLUMN … TYPE. What the type was before isn't known.
func pgType(t, col string, c *cursor) []action {
	kind := typeName(c)
	a := action{
		kind: "alter-type", table: t, column: col, rule: "rewrite", data: true, what: fmt.Sprintf("changes the type of %s.%s to %s, which writes the table anew", t, col, kind),
		lost: fmt.Sprintf("what of %s.%s the type %s can't hold", t, col, kind), undo: fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s TYPE …; -- the one before", t, col),
		rewrite: fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s_new %s;\n-- write both by a trigger, fill the rows that are there in batches, then, in one short transaction:\nALTER TABLE %s RENAME COLUMN %s TO %s_old;\nALTER TABLE %s RENAME COLUMN %s_new TO %s;", t, col, kind, t, col, col, t, col, col),
	}
	lower := strings.ToLower(kind)
	if strings.HasPrefix(lower, "text") || strings.HasPrefix(lower, "varchar") || strings.HasPrefix(lower, "character varying") || strings.HasPrefix(lower, "numeric") {
		a.doubt = "not where it was a shorter one of the kind: a longer varchar, text from varchar, or a numeric of more digits with the same scale"
	}
	if lower == "text" {
		a.lost = ""
	}
	return []action{*a.lock(t, accessExclusive, Rewrite)}
}

func pgDropPart(t string, c *cursor) []action {
	if c.accept("CONSTRAINT") {
		c.ifs()
		n := c.name()
		a := action{kind: "drop-constraint", table: t, column: n, undo: fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s … NOT VALID; -- as it was before (pg_get_constraintdef)", t, n)}
		return []action{*a.lock(t, accessExclusive, Instant)}
	}
	c.accept("COLUMN")
	c.ifs()
	col := c.name()
	a := action{
		kind: "drop-column", table: t, column: col, rule: "data-loss", what: fmt.Sprintf("drops the column %s of %s", col, t), data: true,
		lost:    fmt.Sprintf("the values of %s.%s", t, col),
		rewrite: fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL; -- and drop it with the next release, once no build reads or writes it", t, col),
	}
	return []action{*a.lock(t, accessExclusive, Instant)}
}
