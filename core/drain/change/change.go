// SPDX-License-Identifier: Apache-2.0

// Package change orders the writes of a rollout that changes drain timings. What the
// running pods have governs how they drain, and they cannot be changed any more: the
// deregistration delay in force now, the one to come, the timings of the pods that
// run and those of the plan go in; whether the delay is written before or after the
// pods are replaced comes out. It is pure.
package change

import (
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
	// While the old delay is in force, pods of the plan can be evicted under it, too.
	last, err := broken(plan, kind, from, append(slices.Clone(running), plan.Given()))
	if err != nil {
		return d, err
	}
	after, err := broken(plan, kind, to, []drain.Given{plan.Given()})
	if err != nil {
		return d, err
	}
	first.strict += after.strict // as many pods are counted under both delays
	less, why := first.less(last)
	switch {
	case less <= 0:
		d.When, d.Lost = Before, first.lost
		switch d.Why = fmt.Sprintf("the running pods outlast a delay of %s", to); {
		case why == "" && first.strict > 0:
			d.Why = "for the pods it makes no difference when"
		case why != "":
			d.Why = fmt.Sprintf("under the delay of %s %s does not hold", from, why)
		}
	default:
		d.When, d.Lost = After, last.lost
		d.Why = fmt.Sprintf("for the running pods %s does not hold under a delay of %s", why, to)
	}
	return d, nil
}

// verdict is what pods break under one delay: inequalities that lose requests, and
// how often the order that the product is named after does not hold.
type verdict struct {
	lost   []drain.Margin
	strict int
}

// less compares two verdicts, and names what only the worse one breaks.
func (v verdict) less(other verdict) (int, string) {
	if n := len(v.lost) - len(other.lost); n != 0 {
		worse, better := other.lost, v.lost
		if n > 0 {
			worse, better = v.lost, other.lost
		}
		for _, m := range worse {
			if !slices.ContainsFunc(better, func(b drain.Margin) bool { return b.ID == m.ID }) {
				return n, m.Rule
			}
		}
		return n, worse[0].Rule
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
	for _, pod := range pods {
		in := plan.Inputs
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
				v.lost = append(v.lost, m)
			}
		}
	}
	return v, nil
}
