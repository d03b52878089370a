package migrations

import (
	"fmt"
	"strings"
)

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
	// alone needs the table for itself for an instant, and takes no LOCK=NONE.
	alone = online{"INSTANT", exclusive, Instant}
)

var algorithms = map[string]int{"INSTANT": 0, "INPLACE": 1, "NOCOPY": 1, "COPY": 2}

func myAlterTable(c *cursor, version int) []action {
	t := c.name()
	if t == "" {
		return nil
	}
	var all []action
	worst := instantly
	asked, lock := "", ""
	for !c.done() {
		p := c.part()
		for p.peek() == "ALGORITHM" || p.peek() == "LOCK" { // also before PARTITION BY, without a comma
			into := &asked
			if p.any("ALGORITHM", "LOCK") == "LOCK" {
				into = &lock
			}
			p.accept("=")
			*into = p.peek()
			p.i++
		}
		if p.done() {
			continue
		}
		how, a := mySub(t, p, version)
		if algorithms[how.algorithm] > algorithms[worst.algorithm] || how.algorithm == worst.algorithm && how.span != Instant {
			worst = how
		}
		if how.mode == exclusive || how.mode == shared && worst.mode == none {
			worst.mode = how.mode
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
	case main.doubt == "" && asked != "" && asked != "DEFAULT" && (algorithms[asked] < algorithms[worst.algorithm] || asked == "NOCOPY" && worst.span == Rewrite):
		main.rule, main.what = "algorithm", fmt.Sprintf("ALGORITHM=%s is refused for this: MySQL can do it by %s only", asked, worst.algorithm)
		main.rewrite = "gh-ost --table=" + t + " --alter='…' --execute -- or pt-online-schema-change"
	case lock == "NONE" && worst.mode != none && main.doubt == "":
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
	since := func(my, maria int) bool {
		return version == 0 || version >= maria || version < mariaDB && version >= my
	}
	unlisted := catalogue // what the manual of MySQL has as in place, and MariaDB does at once
	if version >= mariaDB {
		unlisted = instantly
	}
	a := action{kind: "alter-table", table: t}
	switch w := c.any("ADD", "DROP", "MODIFY", "CHANGE", "RENAME", "ALTER", "ENGINE", "FORCE", "CONVERT", "DEFAULT", "CHARACTER", "ROW_FORMAT", "KEY_BLOCK_SIZE", "AUTO_INCREMENT", "PARTITION", "COALESCE", "REORGANIZE", "TRUNCATE", "EXCHANGE", "REMOVE", "ORDER", "DISABLE", "ENABLE", "COMMENT"); w {
	case "ADD":
		return myAdd(t, c, version)
	case "DROP":
		return myDropPart(t, c, since(80029, 100400), version)
	case "MODIFY", "CHANGE":
		return myModify(t, w, c)
	case "RENAME":
		if c.accept("INDEX") || c.accept("KEY") {
			return unlisted, a
		}
		how := instantly
		if !c.has("COLUMN") {
			how = alone
		}
		return how, renamed(rename(t, c, exclusive))
	case "ALTER":
		if c.accept("INDEX") {
			a.undo = "the same with VISIBLE or INVISIBLE, as it was before"
			return catalogue, a
		}
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
		return unheeded(a, version)
	case "FORCE", "ROW_FORMAT", "KEY_BLOCK_SIZE":
		return rebuilt, a
	case "COALESCE", "REORGANIZE":
		a.undo = "REORGANIZE or ADD PARTITION, which copies the partitions again"
		return online{"INPLACE", shared, Rewrite}, a
	case "DISABLE", "ENABLE":
		return alone, a
	case "CONVERT", "ORDER", "REMOVE":
		a.undo = "the same with what it was before, which copies the table again"
		if w == "CONVERT" {
			return copied, a
		}
		return unheeded(a, version)
	case "PARTITION":
		a.undo = fmt.Sprintf("ALTER TABLE %s REMOVE PARTITIONING; -- copies the table again", t)
		return unheeded(a, version)
	case "TRUNCATE", "EXCHANGE":
		a.rule, a.what, a.data, a.lost = "data-loss", "empties or exchanges a partition of "+t, true, "the rows of the partition"
		return catalogue, a
	}
	return unlisted, a // defaults, comments, AUTO_INCREMENT
}

// unheeded is what is copied, which MariaDB does for ALGORITHM=INSTANT as well.
func unheeded(a action, version int) (online, action) {
	if version >= mariaDB {
		a.doubt = "MariaDB doesn't heed ALGORITHM=INSTANT here"
	}
	return copied, a
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
	return myAddColumn(c, version), a
}

// myAddColumn tells how a column is added, by what stands behind its name.
func myAddColumn(c *cursor, version int) online {
	anywhere, last := 80029, 80012
	if version >= mariaDB {
		anywhere, last = 100400, 100302
	}
	// MySQL passes over REFERENCES of a column before 9.0.
	references := c.has("REFERENCES") && (version == 0 || version >= 90000)
	switch {
	case c.has("STORED"), c.has("PERSISTENT") && version >= mariaDB, references, c.has("CHECK") && version < mariaDB, rowByRow(c):
		return copied
	case c.has("AUTO_INCREMENT"):
		return online{"INPLACE", shared, Rewrite}
	case c.has("UNIQUE"), c.has("KEY"), (c.outer("AFTER") || c.outer("FIRST")) && version > 0 && version < anywhere, version > 0 && version < last:
		return rebuilt
	}
	return instantly
}

// rowByRow tells of a default that differs from row to row.
func rowByRow(c *cursor) bool {
	if !c.has("DEFAULT") {
		return false
	}
	for _, f := range []string{"UUID", "UUID_SHORT", "RAND", "SYS_GUID", "RANDOM_BYTES"} {
		if c.has(f, "(") {
			return true
		}
	}
	return false
}

func myDropPart(t string, c *cursor, instant bool, version int) (online, action) {
	a := action{kind: "drop-constraint", table: t}
	switch w := c.any("INDEX", "KEY", "FOREIGN", "CONSTRAINT", "CHECK", "PRIMARY", "PARTITION"); w {
	case "INDEX", "KEY", "FOREIGN", "CONSTRAINT", "CHECK":
		c.accept("KEY")
		a.undo = fmt.Sprintf("ALTER TABLE %s ADD … %s …; -- as it was before (SHOW CREATE TABLE)", t, c.name())
		switch {
		case w == "CHECK", version >= mariaDB && w != "INDEX" && w != "KEY":
			return instantly, a
		case w == "CONSTRAINT":
			a.doubt = "at once where it is a CHECK"
		}
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
