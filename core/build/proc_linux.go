// SPDX-License-Identifier: Apache-2.0

package build

import "syscall"

// dieWithParent makes the kernel end a child when we are killed.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}
