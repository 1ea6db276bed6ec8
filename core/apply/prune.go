// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/apply/internal/access"
	"github.com/outlast-ci/outlast/core/apply/internal/job"
	"github.com/outlast-ci/outlast/core/apply/internal/objects"
	"github.com/outlast-ci/outlast/core/apply/internal/set"
	"github.com/outlast-ci/outlast/core/event"
)

// parent lets the parent of the set name all kinds and namespaces that its
// members have or will have, before there are such members. Only in the first
// phase its namespace may not be there yet.
func (e *engine) parent(ctx context.Context, all []*unstructured.Unstructured, phase int) error {
	if e.set == nil || e.parented {
		return nil
	}
	homes, err := e.homes(ctx, all)
	if err != nil {
		return err
	}
	err = e.writeParent(ctx, func(now set.Members) set.Members {
		for obj, namespace := range homes {
			now.Add(obj, namespace)
		}
		return now
	})
	if phase == 0 && access.NoNamespace(err) {
		return nil
	}
	e.parented = err == nil
	return err
}

// homes says in which namespaces the members are to be. Whether one of an
// unknown kind that names none lives in none is seen from the live object.
func (e *engine) homes(ctx context.Context, all []*unstructured.Unstructured) (map[*unstructured.Unstructured]string, error) {
	homes := map[*unstructured.Unstructured]string{}
	var ask []*unstructured.Unstructured
	for _, obj := range all {
		namespaced, known := objects.Scope(obj)
		switch {
		case !set.Joins(obj):
		case known && !namespaced:
			homes[obj] = ""
		case known || obj.GetNamespace() != "":
			homes[obj] = cmp.Or(obj.GetNamespace(), "default")
		default:
			ask = append(ask, obj)
		}
	}
	lives, err := e.client.Read(ctx, ask, false)
	for _, obj := range ask {
		if homes[obj] = "default"; lives[obj] != nil {
			homes[obj] = lives[obj].GetNamespace()
		}
	}
	return homes, err
}

// writeParent brings the parent to what change makes of it.
func (e *engine) writeParent(ctx context.Context, change func(set.Members) set.Members) error {
	for try := 0; ; try++ {
		live, err := e.cluster.Get(ctx, "v1", "ConfigMap", e.set.Namespace, e.set.Name)
		if err != nil {
			return err
		}
		now, err := e.set.Read(live)
		if err != nil {
			return err
		}
		want := e.set.Parent(change(now))
		if live != nil && set.SameParent(live, want) {
			return nil
		}
		if _, err = e.client.Write(ctx, want, live); !access.Stale(err) || try == access.Attempts {
			return err
		}
		if _, err = e.client.Again(ctx, want, err, try); err != nil {
			return err
		}
	}
}

// members is what belongs to the set.
type members struct {
	prune  []unstructured.Unstructured
	spared map[string]string // why, by Kind/namespace/name
	kept   []unstructured.Unstructured
}

// prunable lists the members of the set, and which of them no manifest has.
// Only kinds that the parent names are looked at.
func (e *engine) prunable(ctx context.Context, all []*unstructured.Unstructured) (m members, err error) {
	keep := map[string]bool{}
	for _, obj := range all {
		keep[set.Key(obj)] = true
	}
	for _, text := range e.opt.Keep {
		more, err := objects.Parse(text)
		if err != nil {
			return m, fmt.Errorf("the release whose objects are kept: %w", err)
		}
		for _, obj := range more {
			keep[set.Key(obj)] = true
		}
	}
	parent, err := e.cluster.Get(ctx, "v1", "ConfigMap", e.set.Namespace, e.set.Name)
	if err != nil {
		return m, err
	}
	now, err := e.set.Read(parent)
	if err != nil {
		return m, err
	}
	found, err := e.set.List(ctx, e.cluster, now)
	if err != nil {
		return m, err
	}
	m.spared = map[string]string{}
	for _, obj := range found {
		ok, why := set.Prunable(&obj)
		if e.opt.Undo && ok && objects.IsPreDeploy(&obj) && !job.Succeeded(&obj) {
			ok, why = false, "it did not succeed, and is there to be looked at until the next deploy"
		}
		switch {
		case keep[set.Key(&obj)]:
			m.kept = append(m.kept, obj)
		case !ok:
			m.kept = append(m.kept, obj)
			m.spared[objects.ID(&obj)] = why
		case obj.GetDeletionTimestamp() == nil:
			m.prune = append(m.prune, obj)
		}
	}
	return m, nil
}

// Prune deletes the members of opt.Set that neither the manifests nor those of
// opt.Keep have, what was written last first. It is for when the gate has
// passed. Namespaces and CustomResourceDefinitions, volumes and their claims,
// objects that have a controller and those whose annotation outlast/prune is
// "disabled" stay. On an error it tells what was deleted; a second Prune goes on.
func Prune(ctx context.Context, cluster Cluster, manifests []byte, opt Options) ([]Change, error) {
	all, err := objects.Parse(manifests) // which refuses to keep nothing
	if err != nil {
		return nil, err
	}
	if opt.Set == nil {
		return nil, errors.New("pruning: no set is given, so nothing is known to belong to the application")
	}
	e := newEngine(cluster, all, opt)
	m, err := e.prunable(ctx, all)
	if err != nil {
		return nil, fmt.Errorf("pruning: %w", err)
	}
	for name, why := range m.spared {
		e.tell(event.Note, name, "no manifest has it, and it stays: "+why)
	}
	if len(m.prune) > 0 && opt.Journal != nil {
		opt.Journal("prune")
	}
	var gone []Change
	for _, obj := range m.prune {
		if err := e.client.Delete(ctx, &obj); err != nil {
			return gone, fmt.Errorf("pruning: %w (%d of %d objects were deleted before that; running again goes on from here)", err, len(gone), len(m.prune))
		}
		gone = append(gone, Change{Object: objects.ID(&obj), Action: Pruned})
		e.tell(event.Progress, objects.ID(&obj), string(Pruned))
	}
	left := set.New()
	for _, obj := range m.kept {
		left.Add(&obj, obj.GetNamespace())
	}
	if len(m.kept) == 0 {
		return gone, nil // no set yet, or none that this program can see
	}
	return gone, e.writeParent(ctx, func(set.Members) set.Members { return left })
}
