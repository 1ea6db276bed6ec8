// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipes is an in-memory network, so that a test's clock can be a fake one.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// drive runs o for d against h, on a fake clock.
func drive(t *testing.T, d time.Duration, o Options, h http.HandlerFunc) (r Report) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		srv := &http.Server{Handler: h}
		go func() { _ = srv.Serve(p) }()
		o.URL, o.Dialer = "http://web.test/fast", p.dial
		ctx, cancel := context.WithTimeout(t.Context(), d-time.Millisecond) // not on the last request.s tick
		defer cancel()
		var err error
		if r, err = Run(ctx, o); err != nil {
			t.Fatal(err)
		}
		_ = srv.Close()
	})
	return r
}

func TestRateAndShares(t *testing.T) {
	r := drive(t, 10*time.Second, Options{Rate: 50, SlowShare: 0.1, SlowPath: "/slow", FreshShare: 0.3}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			time.Sleep(5 * time.Second)
		}
		_, _ = io.WriteString(w, "v1 from "+r.Host)
	})
	if r.Sent != 500 || r.Due != 500 || r.Missed != 0 || r.Late != 0 || r.Failed != 0 {
		t.Errorf("10 s at 50/s: sent %d of %d due, missed %d, late %d, failed %d, want 500, 500, 0, 0, 0", r.Sent, r.Due, r.Missed, r.Late, r.Failed)
	}
	if r.Slow < 48 || r.Slow > 52 || r.Fresh < 145 || r.Fresh > 155 {
		t.Errorf("slow %d, fresh %d of 500, want about 50 and 150", r.Slow, r.Fresh)
	}
	if r.Reused < 250 {
		t.Errorf("reused %d of 500 connections, want at least half", r.Reused)
	}
	if r.Versions["v1"] != 500 || r.Status[200] != 500 {
		t.Errorf("versions %v, status %v, want 500 of v1 and 200", r.Versions, r.Status)
	}
	if r.SlowOne.P50 != 5*time.Second || r.Fast.P99 != 0 {
		t.Errorf("latency slow p50 %s, fast p99 %s, want 5s and 0s on a fake clock", r.SlowOne.P50, r.Fast.P99)
	}
	if len(r.Seconds) != 10 || r.Seconds[3].Sent != 50 || r.Seconds[3].Versions["v1"] != 50 {
		t.Errorf("seconds %+v, want 10 with 50 requests each", r.Seconds)
	}
}

func TestABoundOnConnectionsMakesRequestsWaitAndCountsTheirWait(t *testing.T) {
	tests := map[string]struct {
		most int
		max  time.Duration
	}{
		"without one each has a connection":   {0, time.Second},
		"with two, the last of ten waits 4 s": {2, 5 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := drive(t, time.Second, Options{Rate: 10, FreshShare: -1, MaxConns: tt.most}, func(w http.ResponseWriter, _ *http.Request) { time.Sleep(time.Second) })
			if r.Sent != 10 || r.Failed != 0 || (r.Fast.Max-tt.max).Abs() > time.Second {
				t.Errorf("%d sent, %d failed, the longest took %s, want about %s", r.Sent, r.Failed, r.Fast.Max, tt.max)
			}
		})
	}
}

// A closed loop would send nothing while the server stalls, and report a good p99.
func TestOpenLoopSendsOnWhileTheServerStalls(t *testing.T) {
	begin := time.Time{}
	var once sync.Once
	var at [3]atomic.Int32
	r := drive(t, 3*time.Second, Options{Rate: 100}, func(w http.ResponseWriter, _ *http.Request) {
		once.Do(func() { begin = time.Now() })
		since := time.Since(begin)
		at[min(2, int(since/time.Second))].Add(1)
		if since >= time.Second && since < 2*time.Second {
			time.Sleep(2*time.Second - since)
		}
	})
	for i := range at {
		if n := at[i].Load(); n != 100 {
			t.Errorf("second %d: %d requests arrived, want 100 whatever the server does", i, n)
		}
	}
	if r.Fast.P99 < 900*time.Millisecond || r.Fast.P50 > 10*time.Millisecond {
		t.Errorf("p50 %s p99 %s, want the stall in p99 only", r.Fast.P50, r.Fast.P99)
	}
}

