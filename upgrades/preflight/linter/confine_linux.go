package linter

import "golang.org/x/sys/unix"

// confine bounds the memory that a process may have from here on: a script can be made on which
// shellcheck takes all of the host's.
func confine(pid int) {
	most := unix.Rlimit{Cur: Memory, Max: Memory}
	_ = unix.Prlimit(pid, unix.RLIMIT_DATA, &most, nil) // it may have ended already
}
