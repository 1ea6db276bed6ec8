// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
)

// TestBackends: a Service behind a balancer has pods, and they have its port.
func TestBackends(t *testing.T) {
	const service = "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}}\n---\n" +
		"{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, annotations: {alb.ingress.kubernetes.io/target-type: ip}}, spec: {ingressClassName: alb, defaultBackend: {service: {name: web, port: {number: 80}}}}}"
	pods := func(kind, labels, containers string) string {
		return "---\n{apiVersion: apps/v1, kind: " + kind + ", metadata: {name: web}, spec: {template: {metadata: {labels: {" + labels + "}}, spec: {" + containers + "}}}}"
	}
	const container = "containers: [{name: a, ports: [{name: http, containerPort: 8080}]}]"
	for name, tc := range map[string]struct{ text, want string }{
		"pods with the port":           {service + pods("Deployment", "app: web, v: a", container), ""},
		"a label with a slip in it":    {service + pods("Deployment", "app: wbe", container), "spec.selector"},
		"no workload":                  {service, "spec.selector"},
		"no selector":                  {strings.Replace(service, "selector: {app: web}, ", "", 1) + pods("Deployment", "app: web", container), "spec.selector"},
		"pods of a ReplicaSet":         {service + pods("ReplicaSet", "app: web", container), ""},
		"a port that no pod has":       {service + pods("Deployment", "app: web", "containers: [{name: a, ports: [{name: web, containerPort: 8080}]}]"), "spec.ports[0].targetPort"},
		"a number":                     {strings.Replace(service, "targetPort: http", "targetPort: 8080", 1) + pods("Deployment", "app: web", "containers: [{name: a}]"), ""},
		"none, which is the port":      {strings.Replace(service, ", targetPort: http", "", 1) + pods("Deployment", "app: web", "containers: [{name: a}]"), ""},
		"a port of a native sidecar":   {service + pods("Deployment", "app: web", "containers: [{name: a}], initContainers: [{name: s, restartPolicy: Always, ports: [{name: http, containerPort: 80}]}]"), ""},
		"two routes, one finding":      {strings.Replace(service, "---\n", "---\n"+strings.Replace(service[strings.Index(service, "---\n")+4:], "{name: web, ann", "{name: two, ann", 1)+"\n---\n", 1), "spec.selector"},
		"a Service without a balancer": {service[:strings.Index(service, "---\n")], ""},
	} {
		t.Run(name, func(t *testing.T) {
			var objects []*yaml.RNode
			for doc := range strings.SplitSeq(strings.ReplaceAll(tc.text, "}---", "}\n---"), "---\n") {
				objects = append(objects, yaml.MustParse(doc))
			}
			c := &Checker{List: &problem.List{}, Graph: graph.New(objects)}
			c.Objects()
			var got []string
			for _, p := range c.All {
				if p.Rule == "OL052" && p.On.GetKind() == "Service" {
					got = append(got, p.Field)
				}
			}
			if strings.Join(got, "|") != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
