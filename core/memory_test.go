// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outlast-ci/outlast/core/internal/rights"
)

// memory is a cluster in memory: an API server whose apply merges, and controllers
// that replace the pods of a Deployment at once. Pods whose image has the word "bad" in
// it are never ready.
type memory struct {
	mu      sync.Mutex
	objects map[string]*unstructured.Unstructured // by Kind namespace/name
	version int
	log     *[]string // what is done to it, of several clusters: "a apply Deployment/dev/web"
	name    string
	refuse  string // kind that may not be written
	lacks   string // kind that this identity may not write, as it says when it is asked
	down    error  // why it cannot be reached
}

func newMemory(name string, log *[]string) *memory {
	m := &memory{objects: map[string]*unstructured.Unstructured{}, log: log, name: name}
	for _, ns := range []string{"dev", "default"} {
		m.put(&unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": ns}}})
	}
	return m
}

// clients reach it; no balancer is there.
func (m *memory) clients() Clients {
	return Clients{Cluster: func(context.Context) (Cluster, error) {
		ping := func(context.Context) (string, error) { return "v1.37", m.down }
		return Cluster{Apply: m, Gate: m, Records: m, Rights: m, Ping: ping}, nil
	}}
}

func (m *memory) note(verb string, obj *unstructured.Unstructured) {
	if k := obj.GetKind(); k == "Deployment" || k == "Lease" {
		*m.log = append(*m.log, m.name+" "+verb+" "+k)
	}
}

func keyOf(kind, namespace, name string) string {
	if kind == "Namespace" {
		return kind + " /" + name
	}
	if namespace == "" {
		namespace = "default"
	}
	return kind + " " + namespace + "/" + name
}

func key(obj *unstructured.Unstructured) string {
	return keyOf(obj.GetKind(), obj.GetNamespace(), obj.GetName())
}

func (m *memory) put(obj *unstructured.Unstructured) {
	m.version++
	if obj.GetUID() == "" {
		obj.SetUID(types.UID(fmt.Sprintf("%s-%d", m.name, m.version)))
		obj.SetCreationTimestamp(metav1.NewTime(time.Now()))
	}
	obj.SetResourceVersion(fmt.Sprint(m.version))
	m.objects[key(obj)] = obj
}

func (m *memory) Get(ctx context.Context, _, kind, namespace, name string) (*unstructured.Unstructured, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if obj := m.objects[keyOf(kind, namespace, name)]; obj != nil {
		return obj.DeepCopy(), ctx.Err()
	}
	return nil, ctx.Err()
}

func (m *memory) List(ctx context.Context, _, kind, namespace, selector string) (all []unstructured.Unstructured, err error) {
	match, err := labels.Parse(selector)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(m.objects)) {
		if strings.HasPrefix(k, keyOf(kind, namespace, "")) && match.Matches(labels.Set(m.objects[k].GetLabels())) {
			all = append(all, *m.objects[k].DeepCopy())
		}
	}
	return all, ctx.Err()
}

func merge(into, from map[string]any) {
	for k, v := range from {
		was, ok1 := into[k].(map[string]any)
		is, ok2 := v.(map[string]any)
		if ok1 && ok2 {
			merge(was, is)
			continue
		}
		into[k] = v
	}
}

func (m *memory) Apply(ctx context.Context, obj *unstructured.Unstructured, dryRun bool) (*unstructured.Unstructured, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if obj.GetKind() == m.refuse && !dryRun {
		return nil, errors.New("it refuses")
	}
	next := &unstructured.Unstructured{Object: map[string]any{}}
	live := m.objects[key(obj)]
	if live != nil {
		next = live.DeepCopy()
	}
	sent := obj.DeepCopy()
	sent.SetResourceVersion("")
	sent.SetUID("")
	merge(next.Object, sent.Object)
	if live == nil || !reflect.DeepEqual(live.Object["spec"], next.Object["spec"]) {
		next.SetGeneration(next.GetGeneration() + 1)
	}
	if dryRun {
		if next.GetUID() == "" {
			next.SetUID("of-a-dry-run")
		}
		return next, nil
	}
	m.note("apply", next)
	m.put(next)
	if next.GetKind() == "Deployment" {
		m.rollOut(next)
	}
	return next.DeepCopy(), nil
}

