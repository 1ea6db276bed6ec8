// SPDX-License-Identifier: Apache-2.0

package drain

import (
	"fmt"
	"slices"
	"time"
)

type terms = []time.Duration

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
	mode := Fast
	if p.Mode == Strict {
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
		}
		own = append(own, rule{id: "F16", text: "h * n_u + t <= 60", have: time.Minute, need: terms{g.HealthInterval * time.Duration(g.UnhealthyCount), g.HealthTimeout}, severity: Info,
			causes: "a target that dies without being deregistered stays in rotation for so long", field: "health check", fix: "check more often (h=5, t=4), or live with a slow backstop"})
		for j, r := range own {
			if own[j].group = g.Name; r.field == "preStop" && r.want > p.PreStop && safe.GracePeriod > p.GracePeriod {
				own[j].fix = fmt.Sprintf("set preStop to at least %s, and %s to at least %s", r.want, fieldGrace, safe.GracePeriod)
			}
		}
		all = append(all, own...)
	}
	return sorted(all)
}

// podRules are about the pod as a whole.
func (in Inputs) podRules(p Plan, groups []group, safe Given) []rule {
	x, grace := p.PreStop.Duration(), p.GracePeriod.Duration()
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
		{id: "F4", text: "grace >= preStop + S_drain + S + S_sc + M", have: grace, need: terms{x, finishing, in.Shutdown, in.SidecarShutdown, in.Margin}, severity: Error,
			causes: "SIGKILL comes in the middle of a request", field: fieldGrace, want: safe.GracePeriod},
		{id: "F5", text: "grace >= preStop + 5", have: grace, need: terms{x, 5 * time.Second}, severity: f5,
			causes: "after the hook the application has no time to end; no more than preStop is refused or cuts the hook off", field: fieldGrace, want: safe.GracePeriod},
		{id: "F15", text: "grace <= cap", have: in.Cap, need: terms{grace}, severity: f15,
			causes: "a node that is drained or reclaimed may cut the grace short", field: fieldGrace, fix: in.fix15(p)},
		{id: "F19", text: "preStop <= 60", have: time.Minute, need: terms{x}, unless: true, severity: Info,
			causes: "a container that hangs sleeps for so long before its liveness probe's restart", field: "preStop", fix: "nothing, unless hung containers have to be restarted sooner"},
	}
}

// fix15 tells the longest request that the cap allows.
func (in Inputs) fix15(p Plan) string {
	if p.GracePeriod.Duration() <= in.Cap {
		return ""
	}
	raise := fmt.Sprintf("raise the cap where all nodes allow it (--set cap=%d)", p.GracePeriod)
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
	f2 := rule{id: "F2", text: "deregistration delay >= P + R + M", have: d, need: terms{pr, r, m}, severity: Error,
		causes: "the balancer aborts requests in flight when the delay ends (502)", field: fieldDelay, want: delay}
	if delay > maxDelay {
		f2.want, f2.fix = 0, "no target group waits that long (3600 s): let the application cut long-lived connections, and say when (--set R_cut=TIME)"
	}
	return []rule{
		{id: "F1", text: "preStop >= L + P + M", have: x, need: terms{l, pr, m}, severity: Error,
			causes: "new requests reach a process that is gone (502), or an address that is (504 after 10 s)", field: "preStop", want: preStop},
		f2,
		{id: "F2", text: "deregistration delay <= 3600", have: maxDelay * time.Second, need: terms{d}, unless: true, severity: Error,
			causes: "AWS refuses it", field: fieldDelay, fix: "set it to 3600s or less"},
		{id: "F3", text: "preStop + S_drain >= L + P + R + M", have: x + finishing, need: terms{l, pr, r, m}, severity: Error,
			causes: "the application closes connections with a request outstanding (502)", field: "preStop", want: preStop},
		{id: "strict", text: "preStop >= L + deregistration delay + J + M", have: x, need: terms{l, d, in.jitter(), m}, severity: strict,
			causes: "the pod ends before its target can be seen to be unused", field: "preStop", want: preStop},
		{id: "F17", text: "preStop + C >= L + deregistration delay + J", have: x + in.IPCooldown, need: terms{l, d, in.jitter()}, severity: Warning,
			causes: "a new pod may get the address of a target that is still draining", field: "preStop", fix: "keep free addresses in the subnets, so that a used one is not given away again soon"},
	}
}

// instanceRules are about a group whose targets are nodes.
func (in Inputs) instanceRules(p Plan, safe Given) []rule {
	effort := rule{id: "F3", text: "targets are nodes", strictly: true, unless: true, severity: Info, field: "target-type", fix: "use targets of type ip, and let the application close connections on SIGTERM",
		causes: "a pod that ends is never deregistered, so this is best effort: nothing can be proven"}
	if p.Mode == Strict {
		effort.id, effort.severity, effort.causes = "strict", Error, "strict mode is impossible, since a pod that ends is never deregistered"
	}
	return []rule{effort, {id: "F1", text: "preStop >= 70 (instance targets)", have: p.PreStop.Duration(), need: terms{instancePreStop}, severity: Error,
		causes: "connections through the node go on bringing requests to a pod that is gone", field: "preStop", want: safe.PreStop}}
}

