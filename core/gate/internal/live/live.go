// SPDX-License-Identifier: Apache-2.0

// Package live reads a cluster: a workload goes in, and what one look saw of it, of
// its pods and of the target groups in front of them comes out. What cannot be
// read is said to be unknown.
package live

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outlast-ci/outlast/core/gate/internal/history"
	"github.com/outlast-ci/outlast/core/gate/internal/model"
	"github.com/outlast-ci/outlast/core/internal/manifest"
)

// Reader looks at one cluster and remembers what need not be asked each time.
type Reader struct {
	Cluster model.Cluster
	Finder  *Finder

	events map[string]newest // by namespace
	found  map[string]found  // by workload
}

// found is what leads to a workload, and when it was asked for.
type found struct {
	Found
	at time.Time
}

// findEach is how often the groups of a workload that has some are looked for.
const findEach = 5 * time.Second

// NewReader makes one; the balancer names and describes target groups, and may be nil
// where none is needed.
func NewReader(cluster model.Cluster, balancer model.Balancer) *Reader {
	return &Reader{Cluster: cluster, Finder: NewFinder(cluster, balancer), events: map[string]newest{}, found: map[string]found{}}
}

// Look asks the cluster about one workload.
func (r *Reader) Look(ctx context.Context, t *history.Track) model.Snapshot {
	s := model.Snapshot{From: time.Now()}
	r.look(ctx, t, &s)
	s.At = time.Now()
	return s
}

func (r *Reader) look(ctx context.Context, t *history.Track, s *model.Snapshot) {
	wl := t.Workload
	unknown := func(what string, err error) { s.Unknown = append(s.Unknown, what+": "+err.Error()) }
	obj, err := r.Cluster.Get(ctx, wl.APIVersion, wl.Kind, wl.Namespace, wl.Name)
	switch {
	case err != nil:
		unknown("reading "+wl.ID(), err)
		return
	case obj == nil:
		s.Missing = true
		return
	}
	if s.Superseded = superseded(wl, obj); s.Superseded != "" {
		return
	}
	if want := max(wl.Generation, obj.GetGeneration()); observed(obj) < want {
		s.Desired, s.Complete = 1, fmt.Sprintf("its controller has not seen generation %d yet", want) // nor is it known which pods are new
		return
	}
	progress(obj, s)
	current, all, err := r.pods(ctx, obj, t.Knows)
	if err != nil {
		unknown("listing the pods of "+wl.ID(), err)
		return
	}
	s.PodsKnown = true
	if wl.Stays != (model.Mark{}) {
		current = mark{wl.Stays.Label, wl.Stays.Value}
		s.Stalled, s.Refused = "", "" // said of others than those that stay
	}
	obj = marked(obj, current)
	if earlier(s.Stalled, current) {
		s.Stalled = ""
	}
	var labelled []labels.Set
	for _, p := range all {
		s.Pods = append(s.Pods, readPod(&p, current))
		labelled = append(labelled, p.GetLabels())
	}
	r.troubles(ctx, obj, s)
	if !wl.Behind {
		return
	}
	f := r.found[wl.ID()]
	if now := time.Now(); len(f.Groups) == 0 || now.Sub(f.at) >= findEach {
		if f.Found, err = r.Finder.Find(ctx, obj, labelled); err != nil {
			unknown("finding the target groups of "+wl.ID(), err)
			return
		}
		f.at = now
		r.found[wl.ID()] = f
	}
	s.Groups, s.GroupsKnown, s.Warnings = f.Groups, true, f.Warnings
	if t.Disputed() {
		if s.Others, err = r.others(ctx, wl.Namespace, f.Selectors); err != nil {
			s.Others = t.Last.Others // whose an address is does not change while nobody can tell
			unknown("listing the pods behind the Services of "+wl.ID(), err)
		}
	}
}

// marked is a workload whose template has the mark of its pods, as these have: a Service
// may select by it.
func marked(obj *unstructured.Unstructured, m mark) *unstructured.Unstructured {
	out := obj.DeepCopy()
	if err := unstructured.SetNestedField(out.Object, m.value, "spec", "template", "metadata", "labels", m.label); err != nil || m == (mark{}) {
		return obj // it has no template, or its newest pods are not known yet
	}
	return out
}

