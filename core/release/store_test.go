// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var web = App{Namespace: "dev", Name: "web"}

// server is an API server in memory: it refuses what a real one refuses.
type server struct {
	mu      sync.Mutex
	objects map[string]*unstructured.Unstructured
	version int
	calls   []string // "create Secret/outlast-web.v1"
}

func newServer() *server { return &server{objects: map[string]*unstructured.Unstructured{}} }

func (s *server) call(verb, kind, name string) { s.calls = append(s.calls, verb+" "+kind+"/"+name) }

// since gives the calls from the n-th on, and how many there are.
func (s *server) since(n int) ([]string, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls[n:]), len(s.calls)
}

// names lists the objects that are there.
func (s *server) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for key := range s.objects {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}

func key(kind, namespace, name string) string { return kind + "/" + namespace + "/" + name }

func resource(kind string) schema.GroupResource {
	return schema.GroupResource{Resource: strings.ToLower(kind) + "s"}
}

func (s *server) Get(_ context.Context, _, kind, namespace, name string) (*unstructured.Unstructured, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call("get", kind, name)
	if obj := s.objects[key(kind, namespace, name)]; obj != nil {
		return obj.DeepCopy(), nil
	}
	return nil, nil
}

func (s *server) List(_ context.Context, _, kind, namespace, selector string) (all []unstructured.Unstructured, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call("list", kind, selector)
	match, err := labels.Parse(selector)
	if err != nil {
		return nil, err
	}
	for _, obj := range s.objects {
		if obj.GetKind() == kind && obj.GetNamespace() == namespace && match.Matches(labels.Set(obj.GetLabels())) {
			all = append(all, *obj.DeepCopy())
		}
	}
	slices.SortFunc(all, func(a, b unstructured.Unstructured) int { return strings.Compare(a.GetName(), b.GetName()) })
	return all, nil
}

// check refuses what a real server would.
func check(obj *unstructured.Unstructured) error {
	bad := validation.IsDNS1123Subdomain(obj.GetName())
	for k, v := range obj.GetLabels() {
		bad = append(append(bad, validation.IsQualifiedName(k)...), validation.IsValidLabelValue(v)...)
	}
	if obj.GetKind() == "Lease" {
		spec := obj.Object["spec"].(map[string]any)
		if n, ok := spec["leaseDurationSeconds"].(int64); !ok || n < 1 {
			bad = append(bad, "leaseDurationSeconds")
		}
		for _, field := range []string{"acquireTime", "renewTime"} {
			if _, err := time.Parse(metav1.RFC3339Micro, spec[field].(string)); err != nil {
				bad = append(bad, err.Error())
			}
		}
	}
	if obj.GetKind() == "Secret" {
		total := 0
		data, _, _ := unstructured.NestedStringMap(obj.Object, "data")
		for k, v := range data {
			raw, err := base64.StdEncoding.DecodeString(v)
			bad = append(bad, validation.IsConfigMapKey(k)...)
			if total += len(raw); err != nil {
				bad = append(bad, err.Error())
			}
		}
		if total > 1<<20 {
			bad = append(bad, "Too long: may not be more than 1048576 bytes")
		}
	}
	if len(bad) > 0 {
		return apierrors.NewInvalid(schema.GroupKind{Kind: obj.GetKind()}, obj.GetName(), nil)
	}
	return nil
}

// stamp keeps an object, with what only the server gives.
func (s *server) stamp(obj *unstructured.Unstructured) *unstructured.Unstructured {
	s.version++
	obj.SetResourceVersion(fmt.Sprint(s.version))
	if obj.GetUID() == "" {
		obj.SetUID(types.UID(fmt.Sprintf("uid-%d", s.version)))
	}
	s.objects[key(obj.GetKind(), obj.GetNamespace(), obj.GetName())] = obj
	return obj.DeepCopy()
}

func (s *server) Create(_ context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call("create", obj.GetKind(), obj.GetName())
	if s.objects[key(obj.GetKind(), obj.GetNamespace(), obj.GetName())] != nil {
		return nil, fmt.Errorf("creating: %w", apierrors.NewAlreadyExists(resource(obj.GetKind()), obj.GetName()))
	}
	if obj.GetResourceVersion() != "" {
		return nil, errors.New("resourceVersion should not be set on objects to be created")
	}
	obj = obj.DeepCopy()
	obj.SetUID("")
	obj.SetCreationTimestamp(metav1.NewTime(time.Now().Truncate(time.Second)))
	if err := check(obj); err != nil {
		return nil, err
	}
	return s.stamp(obj), nil
}

