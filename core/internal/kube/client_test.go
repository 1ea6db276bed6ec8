// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// modes are the two ways in which servers tell their kinds.
var modes = map[string]bool{"a server with aggregated discovery": false, "a server without aggregated discovery": true}

func TestPing(t *testing.T) {
	for name, tc := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		want   string
		parts  []string
	}{
		"an API server tells its version": {always(200, obj{"major": "1", "gitVersion": "v1.37.2-eks-1"}), "v1.37.2-eks-1", nil},
		"a page of a proxy is no API server": {
			func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>Please log in</html>") }, "", []string{"asking https://127.0.0.1:", "for its version: the answer is not a Kubernetes API server's"},
		},
		"JSON without a version is no API server's": {always(200, obj{"version": "7"}), "", []string{"the answer is not a Kubernetes API server's"}},
		"an empty answer is no API server's":        {func(http.ResponseWriter, *http.Request) {}, "", []string{"the answer is not a Kubernetes API server's"}},
		"a server in trouble says so": {
			refusal(500, "InternalError", "etcd is on fire", nil), "", []string{"asking for its version: ", "etcd is on fire"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, tls)
			s.answer = tc.answer
			got, err := s.client(t).Ping(t.Context())
			equal(t, "version", got, tc.want)
			has(t, err, tc.parts...)
			if tc.parts == nil && err != nil {
				t.Error(err)
			}
			seen := s.requests()
			if len(seen) != 1 || seen[0].method != "GET" || seen[0].path != "/version" || seen[0].token != "Bearer token-1" || !strings.HasPrefix(seen[0].userAgent, "outlast/test") {
				t.Errorf("requests %+v", seen)
			}
		})
	}
}

func TestGet(t *testing.T) {
	for mode, legacy := range modes {
		for name, tc := range map[string]struct {
			apiVersion, kind, namespace, name, path string
		}{
			"an object of the core group":               {"v1", "ConfigMap", "dev", "c", "/api/v1/namespaces/dev/configmaps/c"},
			"an object of another group":                {"apps/v1", "Deployment", "dev", "web", "/apis/apps/v1/namespaces/dev/deployments/web"},
			"an object without a namespace":             {"v1", "ConfigMap", "", "c", "/api/v1/namespaces/default/configmaps/c"},
			"an object of the whole cluster":            {"rbac.authorization.k8s.io/v1", "ClusterRole", "", "r", "/apis/rbac.authorization.k8s.io/v1/clusterroles/r"},
			"a namespace given where there can be none": {"v1", "Namespace", "dev", "dev", "/api/v1/namespaces/dev"},
		} {
			t.Run(mode+", "+name, func(t *testing.T) {
				s := newServer(t, tls)
				s.legacy = legacy
				c := s.client(t)
				got, err := c.Get(t.Context(), tc.apiVersion, tc.kind, tc.namespace, tc.name)
				if got != nil || err != nil {
					t.Errorf("of what is not there: %v, %v", got, err)
				}
				s.answer = always(200, obj{"apiVersion": tc.apiVersion, "kind": tc.kind, "metadata": obj{"name": tc.name}, "spec": obj{"replicas": 3}})
				got, err = c.Get(t.Context(), tc.apiVersion, tc.kind, tc.namespace, tc.name)
				if err != nil {
					t.Fatal(err)
				}
				if n, _, _ := unstructured.NestedInt64(got.Object, "spec", "replicas"); got.GetName() != tc.name || n != 3 {
					t.Errorf("got %v", got)
				}
				seen := s.requests()
				if len(seen) != 2 || seen[1].method != "GET" || seen[1].path != tc.path {
					t.Errorf("requests %+v, want %s", seen, tc.path)
				}
				equal(t, "readings of the kinds", s.discovered, 1)
			})
		}
	}
}

