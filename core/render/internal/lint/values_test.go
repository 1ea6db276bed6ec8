// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
)

// TestValues: what the controller or AWS does not take, whether pods are behind it or not.
func TestValues(t *testing.T) {
	const alb, nlb = graph.ALBPrefix, graph.NLBPrefix
	ingress := func(annotations, port, more string) string {
		return "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, annotations: {" + annotations + "}}, spec: {ingressClassName: alb, defaultBackend: {service: {name: web, port: {" + port + "}}}}}\n---\n" +
			"{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80, name: http}, {port: 81}]}}" + more
	}
	service := func(annotations string) string {
		return "{apiVersion: v1, kind: Service, metadata: {name: web, annotations: {" + annotations + "}}, spec: {type: LoadBalancer, loadBalancerClass: service.k8s.aws/nlb, ports: [{port: 80}]}}"
	}
	binding := func(rest string) string {
		return "{apiVersion: elbv2.k8s.aws/v1beta1, kind: TargetGroupBinding, metadata: {name: web}, spec: {serviceRef: {name: web, " + rest + "}}\n---\n{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}"
	}
	params := "\n---\n{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: alb}, spec: {controller: ingress.k8s.aws/alb, parameters: {kind: IngressClassParams, name: p}}}\n---\n{apiVersion: elbv2.k8s.aws/v1beta1, kind: IngressClassParams, metadata: {name: p}, spec: {targetType: pod}}"
	route := func(port string) string {
		return "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g}, spec: {gatewayClassName: alb}}\n---\n{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: web}, spec: {parentRefs: [{name: g}], rules: [{backendRefs: [{name: web, port: " + port + "}]}]}}\n---\n{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}"
	}
	for name, tc := range map[string]struct{ text, want string }{
		"all is well":                      {ingress(alb+"target-type: ip", "number: 80", ""), ""},
		"a type that is none":              {ingress(alb+"target-type: pod", "number: 80", ""), "Ingress target-type"},
		"a type in capitals":               {ingress(alb+"target-type: IP", "number: 80", ""), "Ingress target-type"},
		"a type of the class":              {ingress(alb+"target-type: ip", "number: 80", params), "IngressClassParams spec.targetType"},
		"a type of a Service":              {service(nlb + "nlb-target-type: pod"), "Service nlb-target-type"},
		"a type of a Service that is one":  {service(nlb + "nlb-target-type: instance"), ""},
		"a type of a binding":              {binding("port: 80}, targetType: pod"), "TargetGroupBinding spec.targetType"},
		"a balancer as the target":         {binding("port: 80}, targetType: alb"), ""},
		"a port by its name":               {ingress("", "name: http", ""), ""},
		"another name":                     {ingress("", "name: web", ""), "Ingress spec"},
		"another number":                   {ingress("", "number: 8080", ""), "Ingress spec"},
		"a binding's port":                 {binding("port: 81}"), "TargetGroupBinding spec.serviceRef.port"},
		"a route's port":                   {route("81"), "HTTPRoute spec"},
		"a route's port that is one":       {route("80"), ""},
		"a Service that says no ports":     {strings.Replace(ingress("", "number: 80", ""), ", ports: [{port: 80, name: http}, {port: 81}]", "", 1), ""},
		"a check as long as its interval":  {ingress(alb+"healthcheck-interval-seconds: '5'", "number: 80", ""), "Ingress healthcheck-interval-seconds"},
		"a check longer than its interval": {ingress(alb+"healthcheck-timeout-seconds: '20'", "number: 80", ""), "Ingress healthcheck-timeout-seconds"},
		"a check of a Service's":           {strings.Replace(ingress("", "number: 80", ""), "kind: Service, metadata: {name: web", "kind: Service, metadata: {name: web, annotations: {"+alb+"healthcheck-timeout-seconds: '20'}", 1), "Service healthcheck-timeout-seconds"},
		"a shorter one":                    {ingress(alb+"healthcheck-interval-seconds: '5', "+alb+"healthcheck-timeout-seconds: '4'", "number: 80", ""), ""},
		"as long, of an NLB":               {service(nlb + "healthcheck-interval: '10', " + nlb + "healthcheck-timeout: '10'"), ""},
		"longer, of an NLB":                {service(nlb + "healthcheck-interval: '10', " + nlb + "healthcheck-timeout: '11'"), "Service healthcheck-timeout"},
		"an interval too short":            {ingress(alb+"healthcheck-interval-seconds: '4', "+alb+"healthcheck-timeout-seconds: '3'", "number: 80", ""), "Ingress healthcheck-interval-seconds"},
		"a threshold of one":               {ingress(alb+"healthy-threshold-count: '1'", "number: 80", ""), "Ingress healthy-threshold-count"},
		"a threshold of an NLB":            {service(nlb + "healthcheck-unhealthy-threshold: '11'"), "Service healthcheck-unhealthy-threshold"},
		"an idle timeout too long":         {ingress(alb+"load-balancer-attributes: idle_timeout.timeout_seconds=4001", "number: 80", ""), "Ingress load-balancer-attributes"},
		"none":                             {ingress(alb+"load-balancer-attributes: idle_timeout.timeout_seconds=0", "number: 80", ""), "Ingress load-balancer-attributes"},
		"the longest":                      {ingress(alb+"load-balancer-attributes: idle_timeout.timeout_seconds=4000", "number: 80", ""), ""},
		"slow start, not round robin":      {ingress(alb+"target-group-attributes: 'slow_start.duration_seconds=30,load_balancing.algorithm.type=least_outstanding_requests'", "number: 80", ""), "Ingress target-group-attributes"},
		"slow start, round robin":          {ingress(alb+"target-group-attributes: 'slow_start.duration_seconds=30,load_balancing.algorithm.type=round_robin'", "number: 80", ""), ""},
		"no slow start, not round robin":   {ingress(alb+"target-group-attributes: 'slow_start.duration_seconds=0,load_balancing.algorithm.type=weighted_random'", "number: 80", ""), ""},
		"a slow start too short":           {ingress(alb+"target-group-attributes: slow_start.duration_seconds=29", "number: 80", ""), "Ingress target-group-attributes"},
	} {
		t.Run(name, func(t *testing.T) {
			var objects []*yaml.RNode
			for doc := range strings.SplitSeq(tc.text, "---\n") {
				objects = append(objects, yaml.MustParse(doc))
			}
			c := &Checker{List: &problem.List{}, Graph: graph.New(objects)}
			c.Objects()
			var got []string
			for _, p := range c.All {
				field := strings.TrimSuffix(strings.TrimPrefix(p.Field, "metadata.annotations["), "]")
				if p.Rule == "OL046" && p.Severity == "error" {
					got = append(got, p.On.GetKind()+" "+strings.TrimPrefix(strings.TrimPrefix(field, alb), nlb))
				}
			}
			if slices.Sort(got); strings.Join(got, "|") != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
