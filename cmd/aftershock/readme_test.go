package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var (
	shown  = regexp.MustCompile("(?s)```console\n(.*?)```")
	word   = regexp.MustCompile(`"([^"]*)"|(\S+)`)
	chance = regexp.MustCompile(`\d{8}T\d{6}\.\d{3}-\w{8}|\d{4}-\d\d-\d\dT[\d:]+Z|[\d.]+[mµ]?s after`)
)

// told is what a command says, without what differs from run to run, and without the
// variants, of which the test's flag has others.
func told(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\n "); !strings.HasPrefix(line, "variant ") {
			out = append(out, chance.ReplaceAllString(line, "…"))
		}
	}
	return out
}

// TestREADMEShowsWhatCommandsSay runs the commands that on-call people are shown, and
// holds what they say against what the README shows; an ellipsis at the end of a line
// stands for its rest, one alone for all lines that follow.
func TestREADMEShowsWhatCommandsSay(t *testing.T) {
	s := daemonForClients(t)
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, block := range shown.FindAllStringSubmatch(string(b), -1) {
		for _, part := range strings.Split("\n"+block[1], "\n$ ")[1:] {
			command, want, _ := strings.Cut(part, "\n")
			if !strings.HasPrefix(command, "aftershock ") {
				continue
			}
			args := []string{}
			for _, m := range word.FindAllStringSubmatch(command, -1)[1:] {
				args = append(args, m[1]+m[2])
			}
			got := call(t, "", append(args, "--server", s.URL, "--actor", "ana")...)
			if got.status != 0 {
				t.Fatalf("%s: %+v", command, got)
			}
			ran++
			lines := told(got.out)
			for n, line := range told(want) {
				if line == "…" {
					break
				}
				start, open := strings.CutSuffix(line, "…")
				if n >= len(lines) || lines[n] != line && !(open && strings.HasPrefix(lines[n], start)) {
					t.Errorf("%s: the README shows\n%s\nand it says\n%s", command, line, got.out)
					break
				}
			}
		}
	}
	if ran < 5 {
		t.Errorf("the README shows %d commands", ran)
	}
}
