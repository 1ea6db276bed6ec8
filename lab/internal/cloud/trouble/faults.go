// SPDX-License-Identifier: Apache-2.0

package trouble

import (
	"fmt"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// The kinds of faults.
const (
	KindThrottle = "throttle" // the service's throttling error
	KindServer   = "5xx"      // the service's error for being unavailable
	KindLatency  = "latency"  // the answer comes later
	KindReset    = "reset"    // the connection is reset, without an answer
)

// Fault is what goes wrong with some calls.
type Fault struct {
	ID           int     `json:"id"`                     // given by the lab
	Service      string  `json:"service,omitempty"`      // as in a signature's scope; "": every one
	Operation    string  `json:"operation,omitempty"`    // a name, or a pattern with * and ?; "": every one
	Resource     string  `json:"resource,omitempty"`     // an ARN that the call names, as ELBv2's do; "": any, or none
	Kind         string  `json:"kind"`                   // throttle, 5xx, latency or reset
	Rate         float64 `json:"rate,omitempty"`         // the part of the calls, evenly spread: 0.25 is each fourth; 0: all
	Count        int     `json:"count,omitempty"`        // how many calls; 0: no end
	After        float64 `json:"after,omitempty"`        // seconds until it begins; 0: at once
	Seconds      float64 `json:"seconds,omitempty"`      // how long, once it has begun; 0: until it is cleared
	Milliseconds int     `json:"milliseconds,omitempty"` // of latency
	Hits         int     `json:"hits"`                   // calls that it was done to
}

func (f Fault) check() error {
	if !slices.Contains([]string{KindThrottle, KindServer, KindLatency, KindReset}, f.Kind) {
		return fmt.Errorf("kind %q: want throttle, 5xx, latency or reset", f.Kind)
	}
	if f.Rate < 0 || f.Rate > 1 {
		return fmt.Errorf("rate %g: want more than 0, up to 1", f.Rate)
	}
	if f.Count < 0 || f.Seconds < 0 || f.After < 0 {
		return fmt.Errorf("count %d, after %g, seconds %g: want 0 or more", f.Count, f.After, f.Seconds)
	}
	if (f.Kind == KindLatency) != (f.Milliseconds > 0) {
		return fmt.Errorf("milliseconds %d: want more than 0 with kind latency, and none with the others", f.Milliseconds)
	}
	if _, err := path.Match(f.Operation, ""); err != nil {
		return fmt.Errorf("operation %q: %w", f.Operation, err)
	}
	return nil
}

func (f Fault) matches(c wire.Call) bool {
	ok, _ := path.Match(f.Operation, c.Operation) // check saw that it is a pattern
	return (f.Service == "" || f.Service == c.Service) && (f.Operation == "" || ok) && (f.Resource == "" || slices.Contains(c.Resources, f.Resource))
}

// planned is a fault with how far it got.
type planned struct {
	Fault
	from time.Time
	ends time.Time // zero: never
	due  float64   // grows by Rate with each call that matches; 1 is a hit
}

func (p *planned) idle(now time.Time) bool {
	return now.Before(p.from) || p.Count > 0 && p.Hits >= p.Count || !p.ends.IsZero() && !now.Before(p.ends)
}

// faults are those of a lab. It is safe for concurrent use.
type faults struct {
	mu   sync.Mutex
	last int
	all  []*planned
}

func (s *faults) add(f Fault, now time.Time) (Fault, error) {
	if err := f.check(); err != nil {
		return Fault{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	f.ID, f.Hits = s.last, 0
	p := &planned{Fault: f, from: now.Add(time.Duration(f.After * float64(time.Second)))}
	if f.Seconds > 0 {
		p.ends = p.from.Add(time.Duration(f.Seconds * float64(time.Second)))
	}
	s.all = append(s.all, p)
	return f, nil
}

// list returns all faults, those that are over, too: a test wants their hits.
func (s *faults) list() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []Fault{}
	for _, p := range s.all {
		out = append(out, p.Fault)
	}
	return out
}

// clear forgets the fault with that id, or all of them for 0.
func (s *faults) clear(id int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.all)
	s.all = slices.DeleteFunc(s.all, func(p *planned) bool { return id == 0 || p.ID == id })
	return id == 0 || len(s.all) < n
}

// hit returns the faults that a call meets: latencies, and at most one other,
// the oldest.
func (s *faults) hit(c wire.Call, now time.Time) []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Fault
	ended := false
	for _, p := range s.all {
		if p.idle(now) || !p.matches(c) || ended && p.Kind != KindLatency {
			continue
		}
		if p.Rate > 0 {
			// A little above zero, so that ten times a tenth is one.
			if p.due += p.Rate; p.due < 1-1e-9 {
				continue
			}
			p.due--
		}
		p.Hits++
		ended = ended || p.Kind != KindLatency
		out = append(out, p.Fault)
	}
	return out
}
