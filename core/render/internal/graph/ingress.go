// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	stringmap "github.com/outlast-ci/outlast/core/internal/attribute"
	"github.com/outlast-ci/outlast/core/render/internal/attribute"
	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// Ingress is one that the AWS Load Balancer Controller serves.
type Ingress struct {
	*yaml.RNode
	Params *yaml.RNode // IngressClassParams of its class, or nil
	Group  string      // IngressGroup: Ingresses of a group share one load balancer; "": it has its own
	Auto   bool        // of EKS Auto Mode

	members []*Ingress // all of the group, as far as they are among the objects; it itself, too
}

// routes gives the target groups in front of each Service, by namespace/name.
func (g *Graph) routes() map[string][]*TargetGroup {
	found := map[string][]*TargetGroup{}
	add := func(t *TargetGroup) {
		found[serviceKey(t.Service)], g.Targets = append(found[serviceKey(t.Service)], t), append(g.Targets, t)
	}
	for _, n := range g.byKind["Ingress"] {
		ing, ok := g.ingress(n)
		if !ok {
			continue
		}
		g.Ingresses = append(g.Ingresses, ing)
		backends := g.backends(n)
		for _, name := range g.shifted(n) {
			backends.add(name, "")
		}
		for _, b := range backends {
			if svc := g.service(node.Namespace(n), b.service); svc != nil {
				add(g.targetGroup(ing, svc, b.ports))
			} else {
				g.Missing = append(g.Missing, Missing{n, node.Namespace(n) + "/" + b.service})
			}
		}
	}
	for _, n := range g.byKind["TargetGroupBinding"] {
		name := node.Str(n, "spec", "serviceRef", "name")
		if svc := g.service(node.Namespace(n), name); svc != nil {
			add(byHand(n, svc))
		} else {
			g.Missing = append(g.Missing, Missing{n, node.Namespace(n) + "/" + name})
		}
	}
	for _, svc := range g.byKind["Service"] {
		for _, t := range g.network(svc) {
			add(t)
		}
	}
	g.gateways(add)
	stacks := map[string][]*Ingress{}
	for _, ing := range g.Ingresses {
		stacks[ing.Stack()] = append(stacks[ing.Stack()], ing)
	}
	for _, ing := range g.Ingresses {
		ing.members = stacks[ing.Stack()]
	}
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
		Auto: node.Group(binding) == autoGroup, Type: Written{target, binding, "spec.targetType"},
		Shared: Written{node.Str(binding, "spec", "multiClusterTargetGroup"), binding, "spec.multiClusterTargetGroup"}}
}

// ingress reads an Ingress's class. What other controllers serve is noted as
// unknown where it may be the AWS Load Balancer Controller's after all.
func (g *Graph) ingress(n *yaml.RNode) (*Ingress, bool) {
	ing := &Ingress{RNode: n}
	name, old := node.Annotation(n, "kubernetes.io/ingress.class") // it wins, and brings no parameters
	if !old {
		name = cmp.Or(node.Str(n, "spec", "ingressClassName"), g.defaultClass())
	}
	class := g.global("IngressClass", name)
	ours := name == "alb" || hasALBAnnotation(n) && !others.MatchString(name)
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
	ing.Group = cmp.Or(node.Str(ing.Params, "spec", "group", "name"), annotation(n, ALBPrefix+"group.name"))
	return ing, true
}

