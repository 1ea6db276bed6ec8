// SPDX-License-Identifier: Apache-2.0

// Package live reads what only the cluster and the balancer know: the facts by which
// manifests are checked, and in which order new drain timings are to be written.
package live

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/render"
	"github.com/outlast-ci/outlast/core/render/running"
)

// Cluster is what is needed of an API server.
type Cluster interface {
	Get(ctx context.Context, apiVersion, kind, namespace, name string) (*unstructured.Unstructured, error)
	List(ctx context.Context, apiVersion, kind, namespace, labels string) ([]unstructured.Unstructured, error)
}

// Attributes is what is needed of ELBv2.
type Attributes interface {
	// TargetGroup gives a target group's properties by the names that ELBv2 has for them
	// (Protocol, Port), its attributes, and those of the load balancer that it is attached
	// to, if it is.
	TargetGroup(ctx context.Context, arn string) (properties, attributes, loadBalancer map[string]string, err error)
}

// Read collects the facts for a check of workloads. What could not be read is told as
// a warning event; the error is the context's.
func Read(ctx context.Context, cluster Cluster, attributes Attributes, workloads []render.Workload, observe event.Func) (*render.Live, error) {
	r := &reader{cluster: cluster, attributes: attributes, observe: observe, facts: &render.Live{}}
	r.read(ctx, workloads)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return r.facts, nil
}

// reader collects the facts for a check.
type reader struct {
	cluster    Cluster
	attributes Attributes
	observe    event.Func
	facts      *render.Live
}

// lost tells of what could not be read.
func (r *reader) lost(what string, err error) {
	r.observe.Emit(event.Event{Stage: "check", Kind: event.Warn, Object: what, Message: "not looked at: " + err.Error()})
}

func (r *reader) read(ctx context.Context, workloads []render.Workload) {
	var namespaces []string
	for _, w := range workloads {
		if ns := cmp.Or(w.Namespace, "default"); !slices.Contains(namespaces, ns) {
			namespaces = append(namespaces, ns)
		}
	}
	r.kubelets(ctx)
	r.members(ctx)
	for _, ns := range namespaces {
		r.namespace(ctx, ns)
		r.groups(ctx, ns)
		r.pods(ctx, ns)
	}
}

// kubelets reads the versions of the nodes, and their zones.
func (r *reader) kubelets(ctx context.Context) {
	nodes, err := r.cluster.List(ctx, "v1", "Node", "", "")
	if err != nil {
		r.lost("the kubelets' versions", err)
	}
	r.facts.Kubelets, r.facts.Zones = map[string]string{}, map[string]string{}
	for _, n := range nodes {
		r.facts.Kubelets[n.GetName()] = text(n, "status", "nodeInfo", "kubeletVersion")
		if cordoned, _, _ := unstructured.NestedBool(n.Object, "spec", "unschedulable"); !cordoned {
			r.facts.Zones[n.GetName()] = n.GetLabels()["topology.kubernetes.io/zone"]
		}
	}
}

func (r *reader) namespace(ctx context.Context, name string) {
	ns, err := r.cluster.Get(ctx, "v1", "Namespace", "", name)
	if err != nil {
		r.lost("Namespace/"+name, err)
		return
	}
	if ns == nil {
		return // the deploy makes it
	}
	if r.facts.Namespaces == nil {
		r.facts.Namespaces = map[string]map[string]string{}
	}
	r.facts.Namespaces[name] = ns.GetLabels()
}

// members lists the Ingresses that share a load balancer with others, in all
// namespaces: a conflict with one of them stops the whole group. A group that
// only IngressClassParams name is told by these.
func (r *reader) members(ctx context.Context) {
	all, err := r.cluster.List(ctx, "networking.k8s.io/v1", "Ingress", "", "")
	if err != nil {
		r.lost("the Ingresses of all namespaces", err)
		return
	}
	classes := r.classes(ctx)
	for _, ing := range all {
		annotations := ing.GetAnnotations()
		class := classes[text(ing, "spec", "ingressClassName")]
		if group := cmp.Or(class.group, annotations[render.ALBAnnotations+"group.name"]); group != "" {
			r.facts.Members = append(r.facts.Members, render.LiveMember{Namespace: ing.GetNamespace(), Name: ing.GetName(), Group: group,
				Attributes: annotations[render.ALBAnnotations+"load-balancer-attributes"], Class: class.attributes})
		}
	}
}

