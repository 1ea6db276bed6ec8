// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

// Snapshot is what one poll saw of one workload. Unknown says what could not
// be read: nothing is concluded from a poll with a gap.
type Snapshot struct {
	At      time.Time
	Unknown []string
	Missing bool // the workload does not exist
	// Superseded says how the object is not the one that was applied.
	Superseded string
	PodsKnown  bool   // Pods is all there is
	Complete   string // what the rollout still lacks; empty: complete
	Stalled    string // message of ProgressDeadlineExceeded
	Desired    int
	Pods       []Pod
	Groups     []Group
}

// Pod is one pod of the workload.
type Pod struct {
	UID, Name, IP string
	New           bool // of the newest template
	Ready         bool
	Created       time.Time
	Deleted       time.Time         // when its deletion was accepted; zero: not terminating
	Gates         map[string]string // readiness gates and their status
	Waiting       string            // worst reason of a waiting container
	Detail        string            // what the kubelet says about it
	Restarts      int
	Ended         time.Time // first container's end while terminating
	Killed        bool
	Containers    []string
	Ports         map[string]int // by name, to resolve a Service's targetPort
}

// Group is one target group of the workload's Services.
type Group struct {
	ARN, Binding string // Binding: name of its TargetGroupBinding
	TargetPort   string // number or name
	Known        bool
	Targets      []Target
}

// port is the port of a pod in a group.
func (g Group) port(p Pod) int {
	if n, err := strconv.Atoi(g.TargetPort); err == nil {
		return n
	}
	return p.Ports[g.TargetPort]
}

func str(obj map[string]any, path ...string) string {
	s, _, _ := unstructured.NestedString(obj, path...)
	return s
}

func num(obj map[string]any, path ...string) int64 {
	n, _, _ := unstructured.NestedInt64(obj, path...)
	return n
}

func list(obj map[string]any, path ...string) (items []map[string]any) {
	raw, _, _ := unstructured.NestedSlice(obj, path...)
	for _, r := range raw {
		if m, ok := r.(map[string]any); ok {
			items = append(items, m)
		}
	}
	return items
}

// look asks the cluster and the balancer about one workload.
func (w *waiting) look(ctx context.Context, t *track) Snapshot {
	s := Snapshot{At: time.Now()}
	unknown := func(what string, err error) { s.Unknown = append(s.Unknown, what+": "+err.Error()) }
	wl := t.workload
	obj, err := w.cluster.Get(ctx, wl.APIVersion, wl.Kind, wl.Namespace, wl.Name)
	switch {
	case err != nil:
		unknown("reading "+wl.ID(), err)
		return s
	case obj == nil:
		s.Missing = true
		return s
	}
	if s.Superseded = superseded(wl, obj); s.Superseded != "" {
		return s
	}
	if want := max(wl.Generation, obj.GetGeneration()); num(obj.Object, "status", "observedGeneration") < want {
		s.Desired, s.Complete = 1, fmt.Sprintf("its controller has not seen generation %d yet", want) // nor is it known which pods are new
		return s
	}
	s.Desired, s.Complete, s.Stalled = progress(obj)
	match, _, _ := unstructured.NestedStringMap(obj.Object, "spec", "selector", "matchLabels")
	selector := labels.SelectorFromSet(match).String()
	current, owners, err := w.newest(ctx, obj, selector)
	if err != nil {
		unknown("finding the newest template of "+wl.ID(), err)
		return s
	}
	pods, err := w.cluster.List(ctx, "v1", "Pod", wl.Namespace, selector)
	if err != nil {
		unknown("listing the pods of "+wl.ID(), err)
		return s
	}
	s.PodsKnown = true
	for _, p := range pods {
		phase := str(p.Object, "status", "phase") // an evicted pod stays listed, though nothing of it runs
		if over := phase == "Failed" || phase == "Succeeded"; (owned(&p, owners) || t.pods[string(p.GetUID())] != nil) && (!over || p.GetDeletionTimestamp() != nil) {
			s.Pods = append(s.Pods, readPod(&p, current))
		}
	}
	if wl.Behind {
		if err := w.findGroups(ctx, t, obj); err != nil {
			unknown("finding the target groups of "+wl.ID(), err)
		}
		for _, g := range t.groups {
			if g.Targets, err = w.balancer.TargetHealth(ctx, g.ARN); err != nil {
				unknown("asking for the target health of "+g.Binding, err)
			} else {
				g.Known = true
			}
			s.Groups = append(s.Groups, g)
		}
	}
	return s
}