// pods lists those of a workload: its own, and those that are known already,
// whose owner may be gone. One that has ended for good counts while it is deleted only:
// an evicted pod stays listed, though nothing of it runs.
func (r *Reader) pods(ctx context.Context, obj *unstructured.Unstructured, knows func(uid string) bool) (current mark, out []unstructured.Unstructured, err error) {
	match, _, _ := unstructured.NestedStringMap(obj.Object, "spec", "selector", "matchLabels")
	selector := labels.SelectorFromSet(match).String()
	current, owners, err := r.newest(ctx, obj, selector)
	if err != nil {
		return current, nil, err
	}
	all, err := r.Cluster.List(ctx, "v1", "Pod", obj.GetNamespace(), selector)
	for _, p := range all {
		phase := str(p.Object, "status", "phase")
		over := (phase == "Failed" || phase == "Succeeded") && p.GetDeletionTimestamp() == nil
		if (manifest.OwnedBy(&p, owners) || knows(string(p.GetUID()))) && !over {
			out = append(out, p)
		}
	}
	return current, out, err
}

// others lists the live pods behind Services, whosever they are.
func (r *Reader) others(ctx context.Context, namespace string, selectors []labels.Set) (out []model.Pod, err error) {
	for _, selector := range selectors {
		all, err := r.Cluster.List(ctx, "v1", "Pod", namespace, labels.SelectorFromSet(selector).String())
		if err != nil {
			return nil, err
		}
		for _, p := range all {
			out = append(out, readPod(&p, mark{}))
		}
	}
	return out, nil
}

// observed is the generation that the workload's controller has seen; Argo Rollouts
// writes it as text.
func observed(obj *unstructured.Unstructured) int64 {
	if text := str(obj.Object, "status", "observedGeneration"); text != "" {
		n, _ := strconv.ParseInt(text, 10, 64) // what is no number is none
		return n
	}
	return num(obj.Object, "status", "observedGeneration")
}

// superseded tells whether somebody has changed what was applied since: the
// pods would not be ours, however healthy.
func superseded(wl model.Workload, obj *unstructured.Unstructured) string {
	if wl.UID != "" && wl.UID != string(obj.GetUID()) {
		return "it was deleted and made again by somebody else"
	}
	live := Images(obj)
	for _, image := range wl.Images {
		if !slices.Contains(live, image) {
			return "its template does not name " + image + " any more: another deploy or a rollback has changed it"
		}
	}
	return ""
}

// Images are those that a workload's template names.
func Images(obj *unstructured.Unstructured) (images []string) {
	for _, field := range []string{"containers", "initContainers"} {
		for _, c := range list(obj.Object, "spec", "template", "spec", field) {
			images = append(images, str(c, "image"))
		}
	}
	return images
}

// mark is the label that the pods of the newest template have.
type mark struct{ label, value string }

// newest tells how the pods of the newest template are marked, and the UIDs that own
// the workload's pods.
func (r *Reader) newest(ctx context.Context, obj *unstructured.Unstructured, selector string) (current mark, owners map[string]bool, err error) {
	uid := string(obj.GetUID())
	owners = map[string]bool{uid: true}
	hash := "pod-template-hash"
	switch obj.GetKind() {
	case "StatefulSet":
		return mark{"controller-revision-hash", str(obj.Object, "status", "updateRevision")}, owners, nil
	case "DaemonSet":
		return mark{"pod-template-generation", obj.GetAnnotations()["deprecated.daemonset.template.generation"]}, owners, nil
	case "Rollout":
		hash = "rollouts-pod-template-hash"
		current = mark{hash, str(obj.Object, "status", "currentPodHash")}
	}
	sets, err := r.Cluster.List(ctx, "apps/v1", "ReplicaSet", obj.GetNamespace(), selector)
	if err != nil {
		return current, nil, fmt.Errorf("finding the newest template: %w", err)
	}
	const revision = "deployment.kubernetes.io/revision"
	mine := map[string]bool{uid: true}
	for _, set := range sets {
		if !manifest.OwnedBy(&set, mine) {
			continue
		}
		owners[string(set.GetUID())] = true
		if rev := set.GetAnnotations()[revision]; obj.GetKind() == "Deployment" && rev != "" && rev == obj.GetAnnotations()[revision] {
			current = mark{hash, set.GetLabels()[hash]}
		}
	}
	return current, owners, nil
}

// str, num and list read a field of an object; what is not there is empty.
func str(obj map[string]any, path ...string) string {
	s, _, _ := unstructured.NestedString(obj, path...)
	return s
}

func num(obj map[string]any, path ...string) int64 {
	n, _, _ := unstructured.NestedInt64(obj, path...)
	return n
}

func list(obj map[string]any, path ...string) (items []map[string]any) {
	raw, _, _ := unstructured.NestedFieldNoCopy(obj, path...)
	all, _ := raw.([]any)
	for _, r := range all {
		if m, ok := r.(map[string]any); ok {
			items = append(items, m)
		}
	}
	return items
}

// unique keeps one of each.
func unique(all []string) []string {
	set := map[string]bool{}
	for _, s := range all {
		set[s] = true
	}
	return slices.Sorted(maps.Keys(set))
}
