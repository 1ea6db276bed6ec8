// SPDX-License-Identifier: Apache-2.0

package drain

import (
	"fmt"
	"time"
)

// Plan is what to write into the manifests, and how long a rollout may take.
type Plan struct {
	Mode                  Mode        `json:"mode"`
	DeregistrationDelay   Seconds     `json:"deregistrationDelaySeconds"` // the longest of Groups
	PreStop               Seconds     `json:"preStopSeconds"`
	GracePeriod           Seconds     `json:"terminationGracePeriodSeconds"`
	MinReady              Seconds     `json:"minReadySeconds"`
	ProgressDeadline      Seconds     `json:"progressDeadlineSeconds"`
	GateTimeoutLowerBound Seconds     `json:"gateTimeoutLowerBoundSeconds"`
	GateTimeout           Seconds     `json:"gateTimeoutSeconds"`
	Groups                []GroupPlan `json:"groups,omitempty"` // of Inputs.Groups, in order
	Margins               []Margin    `json:"margins"`
	Findings              []Finding   `json:"findings,omitempty"`
	Inputs                Inputs      `json:"inputs"`
}

// GroupPlan is what one target group gets.
type GroupPlan struct {
	Name                string  `json:"name"`
	DeregistrationDelay Seconds `json:"deregistrationDelaySeconds"`
}

// Given are the plan's three drain timings.
func (p Plan) Given() Given { return Given{p.DeregistrationDelay, p.PreStop, p.GracePeriod} }

// maxDelay is ELBv2's limit of deregistration_delay.timeout_seconds.
const maxDelay = 3600

// Solve computes the timings, or refuses what no timing can make safe. What it
// returns satisfies F1 to F5, and in strict mode the strict relation; the
// inequalities that only warn (F15, F17) are reported beside it.
func Solve(in Inputs) (Plan, error) {
	if err := in.validate(); err != nil {
		return Plan{}, fmt.Errorf("solving drain timings: %w", err)
	}
	if need := ceil(in.Propagation + in.Request + in.Margin); need > maxDelay {
		return Plan{}, fmt.Errorf("solving drain timings: requests of %s need a deregistration delay of %s (F2: P + R + M), and a target group takes at most %ds; "+
			"give the longest time that a connection may be kept (WebSocket, streaming) as the longest request and let the application cut it there", in.Request, need, maxDelay)
	}
	if in.Floor.DeregistrationDelay > maxDelay {
		return Plan{}, fmt.Errorf("solving drain timings: a deregistration delay of %s is more than a target group takes, %ds", in.Floor.DeregistrationDelay, maxDelay)
	}
	mode := in.Mode
	if mode == Auto {
		mode = Strict
		if in.timings(Strict).GracePeriod.Duration() > in.Cap {
			mode = Fast
		}
	}
	given := in.timings(mode)
	p := Plan{Mode: mode, DeregistrationDelay: given.DeregistrationDelay, PreStop: given.PreStop, GracePeriod: given.GracePeriod, Inputs: in}
	in.rollout(&p)
	p.Margins, p.Findings = in.judge(given, mode)
	return p, nil
}

// Adopt makes a plan of timings that are left as they are: findings tell what
// is wrong with them.
func Adopt(given Given, in Inputs) (Plan, error) {
	if err := in.validate(); err != nil {
		return Plan{}, fmt.Errorf("checking drain timings: %w", err)
	}
	mode := in.Mode
	if mode == Auto {
		mode = Fast
		if given.PreStop.Duration() >= in.ControllerLatency+given.DeregistrationDelay.Duration()+in.jitter()+in.Margin {
			mode = Strict
		}
	}
	p := Plan{Mode: mode, DeregistrationDelay: given.DeregistrationDelay, PreStop: given.PreStop, GracePeriod: given.GracePeriod, Inputs: in}
	in.rollout(&p)
	p.Margins, p.Findings = in.judge(given, mode)
	return p, nil
}

// timings is the reference algorithm: one ceil per output.
func (in Inputs) timings(mode Mode) Given {
	l, pr, r, m := in.ControllerLatency, in.Propagation, in.Request, in.Margin
	var g Given
	g.DeregistrationDelay = max(ceil(pr+r+m), in.Floor.DeregistrationDelay)
	switch {
	case mode == Strict:
		g.PreStop = ceil(l + g.DeregistrationDelay.Duration() + in.jitter() + m)
	case in.App == Graceful:
		g.PreStop = ceil(l + pr + m)
	default:
		g.PreStop = ceil(l + pr + r + m)
	}
	g.PreStop = max(g.PreStop, in.Floor.PreStop)
	g.GracePeriod = ceil(max(g.PreStop.Duration(), l+pr+r+m) + in.Shutdown + in.SidecarShutdown + max(m, 5*time.Second))
	g.GracePeriod = max(g.GracePeriod, in.Floor.GracePeriod)
	return g
}

// rollout fills in what the wait for a rollout depends on: F11 to F14.
func (in Inputs) rollout(p *Plan) {
	ready := max(10*time.Second, in.HealthInterval) // F12
	if in.NoGate {
		ready = in.ControllerLatency + in.Registration + in.HealthInterval + in.HealthTimeout + in.Margin // F11
	}
	p.MinReady = max(ceil(ready), in.MinReady)
	wave := in.Start + in.ControllerLatency + in.Registration + in.HealthInterval + in.GatePoll + p.MinReady.Duration()
	if in.Tight {
		wave += p.GracePeriod.Duration()
	}
	if need := ceil(wave + in.Margin); in.ProgressDeadline >= need && in.ProgressDeadline > p.MinReady { // F13
		p.ProgressDeadline = in.ProgressDeadline
	} else {
		p.ProgressDeadline = max(600, need)
	}
	waves := time.Duration(in.Replicas) * (wave + p.GracePeriod.Duration())
	if in.Surge > 0 {
		waves = time.Duration((in.Replicas+in.Surge-1)/in.Surge) * wave
	}
	drained := max(p.GracePeriod.Duration(), p.DeregistrationDelay.Duration()+in.jitter())
	p.GateTimeoutLowerBound = ceil(waves + in.ControllerLatency + drained + in.Margin) // F14
	p.GateTimeout = max(p.GateTimeoutLowerBound, ceil(p.ProgressDeadline.Duration()+drained))
}

// ceil rounds up to whole seconds.
func ceil(d time.Duration) Seconds { return Seconds((d + time.Second - 1) / time.Second) }
