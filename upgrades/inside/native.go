package inside

import (
	"bytes"
	"compress/zlib"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"aftershock/upgrades/inside/image"
	"aftershock/upgrades/inside/pclntab"
)

// Bounds of what is read of programs in C, C++ and Rust.
const (
	maxNative  = 2 << 20
	maxComment = 64 << 10
	maxAudit   = 8 << 20
)

// readNative adds what a program consists of that Go didn't link: its functions
// by the table that unwinds the stack, which stays when symbols are stripped.
func readNative(f *image.File, p *Fingerprint) error {
	p.Form = FormELF
	p.Machine = map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}[f.Machine()]
	if p.Machine == "" {
		p.Machine = f.Machine().String()
	}
	p.Toolchain = toolchain(f.Raw(".comment", maxComment))
	p.Modules = libraries(f.Libraries())
	if err := readAudit(f, p); err != nil {
		return err
	}
	g := &goFile{File: f, print: p, native: true, texts: map[string]int32{}, pieces: map[string]int32{}, variables: map[place]int32{}}
	if err := g.loadData(); err != nil {
		return err
	}
	var err error
	if g.names, err = readSymbols(f); err != nil {
		return err
	}
	p.Named = len(g.names.data) > 0
	if err := g.readUnwind(); err != nil {
		return err
	}
	if err := g.readBodies(); err != nil {
		return err
	}
	g.findStarts()
	g.findTerminated()
	if err := g.resolveAll(); err != nil {
		return err
	}
	g.readVariables()
	return nil
}

// toolchain reads what compilers wrote about themselves.
func toolchain(comment []byte) string {
	var list []string
	for s := range strings.SplitSeq(string(comment), "\x00") {
		if s != "" && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	slices.Sort(list)
	return strings.Join(list, "; ")
}

// libraries are shared ones as modules: libssl.so.3 is libssl.so in version 3.
func libraries(names []string) map[string]string {
	out := map[string]string{}
	for _, n := range names {
		if i := strings.Index(n, ".so."); i > 0 {
			out[n[:i+3]] = n[i+4:]
		} else {
			out[n] = "any"
		}
	}
	return out
}

// readAudit reads what cargo auditable wrote: the crates and their versions, as
// JSON compressed by zlib (github.com/rust-secure-code/cargo-auditable, PARSING.md).
func readAudit(f *image.File, p *Fingerprint) error {
	raw := f.Raw(".dep-v0", maxAudit)
	if raw == nil {
		return nil
	}
	z, err := zlib.NewReader(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("read list of crates: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(z, maxAudit+1))
	if err != nil || len(data) > maxAudit {
		return errors.Join(errors.New("read list of crates: it is broken or too large"), err)
	}
	var list struct {
		Packages []struct {
			Name, Version string
			Root          bool
		}
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return fmt.Errorf("read list of crates: %w", err)
	}
	for _, k := range list.Packages {
		if k.Root {
			p.Main, p.Version = k.Name, k.Version
			continue
		}
		p.Modules[k.Name] = k.Version
	}
	return nil
}

// rustHash is what Rust puts behind the name of each function.
var rustHash = regexp.MustCompile(`17h[0-9a-f]{16}E|::h[0-9a-f]{16}`)

// readUnwind reads where functions start and end from .eh_frame_hdr and
// .eh_frame (Linux Standard Base, Core, 10.6): a sorted table of 4-byte offsets.
func (g *goFile) readUnwind() error {
	head, frames, text := g.Section(".eh_frame_hdr"), g.Section(".eh_frame"), g.Section(".text")
	if head == nil || text == nil {
		g.note("it has no table to unwind by: only modules, strings and variables are compared")
		return nil
	}
	if frames != nil {
		if _, err := g.Load(frames); err != nil {
			return err
		}
	}
	b := g.Bytes(head.Addr, head.Size)
	if len(b) < 12 || b[0] != 1 || b[2] != 0x03 || b[3] != 0x3b {
		g.note("its table to unwind by has an unknown form: only modules, strings and variables are compared")
		return nil
	}
	count := int(g.Order().Uint32(b[8:]))
	if count > maxNative || count*8 > len(b)-12 {
		return errors.New("table to unwind by points beyond its end")
	}
	names := map[uint64]string{}
	symbols, err := g.Symbols()
	if err != nil {
		return err
	}
	for _, s := range symbols {
		if !s.Data {
			names[s.Addr] = rustHash.ReplaceAllString(s.Name, "")
		}
	}
	g.start = text.Addr
	for i := range count {
		at := head.Addr + uint64(int64(int32(g.Order().Uint32(b[12+8*i:]))))
		frame := g.Bytes(head.Addr+uint64(int64(int32(g.Order().Uint32(b[16+8*i:])))), 16)
		if at < text.Addr || at >= text.End() || frame == nil {
			continue // PLT and the like
		}
		size := uint64(g.Order().Uint32(frame[12:]))
		if size > text.End()-at {
			return errors.New("table to unwind by points beyond the code")
		}
		start := uint32(at - text.Addr)
		if n := len(g.table); n > 0 && start < g.table[n-1].End {
			continue
		}
		g.table = append(g.table, pclntab.Function{Name: names[at], Start: start, End: start + uint32(size)})
	}
	return nil
}

// findTerminated collects strings that end with a zero byte where pointers point.
func (g *goFile) findTerminated() {
	seen := map[int32]bool{}
	g.pointers(func(at, value uint64) {
		if s := g.At(at); s == nil || s.Code || !readOnly(g.At(value)) {
			return
		}
		if b := g.terminated(value); len(b) >= 3 {
			if i := g.text(b); !seen[i] {
				seen[i] = true
				g.print.DataTexts = append(g.print.DataTexts, i)
			}
		}
	})
}

// terminated is the text at an address up to a zero byte, nil when it is none.
func (g *goFile) terminated(addr uint64) []byte {
	s := g.At(addr)
	if s == nil || !strings.HasPrefix(s.Name, ".rodata") {
		return nil
	}
	b := g.Bytes(addr, min(maxText, s.End()-addr))
	n := bytes.IndexByte(b, 0)
	g.work += uint64(max(n, 0)) + near
	if n < 0 {
		g.work += uint64(len(b))
	}
	if n <= 0 || !printable(b[:n]) {
		return nil
	}
	return b[:n]
}
