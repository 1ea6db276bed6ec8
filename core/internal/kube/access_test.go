// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// tokens makes token-1, token-2 and so on, each for the given time.
func tokens(life time.Duration) (func(context.Context) (string, time.Time, error), *atomic.Int32) {
	var n atomic.Int32
	return func(context.Context) (string, time.Time, error) {
		return fmt.Sprintf("token-%d", n.Add(1)), time.Now().Add(life), nil
	}, &n
}

// answers is a transport that notes tokens and answers 200.
type answers struct{ seen []string }

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.seen = append(a.seen, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(""))}, nil
}

// TestTokenAges sends a request now and then, in the time of a bubble.
func TestTokenAges(t *testing.T) {
	for name, tc := range map[string]struct {
		life  time.Duration
		sends []time.Duration
		want  []string
	}{
		"one token serves until two minutes before its end": {
			15 * time.Minute, []time.Duration{0, time.Minute, 12*time.Minute + 59*time.Second}, []string{"token-1", "token-1", "token-1"},
		},
		"a new one is made from then on": {
			15 * time.Minute, []time.Duration{0, 13 * time.Minute, 14 * time.Minute, 26 * time.Minute}, []string{"token-1", "token-2", "token-2", "token-3"},
		},
		"a token that was long over is never sent": {15 * time.Minute, []time.Duration{0, time.Hour}, []string{"token-1", "token-2"}},
		"a token that lives a minute is sent once": {time.Minute, []time.Duration{0, time.Second}, []string{"token-1", "token-2"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fetch, _ := tokens(tc.life)
				next, started := &answers{}, time.Now()
				b := &bearer{next: next, fetch: fetch}
				for _, at := range tc.sends {
					time.Sleep(at - time.Since(started))
					req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://cluster", nil)
					if err != nil {
						t.Fatal(err)
					}
					res, err := b.RoundTrip(req)
					if err != nil {
						t.Fatal(err)
					}
					if err := res.Body.Close(); err != nil || req.Header.Get("Authorization") != "" {
						t.Errorf("the caller's own request was changed: %v, %v", req.Header, err)
					}
				}
				if !slices.Equal(next.seen, tc.want) {
					t.Errorf("sent %v, want %v", next.seen, tc.want)
				}
			})
		})
	}
}

