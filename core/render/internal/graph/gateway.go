// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"fmt"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// routeKinds of the Gateway API and the load balancer that serves them.
var routeKinds = []struct {
	kind     string
	balancer drain.Balancer
}{
	{"HTTPRoute", drain.ALB}, {"GRPCRoute", drain.ALB},
	{"TCPRoute", drain.NLB}, {"UDPRoute", drain.NLB}, {"TLSRoute", drain.NLB},
}

// gateways adds the target groups of the Gateway API's routes.
func (g *Graph) gateways(add func(*TargetGroup)) {
	for _, kind := range routeKinds {
		for _, route := range g.byKind[kind.kind] {
			seen := map[string]bool{}
			for _, parent := range node.Elements(route, "spec", "parentRefs") {
				gateway, ours := g.gateway(route, parent)
				if !ours {
					continue
				}
				for _, svc := range g.routed(route) {
					if key := serviceKey(svc) + " " + node.Str(parent, "name"); !seen[key] {
						seen[key] = true
						add(g.gatewayGroup(route, gateway, svc, kind.balancer))
					}
				}
			}
		}
	}
}

// gateway finds a route's parent, and tells whether the AWS Load Balancer
// Controller serves it. The Gateway may live with another team: then what the
// route's Services say decides.
func (g *Graph) gateway(route, parent *yaml.RNode) (*yaml.RNode, bool) {
	if kind := node.Str(parent, "kind"); kind != "" && kind != "Gateway" {
		return nil, false
	}
	namespace := firstOf(node.Str(parent, "namespace"), route.GetNamespace())
	gateway := g.named("Gateway", namespace, node.Str(parent, "name"))
	if gateway == nil {
		for _, svc := range g.routed(route) {
			if g.configuration(svc) != nil {
				return nil, true
			}
		}
		g.Unknown = append(g.Unknown, Unknown{route, "spec.parentRefs", fmt.Sprintf("Gateway %s/%s is not among the manifests, so nobody can tell whether the AWS Load Balancer Controller serves it", namespace, node.Str(parent, "name"))})
		return nil, false
	}
	name := node.Str(gateway, "spec", "gatewayClassName")
	if class := g.named("GatewayClass", "", name); class != nil {
		return gateway, isAWS(node.Str(class, "spec", "controllerName"))
	}
	if strings.Contains(name, "alb") || strings.Contains(name, "nlb") {
		return gateway, true
	}
	g.Unknown = append(g.Unknown, Unknown{gateway, "spec.gatewayClassName", fmt.Sprintf("GatewayClass %q is not among the manifests, so nobody can tell whether the AWS Load Balancer Controller serves it", name)})
	return gateway, false
}

// routed lists the Services that a route sends to, each once.
func (g *Graph) routed(route *yaml.RNode) (services []*yaml.RNode) {
	seen := map[*yaml.RNode]bool{}
	for _, rule := range node.Elements(route, "spec", "rules") {
		for _, ref := range node.Elements(rule, "backendRefs") {
			if kind := node.Str(ref, "kind"); kind != "" && kind != "Service" {
				continue
			}
			svc := g.service(firstOf(node.Str(ref, "namespace"), route.GetNamespace()), node.Str(ref, "name"))
			if svc != nil && !seen[svc] {
				seen[svc] = true
				services = append(services, svc)
			}
		}
	}
	return services
}

// configuration finds the TargetGroupConfiguration of a Service, or nil.
func (g *Graph) configuration(svc *yaml.RNode) *yaml.RNode {
	for _, c := range g.byKind["TargetGroupConfiguration"] {
		if kind := node.Str(c, "spec", "targetReference", "kind"); kind != "" && kind != "Service" {
			continue
		}
		if c.GetNamespace() == svc.GetNamespace() && node.Str(c, "spec", "targetReference", "name") == svc.GetName() {
			return c
		}
	}
	return nil
}

