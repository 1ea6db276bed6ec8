// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/csaupgrade"
	"pgregory.net/rapid"
)

// owned is a ConfigMap whose fields are managed as the entries say:
// "manager operation version fields".
func owned(entries ...string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: configMap("c")}
	var fields []metav1.ManagedFieldsEntry
	for _, e := range entries {
		part := strings.SplitN(e, " ", 4)
		entry := metav1.ManagedFieldsEntry{Manager: part[0], Operation: metav1.ManagedFieldsOperationType(part[1]), APIVersion: part[2], FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(part[3])}
		entry.Manager, entry.Subresource, _ = strings.Cut(entry.Manager, "/")
		fields = append(fields, entry)
	}
	o.SetManagedFields(fields)
	o.SetResourceVersion("7")
	return o
}

func entries(o *unstructured.Unstructured) (all []string) {
	for _, f := range o.GetManagedFields() {
		manager := f.Manager
		if f.Subresource != "" {
			manager += "/" + f.Subresource
		}
		all = append(all, fmt.Sprintf("%s %s %s %s", manager, f.Operation, f.APIVersion, f.FieldsV1.GetRawString()))
	}
	return all
}

func TestMigrate(t *testing.T) {
	managers := []string{"kubectl-client-side-apply", "kubectl", "before-first-apply", "helm"}
	const a, b, ab = `{"f:data":{"f:a":{}}}`, `{"f:data":{"f:b":{}}}`, `{"f:data":{"f:a":{},"f:b":{}}}`
	const release = `"f:metadata":{"f:annotations":{"f:meta.helm.sh/release-name":{},"f:meta.helm.sh/release-namespace":{}}}`
	for name, tc := range map[string]struct{ before, after []string }{
		"kubectl's client-side apply becomes ours":          {[]string{"kubectl-client-side-apply Update v1 " + a}, []string{"outlast Apply v1 " + a}},
		"kubectl's server-side apply, too":                  {[]string{"kubectl Apply v1 " + a}, []string{"outlast Apply v1 " + a}},
		"several become one":                                {[]string{"kubectl Apply v1 " + a, "kubectl-client-side-apply Update v1 " + b}, []string{"outlast Apply v1 " + ab}},
		"what we own already stays":                         {[]string{"outlast Apply v1 " + a, "kubectl Update v1 " + b}, []string{"outlast Apply v1 " + ab}},
		"others' stay theirs":                               {[]string{"argocd Apply v1 " + a, "kubectl-edit Update v1 " + b}, []string{"argocd Apply v1 " + a, "kubectl-edit Update v1 " + b}},
		"a status stays its writer's":                       {[]string{"kubectl/status Update v1 " + a, "kubectl Update v1 " + b}, []string{"kubectl/status Update v1 " + a, "outlast Apply v1 " + b}},
		"what tells Helm its objects stays Helm's":          {[]string{`helm Update v1 {"f:data":{"f:a":{}},` + release + `}`}, []string{"outlast Apply v1 " + a, "helm Update v1 {" + release + "}"}},
		"with the mapping that they are in":                 {[]string{`helm Update v1 {"f:metadata":{"f:annotations":{".":{},"f:a":{},"f:meta.helm.sh/release-name":{}}}}`}, []string{`outlast Apply v1 {"f:metadata":{"f:annotations":{".":{},"f:a":{}}}}`, `helm Update v1 {"f:metadata":{"f:annotations":{".":{},"f:meta.helm.sh/release-name":{}}}}`}},
		"Helm without such annotations keeps nothing":       {[]string{"helm Apply v1 " + a}, []string{"outlast Apply v1 " + a}},
		"such annotations of somebody else are no business": {[]string{"kubectl Update v1 {" + release + "}"}, []string{"outlast Apply v1 {" + release + "}"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := owned(tc.before...)
			if err := Migrate(o, managers); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.after, entries(o)); diff != "" {
				t.Error(diff)
			}
			if err := Migrate(o, managers); err != nil || !slices.Contains(entries(o), tc.after[0]) {
				t.Errorf("a second time gives %v, %v", entries(o), err)
			}
		})
	}
	if err := Migrate(owned(`kubectl Update v1 {"k:{":{}}`), managers); err == nil || !strings.Contains(err.Error(), "moving the fields of ConfigMap/dev/c that kubectl manages") {
		t.Errorf("fields that cannot be read: %v", err)
	}
}

