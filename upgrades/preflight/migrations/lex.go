package migrations

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

type tokenKind int

const (
	kindWord   tokenKind = iota // a word, in capitals
	kindName                    // a quoted name, as it is
	kindString                  // a string, without its quotes
	kindNumber
	kindSign // anything else, one byte
)

// token is one of a statement's.
type token struct {
	kind tokenKind
	text string
	raw  string // as it stands
	line int
}

// statement is one of a text.
type statement struct {
	tokens []token
	line   int    // of its first token
	raw    string // as it stands, without the semicolon
	cut    bool   // it had more than maxTokens
	down   bool   // it stands in the part that undoes the migration
	plain  bool   // the migration tool is told to use no transaction
	tool   string // the tool that a directive before it is of
}

// Bounds of what is read.
const (
	MaxText       = 8 << 20 // bytes of one text
	maxTokens     = 4000    // tokens that are kept of one statement
	maxStatements = 20000   // statements of one text
)

// lexer splits a text into statements as the database's own client does: psql, or mysql with its DELIMITER.
type lexer struct {
	s      string
	i      int
	line   int
	mysql  bool
	end    string // the delimiter
	depth  int    // of parentheses
	begins int    // of BEGIN ATOMIC … END
	now    statement
	start  int // of the statement's first byte
	all    []statement
	// commands are for the client.
	commands []clientCommand
	down     bool
	plain    bool
	tool     string
	problem  string
	at       int // line of the problem
}

// split gives the statements of a text whose first line has the number line, and what is amiss with it ("" if
// nothing).
func split(s string, line int, mysql bool) ([]statement, string) {
	l := lex(s, line, mysql)
	return l.all, l.problem
}

func lex(s string, line int, mysql bool) *lexer {
	s = strings.TrimPrefix(s, "\ufeff")
	l := &lexer{s: s, line: line, mysql: mysql, end: ";", start: -1}
	for l.i < len(l.s) && len(l.all) < maxStatements && l.problem == "" {
		l.step()
	}
	if len(l.all) == maxStatements && l.problem == "" {
		l.fault(fmt.Sprintf("there are more than %d statements", maxStatements))
	}
	l.finish(len(l.s))
	return l
}

func (l *lexer) fault(what string) {
	if l.problem == "" {
		l.problem, l.at = what, l.line
	}
}

func (l *lexer) rest() string { return l.s[l.i:] }

// skip goes n bytes on and counts their lines.
func (l *lexer) skip(n int) {
	n = min(n, len(l.s)-l.i)
	l.line += strings.Count(l.s[l.i:l.i+n], "\n")
	l.i += n
}

func (l *lexer) step() {
	r := l.rest()
	b := r[0]
	switch {
	case b == ' ' || b == '\t' || b == '\n' || b == '\r' || b == '\f' || b == '\v':
		l.skip(1)
	case l.comment(r):
	case strings.HasPrefix(r, l.end) && l.depth <= 0 && l.begins == 0:
		end := l.i
		l.skip(len(l.end))
		l.finish(end)
	case !l.mysql && b == '\\' && (strings.HasPrefix(r, `\g`) || strings.HasPrefix(r, `\crosstab`)):
		end := l.i
		line, _, _ := strings.Cut(r, "\n")
		l.command(line)
		l.toLineEnd()
		l.finish(end)
	case l.client(r):
	case l.quoted(r):
	case word(b):
		n := 1
		for n < len(r) && (word(r[n]) || r[n] >= '0' && r[n] <= '9' || r[n] == '$' && !l.mysql) {
			n++
		}
		l.take(kindWord, strings.ToUpper(r[:n]), n)
	case b >= '0' && b <= '9':
		n := 1
		for n < len(r) && (r[n] >= '0' && r[n] <= '9' || r[n] == '.') {
			n++
		}
		l.take(kindNumber, r[:n], n)
	default:
		switch b {
		case '(':
			l.depth++
		case ')':
			l.depth--
		}
		_, n := utf8.DecodeRuneInString(r)
		l.take(kindSign, r[:n], n)
	}
}

func word(b byte) bool {
	return b == '_' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= 0x80
}

// take adds a token of n bytes.
func (l *lexer) take(kind tokenKind, text string, n int) {
	if l.start < 0 {
		l.start, l.now.line = l.i, l.line
	}
	if kind == kindWord && !l.mysql {
		l.atomic(text)
	}
	if len(l.now.tokens) < maxTokens {
		l.now.tokens = append(l.now.tokens, token{kind: kind, text: text, raw: l.s[l.i : l.i+n], line: l.line})
	} else {
		l.now.cut = true
	}
	l.skip(n)
}

// atomic counts the blocks of a function's body that is written without quotes.
func (l *lexer) atomic(w string) {
	t := l.now.tokens
	switch {
	case len(t) == 0 || t[0].text != "CREATE":
	case w == "ATOMIC" && t[len(t)-1].text == "BEGIN":
		l.begins++
	case w == "CASE" && l.begins > 0:
		l.begins++
	case w == "END" && l.begins > 0:
		l.begins--
	}
}

