// SPDX-License-Identifier: Apache-2.0

// Package live compares manifests with what only the cluster and the balancer
// know. It asks nobody: the facts come in.
package live

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/attribute"
	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
	"github.com/outlast-ci/outlast/core/render/internal/selector"
)

// Facts are what only the cluster and the balancer know. What could not be read
// is absent, and judged by nobody.
type Facts struct {
	Kubelets   map[string]string            `json:"kubelets,omitempty"`   // version by node
	Zones      map[string]string            `json:"zones,omitempty"`      // by node, of those that take pods
	Namespaces map[string]map[string]string `json:"namespaces,omitempty"` // labels by name
	Members    []Member                     `json:"members,omitempty"`    // Ingresses of the cluster that are in an IngressGroup
	Groups     []Group                      `json:"groups,omitempty"`
	Pods       []Pod                        `json:"pods,omitempty"`
}

// Maker of a target group.
type Maker = graph.Maker

// MakerOf tells which kind of object the controller made a TargetGroupBinding of, by its
// labels: the prefix is the controller's or EKS Auto Mode's. Stack is how it calls what
// shares the load balancer: the IngressGroup, or namespace/name.
func MakerOf(labels map[string]string) (maker Maker, stack string) {
	for key, value := range labels {
		prefix, name, _ := strings.Cut(key, "/")
		if name != "stack" && name != "stack-name" {
			continue
		}
		kind, _, _ := strings.Cut(prefix, ".")
		maker = map[string]Maker{"ingress": graph.ByIngress, "service": graph.ByService, "gateway": graph.ByGateway}[kind]
		if stack = value; name == "stack-name" {
			stack = labels[prefix+"/stack-namespace"] + "/" + value
		}
	}
	return maker, stack
}

// Member is an Ingress that shares its load balancer with others.
type Member struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Group     string `json:"group"`
	// Attributes of the load balancer as its annotation has them, and as its class's
	// parameters do, which win.
	Attributes string            `json:"attributes,omitempty"`
	Class      map[string]string `json:"class,omitempty"`
}

// Group is one target group as ELBv2 and its TargetGroupBinding tell it.
type Group struct {
	ARN          string            `json:"arn"`
	Namespace    string            `json:"namespace"` // of the binding and the Service
	Binding      string            `json:"binding"`
	Service      string            `json:"service"`
	ServicePort  string            `json:"servicePort,omitempty"` // number or name, as the binding has it
	TargetType   string            `json:"targetType"`
	Maker        Maker             `json:"maker,omitempty"`      // of the binding, as its labels say; "": they say nothing
	Stack        string            `json:"stack,omitempty"`      // of Maker Ingress: its group, or its namespace/name
	Properties   map[string]string `json:"properties,omitempty"` // by the names that ELBv2 has for them
	Attributes   map[string]string `json:"attributes,omitempty"`
	LoadBalancer map[string]string `json:"loadBalancer,omitempty"` // attributes of the load balancer
}

// Pod is one running pod of a workload of the manifests.
type Pod struct {
	Namespace  string            `json:"namespace"`
	Name       string            `json:"name"`
	Labels     map[string]string `json:"labels"`
	Gates      []string          `json:"gates"` // condition types of its readiness gates
	Containers []Container       `json:"containers"`
}

// Container is one container of a running pod, not a native sidecar.
type Container struct {
	Name    string        `json:"name"`
	PreStop bool          `json:"preStop"`           // it has one
	Seconds drain.Seconds `json:"seconds,omitempty"` // how long that takes; 0: nobody can tell
}

// gatePrefix of the condition type of a readiness gate, before the binding's name.
const gatePrefix = "target-health.elbv2.k8s.aws/"

// Oldest is the lowest version of the kubelets, "" when none was read.
func (f *Facts) Oldest() (version string) {
	for _, n := range slices.Sorted(maps.Keys(f.Kubelets)) {
		if v := f.Kubelets[n]; node.IsVersion(v) && (version == "" || node.Older(v, version)) {
			version = v
		}
	}
	return version
}

