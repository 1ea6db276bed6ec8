// SPDX-License-Identifier: Apache-2.0

// Package judge decides, from the history of a workload, whether its rollout is done,
// in vain, or what it lacks still. All of it is a pure function of what was seen,
// and when.
package judge

import (
	"fmt"
	"slices"
	"time"

	"github.com/outlast-ci/outlast/core/gate/internal/history"
	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

// Verdict is the judge's word on what was seen so far.
type Verdict struct {
	Done     bool
	Failed   model.Reason // waiting on is in vain
	Problems []string     // what is missing, or why it failed
}

// Judge decides. It changes nothing.
func Judge(t *history.Track, now time.Time) Verdict {
	id, s := t.Workload.ID(), t.Last
	switch {
	case len(s.Unknown) > 0:
		return Verdict{Problems: s.Unknown}
	case s.Missing:
		return Verdict{Failed: model.WorkloadGone, Problems: []string{id + " does not exist: somebody deleted it, or it was never applied"}}
	case s.Superseded != "":
		return Verdict{Failed: model.Superseded, Problems: []string{id + ": " + s.Superseded}}
	case s.Desired == 0 && t.Workload.Behind:
		return Verdict{Failed: model.NothingToWaitFor, Problems: []string{id + " wants 0 replicas: there is no pod to prove anything with"}}
	}
	if reason, problems := doomed(t, now); reason != "" {
		return Verdict{Failed: reason, Problems: problems}
	}
	problems := unread(t)
	if s.Complete != "" && (t.Workload.Until == model.End || !s.PodsKnown) {
		problems = append(problems, id+": "+s.Complete)
	}
	fresh, current := t.Fresh(), 0
	for _, p := range fresh {
		problems = append(problems, newReady(t, p)...)
	}
	if len(fresh) < s.Desired {
		problems = append(problems, fmt.Sprintf("%s: %d of %d new pods exist", id, len(fresh), s.Desired))
	}
	for _, g := range t.Groups {
		if g.Current {
			current++
		}
		if left := t.Quiet() - now.Sub(g.Leftover); !g.Leftover.IsZero() && left > 0 {
			problems = append(problems, fmt.Sprintf("target group %s drains targets whose pods were gone before the first look: the balancer may send to them for another %s", g.Binding, seconds(left)))
		}
		if left := unseen(t, g) - now.Sub(g.Began); left > 0 {
			problems = append(problems, fmt.Sprintf("target group %s keeps targets for less than the balancer may go on sending to them: to one that was gone before the first look for another %s", g.Binding, seconds(left)))
		}
	}
	if t.Workload.Behind && current == 0 {
		problems = append(problems, id+": no target group is bound to its Services")
	}
	problems = append(problems, oldDone(t, now)...)
	if !s.PodsKnown && len(problems) == 0 {
		problems = []string{id + ": its pods have not been seen yet"}
	}
	return Verdict{Done: len(problems) == 0, Problems: problems}
}

// unseen is for how long the balancer may send to a target that a group did not list any
// more at the first look.
func unseen(t *history.Track, g *history.Group) time.Duration {
	switch {
	case t.Workload.Until != model.End:
		return 0
	case g.Info.Delay == nil:
		return t.Quiet()
	}
	return t.Quiet() - t.Delay(g)
}

// unread says which groups could not be read the last time.
func unread(t *history.Track) (problems []string) {
	for _, g := range t.Groups {
		if g.Unknown != "" {
			problems = append(problems, "asking for the target health of "+g.Binding+": "+g.Unknown)
		}
	}
	return problems
}

// Unbound tells whether all could be read and no target group was found where one is needed.
func Unbound(t *history.Track) bool {
	return t.Workload.Behind && len(t.Groups) == 0 && t.Last.PodsKnown && len(t.Last.Unknown) == 0
}

// Causes says what is wrong with new pods, even if it may cure itself yet.
func Causes(t *history.Track, now time.Time) (problems []string) {
	for _, c := range causes(t, now) {
		problems = append(problems, c.problem)
	}
	return problems
}

// Warnings lists what is odd, and fails nobody.
func Warnings(t *history.Track) []string {
	all := slices.Clone(t.Warnings)
	for _, g := range t.Groups {
		if slices.ContainsFunc(t.All(), func(p *history.Pod) bool { return p.New && slices.Contains(ungated(t, p), g.Binding) }) {
			all = append(all, fmt.Sprintf("new pods have no readiness gate %s%s, so Kubernetes does not wait for the balancer: they have to be healthy for longer; "+
				"label the namespace elbv2.k8s.aws/pod-readiness-gate-inject=enabled, and see that its TargetGroupBinding is there before the pods", gatePrefix, g.Binding))
		}
	}
	if f := t.Floor; !f.At.IsZero() {
		all = append(all, fmt.Sprintf("at %s only %d of its pods were healthy at the balancer, of at least %d (desired less maxUnavailable)", f.At.UTC().Format(time.TimeOnly), f.Broken, f.Least))
	}
	return all
}
