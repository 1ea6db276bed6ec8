// SPDX-License-Identifier: Apache-2.0

package live

import (
	"strings"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
)

const (
	identityPods    = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {template: {metadata: {labels: {app: web}}}}}\n---\n"
	identityService = "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop, annotations: {SVC}}, spec: {TYPE, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080, nodePort: 30080}, {name: admin, port: 81, targetPort: admin}]}}\n---\n"
	identityIngress = "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, namespace: shop, annotations: {INGRESS}}, spec: {ingressClassName: alb, defaultBackend: {service: {name: web, port: {PORT}}}}}\n"
)

// identity are manifests with words put in.
func identity(words ...string) string {
	text := strings.NewReplacer(words...).Replace(identityPods + identityService + identityIngress)
	return strings.NewReplacer("SVC", "a: b", "TYPE, ", "", "INGRESS", albKey+"target-type: ip", "PORT", "number: 80").Replace(text)
}

const albKey, nlbKey = graph.ALBPrefix, graph.NLBPrefix

// TestReplaced: what the controller makes another target group of.
func TestReplaced(t *testing.T) {
	// group is the one that the manifests without words make.
	group := func(words ...string) Group {
		g := Group{ARN: "tg", Namespace: "shop", Service: "web", ServicePort: "80", TargetType: "ip", Maker: graph.ByIngress, Stack: "shop/web",
			Properties: map[string]string{Protocol: "HTTP", ProtocolVersion: "HTTP1", Port: "8080", HealthProtocol: "HTTP", HealthInterval: "15"}}
		for i := 0; i+1 < len(words); i += 2 {
			switch words[i] {
			case "type":
				g.TargetType = words[i+1]
			case "service port":
				g.ServicePort = words[i+1]
			case "maker":
				g.Maker = graph.Maker(words[i+1])
			case "stack":
				g.Stack = words[i+1]
			default:
				g.Properties[words[i]] = words[i+1]
			}
		}
		return g
	}
	nlb := func(words ...string) string {
		text := identity(append([]string{"TYPE", "type: LoadBalancer, loadBalancerClass: service.k8s.aws/nlb"}, words...)...)
		return strings.TrimSuffix(strings.Join(strings.SplitAfter(text, "---\n")[:2], ""), "---\n")
	}
	ofService := func(words ...string) Group {
		return group(append([]string{"maker", "Service", Protocol, "TCP", HealthProtocol, "TCP", HealthInterval, "10", ProtocolVersion, ""}, words...)...)
	}
	const ipTargets = nlbKey + "nlb-target-type: ip"
	annotation := func(name string) string {
		return "error OL054 Ingress/shop/web metadata.annotations[" + albKey + name + "]: "
	}
	second := "---\n" + strings.NewReplacer("name: web, namespace: shop, annotations", "name: two, namespace: shop, annotations", "INGRESS", albKey+"target-type: ip", "PORT", "number: 80").Replace(identityIngress)
	for name, tc := range map[string]struct {
		manifests string
		group     Group
		members   []Member
		want      string
	}{
		"all as it is":                     {identity(), group(), nil, ""},
		"properties that nobody read":      {identity(), Group{ARN: "tg", Namespace: "shop", Service: "web", Maker: graph.ByIngress, Stack: "shop/web"}, nil, ""},
		"another type, which tells all":    {identity(), group("type", "instance", Port, "30080"), nil, annotation("target-type") + "target group tg has the target type instance, the manifests say ip: the controller makes another one"},
		"a type that is not written":       {identity("INGRESS", "a: b"), group("type", "instance", Port, "30080"), nil, ""},
		"another protocol":                 {identity("INGRESS", albKey+"target-type: ip, "+albKey+"backend-protocol: HTTPS"), group(), nil, annotation("backend-protocol") + "target group tg has the Protocol HTTP, the manifests say HTTPS"},
		"the default protocol again":       {identity(), group(Protocol, "HTTPS"), nil, annotation("backend-protocol") + "target group tg has the Protocol HTTPS, the manifests say HTTP:"},
		"a version that the Service says":  {identity("SVC", albKey+"backend-protocol-version: GRPC"), group(), nil, "error OL054 Service/shop/web metadata.annotations[" + albKey + "backend-protocol-version]: target group tg has the ProtocolVersion HTTP1, the manifests say GRPC"},
		"another port of the pods":         {identity(), group(Port, "9090"), nil, "error OL054 Service/shop/web spec.ports[0].targetPort: target group tg has the port 9090, the manifests say 8080"},
		"a port that has a name":           {identity("PORT", "name: admin"), group("service port", "admin", Port, "1"), nil, ""},
		"a port that had no name":          {identity("PORT", "name: admin"), group("service port", "admin", Port, "9000"), nil, "error OL054 Service/shop/web spec.ports[1].targetPort: target group tg has the port 9000, the manifests say 1:"},
		"no port of the pods is the same":  {strings.Replace(identity(), ", targetPort: 8080", "", 1), group(Port, "80"), nil, ""},
		"another port of the nodes":        {identity("INGRESS", albKey+"target-type: instance"), group("type", "instance", Port, "31000"), nil, "error OL054 Service/shop/web spec.ports[0].nodePort: target group tg has the port 31000, the manifests say 30080"},
		"one that the API server chooses":  {strings.Replace(identity("INGRESS", albKey+"target-type: instance"), ", nodePort: 30080", "", 1), group("type", "instance", Port, "31000"), nil, ""},
		"a Service port by name":           {identity("PORT", "name: http"), group(), nil, "error OL054 Ingress/shop/web spec: target group tg has the Service port 80, the manifests say http"},
		"a port that an action leaves out": {identity("PORT", "name: use-annotation", "INGRESS", albKey+"target-type: ip, "+albKey+"actions.web: '{\"forwardConfig\": {\"targetGroups\": [{\"serviceName\": \"web\"}, {\"serviceName\": \"web\", \"servicePort\": 81}]}}'"), group(), nil, ""},
		"what another Ingress made":        {identity(), group("stack", "shop/other", Protocol, "HTTPS"), nil, ""},
		"what somebody made by hand":       {identity(), group("maker", "", Protocol, "HTTPS"), nil, ""},
		"the one of two routes that did":   {identity() + second, group("stack", "shop/two"), nil, ""},
		"a group that two share": {identity("INGRESS", albKey+"target-type: ip, "+albKey+"backend-protocol: HTTPS, "+albKey+"group.name: g") + strings.Replace(second, "target-type: ip", "target-type: ip, "+albKey+"group.name: g", 1),
			group("stack", "g"), nil, ""},
		"an Ingress that joins a group":  {identity("INGRESS", albKey+"target-type: ip, "+albKey+"group.name: g"), group(), nil, annotation("group.name") + "target group tg has the IngressGroup shop/web, the manifests say g"},
		"one that leaves its group":      {identity(), group("stack", "g"), []Member{{Namespace: "shop", Name: "web", Group: "g"}}, annotation("group.name") + "target group tg has the IngressGroup g, the manifests say shop/web"},
		"a group of others":              {identity(), group("stack", "g"), []Member{{Namespace: "shop", Name: "other", Group: "g"}, {Namespace: "shop", Name: "web", Group: "h"}}, ""},
		"an NLB as it is":                {nlb("SVC", ipTargets), ofService(), nil, ""},
		"its other port":                 {nlb("SVC", ipTargets), ofService("service port", "81", Port, "1"), nil, ""},
		"a port that is no longer there": {nlb("SVC", ipTargets), ofService("service port", "82"), nil, "error OL054 Service/shop/web spec.ports: target group tg has the Service port 82, the manifests say 80"},
		"another health check of an NLB": {nlb("SVC", ipTargets+", "+nlbKey+"healthcheck-interval: '5', "+nlbKey+"healthcheck-protocol: http"), ofService(), nil,
			"error OL054 Service/shop/web metadata.annotations[" + nlbKey + "healthcheck-protocol]: target group tg has the HealthCheckProtocol TCP, the manifests say HTTP\nerror OL054 Service/shop/web metadata.annotations[" + nlbKey + "healthcheck-interval]: target group tg has the HealthCheckIntervalSeconds 10, the manifests say 5"},
		"that of nodes goes by the traffic policy": {nlb("SVC", nlbKey+"nlb-target-type: instance"), ofService("type", "instance", Port, "30080", HealthProtocol, "HTTP"), nil, ""},
		"an Ingress's is none of an NLB":           {nlb("SVC", ipTargets), group(Protocol, "HTTPS"), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := parse(t, tc.manifests)
			list := &problem.List{}
			c := &Checker{List: list, Facts: &Facts{Groups: []Group{tc.group}, Members: tc.members}, Graph: g}
			for _, w := range g.Workloads {
				c.Workload(w, time.Second, 40*time.Second)
			}
			expect(t, list, tc.want)
		})
	}
}

