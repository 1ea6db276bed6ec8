// SPDX-License-Identifier: Apache-2.0

package experiment

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/experiment/observe"
	"github.com/outlast-ci/outlast/lab/internal/experiment/plan"
	"github.com/outlast-ci/outlast/lab/internal/load"
)

// Experiment is what was tried and what came of it.
type Experiment struct {
	Started     time.Time       `json:"started"`
	Seconds     int             `json:"seconds"`
	Origin      Origin          `json:"origin"`
	Parallel    int             `json:"parallel"` // applications at once
	Rate        float64         `json:"rate"`     // requests per second to each application
	SlowShare   float64         `json:"slowShare"`
	SlowSeconds int             `json:"slowSeconds"`
	FreshShare  float64         `json:"freshShare"`
	Replicas    int             `json:"replicas"`
	MaxSurge    string          `json:"maxSurge"`
	Machine     observe.Machine `json:"machine"`
	Results     []Result        `json:"results"`
	Retried     []Result        `json:"retried,omitempty"` // what was made again: nothing of it is in Results
}

// Result is that of one setting.
type Result struct {
	plan.Setting
	Timings    plan.Timings   `json:"timings"`
	Invalid    string         `json:"invalid,omitempty"` // why its figures say nothing
	Requests   int            `json:"requests"`
	Failed     int            `json:"failed"` // as the clients saw it
	Logged     int            `json:"logged"` // failures in the access log
	Causes     map[string]int `json:"causes"` // of these
	MinHealthy int            `json:"minHealthy"`
	Load       Load           `json:"load"`
	Rollouts   []Rollout      `json:"rollouts"`
	Again      string         `json:"again,omitempty"` // commit with which it was made again, after the experiment

	late bool // that is why it is invalid
}

// Load is how the requests were sent. Latencies count from the intended time.
type Load struct {
	Achieved float64 `json:"achieved"` // per second
	Slow     int     `json:"slow"`
	Fresh    int     `json:"fresh"`  // on a connection of their own
	Reused   int     `json:"reused"` // on one that had served before
	Missed   int     `json:"missed"`
	Late     int     `json:"late"` // sent more than 50 ms after their time
	MaxLag   float64 `json:"maxLagSeconds"`
	P50      float64 `json:"p50Seconds"` // of quick requests
	P99      float64 `json:"p99Seconds"`
}

// Rollout is one update of all pods.
type Rollout struct {
	Number     int              `json:"number"`
	Started    time.Time        `json:"started"`
	Ended      time.Time        `json:"ended"`
	Requests   int              `json:"requests"`
	Failed     int              `json:"failed"` // by the access log
	Causes     map[string]int   `json:"causes"`
	MinHealthy int              `json:"minHealthy"`
	Pods       []observe.Story  `json:"pods,omitempty"`
	Targets    []observe.Count  `json:"targets,omitempty"` // of the first rollout, for the picture
	Seconds    []observe.Second `json:"seconds,omitempty"`
}

// More lag than this, and the generator may be what failed.
const (
	mostLate = 0.01 // of the requests
	mostLag  = 2 * time.Second
)

// sent takes the generator's report, and judges it: most of the requests may be late.
func (r *Result) sent(l load.Report, most float64) {
	r.Requests, r.Failed = l.Sent, l.Failed
	r.Load = Load{
		Achieved: l.Achieved, Slow: l.Slow, Fresh: l.Fresh, Reused: l.Reused, Missed: l.Missed, Late: l.Late,
		MaxLag: l.MaxLag.Seconds(), P50: l.Fast.P50.Seconds(), P99: l.Fast.P99.Seconds(),
	}
	r.late = float64(l.Late) > most*float64(l.Sent) || l.MaxLag > mostLag
	switch {
	case l.Sent == 0:
		r.Invalid = "no request was sent"
	case l.Missed > 0:
		r.Invalid = fmt.Sprintf("%d requests were not sent, since too many were in flight", l.Missed)
	case float64(l.Late) > most*float64(l.Sent):
		r.Invalid = fmt.Sprintf("%d of %d requests were sent more than 50 ms late: the machine was too busy, run it again on a quiet one", l.Late, l.Sent)
	case l.MaxLag > mostLag:
		r.Invalid = fmt.Sprintf("a request was sent %.1f s late: the machine was too busy, run it again on a quiet one", l.MaxLag.Seconds())
	case l.Slow*10 < l.Sent:
		r.Invalid = fmt.Sprintf("%d of %d requests were slow, fewer than a tenth", l.Slow, l.Sent)
	}
}

// agree compares what the clients saw with the access log, from which causes and the
// figures of each rollout are.
func (r *Result) agree() {
	if r.Invalid == "" && r.Failed != r.Logged {
		r.Invalid = fmt.Sprintf("the clients saw %d failures, and the access log has %d", r.Failed, r.Logged)
	}
}

func (r Result) line() string {
	if r.Invalid != "" {
		return fmt.Sprintf("%s: INVALID: %s", r.Title, r.Invalid)
	}
	line := fmt.Sprintf("%s: %d of %d requests failed in %d rollouts %v", r.Title, r.Failed, r.Requests, len(r.Rollouts), r.Causes)
	if u := r.Unexpected(); u != "" {
		line += ": UNEXPECTED: " + u
	}
	return line
}

// Unexpected says what a valid setting did that the formulas do not say of it; "": nothing.
func (r Result) Unexpected() string {
	switch {
	case r.Invalid != "":
	case r.Expect == plan.Loses && r.Failed == 0:
		return "it must lose requests, and lost none"
	case r.Expect == plan.None && r.Failed > 0:
		return fmt.Sprintf("it must lose none, and lost %d", r.Failed)
	}
	return ""
}

// ErrInvalid is wrapped by the error of a run with settings whose figures say nothing.
var ErrInvalid = errors.New("invalid")

// err tells of the settings that could not be tried, or not well enough, and of
// those that did not do what is expected of them.
func (e Experiment) err() error {
	var errs []error
	for _, r := range e.Results {
		switch {
		case r.Invalid != "":
			errs = append(errs, fmt.Errorf("%s: %w: %s", r.Title, ErrInvalid, r.Invalid))
		case r.Unexpected() != "":
			errs = append(errs, errors.New(r.line()))
		}
	}
	return errors.Join(errs...)
}

// Of finds a setting's result by name.
func (e Experiment) Of(name string) (Result, bool) {
	for _, r := range e.Results {
		if r.Name == name {
			return r, true
		}
	}
	return Result{}, false
}

// Wanting names the settings whose figures say nothing, or that did not do what is
// expected of them.
func (e Experiment) Wanting() (names []string) {
	for _, r := range e.Results {
		if r.remark() != "" {
			names = append(names, r.Name)
		}
	}
	return names
}

// With takes settings that were made again in the place of those that there are, which it
// keeps as Retried.
func (e Experiment) With(again Experiment) Experiment {
	e.Results, e.Retried = slices.Clone(e.Results), slices.Concat(e.Retried, again.Retried)
	for _, r := range again.Results {
		i := slices.IndexFunc(e.Results, func(was Result) bool { return was.Name == r.Name })
		if i < 0 {
			continue
		}
		r.Again = again.Origin.Commit
		e.Retried, e.Results[i] = append(e.Retried, e.Results[i]), r
	}
	e.Seconds += again.Seconds
	return e
}
