// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"time"
)

// saved is the form of a snapshot. Certificates' keys are not in it: an HTTPS
// listener opens again with the next PutLoadBalancer.
type saved struct {
	Time      time.Time
	Draws     int
	Addresses map[string]netip.Addr
	Slowness  map[string]Delay // propagations of load balancers' own
	Jitters   map[string]Delay // likewise
	Groups    []savedGroup
	Balancers []LoadBalancer
}

type savedGroup struct {
	TargetGroup
	Records []record
}

// Snapshot is everything a later engine needs to go on: groups, targets with
// their states, load balancers, node addresses and propagations. Draining goes on by the clock
// between Snapshot and Restore, if the later engine has the same seed and ranges.
func (e *Engine) Snapshot() ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := saved{Time: time.Now(), Draws: e.draws, Addresses: e.addresses, Slowness: e.slowness, Jitters: e.jitters}
	for _, arn := range sortedKeys(e.groups) {
		g := savedGroup{TargetGroup: e.groups[arn].TargetGroup}
		for _, r := range e.groups[arn].records {
			g.Records = append(g.Records, r.record)
		}
		s.Groups = append(s.Groups, g)
	}
	for _, arn := range sortedKeys(e.balancers) {
		s.Balancers = append(s.Balancers, e.balancers[arn].LoadBalancer)
	}
	out, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("writing load balancer snapshot: %w", err)
	}
	return out, nil
}

// Restore fills a new engine from a snapshot and opens its HTTP listeners. An
// error about one load balancer does not keep the others from coming back.
func (e *Engine) Restore(snapshot []byte) error {
	var s saved
	if err := json.Unmarshal(snapshot, &s); err != nil {
		return fmt.Errorf("reading load balancer snapshot: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.groups) > 0 || len(e.balancers) > 0 {
		return fmt.Errorf("restoring load balancers: the engine already has %d target groups and %d load balancers; restore first, then put",
			len(e.groups), len(e.balancers))
	}
	e.draws = s.Draws
	maps.Copy(e.addresses, s.Addresses)
	maps.Copy(e.slowness, s.Slowness)
	maps.Copy(e.jitters, s.Jitters)
	var errs []error
	for _, lb := range s.Balancers {
		b := &balancer{LoadBalancer: lb}
		e.balancers[lb.ARN] = b
		plain := lb
		plain.Listeners = nil
		for _, l := range lb.Listeners {
			if l.Protocol == "HTTP" {
				plain.Listeners = append(plain.Listeners, l)
			}
		}
		b.LoadBalancer = plain
		if err := e.place(b); err != nil {
			errs = append(errs, fmt.Errorf("restoring load balancer %q: %w", lb.ARN, err))
		}
		b.LoadBalancer = lb
	}
	for _, sg := range s.Groups {
		g := &group{TargetGroup: sg.TargetGroup}
		for _, b := range e.balancers {
			if b.uses(sg.ARN) {
				g.users = append(g.users, b) // known before attach, so that no target starts anew
			}
		}
		for _, r := range sg.Records {
			g.records = append(g.records, &entry{record: r, flights: map[*flight]struct{}{}})
		}
		e.groups[sg.ARN] = g
	}
	e.attach()
	e.tend()
	return errors.Join(errs...)
}
