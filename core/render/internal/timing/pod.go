// SPDX-License-Identifier: Apache-2.0

package timing

import (
	"fmt"
	"strconv"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/hook"
	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
)

// pod asks for a preStop on every container of the request path, and for the
// grace around it.
func (a *Analysis) pod(s *Subject, least drain.Plan) {
	for _, h := range s.hooks {
		if !h.Sidecar {
			a.hook(s, h, least)
		}
	}
	path := append(append([]string{}, node.TemplatePath(s.Pods.GetKind())...), "terminationGracePeriodSeconds")
	have, from := s.graceSeconds(), ""
	if s.grace != nil {
		from = num(*s.grace)
	}
	if have >= s.Plan.GracePeriod {
		return
	}
	rule, seen := s.graceRule(), "too short, and SIGKILL comes in the middle of a request"
	if hook := s.longestHook(); rule == "OL005" {
		seen = fmt.Sprintf("the hook takes %s: it is cut off, and the application has 2 s to end", hook)
	}
	written := "is " + have.String()
	if text := node.Str(s.Spec, "terminationGracePeriodSeconds"); s.grace == nil && text != "" {
		written, from = "is "+text+", which is no number of seconds", text
	} else if s.grace == nil {
		written = "is not set, which means " + have.String()
	}
	a.Edit(rule, s.Pods, fmt.Sprintf("terminationGracePeriodSeconds %s: %s; the hook (%s), what is in flight, the shutdown and a margin need %s", written, seen, max(s.Plan.PreStop, s.longestHook()), s.Plan.GracePeriod),
		problem.Edit{Path: path, Value: node.Number(s.Plan.GracePeriod), From: from, To: num(s.Plan.GracePeriod), Weight: int64(s.Plan.GracePeriod),
			Why: "the hook, what is in flight and the shutdown have to fit before SIGKILL"})
}

func (a *Analysis) hook(s *Subject, h hook.Hook, least drain.Plan) {
	field := node.Path(h.Path)
	old := node.Older(a.Kubelet, "1.30")
	if h.More && !h.Stated {
		a.Find("OL025", s.Pods, field, fmt.Sprintf("more follows the sleep of %s in the hook of container %s, and nobody can tell how long that takes; the grace leaves %s for it and for the shutdown", h.Seconds, h.Name, max(0, max(s.graceSeconds(), s.Plan.GracePeriod)-max(h.Seconds, least.PreStop))),
			fmt.Sprintf("state how long the whole takes with the annotation outlast/hook-seconds.%s on the %s", h.Name, s.GetKind())).Unproven = true
	}
	switch {
	case h.Native && old:
		a.oldKubelet(s, h, max(h.Seconds, least.PreStop))
		return
	case !h.Known && h.Written && !h.Stated:
		a.Find("OL025", s.Pods, field, fmt.Sprintf("the hook (%s) of container %s is the author's own, and nobody can tell how long it takes; it has to last %s (%s)", h.What, h.Name, least.PreStop, modeWords(least)),
			fmt.Sprintf("state its length with the annotation outlast/hook-seconds.%s on the %s, or write sleep: {seconds: %s}", h.Name, s.GetKind(), num(least.PreStop))).Unproven = true
		return
	case h.Seconds >= least.PreStop:
		a.program(s, h, h.Seconds, old)
		return
	}
	a.tooShort(s, h, least, old)
}

// program tells of a hook that stays and runs what the image may lack.
func (a *Analysis) program(s *Subject, h hook.Hook, want drain.Seconds, old bool) {
	if h.Program == "" || h.Stated || a.Shell != "" {
		return
	}
	fix := "name the shell that all images have with drain.shell (--shell /bin/sh)"
	if !old {
		fix = "write sleep: {seconds: " + num(want) + "}, which needs nothing in the image; or name the shell that all images have with drain.shell"
	}
	a.Find("OL026", s.Pods, node.Path(h.Path), fmt.Sprintf("the hook of container %s runs %s: an image without it ends the hook at once, and the pod is not protected", h.Name, h.Program), fix)
}

// graceRule is what a grace that is too short breaks, as things are written.
func (s *Subject) graceRule() string {
	if s.graceSeconds() <= s.longestHook() {
		return "OL005"
	}
	return "OL004"
}

