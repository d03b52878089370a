package inside

import (
	"bytes"
	"compress/zlib"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// crafted is a section of an ELF file that no linker made.
type crafted struct {
	name  string
	kind  elf.SectionType
	flags elf.SectionFlag
	addr  uint64
	data  []byte
}

// craft writes an ELF file for amd64.
func craft(t *testing.T, sections ...crafted) []byte {
	t.Helper()
	const header, entry = 64, 64
	names := []byte{0}
	var body bytes.Buffer
	list := []elf.Section64{{}}
	add := func(s crafted) {
		list = append(list, elf.Section64{
			Name: uint32(len(names)), Type: uint32(s.kind), Flags: uint64(s.flags), Addr: s.addr,
			Off: uint64(header + body.Len()), Size: uint64(len(s.data)), Addralign: 1,
		})
		names = append(append(names, s.name...), 0)
		body.Write(s.data)
	}
	for _, s := range sections {
		add(s)
	}
	last := crafted{name: ".shstrtab", kind: elf.SHT_STRTAB}
	last.data = append(bytes.Clone(names), ".shstrtab\x00"...)
	add(last)
	h := elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Shoff: uint64(header + body.Len()), Ehsize: header, Shentsize: entry, Shnum: uint16(len(list)), Shstrndx: uint16(len(list) - 1),
	}
	var out bytes.Buffer
	for _, part := range []any{h, body.Bytes(), list} {
		if err := binary.Write(&out, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func deflated(text string) []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.Bytes()
}

const (
	cratesOld = `{"packages":[{"name":"payments","version":"4.1.3","source":"local","root":true},{"name":"backoff","version":"0.4.0","source":"crates.io"},{"name":"tokio","version":"1.40.0","source":"crates.io"}]}`
	cratesNew = `{"packages":[{"name":"payments","version":"4.2.0","source":"local","root":true},{"name":"backoff","version":"0.5.1","source":"crates.io"},{"name":"tokio","version":"1.40.0","source":"crates.io"}]}`
)

// crates holds what is found of two lists of crates.
func crates(t *testing.T, old, new Fingerprint) {
	t.Helper()
	d := Compare("payments", old, new)
	if diff := cmp.Diff([]Module{{"backoff", "0.4.0", "0.5.1"}}, d.Modules); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if want := "payments 4.1.3 -> 4.2.0: module backoff 0.4.0 -> 0.5.1"; d.Sentence() != want {
		t.Errorf("%q, want %q", d.Sentence(), want)
	}
}

// The list of crates that cargo auditable writes, in a file made by hand.
func TestCrates(t *testing.T) {
	read := func(section []byte) (Fingerprint, error) {
		data := craft(t, crafted{name: ".dep-v0", kind: elf.SHT_PROGBITS, data: section})
		return Read("payments", bytes.NewReader(data), int64(len(data)))
	}
	old, err := read(deflated(cratesOld))
	if err != nil {
		t.Fatal(err)
	}
	new, err := read(deflated(cratesNew))
	if err != nil {
		t.Fatal(err)
	}
	crates(t, old, new)
	bomb := deflated(`{"packages":[` + strings.Repeat(" ", maxAudit+100) + `]}`)
	for name, section := range map[string][]byte{
		"no zlib": []byte("packages"), "cut": deflated(cratesOld)[:20], "no JSON": deflated("packages"), "bomb": bomb,
	} {
		if _, err := read(section); err == nil || !strings.Contains(err.Error(), "list of crates") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The same in programs that rustc linked, where it is installed.
func TestCratesOfRust(t *testing.T) {
	rustc, err := exec.LookPath("rustc")
	if err != nil {
		t.Skip("there is no rustc here")
	}
	compiled := func(list string) Fingerprint {
		dir := t.TempDir()
		src := "#[used]\n#[unsafe(link_section = \".dep-v0\")]\nstatic LIST: [u8; include_bytes!(\"list\").len()] = *include_bytes!(\"list\");\nfn main() { println!(\"paid\"); }\n"
		for name, text := range map[string]string{"list": string(deflated(list)), "main.rs": src} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		out := filepath.Join(dir, "payments")
		cmd := exec.CommandContext(t.Context(), rustc, "--edition=2021", "-Cstrip=symbols", "-o", out, "main.rs")
		cmd.Dir = dir
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("rustc can't compile here: %v\n%s", err, text)
		}
		return take(t, out)
	}
	crates(t, compiled(cratesOld), compiled(cratesNew))
}

// A small file whose code asks for more reading than it is worth is refused in
// good time: each of many instructions names the start of a text without end.
func TestWorkIsBounded(t *testing.T) {
	const text, rodata, count = 0x400000, 0x2000000, maxWork/maxText + 1000
	var code []byte
	for i := range uint64(count) {
		next := text + 7*(i+1)
		code = binary.LittleEndian.AppendUint32(append(code, 0x48, 0x8d, 0x05), uint32(rodata-next)) // LEA RAX, text
	}
	const frames, head = 0x3000000, 0x3100000
	frame := binary.LittleEndian.AppendUint32(make([]byte, 12), uint32(len(code)))
	var start, unwind int64 = text - head, frames - head
	table := []byte{1, 0x1b, 0x03, 0x3b, 0, 0, 0, 0}
	for _, v := range []uint32{1, uint32(start), uint32(unwind)} {
		table = binary.LittleEndian.AppendUint32(table, v)
	}
	data := craft(
		t,
		crafted{".text", elf.SHT_PROGBITS, elf.SHF_ALLOC | elf.SHF_EXECINSTR, text, code},
		crafted{".rodata", elf.SHT_PROGBITS, elf.SHF_ALLOC, rodata, bytes.Repeat([]byte("a"), maxText)},
		crafted{".eh_frame", elf.SHT_PROGBITS, elf.SHF_ALLOC, frames, append(frame, 0, 0, 0, 0)},
		crafted{".eh_frame_hdr", elf.SHT_PROGBITS, elf.SHF_ALLOC, head, table},
	)
	begin := time.Now()
	_, err := Read("hostile", bytes.NewReader(data), int64(len(data)))
	if err == nil || !strings.Contains(err.Error(), "more than can be read in good time") {
		t.Errorf("%d bytes that ask for %d GB: %v", len(data), maxWork>>30, err)
	}
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	// A tenth as much is read.
	few := bytes.Clone(data)
	copy(few[bytes.Index(few, frame):], binary.LittleEndian.AppendUint32(make([]byte, 12), uint32(len(code)/10/7*7)))
	if p, err := Read("large", bytes.NewReader(few), int64(len(few))); err != nil || len(p.Functions) != 1 {
		t.Errorf("a tenth as much: %d functions, %v", len(p.Functions), err)
	}
}
