// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func secretOf(version string, labels obj) *unstructured.Unstructured {
	meta := obj{"name": "s", "namespace": "dev", "labels": labels}
	if version != "" {
		meta["resourceVersion"], meta["uid"] = version, "u"
	}
	return &unstructured.Unstructured{Object: obj{"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "outlast/revision", "data": obj{"k": "c2VjcmV0"}}}
}

// TestWrites: what each verb sends, and what comes back.
func TestWrites(t *testing.T) {
	for name, tc := range map[string]struct {
		do     func(c *Client, t *testing.T) error
		method string
		path   string
		query  map[string][]string
		body   string // a part
	}{
		"create": {func(c *Client, t *testing.T) error {
			got, err := c.Create(t.Context(), secretOf("", nil))
			equal(t, "resourceVersion", got.GetResourceVersion(), "7")
			return err
		}, "POST", "/api/v1/namespaces/dev/secrets", map[string][]string{"fieldManager": {"outlast"}, "fieldValidation": {"Strict"}}, `"data":{"k":"c2VjcmV0"}`},
		"update": {func(c *Client, t *testing.T) error {
			got, err := c.Update(t.Context(), secretOf("6", nil))
			equal(t, "resourceVersion", got.GetResourceVersion(), "7")
			return err
		}, "PUT", "/api/v1/namespaces/dev/secrets/s", map[string][]string{"fieldManager": {"outlast"}, "fieldValidation": {"Strict"}}, `"resourceVersion":"6"`},
		"delete": {func(c *Client, t *testing.T) error { return c.Delete(t.Context(), "v1", "Secret", "dev", "s", "u") },
			"DELETE", "/api/v1/namespaces/dev/secrets/s", map[string][]string{}, `"preconditions":{"uid":"u"}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, tls)
			s.answer = always(200, secretOf("7", nil).Object)
			if err := tc.do(s.client(t), t); err != nil {
				t.Fatal(err)
			}
			seen := s.requests()
			if len(seen) != 1 || seen[0].method != tc.method || seen[0].path != tc.path || !strings.Contains(seen[0].body, tc.body) {
				t.Fatalf("requests %+v", seen)
			}
			if diff := cmp.Diff(tc.query, seen[0].query); diff != "" {
				t.Error(diff)
			}
			if name == "delete" && !strings.Contains(seen[0].body, `"propagationPolicy":"Background"`) {
				t.Errorf("body %s", seen[0].body)
			}
		})
	}
	t.Run("what is gone is deleted", func(t *testing.T) {
		s := newServer(t, tls)
		if err := s.client(t).Delete(t.Context(), "v1", "Secret", "dev", "s", "u"); err != nil || len(s.requests()) != 1 {
			t.Errorf("%v, %v", err, s.requests())
		}
	})
	t.Run("what names no one object is not sent", func(t *testing.T) {
		s := newServer(t, tls)
		_, err := s.client(t).Update(t.Context(), secretOf("", nil))
		has(t, err, "replacing Secret/dev/s: it has no metadata.resourceVersion")
		has(t, s.client(t).Delete(t.Context(), "v1", "Secret", "dev", "s", ""), "deleting Secret/dev/s: which one is meant must be said by its metadata.uid")
		equal(t, "requests", len(s.requests()), 0)
	})
}

// TestWritesRefused: each refusal can be told apart, names its object and
// quotes no value of a Secret.
func TestWritesRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		code   int
		reason string
		is     func(error) bool
	}{
		"it exists":                    {409, "AlreadyExists", apierrors.IsAlreadyExists},
		"it has changed":               {409, "Conflict", apierrors.IsConflict},
		"it is forbidden":              {403, "Forbidden", apierrors.IsForbidden},
		"it is not there (for Update)": {404, "NotFound", apierrors.IsNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, tls)
			s.answer = refusal(tc.code, tc.reason, `User "ci" cannot do it`, nil)
			c := s.patient(t)
			_, create := c.Create(t.Context(), secretOf("", nil))
			_, update := c.Update(t.Context(), secretOf("6", nil))
			remove := c.Delete(t.Context(), "v1", "Secret", "dev", "s", "u")
			for what, err := range map[string]error{"creating Secret/dev/s": create, "replacing Secret/dev/s": update, "deleting Secret/dev/s": remove} {
				if tc.code == 404 && err == nil && what == "deleting Secret/dev/s" {
					continue
				}
				if has(t, err, what, `cannot do it`); !tc.is(err) || strings.Contains(err.Error(), "c2VjcmV0") {
					t.Errorf("%v", err)
				}
				if auth := (*AuthError)(nil); errors.As(err, &auth) != (tc.code == 403) {
					t.Errorf("%v is an AuthError: %t", err, tc.code != 403)
				}
			}
			equal(t, "requests", len(s.requests()), 3)
		})
	}
}

// store is an API server that keeps one Secret, and breaks connections.
type store struct {
	t       *testing.T
	kept    obj
	version int
	broken  map[string]int // how many answers to a method are lost, the request done
	refused map[string]int // how many requests of a method are lost, not done
	between func(s *store) // what another does meanwhile
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request, body string) {
	if s.refused[r.Method] > 0 {
		s.refused[r.Method]--
		reset(s.t, w)
		return
	}
	code, answer := s.do(r, body)
	if s.broken[r.Method] > 0 {
		s.broken[r.Method]--
		if s.between != nil {
			s.between(s)
		}
		reset(s.t, w)
		return
	}
	write(w, code, answer)
}

func fail(code int, reason string) (int, obj) {
	return code, obj{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason, "code": code}
}

// do carries a request out.
func (s *store) do(r *http.Request, body string) (int, obj) {
	var in obj
	if body != "" {
		if err := json.Unmarshal([]byte(body), &in); err != nil {
			s.t.Error(err)
		}
	}
	switch r.Method {
	case "POST":
		if s.kept != nil {
			return fail(409, "AlreadyExists")
		}
		s.keep(in)
	case "PUT":
		if s.kept == nil {
			return fail(404, "NotFound")
		}
		if in["metadata"].(obj)["resourceVersion"] != s.kept["metadata"].(obj)["resourceVersion"] {
			return fail(409, "Conflict")
		}
		s.keep(in)
	case "PATCH":
		s.keep(in)
	case "DELETE":
		if s.kept == nil {
			return fail(404, "NotFound")
		}
		s.kept = nil
		return 200, obj{"kind": "Status", "apiVersion": "v1", "status": "Success"}
	}
	if s.kept == nil {
		return fail(404, "NotFound")
	}
	return 200, s.kept
}

func (s *store) keep(in obj) {
	s.version++
	s.kept = (&unstructured.Unstructured{Object: in}).DeepCopy().Object
	meta := s.kept["metadata"].(obj)
	meta["resourceVersion"], meta["uid"], meta["creationTimestamp"], meta["managedFields"] = fmt.Sprint(s.version), "u", "2026-11-29T08:00:00Z", []any{}
}

// reset breaks the connection as a server does that dies.
func reset(t *testing.T, w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok {
		if tcp, ok := c.NetConn().(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	}
	_ = conn.Close()
}

// TestConnectionsBreak: whichever side of a request is lost, each verb has its
// effect once and says so; and what another did meanwhile is not taken for ours.
func TestConnectionsBreak(t *testing.T) {
	other := func(s *store) { s.keep(secretOf("", obj{"by": "another"}).Object) }
	verbs := map[string]struct {
		method string
		stock  bool
		do     func(c *Client, t *testing.T) (*unstructured.Unstructured, error)
		stolen func(error) bool // nil: nobody can
	}{
		"create": {"POST", false, func(c *Client, t *testing.T) (*unstructured.Unstructured, error) {
			return c.Create(t.Context(), secretOf("", obj{"by": "us"}))
		}, apierrors.IsAlreadyExists},
		"update": {"PUT", true, func(c *Client, t *testing.T) (*unstructured.Unstructured, error) {
			return c.Update(t.Context(), secretOf("1", obj{"by": "us"}))
		}, apierrors.IsConflict},
		"apply": {"PATCH", true, func(c *Client, t *testing.T) (*unstructured.Unstructured, error) {
			return c.Apply(t.Context(), secretOf("", obj{"by": "us"}), false)
		}, nil},
		"delete": {"DELETE", true, func(c *Client, t *testing.T) (*unstructured.Unstructured, error) {
			return nil, c.Delete(t.Context(), "v1", "Secret", "dev", "s", "u")
		}, nil},
		"get": {"GET", true, func(c *Client, t *testing.T) (*unstructured.Unstructured, error) {
			return c.Get(t.Context(), "v1", "Secret", "dev", "s")
		}, nil},
	}
	run := func(t *testing.T, verb string, k *store) (*unstructured.Unstructured, error) {
		t.Helper()
		s, tc := newServer(t, tls), verbs[verb]
		if k.t = t; tc.stock {
			k.keep(secretOf("", obj{"by": "nobody"}).Object)
		}
		s.answer = func(w http.ResponseWriter, r *http.Request) {
			seen := s.requests()
			k.ServeHTTP(w, r, seen[len(seen)-1].body)
		}
		return tc.do(s.patient(t), t)
	}
	for verb, tc := range verbs {
		for name, k := range map[string]*store{
			"the request is lost twice": {refused: map[string]int{tc.method: 2}},
			"the answer is lost twice":  {broken: map[string]int{tc.method: 2}},
			"both are":                  {refused: map[string]int{tc.method: 1}, broken: map[string]int{tc.method: 1}},
		} {
			t.Run(verb+": "+name, func(t *testing.T) {
				got, err := run(t, verb, k)
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case verb == "delete":
					if k.kept != nil {
						t.Error("it is still there")
					}
				case verb == "get":
					equal(t, "label", got.GetLabels()["by"], "nobody")
				default:
					if got.GetLabels()["by"] != "us" || (&unstructured.Unstructured{Object: k.kept}).GetLabels()["by"] != "us" || got.GetResourceVersion() == "" {
						t.Errorf("got %v; kept is %v", got, k.kept)
					}
				}
			})
		}
		if tc.stolen != nil {
			t.Run(verb+": another writes before the second try", func(t *testing.T) {
				got, err := run(t, verb, &store{broken: map[string]int{tc.method: 1}, between: other})
				if !tc.stolen(err) || got != nil {
					t.Errorf("got %v, %v", got, err)
				}
			})
		}
	}
	t.Run("a create of what is there already is none of ours", func(t *testing.T) {
		s := newServer(t, tls)
		k := &store{t: t}
		k.keep(secretOf("", obj{"by": "us"}).Object)
		s.answer = func(w http.ResponseWriter, r *http.Request) { k.ServeHTTP(w, r, "{}") }
		if got, err := s.patient(t).Create(t.Context(), secretOf("", obj{"by": "us"})); !apierrors.IsAlreadyExists(err) {
			t.Errorf("got %v, %v", got, err)
		}
	})
	t.Run("client-go does not try again by itself", func(t *testing.T) {
		s := newServer(t, tls)
		s.answer = func(w http.ResponseWriter, _ *http.Request) { reset(t, w) }
		c := s.client(t)
		if _, err := c.Get(t.Context(), "v1", "Secret", "dev", "s"); err == nil {
			t.Error("no error")
		}
		before := len(s.requests())
		if before > 2 { // net/http tries once more when an old connection breaks
			t.Errorf("%d requests", before)
		}
		s.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "0")
			status(w, 429, "TooManyRequests", "later", nil)
		}
		if _, err := c.Apply(t.Context(), secretOf("", nil), false); !apierrors.IsTooManyRequests(err) {
			t.Errorf("got %v", err)
		}
		equal(t, "requests", len(s.requests())-before, 1)
	})
}

// TestSame: what counts as the object that a lost Update wrote.
func TestSame(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(live *unstructured.Unstructured)
		want   bool
	}{
		"what the server counts by itself": {func(live *unstructured.Unstructured) {
			live.SetResourceVersion("9")
			live.SetGeneration(4)
			live.Object["status"] = obj{"phase": "fine"}
		}, true},
		"another label":      {func(live *unstructured.Unstructured) { live.SetLabels(map[string]string{"by": "another"}) }, false},
		"another annotation": {func(live *unstructured.Unstructured) { live.SetAnnotations(map[string]string{"a": "b"}) }, false},
		"another object":     {func(live *unstructured.Unstructured) { live.SetUID("other") }, false},
		"another value":      {func(live *unstructured.Unstructured) { live.Object["data"] = obj{"k": "b3RoZXI="} }, false},
		"a value more":       {func(live *unstructured.Unstructured) { live.Object["data"].(obj)["l"] = "" }, false},
		"a field more":       {func(live *unstructured.Unstructured) { live.Object["immutable"] = true }, false},
		"a field less":       {func(live *unstructured.Unstructured) { delete(live.Object, "type") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			live := secretOf("6", obj{"by": "us"}).DeepCopy()
			tc.change(live)
			equal(t, "same", same(live, secretOf("6", obj{"by": "us"})), tc.want)
		})
	}
}

// TestHolds: what counts as the object that a lost Create made.
func TestHolds(t *testing.T) {
	for name, tc := range map[string]struct {
		live, created any
		want          bool
	}{
		"the same":                 {obj{"a": "b"}, obj{"a": "b"}, true},
		"defaults are added":       {obj{"a": "b", "c": obj{"d": int64(1)}}, obj{"a": "b"}, true},
		"in a list, too":           {[]any{obj{"a": "b", "c": "d"}}, []any{obj{"a": "b"}}, true},
		"another value":            {obj{"a": "c"}, obj{"a": "b"}, false},
		"a value is missing":       {obj{}, obj{"a": "b"}, false},
		"another type":             {"a", obj{"a": "b"}, false},
		"another number":           {int64(1), int64(2), false},
		"a longer list":            {[]any{"a", "b"}, []any{"a"}, false},
		"no list":                  {nil, []any{"a"}, false},
		"another order of a list":  {[]any{"b", "a"}, []any{"a", "b"}, false},
		"one of many is different": {obj{"a": "x", "b": "b", "c": "c"}, obj{"a": "a", "b": "b", "c": "c"}, false},
	} {
		t.Run(name, func(t *testing.T) { equal(t, "holds", holds(tc.live, tc.created), tc.want) })
	}
}
