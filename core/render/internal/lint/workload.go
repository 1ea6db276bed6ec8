// SPDX-License-Identifier: Apache-2.0

// Package lint looks for what no timing cures, or what has nothing to do with
// one: probes, images, budgets, classes, annotations that conflict.
package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/hook"
	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
)

// Checker adds to a list of problems.
type Checker struct {
	*problem.List
	Graph  *graph.Graph
	Pinned []string // names of images that are pinned by digest later
	Zones  int      // that the cluster's nodes are in; 0: nobody has counted
}

// Workload judges one behind a balancer, of which at least so many pods may run.
func (a *Checker) Workload(w *graph.Workload, least int) {
	a.owned(w)
	a.scale(w, least)
	a.probes(w)
	a.images(w)
	a.budget(w, least)
	a.zones(w, least)
	if field, blocked := node.BlockedPorts(w.Spec); blocked {
		a.Find("OL033", w.Pods, node.Path(node.TemplatePath(w.Pods.GetKind()))+"."+field, "pods that take ports of their node: a new one cannot start beside the old one there", "leave out "+field+"; targets of type ip need no ports of the node")
	}
	for _, c := range node.Containers(w.Spec) {
		a.process1(w, c)
	}
	for _, t := range w.Groups {
		a.targetType(t)
		a.attributes(t)
		if t.Shared.Value == "true" {
			a.Find("OL056", t.Shared.Object, t.Shared.Field, "the target group is shared with other clusters: requests go to their pods, too, whose timings nobody judges here, and only targets of these pods are waited for",
				"nothing, if that is wanted; let every cluster have the same deregistration delay, and deploy to one after the other")
		}
	}
	a.several(w)
	for _, t := range w.Groups {
		if node.Str(t.Service, "spec", "publishNotReadyAddresses") == "true" {
			a.Find("OL021", t.Service, "spec.publishNotReadyAddresses", "a terminating pod stays registered until it is gone, so requests are lost whatever the timings", "leave the field out; where pods have to find one another before they are ready, give that a headless Service of its own")
		}
	}
}

// several tells of pods in more target groups than one.
func (a *Checker) several(w *graph.Workload) {
	count := 0
	var names []string
	for _, t := range w.Groups {
		name := t.Name()
		if n := t.Count(); n > 1 {
			name += fmt.Sprintf(" on %d ports", n)
		}
		names, count = append(names, name), count+t.Count()
	}
	if count > 1 {
		a.Find("OL050", w.RNode, "", fmt.Sprintf("the pods are in %d target groups (%s): each has to pass before a rollout goes on, and preStop and grace are those of the slowest", count, strings.Join(names, ", ")), "nothing, if that is wanted")
	}
}

// owned leaves the replicas to an autoscaler.
func (a *Checker) owned(w *graph.Workload) {
	if scaler := a.Graph.Autoscaler(w); scaler != nil && node.Str(w.RNode, "spec", "replicas") != "" {
		a.Edit("OL032", w.RNode, node.ID(scaler)+" owns the replicas: writing them, too, resets with each deploy what it decided",
			problem.Edit{Path: []string{"spec", "replicas"}, From: node.Str(w.RNode, "spec", "replicas"), To: "", Why: "the autoscaler owns the field"}).Fix = "leave the field out; where a client-side kubectl apply deploys, run kubectl apply edit-last-applied first and take it out there, or the next apply sets it to 1"
	}
}

func (a *Checker) scale(w *graph.Workload, least int) {
	if least < 2 && w.GetKind() != "DaemonSet" {
		seen, fix := "one replica", "run at least 2"
		if least == 0 {
			seen = "no replica"
		} else if a.Graph.Autoscaler(w) == nil && node.Str(w.RNode, "spec", "replicas") == "" {
			seen, fix = "replicas is not set, which means one", "run at least 2; or put the autoscaler that owns the field among the manifests"
		}
		if a.Graph.Autoscaler(w) != nil {
			seen = "the autoscaler may leave " + seen
		}
		told := ": rollouts are fine, but an eviction or a lost node leaves nobody to answer (503)"
		if _, blocked := node.BlockedPorts(w.Spec); blocked || w.GetKind() == "StatefulSet" || node.Str(w.RNode, "spec", "strategy", "type") == "Recreate" {
			told = ": a rollout, an eviction or a lost node leaves nobody to answer (503)"
		}
		if seen == "no replica" {
			told = ": nobody answers (503)"
		}
		a.Find("OL031", w.RNode, "spec.replicas", seen+told, fix)
	}
}

func (a *Checker) probes(w *graph.Workload) {
	prefix := node.Path(node.TemplatePath(w.Pods.GetKind())) + ".containers"
	var ready []*yaml.RNode
	for _, c := range node.Containers(w.Spec) {
		probe, live := node.At(c, "readinessProbe"), node.At(c, "livenessProbe")
		if probe == nil {
			continue
		}
		ready = append(ready, probe)
		if live != nil && sameProbe(probe, live) {
			a.Find("OL029", w.Pods, prefix+"["+node.Str(c, "name")+"].livenessProbe", "readiness and liveness ask the same: a pod that is busy for a while is restarted, and its requests are cut, instead of being left alone until it has caught up",
				"let liveness ask something that only fails when a restart helps, or make it wait longer")
		}
	}
	if len(ready) == 0 {
		a.Find("OL028", w.Pods, prefix, "no container has a readinessProbe: a pod counts as ready before it can answer", "add a readinessProbe with the path of the balancer's health check")
		return
	}
	for _, t := range w.Groups {
		path := t.Health.Path
		if path == "" || t.Balancer == drain.Instance && t.Maker == graph.ByHand {
			continue
		}
		path, _, _ = strings.Cut(path, "?")
		if !slices.ContainsFunc(ready, func(p *yaml.RNode) bool {
			got, _, _ := strings.Cut(node.Str(p, "httpGet", "path"), "?")
			return node.At(p, "httpGet") == nil || cmp.Or(got, "/") == path
		}) {
			at := asked(t, "healthcheck-path")
			a.Find("OL030", at.Object, at.Field, fmt.Sprintf("the balancer asks %s, the readinessProbe of %s does not: the two may disagree about a pod", path, w.ID()), "let both ask one path, which stays 200 until SIGTERM")
		}
	}
}

