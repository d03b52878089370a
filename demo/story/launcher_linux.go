package main

import "syscall"

// ownGroup keeps the terminal's Ctrl-C from the child, which the director ends
// in order, and ends the child also when the director is killed.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
