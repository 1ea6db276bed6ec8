// SPDX-License-Identifier: Apache-2.0

package build

import (
	"os"
	"syscall"
)

// ownGroup makes a child the head of a group of its own, for signal.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// dieWithParent makes the kernel end a child when we are killed.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}

// signal reaches a child and all that it started.
func signal(p *os.Process, s syscall.Signal) error { return syscall.Kill(-p.Pid, s) }