// CountZones counts those that nodes are in; 0: none was read.
func (f *Facts) CountZones() int {
	seen := map[string]bool{}
	for _, zone := range f.Zones {
		if zone != "" {
			seen[zone] = true
		}
	}
	return len(seen)
}

// Gated tells of each Namespace whether it carries the label for readiness gates.
func (f *Facts) Gated() map[string]bool {
	out := map[string]bool{}
	for name, labels := range f.Namespaces {
		out[name] = graph.Gated(labels)
	}
	return out
}

// IdleTimeout is the longest of the load balancers in front of a workload; 0:
// none was read.
func (f *Facts) IdleTimeout(w *graph.Workload) (idle time.Duration) {
	for _, g := range f.groups(w) {
		if n, err := strconv.Atoi(g.LoadBalancer["idle_timeout.timeout_seconds"]); err == nil && n > 0 && n <= 4000 {
			idle = max(idle, time.Duration(n)*time.Second)
		}
	}
	return idle
}

// serves tells whether the pods of a Service are registered in the group.
func (g Group) serves(svc *yaml.RNode) bool {
	return g.Namespace == node.Namespace(svc) && g.Service == svc.GetName()
}

// TargetType is that of the target groups which run for a Service; "" when there is
// none, or they differ.
func (f *Facts) TargetType(t *graph.TargetGroup) (found string) {
	for _, g := range f.Groups {
		if !g.serves(t.Service) {
			continue
		}
		if found != "" && found != g.TargetType {
			return ""
		}
		found = g.TargetType
	}
	return found
}

// groups are the target groups in front of a workload's Services.
func (f *Facts) groups(w *graph.Workload) (groups []Group) {
	for _, svc := range w.Services {
		for _, g := range f.Groups {
			if g.serves(svc) {
				groups = append(groups, g)
			}
		}
	}
	return groups
}

// Checker adds to a list of problems.
type Checker struct {
	*problem.List
	Facts *Facts
	Graph *graph.Graph
}

// Workload compares one, behind a balancer or not, with what runs. need is the
// deregistration delay that its target groups have to have, sends is for how long they
// send new requests to a pod that ends.
func (a *Checker) Workload(w *graph.Workload, need, sends time.Duration) {
	groups := a.Facts.groups(w)
	for _, g := range groups {
		a.group(w, g, need)
	}
	if !w.Behind() && len(groups) > 0 {
		a.All = slices.DeleteFunc(a.All, func(p problem.Problem) bool { return p.Rule == "OL040" && p.On == w.RNode }) // which only guesses
		a.Find("OL040", w.RNode, "", fmt.Sprintf("the cluster has TargetGroupBinding/%s/%s for Service %s, which selects these pods: they are behind a balancer, and no timings are set", groups[0].Namespace, groups[0].Binding, groups[0].Service),
			"put its Ingress among the manifests, or say so with the annotation outlast/balancer: alb (or nlb, instance)").Severity = drain.Error
	}
	known := map[string]bool{}
	for _, c := range node.AllContainers(w.Spec) {
		known[node.Str(c, "name")] = true
	}
	written := node.At(w.RNode, "spec", "selector")
	if written == nil { // a Rollout may leave it to the workload that it names
		written = node.At(w.Pods, "spec", "selector")
	}
	ours := selector.Of(written)
	told := map[string]bool{}
	var pods []Pod
	for _, p := range a.Facts.Pods {
		if p.Namespace == node.Namespace(w.RNode) && ours.Matches(p.Labels) {
			a.pod(w, p, groups, known, told)
			pods = append(pods, p)
		}
	}
	if w.Behind() {
		a.unprotected(w, pods, sends)
	}
}

