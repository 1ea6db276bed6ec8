// SPDX-License-Identifier: Apache-2.0

// Package graph tells which pods stand behind which load balancer: objects go
// in, workloads come out, each with the Services that select its pods and the
// target groups that these are registered in. It reads Ingress, IngressClass
// and IngressClassParams, TargetGroupBinding of both API groups, Services of
// type LoadBalancer, and the Gateway API with the controller's own resources.
package graph

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/attribute"
	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// Annotations and labels of the AWS Load Balancer Controller.
const (
	ALBPrefix     = "alb.ingress.kubernetes.io/"
	NLBPrefix     = "service.beta.kubernetes.io/aws-load-balancer-"
	GateLabel     = "elbv2.k8s.aws/pod-readiness-gate-inject"
	AutoGateLabel = autoGroup + "/pod-readiness-gate-inject" // EKS Auto Mode

	autoGroup          = "eks.amazonaws.com" // API group of EKS Auto Mode's own controller
	gatewayGroup       = "gateway.networking.k8s.io"
	gatewayConfigGroup = "gateway.k8s.aws" // of the controller's own resources beside it
)

// Graph is what the objects say together.
type Graph struct {
	Objects     []*yaml.RNode
	Workloads   []*Workload
	Strays      []Stray                // pods that a balancer sends to and that nothing replaces
	Namespaces  map[string]*yaml.RNode // by name
	Autoscalers map[string]*yaml.RNode // by Kind/namespace/name of what they scale
	Ingresses   []*Ingress
	Unknown     []Unknown // balancers that are not the controller's, or may not be
	Missing     []Missing // Services that a route names and that are not among the objects
	Malformed   []*attribute.Malformed

	selectors map[string][]selector // of the Services, by namespace
	byKind    map[string][]*yaml.RNode
	budgets   []budget
}

// selector of a Service, read once.
type selector struct {
	service *yaml.RNode
	labels  map[string]string
}

// budget is a PodDisruptionBudget.
type budget struct {
	*yaml.RNode
	namespace string
	selector  *yaml.RNode
	labels    map[string]string // that its selector asks for
}

// Budget finds the PodDisruptionBudget of a workload's pods, or nil; of several
// the last.
func (g *Graph) Budget(w *Workload) (found *yaml.RNode) {
	labels, namespace := w.Labels(), node.Namespace(w.RNode)
	for _, b := range g.budgets {
		if b.namespace == namespace && within(b.labels, labels) && Matches(b.selector, labels) {
			found = b.RNode
		}
	}
	return found
}

// within tells whether labels have what is wanted.
func within(want, labels map[string]string) bool {
	for k, v := range want {
		if have, ok := labels[k]; !ok || have != v {
			return false
		}
	}
	return true
}

// Workload is an object that runs pods, with what stands in front of them.
type Workload struct {
	*yaml.RNode
	Pods     *yaml.RNode // object that holds the pod template: itself, or what workloadRef names
	Spec     *yaml.RNode // the pod's spec; nil: there is none
	Services []*yaml.RNode
	Groups   []*TargetGroup // empty: not behind a balancer, as far as the objects tell
	Stated   drain.Balancer // what the author says stands in front, by annotation
}

// ID is how messages name the workload.
func (w *Workload) ID() string { return node.ID(w.RNode) }

// Behind tells whether a balancer sends requests to the pods.
func (w *Workload) Behind() bool { return len(w.Groups) > 0 || w.Stated != "" }

// Autoscaler gives what scales the workload, or nil.
func (g *Graph) Autoscaler(w *Workload) *yaml.RNode { return g.Autoscalers[scaleKey(w.RNode)] }

func scaleKey(n *yaml.RNode) string { return n.GetKind() + "/" + node.Namespace(n) + "/" + n.GetName() }

// Gated tells whether the labels of a Namespace make a controller give its pods readiness
// gates.
func Gated(labels map[string]string) bool {
	return labels[GateLabel] == "enabled" || labels[AutoGateLabel] == "enabled"
}

// Stray is an object whose pods a balancer sends to, and that cannot replace
// them one by one: a bare Pod, a Job, a CronJob, a ReplicaSet.
type Stray struct {
	Object  *yaml.RNode
	Service *yaml.RNode
}

// Unknown is a route whose controller is not, or may not be, the AWS Load
// Balancer Controller.
type Unknown struct {
	Object *yaml.RNode
	Field  string
	Why    string
}

