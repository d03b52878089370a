package migrations

import (
	"fmt"
	"slices"
	"strings"

	"aftershock/detector"
)

// hold takes a lock down that others wait behind, and tells of a transaction that holds it for longer than it needs.
func (c *checker) hold(r *run, a *action, l Lock, line int) {
	change := a.kind != "update" && a.kind != "delete" && a.kind != "insert"
	if w := c.server.weigh(l, r.dialect); l.Writes(r.dialect) || r.dialect == MySQL && change {
		if r.waits == 0 {
			r.waits = line
		}
		if !slices.Contains(r.waitsOn, l.Table) {
			r.waitsOn = append(r.waitsOn, l.Table)
		}
		if r.ddl == 0 {
			r.ddl = line
		}
		c.together(r, l, w, line)
		if r.open {
			r.held = append(r.held, held{l.Table, line})
		}
		return
	}
	if l.Span == Rows || l.Span == Scan || l.Span == Build {
		c.together(r, l, c.server.weigh(l, r.dialect), line)
	}
	if r.ddl == 0 && l.Mode != rowExclusive && l.Mode != none {
		r.ddl = line
	}
}

// together: a lock is held while something else takes its time, or waits for another table.
func (c *checker) together(r *run, l Lock, w weight, line int) {
	if !r.open || r.told || r.dialect != PostgreSQL || len(r.held) == 0 {
		return
	}
	first := r.held[0]
	slow := l.Span != Instant && !w.brief
	if first.line == line || first.table == l.Table && !slow {
		return
	}
	r.told = true
	what := fmt.Sprintf("the transaction goes on to lock %s while it holds %s since line %d", l.Table, first.table, first.line)
	if slow {
		what = fmt.Sprintf("the transaction holds %s locked since line %d while this takes its time", first.table, first.line)
	}
	c.findings = append(c.findings, detector.Finding{
		Rule: "migrations/long-transaction", Severity: detector.Risk, Place: detector.Place{File: r.t.File, Line: line}, What: what,
		Why: "locks are held to the end of the transaction: users of the first table wait for all of it, and two such orders make a deadlock",
		Do:  "COMMIT between the two, so that each lock is held for its own statement alone",
		Hypotheses: []detector.Hypothesis{{
			Kind: detector.HypothesisLock, Tables: unique(first.table, l.Table), Indicators: []detector.Kind{detector.Latency, detector.Error},
			Says:     fmt.Sprintf("statements wait for %s during the migration (%s line %d)", first.table, r.t.File, line),
			Services: c.services(first.table, l.Table),
		}},
	})
}

