package inside

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
)

// shown is how many lines of one kind a text has.
const shown = 40

// Write tells the difference to people.
func (d Difference) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, clean(d.Summary))
	if len(d.Topics) > 0 {
		fmt.Fprintf(t, "  touches\t%s\n", clean(strings.Join(d.Touches(), ", ")))
	}
	for _, p := range []struct{ what, old, new string }{
		{"version", d.Old.Version, d.New.Version},
		{"toolchain", d.Old.Toolchain, d.New.Toolchain},
		{"build id", short(d.Old.BuildID), short(d.New.BuildID)},
	} {
		if p.old != p.new {
			fmt.Fprintf(t, "  %s\t%s -> %s\n", p.what, clean(dash(p.old)), clean(dash(p.new)))
		}
	}
	l := lines{w: t}
	for _, k := range d.Constants {
		used := ""
		if len(k.UsedBy) > 0 {
			used = "\tread by " + strings.Join(k.UsedBy[:min(3, len(k.UsedBy))], ", ")
		}
		l.line("constants", "", fmt.Sprintf("%s\t%s -> %s%s", k.Where, dash(k.Old), dash(k.New), used))
	}
	l.list("functions", d.Functions.Changed, d.Functions.Added, d.Functions.Removed)
	for _, k := range d.Callees {
		for _, n := range k.Added {
			l.line("callees", "+ ", k.Function+"\tcalls "+n)
		}
		for _, n := range k.Removed {
			l.line("callees", "- ", k.Function+"\tno longer calls "+n)
		}
	}
	for _, m := range d.Modules {
		l.line("modules", "", fmt.Sprintf("%s\t%s -> %s", m.Path, dash(m.Old), dash(m.New)))
	}
	for _, s := range d.Settings {
		l.line("settings", "", fmt.Sprintf("%s\t%s -> %s", s.Name, dash(s.Old), dash(s.New)))
	}
	l.list("configuration", nil, d.Configuration.Added, d.Configuration.Removed)
	l.list("strings", nil, quoted(d.Strings.Added), quoted(d.Strings.Removed))
	if g := d.Functions.Generated; g != nil {
		l.list("generated", g.Changed, g.Added, g.Removed)
	}
	l.end()
	for _, n := range d.Notes {
		fmt.Fprintf(t, "  note\t%s\n", clean(n))
	}
	return t.Flush()
}

// clean leaves nothing in a text that a terminal would obey; tabs stay, they part
// columns.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// lines writes lists, no more of each than people read.
type lines struct {
	w    io.Writer
	what string
	n    int
}

func (l *lines) line(what, mark, text string) {
	if what != l.what {
		l.end()
		l.what, l.n = what, 0
		fmt.Fprintf(l.w, "  %s\t", what)
	} else if l.n < shown {
		fmt.Fprint(l.w, "  \t")
	}
	if l.n++; l.n <= shown {
		fmt.Fprintf(l.w, "%s%s\n", mark, clean(text))
	}
}

func (l *lines) end() {
	if l.n > shown {
		fmt.Fprintf(l.w, "  \tand %d more (--format json has them all)\n", l.n-shown)
	}
	l.n = 0
}

func (l *lines) list(what string, changed, added, removed []string) {
	for _, n := range changed {
		l.line(what, "~ ", n)
	}
	for _, n := range added {
		l.line(what, "+ ", n)
	}
	for _, n := range removed {
		l.line(what, "- ", n)
	}
}

func quoted(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		if len(s) > 100 {
			s = strings.ToValidUTF8(s[:100], "") + "…"
		}
		out[i] = fmt.Sprintf("%q", s)
	}
	return out
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// short leaves of a build id what tells it from others.
func short(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}
