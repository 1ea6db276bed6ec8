// SPDX-License-Identifier: Apache-2.0

package experiment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb/accesslog"
	"github.com/outlast-ci/outlast/lab/internal/experiment/observe"
	"github.com/outlast-ci/outlast/lab/internal/experiment/plan"
	"github.com/outlast-ci/outlast/lab/internal/load"
)

// try rolls one setting out as often as it asks for, under load. free is called
// when the load is over and only the targets are waited for.
func (b *bench) try(ctx context.Context, s plan.Setting, namespace string, free func()) Result {
	s.SlowSeconds = s.Slow()
	r := Result{Setting: s}
	a, err := b.install(ctx, s, namespace)
	r.Timings = a.timings
	if err == nil {
		b.Log("%s: grace/preStop/delay %s, %d rollouts, propagation %s", s.Title, a.timings, s.Rollouts, s.Propagation)
		r, err = a.measure(ctx, free)
	}
	if err != nil {
		r.Invalid = err.Error()
	}
	// It goes in the background; leave waits for it.
	if _, err := a.kubectl(context.WithoutCancel(ctx), "delete", "deployment,ingress", "web", "--wait=false", "--ignore-not-found"); err != nil {
		b.Log("%s: %v", s.Name, err)
	}
	return r
}

// measure sends requests while the rollouts go on, and gathers what is known.
func (a *app) measure(ctx context.Context, free func()) (Result, error) {
	r := Result{Setting: a.Setting, Timings: a.timings}
	sending, stop := context.WithCancel(ctx)
	defer stop()
	type outcome struct {
		report load.Report
		err    error
	}
	sent := make(chan outcome, 1)
	go func() {
		report, err := load.Run(sending, load.Options{
			URL: a.front.URL, Addresses: a.front.Addresses, Rate: a.Rate, FreshShare: freshShare,
			SlowShare: slowShare, SlowPath: fmt.Sprintf("/slow?ms=%d", a.Slow()*1000),
		})
		sent <- outcome{report, err}
	}()
	wait(ctx, 3*time.Second)
	var starts []time.Time
	var err error
	for n := 1; n <= a.Rollouts && err == nil; n++ {
		var at time.Time
		if at, err = a.roll(ctx, n); err == nil {
			a.Log("%s: rollout %d of %d done after %.0f s", a.Name, n, a.Rollouts, time.Since(at).Seconds())
		}
		starts = append(starts, at)
	}
	wait(ctx, 2*time.Second)
	stop()
	out := <-sent
	ended := time.Now()
	free()
	if err = errors.Join(err, out.err); err != nil {
		return r, err
	}
	if !a.Kind.Point() && !a.Hurry {
		if err := a.drained(ctx); err != nil {
			return r, err
		}
	}
	entries, err := observe.Entries(ctx, a.State, a.State.LogBucket(), a.logs+"/")
	if err != nil {
		return r, err
	}
	r.sent(out.report, cmp.Or(a.Late, mostLate))
	a.account(&r, starts, ended, entries)
	return r, nil
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// account splits what happened by rollout: each lasts until the next begins.
func (a *app) account(r *Result, starts []time.Time, ended time.Time, entries []accesslog.Entry) {
	h := a.targets.Of(a.group)
	pods := observe.Stories(a.pods.In(a.namespace), h, entries)
	failed := observe.Failures(entries, func(target string, at time.Time) observe.End {
		s := observe.Owner(pods, target, at)
		if s == nil || s.Draining.IsZero() {
			return observe.End{}
		}
		seconds := func(n int) time.Duration { return time.Duration(n) * time.Second }
		return observe.End{Told: s.Deleted.Add(seconds(max(0, a.timings.PreStop))), Delay: s.Draining.Add(seconds(a.timings.Delay()))}
	})
	r.Logged, r.Causes, r.MinHealthy = len(failed), map[string]int{}, replicas
	r.agree()
	for i, from := range starts {
		to := ended
		if i+1 < len(starts) {
			to = starts[i+1]
		}
		first, last := i == 0, i == len(starts)-1
		in := func(at time.Time) bool { return (first || !at.Before(from)) && (last || at.Before(to)) }
		o := Rollout{Number: i + 1, Started: from, Ended: to, Causes: map[string]int{}}
		counts := h.Counts(from, to)
		o.MinHealthy = observe.Fewest(counts)
		for _, e := range entries {
			if in(e.Created) {
				o.Requests++
			}
		}
		for _, f := range failed {
			if in(f.At) {
				o.Failed++
				o.Causes[f.Cause]++
				r.Causes[f.Cause]++
			}
		}
		if !a.Kind.Point() {
			o.Pods = observe.During(pods, from, to)
		}
		if first && !a.Kind.Point() {
			o.Targets, o.Seconds = counts, observe.Seconds(from, entries, failed)
		}
		r.MinHealthy = min(r.MinHealthy, o.MinHealthy)
		r.Rollouts = append(r.Rollouts, o)
	}
}