// gatewayGroup is the target group of one Service behind a route. What is
// written comes, key by key, from the Service's TargetGroupConfiguration (the
// part for this route, then its default) and then from the Gateway's default.
func (g *Graph) gatewayGroup(route, gateway, svc *yaml.RNode, balancer drain.Balancer) *TargetGroup {
	t := &TargetGroup{Maker: ByGateway, Route: route, Service: svc}
	type props struct {
		object *yaml.RNode
		path   []string
	}
	var all []props
	own := g.configuration(svc)
	if own != nil {
		for i, rc := range node.Elements(own, "spec", "routeConfigurations") {
			id := node.At(rc, "routeIdentifier")
			if node.Str(id, "name") == route.GetName() && firstOf(node.Str(id, "kind"), route.GetKind()) == route.GetKind() {
				all = append(all, props{own, []string{"spec", "routeConfigurations", fmt.Sprint(i), "targetGroupProps"}})
			}
		}
		all = append(all, props{own, []string{"spec", "defaultConfiguration"}})
	}
	lb := g.loadBalancerConfiguration(gateway)
	if name := node.Str(lb, "spec", "defaultTargetGroupConfiguration", "name"); name != "" {
		if def := g.named("TargetGroupConfiguration", lb.GetNamespace(), name); def != nil {
			all = append(all, props{def, []string{"spec", "defaultConfiguration"}})
		}
	}
	read := func(field ...string) (string, *yaml.RNode, string) {
		for _, p := range all {
			path := append(append([]string{}, p.path...), field...)
			if v := node.Str(p.object, path...); v != "" {
				return v, p.object, node.Path(path)
			}
		}
		return "", route, "spec.rules"
	}
	t.Type.Value, t.Type.Object, t.Type.Field = read("targetType")
	t.Balancer = balancerOf(balancer, t.Type.Value)
	health := func(field string) int { v, _, _ := read("healthCheckConfig", field); return number(v) }
	path, _, _ := read("healthCheckConfig", "healthCheckPath")
	t.Health = Health{health("healthCheckInterval"), health("healthCheckTimeout"), health("healthyThresholdCount"), health("unhealthyThresholdCount"), path}
	if own == nil {
		t.Attributes.Places = append(t.Attributes.Places, Place{Object: newConfiguration(svc), Path: []string{"spec", "defaultConfiguration", "targetGroupAttributes"}, List: true, Make: true})
	}
	for _, p := range all {
		t.Attributes.Places = append(t.Attributes.Places, Place{Object: p.object, Path: append(append([]string{}, p.path...), "targetGroupAttributes"), List: true})
	}
	for _, e := range node.Elements(lb, "spec", "loadBalancerAttributes") {
		if node.Str(e, "key") == idleAttribute {
			t.idle = node.Str(e, "value")
		}
	}
	return t
}

func (g *Graph) loadBalancerConfiguration(gateway *yaml.RNode) *yaml.RNode {
	ref := node.At(gateway, "spec", "infrastructure", "parametersRef")
	if node.Str(ref, "kind") != "LoadBalancerConfiguration" {
		return nil
	}
	return g.named("LoadBalancerConfiguration", gateway.GetNamespace(), node.Str(ref, "name"))
}

// newConfiguration is a TargetGroupConfiguration for a Service that has none.
func newConfiguration(svc *yaml.RNode) *yaml.RNode {
	meta := node.Map("name", node.Text(svc.GetName()))
	if ns := svc.GetNamespace(); ns != "" {
		meta = node.Map("name", node.Text(svc.GetName()), "namespace", node.Text(ns))
	}
	return node.Map("apiVersion", node.Text("gateway.k8s.aws/v1"), "kind", node.Text("TargetGroupConfiguration"), "metadata", meta,
		"spec", node.Map("targetReference", node.Map("kind", node.Text("Service"), "name", node.Text(svc.GetName()))))
}
