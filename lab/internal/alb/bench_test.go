// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb/accesslog"
	"github.com/outlast-ci/outlast/lab/internal/load"
)

// benched is a balancer with all that costs time: two checked targets, ten
// rules, an observer and the access log. It gives a target's address and its own.
func benched(b *testing.B) (direct, balanced string) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "v1 hello") })
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
	e.LogTo(logs.Add)
	lb := balancerOf("a")
	lb.Attributes["access_logs.s3.enabled"] = "true"
	lb.Listeners[0].Port = 18081
	for i := range 10 {
		lb.Listeners[0].Rules = append(lb.Listeners[0].Rules, Rule{Priority: i + 1, Actions: forwardTo(groupARN),
			Conditions: []Condition{{Field: "host-header", Values: []string{"*.example.com"}}, {Field: "path-pattern", Values: []string{"/api/*"}}}})
	}
	for _, err := range []error{e.PutTargetGroup(groupOf(groupARN)), e.PutLoadBalancer(lb), e.Register(groupARN, targets)} {
		if err != nil {
			b.Fatal(err)
		}
	}
	time.Sleep(200 * time.Millisecond)
	return targets[0].addr(), net.JoinHostPort(e.Addresses(lbARN)[0].String(), "18081")
}

// BenchmarkSustained sends 3,000 requests/s at a constant rate for 10 s, with the generator
// and the targets on the same CPUs: 2 % of them on connections of their own, the others on
// at most 128. With 10 % a few runs in a minute leave so many ports in TIME_WAIT
// that the kernel's search for a free one is what is measured.
func BenchmarkSustained(b *testing.B) {
	_, addr := benched(b)
	for b.Loop() {
		ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
		r, err := load.Run(ctx, load.Options{URL: "http://" + addr + "/", Rate: 3000, FreshShare: 0.02, MaxConns: 128})
		cancel()
		if err != nil || r.Failed > 0 || r.Missed > 0 {
			b.Fatalf("%v: %d of %d failed, %d were not sent: %v, the first: %+v, lag %s", err, r.Failed, r.Sent, r.Missed, r.Errors, r.Failures[:1], r.MaxLag)
		}
		b.ReportMetric(r.Achieved, "requests/s")
		b.ReportMetric(100*float64(r.Late)/float64(r.Sent), "late-%")
		b.ReportMetric(float64(r.Fast.P50.Microseconds()), "p50-µs")
		b.ReportMetric(float64(r.Fast.P99.Microseconds()), "p99-µs")
	}
}

// BenchmarkProxy asks a target directly and through the balancer. The
// difference of the medians is what the balancer adds.
func BenchmarkProxy(b *testing.B) {
	direct, balanced := benched(b)
	for name, addr := range map[string]string{"direct": direct, "balanced": balanced} {
		b.Run(name, func(b *testing.B) {
			rt := &http.Transport{}
			defer rt.CloseIdleConnections()
			ask(b, rt, addr)
			var took []time.Duration
			for b.Loop() {
				begin := time.Now()
				ask(b, rt, addr)
				took = append(took, time.Since(begin))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
		b.Run(name+" 32 at once", func(b *testing.B) {
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

func ask(b *testing.B, rt *http.Transport, addr string) {
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
	resp, err := rt.RoundTrip(req)
	if err != nil {
		b.Error(err)
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b.Errorf("got %d", resp.StatusCode)
	}
}
