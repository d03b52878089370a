package inside

import (
	"math"
	"slices"
	"strconv"
	"time"
)

// constants compares the numbers in the code of functions.
func (c *comparison) constants() {
	if !c.same {
		for _, pair := range c.pairs.changed {
			o, n := &c.old.Functions[pair[0]], &c.new.Functions[pair[1]]
			if c.new.own(n.Name) {
				c.aligned(n.label(), telling(o.Constants), telling(n.Constants), false)
			}
		}
		return
	}
	for _, pair := range c.pairs.changed {
		o, n := &c.old.Functions[pair[0]], &c.new.Functions[pair[1]]
		if n.Generated {
			continue // it repeats what it wraps
		}
		if o.Shape == n.Shape && len(o.Constants) == len(n.Constants) {
			for i, before := range o.Constants {
				if after := n.Constants[i]; before != after && before.number() && after.number() {
					c.move(n.label(), &before, &after, nil)
				}
			}
			continue
		}
		c.aligned(n.label(), o.Constants, n.Constants, true)
	}
	for _, i := range c.pairs.removed {
		if f := &c.old.Functions[i]; c.old.own(f.Name) && !f.Generated {
			c.aligned(f.label(), telling(f.Constants), nil, false)
		}
	}
	for _, i := range c.pairs.added {
		if f := &c.new.Functions[i]; c.new.own(f.Name) && !f.Generated {
			c.aligned(f.label(), nil, telling(f.Constants), false)
		}
	}
}

// telling are the constants that speak for themselves.
func telling(list []Constant) (out []Constant) {
	for _, k := range list {
		if k.telling() {
			out = append(out, k)
		}
	}
	return out
}

// telling says whether a constant is a duration or a floating point number.
func (k Constant) telling() bool {
	return k.Kind == Float && k.Bits<<1 != 0 || k.Kind == Integer && k.number() && duration(int64(k.Bits), 10*time.Microsecond)
}

// number says whether it is a number of the source, as far as can be told: not
// the length of a string, nor a piece of text that is compared with.
func (k Constant) number() bool {
	if k.Kind != Integer {
		return k.Kind == Float
	}
	if duration(int64(k.Bits), time.Millisecond) {
		return true
	}
	if k.Bits < 1<<24 {
		return true
	}
	for v := k.Bits; v != 0; v >>= 8 {
		if b := byte(v); b < ' ' || b > '~' {
			return true
		}
	}
	return false
}

// maxAligned is how many constants of a function are aligned.
const maxAligned = 500

// aligned finds what changed between two lists by their longest common
// subsequence, and pairs what went with what came in order.
func (c *comparison) aligned(where string, old, new []Constant, small bool) {
	old, new = numbers(old), numbers(new)
	if len(old) > maxAligned || len(new) > maxAligned {
		old, new = old[:min(len(old), maxAligned)], new[:min(len(new), maxAligned)]
		c.note("%s has more than %d constants: those after are not compared", where, maxAligned)
	}
	var moves [][2]*Constant
	for _, h := range hunks(old, new) {
		for _, kind := range []Kind{Float, Integer} {
			o, n := pick(h.old, kind, true), pick(h.new, kind, true)
			for i := range max(len(o), len(n)) {
				var before, after *Constant
				if i < len(o) {
					before = &o[i]
				}
				if i < len(n) {
					after = &n[i]
				}
				moves = append(moves, [2]*Constant{before, after})
			}
		}
		if o, n := pick(h.old, Integer, false), pick(h.new, Integer, false); small && len(o) == len(n) {
			for i := range o {
				if o[i].Bits > 1 && n[i].Bits > 1 && o[i].Bits < 1<<20 && n[i].Bits < 1<<20 {
					moves = append(moves, [2]*Constant{&o[i], &n[i]})
				}
			}
		}
	}
	// A constant stands in code more or less often than in the source: one that
	// is still there, or whose change is told, didn't come or go.
	for _, m := range moves {
		switch before, after := m[0], m[1]; {
		case after == nil && (slices.Contains(new, *before) || slices.ContainsFunc(moves, func(o [2]*Constant) bool { return o[0] != nil && o[1] != nil && *o[0] == *before })):
		case before == nil && (slices.Contains(old, *after) || slices.ContainsFunc(moves, func(o [2]*Constant) bool { return o[0] != nil && o[1] != nil && *o[1] == *after })):
		default:
			c.move(where, before, after, nil)
		}
	}
}

func numbers(list []Constant) (out []Constant) {
	for _, k := range list {
		if k.number() {
			out = append(out, k)
		}
	}
	return out
}

func pick(list []Constant, kind Kind, telling bool) (out []Constant) {
	for _, k := range list {
		if k.Kind == kind && k.telling() == telling {
			out = append(out, k)
		}
	}
	return out
}

type hunk struct{ old, new []Constant }

// hunks are the places where two lists differ.
func hunks(old, new []Constant) (list []hunk) {
	width := len(new) + 1
	common := make([]int16, (len(old)+1)*width)
	for i := len(old) - 1; i >= 0; i-- {
		for j := len(new) - 1; j >= 0; j-- {
			if old[i] == new[j] {
				common[i*width+j] = common[(i+1)*width+j+1] + 1
			} else {
				common[i*width+j] = max(common[(i+1)*width+j], common[i*width+j+1])
			}
		}
	}
	var h hunk
	flush := func() {
		if len(h.old)+len(h.new) > 0 {
			list = append(list, h)
		}
		h = hunk{}
	}
	i, j := 0, 0
	for i < len(old) || j < len(new) {
		switch {
		case i < len(old) && j < len(new) && old[i] == new[j]:
			flush()
			i, j = i+1, j+1
		case j == len(new) || i < len(old) && common[(i+1)*width+j] >= common[i*width+j+1]:
			h.old = append(h.old, old[i])
			i++
		default:
			h.new = append(h.new, new[j])
			j++
		}
	}
	flush()
	return list
}

// move notes a constant's change, once.
func (c *comparison) move(where string, old, new *Constant, users []string) {
	m := Move{Where: where, UsedBy: users}
	if old != nil {
		m.Old, m.OldRaw = old.text(), old.raw()
	}
	if new != nil {
		m.New, m.NewRaw = new.text(), new.raw()
	}
	if key := [3]string{m.Where, m.Old, m.New}; users == nil {
		if c.moved[key] {
			return
		}
		c.moved[key] = true
	}
	c.d.Constants = append(c.d.Constants, m)
}

func (k Constant) raw() any {
	if k.Kind == Float {
		v := math.Float64frombits(k.Bits)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return strconv.FormatFloat(v, 'g', -1, 64)
		}
		return v
	}
	return int64(k.Bits)
}

// text writes a number as people would: durations as such.
func (k Constant) text() string {
	if k.Kind == Float {
		return strconv.FormatFloat(math.Float64frombits(k.Bits), 'g', -1, 64)
	}
	v := int64(k.Bits)
	if !duration(v, 100*time.Microsecond) && !(v > int64(100*time.Microsecond) && duration(v, time.Microsecond)) {
		return strconv.FormatInt(v, 10)
	}
	return Human(time.Duration(v))
}

// Human writes a duration without parts that are zero: 1m, not 1m0s.
func Human(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if n := len(s) - len(zero); n > 0 && s[n:] == zero {
			s = s[:n+1]
		}
	}
	return s
}

// single widens a float32.
func single(bits uint64) Constant {
	return Constant{Bits: math.Float64bits(float64(math.Float32frombits(uint32(bits)))), Kind: Float}
}