// others are the classes of other controllers, as their charts call them: an annotation
// of ours beside one is a leftover.
var others = regexp.MustCompile(`(?i)nginx|traefik|haproxy|kong|istio|contour|gce|azure|openshift|cilium|apisix|ambassador|emissary|caddy|higress|tailscale|cloudflare`)

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
func (g *Graph) targetGroup(ing *Ingress, svc *yaml.RNode, ports []string) *TargetGroup {
	t := &TargetGroup{Maker: ByIngress, Route: ing.RNode, Service: svc, Ingress: ing, Ports: ports, Auto: ing.Auto}
	t.Type = Written{Object: ing.RNode, Field: node.Path([]string{"metadata", "annotations", ALBPrefix + "target-type"})}
	if v := annotation(svc, ALBPrefix+"target-type"); v != "" {
		t.Type.Value, t.Type.Object = v, svc
	} else {
		t.Type.Value = annotation(ing.RNode, ALBPrefix+"target-type")
	}
	if v := node.Str(ing.Params, "spec", "targetType"); v != "" { // wins over annotations
		t.Type = Written{v, ing.Params, "spec.targetType"}
	}
	t.Balancer = balancerOf(drain.ALB, t.Type.Value)
	number := func(name string) int {
		w := t.Annotated(name)
		return g.number(w.Value, w.Object, w.Field)
	}
	t.Health = Health{Interval: number("healthcheck-interval-seconds"), Timeout: number("healthcheck-timeout-seconds"),
		Healthy: number("healthy-threshold-count"), Unhealthy: number("unhealthy-threshold-count")}
	t.Health.Path, t.Shared = t.Annotated("healthcheck-path").Value, t.Annotated(multiCluster)
	key := ALBPrefix + "target-group-attributes"
	own, hidden := attribute.Annotation(svc, key), attribute.Annotation(ing.RNode, key)
	if _, ok := node.Annotation(svc, key); ok {
		t.Attributes.Places = []attribute.Place{own}
		if _, ok := node.Annotation(ing.RNode, key); ok {
			t.Attributes.Hidden = &hidden
		}
	} else {
		t.Attributes.Places = []attribute.Place{hidden}
	}
	return t
}

// Annotated is what an Ingress's target group takes of an annotation, named without its
// prefix: the Service's, else the Ingress's.
func (t *TargetGroup) Annotated(name string) Written {
	if v, ok := node.Annotation(t.Service, ALBPrefix+name); ok {
		return Written{v, t.Service, annotationPath(ALBPrefix + name)}
	}
	return Written{annotation(t.Route, ALBPrefix+name), t.Route, annotationPath(ALBPrefix + name)}
}

// Stack is how the controller calls the Ingresses that share the load balancer: their
// group, or the one's namespace and name.
func (ing *Ingress) Stack() string {
	return cmp.Or(ing.Group, node.Namespace(ing.RNode)+"/"+ing.GetName())
}

