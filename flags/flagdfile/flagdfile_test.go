package flagdfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aftershock/flags/flagd"
	"aftershock/flags/remote"
)

const document = `{
  "$schema": "https://flagd.dev/schema/v0/flags.json",
  "team":   "payments",
  "flags": {
    "backoff": {
      "state": "ENABLED", "owner": {"mail": "x@example.org"},
      "variants": {"legacy": 100, "new": 5},
      "defaultVariant": "new"
    },
    "masked": {"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off","targeting":{"if":[{"==":[{"var":"r"},"eu"]},"on"]}}
  }
}
`

func file(t testing.TB) *File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "flags.json")
	if err := os.WriteFile(path, []byte(document), 0o640); err != nil {
		t.Fatal(err)
	}
	f, err := New(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func content(t testing.TB, f *File) string {
	t.Helper()
	b, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// plan reads a flag and plans to serve a variant.
func plan(t testing.TB, f *File, flag, variant string) remote.Change {
	t.Helper()
	s, err := f.Read(t.Context(), flag)
	if err != nil {
		t.Fatal(err)
	}
	to, _, err := f.Pin(s.Definition, variant)
	if err != nil {
		t.Fatal(err)
	}
	return remote.Change{From: s, To: to, Variant: variant}
}

// only fails where anything but the file is in its folder.
func only(t testing.TB, f *File) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(f.path))
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v; want the file alone", entries, err)
	}
}

func TestToggleAndUndo(t *testing.T) {
	f := file(t)
	if os.Getuid() == 0 {
		if err := os.Chown(f.path, 1234, 4321); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Stat(f.path)
	if err != nil {
		t.Fatal(err)
	}
	for flag, variant := range map[string]string{"backoff": "legacy", "masked": "on"} {
		c := plan(t, f, flag, variant)
		if err := f.Write(t.Context(), flag, c); err != nil {
			t.Fatal(err)
		}
		after, err := f.Read(t.Context(), flag)
		if err != nil || after.Variant != variant || !after.Everyone || after.Revision == c.From.Revision {
			t.Errorf("after: got %+v, %v", after, err)
		}
		if got := content(t, f); !strings.Contains(got, `"team":   "payments"`) {
			t.Errorf("the rest of the file changed: %s", got)
		}
		if err := f.Write(t.Context(), flag, remote.Change{From: after, To: c.From.Definition}); err != nil {
			t.Fatal(err)
		}
		if got := content(t, f); got != document {
			t.Errorf("after undo: got %s", got)
		}
	}
	now, err := os.Stat(f.path)
	if err != nil || now.Mode() != before.Mode() || ownerOf(now) != ownerOf(before) {
		t.Errorf("mode and owner: got %v %s, want %v %s", now.Mode(), ownerOf(now), before.Mode(), ownerOf(before))
	}
	only(t, f)
}

func TestThroughLink(t *testing.T) {
	f := file(t)
	link := filepath.Join(t.TempDir(), "link.json")
	if err := os.Symlink(f.path, link); err != nil {
		t.Fatal(err)
	}
	linked := &File{path: link}
	if err := linked.Write(t.Context(), "backoff", plan(t, linked, "backoff", "legacy")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v, %v", info, err)
	}
	if !strings.Contains(content(t, f), `"defaultVariant":"legacy"`) {
		t.Error("what the link leads to wasn't changed")
	}
}

// errKilled ends a write as kill -9 would: nothing after it runs, not even what
// cleans up.
var errKilled = errors.New("killed")

// A process that is killed at any step leaves the old file or the new one, whole,
// and what it left behind is removed by a later write.
func TestKilled(t *testing.T) {
	if step := os.Getenv("FLAGDFILE_KILL_AT"); step != "" {
		f := &File{path: os.Getenv("FLAGDFILE_PATH"), at: func(at string) error {
			if at == step {
				p, err := os.FindProcess(os.Getpid())
				if err == nil {
					err = p.Kill()
				}
				if err != nil {
					return err
				}
				select {}
			}
			return nil
		}}
		t.Fatal(f.Write(t.Context(), "backoff", plan(t, f, "backoff", "legacy")))
	}
	for step, want := range map[string]string{"staged": "new", "checked": "new", "renamed": "legacy"} {
		t.Run(step, func(t *testing.T) {
			f := file(t)
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
			cmd.Env = append(os.Environ(), "FLAGDFILE_KILL_AT="+step, "FLAGDFILE_PATH="+f.path)
			if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(err.Error(), "killed") {
				t.Fatalf("the process wasn't killed: %v\n%s", err, out)
			}
			s, err := f.Read(t.Context(), "backoff")
			if err != nil || s.Variant != want {
				t.Fatalf("after the kill: got %q, %v; want %q", s.Variant, err, want)
			}
			left, err := filepath.Glob(filepath.Join(filepath.Dir(f.path), ".*"))
			if err != nil || len(left) != 1 {
				t.Fatalf("left behind: %v, %v", left, err)
			}
			long := time.Now().Add(-2 * stale)
			if err := os.Chtimes(left[0], long, long); err != nil {
				t.Fatal(err)
			}
			if err := f.Write(t.Context(), "masked", plan(t, f, "masked", "on")); err != nil {
				t.Fatal(err)
			}
			only(t, f)
		})
	}
}

// Whatever somebody else writes, and whenever, isn't lost.
func TestConcurrentWriter(t *testing.T) {
	theirs := strings.Replace(document, "payments", "checkout", 1)
	for _, step := range []string{"planned", "staged", "checked"} {
		t.Run(step, func(t *testing.T) {
			f := file(t)
			c := plan(t, f, "backoff", "legacy")
			// Editors and tools replace the file, too.
			other := func() {
				name := f.path + ".theirs"
				if err := errors.Join(os.WriteFile(name, []byte(theirs), 0o640), os.Rename(name, f.path)); err != nil {
					t.Fatal(err)
				}
			}
			if step == "planned" {
				other()
			}
			f.at = func(at string) error {
				if at == step {
					other()
				}
				return nil
			}
			if err := f.Write(t.Context(), "backoff", c); !errors.Is(err, remote.ErrConflict) {
				t.Errorf("got %v, want ErrConflict", err)
			}
			if got := content(t, f); got != theirs {
				t.Errorf("what somebody else wrote is lost: %s", got)
			}
			only(t, f)
		})
	}
}

// Readers see one whole file or the other, never a part.
func TestReadersSeeWholeFiles(t *testing.T) {
	f := file(t)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				b, err := os.ReadFile(f.path)
				if err != nil || !json.Valid(b) {
					t.Errorf("a reader saw %q, %v", b, err)
					return
				}
			}
		})
	}
	for i := range 50 {
		variant := []string{"legacy", "new"}[i%2]
		if err := f.Write(t.Context(), "backoff", plan(t, f, "backoff", variant)); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	wg.Wait()
}

