package reports_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "reviews")
	r := review(t, harmless(), now)
	for range 2 { // the second time the files are there
		paths, err := r.Write(dir)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, suffix := range []string{".html", ".md", ".json"} {
			want = append(want, filepath.Join(dir, "upgrade-dten-4.2.0"+suffix))
		}
		if diff := cmp.Diff(want, paths); diff != "" {
			t.Error(diff)
		}
	}
	got, err := os.ReadFile(filepath.Join(dir, "upgrade-dten-4.2.0.md"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rendered(t, r.Markdown), string(got)); diff != "" {
		t.Error(diff)
	}
	for _, id := range []string{"../../etc/passwd", "a/b", "a-b", "", "..", strings.Repeat("é", 10_000), "a\x00b"} {
		r.Upgrade.ID = id
		paths, err := r.Write(dir)
		if err != nil {
			t.Errorf("%.20q: %v", id, err)
			continue
		}
		if filepath.Dir(paths[0]) != dir {
			t.Errorf("%.20q: wrote %s, outside of %s", id, paths[0], dir)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 3*8 {
		t.Errorf("got %d files, want 3 for each of 8 upgrades and nothing left over", len(entries))
	}
	if _, err := r.Write("/dev/null/x"); err == nil {
		t.Error("want an error for a directory that can't be")
	}
}
