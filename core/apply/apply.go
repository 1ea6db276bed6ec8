// SPDX-License-Identifier: Apache-2.0

// Package apply writes manifests to a cluster: YAML goes in, and what changed
// comes out, with the UIDs of the pods that the change will replace. It
// returns when its writes are accepted; waiting for their effect is the gate's
// work. Every write is a server-side apply that is first asked for as a dry
// run: an object that would not change is not written at all.
package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/event"
)

// Cluster is what apply needs of an API server.
type Cluster interface {
	// Get reads one object; nil without an error when it does not exist.
	Get(ctx context.Context, apiVersion, kind, namespace, name string) (*unstructured.Unstructured, error)
	// List reads the objects of a kind that match a label selector.
	List(ctx context.Context, apiVersion, kind, namespace, labels string) ([]unstructured.Unstructured, error)
	// Apply server-side-applies an object, or tells what that would give.
	Apply(ctx context.Context, obj *unstructured.Unstructured, dryRun bool) (*unstructured.Unstructured, error)
}

// Options tune an Apply. The zero value is right for most.
type Options struct {
	// Routed names, by workload (Kind/namespace/name), the Services
	// (namespace/name) that a load balancer routes to. Before such a workload
	// is created, its target group bindings are waited for.
	Routed  map[string][]string
	Bound   time.Duration // longest wait for a binding; zero: 3 minutes
	Observe event.Func
}

// Action says what happened to an object.
type Action string

const (
	Created    Action = "created"
	Configured Action = "configured"
	Unchanged  Action = "unchanged"
)

// Change is one object and what happened to it.
type Change struct {
	Object string `json:"object"` // Kind/namespace/name
	Action Action `json:"action"`
}

// Rollout is what Apply did. It survives JSON.
type Rollout struct {
	Started   time.Time  `json:"started"`
	Changes   []Change   `json:"changes"`
	Workloads []Workload `json:"workloads"`
}

// Workload is one object that runs pods, as the API server accepted it.
type Workload struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	UID        string `json:"uid"`
	Generation int64  `json:"generation"`
	Action     Action `json:"action"`
	Replaced   []Pod  `json:"replaced,omitempty"` // pods that the new template replaces
}

// ID is how messages name the workload: Kind/namespace/name.
func (w Workload) ID() string { return w.Kind + "/" + w.Namespace + "/" + w.Name }

// Pod is one pod that is to be replaced.
type Pod struct {
	UID  string `json:"uid"`
	Name string `json:"name"`
	IP   string `json:"ip,omitempty"`
}

// concurrency is how many objects of a phase are written at once: a third of
// what the API server's fairness gives a plain user.
const concurrency = 16

// Check looks whether Apply could work, without a write: the YAML is parsed,
// the server knows the kinds, and it accepts each object whose namespace
// exists as a dry run.
func Check(ctx context.Context, cluster Cluster, manifests []byte) error {
	objects, err := parse(manifests)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	missing := map[string]bool{}
	return eachPhase(ctx, objects, func(ctx context.Context, obj *unstructured.Unstructured) error {
		mu.Lock()
		skip := missing[obj.GetNamespace()]
		mu.Unlock()
		if skip {
			return nil // its namespace comes with this very deploy
		}
		if obj.GetKind() == "Namespace" {
			live, err := cluster.Get(ctx, "v1", "Namespace", "", obj.GetName())
			if err == nil && live == nil {
				mu.Lock()
				missing[obj.GetName()] = true
				mu.Unlock()
			}
			return err
		}
		_, err := cluster.Apply(ctx, obj, true)
		return err
	})
}

// Apply writes the manifests in the order of the phases. On an error the
// Rollout tells what was already done; a second Apply goes on from there.
func Apply(ctx context.Context, cluster Cluster, manifests []byte, opt Options) (Rollout, error) {
	objects, err := parse(manifests)
	if err != nil {
		return Rollout{}, err
	}
	a := &applier{cluster: cluster, opt: opt, rollout: Rollout{Started: time.Now()}}
	err = eachPhase(ctx, objects, a.object)
	order := map[string]int{}
	for i, obj := range objects {
		order[id(obj)] = i
	}
	slices.SortFunc(a.rollout.Changes, func(x, y Change) int { return order[x.Object] - order[y.Object] })
	slices.SortFunc(a.rollout.Workloads, func(x, y Workload) int { return order[x.ID()] - order[y.ID()] })
	if err != nil {
		return a.rollout, fmt.Errorf("%w (%s; running again goes on from here)", err, a.rollout.summary())
	}
	return a.rollout, nil
}

