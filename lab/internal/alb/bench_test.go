// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb/accesslog"
	"github.com/outlast-ci/outlast/lab/internal/load"
)

// The bar: with access log, health checks and rules on, on 2 CPUs that the load
// generator and the targets share. docs/bench/proxy.txt keeps a run.
const (
	mostAdded = time.Millisecond // to the median of a request
	leastRate = 3000             // requests a second
	askedRate = 3100             // so that a rate of leastRate is one that was sent
)

// rig is a balancer with all that costs time: two checked targets, ten rules, an
// observer and the access log.
type rig struct {
	direct, balanced string // addresses of a target and of the balancer
	logged, probed   atomic.Int64
}

func newRig(b *testing.B) *rig {
	x := &rig{}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			x.probed.Add(1)
		}
		_, _ = io.WriteString(w, "v1 hello")
	})
	var targets []Target
	for range 2 {
		srv := httptest.NewServer(h)
		b.Cleanup(srv.Close)
		at := netip.MustParseAddrPort(srv.Listener.Addr().String())
		targets = append(targets, Target{ID: at.Addr().String(), Port: int(at.Port())})
	}
	e := New(Options{Registration: Delay{0, time.Millisecond}, Observe: func(Event) {}})
	b.Cleanup(func() { _ = e.Close() })
	logs := &accesslog.Collector{Put: func(string, string, []byte) error { return nil }}
	logs.Start()
	b.Cleanup(logs.Close)
	e.LogTo(func(s accesslog.Source, l accesslog.Entry) { x.logged.Add(1); logs.Add(s, l) })
	g, lb := groupOf(groupARN), balancerOf("a")
	g.HealthCheck.Interval = 5 * time.Second // the shortest that there is
	lb.Attributes["access_logs.s3.enabled"] = "true"
	lb.Listeners[0].Port = 18081
	for i := range 10 {
		lb.Listeners[0].Rules = append(lb.Listeners[0].Rules, Rule{Priority: i + 1, Actions: forwardTo(groupARN),
			Conditions: []Condition{{Field: "host-header", Values: []string{"*.example.com"}}, {Field: "path-pattern", Values: []string{"/api/*"}}}})
	}
	for _, err := range []error{e.PutTargetGroup(g), e.PutLoadBalancer(lb), e.Register(groupARN, targets)} {
		if err != nil {
			b.Fatal(err)
		}
	}
	time.Sleep(200 * time.Millisecond)
	x.direct, x.balanced = targets[0].addr(), net.JoinHostPort(e.Addresses(lbARN)[0].String(), "18081")
	return x
}

// complete says whether all that costs time was on while n requests were sent.
func (x *rig) complete(n int) error {
	if x.logged.Load() < int64(n) || x.probed.Load() < 2 {
		return fmt.Errorf("%d lines were logged for %d requests, and targets checked %d times: not all was on", x.logged.Load(), n, x.probed.Load())
	}
	return nil
}

// BenchmarkSustained sends at a constant rate for 10 s, with the generator and the
// targets on the same CPUs: 2 % of the requests on connections of their own, the
// others on at most 128. With 10 % a few runs in a minute leave so many ports in
// TIME_WAIT that the kernel's search for a free one is what is measured.
func BenchmarkSustained(b *testing.B) {
	x := newRig(b)
	for b.Loop() {
		ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
		r, err := load.Run(ctx, load.Options{URL: "http://" + x.balanced + "/", Rate: askedRate, FreshShare: 0.02, MaxConns: 128})
		cancel()
		if err != nil {
			b.Fatal(err)
		}
		line, err := sustained(r)
		fmt.Println(line)
		if err := errors.Join(err, x.complete(r.Sent)); err != nil {
			b.Error(err)
		}
	}
}

// sustained is a run in one line, and what of the bar it misses.
func sustained(r load.Report) (string, error) {
	line := fmt.Sprintf("sustained: %.0f requests/s of %.0f asked, at least %d; %d sent, %d failed, %d missed, %.1f %% late; p50 %.2f ms, p99 %.2f ms",
		r.Achieved, r.Rate, leastRate, r.Sent, r.Failed, r.Missed, 100*float64(r.Late)/float64(max(1, r.Sent)), milliseconds(r.Fast.P50), milliseconds(r.Fast.P99))
	if r.Achieved < leastRate || r.Failed > 0 || r.Missed > 0 {
		return line, fmt.Errorf("%.0f requests/s with %d failed and %d missed, at least %d with none are wanted: %v, lag %s", r.Achieved, r.Failed, r.Missed, leastRate, r.Errors, r.MaxLag)
	}
	return line, nil
}

