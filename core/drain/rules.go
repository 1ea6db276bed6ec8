// SPDX-License-Identifier: Apache-2.0

package drain

import (
	"fmt"
	"slices"
	"time"

	"github.com/outlast-ci/outlast/core/drain/internal/inequality"
)

type (
	rule  = inequality.Rule
	terms = inequality.Terms
)

// Fields, as people call them.
const (
	fieldDelay = "deregistration delay"
	fieldGrace = "terminationGracePeriodSeconds"
)

// rules are the inequalities that apply to a plan, F1 to F19; F20 is about the
// members of an IngressGroup, which only manifests tell.
func (in Inputs) rules(p Plan, groups []group, b bounds) []rule {
	// One set of safe values near the given ones: these are raised where they must be.
	near, wanted := in, slices.Clone(groups)
	near.Floor = p.Given()
	mode := Fast // enough, unless strict was asked for: what is strict as it is keeps that by what it has
	if in.Mode == Strict {
		mode = Strict
	}
	safe := near.timings(mode, wanted)
	all := append(in.podRules(p, groups, safe), in.rolloutRules(p, b)...)
	for i, g := range groups {
		own := in.instanceRules(p, safe)
		if g.drains() {
			own = in.drainRules(p, g, safe.PreStop, wanted[i].delay)
		}
		if g.Balancer != NLB {
			own = append(own, in.timeoutRules(g)...)
			own = append(own, in.orderRules(g, wanted[i].delay)...)
		} else if in.Order != NoOrder {
			own = append(own, rule{ID: "F8", Text: "timeout order " + string(in.Order), Strictly: true, Unless: true, Severity: Info,
				Causes: "an NLB knows no requests, so it has no part in the order", Field: "timeout order", Fix: "nothing, or let an ALB route to the pods"})
		}
		own = append(own, rule{ID: "F16", Text: "h * n_u + t <= 60", Have: time.Minute, Need: terms{g.HealthInterval * time.Duration(g.UnhealthyCount), g.HealthTimeout}, Severity: Info,
			Causes: "a target that dies without being deregistered stays in rotation for so long", Field: "health check", Fix: "check more often (h=5, t=4), or live with a slow backstop"})
		for j, r := range own {
			if own[j].Group = g.Name; r.Field == "preStop" && r.Want > p.PreStop && safe.GracePeriod > p.GracePeriod {
				own[j].Fix = fmt.Sprintf("set preStop to at least %s, and %s to at least %s", r.Want, fieldGrace, safe.GracePeriod)
			}
		}
		all = append(all, own...)
	}
	inequality.Sort(all)
	return all
}

// podRules are about the pod as a whole.
func (in Inputs) podRules(p Plan, groups []group, safe Given) []rule {
	x, grace := in.hooks(p.PreStop), p.GracePeriod.Duration()
	var finishing time.Duration // S_drain: how long the application goes on with requests
	for _, g := range groups {
		switch {
		case !g.drains():
			finishing = max(finishing, in.longest())
		case in.App == Graceful:
			finishing = max(finishing, in.served(g)-x)
		}
	}
	f5, f15 := Warning, Warning
	if grace <= x {
		f5 = Error
	}
	if grace > 900*time.Second { // and over the cap
		f15 = Error
	}
	return []rule{
		{ID: "F4", Text: "grace >= preStop + S_drain + S + S_sc + M", Have: grace, Need: terms{x, finishing, in.Shutdown, in.SidecarShutdown, in.Margin}, Severity: Error,
			Causes: "SIGKILL comes in the middle of a request", Field: fieldGrace, Want: safe.GracePeriod},
		{ID: "F5", Text: "grace >= preStop + 5", Have: grace, Need: terms{x, 5 * time.Second}, Severity: f5,
			Causes: "after the hook the application has no time to end; no more than preStop is refused or cuts the hook off", Field: fieldGrace, Want: safe.GracePeriod},
		{ID: "F15", Text: "grace <= cap", Have: in.Cap, Need: terms{grace}, Severity: f15,
			Causes: "a node that is drained or reclaimed may cut the grace short", Field: fieldGrace, Fix: in.fix15(p)},
		{ID: "F19", Text: "preStop <= 60", Have: time.Minute, Need: terms{x}, Unless: true, Severity: Info,
			Causes: "a container that hangs sleeps for so long before its liveness probe's restart", Field: "preStop", Fix: "nothing, unless hung containers have to be restarted sooner"},
	}
}

