// SPDX-License-Identifier: Apache-2.0

// Package experiment rolls the example out to the lab under load, again and
// again, in settings that differ in their drain timings only, and tells what
// each lost. In go settings; out comes an Experiment, which survives JSON. Pods,
// controller and kubelet are real; for AWS's balancers, the lab's stand in.
//
// Everything is seen from outside: what failed by the clients that sent it, why
// by the balancer's access log, pods by a watch of the API server, targets by
// the balancer as they change.
package experiment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb/watch"
	"github.com/outlast-ci/outlast/lab/internal/cluster"
	"github.com/outlast-ci/outlast/lab/internal/experiment/observe"
	"github.com/outlast-ci/outlast/lab/internal/experiment/plan"
	"github.com/outlast-ci/outlast/lab/internal/labstate"
	"github.com/outlast-ci/outlast/lab/internal/trial"
)

// Options of Run. State, Product, Dir and Settings are needed.
type Options struct {
	State    labstate.State
	Product  string // the product's folder
	Dir      string // for a checkout of the example; it is emptied
	Settings []plan.Setting
	Parallel int     // applications at once; 0: 6
	Rate     float64 // requests per second to each; 0: 60
	// Hurry does not wait for targets that the API lists for minutes; when they
	// became unused is not known then.
	Hurry bool
	// Late is the share of requests that may be sent late; 0: a hundredth. With more
	// a setting is invalid.
	Late float64
	Log  func(format string, args ...any)
}

const (
	// Of the requests, so that at least a tenth is slow in any stretch of them.
	slowShare  = 0.12
	freshShare = 0.25

	// A setting of so few rollouts is tried a second time when the generator was
	// late, in a namespace of its own.
	fewRollouts = 5
	again       = "-again"
)

// bench is one run of the experiment.
type bench struct {
	Options
	checkout *trial.Trial
	image    string // by digest
	pods     observe.Pods
	targets  observe.Targets
}

// Run tries every setting. A setting that cannot be tried is Invalid in the
// result, and makes an error, too.
func Run(ctx context.Context, o Options) (Experiment, error) {
	if o.Parallel == 0 {
		o.Parallel = 6
	}
	if o.Rate == 0 {
		o.Rate = 60
	}
	b := &bench{Options: o}
	started := time.Now()
	if err := b.prepare(ctx); err != nil {
		return Experiment{}, fmt.Errorf("preparing the experiment: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := b.watch(ctx, cancel); err != nil {
		return Experiment{}, fmt.Errorf("preparing the experiment: %w", err)
	}
	if err := b.estimate(ctx); err != nil {
		return Experiment{}, fmt.Errorf("estimating how long the experiment takes: %w", err)
	}
	from, err := b.origin(ctx)
	if err != nil {
		return Experiment{}, fmt.Errorf("telling of what the experiment is: %w", err)
	}
	busy := observe.Busy(ctx)
	results, retried := make([]Result, len(o.Settings)), make([]Result, len(o.Settings))
	slots := make(chan struct{}, o.Parallel)
	var running sync.WaitGroup
	for i, s := range o.Settings {
		slots <- struct{}{}
		try := func(namespace string) { // with a slot, which it gives back
			free := sync.OnceFunc(func() { <-slots })
			defer free()
			results[i] = b.try(ctx, s, namespace, free)
			b.Log("%s", results[i].line())
		}
		running.Go(func() {
			try(prefix + s.Name)
			if results[i].late && s.Rollouts <= fewRollouts && ctx.Err() == nil {
				b.Log("%s: once more, since the machine was too busy; %d of %d requests failed", s.Name, results[i].Failed, results[i].Requests)
				retried[i] = results[i]
				slots <- struct{}{}
				try(prefix + s.Name + again)
			}
		})
	}
	running.Wait()
	cause := context.Cause(ctx)
	cancel(nil)
	e := Experiment{
		Started: started.UTC().Truncate(time.Second), Seconds: int(time.Since(started).Seconds()), Origin: from, Parallel: o.Parallel, Rate: o.Rate, SlowShare: slowShare, FreshShare: freshShare,
		SlowSeconds: slowSeconds, Replicas: replicas, MaxSurge: maxSurge, Machine: <-busy, Results: results,
		Retried: slices.DeleteFunc(retried, func(r Result) bool { return !r.late }),
	}
	return e, errors.Join(cause, e.err(), b.leave(context.WithoutCancel(ctx)))
}

// prepare makes a checkout of the example and its image.
func (b *bench) prepare(ctx context.Context) error {
	var err error
	if b.checkout, err = trial.New(ctx, b.State, b.Product, b.Dir); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.checkout.Dir, "experiment.yaml"), []byte(config), 0o644); err != nil {
		return err
	}
	if err := b.checkout.Commit(ctx, "Add the experiment"); err != nil {
		return err
	}
	run, err := b.checkout.Run(ctx, trial.Command{Args: []string{"deploy", "--config", "experiment.yaml", "--to", "push", "--build-arg", "VERSION=v1"}})
	if err != nil {
		return err
	}
	if run.Exit != 0 || len(run.Report.Refs) != 1 {
		return fmt.Errorf("building the image: exit %d: %s", run.Exit, run.Stderr)
	}
	b.image = run.Report.Refs[0].Repository + "@" + run.Report.Refs[0].Digest
	return b.leave(ctx) // what an earlier run that was broken off has left
}

// estimate says how long the settings will take: outlast computes the timings
// of each mode once for it.
func (b *bench) estimate(ctx context.Context) error {
	known := map[string]plan.Timings{}
	var takes []time.Duration
	for _, s := range b.Settings {
		t := s.Write
		if s.Kind.Computes() {
			if _, ok := known[s.Mode]; !ok {
				_, computed, err := b.manifests(ctx, plan.Setting{Name: "estimate", Kind: plan.Computed, Mode: s.Mode, Write: plan.Nothing()}, prefix+"estimate", "")
				if err != nil {
					return err
				}
				known[s.Mode] = computed
			}
			t = t.Or(known[s.Mode])
		}
		takes = append(takes, s.Takes(t))
	}
	b.Log("%d settings, %d at a time: about %.0f minutes", len(takes), b.Parallel, plan.Estimate(takes, b.Parallel).Minutes())
	return nil
}

// watch begins to follow pods and targets. What cannot be followed ends the run.
func (b *bench) watch(ctx context.Context, cancel context.CancelCauseFunc) error {
	var ready sync.WaitGroup
	ready.Add(2)
	both := make(chan struct{})
	go func() { ready.Wait(); close(both) }()
	go func() {
		if err := b.pods.Follow(ctx, b.State, ready.Done); err != nil {
			cancel(err)
		}
	}()
	go func() {
		if err := (watch.Client{Base: b.State.Control()}).Targets(ctx, ready.Done, b.targets.Take); err != nil {
			cancel(err)
		}
	}()
	select {
	case <-both:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// leave deletes the namespaces of the experiment and waits until they are gone.
func (b *bench) leave(ctx context.Context) error {
	names, err := cluster.Namespaces(ctx, b.State, prefix)
	if err != nil {
		return err
	}
	return cluster.DeleteNamespaces(ctx, b.State, names...)
}
