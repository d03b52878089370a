package upgrades

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWatcher(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	record := func(id, version string) string {
		return "id: " + id + "\nstarted_at: 2026-03-06T09:00:00Z\nbinaries: [{name: a, to: " + version + "}]\n"
	}
	w := NewWatcher(dir)
	poll := func(step string, want []string, problems ...string) {
		t.Helper()
		found, errs := w.Poll()
		var got []string
		for _, u := range found {
			got = append(got, u.ID+" "+u.Binaries[0].To)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: records (-want +got):\n%s", step, diff)
		}
		if len(errs) != len(problems) {
			t.Fatalf("%s: got problems %v, want %d", step, errs, len(problems))
		}
		for i, p := range problems {
			if !strings.Contains(errs[i].Error(), p) {
				t.Errorf("%s: got problem %v, want one with %q", step, errs[i], p)
			}
		}
	}

	poll("empty", nil)
	write("one.yml", record("one", "1"))
	write(".hidden.yml", record("hidden", "1"))
	write("notes.txt", "x")
	write("bad.json", "{")
	poll("new", []string{"one 1"}, "bad.json")
	poll("unchanged", nil)
	write("one.yml", record("one", "2"))
	poll("changed within the same second, of equal size", []string{"one 2"})
	write("one.yml", record("one", "2")+"# the same\n")
	poll("changed in words alone", nil)
	write("two.json", `{"id": "one", "started_at": "2026-03-06T09:00:00Z", "binaries": [{"name": "b"}]}`)
	poll("an ID that is taken", nil, `its id "one" is that of one.yml already`)
	poll("still taken", nil)
	write("bad.json", `{"id": "good", "started_at": "2026-03-06T09:00:00Z", "binaries": [{"name": "b", "to": "1"}]}`)
	poll("mended", []string{"good 1"})
	if err := os.Mkdir(filepath.Join(dir, "dir.yml"), 0o700); err != nil {
		t.Fatal(err)
	}
	poll("a directory", nil, "isn't a regular file")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	poll("the directory is gone", nil, "read the directory of upgrade records")
	poll("still gone", nil)
}

// A file that hasn't changed for long isn't read again.
func TestWatcherReadsOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.yml")
	if err := os.WriteFile(path, []byte("id: a\nstarted_at: 2026-03-06T09:00:00Z\nbinaries: [{name: a, to: 1}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	w := NewWatcher(dir)
	w.Poll()
	if err := os.WriteFile(path, []byte("id: b\nstarted_at: 2026-03-06T09:00:00Z\nbinaries: [{name: a, to: 1}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	if got, _ := w.Poll(); got != nil {
		t.Errorf("got %v, want nothing: neither size nor time has changed", got)
	}
}
