package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"aftershock/detector"
)

var (
	now   = time.Date(2026, 3, 6, 8, 0, 0, 0, time.UTC)
	built = time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)
)

// item is one entry of a package that a test makes.
type item struct {
	name, text string
	mode       fs.FileMode
	at         time.Time
	link       string
}

func (i item) when() time.Time {
	if i.at.IsZero() {
		return built
	}
	return i.at
}

func zipped(t testing.TB, items ...item) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, i := range items {
		h := &zip.FileHeader{Name: i.name, Method: zip.Deflate, Modified: i.when()}
		h.SetMode(i.mode)
		text := i.text
		if i.link != "" {
			h.SetMode(fs.ModeSymlink | 0o777)
			text = i.link
		}
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarred(t testing.TB, items ...item) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, i := range items {
		h := &tar.Header{Name: i.name, Size: int64(len(i.text)), Mode: int64(i.mode.Perm()), ModTime: i.when(), Typeflag: tar.TypeReg}
		switch {
		case strings.HasPrefix(i.link, "hard:"):
			h.Typeflag, h.Linkname = tar.TypeLink, i.link[5:]
		case i.link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, i.link
		case i.mode&fs.ModeDevice != 0:
			h.Typeflag = tar.TypeBlock
		case i.mode.IsDir():
			h.Typeflag = tar.TypeDir
		}
		if i.mode&fs.ModeSetuid != 0 {
			h.Mode |= 0o4000
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, i.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, data []byte, l Limits) *Package {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "package")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := Open(t.Context(), path, filepath.Join(dir, "private"), now, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		left, err := os.ReadDir(filepath.Join(dir, "private"))
		if err != nil || len(left) > 0 {
			t.Errorf("%v is left behind (%v)", left, err)
		}
		if all, err := os.ReadDir(dir); err != nil || len(all) != 2 {
			t.Errorf("beside the private directory there is %v (%v)", all, err)
		}
	})
	return p
}

// rules are the findings, as "severity rule file".
func rules(p *Package) (out []string) {
	for _, f := range p.Findings {
		out = append(out, f.Severity+" "+f.Rule+" "+f.Place.File)
		if f.What == "" || f.Why == "" || f.Do == "" {
			out = append(out, "which says too little")
		}
	}
	slices.Sort(out)
	return out
}

func paths(p *Package) (out []string) {
	for _, f := range p.Files {
		out = append(out, f.Path)
	}
	slices.Sort(out)
	return out
}

func compress(t testing.TB, with func(io.Writer) (io.WriteCloser, error), data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := with(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestForms(t *testing.T) {
	items := []item{{name: "a/b.sh", text: "#!/bin/sh\n", mode: 0o755}, {name: "bin/x", text: "\x7fELF" + strings.Repeat("x", 100), mode: 0o755}}
	plainTar := tarred(t, items...)
	for form, data := range map[string][]byte{
		FormZip: zipped(t, items...), FormTar: plainTar,
		FormTarGzip: compress(t, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }, plainTar),
		FormTarZstd: compress(t, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }, plainTar),
		FormTarXZ:   compress(t, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }, plainTar),
	} {
		p := open(t, data, DefaultLimits)
		if p.Form != form || len(p.Findings) > 0 || len(p.SHA256) != 64 || p.Size != int64(len(data)) {
			t.Errorf("%s: form %s, findings %v", form, p.Form, p.Findings)
		}
		if d := cmp.Diff([]string{"a/b.sh", "bin/x"}, paths(p)); d != "" {
			t.Errorf("%s: %s", form, d)
		}
		if got, err := fs.ReadFile(p.FS(), "a/b.sh"); err != nil || string(got) != "#!/bin/sh\n" {
			t.Errorf("%s: %q (%v)", form, got, err)
		}
		for _, f := range p.Files {
			if f.Path == "bin/x" && (f.Kind != "elf" || f.Mode.Perm() != 0o755 || !f.ModTime.Equal(built) || f.Size != 104) {
				t.Errorf("%s: %+v", form, f)
			}
		}
	}
}

