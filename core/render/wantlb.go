// SPDX-License-Identifier: Apache-2.0

package render

import (
	"strconv"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
)

const delayAttribute = "deregistration_delay.timeout_seconds"

// targetGroup is where the attributes of one target group are written.
type targetGroup struct {
	object *yaml.RNode
	key    string
}

// targetGroups lists the annotation that takes effect for each target group of
// a workload. The Service's annotation hides the Ingress's as a whole key, so
// it has to be merged into the one that wins.
func (w *workload) targetGroups() (groups []targetGroup) {
	seen := map[targetGroup]bool{}
	add := func(t targetGroup) {
		if !seen[t] {
			seen[t] = true
			groups = append(groups, t)
		}
	}
	for _, b := range w.balancers {
		switch b.kind {
		case "nlb":
			add(targetGroup{b.object, nlbPrefix + "target-group-attributes"})
		case "alb":
			routed := backends(b.object)
			for _, s := range w.services {
				if !contains(routed, s.GetName()) {
					continue
				}
				key := albPrefix + "target-group-attributes"
				if _, ok := s.GetAnnotations()[key]; ok {
					add(targetGroup{s, key})
				} else {
					add(targetGroup{b.object, key})
				}
			}
		}
	}
	return groups
}

func contains(list []string, s string) bool {
	for _, item := range list {
		if item == s {
			return true
		}
	}
	return false
}

// wantDelay asks for the deregistration delay where it takes effect. A longer
// one of the author's stays.
func (in *injector) wantDelay(w *workload, plan drain.Plan) error {
	need := plan.Inputs
	need.Floor.DeregistrationDelay = 0
	least, err := drain.Solve(need)
	if err != nil {
		return err
	}
	for _, t := range w.targetGroups() {
		text := t.object.GetAnnotations()[t.key]
		attrs, err := parseAttributes(text)
		if err != nil {
			return err
		}
		from, _ := attrs.get(delayAttribute)
		if have, err := strconv.Atoi(from); err == nil && drain.Seconds(have) >= least.DeregistrationDelay {
			continue
		}
		to := attrs.with(delayAttribute, num(least.DeregistrationDelay)).String()
		in.want("F2", t.object, "metadata.annotations["+t.key+"]", text, to,
			"requests in flight have to end before the balancer gives the target up", func() error {
				return t.object.PipeE(yaml.SetAnnotation(t.key, to))
			})
	}
	for _, b := range w.balancers {
		if b.kind == "external" {
			in.find(drain.Warning, "F2", b.object, "spec.targetGroupARN", "this target group is not the controller's: set its deregistration delay to "+least.DeregistrationDelay.String()+" where it is made")
		}
	}
	return nil
}

// wantGate asks for the label that makes the controller put readiness gates on
// new pods.
func (in *injector) wantGate(w *workload) {
	ns, ok := in.graph.namespaces[w.GetNamespace()]
	if !ok {
		in.find(drain.Warning, "F12", w.RNode, "metadata.namespace", "the Namespace is not among the manifests: make sure that it carries the label "+gateLabel+"=enabled, else old pods may go before new ones are healthy at the balancer")
		return
	}
	labels := ns.GetLabels()
	if labels[gateLabel] == "enabled" || labels[autoGateLabel] == "enabled" {
		return
	}
	for _, e := range in.edits {
		if e.Object == objectID(ns) { // another workload of the namespace has asked
			return
		}
	}
	in.want("F12", ns, "metadata.labels["+gateLabel+"]", labels[gateLabel], "enabled",
		"new pods need a readiness gate, so that a rollout waits for the balancer", func() error {
			return ns.PipeE(yaml.SetLabel(gateLabel, "enabled"))
		})
}

// lint reports what no timing cures.
func (in *injector) lint(w *workload, replicas int) {
	if in.graph.scaled[w.GetKind()+"/"+w.GetNamespace()+"/"+w.GetName()] && field(w.RNode, "spec", "replicas") != "" {
		in.find(drain.Warning, "replicas", w.RNode, "spec.replicas", "an autoscaler owns the replicas: writing them resets what it decided; leave the field out")
	}
	if replicas < 2 {
		in.find(drain.Warning, "F10", w.RNode, "spec.replicas", "one replica: an eviction or a lost node leaves nobody to answer (503)")
	}
	spec := podSpec(w.RNode)
	if field(spec, "hostNetwork") == "true" {
		in.find(drain.Warning, "hostNetwork", w.RNode, "spec.template.spec.hostNetwork", "pods on the host's network cannot surge on the same node")
	}
	ready := false
	for _, c := range containers(spec, false) {
		probe, err := c.Pipe(yaml.Lookup("readinessProbe"))
		ready = ready || (err == nil && probe != nil)
	}
	if !ready {
		in.find(drain.Warning, "readiness", w.RNode, "spec.template.spec.containers", "no container has a readinessProbe: a pod counts as ready before it can answer")
	}
	for _, s := range w.services {
		if field(s, "spec", "publishNotReadyAddresses") == "true" {
			in.find(drain.Error, "publishNotReadyAddresses", s, "spec.publishNotReadyAddresses", "a terminating pod stays registered until it is gone, so requests are lost whatever the timings; remove the field")
		}
		for _, b := range w.balancers {
			if b.kind != "alb" {
				continue
			}
			switch effective(s, b.object, "target-type") {
			case "instance":
				in.find(drain.Warning, "target-type", b.object, albPrefix+"target-type", "instance targets take no readiness gates, and the balancer never learns that a pod ends: only ip targets are drained for sure")
			case "":
				in.find(drain.Info, "target-type", b.object, albPrefix+"target-type", "not written: the controller's default counts, which is instance unless it was set up otherwise; write ip")
			}
		}
	}
}
