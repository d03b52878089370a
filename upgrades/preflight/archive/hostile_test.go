package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A path that is a link at one time and a file or directory at another is written where the link leads.
func TestLinksAndFilesOfOnePath(t *testing.T) {
	const mode = 0o644
	for name, c := range map[string]struct {
		items []item
		want  []string
	}{
		"through a link":     {[]item{{name: "a", link: "b"}, {name: "a/x", text: "x", mode: mode}}, []string{"blocker archive/duplicate a/x"}},
		"a link twice":       {[]item{{name: "a", link: "b"}, {name: "a", text: "x", mode: mode}}, []string{"blocker archive/duplicate a"}},
		"a link afterwards":  {[]item{{name: "a", text: "x", mode: mode}, {name: "a", link: "b"}}, []string{"blocker archive/duplicate a"}},
		"a directory":        {[]item{{name: "a", link: "b"}, {name: "a", mode: fs.ModeDir}}, []string{"blocker archive/duplicate a"}},
		"out by a link":      {[]item{{name: "x/y/s", link: "../.."}, {name: "t", link: "x/y/s/.."}}, []string{"blocker archive/link t"}},
		"round and round":    {[]item{{name: "a", link: "b/../c"}, {name: "b", link: "a/../b"}}, nil},
		"within, by a link":  {[]item{{name: "x/y/s", link: ".."}, {name: "t", link: "x/y/s/.."}}, nil},
		"beside what it has": {[]item{{name: "lib", link: "usr/lib"}, {name: "usr/lib/x", text: "x", mode: mode}}, nil},
	} {
		if d := cmp.Diff(c.want, rules(open(t, tarred(t, c.items...), DefaultLimits))); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestContents(t *testing.T) {
	p := open(t, tarred(t, item{name: "d/text", text: "x", mode: 0o644}, item{name: "hard", link: "hard:d/text"}, item{name: "d/soft", link: "../hard"}, item{name: "out", link: "/etc/passwd"},
		item{name: "gone", link: "nowhere"}, item{name: "round", link: "round"}), DefaultLimits)
	want := map[string]string{"d/text": "d/text", "hard": "d/text", "d/soft": "d/text"}
	if d := cmp.Diff(want, p.Contents()); d != "" {
		t.Error(d)
	}
}

// What stands behind the last entry is read for its checksum, and told where it isn't padding.
func TestBehindTheEnd(t *testing.T) {
	data := tarred(t, item{name: "a", text: "a", mode: 0o644})
	packed := func(data []byte) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(data)
		_ = w.Close()
		return b.Bytes()
	}
	wrong := packed(slices.Concat(data, make([]byte, 1<<16)))
	wrong[len(wrong)-8]++
	for name, c := range map[string]struct {
		data []byte
		want []string
	}{
		"padding":           {packed(slices.Concat(data, make([]byte, 1<<16))), nil},
		"another archive":   {slices.Concat(data, data), []string{"risk archive/after "}},
		"another member":    {slices.Concat(packed(data), packed(data)), []string{"risk archive/after "}},
		"what gzip skips":   {append(packed(data), "a signature follows"...), []string{"risk archive/after "}},
		"wrong checksum":    {wrong, []string{"blocker archive/damaged "}},
		"without its end":   {wrong[:len(wrong)-8], []string{"blocker archive/damaged "}},
		"members of a file": {slices.Concat(packed(data[:700]), packed(data[700:])), nil},
	} {
		if d := cmp.Diff(c.want, rules(open(t, c.data, DefaultLimits))); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// The type of an entry is what tar goes by, not what its mode claims.
func TestTypesOfTar(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []tar.Header{{Name: "dir", Mode: 0o040755, Typeflag: tar.TypeReg}, {Name: "device", Mode: 0o060644, Typeflag: tar.TypeReg}, {Name: "cont", Mode: 0o644, Typeflag: tar.TypeCont}, {Name: "label", Typeflag: 'V'}} {
		h.ModTime = built
		if h.Typeflag != 'V' {
			h.Size = 1
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte("x")[:h.Size])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	p := open(t, b.Bytes(), DefaultLimits)
	if d := cmp.Diff([]string{"cont", "device", "dir"}, paths(p)); d != "" || len(p.Findings) > 0 {
		t.Error(d, p.Findings)
	}
	p = open(t, zipped(t, item{name: "install.sh", text: "x", mode: fs.ModeDir | 0o755}), DefaultLimits)
	if d := cmp.Diff([]string{"install.sh"}, paths(p)); d != "" {
		t.Error(d)
	}
}

// All entries count, those that aren't written as well.
func TestEntriesAreBounded(t *testing.T) {
	l := DefaultLimits
	l.Files = 10
	for name, one := range map[string]func(int) item{
		"directories": func(n int) item { return item{name: fmt.Sprint("d", n), mode: fs.ModeDir} },
		"bad names":   func(n int) item { return item{name: fmt.Sprint("../", n)} },
		"devices":     func(n int) item { return item{name: fmt.Sprint(n), mode: fs.ModeDevice} },
		"links":       func(n int) item { return item{name: fmt.Sprint(n), link: "x"} },
	} {
		var all []item
		for n := range 20 {
			all = append(all, one(n))
		}
		p := open(t, tarred(t, append([]item{{name: "a", mode: 0o644}}, all...)...), l)
		if !slices.Contains(rules(p), "blocker archive/too-large ") || len(p.Findings) > 10 {
			t.Errorf("%s: %v", name, rules(p))
		}
	}
	// Neither is a stream read on and on for what isn't written.
	l = Limits{Files: 10, Bytes: 1, File: 1}
	u := newUnpacker(t.Context(), &Package{}, now, l)
	u.read = maxHeaders
	if _, err := (&metered{u, strings.NewReader("too much")}).Read(make([]byte, 8)); err != errFull { //nolint:errorlint // it is the very one
		t.Error(err)
	}
	for range 2 * maxTold {
		u.find("archive/path", "blocker", "", "", "", "")
	}
	if n := len(u.p.Findings); n != maxTold {
		t.Error(n, "findings are kept")
	}
}

// Archives side by side are all as deep as they lie, and a file can't stand in one's way.
func TestManyArchives(t *testing.T) {
	in := string(zipped(t, item{name: "x.sh", text: "deep", mode: 0o644}))
	var all []item
	for n := range 6 {
		all = append(all, item{name: fmt.Sprintf("%d.zip", n), text: in, mode: 0o644})
	}
	p := open(t, zipped(t, all...), DefaultLimits)
	if len(p.Files) != 12 || len(p.Findings) > 0 {
		t.Error(paths(p), p.Findings)
	}
	p = open(t, zipped(t, all[0], item{name: "0.zip!", mode: 0o644}), DefaultLimits)
	if d := cmp.Diff([]string{"blocker archive/duplicate 0.zip!/x.sh"}, rules(p)); d != "" {
		t.Error(d)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.zip"), []byte(in), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(dir, "a.zip"), built, built); err != nil {
		t.Fatal(err)
	}
	p, err := Open(t.Context(), dir, t.TempDir(), now, DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"note archive/deep a.zip"}, rules(p)); d != "" {
		t.Error(d)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// raw is an entry of a zip as its bytes are: its name before the file and in the directory, "" for
// none there.
type raw struct{ before, listed, extra, text string }

func rawZip(all ...raw) []byte {
	var b, dir []byte
	le, n := binary.LittleEndian, uint16(0)
	for _, e := range all {
		at := uint32(len(b))
		fields := le.AppendUint32(le.AppendUint32(le.AppendUint32(make([]byte, 8), crc32.ChecksumIEEE([]byte(e.text))), uint32(len(e.text))), uint32(len(e.text)))
		fields[6], fields[7] = 0x21, 0x58 // 2024-01-01
		b = append(le.AppendUint16(append(b, "PK\x03\x04\x14\x00"...), 0), fields[2:]...)
		b = append(le.AppendUint16(le.AppendUint16(b, uint16(len(e.before))), uint16(len(e.extra))), e.before+e.extra+e.text...)
		if e.listed == "" {
			continue
		}
		n++
		dir = append(le.AppendUint16(append(dir, "PK\x01\x02\x14\x00\x14\x00"...), 0), fields[2:]...)
		dir = append(le.AppendUint16(dir, uint16(len(e.listed))), make([]byte, 12)...)
		dir = append(le.AppendUint32(dir, at), e.listed...)
	}
	at := uint32(len(b))
	b = append(append(b, dir...), "PK\x05\x06\x00\x00\x00\x00"...)
	b = le.AppendUint32(le.AppendUint32(le.AppendUint16(le.AppendUint16(b, n), n), uint32(len(dir))), at)
	return append(b, 0, 0)
}

// What a directory leaves out is unpacked by tools that read from the beginning.
func TestEntriesThatAreLeftOut(t *testing.T) {
	a, b, hidden := raw{"a", "a", "", "a"}, raw{"b", "b", "", "b"}, raw{"x", "", "", "#!/bin/sh\n"}
	in := rawZip(raw{"install.sh", "install.sh", "", ""})
	in = in[:bytes.Index(in, []byte("PK\x01\x02"))]
	fake := raw{"/etc/cron.d/x", "install.sh", "\x99\x99" + string(rune(len(in))) + "\x00" + string(in), "x"}
	for name, c := range map[string]struct {
		all  []raw
		want []string
	}{
		"none":                 {[]raw{a, b}, nil},
		"between":              {[]raw{a, hidden, b}, []string{"blocker archive/header a"}},
		"at the end":           {[]raw{a, b, hidden}, []string{"blocker archive/header b"}},
		"at the beginning":     {[]raw{hidden, a}, []string{"blocker archive/header ", "note archive/before "}},
		"another introduction": {[]raw{a, fake}, []string{"blocker archive/header a"}},
	} {
		if d := cmp.Diff(c.want, rules(open(t, rawZip(c.all...), DefaultLimits))); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// A Debian package's names begin at ./ or /, and that is all that is taken from them.
func TestNamesOfDistributions(t *testing.T) {
	for name, want := range map[string]string{"./a": "a", "/a": "a", "a": "a", "./": "", ".": "", "../a": "../a", ".a": ".a", "//a": "/a", "./../a": "../a"} {
		if got := installedName(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// rpmHead is a header of texts.
func rpmHead(tags []uint32, kind uint32, at uint32, store string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0}, uint32(len(tags)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(store)))
	for _, tag := range tags {
		for _, v := range []uint32{tag, kind, at, uint32(strings.Count(store, "\x00"))} {
			b = binary.BigEndian.AppendUint32(b, v)
		}
	}
	return append(b, store...)
}

// rpm runs triggers as well, and scripts of any size.
func TestScriptsOfRPM(t *testing.T) {
	made := func(head []byte) []byte {
		lead := append([]byte("\xed\xab\xee\xdb"), make([]byte, 92)...)
		trailer := "070701" + strings.Repeat("0", 8*11) + "0000000b" + "00000000" + "TRAILER!!!\x00\x00\x00\x00"
		return slices.Concat(lead, rpmHead(nil, 6, 0, ""), head, []byte(trailer))
	}
	long := "#!/bin/sh\n" + strings.Repeat("#", 2<<20)
	p := open(t, made(rpmHead([]uint32{1023, 1065, 5066, 5076, 5103, 5104}, 8, 0, long+"\x00true\x00")), DefaultLimits)
	want := []string{
		"RPM/filetrigger", "RPM/filetrigger-2", "RPM/postuntransaction", "RPM/postuntransaction-2", "RPM/preinstall", "RPM/preinstall-2",
		"RPM/preuntransaction", "RPM/preuntransaction-2", "RPM/transfiletrigger", "RPM/transfiletrigger-2", "RPM/trigger", "RPM/trigger-2",
	}
	if d := cmp.Diff(want, paths(p)); d != "" || len(p.Findings) > 0 {
		t.Error(d, p.Findings)
	}
	if _, _, err := rpmHeader(bytes.NewReader(rpmHead([]uint32{1023, 1023}, 6, 0, "x\x00"))); err == nil {
		t.Error("a tag that comes twice is taken")
	}
}
