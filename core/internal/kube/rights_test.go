// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outlast-ci/outlast/core/internal/rights"
)

func TestReview(t *testing.T) {
	allowed := func(yes bool) func(http.ResponseWriter, *http.Request) {
		return always(201, obj{"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "status": obj{"allowed": yes}})
	}
	for name, c := range map[string]struct {
		right  rights.Right
		answer func(http.ResponseWriter, *http.Request)
		want   rights.Answer
		asked  obj
		err    string
	}{
		"an object of a namespace": {rights.Right{Verb: "patch", APIVersion: "apps/v1", Kind: "Deployment", Namespace: "dev", Name: "web"}, allowed(true),
			rights.Answer{Allowed: true, Group: "apps", Resource: "deployments", Namespace: "dev"},
			obj{"verb": "patch", "group": "apps", "version": "v1", "resource": "deployments", "namespace": "dev", "name": "web"}, ""},
		"a log": {rights.Right{Verb: "get", APIVersion: "v1", Kind: "Pod", Subresource: "log", Namespace: "dev"}, allowed(false),
			rights.Answer{Resource: "pods/log", Namespace: "dev"},
			obj{"verb": "get", "group": "", "version": "v1", "resource": "pods", "subresource": "log", "namespace": "dev", "name": ""}, ""},
		"of the whole cluster": {rights.Right{Verb: "create", APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole", Namespace: "dev"}, allowed(false),
			rights.Answer{Group: "rbac.authorization.k8s.io", Resource: "clusterroles"},
			obj{"verb": "create", "group": "rbac.authorization.k8s.io", "version": "v1", "resource": "clusterroles", "namespace": "", "name": ""}, ""},
		"a kind that is not known": {rights.Right{Verb: "get", APIVersion: "x/v1", Kind: "Thing"}, allowed(true), rights.Answer{}, nil, "no matches for kind"},
		"a review that is refused": {rights.Right{Verb: "get", APIVersion: "v1", Kind: "Pod"}, refusal(403, "Forbidden", `user "ci" cannot create`, nil),
			rights.Answer{Resource: "pods"}, obj{"verb": "get", "group": "", "version": "v1", "resource": "pods", "namespace": "", "name": ""}, "asking for the permission to get pods"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, tls)
			s.answer = c.answer
			got, err := s.client(t).Review(t.Context(), c.right)
			if c.err != "" {
				has(t, err, c.err)
			} else if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			var asked obj
			for _, r := range s.requests() {
				var review struct {
					Spec struct{ ResourceAttributes obj }
				}
				if err := json.Unmarshal([]byte(r.body), &review); err != nil || r.method != "POST" || r.path != "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" {
					t.Errorf("%s %s %s: %v", r.method, r.path, r.body, err)
				}
				asked = review.Spec.ResourceAttributes
			}
			if diff := cmp.Diff(c.asked, asked); diff != "" {
				t.Error(diff)
			}
		})
	}
}
