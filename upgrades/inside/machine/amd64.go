package machine

import (
	"encoding/binary"
	"math"
)

// amd64 reads 64-bit x86 code. Only lengths, addresses and immediates matter, so
// it follows the opcode maps (Intel 64 and IA-32 Software Developer's Manual,
// volume 2, appendix A) instead of naming instructions, VEX and EVEX included.
type amd64 struct{}

func (amd64) Read(address uint64, code []byte, b *Body) {
	b.begin(code)
	end := uint64(len(code))
	size, at := 0, uint32(0)
	for pos := 0; pos < len(code); at++ {
		in, ok := decode(code[pos:])
		if !ok {
			// Unknown bytes stay as they are, one at a time.
			b.Odd = true
			pos++
			size = pos
			continue
		}
		next := pos + in.size
		if in.relative > 0 {
			from := next - in.relative
			to := uint64(int64(address) + int64(next) + in.displacement)
			if to-address >= end {
				b.hide(from, next)
				use := Jump
				if in.call {
					use = Call
				}
				b.References = append(b.References, Reference{Target: to, At: at, Use: use})
			}
		}
		if in.rip > 0 {
			from := pos + in.rip
			to := uint64(int64(address) + int64(next) + in.displacement)
			if to-address >= end {
				b.hide(from, from+4)
				b.References = append(b.References, Reference{Target: to, At: at, Use: in.use, Width: in.width, Float: in.float, Next: in.next})
			}
		}
		if in.doubles {
			b.Immediates = append(b.Immediates, Immediate{Bits: math.Float64bits(2), At: at, Float: true})
		}
		if in.thread > 0 {
			b.hide(pos+in.thread, pos+in.thread+4)
		}
		if in.immediate > 0 {
			from := next - in.immediate
			clear(b.shape[from:next])
			if !in.frame {
				bits := signed(code[from:next])
				if in.unsigned {
					bits = uint64(uint32(bits))
				}
				b.Immediates = append(b.Immediates, Immediate{Bits: bits, At: at, Moved: in.moved, Compared: in.compared, Register: in.register})
			}
		}
		pos = next
		if code[pos-in.size] != 0xCC || in.size > 1 {
			size = pos // INT3 pads
		}
	}
	b.end(size)
}

