// SPDX-License-Identifier: Apache-2.0

package render

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outlast-ci/outlast/core/drain"
)

const resourceList = `apiVersion: config.kubernetes.io/v1
kind: ResourceList
items:
- apiVersion: v1
  kind: Namespace
  metadata: # with a comment
    name: shop
    labels: {elbv2.k8s.aws/pod-readiness-gate-inject: enabled}
    annotations:
      config.kubernetes.io/path: 'ns.yaml'
      config.kubernetes.io/index: '0'
      internal.config.kubernetes.io/path: 'ns.yaml'
      internal.config.kubernetes.io/index: '0'
- apiVersion: apps/v1
  kind: Deployment
  metadata:
    name: web
    namespace: shop
    annotations:
      config.kubernetes.io/path: 'all.yaml'
      config.kubernetes.io/index: '1'
      internal.config.kubernetes.io/id: '7'
  spec:
    # two of them
    replicas: 2 # for now
    selector: {matchLabels: {app: web}}
    template:
      metadata: {labels: {app: web}}
      spec:
        containers:
        - name: web
          image: web@sha256:1
          readinessProbe: {httpGet: {port: 80}}%s
- apiVersion: v1
  kind: Service
  metadata:
    name: web
    namespace: shop
    annotations: {config.kubernetes.io/path: 'all.yaml', config.kubernetes.io/index: '2'}
  spec: {selector: {app: web}, ports: [{port: 80}]}
- apiVersion: networking.k8s.io/v1
  kind: Ingress
  metadata:
    name: web
    namespace: shop
    annotations:
      alb.ingress.kubernetes.io/target-type: ip
      alb.ingress.kubernetes.io/target-group-attributes: deregistration_delay.timeout_seconds=65
  spec: {ingressClassName: alb, defaultBackend: {service: {name: web, port: {number: 80}}}}
functionConfig:
  apiVersion: v1
  kind: ConfigMap
  metadata:
    name: outlast # ours
  data:
    set: R=30
`

// function runs rendering as a KRM function, and gives what changed of the list.
func function(t *testing.T, list string, opt Options) (out string, result Result, err error) {
	t.Helper()
	f, err := ReadFunction([]byte(list))
	if err != nil {
		t.Fatal(err)
	}
	result, err = f.Run(context.Background(), opt)
	return string(result.YAML), result, err
}

func TestFunction(t *testing.T) {
	list := fmt.Sprintf(resourceList, "")
	f, err := ReadFunction([]byte(list))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Settings(); len(got) != 1 || got["set"] != "R=30" {
		t.Errorf("settings %q", got)
	}
	out, result, err := function(t, list, Options{Drain: drain.Defaults()})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer(
		"          readinessProbe: {httpGet: {port: 80}}\n", "          readinessProbe: {httpGet: {port: 80}}\n          lifecycle:\n            preStop:\n              sleep:\n                seconds: 90\n        terminationGracePeriodSeconds: 100\n    minReadySeconds: 15\n    strategy:\n      rollingUpdate:\n        maxUnavailable: 0\n",
	).Replace(list) + `results:
- message: 'Deployment/shop/web: no PodDisruptionBudget matches these pods: draining nodes may take all of them at once (503); rollouts do not need one; add one with maxUnavailable: 1'
  severity: info
  tags:
    rule: OL035
`
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("more has changed than was set:\n%s", diff)
	}
	if len(result.Changes) != 4 {
		t.Errorf("changes %+v", result.Changes)
	}
	again, result, err := function(t, out, Options{Drain: drain.Defaults()})
	if err != nil || len(result.Changes) > 0 || again != out {
		t.Errorf("a second run: %v, %+v\n%s", err, result.Changes, cmp.Diff(out, again))
	}
}

