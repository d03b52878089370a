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
	pieces     []int32
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
	u.callees, u.strings, u.variables, u.constants, u.pieces = u.callees[:0], u.strings[:0], u.variables[:0], u.constants[:0], u.pieces[:0]
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
	f.Callees, f.Strings, f.Variables, f.Pieces = slices.Clone(distinct(u.callees)), slices.Clone(u.strings), slices.Clone(u.variables), slices.Clone(u.pieces)
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
		if name, off := u.within(r.Target); name != "" {
			u.key = append(append(append(u.key, 't'), name...), byte(off))
			return
		}
		u.pieces = append(u.pieces, u.piece(u.content(r.Target, uint64(r.Width), r)))
		return
	}
	if i := u.closure(r.Target); i >= 0 {
		if u.key, u.pieces = append(u.key, 'o'), append(u.pieces, u.piece(u.content(r.Target, 8, r))); i != u.self {
			u.callees = append(u.callees, int32(i))
		}
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
	if u.jumps(r.Target) {
		return
	}
	u.constant(r)
}

// constant reads what the address of is taken: a string, or something else, of
// which nothing says where it ends.
func (u *use) constant(r machine.Reference) {
	u.key = append(u.key, 'o')
	extent, known := min(u.reaches(r.Target), maxContent), len(u.constants)
	if _, ok := u.header(r.Target); !ok {
		text, sure := u.literal(r)
		if text != nil && !isModuleText(text) {
			u.strings = append(u.strings, u.text(text))
		}
		if sure {
			u.pieces = append(u.pieces, u.piece(Piece{Bytes: text}))
			return
		}
		if text != nil { // it is no number
			defer func() { u.constants = u.constants[:known] }()
		}
	}
	u.pieces = append(u.pieces, u.piece(u.content(r.Target, extent, r)))
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

// literal finds the string that stands at an address and whose length is an
// immediate nearby: best one that reaches to where the next string starts, for
// strings stand without gaps, and that is in the register after the address's. It
// isn't sure without either.
func (u *use) literal(r machine.Reference) (text []byte, sure bool) {
	if u.native {
		text = u.terminated(r.Target)
		return text, text != nil
	}
	if _, pointer, _ := u.Pointer(r.Target); pointer && r.Target%8 == 0 {
		return nil, false
	}
	extent := min(u.extent(r.Target, u.starts), maxText)
	best, distance := -1, uint32(math.MaxUint32)
	low, high := u.around(r.At)
	for i := low; i < high; i++ {
		if away, ok := u.fits(r, u.immediates[i], extent); ok && away < distance {
			best, distance = i, away
		}
	}
	if best < 0 {
		return nil, false
	}
	n := u.immediates[best].Bits
	if distance >= unsure && n < extent && !printableStart(u.Bytes(r.Target, min(extent, 64))) {
		return nil, false
	}
	for i := low; i < high; i++ {
		im := u.immediates[i]
		if away := max(im.At, r.At) - min(im.At, r.At); im.Bits == n && away <= near {
			u.lengths[i] = true
		}
	}
	u.lengths[best] = true
	return u.Bytes(r.Target, n), distance < unsure
}

// unsure is how ill a length fits that neither stands where lengths do nor
// reaches to the next string.
const unsure = 100

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
	follows := im.Register > 0 && im.Register == r.Next && away <= near/2
	switch {
	case follows && im.Bits == extent:
	case away <= near && im.Bits == extent:
		away += 10
	case follows:
		away += 50
	case away <= near && im.Bits < extent && im.Moved:
		away += unsure
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

// content reads a constant: its bytes, with what they mean in the place of
// addresses, so that each byte stays where it was.
func (u *use) content(addr, size uint64, r machine.Reference) (c Piece) {
	end := addr + size
	u.work += size
	for at := addr; at < end; {
		n := min(8-at%8, end-at)
		if at%8 != 0 && size <= 16 {
			n = min(8, end-at)
		}
		if text, ok := u.header(at); ok && at%8 == 0 {
			n = min(16, end-at)
			c.Bytes = append(c.Bytes, slices.Concat(meaning('s', text), u.Bytes(at+8, 8))[:n]...)
			u.strings = append(u.strings, u.text(text))
			at += n
			continue
		}
		v, pointer, doubtful := u.address(at)
		if !pointer || doubtful {
			u.number(u.Bytes(at, n), r)
		}
		if doubtful {
			c.Raw = append(slices.Grow(c.Raw, int(size)), c.Bytes[len(c.Raw):]...)
			c.Raw = append(c.Raw, u.Bytes(at, n)...)
		}
		if pointer {
			id, callee, _ := u.identity(nil, v)
			if c.Bytes = append(c.Bytes, meaning('p', id)[:n]...); callee >= 0 && r.Use == machine.Access {
				u.callees = append(u.callees, int32(callee))
			}
		} else {
			c.Bytes = append(c.Bytes, u.Bytes(at, n)...)
		}
		at += n
	}
	if c.Raw != nil {
		c.Raw = append(c.Raw, c.Bytes[len(c.Raw):]...)
	}
	return c
}

// address reads the word at an address if it is one itself. What isn't filled in
// by the loader may be a number all the same: it is one if it is within a
// function, where no constant but a table of jumps points, and may be if round.
func (u *use) address(at uint64) (v uint64, ok, doubtful bool) {
	v, pointer, _ := u.Pointer(at)
	if !pointer || at%8 != 0 {
		return 0, false, false
	}
	if u.PositionIndependent() {
		return v, true, false
	}
	if i := u.function(v); i >= 0 && uint64(u.table[i].Start)+u.start != v {
		return 0, false, false
	}
	return v, true, round(v)
}

// meaning is what stands in the place of an address.
func meaning(kind byte, what []byte) []byte {
	d := machine.Sum(append([]byte{kind}, what...))
	return binary.LittleEndian.AppendUint64(nil, d[0])
}

// number notes the number that bytes of a constant are.
func (u *use) number(b []byte, r machine.Reference) {
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
	if c.Bits != 0 || r.Use != machine.Take {
		u.constants = append(u.constants, placed{c, r.At})
	}
}
