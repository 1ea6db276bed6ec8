// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/outlast-ci/outlast/core/internal/manifest"
)

// Content is all of an object but the bookkeeping of the API server itself.
func Content(obj *unstructured.Unstructured) map[string]any {
	c := obj.DeepCopy().Object
	delete(c, "status")
	if m, ok := c["metadata"].(map[string]any); ok {
		delete(m, "managedFields")
		delete(m, "resourceVersion")
		delete(m, "generation")
		if a, ok := m["annotations"].(map[string]any); ok { // a DaemonSet's second generation
			if delete(a, "deprecated.daemonset.template.generation"); len(a) == 0 {
				delete(m, "annotations")
			}
		}
	}
	return c
}

// Same tells whether a dry run gave what is there.
func Same(live, next *unstructured.Unstructured) bool {
	return reflect.DeepEqual(Content(live), Content(next))
}

// SameTemplate tells whether two objects have the same pod template.
func SameTemplate(live, next *unstructured.Unstructured) bool {
	a, _, _ := unstructured.NestedMap(live.Object, "spec", "template")
	b, _, _ := unstructured.NestedMap(next.Object, "spec", "template")
	return reflect.DeepEqual(a, b)
}

// Lister lists the objects of a kind that match a label selector.
type Lister interface {
	List(ctx context.Context, apiVersion, kind, namespace, labels string) ([]unstructured.Unstructured, error)
}

// Pods are the pods of a workload as they were listed, and the ReplicaSets between.
type Pods struct {
	workload   *unstructured.Unstructured
	sets, pods []unstructured.Unstructured
}

// PodsOf lists the pods of a workload.
func PodsOf(ctx context.Context, cluster Lister, workload *unstructured.Unstructured) (Pods, error) {
	p := Pods{workload: workload}
	selector, err := selectorOf(workload)
	if err != nil {
		return p, fmt.Errorf("reading spec.selector of %s: %w", ID(workload), err)
	}
	if workload.GetKind() == "Deployment" {
		if p.sets, err = cluster.List(ctx, "apps/v1", "ReplicaSet", workload.GetNamespace(), selector); err != nil {
			return p, err
		}
		for _, set := range p.sets { // else no set's template is the workload's
			unstructured.RemoveNestedField(set.Object, "spec", "template", "metadata", "labels", "pod-template-hash")
		}
	}
	p.pods, err = cluster.List(ctx, "v1", "Pod", workload.GetNamespace(), selector)
	return p, err
}

// Replaced are those that the workload's next template replaces, by ownership: directly,
// or through its ReplicaSets. Pods of a set that has the next template already stay: so it
// is when a rollout that hangs is undone.
func (p Pods) Replaced(next *unstructured.Unstructured) (pods []unstructured.Unstructured) {
	if p.workload == nil || SameTemplate(p.workload, next) {
		return nil
	}
	owners := map[string]bool{string(p.workload.GetUID()): true}
	for _, set := range p.sets {
		if manifest.OwnedBy(&set, owners) && !SameTemplate(&set, next) {
			owners[string(set.GetUID())] = true
		}
	}
	for _, pod := range p.pods {
		phase, _, _ := unstructured.NestedString(pod.Object, "status", "phase")
		if manifest.OwnedBy(&pod, owners) && phase != "Succeeded" && phase != "Failed" {
			pods = append(pods, pod)
		}
	}
	return pods
}

func selectorOf(workload *unstructured.Unstructured) (string, error) {
	var match metav1.LabelSelector
	spec, _, err := unstructured.NestedMap(workload.Object, "spec", "selector")
	if err != nil {
		return "", err
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(spec, &match); err != nil {
		return "", err
	}
	selector, err := metav1.LabelSelectorAsSelector(&match)
	if err == nil && selector.Empty() {
		err = errors.New("it is empty, so it selects every pod")
	}
	if err != nil {
		return "", err
	}
	return selector.String(), nil
}

// KeepReplicas leaves the number of pods to whoever decides it: a manifest that
// no longer has it, since an autoscaler came, would take the field away, and the
// server's default of 1 would end all pods but one. Writing the live value once more changes
// nothing, and the autoscaler's next decision takes the field over.
func KeepReplicas(obj, live, next *unstructured.Unstructured) bool {
	if !LeavesReplicas(obj) {
		return false
	}
	now, ok, _ := unstructured.NestedInt64(live.Object, "spec", "replicas")
	then, _, _ := unstructured.NestedInt64(next.Object, "spec", "replicas")
	return ok && now != then && unstructured.SetNestedField(obj.Object, now, "spec", "replicas") == nil
}

// LeavesReplicas tells whether a manifest leaves the number of pods to somebody else.
func LeavesReplicas(obj *unstructured.Unstructured) bool {
	_, written, _ := unstructured.NestedFieldNoCopy(obj.Object, "spec", "replicas")
	return !written && Scales(obj.GetKind())
}
