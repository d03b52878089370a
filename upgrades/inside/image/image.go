// Package image reads an ELF file by the addresses its code will see. Every file
// is taken to be hostile: what is read is bounded, and what doesn't fit is an
// error, never a panic.
package image

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
)

// Bounds of what is read.
const (
	maxSections    = 4096
	maxSection     = 512 << 20
	maxLoaded      = 1 << 30
	maxRelocations = 8 << 20
	maxSymbols     = 4 << 20
)

// Section is a part of the file that is loaded.
type Section struct {
	Name       string
	Addr, Size uint64
	Writable   bool
	Code       bool
	// Zero sections have no bytes in the file.
	Zero bool

	raw  *elf.Section
	data []byte
}

// End is the address after the section.
func (s *Section) End() uint64 { return s.Addr + s.Size }

// Relocations says that it tells the loader what to fill in, and is not seen by
// the program.
func (s *Section) Relocations() bool { return s.raw.Type == relocations }

const relocations = elf.SHT_RELA //nolint:misspell // its name

// File is an ELF file.
type File struct {
	elf      *elf.File
	sections []*Section // by address
	loaded   uint64
	// relocated are the words that the loader fills in, by address.
	relocated []relocation
}

type relocation struct{ at, value uint64 }

// Open reads the headers and the relocations.
func Open(r io.ReaderAt, size int64) (f *File, err error) {
	defer func() {
		if p := recover(); p != nil {
			f, err = nil, fmt.Errorf("read headers: %v", p)
		}
	}()
	e, err := elf.NewFile(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil, err
	}
	if len(e.Sections) > maxSections {
		return nil, fmt.Errorf("%d sections, more than %d", len(e.Sections), maxSections)
	}
	f = &File{elf: e}
	for _, s := range e.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 || s.Addr == 0 || s.Size == 0 || s.Flags&elf.SHF_TLS != 0 {
			continue
		}
		if s.Addr+s.Size < s.Addr {
			return nil, fmt.Errorf("section %q wraps around", s.Name)
		}
		zero := s.Type == elf.SHT_NOBITS
		if !zero && (s.Offset > uint64(size) || s.FileSize > uint64(size)-s.Offset) {
			return nil, fmt.Errorf("section %q reaches beyond the file", s.Name)
		}
		f.sections = append(f.sections, &Section{
			Name: s.Name, Addr: s.Addr, Size: s.Size, Zero: zero, raw: s,
			Writable: s.Flags&elf.SHF_WRITE != 0, Code: s.Flags&elf.SHF_EXECINSTR != 0,
		})
	}
	sort.SliceStable(f.sections, func(i, j int) bool { return f.sections[i].Addr < f.sections[j].Addr })
	return f, f.readRelocations()
}

// Machine is what it runs on.
func (f *File) Machine() elf.Machine { return f.elf.Machine }

// Order is the order of bytes.
func (f *File) Order() binary.ByteOrder { return f.elf.ByteOrder }

// Word is the size of an address in bytes.
func (f *File) Word() int {
	if f.elf.Class == elf.ELFCLASS64 {
		return 8
	}
	return 4
}

// Libraries are the shared libraries it needs.
func (f *File) Libraries() []string {
	defer ignore()
	l, err := f.elf.ImportedLibraries()
	if err != nil {
		return nil
	}
	return l
}

// ignore drops a panic of debug/elf: what was asked for is then missing.
func ignore() { _ = recover() }

// Sections are what is loaded, by address.
func (f *File) Sections() []*Section { return f.sections }

