// SPDX-License-Identifier: Apache-2.0

// Package gate does all the waiting after an apply: workloads and the pods that
// they replace go in, and a verdict comes out. It passes when the rollout is
// complete, every new pod has been healthy in every target group of its
// Services for long enough, every old target has drained and every old pod is gone.
//
//	live     what the cluster says          -> Snapshot
//	history  Snapshots and target readings  -> what became of each pod and target
//	pace     history                        -> when to ask again
//	judge    history                        -> done, in vain, or what is missing
//
// The decision is a pure function of what was seen; the loop around it only
// asks. It never passes on nothing, and what cannot be read is neither good nor bad.
package gate

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/gate/internal/alarm"
	"github.com/outlast-ci/outlast/core/gate/internal/model"
	"github.com/outlast-ci/outlast/core/gate/internal/probe"
)

// What the parts of the gate share is told in package model, and in probe.
type (
	Cluster        = model.Cluster
	Balancer       = model.Balancer
	GroupQuery     = model.GroupQuery
	TargetGroup    = model.TargetGroup
	Target         = model.Target
	Workload       = model.Workload
	Replaced       = model.Replaced
	Mark           = model.Mark
	WorkloadResult = model.WorkloadResult
	PodTimeline    = model.PodTimeline
	TargetTimeline = model.TargetTimeline
	Proof          = model.Proof
	Evidence       = model.Evidence
	Log            = model.Log
	Reason         = model.Reason
	Until          = model.Until
	Error          = model.Error
	Probe          = probe.Probe
	ProbeResult    = probe.Result
	Alarm          = alarm.Alarm
	Alarms         = alarm.Source
	AlarmWatch     = alarm.Watch
)

// Whether a pod was seen to outlast its target.
const (
	Proven      = model.Proven
	Broken      = model.Broken
	NotObserved = model.NotObserved
)

// How far a rollout is waited for.
const (
	UntilEnd    = model.End
	UntilReady  = model.Ready
	UntilUnused = model.Unused
)

// Why a gate did not pass; docs/exit-codes.md explains the words.
const (
	ProgressDeadline = model.ProgressDeadline
	CrashLoop        = model.CrashLoop
	ImagePull        = model.ImagePull
	ConfigError      = model.ConfigError
	VolumeError      = model.VolumeError
	Unschedulable    = model.Unschedulable
	Quota            = model.Quota
	PodRefused       = model.PodRefused
	TargetUnhealthy  = model.TargetUnhealthy
	TargetNotInUse   = model.TargetNotInUse
	TargetIPUnusable = model.TargetIPUnusable
	NoTargetGroup    = model.NoTargetGroup
	ProbeFailed      = model.ProbeFailed
	AlarmRaised      = model.AlarmRaised
	WorkloadGone     = model.WorkloadGone
	Superseded       = model.Superseded
	NothingToWaitFor = model.NothingToWaitFor
	TimedOut         = model.TimedOut
)

var (
	// ErrThrottled is in the error of a Balancer's call that was refused for its rate.
	ErrThrottled = model.ErrThrottled
	// ErrNoTargetGroup is in the error of one about a group that does not exist.
	ErrNoTargetGroup = model.ErrNoTargetGroup
)

// Options say what to wait for. Zero durations are the defaults named.
type Options struct {
	Workloads []Workload
	Timeout   time.Duration // whole wait; zero: the longest gate timeout of the plans, for as many replicas as are wanted by now
	Interval  time.Duration // longest pause between polls of a target group in which something is waited for; zero: 5 s
	Heartbeat time.Duration // between progress events when nothing changes; zero: 15 s
	Probe     *Probe        // requests to send during the rollout; nil: none
	Alarms    *AlarmWatch   // of OpenAlarms; nil: none
	Observe   event.Func

	chance func() float64 // of [0, 1): jitter; nil: the process's own
}

// Result is what was seen and decided. It survives JSON, and comes with the
// error too.
type Result struct {
	Started   time.Time        `json:"started"`
	Finished  time.Time        `json:"finished"`
	Passed    bool             `json:"passed"`
	Looks     int              `json:"looks"` // at a workload in the cluster
	Polls     int              `json:"polls"` // calls to ELBv2 for the health of targets
	Workloads []WorkloadResult `json:"workloads"`
	Probe     *ProbeResult     `json:"probe,omitempty"`
	Alarms    []Alarm          `json:"alarms,omitempty"`
	Evidence  []Evidence       `json:"evidence,omitempty"` // why it failed: logs, events and targets of the pods concerned
}

// Served tells whether a new pod may have served by then: it was ready or healthy, or its
// target may have become healthy since it was seen last, or may have been so in one of several
// groups.
func (r Result) Served() bool {
	may := func(p PodTimeline) bool {
		return !p.Ready.IsZero() || !p.Healthy.IsZero() || len(p.Targets) > 1 && !p.Registered.IsZero() ||
			slices.ContainsFunc(p.Targets, func(t TargetTimeline) bool { return t.State == "healthy" || t.State == "initial" })
	}
	return slices.ContainsFunc(r.Workloads, func(w WorkloadResult) bool {
		return slices.ContainsFunc(w.Pods, func(p PodTimeline) bool { return p.New && may(p) })
	})
}

// OpenAlarms reads CloudWatch alarms by name, before anything is changed, for the Waits of one
// rollout. One that does not exist is an error.
func OpenAlarms(ctx context.Context, source Alarms, names []string, observe event.Func) (*AlarmWatch, error) {
	return alarm.Open(ctx, source, names, observe)
}

// unplanned is the timeout when nothing stands behind a balancer, so that no plan tells one.
const unplanned = 10 * time.Minute

// errTimeout is why the wait's context ends.
var errTimeout = errors.New("the gate's time is over")

// Wait polls until the verdict is clear or the time is over.
func Wait(ctx context.Context, cluster Cluster, balancer Balancer, opt Options) (Result, error) {
	if len(opt.Workloads) == 0 {
		return Result{}, nothing("the manifests hold no Deployment, StatefulSet or DaemonSet")
	}
	opt.Interval = cmp.Or(opt.Interval, 5*time.Second)
	opt.Heartbeat = cmp.Or(opt.Heartbeat, 15*time.Second)
	if opt.chance == nil {
		opt.chance = rand.Float64
	}
	waitCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := newWait(cluster, balancer, opt)
	timer := time.AfterFunc(w.timeout(), func() { cancel(errTimeout) })
	defer timer.Stop()
	w.extend = func(total time.Duration) { timer.Reset(time.Until(w.started.Add(total))) }
	if opt.Probe != nil {
		p, err := probe.Start(waitCtx, *opt.Probe)
		if err != nil {
			return Result{}, err
		}
		w.probe = p
		defer p.Stop()
	}
	err := w.loop(waitCtx)
	var failed *Error
	if errors.As(err, &failed) {
		w.gather(context.WithoutCancel(ctx))
	}
	return w.result(err == nil), err
}
