// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestWords: an error says what was tried, on which object and field, what was
// seen, and what to do.
func TestWords(t *testing.T) {
	conflict := obj{"name": "web", "group": "apps", "kind": "deployments", "causes": []obj{
		{"reason": "FieldManagerConflict", "message": `conflict with "kube-controller" using apps/v1`, "field": ".spec.replicas"},
		{"reason": "FieldManagerConflict", "message": `conflict with "kubectl"`, "field": `.spec.template.spec.containers[name="web"].image`},
		{"reason": "FieldValueInvalid", "message": "something else", "field": ".spec.other"},
	}}
	for name, tc := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		want   []string
		not    string
		auth   bool
	}{
		"another manager's fields are named, each with its manager, and what to do": {
			refusal(409, "Conflict", "Apply failed with 2 conflicts", conflict),
			[]string{
				"applying Deployment/dev/web: other managers own fields that the manifests set, and Outlast takes none by force: ",
				`.spec.replicas (conflict with "kube-controller" using apps/v1); .spec.template.spec.containers[name="web"].image (conflict with "kubectl"); `,
				"what is to stay theirs, leave out of the manifests; ", "`kubectl get Deployment web -n dev -o json --show-managed-fields | jq ", "Apply failed with 2 conflicts",
			}, ".spec.other", false,
		},
		"a conflict that is of no field is told as it is": {
			refusal(409, "Conflict", "the object is being deleted", obj{"name": "web", "kind": "deployments"}), []string{"applying Deployment/dev/web: ", "the object is being deleted"}, "force", false,
		},
		"a permission that lacks is an AuthError with the verb and the user": {
			refusal(403, "Forbidden", `deployments.apps "web" is forbidden: User "ci" cannot patch resource "deployments" in API group "apps" in the namespace "dev"`, nil),
			[]string{"applying Deployment/dev/web at https://127.0.0.1:", "not allowed (403): bind the identity to a Role that has this verb", `User "ci" cannot patch resource "deployments"`}, "", true,
		},
		"a policy's refusal is no question of permissions": {
			refusal(403, "Forbidden", `pods "web" is forbidden: exceeded quota: compute`, nil), []string{"applying Deployment/dev/web: ", "exceeded quota"}, "bind the identity", false,
		},
		"a namespace that is missing": {
			refusal(404, "NotFound", `namespaces "dev" not found`, obj{"name": "dev", "kind": "namespaces"}),
			[]string{"applying Deployment/dev/web: its namespace does not exist; add the Namespace to the manifests or create it: ", `namespaces "dev" not found`}, "", false,
		},
		"a 404 of something else": {
			refusal(404, "NotFound", `deployments "web" not found`, obj{"name": "web", "kind": "deployments"}), []string{"applying Deployment/dev/web: ", `deployments "web" not found`}, "namespace does not", false,
		},
		"a namespace that is there and refuses": {
			refusal(403, "Forbidden", `namespaces "dev" is forbidden: it is being terminated`, obj{"name": "dev", "kind": "namespaces"}),
			[]string{"applying Deployment/dev/web: ", "it is being terminated"}, "does not exist", false,
		},
		"a field that cannot change": {
			refusal(422, "Invalid", `Deployment.apps "web" is invalid: spec.selector: Invalid value: field is immutable`, nil), []string{"applying Deployment/dev/web: ", "spec.selector", "field is immutable"}, "", false,
		},
		"a field that does not exist": {
			refusal(400, "BadRequest", `strict decoding error: unknown field "spec.replcas"`, nil), []string{"applying Deployment/dev/web: ", `unknown field "spec.replcas"`}, "", false,
		},
		"a login that is refused": {
			refusal(401, "Unauthorized", "Unauthorized", nil), []string{"applying Deployment/dev/web at https://127.0.0.1:", "the cluster does not know this identity (401)", "else renew the kubeconfig's credentials"}, "", true,
		},
		"a page of a proxy": {
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				w.WriteHeader(502)
				_, _ = w.Write([]byte("<html>Bad Gateway</html>"))
			}, []string{"applying Deployment/dev/web: ", "Bad Gateway"}, "", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, tls)
			s.answer = tc.answer
			web := &unstructured.Unstructured{Object: obj{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": obj{"name": "web", "namespace": "dev"}}}
			got, err := s.client(t).Apply(t.Context(), web, true)
			if got != nil || err == nil {
				t.Fatalf("got %v, %v", got, err)
			}
			has(t, err, tc.want...)
			if tc.not != "" && strings.Contains(err.Error(), tc.not) {
				t.Errorf("%v\nspeaks of %q", err, tc.not)
			}
			if auth := (*AuthError)(nil); errors.As(err, &auth) != tc.auth {
				t.Errorf("%v\nis an AuthError: %t", err, !tc.auth)
			}
			if status := apierrors.APIStatus(nil); !errors.As(err, &status) {
				t.Errorf("%v\nhas lost the server's Status", err)
			}
		})
	}
}

