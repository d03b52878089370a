package machine

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/arch/x86/x86asm"
)

// tool is the path of one of Go's own tools, real code by the megabyte.
func tool(t testing.TB, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOTOOLDIR").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), name)
}

// The lengths, branches and addresses found in Go's own linker are those that
// x86asm finds, but for VEX and EVEX, which it doesn't know.
func TestAMD64AgreesWithDisassembler(t *testing.T) {
	path := tool(t, "link")
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Machine != elf.EM_X86_64 {
		t.Skip("Go's tools are for another architecture here")
	}
	symbols, err := f.Symbols()
	if err != nil {
		t.Skip("Go's tools have no symbols here")
	}
	text := f.Section(".text")
	data, err := text.Data()
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, s := range symbols {
		if elf.ST_TYPE(s.Info) != elf.STT_FUNC || s.Value < text.Addr || s.Value+s.Size > text.Addr+text.Size {
			continue
		}
		code := data[s.Value-text.Addr:][:s.Size]
		for pos := 0; pos < len(code); {
			want, err := x86asm.Decode(code[pos:], 64)
			c := code[pos]
			if err != nil || c == 0xC4 || c == 0xC5 || c == 0x62 {
				break
			}
			got, ok := decode(code[pos:])
			if !ok || got.size != want.Len {
				t.Fatalf("%s+%#x: % x: length %d, want %d: %v", s.Name, pos, code[pos:pos+min(15, len(code)-pos)], got.size, want.Len, want)
			}
			if got.rip > 0 || got.relative > 0 {
				if want.PCRel == 0 {
					t.Fatalf("%s+%#x: %v is taken to be relative", s.Name, pos, want)
				}
				if at := got.size - got.relative; got.relative > 0 && (at != want.PCRelOff || got.relative != want.PCRel) || got.rip > 0 && got.rip != want.PCRelOff {
					t.Fatalf("%s+%#x: %v: displacement elsewhere than at %d", s.Name, pos, want, want.PCRelOff)
				}
			} else if want.PCRel != 0 {
				t.Fatalf("%s+%#x: %v is not taken to be relative", s.Name, pos, want)
			}
			pos += got.size
			compared++
		}
	}
	if compared < 100_000 {
		t.Errorf("compared %d instructions, want more", compared)
	}
}

func TestAMD64Widths(t *testing.T) {
	for _, tt := range []struct {
		name  string
		code  []byte
		use   Use
		width uint8
		float bool
	}{
		{"MOVSD X1", []byte{0xf2, 0x0f, 0x10, 0x0d, 0, 1, 0, 0}, Access, 8, true},
		{"MULSS X1", []byte{0xf3, 0x0f, 0x59, 0x0d, 0, 1, 0, 0}, Access, 4, true},
		{"MOVUPS X1", []byte{0x0f, 0x10, 0x0d, 0, 1, 0, 0}, Access, 16, false},
		{"UCOMISD X1", []byte{0x66, 0x0f, 0x2e, 0x0d, 0, 1, 0, 0}, Access, 8, true},
		{"VMOVDQU Y1", []byte{0xc5, 0xfe, 0x6f, 0x0d, 0, 1, 0, 0}, Access, 32, false},
		{"MOVQ AX", []byte{0x48, 0x8b, 0x05, 0, 1, 0, 0}, Access, 8, false},
		{"MOVL AX", []byte{0x8b, 0x05, 0, 1, 0, 0}, Access, 4, false},
		{"MOVBLZX AX", []byte{0x0f, 0xb6, 0x05, 0, 1, 0, 0}, Access, 1, false},
		{"CMPB $1", []byte{0x80, 0x3d, 0, 1, 0, 0, 1}, Access, 1, false},
		{"LEAQ AX", []byte{0x48, 0x8d, 0x05, 0, 1, 0, 0}, Take, 0, false},
		{"CALL", []byte{0xe8, 0, 1, 0, 0}, Call, 0, false},
		{"JMP", []byte{0xe9, 0, 1, 0, 0}, Jump, 0, false},
	} {
		var b Body
		For("amd64").Read(0x1000, tt.code, &b)
		if len(b.References) != 1 {
			t.Errorf("%s: %d references, want 1", tt.name, len(b.References))
			continue
		}
		r := b.References[0]
		if want := 0x1000 + uint64(len(tt.code)) + 0x100; r.Target != want || r.Use != tt.use || r.Width != tt.width || r.Float != tt.float {
			t.Errorf("%s: %+v, want target %#x use %d width %d float %t", tt.name, r, want, tt.use, tt.width, tt.float)
		}
	}
}