func TestMissedIsCountedNotHidden(t *testing.T) {
	r := drive(t, time.Second, Options{Rate: 100, MaxInFlight: 10, Timeout: 5 * time.Second}, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	})
	if r.Sent != 10 || r.Missed != 90 || r.Due != 100 || r.Errors["timeout"] != 10 {
		t.Errorf("sent %d missed %d due %d errors %v, want 10, 90, 100 and 10 timeouts", r.Sent, r.Missed, r.Due, r.Errors)
	}
}

// finish runs o, on the real clock, until n requests have come to their end: by no time,
// in which a busy machine may send none.
func finish(t *testing.T, n int32, o Options) Report {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var ended atomic.Int32
	o.Observe = func(Sample) {
		if ended.Add(1) >= n {
			cancel()
		}
	}
	r, err := Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFailuresByClass(t *testing.T) {
	hijack := func(w http.ResponseWriter, f func(*net.TCPConn)) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		f(c.(*net.TCPConn))
		_ = c.Close()
	}
	tests := map[string]struct {
		handle http.HandlerFunc
		status int
		class  string
	}{
		"a 503 is a failed status": {handle: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, status: 503},
		"a 404 is a failed status": {handle: http.NotFound, status: 404},
		"a closed connection":      {handle: func(w http.ResponseWriter, _ *http.Request) { hijack(w, func(*net.TCPConn) {}) }, class: "closed"},
		"a reset connection":       {handle: func(w http.ResponseWriter, _ *http.Request) { hijack(w, func(c *net.TCPConn) { _ = c.SetLinger(0) }) }, class: "reset"},
		"silence":                  {handle: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, class: "timeout"},
		"a body that ends before it did": {class: "body-closed", status: 200, handle: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			_, _ = w.Write([]byte("v1"))
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(tt.handle)
			defer srv.Close()
			o := Options{URL: "http://web.test/p", Addresses: []string{srv.Listener.Addr().String()}, Rate: 50}
			if tt.class == "timeout" { // no other may be one, however slow this machine is
				o.Timeout = 200 * time.Millisecond
			}
			r := finish(t, 4, o)
			if r.Failed != r.Sent || r.Sent < 4 || r.Status[tt.status] != r.Sent && tt.status != 0 || r.Errors[tt.class] != r.Sent && tt.class != "" {
				t.Fatalf("sent %d failed %d status %v errors %v, want all failed with status %d class %q", r.Sent, r.Failed, r.Status, r.Errors, tt.status, tt.class)
			}
			f := r.Failures[0]
			if len(r.Failures) != min(keptFailures, r.Sent) || f.Path != "/p" || f.Status != tt.status || f.Error != tt.class || f.Address == "" || f.Latency <= 0 || f.Due.IsZero() {
				t.Errorf("first failure %+v", f)
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		if r := finish(t, 2, Options{URL: "http://127.0.0.1:1/", Rate: 50}); r.Errors["refused"] != r.Sent {
			t.Errorf("errors %v of %d, want all refused", r.Errors, r.Sent)
		}
	})
}

// net/http would send the request again on a new connection and nobody would know.
func TestAKeptConnectionThatFailsIsSeen(t *testing.T) {
	var served atomic.Int32
	// On a fake clock one request ends before the next is due, so that it has the connection.
	r := drive(t, 500*time.Millisecond, Options{Rate: 40, FreshShare: -1}, func(w http.ResponseWriter, _ *http.Request) {
		if served.Add(1)%2 == 0 {
			c, _, _ := http.NewResponseController(w).Hijack()
			_ = c.Close()
		}
	})
	if r.Sent != 20 || int(served.Load()) != r.Sent || r.Errors["closed"] != r.Sent/2 || r.Reused != r.Sent/2 {
		t.Errorf("served %d, sent %d, errors %v, reused %d: want each of 20 sent once and every second one failed on a reused connection",
			served.Load(), r.Sent, r.Errors, r.Reused)
	}
}

func TestAddressesTakeTurnsAndKeepTheHost(t *testing.T) {
	var hits [2]atomic.Int32
	var addrs []string
	for i := range hits {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Host != "web.test" || r.Header.Get("X-Probe") != "yes" {
				w.WriteHeader(400)
			}
			hits[i].Add(1)
		}))
		defer srv.Close()
		addrs = append(addrs, srv.Listener.Addr().String())
	}
	r := finish(t, 20, Options{URL: "http://web.test/", Addresses: addrs, Rate: 100, Header: http.Header{"X-Probe": {"yes"}}})
	if d := hits[0].Load() - hits[1].Load(); d < 0 || d > 1 || r.Failed != 0 || int(hits[0].Load()+hits[1].Load()) != r.Sent {
		t.Errorf("hits %d and %d, failed %d, sent %d: want equal, 0, all", hits[0].Load(), hits[1].Load(), r.Failed, r.Sent)
	}
}

