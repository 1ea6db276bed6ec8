// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// script is a transport that answers by the time since its start.
type script struct {
	began  time.Time
	answer func(r *http.Request, elapsed time.Duration) (*http.Response, error)
	sent   []time.Duration
	bodies []string
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	elapsed := time.Since(s.began)
	s.sent = append(s.sent, elapsed)
	if r.Body != nil {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		s.bodies = append(s.bodies, string(text))
	}
	return s.answer(r, elapsed)
}

func says(code int, text string, header ...string) (*http.Response, error) {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: code, Status: fmt.Sprintf("%d %s", code, http.StatusText(code)), Header: h, Body: io.NopCloser(strings.NewReader(text))}, nil
}

func breaks(err error) (*http.Response, error) { return nil, err }

var (
	refusedErr = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	resetErr   = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
)

// cut is a body that breaks off.
type cut struct{ io.Reader }

func (c cut) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
func (cut) Close() error { return nil }

// TestPatience: what is tried again, for how long, and what comes out.
func TestPatience(t *testing.T) {
	type answer = func(r *http.Request, elapsed time.Duration) (*http.Response, error)
	until := func(end time.Duration, trouble func() (*http.Response, error)) answer {
		return func(_ *http.Request, elapsed time.Duration) (*http.Response, error) {
			if elapsed < end {
				return trouble()
			}
			return says(200, "ok")
		}
	}
	const forever = time.Hour
	for name, tc := range map[string]struct {
		answer      answer
		fresh       bool // the server has never answered
		renews      bool
		code        int    // of the answer; 0: an error
		err         string // part of it
		least, most time.Duration
		tries       int // exactly; 0: several
	}{
		"three seconds of refused connections":        {answer: until(3*time.Second, func() (*http.Response, error) { return breaks(refusedErr) }), code: 200, least: 3 * time.Second, most: 4 * time.Second},
		"so it is when nothing has been answered yet": {answer: until(3*time.Second, func() (*http.Response, error) { return breaks(refusedErr) }), fresh: true, code: 200, least: 3 * time.Second, most: 4 * time.Second},
		"a second of resets":                          {answer: until(time.Second, func() (*http.Response, error) { return breaks(resetErr) }), code: 200, least: time.Second, most: 2 * time.Second},
		"a connection that ends":                      {answer: until(time.Second, func() (*http.Response, error) { return breaks(io.EOF) }), code: 200, least: time.Second, most: 2 * time.Second},
		"an HTTP/2 connection that is lost":           {answer: until(time.Second, func() (*http.Response, error) { return breaks(errors.New("http2: client connection lost")) }), code: 200, least: time.Second, most: 2 * time.Second},
		"a name that cannot be looked up now":         {answer: until(time.Second, func() (*http.Response, error) { return breaks(&net.DNSError{IsTemporary: true}) }), code: 200, least: time.Second, most: 2 * time.Second},
		"an answer that breaks off": {answer: until(time.Second, func() (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: cut{strings.NewReader("o")}}, nil
		}), code: 200, least: time.Second, most: 2 * time.Second},
		"a minute of 429, with Retry-After":                {answer: until(time.Minute, func() (*http.Response, error) { return says(429, "", "Retry-After", "1") }), code: 200, least: time.Minute, most: 66 * time.Second},
		"a minute of 503, without":                         {answer: until(time.Minute, func() (*http.Response, error) { return says(503, "") }), code: 200, least: time.Minute, most: 66 * time.Second},
		"a 502 and a 504 of whatever is between":           {answer: until(3*time.Second, func() (*http.Response, error) { return says(502, "") }), code: 200, least: 3 * time.Second, most: 9 * time.Second},
		"ten seconds of etcd electing a leader":            {answer: until(10*time.Second, func() (*http.Response, error) { return says(500, `{"message":"etcdserver: leader changed"}`) }), code: 200, least: 10 * time.Second, most: 16 * time.Second},
		"a controller whose webhook is away":               {answer: until(10*time.Second, func() (*http.Response, error) { return says(500, "failed calling webhook \"vingress\"") }), code: 200, least: 10 * time.Second, most: 16 * time.Second},
		"a 500 that asks for patience":                     {answer: until(2*time.Second, func() (*http.Response, error) { return says(500, "", "Retry-After", "2") }), code: 200, least: 2 * time.Second, most: 3 * time.Second},
		"any other 500 comes at once":                      {answer: until(forever, func() (*http.Response, error) { return says(500, "no") }), code: 500, tries: 1},
		"an outage without end":                            {answer: until(forever, func() (*http.Response, error) { return breaks(refusedErr) }), err: "s: dial tcp: connection refused", least: 73 * time.Second, most: 75 * time.Second},
		"an address where nobody ever answers":             {answer: until(forever, func() (*http.Response, error) { return breaks(refusedErr) }), fresh: true, err: "s: dial tcp: connection refused", least: 4 * time.Second, most: 5 * time.Second},
		"a refusal without end":                            {answer: until(forever, func() (*http.Response, error) { return says(429, "later") }), code: 429, least: 69 * time.Second, most: 75 * time.Second},
		"a Retry-After that is too long is not waited for": {answer: until(forever, func() (*http.Response, error) { return says(429, "", "Retry-After", "76") }), code: 429, tries: 1},
		"a server that accepts and says nothing": {answer: func(r *http.Request, _ time.Duration) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, err: "no answer within 30s: context deadline exceeded", least: 90 * time.Second, most: 91 * time.Second, tries: 3},
		"it says something in the end": {answer: func(r *http.Request, elapsed time.Duration) (*http.Response, error) {
			if elapsed > time.Minute {
				return says(200, "ok")
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, code: 200, least: time.Minute, most: 62 * time.Second, tries: 3},
		"a login that is refused":                    {answer: until(forever, func() (*http.Response, error) { return says(401, "") }), code: 401, tries: 1},
		"a login that is refused, and renewed below": {answer: until(forever, func() (*http.Response, error) { return says(401, "") }), renews: true, code: 401, tries: 2},
		"a permission that lacks":                    {answer: until(forever, func() (*http.Response, error) { return says(403, "", "Retry-After", "1") }), renews: true, code: 403, tries: 1},
		"what is not there":                          {answer: until(forever, func() (*http.Response, error) { return says(404, "") }), code: 404, tries: 1},
		"a conflict":                                 {answer: until(forever, func() (*http.Response, error) { return says(409, "") }), code: 409, tries: 1},
		"a token that cannot be made":                {answer: until(forever, func() (*http.Response, error) { return breaks(&AuthError{resetErr}) }), err: "connection reset", tries: 1},
		"a name that does not exist": {answer: until(forever, func() (*http.Response, error) {
			return breaks(&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}})
		}), err: "lookup", tries: 1},
		"a certificate of another authority": {answer: until(forever, func() (*http.Response, error) { return breaks(x509.UnknownAuthorityError{}) }), err: "unknown authority", tries: 1},
		"a certificate of ours that is refused": {answer: until(forever, func() (*http.Response, error) {
			return breaks(&net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")})
		}), err: "bad certificate", tries: 1},
		"an answer that leads elsewhere": {answer: until(forever, func() (*http.Response, error) { return breaks(errors.New("which is not the cluster")) }), err: "not the cluster", tries: 1},
		"a plain answer, sent once":      {answer: until(0, nil), code: 200, tries: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{began: time.Now(), answer: tc.answer}
				p := &patient{next: s, renews: tc.renews, patience: patience, hello: hello, met: !tc.fresh}
				req, err := http.NewRequestWithContext(t.Context(), "PATCH", "https://cluster/x", strings.NewReader("body"))
				if err != nil {
					t.Fatal(err)
				}
				res, err := p.RoundTrip(req)
				if took := time.Since(s.began); took < tc.least || took > tc.most {
					t.Errorf("it took %s, want %s to %s", took, tc.least, tc.most)
				}
				if tc.tries > 0 && len(s.sent) != tc.tries || tc.tries == 0 && len(s.sent) < 2 {
					t.Errorf("sent %d times, want %d: %v", len(s.sent), tc.tries, s.sent)
				}
				if slices.ContainsFunc(s.bodies, func(b string) bool { return b != "body" }) || len(s.bodies) != len(s.sent) {
					t.Errorf("bodies %q", s.bodies)
				}
				if tc.code == 0 {
					if has(t, err, tc.err); res != nil {
						t.Errorf("got %v with it", res)
					}
					return
				}
				if err != nil || res.StatusCode != tc.code {
					t.Fatalf("got %v, %v", res, err)
				}
				if text, err := io.ReadAll(res.Body); err != nil || tc.code == 200 && string(text) != "ok" {
					t.Errorf("body %q, %v", text, err)
				}
			})
		})
	}
}

