// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/outlast-ci/outlast/core/release"
)

// resource is a kind that the API server of a script serves.
type resource struct{ group, plural, kind string }

var served = []resource{
	{"v1", "pods", "Pod"}, {"v1", "services", "Service"}, {"v1", "secrets", "Secret"}, {"v1", "events", "Event"},
	{"apps/v1", "deployments", "Deployment"}, {"apps/v1", "statefulsets", "StatefulSet"}, {"apps/v1", "daemonsets", "DaemonSet"}, {"apps/v1", "replicasets", "ReplicaSet"},
	{"networking.k8s.io/v1", "ingresses", "Ingress"}, {"coordination.k8s.io/v1", "leases", "Lease"}, {"elbv2.k8s.aws/v1beta1", "targetgroupbindings", "TargetGroupBinding"},
}

// serveObjects is an API server of what is in the folder $WORK/cluster by now, where a
// script has one. It takes no writes.
func (w *world) serveObjects(rw http.ResponseWriter, r *http.Request) {
	folder := filepath.Join(filepath.Dir(w.writes), "cluster")
	if _, err := os.Stat(folder); err != nil || r.URL.Path == "/version" {
		serveKube(rw, r)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	answer := func(code int, v any) {
		rw.WriteHeader(code)
		_ = json.NewEncoder(rw).Encode(v) // to a test's client
	}
	if list := discovery(r.URL.Path); list != nil {
		answer(http.StatusOK, list)
		return
	}
	path := strings.Split(strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/apis/"), "/api/"), "/namespaces/")
	rest := strings.Split(path[len(path)-1], "/") // NAMESPACE/PLURAL[/NAME]
	i := slices.IndexFunc(served, func(s resource) bool { return len(rest) > 1 && s.group == path[0] && s.plural == rest[1] })
	all, err := readObjects(folder)
	if err != nil || i < 0 || r.Method != http.MethodGet {
		answer(http.StatusForbidden, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "message": fmt.Sprintf("cannot %s %s (%v)", r.Method, r.URL.Path, err), "code": 403})
		return
	}
	selector, _ := labels.Parse(r.URL.Query().Get("labelSelector")) // ours
	items := []any{}
	for _, o := range all {
		switch {
		case o.GetAPIVersion() != served[i].group || o.GetKind() != served[i].kind || o.GetNamespace() != rest[0]:
		case len(rest) == 3 && o.GetName() == rest[2]:
			answer(http.StatusOK, o.Object)
			return
		case len(rest) == 2 && selector.Matches(labels.Set(o.GetLabels())):
			items = append(items, o.Object)
		}
	}
	if len(rest) == 3 {
		answer(http.StatusNotFound, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404})
		return
	}
	answer(http.StatusOK, map[string]any{"kind": served[i].kind + "List", "apiVersion": served[i].group, "items": items})
}

// discovery tells which kinds there are; nil: that was not the question.
func discovery(path string) any {
	groups, kinds := []any{}, []any{}
	for _, s := range served {
		group, version, named := strings.Cut(s.group, "/")
		if known := fmt.Sprint(groups); named && !strings.Contains(known, group) {
			v := map[string]any{"groupVersion": s.group, "version": version}
			groups = append(groups, map[string]any{"name": group, "versions": []any{v}, "preferredVersion": v})
		}
		if path == "/api/"+s.group || path == "/apis/"+s.group {
			kinds = append(kinds, map[string]any{"name": s.plural, "kind": s.kind, "namespaced": true, "verbs": []string{"get", "list"}})
		}
	}
	switch {
	case path == "/api":
		return map[string]any{"kind": "APIVersions", "versions": []string{"v1"}}
	case path == "/apis":
		return map[string]any{"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
	case len(kinds) > 0:
		return map[string]any{"kind": "APIResourceList", "groupVersion": strings.TrimPrefix(strings.TrimPrefix(path, "/apis/"), "/api/"), "resources": kinds}
	}
	return nil
}

func readObjects(folder string) (all []unstructured.Unstructured, err error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for _, doc := range strings.Split(string(text), "\n---\n") {
			var o unstructured.Unstructured
			raw, err := yaml.YAMLToJSON([]byte(doc))
			if err == nil {
				err = o.UnmarshalJSON(raw)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			all = append(all, o)
		}
	}
	return all, err
}

// targets tells those of the file $WORK/targets by now: ADDRESS PORT STATE [REASON] a line.
func (w *world) targets() string {
	text, err := os.ReadFile(filepath.Join(filepath.Dir(w.writes), "targets"))
	if err != nil {
		return ""
	}
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		word := append(strings.Fields(line), "", "", "", "")
		fmt.Fprintf(&b, `<member><Target><Id>%s</Id><Port>%s</Port></Target><TargetHealth><State>%s</State><Reason>%s</Reason></TargetHealth></member>`, word[0], word[1], word[2], word[3])
	}
	return b.String()
}

// released STATE FILE: outlast has deployed web to prod in namespace shop, whose gate left it in a
// state; FILE is what it knew of the manifests.
func released(ts *testscript.TestScript, _ bool, args []string) {
	s := store{}
	history, err := release.Open(&s, release.App{Namespace: "shop", Name: "web-prod"})
	ts.Check(err)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r, err := history.Begin(context.Background(), release.Revision{Started: at, Run: release.Run{Commit: "0123456789abcdef", Actor: "ann"}}, release.Content{Manifests: []byte("a: b\n"), Report: []byte(ts.ReadFile(args[1]))})
	ts.Check(err)
	r.State, r.Finished = release.State(args[0]), at.Add(90*time.Second)
	ts.Check(history.Update(context.Background(), r))
	var docs []string
	for _, o := range s {
		text, err := o.MarshalJSON()
		ts.Check(err)
		docs = append(docs, string(text))
	}
	ts.Check(os.WriteFile(ts.MkAbs("cluster/records.yaml"), []byte(strings.Join(docs, "\n---\n")), 0o600))
}

// store keeps objects.
type store []*unstructured.Unstructured

func (s *store) Get(_ context.Context, _, kind, _, name string) (*unstructured.Unstructured, error) {
	for _, o := range *s {
		if o.GetKind() == kind && o.GetName() == name {
			return o.DeepCopy(), nil
		}
	}
	return nil, nil
}

func (s *store) List(_ context.Context, _, kind, _, selector string) (out []unstructured.Unstructured, err error) {
	match, err := labels.Parse(selector)
	for _, o := range *s {
		if err == nil && o.GetKind() == kind && match.Matches(labels.Set(o.GetLabels())) {
			out = append(out, *o.DeepCopy())
		}
	}
	return out, err
}

func (s *store) Create(_ context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	obj.SetResourceVersion("1")
	*s = append(*s, obj.DeepCopy())
	return obj, nil
}

func (s *store) Update(_ context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	i := slices.IndexFunc(*s, func(o *unstructured.Unstructured) bool { return o.GetName() == obj.GetName() })
	(*s)[i] = obj.DeepCopy()
	return obj, nil
}

func (s *store) Delete(context.Context, string, string, string, string, types.UID) error { return nil }
