package scripts

import (
	"regexp"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// word is one of a command's, with its quotes taken off.
type word struct {
	// text has the values of variables that are known, and "$NAME", "$(…)" for what isn't.
	text string
	// known tells that text is what the command would be given.
	known bool
	// alts are further texts it may have, where a variable has several values or a default.
	alts []string
	// quoted is the text with the variables as they stand, to be read as a script.
	quoted string
	line   int
	node   *syntax.Word
}

// maxAlts bounds the values that a word may take.
const maxAlts = 8

func (s *shell) word(w *syntax.Word, base int) word {
	if w == nil {
		return word{}
	}
	r := renderer{sh: s}
	text, known := r.parts(w.Parts, false)
	raw := renderer{}
	quoted, _ := raw.parts(w.Parts, false)
	x := word{text: text, known: known, quoted: quoted, line: base + int(w.Pos().Line()), node: w}
	for _, name := range r.several {
		for _, v := range s.vars[name].values {
			if len(x.alts) < maxAlts {
				x.alts = append(x.alts, strings.ReplaceAll(text, "$"+name, v))
			}
		}
	}
	return x
}

// text gives a word of several lines, as a here-document is, with the line of each.
func (s *shell) text(w *syntax.Word, first int) []line {
	if w == nil {
		return nil
	}
	r := renderer{sh: s}
	t, _ := r.parts(w.Parts, true)
	var all []line
	for i, l := range strings.Split(strings.TrimSuffix(t, "\n"), "\n") {
		all = append(all, line{at: first + i, text: l})
	}
	return all
}

// renderer writes words. Without a shell it leaves variables as they stand.
type renderer struct {
	sh      *shell
	several []string // variables with several values
	depth   int
}

func (r *renderer) parts(parts []syntax.WordPart, quoted bool) (string, bool) {
	var b strings.Builder
	known := true
	for _, p := range parts {
		switch x := p.(type) {
		case *syntax.Lit:
			b.WriteString(unescape(x.Value, quoted))
		case *syntax.SglQuoted:
			if x.Dollar {
				b.WriteString(ansi(x.Value))
			} else {
				b.WriteString(x.Value)
			}
		case *syntax.DblQuoted:
			t, k := r.parts(x.Parts, true)
			b.WriteString(t)
			known = known && k
		case *syntax.ParamExp:
			t, k := r.param(x)
			b.WriteString(t)
			known = known && k
		case *syntax.CmdSubst:
			b.WriteString("$(…)")
			known = false
		default:
			b.WriteString("$?")
			known = false
		}
	}
	return b.String(), known
}

// param gives a variable's value where the script gives it one alone.
func (r *renderer) param(x *syntax.ParamExp) (string, bool) {
	if x.Param == nil {
		return "$?", false
	}
	name := x.Param.Value
	if x.Excl || x.Length || x.Width || x.IsSet || x.Index != nil || x.Slice != nil || x.Repl != nil || x.Names != 0 || r.sh == nil {
		return "$" + name, false
	}
	v := r.sh.vars[name]
	if e := x.Exp; e != nil {
		switch e.Op {
		case syntax.DefaultUnset, syntax.DefaultUnsetOrNull, syntax.AssignUnset, syntax.AssignUnsetOrNull:
			if v == nil && e.Word != nil && r.depth < 4 {
				r.depth++
				t, _ := r.parts(e.Word.Parts, true)
				r.depth--
				return t, false // unless the environment says otherwise
			}
			return "$" + name, false
		case syntax.ErrorUnset, syntax.ErrorUnsetOrNull:
		default:
			return "$" + name, false
		}
	}
	if v == nil {
		return "$" + name, false
	}
	if len(v.values) == 1 && !v.unknown {
		return v.values[0], true
	}
	if len(v.values) > 0 {
		r.several = append(r.several, name)
	}
	return "$" + name, false
}

func unescape(s string, quoted bool) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch {
		case s[i] == '\n':
		case quoted && !strings.ContainsRune("$`\"\\", rune(s[i])):
			b.WriteByte('\\')
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

var byNumber = regexp.MustCompile(`\\(?:x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8}|[0-7]{1,3})`)

func ansi(s string) string {
	s = byNumber.ReplaceAllStringFunc(s, func(m string) string {
		n, err := strconv.ParseUint(strings.TrimLeft(m, `\xuU`), map[bool]int{true: 8, false: 16}[m[1] >= '0' && m[1] <= '7'], 32)
		if err != nil || n == 0 {
			return m
		}
		return string(rune(n))
	})
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t", `\'`, "'", `\"`, `"`).Replace(s)
}

// assignments finds what the script gives its variables, wherever it stands.
func (s *shell) assignments() {
	syntax.Walk(s.file, func(n syntax.Node) bool {
		switch x := n.(type) {
		case *syntax.CallExpr:
			if len(x.Args) == 0 {
				for _, a := range x.Assigns {
					s.assign(a)
				}
			}
			s.reads(x)
		case *syntax.DeclClause:
			for _, a := range x.Args {
				if !a.Naked {
					s.assign(a)
				}
			}
		case *syntax.ForClause:
			s.loop(x)
		case *syntax.CaseClause:
			s.asks(x.Word)
		}
		return true
	})
}

// reads takes down the variables that read, getopts and the like fill.
func (s *shell) reads(x *syntax.CallExpr) {
	if len(x.Args) < 2 {
		return
	}
	switch x.Args[0].Lit() {
	case "read", "mapfile", "readarray", "getopts":
		for _, a := range x.Args[1:] {
			if name := a.Lit(); name != "" && name[0] != '-' {
				s.variable(name).unknown = true
				s.variable(name).empty = true
				s.variable(name).spaced = true
			}
		}
	}
}

func (s *shell) variable(name string) *variable {
	v := s.vars[name]
	if v == nil {
		v = &variable{}
		s.vars[name] = v
	}
	return v
}

func (s *shell) assign(a *syntax.Assign) {
	if a.Name == nil || a.Index != nil {
		return
	}
	v := s.variable(a.Name.Value)
	if a.Array != nil || a.Append {
		v.unknown, v.spaced = true, true
		return
	}
	if a.Value == nil {
		v.empty = true
		v.unknown = true
		return
	}
	text, known := (&renderer{}).parts(a.Value.Parts, false)
	switch {
	case known:
		if text == "" {
			v.empty = true
		}
		if len(v.values) < maxAlts && !contains(v.values, text) {
			v.values = append(v.values, text)
		}
		v.spaced = v.spaced || strings.ContainsAny(text, " \t\n*?[")
	default:
		v.unknown = true
		s.derive(v, a)
	}
}

// derive judges a value that isn't static: whether it may be empty or be split.
func (s *shell) derive(v *variable, a *syntax.Assign) {
	literal := false
	for _, p := range flat(a.Value.Parts) {
		switch x := p.(type) {
		case *syntax.Lit:
			literal = literal || strings.Trim(x.Value, "/") != ""
		case *syntax.SglQuoted:
			literal = literal || strings.Trim(x.Value, "/") != ""
		case *syntax.CmdSubst:
			if !plain(x) {
				v.spaced = true
			}
			if safe(x) {
				literal = true
			}
		case *syntax.ArithmExp:
			literal = true
		case *syntax.ParamExp:
			if x.Exp != nil && x.Exp.Word != nil && x.Param != nil {
				switch x.Exp.Op {
				case syntax.DefaultUnsetOrNull, syntax.AssignUnsetOrNull:
					if t, _ := (&renderer{}).parts(x.Exp.Word.Parts, true); t != "" {
						literal = true
					}
				case syntax.ErrorUnsetOrNull:
					literal = true
				}
			}
			v.spaced = true
		default:
			v.spaced = true
		}
	}
	v.empty = v.empty || !literal
}

// plain tells whether a command gives one word without blanks or globs; safe, whether it gives
// something whenever it succeeds.
func plain(x *syntax.CmdSubst) bool {
	switch firstWord(x) {
	case "mktemp", "date", "id", "uname", "hostname", "dpkg", "nproc", "wc", "tempfile":
		return true
	}
	return false
}

func safe(x *syntax.CmdSubst) bool {
	switch firstWord(x) {
	case "mktemp", "pwd", "dirname", "date", "id", "uname", "nproc", "wc", "realpath", "readlink", "basename":
		return true
	}
	return false
}

func firstWord(x *syntax.CmdSubst) string {
	name := ""
	syntax.Walk(x, func(n syntax.Node) bool {
		if c, ok := n.(*syntax.CallExpr); ok && len(c.Args) > 0 && (name == "" || name == "cd") {
			name = c.Args[0].Lit()
		}
		return true
	})
	return name
}

// flat gives the parts of a word with those within double quotes.
func flat(parts []syntax.WordPart) []syntax.WordPart {
	var all []syntax.WordPart
	for _, p := range parts {
		if q, ok := p.(*syntax.DblQuoted); ok {
			all = append(all, q.Parts...)
			continue
		}
		all = append(all, p)
	}
	return all
}

// loop takes a for loop's variable down. It is never empty where the items aren't.
func (s *shell) loop(x *syntax.ForClause) {
	it, ok := x.Loop.(*syntax.WordIter)
	if !ok || it.Name == nil {
		return
	}
	v := s.variable(it.Name.Value)
	for _, item := range it.Items {
		text, known := (&renderer{}).parts(item.Parts, false)
		if known && text != "" && !strings.ContainsAny(text, "*?[") {
			if len(v.values) < maxAlts && !contains(v.values, text) {
				v.values = append(v.values, text)
			}
			continue
		}
		v.unknown = true
		v.spaced = v.spaced || known // a glob's
	}
	if len(it.Items) == 0 {
		v.unknown = true
	}
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// asks takes down which variables a test asks about.
func (s *shell) asks(n syntax.Node) {
	syntax.Walk(n, func(n syntax.Node) bool {
		if p, ok := n.(*syntax.ParamExp); ok && p.Param != nil {
			s.tested[p.Param.Value] = true
		}
		return true
	})
}

func contains(all []string, s string) bool {
	for _, x := range all {
		if x == s {
			return true
		}
	}
	return false
}
