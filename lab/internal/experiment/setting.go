// SPDX-License-Identifier: Apache-2.0

package experiment

import "fmt"

// Timings are what decides whether a rolling update loses requests, in seconds;
// -1: not written, so Kubernetes' or AWS's own default holds.
type Timings struct {
	GracePeriod         int `json:"terminationGracePeriodSeconds"`
	PreStop             int `json:"preStopSeconds"`
	DeregistrationDelay int `json:"deregistrationDelaySeconds"`
}

// What holds when nothing is written.
const (
	unwritten    = -1
	defaultDelay = 300 // ELBv2
)

func (t Timings) delay() int {
	if t.DeregistrationDelay == unwritten {
		return defaultDelay
	}
	return t.DeregistrationDelay
}

// Kind is where the timings come from.
type Kind string

const (
	Bare     Kind = "bare"     // none, and no readiness gate
	Gate     Kind = "gate"     // none; the namespace has readiness gates
	Written  Kind = "written"  // by hand, as in Setting.Write; readiness gates
	Computed Kind = "computed" // by outlast render, from its planning values
	Shorter  Kind = "shorter"  // by outlast render, but for the preStop in Setting.Write
)

// Setting is one way to ship the application, and how often it is tried.
type Setting struct {
	Name        string  `json:"name"` // also of its namespace, after a prefix
	Title       string  `json:"title"`
	Kind        Kind    `json:"kind"`
	Write       Timings `json:"-"`           // of the kinds that have timings by hand
	Propagation string  `json:"propagation"` // MIN-MAX
	Rollouts    int     `json:"rolloutsAsked"`
}

// The propagation that was measured on real balancers, and one drawn up to the
// value that outlast plans with, so that a zero is not true by construction.
const (
	measured = "10s-17s" // controller's issues 2366, 905 and 1719
	planned  = "10s-30s"
)

// Main are the settings that the experiment compares: what people begin with,
// what they find by trial and error, and what outlast computes.
func Main(long, short int) []Setting {
	none := Timings{unwritten, unwritten, unwritten}
	seed := Timings{50, 40, 35}
	return []Setting{
		{"d", "(d) outlast render", Computed, none, measured, long},
		{"d30", "(d) outlast render, slow balancer", Computed, none, planned, long},
		{"a", "(a) no readiness gate, no preStop", Bare, none, measured, short},
		{"b", "(b) readiness gate only", Gate, none, measured, short},
		{"c", "(c) by hand, 50/40/35", Written, seed, measured, short},
		{"c30", "(c) by hand, 50/40/35, slow balancer", Written, seed, planned, short},
	}
}

// Curve are the settings of the loss curve: what outlast computes, but for a
// preStop from 0 to 60 s in steps of 5 s, with both propagations.
func Curve(rollouts int) []Setting {
	var all []Setting
	for _, p := range []struct{ mark, range_ string }{{"m", measured}, {"p", planned}} {
		for x := 0; x <= 60; x += 5 {
			all = append(all, Setting{
				Name: fmt.Sprintf("%s%02d", p.mark, x), Title: fmt.Sprintf("preStop %d s, propagation %s", x, p.range_),
				Kind: Shorter, Write: Timings{PreStop: x, GracePeriod: x + 20}, Propagation: p.range_, Rollouts: rollouts,
			})
		}
	}
	return all
}
