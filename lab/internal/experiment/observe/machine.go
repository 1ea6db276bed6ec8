// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// Machine is how busy it was: a full one would lose requests by itself.
type Machine struct {
	CPUs     int     `json:"cpus"`
	BusyMean float64 `json:"busyMean"` // 0 to 1
	BusyMax  float64 `json:"busyMax"`  // of any 5 seconds
}

// Busy measures the machine until ctx ends.
func Busy(ctx context.Context) <-chan Machine {
	done := make(chan Machine, 1)
	go func() {
		m, n := Machine{CPUs: runtime.NumCPU()}, 0.0
		busy, all := ticks()
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Second):
			}
			b, a := ticks()
			if a > all && ctx.Err() == nil {
				share := (b - busy) / (a - all)
				m.BusyMean, n = (m.BusyMean*n+share)/(n+1), n+1
				m.BusyMax = max(m.BusyMax, share)
			}
			busy, all = b, a
		}
		done <- m
	}()
	return done
}

// ticks are those of the CPUs since boot; 0 where there is no /proc.
func ticks() (busy, all float64) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, f := range strings.Fields(line)[1:9] { // guests are counted as user time already
		var n float64
		if _, err := fmt.Sscan(f, &n); err != nil {
			return 0, 0
		}
		all += n
		if i != 3 && i != 4 { // idle, waiting for a disk
			busy += n
		}
	}
	return busy, all
}
