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
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

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
// exists as a dry run. A kind or namespace that comes with the manifests
// themselves need not be there yet.
func Check(ctx context.Context, cluster Cluster, manifests []byte) error {
	objects, err := parse(manifests)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	missing, own := map[string]bool{}, defined(objects)
	return eachPhase(ctx, objects, func(ctx, _ context.Context, obj *unstructured.Unstructured) error {
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
			if err != nil {
				return err
			}
		}
		_, err := cluster.Apply(ctx, obj, true)
		if meta.IsNoMatchError(err) && own[obj.GroupVersionKind().GroupKind()] {
			return nil
		}
		return hush(obj, err)
	})
}

// Apply writes the manifests in the order of the phases. On an error the
// Rollout tells what was already done; a second Apply goes on from there.
func Apply(ctx context.Context, cluster Cluster, manifests []byte, opt Options) (Rollout, error) {
	objects, err := parse(manifests)
	if err != nil {
		return Rollout{}, err
	}
	rollout := Rollout{Started: time.Now()}
	a := &applier{cluster: cluster, opt: opt, own: defined(objects), changes: map[*unstructured.Unstructured]Change{}, workloads: map[*unstructured.Unstructured]Workload{}}
	err = eachPhase(ctx, objects, a.object)
	for _, obj := range objects { // in the order of the manifests, not in that of the answers
		if c, ok := a.changes[obj]; ok {
			rollout.Changes = append(rollout.Changes, c)
		}
		if w, ok := a.workloads[obj]; ok {
			rollout.Workloads = append(rollout.Workloads, w)
		}
	}
	if err != nil {
		return rollout, fmt.Errorf("%w (%s; running again goes on from here)", err, rollout.summary())
	}
	return rollout, nil
}

// eachPhase calls do for every object, phase after phase, concurrently within
// one. The first failure ends the waits but no request: a write cut short may
// have been accepted without our knowing, and what else fails is told as well.
func eachPhase(ctx context.Context, objects []*unstructured.Unstructured, do func(ctx, waits context.Context, obj *unstructured.Unstructured) error) error {
	for phase := range phases {
		group, waits := errgroup.WithContext(ctx)
		group.SetLimit(concurrency)
		errs := make([]error, len(objects))
		for i, obj := range objects {
			if phaseOf(obj) != phase {
				continue
			}
			group.Go(func() error {
				if errs[i] = context.Cause(ctx); errs[i] == nil {
					errs[i] = do(ctx, waits, obj)
				}
				return errs[i]
			})
		}
		if first := group.Wait(); first != nil && ctx.Err() != nil {
			return first // the others were cut short too, and have no more to tell
		}
		var all error
		for _, err := range errs {
			if err != nil && !errors.Is(all, err) { // an ended wait gives the failure that ended it
				all = errors.Join(all, err)
			}
		}
		if all != nil {
			return all
		}
	}
	return nil
}

type applier struct {
	cluster   Cluster
	opt       Options
	own       map[schema.GroupKind]bool // kinds that the manifests define
	mu        sync.Mutex
	changes   map[*unstructured.Unstructured]Change
	workloads map[*unstructured.Unstructured]Workload
}

// object brings one object to what the manifests say.
func (a *applier) object(ctx, waits context.Context, obj *unstructured.Unstructured) error {
	live, err := a.find(ctx, waits, obj)
	if err != nil {
		return err
	}
	action, replaced := Created, []Pod(nil)
	if live != nil {
		next, err := a.cluster.Apply(ctx, obj, true)
		if err == nil && keepReplicas(obj, live, next) {
			next, err = a.cluster.Apply(ctx, obj, true)
		}
		if err != nil {
			return hush(obj, err)
		}
		if same(live, next) {
			a.done(obj, live, Unchanged, nil)
			return nil
		}
		action = Configured
		if runsPods(obj.GetKind()) && !sameTemplate(live, next) {
			if replaced, err = podsOf(ctx, a.cluster, live, next); err != nil {
				return err
			}
		}
	} else if err := a.waitBound(waits, obj); err != nil {
		return err
	}
	written, err := a.cluster.Apply(ctx, obj, false)
	if err != nil {
		return hush(obj, err)
	}
	a.done(obj, written, action, replaced)
	return nil
}

// keepReplicas leaves the number of pods to whoever decides it: a manifest that
// no longer has it, since an autoscaler came, would take the field away, and the
// server's default of 1 would end all pods but one. Writing the live value once more changes
// nothing, and the autoscaler's next decision takes the field over.
func keepReplicas(obj, live, next *unstructured.Unstructured) bool {
	if _, written, _ := unstructured.NestedFieldNoCopy(obj.Object, "spec", "replicas"); written || !slices.Contains([]string{"Deployment", "StatefulSet", "ReplicaSet", "Rollout"}, obj.GetKind()) {
		return false
	}
	now, ok, _ := unstructured.NestedInt64(live.Object, "spec", "replicas")
	then, _, _ := unstructured.NestedInt64(next.Object, "spec", "replicas")
	return ok && now != then && unstructured.SetNestedField(obj.Object, now, "spec", "replicas") == nil
}

// find reads what there is of an object. A server needs a moment before it
// serves a kind that it was just given.
func (a *applier) find(ctx, waits context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	for tries := 30; ; tries-- {
		live, err := a.cluster.Get(ctx, obj.GetAPIVersion(), obj.GetKind(), obj.GetNamespace(), obj.GetName())
		if !meta.IsNoMatchError(err) || !a.own[obj.GroupVersionKind().GroupKind()] || tries == 0 {
			return live, err
		}
		select {
		case <-waits.Done():
			return nil, context.Cause(waits)
		case <-time.After(time.Second):
		}
	}
}

// done takes down what became of an object, as the server gave it.
func (a *applier) done(manifest, obj *unstructured.Unstructured, action Action, replaced []Pod) {
	a.mu.Lock()
	a.changes[manifest] = Change{id(obj), action}
	if runsPods(obj.GetKind()) {
		a.workloads[manifest] = Workload{
			APIVersion: obj.GetAPIVersion(), Kind: obj.GetKind(), Namespace: obj.GetNamespace(), Name: obj.GetName(),
			UID: string(obj.GetUID()), Generation: obj.GetGeneration(), Action: action, Replaced: replaced,
		}
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
	services := a.opt.Routed[obj.GetKind()+"/"+obj.GetNamespace()+"/"+obj.GetName()]
	if len(services) == 0 {
		return nil
	}
	limit := a.opt.Bound
	if limit == 0 {
		limit = 3 * time.Minute
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errUnbound)
	defer cancel()
	missing := services
	for {
		seen, err := unbound(ctx, a.cluster, services)
		if errors.Is(err, errNoBindings) {
			a.opt.Observe.Emit(event.Event{Stage: "apply", Kind: event.Warn, Object: id(obj),
				Message: "the cluster knows no TargetGroupBindings: is the AWS Load Balancer Controller installed? Its pods get no readiness gates"})
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err == nil && len(seen) == 0 {
			return nil
		}
		if err == nil { // else the limit cut the look short, and the last whole one counts
			missing = seen
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
