// SPDX-License-Identifier: Apache-2.0

package drain

import (
	"fmt"
	"slices"
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
	Untouched           bool    `json:"untouched,omitempty"` // instance targets: nothing is asked, this is what holds
}

// Given are the plan's three drain timings.
func (p Plan) Given() Given { return Given{p.DeregistrationDelay, p.PreStop, p.GracePeriod} }

// Words tells the timings and their order in one line.
func (p Plan) Words() string {
	return fmt.Sprintf("%s mode: grace %s > preStop %s, deregistration delay %s", p.Mode, p.GracePeriod, p.PreStop, p.DeregistrationDelay)
}

// MaxDelay is ELBv2's limit of deregistration_delay.timeout_seconds.
const MaxDelay = 3600

// Solve computes the timings, or refuses. What it returns satisfies F1 to F5, in strict mode the strict relation, and a named
// timeout order; what timings cannot cure (F6, F7, F10) and what only warns (F15,
// F17) is reported beside it.
//
// What no timing can make safe is a *Refusal; other errors are inputs out of
// their limits.
func Solve(in Inputs) (Plan, error) {
	p, err := in.solve()
	if err != nil {
		return Plan{}, fmt.Errorf("solving drain timings: %w", err)
	}
	return p, nil
}

func (in Inputs) solve() (Plan, error) {
	if err := in.validate(); err != nil {
		return Plan{}, err
	}
	groups := in.groups()
	if err := in.orderable(groups); err != nil {
		return Plan{}, err
	}
	mode := in.Mode
	instance := slices.ContainsFunc(groups, func(g group) bool { return !g.drains() })
	switch {
	case mode == Strict && instance:
		return Plan{}, refuse("strict", "target-type", "use targets of type ip, or mode fast", "strict mode is impossible with instance targets: the node is the target, so a pod that ends is never deregistered")
	case mode == Auto && instance:
		mode = Fast
	case mode == Auto:
		// An author's longer hook or grace is over the cap in either mode.
		if mode = Strict; in.unraised().timings(Strict, groups).GracePeriod.Duration() > in.Cap {
			mode = Fast
		}
	}
	given := in.timings(mode, groups)
	for _, g := range groups {
		if err := in.takes(g); err != nil {
			err.Finding.Object = g.Name
			return Plan{}, err
		}
	}
	return in.plan(given, mode, groups, false), nil
}

// takes refuses a deregistration delay that a target group cannot have.
func (in Inputs) takes(g group) *Refusal {
	const most = "and a target group takes at most 3600s"
	switch need := in.protects(g); {
	case g.delay <= MaxDelay || !g.drains():
		return nil
	case need > MaxDelay:
		room := MaxDelay*time.Second - g.propagation - in.Margin
		fix := fmt.Sprintf("say after how long the application cuts long-lived connections (WebSocket, streaming), which then counts as the longest request: --set R_cut=%d or less", room/time.Second)
		if room < 0 {
			fix = "use a smaller P or M: they are too long even for requests that take no time"
		}
		return refuse("F2", fieldDelay, fix, "requests of %s need a deregistration delay of %s (P + R + M)%s, %s", in.longest(), need, of(g), most)
	case in.ordered(g) > MaxDelay:
		return refuse("F8", fieldDelay, "lower the request timeout and the idle timeout below that", "the timeout order %s needs a deregistration delay of %s%s, %s", in.Order, in.ordered(g), of(g), most)
	}
	return refuse("F2", fieldDelay, "write at most that", "a deregistration delay of %s%s is written, %s", g.delay, of(g), most)
}

// Adopt makes a plan of timings that are left as they are: findings tell what
// is wrong with them. Inputs.Groups have their own delays, 300 where none is
// written; the one of given is that of a single target group. Mode auto is
// strict when the strict relation holds. For what is not known of the rollout
// the plan says what would be right.
func Adopt(given Given, in Inputs) (Plan, error) {
	if err := in.validate(given.DeregistrationDelay, given.PreStop, given.GracePeriod); err != nil {
		return Plan{}, fmt.Errorf("checking drain timings: %w", err)
	}
	groups := in.groups()
	for i := range groups {
		g := &groups[i]
		switch {
		case len(in.Groups) == 0:
			g.delay = given.DeregistrationDelay
		case g.Delay != nil:
			g.delay = *g.Delay
		default:
			g.delay = DefaultDelay
		}
		if given.DeregistrationDelay = max(given.DeregistrationDelay, g.delay); i == 0 {
			given.DeregistrationDelay = g.delay
		}
	}
	mode := in.Mode
	if mode == Auto {
		mode = Strict
		for _, g := range groups {
			if !g.drains() || given.PreStop.Duration() < in.unused(g)+in.Margin {
				mode = Fast
			}
		}
	}
	return in.plan(given, mode, groups, true), nil
}

