package inside

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"

	"aftershock/upgrades/inside/image"
	"aftershock/upgrades/inside/machine"
	"aftershock/upgrades/inside/pclntab"
)

// maxFunction is the size of the largest function whose code is read.
const maxFunction = 16 << 20

// goFile is a Go program while its fingerprint is taken.
type goFile struct {
	*image.File
	print *Fingerprint
	// native says that it is no Go program: strings end with a zero byte.
	native bool
	// start is the address of Go's first function, types that of the first type.
	start, types uint64
	// typesEnd is where the types end, 0 where that is not known.
	typesEnd   uint64
	table      []pclntab.Function
	bodies     []body
	references []machine.Reference
	immediates []machine.Immediate
	// taken are the constants whose address code takes, starts also those that
	// pointers point to, edges also those that code reads; all in order.
	taken, starts, edges []uint64
	texts, pieces        map[string]int32
	variables            map[place]int32
	names                symbols
	// work counts the bytes of constants that were looked at.
	work uint64
}

// body is a function's code: ranges of references and immediates.
type body struct {
	code       machine.Digest
	references [2]int
	immediates [2]int
}

// place is where code accesses a variable.
type place struct {
	addr  uint64
	width uint8
}

// readBuild notes what the Go linker wrote about modules and settings.
func readBuild(r io.ReaderAt, p *Fingerprint) (ok bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			ok, err = false, fmt.Errorf("read build information: %v", v)
		}
	}()
	info, err := buildinfo.Read(r)
	if err != nil {
		return false, nil //nolint:nilerr // it is no Go program
	}
	p.Toolchain, p.Version, p.Main = info.GoVersion, info.Main.Version, info.Main.Path
	p.Package = info.Path
	p.Modules, p.Settings = map[string]string{}, map[string]string{}
	for _, d := range info.Deps {
		version := d.Version
		if d.Replace != nil {
			version = strings.TrimSpace(version + " => " + d.Replace.Path + " " + d.Replace.Version)
		}
		p.Modules[d.Path] = version
	}
	for _, s := range info.Settings {
		p.Settings[s.Key] = s.Value
	}
	p.Machine = p.Settings["GOARCH"]
	return true, nil
}

// readGo adds what a Go program consists of.
func readGo(f *image.File, p *Fingerprint) error {
	p.Form = FormGo
	if p.Machine == "" {
		p.Machine = map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}[f.Machine()]
	}
	g := &goFile{File: f, print: p, texts: map[string]int32{}, pieces: map[string]int32{}, variables: map[place]int32{}}
	ok, err := g.readTable()
	if err != nil {
		return err
	}
	if err := g.loadData(); err != nil {
		return err
	}
	if g.names, err = readSymbols(f); err != nil {
		return err
	}
	p.Named = len(g.names.data) > 0
	if ok {
		if err := g.readBodies(); err != nil {
			return err
		}
	}
	if f.Section(".eh_frame_hdr") != nil {
		g.note("it has code in C too, which is not compared")
	}
	g.findStarts()
	if p.Exact {
		g.findDataTexts()
	}
	if err := g.resolveAll(); err != nil {
		return err
	}
	g.readVariables()
	g.readKeys()
	return nil
}

// readTable reads the functions; ok is false when there is no table to read.
func (g *goFile) readTable() (ok bool, err error) {
	s := g.Section(".gopclntab")
	if s == nil {
		s = g.Section(".data.rel.ro.gopclntab")
	}
	if s == nil {
		g.note("it has no table of functions: only modules and strings are compared")
		return false, nil
	}
	data, err := g.Load(s)
	if err != nil {
		return false, err
	}
	t, err := pclntab.Parse(data, g.Order())
	if errors.Is(err, pclntab.ErrOld) {
		g.note("its Go is older than 1.18: only modules and strings are compared")
		return false, nil
	}
	if err != nil {
		return false, err
	}
	g.table, g.print.Inlined = t.Functions, t.Inlined
	g.start = t.TextStart
	if err := g.findModule(s.Addr, t.TextStart); err != nil {
		return false, err
	}
	if g.start == 0 {
		if text := g.Section(".text"); text != nil {
			g.start = text.Addr
		}
	}
	return true, nil
}

