package main

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"aftershock/configs"
	"aftershock/rehearsal"
	"aftershock/upgrades/preflight/inventory"
	"aftershock/upgrades/preflight/settings"
)

// TestFirstUpgradePage holds the page that is followed step by step: its files are read as they stand, and its commands have the flags
// that they are given.
func TestFirstUpgradePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/first-upgrade.md")
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]func([]byte) error{
		"settings.yaml":      func(b []byte) error { _, err := settings.ReadMatrix("settings.yaml", bytes.NewReader(b)); return err },
		"paths.yaml":         func(b []byte) error { _, err := inventory.ParsePaths("paths.yaml", b); return err },
		"compatibility.yaml": func(b []byte) error { _, err := inventory.ParseCompatibility("compatibility.yaml", b); return err },
		"profile.yml":        func(b []byte) error { _, err := rehearsal.ParseProfile(b); return err },
		"aftershock.yml": func(b []byte) error {
			file := filepath.Join(t.TempDir(), "aftershock.yml")
			if err := os.WriteFile(file, b, 0o600); err != nil {
				return err
			}
			_, err := configs.Load(file)
			return err
		},
	}
	for _, m := range regexp.MustCompile("(?s)```yaml\n# (\\S+\\.ya?ml).*?\n(.*?)```").FindAllSubmatch(page, -1) {
		name := string(m[1])
		if read[name] == nil {
			t.Errorf("%s: nothing reads it", name)
		} else if err := read[name](m[2]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		delete(read, name)
	}
	if len(read) > 0 {
		t.Errorf("the page lacks %d files", len(read))
	}
	known := map[string]map[string]bool{}
	for _, c := range commands() {
		f := flag.NewFlagSet(c.name, flag.ContinueOnError)
		f.SetOutput(io.Discard)
		c.define(f)
		known[c.name] = map[string]bool{}
		f.VisitAll(func(fl *flag.Flag) { known[c.name][fl.Name] = true })
	}
	calls := 0
	text := strings.ReplaceAll(string(page), "\\\n", " ")
	for _, m := range regexp.MustCompile(`(?m)aftershock ([a-z-]+) (.*)$`).FindAllStringSubmatch(text, -1) {
		flags := known[m[1]]
		if flags == nil {
			continue
		}
		calls++
		for _, fl := range regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(m[2], -1) {
			if !flags[fl[1]] {
				t.Errorf("aftershock %s has no --%s", m[1], fl[1])
			}
		}
	}
	if calls < 10 {
		t.Errorf("%d calls", calls)
	}
}