func signed(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(int64(int8(b[0])))
	case 2:
		return uint64(int64(int16(binary.LittleEndian.Uint16(b))))
	case 4:
		return uint64(int64(int32(binary.LittleEndian.Uint32(b))))
	case 8:
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// instruction is what matters of one.
type instruction struct {
	size int
	// relative is how many bytes at the end are a branch's displacement.
	relative int
	call     bool
	// rip and thread are the offsets of a displacement from the instruction
	// pointer and from the thread's block, 0 when there is none.
	rip, thread  int
	displacement int64
	use          Use
	width        uint8
	float        bool
	// immediate is how many bytes at the end are one; frame when it moves the
	// stack pointer, which no constant of the source does.
	immediate       int
	frame           bool
	moved, compared bool
	// unsigned says that zeroes, not its sign, fill the register above it.
	unsigned bool
	// next and register are those of Reference and Immediate.
	next, register uint8
	// doubles says that it adds a floating point number to itself, which is how
	// compilers write a multiplication by two.
	doubles bool
}

// following is Go's order of integer registers for arguments (abi-internal.md):
// RAX, RBX, RCX, RDI, RSI, R8 to R11; one more than the next one's number.
var following = [16]uint8{0: 1 + 3, 3: 1 + 1, 1: 1 + 7, 7: 1 + 6, 6: 1 + 8, 8: 1 + 9, 9: 1 + 10, 10: 1 + 11}

// prefix is what stands before an opcode.
type prefix struct {
	wide, operand, address, thread bool // REX.W, 66, 67, FS or GS
	repeat                         byte // F2 or F3
	extend                         byte // REX
	table                          int  // 0 one-byte opcodes, 1 0F, 2 0F38, 3 0F3A, above: EVEX maps
	vector                         uint8
}

// decode reads one instruction.
func decode(code []byte) (in instruction, ok bool) {
	if len(code) > 15 {
		code = code[:15]
	}
	p, pos, ok := readPrefix(code)
	if !ok || pos >= len(code) {
		return in, false
	}
	op := code[pos]
	pos++
	modrm, imm, ok := layout(p, op)
	if !ok {
		return in, false
	}
	var reg, mod, rm byte
	if modrm {
		if pos >= len(code) {
			return in, false
		}
		m := code[pos]
		mod, reg, rm = m>>6, m>>3&7, m&7
		if pos, ok = in.operand(code, pos+1, mod, rm, p); !ok {
			return in, false
		}
		imm = group(p, op, reg, imm)
	}
	switch {
	case p.table == 0 && (op >= 0x70 && op <= 0x7F || op >= 0xE0 && op <= 0xE3 || op == 0xE8 || op == 0xE9 || op == 0xEB),
		p.table == 1 && p.vector == 0 && op >= 0x80 && op <= 0x8F:
		in.relative, in.call = imm, op == 0xE8 && p.table == 0
	default:
		in.immediate = imm
	}
	in.size = pos + imm
	if in.size > len(code) {
		return in, false
	}
	if in.relative > 0 {
		in.displacement = int64(signed(code[pos : pos+imm]))
	}
	in.frame = p.table == 0 && (op == 0x81 || op == 0x83) && mod == 3 && rm == 4 && p.extend&1 == 0
	in.moved = p.table == 0 && (op&0xF8 == 0xB8 || op == 0xC7)
	in.unsigned = p.table == 0 && op&0xF8 == 0xB8 && imm == 4
	if in.moved && (op != 0xC7 || mod == 3) {
		in.register = 1 + (p.extend&1)<<3
		if op == 0xC7 {
			in.register += rm
		} else {
			in.register += op & 7
		}
	}
	if op == 0x8D {
		in.next = following[reg|(p.extend&4)<<1]
	}
	in.compared = p.table == 0 && ((op == 0x81 || op == 0x83) && reg == 7 || op == 0x3D)
	in.doubles = p.table == 1 && op == 0x58 && mod == 3 && reg == rm && p.repeat != 0 && p.vector == 0 && (p.extend&4 != 0) == (p.extend&1 != 0)
	if in.rip > 0 {
		in.access(p, op, reg)
	}
	return in, true
}

func readPrefix(code []byte) (p prefix, pos int, ok bool) {
	for ; pos < len(code); pos++ {
		switch c := code[pos]; c {
		case 0x66:
			p.operand = true
		case 0x67:
			p.address = true
		case 0xF2, 0xF3:
			p.repeat = c
		case 0x64, 0x65:
			p.thread = true
		case 0xF0, 0x2E, 0x36, 0x3E, 0x26:
		default:
			return opcodeMap(code, pos, p)
		}
	}
	return p, pos, false
}

// opcodeMap reads REX, VEX and EVEX and which table the opcode is of.
func opcodeMap(code []byte, pos int, p prefix) (prefix, int, bool) {
	c := code[pos]
	if c&0xF0 == 0x40 {
		p.extend, p.wide = c, c&8 != 0
		if pos++; pos >= len(code) {
			return p, pos, false
		}
		c = code[pos]
	}
	rest := code[pos:]
	var pp byte
	switch {
	case c == 0xC5 && len(rest) > 2:
		p.table, p.vector, pp, pos = 1, 16<<(rest[1]>>2&1), rest[1]&3, pos+2
	case c == 0xC4 && len(rest) > 3:
		p.table, p.vector, pp, pos = int(rest[1]&31), 16<<(rest[2]>>2&1), rest[2]&3, pos+3
		p.wide = rest[2]&0x80 != 0
	case c == 0x62 && len(rest) > 4:
		p.table, p.vector, pp, pos = int(rest[1]&7), 16<<(rest[3]>>5&3), rest[2]&3, pos+4
		p.wide = rest[2]&0x80 != 0
	case c == 0x0F && len(rest) > 1:
		p.table, pos = 1, pos+1
		switch rest[1] {
		case 0x38:
			p.table, pos = 2, pos+1
		case 0x3A:
			p.table, pos = 3, pos+1
		}
	}
	if p.vector > 0 {
		p.operand = pp == 1
		p.repeat = [4]byte{0, 0, 0xF3, 0xF2}[pp]
		if p.table == 0 {
			return p, pos, false
		}
	}
	return p, pos, true
}

// operand reads a memory operand after its ModRM byte.
func (in *instruction) operand(code []byte, pos int, mod, rm byte, p prefix) (int, bool) {
	if mod == 3 {
		return pos, true
	}
	size := [3]int{0, 1, 4}[mod]
	rip, absolute := false, false
	if rm == 4 {
		if pos >= len(code) {
			return pos, false
		}
		if code[pos]&7 == 5 && mod == 0 {
			size, absolute = 4, true
		}
		pos++
	} else if mod == 0 && rm == 5 {
		size, rip = 4, true
	}
	if pos+size > len(code) {
		return pos, false
	}
	if rip && !p.thread {
		in.rip, in.displacement = pos, int64(signed(code[pos:pos+4]))
	}
	if absolute && p.thread {
		in.thread = pos
	}
	return pos + size, true
}

// access says what an operand at a fixed address is used for.
func (in *instruction) access(p prefix, op, reg byte) {
	in.use, in.width = Access, 4
	switch {
	case p.wide:
		in.width = 8
	case p.operand && p.vector == 0:
		in.width = 2
	}
	switch {
	case p.table == 0 && op == 0x8D:
		in.use, in.width = Take, 0
	case p.table == 0 && op == 0xFF && reg >= 2:
		in.width = 8
		in.use = Access
	case p.table == 0 && (op < 0x40 && op&1 == 0 || op == 0x80 || op == 0x84 || op == 0x86 || op == 0x88 || op == 0x8A || op == 0xC6 || op == 0xF6 || op == 0xFE),
		p.table == 1 && p.vector == 0 && (op == 0xB6 || op == 0xBE || op&0xF0 == 0x90 || op == 0xB0 || op == 0xC0):
		in.width = 1
	case p.table == 1 && p.vector == 0 && (op == 0xB7 || op == 0xBF):
		in.width = 2
	case p.table == 1 && (op&0xF8 == 0x10 || op&0xF8 == 0x28 || op&0xF0 == 0x50 || op&0xF0 == 0x60 || op&0xF0 == 0x70 || op >= 0xD0 || op == 0xC2 || op == 0xC6),
		p.table == 2, p.table == 3:
		in.vector(p, op)
	}
}

// vector sets the width of a SSE or AVX operand.
func (in *instruction) vector(p prefix, op byte) {
	in.width = max(16, p.vector)
	compare := op == 0x2E || op == 0x2F
	integer := op&0xF0 == 0x60 || op >= 0xD0
	switch {
	case p.table != 1:
	case op == 0x2A: // CVTSI2SD
		in.width = 4
		if p.wide {
			in.width = 8
		}
	case op == 0x6E || op == 0x7E && p.repeat == 0:
		in.width = 4
		if p.wide {
			in.width = 8
		}
	case op == 0x7E || op == 0xD6:
		in.width = 8
	case integer || op == 0x70 || op == 0x7F:
	case p.repeat == 0xF2 || compare && p.operand:
		in.width, in.float = 8, true
	case p.repeat == 0xF3 || compare:
		in.width, in.float = 4, true
	}
}

// widen gives a float32's bits as those of a float64.
func widen(bits uint32) uint64 { return math.Float64bits(float64(math.Float32frombits(bits))) }