// eachPhase calls do for every object, phase after phase, concurrently within
// one.
func eachPhase(ctx context.Context, objects []*unstructured.Unstructured, do func(context.Context, *unstructured.Unstructured) error) error {
	for phase := range phases {
		group, groupCtx := errgroup.WithContext(ctx)
		group.SetLimit(concurrency)
		for _, obj := range objects {
			if phaseOf(obj) == phase {
				group.Go(func() error { return do(groupCtx, obj) })
			}
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return nil
}

type applier struct {
	cluster Cluster
	opt     Options
	mu      sync.Mutex
	rollout Rollout
}

// object brings one object to what the manifests say.
func (a *applier) object(ctx context.Context, obj *unstructured.Unstructured) error {
	live, err := a.cluster.Get(ctx, obj.GetAPIVersion(), obj.GetKind(), obj.GetNamespace(), obj.GetName())
	if err != nil {
		return err
	}
	action, replaced := Created, []Pod(nil)
	if live != nil {
		next, err := a.cluster.Apply(ctx, obj, true)
		if err != nil {
			return err
		}
		if same(live, next) {
			a.done(live, Unchanged, nil)
			return nil
		}
		action = Configured
		if runsPods(obj.GetKind()) && !sameTemplate(live, next) {
			if replaced, err = podsOf(ctx, a.cluster, live); err != nil {
				return err
			}
		}
	} else if err := a.waitBound(ctx, obj); err != nil {
		return err
	}
	written, err := a.cluster.Apply(ctx, obj, false)
	if err != nil {
		return err
	}
	a.done(written, action, replaced)
	return nil
}

func (a *applier) done(obj *unstructured.Unstructured, action Action, replaced []Pod) {
	a.mu.Lock()
	a.rollout.Changes = append(a.rollout.Changes, Change{id(obj), action})
	if runsPods(obj.GetKind()) {
		a.rollout.Workloads = append(a.rollout.Workloads, Workload{
			APIVersion: obj.GetAPIVersion(), Kind: obj.GetKind(), Namespace: obj.GetNamespace(), Name: obj.GetName(),
			UID: string(obj.GetUID()), Generation: obj.GetGeneration(), Action: action, Replaced: replaced,
		})
	}
	a.mu.Unlock()
	message := string(action)
	if len(replaced) > 0 {
		message += fmt.Sprintf(", replaces %d pods", len(replaced))
	}
	a.opt.Observe.Emit(event.Event{Stage: "apply", Kind: event.Progress, Object: id(obj), Message: message})
}

func (r Rollout) summary() string {
	written := 0
	for _, c := range r.Changes {
		if c.Action != Unchanged {
			written++
		}
	}
	return fmt.Sprintf("%d objects were written before that", written)
}

// waitBound waits until the target group bindings of a new workload's Services
// exist. The controller's webhook gives readiness gates only to pods that are
// created after them, and without a gate a rollout does not wait for the
// balancer; so this is a condition of the write, not of its effect.
func (a *applier) waitBound(ctx context.Context, obj *unstructured.Unstructured) error {
	services := a.opt.Routed[id(obj)]
	if len(services) == 0 {
		return nil
	}
	limit := a.opt.Bound
	if limit == 0 {
		limit = 3 * time.Minute
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errUnbound)
	defer cancel()
	for {
		missing, err := unbound(ctx, a.cluster, services)
		if errors.Is(err, errNoBindings) {
			a.opt.Observe.Emit(event.Event{Stage: "apply", Kind: event.Warn, Object: id(obj),
				Message: "the cluster knows no TargetGroupBindings: is the AWS Load Balancer Controller installed? Its pods get no readiness gates"})
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err == nil && len(missing) == 0 {
			return nil
		}
		a.opt.Observe.Emit(event.Event{Stage: "apply", Kind: event.Progress, Object: id(obj),
			Message: fmt.Sprintf("not created yet: the controller has bound no target group to Service %v", missing)})
		select {
		case <-ctx.Done():
			return a.whyUnbound(ctx, obj, missing, limit)
		case <-time.After(time.Second):
		}
	}
}
