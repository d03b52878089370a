package preflight_test

import (
	"archive/zip"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
	"aftershock/upgrades/preflight"
	"aftershock/upgrades/preflight/inventory"
)

// programs are released programs, each in two versions.
var programs = []struct{ path, old, new string }{
	{"golang.org/x/tools/cmd/stringer", "v0.38.0", "v0.40.0"},
	{"github.com/rakyll/hey", "v0.1.3", "v0.1.4"},
	{"mvdan.cc/gofumpt", "v0.8.0", "v0.9.1"},
}

// installed builds a program and gives the path of it.
func installed(t *testing.T, dir, path, version string) string {
	t.Helper()
	bin := filepath.Join(dir, version)
	c := exec.CommandContext(t.Context(), "go", "install", path+"@"+version)
	c.Dir = dir // away from this module
	c.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=")
	if out, err := c.CombinedOutput(); err != nil {
		t.Skipf("%s@%s can't be had: %v: %.300s", path, version, err, out)
	}
	return filepath.Join(bin, filepath.Base(path))
}

// Released programs that a manifest brings, against their installed builds: nothing is found
// above a note but that nobody signed them. docs/preflight.md counts.
func TestRealPrograms(t *testing.T) {
	if testing.Short() {
		t.Skip("building programs takes a while")
	}
	for _, p := range programs {
		t.Run(filepath.Base(p.path), func(t *testing.T) {
			dir := t.TempDir()
			before, after := installed(t, dir, p.path, p.old), installed(t, dir, p.path, p.new)
			name := filepath.Base(p.path)
			tree := filepath.Join(dir, "package")
			for file, text := range map[string]string{
				"manifest.yaml": fmt.Sprintf("name: %s\nversion: %s\nreboot: none\nbinaries: [{name: %s, path: bin/%s, version: %s}]\n", name, p.new, name, name, p.new),
			} {
				if err := os.MkdirAll(filepath.Join(tree, "bin"), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(tree, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Rename(after, filepath.Join(tree, "bin", name)); err != nil {
				t.Fatal(err)
			}
			inv, err := inventory.Take(t.Context(), filepath.Dir(before), inventory.Options{})
			if err != nil {
				t.Fatal(err)
			}
			inv.Files = []inventory.File{{Path: before, Version: p.old}}
			inv.Services = []inventory.Service{{Service: name, Version: p.old, Binary: name}}
			r, err := preflight.Inspect(t.Context(), tree, preflight.Options{Now: now.AddDate(5, 0, 0), Private: filepath.Join(dir, "private"), Inventory: &inv, ConfigRoots: []string{t.TempDir()}})
			if err != nil {
				t.Fatal(err)
			}
			var above []string
			notes := 0
			for _, f := range r.Findings {
				if f.Severity == detector.Note {
					notes++
				} else {
					above = append(above, f.Severity+" "+f.Rule)
				}
			}
			t.Logf("%s %s -> %s: %d notes, above: %v", name, p.old, p.new, notes, above)
			slices.Sort(above)
			if d := cmp.Diff([]string{"risk signature/unsigned"}, above); d != "" {
				t.Error(d, strings.Join(told(r), "\n"))
			}
		})
	}
}

// BenchmarkInspectGigabyte inspects a package of a gigabyte, two thirds of which can't be
// packed.
func BenchmarkInspectGigabyte(b *testing.B) {
	dir := b.TempDir()
	path := filepath.Join(dir, "big.zip")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	z := zip.NewWriter(f)
	chance := rand.NewChaCha8([32]byte{1})
	for n := range 16 {
		w, err := z.Create(fmt.Sprintf("data/%d", n))
		if err != nil {
			b.Fatal(err)
		}
		if n%3 == 0 {
			_, err = io.Copy(w, strings.NewReader(strings.Repeat("a line of some log that is much alike\n", 64<<20/38)))
		} else {
			_, err = io.CopyN(w, chance, 64<<20)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(1 << 30)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := preflight.Inspect(b.Context(), path, preflight.Options{Now: now, Private: dir}); err != nil {
			b.Fatal(err)
		}
	}
}
