package migrations

import (
	"fmt"
	"slices"
	"strings"

	"aftershock/detector"
)

// statement looks at one statement.
func (c *checker) statement(r *run, s statement) {
	s.tokens = unwrapped(s.tokens)
	k := &cursor{t: s.tokens}
	at := detector.Place{File: r.t.File, Line: s.line}
	if k.peek() == "COPY" && k.has("PROGRAM") {
		c.runs(at, "has the database's server run a command of the shell")
	}
	if s.cut {
		c.findings = append(c.findings, detector.Finding{
			Rule: "migrations/statement", Severity: detector.Note, Place: at, What: fmt.Sprintf("only the first %d words of this statement were looked at", maxTokens),
			Why: "what follows isn't known", Do: "read it by hand",
		})
	}
	if c.transaction(r, k, s.line) {
		return
	}
	r.heed(s, k)
	c.enumUsed(r, k, at)
	if k.peek() == "DO" && r.dialect != MySQL {
		c.block(r, s)
		return
	}
	c.alone(r, k, at)
	if r.dialect == "" {
		c.agnostic(r, s, at)
		return
	}
	all := actions(s, r.dialect, c.server.Version)
	for i := range all {
		c.action(r, s, &all[i], at)
	}
	c.impliedCommit(r, all, at)
}

// transaction heeds what begins and ends one.
func (c *checker) transaction(r *run, k *cursor, line int) bool {
	switch {
	case k.accept("BEGIN"), k.accept("START", "TRANSACTION"):
		r.open, r.since, r.held, r.told = true, line, nil, false
	case k.accept("COMMIT"), k.accept("END"), k.accept("ROLLBACK"), k.accept("ABORT"):
		if k.accept("TO") || k.accept("PREPARED") {
			return true
		}
		r.open, r.since, r.held, r.told = false, 0, nil, false
		r.wraps = false
		clear(r.enums)
	default:
		return false
	}
	return true
}

// heed takes down time limits and migration locks.
func (r *run) heed(s statement, k *cursor) {
	set := k.accept("SET")
	if !set && (k.has("SET_CONFIG") || k.has("SETVAL")) {
		set = true
	}
	for _, t := range s.tokens {
		name := strings.ToUpper(t.text)
		switch {
		case set && t.kind != kindSign && (name == "LOCK_TIMEOUT" || name == "LOCK_WAIT_TIMEOUT"):
			r.limited = !zero(s)
		case strings.HasPrefix(name, "PG_ADVISORY") && strings.Contains(name, "LOCK"), strings.HasPrefix(name, "PG_TRY_ADVISORY"), name == "GET_LOCK":
			if t.kind == kindWord && !strings.Contains(name, "UNLOCK") {
				r.guarded = true
			}
		}
	}
}

// zero tells that a setting is put to 0, for no limit.
func zero(s statement) bool {
	t := s.tokens[len(s.tokens)-1]
	return t.text == "0" || t.text == "DEFAULT"
}

// enumUsed: a value that the same transaction gave an enum.
func (c *checker) enumUsed(r *run, k *cursor, at detector.Place) {
	for _, t := range k.t {
		if t.kind == kindString && r.enums[t.text] && r.open {
			c.findings = append(c.findings, detector.Finding{
				Rule: "migrations/enum-in-transaction", Severity: detector.Blocker, Place: at, What: fmt.Sprintf("uses the value '%s' of an enum in the transaction that adds it", clip(t.text, 40)),
				Why: `PostgreSQL refuses it ("unsafe use of new value"), and the whole transaction fails`, Do: "COMMIT after ALTER TYPE … ADD VALUE, and use the value in the next transaction",
			})
			r.enums[t.text] = false
			return
		}
	}
}

// alone: what PostgreSQL refuses within a transaction.
func (c *checker) alone(r *run, k *cursor, at detector.Place) {
	if r.dialect != PostgreSQL {
		return
	}
	d := *k
	what := ""
	switch verb := d.any("CREATE", "DROP", "REINDEX", "VACUUM", "ALTER"); verb {
	case "CREATE", "DROP", "REINDEX":
		d.accept("UNIQUE")
		switch w := d.any("INDEX", "TABLE", "DATABASE", "TABLESPACE", "SCHEMA"); {
		case w == "DATABASE" || w == "TABLESPACE" || verb == "REINDEX" && w == "SCHEMA":
			what = verb + " " + w
		case w != "" && d.accept("CONCURRENTLY"):
			what = verb + " " + w + " CONCURRENTLY"
		}
	case "VACUUM":
		what = "VACUUM"
	case "ALTER":
		if d.accept("SYSTEM") {
			what = "ALTER SYSTEM"
		} else if d.accept("TABLE") && d.has("DETACH", "PARTITION") && d.has("CONCURRENTLY") {
			what = "DETACH PARTITION CONCURRENTLY"
		}
	}
	if what == "" || !r.open {
		return
	}
	f := detector.Finding{
		Rule: "migrations/not-in-transaction", Severity: detector.Blocker, Place: at, What: what + " can't run within a transaction",
		Why: "PostgreSQL refuses it, and all that stands before it in the transaction is rolled back",
		Do:  "COMMIT; before it and BEGIN; after it, or a migration of its own that the tool runs without a transaction",
	}
	if r.wraps && !r.sure {
		if r.tool == "flyway" {
			return // it finds out by itself
		}
		f.Severity = detector.Risk
		f.Why = fmt.Sprintf("%s sends the file at once, which is one transaction; PostgreSQL refuses it there", r.tool)
		f.Do = "give it a migration of its own"
	}
	c.findings = append(c.findings, f)
}