// group compares one target group with the routes that may have made it: which of
// several to a Service it was, nobody can tell, so it may be as any of them says.
func (a *Checker) group(w *graph.Workload, g Group, need time.Duration) {
	a.settings(w, g)
	a.replaced(w, g)
	have, err := strconv.Atoi(g.Attributes[attribute.Delay])
	if err != nil {
		return
	}
	var differs, silent *graph.TargetGroup
	want := 0
	for _, t := range w.Groups {
		if !g.of(t) {
			continue
		}
		n, written, err := t.Attributes.Number(attribute.Delay)
		switch {
		case err != nil || written && n == have:
			return
		case written:
			differs, want = t, n
		default:
			silent = t
		}
	}
	switch {
	case differs != nil:
		a.Find("OL048", differs.Attributes.Places[0].Object, node.Path(differs.Attributes.Places[0].Path),
			fmt.Sprintf("the deregistration delay of target group %s is %ds, the manifests say %ds: they were not applied, or somebody else's value wins", g.ARN, have, want), "apply the manifests, and look for a Service or a class that says otherwise")
	case silent != nil && time.Duration(have)*time.Second < need:
		a.Find("OL002", silent.Route, "spec", fmt.Sprintf("the deregistration delay of target group %s is %ds, and nothing here sets it: the balancer aborts requests in flight when it ends (502); it needs %s", g.ARN, have, need), "set it where the target group is made")
	}
}

// pod looks for readiness gates that are missing, and for containers that a
// webhook put in, which no manifest gives a hook.
func (a *Checker) pod(w *graph.Workload, p Pod, groups []Group, known, told map[string]bool) {
	for _, g := range groups {
		if g.TargetType == "ip" && !slices.Contains(p.Gates, gatePrefix+g.Binding) {
			a.Find("OL049", w.RNode, "spec.template", fmt.Sprintf("pod %s has no readiness gate of target group %s: it was made before the binding or the Namespace's label, or the controller's webhook was not asked", p.Name, g.Binding),
				"label the Namespace, and replace the pod: kubectl rollout restart")
		}
	}
	for _, c := range p.Containers {
		if w.Behind() && !known[c.Name] && !c.PreStop && !told[c.Name] {
			told[c.Name] = true
			a.Find("OL051", w.RNode, "spec.template.spec.containers", fmt.Sprintf("container %s of pod %s is not in the manifests and has no preStop: when requests pass through it, they are cut as soon as the pod is deleted", c.Name, p.Name),
				"have its injector make it a native sidecar, or give it a preStop")
		}
	}
}

// Members compares the Ingresses of the manifests with those of the cluster that
// share their load balancer.
func (a *Checker) Members() {
	theirs := make([]map[string]string, len(a.Facts.Members))
	for i, m := range a.Facts.Members {
		theirs[i] = m.loadBalancer()
	}
	written := map[string]bool{} // by the manifests: what they were in the cluster goes
	for _, ing := range a.Graph.Ingresses {
		written[node.Namespace(ing.RNode)+"/"+ing.GetName()] = true
	}
	for _, ing := range a.Graph.Ingresses {
		mine, err := ing.LoadBalancerAttributes()
		if err != nil || ing.Group == "" {
			continue
		}
		for i, m := range a.Facts.Members {
			if m.Group != ing.Group || written[m.Namespace+"/"+m.Name] {
				continue
			}
			for _, key := range slices.Sorted(maps.Keys(mine)) {
				if other, ok := theirs[i][key]; ok && other != mine[key] {
					a.Find("OL020", ing.RNode, node.Path([]string{"metadata", "annotations", graph.ALBPrefix + "load-balancer-attributes"}),
						fmt.Sprintf("%s=%s, but Ingress/%s/%s of the same group %q, in the cluster, wants %s: the controller would update no member of the group until they agree, targets and rules included", key, mine[key], m.Namespace, m.Name, ing.Group, other),
						"write the attribute in one member only, or the same value in all")
				}
			}
		}
	}
}
