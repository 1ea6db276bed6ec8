// SPDX-License-Identifier: Apache-2.0

package render

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/outlast-ci/outlast/core/drain"
)

// TestCheckFacts: what only the cluster knows, each fact alone, beside manifests that
// are right by themselves.
func TestCheckFacts(t *testing.T) {
	const manifests = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  minReadySeconds: 15
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 100
      containers:
      - {name: web, image: 'web@sha256:1', readinessProbe: {httpGet: {port: 80}}, lifecycle: {preStop: {sleep: {seconds: 90}}}}
---
{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: web, namespace: shop}, spec: {maxUnavailable: 1, unhealthyPodEvictionPolicy: AlwaysAllow, selector: {matchLabels: {app: web}}}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {selector: {app: web}, ports: [{port: 80}]}}
---
`
	ingress := func(attributes string) string {
		return fmt.Sprintf("{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, namespace: shop, annotations: {alb.ingress.kubernetes.io/target-type: ip, alb.ingress.kubernetes.io/group.name: g, alb.ingress.kubernetes.io/load-balancer-attributes: idle_timeout.timeout_seconds=60%s}}, spec: {ingressClassName: alb, defaultBackend: {service: {name: web, port: {number: 80}}}}}", attributes)
	}
	written := ingress(", alb.ingress.kubernetes.io/target-group-attributes: deregistration_delay.timeout_seconds=65")
	gated := map[string]map[string]string{"shop": {"elbv2.k8s.aws/pod-readiness-gate-inject": "enabled"}}
	group := func(delay string) []LiveGroup {
		return []LiveGroup{{ARN: "tg", Namespace: "shop", Binding: "b", Service: "web", TargetType: "ip", Attributes: map[string]string{"deregistration_delay.timeout_seconds": delay}, LoadBalancer: map[string]string{"idle_timeout.timeout_seconds": "60"}}}
	}
	pod := func(gates []string, containers ...LiveContainer) []LivePod {
		return []LivePod{{Namespace: "shop", Name: "web-1", Labels: map[string]string{"app": "web"}, Gates: gates, Containers: containers}}
	}
	for name, tc := range map[string]struct {
		text string
		live *Live
		want []string // RULE severity
	}{
		"nobody was asked":                {written, nil, []string{"OL011 warning"}},
		"all is well":                     {written, &Live{Namespaces: gated, Kubelets: map[string]string{"a": "v1.34.0"}, Groups: group("65"), Pods: pod([]string{"target-health.elbv2.k8s.aws/b"}, LiveContainer{Name: "web", PreStop: true})}, nil},
		"a Namespace without the label":   {written, &Live{Namespaces: map[string]map[string]string{"shop": {}}}, []string{"OL011 error", "OL011 error"}}, // the label, or minReadySeconds 40
		"a Namespace that was not read":   {written, &Live{Namespaces: map[string]map[string]string{"other": {}}}, []string{"OL011 warning"}},
		"another member of the group":     {written, &Live{Namespaces: gated, Members: []LiveMember{{Namespace: "x", Name: "y", Group: "g", Attributes: "idle_timeout.timeout_seconds=30"}}}, []string{"OL020 error"}},
		"an old kubelet":                  {written, &Live{Namespaces: gated, Kubelets: map[string]string{"a": "v1.34.0", "b": "v1.29.1"}}, []string{"OL027 error"}},
		"a delay that nobody wrote":       {ingress(""), &Live{Namespaces: gated, Groups: group("10")}, []string{"OL000 info", "OL002 error"}},
		"a balancer beside the manifests": {"{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}", &Live{Namespaces: gated, Groups: group("65")}, []string{"OL040 error"}},
		"a delay that somebody changed":   {written, &Live{Namespaces: gated, Groups: group("70")}, []string{"OL048 warning"}},
		"a pod without its gate":          {written, &Live{Namespaces: gated, Groups: group("65"), Pods: pod(nil)}, []string{"OL049 warning"}},
		"a container put in":              {written, &Live{Namespaces: gated, Pods: pod(nil, LiveContainer{Name: "mesh"})}, []string{"OL051 warning"}},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := Check(context.Background(), Options{Path: Stdin, Stream: []byte(manifests + tc.text), Drain: drain.Defaults()}, tc.live)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range report.Findings {
				if f.Rule != "OL017" { // the delay of 300 s, where none is written
					got = append(got, f.Rule+" "+string(f.Severity))
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q:\n%+v", got, tc.want, report.Findings)
			}
		})
	}
}