// TestMigrateIsTheUpgrade: for what client-go upgrades, Migrate gives the same.
func TestMigrateIsTheUpgrade(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var all []string
		used := map[string]bool{}
		for range rapid.IntRange(0, 5).Draw(rt, "entries") {
			manager := rapid.SampledFrom([]string{"kubectl-client-side-apply", "before-first-apply", "argocd", "outlast", "kubectl-client-side-apply/status"}).Draw(rt, "manager")
			op := "Update"
			if manager == "outlast" || manager == "argocd" {
				op = "Apply"
			}
			version := rapid.SampledFrom([]string{"v1", "v2"}).Draw(rt, "version")
			if used[manager+version] {
				continue
			}
			used[manager+version] = true
			all = append(all, fmt.Sprintf(`%s %s %s {"f:data":{"f:%s":{}}}`, manager, op, version, rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "field")))
		}
		managers := []string{"kubectl-client-side-apply", "before-first-apply"}
		got, want := owned(all...), owned(all...)
		if err := Migrate(got, managers); err != nil {
			rt.Fatal(err)
		}
		for _, m := range managers {
			if err := csaupgrade.UpgradeManagedFields(want, sets.New(m), FieldManager); err != nil {
				rt.Fatal(err)
			}
		}
		if diff := cmp.Diff(entries(want), entries(got)); diff != "" {
			rt.Error(diff)
		}
	})
}

func TestAdopt(t *testing.T) {
	for _, dryRun := range []bool{true, false} {
		s := newServer(t, tls)
		s.answer = always(200, configMap("c"))
		live := owned("kubectl-client-side-apply Update v1 {}")
		if _, err := s.client(t).Adopt(t.Context(), live, []string{"kubectl-client-side-apply"}, dryRun); err != nil {
			t.Fatal(err)
		}
		seen := s.requests()
		if len(seen) != 1 || seen[0].method != "PATCH" || seen[0].contentType != "application/json-patch+json" || slices.Contains(seen[0].query["dryRun"], "All") != dryRun || seen[0].query["force"] != nil {
			t.Fatalf("requests %+v", seen)
		}
		var patch []struct {
			Op, Path string
			Value    any
		}
		if err := json.Unmarshal([]byte(seen[0].body), &patch); err != nil {
			t.Fatal(err)
		}
		if len(patch) != 2 || patch[0].Path != "/metadata/managedFields" || patch[1].Path != "/metadata/resourceVersion" || patch[1].Value != "7" || patch[1].Op != "replace" {
			t.Errorf("the patch is %+v", patch)
		}
		if got := entries(live); !slices.Equal(got, []string{"kubectl-client-side-apply Update v1 {}"}) {
			t.Errorf("what went in is now %v", got)
		}
	}
	t.Run("what is ours already is not written", func(t *testing.T) {
		s := newServer(t, tls)
		live := owned("outlast Apply v1 {}")
		got, err := s.client(t).Adopt(t.Context(), live, []string{"kubectl"}, false)
		if err != nil || got != live || len(s.requests()) > 0 {
			t.Errorf("got %v, %v after %v", got, err, s.requests())
		}
	})
	t.Run("an object that was written since is a conflict", func(t *testing.T) {
		s := newServer(t, tls)
		s.answer = refusal(409, "Conflict", "the object has been modified", nil)
		_, err := s.client(t).Adopt(t.Context(), owned("kubectl Update v1 {}"), []string{"kubectl"}, false)
		has(t, err, "adopting ConfigMap/dev/c: ", "the object has been modified")
		if !apierrors.IsConflict(err) {
			t.Errorf("%v is no conflict", err)
		}
	})
}

