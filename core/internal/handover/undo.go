// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outlast-ci/outlast/core/internal/manifest"
	"github.com/outlast-ci/outlast/core/render"
)

// HashLabel tells the pods of one ReplicaSet from those of another, whoever made them.
const HashLabel = "pod-template-hash"

// Cluster reads objects.
type Cluster interface {
	// Get gives nil for what does not exist.
	Get(ctx context.Context, apiVersion, kind, namespace, name string) (*unstructured.Unstructured, error)
	List(ctx context.Context, apiVersion, kind, namespace, selector string) ([]unstructured.Unstructured, error)
}

// Middle is a handover in whose middle something failed.
type Middle struct {
	Manifests []byte            // of the release to go back to
	Workloads []render.Workload // of the same
	Newest    []render.Workload // of the release that failed; nil: not known
	IDs       []string          // of the Deployments that are handed over
	Leaving   []string          // UIDs of the pods that the release to go back to would replace
}

// Old is a Deployment whose old pods run still.
type Old struct {
	render.Workload        // with the longest request that its pods may serve, old or new
	Hash            string // the value of HashLabel of the pods that stay
}

// Undo makes the steps that undo a handover: new pods may have served, and be cut short by their own timings
// as the old ones would have been, so they drain while they run, too. A Deployment of which no pod
// leaves is left as it is.
//
// Narrow turns the Services to the old pods; when no target of a new one is left, Raise makes
// everything what it was but the Services, so that the new pods go, and Widen the Services. Where no
// pod stays to turn to, or pods of several templates do, which no Service selects alone, that is an error.
func Undo(ctx context.Context, cluster Cluster, m Middle) (s Steps, err error) {
	var old []Old
	for _, w := range m.Workloads {
		if !slices.Contains(m.IDs, w.ID()) {
			continue
		}
		stay, leave, err := hashesOf(ctx, cluster, w, m.Leaving)
		switch {
		case err != nil:
		case leave == 0:
			continue
		case len(stay) == 0:
			err = errors.New("none of its pods is of the release to go back to")
		case len(stay) > 1:
			err = fmt.Errorf("its pods that stay are of %d templates", len(stay))
		}
		if err != nil {
			return s, fmt.Errorf("undoing the handover of %s: %w", w.ID(), err)
		}
		for _, newest := range m.Newest {
			if newest.ID() == w.ID() {
				w.Plan.Inputs.Request = max(w.Plan.Inputs.Request, newest.Plan.Inputs.Request)
			}
		}
		old = append(old, Old{w, stay[0]})
	}
	if len(old) == 0 {
		return s, errors.New("undoing a handover: no pod of it leaves")
	}
	return aside(m.Manifests, old)
}

// hashesOf gives the marks of a Deployment's pods that stay, and how many leave.
func hashesOf(ctx context.Context, cluster Cluster, w render.Workload, leaving []string) (stay []string, leave int, err error) {
	namespace := cmp.Or(w.Namespace, "default")
	obj, err := cluster.Get(ctx, w.APIVersion, w.Kind, namespace, w.Name)
	switch {
	case err != nil:
		return nil, 0, err
	case obj == nil:
		return nil, 0, errors.New("it does not exist")
	}
	match, _, _ := unstructured.NestedStringMap(obj.Object, "spec", "selector", "matchLabels")
	selector := labels.SelectorFromSet(match).String()
	sets, err := cluster.List(ctx, "apps/v1", "ReplicaSet", namespace, selector)
	if err != nil {
		return nil, 0, err
	}
	mine := map[string]bool{}
	for _, set := range sets {
		mine[string(set.GetUID())] = manifest.OwnedBy(&set, map[string]bool{string(obj.GetUID()): true})
	}
	pods, err := cluster.List(ctx, "v1", "Pod", namespace, selector)
	for _, pod := range pods {
		phase, _, _ := unstructured.NestedString(pod.Object, "status", "phase")
		hash := pod.GetLabels()[HashLabel]
		switch {
		case !manifest.OwnedBy(&pod, mine) || pod.GetDeletionTimestamp() != nil || phase == "Failed" || phase == "Succeeded":
		case slices.Contains(leaving, string(pod.GetUID())):
			leave++
		case !slices.Contains(stay, hash):
			stay = append(stay, hash)
		}
	}
	return stay, leave, err
}

// aside makes the manifests of Undo.
func aside(manifests []byte, old []Old) (Steps, error) {
	objects, err := manifest.Parse(manifests)
	if err != nil {
		return Steps{}, err
	}
	templates := map[string][]map[string]string{} // labels of old pods by namespace
	for _, obj := range objects {
		pod, found, _ := unstructured.NestedStringMap(obj.Object, "spec", "template", "metadata", "labels")
		if i := slices.IndexFunc(old, func(o Old) bool { return o.ID() == manifest.ID(obj) }); i >= 0 && found {
			pod[HashLabel] = old[i].Hash // a copy: the manifests do not get it
			templates[obj.GetNamespace()] = append(templates[obj.GetNamespace()], pod)
		}
	}
	s := Steps{Old: old, undo: true}
	var raise, narrow, widen []*unstructured.Unstructured
	for _, obj := range objects {
		hash, ok, err := selects(obj, HashLabel, templates[obj.GetNamespace()])
		if err != nil {
			return s, err
		}
		if !ok {
			raise = append(raise, obj)
			continue
		}
		turned := narrowed(obj, HashLabel, hash)
		raise, narrow, widen = append(raise, turned), append(narrow, turned), append(widen, obj)
		s.Services = append(s.Services, obj.GetNamespace()+"/"+obj.GetName())
	}
	err = streams(map[*[]byte][]*unstructured.Unstructured{&s.Raise: raise, &s.Narrow: narrow, &s.Widen: widen, &s.Final: objects})
	return s, err
}
