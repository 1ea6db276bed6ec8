// SPDX-License-Identifier: Apache-2.0

// Package owner reads metadata.managedFields: which manager set which field.
// It tells without asking the server when an apply would change nothing, and
// what an apply will take away from an object that another tool made.
package owner

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Manager is the field manager that the cluster's Apply writes as.
const Manager = "outlast"

// Defaults are the field managers whose objects are adopted: kubectl's
// client-side apply by all its names, kubectl apply --server-side, and Helm.
func Defaults() []string {
	return []string{"kubectl-client-side-apply", "kubectl", "before-first-apply", "helm"}
}

// Others lists those of the managers that wrote an object which Outlast never
// applied. Afterwards, what they write is theirs: taking it would hide a
// change that somebody made by hand.
func Others(live *unstructured.Unstructured, managers []string) (found []string) {
	if Ours(live) {
		return nil
	}
	for _, m := range managers {
		if slices.ContainsFunc(live.GetManagedFields(), func(f metav1.ManagedFieldsEntry) bool { return f.Manager == m && f.Subresource == "" }) {
			found = append(found, m)
		}
	}
	return found
}

// Ours tells whether Outlast has applied an object, and owns something of it still.
func Ours(live *unstructured.Unstructured) bool {
	return slices.ContainsFunc(live.GetManagedFields(), ours)
}

func ours(f metav1.ManagedFieldsEntry) bool {
	return f.Manager == Manager && f.Operation == metav1.ManagedFieldsOperationApply && f.Subresource == ""
}

// applied reads what Outlast owns of an object, in one version. Not ok: it is
// not known, or is nothing.
func applied(obj *unstructured.Unstructured) (set *fieldpath.Set, version string, ok bool) {
	for _, f := range obj.GetManagedFields() {
		if !ours(f) {
			continue
		}
		if set != nil || f.FieldsV1 == nil { // two versions
			return nil, "", false
		}
		set, version = &fieldpath.Set{}, f.APIVersion
		if err := set.FromJSON(f.FieldsV1.GetRawReader()); err != nil {
			return nil, "", false
		}
	}
	return set, version, set != nil
}

// Moves tells whether an apply that changes no value would still change what
// Outlast owns: it gives up fields that the manifests no longer have, or that
// came with an adoption.
func Moves(live, next *unstructured.Unstructured) bool {
	a, _, before := applied(live)
	b, _, after := applied(next)
	return before && after && !a.Equals(b)
}

// Covers tells that an apply of the manifest would change nothing: Outlast owns
// exactly the fields that it sets, and they have its values. In doubt it is
// false, which only costs a question.
func Covers(live, manifest *unstructured.Unstructured) bool {
	want := wanted(manifest)
	if len(want) == 0 && !Ours(live) {
		return true // it sets nothing, and nothing is ours: a Namespace, say
	}
	set, version, ok := applied(live)
	return ok && version == manifest.GetAPIVersion() && covers(set, theirs(live), want, live.Object)
}

// theirs reads what all others own of an object; what cannot be read is left out.
func theirs(obj *unstructured.Unstructured) *fieldpath.Set {
	all := &fieldpath.Set{}
	for _, f := range obj.GetManagedFields() {
		other := &fieldpath.Set{}
		if ours(f) || f.FieldsV1 == nil {
			continue
		}
		if err := other.FromJSON(f.FieldsV1.GetRawReader()); err == nil {
			all = all.Union(other)
		}
	}
	return all
}

// wanted is what a manifest sets and a manager can own.
func wanted(manifest *unstructured.Unstructured) map[string]any {
	want := map[string]any{}
	for k, v := range manifest.Object {
		switch k {
		case "apiVersion", "kind": // nobody's
		case "metadata":
			meta := map[string]any{}
			from, _ := v.(map[string]any)
			for k, v := range from {
				if k != "name" && k != "namespace" {
					meta[k] = v
				}
			}
			if len(meta) > 0 {
				want[k] = meta
			}
		default:
			want[k] = v
		}
	}
	return want
}

// Without is an object without the fields that an apply takes away: before was
// migrated, after is what an apply of the manifest to an object that was not
// would give. Nil: there are none.
func Without(before, after *unstructured.Unstructured) *unstructured.Unstructured {
	had, _, ok := applied(before)
	if !ok {
		return nil
	}
	kept := &fieldpath.Set{}
	if has, _, ok := applied(after); ok {
		kept = has
	}
	kept = kept.Union(theirs(before))
	lost := had.Difference(kept)
	if lost.Empty() {
		return nil
	}
	next := after.DeepCopy()
	next.Object, _ = strip(lost, kept, next.Object).(map[string]any)
	return next
}
