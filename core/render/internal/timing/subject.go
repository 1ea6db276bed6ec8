// SPDX-License-Identifier: Apache-2.0

package timing

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/drain/timeline"
	"github.com/outlast-ci/outlast/core/render/internal/attribute"
	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/hook"
	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
	"github.com/outlast-ci/outlast/core/render/internal/strategy"
)

// defaultProgressDeadline is Kubernetes' when nothing is written.
const defaultProgressDeadline = 600

// Subject is one workload under judgement: what its author wrote, and the
// timings that come of it.
type Subject struct {
	*graph.Workload
	inputs   drain.Inputs // without what the author wrote
	groups   []drain.Group
	Replicas int // to plan for; under an autoscaler its most
	Least    int // fewest that may run
	hooks    []hook.Hook
	grace    *drain.Seconds // nil: not written, like the next two
	minReady *drain.Seconds
	deadline *drain.Seconds

	refused bool          // no timing is safe
	told    bool          // that a hook which its author states is too short, whatever it is that it breaks
	ungated drain.Seconds // minReadySeconds that does without readiness gates

	Plan drain.Plan // of what the edits make of it
	AsIs drain.Plan // of what is written
}

// Subject reads one workload. What its author got wrong is a problem, no error.
func (a *Analysis) Subject(w *graph.Workload) (*Subject, error) {
	s := &Subject{Workload: w, inputs: a.Drain}
	s.grace = secondsAt(w.Spec, "terminationGracePeriodSeconds")
	s.minReady = secondsAt(w.RNode, "spec", "minReadySeconds")
	s.deadline = secondsAt(w.RNode, "spec", "progressDeadlineSeconds")
	s.rebase()
	a.stated(s)
	a.replicas(s)
	if !w.Behind() {
		return s, nil
	}
	s.hooks = a.readHooks(s)
	if err := a.groups(s); err != nil {
		return nil, err
	}
	timed := s.inputs
	timed.Groups = s.either(s.groups)
	s.ungated = timed.Ungated()
	s.inputs.NoGate = a.ungated(s)
	s.inputs.Replicas, s.inputs.Surge = s.Replicas, strategy.Surge(w.RNode, w.Spec, s.Replicas)
	if idle := a.IdleTimeouts[w.ID()]; idle > 0 {
		s.inputs.IdleTimeout = idle
	}
	count := 0
	for _, t := range s.Groups {
		count += t.Count()
	}
	s.inputs.TargetGroups = max(s.inputs.TargetGroups, count)
	return s, nil
}

// groups reads the target groups; an author may say what stands in front instead.
func (a *Analysis) groups(s *Subject) error {
	for _, t := range s.Groups {
		group, err := t.Drain()
		if err := a.malformed(err); err != nil {
			return err
		}
		s.groups = append(s.groups, group)
	}
	if len(s.Groups) > 0 {
		return nil
	}
	delay, err := graph.StatedDelay(s.RNode)
	s.groups = []drain.Group{{Name: "stated balancer", Balancer: s.Stated, Delay: delay}}
	return a.malformed(err)
}

// rebase takes the planning values of a Network Load Balancer, where the author says
// that there is one: a time that is set beside it is then the author's own.
func (s *Subject) rebase() {
	if s.Stated == drain.NLB && s.inputs.Balancer != drain.NLB {
		s.inputs = s.inputs.For(drain.NLB)
	}
}

// either adds to target groups, in the order of the workload's own, those that nodes may
// be the targets of: where no target type is written, the timings have to be right for both.
func (s *Subject) either(groups []drain.Group) []drain.Group {
	out := slices.Clone(groups)
	for i, t := range s.Groups {
		if t.Type.Value == "" {
			twin := groups[i]
			if twin.Balancer == drain.NLB {
				twin.IdleTimeout = cmp.Or(twin.IdleTimeout, drain.DefaultsFor(drain.NLB).IdleTimeout)
			}
			twin.Name, twin.Balancer, twin.IfNodes = twin.Name+" (if nodes are the targets)", drain.Instance, true
			out = append(out, twin)
		}
	}
	return out
}

