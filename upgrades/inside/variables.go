package inside

import (
	"slices"
)

// spot is a place in a section.
type spot struct {
	section string
	offset  uint64
}

// swapped finds functions whose code is the same but which use another variable
// than before. Variables have no names in a stripped file, but each function
// that didn't change says which variable is which: where most agree and one
// doesn't, that one uses another.
func (c *comparison) swapped() {
	votes := c.votes()
	old, new := map[int32]int32{}, map[int32]int32{}
	oldMost, newMost := map[int32]int{}, map[int32]int{}
	for v, n := range votes {
		if n > oldMost[v[0]] || n == oldMost[v[0]] && v[1] < old[v[0]] {
			old[v[0]], oldMost[v[0]] = v[1], n
		}
		if n > newMost[v[1]] || n == newMost[v[1]] && v[0] < new[v[1]] {
			new[v[1]], newMost[v[1]] = v[0], n
		}
	}
	var same [][2]int
	for _, p := range c.pairs.same {
		o, n := &c.old.Functions[p[0]], &c.new.Functions[p[1]]
		other := false
		if len(o.Variables) == len(n.Variables) {
			for i, a := range o.Variables {
				b := n.Variables[i]
				if old[a] != b && new[b] != a && votes[[2]int32{a, b}] < min(oldMost[a], newMost[b]) {
					other = true
				}
			}
		}
		if other {
			c.pairs.changed = append(c.pairs.changed, p)
			continue
		}
		same = append(same, p)
	}
	c.pairs.same = same
}

// votes counts which variable of the old build stands where which of the new
// one does, in functions of one shape.
func (c *comparison) votes() map[[2]int32]int {
	votes := map[[2]int32]int{}
	for _, list := range [][][2]int{c.pairs.same, c.pairs.changed} {
		for _, p := range list {
			o, n := &c.old.Functions[p[0]], &c.new.Functions[p[1]]
			if o.Shape != n.Shape || len(o.Variables) != len(n.Variables) {
				continue
			}
			for i, a := range o.Variables {
				votes[[2]int32{a, n.Variables[i]}]++
			}
		}
	}
	return votes
}

// variables compares what variables hold at the start: by name where there are
// symbols, else by the functions that use them, and what neither tells as the
// durations that came and went.
func (c *comparison) variables() {
	toldOld, toldNew := map[spot]bool{}, map[spot]bool{}
	if c.old.Named && c.new.Named {
		c.named(toldOld, toldNew)
	} else if c.same {
		c.used(toldOld, toldNew)
	}
	c.sections(toldOld, toldNew)
	c.words(toldOld, toldNew)
}

func (c *comparison) named(toldOld, toldNew map[spot]bool) {
	byName := map[string]*Variable{}
	for i := range c.old.Variables {
		if v := &c.old.Variables[i]; v.Name != "" && v.Width == 8 || byName[v.Name] == nil {
			byName[v.Name] = v
		}
	}
	users := c.users(c.new)
	seen := map[string]bool{}
	for i := range c.new.Variables {
		n := &c.new.Variables[i]
		o := byName[n.Name]
		if n.Name == "" || o == nil || o.Width != n.Width || seen[n.Name] || !c.new.own(n.Name) && !c.same {
			continue
		}
		changed := c.variable(o, n, users[int32(i)])
		if changed {
			seen[n.Name] = true
		}
		if !o.Opaque && !n.Opaque && (changed || o.Width == 8) {
			toldOld[spot{o.Section, o.Offset}], toldNew[spot{n.Section, n.Offset}] = true, true
		}
	}
}

