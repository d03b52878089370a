package inside

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"sort"
	"strconv"

	"aftershock/upgrades/inside/machine"
)

// use collects what one function uses.
type use struct {
	*goFile
	self       int
	key        []byte // what the references mean, in order
	immediates []machine.Immediate
	lengths    []bool // of immediates: it is the length of a string
	callees    []int32
	strings    []int32
	variables  []int32
	constants  []placed
}

// placed is a constant and its instruction.
type placed struct {
	Constant
	at uint32
}

// maxWork is how many bytes of constants are looked at, counted each time, so
// that no file keeps the reader busy for long.
const maxWork = 8 << 30

// resolveAll finds out what the references of each function mean.
func (g *goFile) resolveAll() error {
	u := use{goFile: g}
	for i := range g.bodies {
		if !g.print.Exact {
			g.print.Functions[i].Full = machine.Digest{uint64(g.print.Functions[i].Size)}
			continue
		}
		u.resolve(i)
	}
	g.references, g.immediates, g.bodies = nil, nil, nil
	if g.work > maxWork {
		return errors.New("its code refers to more than can be read in good time")
	}
	return nil
}

func (u *use) resolve(i int) {
	b, f := u.bodies[i], &u.print.Functions[i]
	u.self = i
	u.immediates = u.goFile.immediates[b.immediates[0]:b.immediates[1]]
	u.lengths = append(u.lengths[:0], make([]bool, len(u.immediates))...)
	u.callees, u.strings, u.variables, u.constants = u.callees[:0], u.strings[:0], u.variables[:0], u.constants[:0]
	u.key = u.key[:0]
	for _, w := range b.code {
		u.key = binary.LittleEndian.AppendUint64(u.key, w)
	}
	for _, r := range u.references[b.references[0]:b.references[1]] {
		u.key = append(u.key, 0, byte(r.Use))
		u.reference(r)
	}
	f.Full = machine.Sum(u.key)
	for k, im := range u.immediates {
		c := Constant{Bits: im.Bits}
		switch {
		case im.Float, im.Moved && roundFloat(im.Bits):
			c.Kind = Float
		case u.lengths[k]:
			c.Kind = Length
		}
		u.constants = append(u.constants, placed{c, im.At})
	}
	slices.SortStableFunc(u.constants, func(a, b placed) int { return int(a.at) - int(b.at) })
	f.Callees, f.Strings, f.Variables = slices.Clone(distinct(u.callees)), slices.Clone(u.strings), slices.Clone(u.variables)
	f.Constants = make([]Constant, len(u.constants))
	for k, c := range u.constants {
		f.Constants[k] = c.Constant
	}
}

// roundFloat says whether bits that are moved as an integer are a floating point
// number that people would write: between a millionth and a billion, with few
// digits.
func roundFloat(b uint64) bool {
	v := math.Abs(math.Float64frombits(b))
	return v >= 1e-6 && v <= 1e9 && len(strconv.FormatFloat(v, 'g', -1, 64)) <= 8
}

// distinct sorts numbers and drops those that come again.
func distinct(list []int32) []int32 {
	slices.Sort(list)
	return slices.Compact(list)
}

// reference adds what one reference means.
func (u *use) reference(r machine.Reference) {
	if u.work > maxWork {
		return
	}
	s := u.At(r.Target)
	switch {
	case s == nil:
		u.key = append(u.key, 'x')
		return
	case !s.Code && !readOnly(s):
		u.variables = append(u.variables, u.variable(r))
		u.key = append(u.key, 'v')
		return
	}
	if r.Use == machine.Access {
		u.content(r.Target, uint64(r.Width), r)
		return
	}
	key, callee, known := u.identity(u.key, r.Target)
	if u.key = key; known {
		if callee >= 0 && callee != u.self {
			u.callees = append(u.callees, int32(callee))
		}
		return
	}
	if s.Code {
		u.key = append(u.key, 'c')
		return
	}
	if u.jumps(r.Target) || u.literal(r) {
		return
	}
	u.content(r.Target, min(u.extent(r.Target, u.edges), maxContent), r)
}

// jumps reads a table of jumps within this function.
func (u *use) jumps(addr uint64) bool {
	start := u.start + uint64(u.table[u.self].Start)
	size := uint64(u.table[u.self].End - u.table[u.self].Start)
	any := false
	for end := addr + min(u.extent(addr, u.taken), maxText); addr+8 <= end; addr += 8 {
		u.work += 8
		v, pointer, _ := u.Pointer(addr)
		if !pointer || v-start >= size {
			break
		}
		any = true
		u.key = binary.LittleEndian.AppendUint64(append(u.key, 'j'), v-start)
	}
	return any
}

