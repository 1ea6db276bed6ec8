// SPDX-License-Identifier: Apache-2.0

// Package plan is what an experiment tries: settings, each with drain timings, a
// balancer, and what is expected of it. Nothing is run here.
package plan

import "fmt"

// Timings are what decides whether a rolling update loses requests, in seconds;
// Unwritten: Kubernetes' or AWS's own default holds.
type Timings struct {
	GracePeriod         int `json:"terminationGracePeriodSeconds"`
	PreStop             int `json:"preStopSeconds"`
	DeregistrationDelay int `json:"deregistrationDelaySeconds"`
	MinReady            int `json:"minReadySeconds"`
}

// Unwritten is a timing that no manifest has.
const Unwritten = -1

// Nothing is written.
func Nothing() Timings { return Timings{Unwritten, Unwritten, Unwritten, Unwritten} }

// Or takes from other what is not written.
func (t Timings) Or(other Timings) Timings {
	or := func(a, b int) int {
		if a == Unwritten {
			return b
		}
		return a
	}
	return Timings{
		or(t.GracePeriod, other.GracePeriod), or(t.PreStop, other.PreStop),
		or(t.DeregistrationDelay, other.DeregistrationDelay), or(t.MinReady, other.MinReady),
	}
}

// DefaultDelay is ELBv2's deregistration delay, in seconds.
const DefaultDelay = 300

// Delay is the deregistration delay that holds, in seconds.
func (t Timings) Delay() int {
	if t.DeregistrationDelay == Unwritten {
		return DefaultDelay
	}
	return t.DeregistrationDelay
}

// String is grace/preStop/delay; - is one that is not written.
func (t Timings) String() string {
	word := func(n int) string {
		if n == Unwritten {
			return "-"
		}
		return fmt.Sprint(n)
	}
	return word(t.GracePeriod) + "/" + word(t.PreStop) + "/" + word(t.DeregistrationDelay)
}

// Kind is where the timings come from.
type Kind string

const (
	Bare     Kind = "bare"     // none, and no readiness gate
	Gate     Kind = "gate"     // none; the namespace has readiness gates
	Written  Kind = "written"  // by hand, as in Setting.Write; readiness gates
	Computed Kind = "computed" // by outlast render, from its planning values; what is in Setting.Write takes their place
	Shorter  Kind = "shorter"  // as Computed, a point of the curve over preStop
	Delayed  Kind = "delayed"  // as Computed, a point of the curve over the deregistration delay
)

// Computes says that outlast render computes the timings.
func (k Kind) Computes() bool { return k == Computed || k.Point() }

// Point says that a setting is one of a curve's.
func (k Kind) Point() bool { return k == Shorter || k == Delayed }

// Expect is what a setting must do for the experiment to confirm the formulas.
type Expect string

const (
	Loses  Expect = "loses"
	None   Expect = "loses none"
	Either Expect = "either" // at the edge: the draws decide
)

// Setting is one way to ship the application, and how often it is tried.
type Setting struct {
	Name        string  `json:"name"` // also of its namespace, after a prefix
	Title       string  `json:"title"`
	Kind        Kind    `json:"kind"`
	Mode        string  `json:"drainMode,omitempty"` // of outlast render; "": its own choice
	Write       Timings `json:"-"`                   // by hand; Unwritten: none, or what was computed
	Propagation string  `json:"propagation"`         // MIN-MAX
	// Latency is how late the imitated AWS is with the controller's first
	// DeregisterTargets of a rollout, in seconds; a second call waits behind it.
	Latency     float64 `json:"deregisterLatencySeconds,omitempty"`
	SlowSeconds int     `json:"slowSeconds"` // that a slow request takes
	Expect      Expect  `json:"expected"`
	Rollouts    int     `json:"rolloutsAsked"`
}

// Propagation of the balancers: as it was measured on real ones, drawn up to
// what outlast plans with (P), and slower than it plans with.
const (
	Measured = "10s-17s" // controller's issues 2366, 905 and 1719
	Planned  = "10s-30s"
	Over     = "40s-50s"
)

// Jitter of all balancers, from the end of a deregistration delay until the target is
// unused: all that outlast plans with (J).
const Jitter = "0s-15s"
