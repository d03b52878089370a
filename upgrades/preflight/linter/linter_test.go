package linter

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program writes a shell script.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lint")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAsk(t *testing.T) {
	t.Setenv("SECRET_OF_CALLER", "geheim")
	out, err := Ask(t.Context(), program(t, `cat; echo " $*"; env; exit 1`), []string{"-f", "json"}, []byte("text"))
	if err != nil || !strings.HasPrefix(string(out), "text -f json\n") || strings.Contains(string(out), "geheim") || !strings.Contains(string(out), "PATH=") {
		t.Errorf("%q, %v", out, err)
	}
	for name, script := range map[string]string{"exit status 2": "exit 2", "more than": "yes | head -c 9000000", "signal": "kill -9 $$"} {
		if _, err := Ask(t.Context(), program(t, script), nil, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", script, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := Ask(ctx, program(t, "sleep 60 & wait"), nil, nil); err == nil || time.Since(began) > 20*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}
