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

// Undo makes the steps that undo a handover of the workloads with some IDs in whose middle the old pods run still,
// and new ones have served: these may be cut short by their own timings as the old ones would have
// been, so they drain while they run, too. Manifests are those of the release to go back to.
//
// Narrow turns the Services to the old pods; when no target of a new pod is left, Raise makes everything what it was but the Services, so that the new
// pods go, and Widen the Services. Without an old pod to turn to, or with old pods of several
// templates, which no Service can select alone, that is an error, and the steps change nothing.
func Undo(ctx context.Context, cluster Cluster, manifests []byte, workloads []render.Workload, ids []string) (s Steps, err error) {
	hashes := map[string]string{}
	for _, w := range workloads {
		if !slices.Contains(ids, w.ID()) {
			continue
		}
		if hashes[w.ID()], err = oldHash(ctx, cluster, w); err != nil {
			return s, fmt.Errorf("undoing the handover of %s: %w", w.ID(), err)
		}
	}
	return aside(manifests, hashes)
}

// oldHash gives the mark of the pods of a Deployment that are not of its newest template.
func oldHash(ctx context.Context, cluster Cluster, w render.Workload) (hash string, err error) {
	namespace := cmp.Or(w.Namespace, "default")
	obj, err := cluster.Get(ctx, w.APIVersion, w.Kind, namespace, w.Name)
	switch {
	case err != nil:
		return "", err
	case obj == nil:
		return "", errors.New("it does not exist")
	}
	newest, _, _ := unstructured.NestedString(obj.Object, "spec", "template", "metadata", "labels", Label)
	match, _, _ := unstructured.NestedStringMap(obj.Object, "spec", "selector", "matchLabels")
	pods, err := cluster.List(ctx, "v1", "Pod", namespace, labels.SelectorFromSet(match).String())
	for _, pod := range pods {
		mark := pod.GetLabels()[HashLabel]
		switch {
		case pod.GetLabels()[Label] == newest || pod.GetDeletionTimestamp() != nil:
		case hash != "" && hash != mark:
			return "", errors.New("its old pods are of several templates")
		default:
			hash = mark
		}
	}
	if err == nil && hash == "" {
		err = errors.New("none of its old pods is left")
	}
	return hash, err
}

// aside makes the manifests of Undo: hashes are the old pods' marks by the ID of their Deployment.
func aside(manifests []byte, hashes map[string]string) (Steps, error) {
	objects, err := manifest.Parse(manifests)
	if err != nil {
		return Steps{}, err
	}
	old := map[string][]map[string]string{} // labels of old pods by namespace
	for _, obj := range objects {
		pod, found, _ := unstructured.NestedStringMap(obj.Object, "spec", "template", "metadata", "labels")
		if hash := hashes[manifest.ID(obj)]; hash != "" && found {
			pod[HashLabel] = hash // a copy: the manifests do not get it
			old[obj.GetNamespace()] = append(old[obj.GetNamespace()], pod)
		}
	}
	s := Steps{Old: hashes, undo: true}
	var raise, narrow, widen []*unstructured.Unstructured
	for _, obj := range objects {
		hash, ok, err := selects(obj, HashLabel, old[obj.GetNamespace()])
		if err != nil {
			return s, err
		}
		if !ok {
			raise = append(raise, obj)
			continue
		}
		turned := narrowed(obj, HashLabel, hash)
		raise, narrow, widen = append(raise, turned), append(narrow, turned), append(widen, obj)
	}
	for into, list := range map[*[]byte][]*unstructured.Unstructured{&s.Raise: raise, &s.Narrow: narrow, &s.Widen: widen, &s.Final: objects} {
		if *into, err = manifest.Stream(list); err != nil {
			return s, err
		}
	}
	return s, nil
}
