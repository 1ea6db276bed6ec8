// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func object(t *testing.T, text string, managed ...string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &obj.Object); err != nil {
		t.Fatal(err)
	}
	var fields []metav1.ManagedFieldsEntry
	for _, m := range managed {
		part := strings.SplitN(m, " ", 3)
		f := metav1.ManagedFieldsEntry{Operation: metav1.ManagedFieldsOperationType(part[1]), APIVersion: "apps/v1", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(part[2])}
		f.Manager, f.Subresource, _ = strings.Cut(part[0], "/")
		fields = append(fields, f)
	}
	if fields != nil {
		obj.SetManagedFields(fields)
	}
	return obj
}

// What a real API server keeps of web.
const (
	web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: dev, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: a, args: [x, y], ports: [{containerPort: 80}], env: [{name: A, value: "1"}, {name: B, value: "2"}]}
      - {name: side, image: s}
      volumes: [{name: tmp, emptyDir: {}}]
`
	webOwned = `{"f:metadata":{"f:labels":{"f:app":{}}},"f:spec":{"f:replicas":{},"f:selector":{},"f:template":{"f:metadata":{"f:labels":{"f:app":{}}},"f:spec":{"f:containers":{
"k:{\"name\":\"web\"}":{".":{},"f:name":{},"f:image":{},"f:args":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}},
"f:env":{"k:{\"name\":\"A\"}":{".":{},"f:name":{},"f:value":{}},"k:{\"name\":\"B\"}":{".":{},"f:name":{},"f:value":{}}}},
"k:{\"name\":\"side\"}":{".":{},"f:name":{},"f:image":{}}},
"f:volumes":{"k:{\"name\":\"tmp\"}":{".":{},"f:name":{},"f:emptyDir":{}}}}}}}`
)

// live is web as a server stores it, with defaults and another's sidecar.
func live(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	obj := object(t, web, "outlast Apply "+webOwned, "kube-controller-manager/status Update {}")
	containers, _, _ := unstructured.NestedSlice(obj.Object, "spec", "template", "spec", "containers")
	containers[0].(map[string]any)["imagePullPolicy"] = "Always"
	containers[0].(map[string]any)["ports"] = []any{map[string]any{"containerPort": 80.0, "protocol": "TCP"}}
	containers = slices.Insert(containers, 1, any(map[string]any{"name": "injected"}))
	obj.SetUID("u")
	obj.SetResourceVersion("7")
	if err := unstructured.SetNestedSlice(obj.Object, containers, "spec", "template", "spec", "containers"); err != nil {
		t.Fatal(err)
	}
	return obj
}

func TestCovers(t *testing.T) {
	if !Covers(live(t), object(t, web)) {
		t.Fatal("the same manifest is not covered")
	}
	for name, tc := range map[string]struct{ old, new string }{
		"another value":                          {"image: a", "image: b"},
		"a number":                               {"replicas: 2", "replicas: 3"},
		"another type":                           {"replicas: 2", `replicas: "2"`},
		"a field given up":                       {"  replicas: 2\n", ""},
		"a field that is new":                    {"  replicas: 2\n", "  replicas: 2\n  paused: true\n"},
		"a field that has its default already":   {"image: a,", "image: a, imagePullPolicy: Always,"},
		"a label more":                           {"name: web, namespace: dev, labels: {app: web}", "name: web, namespace: dev, labels: {app: web, b: c}"},
		"no labels":                              {", labels: {app: web}}\nspec", "}\nspec"},
		"a list of words":                        {"[x, y]", "[x, z]"},
		"a list of words, longer":                {"[x, y]", "[x, y, z]"},
		"a container less":                       {"      - {name: side, image: s}\n", ""},
		"a container more, that another injects": {"      - {name: side, image: s}\n", "      - {name: injected}\n      - {name: side, image: s}\n"},
		"another order of containers":            {"      volumes", "      - {name: web2, image: a}\n      volumes"},
		"a protocol that was left out":           {"{containerPort: 80}", "{containerPort: 80, protocol: TCP}"},
		"another protocol":                       {"{containerPort: 80}", "{containerPort: 80, protocol: UDP}"},
		"another port":                           {"{containerPort: 80}", "{containerPort: 81}"},
		"a port twice":                           {"{containerPort: 80}", "{containerPort: 80}, {containerPort: 80}"},
		"the order of variables":                 {`{name: A, value: "1"}, {name: B, value: "2"}`, `{name: B, value: "2"}, {name: A, value: "1"}`},
		"a mapping that was empty":               {"emptyDir: {}", "emptyDir: {medium: Memory}"},
		"a mapping out of a value":               {"replicas: 2", "replicas: {a: 1}"},
		"a selector, which is one value":         {"matchLabels: {app: web}", "matchLabels: {app: web, a: b}"},
		"another version":                        {"apps/v1", "apps/v1beta1"},
		"a status":                               {"spec:\n  rep", "status: {}\nspec:\n  rep"},
		"a time of creation":                     {"{name: web, namespace: dev,", "{name: web, namespace: dev, creationTimestamp: null,"},
	} {
		t.Run(name+" is asked for", func(t *testing.T) {
			changed := strings.Replace(web, tc.old, tc.new, 1)
			if changed == web {
				t.Fatal("nothing is changed")
			}
			if Covers(live(t), object(t, changed)) {
				t.Error("it counts as unchanged")
			}
		})
	}
	for name, managed := range map[string][]string{
		"what nobody manages":           {},
		"what another manages":          {"argocd Apply " + webOwned},
		"what was updated, not applied": {"outlast Update " + webOwned},
		"what was applied to a status":  {"outlast/status Apply " + webOwned},
		"what was applied twice":        {"outlast Apply " + webOwned, "outlast Apply " + webOwned},
		"what is owned less of":         {"outlast Apply " + strings.Replace(webOwned, `"f:replicas":{},`, "", 1)},
		"what is owned more of":         {"outlast Apply " + strings.Replace(webOwned, `"f:replicas":{},`, `"f:replicas":{},"f:paused":{},`, 1)},
		"what cannot be read":           {`outlast Apply {"k:{":{}}`},
	} {
		t.Run(name+" is asked for", func(t *testing.T) {
			obj := live(t)
			obj.SetManagedFields(object(t, web, managed...).GetManagedFields())
			if Covers(obj, object(t, web)) {
				t.Error("it counts as unchanged")
			}
		})
	}
	for name, change := range map[string]func(o *unstructured.Unstructured){
		"a value that somebody changed": func(o *unstructured.Unstructured) { o.Object["spec"].(map[string]any)["replicas"] = 5.0 },
		"a value that somebody took": func(o *unstructured.Unstructured) {
			unstructured.RemoveNestedField(o.Object, "metadata", "labels")
		},
		"a list whose order somebody changed": func(o *unstructured.Unstructured) {
			c, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
			slices.Reverse(c)
			if err := unstructured.SetNestedSlice(o.Object, c, "spec", "template", "spec", "containers"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name+" is asked for", func(t *testing.T) {
			obj := live(t)
			change(obj)
			if Covers(obj, object(t, web)) {
				t.Error("it counts as unchanged")
			}
		})
	}
}

func TestOthers(t *testing.T) {
	managers := append(Defaults(), "team")
	for name, tc := range map[string]struct {
		managed []string
		want    []string
	}{
		"kubectl's":                              {[]string{"kubectl-client-side-apply Update {}"}, []string{"kubectl-client-side-apply"}},
		"Helm's and kubectl's":                   {[]string{"helm Update {}", "kubectl Apply {}"}, []string{"kubectl", "helm"}},
		"a manager that was named":               {[]string{"team Apply {}"}, []string{"team"}},
		"one that was not named":                 {[]string{"argocd Apply {}"}, nil},
		"one that only wrote a status":           {[]string{"kubectl/status Update {}"}, nil},
		"a hotfix of what Outlast has applied":   {[]string{"outlast Apply {}", "kubectl-client-side-apply Update {}"}, nil},
		"what Outlast only updated, e.g. scaled": {[]string{"outlast Update {}", "helm Update {}"}, []string{"helm"}},
		"nobody's":                               {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Others(object(t, web, tc.managed...), managers); !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

// TestWithout: what an apply takes away from an object that was adopted.
func TestWithout(t *testing.T) {
	const obj = "{apiVersion: apps/v1, metadata: {}, data: {a: 1, b: 2}, spec: {list: [{name: x, v: 1, w: 2}, {name: k, v: 1}], set: [p, q], deep: {deeper: {c: 1}}}}"
	for name, tc := range map[string]struct {
		had, has string // what Outlast owns before and after the apply
		others   []string
		want     string // empty: nothing goes
	}{
		"nothing":                               {`{"f:data":{"f:a":{}}}`, `{"f:data":{"f:a":{}}}`, nil, ""},
		"a field":                               {`{"f:data":{"f:a":{},"f:b":{}}}`, `{"f:data":{"f:a":{}}}`, nil, strings.Replace(obj, ", b: 2", "", 1)},
		"not what another owns as well":         {`{"f:data":{"f:a":{},"f:b":{}}}`, `{"f:data":{"f:a":{}}}`, []string{`hpa Update {"f:data":{"f:b":{}}}`}, ""},
		"a member's field":                      {`{"f:spec":{"f:list":{"k:{\"name\":\"x\"}":{".":{},"f:name":{},"f:v":{},"f:w":{}}}}}`, `{"f:spec":{"f:list":{"k:{\"name\":\"x\"}":{".":{},"f:name":{},"f:v":{}}}}}`, nil, strings.Replace(obj, ", w: 2", "", 1)},
		"a member":                              {`{"f:spec":{"f:list":{"k:{\"name\":\"k\"}":{".":{},"f:name":{},"f:v":{}}}}}`, `{}`, nil, strings.Replace(obj, ", {name: k, v: 1}", "", 1)},
		"a word of a set":                       {`{"f:spec":{"f:set":{"v:\"p\"":{}}}}`, `{}`, nil, strings.Replace(obj, "[p, q]", "[q]", 1)},
		"a mapping with all that it had":        {`{"f:spec":{"f:deep":{".":{},"f:deeper":{".":{},"f:c":{}}}}}`, `{}`, nil, strings.Replace(obj, ", deep: {deeper: {c: 1}}", "", 1)},
		"a mapping and what nobody owns":        {`{"f:data":{".":{},"f:a":{}}}`, `{}`, nil, strings.Replace(obj, " data: {a: 1, b: 2},", "", 1)},
		"a mapping of which some stays":         {`{"f:data":{".":{},"f:a":{}}}`, `{}`, []string{`hpa Update {"f:data":{"f:b":{}}}`}, strings.Replace(obj, "a: 1, b", "b", 1)},
		"a mapping that an apply does not name": {`{"f:data":{".":{},"f:a":{}}}`, `{"f:data":{"f:a":{}}}`, nil, obj},
		"a field that is gone already":          {`{"f:data":{"f:z":{}}}`, `{}`, nil, obj},
	} {
		t.Run(name, func(t *testing.T) {
			before := object(t, obj, append([]string{"outlast Apply " + tc.had}, tc.others...)...)
			after := object(t, obj, append([]string{"outlast Apply " + tc.has}, tc.others...)...)
			got := Without(before, after)
			if tc.want == "" {
				if got != nil {
					t.Errorf("got %v, want nothing", got)
				}
				return
			}
			if got == nil {
				t.Fatal("nothing goes")
			}
			got.SetManagedFields(nil)
			if diff := cmp.Diff(object(t, tc.want).Object, got.Object); diff != "" {
				t.Error(diff)
			}
			after.SetManagedFields(nil)
			if diff := cmp.Diff(object(t, obj).Object, after.Object); diff != "" {
				t.Errorf("what went in is changed: %s", diff)
			}
		})
	}
}

func TestMoves(t *testing.T) {
	for name, tc := range map[string]struct {
		live, next []string
		want       bool
	}{
		"the same":             {[]string{`outlast Apply {"f:a":{}}`}, []string{`outlast Apply {"f:a":{}}`}, false},
		"less":                 {[]string{`outlast Apply {"f:a":{},"f:b":{}}`}, []string{`outlast Apply {"f:a":{}}`}, true},
		"nothing was applied":  {[]string{`argocd Apply {"f:a":{}}`}, []string{`outlast Apply {"f:a":{}}`}, false},
		"another's is no move": {[]string{`outlast Apply {"f:a":{}}`, `argocd Apply {}`}, []string{`outlast Apply {"f:a":{}}`}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Moves(object(t, web, tc.live...), object(t, web, tc.next...)); got != tc.want {
				t.Errorf("moves: %v", got)
			}
		})
	}
}

// What was empty when it was applied is owned without what is in it, as an atomic map is;
// that others own something in it tells the two apart.
func TestOthersInWhatWasEmpty(t *testing.T) {
	manifest := object(t, "apiVersion: apps/v1\nkind: ConfigMap\nmetadata: {name: c, namespace: dev}\ndata: {a: b}\n")
	for others, want := range map[string]bool{
		`{"f:metadata":{"f:labels":{"f:x":{}}}}`: true,
		`{"f:data":{"f:a":{}}}`:                  false,
	} {
		live := object(t, "apiVersion: apps/v1\nkind: ConfigMap\nmetadata: {name: c, namespace: dev, labels: {x: y}}\ndata: {a: b}\n", `outlast Apply {"f:data":{}}`, "kubectl-edit Update "+others)
		if Covers(live, manifest) != want {
			t.Errorf("others own %s: covered %t", others, !want)
		}
	}
}