func TestTokenRefused(t *testing.T) {
	client := func(t *testing.T, s *server, fetch func(context.Context) (string, time.Time, error)) *Client {
		c, err := New(Access{Host: s.URL, CA: s.ca(), Token: fetch})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	t.Run("a token that ends before its time is replaced once, and the write is sent again whole", func(t *testing.T) {
		s := newServer(t, tls)
		s.answer = func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer token-2" {
				status(w, 401, "Unauthorized", "Unauthorized", nil)
				return
			}
			write(w, 200, configMap("c"))
		}
		fetch, n := tokens(time.Hour)
		c := client(t, s, fetch)
		for range 2 {
			if _, err := c.Apply(t.Context(), &unstructured.Unstructured{Object: configMap("c")}, false); err != nil {
				t.Fatal(err)
			}
		}
		seen := s.requests()
		if len(seen) != 3 || !strings.Contains(seen[0].body, `"name":"c"`) || seen[1].body != seen[0].body || seen[2].token != "Bearer token-2" {
			t.Errorf("requests %+v", seen)
		}
		equal(t, "tokens", n.Load(), 2)
	})
	t.Run("a login that is refused for good is asked twice and is an AuthError", func(t *testing.T) {
		s := newServer(t, tls)
		s.answer = refusal(401, "Unauthorized", "Unauthorized", nil)
		fetch, n := tokens(time.Hour)
		_, err := client(t, s, fetch).Ping(t.Context())
		has(t, err, "asking for its version at https://127.0.0.1:", "the cluster does not know this identity (401): on EKS, give the role an access entry or an aws-auth mapping")
		if auth := (*AuthError)(nil); !errors.As(err, &auth) {
			t.Errorf("%v is no AuthError", err)
		}
		equal(t, "requests", len(s.requests()), 2)
		equal(t, "tokens", n.Load(), 2)
	})
	t.Run("a login that is refused over the kinds is an AuthError, too", func(t *testing.T) {
		for _, legacy := range modes {
			s := newServer(t, tls)
			s.legacy, s.refuse = legacy, func(*http.Request) bool { return true }
			fetch, _ := tokens(time.Hour)
			_, err := client(t, s, fetch).Get(t.Context(), "v1", "ConfigMap", "dev", "c")
			has(t, err, "reading ConfigMap/dev/c: asking which kinds it serves at https://127.0.0.1:", "does not know this identity (401)")
			if auth := (*AuthError)(nil); !errors.As(err, &auth) {
				t.Errorf("%v is no AuthError", err)
			}
		}
	})
	t.Run("many requests that are refused at once share one new token", func(t *testing.T) {
		s := newServer(t, tls)
		var refused sync.WaitGroup
		refused.Add(mostAtOnce)
		s.answer = func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "Bearer token-1" {
				refused.Done()
				refused.Wait() // all are on their way with the old token before one is told
				status(w, 401, "Unauthorized", "Unauthorized", nil)
				return
			}
			write(w, 200, configMap("c"))
		}
		fetch, n := tokens(time.Hour)
		c := client(t, s, func(ctx context.Context) (string, time.Time, error) {
			time.Sleep(20 * time.Millisecond) // as a login takes a while
			return fetch(ctx)
		})
		var wg sync.WaitGroup
		for range mostAtOnce {
			wg.Go(func() {
				if _, err := c.Get(t.Context(), "v1", "ConfigMap", "dev", "c"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		equal(t, "tokens", n.Load(), 2)
	})
	t.Run("a token that cannot be made is an AuthError and sends nothing", func(t *testing.T) {
		s := newServer(t, tls)
		c := client(t, s, func(context.Context) (string, time.Time, error) {
			return "", time.Time{}, errors.New("the role is gone")
		})
		_, err := c.Ping(t.Context())
		has(t, err, "asking for its version at https://127.0.0.1:", "making a token for the cluster: the role is gone")
		if auth := (*AuthError)(nil); !errors.As(err, &auth) || len(s.requests()) > 0 {
			t.Errorf("%v, with the requests %v", err, s.requests())
		}
	})
	t.Run("a token that cannot be renewed is an AuthError", func(t *testing.T) {
		s, first := newServer(t, tls), true
		s.answer = refusal(401, "Unauthorized", "Unauthorized", nil)
		_, err := client(t, s, func(context.Context) (string, time.Time, error) {
			if first {
				first = false
				return "token-1", time.Now().Add(time.Hour), nil
			}
			return "", time.Time{}, errors.New("the session is over")
		}).Ping(t.Context())
		if auth := (*AuthError)(nil); !errors.As(err, &auth) {
			t.Errorf("%v is no AuthError", err)
		}
		has(t, err, "the session is over")
	})
}

// TestRedirects: whoever answers with a redirect is not an API server; what it
// leads to gets no request at all, so no token either.
func TestRedirects(t *testing.T) {
	for _, code := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprintf("a %d to another host", code), func(t *testing.T) {
			s, thief := newServer(t, tls), newServer(t, tls)
			thief.answer = always(200, obj{"gitVersion": "v1.37.2"})
			s.answer = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, thief.URL+"/version", code) }
			file := kubeconfig(t, map[string]string{"here": s.URL}, "here", s.ca(), "token: token-k")
			own, err := New(Access{Kubeconfig: file})
			if err != nil {
				t.Fatal(err)
			}
			for name, c := range map[string]*Client{"EKS": s.client(t), "a kubeconfig": own} {
				_, err := c.Ping(t.Context())
				has(t, err, "the answer leads to "+thief.URL+", which is not the cluster and gets no credentials")
				_, err = c.Apply(t.Context(), &unstructured.Unstructured{Object: configMap("c")}, false)
				has(t, err, "applying ConfigMap/dev/c: ", "the answer leads to "+thief.URL)
				if seen := thief.requests(); len(seen) > 0 {
					t.Errorf("with the token of %s, the other host got %+v", name, seen)
				}
			}
		})
	}
	t.Run("a redirect to the same host without encryption", func(t *testing.T) {
		s := newServer(t, tls)
		s.answer = func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, strings.Replace(s.URL, "https:", "http:", 1)+"/version", http.StatusFound)
		}
		_, err := s.client(t).Ping(t.Context())
		has(t, err, "the answer leads to http://127.0.0.1:")
		equal(t, "requests", len(s.requests()), 1)
	})
	t.Run("a redirect within the cluster's address is followed", func(t *testing.T) {
		s := newServer(t, tls)
		s.answer = func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/version" {
				http.Redirect(w, r, "/elsewhere", http.StatusFound)
				return
			}
			write(w, 200, obj{"gitVersion": "v1.37.2"})
		}
		if got, err := s.client(t).Ping(t.Context()); err != nil || got != "v1.37.2" {
			t.Errorf("got %s, %v", got, err)
		}
	})
}

