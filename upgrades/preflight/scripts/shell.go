package scripts

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"

	"aftershock/detector"

	"mvdan.cc/sh/v3/syntax"
)

// shell is a parsed script: the commands that it calls, in order, with what is known of their words.
type shell struct {
	path  string
	file  *syntax.File
	lang  syntax.LangVariant
	calls []call
	outs  []out
	vars  map[string]*variable
	funcs map[string]bool

	errexit, nounset []toggle
	pipefail         bool
	// tested are the variables that a test asks about: [ -n "$X" ], [ -d "$X/y" ], case $X.
	tested map[string]bool
	// library is true of what is only sourced by others: no first line, not executable.
	library bool
	// cut is the line from which on commands aren't looked at, since there are too many; 0 where all are.
	cut int
}

// toggle is where a shell option goes on or off.
type toggle struct {
	line int
	on   bool
}

// on tells whether an option is on at a line.
func on(ts []toggle, line int) bool {
	is := false
	for _, t := range ts {
		if t.line <= line {
			is = t.on
		}
	}
	return is
}

// variable is what the script gives a variable.
type variable struct {
	values  []string // the static ones
	unknown bool     // some value isn't static
	empty   bool     // some value may be empty
	spaced  bool     // some value may hold spaces or globs
}

// failure is what comes of a command that fails.
type failure int

const (
	fails   failure = iota // ends the script where set -e is on
	handled                // something else goes on
	exits                  // ends the script
)

// call is a simple command.
type call struct {
	name    string // of the program, without its folder, behind sudo and the like; "" where not known
	word    word   // the program as it stands
	args    []word
	source  string   // all words as they stand, for a look
	before  []string // sudo, env, nohup …
	wrapper []word   // the words of these
	env     []*syntax.Assign
	line    int
	fail    failure
	guards  []string // conditions of the ifs around it, as they stand
	fn      string   // the function that it stands in
	// from and to bound the calls that its input comes from through a pipe.
	from, to int
	heredoc  []line // its here-document
	redirs   []*syntax.Redirect
	subst    bool // its output is taken by $(…) or <(…)
}

// line is one of a text that stands in a script.
type line struct {
	at   int
	text string
}

// out is where output of the calls from..to-1 is written.
type out struct {
	target   word
	line     int
	from, to int
	append   bool
}

var shebang = regexp.MustCompile(`^#!\s*(?:\S*/)?(?:env\s+(?:-\S+\s+)*)?([A-Za-z0-9_.+-]+)(.*)$`)

// language tells the shell by a script's first line; 0 is another language, and
// false is no such line.
func language(first string) (syntax.LangVariant, bool) {
	m := shebang.FindStringSubmatch(strings.TrimRight(first, "\r"))
	if m == nil {
		return 0, false
	}
	switch path.Base(m[1]) {
	case "bash":
		return syntax.LangBash, true
	case "sh", "dash", "ash", "posh":
		return syntax.LangPOSIX, true
	case "ksh", "mksh", "pdksh", "ksh93":
		return syntax.LangMirBSDKorn, true
	}
	return 0, true
}

// parse reads a shell script. What follows a syntax error isn't read: the shell would have run what
// stands before it.
func parse(s Script) (*shell, error) {
	first := firstLine(s.Text)
	lang, named := language(first)
	if lang == 0 {
		lang = syntax.LangBash
	}
	if d := nesting(s.Text); d > maxDepth {
		return nil, fmt.Errorf("it is nested more than %d deep", maxDepth)
	}
	text := s.Text
	if !utf8.Valid(text) { // of another age; lines and commands are the same
		text = bytes.Map(func(r rune) rune {
			if r == utf8.RuneError {
				return '?'
			}
			return r
		}, text)
	}
	sh := &shell{path: s.Path, lang: lang, vars: map[string]*variable{}, funcs: map[string]bool{}, tested: map[string]bool{}}
	sh.library = !named && s.Mode&0o111 == 0 && path.Ext(s.Path) == ""
	f, err := syntax.NewParser(syntax.Variant(lang)).Parse(bytes.NewReader(text), "")
	if err != nil && lang == syntax.LangPOSIX {
		// Debian's dash and every other sh know "local" and more; the commands are looked at all the same.
		if g, err2 := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(bytes.NewReader(text), ""); err2 == nil {
			f = g
		}
	}
	if f == nil || err != nil && len(f.Stmts) == 0 {
		return nil, err
	}
	sh.file = f
	if m := shebang.FindStringSubmatch(strings.TrimRight(first, "\r")); m != nil {
		for _, o := range strings.Fields(m[2]) {
			sh.option(o, 1)
		}
	}
	sh.assignments()
	w := walker{sh: sh}
	w.stmts(f.Stmts, scope{})
	return sh, err
}

