// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/node"
)

func objects(t *testing.T, text string) (all []*yaml.RNode) {
	t.Helper()
	for doc := range strings.SplitSeq(text, "---\n") {
		n, err := yaml.Parse(doc)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

func TestBackends(t *testing.T) {
	for name, tc := range map[string]struct{ spec, annotations, want string }{
		"none":                         {spec: "{}"},
		"the default":                  {spec: "{defaultBackend: {service: {name: a, port: {number: 80}}}}", want: "a:80"},
		"rules, each Service once":     {spec: "{rules: [{http: {paths: [{backend: {service: {name: b}}}, {backend: {service: {name: a}}}]}}, {http: {paths: [{backend: {service: {name: b}}}]}}, {host: x}]}", want: "b a"},
		"each port once":               {spec: "{rules: [{http: {paths: [{backend: {service: {name: b, port: {name: web}}}}, {backend: {service: {name: b, port: {number: 80}}}}, {backend: {service: {name: b, port: {name: web}}}}]}}]}", want: "b:web,80"},
		"a backend that is no Service": {spec: "{defaultBackend: {resource: {kind: Bucket, name: a}}}"},
		"an action":                    {spec: "{defaultBackend: {service: {name: go, port: {name: use-annotation}}}}", annotations: `go: '{"type": "forward", "forwardConfig": {"targetGroups": [{"serviceName": "a", "servicePort": 80}, {"serviceName": "b", "servicePort": "http"}, {"targetGroupARN": "x"}]}}'`, want: "a:80 b:http"},
		"an action named like the Service it forwards to":   {spec: "{defaultBackend: {service: {name: a, port: {name: use-annotation}}}}", annotations: `a: '{"type": "forward", "forwardConfig": {"targetGroups": [{"serviceName": "a"}, {"serviceName": "b"}]}}'`, want: "a b"},
		"a Service that shares its name with an action":     {spec: "{defaultBackend: {service: {name: a, port: {number: 80}}}}", annotations: `a: '{"type": "forward", "forwardConfig": {"targetGroups": [{"serviceName": "b"}]}}'`, want: "a:80"},
		"an action that nobody names":                       {spec: "{defaultBackend: {service: {name: a}}}", annotations: `go: '{"type": "forward", "forwardConfig": {"targetGroups": [{"serviceName": "b"}]}}'`, want: "a"},
		"an action that is not there":                       {spec: "{defaultBackend: {service: {name: go, port: {name: use-annotation}}}}"},
		"an action that is no JSON":                         {spec: "{defaultBackend: {service: {name: go, port: {name: use-annotation}}}}", annotations: "go: '{'"},
		"an action that redirects":                          {spec: "{defaultBackend: {service: {name: go, port: {name: use-annotation}}}}", annotations: `go: '{"type": "redirect", "redirectConfig": {"port": "443"}}'`},
		"an action that forwards to a target group by hand": {spec: "{defaultBackend: {service: {name: go, port: {name: use-annotation}}}}", annotations: `go: '{"type": "forward", "targetGroupARN": "x"}'`},
	} {
		t.Run(name, func(t *testing.T) {
			annotations := ""
			if tc.annotations != "" {
				annotations = ALBPrefix + "actions." + tc.annotations
			}
			n := yaml.MustParse("kind: Ingress\nmetadata: {name: i, annotations: {" + annotations + "}}\nspec: " + tc.spec)
			var all []string
			for _, b := range (&Graph{}).backends(n) {
				all = append(all, b.service+strings.TrimSuffix(":"+strings.Join(b.ports, ","), ":"))
			}
			if got := strings.Join(all, " "); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestSelecting(t *testing.T) {
	labels := map[string]string{"app": "web", "tier": "front"}
	for spec, want := range map[string]bool{
		"{selector: {app: web}}": true, "{selector: {app: web, tier: front}}": true, "{selector: {app: web, other: x}}": false, "{selector: {app: api}}": false,
		"{}": false, "{selector: {}}": false, "{selector: {app: web}, type: ExternalName}": false,
	} {
		g := New(objects(t, "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: n}, spec: "+spec+"}"))
		if got := len(g.services.Matching("n", labels)) == 1; got != want || len(g.services.Matching("other", labels)) > 0 {
			t.Errorf("%s: %v", spec, got)
		}
	}
}

func TestBudget(t *testing.T) {
	g := New(objects(t, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: n}, spec: {template: {metadata: {labels: {app: a, tier: x}}}}}
---
{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: far, namespace: other}, spec: {selector: {matchLabels: {app: a}}}}
---
{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: labels, namespace: n}, spec: {selector: {matchLabels: {app: a}}}}
---
{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: wrong, namespace: n}, spec: {selector: {matchLabels: {app: b}}}}
---
{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: not, namespace: n}, spec: {selector: {matchLabels: {app: a}, matchExpressions: [{key: tier, operator: NotIn, values: [x]}]}}}
---
{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: none, namespace: n}, spec: {}}
`))
	if got := g.Budget(g.Workloads[0]); got == nil || got.GetName() != "labels" {
		t.Errorf("got %v", got)
	}
}

// summary tells what a graph knows of the workloads' target groups.
func summary(t *testing.T, g *Graph) string {
	t.Helper()
	var lines []string
	for _, w := range g.Workloads {
		for _, tg := range w.Groups {
			d, err := tg.Drain()
			if err != nil {
				lines = append(lines, w.ID()+": "+err.Error())
				continue
			}
			delay := "-"
			if d.Delay != nil {
				delay = d.Delay.String()
			}
			auto := ""
			if tg.Auto {
				auto = " auto"
			}
			lines = append(lines, fmt.Sprintf("%s: %s %s %s(%s %s) D=%s h=%gs/%gs %d/%d I=%gs%s", w.ID(), tg.Name(), d.Balancer, tg.Type.Value, node.ID(tg.Type.Object), tg.Type.Field, delay,
				d.HealthInterval.Seconds(), d.HealthTimeout.Seconds(), d.HealthyCount, d.UnhealthyCount, d.IdleTimeout.Seconds(), auto))
		}
	}
	for _, s := range g.Strays {
		lines = append(lines, "stray "+node.ID(s.Object)+" of "+node.ID(s.Service))
	}
	for _, u := range g.Unknown {
		lines = append(lines, "unknown "+node.ID(u.Object)+" "+u.Field)
	}
	for _, m := range g.Missing {
		lines = append(lines, "missing "+m.Service+" of "+node.ID(m.Route))
	}
	for _, m := range g.Malformed {
		lines = append(lines, m.Error())
	}
	return strings.Join(lines, "\n")
}

const web = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {template: {metadata: {labels: {app: web}}}}}
---
{apiVersion: v1, kind: Service, metadata: {name: web%s}, spec: {selector: {app: web}, ports: [{port: 80}, {port: 443}]%s}}
---
`

func TestTargetGroups(t *testing.T) {
	alb := func(rest string) string {
		return fmt.Sprintf(web, "", "") + "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, annotations: {" + rest + "}}, spec: {ingressClassName: alb, defaultBackend: {service: {name: web, port: {number: 80}}}}}"
	}
	idle := func(group, seconds string) string {
		return "\n---\n{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: other, annotations: {alb.ingress.kubernetes.io/group.name: " + group + ", alb.ingress.kubernetes.io/load-balancer-attributes: idle_timeout.timeout_seconds=" + seconds + "}}, spec: {ingressClassName: alb}}"
	}
	const route = "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: web}, spec: {parentRefs: [{name: web}], rules: [{backendRefs: [{name: web}]}]}}\n---\n"
	const gateway = "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: web}, spec: {gatewayClassName: %s, infrastructure: {parametersRef: {kind: LoadBalancerConfiguration, name: lb}}}}\n---\n"
	const binding = "{apiVersion: elbv2.k8s.aws/v1beta1, kind: TargetGroupBinding, metadata: {name: b}, spec: {serviceRef: {name: web}%s}}"
	for name, tc := range map[string]struct{ objects, want string }{
		"an Ingress of few words": {alb("a: b"), "Deployment/web: Ingress/web -> Service/web alb (Ingress/web metadata.annotations[alb.ingress.kubernetes.io/target-type]) D=- h=15s/5s 2/2 I=0s"},
		"an Ingress of many words": {alb("alb.ingress.kubernetes.io/target-type: ip, alb.ingress.kubernetes.io/healthcheck-interval-seconds: '7', alb.ingress.kubernetes.io/healthcheck-timeout-seconds: '3', alb.ingress.kubernetes.io/healthy-threshold-count: '4', alb.ingress.kubernetes.io/unhealthy-threshold-count: '5', alb.ingress.kubernetes.io/load-balancer-attributes: idle_timeout.timeout_seconds=90"),
			"Deployment/web: Ingress/web -> Service/web alb ip(Ingress/web metadata.annotations[alb.ingress.kubernetes.io/target-type]) D=- h=7s/3s 4/5 I=90s"},
		"an idle timeout that another of the group says": {alb("alb.ingress.kubernetes.io/group.name: g, alb.ingress.kubernetes.io/target-type: ip") + idle("g", "120"),
			"Deployment/web: Ingress/web -> Service/web alb ip(Ingress/web metadata.annotations[alb.ingress.kubernetes.io/target-type]) D=- h=15s/5s 2/2 I=120s"},
		"its own wins, though the two conflict": {alb("alb.ingress.kubernetes.io/group.name: g, alb.ingress.kubernetes.io/target-type: ip, alb.ingress.kubernetes.io/load-balancer-attributes: idle_timeout.timeout_seconds=90") + idle("g", "120"),
			"Deployment/web: Ingress/web -> Service/web alb ip(Ingress/web metadata.annotations[alb.ingress.kubernetes.io/target-type]) D=- h=15s/5s 2/2 I=90s"},
		"that of another group is another's": {alb("alb.ingress.kubernetes.io/group.name: g, alb.ingress.kubernetes.io/target-type: ip") + idle("h", "120"),
			"Deployment/web: Ingress/web -> Service/web alb ip(Ingress/web metadata.annotations[alb.ingress.kubernetes.io/target-type]) D=- h=15s/5s 2/2 I=0s"},
		"an idle timeout that is no number": {alb("alb.ingress.kubernetes.io/load-balancer-attributes: idle_timeout.timeout_seconds=1m"),
			"Deployment/web: reading metadata.annotations[alb.ingress.kubernetes.io/load-balancer-attributes] of Ingress/web: idle_timeout.timeout_seconds=1m is no number of seconds"},
		"a Service wins over its Ingress": {strings.Replace(alb("alb.ingress.kubernetes.io/target-type: ip, alb.ingress.kubernetes.io/healthcheck-interval-seconds: '7'"), "{name: web}, spec: {selector", "{name: web, annotations: {alb.ingress.kubernetes.io/target-type: instance, alb.ingress.kubernetes.io/healthcheck-interval-seconds: '9'}}, spec: {selector", 1),
			"Deployment/web: Ingress/web -> Service/web instance instance(Service/web metadata.annotations[alb.ingress.kubernetes.io/target-type]) D=- h=9s/5s 2/2 I=0s"},
		"a binding with nothing else":                   {fmt.Sprintf(web, "", "") + fmt.Sprintf(binding, ""), "Deployment/web: TargetGroupBinding/b -> Service/web alb (TargetGroupBinding/b spec.targetType) D=- h=30s/5s 5/2 I=0s"},
		"a binding of TLS":                              {fmt.Sprintf(web, "", "") + fmt.Sprintf(binding, ", targetType: ip, targetGroupProtocol: TLS"), "Deployment/web: TargetGroupBinding/b -> Service/web nlb ip(TargetGroupBinding/b spec.targetType) D=- h=30s/5s 5/2 I=0s"},
		"a binding of HTTPS":                            {fmt.Sprintf(web, "", "") + fmt.Sprintf(binding, ", targetType: ip, targetGroupProtocol: HTTPS"), "Deployment/web: TargetGroupBinding/b -> Service/web alb ip(TargetGroupBinding/b spec.targetType) D=- h=30s/5s 5/2 I=0s"},
		"a binding of nodes":                            {fmt.Sprintf(web, "", "") + fmt.Sprintf(binding, ", targetType: instance, targetGroupProtocol: UDP"), "Deployment/web: TargetGroupBinding/b -> Service/web instance instance(TargetGroupBinding/b spec.targetType) D=- h=30s/5s 5/2 I=0s"},
		"a binding to another Service":                  {fmt.Sprintf(web, "", "") + strings.Replace(fmt.Sprintf(binding, ""), "name: web", "name: api", 1), "missing default/api of TargetGroupBinding/b"},
		"one names the Namespace default, another none": {strings.NewReplacer("kind: Service, metadata: {name: web", "kind: Service, metadata: {namespace: default, name: web").Replace(alb("alb.ingress.kubernetes.io/target-type: ip")), "Deployment/web: Ingress/web -> Service/default/web alb ip(Ingress/web metadata.annotations[alb.ingress.kubernetes.io/target-type]) D=- h=15s/5s 2/2 I=0s"},
		"a health check that is no number":              {alb("alb.ingress.kubernetes.io/target-type: ip, alb.ingress.kubernetes.io/healthcheck-interval-seconds: 10s"), "Deployment/web: Ingress/web -> Service/web alb ip(Ingress/web metadata.annotations[alb.ingress.kubernetes.io/target-type]) D=- h=15s/5s 2/2 I=0s\nreading metadata.annotations[alb.ingress.kubernetes.io/healthcheck-interval-seconds] of Ingress/web: \"10s\" is no whole number"},
		"nginx's, with a leftover of ours":              {strings.Replace(alb("alb.ingress.kubernetes.io/target-type: ip"), "ingressClassName: alb", "ingressClassName: nginx", 1), "unknown Ingress/web spec.ingressClassName"},
		"a class of its own, and annotations of ours":   {strings.Replace(alb("alb.ingress.kubernetes.io/target-type: ip"), "ingressClassName: alb", "ingressClassName: internal", 1), "Deployment/web: Ingress/web -> Service/web alb ip(Ingress/web metadata.annotations[alb.ingress.kubernetes.io/target-type]) D=- h=15s/5s 2/2 I=0s"},
		"an action that is no JSON":                     {strings.Replace(alb("alb.ingress.kubernetes.io/actions.web: '{'"), "number: 80", "name: use-annotation", 1), "reading metadata.annotations[alb.ingress.kubernetes.io/actions.web] of Ingress/web: unexpected end of JSON input"},
		"an action that is not there":                   {strings.Replace(alb("a: b"), "number: 80", "name: use-annotation", 1), "reading metadata.annotations[alb.ingress.kubernetes.io/actions.web] of Ingress/web: a backend with the port use-annotation names this action, which is not there"},
		"what the author says settles the type":         {strings.Replace(alb("a: b"), "metadata: {name: web}", "metadata: {name: web, annotations: {outlast/balancer: alb}}", 1), "Deployment/web: Ingress/web -> Service/web alb ip(Ingress/web metadata.annotations[alb.ingress.kubernetes.io/target-type]) D=- h=15s/5s 2/2 I=0s"},
		"also that nodes are the targets":               {strings.Replace(alb("a: b"), "metadata: {name: web}", "metadata: {name: web, annotations: {outlast/balancer: instance}}", 1), "Deployment/web: Ingress/web -> Service/web instance instance(Ingress/web metadata.annotations[alb.ingress.kubernetes.io/target-type]) D=- h=15s/5s 2/2 I=0s"},
		"but not against what is written":               {strings.Replace(alb("alb.ingress.kubernetes.io/target-type: ip"), "metadata: {name: web}", "metadata: {name: web, annotations: {outlast/balancer: instance}}", 1), "Deployment/web: Ingress/web -> Service/web alb ip(Ingress/web metadata.annotations[alb.ingress.kubernetes.io/target-type]) D=- h=15s/5s 2/2 I=0s"},
		"an NLB of one port": {"{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {template: {metadata: {labels: {app: web}}}}}\n---\n{apiVersion: v1, kind: Service, metadata: {name: web, annotations: {" + NLBPrefix + "type: nlb-ip}}, spec: {selector: {app: web}, ports: [{port: 80, protocol: TCP}, {port: 80, protocol: UDP}]}}",
			"Deployment/web: Service/web nlb ip(Service/web metadata.annotations[service.beta.kubernetes.io/aws-load-balancer-nlb-target-type]) D=- h=10s/10s 3/3 I=0s"},
		"an NLB of two ports with attributes, one of its own": {strings.TrimSuffix(fmt.Sprintf(web, ", annotations: {"+NLBPrefix+"target-group-attributes: deregistration_delay.timeout_seconds=5, "+NLBPrefix+"target-group-attributes.443: deregistration_delay.timeout_seconds=6, "+NLBPrefix+"healthcheck-interval: '20'}", ", type: LoadBalancer, loadBalancerClass: service.k8s.aws/nlb"), "---\n"),
			"Deployment/web: Service/web:443 nlb (Service/web metadata.annotations[service.beta.kubernetes.io/aws-load-balancer-nlb-target-type]) D=6s h=20s/10s 3/3 I=0s\n" +
				"Deployment/web: Service/web:80 nlb (Service/web metadata.annotations[service.beta.kubernetes.io/aws-load-balancer-nlb-target-type]) D=5s h=20s/10s 3/3 I=0s"},
		"a Service of the cluster alone": {strings.TrimSuffix(fmt.Sprintf(web, "", ""), "---\n"), ""},
		"a route, its class and configurations": {fmt.Sprintf(web, "", "") + route + fmt.Sprintf(gateway, "aws-alb") +
			"{apiVersion: gateway.k8s.aws/v1, kind: LoadBalancerConfiguration, metadata: {name: lb}, spec: {loadBalancerAttributes: [{key: idle_timeout.timeout_seconds, value: '80'}], defaultTargetGroupConfiguration: {name: def}}}\n---\n" +
			"{apiVersion: gateway.k8s.aws/v1, kind: TargetGroupConfiguration, metadata: {name: def}, spec: {defaultConfiguration: {targetType: ip, healthCheckConfig: {healthCheckInterval: 8, healthCheckTimeout: 4}, targetGroupAttributes: [{key: deregistration_delay.timeout_seconds, value: '70'}]}}}\n---\n" +
			"{apiVersion: gateway.k8s.aws/v1, kind: TargetGroupConfiguration, metadata: {name: own}, spec: {targetReference: {name: web}, defaultConfiguration: {healthCheckConfig: {healthyThresholdCount: 9}}}}",
			"Deployment/web: HTTPRoute/web -> Service/web alb ip(TargetGroupConfiguration/def spec.defaultConfiguration.targetType) D=70s h=15s/5s 9/3 I=80s"},
		"an idle timeout of a Gateway that is no number": {fmt.Sprintf(web, "", "") + route + fmt.Sprintf(gateway, "aws-alb") + "{apiVersion: gateway.k8s.aws/v1, kind: LoadBalancerConfiguration, metadata: {name: lb}, spec: {loadBalancerAttributes: [{key: a, value: b}, {key: idle_timeout.timeout_seconds, value: 1m}]}}",
			"Deployment/web: reading spec.loadBalancerAttributes[1].value of LoadBalancerConfiguration/lb: idle_timeout.timeout_seconds=1m is no number of seconds"},
		"a configuration of another's": {fmt.Sprintf(web, "", "") + route + fmt.Sprintf(gateway, "aws-alb") + "{apiVersion: example.com/v1, kind: TargetGroupConfiguration, metadata: {name: own}, spec: {targetReference: {name: web}, defaultConfiguration: {targetType: instance}}}",
			"Deployment/web: HTTPRoute/web -> Service/web alb (HTTPRoute/web spec.rules) D=- h=15s/5s 3/3 I=0s"},
		"a binding of another's": {fmt.Sprintf(web, "", "") + strings.Replace(fmt.Sprintf(binding, ""), "elbv2.k8s.aws", "example.com", 1), ""},
		"a route of an NLB": {fmt.Sprintf(web, "", "") + strings.Replace(route, "HTTPRoute", "TLSRoute", 1) + strings.TrimSuffix(fmt.Sprintf(gateway, "aws-nlb"), "---\n"),
			"Deployment/web: TLSRoute/web -> Service/web nlb (TLSRoute/web spec.rules) D=- h=15s/5s 3/3 I=0s"},
		"a TLSRoute of an ALB": {fmt.Sprintf(web, "", "") + strings.Replace(route, "HTTPRoute", "TLSRoute", 1) + fmt.Sprintf(gateway, "ours") + "{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: ours}, spec: {controllerName: gateway.k8s.aws/alb}}",
			"Deployment/web: TLSRoute/web -> Service/web alb (TLSRoute/web spec.rules) D=- h=15s/5s 3/3 I=0s"},
		"a Gateway of a class that nobody knows": {fmt.Sprintf(web, "", "") + route + strings.TrimSuffix(fmt.Sprintf(gateway, "ours"), "---\n"), "unknown Gateway/web spec.gatewayClassName"},
		"a route of a ListenerSet": {fmt.Sprintf(web, "", "") + strings.Replace(route, "[{name: web}], rules", "[{kind: ListenerSet, name: set}, {name: web}], rules", 1) + fmt.Sprintf(gateway, "aws-alb") + "{apiVersion: gateway.networking.k8s.io/v1, kind: ListenerSet, metadata: {name: set}, spec: {parentRef: {name: web}}}",
			"Deployment/web: HTTPRoute/web -> Service/web alb (HTTPRoute/web spec.rules) D=- h=15s/5s 3/3 I=0s"},
		"a route of a ListenerSet whose Gateway lives elsewhere": {fmt.Sprintf(web, "", "") + strings.Replace(route, "[{name: web}], rules", "[{kind: ListenerSet, name: set, namespace: infra}], rules", 1) + strings.Replace(fmt.Sprintf(gateway, "aws-alb"), "{name: web}", "{name: web, namespace: edge}", 1) + "{apiVersion: gateway.networking.k8s.io/v1, kind: ListenerSet, metadata: {name: set, namespace: infra}, spec: {parentRef: {kind: Gateway, name: web, namespace: edge}}}",
			"Deployment/web: HTTPRoute/web -> Service/web alb (HTTPRoute/web spec.rules) D=- h=15s/5s 3/3 I=0s"},
		"a route of a ListenerSet that is not here":       {fmt.Sprintf(web, "", "") + strings.TrimSuffix(strings.Replace(route, "[{name: web}], rules", "[{kind: ListenerSet, name: set}], rules", 1), "---\n"), "unknown HTTPRoute/web spec.parentRefs"},
		"a route of a ListenerSet that names another set": {fmt.Sprintf(web, "", "") + strings.Replace(route, "[{name: web}], rules", "[{kind: ListenerSet, name: set}], rules", 1) + "{apiVersion: gateway.networking.k8s.io/v1, kind: ListenerSet, metadata: {name: set}, spec: {parentRef: {kind: ListenerSet, name: set}}}", ""},
		"a part for the route in a Gateway's default": {fmt.Sprintf(web, "", "") + route + fmt.Sprintf(gateway, "aws-alb") +
			"{apiVersion: gateway.k8s.aws/v1, kind: LoadBalancerConfiguration, metadata: {name: lb}, spec: {defaultTargetGroupConfiguration: {name: def}}}\n---\n" +
			"{apiVersion: gateway.k8s.aws/v1, kind: TargetGroupConfiguration, metadata: {name: def}, spec: {defaultConfiguration: {targetType: ip, targetGroupAttributes: [{key: deregistration_delay.timeout_seconds, value: '70'}]}, routeConfigurations: [{routeIdentifier: {kind: HTTPRoute}, targetGroupProps: {targetGroupAttributes: [{key: deregistration_delay.timeout_seconds, value: '5'}]}}]}}",
			"Deployment/web: HTTPRoute/web -> Service/web alb ip(TargetGroupConfiguration/def spec.defaultConfiguration.targetType) D=5s h=15s/5s 3/3 I=0s"},
		"a part for the route in the weaker of two defaults": {fmt.Sprintf(web, "", "") + route + fmt.Sprintf(gateway, "ours") +
			"{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: ours}, spec: {controllerName: gateway.k8s.aws/alb, parametersRef: {kind: LoadBalancerConfiguration, name: class, namespace: default}}}\n---\n" +
			"{apiVersion: gateway.k8s.aws/v1, kind: LoadBalancerConfiguration, metadata: {name: class}, spec: {defaultTargetGroupConfiguration: {name: strong}}}\n---\n" +
			"{apiVersion: gateway.k8s.aws/v1, kind: LoadBalancerConfiguration, metadata: {name: lb}, spec: {defaultTargetGroupConfiguration: {name: weak}}}\n---\n" +
			"{apiVersion: gateway.k8s.aws/v1, kind: TargetGroupConfiguration, metadata: {name: strong}, spec: {defaultConfiguration: {targetType: ip}}}\n---\n" +
			"{apiVersion: gateway.k8s.aws/v1, kind: TargetGroupConfiguration, metadata: {name: weak}, spec: {defaultConfiguration: {targetGroupAttributes: [{key: deregistration_delay.timeout_seconds, value: '70'}]}, routeConfigurations: [{routeIdentifier: {kind: HTTPRoute}, targetGroupProps: {targetGroupAttributes: [{key: deregistration_delay.timeout_seconds, value: '5'}]}}]}}",
			"Deployment/web: HTTPRoute/web -> Service/web alb ip(TargetGroupConfiguration/strong spec.defaultConfiguration.targetType) D=70s h=15s/5s 3/3 I=0s"},
		"a route to another kind of parent": {fmt.Sprintf(web, "", "") + strings.TrimSuffix(strings.Replace(route, "[{name: web}], rules", "[{kind: Service, name: web}], rules", 1), "---\n"), ""},
		"a pod and a ReplicaSet behind a balancer": {alb("a: b") + "\n---\n{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {app: web}}}\n---\n{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: r}, spec: {template: {metadata: {labels: {app: web}}}}}\n---\n{apiVersion: v1, kind: Pod, metadata: {name: q, namespace: other, labels: {app: web}}}",
			"Deployment/web: Ingress/web -> Service/web alb (Ingress/web metadata.annotations[alb.ingress.kubernetes.io/target-type]) D=- h=15s/5s 2/2 I=0s\nstray Pod/p of Service/web\nstray ReplicaSet/r of Service/web"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := summary(t, New(objects(t, tc.objects))); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

// TestLoadBalancerConfigurations: the class's configuration wins, unless it says that
// the Gateway's does.
func TestLoadBalancerConfigurations(t *testing.T) {
	const text = `{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: c}, spec: {controllerName: gateway.k8s.aws/alb, parametersRef: {kind: LoadBalancerConfiguration, name: class, namespace: infra}}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g, namespace: shop}, spec: {gatewayClassName: c, infrastructure: {parametersRef: {kind: LoadBalancerConfiguration, name: own}}}}
---
{apiVersion: gateway.k8s.aws/v1, kind: LoadBalancerConfiguration, metadata: {name: own, namespace: shop}}
---
{apiVersion: gateway.k8s.aws/v1, kind: LoadBalancerConfiguration, metadata: {name: class, namespace: infra}, spec: {%s}}
---
{apiVersion: gateway.k8s.aws/v1, kind: LoadBalancerConfiguration, metadata: {name: class, namespace: shop}}
`
	for mode, want := range map[string]string{"": "infra/class shop/own", "mergingMode: prefer-gateway-class": "infra/class shop/own", "mergingMode: prefer-gateway": "shop/own infra/class"} {
		g := New(objects(t, fmt.Sprintf(text, mode)))
		var got []string
		for _, c := range g.loadBalancerConfigurations(g.named("Gateway", "shop", "g")) {
			got = append(got, c.GetNamespace()+"/"+c.GetName())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v, want %s", mode, got, want)
		}
	}
}

func TestRouteConfiguration(t *testing.T) {
	route := yaml.MustParse("{apiVersion: a/v1, kind: HTTPRoute, metadata: {name: r, namespace: n}}")
	for ids, want := range map[string]int{
		"[]":                                     -1,
		"[{}]":                                   -1, // without a kind it is nobody's
		"[{kind: HTTPRoute}]":                    0,
		"[{kind: GRPCRoute}, {kind: HTTPRoute}]": 1,
		"[{kind: HTTPRoute}, {kind: HTTPRoute, namespace: n}]":                                           1,
		"[{kind: HTTPRoute, namespace: n}, {kind: HTTPRoute}]":                                           0,
		"[{kind: HTTPRoute, namespace: n}, {kind: HTTPRoute, namespace: n, name: r}, {kind: HTTPRoute}]": 1,
		"[{kind: HTTPRoute, namespace: n, name: other}, {kind: HTTPRoute, namespace: other}]":            -1,
		"[{kind: HTTPRoute, name: r}]":                                                                   -1, // a name wants its namespace
		"[{kind: HTTPRoute}, {kind: HTTPRoute}]":                                                         0,
	} {
		list := strings.ReplaceAll(strings.ReplaceAll(ids, "{", "{routeIdentifier: {"), "}", "}}")
		config := yaml.MustParse("spec: {routeConfigurations: " + list + "}")
		i, ok := routeConfiguration(config, route)
		if !ok {
			i = -1
		}
		if i != want {
			t.Errorf("%s: %d, want %d", ids, i, want)
		}
	}
}

func TestAutoscalers(t *testing.T) {
	g := New(objects(t, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: n}}
---
{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: a, namespace: n}}
---
{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: h, namespace: n}, spec: {scaleTargetRef: {kind: StatefulSet, name: a}}}
---
{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {name: k, namespace: n}, spec: {scaleTargetRef: {name: a}}}
---
{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: far, namespace: other}, spec: {scaleTargetRef: {kind: Deployment, name: a}}}
`))
	var got []string
	for _, w := range g.Workloads {
		got = append(got, w.ID()+" "+node.ID(g.Autoscaler(w)))
	}
	slices.Sort(got)
	if want := "Deployment/n/a ScaledObject/n/k|StatefulSet/n/a HorizontalPodAutoscaler/n/h"; strings.Join(got, "|") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// TestShared: where each kind of route says that other clusters' targets are in its target
// group, too.
func TestShared(t *testing.T) {
	route := fmt.Sprintf(web, "", "") + "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: web}, spec: {parentRefs: [{name: far}], rules: [{backendRefs: [{name: web}]}]}}\n---\n"
	ingress := func(service, rest string) string {
		return fmt.Sprintf(web, service, "") + "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, annotations: {" + rest + "}}, spec: {ingressClassName: alb, defaultBackend: {service: {name: web}}}}"
	}
	const annotation = ALBPrefix + "multi-cluster-target-group: "
	for want, text := range map[string]string{
		"true Ingress/web metadata.annotations[" + ALBPrefix + "multi-cluster-target-group]":  ingress("", annotation+"'true'"),
		"false Service/web metadata.annotations[" + ALBPrefix + "multi-cluster-target-group]": ingress(", annotations: {"+annotation+"'false'}", annotation+"'true'"),
		"true TargetGroupBinding/b spec.multiClusterTargetGroup":                              fmt.Sprintf(web, "", "") + "{apiVersion: elbv2.k8s.aws/v1beta1, kind: TargetGroupBinding, metadata: {name: b}, spec: {serviceRef: {name: web}, multiClusterTargetGroup: true}}",
		"true Service/web metadata.annotations[" + NLBPrefix + "multi-cluster-target-group]":  strings.TrimSuffix(strings.Replace(fmt.Sprintf(web, ", annotations: {"+NLBPrefix+"type: nlb-ip, "+NLBPrefix+"multi-cluster-target-group: 'true'}", ""), ", {port: 443}", "", 1), "---\n"),
		"true TargetGroupConfiguration/web spec.defaultConfiguration.enableMultiCluster":      route + "{apiVersion: gateway.k8s.aws/v1, kind: TargetGroupConfiguration, metadata: {name: web}, spec: {targetReference: {name: web}, defaultConfiguration: {enableMultiCluster: true}}}",
	} {
		w := New(objects(t, text)).Workloads[0]
		if len(w.Groups) != 1 {
			t.Fatalf("%d groups of %s", len(w.Groups), text)
		}
		s := w.Groups[0].Shared
		if got := s.Value + " " + node.ID(s.Object) + " " + s.Field; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
