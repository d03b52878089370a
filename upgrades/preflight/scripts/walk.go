package scripts

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// walker goes through a script's tree in the order of its text and takes its calls down.
type walker struct {
	sh    *shell
	base  int // lines before the text, where it stands within another script
	level int // of scripts within scripts: sh -c '…'
}

// scope is what holds for the statements at some place of the tree.
type scope struct {
	fail     failure
	guards   []string
	fn       string
	from, to int // calls that feed its input
	heredoc  []line
	subst    bool
	nested   bool // in a subshell, where options don't reach the rest
}

func (w *walker) line(p syntax.Pos) int { return w.base + int(p.Line()) }

func (w *walker) stmts(list []*syntax.Stmt, sc scope) {
	for _, st := range list {
		w.stmt(st, sc)
	}
}

func (w *walker) stmt(st *syntax.Stmt, sc scope) {
	if st.Negated || st.Background {
		sc.fail = handled
	}
	first := len(w.sh.calls)
	for _, r := range st.Redirs {
		if r.Hdoc != nil {
			sc.heredoc = w.sh.text(r.Hdoc, w.line(r.Hdoc.Pos()))
		}
		if r.Op == syntax.WordHdoc {
			sc.heredoc = w.sh.text(r.Word, w.line(r.Word.Pos()))
		}
		w.inside(r.Word, sc)
	}
	w.command(st, sc)
	for _, r := range st.Redirs {
		switch r.Op {
		case syntax.RdrOut, syntax.AppOut, syntax.RdrClob, syntax.RdrAll, syntax.AppAll, syntax.RdrInOut:
			w.sh.outs = append(w.sh.outs, out{
				target: w.sh.word(r.Word, w.base), line: w.line(r.OpPos), from: first, to: len(w.sh.calls),
				append: r.Op == syntax.AppOut || r.Op == syntax.AppAll,
			})
		}
	}
}

func (w *walker) command(st *syntax.Stmt, sc scope) {
	condition := sc
	condition.fail = handled
	switch x := st.Cmd.(type) {
	case *syntax.CallExpr:
		w.call(x, st.Redirs, sc)
	case *syntax.BinaryCmd:
		w.binary(x, sc)
	case *syntax.IfClause:
		for c := x; c != nil; c = c.Else {
			w.stmts(c.Cond, condition)
			for _, s := range c.Cond {
				sc.guards = append(slices.Clip(sc.guards), source(s))
			}
			w.stmts(c.Then, sc)
		}
	case *syntax.WhileClause:
		w.stmts(x.Cond, condition)
		w.stmts(x.Do, sc)
	case *syntax.ForClause:
		if it, ok := x.Loop.(*syntax.WordIter); ok {
			for _, item := range it.Items {
				w.inside(item, sc)
			}
		}
		w.stmts(x.Do, sc)
	case *syntax.CaseClause:
		w.inside(x.Word, sc)
		sc.guards = append(slices.Clip(sc.guards), source(x.Word))
		for _, item := range x.Items {
			w.stmts(item.Stmts, sc)
		}
	case *syntax.Block:
		w.stmts(x.Stmts, sc)
	case *syntax.Subshell:
		sc.nested = true
		w.stmts(x.Stmts, sc)
	case *syntax.FuncDecl:
		if x.Name != nil {
			w.sh.funcs[x.Name.Value] = true
			sc.fn = x.Name.Value
		}
		sc.fail, sc.nested = fails, true
		w.stmt(x.Body, sc)
	case *syntax.TimeClause:
		if x.Stmt != nil {
			w.stmt(x.Stmt, sc)
		}
	case *syntax.CoprocClause:
		w.stmt(x.Stmt, condition)
	case *syntax.DeclClause:
		for _, a := range x.Args {
			w.inside(a.Value, condition)
		}
	case *syntax.TestClause:
		w.sh.asks(x)
	}
}

