// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
)

// written is what the author wrote for one workload. Zero: not written.
type written struct {
	grace, minReady, progressDeadline int
	hooks                             []hook
	delays                            []int // deregistration delay of each target group
}

// hook is a container's preStop.
type hook struct {
	container *yaml.RNode
	name      string
	seconds   int    // length, when known
	native    bool   // sleep, which needs no program in the image
	unknown   string // what it is, when its length cannot be known
}

func (in *injector) written(w *workload) (written, error) {
	var wr written
	spec := podSpec(w.RNode)
	wr.grace, _ = number(spec, "terminationGracePeriodSeconds")
	wr.minReady, _ = number(w.RNode, "spec", "minReadySeconds")
	wr.progressDeadline, _ = number(w.RNode, "spec", "progressDeadlineSeconds")
	for _, c := range containers(spec, false) {
		wr.hooks = append(wr.hooks, readHook(c))
	}
	for _, t := range w.targetGroups() {
		attrs, err := parseAttributes(t.object.GetAnnotations()[t.key])
		if err != nil {
			return wr, fmt.Errorf("reading annotation %s of %s: %w", t.key, objectID(t.object), err)
		}
		n := 0
		if text, ok := attrs.get(delayAttribute); ok {
			if n, err = strconv.Atoi(text); err != nil || n < 0 {
				return wr, fmt.Errorf("reading annotation %s of %s: %s=%s is no number of seconds", t.key, objectID(t.object), delayAttribute, text)
			}
		}
		wr.delays = append(wr.delays, n)
	}
	return wr, nil
}

// readHook understands sleep, exec of sleep N, and a shell's `sleep N`.
func readHook(c *yaml.RNode) hook {
	h := hook{container: c, name: field(c, "name")}
	if n, ok := number(c, "lifecycle", "preStop", "sleep", "seconds"); ok {
		h.seconds, h.native = n, true
		return h
	}
	var words []string
	for _, e := range elements(c, "lifecycle", "preStop", "exec", "command") {
		words = append(words, strings.Fields(e.YNode().Value)...)
	}
	if len(words) >= 2 && strings.HasSuffix(words[len(words)-2], "sleep") {
		if n, err := strconv.Atoi(strings.TrimSuffix(words[len(words)-1], "s")); err == nil {
			h.seconds = n
			return h
		}
	}
	switch pre, err := c.Pipe(yaml.Lookup("lifecycle", "preStop")); {
	case err != nil || pre == nil:
	case len(words) > 0:
		h.unknown = "exec " + strings.Join(words, " ")
	default:
		h.unknown = "httpGet or another handler"
	}
	return h
}

// longestDelay is the longest deregistration delay that the author wrote and
// that is long enough to stay, or 0.
func (wr written) longestDelay(need drain.Plan) (longest drain.Seconds) {
	for _, d := range wr.delays {
		if s := drain.Seconds(d); s > need.DeregistrationDelay {
			longest = max(longest, s)
		}
	}
	return longest
}

// floor is what the author wrote and is long enough to stay, measured against
// what the solution without it needs.
func (wr written) floor(need drain.Plan) drain.Given {
	f := drain.Given{DeregistrationDelay: wr.longestDelay(need)}
	for _, h := range wr.hooks {
		f.PreStop = max(f.PreStop, drain.Seconds(h.seconds))
	}
	f.GracePeriod = drain.Seconds(wr.grace)
	return f
}

// effective is what holds when nothing is changed: absent fields mean what
// Kubernetes and AWS do. The weakest container and target group count.
func (wr written) effective() drain.Given {
	g := drain.Given{DeregistrationDelay: defaultDelay, GracePeriod: defaultGrace}
	if wr.grace > 0 {
		g.GracePeriod = drain.Seconds(wr.grace)
	}
	for i, h := range wr.hooks {
		if s := drain.Seconds(h.seconds); i == 0 || s < g.PreStop {
			g.PreStop = s
		}
	}
	for i, d := range wr.delays {
		if d == 0 {
			d = defaultDelay
		}
		if s := drain.Seconds(d); i == 0 || s < g.DeregistrationDelay {
			g.DeregistrationDelay = s
		}
	}
	return g
}