// impliedCommit: MySQL ends the transaction at each change of a table.
func (c *checker) impliedCommit(r *run, all []action, at detector.Place) {
	if r.dialect != MySQL || !r.open || r.told {
		return
	}
	for _, a := range all {
		switch a.kind {
		case "update", "delete", "insert", "setting", "create-temporary", "drop-temporary":
		default:
			r.told = true
			c.findings = append(c.findings, detector.Finding{
				Rule: "migrations/implied-commit", Severity: detector.Risk, Place: at, What: "MySQL commits the open transaction before this, and this by itself",
				Why: "a ROLLBACK takes back nothing up to here: a migration that fails halfway stays halfway", Do: "make each such statement a migration of its own that may run twice (IF EXISTS), and put changes of rows into others",
			})
			return
		}
	}
}

// agnostic tells of what is lost in any dialect.
func (c *checker) agnostic(r *run, s statement, at detector.Place) {
	found := false
	for _, a := range pgActions(&cursor{t: s.tokens}) {
		found = true
		a.locks = nil
		if a.rule == "data-loss" || a.rule == "whole-table" {
			c.action(r, s, &a, at)
		} else {
			r.reverse(s, &a, at)
		}
	}
	if found && c.unknown.File == "" {
		c.unknown = at
	}
}

// block looks at the statements within DO $$…$$, which are in a transaction of their own.
func (c *checker) block(r *run, s statement) {
	for _, t := range s.tokens {
		if t.kind != kindString {
			continue
		}
		inner, _ := split(t.text, t.line, false)
		for _, x := range inner {
			from := 0
			for i, w := range x.tokens {
				if w.kind == kindWord && slices.Contains([]string{"BEGIN", "THEN", "ELSE", "LOOP", "DECLARE"}, w.text) {
					from = i + 1
				}
			}
			if from == len(x.tokens) {
				continue
			}
			x.tokens = x.tokens[from:]
			if len(c.findings)-r.first > maxFindings {
				return // the next statement tells
			}
			at := detector.Place{File: r.t.File, Line: x.tokens[0].line}
			all := pgActions(&cursor{t: x.tokens})
			for i := range all {
				x.raw = (&cursor{t: x.tokens}).text()
				c.action(r, x, &all[i], at)
			}
		}
	}
}

// action tells of one thing that a statement does.
func (c *checker) action(r *run, s statement, a *action, at detector.Place) {
	if a.creates != "" {
		c.created[a.creates] = true
	}
	r.reverse(s, a, at)
	if a.kind == "enum-value" {
		for _, t := range s.tokens {
			if t.kind == kindString && r.open {
				r.enums[t.text] = true
			}
		}
	}
	c.prove(a, s)
	if c.created[a.table] && a.table != "" {
		if a.kind == "rename" && a.rule == "rename" {
			c.created[a.column] = true
		}
		return // nobody uses it yet
	}
	if a.kind == "set-not-null" && c.proven[a.table+"."+a.column] && r.dialect == PostgreSQL {
		a.rule = ""
		for i := range a.locks {
			a.locks[i].Span = Instant
		}
	}
	var worst Lock
	for _, l := range a.locks {
		if c.created[l.Table] {
			continue
		}
		c.hold(r, a, l, s.line)
		if worst.Table == "" || l.Span != Instant && worst.Span == Instant {
			worst = l
		}
	}
	c.finding(r, a, worst, at)
}

// prove takes down the CHECKs that spare SET NOT NULL its scan.
func (c *checker) prove(a *action, s statement) {
	k := &cursor{t: s.tokens}
	switch {
	case a.kind == "add-constraint" && k.has("IS", "NOT", "NULL"):
		k.i = k.find("CHECK", "(") + 2
		for k.accept("(") {
			continue
		}
		col := k.name()
		if !k.accept("IS", "NOT", "NULL") {
			return
		}
		if k.has("NOT", "VALID") {
			c.proven["?"+a.table+"."+a.column] = true
			c.proven["="+a.table+"."+a.column+"."+col] = true
		} else {
			c.proven[a.table+"."+col] = true
		}
	case a.kind == "validate" && c.proven["?"+a.table+"."+a.column]:
		for p := range c.proven {
			if col, ok := strings.CutPrefix(p, "="+a.table+"."+a.column+"."); ok {
				c.proven[a.table+"."+col] = true
			}
		}
	}
}

// clip shortens a text for a message, in one line.
func clip(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