// BenchmarkProxy asks a target directly and through the balancer, by turns. The
// difference of the medians is what the balancer adds.
func BenchmarkProxy(b *testing.B) {
	x := newRig(b)
	rt := &http.Transport{}
	defer rt.CloseIdleConnections()
	ask(b, rt, x.direct)
	ask(b, rt, x.balanced)
	for b.Loop() {
		var direct, balanced []time.Duration
		for range 5000 {
			direct = append(direct, ask(b, rt, x.direct))
			balanced = append(balanced, ask(b, rt, x.balanced))
		}
		line, err := added(direct, balanced)
		fmt.Println(line)
		if err := errors.Join(err, x.complete(len(balanced))); err != nil {
			b.Error(err)
		}
	}
}

// added is what the balancer adds to the median in one line, and what of the bar it misses.
func added(direct, balanced []time.Duration) (string, error) {
	at := func(took []time.Duration, percent int) time.Duration {
		slices.Sort(took)
		return took[len(took)*percent/100]
	}
	if len(direct) == 0 || len(balanced) == 0 {
		return "added: nothing was measured", errors.New("nothing was measured")
	}
	adds := at(balanced, 50) - at(direct, 50)
	line := fmt.Sprintf("added: %.3f ms to the median, less than %.0f ms; %d requests each: direct p50 %.3f ms, p99 %.3f ms; balanced p50 %.3f ms, p99 %.3f ms",
		milliseconds(adds), milliseconds(mostAdded), len(balanced), milliseconds(at(direct, 50)), milliseconds(at(direct, 99)), milliseconds(at(balanced, 50)), milliseconds(at(balanced, 99)))
	if adds >= mostAdded {
		return line, fmt.Errorf("it adds %s to the median, less than %s is wanted", adds, mostAdded)
	}
	return line, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// BenchmarkMany asks 32 at once, as fast as it goes.
func BenchmarkMany(b *testing.B) {
	x := newRig(b)
	for name, addr := range map[string]string{"direct": x.direct, "balanced": x.balanced} {
		b.Run(name, func(b *testing.B) {
			rt := &http.Transport{MaxIdleConnsPerHost: 64}
			defer rt.CloseIdleConnections()
			b.SetParallelism(16)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					ask(b, rt, addr)
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
		})
	}
}

// ask is one request, and how long it took.
func ask(b *testing.B, rt *http.Transport, addr string) time.Duration {
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
	defer cancel()
	begin := time.Now()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
	resp, err := rt.RoundTrip(req)
	if err != nil {
		b.Error(err)
		return time.Since(begin)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b.Errorf("got %d", resp.StatusCode)
	}
	return time.Since(begin)
}

func TestTheBenchmarksKnowTheirBar(t *testing.T) {
	good := load.Report{Rate: askedRate, Achieved: askedRate - 1, Sent: 31000}
	with := func(edit func(*load.Report)) load.Report { r := good; edit(&r); return r }
	for name, tt := range map[string]struct {
		r  load.Report
		ok bool
	}{
		"all was sent and answered": {good, true},
		"just the rate":             {with(func(r *load.Report) { r.Achieved = leastRate }), true},
		"less than the rate":        {with(func(r *load.Report) { r.Achieved = leastRate - 1 }), false},
		"one failed":                {with(func(r *load.Report) { r.Failed = 1 }), false},
		"one was not sent":          {with(func(r *load.Report) { r.Missed = 1 }), false},
		"nothing was sent":          {load.Report{}, false},
	} {
		if line, err := sustained(tt.r); (err == nil) != tt.ok || line == "" {
			t.Errorf("%s: %q, %v", name, line, err)
		}
	}
	took := func(ds ...time.Duration) []time.Duration { return ds }
	for name, tt := range map[string]struct {
		direct, balanced []time.Duration
		ok               bool
	}{
		"quick, but for the slowest": {took(1e5, 2e5, 3e5), took(11e5, 1e9, 2e5), true},
		"a millisecond":              {took(1e5), took(11e5), false},
		"nothing was measured":       {nil, took(1e5), false},
	} {
		if line, err := added(tt.direct, tt.balanced); (err == nil) != tt.ok || line == "" {
			t.Errorf("%s: %q, %v", name, line, err)
		}
	}
}
