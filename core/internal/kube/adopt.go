// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/csaupgrade"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// helm is Helm's field manager, and releaseFields are what it finds its own
// objects by.
const helm = "helm"

func releaseFields() *fieldpath.Set {
	return fieldpath.NewSet(
		fieldpath.MakePathOrDie("metadata", "annotations", "meta.helm.sh/release-name"),
		fieldpath.MakePathOrDie("metadata", "annotations", "meta.helm.sh/release-namespace"))
}

// Migrate hands the fields that other managers wrote to the server-side apply
// of Outlast, as `kubectl apply --server-side` does with those of the
// client-side apply. Only obj's managed fields change. What tells Helm its own
// objects stays Helm's.
func Migrate(obj *unstructured.Unstructured, managers []string) error {
	fields := obj.GetManagedFields()
	ofHelm := false
	for i, f := range fields {
		if f.Subresource == "" && slices.Contains(managers, f.Manager) {
			fields[i].Operation = metav1.ManagedFieldsOperationUpdate // csaupgrade looks for these; Helm 4 and kubectl apply server-side, too
			ofHelm = ofHelm || f.Manager == helm
		}
	}
	obj.SetManagedFields(fields)
	for _, m := range managers { // one by one: csaupgrade takes several in random order
		if err := csaupgrade.UpgradeManagedFields(obj, sets.New(m), FieldManager); err != nil {
			return fmt.Errorf("moving the fields of %s that %s manages: %w", id(obj.GetKind(), obj.GetNamespace(), obj.GetName()), m, err)
		}
	}
	if !ofHelm {
		return nil
	}
	fields = obj.GetManagedFields()
	for i, f := range fields {
		if f.Manager != FieldManager || f.Operation != metav1.ManagedFieldsOperationApply || f.Subresource != "" {
			continue
		}
		back, err := give(&fields[i], releaseFields())
		if err != nil {
			return err
		}
		if back != nil {
			obj.SetManagedFields(append(fields, *back))
		}
		return nil
	}
	return nil
}

// give takes fields out of a manager's entry and makes one of Helm's with them.
func give(entry *metav1.ManagedFieldsEntry, fields *fieldpath.Set) (*metav1.ManagedFieldsEntry, error) {
	all := &fieldpath.Set{}
	if err := all.FromJSON(entry.FieldsV1.GetRawReader()); err != nil {
		return nil, fmt.Errorf("reading the fields that %s manages: %w", entry.Manager, err)
	}
	given := all.Intersection(fields)
	if given.Empty() {
		return nil, nil
	}
	back := entry.DeepCopy()
	back.Manager, back.Operation = helm, metav1.ManagedFieldsOperationUpdate
	rest := all.Difference(given)
	if home := fieldpath.MakePathOrDie("metadata", "annotations"); all.Has(home) { // both: whoever gives up the mapping alone would take all of it away
		given.Insert(home)
	}
	for e, set := range map[*metav1.ManagedFieldsEntry]*fieldpath.Set{entry: rest, back: given} {
		text, err := set.ToJSON()
		if err != nil {
			return nil, fmt.Errorf("writing the fields that %s manages: %w", e.Manager, err)
		}
		e.FieldsV1 = metav1.NewFieldsV1(string(text))
	}
	return back, nil
}

// Adopt writes what Migrate makes of an object as it was read, or asks what
// that would give (dryRun). No value changes, and an object that was written
// since is refused as a conflict.
func (c *Client) Adopt(ctx context.Context, live *unstructured.Unstructured, managers []string, dryRun bool) (*unstructured.Unstructured, error) {
	what := id(live.GetKind(), live.GetNamespace(), live.GetName())
	r, err := c.resource(ctx, "adopting "+what, live.GetAPIVersion(), live.GetKind(), live.GetNamespace())
	if err != nil {
		return nil, err
	}
	next := live.DeepCopy()
	if err := Migrate(next, managers); err != nil {
		return nil, err
	}
	if reflect.DeepEqual(live.GetManagedFields(), next.GetManagedFields()) {
		return live, nil
	}
	body, err := json.Marshal([]map[string]any{
		{"op": "replace", "path": "/metadata/managedFields", "value": next.GetManagedFields()},
		{"op": "replace", "path": "/metadata/resourceVersion", "value": live.GetResourceVersion()},
	})
	if err != nil {
		return nil, fmt.Errorf("writing the managed fields of %s as JSON: %w", what, err)
	}
	got, err := r.Patch(ctx, live.GetName(), types.JSONPatchType, body, metav1.PatchOptions{FieldManager: FieldManager, DryRun: dry(dryRun)})
	if err != nil {
		return nil, c.explain(err, "adopting", what)
	}
	return got, nil
}

// Forced asks what an apply would give that took each field from its owner.
// It only asks: Outlast takes none.
func (c *Client) Forced(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	force := true
	return c.patch(ctx, obj, metav1.PatchOptions{FieldManager: FieldManager, FieldValidation: metav1.FieldValidationStrict, Force: &force, DryRun: dry(true)})
}

// Replaced asks what the server would make of an object that is written as a
// whole: defaults, admission. It only asks.
func (c *Client) Replaced(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	what := id(obj.GetKind(), obj.GetNamespace(), obj.GetName())
	r, err := c.resource(ctx, "asking about "+what, obj.GetAPIVersion(), obj.GetKind(), obj.GetNamespace())
	if err != nil {
		return nil, err
	}
	got, err := r.Update(ctx, obj, metav1.UpdateOptions{FieldManager: FieldManager, DryRun: dry(true)})
	if err != nil {
		return nil, c.explain(err, "asking about", what)
	}
	return got, nil
}

func dry(run bool) []string {
	if run {
		return []string{metav1.DryRunAll}
	}
	return nil
}
