// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service answers after a while, by the number of the request.
type service struct {
	mu     sync.Mutex
	n      int
	at     []time.Time
	answer func(n int) (status int, body string, after time.Duration, err error)
}

func (s *service) Do(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.n++
	n := s.n
	s.at = append(s.at, time.Now())
	s.mu.Unlock()
	status, body, after, err := s.answer(n)
	select {
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case <-time.After(after):
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// always answers the same.
func always(status int, body string) *service {
	return &service{answer: func(int) (int, string, time.Duration, error) { return status, body, 10 * time.Millisecond, nil }}
}

const address = "http://shop.example/"

func TestWhatAProbeCounts(t *testing.T) {
	every := func(n int, what func() (int, string, time.Duration, error)) *service {
		return &service{answer: func(i int) (int, string, time.Duration, error) {
			if i%n == 0 {
				return what()
			}
			return 200, "hello", 0, nil
		}}
	}
	cases := map[string]struct {
		service *service
		probe   Probe // at 10 requests a second, for 10 s
		failed  int
		first   string // of the failures
	}{
		"all is well":                 {always(200, ""), Probe{}, 0, ""},
		"a redirect is":               {always(302, ""), Probe{}, 0, ""},
		"an error of the service":     {every(4, func() (int, string, time.Duration, error) { return 503, "", 0, nil }), Probe{}, 25, "status 503"},
		"a status that is not wanted": {always(200, ""), Probe{Status: []int{204, 205}}, 100, "status 200"},
		"one that is":                 {always(404, ""), Probe{Status: []int{404}}, 0, ""},
		"a body that matches":         {always(200, "version: 2\n"), Probe{Body: "version: [0-9]"}, 0, ""},
		"one that does not":           {every(2, func() (int, string, time.Duration, error) { return 200, "sorry", 0, nil }), Probe{Body: "^hello$"}, 50, "status 200, but the body does not match ^hello$"},
		"a connection that breaks":    {every(10, func() (int, string, time.Duration, error) { return 0, "", 0, errors.New("connection reset") }), Probe{}, 10, "connection reset"},
		"an answer that comes late":   {every(10, func() (int, string, time.Duration, error) { return 200, "", 9 * time.Second, nil }), Probe{Timeout: 2 * time.Second}, 10, "no answer within 2s"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.probe.URL, c.probe.Rate, c.probe.Client, c.probe.Failures = address, 10, c.service, 100
				r, err := Start(t.Context(), c.probe)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(10*time.Second - time.Millisecond)
				if problem := r.Final(); problem != "" {
					t.Error(problem)
				}
				got := r.Result()
				if got.Sent != 100 || got.Answered != 100 || got.Failed != c.failed || len(got.First) != min(c.failed, 10) {
					t.Errorf("%+v, want %d to fail", got, c.failed)
				}
				if c.failed > 0 && got.First[0].What != c.first {
					t.Errorf("first: %+v", got.First)
				}
				r.Stop()
			})
		})
	}
}

// A service that hangs does not keep requests from being sent, and each waits from when it was due.
func TestItIsAnOpenLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{answer: func(n int) (int, string, time.Duration, error) { return 200, "", 3 * time.Second, nil }}
		r, err := Start(t.Context(), Probe{URL: address, Rate: 20, Client: s})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		time.Sleep(2 * time.Second)
		if got := r.Result(); got.Sent < 40 || got.Answered > 0 {
			t.Errorf("%+v", got)
		}
		for i, at := range s.at {
			if due := began.Add(time.Duration(i) * 50 * time.Millisecond); at.Sub(due) > time.Millisecond {
				t.Fatalf("request %d was sent %s late", i, at.Sub(due))
			}
		}
		if problem := r.Final(); problem != "" || time.Since(began) > 5100*time.Millisecond {
			t.Errorf("%q after %s", problem, time.Since(began))
		}
		if got := r.Result(); got.Slowest < 3 || got.Slowest > 3.1 || got.Answered != got.Sent {
			t.Errorf("%+v", got)
		}
		r.Stop()
	})
}

