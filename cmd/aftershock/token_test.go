package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOwnToken(t *testing.T) {
	const good = "correct-horse-battery"
	tests := []struct {
		name, content string
		mode          os.FileMode
		want          string // "" for a new one
		loose         bool
		err           string
		after         os.FileMode
	}{
		{name: "somebody's own", content: good + "\n", mode: 0o600, want: good, after: 0o600},
		{name: "open to the group", content: good, mode: 0o640, want: good, after: 0o640},
		{name: "open to all", content: good, mode: 0o666, want: good, loose: true, after: 0o660},
		{name: "empty", content: " \n", mode: 0o644, after: 0o600},
		{name: "too short", content: "short", mode: 0o600, err: "at least 16", after: 0o600},
		{name: "two lines", content: good + "\n" + good, mode: 0o600, err: "one word", after: 0o600},
		{name: "no text", content: good + "\x00\xff", mode: 0o600, err: "plain characters", after: 0o600},
		{name: "too long", content: strings.Repeat("x", maxToken+1), mode: 0o600, err: "at most 4096 bytes", after: 0o600},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			got, loose, err := ownToken(path)
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Fatalf("got error %v, want %q", err, tt.err)
			}
			if tt.err == "" && (tt.want != "" && got != tt.want || tt.want == "" && len(got) < minToken) || loose != tt.loose {
				t.Errorf("got %q, loose %t; want %q, %t", got, loose, tt.want, tt.loose)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != tt.after {
				t.Errorf("mode after: %v, %v; want %v", info.Mode().Perm(), err, tt.after)
			}
		})
	}
	if _, _, err := ownToken(t.TempDir()); err == nil || !strings.Contains(err.Error(), "isn't a regular file") {
		t.Errorf("a directory: got %v, want that it isn't a regular file", err)
	}
}