// timeoutRules are those between the timeouts of application, balancer and
// client, as far as they are known. They count at any time, not only in deploys.
func (in Inputs) timeoutRules(g group) (all []rule) {
	if k := in.KeepAlive; k != nil {
		r := rule{id: "F6", text: "keep-alive timeout >= idle timeout + 5 (K > I)", have: *k, need: terms{g.IdleTimeout, 5 * time.Second}, severity: Warning,
			causes: "the application closes an idle connection just when the balancer sends a request on it (502)", field: "keep-alive timeout of the application", want: ceil(g.IdleTimeout + 5*time.Second)}
		if *k <= g.IdleTimeout {
			r.severity = Error
		}
		all = append(all, r)
	}
	if silent := in.Silent; silent != nil {
		all = append(all, rule{id: "F7", text: "idle timeout > longest silence (R_silent < I)", have: g.IdleTimeout, need: terms{*silent}, strictly: true, severity: Error,
			causes: "the balancer ends a request that is silent for so long (504)", field: "idle timeout", want: Seconds(*silent/time.Second) + 1})
	}
	if client := in.ClientTimeout; client != nil {
		all = append(all, rule{id: "F9", text: "client timeout > min(idle timeout, R)", have: *client, need: terms{min(g.IdleTimeout, in.longest())}, strictly: true, severity: Warning,
			causes: "clients give up first, and the balancer logs 460", field: "timeout of the clients", want: Seconds(min(g.IdleTimeout, in.longest())/time.Second) + 1})
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
		all = append(all, rule{id: "F8", text: text, have: have, need: terms{need}, strictly: true, severity: severity, causes: causes, field: field, fix: fix, want: want})
	}
	if in.Order == BalancerFirst {
		add("request timeout > idle timeout (I < A)", a, i, "clients see the application's own error before the balancer's 504", "request timeout", "raise the application's request timeout above the idle timeout, or lower that", 0)
	} else {
		add("idle timeout > request timeout (A < I)", i, a, "a silent request ends with the balancer's 504, and the application's own timeout is never seen", "idle timeout", "lower the application's request timeout below the idle timeout, or raise that", 0)
	}
	if !g.drains() {
		return all
	}
	switch in.Order {
	case AppFirst:
		add("deregistration delay > idle timeout (I < D)", d, i, "the timeout order app-first is A < I < D", fieldDelay, "", delay)
	case BalancerFirst:
		add("deregistration delay > request timeout (A < D)", d, a, "the timeout order balancer-first is I < A < D", fieldDelay, "", delay)
	default:
		severity = ""
	}
	all = append(all, rule{id: "F8", text: "deregistration delay >= P + min(A, R) + M", have: d, need: terms{g.propagation, min(a, in.longest()), in.Margin}, severity: severity,
		causes: "the balancer aborts requests before the application's timeout does", field: fieldDelay, want: delay})
	return all
}

// rolloutRules are about replacing pods: F10 to F14, F18.
func (in Inputs) rolloutRules(p Plan, b bounds) (all []rule) {
	if in.Replicas > 0 {
		all = append(all,
			rule{id: "F10", text: "replicas >= 2", have: time.Duration(in.Replicas) * time.Second, need: terms{2 * time.Second}, unit: "pods", severity: Warning,
				causes: "an eviction or a lost node leaves nobody to answer (503)", field: "replicas", want: 2},
			rule{id: "F10", text: "maxSurge >= 1", have: time.Duration(in.Surge) * time.Second, need: terms{time.Second}, unit: "pods", severity: Warning,
				causes: "an old pod goes before its replacement is there", field: "maxSurge", fix: "keep spare replicas, or surge where the workload can"})
	}
	if b.ready > 0 {
		r := rule{id: "F12", text: "minReadySeconds >= max(10, h)", have: b.ready.Duration(), need: terms{b.needReady}, severity: Warning,
			causes: "healthy is reported before every node of the balancer routes to the pod", field: "minReadySeconds", want: p.MinReady}
		if in.NoGate {
			r.id, r.text, r.severity, r.causes = "F11", "minReadySeconds >= L + T_reg + h + t + M", Error, "without a readiness gate old pods leave before new ones are in rotation (503)"
		}
		all = append(all, r)
		if b.slowStart > 0 {
			all = append(all, rule{id: "F18", text: "minReadySeconds >= slow_start", have: b.ready.Duration(), need: terms{b.slowStart}, severity: Warning,
				causes: "new pods take a reduced share of the requests while old ones leave", field: "minReadySeconds", want: p.MinReady})
		}
	}
	if b.deadline > 0 {
		r := rule{id: "F13", text: "progressDeadlineSeconds >= B + L + T_reg + h + Q + minReadySeconds + M", have: b.deadline.Duration(), severity: Warning,
			need: terms{b.start, in.Margin}, causes: "a healthy rollout is called stuck", field: "progressDeadlineSeconds", want: p.ProgressDeadline}
		if in.Tight {
			r.text, r.need = "progressDeadlineSeconds >= B + L + T_reg + h + Q + minReadySeconds + G + M", terms{b.start, b.grace, in.Margin}
		}
		if b.deadline <= b.ready {
			r.severity, r.causes = Error, "the API server wants more than minReadySeconds"
		}
		all = append(all, r)
	}
	return append(all, rule{id: "F14", text: "gate timeout >= lower bound of the rollout", have: p.GateTimeout.Duration(), need: terms{p.GateTimeoutLowerBound.Duration()}, severity: Warning,
		causes: "the gate gives up on a rollout that is healthy", field: "gate-timeout", want: p.GateTimeoutLowerBound})
}
