// SPDX-License-Identifier: Apache-2.0

package timing

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
)

// strategyPath is where a kind keeps the limits of its rolling update.
func strategyPath(n *yaml.RNode) []string {
	switch n.GetKind() {
	case "DaemonSet", "StatefulSet":
		return []string{"spec", "updateStrategy", "rollingUpdate"}
	case "Rollout":
		return []string{"spec", "strategy", "canary"}
	}
	return []string{"spec", "strategy", "rollingUpdate"}
}

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
		a.Find("OL039", s.RNode, "spec.updateStrategy", fmt.Sprintf("a StatefulSet has no surge: each of its %d pods leaves before its replacement starts", s.Replicas), "keep enough replicas that one may be missing; a Deployment, where the state allows it, loses none")
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
		a.surge(s, "25%", "25%")
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
	path := strategyPath(s.RNode)
	at := func(name string) ([]string, string) {
		p := append(append([]string{}, path...), name)
		return p, node.Str(s.RNode, p...)
	}
	set := func(path []string, from string, want int, message, why string) {
		a.Edit("OL010", s.RNode, message, problem.Edit{Path: path, Value: node.Number(want), From: from, To: strconv.Itoa(want), Why: why})
	}
	p, have := at("maxUnavailable")
	percent := strings.HasSuffix(have, "%")
	n, err := node.Resolve(cmp.Or(have, unavailable), s.Replicas, false)
	scaled := a.Graph.Autoscaler(s.Workload) != nil
	if zero := have == "0" || have == "0%"; err != nil || !zero && (have == "" || n > 0 || percent && scaled) {
		seen := "maxUnavailable is " + have
		if have == "" {
			seen = "maxUnavailable is not set, which means " + unavailable
		}
		set(p, have, 0, seen+": old pods may leave before new ones are healthy at the balancer (503, or too much work for the rest)", "old pods must not leave before new ones are healthy at the balancer")
	}
	p, have = at("maxSurge")
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
		a.Find("OL039", s.RNode, "spec.updateStrategy", "pods that take ports of their node cannot surge: on each node the old pod leaves before its replacement starts", "leave out hostNetwork and hostPort, or keep more nodes than one")
		return
	}
	a.surge(s, "1", "0")
}

// argo: Argo Rollouts' canary has the limits of a Deployment; blue/green flips
// a selector.
func (a *Analysis) argo(s *Subject) {
	blueGreen := node.At(s.RNode, "spec", "strategy", "blueGreen")
	if blueGreen == nil {
		a.surge(s, "25%", "25%")
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

// surge resolves maxSurge as the controllers do: percentages rounded up; what
// rules ask for is counted as set.
func surge(n *yaml.RNode, replicas int) int {
	def := "25%"
	switch n.GetKind() {
	case "StatefulSet":
		return 0
	case "DaemonSet":
		def = "0"
		if _, blocked := node.BlockedPorts(node.At(n, "spec", "template", "spec")); blocked {
			return 0
		}
	case "Rollout":
		if node.At(n, "spec", "strategy", "blueGreen") != nil {
			return max(1, replicas)
		}
	}
	v, err := node.Resolve(cmp.Or(node.Str(n, append(append([]string{}, strategyPath(n)...), "maxSurge")...), def), replicas, true)
	if err != nil || v < 1 {
		return 1
	}
	return min(v, 10_000)
}
