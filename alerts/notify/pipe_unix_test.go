//go:build unix

package notify

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A pipe in the place of a template is refused, not waited for.
func TestReadFileRefusesPipe(t *testing.T) {
	name := filepath.Join(t.TempDir(), "text.tmpl")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readFile(name); err == nil || !strings.Contains(err.Error(), "isn't a regular file") {
		t.Errorf("got %v, want that it isn't a regular file", err)
	}
}