// fix15 tells the grace that is enough, where the cap allows it, else the longest request
// that it allows.
func (in Inputs) fix15(p Plan) string {
	if p.GracePeriod.Duration() <= in.Cap {
		return ""
	}
	raise := fmt.Sprintf("raise the cap where all nodes allow it (--set cap=%d)", p.GracePeriod)
	kept := in
	kept.Floor = Given{DeregistrationDelay: p.DeregistrationDelay, PreStop: p.PreStop}
	enough := kept.timings(p.Mode, kept.groups())
	if p.PreStop > 0 && enough.GracePeriod.Duration() <= in.Cap {
		return fmt.Sprintf("set it to %s, which is enough, or %s", enough.GracePeriod, raise)
	}
	if enough = kept.unraised().timings(p.Mode, kept.groups()); enough.GracePeriod.Duration() <= in.Cap {
		hook := "preStop"
		if in.LongerHook > p.PreStop {
			hook = "the longest preStop"
		}
		return fmt.Sprintf("set %s to %s and it to %s, which are enough, or %s", hook, enough.PreStop, enough.GracePeriod, raise)
	}
	limit, fast, strict := ceil(in.Cap), in.fits(Fast), in.fits(Strict)
	switch {
	case fast < 0:
		return fmt.Sprintf("no request is short enough for a cap of %s: %s", limit, raise)
	case strict >= 0 && strict < fast:
		return fmt.Sprintf("the longest request that fits a cap of %s is %ds (in strict mode %ds): let none take longer, or %s", limit, fast, strict, raise)
	}
	return fmt.Sprintf("the longest request that fits a cap of %s is %ds: let none take longer, or %s", limit, fast, raise)
}

// drainRules are about a group whose targets are pods.
func (in Inputs) drainRules(p Plan, g group, preStop, delay Seconds) []rule {
	l, pr, r, m := in.latency(), g.propagation, in.longest(), in.Margin
	x, d := p.PreStop.Duration(), g.delay.Duration()
	finishing := time.Duration(0)
	if in.App == Graceful {
		finishing = max(0, in.served(g)-x) // F3a; else F3b
	}
	strict := Severity("")
	if p.Mode == Strict {
		strict = Error
	}
	f2 := rule{ID: "F2", Text: "deregistration delay >= P + R + M", Have: d, Need: terms{pr, r, m}, Severity: Error,
		Causes: "the balancer aborts requests in flight when the delay ends (502)", Field: fieldDelay, Want: delay}
	if delay > MaxDelay {
		f2.Want, f2.Fix = 0, "no target group waits that long (3600 s): let the application cut long-lived connections, and say when (--set R_cut=TIME)"
	}
	return []rule{
		{ID: "F1", Text: "preStop >= L + P + M", Have: x, Need: terms{l, pr, m}, Severity: Error,
			Causes: "new requests reach a process that is gone (502), or an address that is (504 after 10 s)", Field: "preStop", Want: preStop},
		f2,
		{ID: "F2", Text: "deregistration delay <= 3600", Have: MaxDelay * time.Second, Need: terms{d}, Unless: true, Severity: Error,
			Causes: "AWS refuses it", Field: fieldDelay, Want: MaxDelay, Fix: "set it to 3600s or less"},
		{ID: "F3", Text: "preStop + S_drain >= L + P + R + M", Have: x + finishing, Need: terms{l, pr, r, m}, Severity: Error,
			Causes: "the application closes connections with a request outstanding (502)", Field: "preStop", Want: preStop},
		{ID: "strict", Text: "preStop >= L + deregistration delay + J + M", Have: x, Need: terms{l, d, in.jitter(), m}, Severity: strict,
			Causes: "the pod ends before its target can be seen to be unused", Field: "preStop", Want: preStop},
		{ID: "F17", Text: "preStop + C >= L + deregistration delay + J", Have: x + in.IPCooldown, Need: terms{l, d, in.jitter()}, Severity: Warning,
			Causes: "a new pod may get the address of a target that is still draining", Field: "preStop", Fix: "keep free addresses in the subnets, so that a used one is not given away again soon"},
	}
}

