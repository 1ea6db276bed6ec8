// SPDX-License-Identifier: Apache-2.0

package live

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/attribute"
	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
)

const manifests = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web}], initContainers: [{name: init}]}}}}
---
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, annotations: {%s}}, spec: {ingressClassName: alb, defaultBackend: {service: {name: web}}}}
`

const (
	delay65 = "alb.ingress.kubernetes.io/target-group-attributes: deregistration_delay.timeout_seconds=65"
	group   = "alb.ingress.kubernetes.io/group.name: g, alb.ingress.kubernetes.io/load-balancer-attributes: 'idle_timeout.timeout_seconds=60,routing.http2.enabled=true'"
)

func parse(t *testing.T, text string) *graph.Graph {
	t.Helper()
	var all []*yaml.RNode
	for doc := range strings.SplitSeq(text, "---\n") {
		n, err := yaml.Parse(doc)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return graph.New(all)
}

func target(binding, service, delay string) Group {
	g := Group{ARN: "tg-" + binding, Namespace: "default", Binding: binding, Service: service, TargetType: "ip", Attributes: map[string]string{}}
	if delay != "" {
		g.Attributes[attribute.Delay] = delay
	}
	return g
}

func TestWorkload(t *testing.T) {
	ingress := func(annotations string) string { return fmt.Sprintf(manifests, annotations) }
	alone := strings.Join(strings.SplitAfter(ingress(""), "---\n")[:2], "")
	alone = strings.TrimSuffix(alone, "---\n")
	pod := Pod{Namespace: "default", Name: "web-1", Labels: map[string]string{"app": "web"}, Gates: []string{"target-health.elbv2.k8s.aws/b"}, Containers: []Container{{Name: "web"}}}
	with := func(change func(*Pod)) Pod { p := pod; change(&p); return p }
	for name, tc := range map[string]struct {
		manifests string
		facts     Facts
		want      string
	}{
		"nothing was read":       {ingress(delay65), Facts{}, ""},
		"all is as it should be": {ingress(delay65), Facts{Groups: []Group{target("b", "web", "65")}, Pods: []Pod{pod}}, ""},
		"another delay than the manifests say": {ingress(delay65), Facts{Groups: []Group{target("b", "web", "300")}},
			"warning OL048 Ingress/web metadata.annotations[alb.ingress.kubernetes.io/target-group-attributes]: the deregistration delay of target group tg-b is 300s, the manifests say 65s"},
		"a delay that was not read":                      {ingress(delay65), Facts{Groups: []Group{target("b", "web", "")}}, ""},
		"a delay that is no number":                      {ingress(delay65), Facts{Groups: []Group{target("b", "web", "long")}}, ""},
		"the group of another Service":                   {ingress(delay65), Facts{Groups: []Group{target("b", "api", "300")}}, ""},
		"that of another Namespace":                      {ingress(delay65), Facts{Groups: []Group{{Namespace: "other", Service: "web", Attributes: map[string]string{attribute.Delay: "300"}}}}, ""},
		"a short delay that nobody set":                  {ingress(""), Facts{Groups: []Group{target("b", "web", "64")}}, "error OL002 Ingress/web spec: the deregistration delay of target group tg-b is 64s, and nothing here sets it"},
		"one that is just long enough":                   {ingress(""), Facts{Groups: []Group{target("b", "web", "65")}}, ""},
		"a malformed annotation, which was told already": {ingress("alb.ingress.kubernetes.io/target-group-attributes: nonsense"), Facts{Groups: []Group{target("b", "web", "1")}}, ""},
		"two routes of which either may have made the group": {ingress(delay65) + "---\n{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: two, annotations: {alb.ingress.kubernetes.io/target-group-attributes: deregistration_delay.timeout_seconds=300}}, spec: {ingressClassName: alb, defaultBackend: {service: {name: web}}}}",
			Facts{Groups: []Group{target("b", "web", "65"), target("c", "web", "300")}}, ""},
		"two routes, neither of which made it so": {ingress(delay65) + "---\n{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: two}, spec: {ingressClassName: alb, defaultBackend: {service: {name: web}}}}",
			Facts{Groups: []Group{target("b", "web", "10")}}, "warning OL048 Ingress/web metadata.annotations[alb.ingress.kubernetes.io/target-group-attributes]"},
		"a binding of the manifests": {alone + "---\n{apiVersion: elbv2.k8s.aws/v1beta1, kind: TargetGroupBinding, metadata: {name: b}, spec: {serviceRef: {name: web}}}",
			Facts{Groups: []Group{target("b", "web", "10"), target("other", "web", "9")}}, "error OL002 TargetGroupBinding/b spec: the deregistration delay of target group tg-b is 10s"},
		"a balancer that the manifests know nothing of": {alone, Facts{Groups: []Group{target("b", "web", "300")}}, "error OL040 Deployment/web : the cluster has TargetGroupBinding/default/b for Service web"},
		"targets of another type than written": {ingress(delay65 + ", alb.ingress.kubernetes.io/target-type: ip"), Facts{Groups: []Group{{ARN: "tg-b", Namespace: "default", Service: "web", TargetType: "instance"}}},
			"warning OL048 Ingress/web metadata.annotations[alb.ingress.kubernetes.io/target-type]: the targets of target group tg-b are of type instance, the manifests say ip"},
		"targets of the type that is written": {ingress(delay65 + ", alb.ingress.kubernetes.io/target-type: ip"), Facts{Groups: []Group{target("b", "web", "65")}}, ""},
		"another idle timeout": {ingress(group), Facts{Groups: []Group{{ARN: "tg-b", Namespace: "default", Service: "web", TargetType: "ip", LoadBalancer: map[string]string{"idle_timeout.timeout_seconds": "30"}}}},
			"warning OL048 Ingress/web metadata.annotations[alb.ingress.kubernetes.io/load-balancer-attributes]: the idle timeout of the load balancer of tg-b is 30s, the manifests say 60s"},
		"the idle timeout that is written":  {ingress(group), Facts{Groups: []Group{{Namespace: "default", Service: "web", LoadBalancer: map[string]string{"idle_timeout.timeout_seconds": "60"}}}}, ""},
		"an idle timeout that nobody wrote": {ingress(delay65), Facts{Groups: []Group{{Namespace: "default", Service: "web", LoadBalancer: map[string]string{"idle_timeout.timeout_seconds": "30"}}}}, ""},
		"pods from before there was a hook": {strings.Replace(ingress(delay65), "[{name: web}]", "[{name: web, lifecycle: {preStop: {sleep: {seconds: 90}}}}, {name: other}]", 1),
			Facts{Pods: []Pod{pod, with(func(p *Pod) {
				p.Name = "web-2"
				p.Containers = []Container{{Name: "web", PreStop: true}, {Name: "other"}}
			})}},
			"warning OL053 Deployment/web spec.template: 1 of the 2 running pods (web-1) have no preStop"},
		"pods whose hook is too short": {strings.Replace(ingress(delay65), "[{name: web}]", "[{name: web, lifecycle: {preStop: {sleep: {seconds: 90}}}}]", 1),
			Facts{Pods: []Pod{pod, with(func(p *Pod) { p.Name, p.Containers = "web-2", []Container{{Name: "web", PreStop: true, Seconds: 39}} })}},
			"warning OL053 Deployment/web spec.template: 2 of the 2 running pods (web-1, web-2) have a preStop of less than the 40s for which"},
		"pods whose hook is shorter, but long enough": {strings.Replace(ingress(delay65), "[{name: web}]", "[{name: web, lifecycle: {preStop: {sleep: {seconds: 90}}}}]", 1),
			Facts{Pods: []Pod{with(func(p *Pod) { p.Containers = []Container{{Name: "web", PreStop: true, Seconds: 40}} })}}, ""},
		"pods whose hook nobody can tell": {strings.Replace(ingress(delay65), "[{name: web}]", "[{name: web, lifecycle: {preStop: {sleep: {seconds: 90}}}}]", 1),
			Facts{Pods: []Pod{with(func(p *Pod) { p.Containers = []Container{{Name: "web", PreStop: true}} })}}, ""},
		"a hook of the manifests that is as short": {strings.Replace(ingress(delay65), "[{name: web}]", "[{name: web, lifecycle: {preStop: {sleep: {seconds: 10}}}}]", 1),
			Facts{Pods: []Pod{with(func(p *Pod) { p.Containers = []Container{{Name: "web", PreStop: true, Seconds: 5}} })}}, ""},
		"four of them": {strings.Replace(ingress(delay65), "[{name: web}]", "[{name: web, lifecycle: {preStop: {sleep: {seconds: 90}}}}]", 1), Facts{Pods: []Pod{pod, pod, pod, pod}},
			"warning OL053 Deployment/web spec.template: 4 of the 4 running pods (web-1, web-1, web-1, ...)"},
		"pods that no balancer sends to": {strings.Replace(alone, "[{name: web}]", "[{name: web, lifecycle: {preStop: {sleep: {seconds: 90}}}}]", 1), Facts{Pods: []Pod{pod}}, ""},
		"a pod without a gate": {ingress(delay65), Facts{Groups: []Group{target("b", "web", "65"), target("c", "web", "65")}, Pods: []Pod{pod}},
			"warning OL049 Deployment/web spec.template: pod web-1 has no readiness gate of target group c"},
		"a pod behind nodes needs none": {ingress(delay65), Facts{Groups: []Group{{Namespace: "default", Binding: "c", Service: "web", TargetType: "instance"}}, Pods: []Pod{pod}}, ""},
		"a pod of another workload":     {ingress(delay65), Facts{Groups: []Group{target("c", "web", "65")}, Pods: []Pod{with(func(p *Pod) { p.Labels = map[string]string{"app": "api"} })}}, ""},
		"a pod of another Namespace":    {ingress(delay65), Facts{Groups: []Group{target("c", "web", "65")}, Pods: []Pod{with(func(p *Pod) { p.Namespace = "other" })}}, ""},
		"a container that somebody put in, told once": {ingress(delay65), Facts{Pods: []Pod{with(func(p *Pod) { p.Containers = []Container{{Name: "web"}, {Name: "mesh"}} }), with(func(p *Pod) { p.Name = "web-2"; p.Containers = []Container{{Name: "mesh"}} })}},
			"warning OL051 Deployment/web spec.template.spec.containers: container mesh of pod web-1 is not in the manifests"},
		"one with a hook, and one of the manifests":            {ingress(delay65), Facts{Pods: []Pod{with(func(p *Pod) { p.Containers = []Container{{Name: "mesh", PreStop: true}, {Name: "init"}} })}}, ""},
		"a container in pods that no balancer sends to":        {alone, Facts{Pods: []Pod{with(func(p *Pod) { p.Containers = []Container{{Name: "mesh"}} })}}, ""},
		"a Rollout whose selector is the Deployment's it uses": {strings.Replace(ingress(delay65), "---\n", "---\n{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: r}, spec: {workloadRef: {kind: Deployment, name: web}, strategy: {canary: {}}}}\n---\n", 1), Facts{Groups: []Group{target("c", "web", "65")}, Pods: []Pod{pod}}, "warning OL049 Rollout/r spec.template: pod web-1"},
	} {
		t.Run(name, func(t *testing.T) {
			g := parse(t, tc.manifests)
			list := &problem.List{}
			c := &Checker{List: list, Facts: &tc.facts, Graph: g}
			for _, w := range g.Workloads {
				c.Workload(w, 65*time.Second, 40*time.Second)
			}
			expect(t, list, tc.want)
		})
	}
}

// expect compares one line a problem, each by how it begins.
func expect(t *testing.T, list *problem.List, want string) {
	t.Helper()
	var got []string
	for _, p := range list.All {
		got = append(got, fmt.Sprintf("%s %s %s %s: %s", p.Severity, p.Rule, p.Object, p.Field, p.Message))
	}
	var lines []string
	if want != "" {
		lines = strings.Split(want, "\n")
	}
	if len(got) != len(lines) {
		t.Fatalf("got %d problems:\n%s\nwant\n%s", len(got), strings.Join(got, "\n"), want)
	}
	for i, line := range lines {
		if !strings.HasPrefix(got[i], line) {
			t.Errorf("got\n%s\nwant\n%s", got[i], line)
		}
	}
}

func TestMembers(t *testing.T) {
	const at = "error OL020 Ingress/web metadata.annotations[alb.ingress.kubernetes.io/load-balancer-attributes]: "
	for name, tc := range map[string]struct {
		annotations string
		member      Member
		want        string
	}{
		"another value":     {group, Member{Namespace: "shop", Name: "theirs", Group: "g", Attributes: "idle_timeout.timeout_seconds=30"}, at + "idle_timeout.timeout_seconds=60, but Ingress/shop/theirs of the same group \"g\", in the cluster, wants 30"},
		"two other values":  {group, Member{Namespace: "shop", Name: "theirs", Group: "g", Attributes: "routing.http2.enabled=false,idle_timeout.timeout_seconds=30"}, at + "idle_timeout.timeout_seconds=60\n" + at + "routing.http2.enabled=true"},
		"the same value":    {group, Member{Namespace: "shop", Name: "theirs", Group: "g", Attributes: "idle_timeout.timeout_seconds=60"}, ""},
		"another attribute": {group, Member{Namespace: "shop", Name: "theirs", Group: "g", Attributes: "client_keep_alive.seconds=60"}, ""},
		"another group":     {group, Member{Namespace: "shop", Name: "theirs", Group: "h", Attributes: "idle_timeout.timeout_seconds=30"}, ""},
		"no group":          {"alb.ingress.kubernetes.io/load-balancer-attributes: idle_timeout.timeout_seconds=60", Member{Namespace: "shop", Name: "theirs", Group: "", Attributes: "idle_timeout.timeout_seconds=30"}, ""},
		"itself, as it was": {group, Member{Namespace: "default", Name: "web", Group: "g", Attributes: "idle_timeout.timeout_seconds=30"}, ""},
		"another of the manifests, as it was": {group + `}, namespace: shop}, spec: {}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: theirs, namespace: shop, annotations: {` + group, Member{Namespace: "shop", Name: "theirs", Group: "g", Attributes: "idle_timeout.timeout_seconds=30"}, ""},
		"one of that name elsewhere":      {group, Member{Namespace: "shop", Name: "web", Group: "g", Attributes: "idle_timeout.timeout_seconds=30"}, at + "idle_timeout.timeout_seconds=60, but Ingress/shop/web"},
		"what a class's parameters say":   {group, Member{Namespace: "shop", Name: "theirs", Group: "g", Class: map[string]string{"idle_timeout.timeout_seconds": "30"}}, at + "idle_timeout.timeout_seconds=60, but Ingress/shop/theirs"},
		"a class wins over an annotation": {group, Member{Namespace: "shop", Name: "theirs", Group: "g", Attributes: "idle_timeout.timeout_seconds=30", Class: map[string]string{"idle_timeout.timeout_seconds": "60"}}, ""},
		"what the controller refuses":     {group, Member{Namespace: "shop", Name: "theirs", Group: "g", Attributes: "nonsense"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			list := &problem.List{}
			c := &Checker{List: list, Facts: &Facts{Members: []Member{tc.member}}, Graph: parse(t, fmt.Sprintf(manifests, tc.annotations))}
			c.Members()
			expect(t, list, tc.want)
		})
	}
}

func TestFacts(t *testing.T) {
	for want, kubelets := range map[string]map[string]string{
		"": nil, "v1.30.1": {"a": "v1.30.1"}, "v1.29.5-eks-1": {"a": "v1.31.0", "b": "v1.29.5-eks-1", "c": "v1.30.0"}, "v1.31.0": {"a": "v1.31.0", "b": "odd"}, "v1.29.0": {"a": "odd", "b": "v1.29.0"},
	} {
		if got := (&Facts{Kubelets: kubelets}).Oldest(); got != want {
			t.Errorf("%v: the oldest is %q, want %q", kubelets, got, want)
		}
	}
	gated := (&Facts{Namespaces: map[string]map[string]string{"a": {graph.GateLabel: "enabled"}, "b": {graph.AutoGateLabel: "enabled"}, "c": {graph.GateLabel: "disabled"}, "d": nil}}).Gated()
	if !gated["a"] || !gated["b"] || gated["c"] || gated["d"] || len(gated) != 4 {
		t.Errorf("gated %v", gated)
	}
	w := parse(t, fmt.Sprintf(manifests, "")).Workloads[0]
	lb := func(idle string) Group {
		g := target("b", "web", "")
		g.LoadBalancer = map[string]string{"idle_timeout.timeout_seconds": idle}
		return g
	}
	for name, tc := range map[string]struct {
		groups []Group
		want   time.Duration
	}{
		"nothing read": {nil, 0}, "one": {[]Group{lb("90")}, 90 * time.Second}, "the longest": {[]Group{lb("90"), lb("120"), lb("30")}, 2 * time.Minute},
		"no number": {[]Group{lb("long")}, 0}, "what AWS does not take": {[]Group{lb("4001"), lb("0"), lb("-1")}, 0},
	} {
		if got := (&Facts{Groups: tc.groups}).IdleTimeout(w); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}
