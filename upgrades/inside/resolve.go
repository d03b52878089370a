package inside

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"aftershock/upgrades/inside/image"
	"aftershock/upgrades/inside/machine"
)

// Bounds of what is taken for a string or read of a constant.
const (
	maxText    = 64 << 10
	maxContent = 512
	// near is how many instructions apart a string's address and length stand.
	near = 8
)

// readOnly says whether a section holds constants.
func readOnly(s *image.Section) bool {
	return s != nil && !s.Zero && !s.Code && (!s.Writable || strings.HasPrefix(s.Name, ".data.rel.ro")) && !strings.HasPrefix(s.Name, ".gopclntab")
}

// findStarts collects where constants begin: what code takes the address of and
// what pointers point to.
func (g *goFile) findStarts() {
	for _, r := range g.references {
		if r.Use != machine.Take && r.Use != machine.Access {
			continue
		}
		if readOnly(g.At(r.Target)) {
			g.edges = append(g.edges, r.Target)
			if r.Use == machine.Take {
				g.taken = append(g.taken, r.Target)
			}
		}
	}
	g.pointers(func(_, value uint64) {
		if readOnly(g.At(value)) {
			g.starts = append(g.starts, value)
			g.edges = append(g.edges, value)
		}
	})
	slices.Sort(g.taken)
	g.taken = slices.Compact(g.taken)
	g.starts = append(g.starts, g.taken...)
	slices.Sort(g.starts)
	g.starts = slices.Compact(g.starts)
	slices.Sort(g.edges)
	g.edges = slices.Compact(g.edges)
}

// pointers visits the words of data that can be addresses.
func (g *goFile) pointers(visit func(at, value uint64)) {
	if g.PositionIndependent() {
		for at, value := range g.Relocated {
			visit(at, value)
		}
		return
	}
	word := uint64(g.Word())
	for _, s := range g.Sections() {
		// Numbers without pointers could only be mistaken.
		if s.Zero || s.Code || s.Name == ".gopclntab" || s.Name == ".noptrdata" {
			continue
		}
		for at := (s.Addr + word - 1) &^ (word - 1); at+word <= s.End(); at += word {
			if v, pointer, _ := g.Pointer(at); pointer {
				visit(at, v)
			}
		}
	}
}

// extent is how far the constant at an address reaches by the next one's start.
func (g *goFile) extent(addr uint64, starts []uint64) uint64 {
	s := g.At(addr)
	if s == nil {
		return 0
	}
	i := sort.Search(len(starts), func(i int) bool { return starts[i] > addr })
	if i < len(starts) && starts[i] < s.End() {
		return starts[i] - addr
	}
	return s.End() - addr
}

// reaches is how far the constant at an address can reach: to where the next one
// starts, and no further than those after it, for the Go linker lays constants
// out in the order of their sizes (cmd/link/internal/ld, dodataSect). Some of
// what is taken the address of is within a constant; so two of those that follow
// may reach less far.
func (g *goFile) reaches(addr uint64) uint64 {
	const follow = 12
	own := g.extent(addr, g.edges)
	if g.native {
		return own
	}
	s := g.At(addr)
	i := sort.Search(len(g.starts), func(i int) bool { return g.starts[i] > addr })
	least := [3]uint64{own, own, own} // in order
	for k := i; k < min(i+follow, len(g.starts)-1) && g.starts[k+1] < s.End(); k++ {
		for j, n := 0, g.starts[k+1]-g.starts[k]; j < len(least); j++ {
			if n < least[j] {
				least[j], n = n, least[j]
			}
		}
	}
	return least[2]
}

// printable says whether bytes are text.
func printable(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	for _, c := range b {
		if c < ' ' && c != '\n' && c != '\t' && c != '\r' && c != 0x1b || c == 0x7f {
			return false
		}
	}
	return true
}

// printableStart says whether bytes that may be cut in a character are text.
func printableStart(b []byte) bool {
	for cut := 0; cut < utf8.UTFMax && cut < len(b); cut++ {
		if printable(b[:len(b)-cut]) {
			return true
		}
	}
	return false
}

// cut is how many constants seem to start within n bytes of an address. A number that
// looks like an address may cut a string short, two don't.
func (g *goFile) cut(addr, n uint64) int {
	i := sort.Search(len(g.starts), func(i int) bool { return g.starts[i] > addr })
	k := sort.Search(len(g.starts), func(k int) bool { return g.starts[k] >= addr+n })
	return k - i
}

// header reads a string's pointer and length at an address.
func (g *goFile) header(at uint64) (text []byte, ok bool) {
	word := uint64(g.Word())
	p, pointer, _ := g.Pointer(at)
	n, isPointer, found := g.Pointer(at + word)
	if !pointer || !found || isPointer && g.PositionIndependent() || n == 0 || n > maxText || !readOnly(g.At(p)) {
		return nil, false
	}
	b := g.Bytes(p, n)
	if b == nil || !printable(b) || g.cut(p, n) > 1 {
		return nil, false
	}
	return b, true
}

// isModuleText recognises runtime.modinfo and its like, which tell of modules.
func isModuleText(b []byte) bool {
	return len(b) > 64 && strings.Contains(string(b), "\npath\t") || strings.HasPrefix(string(b), "path\t")
}

