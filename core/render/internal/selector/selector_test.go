// SPDX-License-Identifier: Apache-2.0

package selector

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

func TestMatches(t *testing.T) {
	labels := map[string]string{"app": "web", "tier": "front", "empty": ""}
	for selector, want := range map[string]bool{
		"matchLabels: {app: web}":          true,
		"matchLabels: {app: web, tier: b}": false,
		"matchLabels: {gone: ''}":          false,
		"matchLabels: {empty: ''}":         true,
		"matchLabels: {}":                  true,
		"{}":                               true,
		"matchExpressions: []":             true,
		"matchExpressions: [{key: app, operator: In, values: [api, web]}]":                             true,
		"matchExpressions: [{key: app, operator: In, values: [api]}]":                                  false,
		"matchExpressions: [{key: gone, operator: In, values: ['']}]":                                  false,
		"matchExpressions: [{key: app, operator: NotIn, values: [api]}]":                               true,
		"matchExpressions: [{key: app, operator: NotIn, values: [web]}]":                               false,
		"matchExpressions: [{key: gone, operator: NotIn, values: [x]}]":                                true,
		"matchExpressions: [{key: app, operator: Exists}]":                                             true,
		"matchExpressions: [{key: gone, operator: Exists}]":                                            false,
		"matchExpressions: [{key: gone, operator: DoesNotExist}]":                                      true,
		"matchExpressions: [{key: app, operator: DoesNotExist}]":                                       false,
		"matchExpressions: [{key: app, operator: Unheard}]":                                            false,
		"{matchLabels: {app: web}, matchExpressions: [{key: tier, operator: NotIn, values: [front]}]}": false,
	} {
		if got := Of(yaml.MustParse(selector)).Matches(labels); got != want {
			t.Errorf("%s: %v", selector, got)
		}
	}
	if Of(nil).Matches(labels) || (Selector{none: true}).Matches(nil) {
		t.Error("no selector matches")
	}
}

// TestIndex: an index finds what asking each selector finds, in the same order.
func TestIndex(t *testing.T) {
	draw := func(t *rapid.T, what string) map[string]string {
		return rapid.MapOfN(rapid.SampledFrom([]string{"", "app", "tier", "rev"}), rapid.SampledFrom([]string{"", "a", "b"}), 0, 3).Draw(t, what)
	}
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		var x Index
		var all []Selector
		var objects []*yaml.RNode
		for i := range rapid.IntRange(0, 12).Draw(t, "selectors") {
			s := Selector{Labels: draw(t, "selector"), none: rapid.IntRange(0, 5).Draw(t, "absent") == 0}
			if rapid.Bool().Draw(t, "an expression") {
				s.expressions = []expression{{key: "rev", operator: "Exists"}}
			}
			all, objects = append(all, s), append(objects, yaml.NewStringRNode(fmt.Sprint(i)))
			x.Add(fmt.Sprint(i%2), s, objects[i])
		}
		labels := draw(t, "labels")
		for namespace := range 2 {
			var want []*yaml.RNode
			for i, s := range all {
				if i%2 == namespace && s.Matches(labels) {
					want = append(want, objects[i])
				}
			}
			found += len(want)
			if got := x.Matching(fmt.Sprint(namespace), labels); !slices.Equal(got, want) {
				t.Fatalf("%d objects, want %d", len(got), len(want))
			}
		}
	})
	if found == 0 {
		t.Error("nothing was found")
	}
}