// untold tells whether the deregistration delay of the workload's group i is set where
// nobody here can see it.
func (s *Subject) untold(i int) bool {
	return s.groups[i].Delay == nil && (len(s.Groups) == 0 || s.Groups[i].Maker == graph.ByHand)
}

// replicas reads how many pods there are: at least, and to plan for.
func (a *Analysis) replicas(s *Subject) {
	s.Replicas = 1
	if s.GetKind() == "DaemonSet" { // as many as nodes, which the user may tell
		s.Replicas = max(1, s.inputs.Replicas, a.Nodes)
	}
	if n, ok := node.Int(s.RNode, "spec", "replicas"); ok {
		s.Replicas = max(0, n)
	}
	s.Least = s.Replicas
	scaler := a.Graph.Autoscaler(s.Workload)
	if scaler == nil {
		return
	}
	s.Least = 1
	if scaler.GetKind() == "ScaledObject" { // KEDA's defaults
		s.Least, s.Replicas = 0, 100
	}
	for _, field := range []string{"minReplicas", "minReplicaCount"} { // the second is KEDA's
		if n, ok := node.Int(scaler, "spec", field); ok {
			s.Least = n
		}
	}
	for _, field := range []string{"maxReplicas", "maxReplicaCount"} {
		if n, ok := node.Int(scaler, "spec", field); ok {
			s.Replicas = max(s.Least, n)
		}
	}
	s.Replicas = min(s.Replicas, 10_000)
}

// stated reads what the author says about this application by annotation:
// outlast/set: R=90, S=10 and outlast/on-sigterm: graceful.
func (a *Analysis) stated(s *Subject) {
	key := node.OwnPrefix + "set"
	text, _ := node.Annotation(s.RNode, key)
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		symbol, value, ok := strings.Cut(item, "=")
		err := fmt.Errorf("%q is not SYMBOL=VALUE", item)
		if ok {
			err = s.inputs.Set(strings.TrimSpace(symbol), strings.TrimSpace(value))
		}
		if err != nil {
			a.Find("OL046", s.RNode, node.Path([]string{"metadata", "annotations", key}), err.Error(), "write symbols of the drain formulas, e.g. R=90, S=10")
		}
	}
	key = node.OwnPrefix + "on-sigterm"
	switch v, ok := node.Annotation(s.RNode, key); {
	case !ok:
	case v == string(drain.Graceful) || v == string(drain.Abrupt):
		s.inputs.App = drain.App(v)
	default:
		a.Find("OL046", s.RNode, node.Path([]string{"metadata", "annotations", key}), fmt.Sprintf("%q is neither graceful nor abrupt", v), "write graceful or abrupt")
	}
}

func secondsAt(n *yaml.RNode, path ...string) *drain.Seconds {
	v, ok := node.Int(n, path...)
	if !ok || v < 0 {
		return nil
	}
	s := drain.Seconds(min(v, 86_400))
	return &s
}

// arithmetic adds what the inequalities say beyond the fields that have edits
// of their own; and of these what no edit was written for.
func (a *Analysis) arithmetic(s *Subject) {
	findings := s.Plan.Findings
	if a.AsWritten {
		findings = s.AsIs.Findings
	}
	cured := a.cures(s) // by edits, which hold F1 to F5 together
	if cured {          // what is left is what the edits leave
		findings = s.Plan.Findings
	}
	var twins []string
	for _, g := range s.Plan.Inputs.Groups {
		if g.IfNodes {
			twins = append(twins, g.Name)
		}
	}
	for _, f := range findings {
		switch f.Inequality {
		case "F10", "F11", "F12", "F13": // rollout has judged them
			continue
		case "F1", "F2", "F3", "F3a", "F3b", "F4", "F5", "strict":
			if cured || f.Field == "preStop" && s.told {
				continue
			}
		case "F19":
			if !slices.ContainsFunc(node.Containers(s.Spec), func(c *yaml.RNode) bool { return node.At(c, "livenessProbe") != nil }) {
				continue
			}
		}
		if f.Field == "target-type" || slices.Contains(twins, f.Object) { // lint has told, and edits are for both
			continue
		}
		on := s.RNode
		for _, t := range s.Groups { // preStop and grace are the pod's, the rest is the group's own
			if f.Object == t.Name() && f.Field != "preStop" && f.Field != "terminationGracePeriodSeconds" {
				on = t.Route
			}
		}
		f.Rule, f.Object, f.Field = drain.RuleOf(f.Inequality), node.ID(on), s.field(f.Field, on)
		a.All = append(a.All, problem.Problem{Finding: f, On: on})
	}
}

