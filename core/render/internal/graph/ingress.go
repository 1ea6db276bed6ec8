// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/stringmap"
)

// Ingress is one that the AWS Load Balancer Controller serves.
type Ingress struct {
	*yaml.RNode
	Params *yaml.RNode // IngressClassParams of its class, or nil
	Group  string      // IngressGroup: Ingresses of a group share one load balancer; "": it has its own
	Auto   bool        // of EKS Auto Mode
}

// routes gives the target groups in front of each Service, by namespace/name.
func (g *Graph) routes() map[string][]*TargetGroup {
	found := map[string][]*TargetGroup{}
	add := func(t *TargetGroup) { found[serviceKey(t.Service)] = append(found[serviceKey(t.Service)], t) }
	for _, n := range g.byKind["Ingress"] {
		ing, ok := g.ingress(n)
		if !ok {
			continue
		}
		g.Ingresses = append(g.Ingresses, ing)
		names := Backends(n)
		for _, name := range g.shifted(n) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		for _, name := range names {
			if svc := g.service(n.GetNamespace(), name); svc != nil {
				add(ing.targetGroup(svc))
			}
		}
	}
	for _, n := range g.byKind["TargetGroupBinding"] {
		if svc := g.service(n.GetNamespace(), node.Str(n, "spec", "serviceRef", "name")); svc != nil {
			add(byHand(n, svc))
		}
	}
	for _, svc := range g.byKind["Service"] {
		for _, t := range g.network(svc) {
			add(t)
		}
	}
	g.gateways(add)
	return found
}

// byHand is a target group that a TargetGroupBinding names. Its protocol tells the
// kind of load balancer; without one it is taken for an Application Load Balancer's.
func byHand(binding, svc *yaml.RNode) *TargetGroup {
	kind := drain.NLB
	switch node.Str(binding, "spec", "targetGroupProtocol") {
	case "", "HTTP", "HTTPS":
		kind = drain.ALB
	}
	target := node.Str(binding, "spec", "targetType")
	return &TargetGroup{Maker: ByHand, Route: binding, Service: svc, Balancer: balancerOf(kind, target),
		Auto: node.Group(binding) == autoGroup, Type: TargetType{target, binding, "spec.targetType"}}
}

// ingress reads an Ingress's class. What other controllers serve is noted as
// unknown where it may be the AWS Load Balancer Controller's after all.
func (g *Graph) ingress(n *yaml.RNode) (*Ingress, bool) {
	ing := &Ingress{RNode: n}
	name, old := node.Annotation(n, "kubernetes.io/ingress.class") // it wins, and brings no parameters
	if !old {
		name = firstOf(node.Str(n, "spec", "ingressClassName"), g.defaultClass())
	}
	class := g.global("IngressClass", name)
	ours := name == "alb" || hasALBAnnotation(n)
	if class != nil {
		controller := node.Str(class, "spec", "controller")
		ours, ing.Auto = strings.HasSuffix(controller, "/alb"), strings.HasPrefix(controller, autoGroup+"/")
		if ref := node.At(class, "spec", "parameters"); node.Str(ref, "kind") == "IngressClassParams" && !old {
			ing.Params = g.global("IngressClassParams", node.Str(ref, "name"))
		}
	}
	if !ours {
		why := fmt.Sprintf("its class %q is not known to be the AWS Load Balancer Controller's", name)
		if name == "" {
			why = "it names no class: the cluster's default one decides which controller serves it"
		}
		if class == nil {
			g.Unknown = append(g.Unknown, Unknown{n, "spec.ingressClassName", why})
		}
		return nil, false
	}
	ing.Group = firstOf(node.Str(ing.Params, "spec", "group", "name"), annotation(n, ALBPrefix+"group.name"))
	return ing, true
}

// defaultClass names the class of Ingresses that name none, or is "".
func (g *Graph) defaultClass() string {
	for _, class := range g.byKind["IngressClass"] {
		if annotation(class, "ingressclass.kubernetes.io/is-default-class") == "true" {
			return class.GetName()
		}
	}
	return ""
}

func hasALBAnnotation(n *yaml.RNode) bool {
	for k := range node.Strings(n, "metadata", "annotations") {
		if strings.HasPrefix(k, ALBPrefix) {
			return true
		}
	}
	return false
}

