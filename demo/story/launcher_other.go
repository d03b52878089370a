//go:build unix && !linux

package main

import "syscall"

// ownGroup keeps the terminal's Ctrl-C from the child, which the director ends
// in order.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
