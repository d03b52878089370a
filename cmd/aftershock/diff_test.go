package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// buildProgram compiles a program of one file.
func buildProgram(t *testing.T, dir, wait string) string {
	t.Helper()
	text := "package main\n\nimport \"time\"\n\n//go:noinline\nfunc backoff(n int) time.Duration { return time.Duration(n) * " + wait + " }\n\n" +
		"func main() { time.Sleep(backoff(0)) }\n"
	src := filepath.Join(dir, "main.go")
	if err := os.WriteFile(src, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "program")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, src)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	return out
}

func TestDiff(t *testing.T) {
	old, new := buildProgram(t, t.TempDir(), "50*time.Millisecond"), buildProgram(t, t.TempDir(), "20*time.Millisecond")
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("\x7fELF\x02\x01\x01"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		want int
		out  []string
		err  string
	}{
		{"same", []string{old, old}, exitOK, []string{"nothing changed inside"}, ""},
		{"text", []string{old, new}, exitDifferent, []string{"program: changed main.backoff (50ms -> 20ms)\n", "touches    backoff"}, ""},
		{"kept", []string{old, new, "--cache", t.TempDir()}, exitDifferent, []string{"50ms -> 20ms"}, ""},
		{"json", []string{"--format", "json", old, new}, exitDifferent, []string{`"changed": [
          "main.backoff"
        ]`, `"old": "50ms"`, `"old_raw": 50000000`, `"only_new": []`}, ""},
		{"one file", []string{old}, exitUsage, nil, "two files"},
		{"form", []string{old, new, "--format", "xml"}, exitUsage, nil, "neither text nor json"},
		{"none", []string{old, old + ".none"}, exitUsage, nil, "program.none: no such file or directory"},
		{"broken", []string{old, broken}, exitUsage, nil, "compare a file that is whole"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			got := run(t.Context(), append([]string{"diff"}, tt.args...), nil, &stdout, &stderr)
			if got != tt.want {
				t.Errorf("status %d, want %d: %s", got, tt.want, stderr.String())
			}
			for _, s := range tt.out {
				if !strings.Contains(stdout.String(), s) {
					t.Errorf("%q is not in\n%s", s, stdout.String())
				}
			}
			if !strings.Contains(stderr.String(), tt.err) || tt.err == "" && stderr.Len() > 0 || strings.Count(stderr.String(), "\n") > 1 {
				t.Errorf("stderr %q, want one line with %q", stderr.String(), tt.err)
			}
			if tt.name == "json" && !json.Valid(stdout.Bytes()) {
				t.Error("the output is no JSON")
			}
		})
	}
}