// Section finds one by name, nil when there is none.
func (f *File) Section(name string) *Section {
	for _, s := range f.sections {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Raw reads a section that need not be loaded, as .comment; at most limit bytes.
func (f *File) Raw(name string, limit int) []byte {
	defer ignore()
	s := f.elf.Section(name)
	if s == nil || s.Type == elf.SHT_NOBITS || s.FileSize > uint64(limit) {
		return nil
	}
	data, err := s.Data()
	if err != nil || len(data) > limit {
		return nil
	}
	return data
}

// At finds the section of an address, nil when there is none.
func (f *File) At(addr uint64) *Section {
	i := sort.Search(len(f.sections), func(i int) bool { return f.sections[i].End() > addr })
	if i < len(f.sections) && f.sections[i].Addr <= addr {
		return f.sections[i]
	}
	return nil
}

// Load reads a whole section and keeps it.
func (f *File) Load(s *Section) ([]byte, error) {
	if s.Zero || s.data != nil {
		return s.data, nil
	}
	if s.Size > maxSection || f.loaded+s.Size > maxLoaded {
		return nil, fmt.Errorf("section %q has %d MB, more than is read", s.Name, s.Size>>20)
	}
	if s.raw.FileSize != s.Size {
		return nil, fmt.Errorf("section %q is compressed or cut short", s.Name)
	}
	data := make([]byte, s.Size)
	if _, err := s.raw.ReadAt(data, 0); err != nil {
		return nil, fmt.Errorf("read section %q: %w", s.Name, err)
	}
	f.loaded += s.Size
	s.data = data
	return data, nil
}

// Read fills b from an address within one section, without keeping it.
func (f *File) Read(addr uint64, b []byte) error {
	s := f.At(addr)
	if s == nil || s.Zero || uint64(len(b)) > s.End()-addr {
		return errors.New("address outside the file")
	}
	if s.data != nil {
		copy(b, s.data[addr-s.Addr:])
		return nil
	}
	_, err := s.raw.ReadAt(b, int64(addr-s.Addr))
	return err
}

// Bytes are n bytes of a loaded section, nil where there are none.
func (f *File) Bytes(addr uint64, n uint64) []byte {
	s := f.At(addr)
	if s == nil || s.data == nil || n > s.End()-addr {
		return nil
	}
	from := addr - s.Addr
	return s.data[from : from+n : from+n]
}

// Pointer is the word at an address as the running program sees it, and whether
// it can be an address of this file.
func (f *File) Pointer(addr uint64) (value uint64, pointer, ok bool) {
	if len(f.relocated) > 0 {
		i := sort.Search(len(f.relocated), func(i int) bool { return f.relocated[i].at >= addr })
		if i < len(f.relocated) && f.relocated[i].at == addr {
			return f.relocated[i].value, true, true
		}
	}
	b := f.Bytes(addr, uint64(f.Word()))
	if b == nil {
		return 0, false, false
	}
	if f.Word() == 8 {
		value = f.Order().Uint64(b)
	} else {
		value = uint64(f.Order().Uint32(b))
	}
	return value, len(f.relocated) == 0 && f.At(value) != nil, true
}

// Relocated gives the words that the loader fills in, by address.
func (f *File) Relocated(yield func(at, value uint64) bool) {
	for _, r := range f.relocated {
		if !yield(r.at, r.value) {
			return
		}
	}
}

// PositionIndependent says whether the loader chooses where the file goes.
func (f *File) PositionIndependent() bool { return len(f.relocated) > 0 }

// relative is the relocation type that adds the load address to an addend.
func relative(m elf.Machine) uint32 {
	switch m {
	case elf.EM_X86_64:
		return uint32(elf.R_X86_64_RELATIVE)
	case elf.EM_AARCH64:
		return uint32(elf.R_AARCH64_RELATIVE)
	case elf.EM_RISCV:
		return uint32(elf.R_RISCV_RELATIVE)
	case elf.EM_PPC64:
		return uint32(elf.R_PPC64_RELATIVE)
	case elf.EM_S390:
		return uint32(elf.R_390_RELATIVE)
	case elf.EM_LOONGARCH:
		return uint32(elf.R_LARCH_RELATIVE)
	}
	return 0
}

func (f *File) readRelocations() error {
	kind := relative(f.Machine())
	if kind == 0 || f.Word() != 8 {
		return nil
	}
	for _, s := range f.elf.Sections {
		if s.Type != relocations || s.Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		if s.FileSize/24 > maxRelocations {
			return fmt.Errorf("section %q has more than %d relocations", s.Name, maxRelocations)
		}
		data, err := s.Data()
		if err != nil {
			return fmt.Errorf("read section %q: %w", s.Name, err)
		}
		for ; len(data) >= 24; data = data[24:] {
			if uint32(f.Order().Uint64(data[8:])) != kind {
				continue
			}
			f.relocated = append(f.relocated, relocation{f.Order().Uint64(data), f.Order().Uint64(data[16:])})
		}
	}
	sort.SliceStable(f.relocated, func(i, j int) bool { return f.relocated[i].at < f.relocated[j].at })
	return nil
}

// Symbol is a name of an address.
type Symbol struct {
	Name       string
	Addr, Size uint64
	// Data says that it names a variable, not a function.
	Data bool
}

// Symbols are those of the file, none when it is stripped.
func (f *File) Symbols() (list []Symbol, err error) {
	defer func() {
		if p := recover(); p != nil {
			list, err = nil, fmt.Errorf("read symbols: %v", p)
		}
	}()
	if s := f.elf.SectionByType(elf.SHT_SYMTAB); s == nil {
		return nil, nil
	} else if s.FileSize/16 > maxSymbols {
		return nil, fmt.Errorf("more than %d symbols", maxSymbols)
	}
	all, err := f.elf.Symbols()
	if errors.Is(err, elf.ErrNoSymbols) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read symbols: %w", err)
	}
	for _, s := range all {
		if t := elf.ST_TYPE(s.Info); t == elf.STT_FUNC || t == elf.STT_OBJECT {
			list = append(list, Symbol{Name: s.Name, Addr: s.Value, Size: s.Size, Data: t == elf.STT_OBJECT})
		}
	}
	return list, nil
}
