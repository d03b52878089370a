package inside

import (
	"regexp"
	"slices"
)

// strings finds the texts that came and went: those of functions that changed
// and of variables, as far as they were nowhere in the other build.
func (c *comparison) strings() {
	var changedOld, changedNew []int
	for _, p := range c.pairs.changed {
		changedOld, changedNew = append(changedOld, p[0]), append(changedNew, p[1])
	}
	came := c.new.used(append(changedNew, c.pairs.added...), c.old)
	went := c.old.used(append(changedOld, c.pairs.removed...), c.new)
	c.d.Strings = CameWent{Added: came, Removed: went}
}

// used are the texts of functions and variables that the other build lacks.
func (p *Fingerprint) used(functions []int, other *Fingerprint) []string {
	has := map[string]bool{}
	for _, t := range other.Texts {
		has[t] = true
	}
	out := []string{}
	add := func(i int32) {
		if t := p.Texts[i]; !has[t] && t != p.Toolchain && !isModuleText([]byte(t)) {
			has[t] = true
			out = append(out, t)
		}
	}
	for _, i := range functions {
		for _, t := range p.Functions[i].Strings {
			add(t)
		}
	}
	for _, t := range p.DataTexts {
		add(t)
	}
	slices.Sort(out)
	return out
}

// setting matches the names of environment variables, and of flags and keys that
// have more than one part.
var setting = regexp.MustCompile(`^(?:[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|-{0,2}[a-z][a-z0-9]*(?:[-_.][a-z0-9]+)+)$`)

// configuration finds the names of settings that came and went.
func (c *comparison) configuration() {
	old, new := map[string]bool{}, map[string]bool{}
	for _, k := range c.old.Keys {
		old[k] = true
	}
	for _, k := range c.new.Keys {
		new[k] = true
	}
	for _, t := range c.d.Strings.Added {
		if len(t) <= 64 && setting.MatchString(t) {
			new[t] = true
		}
	}
	for _, t := range c.d.Strings.Removed {
		if len(t) <= 64 && setting.MatchString(t) {
			old[t] = true
		}
	}
	added, removed := cameWent(old, new)
	c.d.Configuration = CameWent{Added: added, Removed: removed}
}

// callees finds whom the changed functions call now, and no more.
func (c *comparison) callees() {
	if !c.same {
		return
	}
	for _, p := range c.pairs.changed {
		added, removed := cameWent(c.old.callees(p[0]), c.new.callees(p[1]))
		if len(added)+len(removed) > 0 {
			c.d.Callees = append(c.d.Callees, CalleesOf{c.new.Functions[p[1]].label(), added, removed})
		}
	}
}

// inserted matches what the compiler calls by itself.
var inserted = regexp.MustCompile(`^runtime\.(morestack|gcWriteBarrier|wbMove|wbZero|panic(Index|Slice|Bounds|divide|shift|wrap|dottype)|duff|racefunc|memmove|memclr|typedmem)`)

func (p *Fingerprint) callees(i int) map[string]bool {
	names := map[string]bool{}
	for _, k := range p.Functions[i].Callees {
		if n := p.Functions[k].Name; n != "" && !inserted.MatchString(n) {
			names[n] = true
		}
	}
	return names
}
