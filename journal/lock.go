package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lockDirectory takes the data directory for this process: DIR/lock is locked
// by flock(2), which ends with the process, however that ends. The file holds
// the number of the process, for people.
func lockDirectory(dir string) (*os.File, error) {
	name := filepath.Join(dir, "lock")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer func() { _ = f.Close() }()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		who := "another process"
		if b, err := io.ReadAll(io.LimitReader(f, 20)); err == nil {
			if pid := strings.TrimSpace(string(b)); pid != "" {
				who = "process " + pid
			}
		}
		return nil, fmt.Errorf("lock %s: %w by %s: stop that one, or use another directory", dir, ErrLocked, who)
	}
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	return f, nil
}
