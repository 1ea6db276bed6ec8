// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/apply/internal/access"
	"github.com/outlast-ci/outlast/core/apply/internal/objects"
	"github.com/outlast-ci/outlast/core/apply/internal/owner"
	"github.com/outlast-ci/outlast/core/event"
)

// adoption judges the first apply to an object of another tool. What the tool
// had set and the manifests do not have goes away, as it would have when the
// tool itself no longer had it; the server's defaults then take its place. It
// takes two questions to know: what the object is once the fields have moved
// and the manifest is merged, and what is left of that without the others.
func (e *engine) adoption(ctx context.Context, v *verdict) error {
	v.change.Action, v.change.Was = Adopted, strings.Join(v.adopt, ",")
	moved, err := e.cluster.Adopt(ctx, v.live, v.adopt, true)
	if err != nil {
		return err
	}
	for range 2 { // the second time with replicas that are kept
		merged, err := e.merged(ctx, v)
		if err != nil {
			return err
		}
		v.next, v.change.Unsure, v.unsure = merged, false, false
		if rest := owner.Without(moved, merged); rest != nil {
			rest.SetManagedFields(nil)
			if v.next, err = e.cluster.Replaced(ctx, rest); apierrors.IsForbidden(err) {
				v.next, v.change.Unsure, err = rest, true, nil
				v.unsure = objects.SameTemplate(v.live, merged)
			}
			if err != nil {
				return err
			}
		}
		v.change.Fields, v.change.Lost = e.fields(v.live, merged), e.fields(merged, v.next)
		if !objects.KeepReplicas(v.obj, v.live, v.next) {
			return nil
		}
	}
	return nil
}

// merged is what an apply gives whose conflicts are only with those that are
// adopted; others are an error.
func (e *engine) merged(ctx context.Context, v *verdict) (*unstructured.Unstructured, error) {
	next, err := e.cluster.Apply(ctx, v.obj, true)
	if err != nil && access.ConflictsOnlyWith(err, v.adopt) {
		return e.cluster.Forced(ctx, v.obj)
	}
	return next, err
}

// takeOver moves the fields of an object. From then on it is ours, also when
// this run ends here.
func (e *engine) takeOver(ctx context.Context, v *verdict) error {
	if len(v.adopt) == 0 {
		return nil
	}
	var moved *unstructured.Unstructured
	err := e.client.Change(ctx, func(ctx context.Context) (err error) {
		moved, err = e.cluster.Adopt(ctx, v.live, v.adopt, false)
		return err
	})
	if err != nil {
		return err
	}
	if !objects.Same(v.live, moved) { // a webhook had its own idea
		e.tell(event.Note, v.change.Object, "adopting it changed more than who owns its fields")
	}
	v.live, v.adopt = moved, nil
	return nil
}

// settle says what an adoption took away, now that it is seen.
func (e *engine) settle(v *verdict) {
	gone := e.fields(v.live, v.next)
	v.change.Lost = slices.DeleteFunc(v.change.Lost, func(lost Field) bool {
		return !slices.ContainsFunc(gone, func(f Field) bool { return f.Path == lost.Path })
	})
	v.change.Unsure, v.unsure = false, false
}
