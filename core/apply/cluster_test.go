// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outlast-ci/outlast/core/apply/internal/objects"
	"github.com/outlast-ci/outlast/core/apply/internal/owner"
	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/internal/kube"
	"github.com/outlast-ci/outlast/core/internal/manifest"
)

// scopes are the kinds that the fake server knows; true: they live in a
// namespace.
var scopes = map[string]bool{
	"v1 Namespace": false, "apiextensions.k8s.io/v1 CustomResourceDefinition": false, "rbac.authorization.k8s.io/v1 ClusterRole": false,
	"v1 ServiceAccount": true, "v1 ConfigMap": true, "v1 Secret": true, "v1 Service": true, "v1 Pod": true, "v1 Event": true, "v1 PersistentVolumeClaim": true,
	"rbac.authorization.k8s.io/v1 Role": true, "rbac.authorization.k8s.io/v1 RoleBinding": true, "networking.k8s.io/v1 Ingress": true,
	"apps/v1 Deployment": true, "apps/v1 StatefulSet": true, "apps/v1 DaemonSet": true, "apps/v1 ReplicaSet": true, "batch/v1 Job": true,
	"policy/v1 PodDisruptionBudget": true, "autoscaling/v2 HorizontalPodAutoscaler": true,
}

// server is an API server in memory. Its server-side apply is the real one:
// the field manager of apimachinery, with schemas deduced from the objects.
type server struct {
	mu      sync.Mutex
	kinds   map[string]bool
	objects map[string]*unstructured.Unstructured // by "apiVersion kind namespace/name"
	writes  []string                              // applies that were no dry run, as Kind/namespace/name, in order of arrival
	dry     []string
	adopted []string
	deleted []string
	version int

	// before may refuse or delay a call. Verbs are get, list, dry, apply, adopt, force, replace and delete.
	before func(ctx context.Context, verb, kind, name string) error
	// after may lose the answer of a call that was carried out.
	after func(ctx context.Context, verb, kind, name string) error
}

func newServer(t *testing.T, stock string) *server {
	t.Helper()
	s := &server{kinds: map[string]bool{}, objects: map[string]*unstructured.Unstructured{}}
	for kind, namespaced := range scopes {
		s.kinds[kind] = namespaced
	}
	s.add(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: dev}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: default}")
	s.add(t, stock)
	return s
}

// add puts objects there, as another client with the manager "argocd" would.
func (s *server) add(t *testing.T, stock string) {
	t.Helper()
	for i, obj := range objectsOf(t, stock) {
		live := &unstructured.Unstructured{Object: map[string]any{"apiVersion": obj.GetAPIVersion(), "kind": obj.GetKind()}}
		manager, err := managerOf(obj)
		if err != nil {
			t.Fatal(err)
		}
		status := obj.Object["status"] // of no manager's, as a subresource is
		got, err := manager.Apply(live, obj, "argocd", false)
		if err != nil {
			t.Fatalf("stocking object %d: %v", i, err)
		}
		live = got.(*unstructured.Unstructured)
		if status != nil {
			live.Object["status"] = status
		}
		s.mu.Lock()
		s.stamp(live)
		s.objects[s.key(live)] = live
		s.mu.Unlock()
	}
}

// created puts objects there as a client does that does not apply: the manager
// updates all fields, defaults included.
func (s *server) created(t *testing.T, by, stock string) {
	t.Helper()
	for _, obj := range objectsOf(t, stock) {
		defaults(obj)
		manager, err := managerOf(obj)
		if err != nil {
			t.Fatal(err)
		}
		live := &unstructured.Unstructured{Object: map[string]any{"apiVersion": obj.GetAPIVersion(), "kind": obj.GetKind()}}
		got, err := manager.Update(live, obj, by)
		if err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		next := got.(*unstructured.Unstructured)
		s.stamp(next)
		s.objects[s.key(next)] = next
		s.mu.Unlock()
	}
}

