// SPDX-License-Identifier: Apache-2.0

package timing

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
	"github.com/outlast-ci/outlast/core/render/internal/strategy"
)

// rollout asks for the fields that decide when old pods may go.
func (a *Analysis) rollout(s *Subject) {
	field := func(rule, name string, have *drain.Seconds, want drain.Seconds, why string) {
		from, seen := "", "is not set"
		if have != nil {
			from, seen = num(*have), "is "+have.String()
		}
		a.Edit(rule, s.RNode, fmt.Sprintf("%s %s: %s; it needs %s", name, seen, why, want),
			problem.Edit{Path: []string{"spec", name}, Value: node.Number(want), From: from, To: num(want), Weight: int64(want), Why: why})
	}
	if s.minReady == nil && s.Plan.MinReady > 0 || s.minReady != nil && *s.minReady < s.Plan.MinReady {
		rule, why := "OL012", "healthy is reported before every node of the balancer routes to the pod"
		switch {
		case s.Plan.Inputs.NoGate:
			rule, why = "OL011", "no readiness gate waits for the balancer, so that only time can"
		case s.inputs.Tight && s.slowStart() >= s.Plan.MinReady.Duration():
			rule, why = "OL018", "a target in slow start is healthy, but takes a reduced share while old pods leave"
		}
		field(rule, "minReadySeconds", s.minReady, s.Plan.MinReady, why)
	}
	if deadline := s.deadline; s.GetKind() == "Deployment" || s.GetKind() == "Rollout" {
		if def := drain.Seconds(defaultProgressDeadline); deadline == nil {
			deadline = &def
		}
		if *deadline < s.Plan.ProgressDeadline {
			field("OL013", "progressDeadlineSeconds", s.deadline, s.Plan.ProgressDeadline, "a rollout that goes well must not be called failed")
		}
	}
	switch s.GetKind() {
	case "StatefulSet":
		a.replaced(s, "spec.updateStrategy", "a StatefulSet has no surge", "keep enough replicas that one may be missing; a Deployment, where the state allows it, loses none")
	case "DaemonSet":
		if a.Nodes == 0 && s.Replicas <= 1 {
			a.Find("OL014", s.RNode, "spec", fmt.Sprintf("a DaemonSet has as many pods as there are nodes, and nobody has told how many: the gate's timeout of %s is for one", s.Plan.GateTimeout), "tell how many: --set N=NODES, or the annotation outlast/set: N=NODES on it; or set a timeout").Severity = drain.Info
		}
		a.daemon(s)
	case "Rollout":
		a.argo(s)
	default:
		if node.Str(s.RNode, "spec", "strategy", "type") == "Recreate" {
			a.Find("OL010", s.RNode, "spec.strategy.type", "Recreate takes all old pods away before the first new one starts: nobody answers meanwhile (503)", "use RollingUpdate")
			return
		}
		a.limits(s)
	}
}

// limits are those of a Deployment and of a canary. Pods that take ports of their node keep
// what their author wrote: with room for one more pod, and none away, the rollout would hang.
func (a *Analysis) limits(s *Subject) {
	if _, blocked := node.BlockedPorts(s.Spec); !blocked {
		a.surge(s, "25%", "25%")
	} else if s.away() > 0 {
		a.replaced(s, node.Path(strategy.Path(s.RNode)), "pods that take ports of their node cannot surge", "leave out hostNetwork and hostPort, or keep more nodes than pods, with maxSurge 1 and maxUnavailable 0")
	}
}

// away is how many pods may be away at once where none surge: of nothing, one.
func (s *Subject) away() int {
	n := strategy.Unavailable(s.RNode, s.Replicas)
	if n == 0 && strategy.Surge(s.RNode, s.Spec, s.Replicas) == 0 {
		return 1
	}
	return n
}

// allAway tells whether maxUnavailable lets every pod go at once.
func (s *Subject) allAway() bool {
	if node.Str(s.RNode, "spec", "updateStrategy", "type") == "OnDelete" { // which asks for no limit
		return false
	}
	of, one := max(2, s.Least), s.Replicas < 2
	if s.GetKind() == "DaemonSet" && s.Least < 2 { // nobody has counted the nodes
		of, one = 100, false
	}
	return !one && strategy.Unavailable(s.RNode, of) >= of
}

// replaced judges a workload whose old pods leave before their replacements start.
func (a *Analysis) replaced(s *Subject, field, why, fix string) {
	scaled := a.Graph.Autoscaler(s.Workload) != nil
	switch {
	case s.GetKind() == "DaemonSet":
		a.Find("OL039", s.RNode, field, why+": on each node the old pod leaves before its replacement starts", fix)
	case s.Least <= 1 && s.Replicas > 0:
		seen, severity := "its one pod", drain.Error
		if scaled {
			seen, severity = "the autoscaler may leave one pod, which", drain.Warning
		}
		a.Find("OL039", s.RNode, field, why+": "+seen+" leaves before its replacement starts, and until that is healthy at the balancer a rollout leaves nobody to answer (503)", "run at least 2, or say why a gap is fine with the annotation outlast/ignore.OL039").Severity = severity
	case s.Replicas > 0:
		seen := fmt.Sprintf("%s: each of its %d pods leaves before its replacement starts", why, s.Replicas)
		if n := s.away(); n > 1 {
			seen += fmt.Sprintf(", up to %d at a time", n)
		}
		a.Find("OL039", s.RNode, field, seen, fix)
	}
	if path, have := strategy.At(s.RNode, "maxUnavailable"); s.allAway() {
		a.Edit("OL010", s.RNode, "maxUnavailable is "+have+": a rollout may take all pods away at once, and none can start before (503)",
			problem.Edit{Path: path, Value: node.Number(1), From: have, To: "1", Why: "the other pods have to answer while one is replaced"})
	}
}

