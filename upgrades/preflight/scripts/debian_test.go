package scripts

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/internal/servers"

	"github.com/google/go-cmp/cmp"
)

// debian gives the scripts of each package in testdata.
func debian(t testing.TB) map[string][]Script {
	t.Helper()
	all := map[string][]Script{}
	root := os.DirFS("testdata/debian")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || name == "README.md" {
			return err
		}
		text, err := fs.ReadFile(root, name)
		pkg, rest, _ := strings.Cut(name, "/")
		all[pkg] = append(all[pkg], Script{Path: rest, Text: text, Mode: 0o755})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Real packages that millions of hosts run: what is found in them above a note, all of it. docs/preflight/scripts.md says of each
// whether it is true.
func TestDebian(t *testing.T) {
	all := debian(t)
	if len(all) < 10 {
		t.Fatalf("%d packages, want at least 10", len(all))
	}
	z := berlin(t)
	var got []string
	scripts, notes := 0, 0
	for pkg, s := range all {
		scripts += len(s)
		for _, f := range Check(t.Context(), s, Host{Zone: z, Now: time.Date(2026, 11, 29, 0, 0, 0, 0, z)}) {
			if f.Severity == detector.Note {
				notes++
				continue
			}
			got = append(got, pkg+": "+brief([]detector.Finding{f})[0])
		}
	}
	slices.Sort(got)
	t.Logf("%d packages, %d files, %d notes", len(all), scripts, notes)
	want := []string{
		"mariadb-server: risk sudo DEBIAN/postinst:127",
		"sudo: risk sudoers DEBIAN/postrm:16",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// The parser and the shell agree on what is a script: each of the real ones, whole and cut off in its middle.
func TestSyntaxAsBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash isn't installed")
	}
	asked, differ := 0, 0
	for pkg, all := range debian(t) {
		for _, s := range all {
			lines := strings.SplitAfter(string(s.Text), "\n")
			if kindOf(s.Path, lines[0]) != kindShell {
				continue
			}
			for _, n := range []int{len(lines), len(lines) / 2} {
				text := strings.Join(lines[:n], "")
				cmd := exec.CommandContext(t.Context(), bash, "-n")
				cmd.Stdin = strings.NewReader(text)
				sound := cmd.Run() == nil
				_, err := parse(Script{Path: s.Path, Text: []byte(text)})
				asked++
				if sound != (err == nil) {
					differ++
					t.Errorf("%s %s, %d lines: bash reads it: %t; we: %v", pkg, s.Path, n, sound, err)
				}
			}
		}
	}
	t.Logf("%d texts, %d judged otherwise than bash does", asked, differ)
	if asked < 80 {
		t.Errorf("asked of %d texts alone", asked)
	}
}

// The real shellcheck is asked: its findings with their lines and severities, those of each shell, and none that a setting
// of whoever inspects silences.
func TestShellcheck(t *testing.T) {
	program := servers.Shellcheck(t)
	t.Setenv("SHELLCHECK_OPTS", "-e SC2086")
	got := Check(t.Context(), []Script{
		{Path: "i.sh", Text: []byte("#!/bin/sh\necho $1\ncd /x\n[[ $1 ]]\n")}, {Path: "j.sh", Text: []byte("#!/bin/bash\nset -e\n[[ -n ${1:-} ]] && echo ü\nif [ 1 -gt2 ]; then :; fi\n")},
	}, Host{Shellcheck: program})
	var all []string
	for _, f := range got {
		if f.Rule == "scripts/shellcheck" {
			all = append(all, fmt.Sprintf("%s %s:%d %.6s", f.Severity, f.Place.File, f.Place.Line, f.What))
		}
	}
	for _, want := range []string{"note i.sh:2 SC2086", "note i.sh:3 SC2164", "note i.sh:4 SC3010", "risk j.sh:4 SC1035"} {
		if !slices.Contains(all, want) {
			t.Errorf("%s isn't in %v", want, all)
		}
	}
	if strings.Contains(strings.Join(all, " "), "SC3010 j.sh") {
		t.Errorf("bash's own is a fault in bash: %v", all)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("i.sh", []byte(install))
	f.Add("e.sh", []byte(export))
	f.Add("etc/cron.d/x", []byte("MAILTO=a\n0 3 * * * root curl https://old.example.net\n@daily root x"))
	f.Add("x.timer", []byte("[Timer]\nOnCalendar=Mon..Fri *-*-* 03:00\nOnCalendar=*-*~1/3 1:2:3 UTC\nUnit=x"))
	f.Add("x.service", []byte("[Service]\nExecStart=sh -c 'curl x.example; \\\n y'"))
	z := berlin(f)
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		s := Script{Path: name, Text: text, Mode: 0o755}
		lines := strings.Count(string(text), "\n") + 1
		for _, x := range Check(t.Context(), []Script{s}, Host{Units: []string{"a"}, Zone: z, Now: time.Unix(1.8e9, 0), Retired: []string{".example.net", "10.0.0.0/8"}}) {
			if x.Place.Line < 0 || x.Place.Line > lines || x.Rule == "" || strings.Contains(x.What, "\n") {
				t.Errorf("of %d lines: %+v", lines, x)
			}
		}
		for _, x := range SQL(s) {
			if x.Line < 1 || x.Line > lines {
				t.Errorf("of %d lines: %+v", lines, x)
			}
		}
	})
}

func FuzzCalendar(f *testing.F) {
	f.Add("Mon..Fri *-*-01,15 03:00:00 Europe/Berlin")
	f.Add("*/5 1-7 * jan-mar mon")
	z := berlin(f)
	f.Fuzz(func(t *testing.T, s string) {
		after := time.Unix(1.8e9, 0)
		for _, parse := range []func(string) (calendar, error){
			parseCron, func(s string) (calendar, error) { c, _, err := parseCalendar(s); return c, err },
		} {
			c, err := parse(s)
			if err != nil {
				continue
			}
			for _, r := range c.next(after, z, 3) {
				if !r.After(after) {
					t.Errorf("%q runs at %v", s, r)
				}
			}
		}
	})
}
