// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"fmt"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/gate/internal/elb"
	"github.com/outlast-ci/outlast/core/gate/internal/history"
	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

// gatePrefix is what the controller calls its readiness gates, followed by the
// name of the TargetGroupBinding.
const gatePrefix = "target-health.elbv2.k8s.aws/"

// ungated lists the groups whose readiness gate a pod does not have.
func ungated(t *history.Track, p *history.Pod) (bindings []string) {
	for _, g := range t.Groups {
		if _, ok := p.Seen.Gates[gatePrefix+g.Binding]; g.Current && !ok {
			bindings = append(bindings, g.Binding)
		}
	}
	return bindings
}

// Hold is for how long a new pod has to be ready, and healthy in each group, before
// it counts: minReadySeconds, and where a readiness gate is missing, so that
// Kubernetes did not wait for the balancer, what F11 asks for instead. It counts from the
// first reading that showed all that: a target that was found healthy may have been
// unhealthy just before, while its pod's gates stayed True.
func Hold(t *history.Track, p *history.Pod) time.Duration {
	if !t.Workload.Behind {
		return 0
	}
	need := t.Workload.Plan.MinReady.Duration()
	if t.Workload.Until == model.End { // a handover writes one of a day for a while
		need = max(need, t.Last.MinReady)
	}
	if len(ungated(t, p)) > 0 {
		need = max(need, t.Ungated)
	}
	return need
}

// Timeout is how long the rollout may take: the plan's, or that for the replicas
// that are wanted by now, where these are more.
func Timeout(t *history.Track) time.Duration {
	plan := t.Workload.Plan
	if n := t.Last.Desired; plan.GateTimeout > 0 && n > plan.Inputs.Replicas {
		plan = t.Replan(func(in *drain.Inputs) { in.Replicas = n })
	}
	return max(plan.GateTimeout, t.Workload.Plan.GateTimeout).Duration()
}

// newReady lists what a new pod lacks: Ready, each gate True, its target healthy in
// every group, and all of that in two readings and for as long as Hold says.
func newReady(t *history.Track, p *history.Pod) (problems []string) {
	name := "pod " + p.Called()
	if !p.Seen.Ready {
		what := "is not ready"
		if p.Seen.Waiting != "" {
			what += " (" + strings.TrimSpace(p.Seen.Waiting+": "+p.Seen.Detail) + ")"
		}
		problems = append(problems, name+" "+what)
	}
	for _, gate := range history.ClosedGates(p.Seen) {
		problems = append(problems, fmt.Sprintf("%s: readiness gate %s is %q", name, gate, p.Seen.Gates[gate]))
	}
	need := Hold(t, p)
	short := time.Duration(0) // what the hold lacks
	if len(problems) == 0 {
		short = need - p.Good.Held(t.Last.At)
	}
	once := false
	for _, g := range t.Groups {
		tg := p.In[g.ARN]
		switch {
		case !g.Current:
		case g.Reading.At.IsZero():
			problems = append(problems, fmt.Sprintf("%s: target group %s has not been read yet", name, g.Binding))
		case tg == nil || !tg.Listed():
			ip, port := g.Address(p)
			problems = append(problems, fmt.Sprintf("%s: %s:%d is not registered in target group %s", name, ip, port, g.Binding))
		case tg.State != "healthy":
			problems = append(problems, fmt.Sprintf("%s: target %s is %s", name, tg.At, words(g, tg)))
		default:
			short, once = max(short, need-tg.Last.Sub(tg.Held)), once || tg.Reads < 2
		}
	}
	if len(problems) == 0 && short > 0 {
		return []string{fmt.Sprintf("%s: ready and healthy for %s of %s", name, seconds(need-short), seconds(need))}
	}
	if len(problems) == 0 && once {
		return []string{name + ": healthy in one reading, and not yet in a second"}
	}
	return problems
}

func seconds(d time.Duration) time.Duration { return d.Round(time.Second) }

// words says a target's state, and what the health check wanted to see.
func words(g *history.Group, tg *history.Target) string {
	text := elb.Words(tg.State, tg.Reason, tg.Description)
	if tg.Reason == "Target.ResponseCodeMismatch" && g.Info.Matcher != "" {
		text += ", the matcher wants " + g.Info.Matcher
	}
	return text
}

// oldDrained lists why an old pod is not done with: its targets drained, itself gone.
func oldDrained(t *history.Track, p *history.Pod, now time.Time) (problems []string) {
	name := p.Called()
	if t.Workload.Behind && p.IP != "" && !t.Taken(p) {
		for _, g := range t.Groups {
			if why := undrained(t, g, p, now); why != "" {
				problems = append(problems, fmt.Sprintf("old pod %s: target %s has not drained: %s", name, p.IP, why))
			}
		}
	}
	if p.Gone.IsZero() {
		problems = append(problems, "old pod "+name+" is still there")
	}
	return problems
}

// undrained says why a pod's target in a group has not drained. It has when it is
// gone, or in fast mode draining for longer than the balancer goes on sending.
// A target that was never seen has nothing to drain once its group has been read.
func undrained(t *history.Track, g *history.Group, p *history.Pod, now time.Time) string {
	tg := p.In[g.ARN]
	switch {
	case tg == nil:
		return "target group " + g.Binding + " has not been read yet"
	case tg.Left.IsZero():
		return words(g, tg)
	case tg.Listed() && t.Workload.Plan.Mode != drain.Fast:
		return words(g, tg)
	case (tg.Listed() || t.Short(g)) && now.Sub(tg.Left) < t.Quiet():
		return fmt.Sprintf("the balancer may send to it for another %s", seconds(t.Quiet()-now.Sub(tg.Left)))
	}
	return ""
}
