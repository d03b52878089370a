package migrations

import (
	"slices"
	"strings"
)

// Dialects.
const (
	PostgreSQL = "postgresql"
	MySQL      = "mysql"
)

// Span is how long a lock is held for, apart from the wait for it and for the end of its transaction.
type Span string

// Spans, from the shortest on.
const (
	Instant Span = "instant" // only the catalogue changes
	Rows    Span = "rows"    // as long as changing the rows takes
	Scan    Span = "scan"    // the table is read once
	Build   Span = "build"   // an index is built
	Rewrite Span = "rewrite" // the table is written anew, with its indexes
)

// Lock is what a statement takes on a table. Modes of PostgreSQL are those of its manual ("ACCESS
// EXCLUSIVE"); those of MySQL are "NONE", "SHARED" and "EXCLUSIVE", as in ALTER TABLE … LOCK.
type Lock struct {
	Table string
	Mode  string
	Span  Span
}

// modes are PostgreSQL's, from the weakest on.
var modes = []string{
	"ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE",
}

const (
	accessExclusive      = "ACCESS EXCLUSIVE"
	shareRowExclusive    = "SHARE ROW EXCLUSIVE"
	shareUpdateExclusive = "SHARE UPDATE EXCLUSIVE"
	rowExclusive         = "ROW EXCLUSIVE"
	none                 = "NONE"
	shared               = "SHARED"
	exclusive            = "EXCLUSIVE"
)

// Reads tells whether reading the table waits for the lock.
func (l Lock) Reads(dialect string) bool {
	return l.Mode == accessExclusive || dialect == MySQL && l.Mode == exclusive
}

// Writes tells whether changing rows of the table waits for the lock.
func (l Lock) Writes(dialect string) bool {
	if dialect == MySQL {
		return l.Mode == shared || l.Mode == exclusive
	}
	return slices.Index(modes, l.Mode) >= slices.Index(modes, "SHARE")
}

// action is one thing that a statement does: a statement is one, ALTER TABLE as many as it names.
type action struct {
	kind   string // "add-column", "create-index" …
	table  string
	column string // the column, constraint, index or new name that it is about
	locks  []Lock
	// rule is the finding it gives, without "migrations/"; "" for none beside that of the lock.
	rule string
	what string
	// rewrite is the safe way, as SQL.
	rewrite string
	// undo takes it back; lost is what can't be had back. Both empty: there is nothing to undo.
	undo, lost string
	data       bool // lost or undone on the level of data
	// creates is a table that is new, and so nobody waits for.
	creates string
	// doubt says what the span depends on where that isn't known.
	doubt string
}

// lock adds a lock and gives the action, so that calls can be strung together.
func (a *action) lock(table, mode string, span Span) *action {
	if table != "" {
		a.locks = append(a.locks, Lock{Table: table, Mode: mode, Span: span})
	}
	return a
}

// Locks gives the locks that the statements of a text take, in order, each table's strongest of a statement alone.
// Statements that take none on a table, or that aren't known, give nothing.
func Locks(sql, dialect string, version int) []Lock {
	all, _ := split(sql, 1, dialect == MySQL)
	var out []Lock
	for _, s := range all {
		best := map[string]int{}
		first := len(out)
		for _, a := range actions(s, dialect, version) {
			for _, l := range a.locks {
				i, ok := best[l.Table]
				if !ok {
					best[l.Table] = len(out)
					out = append(out, l)
					continue
				}
				out[i] = stronger(out[i], l)
			}
		}
		slices.SortFunc(out[first:], func(a, b Lock) int { return strings.Compare(a.Table, b.Table) })
	}
	return out
}

// stronger joins two locks on one table.
func stronger(a, b Lock) Lock {
	rank := func(m string) int {
		return max(slices.Index(modes, m), slices.Index([]string{none, shared, exclusive}, m))
	}
	if rank(b.Mode) > rank(a.Mode) {
		a.Mode = b.Mode
	}
	spans := []Span{Instant, Rows, Scan, Build, Rewrite}
	if slices.Index(spans, b.Span) > slices.Index(spans, a.Span) {
		a.Span = b.Span
	}
	return a
}

// actions tells what a statement does; nil where it is none of those that matter.
func actions(s statement, dialect string, version int) []action {
	c := &cursor{t: s.tokens}
	if dialect == MySQL {
		return myActions(c, version)
	}
	return pgActions(c)
}