func TestMakerOf(t *testing.T) {
	for _, tc := range []struct {
		labels map[string]string
		maker  graph.Maker
		stack  string
	}{
		{map[string]string{"ingress.k8s.aws/stack": "g", "a": "b"}, graph.ByIngress, "g"},
		{map[string]string{"ingress.k8s.aws/stack-namespace": "n", "ingress.k8s.aws/stack-name": "i"}, graph.ByIngress, "n/i"},
		{map[string]string{"service.k8s.aws/stack-namespace": "n", "service.k8s.aws/stack-name": "s"}, graph.ByService, "n/s"},
		{map[string]string{"gateway.k8s.aws.alb/stack-namespace": "n", "gateway.k8s.aws.alb/stack-name": "g"}, graph.ByGateway, "n/g"},
		{map[string]string{"example.com/stack": "g"}, "", "g"},
		{map[string]string{"stack": "g"}, "", ""},
		{nil, "", ""},
	} {
		if maker, stack := MakerOf(tc.labels); maker != tc.maker || stack != tc.stack {
			t.Errorf("%v: %s %s", tc.labels, maker, stack)
		}
	}
}

func TestCountZones(t *testing.T) {
	f := Facts{Zones: map[string]string{"a": "eu-1a", "b": "eu-1b", "c": "eu-1a", "d": ""}}
	if got := f.CountZones(); got != 2 || new(Facts).CountZones() != 0 {
		t.Errorf("%d zones", got)
	}
}
