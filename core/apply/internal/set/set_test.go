// SPDX-License-Identifier: Apache-2.0

package set

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"
)

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &obj.Object); err != nil {
		t.Fatal(err)
	}
	return obj
}

// TestID: the standard's own arithmetic, as `printf %s.%s.%s. outlast-web dev
// ConfigMap | sha256sum` and base64 give it, and a label that is allowed.
func TestID(t *testing.T) {
	id := Set{"outlast-web", "dev"}.ID()
	if want := "applyset-qynOhgXik45VVjXGs3kEtlCnsC87vwBRFC6mzaqPqpU-v1"; id != want {
		t.Errorf("got %s, want %s", id, want)
	}
	for _, s := range []Set{{"a", "b"}, {"outlast-" + strings.Repeat("x", 200), "dev"}, {"", ""}} {
		if bad := validation.IsValidLabelValue(s.ID()); len(bad) > 0 {
			t.Errorf("%v: %v", s, bad)
		}
	}
	if (Set{"a.b", "c"}).ID() != (Set{"a", "b.c"}).ID() {
		t.Error("the standard joins with dots, and namespaces have none")
	}
}

func TestLabel(t *testing.T) {
	s := Set{"outlast-web", "dev"}
	for text, joins := range map[string]bool{
		"{kind: Deployment, metadata: {name: a}}":                                                                 true,
		"{kind: PersistentVolumeClaim, metadata: {name: a}}":                                                      true,
		"{kind: Namespace, metadata: {name: a}}":                                                                  false,
		"{kind: CustomResourceDefinition, metadata: {name: a}}":                                                   false,
		"{kind: Namespace, metadata: {name: a, annotations: {outlast/prune: enabled}}}":                           true,
		"{kind: Namespace, metadata: {name: a, annotations: {outlast/prune: disabled}}}":                          false,
		"{kind: Deployment, metadata: {name: a, annotations: {outlast/prune: disabled}}}":                         true,
		"{kind: Deployment, metadata: {name: a, labels: {a: b}}, spec: {template: {metadata: {labels: {a: b}}}}}": true,
	} {
		obj, want := object(t, text), object(t, text)
		s.Label(obj)
		if got := obj.GetLabels()[PartOf]; (got == s.ID()) != joins || (got == "") == joins {
			t.Errorf("%s: label %q", text, got)
		}
		labels := obj.GetLabels()
		delete(labels, PartOf)
		if len(labels) == 0 {
			labels = nil
		}
		obj.SetLabels(labels)
		if diff := cmp.Diff(want.Object, obj.Object); diff != "" { // above all not the pod template
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestParent(t *testing.T) {
	s := Set{"outlast-web", "dev"}
	m := New()
	m.Add(object(t, "{apiVersion: apps/v1, kind: Deployment}"), "dev")
	m.Add(object(t, "{apiVersion: v1, kind: ConfigMap}"), "other")
	m.Add(object(t, "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole}"), "")
	m.Add(object(t, "{apiVersion: v1, kind: ConfigMap}"), "more")
	parent := s.Parent(m)
	want := object(t, `
apiVersion: v1
kind: ConfigMap
metadata:
  name: outlast-web
  namespace: dev
  labels: {applyset.kubernetes.io/id: `+s.ID()+`}
  annotations:
    applyset.kubernetes.io/tooling: outlast/v1
    applyset.kubernetes.io/contains-group-kinds: ClusterRole.rbac.authorization.k8s.io,ConfigMap,Deployment.apps
    applyset.kubernetes.io/additional-namespaces: more,other
`)
	if diff := cmp.Diff(want.Object, parent.Object); diff != "" {
		t.Error(diff)
	}
	back, err := s.Read(parent)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, back); diff != "" {
		t.Error(diff)
	}
	if none, err := s.Read(nil); err != nil || len(none.Kinds)+len(none.Namespaces) > 0 {
		t.Errorf("no parent: %v, %v", none, err)
	}
	for want, change := range map[string]func(o *unstructured.Unstructured){
		"is not the parent of an ApplySet":              func(o *unstructured.Unstructured) { o.SetAnnotations(nil) },
		"is the parent of an ApplySet of kubectl,":      func(o *unstructured.Unstructured) { o.SetAnnotations(map[string]string{tooling: "kubectl/v1.37"}) },
		"was it copied from elsewhere? Delete it":       func(o *unstructured.Unstructured) { o.SetLabels(map[string]string{idLabel: "applyset-x-v1"}) },
		"has the label applyset.kubernetes.io/id=, not": func(o *unstructured.Unstructured) { o.SetLabels(nil) },
	} {
		odd := parent.DeepCopy()
		change(odd)
		if _, err := s.Read(odd); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "ConfigMap/dev/outlast-web ") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestPrunable(t *testing.T) {
	for text, want := range map[string]bool{
		"{kind: ConfigMap}": true,
		"{kind: ConfigMap, metadata: {annotations: {outlast/prune: disabled}}}":                                                                  false,
		"{kind: ConfigMap, metadata: {annotations: {outlast/prune: other}}}":                                                                     true,
		"{kind: ConfigMap, metadata: {ownerReferences: [{kind: Deployment, name: a, controller: true}]}}":                                        false,
		"{kind: ConfigMap, metadata: {annotations: {outlast/prune: enabled}, ownerReferences: [{kind: Deployment, name: a, controller: true}]}}": false,
		"{kind: ConfigMap, metadata: {ownerReferences: [{kind: Deployment, name: a}]}}":                                                          true,
		"{kind: Namespace}":                false,
		"{kind: CustomResourceDefinition}": false,
		"{kind: PersistentVolume}":         false,
		"{kind: PersistentVolumeClaim}":    false,
		"{kind: PersistentVolumeClaim, metadata: {annotations: {outlast/prune: enabled}}}": true,
		"{kind: Namespace, metadata: {annotations: {outlast/prune: enabled}}}":             true,
	} {
		got, why := Prunable(object(t, text))
		if got != want || (why == "") != want {
			t.Errorf("%s: %v, %q", text, got, why)
		}
	}
}

func TestFree(t *testing.T) {
	s := Set{"outlast-web", "dev"}
	other := object(t, "{kind: ConfigMap, metadata: {name: c, namespace: dev, labels: {applyset.kubernetes.io/part-of: applyset-x-v1}}}")
	if err := s.Free(other); err == nil || !strings.Contains(err.Error(), "ConfigMap/dev/c belongs to another application already") {
		t.Errorf("got %v", err)
	}
	other.SetLabels(map[string]string{PartOf: s.ID()})
	if err := s.Free(other); err != nil {
		t.Error(err)
	}
	other.SetLabels(nil)
	if err := s.Free(other); err != nil {
		t.Error(err)
	}
}