// field gives the place of what the arithmetic calls by its name; what stands
// in no manifest keeps the name.
func (s *Subject) field(name string, on *yaml.RNode) string {
	spec := node.Path(node.TemplatePath(s.Pods.GetKind()))
	switch name {
	case "preStop":
		return cmp.Or(node.Path(s.shortest().Path), name)
	case "terminationGracePeriodSeconds":
		return spec + "." + name
	case "deregistration delay":
		for _, t := range s.Groups {
			if place := t.Attributes.Where(attribute.Delay); (on == t.Route || on == s.RNode || on == place.Object) && place.Object != nil {
				return node.Path(place.Path)
			}
		}
	case "replicas", "minReadySeconds", "progressDeadlineSeconds":
		return "spec." + name
	case "maxSurge":
		return node.Path(append(strategy.Path(s.RNode), name))
	}
	return name
}

// cures tells whether there is an edit of the workload or what routes to it, or a hook that
// only its author knows.
func (a *Analysis) cures(s *Subject) bool {
	for ; a.read < len(a.All); a.read++ {
		if p := a.All[a.read]; p.Edit != nil || p.Rule == "OL025" {
			a.cured[p.On] = true
		}
	}
	return a.cured[s.RNode] || a.cured[s.Pods] || slices.ContainsFunc(s.Groups, func(t *graph.TargetGroup) bool {
		return a.cured[t.Route] || a.cured[t.Service] || slices.ContainsFunc(t.Attributes.Places, func(p attribute.Place) bool { return a.cured[p.Object] })
	})
}

// Strategy is how the workload replaces its pods, with the numbers that the edits
// leave standing.
func (s *Subject) Strategy() drain.Strategy {
	out := drain.Strategy{Kind: timeline.Rolling, Surge: strategy.Surge(s.RNode, s.Spec, s.Replicas)}
	_, blocked := node.BlockedPorts(s.Spec)
	switch {
	case s.GetKind() == "StatefulSet":
		out.Kind, out.Unavailable = timeline.StatefulSet, s.away()
	case s.GetKind() == "DaemonSet":
		out.Kind = timeline.DaemonSet
	case node.Str(s.RNode, "spec", "strategy", "type") == "Recreate":
		out.Kind, out.Surge = timeline.Recreate, 0
	case blocked:
		out.Unavailable = s.away()
	}
	if s.allAway() {
		out.Unavailable = min(1, out.Unavailable)
	}
	return out
}

// effective is what holds when nothing is changed. The weakest container and
// the author's own delays count.
func (s *Subject) effective() drain.Given {
	g := drain.Given{DeregistrationDelay: drain.DefaultDelay, PreStop: s.shortest().Seconds, GracePeriod: s.graceSeconds()}
	for i, group := range s.groups {
		d := drain.DefaultDelay
		if group.Delay != nil {
			d = *group.Delay
		}
		if i == 0 || d < g.DeregistrationDelay {
			g.DeregistrationDelay = d
		}
	}
	return g
}

// graceSeconds is the grace that is written, or what Kubernetes takes.
func (s *Subject) graceSeconds() drain.Seconds {
	if s.grace != nil {
		return *s.grace
	}
	return drain.DefaultGrace
}

// shortest is the hook of the containers on the request path that ends first, which is
// the one that counts; longestHook is of all, since the grace covers every one.
func (s *Subject) shortest() (first hook.Hook) {
	for _, h := range s.hooks {
		if !h.Sidecar && (first.Path == nil || h.Seconds < first.Seconds) {
			first = h
		}
	}
	return first
}

func (s *Subject) longestHook() (longest drain.Seconds) {
	for _, h := range s.hooks {
		longest = max(longest, h.Seconds)
	}
	return longest
}
