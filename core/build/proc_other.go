// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package build

import (
	"os"
	"syscall"
)

// ownGroup: groups differ too much elsewhere.
func ownGroup() *syscall.SysProcAttr { return nil }

// dieWithParent: only Linux can; buildkitd runs on Linux anyway.
func dieWithParent() *syscall.SysProcAttr { return nil }

// signal reaches a child; where it cannot be asked, it is ended.
func signal(p *os.Process, s syscall.Signal) error {
	if err := p.Signal(s); err != nil {
		return p.Kill()
	}
	return nil
}
