// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// Ingress is one that the AWS Load Balancer Controller serves.
type Ingress struct {
	*yaml.RNode
	Params *yaml.RNode // IngressClassParams of its class, or nil
	Group  string      // IngressGroup: Ingresses of a group share one load balancer; "": it has its own
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
		for _, name := range Backends(n) {
			if svc := g.service(n.GetNamespace(), name); svc != nil {
				add(ing.targetGroup(svc))
			}
		}
	}
	for _, n := range g.byKind["TargetGroupBinding"] {
		if svc := g.service(n.GetNamespace(), node.Str(n, "spec", "serviceRef", "name")); svc != nil {
			add(&TargetGroup{Maker: ByHand, Route: n, Service: svc, Balancer: balancerOf(drain.ALB, node.Str(n, "spec", "targetType")),
				Type: TargetType{node.Str(n, "spec", "targetType"), n, "spec.targetType"}})
		}
	}
	for _, svc := range g.services {
		if t := g.network(svc); t != nil {
			add(t)
		}
	}
	g.gateways(add)
	return found
}

// ingress reads an Ingress's class. What other controllers serve is noted as
// unknown where it may be the AWS Load Balancer Controller's after all.
func (g *Graph) ingress(n *yaml.RNode) (*Ingress, bool) {
	ing := &Ingress{RNode: n}
	name := node.Str(n, "spec", "ingressClassName")
	if name == "" {
		name, _ = node.Annotation(n, "kubernetes.io/ingress.class")
	}
	class := g.named("IngressClass", "", name)
	ours := name == "alb" || hasALBAnnotation(n)
	if class != nil && name != "" {
		ours = strings.HasSuffix(node.Str(class, "spec", "controller"), "/alb")
		if ref := node.At(class, "spec", "parameters"); node.Str(ref, "kind") == "IngressClassParams" {
			ing.Params = g.named("IngressClassParams", "", node.Str(ref, "name"))
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
	t := &TargetGroup{Maker: ByIngress, Route: ing.RNode, Service: svc, Ingress: ing}
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
	attrs, err := parse(annotation(ing.RNode, key))
	if err != nil {
		return nil, &PlaceError{ing.RNode, node.Path([]string{"metadata", "annotations", key}), err}
	}
	out := map[string]string{}
	for _, a := range attrs {
		out[a.key] = a.value
	}
	for _, e := range node.Elements(ing.Params, "spec", "loadBalancerAttributes") {
		out[node.Str(e, "key")] = node.Str(e, "value")
	}
	return out, nil
}

// idleTimeout is the balancer's, in seconds; 0: not written.
func (t *TargetGroup) idleTimeout() (int, error) {
	text := t.idle
	if t.Ingress != nil {
		attrs, err := t.Ingress.LoadBalancerAttributes()
		if err != nil {
			return 0, err
		}
		text = attrs[idleAttribute]
	}
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, &PlaceError{t.Route, node.Path([]string{"metadata", "annotations", ALBPrefix + "load-balancer-attributes"}), fmt.Errorf("%s=%s is no number of seconds", idleAttribute, text)}
	}
	return n, nil
}

// Backends lists the Services that an Ingress routes to, each once, those of its
// action annotations included.
func Backends(ingress *yaml.RNode) (names []string) {
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	add(node.Str(ingress, "spec", "defaultBackend", "service", "name"))
	for _, rule := range node.Elements(ingress, "spec", "rules") {
		for _, path := range node.Elements(rule, "http", "paths") {
			add(node.Str(path, "backend", "service", "name"))
		}
	}
	annotations := node.Strings(ingress, "metadata", "annotations")
	for _, k := range slices.Sorted(maps.Keys(annotations)) {
		if strings.HasPrefix(k, ALBPrefix+"actions.") {
			for _, name := range actionServices(annotations[k]) {
				add(name)
			}
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { _, isAction := annotations[ALBPrefix+"actions."+name]; return isAction })
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