// TestFunctionRefuses: the list comes back as it was, with what is wrong as its results.
func TestFunctionRefuses(t *testing.T) {
	list := fmt.Sprintf(resourceList, "")
	for name, tc := range map[string]struct {
		list   string
		opt    Options
		rules  string
		images string
	}{
		"under enforce":                            {list, Options{Policy: Enforce}, "OL001 OL004 OL012", ""},
		"what nothing cures":                       {strings.Replace(list, "ports: [{port: 80}]", "ports: [{port: 80}], publishNotReadyAddresses: true", 1), Options{}, "OL021", ""},
		"with images that are pinned all the same": {list, Options{Policy: Enforce, Images: []Image{{"web", "r/web@sha256:2"}}}, "OL001 OL004 OL012", "r/web@sha256:2"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.opt.Drain = drain.Defaults()
			out, result, err := function(t, tc.list, tc.opt)
			var rules *RuleError
			if !errors.As(err, &rules) || len(result.Changes) > 0 {
				t.Fatalf("%v, %+v", err, result.Changes)
			}
			items, results, _ := strings.Cut(out, "results:\n")
			want := tc.list
			if tc.images != "" {
				want = strings.Replace(want, "web@sha256:1", tc.images, 1)
			}
			if diff := cmp.Diff(want, items); diff != "" {
				t.Errorf("the list has changed:\n%s", diff)
			}
			var got []string
			for line := range strings.Lines(results) {
				if rule, ok := strings.CutPrefix(line, "    rule: "); ok {
					got = append(got, strings.TrimSpace(rule))
				}
			}
			if strings.Join(got, " ") != tc.rules || strings.Count(results, "severity: error") == 0 || strings.Count(results, "field:\n    path: ") != len(got) {
				t.Errorf("results\n%s", results)
			}
		})
	}
}

// TestFunctionAdds: an object that is to be applied beside the others is an item, too.
func TestFunctionAdds(t *testing.T) {
	list := strings.Split(fmt.Sprintf(resourceList, ""), "- apiVersion: networking.k8s.io/v1\n  kind: Ingress")[0] + `- apiVersion: gateway.networking.k8s.io/v1
  kind: Gateway
  metadata: {name: alb, namespace: shop}
  spec: {gatewayClassName: aws-alb}
- apiVersion: gateway.networking.k8s.io/v1
  kind: HTTPRoute
  metadata: {name: web, namespace: shop}
  spec: {parentRefs: [{name: alb}], rules: [{backendRefs: [{name: web, port: 80}]}]}
`
	out, _, err := function(t, list, Options{Drain: drain.Defaults()})
	if err != nil || !strings.Contains(out, "- apiVersion: gateway.k8s.aws/v1\n  kind: TargetGroupConfiguration\n  metadata:\n    name: web\n    namespace: shop\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestFunctionAliases: an anchor's other uses do not change with one of them.
func TestFunctionAliases(t *testing.T) {
	list := fmt.Sprintf(resourceList, "\n          lifecycle: &hook {preStop: {sleep: {seconds: 5}}}\n        initContainers:\n        - {name: proxy, image: 'proxy@sha256:1', restartPolicy: Always, lifecycle: *hook}")
	out, _, err := function(t, list, Options{Drain: drain.Defaults()})
	if err != nil || strings.Count(out, "seconds: 90") != 1 || strings.Count(out, "seconds: 5}") != 1 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestReadFunction(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"plain manifests":         {"apiVersion: v1\nkind: Service\nmetadata: {name: a}\n", "standard input holds no object of kind ResourceList"},
		"another list":            {"apiVersion: v1\nkind: List\nitems: []\n", "standard input holds no object of kind ResourceList"},
		"nothing":                 {"", "standard input holds no object of kind ResourceList"},
		"what is no YAML":         {"a: [\n", "reading the ResourceList: "},
		"a list of no items":      {"apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems: []\n", ""},
		"aliases of aliases":      {"apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n- data:\n    a: &a [x, x, x, x, x, x, x, x, x, x]\n    b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n    c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\n    d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\n    e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]\n    f: [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]\n", "reading the ResourceList: line 10: the file holds more than 500000 values"},
		"lists of lists":          {"apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n- {a: " + strings.Repeat("[", 101) + strings.Repeat("]", 101) + "}\n", "reading the ResourceList: line 4: nested deeper than 100 levels"},
		"a key that is null":      {"apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n- {kind: A, ~: b}\n", "an item is no Kubernetes object: the key in line 4 is no text"},
		"an item that is a list":  {"apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n- [a]\n", "an item is no Kubernetes object"},
		"an item that is a value": {"apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n- a\n", "an item is no Kubernetes object"},
		"an item that is null":    {"apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n- null\n", "an item is no Kubernetes object"},
		"items that are null":     {"apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := ReadFunction([]byte(tc.text))
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, want %q", err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r, err := f.Run(context.Background(), Options{Drain: drain.Defaults()})
			if err != nil || !strings.Contains(string(r.YAML), "kind: ResourceList\n") {
				t.Errorf("%v\n%s", err, r.YAML)
			}
		})
	}
}
