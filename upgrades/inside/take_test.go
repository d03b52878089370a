package inside

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A fingerprint that was written and read tells the same as one that was not.
func TestCache(t *testing.T) {
	old, new := build(t, "base", stripped), build(t, "strategy", stripped, strategy...)
	want := Compare("payments", take(t, old), take(t, new))
	c := Cache{Dir: filepath.Join(t.TempDir(), "kept")}
	for range 2 {
		before, err := c.Take(old)
		if err != nil {
			t.Fatal(err)
		}
		after, err := c.Take(new)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, Compare("payments", before, after)); diff != "" {
			t.Errorf("-fresh +kept\n%s", diff)
		}
	}
	if _, ok := c.Get(take(t, old).SHA256); !ok {
		t.Error("the fingerprint was not kept")
	}
	if _, ok := c.Get("../../etc/passwd"); ok {
		t.Error("a path was taken for a digest")
	}
}

func TestCacheIsBounded(t *testing.T) {
	dir := t.TempDir()
	c := Cache{Dir: dir, Limit: 1}
	if err := c.Put(take(t, build(t, "base", stripped))); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%d files are left of a cache of one byte", len(left))
	}
}

func TestCacheDoubtsWhatItReads(t *testing.T) {
	p := Fingerprint{SHA256: strings.Repeat("ab", 32), Functions: []Function{{Name: "main.main", Strings: []int32{7}}}}
	c := Cache{Dir: t.TempDir()}
	if err := c.Put(p); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Get(p.SHA256); ok {
		t.Error("an index beyond its list was accepted")
	}
}

// A process whose file was replaced still shows the build that it runs.
func TestRunning(t *testing.T) {
	if _, err := os.Stat(Running(os.Getpid())); err != nil {
		t.Skip("there is no /proc here")
	}
	sleeper := edit{"main.go", "\tflag.Parse()\n", "\tflag.Parse()\n\tif os.Getenv(\"DTEN_SLEEP\") != \"\" {\n\t\tfmt.Println(\"up\")\n\t\ttime.Sleep(time.Minute)\n\t}\n"}
	built := build(t, "sleeper", stripped, sleeper)
	want := take(t, built)
	path := filepath.Join(t.TempDir(), "payments")
	data, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path)
	cmd.Env = append(os.Environ(), "DTEN_SLEEP=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	if _, err := io.ReadFull(out, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(build(t, "base", stripped))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", other, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	got := take(t, Running(cmd.Process.Pid))
	got.Path, want.Path = "", ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-built +running\n%s", diff)
	}
	if take(t, path).SHA256 == want.SHA256 {
		t.Error("the file was not replaced")
	}
}

// After a change of toolchain the code of functions isn't compared; names,
// constants and strings are.
func TestToolchain(t *testing.T) {
	if testing.Short() {
		t.Skip("another toolchain may have to be fetched")
	}
	const other = "go1.25.3"
	cmd := exec.CommandContext(t.Context(), "go", "version")
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+other)
	if text, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(text), other) {
		t.Skipf("there is no %s here: %s", other, text)
	}
	m := stripped
	m.name, m.env = "toolchain", append([]string{"GOTOOLCHAIN=" + other}, m.env...)
	d := Compare("payments", take(t, build(t, "base", m)), take(t, build(t, "strategy", stripped, strategy...)))
	if len(d.Notes) == 0 || !strings.Contains(d.Notes[0], "the toolchain changed from "+other) {
		t.Errorf("notes %q don't tell of the toolchain", d.Notes)
	}
	got := summarise(d)
	got.CameStrings, got.WentString = nil, nil // those of Go's library differ
	want := found{
		Added:     []string{"main.capped", "main.jittered"},
		Constants: []string{"main.delay: 2s -> 8s", "main.delay: 50ms -> 20ms"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// Whatever is cut short or lies is an error or a fingerprint, and never a crash.
func TestHostile(t *testing.T) {
	data, err := os.ReadFile(build(t, "base", stripped))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 4, 16, 63, 64, 100, 4096, len(data) / 2, len(data) - 100} {
		_, err := Read("cut", bytes.NewReader(data[:n]), int64(n))
		if n >= 16 && err == nil {
			t.Errorf("cut after %d bytes: no error", n)
		}
		if err != nil && (strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), "cut: ")) {
			t.Errorf("cut after %d bytes: %q", n, err)
		}
	}
	if _, err := Take(t.TempDir()); err == nil {
		t.Error("a directory was taken for a file")
	}
	if _, err := Take(filepath.Join(t.TempDir(), "none")); err == nil || strings.Count(err.Error(), "none") != 1 {
		t.Errorf("a file that isn't there: %v", err)
	}
}

func TestJSON(t *testing.T) {
	d := Compare("payments", take(t, build(t, "base", stripped)), take(t, build(t, "base", stripped)))
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"topics", "modules", "settings", "constants", "callees", "notes", "added", "removed", "changed"} {
		if !strings.Contains(string(data), `"`+list+`":[]`) {
			t.Errorf("%q is no empty list in %s", list, data)
		}
	}
}

func FuzzReadFile(f *testing.F) {
	f.Add([]byte("\x7fELF"))
	f.Add([]byte("PK\x03\x04"))
	f.Add([]byte(`{"bomFormat": "CycloneDX", "components": [{"name": "backoff", "version": "1.2.0"}]}`))
	f.Add([]byte(`{"spdxVersion": "SPDX-2.3", "packages": [{"name": "backoff", "versionInfo": "1.2.0"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Read("file", bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		if d := Compare("file", p, p); !d.Empty() {
			t.Errorf("a file differs from itself: %+v", d)
		}
	})
}

// FuzzLyingHeaders changes bytes of a real program, where reading goes deepest.
func FuzzLyingHeaders(f *testing.F) {
	path, err := os.Executable()
	if err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(0x28), uint64(0xffffffffffffffff))
	f.Add(uint32(0x3c), uint64(0xffff))
	f.Add(uint32(len(data)-64*20), uint64(1<<40))
	f.Add(uint32(len(data)-64*3+24), uint64(1<<62))
	f.Fuzz(func(t *testing.T, at uint32, value uint64) {
		lie := &patched{data, int64(at) % int64(len(data)), value}
		p, err := Read("file", lie, int64(len(data)))
		if err == nil && !p.sound() {
			t.Error("an index is beyond its list")
		}
	})
}

// patched is a file with eight bytes changed.
type patched struct {
	data  []byte
	at    int64
	value uint64
}

func (p *patched) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(p.data)) {
		return 0, io.EOF
	}
	n := copy(b, p.data[off:])
	for i := range int64(8) {
		if k := p.at + i - off; k >= 0 && k < int64(n) {
			b[k] = byte(p.value >> (8 * i))
		}
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func BenchmarkTake(b *testing.B) {
	out, err := exec.CommandContext(b.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(strings.TrimSpace(string(out)), "bin", "go")
	info, err := os.Stat(path)
	if err != nil {
		b.Skip(err)
	}
	b.SetBytes(info.Size())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Take(path); err != nil {
			b.Fatal(err)
		}
	}
}