func (s *server) Update(_ context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call("update", obj.GetKind(), obj.GetName())
	live := s.objects[key(obj.GetKind(), obj.GetNamespace(), obj.GetName())]
	if live == nil {
		return nil, fmt.Errorf("replacing: %w", apierrors.NewNotFound(resource(obj.GetKind()), obj.GetName()))
	}
	if obj.GetResourceVersion() != live.GetResourceVersion() || obj.GetUID() != "" && obj.GetUID() != live.GetUID() {
		return nil, fmt.Errorf("replacing: %w", apierrors.NewConflict(resource(obj.GetKind()), obj.GetName(), errors.New("the object has been modified")))
	}
	if obj.GetKind() == "Secret" && obj.Object["type"] != live.Object["type"] {
		return nil, errors.New("type: field is immutable")
	}
	if err := check(obj); err != nil {
		return nil, err
	}
	obj = obj.DeepCopy()
	obj.SetUID(live.GetUID())
	obj.SetCreationTimestamp(live.GetCreationTimestamp())
	return s.stamp(obj), nil
}

func (s *server) Delete(_ context.Context, _, kind, namespace, name string, uid types.UID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call("delete", kind, name)
	live := s.objects[key(kind, namespace, name)]
	if live == nil {
		return nil
	}
	if live.GetUID() != uid {
		return fmt.Errorf("deleting: %w", apierrors.NewConflict(resource(kind), name, errors.New("precondition failed: UID")))
	}
	delete(s.objects, key(kind, namespace, name))
	return nil
}

// touch changes an object as somebody else would.
func (s *server) touch(t *testing.T, kind, name string, change func(obj *unstructured.Unstructured)) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	obj := s.objects[key(kind, web.Namespace, name)]
	if obj == nil {
		t.Fatalf("no %s is called %s; there are %d objects", kind, name, len(s.objects))
	}
	change(obj)
	s.stamp(obj)
}

func (s *server) remove(kind, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key(kind, web.Namespace, name))
}

var errLost = errors.New("connection reset by peer")

// wire is one process's way to the server. Each call first asks before, which
// may delay or refuse it, then after, which may lose the answer.
type wire struct {
	*server
	before, after func(ctx context.Context, verb string) error
}

func (w *wire) do(ctx context.Context, verb string, call func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.before != nil {
		if err := w.before(ctx, verb); err != nil {
			return err
		}
	}
	err := call()
	if w.after != nil {
		if lost := w.after(ctx, verb); lost != nil {
			return lost
		}
	}
	return err
}

func (w *wire) Get(ctx context.Context, apiVersion, kind, namespace, name string) (obj *unstructured.Unstructured, err error) {
	if err := w.do(ctx, "get", func() error { obj, err = w.server.Get(ctx, apiVersion, kind, namespace, name); return err }); err != nil {
		return nil, err
	}
	return obj, nil
}

func (w *wire) List(ctx context.Context, apiVersion, kind, namespace, selector string) (all []unstructured.Unstructured, err error) {
	if err := w.do(ctx, "list", func() error { all, err = w.server.List(ctx, apiVersion, kind, namespace, selector); return err }); err != nil {
		return nil, err
	}
	return all, nil
}

func (w *wire) Create(ctx context.Context, obj *unstructured.Unstructured) (got *unstructured.Unstructured, err error) {
	if err := w.do(ctx, "create", func() error { got, err = w.server.Create(ctx, obj); return err }); err != nil {
		return nil, err
	}
	return got, nil
}

func (w *wire) Update(ctx context.Context, obj *unstructured.Unstructured) (got *unstructured.Unstructured, err error) {
	if err := w.do(ctx, "update", func() error { got, err = w.server.Update(ctx, obj); return err }); err != nil {
		return nil, err
	}
	return got, nil
}

func (w *wire) Delete(ctx context.Context, apiVersion, kind, namespace, name string, uid types.UID) error {
	return w.do(ctx, "delete", func() error { return w.server.Delete(ctx, apiVersion, kind, namespace, name, uid) })
}

// nth gives an error at the n-th call of a verb only, from 1.
func nth(n int, verb string, err error) func(context.Context, string) error {
	return func(_ context.Context, v string) error {
		if v == verb {
			n--
		}
		if v == verb && n == 0 {
			return err
		}
		return nil
	}
}

func has(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v\nwant a part %q", err, part)
		}
	}
}

func fakeConflict() error {
	return fmt.Errorf("replacing: %w", apierrors.NewConflict(resource("Lease"), "outlast-web", errors.New("the object has been modified")))
}

func fakeExists() error {
	return fmt.Errorf("creating: %w", apierrors.NewAlreadyExists(resource("Secret"), "x"))
}