func TestTheVerdictOfAProbe(t *testing.T) {
	p := Probe{URL: address, Failures: 2}
	first := []Failure{{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "status 503"}}
	cases := map[string]struct {
		result Result
		end    bool
		want   string
	}{
		"within the budget":          {Result{Sent: 9, Answered: 9, Failed: 2}, true, ""},
		"beyond it":                  {Result{Sent: 9, Answered: 8, Failed: 3, First: first}, false, "3 of 8 requests failed, at most 2 may; first at 03:04:05: status 503"},
		"nothing yet":                {Result{}, false, ""},
		"nothing to the end":         {Result{}, true, "none of 0 requests was answered"},
		"sent, and nothing answered": {Result{Sent: 3}, true, "none of 3 requests was answered, so it proves nothing"},
	}
	for name, c := range cases {
		if got := Problem(p, c.result, c.end); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// The alarm rings when the budget is used up, and not before; what is given up by the end counts for nothing.
func TestTheAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := Start(t.Context(), Probe{URL: address, Rate: 1, Failures: 3, Client: always(500, "")})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		<-r.Alarm()
		if took := time.Since(began); took < 3*time.Second || took > 3100*time.Millisecond || r.Problem() == "" {
			t.Errorf("after %s: %q", took, r.Problem())
		}
		r.Stop()
		if got := r.Result(); got.Failed != 4 || got.Sent != 4 {
			t.Errorf("%+v", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		hung := &service{answer: func(int) (int, string, time.Duration, error) { return 200, "", time.Hour, nil }}
		r, err = Start(ctx, Probe{URL: address, Client: hung, Timeout: 2 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		cancel()
		r.Stop()
		if got := r.Result(); got.Failed != 0 || got.Answered != 0 || got.Sent < 5 {
			t.Errorf("%+v", got)
		}
	})
}

func TestWhatIsNoProbe(t *testing.T) {
	for said, p := range map[string]Probe{
		"want http://HOST/PATH":       {URL: "shop.example"},
		"want a name":                 {URL: address, Host: "http://shop.example"},
		"such as shop.example.com":    {URL: address, Host: "two names"},
		"want https":                  {URL: "ftp://shop.example"},
		"expression for the body":     {URL: address, Body: "("},
		"cannot be less than nothing": {URL: address, Failures: -1},
		"its rate, its timeout":       {URL: address, Rate: -1},
	} {
		if _, err := Start(t.Context(), p); err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(said, "want https")) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

// Over a real connection: headers are sent, and redirects not followed.
// An open loop of more than a busy machine can answer would end in nothing but late answers.
func TestOverAConnection(t *testing.T) {
	var mu sync.Mutex
	var paths []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		paths = append(paths, r.URL.Path+" "+r.Header.Get("X-Probe"))
		mu.Unlock()
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := Start(ctx, Probe{URL: server.URL + "/health", Rate: 50, Timeout: time.Minute, Header: http.Header{"X-Probe": {"yes"}}, Status: []int{302}})
	if err != nil {
		t.Fatal(err)
	}
	for r.Result().Answered < 3 {
		time.Sleep(time.Millisecond)
	}
	if problem := r.Final(); problem != "" {
		t.Error(problem)
	}
	cancel()
	r.Stop()
	mu.Lock()
	defer mu.Unlock()
	for _, p := range paths {
		if p != "/health yes" {
			t.Errorf("asked for %q", p)
		}
	}
}

// A name is asked for that nothing resolves, by HTTP and by TLS.
func TestTheHostThatIsAskedFor(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]bool{}
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		name := r.Host
		if r.TLS != nil {
			name += " " + r.TLS.ServerName
		}
		mu.Lock()
		seen[name] = true
		mu.Unlock()
	})
	plain, secure := httptest.NewServer(handler), httptest.NewUnstartedServer(handler)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	var asked string
	secure.TLS = &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		asked = h.ServerName
		return nil, nil
	}}
	secure.StartTLS()
	defer plain.Close()
	defer secure.Close()
	for _, url := range []string{plain.URL, secure.URL} {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := Start(ctx, Probe{URL: url, Host: "shop.example:8443", Rate: 50, Timeout: time.Minute, Failures: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		for r.Result().Answered < 3 {
			time.Sleep(time.Millisecond)
		}
		cancel()
		r.Stop()
	}
	mu.Lock()
	defer mu.Unlock()
	if !seen["shop.example:8443"] || len(seen) != 1 || asked != "shop.example" { // the certificate is nobody's
		t.Errorf("asked for %v, and by TLS for %q", seen, asked)
	}
}

// What several waits have counted is one count.
func TestCountsAreAdded(t *testing.T) {
	var none *Result
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a, b := &Result{URL: address, Sent: 9, Answered: 8, Slowest: 2}, &Result{URL: address, Sent: 5, Answered: 5, Failed: 1, Slowest: 1, First: []Failure{{at, "status 503"}}}
	if none.And(a) != a || a.And(nil) != a || none.And(nil) != nil {
		t.Error("a count and nothing is not that count")
	}
	sum := b.And(a)
	if sum.URL != address || sum.Sent != 14 || sum.Answered != 13 || sum.Failed != 1 || sum.Slowest != 2 || sum.Words() != "1 of 13 requests failed; first at 03:04:05: status 503" {
		t.Errorf("%+v", sum)
	}
	if got := a.Words(); got != "8 requests answered as expected, the slowest in 2.00 s" {
		t.Error(got)
	}
}
