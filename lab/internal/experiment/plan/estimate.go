// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"time"
)

// What a rollout takes beside the timings, in seconds, as it was in earlier runs.
const (
	install = 15 // and the last requests, and the access log
	fresh   = 8  // from the patch until new pods are healthy
	finish  = 5  // of a process, in which slow requests end
	jitter  = 10 // until the API says unused: the later of two targets, in the mean
)

// Takes estimates how long a setting needs, once its timings are known.
func (s Setting) Takes(t Timings) time.Duration {
	_, most := s.nodes()
	old := max(t.PreStop, 0) + finish
	old = max(old, int(s.Latency)+most+slack)
	if !s.Kind.Point() && t.Delay() < DefaultDelay {
		old = max(old, int(s.Latency)+t.Delay()+jitter)
	}
	return time.Duration(install+s.Rollouts*(fresh+max(t.MinReady, 0)+old)) * time.Second
}

// Estimate is how long all take, so many at a time, each begun as soon as there is room.
func Estimate(takes []time.Duration, parallel int) time.Duration {
	busy := make([]time.Duration, max(1, parallel))
	for _, t := range takes {
		i := slices.Index(busy, slices.Min(busy))
		busy[i] += t
	}
	return slices.Max(busy)
}