// kubeconfig writes a file with a context for each server, and its path.
func kubeconfig(t *testing.T, servers map[string]string, current string, ca []byte, user string) string {
	t.Helper()
	dir := t.TempDir()
	authority := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(authority, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	var clusters, contexts strings.Builder
	for name, address := range servers {
		fmt.Fprintf(&clusters, "- name: %s\n  cluster: {server: %q, certificate-authority: ca.pem}\n", name, address)
		fmt.Fprintf(&contexts, "- name: %s\n  context: {cluster: %s, user: u}\n", name, name)
	}
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: %q\nclusters:\n%scontexts:\n%susers:\n- name: u\n  user: {%s}\n", current, clusters.String(), contexts.String(), user)
	path := filepath.Join(dir, "config")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestKubeconfig(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "") // else a test within a pod would find the pod's cluster
	a, b := newServer(t, tls), newServer(t, tls)
	a.answer, b.answer = always(200, obj{"gitVersion": "v1.0.0-a"}), always(200, obj{"gitVersion": "v1.0.0-b"})
	both := kubeconfig(t, map[string]string{"a": a.URL, "b": b.URL}, "a", a.ca(), "token: token-k")
	onlyB := kubeconfig(t, map[string]string{"b": b.URL}, "b", b.ca(), "token: token-k")
	none := kubeconfig(t, map[string]string{"b": b.URL}, "", b.ca(), "token: token-k")
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("clusters: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "missing")
	for name, tc := range map[string]struct {
		access Access
		want   string
		err    []string
		auth   bool
	}{
		"the current context of a file":                    {Access{Kubeconfig: both}, "v1.0.0-a", nil, false},
		"a context by name":                                {Access{Kubeconfig: both, Context: "b"}, "v1.0.0-b", nil, false},
		"an unknown context":                               {Access{Kubeconfig: both, Context: "prod"}, "", []string{"reading the kubeconfig: ", `context "prod" does not exist`}, false},
		"the files of KUBECONFIG":                          {Access{Files: []string{both}}, "v1.0.0-a", nil, false},
		"of several files the first one's current context": {Access{Files: []string{onlyB, both}}, "v1.0.0-b", nil, false},
		"of several files some may be missing":             {Access{Files: []string{missing, onlyB}}, "v1.0.0-b", nil, false},
		"a context of the second file":                     {Access{Files: []string{onlyB, both}, Context: "a"}, "v1.0.0-a", nil, false},
		"a file named outright goes before KUBECONFIG":     {Access{Kubeconfig: both, Files: []string{onlyB}}, "v1.0.0-a", nil, false},
		"EKS goes before everything": {
			Access{Host: b.URL, CA: b.ca(), Kubeconfig: both, Token: func(context.Context) (string, time.Time, error) { return "t", time.Now().Add(time.Hour), nil }}, "v1.0.0-b", nil, false,
		},
		"a file that is missing":           {Access{Kubeconfig: missing, Files: []string{both}}, "", []string{"reading the kubeconfig: ", "missing: no such file"}, false},
		"a file that is broken":            {Access{Kubeconfig: broken}, "", []string{"reading the kubeconfig: ", "broken"}, false},
		"a file without a current context": {Access{Kubeconfig: none}, "", []string{"reading the kubeconfig: "}, false},
		"no file, no EKS cluster and no pod": {
			Access{Files: []string{missing}}, "", []string{"finding a cluster: no EKS cluster name is given, no kubeconfig is at [" + missing + "]", "this is no pod", "set cluster-name and region, or kubeconfig"}, true,
		},
		"an address that is none": {Access{Host: "https://a b"}, "", []string{`reading the cluster's address "https://a b": `}, false},
		"an authority that is no certificate": {
			Access{Host: b.URL, CA: []byte("-----BEGIN NONSENSE-----")}, "", []string{"making a client for " + b.URL + ": "}, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := New(tc.access)
			if tc.err != nil {
				has(t, err, tc.err...)
				if auth := (*AuthError)(nil); errors.As(err, &auth) != tc.auth {
					t.Errorf("%v is an AuthError: %t", err, !tc.auth)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := c.Ping(t.Context()); err != nil || got != tc.want {
				t.Errorf("got %s, %v; want %s", got, err, tc.want)
			}
		})
	}
	for _, s := range []*server{a, b} {
		for _, r := range s.requests() {
			if r.token != "Bearer token-k" && r.token != "Bearer t" {
				t.Errorf("sent %q", r.token)
			}
		}
	}
}

// TestCredentialProgram: kubeconfigs of EKS run a program for each token.
func TestCredentialProgram(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh on this machine")
	}
	s := newServer(t, tls)
	s.answer = always(200, obj{"gitVersion": "v1.37.2"})
	program := func(script string) string {
		return fmt.Sprintf("exec: {apiVersion: client.authentication.k8s.io/v1, command: %q, args: [-c, %q], interactiveMode: Never}", sh, script)
	}
	t.Run("its token is sent", func(t *testing.T) {
		good := `echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"token-p"}}'`
		c, err := New(Access{Kubeconfig: kubeconfig(t, map[string]string{"a": s.URL}, "a", s.ca(), program(good))})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		equal(t, "token", s.requests()[0].token, "Bearer token-p")
	})
	t.Run("its failure is a failed login", func(t *testing.T) {
		c, err := New(Access{Kubeconfig: kubeconfig(t, map[string]string{"a": s.URL}, "a", s.ca(), program("exit 3"))})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Ping(t.Context())
		has(t, err, "asking for its version at https://127.0.0.1:", "getting credentials: exec: ", "exit code 3")
		if auth := (*AuthError)(nil); !errors.As(err, &auth) {
			t.Errorf("%v is no AuthError", err)
		}
	})
	t.Run("a program that is missing is a failed login", func(t *testing.T) {
		c, err := New(Access{Kubeconfig: kubeconfig(t, map[string]string{"a": s.URL}, "a", s.ca(), "exec: {apiVersion: client.authentication.k8s.io/v1, command: outlast-no-such-program, interactiveMode: Never}")})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Ping(t.Context())
		has(t, err, "outlast-no-such-program")
		if auth := (*AuthError)(nil); !errors.As(err, &auth) {
			t.Errorf("%v is no AuthError", err)
		}
	})
}

func TestDefaultFiles(t *testing.T) {
	list := strings.Join([]string{"/a", "/b"}, string(os.PathListSeparator))
	for name, tc := range map[string]struct {
		kubeconfig, home string
		want             []string
	}{
		"KUBECONFIG may list several files":    {list, "/home/me", []string{"/a", "/b"}},
		"without it, it is the one below HOME": {"", "/home/me", []string{filepath.Join("/home/me", ".kube", "config")}},
		"without both there is none":           {"", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := DefaultFiles(tc.kubeconfig, tc.home); !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

// authority makes a certificate authority that has signed nothing.
func authority(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
