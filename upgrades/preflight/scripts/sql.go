package scripts

import (
	"bytes"
	"path"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Statement is SQL that a shell script hands to a database's client: statements in a
// here-document, in an option ("psql -c"), through a pipe, or in a file that it names.
type Statement struct {
	// Line is the script's line that the first line of Text is, or that the call stands in.
	Line int
	// Text is the SQL, with values of the script's variables where they are known and
	// "$NAME" where not; empty where it stands in File.
	Text string
	// File is the file that the client reads, as the script names it.
	File string
	// Undoes tells that the script takes the upgrade back.
	Undoes bool
	// Dialect is "postgresql" or "mysql", by the client.
	Dialect string
	// Single tells that all of it is one transaction (psql -1).
	Single bool
}

// SQL gives what a shell script hands to psql, mysql and mariadb, in the order of the script. Of a script that can't
// be parsed it gives what stands before the fault; of what is no shell script, nothing.
func SQL(s Script) (all []Statement) {
	if len(s.Text) > MaxText || bytes.IndexByte(s.Text, 0) >= 0 || kindOf(s.Path, firstLine(s.Text)) != kindShell {
		return nil
	}
	sh, _ := parse(s)
	if sh == nil {
		return nil
	}
	for i := range sh.calls {
		k := &sh.calls[i]
		switch k.name {
		case "psql":
			all = append(all, sh.client(k, "postgresql", "cf", "--command", "--file", k.has('1', "--single-transaction"))...)
		case "mysql", "mariadb":
			all = append(all, sh.client(k, "mysql", "e", "--execute", "", false)...)
		}
	}
	for i := range all {
		all[i].Undoes = remover(s.Path)
	}
	return all
}

// client gives the SQL of one call. letters are the options of a text and of a file.
func (s *shell) client(k *call, dialect, letters, text, file string, single bool) []Statement {
	var all []Statement
	add := func(x Statement) {
		x.Dialect, x.Single = dialect, single
		if strings.TrimSpace(x.Text) != "" || x.File != "" {
			all = append(all, x)
		}
	}
	for i := 0; i < len(k.args); i++ {
		a := k.args[i]
		value, option := a, byte(0)
		switch t := a.text; {
		case len(t) > 1 && t[0] == '-' && t[1] != '-' && strings.IndexByte(letters, t[len(t)-1]) >= 0 && !strings.ContainsAny(t, "=/ ") && len(t) <= 5:
			if i+1 == len(k.args) {
				continue
			}
			i++
			option, value = t[len(t)-1], k.args[i]
		case strings.HasPrefix(t, text+"="):
			option, value.text = letters[0], t[len(text)+1:]
		case file != "" && strings.HasPrefix(t, file+"="):
			option, value.text = 'f', t[len(file)+1:]
		case t == text || file != "" && t == file:
			if i+1 == len(k.args) {
				continue
			}
			i++
			option, value = letters[0], k.args[i]
			if t == file {
				option = 'f'
			}
		default:
			continue
		}
		if option == 'f' {
			add(Statement{Line: value.line, File: value.text})
		} else {
			add(Statement{Line: value.line, Text: value.text})
		}
	}
	lines := k.heredoc
	if k.to > k.from {
		lines = append(lines[:len(lines):len(lines)], s.fed(k.from, k.to)...)
		for i := k.from; i < k.to; i++ {
			if g := &s.calls[i]; g.name == "cat" && len(g.args) == 1 && path.Ext(g.args[0].text) == ".sql" {
				add(Statement{Line: g.line, File: g.args[0].text})
			}
		}
	}
	for _, t := range gather(kindNone, s.path, "", lines) {
		add(Statement{Line: t.line, Text: strings.Join(t.lines, "\n")})
	}
	for _, r := range k.redirs {
		if r.Op == syntax.RdrIn && r.Word != nil {
			add(Statement{Line: k.line, File: s.word(r.Word, 0).text})
		}
	}
	return all
}
