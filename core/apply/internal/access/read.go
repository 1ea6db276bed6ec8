// SPDX-License-Identifier: Apache-2.0

package access

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Read reads what there is of some objects: one list a kind and namespace, or
// the object itself where it is the only one, or where lists are forbidden.
// With wait, a kind that the manifests define is waited for until it is served.
func (c Client) Read(ctx context.Context, all []*unstructured.Unstructured, wait bool) (map[*unstructured.Unstructured]*unstructured.Unstructured, error) {
	type place struct{ apiVersion, kind, namespace string }
	places := map[place][]*unstructured.Unstructured{}
	for _, obj := range all {
		p := place{obj.GetAPIVersion(), obj.GetKind(), obj.GetNamespace()}
		places[p] = append(places[p], obj)
	}
	var mu sync.Mutex
	lives := map[*unstructured.Unstructured]*unstructured.Unstructured{}
	var errs error
	var group errgroup.Group // one failure hides no other
	group.SetLimit(AtOnce)
	for p, some := range places {
		group.Go(func() error {
			var found []unstructured.Unstructured
			err := c.served(ctx, some[0], wait, func() (err error) {
				found, err = c.list(ctx, p.apiVersion, p.kind, p.namespace, some)
				return err
			})
			byName := map[string]*unstructured.Unstructured{}
			for i := range found {
				byName[found[i].GetName()] = &found[i]
			}
			mu.Lock()
			defer mu.Unlock()
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
func (c Client) list(ctx context.Context, apiVersion, kind, namespace string, some []*unstructured.Unstructured) (found []unstructured.Unstructured, err error) {
	if len(some) > 1 {
		if found, err = c.Cluster.List(ctx, apiVersion, kind, namespace, ""); !apierrors.IsForbidden(err) {
			return found, err
		}
	}
	for _, obj := range some {
		live, err := c.Cluster.Get(ctx, apiVersion, kind, namespace, obj.GetName())
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
func (c Client) served(ctx context.Context, obj *unstructured.Unstructured, wait bool, ask func() error) error {
	for tries := 30; ; tries-- {
		err := ask()
		if !meta.IsNoMatchError(err) || !c.Own[obj.GroupVersionKind().GroupKind()] {
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
