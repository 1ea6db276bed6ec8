// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// line is a connection that is cut until a time.
type line struct {
	until  time.Time
	err    error // of the connection; nil: the answer's body is cut
	tries  int
	bodies []string
}

type cut struct{ io.Reader }

func (c cut) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if errors.Is(err, io.EOF) {
		err = &net.OpError{Op: "read", Err: syscall.ECONNRESET}
	}
	return n, err
}

func (l *line) RoundTrip(req *http.Request) (*http.Response, error) {
	l.tries++
	if req.Body != nil {
		text, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		l.bodies = append(l.bodies, string(text))
	}
	body := io.Reader(strings.NewReader("all of it"))
	if time.Now().Before(l.until) {
		if l.err != nil {
			return nil, l.err
		}
		body = cut{strings.NewReader("half")}
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(body)}, nil
}

func TestPatient(t *testing.T) {
	refused := error(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED})
	for name, tc := range map[string]struct {
		err     error
		away    time.Duration
		strange bool // it has never answered
		stream  bool // the body cannot be had again
		limit   time.Duration
		fails   string
		tries   int // 0: several
	}{
		"refused for 3 s":                {err: refused, away: 3 * time.Second},
		"reset for 1 s":                  {err: &net.OpError{Op: "read", Err: syscall.ECONNRESET}, away: time.Second},
		"closed":                         {err: io.EOF, away: time.Second},
		"an answer that is cut":          {away: time.Second},
		"a server that says goodbye":     {err: errors.New("http2: server sent GOAWAY and closed the connection"), away: time.Second},
		"a name that is not found now":   {err: &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host"}}, away: time.Second},
		"away for longer than one waits": {err: refused, away: time.Hour, limit: 30 * time.Second, fails: "connection refused"},
		"an address that never answered": {err: refused, away: 3 * time.Second, strange: true, fails: "connection refused", tries: 1},
		"a certificate of another":       {err: x509.UnknownAuthorityError{}, away: time.Second, fails: "unknown authority", tries: 1},
		"a login that fails":             {err: &AuthError{errors.New("no token")}, away: time.Second, fails: "no token", tries: 1},
		"what cannot be sent again":      {err: refused, away: time.Second, stream: true, fails: "connection refused", tries: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &line{}
				p := &patient{next: l}
				ctx, cancel := context.WithTimeout(t.Context(), max(tc.limit, time.Minute))
				if tc.limit > 0 {
					ctx, cancel = context.WithTimeout(t.Context(), tc.limit)
				}
				defer cancel()
				send := func(method, body string) (*http.Response, error) {
					var r io.Reader = strings.NewReader(body)
					if tc.stream && method != http.MethodGet {
						r = io.MultiReader(r)
					}
					req, err := http.NewRequestWithContext(ctx, method, "http://cluster.invalid/api", r)
					if err != nil {
						t.Fatal(err)
					}
					return p.RoundTrip(req)
				}
				if !tc.strange {
					if _, err := send(http.MethodGet, ""); err != nil {
						t.Fatal(err)
					}
				}
				l.tries, l.bodies, l.err, l.until = 0, nil, tc.err, time.Now().Add(tc.away)
				started := time.Now()
				res, err := send(http.MethodPatch, "patch")
				took := time.Since(started)
				if tc.fails != "" {
					if err == nil || !strings.Contains(err.Error(), tc.fails) || tc.tries > 0 && (l.tries != tc.tries || took > 0) || tc.limit > 0 && took != tc.limit {
						t.Errorf("got %v after %d tries and %s", err, l.tries, took)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(res.Body)
				if err != nil || string(text) != "all of it" || took < tc.away || took > tc.away+2*time.Second || l.tries < 3 {
					t.Errorf("%q, %v after %d tries and %s", text, err, l.tries, took)
				}
				if slices.ContainsFunc(l.bodies, func(b string) bool { return b != "patch" }) || len(l.bodies) != l.tries {
					t.Errorf("it sent %q", l.bodies)
				}
			})
		})
	}
}

// TestPatientWithStreams: what has no end is not waited for.
func TestPatientWithStreams(t *testing.T) {
	for _, query := range []string{"watch=true", "follow=true"} {
		r, w := io.Pipe()
		p := &patient{next: pipe{r}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://cluster.invalid/api?"+query, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := p.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		go w.Write([]byte("first")) //nolint:errcheck // the reader tells
		first := make([]byte, 5)
		if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "first" {
			t.Errorf("%q, %v", first, err)
		}
		w.Close()
	}
}

type pipe struct{ r *io.PipeReader }

func (p pipe) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Body: p.r}, nil
}

// TestOutage: a client keeps writing through an API server whose connections
// are cut, and all is written.
func TestOutage(t *testing.T) {
	s := newServer(t, tls)
	var mu sync.Mutex
	away, written := false, map[string]bool{}
	s.answer = func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if away {
			if h, ok := w.(http.Hijacker); ok {
				if c, _, err := h.Hijack(); err == nil {
					c.Close()
				}
				return
			}
			panic(http.ErrAbortHandler)
		}
		name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		written[name] = true
		write(w, 200, configMap(name))
	}
	c := s.client(t)
	if _, err := c.Get(t.Context(), "v1", "ConfigMap", "dev", "c"); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	away = true
	mu.Unlock()
	time.AfterFunc(700*time.Millisecond, func() {
		mu.Lock()
		away = false
		mu.Unlock()
	})
	var all sync.WaitGroup
	for _, name := range strings.Fields("a b c d e f g h i j k l m n o p q r s t") {
		all.Go(func() {
			if _, err := c.Apply(t.Context(), &unstructured.Unstructured{Object: configMap(name)}, false); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(written) != 20 {
		t.Errorf("wrote %v", written)
	}
}