// findModule reads runtime.firstmoduledata, which begins with the address of
// the table of functions; from Go 1.26 on it has a section of its own. Its
// fields are those of runtime/symtab.go: text is word 22, types word 37, etypes
// word 38.
func (g *goFile) findModule(table, header uint64) error {
	word := uint64(g.Word())
	for _, name := range []string{".go.module", ".noptrdata", ".data", ".data.rel.ro"} {
		s := g.Section(name)
		if s == nil || s.Zero {
			continue
		}
		if _, err := g.Load(s); err != nil {
			return err
		}
		for at := s.Addr; at+40*word <= s.End(); at += word {
			if v, _, _ := g.Pointer(at); v != table {
				continue
			}
			text, _, _ := g.Pointer(at + 22*word)
			types, _, _ := g.Pointer(at + 37*word)
			if in := g.At(text); in == nil || !in.Code {
				continue
			}
			g.start, g.types = text, types
			if end, _, _ := g.Pointer(at + 38*word); end > types && g.At(types) != nil && end <= g.At(types).End() {
				g.typesEnd = end
			}
			return nil
		}
	}
	if header == 0 && g.Section(".go.module") != nil {
		return errors.New("it doesn't say where its code starts")
	}
	return nil
}

// loadData reads what constants and variables are in.
func (g *goFile) loadData() error {
	for _, s := range g.Sections() {
		if s.Code || s.Zero || s.Relocations() || strings.HasPrefix(s.Name, ".debug") || s.Name == ".eh_frame" {
			continue
		}
		if _, err := g.Load(s); err != nil {
			return err
		}
	}
	return nil
}

// readBodies reads the code of each function.
func (g *goFile) readBodies() error {
	reader := machine.For(g.print.Machine)
	g.print.Exact = reader != nil
	if reader == nil {
		g.note("code for " + g.print.Machine + " is not decoded: functions are compared by their sizes, and strings are not")
	}
	g.print.Functions = make([]Function, len(g.table))
	g.bodies = make([]body, len(g.table))
	var b machine.Body
	var code []byte
	for i, t := range g.table {
		f := &g.print.Functions[i]
		size := int(t.End - t.Start)
		f.Name, f.Generated, f.Size = t.Name, t.Generated, size
		if t.Name == "" {
			f.Address = g.start + uint64(t.Start)
		}
		if size > maxFunction {
			return fmt.Errorf("function %q has %d MB, more than is read", t.Name, size>>20)
		}
		code = append(code[:0], make([]byte, size)...)
		addr := g.start + uint64(t.Start)
		if err := g.Read(addr, code); err != nil {
			return fmt.Errorf("read function %q: %w", t.Name, err)
		}
		if reader == nil {
			f.Size = len(bytes.TrimRight(code, "\x00"))
			continue
		}
		reader.Read(addr, code, &b)
		f.Size, f.Shape = b.Size, b.Shape
		g.bodies[i] = body{b.Code, [2]int{len(g.references), len(g.references) + len(b.References)}, [2]int{len(g.immediates), len(g.immediates) + len(b.Immediates)}}
		g.references = append(g.references, b.References...)
		g.immediates = append(g.immediates, b.Immediates...)
	}
	return nil
}

// function finds the one whose code covers an address, -1 when there is none.
func (g *goFile) function(addr uint64) int {
	if addr < g.start || addr-g.start > 1<<32-1 {
		return -1
	}
	off := uint32(addr - g.start)
	i := sort.Search(len(g.table), func(i int) bool { return g.table[i].End > off })
	if i < len(g.table) && g.table[i].Start <= off {
		return i
	}
	return -1
}

func (g *goFile) note(text string) { g.print.Notes = append(g.print.Notes, text) }

// text gives the index of a string.
func (g *goFile) text(b []byte) int32 {
	if i, ok := g.texts[string(b)]; ok {
		return i
	}
	i := int32(len(g.print.Texts))
	s := string(b)
	g.texts[s] = i
	g.print.Texts = append(g.print.Texts, s)
	return i
}

// piece gives the index of a constant.
func (g *goFile) piece(c Piece) int32 {
	key := string(c.Bytes)
	if c.Raw != nil {
		key += "\x00" + string(c.Raw)
	}
	if i, ok := g.pieces[key]; ok {
		return i
	}
	i := int32(len(g.print.Pieces))
	g.pieces[key] = i
	c.Bytes = slices.Clone(c.Bytes)
	g.print.Pieces = append(g.print.Pieces, c)
	return i
}

// readBuildID finds Go's build id, or GNU's, in the notes of the file.
func readBuildID(f *image.File) string {
	for _, name := range []string{".note.go.buildid", ".note.gnu.build-id"} {
		b := f.Raw(name, 4096)
		if len(b) < 16 {
			continue
		}
		size, from := uint64(f.Order().Uint32(b[4:])), 12+(uint64(f.Order().Uint32(b))+3)&^3
		if from > uint64(len(b)) || size > uint64(len(b))-from {
			continue
		}
		if strings.HasPrefix(name, ".note.go") {
			return string(bytes.TrimRight(b[from:from+size], "\x00"))
		}
		return fmt.Sprintf("%x", b[from:from+size])
	}
	return ""
}