// wantPod asks for preStop on every container that lives as long as the pod,
// and for the grace around it.
func (in *injector) wantPod(w *workload, wr written, plan, least drain.Plan) {
	spec := podSpec(w.RNode)
	if g := drain.Seconds(wr.grace); g < plan.GracePeriod {
		in.want("F4", w.RNode, "spec.template.spec.terminationGracePeriodSeconds", given(wr.grace), num(plan.GracePeriod),
			"the hook, what is in flight and the shutdown have to fit before SIGKILL", func() error {
				return spec.PipeE(yaml.SetField("terminationGracePeriodSeconds", integer(plan.GracePeriod)))
			})
	}
	for _, h := range wr.hooks {
		where := "spec.template.spec.containers[" + h.name + "].lifecycle.preStop"
		if h.unknown != "" {
			severity := drain.Warning
			if in.policy == Enforce {
				severity = drain.Error
			}
			in.find(severity, "F1", w.RNode, where, fmt.Sprintf("the author's hook (%s) is kept, but nobody can tell how long it takes: it has to last %s; write sleep: {seconds: %s} instead", h.unknown, least.PreStop, num(least.PreStop)))
			continue
		}
		if drain.Seconds(h.seconds) >= least.PreStop {
			continue
		}
		in.want("F1", w.RNode, where, given(h.seconds), "sleep "+num(least.PreStop),
			"the balancer goes on sending requests after it was told to stop", func() error {
				if err := h.container.PipeE(yaml.LookupCreate(yaml.MappingNode, "lifecycle"), yaml.Clear("preStop")); err != nil {
					return err
				}
				return h.container.PipeE(yaml.LookupCreate(yaml.MappingNode, "lifecycle", "preStop", "sleep"), yaml.SetField("seconds", integer(least.PreStop)))
			})
	}
}

// wantRollout asks for the fields that decide when old pods may go.
func (in *injector) wantRollout(w *workload, wr written, plan drain.Plan) {
	set := func(id, name string, have int, want drain.Seconds, why string) {
		in.want(id, w.RNode, "spec."+name, given(have), num(want), why, func() error {
			return w.PipeE(yaml.LookupCreate(yaml.MappingNode, "spec"), yaml.SetField(name, integer(want)))
		})
	}
	if w.GetKind() != "DaemonSet" && drain.Seconds(wr.minReady) < plan.MinReady {
		set("F12", "minReadySeconds", wr.minReady, plan.MinReady, "healthy is reported before every node of the balancer routes to the pod")
	}
	if w.GetKind() != "Deployment" {
		in.find(drain.Warning, "F10", w.RNode, "spec", "a "+w.GetKind()+" takes an old pod away before the new one is there: keep spare replicas")
		return
	}
	have := wr.progressDeadline
	if have == 0 {
		have = defaultProgressDeadline
	}
	if plan.ProgressDeadline > drain.Seconds(have) {
		set("F13", "progressDeadlineSeconds", wr.progressDeadline, plan.ProgressDeadline, "a healthy rollout would be called stuck")
	}
	rolling := func(name string, want drain.Seconds, why string) {
		in.want("F10", w.RNode, "spec.strategy.rollingUpdate."+name, field(w.RNode, "spec", "strategy", "rollingUpdate", name), num(want), why, func() error {
			return w.PipeE(yaml.LookupCreate(yaml.MappingNode, "spec", "strategy", "rollingUpdate"), yaml.SetField(name, integer(want)))
		})
	}
	if field(w.RNode, "spec", "strategy", "type") == "Recreate" {
		in.find(drain.Error, "F10", w.RNode, "spec.strategy.type", "Recreate takes all old pods away before the first new one starts: nobody answers meanwhile (503); use RollingUpdate")
		return
	}
	if field(w.RNode, "spec", "strategy", "rollingUpdate", "maxUnavailable") != "0" {
		rolling("maxUnavailable", 0, "old pods must not leave before new ones are healthy at the balancer")
	}
	if n, err := resolve(field(w.RNode, "spec", "strategy", "rollingUpdate", "maxSurge"), 100); err == nil && n < 1 {
		rolling("maxSurge", 1, "with maxUnavailable 0 a rollout needs room for one more pod")
	}
}

func given(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func integer(s drain.Seconds) *yaml.RNode {
	return yaml.NewRNode(&yaml.Node{Kind: yaml.ScalarNode, Tag: yaml.NodeTagInt, Value: num(s)})
}

func num(s drain.Seconds) string { return strconv.FormatInt(int64(s), 10) }