func unique(names ...string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

func (c *checker) services(tables ...string) []string {
	var all []string
	for _, t := range tables {
		if s, ok := c.server.size(t); ok {
			all = append(all, s.Services...)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return unique(all...)
}

// finding gives the finding of an action whose gravest lock is l.
func (c *checker) finding(r *run, a *action, l Lock, at detector.Place) {
	if a.rule == "" {
		return
	}
	w := weight{severity: detector.Risk}
	if l.Table != "" {
		w = c.server.weigh(l, r.dialect)
	}
	f := detector.Finding{Rule: "migrations/" + a.rule, Severity: w.severity, Place: at, What: a.what, Do: a.rewrite}
	table, known := c.server.size(a.table)
	empty := known && table.Rows == 0 && table.Bytes == 0
	switch a.rule {
	case "data-loss":
		f.Severity = detector.Risk
		if empty {
			f.Severity = detector.Note
		}
		f.Why = "it can't be taken back: a rollback of the upgrade finds " + a.lost + " gone"
		if a.kind == "drop-column" || a.kind == "drop-table" {
			f.Why += "; and a build of before, which still runs somewhere or comes back, fails on it"
		}
		if f.Do == "" {
			f.Do = fmt.Sprintf("keep a copy first: CREATE TABLE %s_before AS TABLE %s;", last(or(a.table, "t")), or(a.table, "t"))
		}
	case "rename":
		f.Severity = detector.Risk
		f.Why = "the old build, which runs until the last instance is replaced or comes back with a rollback, fails at once on the old name"
	case "not-null":
		f.Why = "no row that is there has a value, so that the statement fails and the migration stops"
		if known && !empty {
			f.Severity = detector.Blocker
		}
	case "algorithm":
		f.Severity = detector.Blocker
		f.Why = "the statement fails with an error, and the migration stops halfway: what stands before it is committed"
	case "whole-table":
		f.Why = "its row locks are held to the end, replicas fall behind, and the old rows bloat the table and the undo log"
	case "drop-index":
		f.Why = "it needs ACCESS EXCLUSIVE on the index's table, if only for an instant"
	default:
		f.Why = c.waitsWhy(r, l, a)
	}
	if w.says != "" && l.Span != Instant {
		f.What += ": " + w.says
	}
	if f.Do == "" {
		f.Do = "run it in a window without traffic"
	}
	if l.Table != "" && l.Span != Instant && !w.brief {
		f.Hypotheses = []detector.Hypothesis{{
			Kind: detector.HypothesisLock, Tables: unique(tablesOf(a)...), Services: c.services(tablesOf(a)...), Indicators: []detector.Kind{detector.Latency, detector.Error},
			Says: fmt.Sprintf("statements wait for %s while %s line %d runs", l.Table, at.File, at.Line),
		}}
	}
	c.findings = append(c.findings, f)
}

func tablesOf(a *action) []string {
	var all []string
	for _, l := range a.locks {
		all = append(all, l.Table)
	}
	return all
}

// waitsWhy says who waits for a lock.
func (c *checker) waitsWhy(r *run, l Lock, a *action) string {
	why := fmt.Sprintf("it takes %s on %s", l.Mode, l.Table)
	if r.dialect == MySQL {
		why = fmt.Sprintf("it is done with LOCK=%s on %s", l.Mode, l.Table)
	}
	switch {
	case l.Reads(r.dialect):
		why += ": reading and writing it waits until it is done"
	case l.Writes(r.dialect):
		why += ": writing it waits until it is done"
	default:
		why += ": nobody waits for it, but it loads the server for long and replicas fall behind"
	}
	if a.doubt != "" {
		why += "; " + a.doubt
	}
	return why
}

// reverse takes down how an action is undone.
func (r *run) reverse(s statement, a *action, at detector.Place) {
	if a.undo == "" && a.lost == "" {
		return
	}
	level := detector.LevelConfiguration
	if a.data {
		level = detector.LevelData
	}
	v := detector.Reversion{Level: level, Step: clip(masked(s.tokens), 160), How: a.undo, Lost: a.lost, Place: at}
	if n := len(r.undo); n > 0 && r.undo[n-1] == v {
		return
	}
	r.undo = append(r.undo, v)
}

// masked gives a statement's text without the strings in it, which may be anybody's data or a password.
func masked(all []token) string {
	all = slices.Clone(all[:min(len(all), 80)])
	for i := range all {
		if all[i].kind == kindString {
			all[i].raw = "'…'"
		}
	}
	return (&cursor{t: all}).text()
}

// whole tells of what a text lacks as a whole, and gives the way back.
func (c *checker) whole(r *run) {
	if r.waits > 0 && !r.limited && r.dialect != "" {
		set, why := "SET lock_timeout = '2s'; -- and try again on failure", "the statement waits behind the longest transaction that uses the table, for as long as that takes, and everybody who comes later waits behind it: one report can stop the whole service"
		if r.dialect == MySQL {
			set, why = "SET SESSION lock_wait_timeout = 5; -- and try again on failure", "the metadata lock waits behind the longest transaction that uses the table, for a year unless told otherwise, and everybody who comes later waits behind it"
		}
		c.findings = append(c.findings, detector.Finding{
			Rule: "migrations/lock-timeout", Severity: detector.Risk, Place: detector.Place{File: r.t.File, Line: r.waits},
			What: "no limit to how long it waits for its locks (" + clip(strings.Join(r.waitsOn, ", "), 80) + ")", Why: why, Do: set,
			Hypotheses: []detector.Hypothesis{{
				Kind: detector.HypothesisLock, Tables: unique(slices.Clone(r.waitsOn)...), Services: c.services(r.waitsOn...), Indicators: []detector.Kind{detector.Latency, detector.Error},
				Says: fmt.Sprintf("statements queue up behind the migration's wait for %s (%s line %d)", clip(strings.Join(r.waitsOn, ", "), 80), r.t.File, r.waits),
			}},
		})
	}
	if r.ddl > 0 && !r.guarded && r.dialect != "" {
		lock := "SELECT pg_advisory_lock(hashtext('migrations')); -- in the session that runs them, first of all"
		if r.dialect == MySQL {
			lock = "SELECT GET_LOCK('migrations', 60); -- in the session that runs them, first of all; go on only if it is 1"
		}
		c.findings = append(c.findings, detector.Finding{
			Rule: "migrations/no-migration-lock", Severity: detector.Risk, Place: detector.Place{File: r.t.File, Line: r.ddl},
			What: "alters tables in use without a migration lock, and is run by no tool that holds one",
			Why:  "two hosts that are upgraded at once run it at once: one fails halfway, or both do half", Do: lock,
		})
	}
	if len(r.undo) == 0 {
		return
	}
	lost := 0
	for _, v := range r.undo {
		if v.Level == detector.LevelData {
			lost++
		}
	}
	what := fmt.Sprintf("%d steps to undo in a rollback, of which %d concern data", len(r.undo), lost)
	if len(r.undo) > maxFindings {
		r.undo = r.undo[:maxFindings]
		what += fmt.Sprintf("; the first %d are told", maxFindings)
	}
	c.findings = append(c.findings, detector.Finding{
		Rule: "migrations/rollback", Severity: detector.Note, Place: r.undo[0].Place, What: what,
		Why: "what is a matter of the catalogue is undone by a statement; data is had back from a copy alone", Do: "take the rollback plan from these, last step first, and a backup before the first that loses data",
		Reversions: r.undo,
	})
}
