// SPDX-License-Identifier: Apache-2.0

package live

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/drain/change"
	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/internal/attribute"
	"github.com/outlast-ci/outlast/core/internal/manifest"
	"github.com/outlast-ci/outlast/core/render"
	"github.com/outlast-ci/outlast/core/render/running"
)

// Order is when the new deregistration delay of a target group is written, and what
// the pods that run now will do in this rollout. It survives JSON.
type Order struct {
	Workload string `json:"workload"` // Kind/namespace/name
	Group    string `json:"group"`    // ARN of the target group
	Running  int    `json:"running"`  // pods that run now
	Unhooked int    `json:"unhooked"` // of them, those that have no preStop: they are gone before the balancer knows
	change.Decision
}

// Orders decides for the target groups of the workloads that stand behind a balancer.
// A group or a pod that cannot be read is told as a warning, and decided for by
// nobody: then a delay is written first, as always.
func Orders(ctx context.Context, cluster Cluster, attributes Attributes, manifests []byte, workloads []render.Workload, observe event.Func) (orders []Order) {
	r := &reader{cluster: cluster, attributes: attributes, observe: observe, facts: &render.Live{}}
	seen := map[string]bool{}
	for _, w := range workloads {
		ns := cmp.Or(w.Namespace, "default")
		if !w.Behind || w.NodeTargets {
			continue
		}
		if !seen[ns] {
			seen[ns] = true
			r.groups(ctx, ns)
		}
		pods, unhooked, err := r.running(ctx, w)
		if err != nil {
			r.lost("the pods of "+w.ID(), err)
			continue
		}
		for _, g := range r.facts.Groups {
			if g.Namespace != ns || !slices.Contains(w.Services, ns+"/"+g.Service) && !slices.Contains(w.Services, "/"+g.Service) {
				continue
			}
			from, err := strconv.Atoi(g.Attributes["deregistration_delay.timeout_seconds"])
			if err != nil {
				continue // told already
			}
			kind := kindOf(g)
			to := delayOf(w.Plan, g, kind)
			if !Writes(manifests, w) {
				to = drain.Seconds(from)
			}
			d, err := change.Delay(w.Plan, kind, drain.Seconds(from), to, pods)
			if err != nil {
				r.lost("target group "+g.ARN, err)
				continue
			}
			orders = append(orders, Order{Workload: w.ID(), Group: g.ARN, Running: len(pods), Unhooked: unhooked, Decision: d})
		}
	}
	together(orders)
	for _, o := range orders {
		o.tell(observe)
	}
	return orders
}

// together settles the moments of a namespace, since Hold cannot tell whose delay an
// Ingress there has.
func together(orders []Order) {
	namespaces := map[string][]*change.Decision{}
	for i := range orders {
		ns := strings.Split(orders[i].Workload, "/")[1]
		namespaces[ns] = append(namespaces[ns], &orders[i].Decision)
	}
	for _, decisions := range namespaces {
		change.Together(decisions)
	}
}

// tell says when a delay is written, and what the pods that run will lose.
func (o Order) tell(observe event.Func) {
	say := func(kind event.Kind, format string, args ...any) {
		observe.Emit(event.Event{Stage: "apply", Kind: kind, Object: o.Workload, Message: fmt.Sprintf(format, args...)})
	}
	if o.When != change.Unchanged {
		say(event.Note, "the deregistration delay goes from %s to %s %s the pods are replaced: %s", o.From, o.To, o.When, o.Why)
	}
	switch {
	case o.Unhooked > 0:
		say(event.Warn, "%d of %d running pods have no preStop: a rolling update that replaces them loses requests; drain.legacyPods: handover replaces them without loss", o.Unhooked, o.Running)
	case len(o.Lost) > 0:
		say(event.Warn, "the running pods do not fulfil %s: a rolling update that replaces them may lose requests", o.Lost[0].Rule)
	}
}

// Groups reads the attributes of target groups alone.
type Groups struct{ Of Attributes }

// Attributes reads those of one.
func (g Groups) Attributes(ctx context.Context, arn string) (map[string]string, error) {
	_, attributes, _, err := g.Of.TargetGroup(ctx, arn)
	return attributes, err
}

// kindOf is what a target group is to pods: its protocol tells an NLB's from an ALB's.
func kindOf(g render.LiveGroup) drain.Balancer {
	protocol := g.Properties["Protocol"]
	switch {
	case cmp.Or(g.TargetType, g.Properties["TargetType"]) == "instance":
		return drain.Instance
	case protocol == "" || strings.HasPrefix(protocol, "HTTP"):
		return drain.ALB
	}
	return drain.NLB
}