func TestList(t *testing.T) {
	s := newServer(t, tls)
	s.answer = func(w http.ResponseWriter, r *http.Request) {
		page := map[string]int{"": 0, "two": 1, "three": 2}[r.URL.Query().Get("continue")]
		items := [][]obj{{configMap("a"), configMap("b")}, {}, {configMap("c")}}[page]
		write(w, 200, obj{"apiVersion": "v1", "kind": "ConfigMapList", "metadata": obj{"continue": []string{"two", "three", ""}[page]}, "items": items})
	}
	list, err := s.client(t).List(t.Context(), "v1", "ConfigMap", "dev", "app=web,tier in (a,b)")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, o := range list {
		names = append(names, o.GetName())
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, names); diff != "" {
		t.Error(diff)
	}
	seen := s.requests()
	if len(seen) != 3 {
		t.Fatalf("requests %+v, want 3 pages", seen)
	}
	for i, next := range []string{"", "two", "three"} {
		want := map[string][]string{"limit": {"500"}, "labelSelector": {"app=web,tier in (a,b)"}}
		if next != "" {
			want["continue"] = []string{next}
		}
		if diff := cmp.Diff(want, seen[i].query); diff != "" || seen[i].path != "/api/v1/namespaces/dev/configmaps" {
			t.Errorf("page %d of %s: %s", i, seen[i].path, diff)
		}
	}
	t.Run("no objects are an empty list", func(t *testing.T) {
		s.answer = always(200, obj{"apiVersion": "v1", "kind": "ConfigMapList", "metadata": obj{}, "items": []obj{}})
		if list, err := s.client(t).List(t.Context(), "v1", "ConfigMap", "dev", ""); err != nil || len(list) > 0 {
			t.Errorf("got %v, %v", list, err)
		}
	})
	t.Run("a page that has expired is an error, not a shorter list", func(t *testing.T) {
		s.answer = func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("continue") != "" {
				status(w, 410, "Expired", "the continue token is too old", nil)
				return
			}
			write(w, 200, obj{"apiVersion": "v1", "kind": "ConfigMapList", "metadata": obj{"continue": "two"}, "items": []obj{configMap("a")}})
		}
		list, err := s.client(t).List(t.Context(), "v1", "ConfigMap", "dev", "app=web")
		has(t, err, "listing ConfigMap/dev/app=web: ", "the continue token is too old")
		if list != nil {
			t.Errorf("got %v with it", list)
		}
	})
}

