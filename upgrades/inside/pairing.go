package inside

import (
	"bytes"
	"encoding/binary"
	"slices"

	"aftershock/upgrades/inside/machine"
)

// pairing says which function of the old build is which of the new one.
type pairing struct {
	before, after  *Fingerprint
	same, changed  [][2]int
	removed, added []int
}

// pair goes by names; functions of one name (instances of generics, init) are
// told apart by their code. Closures are numbered in their order, so that a new
// one renames those after it: what has another number and the same code is the
// same.
func pair(before, after *Fingerprint, exact bool) (p pairing) {
	p.before, p.after = before, after
	old, new := before.Functions, after.Functions
	groups := map[string]*[2][]int{}
	var order []string
	var nameless [2][]int
	for k, list := range [2][]Function{old, new} {
		for i := range list {
			n := list[i].Name
			if n == "" {
				nameless[k] = append(nameless[k], i)
				continue
			}
			g := groups[n]
			if g == nil {
				g = &[2][]int{}
				groups[n] = g
				order = append(order, n)
			}
			g[k] = append(g[k], i)
		}
	}
	var left [2][]int
	for _, n := range order {
		g := groups[n]
		olds, news := p.cancel(old, new, g[0], g[1])
		left[0], left[1] = append(left[0], olds...), append(left[1], news...)
	}
	if exact {
		left = p.renumbered(old, new, left)
	}
	p.rest(old, new, left)
	p.ordered(old, new, nameless)
	return p
}

// ordered pairs functions without names: first those with the same code, then,
// as linkers keep the order, those that stand after the same function.
func (p *pairing) ordered(old, new []Function, nameless [2][]int) {
	from := len(p.same)
	olds, news := p.cancel(old, new, nameless[0], nameless[1])
	partner, known := make([]int, len(old)), make([]int, len(new))
	for _, s := range p.same[from:] {
		partner[s[0]], known[s[1]] = s[1]+1, s[1]+1
	}
	// Each place says which function of the new build that is known stands
	// before it.
	for _, list := range [][]int{partner, known} {
		for i := 1; i < len(list); i++ {
			if list[i] == 0 {
				list[i] = list[i-1]
			}
		}
	}
	waiting := map[int][]int{}
	for _, i := range news {
		waiting[known[i]] = append(waiting[known[i]], i)
	}
	for _, i := range olds {
		k := partner[i]
		if l := waiting[k]; len(l) > 0 {
			p.changed = append(p.changed, [2]int{i, l[0]})
			waiting[k] = l[1:]
			continue
		}
		p.removed = append(p.removed, i)
	}
	var added []int
	for _, l := range waiting {
		added = append(added, l...)
	}
	slices.Sort(added)
	p.added = append(p.added, added...)
}

// maxTried is with how many functions of the same code one is compared.
const maxTried = 64

// cancel pairs those with the same digest and the same constants: first those
// whose constants reach equally far, which most do.
func (p *pairing) cancel(old, new []Function, olds, news []int) (restOld, restNew []int) {
	exact, byCode := map[machine.Digest][]int{}, map[machine.Digest][]int{}
	for _, i := range news {
		d := p.after.exact(&new[i])
		exact[d] = append(exact[d], i)
	}
	taken := map[int]bool{}
	match := func(i, j int) {
		p.same = append(p.same, [2]int{i, j})
		taken[j] = true
	}
	var left []int
	for _, i := range olds {
		d := p.before.exact(&old[i])
		if l := exact[d]; len(l) > 0 {
			match(i, l[0])
			exact[d] = l[1:]
			continue
		}
		left = append(left, i)
	}
	for _, i := range news {
		if !taken[i] {
			byCode[new[i].Full] = append(byCode[new[i].Full], i)
		}
	}
	for _, i := range left {
		list := byCode[old[i].Full]
		k := slices.IndexFunc(list[:min(maxTried, len(list))], func(j int) bool { return p.agree(&old[i], &new[j]) })
		if k < 0 {
			restOld = append(restOld, i)
			continue
		}
		match(i, list[k])
		list[k] = list[0]
		byCode[old[i].Full] = list[1:]
	}
	for _, i := range news {
		if !taken[i] {
			restNew = append(restNew, i)
		}
	}
	return restOld, restNew
}

