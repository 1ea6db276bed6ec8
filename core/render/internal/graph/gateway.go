// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/attribute"
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
			for _, ref := range node.Elements(route, "spec", "parentRefs") {
				parent, ok := g.parent(route, ref)
				if !ok {
					continue
				}
				gateway, ours := g.gateway(route, parent)
				if !ours {
					continue
				}
				services, ports, missing := g.routed(route)
				g.Missing = append(g.Missing, missing...)
				for _, svc := range services {
					if key := serviceKey(svc) + " " + parent.namespace + "/" + parent.name; !seen[key] {
						seen[key] = true
						balancer := kind.balancer
						if kind.kind == "TLSRoute" && g.isALB(gateway) { // which may end TLS, too
							balancer = drain.ALB
						}
						t := g.gatewayTargets(route, gateway, svc, balancer)
						t.Ports = ports[svc]
						add(t)
					}
				}
			}
		}
	}
}

// parent names the Gateway that a route hangs on, by way of a ListenerSet or not; or the
// ListenerSet, where that is not among the objects.
func (g *Graph) parent(route, ref *yaml.RNode) (parent reference, ok bool) {
	parent = parentOf(route, ref)
	if parent.kind == "ListenerSet" {
		if set := g.named(parent.kind, parent.namespace, parent.name); set != nil {
			parent = parentOf(set, node.At(set, "spec", "parentRef"))
			return parent, parent.kind == "Gateway"
		}
	}
	return parent, parent.kind == "Gateway" || parent.kind == "ListenerSet"
}

func parentOf(object, ref *yaml.RNode) reference {
	return reference{cmp.Or(node.Str(ref, "kind"), "Gateway"), cmp.Or(node.Str(ref, "namespace"), node.Namespace(object)), node.Str(ref, "name")}
}

// gateway finds a route's parent, and tells whether the AWS Load Balancer
// Controller serves it. The Gateway may live with another team: then what the
// route's Services say decides.
func (g *Graph) gateway(route *yaml.RNode, parent reference) (*yaml.RNode, bool) {
	var gateway *yaml.RNode
	if parent.kind == "Gateway" {
		gateway = g.named(parent.kind, parent.namespace, parent.name)
	}
	if gateway == nil {
		services, _, _ := g.routed(route)
		for _, svc := range services {
			if g.configured[serviceKey(svc)] != nil {
				return nil, true
			}
		}
		g.Unknown = append(g.Unknown, Unknown{route, "spec.parentRefs", fmt.Sprintf("%s %s/%s is not among the manifests, so nobody can tell whether the AWS Load Balancer Controller serves it", parent.kind, parent.namespace, parent.name)})
		return nil, false
	}
	name := node.Str(gateway, "spec", "gatewayClassName")
	if class := g.global("GatewayClass", name); class != nil {
		return gateway, isAWS(node.Str(class, "spec", "controllerName"))
	}
	if strings.Contains(name, "alb") || strings.Contains(name, "nlb") {
		return gateway, true
	}
	g.Unknown = append(g.Unknown, Unknown{gateway, "spec.gatewayClassName", fmt.Sprintf("GatewayClass %q is not among the manifests, so nobody can tell whether the AWS Load Balancer Controller serves it", name)})
	return gateway, false
}

// isALB tells whether a Gateway's class makes Application Load Balancers.
func (g *Graph) isALB(gateway *yaml.RNode) bool {
	name := node.Str(gateway, "spec", "gatewayClassName")
	if class := g.global("GatewayClass", name); class != nil {
		return strings.HasSuffix(node.Str(class, "spec", "controllerName"), "/alb")
	}
	return strings.Contains(name, "alb")
}

// routed lists the Services that a route sends to, each once, and their ports.
func (g *Graph) routed(route *yaml.RNode) (services []*yaml.RNode, ports map[*yaml.RNode][]string, missing []Missing) {
	ports = map[*yaml.RNode][]string{}
	for _, rule := range node.Elements(route, "spec", "rules") {
		for _, ref := range node.Elements(rule, "backendRefs") {
			if kind := node.Str(ref, "kind"); kind != "" && kind != "Service" {
				continue
			}
			namespace, name := cmp.Or(node.Str(ref, "namespace"), node.Namespace(route)), node.Str(ref, "name")
			svc := g.service(namespace, name)
			if svc == nil {
				missing = append(missing, Missing{route, namespace + "/" + name})
				continue
			}
			if len(ports[svc]) == 0 {
				services = append(services, svc)
			}
			if port := node.Str(ref, "port"); !slices.Contains(ports[svc], port) {
				ports[svc] = append(ports[svc], port)
			}
		}
	}
	return services, ports, missing
}

// configures notes the Service that a TargetGroupConfiguration is for. One without a
// reference is a Gateway's default.
func (g *Graph) configures(c *yaml.RNode) {
	if kind := node.Str(c, "spec", "targetReference", "kind"); kind != "" && kind != "Service" {
		return
	}
	if key := node.Namespace(c) + "/" + node.Str(c, "spec", "targetReference", "name"); g.configured[key] == nil {
		g.configured[key] = c
	}
}

// props is one place that holds properties of target groups.
type props struct {
	object *yaml.RNode
	path   []string
}

func (p props) at(field ...string) []string { return append(slices.Clone(p.path), field...) }

