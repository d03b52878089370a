//go:build unix

package scrape

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A pipe or a directory in the place of a file of targets is refused, not waited
// for, and the targets that the file held before are kept.
func TestListsRefusePipe(t *testing.T) {
	for name, replace := range map[string]func(string) error{
		"pipe":      func(name string) error { return syscall.Mkfifo(name, 0o600) },
		"directory": func(name string) error { return os.Mkdir(name, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "targets.json")
			writeFile(t, file, `[{"targets": ["a:1"]}]`)
			l := newLists([]string{file})
			now := time.Now()
			if groups, changes := l.poll(now); len(groups) != 1 || len(changes) != 0 {
				t.Fatalf("got %v, %v; want one group", groups, changes)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			if err := replace(file); err != nil {
				t.Fatal(err)
			}
			groups, changes := l.poll(now.Add(time.Minute))
			if len(groups) != 1 {
				t.Errorf("got %v, want the targets of before", groups)
			}
			if len(changes) != 1 || changes[0].err == nil || !strings.Contains(changes[0].err.Error(), "isn't a regular file") {
				t.Errorf("got %v, want that it isn't a regular file", changes)
			}
		})
	}
}
