// SPDX-License-Identifier: Apache-2.0

// Package handover makes the manifests of a rollout in which no old pod is deleted
// before its targets are proven unused: the rendered manifests go in, and what to
// apply at each step comes out. It is pure; docs/handover.md tells the steps.
//
// A rolling update deletes an old pod as soon as a new one is available, and then
// the old pod's own timings decide whether it outlasts its target: one without a
// preStop does not, and one whose requests are longer than any grace cannot. So the
// new pods are all started first and kept from being available, the Services are
// narrowed to them, the old pods drain while they still run, and only then does the
// Deployment get its own strategy back and deletes them.
package handover

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/internal/manifest"
	"github.com/outlast-ci/outlast/core/render"
)

// Label tells the pods of one template from those of another; its value is a digest
// of the template, so that the same manifests give the same pods.
const Label = "outlast/template"

// held is longer than any handover: no new pod becomes available before, so that the
// Deployment's controller deletes no old one.
const held = 86_400

// Steps are the manifests to apply, one after the other.
type Steps struct {
	Raise  []byte // everything; new pods come up beside the old ones
	Narrow []byte // the Services, to the new pods: the old ones are deregistered
	Finish []byte // the Deployments with their own strategy: the old pods are deleted
	Widen  []byte // the Services as they are written; from here on the cluster is as Final says
	Final  []byte // everything, at rest

	Workloads []string // that are handed over, Kind/namespace/name
	Services  []string // that are narrowed, namespace/name

	Old  []Old // of Undo
	undo bool
}

// IDs names the workloads that a handover is for: Deployments whose pods are targets. With
// every, workloads of other kinds are named, too, so that Make refuses them.
func IDs(workloads []render.Workload, every bool) (ids []string) {
	for _, w := range workloads {
		if w.Behind && (w.Kind == "Deployment" || every) && !w.NodeTargets {
			ids = append(ids, w.ID())
		}
	}
	return ids
}

// Rejoined is how long to wait until pods that Services were turned away from must be in
// rotation again, when they are turned back.
func Rejoined(workloads []render.Workload) (wait drain.Seconds) {
	for _, w := range workloads {
		wait = max(wait, w.Plan.Inputs.Rejoined())
	}
	return wait
}

// Held lists the Services (Kind/namespace/name), whose deregistration delay is left as it is by
// a write of theirs alone: that of the whole manifests, before or after, is the one to change it.
func (s Steps) Held() (ids []string) {
	for _, name := range s.Services {
		ids = append(ids, "Service/"+name)
	}
	return ids
}

// Make makes the steps for the workloads named by ID (Kind/namespace/name, as
// render names them). Only Deployments can be handed over: other kinds cannot run
// two versions of all pods at a time.
func Make(manifests []byte, workloads []string) (Steps, error) {
	objects, err := manifest.Parse(manifests)
	if err != nil {
		return Steps{}, err
	}
	s := Steps{Workloads: workloads}
	templates := map[string][]map[string]string{} // pod labels by namespace
	handed := map[*unstructured.Unstructured]bool{}
	for _, id := range workloads {
		i := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool { return manifest.ID(o) == id })
		switch {
		case i < 0:
			return s, fmt.Errorf("handing over %s: it is not in the manifests", id)
		case objects[i].GetKind() != "Deployment":
			return s, fmt.Errorf("handing over %s: only a Deployment can run all new pods beside the old ones; leave rollout: handover out for it, or make it a Deployment", id)
		}
		pod, err := label(objects[i])
		if err != nil {
			return s, fmt.Errorf("handing over %s: %w", id, err)
		}
		handed[objects[i]] = true
		templates[objects[i].GetNamespace()] = append(templates[objects[i].GetNamespace()], pod)
	}
	var raise, narrow, finish, widen []*unstructured.Unstructured
	for _, obj := range objects {
		if handed[obj] {
			raise, finish = append(raise, hold(obj)), append(finish, obj)
			continue
		}
		raise = append(raise, obj)
		mark, ok, err := selects(obj, Label, templates[obj.GetNamespace()])
		if err != nil {
			return s, err
		}
		if ok {
			narrow, widen = append(narrow, narrowed(obj, Label, mark)), append(widen, obj)
			s.Services = append(s.Services, obj.GetNamespace()+"/"+obj.GetName())
		}
	}
	if len(narrow) == 0 {
		return s, fmt.Errorf("handing over %s: no Service of the manifests selects its pods, so nothing could be turned to the new ones; add the Service to the manifests", strings.Join(workloads, ", "))
	}
	err = streams(map[*[]byte][]*unstructured.Unstructured{&s.Raise: raise, &s.Narrow: narrow, &s.Finish: finish, &s.Widen: widen, &s.Final: objects})
	return s, err
}

// streams writes lists of objects as manifests.
func streams(into map[*[]byte][]*unstructured.Unstructured) (err error) {
	for text, list := range into {
		if *text, err = manifest.Stream(list); err != nil {
			return err
		}
	}
	return nil
}

// Halfway tells whether a Deployment of the cluster is amid a handover: what was killed
// in it has the new template already, and its old pods run.
func Halfway(live *unstructured.Unstructured) bool {
	n, _, _ := unstructured.NestedInt64(live.Object, "spec", "minReadySeconds")
	return n == held
}

// label marks a Deployment's pods, and gives their labels.
func label(obj *unstructured.Unstructured) (pod map[string]string, err error) {
	template, ok, err := unstructured.NestedMap(obj.Object, "spec", "template")
	if err != nil || !ok {
		return nil, errors.Join(errors.New("it has no spec.template"), err)
	}
	unstructured.RemoveNestedField(template, "metadata", "labels", Label)
	text, err := json.Marshal(template)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	if err := unstructured.SetNestedField(obj.Object, hex.EncodeToString(sum[:])[:10], "spec", "template", "metadata", "labels", Label); err != nil {
		return nil, err
	}
	pod, _, err = unstructured.NestedStringMap(obj.Object, "spec", "template", "metadata", "labels")
	return pod, err
}

// hold gives the Deployment that starts all new pods and deletes no old one.
func hold(obj *unstructured.Unstructured) *unstructured.Unstructured {
	out := obj.DeepCopy()
	spec := out.Object["spec"].(map[string]any)
	spec["minReadySeconds"], spec["progressDeadlineSeconds"] = int64(held), int64(held+100) // which has to be the larger one
	spec["strategy"] = map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"maxSurge": "100%", "maxUnavailable": int64(0)}}
	return out
}

// selects tells whether a Service selects pods that are handed over, and which value
// of a label they have.
func selects(obj *unstructured.Unstructured, label string, pods []map[string]string) (mark string, ok bool, err error) {
	selector, _, _ := unstructured.NestedStringMap(obj.Object, "spec", "selector")
	if obj.GetKind() != "Service" || obj.GetAPIVersion() != "v1" || len(selector) == 0 {
		return "", false, nil
	}
	for _, pod := range pods {
		if !labels.SelectorFromSet(selector).Matches(labels.Set(pod)) {
			continue
		}
		if ok {
			return "", true, fmt.Errorf("handing over: Service/%s/%s selects pods of several workloads that are handed over; give each a Service of its own", obj.GetNamespace(), obj.GetName())
		}
		mark, ok = pod[label], true
	}
	return mark, ok, nil
}

func narrowed(obj *unstructured.Unstructured, label, mark string) *unstructured.Unstructured {
	out := obj.DeepCopy()
	out.Object["spec"].(map[string]any)["selector"].(map[string]any)[label] = mark
	return out
}
