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
	Back   func(ctx context.Context, manifests []byte) error // Apply, and waits until pods that were turned away serve again
	Ready  func(context.Context) error                       // waits until the new pods serve
	Unused func(context.Context) error                       // waits until no target of an old pod is left, while it runs
	Gone   func(context.Context) error                       // waits until the rollout is complete, and the old pods are gone
	Say    func(step string)
}

// Run hands over, after Raise was applied. When a step fails the Services are widened
// again, and the old pods serve; what becomes of the Deployments then is the
// caller's to say.
func (s Steps) Run(ctx context.Context, w World) error {
	steps := []struct {
		say string
		do  func(context.Context) error
	}{
		{"new pods come up beside the old ones", w.Ready},
		{"the Services turn to the new pods", func(ctx context.Context) error { return w.Apply(ctx, s.Narrow) }},
		{"the old pods drain while they run", w.Unused},
		{"the old pods are deleted", func(ctx context.Context) error { return w.Apply(ctx, s.Finish) }},
		{"the rollout ends", w.Gone},
		{"the Services are as they are written", func(ctx context.Context) error { return w.Apply(ctx, s.Widen) }},
	}
	for i, step := range steps {
		w.Say(fmt.Sprintf("handover, step %d of %d: %s", i+1, len(steps), step.say))
		err := step.do(ctx)
		if err == nil {
			continue
		}
		if i > 0 && i < len(steps)-1 && ctx.Err() == nil {
			if widen := w.Back(ctx, s.Widen); widen != nil {
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