// rollOut does what the controllers do, in no time.
func (m *memory) rollOut(d *unstructured.Unstructured) {
	template, _, _ := unstructured.NestedMap(d.Object, "spec", "template")
	hash := fmt.Sprintf("h%d", d.GetGeneration())
	ready := !strings.Contains(fmt.Sprint(template), "bad")
	tags := map[string]any{"pod-template-hash": hash}
	own, _, _ := unstructured.NestedStringMap(template, "metadata", "labels")
	for k, v := range own {
		tags[k] = v
	}
	owner := func(kind string, uid types.UID) []any {
		return []any{map[string]any{"apiVersion": "apps/v1", "kind": kind, "name": d.GetName(), "uid": string(uid), "controller": true}}
	}
	if ready {
		maps.DeleteFunc(m.objects, func(k string, _ *unstructured.Unstructured) bool {
			return strings.HasPrefix(k, "Pod "+d.GetNamespace()+"/"+d.GetName()+"-")
		})
	}
	set := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": map[string]any{
		"name": d.GetName() + "-" + hash, "namespace": d.GetNamespace(), "labels": tags, "ownerReferences": owner("Deployment", d.GetUID()),
		"annotations": map[string]any{"deployment.kubernetes.io/revision": hash}}}}
	m.put(set)
	state, waiting := "True", map[string]any{"running": map[string]any{}}
	if !ready {
		state, waiting = "False", map[string]any{"waiting": map[string]any{"reason": "ErrImagePull", "message": "not found"}}
	}
	m.put(&unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{
		"name": d.GetName() + "-" + hash + "-x", "namespace": d.GetNamespace(), "labels": tags, "ownerReferences": owner("ReplicaSet", set.GetUID())},
		"spec": template["spec"], "status": map[string]any{"phase": "Running", "conditions": []any{map[string]any{"type": "Ready", "status": state,
			"lastTransitionTime": time.Now().UTC().Format(time.RFC3339)}}, "containerStatuses": []any{map[string]any{"name": "web", "state": waiting}}}}})
	d = m.objects[key(d)]
	d.SetAnnotations(map[string]string{"deployment.kubernetes.io/revision": hash})
	status := map[string]any{"observedGeneration": d.GetGeneration(), "replicas": int64(1), "updatedReplicas": int64(1), "readyReplicas": int64(1), "availableReplicas": int64(1)}
	if !ready {
		status["readyReplicas"], status["availableReplicas"] = int64(0), int64(0)
	}
	d.Object["status"] = status
}

func (m *memory) resource(obj *unstructured.Unstructured) schema.GroupResource {
	return schema.GroupResource{Resource: strings.ToLower(obj.GetKind()) + "s"}
}

func (m *memory) Create(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.objects[key(obj)] != nil {
		return nil, apierrors.NewAlreadyExists(m.resource(obj), obj.GetName())
	}
	m.note("create", obj)
	next := obj.DeepCopy()
	m.put(next)
	return next.DeepCopy(), ctx.Err()
}

func (m *memory) Update(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	live := m.objects[key(obj)]
	if live == nil {
		return nil, apierrors.NewNotFound(m.resource(obj), obj.GetName())
	}
	if live.GetResourceVersion() != obj.GetResourceVersion() {
		return nil, apierrors.NewConflict(m.resource(obj), obj.GetName(), errors.New("modified"))
	}
	next := obj.DeepCopy()
	next.SetUID(live.GetUID())
	next.SetCreationTimestamp(live.GetCreationTimestamp())
	m.put(next)
	return next.DeepCopy(), ctx.Err()
}

func (m *memory) Delete(ctx context.Context, _, kind, namespace, name string, uid types.UID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if obj := m.objects[keyOf(kind, namespace, name)]; obj != nil && obj.GetUID() == uid {
		delete(m.objects, key(obj))
	}
	return ctx.Err()
}

func (m *memory) Adopt(_ context.Context, live *unstructured.Unstructured, _ []string, _ bool) (*unstructured.Unstructured, error) {
	return live, nil
}

func (m *memory) Forced(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	return m.Apply(ctx, obj, true)
}

func (m *memory) Replaced(_ context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	return obj, nil
}

func (m *memory) Logs(context.Context, string, string, string, int, bool) (string, error) {
	return "", nil
}

func (m *memory) Review(_ context.Context, r rights.Right) (rights.Answer, error) {
	return rights.Answer{Allowed: r.Kind != m.lacks || r.Verb == "get" || r.Verb == "list", Resource: strings.ToLower(r.Kind) + "s", Namespace: r.Namespace}, nil
}

// image is what the Deployment dev/web runs; empty when it is not there.
func (m *memory) image() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.objects["Deployment dev/web"]
	if d == nil {
		return ""
	}
	containers, _, _ := unstructured.NestedSlice(d.Object, "spec", "template", "spec", "containers")
	return containers[0].(map[string]any)["image"].(string)
}

// deployment is one that somebody else made.
func (m *memory) deployment(image string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web", "namespace": "dev"},
		"spec": map[string]any{"selector": map[string]any{"matchLabels": map[string]any{"app": "web"}}, "template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "web", "image": image}}}}}}}
}
