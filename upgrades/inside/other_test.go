package inside

import (
	"archive/zip"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// cProgram is compiled in two builds.
const cProgram = `#include <stdio.h>
#include <unistd.h>
#include <stdlib.h>
int attempts = 3;
__attribute__((noinline)) static double grow(double d) { return d * 1.75; }
__attribute__((noinline)) static long backoff(int n) { long d = 50000000L * n; if (d > 2000000000L) d = 2000000000L; return d; }
__attribute__((noinline)) static int call(int n) { fprintf(stderr, "calling upstream %d\n", n); return n % 3; }
int main(int argc, char **argv) {
	for (int i = 0; i < attempts; i++)
		if (call(i + argc)) { usleep(backoff(i) / 1000); printf("again after %f\n", grow(i)); }
	if (getenv("DTEN_RETRY")) puts("done with it");
	return 0;
}
`

func TestNative(t *testing.T) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("there is no C compiler here")
	}
	dir := t.TempDir()
	compileC := func(name, text string, flags ...string) Fingerprint {
		src := filepath.Join(dir, "program.c")
		if err := os.WriteFile(src, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(dir, name)
		if text, err := exec.CommandContext(t.Context(), gcc, append(flags, "-O2", "-o", out, src)...).CombinedOutput(); err != nil {
			t.Fatalf("gcc: %v\n%s", err, text)
		}
		return take(t, out)
	}
	replace := func(old, new string) string {
		return string(bytes.Replace([]byte(cProgram), []byte(old), []byte(new), 1))
	}
	for _, tt := range []struct {
		name, text         string
		changed, constants int
		came               []string
	}{
		{"same", cProgram, 0, 0, nil},
		{"constant", replace("50000000L", "20000000L"), 1, 1, nil},
		{"text", replace("done with it", "done with them all"), 1, 0, []string{"done with them all"}},
		{"callee", replace("return n % 3", "return n % 3 + getpid()"), 1, 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := Compare("program", compileC("old", cProgram, "-s"), compileC("new", tt.text, "-s"))
			if f := d.Functions; len(f.Changed) != tt.changed || len(f.Added)+len(f.Removed) != 0 {
				t.Errorf("functions %+v, want %d changed", f, tt.changed)
			}
			if len(d.Constants) != tt.constants {
				t.Errorf("constants %+v, want %d", d.Constants, tt.constants)
			}
			if diff := cmp.Diff(tt.came, sorted(d.Strings.Added)); diff != "" {
				t.Errorf("strings: -want +got\n%s", diff)
			}
		})
	}
	d := Compare("program", compileC("old", cProgram), compileC("new", replace("50000000L", "20000000L")))
	if diff := cmp.Diff([]string{"backoff"}, d.Functions.Changed); diff != "" {
		t.Errorf("with symbols: -want +got\n%s", diff)
	}
}

// archive makes a zip file of names and contents.
func archive(t *testing.T, files map[string]string) Fingerprint {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := Read("app.jar", bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestJAR(t *testing.T) {
	old := archive(t, map[string]string{
		"META-INF/MANIFEST.MF": "Implementation-Version: 4.1.3\r\n", "com/dten/Retry.class": "one", "com/dten/Pool.class": "two",
		"com/dten/Old.class": "three", "BOOT-INF/lib/resilience4j-retry-2.0.0.jar": "x", "BOOT-INF/classes/application.properties": "retry.base=50ms\n",
	})
	d := Compare("app", old, archive(t, map[string]string{
		"META-INF/MANIFEST.MF": "Implementation-Version: 4.2.0\r\n", "com/dten/Retry.class": "other", "com/dten/Pool.class": "two",
		"com/dten/New.class": "three", "BOOT-INF/lib/resilience4j-retry-2.1.0.jar": "y", "BOOT-INF/classes/application.properties": "retry.base=20ms\n",
	}))
	want := found{
		Added: []string{"com.dten.New"}, Removed: []string{"com.dten.Old"}, Changed: []string{"com.dten.Retry"},
		Modules: []string{"resilience4j-retry 2.0.0 -> 2.1.0"},
	}
	if diff := cmp.Diff(want, summarise(d)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if diff := cmp.Diff([]Setting{{"application.properties: retry.base", "50ms", "20ms"}}, d.Settings); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if d.Old.Version != "4.1.3" || d.New.Version != "4.2.0" {
		t.Errorf("versions %q and %q", d.Old.Version, d.New.Version)
	}
}

func TestSBOM(t *testing.T) {
	read := func(text string) Fingerprint {
		p, err := Read("sbom.json", bytes.NewReader([]byte(text)), int64(len(text)))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, form := range [][2]string{
		{
			`{"bomFormat":"CycloneDX","components":[{"group":"io.dten","name":"backoff","version":"1.2.0","components":[{"name":"clock","version":"1"}]}]}`,
			`{"bomFormat":"CycloneDX","components":[{"group":"io.dten","name":"backoff","version":"1.3.0","components":[{"name":"clock","version":"1"}]}]}`,
		},
		{
			`{"spdxVersion":"SPDX-2.3","packages":[{"name":"io.dten/backoff","versionInfo":"1.2.0"}]}`,
			`{"spdxVersion":"SPDX-2.3","packages":[{"name":"io.dten/backoff","versionInfo":"1.3.0"}]}`,
		},
	} {
		d := Compare("sbom", read(form[0]), read(form[1]))
		if diff := cmp.Diff([]Module{{"io.dten/backoff", "1.2.0", "1.3.0"}}, d.Modules); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}
}

func TestDirectories(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"old/bin/pay", "old/lib/foo-1.2.0.jar", "old/gone", "new/bin/pay", "new/lib/foo-1.3.0.jar", "new/came"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old, new := filepath.Join(dir, "old"), filepath.Join(dir, "new")
	pairs, onlyOld, onlyNew, err := Pairs(old, new)
	if err != nil {
		t.Fatal(err)
	}
	want := []Pair{
		{"bin/pay", filepath.Join(old, "bin/pay"), filepath.Join(new, "bin/pay")},
		{"lib/foo.jar", filepath.Join(old, "lib/foo-1.2.0.jar"), filepath.Join(new, "lib/foo-1.3.0.jar")},
	}
	if diff := cmp.Diff(want, pairs); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if diff := cmp.Diff([][]string{{"gone"}, {"came"}}, [][]string{onlyOld, onlyNew}); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if _, _, _, err := Pairs(old, filepath.Join(new, "came")); err == nil {
		t.Error("a directory was paired with a file")
	}
}
