// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
)

// linted judges a pod behind an Ingress; found are rule and field.
func linted(t *testing.T, pod, ingress, more string, least, zones int, pinned ...string) (found []string) {
	t.Helper()
	text := fmt.Sprintf(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: %d, template: {metadata: {labels: {app: web}}, spec: {%s}}}}
---
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, annotations: {alb.ingress.kubernetes.io/target-type: ip%s}}, spec: {ingressClassName: alb, defaultBackend: {service: {name: web}}}}
%s`, least, pod, ingress, more)
	var objects []*yaml.RNode
	for doc := range strings.SplitSeq(text, "---\n") {
		n, err := yaml.Parse(doc)
		if err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		objects = append(objects, n)
	}
	g := graph.New(objects)
	c := &Checker{List: &problem.List{}, Graph: g, Pinned: pinned, Zones: zones}
	c.Workload(g.Workloads[0], least)
	for _, p := range c.All {
		found = append(found, p.Rule+" "+string(p.Severity)+" "+p.Field)
	}
	return found
}

func TestWorkload(t *testing.T) {
	const spec = "spec.template.spec."
	ready := func(rest string) string {
		return "containers: [{name: a, image: 'a@sha256:1', readinessProbe: {httpGet: {path: /ready, port: 80}}" + rest + "}]"
	}
	budget := func(rest string) string {
		return "---\n{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: web}, spec: {selector: {matchLabels: {app: web}}" + rest + "}}\n"
	}
	fine := budget(", maxUnavailable: 1, unhealthyPodEvictionPolicy: AlwaysAllow")
	spread := func(over, pods, rest string) string {
		return ", topologySpreadConstraints: [{topologyKey: " + over + ", labelSelector: {matchLabels: {" + pods + "}}" + rest + "}]"
	}
	for name, tc := range map[string]struct {
		pod, ingress, more string
		least, zones       int
		pinned             []string
		want               string
	}{
		"all is well":                            {pod: ready(""), more: fine, least: 2},
		"one replica":                            {pod: ready(""), more: fine, least: 1, want: "OL031 warning spec.replicas"},
		"an image by a tag":                      {pod: strings.Replace(ready(""), "'a@sha256:1'", "r.example.com:5000/a:1", 1), more: fine, least: 2, want: "OL034 info " + spec + "containers[a].image"},
		"an image that is the latest":            {pod: strings.Replace(ready(""), "'a@sha256:1'", "r.example.com:5000/a", 1), more: fine, least: 2, want: "OL034 warning " + spec + "containers[a].image"},
		"an image that is pinned later":          {pod: strings.Replace(ready(""), "'a@sha256:1'", "r.example.com:5000/a:1", 1), more: fine, least: 2, pinned: []string{"r.example.com:5000/a"}},
		"an image of an init container":          {pod: ready("") + ", initContainers: [{name: i, image: i:1}]", more: fine, least: 2, want: "OL034 info " + spec + "initContainers[i].image"},
		"no budget":                              {pod: ready(""), least: 2, want: "OL035 info "},
		"no budget for one pod":                  {pod: ready(""), least: 1, want: "OL031 warning spec.replicas"},
		"a budget of other pods":                 {pod: ready(""), least: 2, more: strings.Replace(fine, "app: web", "app: api", 1), want: "OL035 info "},
		"a budget that blocks by 0":              {pod: ready(""), least: 2, more: budget(", maxUnavailable: 0"), want: "OL036 warning spec.maxUnavailable"},
		"a budget that blocks by 0 %":            {pod: ready(""), least: 2, more: budget(", maxUnavailable: 0%"), want: "OL036 warning spec.maxUnavailable"},
		"a budget that wants all":                {pod: ready(""), least: 2, more: budget(", minAvailable: 2"), want: "OL036 warning spec.minAvailable"},
		"a budget that wants all, as a share":    {pod: ready(""), least: 3, more: budget(", minAvailable: 90%"), want: "OL036 warning spec.minAvailable"},
		"a budget that leaves one":               {pod: ready(""), least: 3, more: budget(", minAvailable: 2, unhealthyPodEvictionPolicy: AlwaysAllow")},
		"a budget that unhealthy pods block":     {pod: ready(""), least: 3, more: budget(", minAvailable: 2"), want: "OL036 info spec.unhealthyPodEvictionPolicy"},
		"a budget that they block by choice":     {pod: ready(""), least: 3, more: budget(", maxUnavailable: 1, unhealthyPodEvictionPolicy: IfHealthyBudget"), want: "OL036 info spec.unhealthyPodEvictionPolicy"},
		"a budget that says nothing":             {pod: ready(""), least: 3, more: budget(", unhealthyPodEvictionPolicy: AlwaysAllow")},
		"no readiness probe":                     {pod: "containers: [{name: a, image: 'a@sha256:1'}]", more: fine, least: 2, want: "OL028 warning " + spec + "containers"},
		"liveness as readiness":                  {pod: ready(", livenessProbe: {httpGet: {path: /ready, port: 80}}"), more: fine, least: 2, want: "OL029 warning " + spec + "containers[a].livenessProbe"},
		"liveness that is more patient":          {pod: ready(", livenessProbe: {httpGet: {path: /ready, port: 80}, failureThreshold: 10}"), more: fine, least: 2},
		"liveness that waits longer":             {pod: ready(", livenessProbe: {httpGet: {path: /ready, port: 80}, periodSeconds: 60}"), more: fine, least: 2},
		"liveness of another path":               {pod: ready(", livenessProbe: {httpGet: {path: /live, port: 80}}"), more: fine, least: 2},
		"liveness of another kind":               {pod: ready(", livenessProbe: {tcpSocket: {port: 80}}"), more: fine, least: 2},
		"another path for the balancer":          {pod: ready(""), ingress: ", alb.ingress.kubernetes.io/healthcheck-path: /other", more: fine, least: 2, want: "OL030 info metadata.annotations[alb.ingress.kubernetes.io/healthcheck-path]"},
		"the same, with a query":                 {pod: ready(""), ingress: ", alb.ingress.kubernetes.io/healthcheck-path: '/ready?deep=1'", more: fine, least: 2},
		"a probe that asks no path":              {pod: "containers: [{name: a, image: 'a@sha256:1', readinessProbe: {tcpSocket: {port: 80}}}]", ingress: ", alb.ingress.kubernetes.io/healthcheck-path: /other", more: fine, least: 2},
		"a probe of the root":                    {pod: "containers: [{name: a, image: 'a@sha256:1', readinessProbe: {httpGet: {port: 80}}}]", ingress: ", alb.ingress.kubernetes.io/healthcheck-path: /", more: fine, least: 2},
		"a port of the node":                     {pod: ready(", ports: [{hostPort: 80}]"), more: fine, least: 2, want: "OL033 warning " + spec + "containers[a].ports"},
		"a shell with a child":                   {pod: ready(", command: [sh, -c, 'prepare; serve']"), more: fine, least: 2, want: "OL041 warning " + spec + "containers[a].command"},
		"bash's last command replaces it":        {pod: ready(", args: [/bin/bash, -ec, 'prepare && serve']"), more: fine, least: 2},
		"a shell in args":                        {pod: ready(", args: [/bin/bash, -ec, 'prepare && serve | log']"), more: fine, least: 2, want: "OL041 warning " + spec + "containers[a].args"},
		"a shell that is replaced":               {pod: ready(", command: [sh, -c, 'prepare; exec serve']"), more: fine, least: 2},
		"a shell that passes it on":              {pod: ready(", command: [sh, -c, 'trap stop TERM; serve']"), more: fine, least: 2},
		"a shell with one command":               {pod: ready(", command: [ash, -c, 'serve --port 80']"), more: fine, least: 2},
		"sh may be dash, which replaces nothing": {pod: ready(", command: [sh, -c, 'serve --port 80']"), more: fine, least: 2, want: "OL041 warning " + spec + "containers[a].command"},
		"no shell":                               {pod: ready(", command: [serve, -c, 'a; b']"), more: fine, least: 2},
		"cross-zone balancing is off":            {pod: ready(""), ingress: ", alb.ingress.kubernetes.io/target-group-attributes: load_balancing.cross_zone.enabled=false", more: fine, least: 2, want: "OL042 warning metadata.annotations[alb.ingress.kubernetes.io/target-group-attributes]"},
		"more zones than pods":                   {pod: ready(""), more: fine, least: 2, zones: 3, want: "OL055 info spec.replicas"},
		"more zones than the one pod":            {pod: ready(""), more: fine, least: 1, zones: 3, want: "OL031 warning spec.replicas"},
		"as many, which nothing spreads":         {pod: ready(""), more: fine, least: 3, zones: 3, want: "OL055 info " + spec + "topologySpreadConstraints"},
		"one zone":                               {pod: ready(""), more: fine, least: 3, zones: 1},
		"spread over zones":                      {pod: ready("") + spread("topology.kubernetes.io/zone", "app: web", ""), more: fine, least: 3, zones: 3},
		"spread over nodes":                      {pod: ready("") + spread("kubernetes.io/hostname", "app: web", ", minDomains: 9"), more: fine, least: 3, zones: 3, want: "OL055 info " + spec + "topologySpreadConstraints"},
		"spread by the pods of others":           {pod: ready("") + spread("topology.kubernetes.io/zone", "app: api", ""), more: fine, least: 3, want: "OL055 info " + spec + "topologySpreadConstraints"},
		"a constraint that counts nothing":       {pod: ready("") + ", topologySpreadConstraints: [{topologyKey: topology.kubernetes.io/zone}]", more: fine, least: 3, want: "OL055 info " + spec + "topologySpreadConstraints"},
		"more zones wanted than pods":            {pod: ready("") + spread("topology.kubernetes.io/zone", "app: web", ", minDomains: 3"), more: fine, least: 2, want: "OL055 info spec.replicas"},
		"as many zones wanted as pods":           {pod: ready("") + spread("topology.kubernetes.io/zone", "app: web", ", minDomains: 3"), more: fine, least: 3},
		"kept apart":                             {pod: ready("") + ", affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: topology.kubernetes.io/zone}]}}", more: fine, least: 3, zones: 3},
		"kept apart, if possible":                {pod: ready("") + ", affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{podAffinityTerm: {topologyKey: topology.kubernetes.io/zone}}]}}", more: fine, least: 3, zones: 3},
		"kept apart on nodes":                    {pod: ready("") + ", affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname}]}}", more: fine, least: 3, zones: 3, want: "OL055 info " + spec + "topologySpreadConstraints"},
		"a group of several clusters":            {pod: ready(""), ingress: ", alb.ingress.kubernetes.io/multi-cluster-target-group: 'true'", more: fine, least: 2, want: "OL056 info metadata.annotations[alb.ingress.kubernetes.io/multi-cluster-target-group]"},
		"a group of this cluster":                {pod: ready(""), ingress: ", alb.ingress.kubernetes.io/multi-cluster-target-group: 'false'", more: fine, least: 2},
		"two ports of the Service":               {pod: ready(""), ingress: "}}, spec: {ingressClassName: alb, rules: [{http: {paths: [{backend: {service: {name: web, port: {number: 80}}}}, {backend: {service: {name: web, port: {name: m}}}}]}}]}} # ", more: fine, least: 2, want: "OL050 info "},
		"the same port twice":                    {pod: ready(""), ingress: "}}, spec: {ingressClassName: alb, rules: [{http: {paths: [{backend: {service: {name: web, port: {number: 80}}}}, {backend: {service: {name: web, port: {number: 80}}}}]}}]}} # ", more: fine, least: 2},
		"cross-zone balancing is the balancer's": {pod: ready(""), ingress: ", alb.ingress.kubernetes.io/target-group-attributes: load_balancing.cross_zone.enabled=use_load_balancer_configuration", more: fine, least: 2},
	} {
		t.Run(name, func(t *testing.T) {
			got := linted(t, tc.pod, tc.ingress, tc.more, tc.least, tc.zones, tc.pinned...)
			var want []string
			if tc.want != "" {
				want = strings.Split(tc.want, "|")
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// TestOneReplica: what one pod means depends on what replaces it.
func TestOneReplica(t *testing.T) {
	const fine, gap, none = "one replica: rollouts are fine", "one replica: a rollout, an eviction", "nobody answers"
	for spec, want := range map[string]string{
		"Deployment: replicas: 1": fine, "StatefulSet: replicas: 1": gap, "Deployment: replicas: 0": none, "StatefulSet: replicas: 0": none,
		"Deployment: paused: false":                                                   "replicas is not set, which means one: rollouts are fine",
		"Deployment: replicas: 1, strategy: {type: Recreate}":                         gap,
		"Deployment: replicas: 1, template: {spec: {hostNetwork: true}}":              gap,
		"Rollout: replicas: 1, strategy: {canary: {}}":                                fine,
		"DaemonSet: template: {spec: {containers: [{name: a, image: 'a@sha256:1'}]}}": "",
	} {
		kind, rest, _ := strings.Cut(spec, ": ")
		g := graph.New([]*yaml.RNode{yaml.MustParse("{apiVersion: " + map[bool]string{true: "argoproj.io/v1alpha1", false: "apps/v1"}[kind == "Rollout"] + ", kind: " + kind + ", metadata: {name: web}, spec: {" + rest + "}}")})
		c := &Checker{List: &problem.List{}, Graph: g}
		least := 1
		if n, ok := node.Int(g.Workloads[0].RNode, "spec", "replicas"); ok {
			least = n
		}
		c.scale(g.Workloads[0], least)
		got := ""
		if len(c.All) > 0 {
			got = c.All[0].Message
		}
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", spec, got, want)
		}
	}
}

// TestStrays: what helm test runs is no deploy's.
func TestStrays(t *testing.T) {
	for annotations, want := range map[string]string{"": "error", "helm.sh/hook: test": "info", "helm.sh/hook: test-success": "info", "helm.sh/hook: pre-install": "error"} {
		var objects []*yaml.RNode
		for doc := range strings.SplitSeq("{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {app: web}, annotations: {"+annotations+`}}}