// protects is the least deregistration delay that lets requests end: P + R + M of F2.
func (in Inputs) protects(g group) Seconds { return ceil(g.propagation + in.longest() + in.Margin) }

// unused is when the target of a pod deleted at 0 is seen to be unused: L + D + J.
func (in Inputs) unused(g group) time.Duration {
	return in.latency() + g.delay.Duration() + in.jitter()
}

// served is when the last request to such a pod has ended: L + P + R and the margin.
func (in Inputs) served(g group) time.Duration {
	return in.latency() + g.propagation + in.longest() + in.Margin
}

// unraised are the inputs without hooks and a grace of the author's.
func (in Inputs) unraised() Inputs {
	in.Floor.PreStop, in.Floor.GracePeriod, in.LongerHook = 0, 0, 0
	return in
}

// hooks is when the last of the pod's hooks has ended: they run side by side.
func (in Inputs) hooks(preStop Seconds) time.Duration {
	return max(preStop, in.LongerHook).Duration()
}

// timings is the reference algorithm, with one ceil per output; it fills in the
// delay of each group.
func (in Inputs) timings(mode Mode, groups []group) Given {
	given := Given{PreStop: in.Floor.PreStop}
	var ended time.Duration // of the last request
	for i := range groups {
		g := &groups[i]
		var x time.Duration
		switch {
		case !g.drains():
			x = in.NodePreStop
			if g.delay = DefaultDelay; g.Delay != nil {
				g.delay = *g.Delay
			}
		default:
			g.delay = max(in.protects(*g), in.ordered(*g))
			if g.Delay != nil {
				g.delay = max(g.delay, *g.Delay)
			}
			if len(in.Groups) == 0 {
				g.delay = max(g.delay, in.Floor.DeregistrationDelay)
			}
			switch ended = max(ended, in.served(*g)); {
			case mode == Strict:
				x = in.unused(*g) + in.Margin
			case in.App == Graceful:
				x = in.latency() + g.propagation + in.Margin
			default:
				x = in.served(*g)
			}
		}
		given.PreStop = max(given.PreStop, ceil(x))
		given.DeregistrationDelay = max(given.DeregistrationDelay, g.delay)
	}
	if slices.ContainsFunc(groups, func(g group) bool { return !g.drains() }) { // keeps sending up to the end
		ended = max(ended, in.hooks(given.PreStop)+in.longest())
	}
	grace := max(in.hooks(given.PreStop), ended) + in.Shutdown + in.SidecarShutdown + max(in.Margin, 5*time.Second)
	given.GracePeriod = max(ceil(grace), in.Floor.GracePeriod)
	return given
}

// plan tells what follows from the timings for a rollout, and judges them;
// adopted ones with what is known of the rollout only.
func (in Inputs) plan(given Given, mode Mode, groups []group, adopted bool) Plan {
	p := Plan{Mode: mode, DeregistrationDelay: given.DeregistrationDelay, PreStop: given.PreStop, GracePeriod: given.GracePeriod, Inputs: in}
	for i := range in.Groups {
		p.Groups = append(p.Groups, GroupPlan{Name: groups[i].Name, DeregistrationDelay: groups[i].delay, Untouched: !groups[i].drains()})
	}
	if len(in.Groups) == 0 {
		p.Inputs.Propagation, p.Inputs.Registration = groups[0].propagation, groups[0].registration
	}
	b := in.rollout(&p, groups)
	if adopted {
		b.ready, b.deadline, b.gate = in.MinReady, in.ProgressDeadline, in.GateTimeout
	}
	in.judge(&p, groups, b)
	return p
}

// ceil rounds up to whole seconds.
func ceil(d time.Duration) Seconds { return Seconds((d + time.Second - 1) / time.Second) }
