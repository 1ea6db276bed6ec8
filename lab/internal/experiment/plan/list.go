// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"

	"github.com/outlast-ci/outlast/lab/internal/alb/watch"
)

const (
	slowSeconds = 5
	longSeconds = 15
	// With the controller's own few tenths it is 4 to 5 s, of the 5 s that outlast
	// plans with (L).
	latency = 4.2
	fast    = "fast"
)

// Main are the settings that the experiment compares: what people begin with,
// what they find by trial and error, and what outlast computes, also where it
// has little to spare and where the balancer is slower than planned. The long
// ones are first, since they decide how long it all takes.
func Main(long, short int) []Setting {
	none := Nothing()
	seed := Timings{50, 40, 35, Unwritten}
	eager := none
	eager.MinReady = 0
	return []Setting{
		{Name: "d", Title: "(d) outlast render", Kind: Computed, Write: none, Propagation: Measured, Expect: None, Rollouts: long},
		{Name: "d30", Title: "(d) outlast render, slow balancer", Kind: Computed, Write: none, Propagation: Planned, Expect: None, Rollouts: long},
		{Name: "dfast", Title: "(d) fast mode, slow balancer, late controller", Kind: Computed, Mode: fast, Write: none, Propagation: Planned, Latency: latency, Expect: None, Rollouts: long},
		{Name: "dover", Title: "(d) fast mode, balancer slower than planned", Kind: Computed, Mode: fast, Write: none, Propagation: Over, Latency: latency, Expect: Loses, Rollouts: short},
		{Name: "a", Title: "(a) no readiness gate, no preStop", Kind: Bare, Write: none, Propagation: Measured, Expect: Loses, Rollouts: short},
		{Name: "b", Title: "(b) readiness gate only", Kind: Gate, Write: none, Propagation: Measured, Expect: Loses, Rollouts: short},
		{Name: "c", Title: "(c) by hand, 50/40/35", Kind: Written, Write: seed, Propagation: Measured, Expect: Either, Rollouts: short},
		{Name: "c30", Title: "(c) by hand, 50/40/35, slow balancer", Kind: Written, Write: seed, Propagation: Planned, Expect: Either, Rollouts: short},
		{Name: "c15", Title: fmt.Sprintf("(c) by hand, 50/40/35, slow balancer, %d s requests", longSeconds), Kind: Written, Write: seed, Propagation: Planned, SlowSeconds: longSeconds, Expect: Loses, Rollouts: short},
		{Name: "nomin", Title: "(d) minReadySeconds 0, quick registration", Kind: Computed, Write: eager, Propagation: Measured, Expect: None, Rollouts: short},
	}
}

// Curve are the settings of the loss curve: what outlast computes, but for a
// preStop from 0 to 60 s in steps of 5 s, with both propagations.
func Curve(rollouts int) []Setting {
	var steps []int
	for x := 0; x <= 60; x += 5 {
		steps = append(steps, x)
	}
	return curve(steps, Setting{Kind: Shorter, Rollouts: rollouts}, "preStop", "", func(s *Setting, x int) {
		s.Write = Nothing()
		s.Write.PreStop, s.Write.GracePeriod = x, x+20
	})
}

// DelayCurve are those of the curve over the deregistration delay: what outlast
// computes in fast mode, whose preStop is long enough, but for the delay.
func DelayCurve(rollouts int) []Setting {
	return curve([]int{5, 10, 15, 20, 25, 30, 35, 40}, Setting{Kind: Delayed, Mode: fast, Rollouts: rollouts}, "deregistration delay", "delay-", func(s *Setting, x int) {
		s.Write = Nothing()
		s.Write.DeregistrationDelay = x
	})
}

// curve varies a setting by steps, in seconds, with both propagations.
func curve(steps []int, of Setting, what, mark string, set func(*Setting, int)) (all []Setting) {
	for _, p := range []struct{ mark, between string }{{"m", Measured}, {"p", Planned}} {
		for _, x := range steps {
			s := of
			s.Name, s.Title, s.Propagation = fmt.Sprintf("%s%s%02d", mark, p.mark, x), fmt.Sprintf("%s %d s, propagation %s", what, x, p.between), p.between
			set(&s, x)
			s.Expect = s.expect(x)
			all = append(all, s)
		}
	}
	return all
}

// slack is what the controller, the API and the kubelet may take beside the
// propagation, in seconds.
const slack = 2

// expect is what the formulas say of a point: between the quickest and the
// slowest node the draws decide.
func (s Setting) expect(x int) Expect {
	least, most := s.nodes()
	if s.Kind == Delayed { // F2, where a request must fit in, too
		least, most = least+slowSeconds, most+slowSeconds
	}
	switch {
	case x < least:
		return Loses
	case x > most+slack:
		return None
	}
	return Either
}

// nodes is how long the balancer's quickest and slowest node go on sending, in seconds.
func (s Setting) nodes() (least, most int) {
	d, err := watch.ParseRange(s.Propagation)
	if err != nil {
		return 0, 0 // Run refuses it
	}
	return int(d.Min.Seconds()), int(d.Max.Seconds())
}

// Slow is how long a slow request takes, in seconds.
func (s Setting) Slow() int {
	if s.SlowSeconds == 0 {
		return slowSeconds
	}
	return s.SlowSeconds
}
