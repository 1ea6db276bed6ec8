// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/outlast-ci/outlast/core/apply/internal/objects"
	"github.com/outlast-ci/outlast/core/apply/internal/owner"
)

const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: dev}\ndata: {k: aHVudGVyMjI=, l: c2FtZQ==}\n"

// TestDiff: the plan says what an Apply then does, and writes nothing.
func TestDiff(t *testing.T) {
	before := web + "---\n" + configMap("c", "v") + "---\n" + secret + "---\n" + configMap("same", "v")
	after := strings.NewReplacer("sha256:1", "sha256:2", "{k: v}\n---\napiVersion: v1\nkind: Secret", "{k: w, l: x}\n---\napiVersion: v1\nkind: Secret", "aHVudGVyMjI=", "aHVudGVyMjM=").Replace(before) + "---\n" + configMap("new", "v")
	s := running(t, before)
	opt := Options{Key: []byte("key")}
	version := s.version
	plan, err := Diff(t.Context(), s, []byte(after), opt)
	if err != nil || len(s.writes)+len(s.adopted)+len(s.deleted) > 0 || s.version != version {
		t.Fatalf("%v, and wrote %v", err, s.writes)
	}
	lists := 0
	s.before = func(_ context.Context, verb, _, _ string) error {
		if verb == "list" || verb == "get" {
			s.mu.Lock()
			lists++
			s.mu.Unlock()
		}
		return nil
	}
	want := []Change{
		{Object: "Deployment/dev/web", Action: Configured, Fields: []Field{{Path: "spec.template.spec.containers[name=web].image", From: `"shop/web@sha256:1"`, To: `"shop/web@sha256:2"`}}},
		{Object: "ConfigMap/dev/c", Action: Configured, Fields: []Field{{Path: "data.k", From: `"v"`, To: `"w"`}, {Path: "data.l", To: `"x"`}}},
		{Object: "Secret/dev/s", Action: Configured, Fields: []Field{{Path: "data.k", From: "hash:" + plan.Changes[2].Fields[0].From[5:], To: "hash:" + plan.Changes[2].Fields[0].To[5:]}}},
		{Object: "ConfigMap/dev/same", Action: Unchanged},
		{Object: "ConfigMap/dev/new", Action: Created},
	}
	if diff := cmp.Diff(want, plan.Changes); diff != "" {
		t.Error(diff)
	}
	if f := plan.Changes[2].Fields[0]; f.From == f.To || len(f.From) != 21 {
		t.Errorf("the Secret's value is shown as %+v", f)
	}
	if w := plan.Workloads; len(w) != 1 || w[0].Generation != 2 || w[0].UID != "web-uid" || len(w[0].Replaced) != 2 {
		t.Errorf("workloads %+v", w)
	}
	text, err := json.Marshal(plan)
	if err != nil || strings.Contains(string(text), "aHVudGVy") || strings.Contains(string(text), "hunter") {
		t.Errorf("%s, %v", text, err)
	}
	var back Plan
	if err := json.Unmarshal(text, &back); err != nil || !cmp.Equal(plan, back) {
		t.Errorf("JSON gives %+v, %v", back, err)
	}
	rollout, err := Apply(t.Context(), s, []byte(after), opt)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plan.Changes, rollout.Changes); diff != "" {
		t.Errorf("the plan and what was done: %s", diff)
	}
	if diff := cmp.Diff(plan.Workloads, rollout.Workloads); diff != "" {
		t.Errorf("the plan and what was done: %s", diff)
	}
	if again, err := Diff(t.Context(), s, []byte(after), Options{}); err != nil || slices.ContainsFunc(again.Changes, func(c Change) bool { return c.Action != Unchanged || len(c.Fields) > 0 }) {
		t.Errorf("afterwards %+v, %v", again.Changes, err)
	}
}

