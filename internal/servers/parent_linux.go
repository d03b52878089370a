package servers

import "syscall"

// dieWithParent ends the server also when the test process is killed.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
