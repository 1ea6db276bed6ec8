// SPDX-License-Identifier: Apache-2.0

// Package timeline predicts how a workload replaces its pods: how many, how fast
// they come and go, and by which strategy goes in; waves, peaks and the end of it
// come out. It is pure. Times are planning values, as those of drain are: a
// rollout is usually faster.
package timeline

import (
	"cmp"
	"slices"
	"time"
)

// Kind is how a workload replaces its pods.
type Kind string

const (
	Rolling     Kind = "rolling"     // Deployment: up to Surge more pods, up to Unavailable fewer
	StatefulSet Kind = "statefulset" // an old pod ends before its replacement is made, Unavailable (1) at a time
	DaemonSet   Kind = "daemonset"   // a pod a node: as rolling with Surge, else as a StatefulSet
	Recreate    Kind = "recreate"    // all old pods end before the first new one is made
	Handover    Kind = "handover"    // all new pods, then the Service turns to them, then old pods that have drained go
)

// Strategy is a kind with its numbers, resolved from percentages.
type Strategy struct {
	Kind        Kind `json:"kind"`
	Surge       int  `json:"surge"`
	Unavailable int  `json:"unavailable"`
}

// Pace is how many pods there are and how fast they come and go.
type Pace struct {
	Replicas int
	Start    time.Duration // pod created until it is available
	Drained  time.Duration // pod deleted (in a handover: deregistered) until its targets are unused
	Cooldown time.Duration // pod gone until its address is free
	Tight    bool          // no room for surge pods until old ones are gone
	Pod      Ending
}

// Timeline is the prediction. Times are seconds from the start of the rollout.
type Timeline struct {
	Strategy  Strategy `json:"strategy"`
	Waves     []Wave   `json:"waves"`
	Seconds   int64    `json:"seconds"`   // until the last old pod is gone and its target unused
	PeakPods  int      `json:"peakPods"`  // new and old ones, terminating ones too
	PeakIPs   int      `json:"peakIPs"`   // addresses taken: by those pods, and by ended ones until the cooldown is over
	GateBound int64    `json:"gateBound"` // F14: no gate should give up sooner
	Pod       Ending   `json:"pod"`       // one old pod, from its deletion
}

// Wave is a step: some new pods come, and as many old ones go.
type Wave struct {
	Start   int64 `json:"start"`           // of the first of Created and Deleted
	End     int64 `json:"end"`             // of the last of Ready and Gone
	New     int   `json:"new"`             // pods made
	Old     int   `json:"old"`             // pods deleted
	Early   int   `json:"early,omitempty"` // of Old: those that go before any new pod is there (maxUnavailable)
	Created int64 `json:"created"`         // new pods
	Ready   int64 `json:"ready"`           // new pods are available
	Deleted int64 `json:"deleted"`         // old pods
	Gone    int64 `json:"gone"`            // old pods have ended, and no longer hold memory
}

// step is a Wave before rounding.
type step struct {
	fresh, old, early             int
	created, ready, deleted, gone time.Duration
}

// Predict plays a rollout through. Without replicas there are no waves.
func Predict(p Pace, s Strategy) Timeline {
	t := Timeline{Strategy: s, Waves: []Wave{}, Pod: p.Pod}
	if p.Replicas <= 0 {
		return t
	}
	var steps []step
	life := time.Duration(p.Pod.Exit) * time.Second
	switch {
	case s.Kind == Recreate:
		steps = replace(p, life, p.Replicas)
	case s.Kind == Handover:
		deleted := p.Start + p.Drained
		steps = []step{{fresh: p.Replicas, old: p.Replicas, ready: p.Start, deleted: deleted, gone: deleted + life}}
	case s.Kind == StatefulSet, s.Kind == DaemonSet && s.Surge <= 0:
		steps = replace(p, life, max(1, s.Unavailable))
	default:
		steps = roll(p, life, s)
	}
	var end time.Duration
	for _, w := range steps {
		if end = max(end, w.ready, w.gone); s.Kind != Handover && w.old > 0 {
			end = max(end, w.deleted+p.Drained)
		}
		out := Wave{New: w.fresh, Old: w.old, Early: w.early, Created: ceil(w.created), Ready: ceil(w.ready), Deleted: ceil(w.deleted), Gone: ceil(w.gone)}
		if out.Start, out.End = min(out.Created, out.Deleted), max(out.Ready, out.Gone); w.early > 0 {
			out.Start = 0
		}
		t.Waves = append(t.Waves, out)
	}
	t.Seconds = ceil(end)
	t.PeakPods = peak(p.Replicas, steps, life, 0)
	t.PeakIPs = peak(p.Replicas, steps, life, p.Cooldown)
	return t
}

// replace: some old pods end, then their replacements come.
func replace(p Pace, life time.Duration, at int) (steps []step) {
	var now time.Duration
	for left := p.Replicas; left > 0; left -= at {
		n := min(at, left)
		steps = append(steps, step{fresh: n, old: n, deleted: now, gone: now + life, created: now + life, ready: now + life + p.Start})
		now += life + p.Start
	}
	return steps
}

// roll: as many new pods as surge and maxUnavailable allow, and as many old ones
// go when they are available. Terminating pods do not count, unless room is tight.
func roll(p Pace, life time.Duration, s Strategy) (steps []step) {
	surge, unavailable := max(0, s.Surge), max(0, s.Unavailable)
	if surge+unavailable == 0 { // what the Deployment's controller makes of it
		unavailable = 1
	}
	batch := surge + unavailable
	early := min(unavailable, p.Replicas)
	old := p.Replicas - early
	var now time.Duration
	if p.Tight && early > 0 { // the first ones have to make room
		now = life
	}
	for left := p.Replicas; left > 0; left -= batch {
		leave := min(batch, old)
		w := step{fresh: min(batch, left), old: leave + early, early: early, created: now, ready: now + p.Start, deleted: now + p.Start, gone: now + p.Start + life}
		switch {
		case leave > 0:
		case early > 0:
			w.deleted, w.gone = 0, life
		default:
			w.gone = w.deleted
		}
		old, early = old-leave, 0
		steps = append(steps, w)
		if now = w.ready; p.Tight {
			now = max(now, w.gone)
		}
	}
	return steps
}

// peak counts what is held at most: from the creation of a pod until its end,
// and hold longer.
func peak(replicas int, steps []step, life, hold time.Duration) int {
	type change struct {
		at time.Duration
		n  int
	}
	var all []change
	for _, w := range steps { // early ones are deleted at 0
		all = append(all, change{w.created, w.fresh}, change{w.gone + hold, w.early - w.old}, change{life + hold, -w.early})
	}
	slices.SortStableFunc(all, func(a, b change) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.n, b.n)) })
	now, most := replicas, replicas
	for _, c := range all {
		now += c.n
		most = max(most, now)
	}
	return most
}

func ceil(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
