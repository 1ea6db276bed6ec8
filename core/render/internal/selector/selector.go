// SPDX-License-Identifier: Apache-2.0

// Package selector tells which labels a label selector matches, and, of many
// selectors, which match some labels.
package selector

import (
	"maps"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// Selector is a label selector, as policies and workloads have it.
type Selector struct {
	Labels      map[string]string // that are asked for
	expressions []expression
	none        bool
}

type expression struct {
	key, operator string
	values        []string
}

// Of reads a selector. One that is absent matches nothing, an empty one everything.
func Of(n *yaml.RNode) Selector {
	s := Selector{Labels: node.Strings(n, "matchLabels"), none: n == nil}
	for _, e := range node.Elements(n, "matchExpressions") {
		x := expression{key: node.Str(e, "key"), operator: node.Str(e, "operator")}
		for _, v := range node.Elements(e, "values") {
			x.values = append(x.values, v.YNode().Value)
		}
		s.expressions = append(s.expressions, x)
	}
	return s
}

// Matches tells whether the selector matches labels.
func (s Selector) Matches(labels map[string]string) bool {
	if s.none {
		return false
	}
	for k, v := range s.Labels {
		if have, ok := labels[k]; !ok || have != v {
			return false
		}
	}
	return !slices.ContainsFunc(s.expressions, func(x expression) bool { return !x.matches(labels) })
}

func (x expression) matches(labels map[string]string) bool {
	have, ok := labels[x.key]
	listed := ok && slices.Contains(x.values, have)
	switch x.operator {
	case "In":
		return listed
	case "NotIn":
		return !listed
	case "Exists":
		return ok
	case "DoesNotExist":
		return !ok
	}
	return false
}

// Index finds the objects of a namespace whose selectors match some labels. The zero
// value is empty.
type Index struct {
	all   []entry
	under map[label][]int // by one label that each asks for; "" of those that ask for none
}

type entry struct {
	selector Selector
	object   *yaml.RNode
}

type label struct{ namespace, key, value string }

// Add takes an object with its selector.
func (x *Index) Add(namespace string, s Selector, object *yaml.RNode) {
	if x.under == nil {
		x.under = map[label][]int{}
	}
	at := label{namespace: namespace}
	if len(s.Labels) > 0 {
		at.key = slices.Min(slices.Collect(maps.Keys(s.Labels)))
		at.value = s.Labels[at.key]
	}
	x.under[at] = append(x.under[at], len(x.all))
	x.all = append(x.all, entry{s, object})
}

// Matching lists the objects whose selectors match, in the order in which they came.
func (x *Index) Matching(namespace string, labels map[string]string) (objects []*yaml.RNode) {
	found := slices.Clone(x.under[label{namespace: namespace}])
	for k, v := range labels {
		found = append(found, x.under[label{namespace, k, v}]...)
	}
	slices.Sort(found)
	for _, i := range slices.Compact(found) { // a label without a name is the same as none
		if x.all[i].selector.Matches(labels) {
			objects = append(objects, x.all[i].object)
		}
	}
	return objects
}
