package inside

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// comparison is two fingerprints while they are compared.
type comparison struct {
	old, new *Fingerprint
	d        *Difference
	// same says that both were built alike, so that code can be compared.
	same  bool
	pairs pairing
	// moved are the constants that are told.
	moved map[[3]string]bool
}

// Compare tells what changed in a program from one build to another.
func Compare(name string, old, new Fingerprint) Difference {
	d := Difference{
		Name: name, Old: side(old), New: side(new),
		Topics: []Topic{}, Modules: []Module{}, Settings: []Setting{}, Constants: []Move{}, Callees: []CalleesOf{}, Notes: []string{},
	}
	c := comparison{old: &old, new: &new, d: &d, moved: map[[3]string]bool{}}
	c.modules()
	c.settings()
	c.same = c.alike()
	c.functions()
	c.constants()
	c.variables()
	c.callees()
	c.strings()
	c.configuration()
	for _, note := range slices.Concat(old.Notes, new.Notes) {
		c.note("%s", note)
	}
	c.d.Decoded = old.Form == new.Form && slices.Contains([]Form{FormGo, FormELF, FormJAR}, old.Form)
	c.d.order()
	c.d.Topics = topics(c.d)
	c.d.Summary = c.sentence()
	return d
}

func side(p Fingerprint) Side {
	return Side{Path: p.Path, SHA256: p.SHA256, BuildID: p.BuildID, Version: p.Version, Toolchain: p.Toolchain}
}

func (c *comparison) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(c.d.Notes, text) {
		c.d.Notes = append(c.d.Notes, text)
	}
}

// keysOf are the keys of both maps in order.
func keysOf(a, b map[string]string) []string {
	both := maps.Clone(a)
	if both == nil {
		both = map[string]string{}
	}
	maps.Copy(both, b)
	return slices.Sorted(maps.Keys(both))
}

func (c *comparison) modules() {
	for _, k := range keysOf(c.old.Modules, c.new.Modules) {
		old, new := c.old.Modules[k], c.new.Modules[k]
		if old == new {
			continue
		}
		// Where versions differ, they say it all; where one was replaced by a
		// directory, the directory must.
		o, _, _ := strings.Cut(old, " => ")
		n, _, _ := strings.Cut(new, " => ")
		if o != n {
			old, new = o, n
		}
		c.d.Modules = append(c.d.Modules, Module{k, old, new})
	}
}

func (c *comparison) settings() {
	for _, k := range keysOf(c.old.Settings, c.new.Settings) {
		if old, new := c.old.Settings[k], c.new.Settings[k]; old != new {
			c.d.Settings = append(c.d.Settings, Setting{k, old, new})
		}
	}
}

// shaping are the settings that change the code of every function.
var shaping = []string{
	"GOARCH", "GOOS", "GOAMD64", "GOARM64", "GOARM", "GO386", "GOEXPERIMENT", "-buildmode", "-compiler", "-gcflags", "-race", "-msan", "-asan", "-cover", "-pgo",
}

// alike says whether functions can be compared by their code.
func (c *comparison) alike() bool {
	if c.old.Form != c.new.Form {
		c.note("the files are of different forms (%s, %s): only names and strings are compared", c.old.Form, c.new.Form)
		return false
	}
	if c.old.Form == FormJAR && c.old.Toolchain != c.new.Toolchain {
		c.note("the archives were built by %s and by %s, which may change every class", c.old.Toolchain, c.new.Toolchain)
		return true
	}
	if c.old.Toolchain != c.new.Toolchain {
		c.note("the toolchain changed from %s to %s, and with it the code of every function: only modules, names, constants and strings are compared", c.old.Toolchain, c.new.Toolchain)
		return false
	}
	for _, k := range shaping {
		if old, new := c.old.Settings[k], c.new.Settings[k]; old != new {
			c.note("the setting %s changed from %q to %q, and with it the code of every function: only modules, names, constants and strings are compared", k, old, new)
			return false
		}
	}
	if c.old.Machine != c.new.Machine {
		c.note("the architecture changed from %q to %q: only modules, names, constants and strings are compared", c.old.Machine, c.new.Machine)
		return false
	}
	return true
}

// own says whether a function is of the program's modules, not of Go's library.
func (p *Fingerprint) own(function string) bool {
	if p.Form != FormGo {
		return true
	}
	if strings.HasPrefix(function, "main.") || p.Main != "" && strings.HasPrefix(function, p.Main) {
		return true
	}
	if i := strings.IndexByte(function, '.'); i >= 0 && !strings.Contains(function[:i], "/") && p.Modules[function[:i]] != "" {
		return true
	}
	// A path whose first part has a dot is no package of Go's library.
	first, rest, found := strings.Cut(function, "/")
	if found && strings.Contains(first, ".") && rest != "" && !strings.ContainsAny(first, "([*") {
		return first != "vendor"
	}
	_, ok := p.Modules[first]
	return ok
}

// cameWent gives what is only in the one and only in the other, in order.
func cameWent(old, new map[string]bool) (added, removed []string) {
	added, removed = []string{}, []string{}
	for s := range new {
		if !old[s] {
			added = append(added, s)
		}
	}
	for s := range old {
		if !new[s] {
			removed = append(removed, s)
		}
	}
	slices.Sort(added)
	slices.Sort(removed)
	return added, removed
}