// exact digests a function with the constants it refers to, as far as they reach.
func (p *Fingerprint) exact(f *Function) machine.Digest {
	if len(f.Pieces) == 0 {
		return f.Full
	}
	b := binary.LittleEndian.AppendUint64(nil, f.Full[0])
	for _, k := range f.Pieces {
		b = binary.LittleEndian.AppendUint64(append(b, p.Pieces[k].Bytes...), uint64(len(p.Pieces[k].Bytes)))
	}
	return machine.Sum(b)
}

// agree says whether the constants that two functions take the addresses of are
// the same, as far as both reach.
func (p *pairing) agree(old, new *Function) bool {
	if len(old.Pieces) != len(new.Pieces) {
		return false
	}
	for i, k := range old.Pieces {
		if !p.before.Pieces[k].agrees(p.after.Pieces[new.Pieces[i]]) {
			return false
		}
	}
	return true
}

// agrees says whether both are the same as far as they reach, each byte as the
// part of an address or of a number.
func (c Piece) agrees(with Piece) bool {
	n := min(len(c.Bytes), len(with.Bytes))
	if bytes.Equal(c.Bytes[:n], with.Bytes[:n]) {
		return true
	}
	a, b := c.Raw, with.Raw
	if a == nil && b == nil {
		return false
	}
	if a == nil {
		a = c.Bytes
	}
	if b == nil {
		b = with.Bytes
	}
	for i := range n {
		if c.Bytes[i] != with.Bytes[i] && (i >= len(a) || i >= len(b) || a[i] != b[i]) {
			return false
		}
	}
	return true
}

func (p *pairing) renumbered(old, new []Function, left [2][]int) (rest [2][]int) {
	groups := map[string]*[2][]int{}
	var order []string
	for k, list := range [2][]Function{old, new} {
		for _, i := range left[k] {
			n := plain(list[i].Name)
			if n == list[i].Name {
				rest[k] = append(rest[k], i)
				continue
			}
			if groups[n] == nil {
				groups[n] = &[2][]int{}
				order = append(order, n)
			}
			groups[n][k] = append(groups[n][k], i)
		}
	}
	for _, n := range order {
		olds, news := p.cancel(old, new, groups[n][0], groups[n][1])
		rest[0], rest[1] = append(rest[0], olds...), append(rest[1], news...)
	}
	return rest
}

// rest pairs what is left by name in order; what has no partner came or went.
func (p *pairing) rest(old, new []Function, left [2][]int) {
	byName := map[string][]int{}
	for _, i := range left[1] {
		byName[new[i].Name] = append(byName[new[i].Name], i)
	}
	taken := map[int]bool{}
	for _, i := range left[0] {
		if l := byName[old[i].Name]; len(l) > 0 {
			p.changed = append(p.changed, [2]int{i, l[0]})
			taken[l[0]] = true
			byName[old[i].Name] = l[1:]
			continue
		}
		p.removed = append(p.removed, i)
	}
	for _, i := range left[1] {
		if !taken[i] {
			p.added = append(p.added, i)
		}
	}
}

// functions fills in the names of what came, went and changed.
func (c *comparison) functions() {
	p := pair(c.old, c.new, c.same)
	c.pairs = p
	f := Functions{Added: []string{}, Removed: []string{}, Changed: []string{}}
	w := Written{Added: []string{}, Removed: []string{}, Changed: []string{}}
	put := func(fn *Function, in *Fingerprint, person, compiler *[]string) bool {
		if !c.same && !in.own(fn.Name) {
			return false
		}
		if fn.Generated {
			person = compiler
		}
		*person = append(*person, fn.label())
		return true
	}
	skipped := 0
	for _, i := range p.added {
		if !put(&c.new.Functions[i], c.new, &f.Added, &w.Added) {
			skipped++
		}
	}
	for _, i := range p.removed {
		if !put(&c.old.Functions[i], c.old, &f.Removed, &w.Removed) {
			skipped++
		}
	}
	if skipped > 0 {
		c.note("%d functions of Go's own library came or went with the build and are not listed", skipped)
	}
	if c.same {
		c.swapped()
		for _, pair := range c.pairs.changed {
			put(&c.new.Functions[pair[1]], c.new, &f.Changed, &w.Changed)
		}
	}
	for _, list := range []*[]string{&f.Added, &f.Removed, &f.Changed, &w.Added, &w.Removed, &w.Changed} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	if len(w.Added)+len(w.Removed)+len(w.Changed) > 0 {
		f.Generated = &w
	}
	c.d.Functions = f
}
