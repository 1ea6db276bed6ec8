// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/outlast-ci/outlast/core/render"
)

// fake is a Deployment and its pods; a pod is written as "LABEL HASH", or "LABEL HASH deleted".
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

func (f fake) List(_ context.Context, _, _, _, selector string) (all []unstructured.Unstructured, err error) {
	match, err := labels.Parse(selector)
	for _, p := range f.pods {
		words := strings.Fields(p)
		obj := unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{}}}
		obj.SetLabels(map[string]string{"app": "web", Label: words[0], HashLabel: words[1]})
		if len(words) > 2 {
			obj.Object["metadata"].(map[string]any)["deletionTimestamp"] = "2026-01-02T03:04:05Z"
		}
		if match.Matches(labels.Set(obj.GetLabels())) {
			all = append(all, obj)
		}
	}
	return all, errors.Join(err, f.fails)
}

const amid = "{kind: Deployment, spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web, outlast/template: two}}}}}"

var shopWeb = []render.Workload{{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web"}, {APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "other"}}

// The Services turn to the old pods by their ReplicaSet's mark, whether they have ours or not.
func TestUndo(t *testing.T) {
	cluster := fake{amid, []string{"two 22", "one 11", "one 11", "zero 00 deleted"}, nil}
	s, err := Undo(t.Context(), cluster, []byte(manifests), shopWeb, []string{"Deployment/shop/web"})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Old) != 1 || s.Old["Deployment/shop/web"] != "11" {
		t.Errorf("the old pods are %v", s.Old)
	}
	count := func(text []byte, what string) int { return strings.Count(string(text), what) }
	const mark = `"pod-template-hash":"11"`
	if count(s.Narrow, mark) != 1 || count(s.Narrow, `"kind"`) != 1 || count(s.Narrow, `"kind":"Service"`) != 1 {
		t.Errorf("narrowed:\n%s", s.Narrow)
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
		"no old pod is left":                 {fake{amid, []string{"two 22", "one 11 deleted"}, nil}, "undoing the handover of Deployment/shop/web: none of its old pods is left"},
		"old pods of several templates":      {fake{amid, []string{"one 11", "two 22", "zero 00"}, nil}, "its old pods are of several templates"},
		"there is no such Deployment":        {fake{}, "it does not exist"},
		"its pods cannot be listed":          {fake{amid, []string{"one 11"}, errors.New("no answer")}, "undoing the handover of Deployment/shop/web: no answer"},
		"pods of other workloads are theirs": {fake{strings.ReplaceAll(amid, "app: web", "app: api"), []string{"one 11"}, nil}, "none of its old pods is left"},
	} {
		if _, err := Undo(t.Context(), tc.cluster, []byte(manifests), shopWeb, []string{"Deployment/shop/web"}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
	if _, err := Undo(t.Context(), fake{amid, []string{"one 11"}, nil}, []byte("a: ["), shopWeb, []string{"Deployment/shop/web"}); err == nil {
		t.Error("manifests that cannot be parsed are accepted")
	}
}
