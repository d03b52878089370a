package settings

import (
	"path"
	"strings"
)

// owners tells whose configuration a use is.
type owners struct {
	// known are the components and binaries of the matrix, squeezed.
	known map[string]bool
	names []string
	files map[string]string
}

func newOwners(m Matrix) *owners {
	o := &owners{known: map[string]bool{}, files: map[string]string{}}
	for i := range m.Rows {
		for _, n := range append([]string{m.Rows[i].Component}, m.Rows[i].Binaries...) {
			if s := squeeze(n); s != "" && !o.known[s] {
				o.known[s] = true
				o.names = append(o.names, strings.ToLower(n))
			}
		}
	}
	return o
}

// of is the component, squeezed, whose the use is; empty where nothing says so.
func (o *owners) of(u Use) string {
	if s := squeeze(u.Component); o.known[s] {
		return s
	}
	if s, ok := o.files[u.File]; ok {
		return s
	}
	s := o.ofPath(u.File)
	o.files[u.File] = s
	return s
}

// ofPath finds the longest component that a part of the path is or begins with:
// dten-checkout.d, dten-checkout-production.yaml.
func (o *owners) ofPath(file string) string {
	best := ""
	for part := range strings.SplitSeq(strings.ToLower(path.Clean(file)), "/") {
		for _, n := range o.names {
			rest, ok := strings.CutPrefix(part, n)
			if ok && (rest == "" || strings.ContainsRune("-_.@", rune(rest[0]))) && len(squeeze(n)) > len(best) {
				best = squeeze(n)
			}
		}
	}
	return best
}

// concerns says whether a use can be one of the row's key: it is of its component, or of nobody.
func (o *owners) concerns(u Use, r *Row) bool {
	owner := o.of(u)
	return owner == "" || r.of(owner)
}

// of says whether an owner is the row's component or one of its binaries.
func (r *Row) of(owner string) bool {
	if squeeze(r.Component) == owner {
		return true
	}
	for _, b := range r.Binaries {
		if squeeze(b) == owner {
			return true
		}
	}
	return false
}

// index finds the uses of keys.
type index struct {
	uses  []Use
	spelt []spelling
	exact map[string][]int
	// above are the uses below a key, by the squeezed key.
	above map[string][]int
}

func newIndex(uses []Use) *index {
	x := &index{uses: uses, spelt: make([]spelling, len(uses)), exact: map[string][]int{}, above: map[string][]int{}}
	for i, u := range uses {
		s := spell(u.Key)
		x.spelt[i] = s
		x.exact[s.text] = append(x.exact[s.text], i)
		marks := s.hard
		if s.flat() {
			marks = s.soft
		}
		for n := range marks {
			x.above[s.text[:n]] = append(x.above[s.text[:n]], i)
		}
	}
	return x
}

// find are the indexes of the uses of a row's key, or of what is below it.
func (x *index) find(key string) (found []int) {
	name, all := strings.CutSuffix(key, ".*")
	want := spell(name)
	if !all {
		for _, i := range x.exact[want.text] {
			if want.same(x.spelt[i]) {
				found = append(found, i)
			}
		}
	}
	for _, i := range x.above[want.text] {
		if (all || !x.spelt[i].flat()) && want.begins(x.spelt[i]) {
			found = append(found, i)
		}
	}
	return found
}

// nearest is where a key that is missing would be set: in a file of its component, or
// beside the keys that share most of its beginning. Sure says that it is the
// component's by name or by a key of the same family.
func (x *index) nearest(o *owners, r *Row) (use Use, line int, sure bool) {
	want := tokens(r.Key)
	best := -1
	for _, u := range x.uses {
		owner := o.of(u)
		if owner != "" && !r.of(owner) {
			continue
		}
		shared := 0
		have := tokens(u.Key)
		for shared < min(len(want)-1, len(have)) && want[shared] == have[shared] {
			shared++
		}
		if owner == "" && shared == 0 {
			continue
		}
		rank := shared
		if owner != "" {
			rank += 100
		}
		if rank > best {
			best, use, line = rank, u, 0
			if shared > 0 {
				line = u.Line
			}
		}
	}
	return use, line, best >= 0
}

// tokens are the smallest parts of a key, in lower case.
func tokens(key string) []string {
	return strings.FieldsFunc(strings.ToLower(key), func(r rune) bool { return strings.ContainsRune(".-_[]*", r) })
}
