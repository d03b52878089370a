package machine

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// arm64 reads A64 code (Arm Architecture Reference Manual, C4.1: the encoding
// of each class of instructions).
type arm64 struct{}

// a64 is the state of reading one function.
type a64 struct {
	*Body
	address uint64
	code    []byte
	at      uint32
	// page is what the last ADRP put into a register, and when.
	page  [32]uint64
	since [32]uint32
	// pool marks the words of literal pools, which are no code.
	pool map[int]bool
}

// reach is how many instructions after an ADRP its register is trusted.
const reach = 4

func (arm64) Read(address uint64, code []byte, b *Body) {
	code = code[:len(code)&^3]
	b.begin(code)
	r := a64{Body: b, address: address, code: code}
	size := 0
	for pos := 0; pos < len(code); pos += 4 {
		w := binary.LittleEndian.Uint32(code[pos:])
		if w != 0 {
			size = pos + 4
		}
		r.at++
		if r.pool[pos] {
			clear(b.shape[pos : pos+4])
			continue
		}
		if !r.branch(pos, w) && !r.relative(pos, w) && !r.offset(pos, w) {
			r.constant(pos, w)
		}
		if w&0x9F000000 != 0x90000000 { // what it writes is no page any more
			r.since[w&31] = 0
		}
	}
	b.end(size)
}

// extend takes n bits at a shift as a signed number.
func extend(w uint32, shift, n uint) int64 { return int64(w<<(32-n-shift)) << 32 >> (64 - n) }

// mask zeroes bits of the word.
func (r *a64) mask(pos int, m uint32) {
	v := binary.LittleEndian.Uint32(r.masked[pos:]) &^ m
	binary.LittleEndian.PutUint32(r.masked[pos:], v)
	r.blur(pos, m)
}

// blur zeroes bits of the word's shape alone.
func (r *a64) blur(pos int, m uint32) {
	binary.LittleEndian.PutUint32(r.shape[pos:], binary.LittleEndian.Uint32(r.shape[pos:])&^m)
}

func (r *a64) outside(target uint64) bool { return target-r.address >= uint64(len(r.code)) }

func (r *a64) branch(pos int, w uint32) bool {
	var to int64
	var m uint32
	use := Jump
	switch {
	case w&0x7C000000 == 0x14000000: // B, BL
		to, m = extend(w, 0, 26)*4, 1<<26-1
		if w>>31 == 1 {
			use = Call
		}
	case w&0xFF000000 == 0x54000000, w&0x7E000000 == 0x34000000: // B.cond, CBZ
		to, m = extend(w, 5, 19)*4, (1<<19-1)<<5
	case w&0x7E000000 == 0x36000000: // TBZ
		to, m = extend(w, 5, 14)*4, (1<<14-1)<<5
	default:
		return false
	}
	if target := r.address + uint64(pos) + uint64(to); r.outside(target) {
		r.mask(pos, m)
		r.References = append(r.References, Reference{Target: target, At: r.at, Use: use})
	}
	return true
}

// relative is ADR, ADRP and loads of literals.
func (r *a64) relative(pos int, w uint32) bool {
	pc, d := r.address+uint64(pos), w&31
	switch {
	case w&0x1F000000 == 0x10000000:
		imm := extend(w, 5, 19)<<2 | int64(w>>29&3)
		if w>>31 == 1 {
			r.mask(pos, 3<<29|(1<<19-1)<<5)
			r.page[d], r.since[d] = pc&^0xFFF+uint64(imm<<12), r.at
			return true
		}
		if target := pc + uint64(imm); r.outside(target) {
			r.mask(pos, 3<<29|(1<<19-1)<<5)
			r.References = append(r.References, Reference{Target: target, At: r.at, Use: Take})
		}
		return true
	case w&0x3B000000 == 0x18000000:
		r.literal(pos, w, pc+uint64(extend(w, 5, 19)*4))
		return true
	}
	return false
}

// literal is a load from a pool at the function's end, or from elsewhere.
func (r *a64) literal(pos int, w uint32, target uint64) {
	width := 4 << (w >> 30)
	float := w>>26&1 == 1
	if r.outside(target) {
		r.mask(pos, (1<<19-1)<<5)
		r.References = append(r.References, Reference{Target: target, At: r.at, Use: Access, Width: uint8(min(width, 16)), Float: float})
		return
	}
	from := int(target - r.address)
	if from+width > len(r.code) || width > 16 || w>>30 == 2 && !float || from <= pos {
		return
	}
	if r.pool == nil {
		r.pool = map[int]bool{}
	}
	for i := 0; i < width; i += 4 {
		r.pool[from+i] = true
	}
	switch {
	case width == 4 && float:
		r.Immediates = append(r.Immediates, Immediate{Bits: widen(binary.LittleEndian.Uint32(r.code[from:])), At: r.at, Float: true})
	case width <= 8:
		r.Immediates = append(r.Immediates, Immediate{Bits: signed(r.code[from : from+width]), At: r.at, Float: float})
	}
}