// Code that moves, with what it refers to at the same or another distance, keeps
// its digests; a changed immediate changes Code, and Shape stays.
func TestDigests(t *testing.T) {
	code := func(distance, number byte) []byte {
		return []byte{0x48, 0x8d, 0x05, distance, 1, 0, 0, 0xb9, number, 0, 0, 0, 0xc3, 0xcc, 0xcc}
	}
	var first, moved, other Body
	For("amd64").Read(0x1000, code(0, 5), &first)
	For("amd64").Read(0x5000, append(code(7, 5), 0xcc), &moved)
	For("amd64").Read(0x1000, code(0, 6), &other)
	if first.Code != moved.Code || first.Size != 13 || moved.Size != 13 {
		t.Errorf("moved code has another digest, or size %d and %d instead of 13", first.Size, moved.Size)
	}
	if first.Code == other.Code || first.Shape != other.Shape {
		t.Error("another immediate must change the code's digest and not its shape's")
	}
}

func TestARM64(t *testing.T) {
	word := func(list ...uint32) (b []byte) {
		for _, w := range list {
			b = append(b, byte(w), byte(w>>8), byte(w>>16), byte(w>>24))
		}
		return b
	}
	for _, tt := range []struct {
		name       string
		code       []byte
		references []Reference
		immediates []uint64
	}{
		// adrp x0, +1 page; add x0, x0, #0x10
		{"address", word(0xb0000000, 0x91004000), []Reference{{Target: 0x2010, At: 2, Use: Take, Next: 2}}, nil},
		// adrp x1, +1 page; ldr d0, [x1, #8]
		{"float", word(0xb0000001, 0xfd400420), []Reference{{Target: 0x2008, At: 2, Use: Access, Width: 8, Float: true}}, nil},
		// adrp x27, +1 page; add x27, x0, #0x10, lsl #12; ldr x0, [x27, #8]
		{"overwritten", word(0xb000001b, 0x9140401b, 0xf9400760), nil, nil},
		// bl +0x400
		{"call", word(0x94000100), []Reference{{Target: 0x1400, At: 1, Use: Call}}, nil},
		// mov x0, #0x9680; movk x0, #0x98, lsl #16
		{"ten milliseconds", word(0xd292d000, 0xf2a01300), nil, []uint64{10_000_000}},
		// cmp x0, #3
		{"comparison", word(0xf1000c1f), nil, []uint64{3}},
		// sub sp, sp, #0x40
		{"frame", word(0xd10103ff), nil, nil},
		// fmov d0, #1.5
		{"move of 1.5", word(0x1e6f1000), nil, []uint64{0x3ff8000000000000}},
		// mov x0, #0x5555555555555555
		{"pattern", word(0xb200f3e0), nil, []uint64{0x5555555555555555}},
	} {
		var b Body
		For("arm64").Read(0x1000, tt.code, &b)
		if len(b.References) != len(tt.references) || len(b.Immediates) != len(tt.immediates) {
			t.Errorf("%s: %+v %+v", tt.name, b.References, b.Immediates)
			continue
		}
		for i, r := range tt.references {
			if b.References[i] != r {
				t.Errorf("%s: %+v, want %+v", tt.name, b.References[i], r)
			}
		}
		for i, v := range tt.immediates {
			if b.Immediates[i].Bits != v {
				t.Errorf("%s: %#x, want %#x", tt.name, b.Immediates[i].Bits, v)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte{0x48, 0x8d, 0x05, 0, 1, 0, 0, 0xc3})
	f.Add([]byte{0x62, 0xf1, 0xfe, 0x48, 0x6f, 0x05, 0, 0, 0, 0})
	f.Add([]byte{0x00, 0x00, 0x00, 0xb0, 0x00, 0x40, 0x00, 0x91, 0x40, 0, 0, 0x58})
	if b, err := os.ReadFile("/proc/self/exe"); err == nil && len(b) > 8192 {
		f.Add(b[4096:8192])
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		for _, arch := range []string{"amd64", "arm64"} {
			var b Body
			For(arch).Read(0x1000, code, &b)
			if b.Size > len(code) {
				t.Errorf("%s: size %d of %d bytes", arch, b.Size, len(code))
			}
			for _, r := range b.References {
				if r.Target-0x1000 < uint64(len(code)&^3) {
					t.Errorf("%s: reference to %#x within the function", arch, r.Target)
				}
			}
		}
	})
}
