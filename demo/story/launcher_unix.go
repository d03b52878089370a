//go:build unix

package main

import "syscall"

// kill ends the process and whatever it started.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may have ended already
}