func (w *walker) binary(x *syntax.BinaryCmd, sc scope) {
	left, right := sc, sc
	switch x.Op {
	case syntax.AndStmt:
		left.fail = max(sc.fail, handled)
		right.guards = append(slices.Clip(sc.guards), source(x.X))
	case syntax.OrStmt:
		left.fail = handled
		if leaves(x.Y) {
			left.fail = exits
		} else {
			right.guards = append(slices.Clip(sc.guards), source(x.X))
		}
	case syntax.Pipe, syntax.PipeAll:
		if !w.sh.pipefail {
			left.fail = handled
		}
		left.nested, right.nested = true, true
		first := len(w.sh.calls)
		w.stmt(x.X, left)
		right.from, right.to = first, len(w.sh.calls)
		w.stmt(x.Y, right)
		return
	}
	w.stmt(x.X, left)
	w.stmt(x.Y, right)
}

// leaves tells whether a statement ends the script, or the function that is in charge.
func leaves(st *syntax.Stmt) bool {
	found := false
	syntax.Walk(st, func(n syntax.Node) bool {
		if c, ok := n.(*syntax.CallExpr); ok && len(c.Args) > 0 {
			switch c.Args[0].Lit() {
			case "exit", "return", "die", "fail", "fatal", "abort":
				found = true
			}
		}
		return !found
	})
	return found
}

// source gives the text of a node as it might stand in a script.
func source(n syntax.Node) string {
	if n.End().Offset()-n.Pos().Offset() > 2000 {
		return "" // a chain of thousands would be printed thousands of times
	}
	var b strings.Builder
	if syntax.NewPrinter(syntax.SingleLine(true)).Print(&b, n) != nil {
		return ""
	}
	return clip(b.String(), 400)
}

// inside walks the commands within a word: $(…), `…`, <(…).
func (w *walker) inside(x *syntax.Word, sc scope) {
	if x == nil {
		return
	}
	sc.subst, sc.fail, sc.nested = true, max(sc.fail, handled), true
	sc.from, sc.to, sc.heredoc = 0, 0, nil
	syntax.Walk(x, func(n syntax.Node) bool {
		switch y := n.(type) {
		case *syntax.CmdSubst:
			w.stmts(y.Stmts, sc)
			return false
		case *syntax.ProcSubst:
			w.stmts(y.Stmts, sc)
			return false
		}
		return true
	})
}

func (w *walker) call(x *syntax.CallExpr, redirs []*syntax.Redirect, sc scope) {
	if len(w.sh.calls) >= maxCalls {
		if w.sh.cut == 0 {
			w.sh.cut = w.line(x.Pos())
		}
		return
	}
	for _, a := range x.Assigns {
		inner := sc
		w.inside(a.Value, inner)
	}
	for _, a := range x.Args {
		w.inside(a, sc)
	}
	if len(x.Args) == 0 {
		return
	}
	c := call{
		env: x.Assigns, line: w.line(x.Args[0].Pos()), fail: sc.fail, guards: sc.guards, fn: sc.fn, from: sc.from, to: sc.to,
		heredoc: sc.heredoc, redirs: redirs, subst: sc.subst,
	}
	words := make([]word, len(x.Args))
	for i, a := range x.Args {
		words[i] = w.sh.word(a, w.base)
		c.source += words[i].quoted + " "
	}
	all := words
	c.before, words = unwrap(words)
	c.wrapper = all[:len(all)-len(words)]
	if len(words) == 0 {
		if n := len(c.before); n > 0 {
			c.name, c.before = c.before[n-1], c.before[:n-1]
			w.sh.calls = append(w.sh.calls, c)
		}
		return
	}
	c.word, c.args = words[0], words[1:]
	if !strings.Contains(path.Base(words[0].text), "$") {
		c.name = path.Base(words[0].text)
	}
	w.sh.calls = append(w.sh.calls, c)
	switch c.name {
	case "set":
		if !sc.nested {
			w.sh.set(&c)
		}
	case "[", "test":
		w.sh.asks(x)
	case "sh", "bash", "dash", "ksh", "su", "runuser", "eval", "trap":
		w.embedded(&c, sc)
	}
}