// Missing is a Service that a route sends to, and that is not among the objects.
type Missing struct {
	Route   *yaml.RNode
	Service string // namespace/name
}

// number reads a whole number that a route or a Service says; one that is none is
// malformed.
func (g *Graph) number(text string, object *yaml.RNode, field string) int {
	n, err := strconv.Atoi(text)
	if text == "" || err == nil && n >= 0 {
		return n
	}
	g.Malformed = append(g.Malformed, &attribute.Malformed{Object: object, Field: field, Err: fmt.Errorf("%q is no whole number", text)})
	return 0
}

// apiGroups of the kinds that are read here. Others use their names, too: Knative has a
// Service, Istio a Gateway, OpenShift an Ingress.
var apiGroups = map[string][]string{
	"Service": {""}, "Pod": {""}, "Namespace": {""}, "ReplicationController": {""},
	"Deployment": {"apps", "extensions"}, "StatefulSet": {"apps"}, "DaemonSet": {"apps", "extensions"}, "ReplicaSet": {"apps", "extensions"},
	"Rollout": {"argoproj.io"}, "Job": {"batch"}, "CronJob": {"batch"},
	"HorizontalPodAutoscaler": {"autoscaling"}, "ScaledObject": {"keda.sh"}, "PodDisruptionBudget": {"policy"},
	"Ingress": {"networking.k8s.io", "extensions"}, "IngressClass": {"networking.k8s.io"},
	"IngressClassParams": {"elbv2.k8s.aws", autoGroup}, "TargetGroupBinding": {"elbv2.k8s.aws", autoGroup},
	"Gateway": {gatewayGroup}, "GatewayClass": {gatewayGroup}, "HTTPRoute": {gatewayGroup}, "GRPCRoute": {gatewayGroup},
	"TCPRoute": {gatewayGroup}, "UDPRoute": {gatewayGroup}, "TLSRoute": {gatewayGroup},
	"TargetGroupConfiguration": {gatewayConfigGroup}, "LoadBalancerConfiguration": {gatewayConfigGroup},
}

// foreign tells the kinds whose names others use, too, from those that are meant.
func foreign(n *yaml.RNode) bool {
	groups, known := apiGroups[n.GetKind()]
	return known && !slices.Contains(groups, node.Group(n))
}

// workloadKinds run pods for long and replace them by a rollout.
var workloadKinds = []string{"Deployment", "StatefulSet", "DaemonSet", "Rollout"}

// strayKinds run pods, too, but nothing replaces these in an orderly way.
var strayKinds = []string{"Pod", "Job", "CronJob", "ReplicaSet", "ReplicationController"}

// New reads the objects.
func New(objects []*yaml.RNode) *Graph {
	g := &Graph{Objects: objects, Namespaces: map[string]*yaml.RNode{}, Autoscalers: map[string]*yaml.RNode{}, selectors: map[string][]selector{}, byKind: map[string][]*yaml.RNode{}}
	for _, n := range objects {
		kind := n.GetKind()
		if foreign(n) {
			continue
		}
		g.byKind[kind] = append(g.byKind[kind], n)
		switch kind {
		case "Namespace":
			g.Namespaces[n.GetName()] = n
		case "HorizontalPodAutoscaler", "ScaledObject": // KEDA makes an autoscaler of it
			target := node.At(n, "spec", "scaleTargetRef")
			kind := node.Str(target, "kind")
			if kind == "" {
				kind = "Deployment"
			}
			g.Autoscalers[kind+"/"+node.Namespace(n)+"/"+node.Str(target, "name")] = n
		case "PodDisruptionBudget":
			s := node.At(n, "spec", "selector")
			g.budgets = append(g.budgets, budget{n, node.Namespace(n), s, node.Strings(s, "matchLabels")})
		case "Service":
			if s := node.Strings(n, "spec", "selector"); len(s) > 0 && node.Str(n, "spec", "type") != "ExternalName" {
				g.selectors[node.Namespace(n)] = append(g.selectors[node.Namespace(n)], selector{n, s})
			}
		}
	}
	routes := g.routes()
	var lent []*yaml.RNode // whose template a Rollout uses, and which Argo scales to nothing
	for _, n := range g.byKind["Rollout"] {
		if other := g.template(n); other != nil && node.Str(n, "spec", "workloadRef", "scaleDown") != "never" {
			lent = append(lent, other)
		}
	}
	for _, n := range objects {
		switch {
		case foreign(n) || slices.Contains(lent, n):
		case slices.Contains(workloadKinds, n.GetKind()):
			g.Workloads = append(g.Workloads, g.workload(n, routes))
		case slices.Contains(strayKinds, n.GetKind()):
			g.stray(n, routes)
		}
	}
	return g
}