// TestDiffHidesUnlessTold: without a key, two plans show a Secret's value by
// different hashes, so that they cannot be looked up.
func TestDiffHidesUnlessTold(t *testing.T) {
	s := newServer(t, "")
	if _, err := Apply(t.Context(), s, []byte(secret), Options{}); err != nil {
		t.Fatal(err)
	}
	changed := []byte(strings.Replace(secret, "aHVudGVyMjI=", "aHVudGVyMjM=", 1))
	a, err := Diff(t.Context(), s, changed, Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Diff(t.Context(), s, changed, Options{})
	if err != nil || a.Changes[0].Fields[0].To == b.Changes[0].Fields[0].To || a.Changes[0].Fields[0].To == "" {
		t.Errorf("%+v and %+v, %v", a.Changes, b.Changes, err)
	}
}

// TestUnchangedCostsLists: a hundred objects of three kinds, unchanged, cost
// three lists and no dry run; and where lists are forbidden, each is read.
func TestUnchangedCostsLists(t *testing.T) {
	var docs []string
	for i := range 33 {
		docs = append(docs, configMap(fmt.Sprintf("c%d", i), "v"), strings.NewReplacer("name: web, namespace", fmt.Sprintf("name: w%d, namespace", i), "spec:\n", "spec:\n  replicas: 1\n").Replace(web),
			fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: s%d, namespace: dev}\nspec: {selector: {app: web}}", i))
	}
	docs = append(docs, "apiVersion: v1\nkind: Namespace\nmetadata: {name: mine}")
	manifests := []byte(strings.Join(docs, "\n---\n"))
	s := newServer(t, "")
	if _, err := Apply(t.Context(), s, manifests, Options{}); err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"diff":  func() error { _, err := Diff(t.Context(), s, manifests, Options{}); return err },
		"apply": func() error { _, err := Apply(t.Context(), s, manifests, Options{}); return err },
		"check": func() error { return Check(t.Context(), s, manifests, Options{}) },
	} {
		for _, forbidden := range []bool{false, true} {
			calls := map[string]int{}
			s.before = func(_ context.Context, verb, kind, _ string) error {
				s.mu.Lock()
				defer s.mu.Unlock()
				calls[verb]++
				if verb == "list" && forbidden {
					return fmt.Errorf("listing: %w", errForbidden)
				}
				return nil
			}
			if err := do(); err != nil {
				t.Fatal(err)
			}
			want := map[string]int{"list": 3, "get": 1} // the only Namespace is read by its name
			if forbidden {
				want["get"] = 100
			}
			if !maps.Equal(calls, want) {
				t.Errorf("%s, lists forbidden: %v: requests %v, want %v", name, forbidden, calls, want)
			}
		}
	}
}

// TestCoversTellsTheTruth: what counts as unchanged without asking is what the
// server would not change, whatever the manifests were and others did.
func TestCoversTellsTheTruth(t *testing.T) {
	covered := 0
	rapid.Check(t, func(rt *rapid.T) {
		s := newServer(t, "")
		first, second := thing(rt, "first"), thing(rt, "second")
		if rapid.Bool().Draw(rt, "the same") {
			second = first.DeepCopy()
		}
		live, err := s.apply(first.DeepCopy(), false, false)
		if err != nil {
			rt.Fatal(err)
		}
		if rapid.Bool().Draw(rt, "another writes") {
			other := thing(rt, "other")
			other.SetManagedFields(nil)
			s.change(t, s.key(live), "kubectl-edit", func(o *unstructured.Unstructured) {
				o.Object["data"], o.Object["metadata"].(map[string]any)["labels"] = other.Object["data"], other.Object["metadata"].(map[string]any)["labels"]
			})
		}
		live = s.objects[s.key(live)].DeepCopy()
		next, err := s.apply(second.DeepCopy(), true, false)
		covers := owner.Covers(live, second)
		if !covers {
			return
		}
		covered++
		if err != nil || !objects.Same(live, next) || owner.Moves(live, next) {
			rt.Errorf("%v counts as unchanged over %v, but the server says %v, %v", second, live, next, err)
		}
	})
	if covered == 0 {
		t.Error("nothing was ever covered")
	}
}

func thing(rt *rapid.T, name string) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{}}}
	obj.SetName("c")
	obj.SetNamespace("dev")
	leaf := rapid.OneOf(rapid.Just[any]("x"), rapid.Just[any]("y"), rapid.Just[any](int64(1)), rapid.Just[any](map[string]any{}), rapid.Just[any]([]any{"x"}), rapid.Just[any](map[string]any{"deep": "x"}), rapid.Just[any](nil))
	for _, k := range []string{"a", "b", "c"} {
		if rapid.Bool().Draw(rt, name+" has "+k) {
			obj.Object["data"].(map[string]any)[k] = leaf.Draw(rt, name+"."+k)
		}
	}
	if rapid.Bool().Draw(rt, name+" has labels") {
		obj.SetLabels(map[string]string{"l": rapid.SampledFrom([]string{"x", "y"}).Draw(rt, name+".l")})
	}
	return obj
}