// finish ends the present statement before a byte.
func (l *lexer) finish(end int) {
	if l.start >= 0 {
		l.now.raw = strings.TrimSpace(l.s[l.start:end])
		l.now.down, l.now.plain, l.now.tool = l.down, l.plain, l.tool
		l.all = append(l.all, l.now)
		if t := l.now.tokens; !l.mysql && t[0].text == "COPY" && t[len(t)-1].text != "STDOUT" {
			for _, x := range t {
				if x.text == "STDIN" {
					l.copied()
					break
				}
			}
		}
	}
	l.now, l.start, l.depth, l.begins = statement{}, -1, 0, 0
}

// copied passes over the rows behind COPY … FROM STDIN.
func (l *lexer) copied() {
	l.toLineEnd()
	for l.i < len(l.s) {
		line, _, _ := strings.Cut(l.rest(), "\n")
		l.skip(len(line) + 1)
		if strings.TrimRight(line, "\r") == `\.` {
			return
		}
	}
}

func (l *lexer) toLineEnd() {
	if n := strings.IndexByte(l.rest(), '\n'); n >= 0 {
		l.skip(n + 1)
		return
	}
	l.skip(len(l.s))
}

// comment passes over a comment and heeds what migration tools write into them.
func (l *lexer) comment(r string) bool {
	switch {
	case strings.HasPrefix(r, "--") && (!l.mysql || len(r) == 2 || r[2] == ' ' || r[2] == '\t' || r[2] == '\n' || r[2] == '\r'), l.mysql && r[0] == '#':
		line, _, _ := strings.Cut(r, "\n")
		if n := strings.IndexByte(line, '\r'); n >= 0 && !l.mysql { // ends PostgreSQL's comments as well
			line = line[:n]
		}
		l.directive(strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "-# "))))
		l.skip(len(line) + 1)
		return true
	case l.mysql && (strings.HasPrefix(r, "/*!") || strings.HasPrefix(r, "/*M!")): // run by MySQL, MariaDB
		n := strings.IndexByte(r, '!') + 1
		for n < len(r) && r[n] >= '0' && r[n] <= '9' {
			n++
		}
		l.skip(n)
		return true
	case strings.HasPrefix(r, "*/") && l.mysql:
		l.skip(2)
		return true
	case strings.HasPrefix(r, "/*"):
		depth, i := 1, 2
		for i < len(r) && depth > 0 {
			switch {
			case strings.HasPrefix(r[i:], "*/"):
				depth--
				i += 2
			case strings.HasPrefix(r[i:], "/*") && !l.mysql:
				depth++
				i += 2
			default:
				i++
			}
		}
		if depth > 0 {
			l.fault("a comment isn't closed")
		}
		l.skip(i)
		return true
	}
	return false
}

// directive reads goose's, sql-migrate's, dbmate's and squitch's comments.
func (l *lexer) directive(c string) {
	for prefix, tool := range map[string]string{"+goose ": "goose", "+migrate ": "sql-migrate", "migrate:": "dbmate"} {
		what, ok := strings.CutPrefix(c, prefix)
		if !ok {
			continue
		}
		l.tool = tool
		switch {
		case strings.HasPrefix(what, "up"):
			l.down = false
		case strings.HasPrefix(what, "down"):
			l.down = true
		}
		if strings.HasPrefix(what, "no transaction") || strings.Contains(what, "notransaction") || strings.Contains(what, "transaction:false") {
			l.plain = true
		}
	}
}

// quoted reads strings and quoted names.
func (l *lexer) quoted(r string) bool {
	kind, from, quote := kindString, 1, r[0]
	escapes := l.mysql
	switch {
	case quote == '\'':
	case quote == '"':
		if !l.mysql {
			kind = kindName
		}
	case quote == '`' && l.mysql:
		kind, escapes = kindName, false
	case (quote == 'e' || quote == 'E') && len(r) > 1 && r[1] == '\'' && !l.mysql:
		from, quote, escapes = 2, '\'', true
	case quote == '$' && !l.mysql:
		return l.dollar(r)
	default:
		return false
	}
	i := from
	for i < len(r) {
		switch {
		case r[i] == '\\' && escapes && i+1 < len(r):
			i += 2
			continue
		case r[i] == quote && i+1 < len(r) && r[i+1] == quote:
			i += 2
			continue
		case r[i] == quote:
			l.take(kind, strings.ReplaceAll(r[from:i], string(quote)+string(quote), string(quote)), i+1)
			return true
		}
		i++
	}
	l.fault("a quote isn't closed")
	l.take(kind, r[from:], len(r))
	return true
}

// dollar reads $$…$$ and $tag$…$tag$.
func (l *lexer) dollar(r string) bool {
	n := 1
	for n < len(r) && (word(r[n]) || n > 1 && r[n] >= '0' && r[n] <= '9') {
		n++
	}
	if n == len(r) || r[n] != '$' {
		return false
	}
	tag := r[:n+1]
	end := strings.Index(r[n+1:], tag)
	if end < 0 {
		l.fault("the quote " + tag + " isn't closed")
		l.take(kindString, r[n+1:], len(r))
		return true
	}
	l.take(kindString, r[n+1:n+1+end], end+2*len(tag))
	return true
}
