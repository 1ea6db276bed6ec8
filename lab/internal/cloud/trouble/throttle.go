// SPDX-License-Identifier: Apache-2.0

package trouble

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// Bucket is a token bucket: a call takes one token. A Size of 0 is no limit.
type Bucket struct {
	Size   float64 `json:"size"`   // tokens when it is full
	Refill float64 `json:"refill"` // tokens a second
}

// Limits are the buckets of ELBv2 that all callers of an account share, one
// set for each region. The zero value limits nothing.
type Limits struct {
	Read     Bucket `json:"read"`     // Describe*
	Register Bucket `json:"register"` // RegisterTargets and DeregisterTargets
	Write    Bucket `json:"write"`    // everything else
}

// AWSLimits are those of ELBv2. Read is documented ("Request throttling for the
// Elastic Load Balancing API"); the others are what the maintainers of the AWS
// Load Balancer Controller proposed as its client's limits (issue 2809 there).
func AWSLimits() Limits {
	return Limits{Read: Bucket{40, 10}, Register: Bucket{20, 4}, Write: Bucket{40, 10}}
}

// kindOf says which bucket an operation of ELBv2 takes from.
func (l Limits) kindOf(operation string) (string, Bucket) {
	switch {
	case strings.HasPrefix(operation, "Describe"):
		return "read", l.Read
	case slices.Contains([]string{"RegisterTargets", "DeregisterTargets"}, operation):
		return "register", l.Register
	}
	return "write", l.Write
}

// throttle holds the buckets as they are now. It is safe for concurrent use.
type throttle struct {
	mu     sync.Mutex
	limits Limits
	levels map[string]level // by region and kind
}

type level struct {
	tokens float64
	at     time.Time
}

// set changes the limits; all buckets are full then.
func (t *throttle) set(l Limits) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limits, t.levels = l, map[string]level{}
}

func (t *throttle) get() Limits {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.limits
}

// take takes a token for a call, and tells whether there was one.
func (t *throttle) take(region, operation string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	kind, b := t.limits.kindOf(operation)
	if b.Size == 0 {
		return true
	}
	key := region + "/" + kind
	l, ok := t.levels[key]
	if !ok {
		l = level{b.Size, now}
	}
	if d := now.Sub(l.at).Seconds(); d > 0 {
		l.tokens, l.at = min(b.Size, l.tokens+d*b.Refill), now
	}
	enough := l.tokens >= 1
	if enough {
		l.tokens--
	}
	t.levels[key] = l
	return enough
}