// delayOf is what the plan has for a group: the longest of its kind that it knows by the
// Service and its port, else by the Service, else at all.
func delayOf(p drain.Plan, g render.LiveGroup, kind drain.Balancer) drain.Seconds {
	longest, best := p.DeregistrationDelay, -1
	service := "Service/" + g.Namespace + "/" + g.Service
	for i, planned := range p.Groups {
		if i >= len(p.Inputs.Groups) || cmp.Or(p.Inputs.Groups[i].Balancer, p.Inputs.Balancer) != kind {
			continue
		}
		known, words := 0, strings.Fields(planned.Name) // "Ingress/... -> Service/..."
		switch {
		case slices.Contains(words, service+":"+g.ServicePort):
			known = 2
		case slices.ContainsFunc(words, func(w string) bool { return w == service || strings.HasPrefix(w, service+":") }):
			known = 1
		}
		if known > best || known == best && planned.DeregistrationDelay > longest {
			longest, best = planned.DeregistrationDelay, known
		}
	}
	return longest
}

// running reads the timings of a workload's pods, and how many have no hook at all.
func (r *reader) running(ctx context.Context, w render.Workload) (all []drain.Given, unhooked int, err error) {
	obj, err := r.cluster.Get(ctx, w.APIVersion, w.Kind, cmp.Or(w.Namespace, "default"), w.Name)
	if err != nil || obj == nil {
		return nil, 0, err
	}
	match, _, _ := unstructured.NestedStringMap(obj.Object, "spec", "selector", "matchLabels")
	if len(match) == 0 {
		return nil, 0, nil
	}
	pods, err := r.cluster.List(ctx, "v1", "Pod", obj.GetNamespace(), labels.SelectorFromSet(match).String())
	if err != nil {
		return nil, 0, err
	}
	for _, p := range pods {
		if p.GetDeletionTimestamp() != nil || text(p, "status", "phase") != "Running" {
			continue
		}
		given, known, err := running.Read(p.Object, obj.GetAnnotations())
		if err != nil {
			return nil, 0, fmt.Errorf("reading the timings of pod %s: %w", p.GetName(), err)
		}
		if known && given.PreStop == 0 {
			unhooked++
		}
		all = append(all, given)
	}
	return all, unhooked, nil
}

// Writes tells whether manifests write a deregistration delay for a workload's target
// groups: on its Services or on an Ingress or a TargetGroupConfiguration beside it.
// Where they do not, the controller leaves the one that is.
func Writes(manifests []byte, w render.Workload) bool {
	objects, err := manifest.Parse(manifests)
	if err != nil {
		return false // apply will tell
	}
	return slices.ContainsFunc(objects, func(obj *unstructured.Unstructured) bool {
		if obj.GetNamespace() != w.Namespace || obj.GetKind() == "Service" && !slices.Contains(w.Services, obj.GetNamespace()+"/"+obj.GetName()) {
			return false
		}
		if obj.GetKind() == "TargetGroupConfiguration" {
			text, err := json.Marshal(obj.Object["spec"])
			return err == nil && strings.Contains(string(text), attribute.Delay)
		}
		for key, text := range obj.GetAnnotations() {
			if _, attributes, ok := strings.Cut(key, "target-group-attributes"); !ok || attributes != "" && attributes[0] != '.' {
				continue
			}
			if all, err := attribute.Parse(text); err == nil {
				if _, ok := all.Get(attribute.Delay); ok {
					return true
				}
			}
		}
		return false
	})
}

// Hold lists the objects (Kind/namespace/name) whose deregistration delay stays as it
// is until the pods are replaced.
func Hold(manifests []byte, workloads []render.Workload, orders []Order) (hold []string, err error) {
	namespaces, services := map[string]bool{}, map[string]bool{}
	for _, w := range workloads {
		if slices.ContainsFunc(orders, func(o Order) bool { return o.Workload == w.ID() && o.When == change.After }) {
			namespaces[w.Namespace] = true
			for _, s := range w.Services {
				services[s] = true
			}
		}
	}
	if len(namespaces) == 0 {
		return nil, nil
	}
	objects, err := manifest.Parse(manifests)
	if err != nil {
		return nil, err
	}
	for _, obj := range objects {
		mine := namespaces[obj.GetNamespace()]
		switch obj.GetKind() {
		case "Service":
			mine = services[obj.GetNamespace()+"/"+obj.GetName()]
		case "Ingress", "TargetGroupConfiguration": // one that does not change is not concerned
		default:
			mine = false
		}
		if mine {
			hold = append(hold, obj.GetKind()+"/"+cmp.Or(obj.GetNamespace(), "default")+"/"+obj.GetName()) // as the server names it
		}
	}
	return hold, nil
}