// superseded tells whether somebody has changed what was applied since: the
// pods would not be ours, however healthy.
func superseded(wl Workload, obj *unstructured.Unstructured) string {
	if wl.UID != "" && wl.UID != string(obj.GetUID()) {
		return "it was deleted and made again by somebody else"
	}
	live := map[string]bool{}
	for _, field := range []string{"containers", "initContainers"} {
		for _, c := range list(obj.Object, "spec", "template", "spec", field) {
			live[str(c, "image")] = true
		}
	}
	for _, image := range wl.Images {
		if !live[image] {
			return "its template does not name " + image + " any more: another deploy or a rollback has changed it"
		}
	}
	return ""
}

// newest tells how the pods of the newest template are marked (label and
// value), and the UIDs that own the workload's pods.
func (w *waiting) newest(ctx context.Context, obj *unstructured.Unstructured, selector string) (mark [2]string, owners map[string]bool, err error) {
	owners = map[string]bool{string(obj.GetUID()): true}
	switch obj.GetKind() {
	case "StatefulSet":
		return [2]string{"controller-revision-hash", str(obj.Object, "status", "updateRevision")}, owners, nil
	case "DaemonSet":
		return [2]string{"pod-template-generation", obj.GetAnnotations()["deprecated.daemonset.template.generation"]}, owners, nil
	}
	sets, err := w.cluster.List(ctx, "apps/v1", "ReplicaSet", obj.GetNamespace(), selector)
	if err != nil {
		return mark, nil, err
	}
	const revision = "deployment.kubernetes.io/revision"
	for _, set := range sets {
		if !owned(&set, map[string]bool{string(obj.GetUID()): true}) {
			continue
		}
		owners[string(set.GetUID())] = true
		if rev := set.GetAnnotations()[revision]; rev != "" && rev == obj.GetAnnotations()[revision] {
			mark = [2]string{"pod-template-hash", set.GetLabels()["pod-template-hash"]}
		}
	}
	return mark, owners, nil
}

func owned(obj *unstructured.Unstructured, owners map[string]bool) bool {
	for _, ref := range obj.GetOwnerReferences() {
		if owners[string(ref.UID)] {
			return true
		}
	}
	return false
}

// progress reads how far a rollout is: what it lacks, in words.
func progress(obj *unstructured.Unstructured) (desired int, lacks, stalled string) {
	o := obj.Object
	want := int64(1)
	if n, found, _ := unstructured.NestedInt64(o, "spec", "replicas"); found {
		want = n
	}
	updated, ready, total := num(o, "status", "updatedReplicas"), num(o, "status", "readyReplicas"), num(o, "status", "replicas")
	available := num(o, "status", "availableReplicas")
	if obj.GetKind() == "DaemonSet" {
		want, updated = num(o, "status", "desiredNumberScheduled"), num(o, "status", "updatedNumberScheduled")
		ready, available, total = num(o, "status", "numberReady"), num(o, "status", "numberAvailable"), num(o, "status", "currentNumberScheduled")
	}
	for _, c := range list(o, "status", "conditions") {
		if str(c, "type") == "Progressing" && str(c, "reason") == "ProgressDeadlineExceeded" {
			stalled = str(c, "message")
		}
	}
	if paused, _, _ := unstructured.NestedBool(o, "spec", "paused"); paused {
		stalled = "spec.paused is true: nothing rolls out until somebody resumes it"
	}
	switch {
	case updated < want:
		lacks = fmt.Sprintf("%d of %d pods are of the new version", updated, want)
	case total > updated:
		lacks = fmt.Sprintf("%d pods of the old version run", total-updated)
	case ready < want:
		lacks = fmt.Sprintf("%d of %d pods are ready", ready, want)
	case available < want:
		lacks = fmt.Sprintf("%d of %d pods have been ready for minReadySeconds", available, want)
	}
	return int(want), lacks, stalled
}