func TestHostileNames(t *testing.T) {
	for name, want := range map[string]string{
		"../x": "leaves", "a/../../x": "leaves", "/etc/passwd": "absolute", `a\..\x`: "backslashes", "C:/x": "drive",
		"a\x00b": "aren't seen", "a\u202eb": "aren't seen", "x!/y": "can't be one", strings.Repeat("a/", 70) + "x": "too many", strings.Repeat("a", 2000): "too long",
	} {
		for form, data := range map[string][]byte{"zip": zipped(t, item{name: name, text: "x", mode: 0o644}, item{name: "ok", mode: 0o644}), "tar": tarredRaw(t, name)} {
			if data == nil {
				continue
			}
			p := open(t, data, DefaultLimits)
			found := slices.ContainsFunc(p.Findings, func(f detector.Finding) bool {
				return f.Rule == "archive/path" && f.Severity == detector.Blocker && strings.Contains(f.What, want)
			})
			if !found || slices.ContainsFunc(p.Files, func(f File) bool { return f.Path != "ok" }) {
				t.Errorf("%s, %.30q: findings %v, files %v", form, name, p.Findings, paths(p))
			}
		}
	}
}

// tarredRaw is a tar with a name that the writer may refuse: then nil.
func tarredRaw(t testing.TB, name string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, ModTime: built, Typeflag: tar.TypeReg, Format: tar.FormatPAX}); err != nil {
		return nil
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestHostileEntries(t *testing.T) {
	old := time.Date(1979, 6, 1, 0, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		data []byte
		want []string
	}{
		"links": {
			tarred(t, item{name: "in", link: "sub/x"}, item{name: "a/up", link: "../x"}, item{name: "out", link: "../x"}, item{name: "abs", link: "/etc"}, item{name: "hard", link: "hard:../../etc/passwd"}),
			[]string{"blocker archive/link abs", "blocker archive/link hard", "blocker archive/link out"},
		},
		"links in a zip":             {zipped(t, item{name: "d/out", link: "../../x"}), []string{"blocker archive/link d/out"}},
		"twice":                      {zipped(t, item{name: "a", text: "1", mode: 0o644}, item{name: "a", text: "2", mode: 0o644}), []string{"blocker archive/duplicate a"}},
		"twice, otherwise written":   {zipped(t, item{name: "d/a", mode: 0o644}, item{name: "./d//a", mode: 0o644}), []string{"blocker archive/duplicate d/a"}},
		"a file that is a directory": {tarred(t, item{name: "a", text: "1", mode: 0o644}, item{name: "a/b", text: "2", mode: 0o644}), []string{"blocker archive/duplicate a/b"}},
		"a directory that is a file": {tarred(t, item{name: "a/b", text: "1", mode: 0o644}, item{name: "a", text: "2", mode: 0o644}), []string{"blocker archive/duplicate a"}},
		"case":                       {zipped(t, item{name: "Readme", mode: 0o644}, item{name: "README", mode: 0o644}), []string{"note archive/case README"}},
		"dates":                      {tarred(t, item{name: "f", at: now.AddDate(0, 1, 0), mode: 0o644}, item{name: "o", at: old, mode: 0o644}, item{name: "none", at: time.Unix(0, 0), mode: 0o644}), []string{"note archive/ancient o", "risk archive/future f"}},
		"rights":                     {tarred(t, item{name: "s", mode: fs.ModeSetuid | 0o755}, item{name: "w", mode: 0o646}, item{name: "dev", mode: fs.ModeDevice}), []string{"note archive/writable w", "risk archive/device dev", "risk archive/setuid s"}},
	} {
		if d := cmp.Diff(tt.want, rules(open(t, tt.data, DefaultLimits))); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestHostileZips(t *testing.T) {
	good := zipped(t, item{name: "aaaa", text: strings.Repeat("x", 100), mode: 0o644}, item{name: "bbbb", text: strings.Repeat("y", 100), mode: 0o644})
	at := bytes.Index(good, []byte("aaaa"))
	renamed := slices.Clone(good)
	copy(renamed[at:], "zzzz")
	overlapping := slices.Clone(good)
	directory := bytes.Index(overlapping, []byte("PK\x01\x02"))
	second := directory + bytes.Index(overlapping[directory+4:], []byte("PK\x01\x02")) + 4
	binary.LittleEndian.PutUint32(overlapping[second+42:], 0) // the second begins where the first does
	encrypted := slices.Clone(good)
	encrypted[directory+8] |= 1
	bent := slices.Clone(good)
	copy(bent[at+len("aaaa")+9:], "01234567") // behind the name and its time
	for name, tt := range map[string]struct {
		data []byte
		want []string
	}{
		"good":               {good, nil},
		"another name":       {renamed, []string{"blocker archive/header aaaa"}},
		"over one another":   {overlapping, []string{"blocker archive/damaged ", "blocker archive/header bbbb", "blocker archive/overlap bbbb"}},
		"encrypted":          {encrypted, []string{"blocker archive/encrypted aaaa"}},
		"something before":   {append([]byte("#!/bin/sh\nunzip $0\n"), good...), []string{"note archive/before "}},
		"bent in its middle": {bent, []string{"blocker archive/damaged "}},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "p.zip")
		if err := os.WriteFile(path, tt.data, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := Open(t.Context(), path, dir, now, DefaultLimits)
		if name == "bent in its middle" {
			if err == nil {
				err = p.Close()
				t.Errorf("%s: it was read (%v)", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(tt.want, rules(p)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestBoundsAreKept(t *testing.T) {
	big := strings.Repeat("\x00", 1<<20)
	var many []item
	for i := range 30 {
		many = append(many, item{name: fmt.Sprint("f", i), text: big, mode: 0o644})
	}
	for name, l := range map[string]Limits{
		"files": {Files: 10, Bytes: 1 << 40, File: 1 << 40, Depth: 1}, "bytes": {Files: 1000, Bytes: 10 << 20, File: 1 << 40, Depth: 1}, "a file": {Files: 1000, Bytes: 1 << 40, File: 1 << 10, Depth: 1},
	} {
		for form, data := range map[string][]byte{"zip": zipped(t, many...), "tar": compress(t, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }, tarred(t, many...))} {
			p := open(t, data, l)
			if d := cmp.Diff([]string{"blocker archive/too-large "}, rules(p)); d != "" {
				t.Errorf("%s, %s: %s", form, name, d)
			}
			var unpacked int64
			for _, f := range p.Files {
				unpacked += f.Size
			}
			if len(p.Files) > 10 || unpacked > 10<<20 {
				t.Errorf("%s, %s: %d files with %d bytes were unpacked", form, name, len(p.Files), unpacked)
			}
		}
	}
}

func TestBombsAreTold(t *testing.T) {
	zeros := strings.Repeat("\x00", bombBytes+1<<20)
	for form, data := range map[string][]byte{
		"zip": zipped(t, item{name: "z", text: zeros, mode: 0o644}),
		"tar": compress(t, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }, tarred(t, item{name: "z", text: zeros, mode: 0o644})),
	} {
		if p := open(t, data, DefaultLimits); len(p.Findings) != 1 || p.Findings[0].Rule != "archive/ratio" {
			t.Errorf("%s: %v", form, p.Findings)
		}
	}
}

func TestArchivesWithinArchives(t *testing.T) {
	data := zipped(t, item{name: "x.sh", text: "deep", mode: 0o644})
	for n := range 3 {
		data = zipped(t, item{name: fmt.Sprintf("in%d.zip", n), text: string(data), mode: 0o644}, item{name: "lib.jar", text: string(data), mode: 0o644})
	}
	p := open(t, data, DefaultLimits)
	want := []string{"in2.zip", "in2.zip!/in1.zip", "in2.zip!/in1.zip!/in0.zip", "in2.zip!/in1.zip!/in0.zip!/x.sh", "in2.zip!/in1.zip!/lib.jar", "in2.zip!/lib.jar", "lib.jar"}
	if d := cmp.Diff(want, paths(p)); d != "" || len(p.Findings) > 0 {
		t.Error(d, p.Findings)
	}
	if got, err := fs.ReadFile(p.FS(), "in2.zip!/in1.zip!/in0.zip!/x.sh"); err != nil || string(got) != "deep" {
		t.Errorf("%q (%v)", got, err)
	}
	l := DefaultLimits
	l.Depth = 1
	if d := cmp.Diff([]string{"risk archive/deep in2.zip!/in1.zip"}, rules(open(t, data, l))); d != "" {
		t.Error(d)
	}
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.sh": "x", "sub/b": "\x7fELFx"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	p, err := Open(t.Context(), dir, filepath.Join(dir, "never-made"), time.Now(), DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if d := cmp.Diff([]string{"blocker archive/link out"}, rules(p)); d != "" || p.Form != FormDirectory {
		t.Error(d, p.Form)
	}
	if d := cmp.Diff([]string{"a.sh", "out", "sub/b"}, paths(p)); d != "" {
		t.Error(d)
	}
	if _, err := fs.ReadFile(p.FS(), "out"); err == nil {
		t.Error("a link out of the directory was followed")
	}
	if _, err := os.Stat(filepath.Join(dir, "never-made")); err == nil {
		t.Error("the private directory was made without need")
	}
}

func TestAges(t *testing.T) {
	files := []File{{Path: "old", Kind: "elf", ModTime: built.AddDate(-1, 0, 0)}, {Path: "text", ModTime: built.AddDate(-1, 0, 0)}, {Path: "new", Kind: "jar", ModTime: built.AddDate(0, -1, 0)}, {Path: "none", Kind: "pe", ModTime: epoch}}
	got := Ages(files, built)
	if len(got) != 1 || got[0].Place.File != "old" || !strings.Contains(got[0].What, "2025-02-01") {
		t.Errorf("got %v", got)
	}
	if got := Ages(files, time.Time{}); len(got) != 0 {
		t.Errorf("without a claim: %v", got)
	}
}

func TestDeb(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("dpkg-deb isn't there to make a package with")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"DEBIAN/control":  "Package: dten\nVersion: 4.2.0-1\nArchitecture: amd64\nMaintainer: x <x@example.com>\nDepends: libc6 (>= 2.36),\n foo\nDescription: short\n long\n",
		"DEBIAN/postinst": "#!/bin/sh\nexit 0\n", "usr/bin/dten": "\x7fELF" + strings.Repeat("x", 100),
	} {
		path := filepath.Join(dir, "tree", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/alternatives/dten", filepath.Join(dir, "tree/usr/bin/dt")); err != nil {
		t.Fatal(err)
	}
	for _, with := range []string{"xz", "gzip", "none"} {
		deb := filepath.Join(dir, with+".deb")
		if out, err := exec.CommandContext(t.Context(), "dpkg-deb", "-Z"+with, "--build", filepath.Join(dir, "tree"), deb).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		p, err := Open(t.Context(), deb, filepath.Join(dir, "private"), time.Now(), DefaultLimits)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"DEBIAN/control", "DEBIAN/postinst", "usr/bin/dt", "usr/bin/dten"}, paths(p)); d != "" || len(p.Findings) > 0 || p.Form != FormDeb {
			t.Errorf("%s: %s %v", with, d, p.Findings)
		}
		if p.Fields["Version"] != "4.2.0-1" || p.Fields["Depends"] != "libc6 (>= 2.36),\nfoo" {
			t.Errorf("%s: fields %v", with, p.Fields)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The package in testdata was made by rpmbuild; testdata/README.md says where it is from.
func TestRPM(t *testing.T) {
	names, err := filepath.Glob("testdata/*.rpm")
	if err != nil || len(names) == 0 {
		t.Fatal("there is no package to read", err)
	}
	for _, name := range names {
		p, err := Open(t.Context(), name, t.TempDir(), now, DefaultLimits)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p.Form != FormRPM || p.Fields["Name"] == "" || p.Fields["Version"] == "" || len(p.Files) == 0 || slices.ContainsFunc(p.Findings, func(f detector.Finding) bool { return f.Rule == "archive/damaged" }) {
			t.Errorf("%s: fields %v, files %v, findings %v", name, p.Fields, paths(p), p.Findings)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{"": "it is no package that is known", "hello": "it is no package that is known", "PK\x03\x04": "unpack package", "\x1f\x8b\x08": "unpack package", "!<arch>\nx": "unpack package"} {
		path := filepath.Join(dir, "p")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), path, filepath.Join(dir, "private"), now, DefaultLimits); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := Open(t.Context(), filepath.Join(dir, "none"), dir, now, DefaultLimits); err == nil || !strings.HasSuffix(err.Error(), "none: no such file or directory") {
		t.Errorf("of none: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	items := []item{{name: "a", text: "x", mode: 0o644}, {name: "b.zip", text: string(zipped(f, item{name: "y", mode: 0o644})), mode: 0o644}}
	f.Add(zipped(f, items...))
	f.Add(tarred(f, items...))
	f.Add(compress(f, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }, tarred(f, items...)))
	f.Add([]byte("!<arch>\ndebian-binary   0           0     0     100644  4         `\n2.0\n"))
	names, _ := filepath.Glob("testdata/*.rpm")
	for _, n := range names {
		if b, err := os.ReadFile(n); err == nil {
			f.Add(b[:min(len(b), 1<<16)])
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, "p")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := Open(t.Context(), path, filepath.Join(dir, "private"), now, Limits{Files: 100, Bytes: 4 << 20, File: 1 << 20, Depth: 2})
		if err == nil {
			for _, x := range p.Files {
				if !fs.ValidPath(x.Path) {
					t.Errorf("path %q", x.Path)
				}
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
		if all, err := os.ReadDir(dir); err != nil || len(all) > 2 {
			t.Errorf("written outside: %v (%v)", all, err)
		}
	})
}
