// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/apply/internal/objects"
	"github.com/outlast-ci/outlast/core/apply/internal/route"
	"github.com/outlast-ci/outlast/core/event"
)

// read reads what there is of some objects: one list a kind and namespace, or
// the object itself where it is the only one, or where lists are forbidden.
// With wait, a kind that the manifests define is waited for until it is served.
func (e *engine) read(ctx context.Context, all []*unstructured.Unstructured, wait bool) (map[*unstructured.Unstructured]*unstructured.Unstructured, error) {
	type place struct{ apiVersion, kind, namespace string }
	places := map[place][]*unstructured.Unstructured{}
	for _, obj := range all {
		p := place{obj.GetAPIVersion(), obj.GetKind(), obj.GetNamespace()}
		places[p] = append(places[p], obj)
	}
	lives := map[*unstructured.Unstructured]*unstructured.Unstructured{}
	var errs error
	var group errgroup.Group // one failure hides no other
	group.SetLimit(concurrency)
	for p, some := range places {
		group.Go(func() error {
			var found []unstructured.Unstructured
			err := e.served(ctx, some[0], wait, func() (err error) {
				found, err = e.list(ctx, p.apiVersion, p.kind, p.namespace, some)
				return err
			})
			byName := map[string]*unstructured.Unstructured{}
			for i := range found {
				byName[found[i].GetName()] = &found[i]
			}
			e.mu.Lock()
			defer e.mu.Unlock()
			for _, obj := range some {
				if live := byName[obj.GetName()]; live != nil {
					lives[obj] = live
				}
			}
			if err != nil && !errors.Is(errs, err) {
				errs = errors.Join(errs, err)
			}
			return err
		})
	}
	if first := group.Wait(); first != nil && ctx.Err() != nil {
		return nil, first
	}
	return lives, errs
}

// list reads the objects of one kind in one namespace that some manifests name.
func (e *engine) list(ctx context.Context, apiVersion, kind, namespace string, some []*unstructured.Unstructured) (found []unstructured.Unstructured, err error) {
	if len(some) > 1 {
		if found, err = e.cluster.List(ctx, apiVersion, kind, namespace, ""); !apierrors.IsForbidden(err) {
			return found, err
		}
	}
	for _, obj := range some {
		live, err := e.cluster.Get(ctx, apiVersion, kind, namespace, obj.GetName())
		if err != nil {
			return nil, err
		}
		if live != nil {
			found = append(found, *live)
		}
	}
	return found, nil
}

// served asks, and again while the server does not serve a kind that it was
// just given: it needs a moment. Without wait there is nothing of that kind.
func (e *engine) served(ctx context.Context, obj *unstructured.Unstructured, wait bool, ask func() error) error {
	for tries := 30; ; tries-- {
		err := ask()
		if !meta.IsNoMatchError(err) || !e.own[obj.GroupVersionKind().GroupKind()] {
			return err
		}
		if !wait {
			return nil
		}
		if tries == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

func (e *engine) limit() time.Duration {
	if e.opt.Bound > 0 {
		return e.opt.Bound
	}
	return route.Limit
}

// bound waits for the target group bindings of a new workload.
func (e *engine) bound(ctx context.Context, obj *unstructured.Unstructured) error {
	services := e.opt.Routed[obj.GetKind()+"/"+obj.GetNamespace()+"/"+obj.GetName()].Services
	if len(services) == 0 {
		return nil
	}
	err := route.Bound(ctx, e.cluster, obj, services, e.limit(), func(text string) { e.tell(event.Progress, objects.ID(obj), text) })
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
	err := route.Delays(ctx, e.cluster, e.opt.Groups, want, e.limit(), func(text string) { e.tell(event.Progress, "target groups", text) })
	if errors.Is(err, route.ErrNoBindings) {
		e.tell(event.Warn, "target groups", "the cluster knows no TargetGroupBindings: is the AWS Load Balancer Controller installed? Their deregistration delays are not known")
		return nil
	}
	return err
}