func TestApply(t *testing.T) {
	for name, tc := range map[string]struct {
		dryRun bool
		want   map[string][]string
	}{
		"a write":   {false, map[string][]string{"fieldManager": {"outlast"}, "fieldValidation": {"Strict"}}},
		"a dry run": {true, map[string][]string{"fieldManager": {"outlast"}, "fieldValidation": {"Strict"}, "dryRun": {"All"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, tls)
			s.answer = always(200, obj{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": obj{"name": "web", "generation": 7}})
			in := &unstructured.Unstructured{Object: obj{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": obj{"name": "web", "namespace": "dev"}, "spec": obj{"replicas": int64(3)}}}
			before := in.DeepCopy()
			got, err := s.client(t).Apply(t.Context(), in, tc.dryRun)
			if err != nil {
				t.Fatal(err)
			}
			if got.GetGeneration() != 7 || !cmp.Equal(before, in) {
				t.Errorf("got %v; what went in is now %v", got, in)
			}
			seen := s.requests()
			if len(seen) != 1 {
				t.Fatalf("requests %+v, want one", seen)
			}
			equal(t, "method", seen[0].method, "PATCH")
			equal(t, "path", seen[0].path, "/apis/apps/v1/namespaces/dev/deployments/web")
			equal(t, "content type", seen[0].contentType, "application/apply-patch+yaml")
			if diff := cmp.Diff(tc.want, seen[0].query); diff != "" { // above all no force
				t.Error(diff)
			}
			var body obj
			if err := json.Unmarshal([]byte(seen[0].body), &body); err != nil {
				t.Fatal(err)
			}
			want := obj{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": obj{"name": "web", "namespace": "dev"}, "spec": obj{"replicas": 3.0}}
			if diff := cmp.Diff(want, body); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLogs(t *testing.T) {
	s := newServer(t, tls)
	s.answer = func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "{\"kind\": \"Status\"}\nline of %s\n\xff", r.URL.Query().Get("container"))
	}
	for name, tc := range map[string]struct {
		previous bool
		want     map[string][]string
	}{
		"the log of the container that runs":   {false, map[string][]string{"container": {"web"}, "tailLines": {"20"}, "limitBytes": {"65536"}}},
		"the log from before the last restart": {true, map[string][]string{"container": {"web"}, "tailLines": {"20"}, "limitBytes": {"65536"}, "previous": {"true"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := s.client(t).Logs(t.Context(), "dev", "web-1", "web", 20, tc.previous)
			if want := "{\"kind\": \"Status\"}\nline of web\n\xff"; err != nil || got != want {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
			seen := s.requests()
			last := seen[len(seen)-1]
			if diff := cmp.Diff(tc.want, last.query); diff != "" || last.path != "/api/v1/namespaces/dev/pods/web-1/log" {
				t.Errorf("%s %s", last.path, diff)
			}
		})
	}
	t.Run("a container that waits has none", func(t *testing.T) {
		s.answer = refusal(400, "BadRequest", `container "web" in pod "web-1" is waiting to start: ContainerCreating`, nil)
		_, err := s.client(t).Logs(t.Context(), "dev", "web-1", "web", 20, false)
		has(t, err, "reading the log of Pod/dev/web-1: ", "is waiting to start: ContainerCreating")
	})
}

// TestThrottled: the server's own fairness asks for patience now and then.
func TestThrottled(t *testing.T) {
	for _, code := range []int{429, 503} {
		t.Run(fmt.Sprintf("a %d with Retry-After is tried again, with the same body", code), func(t *testing.T) {
			s, refused := newServer(t, tls), 0
			s.answer = func(w http.ResponseWriter, r *http.Request) {
				if refused < 2 {
					refused++
					w.Header().Set("Retry-After", "0")
					status(w, code, "TooManyRequests", "later", nil)
					return
				}
				write(w, 200, configMap("c"))
			}
			if _, err := s.patient(t).Apply(t.Context(), &unstructured.Unstructured{Object: configMap("c")}, false); err != nil {
				t.Fatal(err)
			}
			seen := s.requests()
			if len(seen) != 3 || seen[0].body == "" || seen[1].body != seen[0].body || seen[2].body != seen[0].body {
				t.Errorf("requests %+v", seen)
			}
		})
	}
	t.Run("a Retry-After is waited for", func(t *testing.T) {
		s, first := newServer(t, tls), time.Time{}
		s.answer = func(w http.ResponseWriter, r *http.Request) {
			if first.IsZero() {
				first = time.Now()
				w.Header().Set("Retry-After", "1")
				status(w, 429, "TooManyRequests", "later", nil)
				return
			}
			if gone := time.Since(first); gone < 900*time.Millisecond {
				t.Errorf("asked again after %s", gone)
			}
			write(w, 200, configMap("c"))
		}
		if _, err := s.patient(t).Get(t.Context(), "v1", "ConfigMap", "dev", "c"); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("cancellation ends the patience", func(t *testing.T) {
		s := newServer(t, tls)
		s.answer = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "60")
			status(w, 429, "TooManyRequests", "later", nil)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := s.patient(t)
		next := c.wire.next
		c.wire.next = transport(func(r *http.Request) (*http.Response, error) {
			res, err := next.RoundTrip(r)
			time.AfterFunc(50*time.Millisecond, cancel) // not before the answer is there, however long that takes
			return res, err
		})
		_, err := c.Get(ctx, "v1", "ConfigMap", "dev", "c")
		if has(t, err, "context canceled, after 1 tries: 429 Too Many Requests"); !errors.Is(err, context.Canceled) {
			t.Errorf("%v is no cancellation", err)
		}
	})
	t.Run("a 500 without it is told at once", func(t *testing.T) {
		s := newServer(t, tls)
		s.answer = refusal(500, "InternalError", "etcd is on fire", nil)
		_, err := s.patient(t).Get(t.Context(), "v1", "ConfigMap", "dev", "c")
		has(t, err, "reading ConfigMap/dev/c: ", "etcd is on fire")
		equal(t, "requests", len(s.requests()), 1)
	})
}

func TestKinds(t *testing.T) {
	widget := kind{"example.com", "v1", "Widget", "widgets", true}
	for mode, legacy := range modes {
		t.Run(mode+", a kind that it does not serve", func(t *testing.T) {
			s := newServer(t, tls)
			s.legacy = legacy
			c := s.client(t)
			_, get := c.Get(t.Context(), "example.com/v1", "Widget", "dev", "w")
			_, list := c.List(t.Context(), "example.com/v1", "Widget", "dev", "app=w")
			_, apply := c.Apply(t.Context(), &unstructured.Unstructured{Object: obj{"apiVersion": "example.com/v1", "kind": "Widget", "metadata": obj{"name": "w", "namespace": "dev"}}}, false)
			for what, err := range map[string]error{"reading Widget/dev/w: ": get, "listing Widget/dev/app=w: ": list, "applying Widget/dev/w: ": apply} {
				has(t, err, what, "the cluster serves no such kind; is its CustomResourceDefinition installed", `no matches for kind "Widget" in version "example.com/v1"`)
				if !meta.IsNoMatchError(err) { // stages ask for it
					t.Errorf("%v is no NoMatch", err)
				}
			}
			equal(t, "requests", len(s.requests()), 0)
		})
		t.Run(mode+", a version that it does not serve", func(t *testing.T) {
			s := newServer(t, tls)
			s.legacy = legacy
			_, err := s.client(t).Get(t.Context(), "apps/v1beta1", "Deployment", "dev", "web")
			if has(t, err, "reading Deployment/dev/web: "); !meta.IsNoMatchError(err) {
				t.Errorf("%v is no NoMatch", err)
			}
		})
		t.Run(mode+", a kind that comes later", func(t *testing.T) {
			s := newServer(t, tls)
			s.legacy, s.answer = legacy, always(200, obj{"apiVersion": "example.com/v1", "kind": "Widget", "metadata": obj{"name": "w"}})
			c := s.client(t)
			if _, err := c.Get(t.Context(), "example.com/v1", "Widget", "dev", "w"); !meta.IsNoMatchError(err) {
				t.Fatalf("before: %v", err)
			}
			s.mu.Lock()
			s.kinds = append(s.kinds, widget)
			s.mu.Unlock()
			for range 3 {
				got, err := c.Get(t.Context(), "example.com/v1", "Widget", "dev", "w")
				if err != nil || got == nil {
					t.Fatalf("after: %v, %v", got, err)
				}
			}
			equal(t, "path", s.requests()[0].path, "/apis/example.com/v1/namespaces/dev/widgets/w")
			equal(t, "readings of the kinds", s.discovered, 3) // twice in vain, once with success
		})
		t.Run(mode+", a group whose own server is down hides no other", func(t *testing.T) {
			s := newServer(t, tls)
			s.legacy, s.answer, s.broken = legacy, always(200, configMap("c")), "metrics.k8s.io"
			s.kinds = append(s.kinds, kind{"metrics.k8s.io", "v1beta1", "PodMetrics", "pods", true})
			c := s.client(t)
			for _, k := range [][2]string{{"v1", "ConfigMap"}, {"apps/v1", "Deployment"}} {
				if got, err := c.Get(t.Context(), k[0], k[1], "dev", "c"); err != nil || got == nil {
					t.Errorf("%s: %v, %v", k, got, err)
				}
			}
			if _, err := c.Get(t.Context(), "metrics.k8s.io/v1beta1", "PodMetrics", "dev", "c"); !meta.IsNoMatchError(err) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("an apiVersion that is none", func(t *testing.T) {
		_, err := newServer(t, tls).client(t).Get(t.Context(), "a/b/c", "Widget", "dev", "w")
		has(t, err, `reading Widget/dev/w: reading apiVersion "a/b/c": `)
	})
}

// TestHangs: a server that accepts connections and says nothing holds nobody
// up who has been told to stop.
func TestHangs(t *testing.T) {
	for name, path := range map[string]string{"over its kinds": "/api", "over an object": "/api/v1/namespaces/dev/configmaps/c"} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, tls)
			asked := make(chan struct{}, 10)
			handler := s.Config.Handler
			s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == path {
					asked <- struct{}{}
					<-r.Context().Done()
					return
				}
				handler.ServeHTTP(w, r)
			})
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-asked
				cancel()
			}()
			started := time.Now()
			_, err := s.client(t).Get(ctx, "v1", "ConfigMap", "dev", "c")
			if took := time.Since(started); !errors.Is(err, context.Canceled) || took > 10*time.Second {
				t.Errorf("got %v after %s", err, took)
			}
		})
	}
	t.Run("a run that is cancelled already asks nothing", func(t *testing.T) {
		s := newServer(t, tls)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.client(t).Get(ctx, "v1", "ConfigMap", "dev", "c"); !errors.Is(err, context.Canceled) || s.discovered+len(s.requests()) > 0 {
			t.Errorf("got %v with %d readings of the kinds and the requests %v", err, s.discovered, s.requests())
		}
	})
}
