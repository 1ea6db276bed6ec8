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
	"github.com/outlast-ci/outlast/core/render/internal/selector"
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
	Targets     []*TargetGroup // all, whether a workload is behind them or not
	Unknown     []Unknown      // balancers that are not the controller's, or may not be
	Missing     []Missing      // Services that a route names and that are not among the objects
	Malformed   []*attribute.Malformed

	byKind     map[string][]*yaml.RNode
	byName     map[reference]*yaml.RNode // the first of the name; without a namespace of any
	services   selector.Index            // by what they select
	budgets    selector.Index            // PodDisruptionBudgets
	configured map[string]*yaml.RNode    // TargetGroupConfigurations, by namespace/name of their Service
	shifting   map[string][]*yaml.RNode  // Rollouts, by namespace/name of the Ingress whose traffic they shift
}

type reference struct{ kind, namespace, name string }

// Budget finds the PodDisruptionBudget of a workload's pods, or nil; of several
// the last.
func (g *Graph) Budget(w *Workload) *yaml.RNode {
	found := g.budgets.Matching(node.Namespace(w.RNode), w.Labels())
	if len(found) == 0 {
		return nil
	}
	return found[len(found)-1]
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
	"Gateway": {gatewayGroup}, "GatewayClass": {gatewayGroup}, "ListenerSet": {gatewayGroup}, "HTTPRoute": {gatewayGroup}, "GRPCRoute": {gatewayGroup},
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
	g := &Graph{Objects: objects, Namespaces: map[string]*yaml.RNode{}, Autoscalers: map[string]*yaml.RNode{}, byKind: map[string][]*yaml.RNode{}, byName: map[reference]*yaml.RNode{},
		configured: map[string]*yaml.RNode{}, shifting: map[string][]*yaml.RNode{}}
	for _, n := range objects {
		kind := n.GetKind()
		if foreign(n) {
			continue
		}
		g.byKind[kind] = append(g.byKind[kind], n)
		for _, namespace := range []string{node.Namespace(n), ""} {
			if key := (reference{kind, namespace, n.GetName()}); g.byName[key] == nil {
				g.byName[key] = n
			}
		}
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
			g.budgets.Add(node.Namespace(n), selector.Of(node.At(n, "spec", "selector")), n)
		case "Service":
			if s := node.Strings(n, "spec", "selector"); len(s) > 0 && node.Str(n, "spec", "type") != "ExternalName" {
				g.services.Add(node.Namespace(n), selector.Selector{Labels: s}, n)
			}
		case "TargetGroupConfiguration":
			g.configures(n)
		case "Rollout":
			g.shifts(n)
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
	return g.named(node.Str(ref, "kind"), node.Namespace(rollout), node.Str(ref, "name"))
}

func (g *Graph) workload(n *yaml.RNode, routes map[string][]*TargetGroup) *Workload {
	w := &Workload{RNode: n, Pods: n}
	if other := g.template(n); other != nil {
		w.Pods = other
	}
	w.Spec = node.At(w.Pods, node.TemplatePath(w.Pods.GetKind())...)
	w.Services = g.services.Matching(node.Namespace(n), w.Labels())
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
	for _, svc := range g.services.Matching(node.Namespace(n), node.Strings(node.Template(n), "metadata", "labels")) {
		if len(routes[serviceKey(svc)]) > 0 {
			g.Strays = append(g.Strays, Stray{n, svc})
		}
	}
}

func serviceKey(svc *yaml.RNode) string { return node.Namespace(svc) + "/" + svc.GetName() }

// service finds a Service among the objects.
func (g *Graph) service(namespace, name string) *yaml.RNode {
	return g.named("Service", namespace, name)
}

// named finds an object of a kind that lives in a namespace.
func (g *Graph) named(kind, namespace, name string) *yaml.RNode {
	return g.byName[reference{kind, namespace, name}]
}

// global finds an object of a kind that lives in the cluster as a whole; kustomize
// gives it a namespace all the same when it does not know the kind.
func (g *Graph) global(kind, name string) *yaml.RNode { return g.named(kind, "", name) }

// Labels of the workload's pods.
func (w *Workload) Labels() map[string]string {
	return node.Strings(node.Template(w.Pods), "metadata", "labels")
}

func isAWS(controller string) bool {
	return strings.HasSuffix(controller, "/alb") || strings.HasSuffix(controller, "/nlb")
}
