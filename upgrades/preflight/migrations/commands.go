package migrations

import (
	"fmt"
	"path"
	"strings"

	"aftershock/detector"
)

// client reads what is the client's own: psql's \commands, wherever they stand, and mysql's
// DELIMITER, \commands, source and system.
func (l *lexer) client(r string) bool {
	line, _, _ := strings.Cut(r, "\n")
	line = strings.TrimRight(line, "\r")
	if !l.mysql {
		if r[0] != '\\' || strings.HasPrefix(r, `\;`) {
			return false
		}
		end := commandEnd(line)
		l.command(line[:end])
		l.skip(end)
		if strings.HasPrefix(l.rest(), `\\`) { // statements may follow on the line
			l.skip(2)
		}
		return true
	}
	switch {
	case len(l.now.tokens) == 0 && len(line) > 10 && strings.EqualFold(line[:10], "delimiter "):
		if d := strings.TrimSpace(line[10:]); d != "" && len(d) <= 16 {
			l.end = d
		}
	case strings.HasPrefix(r, `\!`), strings.HasPrefix(r, `\.`), len(l.now.tokens) == 0 && mysqlCommand(line):
		l.command(line)
	default:
		return false
	}
	l.toLineEnd()
	return true
}

func mysqlCommand(line string) bool {
	name, rest, _ := strings.Cut(line, " ")
	return rest != "" && (strings.EqualFold(name, "source") || strings.EqualFold(name, "system"))
}

// commandEnd is where a command of psql ends: before the next one, or with the line where it takes
// all of it.
func commandEnd(line string) int {
	if strings.HasPrefix(line, `\!`) || strings.HasPrefix(line, `\copy`) {
		return len(line)
	}
	quoted := false
	for i := 1; i < len(line); i++ {
		switch {
		case line[i] == '\'':
			quoted = !quoted
		case line[i] == '\\' && !quoted:
			return i
		}
	}
	return len(line)
}

// command notes a command of the client.
func (l *lexer) command(text string) {
	l.commands = append(l.commands, clientCommand{l.line, strings.TrimSpace(text), l.down})
}

// clientCommand is a line for the client rather than the server.
type clientCommand struct {
	line int
	text string
	down bool
}

// commanded tells of what a client does beside sending statements.
func (c *checker) commanded(r *run, all []clientCommand) {
	for _, x := range all {
		name, rest, _ := strings.Cut(x.text, " ")
		rest = strings.TrimSpace(rest)
		at := detector.Place{File: r.t.File, Line: x.line}
		if x.down && !r.t.Run || len(c.findings)-r.first > maxFindings {
			continue
		}
		switch name = strings.ToLower(name); {
		case strings.HasPrefix(name, `\!`), name == "system", strings.HasPrefix(rest, "|"), name == `\copy` && strings.Contains(strings.ToUpper(rest), "PROGRAM"):
			c.runs(at, "has the client run a command of the shell")
		case name == `\gexec`:
			c.runs(at, "runs statements that a query makes up")
		case name == `\i`, name == `\ir`, strings.HasPrefix(name, `\include`), name == "source", strings.HasPrefix(name, `\.`):
			if f := strings.Trim(rest, `'";`); !strings.EqualFold(path.Ext(f), ".sql") || path.IsAbs(f) || strings.HasPrefix(path.Clean(f), "../") {
				c.findings = append(c.findings, detector.Finding{
					Rule: "migrations/statement", Severity: detector.Note, Place: at, What: fmt.Sprintf("reads another file, %s, which isn't followed", clip(f, 60)),
					Why: "only .sql files of the package are read", Do: "read it by hand",
				})
			}
		}
	}
}

func (c *checker) runs(at detector.Place, what string) {
	c.findings = append(c.findings, detector.Finding{
		Rule: "migrations/command", Severity: detector.Risk, Place: at, What: what,
		Why: "it does anything that its account may, and what it runs wasn't inspected", Do: "ask the vendor what it is for, and take it out of the migration",
	})
}

// unwrapped takes EXPLAIN ANALYZE and PREPARE name AS from before a statement: what is behind them is run, at
// once or later.
func unwrapped(t []token) []token {
	k := &cursor{t: t}
	switch {
	case k.accept("PREPARE"):
		if n := k.find("AS"); n >= 0 && n+1 < len(t) {
			return t[n+1:]
		}
	case k.accept("EXPLAIN"):
		analyze := false
		if k.accept("(") {
			for !k.done() && !k.accept(")") {
				analyze = k.accept("ANALYZE") || analyze
				if !k.done() && k.peek() != ")" {
					k.i++
				}
			}
		} else {
			for k.accept("VERBOSE") || k.peek() == "ANALYZE" {
				analyze = k.accept("ANALYZE") || analyze
			}
		}
		if analyze && !k.done() {
			return t[k.i:]
		}
	}
	return t
}