// embedded walks the script that is the argument of sh -c, su -c, eval or trap, or that a shell is
// given by a here-document.
func (w *walker) embedded(c *call, sc scope) {
	if w.level >= 3 {
		return
	}
	if c.name != "eval" && c.name != "trap" && len(c.heredoc) > 0 && !executes(c) {
		var b strings.Builder
		for _, l := range c.heredoc {
			b.WriteString(l.text + "\n")
		}
		w.script(b.String(), c.heredoc[0].at, sc)
		return
	}
	for i, a := range c.args {
		text := a.quoted
		switch c.name {
		case "trap":
			if len(c.args) < 2 || a.text == "" || a.text[0] == '-' {
				return
			}
		case "eval":
			if a.known {
				text = a.text
			}
		default:
			if i == 0 || !strings.HasPrefix(c.args[i-1].text, "-") || !strings.HasSuffix(c.args[i-1].text, "c") {
				continue
			}
		}
		w.script(text, a.line, sc)
		return
	}
}

// script walks a script within the script, which begins in a line.
func (w *walker) script(text string, at int, sc scope) {
	if text == "" || nesting([]byte(text)) > maxDepth {
		return
	}
	f, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil {
		return
	}
	inner := walker{sh: w.sh, base: at - 1, level: w.level + 1}
	sc.nested, sc.heredoc = true, nil
	inner.stmts(f.Stmts, sc)
}

// wrappers are the programs that run the program behind them, with their options that take a value.
var wrappers = map[string]string{
	"sudo": "ugpCrtUDRhT", "doas": "uC", "env": "uSC", "nice": "n", "ionice": "cnp", "nohup": "", "exec": "a", "command": "", "builtin": "",
	"timeout": "sk", "setsid": "", "stdbuf": "ioe", "chroot": "", "xargs": "IndPLsEa", "busybox": "", "flock": "w", "chronic": "", "time": "fo",
	"nsenter": "tSG", "unshare": "SGR", "pkexec": "", "setpriv": "", "systemd-run": "ptuMHEC", "systemd-inhibit": "", "eatmydata": "", "unbuffer": "", "cgexec": "g",
}

// longValued are their long options with a value that may be the next word.
var longValued = regexp.MustCompile(`^--(?:on-[a-z-]+|unit|(?:timer-|path-|socket-)?property|description|slice|uid|gid|working-directory|setenv|service-type|machine|host|user|group|chdir|prompt|role|type|close-from|adjustment|signal|kill-after|unset|who|why|what)$`)

// unwrap takes sudo, env, nohup and the like from before a command.
func unwrap(words []word) (before []string, rest []word) {
	for len(words) > 0 && len(before) < 8 {
		name := path.Base(words[0].text)
		valued, ok := wrappers[name]
		if !ok {
			break
		}
		i := 1
		for i < len(words) {
			t := words[i].text
			if name == "command" && (t == "-v" || t == "-V") {
				return before, words // it only asks
			}
			if name == "sudo" && (t == "-i" || t == "-s" || t == "-v" || t == "-k" || t == "-l") && i+1 == len(words) {
				return append(before, name), nil
			}
			switch {
			case t == "--":
				i++
			case strings.HasPrefix(t, "-") && len(t) > 1:
				if len(t) == 2 && strings.Contains(valued, t[1:]) || longValued.MatchString(t) && !(name == "systemd-run" && t == "--user") {
					i++
				}
				i++
				continue
			case (name == "env" || name == "sudo") && assigned(t):
				i++
				continue
			}
			break
		}
		if name == "timeout" || name == "chroot" || name == "flock" {
			i++
		}
		before = append(before, name)
		words = words[min(i, len(words)):]
	}
	return before, words
}

func assigned(t string) bool {
	k, _, ok := strings.Cut(t, "=")
	return ok && k != "" && !strings.ContainsAny(k, "/-$ ")
}
