// SPDX-License-Identifier: Apache-2.0

// Package change orders the writes of a rollout that changes drain timings. What the
// running pods have governs how they drain, and they cannot be changed any more: the
// deregistration delay in force now, the one to come, the timings of the pods that
// run and those of the plan go in; whether the delay is written before or after the
// pods are replaced comes out. It is pure.
package change

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/outlast-ci/outlast/core/drain"
)

// When a new deregistration delay is written.
type When string

const (
	Unchanged When = "unchanged"
	Before    When = "before" // the pods are replaced
	After     When = "after"  // the last of them is gone
)

// Decision is when to write a delay, and what no order can cure.
type Decision struct {
	When When           `json:"when"`
	From drain.Seconds  `json:"from"`
	To   drain.Seconds  `json:"to"`
	Why  string         `json:"why"`
	Lost []drain.Margin `json:"lost,omitempty"` // inequalities of the running pods that do not hold in the better order either: this rollout may lose requests

	saves bool           // the other order loses requests that this one does not
	other []drain.Margin // Lost of that
}

// Together makes one moment of those of delays that can only be written together: before,
// if that saves requests of one of them, else after, if one has to wait.
func Together(all []*Decision) {
	decides := -1
	for i, d := range all {
		switch {
		case d.When == Before && d.saves && (decides < 0 || all[decides].When == After):
			decides = i
		case d.When == After && decides < 0:
			decides = i
		}
	}
	if decides < 0 {
		return
	}
	first := *all[decides]
	for _, d := range all {
		if d.When != Unchanged && d.When != first.When {
			d.When, d.Lost = first.When, d.other
			d.Why = fmt.Sprintf("it is written with another one, that goes from %s to %s: there, %s", first.From, first.To, first.Why)
		}
	}
}

// Delay decides for one target group, of a kind of balancer. running are the timings
// of the pods that the rollout replaces (their own deregistration delay is not looked
// at); none means a first deploy.
func Delay(plan drain.Plan, kind drain.Balancer, from, to drain.Seconds, running []drain.Given) (Decision, error) {
	d := Decision{When: Unchanged, From: from, To: to, Why: "the delay stays as it is"}
	first, err := broken(plan, kind, to, running)
	if err != nil {
		return d, err
	}
	if from == to {
		d.Lost = first.lost
		return d, nil
	}
	if len(running) == 0 {
		d.When, d.Why = Before, "no pod runs yet"
		return d, nil
	}
	last, err := broken(plan, kind, from, running)
	if err != nil {
		return d, err
	}
	// Pods of the plan can be evicted meanwhile. They break nothing else than the running
	// ones under one delay and not under the other, but may not outlast it.
	for _, v := range []*verdict{&first, &last} {
		own, err := broken(plan, kind, v.delay, []drain.Given{plan.Given()})
		if err != nil {
			return d, err
		}
		v.strict += own.strict
	}
	less, why := first.less(last)
	d.saves = first.short.Seconds != last.short.Seconds
	d.When, d.Lost, d.other = Before, first.lost, last.lost
	switch {
	case less > 0:
		d.When, d.Lost, d.other = After, last.lost, first.lost
		d.Why = fmt.Sprintf("for the running pods %s does not hold under a delay of %s", why, to)
	case less < 0:
		d.Why = fmt.Sprintf("under the delay of %s %s does not hold", from, why)
	default:
		if d.Why = fmt.Sprintf("the running pods outlast a delay of %s", to); first.strict > 0 || kind == drain.Instance {
			d.Why = "for the pods it makes no difference when"
		}
	}
	return d, nil
}

// verdict is what pods break under one delay: inequalities that lose requests, by how much
// the delay itself cuts them short, and how often the order that the product is named after
// does not hold.
type verdict struct {
	delay  drain.Seconds
	lost   []drain.Margin
	short  drain.Margin // F2
	strict int
}

// less compares two verdicts of the same pods, and names what the worse one breaks. Of what
// loses requests only F2 depends on the delay.
func (v verdict) less(other verdict) (int, string) {
	if n := cmp.Compare(other.short.Seconds, v.short.Seconds); n != 0 {
		return n, cmp.Or(v.short.Rule, other.short.Rule)
	}
	if n := v.strict - other.strict; n != 0 {
		return n, "the order preStop > deregistration delay"
	}
	return 0, ""
}

// requests are the inequalities of a pod's end: each that does not hold may lose requests.
var requests = []string{"F1", "F2", "F3", "F4", "F5"}

// broken judges pods under one delay of a target group, which alone is looked at.
func broken(plan drain.Plan, kind drain.Balancer, delay drain.Seconds, pods []drain.Given) (v verdict, err error) {
	v.delay = delay
	for _, pod := range pods {
		in := plan.Inputs
		in.LongerHook = 0 // of the manifests: what runs may have others
		in.Delay, in.Groups, in.Running, in.Mode = nil, []drain.Group{{Balancer: kind, Delay: &delay}}, nil, plan.Mode
		margins, _, err := drain.Check(pod, in)
		if err != nil {
			return v, fmt.Errorf("judging running pods with preStop %s and grace %s under a delay of %s: %w", pod.PreStop, pod.GracePeriod, delay, err)
		}
		for _, m := range margins {
			switch {
			case m.Holds:
			case m.ID == "strict":
				v.strict++
			case slices.Contains(requests, m.ID) && !slices.ContainsFunc(v.lost, func(l drain.Margin) bool { return l.ID == m.ID }):
				if v.lost = append(v.lost, m); m.ID == "F2" {
					v.short = m
				}
			}
		}
	}
	return v, nil
}