// TestOnlyAsked: what takes fields from others or replaces an object is a dry
// run, always.
func TestOnlyAsked(t *testing.T) {
	s := newServer(t, tls)
	s.answer = always(200, configMap("c"))
	in := &unstructured.Unstructured{Object: configMap("c")}
	if _, err := s.client(t).Forced(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client(t).Replaced(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	seen := s.requests()
	if len(seen) != 2 || seen[0].method != "PATCH" || seen[1].method != "PUT" || !slices.Equal(seen[0].query["force"], []string{"true"}) {
		t.Fatalf("requests %+v", seen)
	}
	for _, r := range seen {
		if !slices.Equal(r.query["dryRun"], []string{"All"}) || !slices.Equal(r.query["fieldManager"], []string{"outlast"}) {
			t.Errorf("%s asks with %v", r.method, r.query)
		}
	}
	s.answer = refusal(403, "Forbidden", `User "ci" cannot update`, nil)
	_, err := s.client(t).Replaced(t.Context(), in)
	has(t, err, "asking about ConfigMap/dev/c at ", "not allowed (403)")
	if !apierrors.IsForbidden(err) {
		t.Errorf("%v does not say that it is forbidden", err)
	}
}

// TestAnyVersion: a kind whose version is left to the server.
func TestAnyVersion(t *testing.T) {
	s := newServer(t, tls)
	s.answer = always(200, obj{"kind": "List", "apiVersion": "v1", "items": []any{}})
	c := s.client(t)
	for apiVersion, kind := range map[string]string{"": "ConfigMap", "apps/": "Deployment", "rbac.authorization.k8s.io/": "ClusterRole"} {
		if _, err := c.List(t.Context(), apiVersion, kind, "dev", "a=b"); err != nil {
			t.Error(err)
		}
	}
	var paths []string
	for _, r := range s.requests() {
		paths = append(paths, r.path)
	}
	slices.Sort(paths)
	if want := []string{"/api/v1/namespaces/dev/configmaps", "/apis/apps/v1/namespaces/dev/deployments", "/apis/rbac.authorization.k8s.io/v1/clusterroles"}; !slices.Equal(paths, want) {
		t.Errorf("asked for %v", paths)
	}
}

// busy is a server that bears so many requests of a second at once.
type busy struct {
	mu              sync.Mutex
	bears, now, top int
	refused, served int
}

func (b *busy) RoundTrip(*http.Request) (*http.Response, error) {
	b.mu.Lock()
	b.now++
	b.top = max(b.top, b.now)
	code := 200
	if b.now > b.bears {
		code = 429
		b.refused++
	} else {
		b.served++
	}
	b.mu.Unlock()
	time.Sleep(100 * time.Millisecond)
	b.mu.Lock()
	b.now--
	b.mu.Unlock()
	return &http.Response{StatusCode: code, Body: http.NoBody}, nil
}

func TestWindow(t *testing.T) {
	send := func(t *testing.T, w *window, n int) {
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://cluster.invalid", http.NoBody)
				if err != nil {
					t.Error(err)
					return
				}
				res, err := w.RoundTrip(req)
				if err != nil {
					t.Error(err)
					return
				}
				res.Body.Close()
			})
		}
		all.Wait()
	}
	t.Run("16 at once, and no more", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &busy{bears: 100}
			w := newWindow(b)
			send(t, w, 160)
			if b.top != 16 || b.refused != 0 {
				t.Errorf("%d at once, %d refused", b.top, b.refused)
			}
		})
	})
	t.Run("half as many when the server refuses, and then one more a second", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &busy{bears: 10}
			w := newWindow(b)
			time.Sleep(time.Hour)
			send(t, w, 16) // 6 are refused, and count as one
			b.top = 0
			send(t, w, 40) // takes half a second
			if b.top != 8 {
				t.Errorf("%d at once after a refusal, want 8", b.top)
			}
			time.Sleep(2 * time.Second)
			b.top = 0
			send(t, w, 100)
			if b.top < 9 || b.top > 11 {
				t.Errorf("%d at once two seconds later", b.top)
			}
			b.bears, b.top = 100, 0
			time.Sleep(time.Minute)
			send(t, w, 100)
			if b.top != 16 {
				t.Errorf("%d at once a minute later, want 16", b.top)
			}
		})
	})
	t.Run("it never falls to none", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &busy{}
			w := newWindow(b)
			for range 20 {
				send(t, w, 16)
				time.Sleep(50 * time.Millisecond)
			}
			if w.limit < 1 || b.refused != 320 {
				t.Errorf("limit %d, %d refused", w.limit, b.refused)
			}
		})
	})
	t.Run("whoever waits for a turn can give up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWindow(&busy{bears: 100})
			w.busy = mostAtOnce
			ctx, cancel := context.WithCancelCause(t.Context())
			over := errors.New("over")
			time.AfterFunc(5*time.Second, func() { cancel(over) })
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://cluster.invalid", strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			res, err := w.RoundTrip(req)
			if !errors.Is(err, over) {
				t.Errorf("got %v, %v", res, err)
			}
		})
	})
}
