// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package build

import "syscall"

// dieWithParent: only Linux can; buildkitd runs on Linux anyway.
func dieWithParent() *syscall.SysProcAttr { return nil }
