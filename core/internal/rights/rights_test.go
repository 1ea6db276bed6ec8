// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/event"
)

const manifests = `apiVersion: v1
kind: Namespace
metadata: {name: dev}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: dev}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: dev}
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, namespace: dev, annotations: {outlast/phase: pre-deploy}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web, namespace: other}
`

// server allows all but what is denied: "verb kind namespace/name", where an empty
// name is all of them.
type server struct {
	deny, there map[string]bool
	silent      bool // it answers no review
	away        bool // it answers no other question
	mu          sync.Mutex
	asked       []string
}

func (s *server) Review(_ context.Context, r Right) (Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := strings.ToLower(r.Kind) + "s"
	group, _, grouped := strings.Cut(r.APIVersion, "/")
	a := Answer{Resource: kind, Namespace: r.Namespace}
	if grouped {
		a.Group = group
	}
	if r.Subresource != "" {
		a.Resource += "/" + r.Subresource
	}
	if r.Kind == "Namespace" {
		a.Namespace = ""
	}
	what := fmt.Sprintf("%s %s %s/%s", r.Verb, a.Resource, a.Namespace, r.Name)
	s.asked = append(s.asked, what)
	if s.silent {
		return a, errors.New("refused")
	}
	a.Allowed = !s.deny[what]
	return a, nil
}

func (s *server) Get(_ context.Context, _, kind, namespace, name string) (*unstructured.Unstructured, error) {
	if s.away || s.deny["get "+strings.ToLower(kind)+"s "+namespace+"/"] {
		return nil, errors.New("forbidden, or away")
	}
	if s.there[kind+"/"+name] {
		return &unstructured.Unstructured{}, nil
	}
	return nil, nil
}

func set(words ...string) map[string]bool {
	all := map[string]bool{}
	for _, w := range words {
		all[w] = true
	}
	return all
}

func TestPreflight(t *testing.T) {
	for name, c := range map[string]struct {
		server *server
		bad    string // of the error
		warned string
	}{
		"all is allowed": {&server{}, "", ""},
		"all that is missing is told at once": {&server{deny: set("patch deployments dev/", "patch deployments dev/web", "get jobs dev/", "get jobs dev/migrate", "update leases dev/", "update leases dev/outlast-web",
			"create secrets dev/", "list secrets dev/", "patch configmaps other/", "patch configmaps other/web", "list pods dev/", "patch namespaces /", "patch namespaces /dev")},
			`  by a ClusterRole:
    - {apiGroups: [""], resources: [namespaces], verbs: [patch]}
  by a Role in namespace dev:
    - {apiGroups: [""], resources: [pods], verbs: [list]}
    - {apiGroups: [""], resources: [secrets], verbs: [list, create]}
    - {apiGroups: [apps], resources: [deployments], verbs: [patch]}
    - {apiGroups: [batch], resources: [jobs], verbs: [get]}
    - {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [update]}
  by a Role in namespace other:
    - {apiGroups: [""], resources: [configmaps], verbs: [patch]}`, ""},
		"given by name":                          {&server{deny: set("patch deployments dev/", "get deployments dev/")}, "", ""},
		"given for one of two names":             {&server{deny: set("patch deployments dev/", "patch deployments dev/api")}, "resources: [deployments], verbs: [patch]", ""},
		"what is there need not be created":      {&server{deny: set("create namespaces /"), there: set("Namespace/dev")}, "", ""},
		"what is not there has to be created":    {&server{deny: set("create namespaces /")}, "resources: [namespaces], verbs: [create]", ""},
		"who may not look needs both":            {&server{deny: set("create deployments dev/", "get deployments dev/", "get deployments dev/web", "get deployments dev/api")}, "resources: [deployments], verbs: [get, create]", ""},
		"a server that cannot be asked":          {&server{deny: set("create deployments dev/"), away: true}, "", ""},
		"a migration is deleted":                 {&server{deny: set("delete jobs dev/", "delete jobs dev/migrate")}, "resources: [jobs], verbs: [delete]", ""},
		"logs are only useful":                   {&server{deny: set("get pods/log dev/", "delete secrets dev/")}, "", "by a Role in namespace dev:\n    - {apiGroups: [\"\"], resources: [pods/log], verbs: [get]}\n    - {apiGroups: [\"\"], resources: [secrets], verbs: [delete]}"},
		"a server that answers no such question": {&server{silent: true, deny: set("patch deployments dev/")}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var warned strings.Builder
			err := Preflight(t.Context(), c.server, []byte(manifests), "dev", "outlast-web", func(e event.Event) { warned.WriteString(e.Message) })
			var missing *MissingError
			if (err == nil) != (c.bad == "") || err != nil && (!errors.As(err, &missing) || !strings.HasSuffix(err.Error(), c.bad) && !strings.Contains(err.Error(), c.bad)) {
				t.Errorf("got %v\nwant %s", err, c.bad)
			}
			if !strings.HasSuffix(warned.String(), c.warned) || c.warned == "" && warned.Len() > 0 {
				t.Errorf("warned of %q, want %q", warned.String(), c.warned)
			}
			if len(c.server.asked) < 20 {
				t.Errorf("asked only %q", c.server.asked)
			}
		})
	}
	if err := Preflight(t.Context(), nil, []byte(manifests), "dev", "x", nil); err != nil {
		t.Error(err)
	}
	if err := Preflight(t.Context(), &server{}, []byte("a: ["), "dev", "x", nil); err == nil {
		t.Error("broken manifests pass")
	}
}

func TestEachRightIsAskedOnce(t *testing.T) {
	needs, err := Of([]byte(manifests), "dev", "outlast-web")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[Right]bool{}
	for _, n := range needs {
		if seen[n.Right] {
			t.Errorf("twice: %+v", n.Right)
		}
		seen[n.Right] = true
	}
	var names []string
	for _, n := range needs {
		if n.Kind == "Deployment" && n.Verb == "patch" {
			names = n.Names
		}
	}
	if diff := cmp.Diff([]string{"web", "api"}, names); diff != "" {
		t.Error(diff)
	}
}