---
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web}, spec: {ingressClassName: alb, defaultBackend: {service: {name: web}}, rules: [{http: {paths: [{backend: {service: {name: gone}}}]}}]}}
`, "---\n") {
			objects = append(objects, yaml.MustParse(doc))
		}
		c := &Checker{List: &problem.List{}, Graph: graph.New(objects)}
		c.Objects()
		if len(c.All) != 2 || c.All[0].Rule != "OL052" || c.All[1].Rule != "OL038" || string(c.All[1].Severity) != want {
			t.Errorf("%q: %+v", annotations, c.All)
		}
	}
}

// TestConflicts: Ingresses of one group have one load balancer.
func TestConflicts(t *testing.T) {
	ingress := func(name, group, attributes string) string {
		return fmt.Sprintf("---\n{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: %s, annotations: {alb.ingress.kubernetes.io/group.name: %s, alb.ingress.kubernetes.io/load-balancer-attributes: '%s'}}, spec: {ingressClassName: alb}}\n", name, group, attributes)
	}
	for name, tc := range map[string]struct {
		text string
		want int
	}{
		"the same value":        {ingress("a", "g", "x=1") + ingress("b", "g", "x=1"), 0},
		"another value":         {ingress("a", "g", "x=1") + ingress("b", "g", "x=2"), 1},
		"two other values":      {ingress("a", "g", "x=1,y=1") + ingress("b", "g", "x=2,y=2"), 2},
		"another attribute":     {ingress("a", "g", "x=1") + ingress("b", "g", "y=2"), 0},
		"another group":         {ingress("a", "g", "x=1") + ingress("b", "h", "x=2"), 0},
		"three of them":         {ingress("a", "g", "x=1") + ingress("b", "g", "x=2") + ingress("c", "g", "x=3"), 2},
		"one that is malformed": {ingress("a", "g", "x") + ingress("b", "g", "x=2"), 0},
	} {
		var objects []*yaml.RNode
		for doc := range strings.SplitSeq(strings.TrimPrefix(tc.text, "---\n"), "---\n") {
			objects = append(objects, yaml.MustParse(doc))
		}
		c := &Checker{List: &problem.List{}, Graph: graph.New(objects)}
		c.Objects()
		if len(c.All) != tc.want {
			t.Errorf("%s: %+v", name, c.All)
		}
	}
}
