// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/tree"
)

// Annotations of the AWS Load Balancer Controller.
const (
	albPrefix     = "alb.ingress.kubernetes.io/"
	nlbPrefix     = "service.beta.kubernetes.io/aws-load-balancer-"
	gateLabel     = "elbv2.k8s.aws/pod-readiness-gate-inject"
	autoGateLabel = "eks.amazonaws.com/pod-readiness-gate-inject" // EKS Auto Mode
)

// balancer is what routes to a Service.
type balancer struct {
	object *yaml.RNode // Ingress, TargetGroupBinding, or the Service itself (NLB)
	kind   string      // alb, nlb or external (a target group that somebody else made)
}

// workload is an object that runs pods, with the Services in front of it.
type workload struct {
	*yaml.RNode
	services  []*yaml.RNode
	balancers []balancer
}

func (w *workload) id() string { return objectID(w.RNode) }

// graph is which pods stand behind which balancers.
type graph struct {
	workloads  []*workload
	namespaces map[string]*yaml.RNode
	scaled     map[string]bool // "Kind/namespace/name" that an autoscaler owns
}

func newGraph(objects []*tree.Object) *graph {
	g := &graph{namespaces: map[string]*yaml.RNode{}, scaled: map[string]bool{}}
	var services, routes []*yaml.RNode
	classes := map[string]bool{"alb": true}
	for _, res := range objects {
		n := res.RNode
		switch n.GetKind() {
		case "Deployment", "StatefulSet", "DaemonSet":
			g.workloads = append(g.workloads, &workload{RNode: n})
		case "Service":
			services = append(services, n)
		case "Ingress", "TargetGroupBinding":
			routes = append(routes, n)
		case "IngressClass":
			if c := field(n, "spec", "controller"); strings.HasSuffix(c, "/alb") {
				classes[n.GetName()] = true
			}
		case "Namespace":
			g.namespaces[n.GetName()] = n
		case "HorizontalPodAutoscaler":
			g.scaled[field(n, "spec", "scaleTargetRef", "kind")+"/"+n.GetNamespace()+"/"+field(n, "spec", "scaleTargetRef", "name")] = true
		}
	}
	for _, w := range g.workloads {
		for _, svc := range services {
			if svc.GetNamespace() != w.GetNamespace() || !selects(svc, w.RNode) {
				continue
			}
			if found := balancersOf(svc, routes, classes); len(found) > 0 {
				w.services = append(w.services, svc)
				w.balancers = append(w.balancers, found...)
			}
		}
	}
	return g
}

// selects tells whether a Service's selector matches a workload's pods.
func selects(svc, w *yaml.RNode) bool {
	selector := stringsAt(svc, "spec", "selector")
	labels := stringsAt(w, "spec", "template", "metadata", "labels")
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return len(selector) > 0 && field(svc, "spec", "type") != "ExternalName"
}

func balancersOf(svc *yaml.RNode, routes []*yaml.RNode, classes map[string]bool) (found []balancer) {
	for _, r := range routes {
		if r.GetNamespace() != svc.GetNamespace() {
			continue
		}
		switch {
		case r.GetKind() == "TargetGroupBinding" && field(r, "spec", "serviceRef", "name") == svc.GetName():
			found = append(found, balancer{r, "external"})
		case r.GetKind() == "Ingress" && isALB(r, classes) && slices.Contains(backends(r), svc.GetName()):
			found = append(found, balancer{r, "alb"})
		}
	}
	class, kind := field(svc, "spec", "loadBalancerClass"), svc.GetAnnotations()[nlbPrefix+"type"]
	if field(svc, "spec", "type") == "LoadBalancer" && (strings.HasSuffix(class, "/nlb") || kind == "external" || kind == "nlb-ip") {
		found = append(found, balancer{svc, "nlb"})
	}
	return found
}

func isALB(ingress *yaml.RNode, classes map[string]bool) bool {
	annotations := ingress.GetAnnotations()
	if class := field(ingress, "spec", "ingressClassName"); class != "" {
		return classes[class] || hasALBAnnotation(annotations)
	}
	return annotations["kubernetes.io/ingress.class"] == "alb" || hasALBAnnotation(annotations)
}

