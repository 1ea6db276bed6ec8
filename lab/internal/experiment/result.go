// SPDX-License-Identifier: Apache-2.0

package experiment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/experiment/observe"
	"github.com/outlast-ci/outlast/lab/internal/load"
)

// Experiment is what was tried and what came of it.
type Experiment struct {
	Started     time.Time `json:"started"`
	Seconds     int       `json:"seconds"`
	Rate        float64   `json:"rate"` // requests per second to each application
	SlowShare   float64   `json:"slowShare"`
	SlowSeconds int       `json:"slowSeconds"`
	FreshShare  float64   `json:"freshShare"`
	Replicas    int       `json:"replicas"`
	MaxSurge    string    `json:"maxSurge"`
	Machine     Machine   `json:"machine"`
	Results     []Result  `json:"results"`
	Retried     []Result  `json:"retried,omitempty"` // runs that were made again, since the machine was too busy: nothing of them is in Results
}

// Machine is how busy it was: a full one would lose requests by itself.
type Machine struct {
	CPUs     int     `json:"cpus"`
	BusyMean float64 `json:"busyMean"` // 0 to 1
	BusyMax  float64 `json:"busyMax"`  // of any 5 seconds
}

// Result is that of one setting.
type Result struct {
	Setting
	Timings    Timings        `json:"timings"`
	Invalid    string         `json:"invalid,omitempty"` // why its figures say nothing
	Requests   int            `json:"requests"`
	Failed     int            `json:"failed"` // as the clients saw it
	Logged     int            `json:"logged"` // failures in the access log
	Causes     map[string]int `json:"causes"` // of these
	MinHealthy int            `json:"minHealthy"`
	Load       Load           `json:"load"`
	Rollouts   []Rollout      `json:"rollouts"`

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
	Number     int             `json:"number"`
	Started    time.Time       `json:"started"`
	Ended      time.Time       `json:"ended"`
	Requests   int             `json:"requests"`
	Failed     int             `json:"failed"` // by the access log
	Causes     map[string]int  `json:"causes"`
	MinHealthy int             `json:"minHealthy"`
	Pods       []Story         `json:"pods,omitempty"`
	Targets    []observe.Count `json:"targets,omitempty"` // of the first rollout, for the picture
	Seconds    []Second        `json:"seconds,omitempty"`
}

func (t Timings) String() string {
	word := func(n int) string {
		if n == unwritten {
			return "-"
		}
		return fmt.Sprint(n)
	}
	return word(t.GracePeriod) + "/" + word(t.PreStop) + "/" + word(t.DeregistrationDelay)
}

// More lag than this, and the generator may be what failed.
const (
	mostLate = 0.01 // of the requests
	mostLag  = 2 * time.Second
)

// sent takes the generator's report, and judges it.
func (r *Result) sent(l load.Report) {
	r.Requests, r.Failed = l.Sent, l.Failed
	r.Load = Load{
		Achieved: l.Achieved, Slow: l.Slow, Fresh: l.Fresh, Reused: l.Reused, Missed: l.Missed, Late: l.Late,
		MaxLag: l.MaxLag.Seconds(), P50: l.Fast.P50.Seconds(), P99: l.Fast.P99.Seconds(),
	}
	r.late = float64(l.Late) > mostLate*float64(l.Sent) || l.MaxLag > mostLag
	switch {
	case l.Sent == 0:
		r.Invalid = "no request was sent"
	case l.Missed > 0:
		r.Invalid = fmt.Sprintf("%d requests were not sent, since too many were in flight", l.Missed)
	case float64(l.Late) > mostLate*float64(l.Sent):
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
	return fmt.Sprintf("%s: %d of %d requests failed in %d rollouts %v", r.Title, r.Failed, r.Requests, len(r.Rollouts), r.Causes)
}

// err tells of the settings that could not be tried, or not well enough.
func (e Experiment) err() error {
	var errs []error
	for _, r := range e.Results {
		if r.Invalid != "" {
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

// sample measures the machine until ctx ends.
func sample(ctx context.Context) <-chan Machine {
	done := make(chan Machine, 1)
	go func() {
		m, n := Machine{CPUs: runtime.NumCPU()}, 0.0
		busy, all := ticks()
		for ctx.Err() == nil {
			wait(ctx, 5*time.Second)
			b, a := ticks()
			if a > all && ctx.Err() == nil {
				share := (b - busy) / (a - all)
				m.BusyMean, n = (m.BusyMean*n+share)/(n+1), n+1
				m.BusyMax = max(m.BusyMax, share)
			}
			busy, all = b, a
		}
		done <- m
	}()
	return done
}

// ticks are those of the CPUs since boot; 0 where there is no /proc.
func ticks() (busy, all float64) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, f := range strings.Fields(line)[1:9] { // guests are counted as user time already
		var n float64
		if _, err := fmt.Sscan(f, &n); err != nil {
			return 0, 0
		}
		all += n
		if i != 3 && i != 4 { // idle, waiting for a disk
			busy += n
		}
	}
	return busy, all
}
