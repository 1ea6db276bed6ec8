// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"cmp"

	"github.com/outlast-ci/outlast/core/drain"
)

// line is the present state of one object, for the progress view. A
// StatefulSet's pods have the names of those before them.
type line struct{ uid, object, text string }

// lines tells the present state of the workload and of each pod that matters.
func (t *track) lines() []line {
	s := t.last
	state := s.Complete
	switch {
	case len(s.Unknown) > 0:
		state = "cannot tell: " + s.Unknown[0]
	case t.verdict.Failed != "":
		state = "failed: " + string(t.verdict.Failed)
	case state == "" && t.verdict.Done:
		state = "rollout complete, old pods gone"
	case state == "":
		state = "rollout complete"
	}
	out := []line{{"", t.workload.ID(), state}}
	for _, uid := range t.order {
		if p := t.pods[uid]; p.Name != "" {
			out = append(out, line{uid, "pod " + p.Name, t.podWords(p)})
		}
	}
	return out
}

func (t *track) podWords(p *PodTimeline) string {
	kind, state := "old", "running"
	if p.New {
		kind, state = "new", "starting"
	}
	switch {
	case !p.Gone.IsZero():
		state = "gone"
	case !p.Ended.IsZero():
		state = "ended"
	case !p.Deleted.IsZero():
		state = "terminating"
	case !p.Ready.IsZero():
		state = "ready"
	}
	target := ""
	switch {
	case !p.Drained.IsZero():
		target = ", target drained"
	case !p.Draining.IsZero():
		target = ", target draining"
	case !p.Healthy.IsZero():
		target = ", target healthy"
	case !p.Registered.IsZero():
		target = ", target registered"
	}
	return kind + ", " + state + target
}

// result is the workload's part of the Result.
func (t *track) result() WorkloadResult {
	r := WorkloadResult{Object: t.workload.ID(), Desired: t.last.Desired, MinHealthy: t.minimum}
	if !t.verdict.Done {
		r.Problems = t.verdict.Problems
	}
	for _, g := range t.groups {
		r.Groups = append(r.Groups, g.ARN)
	}
	for _, uid := range t.order {
		p := *t.pods[uid]
		if t.workload.Behind && !p.Deleted.IsZero() && !p.Gone.IsZero() {
			p.Proof, p.Margin = proof(t.workload.Plan, p)
		}
		r.Pods = append(r.Pods, p)
	}
	return r
}

// proof says whether the pod was seen to outlast its target. Strict: it ran
// when the target was gone. Fast: it ran until the balancer must have stopped
// sending, and was not killed. The times of targets are those of polls, so
// where the truth may lie between two polls, nothing was observed. The margin
// is what was seen at least, in seconds.
func proof(plan drain.Plan, p PodTimeline) (Proof, float64) {
	ended := p.Ended
	if ended.IsZero() { // it vanished between two polls
		ended = p.alive
	}
	until, before, killed := p.Drained, p.listed, false
	if plan.Mode == drain.Fast {
		hold := plan.Inputs.MaxPropagation() + plan.Inputs.Margin
		before, killed = p.serving.Add(hold), p.Killed
		if until = p.Draining; !until.IsZero() {
			until = until.Add(hold)
		}
	}
	switch margin := ended.Sub(cmp.Or(until, before)).Seconds(); {
	case p.Registered.IsZero():
		return NotObserved, 0
	case killed || (!p.Ended.IsZero() && ended.Before(before)) || !p.Gone.After(before):
		return Broken, margin
	case !until.IsZero() && margin >= 0 && (!p.Ended.IsZero() || margin > 0): // in one poll the pod is read before its target
		return Proven, margin
	}
	return NotObserved, 0
}