func TestRefusals(t *testing.T) {
	f := file(t)
	c := plan(t, f, "backoff", "legacy")
	f.at = func(string) error { return errKilled }
	if err := f.Write(t.Context(), "backoff", c); !errors.Is(err, remote.ErrReadOnly) || content(t, f) != document {
		t.Errorf("a full disk: got %v, want ErrReadOnly", err)
	}
	f.at = nil
	only(t, f)
	for name, text := range map[string]string{
		"no JSON": "flags: {}", "too large": `{"flags":{},"x":"` + strings.Repeat("x", maxFile) + `"}`, "empty": "",
	} {
		if err := os.WriteFile(f.path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Read(t.Context(), "backoff"); err == nil {
			t.Errorf("%s: got no error", name)
		}
		if err := f.Write(t.Context(), "backoff", c); err == nil || content(t, f) != text {
			t.Errorf("%s: it was written over", name)
		}
	}
	if _, err := (&File{path: filepath.Dir(f.path)}).Read(t.Context(), "backoff"); err == nil {
		t.Error("a folder was read")
	}
	if _, err := (&File{path: f.path + "none"}).Read(t.Context(), "backoff"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: got %v", err)
	}
}

// FuzzReplace holds a change to its one flag.
func FuzzReplace(f *testing.F) {
	f.Add([]byte(document), "backoff", []byte(`{"state":"ENABLED","variants":{"a":1},"defaultVariant":"a"}`))
	f.Add([]byte(`{"flags":{"a":{}}}`), "a", []byte(`{}`))
	f.Add([]byte(`{"flags":[]}`), "", []byte(`1`))
	f.Fuzz(func(t *testing.T, document []byte, flag string, to []byte) {
		next, err := flagd.Replace(document, flag, to)
		if err != nil {
			return
		}
		s, err := flagd.Read(next, flag, time.Now())
		if err != nil || !bytes.Equal(s.Definition, to) {
			t.Fatalf("read again: got %s, %v; want %s", s.Definition, err, to)
		}
		was, err := flagd.Read(document, flag, time.Now())
		if err != nil {
			return
		}
		back, err := flagd.Replace(next, flag, was.Definition)
		if err != nil || !bytes.Equal(back, document) {
			t.Fatalf("undone: got %s, %v; want %s", back, err, document)
		}
	})
}
