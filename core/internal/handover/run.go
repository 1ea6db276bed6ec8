// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/internal/manifest"
)

// World is what a handover does its steps with. Each function says in its error what
// it was at.
type World struct {
	Apply  func(ctx context.Context, manifests []byte) error
	Back   func(context.Context) error // widens the Services, and waits until pods that were turned away serve again
	Ready  func(context.Context) error // waits until the new pods serve
	Unused func(context.Context) error // waits until no target of an old pod is left, while it runs
	Gone   func(context.Context) error // waits until the rollout is complete, and the old pods are gone
	Say    func(step string)
}

// step is one, in words, and what it does. Back: when it fails, the Services are widened
// again, so that the old pods serve, or in an undo what replaces them will.
type step struct {
	say  string
	do   func(context.Context) error
	back bool
}

func (s Steps) all(w World) []step {
	write := func(manifests []byte) func(context.Context) error {
		return func(ctx context.Context) error { return w.Apply(ctx, manifests) }
	}
	widen := step{"the Services are as they are written", write(s.Widen), false}
	if s.undo {
		return []step{{"the new pods, which have drained, are deleted", w.Gone, true}, widen}
	}
	return []step{
		{"new pods come up beside the old ones", w.Ready, false},
		{"the Services turn to the new pods", write(s.Narrow), true},
		{"the old pods drain while they run", w.Unused, true},
		{"the old pods are deleted", write(s.Finish), true},
		{"the rollout ends", w.Gone, true},
		widen,
	}
}

// Run hands over, after Raise was applied, or ends what undoes a handover. What becomes of the Deployments when a step
// fails is the caller's to say.
func (s Steps) Run(ctx context.Context, w World) error {
	steps := s.all(w)
	for i, step := range steps {
		w.Say(fmt.Sprintf("handover, step %d of %d: %s", i+1, len(steps), step.say))
		err := step.do(ctx)
		if err == nil {
			continue
		}
		if step.back && ctx.Err() == nil {
			if widen := w.Back(ctx); widen != nil {
				err = errors.Join(err, fmt.Errorf("turning the Services to all pods again: %w", widen))
			}
		}
		return err
	}
	return nil
}

// Before gives the manifests that undo a handover where there is no earlier release
// to go back to: the Deployments as they were before it, read from the cluster.
func Before(live []*unstructured.Unstructured) ([]byte, error) {
	var objects []*unstructured.Unstructured
	for _, obj := range live {
		out := &unstructured.Unstructured{Object: map[string]any{"apiVersion": obj.GetAPIVersion(), "kind": obj.GetKind(), "spec": obj.DeepCopy().Object["spec"]}}
		out.SetNamespace(obj.GetNamespace())
		out.SetName(obj.GetName())
		out.SetLabels(obj.GetLabels())
		unstructured.RemoveNestedField(out.Object, "spec", "template", "metadata", "creationTimestamp")
		objects = append(objects, out)
	}
	return manifest.Stream(objects)
}