// class is what an IngressClass's parameters say of all its Ingresses.
type class struct {
	group      string
	attributes map[string]string // of the load balancer
}

// classes reads the parameters of the classes, by name.
func (r *reader) classes(ctx context.Context) map[string]class {
	params := map[string]class{}
	for _, version := range []string{"elbv2.k8s.aws/v1beta1", "eks.amazonaws.com/v1"} {
		for _, p := range r.optional(ctx, version, "IngressClassParams", "") {
			c := class{text(p, "spec", "group", "name"), map[string]string{}}
			for _, a := range items(p, "spec", "loadBalancerAttributes") {
				c.attributes[fmt.Sprint(a["key"])] = fmt.Sprint(a["value"])
			}
			params[p.GetName()] = c
		}
	}
	byName := map[string]class{}
	for _, c := range r.optional(ctx, "networking.k8s.io/v1", "IngressClass", "") {
		if text(c, "spec", "parameters", "kind") == "IngressClassParams" {
			byName[c.GetName()] = params[text(c, "spec", "parameters", "name")]
		}
	}
	return byName
}

// optional lists objects of a kind that the cluster may not know.
func (r *reader) optional(ctx context.Context, version, kind, namespace string) []unstructured.Unstructured {
	all, err := r.cluster.List(ctx, version, kind, namespace, "")
	if err != nil && !meta.IsNoMatchError(err) {
		r.lost(strings.TrimSuffix(kind+"s of "+namespace, " of "), err)
	}
	return all
}

// groups finds the target groups of a namespace and their attributes.
func (r *reader) groups(ctx context.Context, namespace string) {
	for _, version := range []string{"elbv2.k8s.aws/v1beta1", "eks.amazonaws.com/v1"} {
		for _, b := range r.optional(ctx, version, "TargetGroupBinding", namespace) {
			g := render.LiveGroup{ARN: text(b, "spec", "targetGroupARN"), Namespace: namespace, Binding: b.GetName(),
				Service: text(b, "spec", "serviceRef", "name"), TargetType: text(b, "spec", "targetType")}
			if g.ARN == "" {
				continue
			}
			if port, ok, _ := unstructured.NestedFieldNoCopy(b.Object, "spec", "serviceRef", "port"); ok {
				g.ServicePort = fmt.Sprint(port)
			}
			g.Maker, g.Stack = render.MakerOf(b.GetLabels())
			var err error
			if g.Properties, g.Attributes, g.LoadBalancer, err = r.attributes.TargetGroup(ctx, g.ARN); err != nil {
				r.lost("target group "+g.ARN, err)
			}
			r.facts.Groups = append(r.facts.Groups, g)
		}
	}
}

func (r *reader) pods(ctx context.Context, namespace string) {
	all, err := r.cluster.List(ctx, "v1", "Pod", namespace, "")
	if err != nil {
		r.lost("the pods of "+namespace, err)
		return
	}
	for _, p := range all {
		if p.GetDeletionTimestamp() != nil || text(p, "status", "phase") == "Succeeded" || text(p, "status", "phase") == "Failed" {
			continue
		}
		pod := render.LivePod{Namespace: namespace, Name: p.GetName(), Labels: p.GetLabels()}
		for _, g := range items(p, "spec", "readinessGates") {
			pod.Gates = append(pod.Gates, fmt.Sprint(g["conditionType"]))
		}
		for _, c := range items(p, "spec", "containers") {
			lifecycle, _ := c["lifecycle"].(map[string]any)
			pod.Containers = append(pod.Containers, render.LiveContainer{Name: fmt.Sprint(c["name"]), PreStop: lifecycle["preStop"] != nil, Seconds: running.Hook(c)})
		}
		r.facts.Pods = append(r.facts.Pods, pod)
	}
}

func text(obj unstructured.Unstructured, path ...string) string {
	s, _, _ := unstructured.NestedString(obj.Object, path...)
	return s
}

func items(obj unstructured.Unstructured, path ...string) (out []map[string]any) {
	raw, _, _ := unstructured.NestedSlice(obj.Object, path...)
	for _, r := range raw {
		if m, ok := r.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}