// nesting bounds how deep the parser would have to go, so that no script can exhaust its stack:
// brackets, and keywords where a command may begin. Quotes and comments aren't minded.
func nesting(text []byte) int {
	depth, most := 0, 0
	start := true // a command may begin here
	chain := 0    // operators of one a && b && c …, each a level of the tree
	significant := byte(0)
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case b == '&' || b == '|':
			chain++
		case b == ';' || b == '\n' && significant != '&' && significant != '|' && significant != '\\':
			chain = 0
		}
		if b := text[i]; b != ' ' && b != '\t' && b != '\n' {
			significant = b
		}
		switch b := text[i]; {
		case b == '(' || b == '{' || b == '`':
			depth++
			start = true
		case b == ')' || b == '}':
			depth = max(depth-1, 0)
			start = true
		case b == '\n' || b == ';' || b == '&' || b == '|':
			start = true
		case b == ' ' || b == '\t':
		case letter(b):
			j := i
			for j < len(text) && letter(text[j]) {
				j++
			}
			if start {
				change, begins := keyword(string(text[i:j]))
				depth, start = max(depth+change, 0), begins
			}
			i = j - 1
		default:
			start = false
		}
		most = max(most, depth, chain/8)
	}
	return most
}

// keyword tells by how much a word at a command's place changes the depth, and whether a
// command may follow it.
func keyword(w string) (int, bool) {
	switch w {
	case "if", "while", "until":
		return 1, true
	case "for", "case", "select":
		return 1, false
	case "fi", "done", "esac":
		return -1, true
	case "then", "do", "else", "elif", "time", "coproc":
		return 0, true
	}
	return 0, false
}

func letter(b byte) bool {
	return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}

// option takes one of set's options down.
func (s *shell) option(o string, line int) {
	if len(o) < 2 || o[0] != '-' && o[0] != '+' || o[1] == '-' {
		return
	}
	t := toggle{line: line, on: o[0] == '-'}
	for _, b := range o[1:] {
		switch b {
		case 'e':
			s.errexit = append(s.errexit, t)
		case 'u':
			s.nounset = append(s.nounset, t)
		}
	}
}

// set reads a call of set.
func (s *shell) set(c *call) {
	for i := 0; i < len(c.args); i++ {
		a := c.args[i].text
		if a == "--" || len(a) < 2 || a[0] != '-' && a[0] != '+' {
			return
		}
		s.option(a, c.line)
		if !strings.HasSuffix(a, "o") || i+1 == len(c.args) {
			continue
		}
		i++
		t := toggle{line: c.line, on: a[0] == '-'}
		switch c.args[i].text {
		case "errexit":
			s.errexit = append(s.errexit, t)
		case "nounset":
			s.nounset = append(s.nounset, t)
		case "pipefail":
			s.pipefail = t.on
		}
	}
}

// ends tells whether the failure of a call ends the script.
func (s *shell) ends(c *call) bool {
	return c.fail == exits || c.fail == fails && on(s.errexit, c.line)
}

// syntax is the finding of what the parser refuses.
func (c *checker) syntax(file string, err error) {
	at := detector.Place{File: file}
	what := err.Error()
	var pe syntax.ParseError
	var le syntax.LangError
	switch {
	case errors.As(err, &pe):
		at.Line, what = int(pe.Pos.Line()), pe.Text
	case errors.As(err, &le):
		at.Line = int(le.Pos.Line())
		severity := detector.Risk
		if c.installed(file) {
			severity = detector.Note
		}
		c.add(detector.Finding{
			Rule: "scripts/dialect", Severity: severity, Place: at,
			What: fmt.Sprintf("%s isn't known to the shell that the first line names (%s)", le.Feature, le.LangUsed),
			Why:  "where sh is dash, as on Debian and Ubuntu, the script ends here or does something else",
			Do:   "name the shell that the script is written for in its first line, or use what POSIX has",
		})
		return
	default:
		c.unreadable(at, what)
		return
	}
	f := detector.Finding{
		Rule: "scripts/syntax", Severity: detector.Risk, Place: at, What: "can't be parsed as shell: " + clip(what, 120),
		Why: "where the shell can't either, the script ends here, after what stands before was done; what follows isn't checked",
		Do:  "check it with bash -n (or the shell of its first line) and have it mended",
	}
	if c.installed(file) {
		f.Severity = detector.Note // the upgrade doesn't run it
	}
	c.add(f)
}

// clip shortens a text for a message to at most n bytes, in one line.
func clip(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