// sameProbe compares what is asked and how patiently.
func sameProbe(a, b *yaml.RNode) bool {
	for _, handler := range []string{"httpGet", "tcpSocket", "exec", "grpc"} {
		x, y := text(node.At(a, handler)), text(node.At(b, handler))
		if x != y {
			return false
		}
	}
	wait := func(p *yaml.RNode) int {
		period, ok1 := node.Int(p, "periodSeconds")
		times, ok2 := node.Int(p, "failureThreshold")
		if !ok1 {
			period = 10
		}
		if !ok2 {
			times = 3
		}
		return period * times
	}
	return wait(b) <= wait(a)
}

func text(n *yaml.RNode) string {
	if n == nil {
		return ""
	}
	json, err := n.MarshalJSON()
	if err != nil {
		return ""
	}
	return string(json)
}

func (a *Checker) images(w *graph.Workload) {
	for _, list := range []string{"containers", "initContainers"} {
		for _, c := range node.Elements(w.Spec, list) {
			image := node.Str(c, "image")
			if image == "" || strings.Contains(image, "@sha256:") || slices.Contains(a.Pinned, node.ImageName(image)) {
				continue
			}
			tag := strings.TrimPrefix(strings.TrimPrefix(image, node.ImageName(image)), ":")
			field := node.Path(node.TemplatePath(w.Pods.GetKind())) + "." + list + "[" + node.Str(c, "name") + "].image"
			if tag == "" || tag == "latest" {
				a.Find("OL034", w.Pods, field, fmt.Sprintf("image %s may be another one tomorrow: pods of one rollout, and of a rollback, may differ", image), "pin it by digest: list it under images in outlast.yaml, or write name@sha256:...").Severity = drain.Warning
				continue
			}
			a.Find("OL034", w.Pods, field, fmt.Sprintf("image %s is named by a tag, which can be moved", image), "pin it by digest")
		}
	}
}

// budget: node drains obey disruption budgets; rollouts do not.
func (a *Checker) budget(w *graph.Workload, least int) {
	switch found := a.Graph.Budget(w); {
	case found == nil && least >= 2 && w.GetKind() != "DaemonSet":
		a.Find("OL035", w.RNode, "", "no PodDisruptionBudget matches these pods: draining nodes may take all of them at once (503); rollouts do not need one", "add one with maxUnavailable: 1")
	case found != nil:
		a.budgetBlocks(found, least)
	}
}

func (a *Checker) budgetBlocks(b *yaml.RNode, least int) {
	if n := node.Str(b, "spec", "maxUnavailable"); n == "0" || n == "0%" {
		a.Find("OL036", b, "spec.maxUnavailable", "maxUnavailable is 0: no pod may ever be evicted, so nodes cannot be drained, and somebody will force it", "write maxUnavailable: 1")
		return
	}
	min := node.Str(b, "spec", "minAvailable")
	if n, err := node.Resolve(min, least, true); min != "" && err == nil && n >= least && n > 0 {
		a.Find("OL036", b, "spec.minAvailable", fmt.Sprintf("minAvailable is %s of at least %s: no pod may be evicted, so nodes cannot be drained", min, strconv.Itoa(least)), "write maxUnavailable: 1 instead, which grows with the replicas")
		return
	}
	if node.Str(b, "spec", "unhealthyPodEvictionPolicy") != "AlwaysAllow" {
		a.Find("OL036", b, "spec.unhealthyPodEvictionPolicy", "unhealthyPodEvictionPolicy is not AlwaysAllow: while too few pods are healthy, those that are not cannot be evicted either, so one that crashes keeps its node from being drained", "write unhealthyPodEvictionPolicy: AlwaysAllow (Kubernetes 1.27 and newer)").Severity = drain.Info
	}
}

// process1: a shell that starts the application as its child gets SIGTERM and
// does not pass it on.
func (a *Checker) process1(w *graph.Workload, c *yaml.RNode) {
	for _, field := range []string{"command", "args"} {
		var words []string
		for _, e := range node.Elements(c, field) {
			words = append(words, e.YNode().Value)
		}
		if len(words) != 3 || !hook.Shell.MatchString(words[0]) || !strings.HasPrefix(words[1], "-") || !strings.HasSuffix(words[1], "c") || hook.Forwards(words[0], words[2]) {
			continue
		}
		a.Find("OL041", w.Pods, node.Path(node.TemplatePath(w.Pods.GetKind()))+".containers["+node.Str(c, "name")+"]."+field, "a shell is process 1, starts the application as its child (dash, which is sh on Debian, does so for a lone command, too), and does not pass SIGTERM on: the application never hears of the shutdown and is killed when the grace is over",
			"start the application with exec, or as the container's command")
	}
}
