// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files")

const manifests = `apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: other, namespace: shop}
spec: {selector: {app: other}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 3
  minReadySeconds: 15
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: shop/web@sha256:1}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web, namespace: shop}
data: {a: "1"}
`

func TestSteps(t *testing.T) {
	s, err := Make([]byte(manifests), []string{"Deployment/shop/web"})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, step := range []struct {
		name string
		text []byte
	}{{"raise", s.Raise}, {"narrow", s.Narrow}, {"finish", s.Finish}, {"widen", s.Widen}, {"final", s.Final}} {
		b.WriteString("# " + step.name + "\n")
		for doc := range strings.SplitSeq(strings.TrimPrefix(string(step.text), "---\n"), "---\n") {
			text, err := yaml.JSONToYAML([]byte(doc))
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString("---\n" + string(text))
		}
	}
	const golden = "testdata/steps.yaml"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTheLabelIsTheTemplates: equal templates give equal pods, so that a second run
// rolls nothing out; another template gives others.
func TestTheLabelIsTheTemplates(t *testing.T) {
	final := func(text string) string {
		s, err := Make([]byte(text), []string{"Deployment/shop/web"})
		if err != nil {
			t.Fatal(err)
		}
		return string(s.Final)
	}
	first := final(manifests)
	if again := final(first); again != first {
		t.Errorf("what was handed over gives another label:\n%s\n%s", first, again)
	}
	mark := func(text string) string {
		_, rest, _ := strings.Cut(text, Label+`":"`)
		return rest[:10]
	}
	if other := final(strings.Replace(manifests, "sha256:1", "sha256:2", 1)); mark(other) == mark(first) {
		t.Error("another image gives the same label")
	}
	if more := final(strings.Replace(manifests, "replicas: 3", "replicas: 4", 1)); mark(more) != mark(first) {
		t.Error("more replicas give another label: they would roll out")
	}
}

func TestWhatCannotBeHandedOver(t *testing.T) {
	for name, tc := range map[string]struct{ manifests, id, want string }{
		"a StatefulSet":                   {strings.Replace(manifests, "kind: Deployment", "kind: StatefulSet", 1), "StatefulSet/shop/web", "only a Deployment can run all new pods"},
		"what is not there":               {manifests, "Deployment/shop/api", "it is not in the manifests"},
		"a Service elsewhere":             {strings.Replace(manifests, "selector: {app: web}, ports", "selector: {app: web2}, ports", 1), "Deployment/shop/web", "no Service of the manifests selects its pods"},
		"a Deployment without template":   {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec: {}", "Deployment/shop/web", "it has no spec.template"},
		"manifests that cannot be parsed": {"a: [", "Deployment/shop/web", "reading object 1 of the manifests"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Make([]byte(tc.manifests), []string{tc.id}); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
