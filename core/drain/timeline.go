// SPDX-License-Identifier: Apache-2.0

package drain

import (
	"time"

	"github.com/outlast-ci/outlast/core/drain/timeline"
)

// Timeline and Strategy are those of package timeline.
type (
	Timeline = timeline.Timeline
	Strategy = timeline.Strategy
)

// Predict tells how a rollout by this plan goes: its waves, its end, the most
// pods and addresses at a time, and how an old pod ends. The replicas are those of
// the plan's inputs. Old pods end by the timings they run with (Inputs.Running).
func Predict(plan Plan, strategy Strategy) Timeline {
	in, groups := plan.Inputs, plan.groups()
	b := in.rollout(&plan, groups)
	old, hooks := plan.Given(), in.hooks(plan.PreStop)
	if in.Running != nil {
		old, hooks = *in.Running, 0 // of which only the one preStop is known
	}
	x, grace := min(old.PreStop, old.GracePeriod).Duration(), old.killed()
	var sent, served, cut, finishing time.Duration
	for _, g := range groups {
		if !g.drains() {
			finishing = max(finishing, in.longest())
			continue
		}
		if in.Running != nil {
			g.delay = max(g.delay, in.Running.DeregistrationDelay)
		}
		sent = max(sent, in.latency()+g.propagation)
		served = max(served, in.latency()+g.propagation+in.longest())
		cut = max(cut, in.latency()+g.delay.Duration())
	}
	if in.App == Graceful {
		finishing = max(finishing, served-x)
	}
	pace := timeline.Pace{Replicas: in.Replicas, Start: b.start, Cooldown: in.IPCooldown, Tight: in.Tight}
	pace.Pod = timeline.Ending{Deregistered: int64(ceil(in.latency())), LastRequest: int64(ceil(sent)), Served: int64(ceil(served)), Term: int64(ceil(x)), Kill: int64(ceil(grace)),
		Exit: int64(ceil(min(grace, max(x+finishing, hooks)+in.Shutdown+in.SidecarShutdown)))}
	if cut > 0 {
		pace.Drained = cut + in.jitter()
		pace.Pod.Cut, pace.Pod.Unused = int64(ceil(cut)), int64(ceil(pace.Drained))
	}
	t := timeline.Predict(pace, strategy)
	t.GateBound = int64(plan.GateTimeoutLowerBound)
	return t
}

// groups are those of the inputs, with the delays of the plan.
func (p Plan) groups() []group {
	groups := p.Inputs.groups()
	for i := range groups {
		if groups[i].delay = p.DeregistrationDelay; i < len(p.Groups) {
			groups[i].delay = p.Groups[i].DeregistrationDelay
		}
	}
	return groups
}
