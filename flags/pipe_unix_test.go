//go:build unix

package flags

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A pipe in the place of the definitions is refused, not waited for.
func TestReadFileRefusesPipe(t *testing.T) {
	name := filepath.Join(t.TempDir(), "flags.json")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readFile(name, 10); err == nil || !strings.Contains(err.Error(), "isn't a regular file") {
		t.Errorf("got %v, want that it isn't a regular file", err)
	}
}