// The real clock, a real server: the rate holds without skew. Each second has its share, sent
// late or not, and none is sent before its time; how late they are is this machine's affair.
func TestRealTimeRate(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "v2") }))
	defer srv.Close()
	r := finish(t, 1100, Options{URL: srv.URL, Rate: 500})
	if r.Failed != 0 || r.Versions["v2"] != r.Sent || float64(r.Due) > 1+500*r.Duration.Seconds() {
		t.Errorf("%s at 500/s: due %d, sent %d, failed %d, versions %v, errors %v", r.Duration, r.Due, r.Sent, r.Failed, r.Versions, r.Errors)
	}
	for _, s := range r.Seconds[:2] {
		if s.Sent != 500 {
			t.Errorf("second %d: %d requests, want 500", s.At, s.Sent)
		}
	}
	t.Logf("%s: due %d missed %d late %d lag %s p50 %s p99 %s", r.Duration, r.Due, r.Missed, r.Late, r.MaxLag, r.Fast.P50, r.Fast.P99)
}

func TestReportSurvivesJSON(t *testing.T) {
	r := drive(t, time.Second, Options{Rate: 20, SlowShare: 0.2, SlowPath: "/s"}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/s" {
			w.WriteHeader(502)
		}
		_, _ = io.WriteString(w, "v1")
	})
	r.Begin = r.Begin.UTC()
	for i := range r.Failures {
		r.Failures[i].Due = r.Failures[i].Due.UTC()
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got Report
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(r, got); d != "" || len(r.Failures) == 0 {
		t.Errorf("%d failures; after JSON (-before +after):\n%s", len(r.Failures), d)
	}
}

func TestBadOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"no host":             {URL: "/x", Rate: 1},
		"no rate":             {URL: "http://h/"},
		"too many fresh":      {URL: "http://h/", Rate: 1, FreshShare: 0.6},
		"a share above one":   {URL: "http://h/", Rate: 1, SlowShare: 1.1, SlowPath: "/"},
		"no URL":              {URL: "http://%zz", Rate: 1},
		"slow share, no path": {URL: "http://h/", Rate: 1, SlowShare: 0.1},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Run(t.Context(), o); err == nil {
				t.Error("it was accepted")
			}
		})
	}
}

func TestLatencyIsByNearestRank(t *testing.T) {
	var ds []time.Duration
	for i := range 200 {
		ds = append(ds, time.Duration(200-i))
	}
	if got, want := latency(ds), (Latency{P50: 100, P99: 198, Max: 200}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := latency([]time.Duration{7}); got != (Latency{7, 7, 7}) {
		t.Errorf("of one: %+v", got)
	}
}

func TestALateSendIsCountedAndItsDelayIsLatency(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	g, err := newGenerator(Options{URL: srv.URL, Rate: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	g.begin = time.Now().Add(-time.Second)
	g.tally.start(g.begin, 1)
	g.send(t.Context(), 0, g.begin)
	r := g.tally.report(g.begin, time.Now(), 1)
	if r.Late != 1 || r.MaxLag < time.Second || r.Fast.P50 < time.Second || r.Failed != 0 {
		t.Errorf("late %d, lag %s, p50 %s, failed %d: want 1, 1s and more twice, 0", r.Late, r.MaxLag, r.Fast.P50, r.Failed)
	}
}
