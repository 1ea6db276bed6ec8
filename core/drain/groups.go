// SPDX-License-Identifier: Apache-2.0

package drain

import (
	"cmp"
	"fmt"
	"time"
)

const (
	nlbPropagation  = 150 * time.Second // P of an NLB, at least where the Inputs are of another kind
	nlbRegistration = 180 * time.Second // T_reg of an NLB, likewise
)

// group is a target group with nothing left open.
type group struct {
	Group
	propagation, registration time.Duration
	delay                     Seconds // the one that is judged, or computed
}

// groups are those in front of the pod: at least one.
func (in Inputs) groups() []group {
	all := in.Groups
	if len(all) == 0 {
		all = []Group{{Delay: in.Delay}}
	}
	out := make([]group, len(all))
	for i, g := range all {
		g.Balancer = cmp.Or(g.Balancer, in.Balancer)
		of := in
		if (g.Balancer == NLB) != (in.Balancer == NLB) {
			of = DefaultsFor(g.Balancer)
		}
		g.HealthInterval, g.HealthTimeout = cmp.Or(g.HealthInterval, of.HealthInterval), cmp.Or(g.HealthTimeout, of.HealthTimeout)
		g.HealthyCount, g.UnhealthyCount = cmp.Or(g.HealthyCount, of.HealthyCount), cmp.Or(g.UnhealthyCount, of.UnhealthyCount)
		g.IdleTimeout, g.SlowStart = cmp.Or(g.IdleTimeout, of.IdleTimeout), cmp.Or(g.SlowStart, in.SlowStart)
		out[i] = group{Group: g, propagation: in.Propagation, registration: in.Registration}
		if g.Balancer == NLB && in.Balancer != NLB {
			out[i].propagation, out[i].registration = max(in.Propagation, nlbPropagation), max(in.Registration, nlbRegistration)
		}
	}
	return out
}

// drains tells whether pods are deregistered from the group when they end.
func (g group) drains() bool { return g.Balancer != Instance }

// longest is R, or the age at which the application ends a long-lived connection.
func (in Inputs) longest() time.Duration {
	if in.Cut != nil {
		return *in.Cut
	}
	return in.Request
}

// latency is L of a controller that has other work before ours: 0.15 s for each
// queued binding, and ELBv2's refill of 4 calls a second when its bucket of 20
// is empty.
func (in Inputs) latency() time.Duration {
	return in.ControllerLatency + time.Duration(in.Queued)*150*time.Millisecond + time.Duration(max(0, in.Calls-20))*250*time.Millisecond
}

// jitter is J: 15 s up to five target groups, more when the polls of many
// take turns under the ELB API's throttle: max(15, 9 + 1.2 max(5, nTG)).
func (in Inputs) jitter() time.Duration {
	if in.Jitter != nil {
		return *in.Jitter
	}
	return max(15*time.Second, 9*time.Second+1200*time.Millisecond*time.Duration(max(5, in.TargetGroups, len(in.Groups))))
}

// MaxPropagation is the largest P of the target groups: a target that has been
// draining for it, in all of them, gets no new request.
func (in Inputs) MaxPropagation() (longest time.Duration) {
	for _, g := range in.groups() {
		longest = max(longest, g.propagation)
	}
	return longest
}

// ordered is the least deregistration delay that a named timeout order allows:
// the next whole second.
func (in Inputs) ordered(g group) Seconds {
	if in.Order == NoOrder || g.Balancer != ALB || in.RequestTimeout == nil {
		return 0
	}
	return Seconds(max(*in.RequestTimeout, g.IdleTimeout)/time.Second) + 1
}

// orderable refuses a named order that the timeouts contradict.
func (in Inputs) orderable(groups []group) error {
	for _, g := range groups {
		a, i := in.RequestTimeout, g.IdleTimeout
		switch {
		case in.Order == NoOrder, g.Balancer == NLB: // which knows no requests
		case a == nil:
			return refuse("F8", "request timeout", "say what it is (--request-timeout)", "the timeout order %s is about the application's request timeout (A), which is not known", in.Order)
		case in.Order == AppFirst && *a >= i:
			return refuse("F8", "idle timeout", fmt.Sprintf("lower A below %gs, or raise I to %s or more", i.Seconds(), Seconds(*a/time.Second)+1),
				"the timeout order app-first wants A < I, but the request timeout A = %gs is not below the idle timeout I = %gs%s", a.Seconds(), i.Seconds(), of(g))
		case in.Order == BalancerFirst && *a <= i:
			return refuse("F8", "request timeout", fmt.Sprintf("lower I below %gs, or raise A to %s or more", a.Seconds(), Seconds(i/time.Second)+1),
				"the timeout order balancer-first wants I < A, but the idle timeout I = %gs%s is not below the request timeout A = %gs", i.Seconds(), of(g), a.Seconds())
		}
	}
	return nil
}

// of names a group in a message.
func of(g group) string {
	if g.Name == "" {
		return ""
	}
	return " of " + g.Name
}