// TestEveryVerbHasItsWords: each request tells its own verb and object.
func TestEveryVerbHasItsWords(t *testing.T) {
	s := newServer(t, tls)
	s.answer = refusal(403, "Forbidden", `User "ci" cannot do it`, nil)
	c := s.client(t)
	_, ping := c.Ping(t.Context())
	_, get := c.Get(t.Context(), "v1", "Secret", "dev", "s")
	_, cluster := c.Get(t.Context(), "v1", "Namespace", "", "dev")
	_, list := c.List(t.Context(), "v1", "Pod", "dev", "app=web")
	_, logs := c.Logs(t.Context(), "dev", "web-1", "web", 20, false)
	for want, err := range map[string]error{
		"asking for its version at https://127.0.0.1:": ping, "reading Secret/dev/s at https://127.0.0.1:": get, "reading Namespace/dev at https://127.0.0.1:": cluster,
		"listing Pod/dev/app=web at https://127.0.0.1:": list, "reading the log of Pod/dev/web-1 at https://127.0.0.1:": logs,
	} {
		has(t, err, want, "not allowed (403)", `User "ci" cannot do it`)
		if auth := (*AuthError)(nil); !errors.As(err, &auth) {
			t.Errorf("%v is no AuthError", err)
		}
	}
}

// TestUnreachable: the network's troubles, each told apart.
func TestUnreachable(t *testing.T) {
	token := func(context.Context) (string, time.Time, error) { return "t", time.Now().Add(time.Hour), nil }
	ping := func(t *testing.T, access Access) error {
		t.Helper()
		access.Token = token
		c, err := New(access)
		if err != nil {
			t.Fatal(err)
		}
		_, err = hasty(c).Ping(t.Context())
		if auth := (*AuthError)(nil); errors.As(err, &auth) {
			t.Errorf("%v is an AuthError", err)
		}
		return err
	}
	t.Run("a port where nobody listens", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Skipf("there is no loopback on this machine: %v", err)
		}
		address := l.Addr().String()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		has(t, ping(t, Access{Host: "https://" + address, CA: authority(t)}),
			"asking for its version at https://"+address+": the cluster cannot be reached from here; is its endpoint private, or a proxy needed?", "connection refused")
	})
	t.Run("a certificate of another authority", func(t *testing.T) {
		s := newServer(t, tls)
		has(t, ping(t, Access{Host: s.URL, CA: authority(t)}), "asking for its version at "+s.URL+": its certificate is signed by an authority that the kubeconfig (or EKS) does not name")
		equal(t, "requests", len(s.requests()), 0)
	})
	t.Run("a certificate that only the machine's own authorities could vouch for", func(t *testing.T) {
		s := newServer(t, tls)
		has(t, ping(t, Access{Host: s.URL}), "is signed by an authority that the kubeconfig (or EKS) does not name")
	})
	t.Run("a server without encryption", func(t *testing.T) {
		s := newServer(t, plain)
		has(t, ping(t, Access{Host: strings.Replace(s.URL, "http:", "https:", 1), CA: authority(t)}), "asking for its version: ", "server gave HTTP response to HTTPS client")
		equal(t, "requests", len(s.requests()), 0)
	})
	t.Run("a server that accepts and says nothing", func(t *testing.T) {
		c := &Client{host: "https://cluster"}
		has(t, c.explain(fmt.Errorf("%w: %w", errNoAnswer, context.DeadlineExceeded), "asking for its version", ""),
			"asking for its version at https://cluster: the cluster does not answer; is its endpoint private, or a proxy needed? no answer within 30s: ")
	})
	t.Run("a server that accepts and does not encrypt", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Skipf("there is no loopback on this machine: %v", err)
		}
		defer l.Close()
		transport := &http.Transport{TLSHandshakeTimeout: 50 * time.Millisecond}
		defer transport.CloseIdleConnections()
		_, err = (&http.Client{Transport: transport}).Get("https://" + l.Addr().String())
		c := &Client{host: "https://cluster"}
		has(t, c.explain(err, "reading", "Pod/dev/a"), "reading Pod/dev/a at https://cluster: the cluster does not answer; ", "TLS handshake timeout")
	})
}
