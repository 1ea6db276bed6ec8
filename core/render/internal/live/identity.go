// SPDX-License-Identifier: Apache-2.0

package live

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// Names of the properties of a target group, as ELBv2 has them, which the controller
// makes its name of: where one changes, it makes another group.
const (
	Protocol        = "Protocol"
	ProtocolVersion = "ProtocolVersion"
	Port            = "Port"
	HealthProtocol  = "HealthCheckProtocol"
	HealthInterval  = "HealthCheckIntervalSeconds"
)

// difference is one property that the manifests change.
type difference struct {
	what, have string
	graph.Written
}

// replaced tells of a target group that the next apply takes away, since the
// manifests ask for one of another identity.
func (a *Checker) replaced(w *graph.Workload, g Group) {
	if g.Maker == "" { // nobody knows whose it is
		return
	}
	var least []difference
	asked := false
	for _, t := range w.Groups {
		if !g.of(t) {
			continue
		}
		if found := g.differences(t); !asked || len(found) < len(least) {
			asked, least = true, found
		}
	}
	if !asked {
		least = a.moved(w, g)
	}
	for _, d := range least {
		a.Find("OL054", d.Object, d.Field, fmt.Sprintf("target group %s has the %s %s, the manifests say %s: the controller makes another one for that, and deletes this one at once, past its deregistration delay and with all requests in flight", g.ARN, d.what, d.have, d.Value),
			"keep the value; or bring the new one up beside it, e.g. with a second Service in a weighted action, and take the old one away when its targets are unused")
	}
}

// moved looks for the Ingress that made the group, and that changes its load balancer.
func (a *Checker) moved(w *graph.Workload, g Group) []difference {
	for _, t := range w.Groups {
		if t.Ingress == nil || !g.serves(t.Service) {
			continue
		}
		name := node.Namespace(t.Route) + "/" + t.Route.GetName()
		was := name
		for _, m := range a.Facts.Members {
			if m.Namespace+"/"+m.Name == name {
				was = m.Group
			}
		}
		if was == g.Stack {
			return []difference{{"IngressGroup", g.Stack, graph.Written{Value: t.Ingress.Stack(), Object: t.Route, Field: node.Path([]string{"metadata", "annotations", graph.ALBPrefix + "group.name"})}}}
		}
	}
	return nil
}

// differences are those between a target group and what one route asks for. A type that
// differs brings another port with it.
func (g Group) differences(t *graph.TargetGroup) (all []difference) {
	add := func(what, have string, want graph.Written) {
		if have != "" && want.Value != "" && have != want.Value {
			all = append(all, difference{what, have, want})
		}
	}
	if add("target type", g.TargetType, t.Type); len(all) > 0 {
		return all
	}
	add("port", g.Properties[Port], g.port(t))
	switch t.Maker {
	case graph.ByIngress:
		for _, p := range []struct{ name, annotation, def string }{{Protocol, "backend-protocol", "HTTP"}, {ProtocolVersion, "backend-protocol-version", "HTTP1"}} {
			want := t.Annotated(p.annotation)
			want.Value = cmp.Or(want.Value, p.def)
			add(p.name, g.Properties[p.name], want)
		}
		if !slices.Contains(t.Ports, "") && !slices.Contains(t.Ports, g.ServicePort) {
			add("Service port", g.ServicePort, graph.Written{Value: strings.Join(t.Ports, " and "), Object: t.Route, Field: "spec"})
		}
	case graph.ByService:
		port := t.Port
		for _, p := range node.Elements(t.Service, "spec", "ports") {
			port = cmp.Or(port, node.Str(p, "port"))
		}
		add("Service port", g.ServicePort, graph.Written{Value: port, Object: t.Service, Field: "spec.ports"})
		if t.Type.Value == "instance" { // whose health check depends on the traffic policy
			break
		}
		add(HealthProtocol, g.Properties[HealthProtocol], annotated(t, "healthcheck-protocol", "TCP"))
		add(HealthInterval, g.Properties[HealthInterval], annotated(t, "healthcheck-interval", "10"))
	}
	return all
}

// annotated is what a Service of a Network Load Balancer says.
func annotated(t *graph.TargetGroup, name, def string) graph.Written {
	key := graph.NLBPrefix + name
	value, _ := node.Annotation(t.Service, key)
	return graph.Written{Value: strings.ToUpper(cmp.Or(value, def)), Object: t.Service, Field: node.Path([]string{"metadata", "annotations", key})}
}

// port is the target group's own: the pods', 1 where that has a name, or the nodes'.
func (g Group) port(t *graph.TargetGroup) graph.Written {
	for i, p := range node.Elements(t.Service, "spec", "ports") {
		if g.ServicePort != node.Str(p, "port") && g.ServicePort != node.Str(p, "name") {
			continue
		}
		field := map[string]string{"ip": "targetPort", "instance": "nodePort"}[t.Type.Value]
		value := node.Str(p, field)
		if field == "targetPort" {
			value = cmp.Or(value, node.Str(p, "port"))
			if _, err := strconv.Atoi(value); err != nil {
				value = "1"
			}
		}
		return graph.Written{Value: value, Object: t.Service, Field: node.Path([]string{"spec", "ports", strconv.Itoa(i), field})}
	}
	return graph.Written{}
}
