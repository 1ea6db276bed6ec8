// SPDX-License-Identifier: Apache-2.0

package house

import (
	"os"
	"syscall"
)

// maxRSS is the most memory that a process held, in KiB.
func maxRSS(s *os.ProcessState) int64 {
	if usage, ok := s.SysUsage().(*syscall.Rusage); ok {
		return usage.Maxrss
	}
	return 0
}
