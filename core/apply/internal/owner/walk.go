// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"reflect"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// covers compares one level: set is what is owned below it.
func covers(set, others *fieldpath.Set, want, have any) bool {
	switch want := want.(type) {
	case map[string]any:
		live, ok := have.(map[string]any)
		return ok && coversMap(set, others, want, live)
	case []any:
		live, ok := have.([]any)
		return ok && coversList(set, others, want, live)
	}
	return false // owned below a scalar
}

func coversMap(set, others *fieldpath.Set, want, have map[string]any) bool {
	for _, pe := range elements(set) {
		if pe.FieldName == nil {
			return false
		}
		if _, ok := want[*pe.FieldName]; !ok {
			return false // the manifest gave it up
		}
	}
	for k, v := range want {
		live, there := have[k]
		if !there || !coversOne(set, others, fieldpath.FieldNameElement(k), v, live) {
			return false
		}
	}
	return true
}

// coversList finds the members by their keys or values, in the same order.
func coversList(set, others *fieldpath.Set, want, have []any) bool {
	found := make([]int, len(want)) // where in have, plus one
	for _, pe := range elements(set) {
		i, j := position(want, pe), position(have, pe)
		if i < 0 || j < 0 || found[i] != 0 || !coversOne(set, others, pe, want[i], have[j]) {
			return false
		}
		found[i] = j + 1
	}
	last := 0
	for _, at := range found {
		if at <= last {
			return false
		}
		last = at
	}
	return true
}

func coversOne(set, others *fieldpath.Set, pe fieldpath.PathElement, want, have any) bool {
	theirs, shared := others.Children.Get(pe)
	if !shared {
		theirs = &fieldpath.Set{}
	}
	if below, ok := set.Children.Get(pe); ok {
		return covers(below, theirs, want, have)
	}
	// A map or list that is owned as a whole is atomic, or was empty when it was applied:
	// then others may own what is below it now.
	return set.Members.Has(pe) && !shared && reflect.DeepEqual(want, have)
}

// elements are what is owned at one level, each once.
func elements(set *fieldpath.Set) (all []fieldpath.PathElement) {
	for pe := range set.Members.All() {
		all = append(all, pe)
	}
	for pe := range set.Children.All() {
		if !set.Members.Has(pe) {
			all = append(all, pe)
		}
	}
	return all
}

// position is the index of the one member that pe means; -1: none, or several.
func position(list []any, pe fieldpath.PathElement) int {
	at := -1
	for i, v := range list {
		if !means(pe, i, v) {
			continue
		}
		if at >= 0 {
			return -1
		}
		at = i
	}
	return at
}

func means(pe fieldpath.PathElement, i int, v any) bool {
	switch {
	case pe.Index != nil:
		return *pe.Index == i
	case pe.Value != nil:
		return value.Equals(*pe.Value, value.NewValueInterface(v))
	case pe.Key != nil:
		m, ok := v.(map[string]any)
		for _, k := range *pe.Key {
			field, there := m[k.Name]
			if !there && k.Name == "protocol" {
				field, there = "TCP", true // the default of a port's key, in all of Kubernetes
			}
			ok = ok && there && value.Equals(k.Value, value.NewValueInterface(field))
		}
		return ok
	}
	return false
}

// strip gives v without what is lost. What is lost itself goes as a whole,
// unless something below it is kept.
func strip(lost, kept *fieldpath.Set, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, pe := range elements(lost) {
			if pe.FieldName == nil {
				continue
			}
			inner, gone := part(lost, kept, pe, v[*pe.FieldName])
			if _, there := v[*pe.FieldName]; there {
				v[*pe.FieldName] = inner
			}
			if gone {
				delete(v, *pe.FieldName)
			}
		}
		return v
	case []any:
		left := make([]any, 0, len(v))
	members:
		for i, member := range v {
			for _, pe := range elements(lost) {
				if !means(pe, i, member) {
					continue
				}
				inner, gone := part(lost, kept, pe, member)
				if member = inner; gone {
					continue members
				}
			}
			left = append(left, member)
		}
		return left
	}
	return v
}

// part is what is left of one element, and whether it goes as a whole.
func part(lost, kept *fieldpath.Set, pe fieldpath.PathElement, v any) (left any, gone bool) {
	keptBelow, ok := kept.Children.Get(pe)
	if !ok {
		keptBelow = &fieldpath.Set{}
	}
	if lost.Members.Has(pe) && keptBelow.Empty() {
		return nil, true
	}
	if below, ok := lost.Children.Get(pe); ok {
		v = strip(below, keptBelow, v)
	}
	return v, false
}
