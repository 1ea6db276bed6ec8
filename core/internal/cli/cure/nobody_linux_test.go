// SPDX-License-Identifier: Apache-2.0

package cure

import (
	"os"
	"runtime"
	"syscall"
	"testing"
)

// nobody makes the test touch files as a user without any right of its own, where it
// is run as root. The kernel keeps that user for each thread.
func nobody(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	const noUser = 65534
	runtime.LockOSThread()
	as := func(id uintptr) { syscall.RawSyscall(syscall.SYS_SETFSUID, id, 0, 0) } // it gives the user before, and no error
	as(noUser)
	t.Cleanup(func() {
		as(0)
		runtime.UnlockOSThread()
	})
}
