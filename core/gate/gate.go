// SPDX-License-Identifier: Apache-2.0

// Package gate does all the waiting after an apply: workloads and the pods that
// they replace go in, and a verdict comes out. It passes when the rollout is
// complete, every new pod is healthy in every target group of its Services,
// every old target has drained and every old pod is gone. The decision is a
// pure function of what was seen (judge.go); the loop around it only asks. It
// never passes on nothing, and what cannot be read is neither good nor bad.
package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/event"
)

// Cluster is what the gate needs of an API server.
type Cluster interface {
	Get(ctx context.Context, apiVersion, kind, namespace, name string) (*unstructured.Unstructured, error)
	List(ctx context.Context, apiVersion, kind, namespace, labels string) ([]unstructured.Unstructured, error)
	Logs(ctx context.Context, namespace, pod, container string, lines int, previous bool) (string, error)
}

// Balancer is what the gate needs of ELBv2. An error means unknown.
type Balancer interface {
	TargetHealth(ctx context.Context, groupARN string) ([]Target, error)
}

// Target is one registered target as DescribeTargetHealth tells it.
type Target struct {
	ID          string `json:"id"` // address
	Port        int    `json:"port"`
	State       string `json:"state"`            // initial, healthy, unhealthy, draining, unused, unavailable
	Reason      string `json:"reason,omitempty"` // Target.FailedHealthChecks, ...
	Description string `json:"description,omitempty"`
}

// Options say what to wait for. Zero durations are the defaults named.
type Options struct {
	Workloads []Workload
	Timeout   time.Duration // whole wait; zero: the longest gate timeout of the plans
	Interval  time.Duration // between polls; zero: 5 s
	Heartbeat time.Duration // between progress events when nothing changes; zero: 15 s
	Observe   event.Func
}

// Workload is one object to wait for.
type Workload struct {
	APIVersion, Kind, Namespace, Name string
	Generation                        int64      // as accepted by the API server; older status is not looked at
	UID                               string     // of the object that was applied; empty: not known
	Images                            []string   // that its template has to name still
	Replaced                          []Replaced // pods that have to be gone
	Behind                            bool       // behind a load balancer: target groups are required
	Plan                              drain.Plan // timings, when Behind
}

// Replaced is a pod that the new template replaces.
type Replaced struct{ UID, Name, IP string }

// ID is how messages name the workload: Kind/namespace/name.
func (w Workload) ID() string { return w.Kind + "/" + w.Namespace + "/" + w.Name }

// Result is what was seen and decided. It survives JSON, and comes with the
// error too.
type Result struct {
	Started   time.Time        `json:"started"`
	Finished  time.Time        `json:"finished"`
	Passed    bool             `json:"passed"`
	Polls     int              `json:"polls"`
	Workloads []WorkloadResult `json:"workloads"`
	Evidence  []Evidence       `json:"evidence,omitempty"` // why it failed: logs and events of the pods concerned
}

// WorkloadResult is one workload's part of the result.
type WorkloadResult struct {
	Object     string        `json:"object"`
	Desired    int           `json:"desired"`
	MinHealthy int           `json:"minHealthy"` // fewest healthy targets seen in any of its groups; -1: no group was read
	Problems   []string      `json:"problems,omitempty"`
	Groups     []string      `json:"groups,omitempty"` // ARNs of the target groups
	Pods       []PodTimeline `json:"pods"`
}

// PodTimeline is what became of one pod and its targets. Zero times were not seen.
type PodTimeline struct {
	UID        string    `json:"uid"`
	Name       string    `json:"name"`
	IP         string    `json:"ip,omitempty"`
	New        bool      `json:"new"`
	Created    time.Time `json:"created,omitzero"`
	Ready      time.Time `json:"ready,omitzero"`      // first seen Ready
	Registered time.Time `json:"registered,omitzero"` // first seen in a target group
	Healthy    time.Time `json:"healthy,omitzero"`    // first seen healthy in all its groups
	Deleted    time.Time `json:"deleted,omitzero"`    // when the API server accepted its deletion
	Draining   time.Time `json:"draining,omitzero"`   // first seen draining in all the groups that list it
	Drained    time.Time `json:"drained,omitzero"`    // first seen gone from all its groups
	Ended      time.Time `json:"ended,omitzero"`      // its first container finished
	Gone       time.Time `json:"gone,omitzero"`       // first seen gone from the cluster
	Killed     bool      `json:"killed,omitempty"`    // a container ended by SIGKILL (137)
	Proof      Proof     `json:"proof,omitempty"`     // of the drain, for old pods behind a balancer
	Margin     float64   `json:"marginSeconds,omitempty"`

	listed, serving, alive time.Time      // last seen in a group, there not draining, and running
	ports                  map[string]int // by name: a new version's may differ
}

// Proof says whether a pod was seen to outlast its target.
type Proof string

const (
	Proven      Proof = "proven"
	Broken      Proof = "broken"
	NotObserved Proof = "not observed"
)

// Evidence is what a failing pod said.
type Evidence struct {
	Pod    string   `json:"pod"`
	Events []string `json:"events,omitempty"`
	Logs   []Log    `json:"logs,omitempty"`
}

// Log is the end of one container's output.
type Log struct {
	Container string   `json:"container"`
	Previous  bool     `json:"previous,omitempty"` // of the run before its last restart
	Lines     []string `json:"lines"`
}

// Reason is the word that says why the gate failed.
type Reason string

