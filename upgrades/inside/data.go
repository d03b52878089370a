package inside

import (
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"aftershock/upgrades/inside/image"
	"aftershock/upgrades/inside/machine"
)

// symbols are the names of variables by address.
type symbols struct{ data []image.Symbol }

func readSymbols(f *image.File) (symbols, error) {
	all, err := f.Symbols()
	if err != nil {
		return symbols{}, err
	}
	var s symbols
	for _, y := range all {
		if in := f.At(y.Addr); y.Data && y.Size > 0 && in != nil && in.Writable && !readOnly(in) {
			s.data = append(s.data, y)
		}
	}
	sort.SliceStable(s.data, func(i, j int) bool { return s.data[i].Addr < s.data[j].Addr })
	return s, nil
}

// at is the variable that covers an address.
func (s symbols) at(addr uint64) (name string, offset uint64) {
	i := sort.Search(len(s.data), func(i int) bool { return s.data[i].Addr+s.data[i].Size > addr })
	if i < len(s.data) && s.data[i].Addr <= addr {
		return s.data[i].Name, addr - s.data[i].Addr
	}
	return "", 0
}

// What may be a duration: between a microsecond and thirty days in whole
// microseconds, or whole milliseconds where addresses could be mistaken for it.
const (
	longest  = 30 * 24 * time.Hour
	roundest = time.Millisecond
)

func duration(v int64, unit time.Duration) bool {
	return v >= int64(unit) && v <= int64(longest) && v%int64(unit) == 0
}

// variable gives the index of the variable that a reference uses.
func (g *goFile) variable(r machine.Reference) int32 {
	key := place{r.Target, r.Width}
	if i, ok := g.variables[key]; ok {
		return i
	}
	s := g.At(r.Target)
	v := Variable{Section: s.Name, Offset: r.Target - s.Addr, Width: min(r.Width, 8)}
	if name, off := g.names.at(r.Target); name != "" {
		v.Name = offsetName(name, off)
	}
	if r.Float {
		v.Kind = Float
	}
	v.Opaque = r.Width == 0 || r.Width > 8
	if !v.Opaque {
		g.value(&v, s, r.Target)
	}
	i := int32(len(g.print.Variables))
	g.variables[key] = i
	g.print.Variables = append(g.print.Variables, v)
	return i
}

// value reads what a variable holds at the start.
func (g *goFile) value(v *Variable, s *image.Section, addr uint64) {
	if s.Zero {
		return
	}
	b := g.Bytes(addr, uint64(v.Width))
	if b == nil || strings.HasPrefix(s.Name, ".go.") || strings.HasPrefix(s.Name, ".got") {
		v.Opaque = true
		return
	}
	for i := range b {
		if g.Order().Uint16([]byte{1, 0}) == 1 {
			v.Bits |= uint64(b[i]) << (8 * i)
		} else {
			v.Bits = v.Bits<<8 | uint64(b[i])
		}
	}
	if v.Width == 8 && v.Kind == Integer {
		_, pointer, _ := g.Pointer(addr)
		v.Opaque = g.isLength(addr) || pointer && (s.Name != ".noptrdata" || !duration(int64(v.Bits), roundest))
	}
}

// isLength says whether a word is the length of a string: one that follows the
// address of a constant.
func (g *goFile) isLength(addr uint64) bool {
	p, pointer, _ := g.Pointer(addr - 8)
	n, _, _ := g.Pointer(addr)
	return pointer && n <= maxText && readOnly(g.At(p))
}

// offsetName tells a field of a variable by its place.
func offsetName(name string, off uint64) string {
	if off == 0 {
		return name
	}
	return name + "+" + strconv.FormatUint(off, 10)
}

// readVariables reads what no code names by its address: the words that may be
// durations, and, where there are symbols, every variable.
func (g *goFile) readVariables() {
	for _, name := range []string{".data", ".noptrdata"} {
		s := g.Section(name)
		if s == nil || s.Zero {
			continue
		}
		g.keepSection(s)
		for at := (s.Addr + 7) &^ 7; at+8 <= s.End(); at += 8 {
			v, pointer, _ := g.Pointer(at)
			unit := time.Microsecond
			if pointer && (name == ".data" || g.PositionIndependent()) {
				continue
			}
			if pointer {
				unit = roundest // it may be an address as well
			}
			if !duration(int64(v), unit) {
				continue
			}
			if g.isLength(at) {
				continue
			}
			w := Word{Section: name, Offset: at - s.Addr, Value: int64(v)}
			if y, off := g.names.at(at); y != "" {
				w.Name = offsetName(y, off)
			}
			g.print.Words = append(g.print.Words, w)
		}
	}
	for _, y := range g.names.data {
		// The linker's tables hold sizes and offsets that always change.
		if y.Size > 4096 || strings.HasPrefix(y.Name, "runtime.") && y.Size > 8 || strings.Contains(y.Name, "..stmp_") || strings.HasPrefix(y.Name, "go:") {
			continue
		}
		for off := uint64(0); off < y.Size; off += 8 {
			g.variable(machine.Reference{Target: y.Addr + off, Width: uint8(power(min(8, y.Size-off))), Use: machine.Access})
		}
	}
}

// maxKeptSection is the size of the largest section that is kept.
const maxKeptSection = 8 << 20

// keepSection keeps a section's bytes without what the linker put there:
// addresses, and the lengths of strings, which are told with their texts.
func (g *goFile) keepSection(s *image.Section) {
	if s.Size > maxKeptSection {
		return
	}
	b := slices.Clone(g.Bytes(s.Addr, s.Size))
	for off := (s.Addr+7)&^7 - s.Addr; off+8 <= s.Size; off += 8 {
		v, pointer, _ := g.Pointer(s.Addr + off)
		if pointer && (s.Name == ".data" || g.PositionIndependent() || !duration(int64(v), roundest)) {
			clear(b[off : off+8])
		}
		if g.isLength(s.Addr + off) {
			clear(b[off : off+8])
		}
	}
	g.print.Sections = append(g.print.Sections, Section{s.Name, b})
}

// power is the largest power of two that is not above n.
func power(n uint64) uint64 {
	p := uint64(1)
	for p*2 <= n {
		p *= 2
	}
	return p
}

// tag matches the keys in the tags of structs.
var tag = regexp.MustCompile(`\b(?:json|yaml|toml|env|envconfig|flag|mapstructure|hcl|ini|koanf|long|arg):\\?"([A-Za-z0-9_.\-]{2,80})`)

// readKeys collects the names of settings from tags, which stand among types.
func (g *goFile) readKeys() {
	s := g.At(g.types)
	if s == nil || g.types == 0 {
		return
	}
	data := g.Bytes(s.Addr, s.Size)
	seen := map[string]bool{}
	for _, m := range tag.FindAllSubmatch(data, 100_000) {
		if k := string(m[1]); !seen[k] {
			seen[k] = true
			g.print.Keys = append(g.print.Keys, k)
		}
	}
	slices.Sort(g.print.Keys)
}
