package inside

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// maxSentence is how many bytes a sentence has, unless a name alone is longer.
const maxSentence = 200

// Sentence says in one line what changed, for people who are woken at night:
// what touches retries, waits and limits first, then what else changed.
func (d Difference) Sentence() string { return d.Summary }

// saying is a sentence while it is made.
type saying struct {
	*comparison
	parts []string
	// room is how many bytes are left.
	room int
	// said are the functions that were named.
	said map[string]bool
}

func (c *comparison) sentence() string {
	d := c.d
	head := filepath.Base(d.Name)
	if d.Old.Version != d.New.Version {
		head += " " + cmp.Or(d.Old.Version, "(unknown)") + " -> " + cmp.Or(d.New.Version, "(unknown)")
	}
	s := saying{comparison: c, room: maxSentence - len(head) - len(": "), said: map[string]bool{}}
	tail := s.toolchain()
	total := counts(len(d.Functions.Changed), "changed", len(d.Functions.Added), "added", len(d.Functions.Removed), "removed")
	s.room -= len(total) + len(tail) + 2*len("; ")
	s.touching("changed ", d.Functions.Changed)
	s.touching("added ", d.Functions.Added)
	s.touching("removed ", d.Functions.Removed)
	s.constants()
	s.modules()
	s.list("new keys ", d.Configuration.Added)
	s.list("keys gone: ", d.Configuration.Removed)
	s.rest()
	if len(s.said) < len(d.Functions.Changed)+len(d.Functions.Added)+len(d.Functions.Removed) {
		s.parts = append(s.parts, total)
	}
	if tail != "" {
		s.parts = append(s.parts, tail)
	}
	if len(s.parts) == 0 && !d.Whole() {
		return head + ": another file, in which nothing was found that changed, but not all of it can be compared"
	}
	if len(s.parts) == 0 {
		return head + ": nothing changed inside"
	}
	return head + ": " + strings.Join(s.parts, "; ")
}

func (s *saying) toolchain() string {
	if s.d.Old.Toolchain == s.d.New.Toolchain {
		return ""
	}
	return fmt.Sprintf("built by %s instead of %s", cmp.Or(s.d.New.Toolchain, "(unknown)"), cmp.Or(s.d.Old.Toolchain, "(unknown)"))
}

// most is how many things of one kind are named.
const most = 3

// list says as many items as there is room for, and how many more there are.
func (s *saying) list(prefix string, items []string) (said int) {
	text := ""
	for i, item := range items[:min(most, len(items))] {
		next := text + ", " + item
		if i == 0 {
			next = prefix + item
		}
		more := ""
		if left := len(items) - i - 1; left > 0 {
			more = fmt.Sprintf(" and %d more", left)
		}
		if len(next)+len(more) > s.room && (i > 0 || len(s.parts) > 0) {
			break
		}
		text, said = next, i+1
	}
	if said == 0 {
		return 0
	}
	if left := len(items) - said; left > 0 {
		text += fmt.Sprintf(" and %d more", left)
	}
	s.parts = append(s.parts, text)
	s.room -= len(text) + len("; ")
	return said
}

// touching says which functions that touch the vocabulary changed, with the
// constants that did in them, came or went: several methods of a type as one.
func (s *saying) touching(verb string, functions []string) {
	var items []string
	of := map[string][]string{}
	for _, n := range functions {
		item := brief(n)
		if len(touches(item)) == 0 || !s.ours(n) || slices.ContainsFunc(functions, func(p string) bool { return strings.HasPrefix(n, p+".func") }) {
			continue
		}
		if pairs := s.pairs(n); pairs != "" {
			item += " (" + pairs + ")"
		} else if i := strings.LastIndexByte(item, '.'); strings.Count(item, ".") == 2 && verb != "changed " && len(touches(item[:i])) > 0 {
			item = item[:i]
		}
		if of[item] == nil {
			items = append(items, item)
		}
		of[item] = append(of[item], n)
	}
	for i, item := range items {
		if len(of[item]) == 1 && !strings.Contains(item, " (") {
			items[i] = brief(of[item][0])
			of[items[i]] = of[item]
		}
	}
	for _, item := range items[:s.list(verb, items)] {
		for _, n := range of[item] {
			s.said[n] = true
		}
	}
}

// ours says whether a function is of the program itself or of a module that
// changed: what else came or went did so because something uses it now.
func (s *saying) ours(function string) bool {
	for _, p := range []*Fingerprint{s.old, s.new} {
		if p.Form != FormGo || strings.HasPrefix(function, "main.") || p.Main != "" && strings.HasPrefix(function, p.Main) {
			return true
		}
	}
	return slices.ContainsFunc(s.d.Modules, func(m Module) bool { return strings.HasPrefix(function, m.Path) })
}

// pairs are the constants of a function that have another value now.
func (s *saying) pairs(function string) string {
	var list []string
	for _, k := range s.d.Constants {
		if k.Where == function && k.Old != "" && k.New != "" && len(list) < 3 {
			list = append(list, k.Old+" -> "+k.New)
		}
	}
	return strings.Join(list, ", ")
}