// TestPatienceIsShared: the server's silence is waited for once, not by every
// request anew; but one that fails alone is not tried for ever.
func TestPatienceIsShared(t *testing.T) {
	get := func(t *testing.T, p *patient, path string) error {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://cluster"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.RoundTrip(req)
		return err
	}
	t.Run("after a long silence a request is tried once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &script{began: time.Now(), answer: func(_ *http.Request, elapsed time.Duration) (*http.Response, error) {
				if elapsed > 10*time.Minute {
					return says(200, "ok")
				}
				return breaks(refusedErr)
			}}
			p := &patient{next: s, patience: patience, hello: hello, met: true}
			has(t, get(t, p, "/a"), "tried ")
			time.Sleep(2 * time.Second) // more than a last pause
			sent, now := len(s.sent), time.Now()
			has(t, get(t, p, "/b"), "connection refused")
			if len(s.sent) != sent+1 || time.Since(now) > 0 {
				t.Errorf("sent %d times more, %s later", len(s.sent)-sent, time.Since(now))
			}
			time.Sleep(10 * time.Minute)
			if err := get(t, p, "/b"); err != nil { // all is well again
				t.Error(err)
			}
			s.began = time.Now()
			has(t, get(t, p, "/a"), "tried ")
			if took := time.Since(s.began); took < 73*time.Second {
				t.Errorf("the next silence was waited for %s", took)
			}
		})
	})
	t.Run("a request that fails alone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &script{began: time.Now(), answer: func(r *http.Request, _ time.Duration) (*http.Response, error) {
				if r.URL.Path == "/large" {
					return breaks(resetErr)
				}
				return says(200, "ok")
			}}
			p := &patient{next: s, patience: patience, hello: hello}
			done := make(chan error)
			go func() { done <- get(t, p, "/large") }()
			for range 1000 {
				time.Sleep(90 * time.Millisecond)
				if err := get(t, p, "/small"); err != nil {
					t.Fatal(err)
				}
			}
			if has(t, <-done, "connection reset"); time.Since(s.began) > 91*time.Second {
				t.Errorf("it took %s", time.Since(s.began))
			}
		})
	})
	t.Run("a connection on which nothing comes back is given up, and another tried", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			dialled, began := 0, time.Now()
			transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
				here, there := net.Pipe()
				dialled++
				answers := dialled == 3
				go func() {
					defer there.Close()
					_, err := http.ReadRequest(bufio.NewReader(there))
					if err == nil && answers {
						_, err = io.WriteString(there, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
					}
					if err == nil {
						_, err = io.Copy(io.Discard, there)
					}
					if err != nil && !errors.Is(err, io.EOF) {
						t.Error(err)
					}
				}()
				return here, nil
			}}
			defer transport.CloseIdleConnections()
			p := &patient{next: transport, patience: patience, hello: hello, met: true}
			if err := get(t, p, "/x"); err != nil || time.Since(began) < time.Minute || time.Since(began) > 62*time.Second {
				t.Errorf("%v after %s", err, time.Since(began))
			}
		})
	})
	t.Run("who is told to stop stops", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &script{began: time.Now(), answer: func(*http.Request, time.Duration) (*http.Response, error) { return breaks(refusedErr) }}
			p := &patient{next: s, patience: patience, hello: hello, met: true}
			ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Second, errors.New("SIGTERM"))
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, "GET", "https://cluster/x", nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.RoundTrip(req)
			if has(t, err, "SIGTERM, after ", "connection refused"); time.Since(s.began) != 5*time.Second {
				t.Errorf("after %s", time.Since(s.began))
			}
		})
	})
}
