// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"slices"
	"sync"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb"
)

// Change is a target's new state; unused: it left the list.
type Change struct {
	At    time.Time
	IP    string
	State string
}

// Targets are all changes since the experiment began, by target group.
type Targets struct {
	mu      sync.Mutex
	byGroup map[string][]Change
}

// Take notes an event of the balancers.
func (t *Targets) Take(e alb.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byGroup == nil {
		t.byGroup = map[string][]Change{}
	}
	c := e.Change
	t.byGroup[c.TargetGroup] = append(t.byGroup[c.TargetGroup], Change{e.Time, c.Health.Target.ID, c.Health.State})
}

// Of gives the changes of a group so far.
func (t *Targets) Of(group string) History {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.byGroup[group])
}

// History is one group's changes in order of time.
type History []Change

// First is when a target came into a state for the first time after since; zero: never.
func (h History) First(ip, state string, since time.Time) time.Time {
	for _, c := range h {
		if c.IP == ip && c.State == state && !c.At.Before(since) {
			return c.At
		}
	}
	return time.Time{}
}

// Count is how many targets are in a state from a moment on.
type Count struct {
	At       time.Time `json:"at"`
	Initial  int       `json:"initial"`
	Healthy  int       `json:"healthy"`
	Draining int       `json:"draining"`
}

// Counts are the numbers at from, and at each change up to to.
func (h History) Counts(from, to time.Time) []Count {
	state := map[string]string{}
	count := func(at time.Time) Count {
		c := Count{At: at}
		for _, s := range state {
			switch s {
			case "initial":
				c.Initial++
			case "healthy":
				c.Healthy++
			case "draining":
				c.Draining++
			}
		}
		return c
	}
	var list []Count
	for _, c := range h {
		if c.At.After(to) {
			break
		}
		if c.At.After(from) && list == nil {
			list = append(list, count(from))
		}
		state[c.IP] = c.State
		if c.At.After(from) {
			list = append(list, count(c.At))
		}
	}
	if list == nil {
		list = append(list, count(from))
	}
	return list
}

// Fewest healthy targets at any moment.
func Fewest(counts []Count) int {
	n := counts[0].Healthy
	for _, c := range counts {
		n = min(n, c.Healthy)
	}
	return n
}