// constants says which have another value now, then which came and went in
// functions that are in both; durations before other numbers.
func (s *saying) constants() {
	for _, waits := range []bool{true, false} {
		s.moves("", waits, func(k Move) string {
			if k.Old == "" || k.New == "" {
				return ""
			}
			return k.Old + " -> " + k.New
		})
	}
	s.moves("no longer has ", true, func(k Move) string {
		if k.New != "" {
			return ""
		}
		return k.Old
	})
	s.moves("now has ", true, func(k Move) string {
		if k.Old != "" {
			return ""
		}
		return k.New
	})
}

// moves says the constants of one kind, those of one place together.
func (s *saying) moves(verb string, waits bool, text func(Move) string) {
	var places []string
	at := map[string][]string{}
	for _, k := range s.d.Constants {
		t := text(k)
		if t == "" || s.said[k.Where] || wait(k) != waits || slices.Contains(s.d.Functions.Added, k.Where) || slices.Contains(s.d.Functions.Removed, k.Where) {
			continue
		}
		where := placeOf(k)
		if at[where] == nil {
			places = append(places, where)
		}
		at[where] = append(at[where], t)
	}
	items := make([]string, len(places))
	for i, where := range places {
		list := at[where]
		if len(list) > 3 {
			list = append(list[:3:3], fmt.Sprintf("%d more", len(list)-3))
		}
		items[i] = where + " " + verb + strings.Join(list, ", ")
	}
	if !waits && len(items) > maxNumbers {
		return // offsets of fields, more likely than not
	}
	s.list("", items)
}

// maxNumbers is in how many places numbers that are no durations may have
// changed for people to have meant it.
const maxNumbers = 6

// placeOf names where a constant is.
func placeOf(k Move) string {
	if !strings.HasPrefix(k.Where, ".") {
		return brief(k.Where)
	}
	for _, n := range k.UsedBy {
		if n = brief(n); len(touches(n)) > 0 {
			return "variable of " + n
		}
	}
	if len(k.UsedBy) > 0 {
		return "variable of " + brief(k.UsedBy[0])
	}
	return "a variable"
}

// wait says whether a constant is a duration.
func wait(k Move) bool {
	_, err := time.ParseDuration(cmp.Or(k.New, k.Old))
	return err == nil && strings.Trim(cmp.Or(k.New, k.Old), "-0123456789") != ""
}

func (s *saying) modules() {
	var items []string
	for _, m := range s.d.Modules {
		items = append(items, fmt.Sprintf("%s %s -> %s", m.Path, cmp.Or(m.Old, "(none)"), cmp.Or(m.New, "(none)")))
	}
	s.list("module ", items)
}

// rest says what is only said if nothing else is.
func (s *saying) rest() {
	d := s.d
	if len(s.parts) == 0 {
		s.named("changed ", d.Functions.Changed)
		s.named("added ", d.Functions.Added)
		s.named("removed ", d.Functions.Removed)
	}
	if n := len(d.Strings.Added) + len(d.Strings.Removed); n > 0 && len(s.parts) == 0 {
		s.parts = append(s.parts, plural(n, "string")+" came or went")
	}
	var settings []string
	for _, k := range d.Settings {
		settings = append(settings, fmt.Sprintf("%s %s -> %s", k.Name, cut(cmp.Or(k.Old, "(none)")), cut(cmp.Or(k.New, "(none)"))))
	}
	if f := d.Functions; len(s.parts)+len(f.Added)+len(f.Removed)+len(f.Changed) > 0 {
		return
	}
	if f := d.Functions.Generated; f != nil {
		s.parts = append(s.parts, plural(len(f.Added)+len(f.Removed)+len(f.Changed), "function")+" that the compiler wrote came, went or changed")
		return
	}
	prefix := "only build settings differ: "
	if s.new.Form != FormGo {
		prefix = "only settings differ: "
	}
	s.list(prefix, settings)
}

// named says the program's own functions.
func (s *saying) named(verb string, functions []string) {
	var names, items []string
	for _, n := range functions {
		if s.ours(n) {
			names, items = append(names, n), append(items, brief(n))
		}
	}
	for _, n := range names[:s.list(verb, items)] {
		s.said[n] = true
	}
}

// cut shortens what is too long to be read at a glance.
func cut(text string) string {
	if len(text) > 40 {
		return strings.ToValidUTF8(text[:32], "") + "..."
	}
	return text
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

var (
	instance = regexp.MustCompile(`\[[^\[\]]*\]`)
	receiver = regexp.MustCompile(`\(\*?([^()]*)\)`)
)

// brief is a function's name without the path of its package: backoff.Linear.Wait.
func brief(name string) string {
	for instance.MatchString(name) {
		name = instance.ReplaceAllString(name, "")
	}
	if at, _, _ := strings.Cut(name, "("); strings.Contains(at, "/") {
		name = name[strings.LastIndexByte(at, '/')+1:]
	}
	return receiver.ReplaceAllString(name, "$1")
}

// counts tells of functions: "1 function changed, 2 added".
func counts(args ...any) string {
	var parts []string
	for i := 0; i+1 < len(args); i += 2 {
		n := args[i].(int)
		switch {
		case n == 0:
		case len(parts) > 0:
			parts = append(parts, fmt.Sprintf("%d %s", n, args[i+1]))
		default:
			parts = append(parts, fmt.Sprintf("%s %s", plural(n, "function"), args[i+1]))
		}
	}
	return strings.Join(parts, ", ")
}