// change lets somebody else write to an object.
func (s *server) change(t *testing.T, key, by string, change func(*unstructured.Unstructured)) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	live := s.objects[key]
	if live == nil {
		t.Fatalf("no %s", key)
	}
	next := live.DeepCopy()
	change(next)
	manager, err := managerOf(next)
	if err != nil {
		t.Fatal(err)
	}
	got, err := manager.Update(live, next, by)
	if err != nil {
		t.Fatal(err)
	}
	next = got.(*unstructured.Unstructured)
	if !reflect.DeepEqual(live.Object["spec"], next.Object["spec"]) {
		next.SetGeneration(live.GetGeneration() + 1)
	}
	s.stamp(next)
	s.objects[key] = next
}

func objectsOf(t *testing.T, text string) (all []*unstructured.Unstructured) {
	t.Helper()
	all, err := manifest.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return all
}

func (s *server) key(obj *unstructured.Unstructured) string {
	return s.keyOf(obj.GetAPIVersion(), obj.GetKind(), obj.GetNamespace(), obj.GetName())
}

func (s *server) keyOf(apiVersion, kind, namespace, name string) string {
	apiVersion = s.version1(apiVersion, kind)
	if !s.kinds[apiVersion+" "+kind] {
		namespace = ""
	} else if namespace == "" {
		namespace = "default"
	}
	return apiVersion + " " + kind + " " + namespace + "/" + name
}

// stamp gives an object what only the server gives.
func (s *server) stamp(obj *unstructured.Unstructured) {
	s.version++
	if obj.GetUID() == "" {
		obj.SetUID(types.UID(fmt.Sprintf("uid-%d", s.version)))
	}
	if obj.GetNamespace() == "" && s.kinds[obj.GetAPIVersion()+" "+obj.GetKind()] {
		obj.SetNamespace("default")
	}
	obj.SetResourceVersion(fmt.Sprint(s.version))
	if obj.GetGeneration() == 0 {
		obj.SetGeneration(1)
	}
}

func (s *server) hook(f func(context.Context, string, string, string) error, ctx context.Context, verb, kind, name string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s %s/%s: %w", verb, kind, name, err)
	}
	if f == nil {
		return nil
	}
	return f(ctx, verb, kind, name)
}

// version1 chooses the version of a kind, if it is left to the server.
func (s *server) version1(apiVersion, kind string) string {
	if apiVersion != "" && !strings.HasSuffix(apiVersion, "/") {
		return apiVersion
	}
	for known := range s.kinds {
		if of, name, _ := strings.Cut(known, " "); name == kind && strings.Contains(of, "/") == (apiVersion != "") && strings.HasPrefix(of, apiVersion) {
			return of
		}
	}
	return apiVersion
}

func (s *server) known(apiVersion, kind string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	apiVersion = s.version1(apiVersion, kind)
	if _, ok := s.kinds[apiVersion+" "+kind]; !ok {
		gvk := schema.FromAPIVersionAndKind(apiVersion, kind)
		return &meta.NoKindMatchError{GroupKind: gvk.GroupKind(), SearchedVersions: []string{gvk.Version}}
	}
	return nil
}

func (s *server) Get(ctx context.Context, apiVersion, kind, namespace, name string) (*unstructured.Unstructured, error) {
	if err := s.hook(s.before, ctx, "get", kind, name); err != nil {
		return nil, err
	}
	if err := s.known(apiVersion, kind); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if obj := s.objects[s.keyOf(apiVersion, kind, namespace, name)]; obj != nil {
		return obj.DeepCopy(), nil
	}
	return nil, nil
}

func (s *server) List(ctx context.Context, apiVersion, kind, namespace, selector string) (all []unstructured.Unstructured, err error) {
	if err := s.hook(s.before, ctx, "list", kind, selector); err != nil {
		return nil, err
	}
	if err := s.known(apiVersion, kind); err != nil {
		return nil, err
	}
	match, err := labels.Parse(selector)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	prefix := s.keyOf(apiVersion, kind, namespace, "")
	for key, obj := range s.objects {
		if strings.HasPrefix(key, prefix) && match.Matches(labels.Set(obj.GetLabels())) {
			all = append(all, *obj.DeepCopy())
		}
	}
	slices.SortFunc(all, func(a, b unstructured.Unstructured) int { return strings.Compare(a.GetName(), b.GetName()) })
	return all, nil
}