// offset is what completes an address after ADRP: ADD, loads and stores.
func (r *a64) offset(pos int, w uint32) bool {
	n := w >> 5 & 31
	if r.since[n] == 0 || r.at-r.since[n] > reach {
		return false
	}
	ref := Reference{Target: r.page[n], At: r.at, Use: Access}
	imm := uint64(w >> 10 & 0xFFF)
	switch {
	case w&0xFFC00000 == 0x91000000:
		ref.Use, ref.Target, ref.Next = Take, ref.Target+imm, uint8(w&31+2)
		if w&31 == temporary && pos+8 <= len(r.code) {
			ref.through(binary.LittleEndian.Uint32(r.code[pos+4:]))
		}
	case w&0x3B000000 == 0x39000000:
		size := w >> 30
		ref.Float = w>>26&1 == 1 && size >= 2
		if w>>26&1 == 1 && size == 0 && w>>23&1 == 1 {
			size = 4
		}
		ref.Width, ref.Target = 1<<size, ref.Target+imm<<size
	default:
		return false
	}
	r.mask(pos, 0xFFF<<10)
	if w&31 == n {
		r.since[n] = 0
	}
	r.References = append(r.References, ref)
	return true
}

// temporary is the register that Go's assembler puts the address into of what is
// too far or too wide for one instruction.
const temporary = 27

// through makes an Access of an address in that register, when the instruction
// that follows loads or stores there.
func (ref *Reference) through(w uint32) {
	float := w >> 26 & 1
	switch {
	case w>>5&31 != temporary:
	case w&0x3A000000 == 0x28000000: // LDP, STP
		size := w >> 31 // of each: 4 or 8 bytes
		if float == 1 {
			size = w >> 30
		}
		ref.Use, ref.Next, ref.Width = Access, 0, 8<<size
		ref.Target += uint64(extend(w, 15, 7)) * uint64(4<<size)
	case w&0x3B000000 == 0x39000000, w&0x3B200C00 == 0x38000000: // LDR, STR, LDUR, STUR
		size := w >> 30
		if float == 1 && size == 0 && w>>23&1 == 1 {
			size = 4
		}
		ref.Use, ref.Next, ref.Width, ref.Float = Access, 0, 1<<size, float == 1 && (size == 2 || size == 3)
		if w>>24&1 == 1 {
			ref.Target += uint64(w>>10&0xFFF) << size
		} else {
			ref.Target += uint64(extend(w, 12, 9))
		}
	}
}

// constant is an instruction that carries a number.
func (r *a64) constant(pos int, w uint32) {
	d := w & 31
	wide := w>>31 == 1
	switch {
	case w&0x7F800000 == 0x72800000: // MOVK adds to the MOVZ or MOVN before it
		r.blur(pos, 0xFFFF<<5)
		if last := len(r.Immediates) - 1; last >= 0 && r.at-r.Immediates[last].At <= 1 && !r.Immediates[last].Float {
			shift := w >> 21 & 3 * 16
			i := &r.Immediates[last]
			i.Bits, i.At = i.Bits&^(0xFFFF<<shift)|uint64(w>>5&0xFFFF)<<shift, r.at
		}
	case w&0x7F800000 == 0x52800000, w&0x7F800000 == 0x12800000: // MOVZ, MOVN
		r.blur(pos, 0xFFFF<<5)
		v := uint64(w>>5&0xFFFF) << (w >> 21 & 3 * 16)
		if w&0x40000000 == 0 {
			v = ^v
			if !wide {
				v = uint64(int64(int32(v)))
			}
		}
		r.Immediates = append(r.Immediates, Immediate{Bits: v, At: r.at, Moved: true, Register: uint8(d + 1)})
	case w&0x1F000000 == 0x11000000: // ADD, SUB, CMP
		r.blur(pos, 0xFFF<<10)
		if d == 31 && w>>29&1 == 1 { // else it is mostly the offset of a field
			r.Immediates = append(r.Immediates, Immediate{Bits: uint64(w>>10&0xFFF) << (w >> 22 & 1 * 12), At: r.at, Compared: true})
		}
	case w&0x7F8003E0 == 0x320003E0: // MOV of a pattern of bits
		r.blur(pos, 0x1FFF<<10)
		if v, ok := pattern(w>>22&1, w>>16&63, w>>10&63); ok {
			if !wide {
				v = uint64(uint32(v))
			}
			r.Immediates = append(r.Immediates, Immediate{Bits: v, At: r.at, Moved: true, Register: uint8(d + 1)})
		}
	case w&0xFF20FC00 == 0x1E202800 && w>>5&31 == w>>16&31: // FADD of a number to itself: by two
		r.Immediates = append(r.Immediates, Immediate{Bits: math.Float64bits(2), At: r.at, Float: true})
	case w&0xFF201FE0 == 0x1E201000: // FMOV
		r.blur(pos, 0xFF<<13)
		r.Immediates = append(r.Immediates, Immediate{Bits: expandFloat(w >> 13 & 0xFF), At: r.at, Float: true})
	}
}

// pattern is DecodeBitMasks of the manual, the immediate alone.
func pattern(n, immr, imms uint32) (uint64, bool) {
	length := bits.Len32(n<<6|^imms&63) - 1
	if length < 1 {
		return 0, false
	}
	size := uint(1) << length
	s, rot := uint(imms)&(size-1), uint(immr)&(size-1)
	if s == size-1 {
		return 0, false
	}
	element := uint64(1)<<(s+1) - 1
	if rot > 0 {
		element = element>>rot | element<<(size-rot)
	}
	if size < 64 {
		element &= 1<<size - 1
	}
	for ; size < 64; size *= 2 {
		element |= element << size
	}
	return element, true
}

// expandFloat is VFPExpandImm of the manual.
func expandFloat(imm uint32) uint64 {
	exponent := int(imm>>4&7^4) - 3
	v := math.Ldexp(1+float64(imm&15)/16, exponent)
	if imm>>7 == 1 {
		v = -v
	}
	return math.Float64bits(v)
}
