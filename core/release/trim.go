// SPDX-License-Identifier: Apache-2.0

package release

import (
	"cmp"
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// DefaultKeep is how many revisions Trim keeps unless told otherwise.
const DefaultKeep = 10

// orphaned is the age at which chunks that no revision names are nobody's: a
// Begin under way takes seconds.
const orphaned = time.Hour

// Trim deletes all but the newest revisions (keep; 0: DefaultKeep). The newest
// that passed is kept in any case: a rollback needs it. What a killed Begin or
// Trim left is deleted too. Call it under the lock.
func (h *History) Trim(ctx context.Context, keep int) error {
	done, err := h.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := h.trim(ctx, max(1, cmp.Or(keep, DefaultKeep))); err != nil {
		return fmt.Errorf("deleting old revisions of %s: %w", h.app, err)
	}
	return nil
}

func (h *History) trim(ctx context.Context, keep int) error {
	all, err := h.store.List(ctx, secretVersion, secretKind, h.app.Namespace, labelApp+"="+h.app.Name) // heads and chunks of one moment
	if err != nil {
		return err
	}
	named, passed := map[string]bool{}, false // by content
	for i, found := range h.take(all) {
		labels := found.obj.GetLabels() // they tell even of a head that this outlast cannot read
		newestPassed := !passed && labels[labelState] == string(Passed)
		if passed = passed || newestPassed; i < keep || newestPassed {
			named[labels[labelContent]] = true
			continue
		}
		if err := h.delete(ctx, found.obj); err != nil { // before its chunks: a revision that is there is whole
			return err
		}
		named[labels[labelContent]] = false
	}
	for i := range all {
		labels := all[i].GetLabels()
		kept, known := named[labels[labelContent]]
		_, chunk := labels[labelChunk]
		kind, _, _ := unstructured.NestedString(all[i].Object, "type")
		young := time.Since(all[i].GetCreationTimestamp().Time) < orphaned
		if !chunk || kind != secretType || kept || !known && young {
			continue
		}
		if err := h.delete(ctx, &all[i]); err != nil {
			return err
		}
	}
	return nil
}

// delete removes a Secret; what is another of that name by now, is not ours to delete.
func (h *History) delete(ctx context.Context, obj *unstructured.Unstructured) error {
	err := h.store.Delete(ctx, secretVersion, secretKind, obj.GetNamespace(), obj.GetName(), obj.GetUID())
	if apierrors.IsConflict(err) {
		return nil
	}
	return err
}