func (s *server) Apply(ctx context.Context, obj *unstructured.Unstructured, dryRun bool) (*unstructured.Unstructured, error) {
	verb := map[bool]string{true: "dry", false: "apply"}[dryRun]
	if err := s.hook(s.before, ctx, verb, obj.GetKind(), obj.GetName()); err != nil {
		return nil, err
	}
	got, err := s.apply(obj.DeepCopy(), dryRun, false)
	if err != nil {
		return nil, err
	}
	if err := s.hook(s.after, ctx, verb, obj.GetKind(), obj.GetName()); err != nil {
		return nil, err
	}
	return got, nil
}

// Forced asks what an apply with force gives.
func (s *server) Forced(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if err := s.hook(s.before, ctx, "force", obj.GetKind(), obj.GetName()); err != nil {
		return nil, err
	}
	return s.apply(obj.DeepCopy(), true, true)
}

// Replaced asks what an update gives.
func (s *server) Replaced(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if err := s.hook(s.before, ctx, "replace", obj.GetKind(), obj.GetName()); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	live := s.objects[s.key(obj)]
	if live == nil {
		return nil, notFound(obj.GetKind(), obj.GetName())
	}
	next := obj.DeepCopy()
	defaults(next)
	if status, ok := live.Object["status"]; ok {
		next.Object["status"] = status
	}
	if !reflect.DeepEqual(live.Object["spec"], next.Object["spec"]) {
		next.SetGeneration(live.GetGeneration() + 1)
	}
	return next, nil
}

// Adopt moves managed fields as the real client does.
func (s *server) Adopt(ctx context.Context, live *unstructured.Unstructured, managers []string, dryRun bool) (*unstructured.Unstructured, error) {
	verb := map[bool]string{true: "dry", false: "adopt"}[dryRun]
	if err := s.hook(s.before, ctx, verb, live.GetKind(), live.GetName()); err != nil {
		return nil, err
	}
	next := live.DeepCopy()
	if err := kube.Migrate(next, managers); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stored := s.objects[s.key(live)]
	if stored == nil {
		return nil, notFound(live.GetKind(), live.GetName())
	}
	if stored.GetResourceVersion() != live.GetResourceVersion() {
		return nil, modified(live)
	}
	next.Object["status"] = stored.Object["status"]
	if next.Object["status"] == nil {
		delete(next.Object, "status")
	}
	if !dryRun {
		s.adopted = append(s.adopted, objects.ID(live))
		s.stamp(next)
		s.objects[s.key(next)] = next.DeepCopy()
	}
	return next, nil
}

// Delete deletes an object that has this UID. One with finalizers stays until
// they are gone.
func (s *server) Delete(ctx context.Context, apiVersion, kind, namespace, name string, uid types.UID) error {
	if err := s.hook(s.before, ctx, "delete", kind, name); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := s.keyOf(apiVersion, kind, namespace, name)
	live := s.objects[key]
	if live == nil {
		return nil
	}
	if live.GetUID() != uid {
		return modified(live)
	}
	s.deleted = append(s.deleted, objects.ID(live))
	if len(live.GetFinalizers()) > 0 {
		now := metav1.Now()
		live.SetDeletionTimestamp(&now)
		s.stamp(live)
		return nil
	}
	delete(s.objects, key)
	return nil
}

var errForbidden = apierrors.NewForbidden(schema.GroupResource{Resource: "things"}, "", errors.New(`user "ci" cannot do it`))

func notFound(kind, name string) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: strings.ToLower(kind) + "s"}, name)
}

func modified(obj *unstructured.Unstructured) error {
	return apierrors.NewConflict(schema.GroupResource{Resource: strings.ToLower(obj.GetKind()) + "s"}, obj.GetName(), errors.New("the object has been modified"))
}

