// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// obj is an object in JSON.
type obj = map[string]any

// kind is one that the server serves.
type kind struct {
	group, version, kind, plural string
	namespaced                   bool
}

var kinds = []kind{
	{"", "v1", "Namespace", "namespaces", false}, {"", "v1", "Pod", "pods", true}, {"", "v1", "ConfigMap", "configmaps", true}, {"", "v1", "Secret", "secrets", true},
	{"apps", "v1", "Deployment", "deployments", true}, {"rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false},
}

// request is one that the server saw, other than discovery.
type request struct {
	method, path, token, contentType, userAgent, body string
	query                                             map[string][]string
}

// server speaks the Kubernetes API over a real connection: discovery of both
// kinds by itself, all else by answer.
type server struct {
	*httptest.Server
	legacy bool                                         // without aggregated discovery, as before 1.27
	answer func(w http.ResponseWriter, r *http.Request) // nil: 404
	refuse func(r *http.Request) bool                   // answers 401, discovery included

	mu         sync.Mutex
	kinds      []kind
	broken     string // a group whose own server is down
	seen       []request
	discovered int // how often the list of groups was read
}

func newServer(t *testing.T, start func(*httptest.Server)) *server {
	t.Helper()
	s := &server{kinds: slices.Clone(kinds)}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that a test wants refused
	start(s.Server)
	t.Cleanup(s.Close)
	return s
}

func tls(s *httptest.Server)   { s.StartTLS() }
func plain(s *httptest.Server) { s.Start() }

func (s *server) ca() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// client reaches the server as EKS has it: address, authority, token.
func (s *server) client(t *testing.T) *Client {
	t.Helper()
	c, err := New(Access{Host: s.URL, CA: s.ca(), UserAgent: "outlast/test", Token: func(context.Context) (string, time.Time, error) {
		return "token-1", time.Now().Add(time.Hour), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return hasty(c)
}

// hasty makes a client send each request once; the tests of its patience are
// elsewhere.
func hasty(c *Client) *Client {
	c.wire.patience, c.wire.hello = 0, 0
	return c
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if s.refuse != nil && s.refuse(r) {
		status(w, 401, "Unauthorized", "Unauthorized", nil)
		return
	}
	if s.discover(w, r) {
		return
	}
	s.mu.Lock()
	s.seen = append(s.seen, request{
		method: r.Method, path: r.URL.Path, token: r.Header.Get("Authorization"), contentType: r.Header.Get("Content-Type"),
		userAgent: r.UserAgent(), body: string(body), query: r.URL.Query(),
	})
	s.mu.Unlock()
	if s.answer == nil {
		status(w, 404, "NotFound", "not found", nil)
		return
	}
	s.answer(w, r)
}

func (s *server) requests() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

func (s *server) discover(w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	groups := map[string][]kind{}
	for _, k := range s.kinds {
		groups[k.group] = append(groups[k.group], k)
	}
	if r.URL.Path == "/apis" {
		s.discovered++
	}
	group, version, isVersion := strings.Cut(strings.TrimPrefix(r.URL.Path, "/apis/"), "/")
	switch {
	case r.URL.Path == "/api" && !s.legacy:
		aggregated(w, map[string][]kind{"": groups[""]}, "")
	case r.URL.Path == "/apis" && !s.legacy:
		delete(groups, "")
		aggregated(w, groups, s.broken)
	case r.URL.Path == "/api":
		write(w, 200, obj{"kind": "APIVersions", "versions": []string{"v1"}})
	case r.URL.Path == "/apis":
		var list []obj
		for name, all := range groups {
			if name != "" {
				gv := obj{"groupVersion": name + "/" + all[0].version, "version": all[0].version}
				list = append(list, obj{"name": name, "versions": []obj{gv}, "preferredVersion": gv})
			}
		}
		write(w, 200, obj{"kind": "APIGroupList", "apiVersion": "v1", "groups": list})
	case r.URL.Path == "/api/v1":
		resources(w, "v1", groups[""])
	case strings.HasPrefix(r.URL.Path, "/apis/") && isVersion && !strings.Contains(version, "/"):
		if group == s.broken {
			status(w, 503, "ServiceUnavailable", "the server is currently unable to handle the request", nil)
			return true
		}
		resources(w, group+"/"+version, groups[group])
	default:
		return false
	}
	return true
}

func resources(w http.ResponseWriter, groupVersion string, all []kind) {
	var list []obj
	for _, k := range all {
		list = append(list, obj{"name": k.plural, "kind": k.kind, "namespaced": k.namespaced, "verbs": []string{"get", "list", "patch"}})
	}
	write(w, 200, obj{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": groupVersion, "resources": list})
}

func aggregated(w http.ResponseWriter, groups map[string][]kind, broken string) {
	var items []obj
	for name, all := range groups {
		var list []obj
		for _, k := range all {
			scope := map[bool]string{true: "Namespaced", false: "Cluster"}[k.namespaced]
			list = append(list, obj{"resource": k.plural, "scope": scope, "verbs": []string{"get", "list", "patch"}, "responseKind": obj{"group": k.group, "version": k.version, "kind": k.kind}})
		}
		version := obj{"version": all[0].version, "resources": list, "freshness": "Current"}
		if name == broken && name != "" {
			version = obj{"version": all[0].version, "freshness": "Stale"}
		}
		items = append(items, obj{"metadata": obj{"name": name}, "versions": []obj{version}})
	}
	const media = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	w.Header().Set("Content-Type", media)
	text, err := json.Marshal(obj{"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items})
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(text)
}

func write(w http.ResponseWriter, code int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(text)
}

// status answers as API servers refuse.
func status(w http.ResponseWriter, code int, reason, message string, details obj) {
	s := obj{"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code}
	if details != nil {
		s["details"] = details
	}
	write(w, code, s)
}

// always answers every request alike.
func always(code int, v any) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { write(w, code, v) }
}

// refusal answers every request with a Status.
func refusal(code int, reason, message string, details obj) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { status(w, code, reason, message, details) }
}

func configMap(name string) obj {
	return obj{"apiVersion": "v1", "kind": "ConfigMap", "metadata": obj{"name": name, "namespace": "dev"}}
}

func has(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v\nwant a part %q", err, part)
		}
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, fmt.Sprint(got), fmt.Sprint(want))
	}
}

// patient is a client as it is in use.
func (s *server) patient(t *testing.T) *Client {
	t.Helper()
	c := s.client(t)
	c.wire.patience, c.wire.hello = patience, hello
	return c
}