// instanceRules are about a group whose targets are nodes.
func (in Inputs) instanceRules(p Plan, safe Given) []rule {
	effort := rule{ID: "F3", Text: "targets are nodes", Strictly: true, Unless: true, Severity: Info, Field: "target-type", Fix: "use targets of type ip, and let the application close connections on SIGTERM",
		Causes: "a pod that ends is never deregistered, so this is best effort: nothing can be proven"}
	if p.Mode == Strict {
		effort.ID, effort.Severity, effort.Causes = "strict", Error, "strict mode is impossible, since a pod that ends is never deregistered"
	}
	return []rule{effort, {ID: "F1", Text: "preStop >= X_node (instance targets)", Have: p.PreStop.Duration(), Need: terms{in.NodePreStop}, Severity: Error,
		Causes: "connections through the node go on bringing requests to a pod that is gone", Field: "preStop", Want: safe.PreStop}}
}

// timeoutRules are those between the timeouts of application, balancer and
// client, as far as they are known. They count at any time, not only in deploys.
func (in Inputs) timeoutRules(g group) (all []rule) {
	if k := in.KeepAlive; k != nil {
		r := rule{ID: "F6", Text: "keep-alive timeout >= idle timeout + 5 (K > I)", Have: *k, Need: terms{g.IdleTimeout, 5 * time.Second}, Severity: Warning,
			Causes: "the application closes an idle connection just when the balancer sends a request on it (502)", Field: "keep-alive timeout of the application", Want: ceil(g.IdleTimeout + 5*time.Second)}
		if *k <= g.IdleTimeout {
			r.Severity = Error
		}
		all = append(all, r)
	}
	if silent := in.Silent; silent != nil {
		all = append(all, rule{ID: "F7", Text: "idle timeout > longest silence (R_silent < I)", Have: g.IdleTimeout, Need: terms{*silent}, Strictly: true, Severity: Error,
			Causes: "the balancer ends a request that is silent for so long (504)", Field: "idle timeout", Want: Seconds(*silent/time.Second) + 1})
	}
	if client := in.ClientTimeout; client != nil {
		all = append(all, rule{ID: "F9", Text: "client timeout > min(idle timeout, R)", Have: *client, Need: terms{min(g.IdleTimeout, in.longest())}, Strictly: true, Severity: Warning,
			Causes: "clients give up first, and the balancer logs 460", Field: "timeout of the clients", Want: Seconds(min(g.IdleTimeout, in.longest())/time.Second) + 1})
	}
	return all
}