func (s *server) apply(obj *unstructured.Unstructured, dryRun, force bool) (*unstructured.Unstructured, error) {
	if err := s.known(obj.GetAPIVersion(), obj.GetKind()); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if dryRun {
		s.dry = append(s.dry, objects.ID(obj))
	} else {
		s.writes = append(s.writes, objects.ID(obj))
	}
	key := s.key(obj)
	if s.kinds[obj.GetAPIVersion()+" "+obj.GetKind()] {
		ns := obj.GetNamespace()
		if ns == "" {
			ns = "default"
		}
		if s.objects["v1 Namespace /"+ns] == nil {
			return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, ns)
		}
	}
	live := s.objects[key]
	if live == nil && obj.GetUID() != "" || live != nil && (obj.GetUID() != "" && obj.GetUID() != live.GetUID() || obj.GetResourceVersion() != "" && obj.GetResourceVersion() != live.GetResourceVersion()) {
		return nil, modified(obj)
	}
	obj.SetResourceVersion("") // of no manager's
	obj.SetUID("")
	if live == nil {
		live = &unstructured.Unstructured{Object: map[string]any{"apiVersion": obj.GetAPIVersion(), "kind": obj.GetKind()}}
	}
	manager, err := managerOf(obj)
	if err != nil {
		return nil, err
	}
	got, err := manager.Apply(live.DeepCopy(), obj, owner.Manager, force)
	if err != nil {
		return nil, err
	}
	next := got.(*unstructured.Unstructured)
	defaults(next)
	if status, ok := live.Object["status"]; ok {
		next.Object["status"] = status
	}
	if was, ok, _ := unstructured.NestedMap(live.Object, "spec", "selector"); ok && objects.RunsPods(obj.GetKind()) {
		if is, _, _ := unstructured.NestedMap(next.Object, "spec", "selector"); !reflect.DeepEqual(was, is) {
			return nil, apierrors.NewInvalid(schema.GroupKind{Group: "apps", Kind: obj.GetKind()}, obj.GetName(),
				field.ErrorList{field.Invalid(field.NewPath("spec", "selector"), is, "field is immutable")})
		}
	}
	if !reflect.DeepEqual(live.Object["spec"], next.Object["spec"]) {
		next.SetGeneration(live.GetGeneration() + 1)
	}
	if dryRun && next.GetUID() == "" {
		next.SetUID("of-a-dry-run")
	}
	if !dryRun && !reflect.DeepEqual(live, next) { // else it is no write
		s.stamp(next)
		s.objects[s.key(next)] = next
	}
	return next.DeepCopy(), nil
}

// defaults fills in what the manifests leave out, as the API server does: a
// comparison of the manifests alone would see a change in it every time.
func defaults(obj *unstructured.Unstructured) {
	spec, ok := obj.Object["spec"].(map[string]any)
	if !ok || obj.GetKind() != "Deployment" {
		return
	}
	if pod, ok, _ := unstructured.NestedMap(spec, "template", "spec"); ok && pod["restartPolicy"] == nil {
		pod["restartPolicy"] = "Always"
		_ = unstructured.SetNestedMap(spec, pod, "template", "spec") //nolint:errcheck // it is a mapping
	}
	for name, value := range map[string]any{"replicas": int64(1), "progressDeadlineSeconds": int64(600)} {
		if _, ok := spec[name]; !ok {
			spec[name] = value
		}
	}
}

// managerOf makes the field manager of an object's kind.
func managerOf(obj *unstructured.Unstructured) (*managedfields.FieldManager, error) {
	gvk := obj.GroupVersionKind()
	return managedfields.NewDefaultFieldManager(managedfields.NewDeducedTypeConverter(), asIs{}, asIs{}, asIs{}, gvk, gvk.GroupVersion(), "", nil)
}

// asIs is the scheme of a server whose objects have one version each.
type asIs struct{}

func (asIs) Convert(_, _, _ any) error { return nil }
func (asIs) ConvertToVersion(in runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	return in, nil
}
func (asIs) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}
func (asIs) Default(runtime.Object) {}
func (asIs) New(gvk schema.GroupVersionKind) (runtime.Object, error) {
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(gvk)
	return obj, nil
}

// recorder keeps what apply says.
type recorder struct {
	mu     sync.Mutex
	events []event.Event
}

func (r *recorder) observe(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// text is all of it, one event a line.
func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, e := range r.events {
		fmt.Fprintf(&b, "%s %s %s: %s %v\n", e.Stage, e.Kind, e.Object, e.Message, e.Fields)
	}
	return b.String()
}

// brief is changes without what differs.
func brief(changes []Change) (short []Change) {
	for _, c := range changes {
		short = append(short, Change{Object: c.Object, Action: c.Action})
	}
	return short
}
