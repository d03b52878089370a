package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfig(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("live/a.yaml", "dten:\n  hybrid:\n    enable: false\n    password: HUSH\n")
	write("live/b.env", "DTEN_HYBRID_ENABLE=true\n")
	write("broken/a.json", "{")
	live, broken := filepath.Join(dir, "live"), filepath.Join(dir, "broken")
	old, new := write("old", "\x00PAY_RETRY_BASE\x00"), write("new", "\x00PAY_RETRY_STEP\x00")
	for _, tt := range []struct {
		name string
		args []string
		want int
		out  []string
		err  string
	}{
		{"text", []string{"grep", "dten.hybrid.enable", "--config-root", live}, exitOK, []string{
			live + "/a.yaml:3  dten.hybrid.enable  false\n", live + "/b.env:1   DTEN_HYBRID_ENABLE  true\n",
		}, ""},
		{"secret", []string{"grep", "dten.hybrid.*", "--config-root", live, "--format", "json"}, exitOK, []string{`"value": "(hidden)"`, `"hidden": true`, `"line": 4`}, ""},
		{"none", []string{"grep", "dten.none", "--config-root", live}, exitDifferent, nil, "nothing sets dten.none in the 2 files below " + live},
		{"unreadable", []string{"grep", "dten.none", "--config-root", broken}, exitUsage, nil, "nothing below it can be read"},
		{"no root", []string{"grep", "a.b", "--config-root", broken + "/none"}, exitUsage, nil, "open configuration"},
		{"usage", []string{"grep"}, exitUsage, nil, "say grep KEY"},
		{"form", []string{"grep", "x", "--format", "xml"}, exitUsage, nil, "neither text nor json"},
		{"mine", []string{"mine", old, new, "--version", "4.2.0"}, exitOK, []string{
			"key: PAY_RETRY_BASE\n    removed_in: 4.2.0\n    draft: true\n", "key: PAY_RETRY_STEP\n    introduced_in: 4.2.0\n",
		}, ""},
		{"mine the same", []string{"mine", old, old}, exitOK, []string{"settings: []"}, "no name of a setting came or went"},
		{"mine without a version", []string{"mine", old, new}, exitUsage, nil, "give it with --version"},
		{"help", []string{"--help"}, exitOK, []string{"Example:\n  aftershock config grep"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if got := run(t.Context(), append([]string{"config"}, tt.args...), nil, &stdout, &stderr); got != tt.want {
				t.Errorf("status %d, want %d: %s", got, tt.want, stderr.String())
			}
			for _, want := range tt.out {
				if !strings.Contains(stdout.String(), want) {
					t.Errorf("got\n%s\nwant in it\n%s", stdout.String(), want)
				}
			}
			if !strings.Contains(stderr.String(), tt.err) || strings.Contains(stdout.String(), "HUSH") {
				t.Errorf("stderr %q, want %q; secrets in the output: %t", stderr.String(), tt.err, strings.Contains(stdout.String(), "HUSH"))
			}
		})
	}
}