// tooShort asks for a longer hook.
func (a *Analysis) tooShort(s *Subject, h hook.Hook, least drain.Plan, old bool) {
	field := node.Path(h.Path)
	rule := broken(s, h.Seconds)
	why := short(rule, least)
	severe := func(p *problem.Problem) {
		if rule == "OL000" && a.Drain.Mode == drain.Strict {
			p.Severity = drain.Error // it was asked for
		}
	}
	if s.told = s.told || h.Stated; h.Stated {
		message := fmt.Sprintf("the hook of container %s takes %s, as the annotation says: %s", h.Name, h.Seconds, why)
		if !h.Written { // the application itself goes on after SIGTERM for so long
			message = fmt.Sprintf("container %s goes on for %s, as the annotation says: %s", h.Name, h.Seconds, why)
		}
		severe(a.Find(rule, s.Pods, field, message, "make it last "+least.PreStop.String()+", and state that"))
		return
	}
	message := fmt.Sprintf("container %s has no preStop: %s", h.Name, why)
	if h.Written {
		message = fmt.Sprintf("preStop of container %s takes %s: %s", h.Name, h.Seconds, why)
	}
	e := problem.Edit{Path: h.Path, To: "sleep " + num(least.PreStop), From: h.What, Weight: int64(least.PreStop), Why: "the balancer goes on sending requests after it was told to stop"}
	if h.Written && h.What == "sleep" {
		e.From = "sleep " + num(h.Seconds)
	}
	switch {
	case h.More, h.Time != nil && old: // what follows the sleep stays, and so does what an old kubelet knows
		e.Path = append(append([]string{}, h.Path...), h.Time...)
		from := node.Str(s.Pods, e.Path...)
		to := hook.Resleep(from, least.PreStop-h.Rest)
		e.Value, e.From, e.To = node.Text(to), from, to
		a.program(s, h, least.PreStop, old)
	case h.Native:
		e.Path = append(append([]string{}, h.Path...), "sleep", "seconds")
		e.Value, e.From, e.To = node.Number(least.PreStop), num(h.Seconds), num(least.PreStop)
	case old:
		a.oldKubelet(s, h, least.PreStop)
		return
	default:
		e.Value = node.Map("sleep", node.Map("seconds", node.Number(least.PreStop)))
	}
	if kept := problem.Reason(s.Pods, s.graceRule()); kept != "" && s.graceSeconds() < least.PreStop {
		a.Find(rule, s.Pods, field, message+"; but an annotation keeps the grace at "+s.graceSeconds().String()+" ("+kept+"), and the API server refuses a longer sleep", "take outlast/ignore."+s.graceRule()+" away, or give a reason to live with "+rule+", too")
		return
	}
	severe(a.Edit(rule, s.Pods, message, e))
}

// oldKubelet writes an exec hook, if the author has told of a shell.
func (a *Analysis) oldKubelet(s *Subject, h hook.Hook, want drain.Seconds) {
	message := fmt.Sprintf("the oldest kubelet is %s: before 1.30 it ignores a native sleep without a word, so container %s is not protected", a.Kubelet, h.Name)
	if !h.Written {
		message = fmt.Sprintf("container %s has no preStop, and a native sleep would not help: the oldest kubelet is %s, and before 1.30 it ignores one without a word", h.Name, a.Kubelet)
	}
	from := h.What
	if h.Native {
		from += " " + num(h.Seconds)
	}
	if a.Shell == "" {
		a.Find("OL027", s.Pods, node.Path(h.Path), message, "upgrade the nodes, or name the shell that all images have with drain.shell (--shell /bin/sh)")
		return
	}
	value := node.Map("exec", node.Map("command", node.List(node.Text(a.Shell), node.Text("-c"), node.Text("sleep "+num(want)))))
	a.Edit("OL027", s.Pods, message, problem.Edit{Path: h.Path, Value: value, From: from, To: fmt.Sprintf("exec %s -c 'sleep %s'", a.Shell, num(want)), Weight: int64(want),
		Why: "kubelets before 1.30 know no native sleep"})
}

// broken names the rule of the first inequality that a preStop breaks.
func broken(s *Subject, have drain.Seconds) string {
	margins, _, err := drain.Check(drain.Given{DeregistrationDelay: s.Plan.DeregistrationDelay, PreStop: have, GracePeriod: s.Plan.GracePeriod}, s.Plan.Inputs)
	if err != nil {
		return "OL001"
	}
	for _, id := range []string{"F1", "F3"} {
		for _, m := range margins {
			if m.ID == id && m.Seconds < 0 {
				return drain.RuleOf(id)
			}
		}
	}
	return "OL000"
}

// short tells what a preStop is too short for.
func short(rule string, least drain.Plan) string {
	switch rule {
	case "OL001":
		return fmt.Sprintf("the balancer sends new requests for longer than that (502, or 504 after 10 s); it needs %s (%s)", least.PreStop, modeWords(least))
	case "OL003":
		return fmt.Sprintf("an application that exits on SIGTERM cuts requests in flight (502); it needs %s (%s)", least.PreStop, modeWords(least))
	}
	return fmt.Sprintf("enough to lose nothing, but the pod ends before its target can be seen to be unused; strict mode needs %s", least.PreStop)
}

func modeWords(p drain.Plan) string { return string(p.Mode) + " mode" }

func num(s drain.Seconds) string { return strconv.FormatInt(int64(s), 10) }
