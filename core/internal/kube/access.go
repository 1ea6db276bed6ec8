// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/outlast-ci/outlast/core/event"
)

// Access is one way to reach a cluster. Host with CA and Token comes from EKS;
// without a Host it is a kubeconfig, or the account of the pod that we run in.
type Access struct {
	Host  string
	CA    []byte                                           // PEM
	Token func(context.Context) (string, time.Time, error) // bearer token and when it ends

	Kubeconfig string   // file; empty: Files, then the pod's account
	Files      []string // kubeconfig files to merge, e.g. those of KUBECONFIG
	Context    string   // of the kubeconfig; empty: its current one

	UserAgent string
	Observe   event.Func // told while an answer is waited for
}

func (a Access) config() (*rest.Config, error) {
	if a.Host != "" {
		cfg := &rest.Config{Host: a.Host, TLSClientConfig: rest.TLSClientConfig{CAData: a.CA}}
		cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return &bearer{next: next, fetch: a.Token} })
		return cfg, nil
	}
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: a.Kubeconfig, Precedence: a.Files, WarnIfAllMissing: false}
	if a.Kubeconfig == "" && !anyExists(a.Files) {
		cfg, err := rest.InClusterConfig()
		if err != nil {
			return nil, &AuthError{fmt.Errorf("finding a cluster: no EKS cluster name is given, no kubeconfig is at %v, and this is no pod (%w); set cluster-name and region, or kubeconfig", a.Files, err)}
		}
		return cfg, nil
	}
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: a.Context}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	return cfg, nil
}

func anyExists(files []string) bool {
	for _, f := range files {
		if _, err := os.Stat(f); err == nil {
			return true
		}
	}
	return false
}

// DefaultFiles are the kubeconfig files that kubectl would read, given the
// values of KUBECONFIG and HOME.
func DefaultFiles(kubeconfig, home string) []string {
	if kubeconfig != "" {
		return filepath.SplitList(kubeconfig)
	}
	if home == "" {
		return nil
	}
	return []string{filepath.Join(home, ".kube", "config")}
}

// homebound sends requests to the cluster's own address only. An API server
// does not redirect, and whoever else does would be sent our credentials.
type homebound struct {
	next http.RoundTripper
	base *url.URL
}

// RoundTrip sends a request that stays at home.
func (h *homebound) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != h.base.Scheme || req.URL.Host != h.base.Host {
		err := fmt.Errorf("the answer leads to %s://%s, which is not the cluster and gets no credentials; is a proxy or a login page in between?", req.URL.Scheme, req.URL.Host)
		if req.Body != nil {
			return nil, errors.Join(err, req.Body.Close())
		}
		return nil, err
	}
	return h.next.RoundTrip(req)
}

// bearer puts a token on each request, a new one two minutes before the old
// one ends, and once more when the server refuses it: EKS tokens live for 15
// minutes and a gate may wait longer.
type bearer struct {
	next  http.RoundTripper
	fetch func(context.Context) (string, time.Time, error)
	mu    sync.Mutex
	token string
	ends  time.Time
}

func (b *bearer) current(ctx context.Context, refused string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.token != "" && b.token != refused && time.Until(b.ends) > 2*time.Minute {
		return b.token, nil
	}
	token, ends, err := b.fetch(ctx)
	if err != nil {
		return "", &AuthError{fmt.Errorf("making a token for the cluster: %w", err)}
	}
	b.token, b.ends = token, ends
	return token, nil
}

// RoundTrip sends a request with the token.
func (b *bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	token, err := b.current(req.Context(), "")
	if err != nil {
		return nil, err
	}
	res, err := b.send(req, token)
	if err != nil || res.StatusCode != http.StatusUnauthorized || (req.Body != nil && req.GetBody == nil) {
		return res, err
	}
	again, err := b.current(req.Context(), token)
	if err != nil {
		return nil, errors.Join(err, res.Body.Close())
	}
	if err := res.Body.Close(); err != nil {
		return nil, err
	}
	return b.send(req, again)
}

func (b *bearer) send(req *http.Request, token string) (*http.Response, error) {
	clone := req.Clone(req.Context())
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		clone.Body = body
	}
	clone.Header.Set("Authorization", "Bearer "+token)
	return b.next.RoundTrip(clone)
}