// findDataTexts collects the strings that variables hold.
func (g *goFile) findDataTexts() {
	seen := map[int32]bool{}
	g.pointers(func(at, value uint64) {
		s := g.At(at)
		if s == nil || s.Name == ".go.module" || s.Name == ".go.buildinfo" || !readOnly(g.At(value)) {
			return
		}
		if readOnly(s) && g.partOfType(at, value) {
			return
		}
		if b, ok := g.header(at); ok && !isModuleText(b) && string(b) != g.print.Toolchain {
			if i := g.text(b); !seen[i] {
				seen[i] = true
				g.print.DataTexts = append(g.print.DataTexts, i)
			}
		}
	})
}

// typeName reads a type descriptor's name, "" when there is none at the address.
// The layout is that of internal/abi.Type and internal/abi.Name.
func (g *goFile) typeName(addr uint64) string {
	if g.types == 0 || g.Word() != 8 || addr%4 != 0 || addr < g.types || g.typesEnd > 0 && addr >= g.typesEnd {
		return ""
	}
	b := g.Bytes(addr, 48)
	if b == nil {
		return ""
	}
	align, kind := b[21], b[23]&31
	if kind == 0 || kind > 26 || align == 0 || align > 64 || align&(align-1) != 0 || b[22] != align || b[20] > 127 {
		return ""
	}
	name := g.types + uint64(g.Order().Uint32(b[40:]))
	head := g.Bytes(name, 4)
	if head == nil || head[0] > 31 {
		return ""
	}
	n, used := binary.Uvarint(head[1:])
	if used <= 0 || n == 0 || n > 8192 {
		return ""
	}
	text := g.Bytes(name+1+uint64(used), n)
	if !printable(text) || len(text) == 0 {
		return ""
	}
	return string(text) + "#" + string(b[16:20])
}

// within gives the name of the type whose descriptor an address is in, and how
// far in: some of its words are offsets that the linker chose.
func (g *goFile) within(addr uint64) (name string, off uint64) {
	const largest = 112 // internal/abi.MapType
	for off = addr % 8; off < largest && addr-off >= g.types; off += 8 {
		if name = g.typeName(addr - off); name != "" {
			break
		}
	}
	return name, off
}

// closure gives the function whose address stands at an address, -1 if there is
// none: code passes functions so.
func (g *goFile) closure(addr uint64) int {
	if v, pointer, _ := g.Pointer(addr); pointer && addr%8 == 0 {
		if i := g.function(v); i >= 0 && uint64(g.table[i].Start)+g.start == v {
			return i
		}
	}
	return -1
}

// round says whether people would write a number.
func round(v uint64) bool { return v%(1<<10) == 0 || v%1000 == 0 }

// itab reads the names of an interface and of the type that implements it from
// internal/abi.ITab. Other constants begin with two types too, but don't go on
// with the second one's hash.
func (g *goFile) itab(addr, inter uint64) (first, second string) {
	t, pointer, _ := g.Pointer(addr + 8)
	hash := g.Bytes(addr+16, 4)
	if !pointer || hash == nil || !bytes.Equal(hash, g.Bytes(t+16, 4)) {
		return "", ""
	}
	if first, second = g.typeName(inter), g.typeName(t); first == "" || second == "" {
		return "", ""
	}
	return first, second
}

// partOfType says whether a pointer is one of a type descriptor's, with a number
// after it that is no length of a string: to another type, to which words are
// pointers (offset 32), to the fields of a struct or the methods of an interface
// (offset 56).
func (g *goFile) partOfType(at, value uint64) bool {
	return g.typeName(value) != "" || g.typeName(at-32) != "" || g.typeName(at-56) != ""
}

// numbered matches the numbers in the names of closures and the like.
var numbered = regexp.MustCompile(`(func|deferwrap|gowrap|init\.|stmp_)\d+|\.\d+(\.|$)`)

// plain is a function's name without the numbers that closures get.
func plain(name string) string {
	if !strings.ContainsAny(name, "0123456789") {
		return name
	}
	return numbered.ReplaceAllString(name, "$1#$2")
}

// identity is what stands at an address, by what it is and not where: it is
// appended to b. Other functions are told by name, constants by their content.
func (g *goFile) identity(b []byte, addr uint64) (_ []byte, callee int, known bool) {
	if i := g.function(addr); i >= 0 {
		b = append(append(b, 'f'), plain(g.table[i].Name)...)
		return binary.LittleEndian.AppendUint64(b, addr-g.start-uint64(g.table[i].Start)), i, true
	}
	if !readOnly(g.At(addr)) {
		return append(b, 'v'), -1, false
	}
	if name := g.typeName(addr); name != "" {
		return append(append(b, 't'), name...), -1, true
	}
	if i := g.closure(addr); i >= 0 {
		return append(append(b, 'f'), plain(g.table[i].Name)...), i, true
	}
	if v, pointer, _ := g.Pointer(addr); pointer && addr%8 == 0 {
		if first, second := g.itab(addr, v); first != "" {
			return append(append(append(b, 'i'), first...), second...), -1, true
		}
	}
	return b, -1, false
}