// literal reads a string whose length is an immediate nearby: best the one in
// the register after the address's, or one that reaches to where the next string
// starts, for strings stand without gaps.
func (u *use) literal(r machine.Reference) bool {
	if u.native {
		text := u.terminated(r.Target)
		if text != nil {
			u.key = append(append(u.key, 's'), text...)
			u.strings = append(u.strings, u.text(text))
		}
		return text != nil
	}
	if _, ok := u.header(r.Target); ok {
		return false
	}
	extent := u.extent(r.Target, u.starts)
	if extent > maxText {
		extent = maxText
	}
	best, distance := -1, uint32(math.MaxUint32)
	low, high := u.around(r.At)
	for i := low; i < high; i++ {
		if away, ok := u.fits(r, u.immediates[i], extent); ok && away < distance {
			best, distance = i, away
		}
	}
	n := extent
	if best >= 0 {
		n = u.immediates[best].Bits
	}
	text := u.Bytes(r.Target, n)
	if text == nil || !printable(text) || n < extent && !printableStart(u.Bytes(r.Target, min(extent, 64))) {
		return false
	}
	if best < 0 {
		// Its length is not known: its beginning must do.
		u.key = append(append(u.key, 'b'), text[:min(n, 16)]...)
		return true
	}
	for i := low; i < high; i++ {
		im := u.immediates[i]
		if away := max(im.At, r.At) - min(im.At, r.At); im.Bits == n && away <= near {
			u.lengths[i] = true
		}
	}
	u.lengths[best] = true
	u.key = append(append(u.key, 's'), text...)
	if !isModuleText(text) {
		u.strings = append(u.strings, u.text(text))
	}
	return true
}

// around gives the range of the immediates that may belong to an instruction.
func (u *use) around(at uint32) (low, high int) {
	const reach = 200
	i := sort.Search(len(u.immediates), func(i int) bool { return u.immediates[i].At >= at })
	return max(0, i-reach), min(len(u.immediates), i+reach)
}

// fits says how ill a number fits to be a string's length, if it can be.
func (u *use) fits(r machine.Reference, im machine.Immediate, extent uint64) (away uint32, ok bool) {
	away = max(im.At, r.At) - min(im.At, r.At)
	if im.Float || im.Bits == 0 || im.Bits > maxText || !im.Moved && !im.Compared {
		return 0, false
	}
	if im.Bits > extent {
		// A number that looks like an address may cut a string short, two don't.
		i := sort.Search(len(u.starts), func(i int) bool { return u.starts[i] > r.Target+extent })
		if i < len(u.starts) && u.starts[i] < r.Target+im.Bits {
			return 0, false
		}
	}
	switch {
	case im.Register > 0 && im.Register == r.Next && away <= near/2:
	case away <= near && im.Bits == extent:
		away += 10
	case away <= near && im.Bits < extent && im.Moved:
		away += 100
	case away <= near && im.Bits < extent:
		away += 1000
	case im.Bits == extent:
		away += 10_000
	case away <= near && im.Moved:
		away += 1 << 30
	default:
		return 0, false
	}
	u.work += im.Bits
	return away, printable(u.Bytes(r.Target, im.Bits))
}

// content reads a constant of known or likely size: numbers and what pointers
// in it mean.
func (u *use) content(addr, size uint64, r machine.Reference) {
	key := len(u.key)
	end := addr + size
	u.work += size
	for at := addr; at < end; {
		if end-at < 8 || at%8 != 0 && size > 16 {
			u.number(u.Bytes(at, min(8, end-at)), r)
			at += min(8, end-at)
			continue
		}
		if text, ok := u.header(at); ok {
			u.key = append(append(u.key, 's'), text...)
			u.strings = append(u.strings, u.text(text))
			at += 16
			continue
		}
		v, pointer, _ := u.Pointer(at)
		if pointer && !duration(int64(v), roundest) {
			var callee int
			if u.key, callee, _ = u.identity(append(u.key, 'p'), v); callee >= 0 {
				u.callees = append(u.callees, int32(callee))
			}
		} else {
			u.number(u.Bytes(at, 8), r)
		}
		at += 8
	}
	if r.Use == machine.Take { // what follows may be padding
		for len(u.key) > key && u.key[len(u.key)-1] == 0 {
			u.key = u.key[:len(u.key)-1]
		}
	}
}

// number adds bytes of a constant.
func (u *use) number(b []byte, r machine.Reference) {
	u.key = append(u.key, b...)
	c := Constant{}
	switch {
	case r.Float && len(b) == 4:
		c.Kind, c.Bits = Float, math.Float64bits(float64(math.Float32frombits(u.Order().Uint32(b))))
	case r.Float && len(b) == 8:
		c.Kind, c.Bits = Float, u.Order().Uint64(b)
	case len(b) == 8:
		if c.Bits = u.Order().Uint64(b); roundFloat(c.Bits) {
			c.Kind = Float
		}
	default:
		return
	}
	if c.Bits == 0 && r.Use == machine.Take {
		return
	}
	u.constants = append(u.constants, placed{c, r.At})
}