// template finds the object whose pod template a Rollout uses instead of one of its
// own, or nil.
func (g *Graph) template(rollout *yaml.RNode) *yaml.RNode {
	ref := node.At(rollout, "spec", "workloadRef")
	for _, other := range g.byKind[node.Str(ref, "kind")] {
		if other.GetName() == node.Str(ref, "name") && node.Namespace(other) == node.Namespace(rollout) {
			return other
		}
	}
	return nil
}

func (g *Graph) workload(n *yaml.RNode, routes map[string][]*TargetGroup) *Workload {
	w := &Workload{RNode: n, Pods: n}
	if other := g.template(n); other != nil {
		w.Pods = other
	}
	w.Spec = node.At(w.Pods, node.TemplatePath(w.Pods.GetKind())...)
	w.Services = g.selecting(node.Namespace(n), w.Labels())
	for _, svc := range w.Services {
		w.Groups = append(w.Groups, routes[serviceKey(svc)]...)
	}
	switch stated, _ := node.Annotation(n, node.OwnPrefix+"balancer"); drain.Balancer(stated) {
	case drain.ALB, drain.NLB, drain.Instance:
		w.Stated = drain.Balancer(stated)
		target := "ip"
		if w.Stated == drain.Instance {
			target = "instance"
		}
		for _, t := range w.Groups {
			t.Settle(target)
		}
	case "none":
		w.Groups = nil
	}
	return w
}

func (g *Graph) stray(n *yaml.RNode, routes map[string][]*TargetGroup) {
	for _, svc := range g.selecting(node.Namespace(n), node.Strings(node.Template(n), "metadata", "labels")) {
		if len(routes[serviceKey(svc)]) > 0 {
			g.Strays = append(g.Strays, Stray{n, svc})
		}
	}
}

func serviceKey(svc *yaml.RNode) string { return node.Namespace(svc) + "/" + svc.GetName() }

// selecting lists the Services whose selectors match pods with these labels.
func (g *Graph) selecting(namespace string, labels map[string]string) (services []*yaml.RNode) {
	for _, s := range g.selectors[namespace] {
		if within(s.labels, labels) {
			services = append(services, s.service)
		}
	}
	return services
}

// service finds a Service among the objects.
func (g *Graph) service(namespace, name string) *yaml.RNode {
	return g.named("Service", namespace, name)
}

// named finds an object of a kind that lives in a namespace.
func (g *Graph) named(kind, namespace, name string) *yaml.RNode {
	for _, n := range g.byKind[kind] {
		if n.GetName() == name && node.Namespace(n) == namespace {
			return n
		}
	}
	return nil
}

// global finds an object of a kind that lives in the cluster as a whole; kustomize
// gives it a namespace all the same when it does not know the kind.
func (g *Graph) global(kind, name string) *yaml.RNode {
	for _, n := range g.byKind[kind] {
		if n.GetName() == name {
			return n
		}
	}
	return nil
}

// Matches tells whether a label selector, as policies and workloads have it,
// matches labels. One that is absent matches nothing, an empty one everything.
func Matches(selector *yaml.RNode, labels map[string]string) bool {
	if selector == nil {
		return false
	}
	if !within(node.Strings(selector, "matchLabels"), labels) {
		return false
	}
	for _, e := range node.Elements(selector, "matchExpressions") {
		var values []string
		for _, v := range node.Elements(e, "values") {
			values = append(values, v.YNode().Value)
		}
		have, ok := labels[node.Str(e, "key")]
		listed := ok && slices.Contains(values, have)
		switch node.Str(e, "operator") {
		case "In":
			ok = listed
		case "NotIn":
			ok = !listed
		case "Exists":
		case "DoesNotExist":
			ok = !ok
		default:
			ok = false
		}
		if !ok {
			return false
		}
	}
	return true
}

// Labels of the workload's pods.
func (w *Workload) Labels() map[string]string {
	return node.Strings(node.Template(w.Pods), "metadata", "labels")
}

func isAWS(controller string) bool {
	return strings.HasSuffix(controller, "/alb") || strings.HasSuffix(controller, "/nlb")
}
