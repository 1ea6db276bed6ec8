// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render"
)

// fake is a Deployment and its pods; a pod is written as "UID HASH", with what is odd about it
// behind that.
type fake struct {
	deployment string
	pods       []string
	fails      error
}

func (f fake) Get(context.Context, string, string, string, string) (*unstructured.Unstructured, error) {
	if f.deployment == "" {
		return nil, nil
	}
	obj := &unstructured.Unstructured{}
	return obj, yaml.Unmarshal([]byte(f.deployment), &obj.Object)
}

func object(uid, owner string) unstructured.Unstructured {
	obj := unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{}}}
	obj.SetUID(types.UID(uid))
	obj.SetOwnerReferences([]metav1.OwnerReference{{UID: types.UID(owner)}})
	return obj
}

func (f fake) List(_ context.Context, _, kind, _, selector string) (all []unstructured.Unstructured, err error) {
	if kind == "ReplicaSet" {
		return []unstructured.Unstructured{object("set", "deployment"), object("others", "another")}, nil
	}
	match, err := labels.Parse(selector)
	for _, p := range f.pods {
		words := append(strings.Fields(p), "")
		obj := object(words[0], "set")
		obj.SetLabels(map[string]string{"app": "web", HashLabel: words[1]})
		switch words[2] {
		case "deleted":
			obj.SetDeletionTimestamp(&metav1.Time{Time: time.Unix(1e9, 0)})
		case "evicted":
			obj.Object["status"] = map[string]any{"phase": "Failed"}
		case "canary":
			obj.SetOwnerReferences([]metav1.OwnerReference{{UID: "others"}})
		}
		if match.Matches(labels.Set(obj.GetLabels())) {
			all = append(all, obj)
		}
	}
	return all, errors.Join(err, f.fails)
}

const amid = "{kind: Deployment, metadata: {uid: deployment}, spec: {selector: {matchLabels: {app: web}}}}"

// middle is one whose pods "new" and "newer" leave.
func middle() Middle {
	workload := func(name string, request drain.Seconds) render.Workload {
		return render.Workload{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: name, Plan: drain.Plan{Inputs: drain.Inputs{Request: request.Duration()}}}
	}
	return Middle{Manifests: []byte(manifests), Workloads: []render.Workload{workload("web", 5), workload("other", 5)}, Newest: []render.Workload{workload("web", 150)},
		IDs: []string{"Deployment/shop/web"}, Leaving: []string{"new", "newer"}}
}

// The Services turn to the old pods by their ReplicaSet's mark, whether they have ours or not.
func TestUndo(t *testing.T) {
	cluster := fake{amid, []string{"new 22", "newer 22", "old 11", "older 11", "gone 00 deleted", "dead 33 evicted", "canary 44 canary"}, nil}
	s, err := Undo(t.Context(), cluster, middle())
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Old) != 1 || s.Old[0].ID() != "Deployment/shop/web" || s.Old[0].Hash != "11" || s.Old[0].Plan.Inputs.Request != 150*time.Second {
		t.Errorf("the old pods are %+v", s.Old)
	}
	count := func(text []byte, what string) int { return strings.Count(string(text), what) }
	const mark = `"pod-template-hash":"11"`
	if count(s.Narrow, mark) != 1 || count(s.Narrow, `"kind"`) != 1 || count(s.Narrow, `"kind":"Service"`) != 1 || strings.Join(s.Held(), " ") != "Service/shop/web" {
		t.Errorf("narrowed, %v:\n%s", s.Held(), s.Narrow)
	}
	if count(s.Raise, mark) != 1 || count(s.Raise, `"kind"`) != 4 || count(s.Raise, `"minReadySeconds":15`) != 1 || count(s.Raise, Label) != 0 {
		t.Errorf("everything but the Services:\n%s", s.Raise)
	}
	if count(s.Widen, `"kind"`) != 1 || count(s.Widen, "hash") != 0 || count(s.Final, `"kind"`) != 4 || count(s.Final, "hash") != 0 {
		t.Errorf("at rest:\n%s\n%s", s.Widen, s.Final)
	}
}

func TestWhatCannotBeUndoneLikeThat(t *testing.T) {
	for name, tc := range map[string]struct {
		cluster fake
		want    string
	}{
		"no pod stays":                       {fake{amid, []string{"new 22", "old 11 deleted"}, nil}, "undoing the handover of Deployment/shop/web: none of its pods is of the release to go back to"},
		"pods of several templates stay":     {fake{amid, []string{"old 11", "new 22", "older 00"}, nil}, "its pods that stay are of 2 templates"},
		"no pod leaves":                      {fake{amid, []string{"old 11"}, nil}, "no pod of it leaves"},
		"there is no such Deployment":        {fake{}, "it does not exist"},
		"its pods cannot be listed":          {fake{amid, []string{"old 11"}, errors.New("no answer")}, "undoing the handover of Deployment/shop/web: no answer"},
		"pods of other workloads are theirs": {fake{strings.ReplaceAll(amid, "app: web", "app: api"), []string{"old 11", "new 22"}, nil}, "no pod of it leaves"},
	} {
		if _, err := Undo(t.Context(), tc.cluster, middle()); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
	m := middle()
	m.Manifests = []byte("a: [")
	if _, err := Undo(t.Context(), fake{amid, []string{"old 11", "new 22"}, nil}, m); err == nil {
		t.Error("manifests that cannot be parsed are accepted")
	}
}
