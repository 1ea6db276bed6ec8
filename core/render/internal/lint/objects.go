// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// Unbalanced leaves the replicas to an autoscaler, and says why all else of a workload
// is left alone, when a Service selects it.
func (a *Checker) Unbalanced(w *graph.Workload) {
	a.owned(w)
	if v, ok := node.Annotation(w.RNode, node.OwnPrefix+"balancer"); ok {
		if v != "none" {
			a.Find("OL046", w.RNode, node.Path([]string{"metadata", "annotations", node.OwnPrefix + "balancer"}), fmt.Sprintf("%q is none of alb, nlb, instance, none", v), "write what stands in front of the pods")
		}
		return
	}
	for _, svc := range w.Services {
		if !slices.ContainsFunc(a.Graph.Unknown, func(u graph.Unknown) bool { return u.Object == svc }) {
			a.Find("OL040", w.RNode, "", fmt.Sprintf("%s selects these pods, but nothing among the manifests routes to it: no timings are set, and the gate looks for target groups in the cluster only", node.ID(svc)),
				"if a balancer stands in front, put its Ingress among the manifests, or say so with the annotation outlast/balancer: alb (nlb, instance; none silences this)")
		}
	}
}

// Objects judges what belongs to no workload.
func (a *Checker) Objects() {
	a.conflicts()
	for _, t := range a.Graph.Targets {
		a.values(t)
	}
	for _, u := range a.Graph.Unknown {
		a.Find("OL044", u.Object, u.Field, u.Why+": what is behind it is left alone", "if it is, name the class, or put it among the manifests; else ignore this")
	}
	for _, m := range a.Graph.Malformed {
		a.Find("OL046", m.Object, m.Field, m.Err.Error()+": the controller refuses it and updates nothing of this load balancer", "correct it")
	}
	for _, m := range a.Graph.Missing {
		a.Find("OL052", m.Route, "spec", "it sends to Service "+m.Service+", which is not among the manifests: the pods behind it are not seen here, and if it is nowhere, the controller updates nothing of this load balancer", "put the Service among the manifests, or correct its name")
	}
	a.backends()
	for _, stray := range a.Graph.Strays {
		p := a.Find("OL038", stray.Object, "metadata.labels", fmt.Sprintf("%s, behind a balancer, selects the pods of this %s: nothing replaces them one by one, so requests are lost when they end", node.ID(stray.Service), stray.Object.GetKind()),
			"run them by a Deployment, or give them labels that the Service does not select")
		if hook, _ := node.Annotation(stray.Object, "helm.sh/hook"); strings.HasPrefix(hook, "test") { // helm test runs it, no deploy
			p.Severity = drain.Info
		}
	}
	behind := map[*yaml.RNode][]string{}
	for _, w := range a.Graph.Workloads {
		for _, t := range w.Groups {
			if !slices.Contains(behind[t.Service], w.ID()) {
				behind[t.Service] = append(behind[t.Service], w.ID())
			}
		}
	}
	for _, n := range a.Graph.Objects {
		a.sayings(n)
		if names := behind[n]; len(names) > 1 {
			a.Find("OL047", n, "spec.selector", fmt.Sprintf("the selector matches the pods of %s: all of them are registered, gated and drained", strings.Join(names, ", ")), "if only one is meant to answer, let the selector tell them apart")
		}
	}
}

// conflicts looks for Ingresses of one group that want different attributes of
// their one load balancer.
func (a *Checker) conflicts() {
	type want struct {
		value string
		by    *yaml.RNode
	}
	groups := map[string]map[string]want{}
	for _, ing := range a.Graph.Ingresses {
		attrs, err := ing.LoadBalancerAttributes()
		if err != nil || ing.Group == "" {
			continue // what is malformed is found where it is needed
		}
		if groups[ing.Group] == nil {
			groups[ing.Group] = map[string]want{}
		}
		for _, key := range slices.Sorted(maps.Keys(attrs)) {
			other, ok := groups[ing.Group][key]
			if ok && other.value != attrs[key] {
				a.Find("OL020", ing.RNode, node.Path([]string{"metadata", "annotations", graph.ALBPrefix + "load-balancer-attributes"}),
					fmt.Sprintf("%s=%s, but %s of the same group %q wants %s: the controller updates no member of the group until they agree, targets and rules included", key, attrs[key], node.ID(other.by), ing.Group, other.value),
					"write the attribute in one member only, or the same value in all")
				continue
			}
			groups[ing.Group][key] = want{attrs[key], ing.RNode}
		}
	}
}

// attributes looks for what hides, and for what no timing cures.
func (a *Checker) attributes(t *graph.TargetGroup) {
	if h := t.Attributes.Hidden; h != nil {
		a.Find("OL024", h.Object, node.Path(h.Path), fmt.Sprintf("%s has the same annotation, which hides this one as a whole: none of its attributes takes effect for that Service", node.ID(t.Service)), "write all attributes in one of the two places")
	}
	if v, ok, _ := t.Attributes.Get("load_balancing.cross_zone.enabled"); ok && v == "false" {
		a.Find("OL042", t.Attributes.Places[0].Object, node.Path(t.Attributes.Places[0].Path), "load_balancing.cross_zone.enabled=false: a zone whose last pod is draining answers 503", "leave cross-zone balancing on, or spread the pods over all zones of the load balancer with topologySpreadConstraints")
	}
	if t.Balancer == drain.NLB && t.Maker == graph.ByService {
		if v, _, _ := t.Attributes.Get("deregistration_delay.connection_termination.enabled"); v != "true" {
			a.Find("OL045", t.Attributes.Places[0].Object, node.Path(t.Attributes.Places[0].Path), "a Network Load Balancer keeps connections to a deregistered target open for as long as client and pod do: the longest request (R) is the life of a connection here",
				"let the application end connections on SIGTERM, or set deregistration_delay.connection_termination.enabled=true to cut them when the delay ends")
		}
	}
}

func (a *Checker) targetType(t *graph.TargetGroup) {
	switch {
	case t.Type.Value == "instance":
		a.Find("OL022", t.Type.Object, t.Type.Field, "instance targets: nodes are registered, not pods; there are no readiness gates, and the balancer never learns that a pod ends: timings are best effort", "use target type ip")
	case t.Type.Value == "" && t.Maker == graph.ByHand:
		a.Find("OL023", t.Type.Object, t.Type.Field, "the target type is not written: the target group's own counts, which nobody can see here: timings are for either, and prove nothing", "write targetType: ip, if that is what it has")
	case t.Type.Value == "":
		a.Find("OL023", t.Type.Object, t.Type.Field, "the target type is not written: the controller's default counts, which is instance unless it was set up otherwise: timings are for either, and prove nothing", "write ip; or, where the controller's default is ip, say so on the workload with the annotation outlast/balancer: alb (or nlb)")
	}
}
