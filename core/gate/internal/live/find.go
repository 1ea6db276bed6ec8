// SPDX-License-Identifier: Apache-2.0

package live

import (
	"cmp"
	"context"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

// Workload is one that was found in the cluster, as it runs.
type Workload struct {
	Found
	Pods     []model.Pod // those of older templates are not New
	Observed bool        // its controller has seen the newest template; else nobody knows which pods are new
	Snapshot model.Snapshot

	PreStop, Grace time.Duration // of the template; PreStop as far as it can be told
	Surge          int           // resolved
	Deadline       time.Duration // progressDeadlineSeconds
}

// Read reads a workload without any knowledge of what was applied.
func (r *Reader) Read(ctx context.Context, obj *unstructured.Unstructured) (Workload, error) {
	out := Workload{Observed: observed(obj) >= obj.GetGeneration()}
	progress(obj, &out.Snapshot)
	current, all, err := r.pods(ctx, obj, func(string) bool { return false })
	if err != nil {
		return out, err
	}
	var labelled []labels.Set
	for _, p := range all {
		out.Pods = append(out.Pods, readPod(&p, current))
		labelled = append(labelled, p.GetLabels())
	}
	out.Grace = 30 * time.Second
	if n, found, _ := unstructured.NestedInt64(obj.Object, "spec", "template", "spec", "terminationGracePeriodSeconds"); found {
		out.Grace = time.Duration(n) * time.Second
	}
	for _, c := range list(obj.Object, "spec", "template", "spec", "containers") {
		out.PreStop = max(out.PreStop, preStop(c))
	}
	out.Surge = surge(obj, out.Snapshot.Desired)
	out.Deadline = time.Duration(num(obj.Object, "spec", "progressDeadlineSeconds")) * time.Second
	if out.Found, err = r.Finder.Find(ctx, obj, labelled); err != nil {
		return out, err
	}
	return out, r.expected(ctx, obj.GetNamespace(), &out.Found)
}

// expected looks for an Ingress that asks for pods as targets, where no group is there yet.
func (r *Reader) expected(ctx context.Context, namespace string, found *Found) error {
	if len(found.Groups) > 0 || found.Nodes || found.Expected || len(found.Selectors) == 0 {
		return nil
	}
	ingresses, err := r.Cluster.List(ctx, "networking.k8s.io/v1", "Ingress", namespace, "")
	if err != nil {
		return err
	}
	services, err := r.Cluster.List(ctx, "v1", "Service", namespace, "")
	for _, svc := range services {
		match, _, _ := unstructured.NestedStringMap(svc.Object, "spec", "selector")
		if !contains(found.Selectors, match) {
			continue
		}
		for _, ing := range ingresses {
			const key = "alb.ingress.kubernetes.io/target-type"
			if leadsTo(ing, svc.GetName()) && cmp.Or(svc.GetAnnotations()[key], ing.GetAnnotations()[key]) == "ip" {
				found.Expected = true
			}
		}
	}
	return err
}

func contains(sets []labels.Set, set labels.Set) bool {
	for _, s := range sets {
		if labels.Equals(s, set) {
			return true
		}
	}
	return false
}