// readPod takes out of a pod what the judge needs.
func readPod(obj *unstructured.Unstructured, mark [2]string) Pod {
	p := Pod{
		UID: string(obj.GetUID()), Name: obj.GetName(), IP: str(obj.Object, "status", "podIP"), Created: obj.GetCreationTimestamp().Time,
		New: mark[1] != "" && obj.GetLabels()[mark[0]] == mark[1], Gates: map[string]string{}, Ports: map[string]int{},
	}
	if at := obj.GetDeletionTimestamp(); at != nil { // the time when it will be gone at the latest
		p.Deleted = at.Time
		if grace := obj.GetDeletionGracePeriodSeconds(); grace != nil {
			p.Deleted = at.Add(-time.Duration(*grace) * time.Second)
		}
	}
	status := map[string]string{}
	for _, c := range list(obj.Object, "status", "conditions") {
		status[str(c, "type")] = str(c, "status")
		if str(c, "type") == "PodScheduled" && str(c, "status") == "False" {
			p.Waiting, p.Detail = str(c, "reason"), str(c, "message")
		}
	}
	p.Ready = status["Ready"] == "True"
	for _, g := range list(obj.Object, "spec", "readinessGates") {
		name := str(g, "conditionType")
		p.Gates[name] = status[name]
	}
	for _, field := range []string{"containers", "initContainers"} {
		for _, c := range list(obj.Object, "spec", field) {
			p.Containers = append(p.Containers, str(c, "name"))
			for _, port := range list(c, "ports") {
				p.Ports[str(port, "name")] = int(num(port, "containerPort"))
			}
		}
	}
	for _, field := range []string{"containerStatuses", "initContainerStatuses"} {
		for _, c := range list(obj.Object, "status", field) {
			p.container(c, field == "containerStatuses")
		}
	}
	return p
}

// container takes one container's status in.
func (p *Pod) container(c map[string]any, main bool) {
	p.Restarts = max(p.Restarts, int(num(c, "restartCount")))
	if reason := str(c, "state", "waiting", "reason"); reason != "" && reason != "ContainerCreating" && reason != "PodInitializing" {
		p.Waiting, p.Detail = reason, str(c, "state", "waiting", "message")
	}
	if ended, err := time.Parse(time.RFC3339, str(c, "state", "terminated", "finishedAt")); err == nil && main && !p.Deleted.IsZero() {
		if p.Ended.IsZero() || ended.Before(p.Ended) {
			p.Ended = ended
		}
		p.Killed = p.Killed || num(c, "state", "terminated", "exitCode") == 137
	}
}

// bindingVersions are the API groups of TargetGroupBindings: the controller's
// own and EKS Auto Mode's.
var bindingVersions = []string{"elbv2.k8s.aws/v1beta1", "eks.amazonaws.com/v1"}

// findGroups goes from the workload's pods to Services to target group
// bindings. It is asked anew at each poll, since the first deploy makes them.
func (w *waiting) findGroups(ctx context.Context, t *track, obj *unstructured.Unstructured) error {
	podLabels, _, _ := unstructured.NestedStringMap(obj.Object, "spec", "template", "metadata", "labels")
	services, err := w.cluster.List(ctx, "v1", "Service", obj.GetNamespace(), "")
	if err != nil {
		return err
	}
	ports := map[string][]map[string]any{}
	for _, s := range services {
		selector, found, _ := unstructured.NestedStringMap(s.Object, "spec", "selector")
		if found && len(selector) > 0 && labels.SelectorFromSet(selector).Matches(labels.Set(podLabels)) {
			ports[s.GetName()] = list(s.Object, "spec", "ports")
		}
	}
	var groups []Group
	for _, version := range bindingVersions {
		bindings, err := w.cluster.List(ctx, version, "TargetGroupBinding", obj.GetNamespace(), "")
		if meta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return err
		}
		for _, b := range bindings {
			service, arn := str(b.Object, "spec", "serviceRef", "name"), str(b.Object, "spec", "targetGroupARN")
			if servicePorts, ok := ports[service]; ok && arn != "" && b.GetDeletionTimestamp() == nil && str(b.Object, "spec", "targetType") != "instance" {
				groups = append(groups, Group{ARN: arn, Binding: b.GetName(), TargetPort: targetPort(servicePorts, b.Object)})
			}
		}
	}
	t.groups = groups
	return nil
}

// targetPort finds the Service port that a binding names (by number or name)
// and gives its target port.
func targetPort(ports []map[string]any, binding map[string]any) string {
	ref, _, _ := unstructured.NestedFieldNoCopy(binding, "spec", "serviceRef", "port")
	want := fmt.Sprint(ref)
	for _, p := range ports {
		if want != fmt.Sprint(p["port"]) && want != str(p, "name") {
			continue
		}
		if target := fmt.Sprint(p["targetPort"]); p["targetPort"] != nil && target != "0" && target != "" {
			return target
		}
		return fmt.Sprint(p["port"])
	}
	return want
}