// slowStart is the longest of the target groups.
func (s *Subject) slowStart() time.Duration {
	longest := s.inputs.SlowStart
	for _, g := range s.groups {
		longest = max(longest, g.SlowStart)
	}
	return longest
}

// surge asks for maxUnavailable 0 and room for one more pod. What the author
// wrote and what comes to 0 stays, unless an autoscaler may change that: 25 %
// of 3 is 0, of 4 it is 1.
func (a *Analysis) surge(s *Subject, unavailable, surge string) {
	set := func(path []string, from string, want int, message, why string) *problem.Problem {
		return a.Edit("OL010", s.RNode, message, problem.Edit{Path: path, Value: node.Number(want), From: from, To: strconv.Itoa(want), Why: why})
	}
	p, have := strategy.At(s.RNode, "maxUnavailable")
	percent := strings.HasSuffix(have, "%")
	n, err := node.Resolve(cmp.Or(have, unavailable), s.Replicas, false)
	scaled := a.Graph.Autoscaler(s.Workload) != nil
	if zero := have == "0" || have == "0%"; err != nil || !zero && (have == "" || n > 0 || percent && scaled) {
		seen := "maxUnavailable is " + have
		if have == "" {
			seen = "maxUnavailable is not set, which means " + unavailable
		}
		const why = "old pods must not leave before new ones are healthy at the balancer"
		if have == "" && err == nil && n == 0 && !scaled {
			set(p, have, 0, fmt.Sprintf("%s: of %d pods that is 0, but of 4 it is 1", seen, s.Replicas), why).Severity = drain.Info
		} else {
			set(p, have, 0, seen+": old pods may leave before new ones are healthy at the balancer (503, or too much work for the rest)", why)
		}
	}
	p, have = strategy.At(s.RNode, "maxSurge")
	if n, err := node.Resolve(cmp.Or(have, surge), max(1, s.Least), true); err != nil || n < 1 {
		set(p, have, 1, "maxSurge is "+cmp.Or(have, surge)+": with maxUnavailable 0 a rollout needs room for one more pod", "with maxUnavailable 0 a rollout needs room for one more pod")
	}
}

// daemon: a DaemonSet surges only where its pods do not need the node's ports.
func (a *Analysis) daemon(s *Subject) {
	if node.Str(s.RNode, "spec", "updateStrategy", "type") == "OnDelete" {
		a.Find("OL039", s.RNode, "spec.updateStrategy.type", "OnDelete: whoever deletes the pods decides when they leave", "use RollingUpdate with maxSurge 1 and maxUnavailable 0")
		return
	}
	if _, blocked := node.BlockedPorts(s.Spec); blocked {
		a.replaced(s, "spec.updateStrategy", "pods that take ports of their node cannot surge", "leave out hostNetwork and hostPort, or keep more nodes than one")
		return
	}
	a.surge(s, "1", "0")
}

// argo: Argo Rollouts' canary has the limits of a Deployment; blue/green flips
// a selector.
func (a *Analysis) argo(s *Subject) {
	blueGreen := node.At(s.RNode, "spec", "strategy", "blueGreen")
	if blueGreen == nil {
		a.limits(s)
		return
	}
	a.Find("OL011", s.RNode, "spec.strategy.blueGreen", "new pods start while the active Service does not select them yet, so the controller gives them no readiness gate of its target group",
		"let the argo-rollouts controller check the target group (--aws-verify-target-group), or use the canary strategy with ping-pong Services").Severity = drain.Warning
	delay := 30
	if n, ok := node.Int(blueGreen, "scaleDownDelaySeconds"); ok {
		delay = n
	}
	need := s.Plan.Inputs.ControllerLatency + s.Plan.Inputs.MaxPropagation() + s.Plan.Inputs.Margin
	if want := drain.Seconds((need + 999_999_999) / 1_000_000_000); drain.Seconds(delay) < want {
		a.Edit("OL010", s.RNode, fmt.Sprintf("scaleDownDelaySeconds is %d: old pods are deleted while the balancer still sends to them", delay),
			problem.Edit{Path: []string{"spec", "strategy", "blueGreen", "scaleDownDelaySeconds"}, Value: node.Number(want), From: node.Str(blueGreen, "scaleDownDelaySeconds"), To: num(want), Why: "after the switch the balancer goes on sending to the old pods"})
	}
}