// orderRules are F8: which of the request timeout and the idle timeout clients
// see. Literally enforced when an order is named, else only told.
func (in Inputs) orderRules(g group, delay Seconds) (all []rule) {
	if in.RequestTimeout == nil {
		return nil
	}
	a, i, d, severity := *in.RequestTimeout, g.IdleTimeout, g.delay.Duration(), Info
	if in.Order != NoOrder {
		severity = Error
	}
	add := func(text string, have, need time.Duration, causes, field, fix string, want Seconds) {
		all = append(all, rule{ID: "F8", Text: text, Have: have, Need: terms{need}, Strictly: true, Severity: severity, Causes: causes, Field: field, Fix: fix, Want: want})
	}
	if in.Order == BalancerFirst {
		add("request timeout > idle timeout (I < A)", a, i, "clients see the application's own error before the balancer's 504", "request timeout", "raise the application's request timeout above the idle timeout, or lower that", 0)
	} else {
		add("idle timeout > request timeout (A < I)", i, a, "a silent request ends with the balancer's 504, and the application's own timeout is never seen", "idle timeout", "lower the application's request timeout below the idle timeout, or raise that", 0)
	}
	if !g.drains() { // the delay is left alone, so that only its author can make it longer
		severity, delay = Warning, max(g.delay, Seconds(max(a, i)/time.Second)+1)
	}
	switch in.Order {
	case AppFirst:
		add("deregistration delay > idle timeout (I < D)", d, i, "the timeout order app-first is A < I < D", fieldDelay, "", delay)
	case BalancerFirst:
		add("deregistration delay > request timeout (A < D)", d, a, "the timeout order balancer-first is I < A < D", fieldDelay, "", delay)
	default:
		severity = ""
	}
	if !g.drains() {
		return all
	}
	all = append(all, rule{ID: "F8", Text: "deregistration delay >= P + min(A, R) + M", Have: d, Need: terms{g.propagation, min(a, in.longest()), in.Margin}, Severity: severity,
		Causes: "the balancer aborts requests before the application's timeout does", Field: fieldDelay, Want: delay})
	return all
}

// rolloutRules are about replacing pods: F10 to F14, F18.
func (in Inputs) rolloutRules(p Plan, b bounds) (all []rule) {
	if in.Replicas > 0 {
		all = append(all,
			rule{ID: "F10", Text: "replicas >= 2", Have: time.Duration(in.Replicas) * time.Second, Need: terms{2 * time.Second}, Unit: "pods", Severity: Warning,
				Causes: "an eviction or a lost node leaves nobody to answer (503)", Field: "replicas", Want: 2},
			rule{ID: "F10", Text: "maxSurge >= 1", Have: time.Duration(in.Surge) * time.Second, Need: terms{time.Second}, Unit: "pods", Severity: Warning,
				Causes: "an old pod goes before its replacement is there", Field: "maxSurge", Fix: "keep spare replicas, or surge where the workload can"})
	}
	if b.ready > 0 {
		r := rule{ID: "F12", Text: "minReadySeconds >= max(10, h)", Have: b.ready.Duration(), Need: terms{b.needReady}, Severity: Warning,
			Causes: "healthy is reported before every node of the balancer routes to the pod", Field: "minReadySeconds", Want: p.MinReady}
		if b.gateless {
			r.ID, r.Text, r.Severity, r.Causes = "F11", "minReadySeconds >= L + T_reg + h + t + M", Error, "without a readiness gate old pods leave before new ones are in rotation (503)"
		}
		all = append(all, r)
		if b.slowStart > 0 {
			all = append(all, rule{ID: "F18", Text: "minReadySeconds >= slow_start", Have: b.ready.Duration(), Need: terms{b.slowStart}, Severity: Warning,
				Causes: "new pods take a reduced share of the requests while old ones leave", Field: "minReadySeconds", Want: p.MinReady})
		}
	}
	if b.deadline > 0 {
		r := rule{ID: "F13", Text: "progressDeadlineSeconds >= B + L + T_reg + h + Q + minReadySeconds + M", Have: b.deadline.Duration(), Severity: Warning,
			Need: terms{b.start, in.Margin}, Causes: "a healthy rollout is called stuck", Field: "progressDeadlineSeconds", Want: p.ProgressDeadline}
		if in.Tight {
			r.Text, r.Need = "progressDeadlineSeconds >= B + L + T_reg + h + Q + minReadySeconds + G + M", terms{b.start, b.grace, in.Margin}
		}
		if b.deadline <= b.ready {
			r.Severity, r.Causes = Error, "the API server wants more than minReadySeconds"
		}
		all = append(all, r)
	}
	if b.gate > 0 {
		all = append(all, rule{ID: "F14", Text: "gate timeout >= lower bound of the rollout", Have: b.gate.Duration(), Need: terms{p.GateTimeoutLowerBound.Duration()}, Severity: Warning,
			Causes: "the gate gives up on a rollout that is healthy", Field: "gate-timeout", Want: p.GateTimeoutLowerBound})
	}
	return all
}
