// SPDX-License-Identifier: Apache-2.0

package drain

import "time"

// bounds are what the wait for a rollout depends on.
type bounds struct {
	wave            time.Duration // pods created until they are available, by F13 and F14
	start           time.Duration // the same without waiting for room
	needReady       time.Duration // F11 or F12
	gateless        bool          // F11: pods are targets, and have no readiness gate
	slowStart       time.Duration // F18
	ready, deadline Seconds       // minReadySeconds and progressDeadlineSeconds to judge; 0: not known
	gate            Seconds       // the gate's timeout, likewise
	grace, drained  time.Duration // of the pods that are replaced: G, and max(G, D + J)
}

// rollout fills in what the wait for a rollout depends on: F11 to F14, F18.
func (in Inputs) rollout(p *Plan, groups []group) bounds {
	b := bounds{needReady: 10 * time.Second, grace: p.Given().killed()}
	var healthy time.Duration
	delay := time.Duration(-1) // none is waited for
	for _, g := range groups {
		healthy = max(healthy, g.registration+g.HealthInterval)
		b.needReady, b.slowStart = max(b.needReady, g.HealthInterval), max(b.slowStart, g.SlowStart)
		if g.drains() {
			delay = max(delay, g.delay.Duration())
		}
	}
	if ungated := in.ungated(groups); in.NoGate && ungated > 0 {
		b.needReady, b.gateless = ungated, true
	}
	if !in.Tight {
		b.slowStart = 0
	}
	if in.Running != nil {
		if b.grace = max(b.grace, in.Running.killed()); delay >= 0 {
			delay = max(delay, in.Running.DeregistrationDelay.Duration())
		}
	}
	if b.drained = b.grace; delay >= 0 {
		b.drained = max(b.grace, delay+in.jitter())
	}
	p.MinReady = max(ceil(max(b.needReady, b.slowStart)), in.MinReady)
	b.start = in.Start + in.latency() + healthy + in.GatePoll + p.MinReady.Duration()
	if b.wave = b.start; in.Tight {
		b.wave += b.grace
	}
	if need := ceil(b.wave + in.Margin); in.ProgressDeadline >= need && in.ProgressDeadline > p.MinReady { // F13
		p.ProgressDeadline = in.ProgressDeadline
	} else {
		p.ProgressDeadline = max(600, need, p.MinReady+1)
	}
	waves := time.Duration(in.Replicas) * (b.wave + b.grace)
	if in.Surge > 0 {
		waves = time.Duration((in.Replicas+in.Surge-1)/in.Surge) * b.wave
	}
	p.GateTimeoutLowerBound = ceil(waves + in.latency() + b.drained + in.Margin) // F14
	if p.GateTimeout = max(p.GateTimeoutLowerBound, ceil(p.ProgressDeadline.Duration()+b.drained)); in.GateTimeout > 0 {
		p.GateTimeout = in.GateTimeout
	}
	b.ready, b.deadline, b.gate = p.MinReady, p.ProgressDeadline, p.GateTimeout
	return b
}

// ungated is L + T_reg + h + t + M of F11; 0: no pods are targets.
func (in Inputs) ungated(groups []group) (longest time.Duration) {
	for _, g := range groups {
		if g.drains() {
			longest = max(longest, in.latency()+g.registration+g.HealthInterval+g.HealthTimeout+in.Margin)
		}
	}
	return longest
}

// Ungated is the minReadySeconds that does without a readiness gate (F11): by then a new
// pod is in rotation. 0: no pods are targets, so that no gate would help.
func (in Inputs) Ungated() Seconds { return ceil(in.ungated(in.groups())) }

// Rejoined is after how long a pod is in rotation again whose target was put back while it
// drained: a node of the balancer may first have yet to hear that it left (P), and what AWS
// makes of such a target is not documented. 0: no pods are targets.
func (in Inputs) Rejoined() Seconds {
	groups := in.groups()
	for i := range groups {
		groups[i].registration += groups[i].propagation
	}
	return ceil(in.ungated(groups))
}

// killed is when SIGKILL comes: at the end of the grace, but the kubelet leaves
// 2 s at least after the hook.
func (g Given) killed() time.Duration {
	return max(g.GracePeriod, min(g.PreStop, g.GracePeriod)+2).Duration()
}