// properties are what counts for one Service behind a route, the strongest first: its
// TargetGroupConfiguration (the part for this route, then its default), and then the
// Gateway's and its class's default ones. Of these two the stronger alone has a part for
// the route.
func (g *Graph) properties(route, own *yaml.RNode, configs []*yaml.RNode) (all []props) {
	add := func(config *yaml.RNode, parts bool) {
		if i, ok := routeConfiguration(config, route); ok && parts {
			all = append(all, props{config, []string{"spec", "routeConfigurations", strconv.Itoa(i), "targetGroupProps"}})
		}
		all = append(all, props{config, []string{"spec", "defaultConfiguration"}})
	}
	if own != nil {
		add(own, true)
	}
	strongest := true
	for _, lb := range configs {
		if name := node.Str(lb, "spec", "defaultTargetGroupConfiguration", "name"); name != "" {
			if def := g.named("TargetGroupConfiguration", node.Namespace(lb), name); def != nil {
				add(def, strongest)
				strongest = false
			}
		}
	}
	return all
}

// routeConfiguration finds the one part of a TargetGroupConfiguration that is for a
// route: by kind, namespace and name, else by kind and namespace, else by kind.
func routeConfiguration(config, route *yaml.RNode) (index int, ok bool) {
	best := 0
	for i, rc := range node.Elements(config, "spec", "routeConfigurations") {
		id := node.At(rc, "routeIdentifier")
		name, namespace := node.Str(id, "name"), node.Str(id, "namespace")
		rank := 0
		switch {
		case node.Str(id, "kind") != route.GetKind():
		case name == route.GetName() && namespace == node.Namespace(route):
			rank = 3
		case name != "":
		case namespace == "":
			rank = 1
		case namespace == node.Namespace(route):
			rank = 2
		}
		if rank > best {
			index, best = i, rank
		}
	}
	return index, best > 0
}

// gatewayTargets is the target group of one Service behind a route. Attributes come
// key by key from all places, other fields as a whole from the strongest that has them.
func (g *Graph) gatewayTargets(route, gateway, svc *yaml.RNode, balancer drain.Balancer) *TargetGroup {
	own, configs := g.configured[serviceKey(svc)], g.loadBalancerConfigurations(gateway)
	t := &TargetGroup{Maker: ByGateway, Route: route, Service: svc, Type: Written{Object: route, Field: "spec.rules"}}
	if own == nil {
		t.Attributes.Places = append(t.Attributes.Places, attribute.Place{Object: g.newConfiguration(svc, configs), Path: []string{"spec", "defaultConfiguration", "targetGroupAttributes"}, List: true, Make: true})
	}
	checked := false
	for _, p := range g.properties(route, own, configs) {
		if v := node.Str(p.object, p.at("targetType")...); v != "" && t.Type.Value == "" {
			t.Type = Written{v, p.object, node.Path(p.at("targetType"))}
		}
		if v := node.Str(p.object, p.at("enableMultiCluster")...); v != "" && t.Shared.Value == "" {
			t.Shared = Written{v, p.object, node.Path(p.at("enableMultiCluster"))}
		}
		if health := node.At(p.object, p.at("healthCheckConfig")...); health != nil && !checked {
			checked = true
			read := func(field string) int {
				return g.number(node.Str(health, field), p.object, node.Path(p.at("healthCheckConfig", field)))
			}
			t.Health = Health{read("healthCheckInterval"), read("healthCheckTimeout"), read("healthyThresholdCount"), read("unhealthyThresholdCount"), node.Str(health, "healthCheckPath")}
		}
		t.Attributes.Places = append(t.Attributes.Places, attribute.Place{Object: p.object, Path: p.at("targetGroupAttributes"), List: true})
	}
	t.Balancer = balancerOf(balancer, t.Type.Value)
	for _, lb := range configs {
		for i, e := range node.Elements(lb, "spec", "loadBalancerAttributes") {
			if node.Str(e, "key") == attribute.IdleTimeout && t.idle.Value == "" {
				t.idle = Written{node.Str(e, "value"), lb, node.Path([]string{"spec", "loadBalancerAttributes", strconv.Itoa(i), "value"})}
			}
		}
	}
	return t
}

// loadBalancerConfigurations are the Gateway's and its class's, the stronger first:
// the class's, unless that says otherwise.
func (g *Graph) loadBalancerConfigurations(gateway *yaml.RNode) (configs []*yaml.RNode) {
	add := func(ref *yaml.RNode, namespace string) {
		if node.Str(ref, "kind") != "LoadBalancerConfiguration" {
			return
		}
		if lb := g.named("LoadBalancerConfiguration", cmp.Or(namespace, node.DefaultNamespace), node.Str(ref, "name")); lb != nil {
			configs = append(configs, lb)
		}
	}
	if gateway == nil {
		return nil
	}
	if class := g.global("GatewayClass", node.Str(gateway, "spec", "gatewayClassName")); class != nil {
		ref := node.At(class, "spec", "parametersRef")
		add(ref, node.Str(ref, "namespace"))
	}
	add(node.At(gateway, "spec", "infrastructure", "parametersRef"), gateway.GetNamespace())
	if len(configs) == 2 && node.Str(configs[0], "spec", "mergingMode") == "prefer-gateway" {
		slices.Reverse(configs)
	}
	return configs
}

// newConfiguration is a TargetGroupConfiguration for a Service that has none.
func (g *Graph) newConfiguration(svc *yaml.RNode, configs []*yaml.RNode) *yaml.RNode {
	name, version := svc.GetName(), gatewayConfigGroup+"/v1"
	for g.named("TargetGroupConfiguration", node.Namespace(svc), name) != nil { // of another
		name += "-drain"
	}
	if len(configs) > 0 { // the cluster knows that one
		version = configs[0].GetApiVersion()
	}
	meta := node.Map("name", node.Text(name))
	if ns := svc.GetNamespace(); ns != "" {
		meta = node.Map("name", node.Text(name), "namespace", node.Text(ns))
	}
	return node.Map("apiVersion", node.Text(version), "kind", node.Text("TargetGroupConfiguration"), "metadata", meta,
		"spec", node.Map("targetReference", node.Map("kind", node.Text("Service"), "name", node.Text(svc.GetName()))))
}
