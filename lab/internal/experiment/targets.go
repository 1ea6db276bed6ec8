// SPDX-License-Identifier: Apache-2.0

package experiment

import (
	"slices"
	"sync"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb"
)

// change is a target's new state; unused: it left the list.
type change struct {
	At    time.Time
	IP    string
	State string
}

// targets are all changes since the experiment began, by target group.
type targets struct {
	mu      sync.Mutex
	byGroup map[string][]change
}

func (t *targets) take(e alb.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byGroup == nil {
		t.byGroup = map[string][]change{}
	}
	c := e.Change
	t.byGroup[c.TargetGroup] = append(t.byGroup[c.TargetGroup], change{e.Time, c.Health.Target.ID, c.Health.State})
}

func (t *targets) of(group string) history {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.byGroup[group])
}

// history is one group's changes in order of time.
type history []change

// first is when a target came into a state for the first time after since; zero: never.
func (h history) first(ip, state string, since time.Time) time.Time {
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

// counts are the numbers at from, and at each change up to to.
func (h history) counts(from, to time.Time) []Count {
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

// fewest healthy targets at any moment.
func fewest(counts []Count) int {
	n := counts[0].Healthy
	for _, c := range counts {
		n = min(n, c.Healthy)
	}
	return n
}
