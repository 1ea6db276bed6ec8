// SPDX-License-Identifier: Apache-2.0

package timing

import (
	"fmt"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/attribute"
	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
)

// balancers judges what stands in front of a workload.
func (a *Analysis) balancers(s *Subject) {
	pods := false
	for i, t := range s.Groups {
		if s.groups[i].Balancer == drain.Instance {
			continue
		}
		pods = true
		a.delay(s, t, s.groups[i], s.Plan.Groups[i].DeregistrationDelay)
	}
	if pods || s.Stated == drain.ALB || s.Stated == drain.NLB {
		a.gate(s)
	}
	if len(s.Groups) == 0 && s.Stated != drain.Instance {
		a.elsewhere(s.RNode, node.Path([]string{"metadata", "annotations", node.OwnPrefix + "balancer"}), s.groups[0].Delay, s.Plan.Groups[0].DeregistrationDelay)
	}
}

// delay asks for the deregistration delay where it takes effect. A longer one
// of the author's stays.
func (a *Analysis) delay(s *Subject, t *graph.TargetGroup, have drain.Group, need drain.Seconds) {
	if t.Maker == graph.ByHand {
		a.elsewhere(t.Route, "spec", have.Delay, need)
		return
	}
	if have.Delay != nil && *have.Delay >= need {
		return
	}
	place := t.Attributes.Places[0]
	setting := place.With(attribute.Delay, num(need))
	seen := "is not written, and AWS takes " + drain.DefaultDelay.String()
	rule := "OL000" // strict's preStop is reckoned from the delay: it has to be known and short
	if have.Delay != nil {
		seen = "is " + have.Delay.String()
	}
	if have.Delay != nil || need > drain.DefaultDelay {
		rule = "OL002"
	}
	message := fmt.Sprintf("the deregistration delay of %s %s: ", t.Name(), seen)
	if rule == "OL002" {
		message += "the balancer aborts requests in flight when it ends (502); it needs " + need.String()
	} else {
		message += "safe, but a target is shown as draining for all of it, which no pod outlasts; " + need.String() + " is enough"
	}
	if late := s.outOfOrder(t); late != "" {
		rule, message = "OL008", fmt.Sprintf("the deregistration delay of %s %s: %s; it needs %s", t.Name(), seen, late, need)
	}
	if t.Attributes.Hidden != nil {
		message += "; the Ingress's annotation is hidden by the Service's, so it is written there"
	}
	p := a.Edit(rule, place.Object, message, problem.Edit{Add: place.Make, Path: setting.Path, Value: setting.Value, From: setting.From, To: setting.To, Weight: int64(need),
		Why: "requests in flight have to end before the balancer gives the target up"})
	if place.Make {
		p.Near = t.Service
	}
}

// outOfOrder tells of a delay that cuts no request, but breaks the timeout order that was
// asked for (F8); "": it is not so.
func (s *Subject) outOfOrder(t *graph.TargetGroup) (late string) {
	for _, f := range s.AsIs.Findings {
		if f.Object != t.Name() || f.Field != "deregistration delay" {
			continue
		}
		switch f.Inequality {
		case "F2":
			return ""
		case "F8":
			late = f.Message
		}
	}
	return late
}

// elsewhere judges the delay of a target group that is not made here.
func (a *Analysis) elsewhere(on *yaml.RNode, field string, have *drain.Seconds, need drain.Seconds) {
	switch {
	case have == nil:
		a.Find("OL037", on, field, "the target group is made elsewhere, so nothing here sets its deregistration delay, nor tells it: requests in flight may be cut, and the drain cannot be proven",
			"set "+attribute.Delay+"="+num(need)+" where it is made, and state it here with the annotation "+graph.DelayAnnotation).Unproven = true
	case *have < need:
		a.Find("OL002", on, node.Path([]string{"metadata", "annotations", graph.DelayAnnotation}), "the deregistration delay of this target group is "+have.String()+", as the annotation says: the balancer aborts requests in flight when it ends (502); it needs "+need.String(), "set it where the target group is made, and here")
	}
}

// ungated tells whether the timings have to do without readiness gates: new pods are known
// to get none, and no edit changes that; or their author's minReadySeconds does, so that
// nothing asks for gates.
func (a *Analysis) ungated(s *Subject) bool {
	name := node.Namespace(s.RNode)
	ns := a.Graph.Namespaces[name]
	if ns == nil {
		gated, known := a.Gated[name]
		return !gated && (known || s.waits())
	}
	return !graph.Gated(node.Strings(ns, "metadata", "labels")) && (s.waits() || problem.Reason(ns, "OL011") != "")
}

// waits tells whether minReadySeconds is long enough to do without readiness gates (F11).
func (s *Subject) waits() bool { return s.ungated > 0 && s.minReady != nil && *s.minReady >= s.ungated }

// gate asks for the label that makes the controller put readiness gates on new pods.
func (a *Analysis) gate(s *Subject) {
	if s.inputs.NoGate && s.waits() {
		return
	}
	name := node.Namespace(s.RNode)
	ns, ok := a.Graph.Namespaces[name]
	if gated, known := a.Gated[name]; !ok && known {
		if !gated {
			a.Find("OL011", s.RNode, "metadata.namespace", "the Namespace "+name+" of the cluster lacks the label "+graph.GateLabel+"=enabled: new pods get no readiness gate, and old ones may go before they are healthy at the balancer", "label the Namespace")
		}
		return
	}
	if !ok {
		a.Find("OL011", s.RNode, "metadata.namespace", "the Namespace is not among the manifests, so nobody can tell whether new pods get readiness gates", "make sure that it carries the label "+graph.GateLabel+"=enabled; or set minReadySeconds to "+num(s.ungated)+", which does without").Severity = drain.Warning
		return
	}
	labels := node.Strings(ns, "metadata", "labels")
	want, have := graph.GateLabel, graph.Gated(labels)
	if slices.ContainsFunc(s.Groups, func(t *graph.TargetGroup) bool { return t.Auto }) { // whose controller knows no other
		want, have = graph.AutoGateLabel, labels[graph.AutoGateLabel] == "enabled"
	}
	if have {
		return
	}
	a.Edit("OL011", ns, "without the label "+want+"=enabled new pods get no readiness gate: old pods may go before new ones are healthy at the balancer",
		problem.Edit{Path: []string{"metadata", "labels", want}, Value: node.Text("enabled"), From: labels[want], To: "enabled",
			Why: "new pods need a readiness gate, so that a rollout waits for the balancer"})
}
