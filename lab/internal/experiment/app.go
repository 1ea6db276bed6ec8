// SPDX-License-Identifier: Apache-2.0

package experiment

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb"
	"github.com/outlast-ci/outlast/lab/internal/alb/watch"
	"github.com/outlast-ci/outlast/lab/internal/cloud/trouble"
	"github.com/outlast-ci/outlast/lab/internal/cluster"
	"github.com/outlast-ci/outlast/lab/internal/experiment/observe"
	"github.com/outlast-ci/outlast/lab/internal/experiment/plan"
	"github.com/outlast-ci/outlast/lab/internal/trial"
)

// app is the application in one setting: a namespace and a balancer of its own.
type app struct {
	*bench
	plan.Setting
	timings   plan.Timings
	namespace string
	logs      string // prefix of its access log
	group     string // ARN
	front     trial.Front
	lag       alb.Delay
}

// install deploys the application and waits until all of its targets are healthy.
func (b *bench) install(ctx context.Context, s plan.Setting, namespace string) (*app, error) {
	a := &app{bench: b, Setting: s, namespace: namespace, logs: "experiment-" + strconv.FormatInt(time.Now().Unix(), 36) + "-" + s.Name}
	var err error
	if a.lag, err = watch.ParseRange(s.Propagation); err != nil {
		return a, err
	}
	text, timings, err := b.manifests(ctx, s, namespace, a.logs)
	if err != nil {
		return a, err
	}
	a.timings = timings
	if _, err := cluster.Kubectl(ctx, b.State, []byte(text), "apply", "--server-side", "-f", "-"); err != nil {
		return a, err
	}
	err = until(ctx, 2*time.Minute, time.Second, func() error {
		if a.group == "" {
			arn, err := a.kubectl(ctx, "get", "targetgroupbinding", "-o", "jsonpath={.items[*].spec.targetGroupARN}")
			if err != nil || arn == "" {
				return fmt.Errorf("there is no TargetGroupBinding (%w)", err)
			}
			a.group = arn
		}
		if a.front.URL == "" {
			if a.front, err = b.checkout.Front(ctx, a.namespace, "web", port); err != nil {
				return err
			}
		}
		now := time.Now()
		if n := observe.Fewest(a.targets.Of(a.group).Counts(now, now)); n != replicas {
			return fmt.Errorf("%d targets of %d are healthy", n, replicas)
		}
		return nil
	})
	if err != nil {
		return a, fmt.Errorf("waiting for the application: %w", err)
	}
	late, err := watch.ParseRange(a.State.Registration)
	if err != nil {
		return a, err
	}
	wait(ctx, late.Max) // healthy are targets before each node knows them
	lab := watch.Client{Base: a.State.Control()}
	return a, errors.Join(lab.SetPropagation(ctx, a.front.ARN, s.Propagation), lab.SetJitter(ctx, a.front.ARN, plan.Jitter))
}

func (a *app) kubectl(ctx context.Context, args ...string) (string, error) {
	return cluster.Kubectl(ctx, a.State, nil, append(args, "-n", a.namespace)...)
}

// roll replaces all pods, and waits until nothing more can come of it: no old
// pod is there, no node of the balancer sends to their targets, and, where this
// takes seconds and not minutes, the API lists these no more.
func (a *app) roll(ctx context.Context, n int) (started time.Time, err error) {
	old := map[string]bool{}
	for _, p := range a.pods.In(a.namespace) {
		old[p.UID] = true
	}
	told, err := a.late(ctx)
	if err != nil {
		return time.Now(), err
	}
	defer func() { err = errors.Join(err, told()) }()
	started = time.Now()
	patch := fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"experiment/rollout":"%d"}}}}}`, n)
	if _, err := a.kubectl(ctx, "patch", "deployment", "web", "--type", "merge", "-p", patch); err != nil {
		return started, err
	}
	err = until(ctx, 5*time.Minute, 250*time.Millisecond, func() error { return a.settled(old) })
	if err != nil {
		err = fmt.Errorf("waiting for rollout %d: %w", n, err)
	}
	return started, err
}

// late orders the setting's latency for the first DeregisterTargets that names
// this application's targets. told ends it, and tells if no call came.
func (a *app) late(ctx context.Context) (told func() error, err error) {
	if a.Latency == 0 {
		return func() error { return nil }, nil
	}
	aws := trouble.Client{Base: a.State.Control()}
	f, err := aws.Order(ctx, trouble.Fault{
		Kind: trouble.KindLatency, Service: "elasticloadbalancing", Operation: "DeregisterTargets", Resource: a.group,
		Milliseconds: int(1000 * a.Latency), Count: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("delaying the controller: %w", err)
	}
	return func() error {
		hits, err := aws.End(context.WithoutCancel(ctx), f.ID)
		if err == nil && hits != 1 {
			err = fmt.Errorf("delaying the controller: %d calls were delayed", hits)
		}
		return err
	}, nil
}

// settled says what a rollout still waits for.
func (a *app) settled(old map[string]bool) error {
	h, fresh := a.targets.Of(a.group), 0
	for _, p := range a.pods.In(a.namespace) {
		if !old[p.UID] {
			if !p.Ready.IsZero() && p.Deleted.IsZero() {
				fresh++
			}
			continue
		}
		if p.Gone.IsZero() {
			return fmt.Errorf("pod %s is there", p.Name)
		}
		s := observe.Tell(p, h)
		if s.Draining.IsZero() || time.Since(s.Draining) < a.lag.Max+2*time.Second {
			return fmt.Errorf("nodes may send to pod %s", p.Name)
		}
		if !a.Kind.Point() && a.timings.Delay() < plan.DefaultDelay && s.Unused.IsZero() {
			return fmt.Errorf("the target of pod %s is draining", p.Name)
		}
	}
	if fresh != replicas {
		return fmt.Errorf("%d new pods of %d are ready", fresh, replicas)
	}
	return nil
}

// drained waits until no target of a pod that was deleted is listed.
func (a *app) drained(ctx context.Context) error {
	limit := time.Duration(a.timings.Delay())*time.Second + time.Minute
	return until(ctx, limit, time.Second, func() error {
		h := a.targets.Of(a.group)
		for _, p := range a.pods.In(a.namespace) {
			if !p.Deleted.IsZero() && observe.Tell(p, h).Unused.IsZero() {
				return fmt.Errorf("the target of pod %s is draining", p.Name)
			}
		}
		return nil
	})
}

// until asks again and again; the last answer is the error when the time is over.
func until(ctx context.Context, limit, every time.Duration, done func() error) error {
	for deadline := time.Now().Add(limit); ; {
		err := done()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %s still: %w", limit, err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(every):
		}
	}
}
