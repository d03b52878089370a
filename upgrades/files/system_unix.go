//go:build unix

package files

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// look tells a file's state; ok is false while there is none.
func look(path string) (s stat, ok bool) {
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() {
		return stat{}, false
	}
	s = stat{Size: st.Size(), Modified: st.ModTime().UTC()}
	if sys, is := st.Sys().(*syscall.Stat_t); is {
		s.Inode = sys.Ino
	}
	return s, true
}

// lowly runs f at the lowest priority, on a thread that ends with it.
func lowly(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked
		if runtime.GOOS == "linux" {
			_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 19) // of the thread; without it f is but dearer
		}
		f()
	}()
	<-done
}

// replaced is the file of a process that still runs what was at the path before.
func replaced(path string) (exe string, ok bool) {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && to == path+" (deleted)" {
			return l, true
		}
	}
	return "", false
}
