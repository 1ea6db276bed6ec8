// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"errors"
	"fmt"
)

// ErrLoadBalancerNotFound is wrapped by calls that name an unknown load balancer.
var ErrLoadBalancerNotFound = errors.New("load balancer not found")

// SetPropagation gives one load balancer a range of its own in place of
// Options.Deregister, so that quick and slow ones can be compared side by side.
// It holds from now on, also for targets that are draining already; set it
// while none is. The zero Delay goes back to the options.
func (e *Engine) SetPropagation(arn string, d Delay) error {
	return e.setOwn("propagation", e.slowness, arn, d)
}

// SetJitter gives the target groups of one load balancer a range of their own
// in place of Options.Jitter, for what is deregistered from now on. The zero
// Delay goes back to the options.
func (e *Engine) SetJitter(arn string, d Delay) error {
	return e.setOwn("jitter", e.jitters, arn, d)
}

func (e *Engine) setOwn(what string, own map[string]Delay, arn string, d Delay) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.balancers[arn] == nil {
		return fmt.Errorf("setting the %s of %q: %w", what, arn, ErrLoadBalancerNotFound)
	}
	if d == (Delay{}) {
		delete(own, arn)
	} else {
		own[arn] = d
	}
	e.wake()
	return nil
}

// Propagation is how long nodes of a load balancer go on sending to a target
// that was deregistered.
func (e *Engine) Propagation(arn string) (Delay, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.balancers[arn] == nil {
		return Delay{}, fmt.Errorf("finding the propagation of %q: %w", arn, ErrLoadBalancerNotFound)
	}
	return e.propagationOf(arn), nil
}

// propagationOf is asked with the lock held.
func (e *Engine) propagationOf(arn string) Delay {
	if d, ok := e.slowness[arn]; ok {
		return d
	}
	return e.opt.Deregister
}

// jitterOf is that of the first of the group's load balancers with one of its own.
func (e *Engine) jitterOf(g *group) Delay {
	for _, b := range g.users {
		if d, ok := e.jitters[b.ARN]; ok {
			return d
		}
	}
	return e.opt.Jitter
}