// LoadBalancerAttributes are those of the Ingress's load balancer, the class's
// parameters over the annotation, per key.
func (ing *Ingress) LoadBalancerAttributes() (map[string]string, error) {
	key := ALBPrefix + "load-balancer-attributes"
	attrs, err := stringmap.Parse(annotation(ing.RNode, key))
	if err != nil {
		return nil, &attribute.Malformed{Object: ing.RNode, Field: annotationPath(key), Err: err}
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

// idleTimeout is what the Ingress says, or else another of its group: they share the one
// load balancer. Where they contradict one another the controller changes nothing (OL020).
func (ing *Ingress) idleTimeout() (idle Written, err error) {
	for _, member := range append([]*Ingress{ing}, ing.members...) {
		attrs, err := member.LoadBalancerAttributes()
		if err != nil {
			return Written{}, err
		}
		if idle.Value == "" {
			idle = Written{attrs[attribute.IdleTimeout], member.RNode, annotationPath(ALBPrefix + "load-balancer-attributes")}
		}
	}
	return idle, nil
}

// IdleTimeout is the balancer's, in seconds, and where it is written; 0: it is not.
func (t *TargetGroup) IdleTimeout() (seconds int, on *yaml.RNode, field string, err error) {
	idle := t.idle
	if t.Ingress != nil {
		if idle, err = t.Ingress.idleTimeout(); err != nil {
			return 0, nil, "", err
		}
	}
	if idle.Value == "" {
		return 0, nil, "", nil
	}
	n, err := strconv.Atoi(idle.Value)
	if err != nil || n < 0 {
		return 0, nil, "", &attribute.Malformed{Object: idle.Object, Field: idle.Field, Err: fmt.Errorf("%s=%s is no number of seconds", attribute.IdleTimeout, idle.Value)}
	}
	return n, idle.Object, idle.Field, nil
}

// backend is a Service that an Ingress routes to, and its ports as they are written there.
type backend struct {
	service string
	ports   []string
}

// backends are of one Ingress, each Service once.
type backends []backend

func (all *backends) add(service, port string) {
	if service == "" {
		return
	}
	at := slices.IndexFunc(*all, func(b backend) bool { return b.service == service })
	if at < 0 {
		at = len(*all)
		*all = append(*all, backend{service: service})
	}
	if b := &(*all)[at]; !slices.Contains(b.ports, port) {
		b.ports = append(b.ports, port)
	}
}

// backends lists the Services that an Ingress routes to. A backend
// whose port is use-annotation is no Service: it names an action of an
// annotation, which may forward to several.
func (g *Graph) backends(ingress *yaml.RNode) (all backends) {
	add := func(backend *yaml.RNode) {
		name, port := node.Str(backend, "service", "name"), node.At(backend, "service", "port")
		if node.Str(port, "name") == useAnnotation {
			g.action(ingress, ALBPrefix+"actions."+name, all.add)
			return
		}
		all.add(name, cmp.Or(node.Str(port, "name"), node.Str(port, "number")))
	}
	add(node.At(ingress, "spec", "defaultBackend"))
	for _, rule := range node.Elements(ingress, "spec", "rules") {
		for _, path := range node.Elements(rule, "http", "paths") {
			add(node.At(path, "backend"))
		}
	}
	return all
}

const (
	useAnnotation = "use-annotation"
	multiCluster  = "multi-cluster-target-group"
)

// shifts notes the Ingresses whose traffic a Rollout shifts.
func (g *Graph) shifts(rollout *yaml.RNode) {
	alb := node.At(rollout, "spec", "strategy", "canary", "trafficRouting", "alb")
	names := []string{node.Str(alb, "ingress")}
	for _, e := range node.Elements(alb, "ingresses") {
		names = append(names, e.YNode().Value)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		key := node.Namespace(rollout) + "/" + name
		g.shifting[key] = append(g.shifting[key], rollout)
	}
}

// shifted lists the Services between which Argo Rollouts shifts the traffic of an
// Ingress: it writes the action while it works, so that manifests may lack it.
func (g *Graph) shifted(ingress *yaml.RNode) (names []string) {
	for _, n := range g.shifting[node.Namespace(ingress)+"/"+ingress.GetName()] {
		canary := node.At(n, "spec", "strategy", "canary")
		names = append(names, node.Str(canary, "stableService"), node.Str(canary, "canaryService"),
			node.Str(canary, "pingPong", "pingService"), node.Str(canary, "pingPong", "pongService"))
	}
	return names
}

// action adds the Services that an action forwards to. It may redirect, or
// answer by itself, instead.
func (g *Graph) action(ingress *yaml.RNode, key string, add func(service, port string)) {
	type group struct {
		ServiceName string
		ServicePort json.RawMessage // a number or a name
	}
	var action struct {
		group
		ForwardConfig struct{ TargetGroups []group }
	}
	text, ok := node.Annotation(ingress, key)
	if !ok && len(g.shifted(ingress)) > 0 {
		return // Argo Rollouts writes it
	}
	err := fmt.Errorf("a backend with the port %s names this action, which is not there", useAnnotation)
	if ok {
		err = json.Unmarshal([]byte(text), &action)
	}
	if err != nil {
		g.Malformed = append(g.Malformed, &attribute.Malformed{Object: ingress, Field: annotationPath(key), Err: err})
		return
	}
	for _, g := range append(action.ForwardConfig.TargetGroups, action.group) {
		add(g.ServiceName, strings.Trim(string(g.ServicePort), `"`))
	}
}

func annotation(n *yaml.RNode, key string) string {
	if n == nil {
		return ""
	}
	v, _ := node.Annotation(n, key)
	return v
}

// annotationPath is how messages name an annotation.
func annotationPath(key string) string { return node.Path([]string{"metadata", "annotations", key}) }