const (
	ProgressDeadline Reason = "progress-deadline"
	CrashLoop        Reason = "crash-loop"
	ImagePull        Reason = "image-pull"
	ConfigError      Reason = "config-error"
	TargetUnhealthy  Reason = "target-unhealthy"
	TargetNotInUse   Reason = "target-not-in-use"
	NoTargetGroup    Reason = "no-target-group"
	WorkloadGone     Reason = "workload-gone"
	Superseded       Reason = "superseded"
	NothingToWaitFor Reason = "nothing-to-wait-for"
	TimedOut         Reason = "timeout"
)

// Error is a gate that did not pass.
type Error struct {
	Reason   Reason
	TimedOut bool // it gave up waiting; else it saw that waiting is in vain
	Problems []string
}

func (e *Error) Error() string {
	return fmt.Sprintf("the rollout did not pass (%s): %s", e.Reason, strings.Join(e.Problems, "; "))
}

const (
	confirm = 2 * time.Second // before the second of two good polls
	closely = time.Second     // while a pod is about to outlast its target, or not
)

// Wait polls until the verdict is clear or the time is over.
func Wait(ctx context.Context, cluster Cluster, balancer Balancer, opt Options) (Result, error) {
	if len(opt.Workloads) == 0 {
		return Result{}, &Error{Reason: NothingToWaitFor, Problems: []string{"the manifests hold no Deployment, StatefulSet or DaemonSet"}}
	}
	opt = opt.defaults()
	w := newWait(cluster, balancer, opt)
	waitCtx, cancel := context.WithTimeoutCause(ctx, opt.Timeout, errTimeout)
	defer cancel()
	err := w.loop(waitCtx)
	var failed *Error
	if errors.As(err, &failed) {
		w.evidence(context.WithoutCancel(ctx))
	}
	return w.result(err == nil), err
}

var errTimeout = errors.New("the gate's time is over")

func (opt Options) defaults() Options {
	var longest time.Duration
	for _, w := range opt.Workloads {
		longest = max(longest, w.Plan.GateTimeout.Duration())
	}
	opt.Timeout = cmp.Or(opt.Timeout, longest, 10*time.Minute) // the last when nothing stands behind a balancer
	opt.Interval = cmp.Or(opt.Interval, 5*time.Second)
	opt.Heartbeat = cmp.Or(opt.Heartbeat, 15*time.Second)
	return opt
}

// waiting is one Wait in progress.
type waiting struct {
	cluster  Cluster
	balancer Balancer
	opt      Options
	started  time.Time
	polls    int
	tracks   []*track
	said     map[string]string // newest message by UID and object, so that only changes are told
	spoke    time.Time
}

func newWait(cluster Cluster, balancer Balancer, opt Options) *waiting {
	w := &waiting{cluster: cluster, balancer: balancer, opt: opt, started: time.Now(), said: map[string]string{}}
	for _, workload := range opt.Workloads {
		w.tracks = append(w.tracks, newTrack(workload))
	}
	return w
}

// loop asks, lets the judge decide, tells, and waits.
func (w *waiting) loop(ctx context.Context) error {
	good := 0
	for {
		done := true
		for _, t := range w.tracks {
			seen := w.look(ctx, t)
			if ctx.Err() != nil && !t.last.At.IsZero() { // a look that was cut short hides what the one before it saw
				break
			}
			t.take(seen)
			verdict := t.judge(seen)
			t.verdict = verdict
			w.tell(t, verdict)
			if verdict.Failed != "" {
				return &Error{Reason: verdict.Failed, Problems: verdict.Problems}
			}
			done = done && verdict.Done
		}
		w.polls++
		if good++; !done || ctx.Err() != nil {
			good = 0
		}
		if good >= 2 {
			return nil
		}
		pause := w.opt.Interval
		if good == 1 {
			pause = min(pause, confirm)
		} else if slices.ContainsFunc(w.tracks, func(t *track) bool { return t.closing(pause) }) {
			pause = min(pause, closely)
		}
		select {
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errTimeout) {
				return w.timedOut()
			}
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// timedOut names what was missing to the end, where one thing was.
func (w *waiting) timedOut() *Error {
	e := &Error{Reason: TimedOut, TimedOut: true, Problems: []string{fmt.Sprintf("not done after %s", w.opt.Timeout)}}
	for _, t := range w.tracks {
		e.Problems = append(e.Problems, t.verdict.Problems...)
		if t.workload.Behind && len(t.groups) == 0 && t.last.PodsKnown && len(t.last.Unknown) == 0 {
			e.Reason = NoTargetGroup
		}
	}
	return e
}

// tell emits what changed, and a heartbeat when nothing did.
func (w *waiting) tell(t *track, v Verdict) {
	now := time.Now()
	emit := func(object, message string) {
		w.spoke = now
		w.opt.Observe.Emit(event.Event{Time: now, Stage: "gate", Kind: event.Progress, Object: object, Message: message})
	}
	for _, line := range t.lines() {
		if key := line.uid + line.object; w.said[key] != line.text {
			w.said[key] = line.text
			emit(line.object, line.text)
		}
	}
	if now.Sub(w.spoke) >= w.opt.Heartbeat && len(v.Problems) > 0 {
		left := (w.opt.Timeout - now.Sub(w.started)).Round(time.Second)
		emit(t.workload.ID(), fmt.Sprintf("waiting, %s left: %s", left, v.Problems[0]))
	}
}

func (w *waiting) result(passed bool) Result {
	r := Result{Started: w.started, Finished: time.Now(), Passed: passed, Polls: w.polls}
	for _, t := range w.tracks {
		r.Workloads = append(r.Workloads, t.result())
		r.Evidence = append(r.Evidence, t.evidence...)
	}
	return r
}
