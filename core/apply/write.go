// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"cmp"
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/apply/internal/access"
	"github.com/outlast-ci/outlast/core/apply/internal/objects"
	"github.com/outlast-ci/outlast/core/apply/internal/route"
	"github.com/outlast-ci/outlast/core/event"
)

// goneLimit is the longest wait for an object that is being deleted.
const goneLimit = time.Minute

// object brings one object to what the manifests say. What was written by
// somebody else since it was judged is judged again.
func (e *engine) object(ctx, waits context.Context, manifest, live *unstructured.Unstructured) error {
	var last *verdict
	for try := 0; ; try++ {
		v, err := e.judge(ctx, manifest, live)
		if err != nil {
			return objects.Hush(manifest, err)
		}
		e.follow(&v, last)
		err = e.perform(ctx, waits, &v)
		if err == nil {
			e.done(manifest, v)
			return nil
		}
		if !access.Stale(err) || try == access.Attempts {
			return objects.Hush(manifest, err)
		}
		if live, err = e.client.Again(ctx, v.obj, err, try); err != nil {
			return err
		}
		if v.live != nil && (live == nil || live.GetUID() != v.live.GetUID()) {
			e.tell(event.Warn, v.change.Object, "somebody deleted it during this deploy; it is made anew from the manifests")
		}
		last = &v
	}
}

// follow tells what was done by the try before, whose last write was refused
// because the object had changed. If it is now as it was to be, the answer to
// an earlier sending of that write was lost.
func (e *engine) follow(v, last *verdict) {
	switch {
	case last == nil:
	case v.change.Action == Unchanged:
		now := v.live
		*v = *last
		v.done, v.change.Object = true, objects.ID(now)
		e.wrote(v, now)
	case last.change.Action == Adopted && len(last.adopt) == 0:
		v.change.Action, v.change.Was, v.change.Lost, v.change.Unsure = Adopted, last.change.Was, last.change.Lost, last.change.Unsure
	}
}

// wrote takes down what a write gave.
func (e *engine) wrote(v *verdict, got *unstructured.Unstructured) {
	asked := v.next != nil
	v.next = got
	switch {
	case v.change.Action == Created:
		v.change.Object = objects.ID(got)
	case v.change.Action == Configured && !asked:
		e.compare(v)
	}
	if v.change.Unsure {
		e.settle(v)
	}
	v.replaces()
}

// perform does what was judged. A stale error means that nothing was written.
func (e *engine) perform(ctx, waits context.Context, v *verdict) (err error) {
	switch {
	case v.done, v.change.Action == Unchanged, v.change.Action == Held:
		return nil
	case objects.IsPreDeploy(v.obj):
		return e.runJob(ctx, waits, v)
	case v.live != nil && v.live.GetDeletionTimestamp() != nil:
		if err := e.client.Gone(waits, v.live, goneLimit, e.progress(v)); err != nil {
			return err
		}
		v.live = nil
	}
	if v.live == nil {
		if err := e.bound(waits, v.obj); err != nil {
			return err
		}
	}
	if v.rolls() {
		if v.pods, err = objects.PodsOf(ctx, e.cluster, v.live); err != nil {
			return err
		}
	}
	if err := e.takeOver(ctx, v); err != nil {
		return err
	}
	got, err := e.client.Write(ctx, v.obj, v.live)
	if err == nil {
		e.wrote(v, got)
	}
	return err
}

// bound waits for the target group bindings of a new workload.
func (e *engine) bound(ctx context.Context, obj *unstructured.Unstructured) error {
	services := e.opt.Routed[obj.GetKind()+"/"+obj.GetNamespace()+"/"+obj.GetName()].Services
	if len(services) == 0 {
		return nil
	}
	err := route.Bound(ctx, e.cluster, obj, services, cmp.Or(e.opt.Bound, route.Limit), func(text string) { e.tell(event.Progress, objects.ID(obj), text) })
	if errors.Is(err, route.ErrNoBindings) {
		e.tell(event.Warn, objects.ID(obj), "the cluster knows no TargetGroupBindings: is the AWS Load Balancer Controller installed? Its pods get no readiness gates")
		return nil
	}
	return err
}

// delays waits until the target groups show the deregistration delays that
// were written.
func (e *engine) delays(ctx context.Context) error {
	want := map[string]time.Duration{}
	for _, r := range e.opt.Routed {
		for _, s := range r.Services {
			if r.Delay > 0 {
				want[s] = r.Delay
			}
		}
	}
	if len(want) == 0 || e.opt.Groups == nil {
		return nil
	}
	err := route.Delays(ctx, e.cluster, e.opt.Groups, want, cmp.Or(e.opt.Bound, route.Limit), func(text string) { e.tell(event.Progress, "target groups", text) })
	if errors.Is(err, route.ErrNoBindings) {
		e.tell(event.Warn, "target groups", "the cluster knows no TargetGroupBindings: is the AWS Load Balancer Controller installed? Their deregistration delays are not known")
		return nil
	}
	return err
}