// used goes by the functions that use a variable.
func (c *comparison) used(toldOld, toldNew map[spot]bool) {
	votes := c.votes()
	type vote struct {
		pair [2]int32
		n    int
	}
	var list []vote
	for p, n := range votes {
		list = append(list, vote{p, n})
	}
	slices.SortFunc(list, func(a, b vote) int {
		if a.n != b.n {
			return b.n - a.n
		}
		if a.pair[0] != b.pair[0] {
			return int(a.pair[0]) - int(b.pair[0])
		}
		return int(a.pair[1]) - int(b.pair[1])
	})
	users := c.users(c.new)
	doneOld, doneNew := map[int32]bool{}, map[int32]bool{}
	for _, v := range list {
		if doneOld[v.pair[0]] || doneNew[v.pair[1]] {
			continue
		}
		doneOld[v.pair[0]], doneNew[v.pair[1]] = true, true
		o, n := &c.old.Variables[v.pair[0]], &c.new.Variables[v.pair[1]]
		at, to := spot{o.Section, o.Offset}, spot{n.Section, n.Offset}
		if toldOld[at] || toldNew[to] {
			continue
		}
		if !c.variable(o, n, users[v.pair[1]]) && o.Width < 8 {
			continue
		}
		if !o.Opaque && !n.Opaque {
			toldOld[at], toldNew[to] = true, true
		}
	}
}

// users are the names of the functions that use each variable.
func (c *comparison) users(p *Fingerprint) map[int32][]string {
	users := map[int32][]string{}
	for i := range p.Functions {
		f := &p.Functions[i]
		for _, v := range f.Variables {
			if l := users[v]; (len(l) == 0 || l[len(l)-1] != f.label()) && len(l) < 20 {
				users[v] = append(l, f.label())
			}
		}
	}
	return users
}

// variable notes a variable that holds something else.
func (c *comparison) variable(o, n *Variable, users []string) bool {
	if o.Opaque || n.Opaque || o.Width != n.Width || o.Kind != n.Kind || o.Bits == n.Bits {
		return false
	}
	before, after := Constant{Bits: o.Bits, Kind: o.Kind}, Constant{Bits: n.Bits, Kind: n.Kind}
	if n.Kind == Float && n.Width == 4 {
		before, after = single(o.Bits), single(n.Bits)
	}
	where := n.Name
	if where == "" {
		if where = n.Section; o.Bits != 0 && n.Bits == 0 {
			where = o.Section // a variable that begins at zero has no bytes in the file
		}
	}
	if users == nil {
		users = []string{}
	}
	slices.Sort(users)
	c.move(where, &before, &after, slices.Compact(users))
	return true
}

// words compares durations as a multiset and pairs those that went with those
// that came in the order of their places.
func (c *comparison) words(toldOld, toldNew map[spot]bool) {
	count := map[int64]int{}
	for _, w := range c.old.Words {
		if !toldOld[spot{w.Section, w.Offset}] {
			count[w.Value]++
		}
	}
	var came, went []Word
	for _, w := range c.new.Words {
		if toldNew[spot{w.Section, w.Offset}] {
			continue
		}
		if count[w.Value] > 0 {
			count[w.Value]--
			continue
		}
		came = append(came, w)
	}
	for i := len(c.old.Words) - 1; i >= 0; i-- {
		if w := c.old.Words[i]; !toldOld[spot{w.Section, w.Offset}] && count[w.Value] > 0 {
			count[w.Value]--
			went = append(went, w)
		}
	}
	slices.Reverse(went)
	if !c.same {
		came, went = moved(came), moved(went)
	}
	for i := range max(len(came), len(went)) {
		var before, after *Constant
		var where string
		if i < len(went) {
			before, where = &Constant{Bits: uint64(went[i].Value)}, went[i].place()
		}
		if i < len(came) {
			after, where = &Constant{Bits: uint64(came[i].Value)}, came[i].place()
		}
		c.move(where, before, after, nil)
	}
}

// moved keeps what is surely a duration: another Go's library has other words.
func moved(list []Word) (out []Word) {
	for _, w := range list {
		if duration(w.Value, roundest) {
			out = append(out, w)
		}
	}
	return out
}

func (w Word) place() string {
	if w.Name != "" {
		return w.Name
	}
	return w.Section
}