// targetGroup is the group that the controller makes for one Service. Its
// annotations are the Service's, and the Ingress's where the Service has none
// of that key.
func (ing *Ingress) targetGroup(svc *yaml.RNode) *TargetGroup {
	t := &TargetGroup{Maker: ByIngress, Route: ing.RNode, Service: svc, Ingress: ing, Auto: ing.Auto}
	t.Type = TargetType{Object: ing.RNode, Field: node.Path([]string{"metadata", "annotations", ALBPrefix + "target-type"})}
	if v := annotation(svc, ALBPrefix+"target-type"); v != "" {
		t.Type.Value, t.Type.Object = v, svc
	} else {
		t.Type.Value = annotation(ing.RNode, ALBPrefix+"target-type")
	}
	if v := node.Str(ing.Params, "spec", "targetType"); v != "" { // wins over annotations
		t.Type = TargetType{v, ing.Params, "spec.targetType"}
	}
	t.Balancer = balancerOf(drain.ALB, t.Type.Value)
	read := func(name string) string {
		if v, ok := node.Annotation(svc, ALBPrefix+name); ok {
			return v
		}
		return annotation(ing.RNode, ALBPrefix+name)
	}
	t.Health = Health{number(read("healthcheck-interval-seconds")), number(read("healthcheck-timeout-seconds")),
		number(read("healthy-threshold-count")), number(read("unhealthy-threshold-count")), read("healthcheck-path")}
	key := ALBPrefix + "target-group-attributes"
	own, hidden := annotationPlace(svc, key), annotationPlace(ing.RNode, key)
	if _, ok := node.Annotation(svc, key); ok {
		t.Attributes.Places = []Place{own}
		if _, ok := node.Annotation(ing.RNode, key); ok {
			t.Attributes.Hidden = &hidden
		}
	} else {
		t.Attributes.Places = []Place{hidden}
	}
	return t
}

// LoadBalancerAttributes are those of the Ingress's load balancer, the class's
// parameters over the annotation, per key.
func (ing *Ingress) LoadBalancerAttributes() (map[string]string, error) {
	key := ALBPrefix + "load-balancer-attributes"
	attrs, err := stringmap.Parse(annotation(ing.RNode, key))
	if err != nil {
		return nil, &PlaceError{ing.RNode, node.Path([]string{"metadata", "annotations", key}), err}
	}
	out := map[string]string{}
	for _, a := range attrs {
		out[a.Key] = a.Value
	}
	for _, e := range node.Elements(ing.Params, "spec", "loadBalancerAttributes") {
		out[node.Str(e, "key")] = node.Str(e, "value")
	}
	return out, nil
}

// idleTimeout is the balancer's, in seconds; 0: not written.
func (t *TargetGroup) idleTimeout() (int, error) {
	idle := t.idle
	if t.Ingress != nil {
		attrs, err := t.Ingress.LoadBalancerAttributes()
		if err != nil {
			return 0, err
		}
		idle = written{attrs[idleAttribute], t.Route, node.Path([]string{"metadata", "annotations", ALBPrefix + "load-balancer-attributes"})}
	}
	if idle.value == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(idle.value)
	if err != nil || n < 0 {
		return 0, &PlaceError{idle.object, idle.field, fmt.Errorf("%s=%s is no number of seconds", idleAttribute, idle.value)}
	}
	return n, nil
}

// Backends lists the Services that an Ingress routes to, each once. A backend
// whose port is use-annotation is no Service: it names an action of an
// annotation, which may forward to several.
func Backends(ingress *yaml.RNode) (names []string) {
	add := func(backend *yaml.RNode) {
		name := node.Str(backend, "service", "name")
		all := []string{name}
		if node.Str(backend, "service", "port", "name") == useAnnotation {
			all = actionServices(annotation(ingress, ALBPrefix+"actions."+name))
		}
		for _, name := range all {
			if name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	add(node.At(ingress, "spec", "defaultBackend"))
	for _, rule := range node.Elements(ingress, "spec", "rules") {
		for _, path := range node.Elements(rule, "http", "paths") {
			add(node.At(path, "backend"))
		}
	}
	return names
}

const useAnnotation = "use-annotation"

// shifted lists the Services between which Argo Rollouts shifts the traffic of an
// Ingress: it writes the action while it works, so that manifests may lack it.
func (g *Graph) shifted(ingress *yaml.RNode) (names []string) {
	for _, n := range g.byKind["Rollout"] {
		canary := node.At(n, "spec", "strategy", "canary")
		alb := node.At(canary, "trafficRouting", "alb")
		served := node.Str(alb, "ingress") == ingress.GetName()
		for _, e := range node.Elements(alb, "ingresses") {
			served = served || e.YNode().Value == ingress.GetName()
		}
		if alb == nil || !served || n.GetNamespace() != ingress.GetNamespace() {
			continue
		}
		names = append(names, node.Str(canary, "stableService"), node.Str(canary, "canaryService"),
			node.Str(canary, "pingPong", "pingService"), node.Str(canary, "pingPong", "pongService"))
	}
	return names
}

func actionServices(text string) (names []string) {
	type group struct{ ServiceName string }
	var action struct {
		group
		ForwardConfig struct{ TargetGroups []group }
	}
	if json.Unmarshal([]byte(text), &action) != nil {
		return nil // the controller refuses it, loudly
	}
	for _, g := range append(action.ForwardConfig.TargetGroups, action.group) {
		names = append(names, g.ServiceName)
	}
	return names
}

func annotation(n *yaml.RNode, key string) string {
	if n == nil {
		return ""
	}
	v, _ := node.Annotation(n, key)
	return v
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0 // the controller refuses it, loudly
	}
	return n
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