func hasALBAnnotation(annotations map[string]string) bool {
	for k := range annotations {
		if strings.HasPrefix(k, albPrefix) {
			return true
		}
	}
	return false
}

// backends lists the Services that an Ingress routes to, those of its action
// annotations included.
func backends(ingress *yaml.RNode) (names []string) {
	service := func(at *yaml.RNode) {
		if name := field(at, "service", "name"); name != "" {
			names = append(names, name)
		}
	}
	if def, err := ingress.Pipe(yaml.Lookup("spec", "defaultBackend")); err == nil && def != nil {
		service(def)
	}
	for _, rule := range elements(ingress, "spec", "rules") {
		for _, path := range elements(rule, "http", "paths") {
			if b, err := path.Pipe(yaml.Lookup("backend")); err == nil && b != nil {
				service(b)
			}
		}
	}
	for k, v := range ingress.GetAnnotations() {
		if strings.HasPrefix(k, albPrefix+"actions.") {
			names = append(names, actionServices(v)...)
		}
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
		if g.ServiceName != "" {
			names = append(names, g.ServiceName)
		}
	}
	return names
}

// --- reading YAML nodes ----------------------------------------------------

// objectID is how messages name an object: Kind/namespace/name.
func objectID(n *yaml.RNode) string {
	if ns := n.GetNamespace(); ns != "" {
		return n.GetKind() + "/" + ns + "/" + n.GetName()
	}
	return n.GetKind() + "/" + n.GetName()
}

// field gives the scalar at a path, or "".
func field(n *yaml.RNode, path ...string) string {
	if n == nil {
		return ""
	}
	v, err := n.Pipe(yaml.Lookup(path...))
	if err != nil || v == nil || v.YNode().Kind != yaml.ScalarNode || v.YNode().Tag == yaml.NodeTagNull {
		return ""
	}
	return v.YNode().Value
}

// number gives the whole number at a path, and whether there is one.
func number(n *yaml.RNode, path ...string) (int, bool) {
	v, err := strconv.Atoi(field(n, path...))
	return v, err == nil
}

func elements(n *yaml.RNode, path ...string) []*yaml.RNode {
	list, err := n.Pipe(yaml.Lookup(path...))
	if err != nil || list == nil {
		return nil
	}
	items, err := list.Elements()
	if err != nil {
		return nil
	}
	return items
}

func stringsAt(n *yaml.RNode, path ...string) map[string]string {
	out := map[string]string{}
	m, err := n.Pipe(yaml.Lookup(path...))
	if err != nil || m == nil || m.YNode().Kind != yaml.MappingNode {
		return out
	}
	if err := m.VisitFields(func(f *yaml.MapNode) error {
		out[f.Key.YNode().Value] = f.Value.YNode().Value
		return nil
	}); err != nil {
		return map[string]string{}
	}
	return out
}

// podSpec finds the pod's spec in any kind that has one.
func podSpec(n *yaml.RNode) *yaml.RNode {
	paths := [][]string{{"spec", "template", "spec"}}
	switch n.GetKind() {
	case "Pod":
		paths = [][]string{{"spec"}}
	case "CronJob":
		paths = [][]string{{"spec", "jobTemplate", "spec", "template", "spec"}}
	}
	for _, p := range paths {
		if spec, err := n.Pipe(yaml.Lookup(p...)); err == nil && spec != nil {
			return spec
		}
	}
	return nil
}

// containers lists a pod's containers; all adds every init container, else only
// the native sidecars among them, which live as long as the pod.
func containers(spec *yaml.RNode, all bool) []*yaml.RNode {
	if spec == nil {
		return nil
	}
	list := elements(spec, "containers")
	for _, c := range elements(spec, "initContainers") {
		if all || field(c, "restartPolicy") == "Always" {
			list = append(list, c)
		}
	}
	return list
}
