// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/load"
)

// The experiment in small: two new targets replace two old ones under load,
// and the old processes end a while after the deregistration was accepted.
// What survives must depend on that while, or the lab shows nothing.
func TestARolloutLosesRequestsUnlessPodsOutlastTheirTargets(t *testing.T) {
	tests := map[string]struct {
		outlive time.Duration
		lossy   bool
	}{
		"the processes end at once":                         {0, true},
		"they outlive the deregistration by 8 s":            {8 * time.Second, true},
		"by the longest lag, the longest request and a bit": {17*time.Second + 5*time.Second + 100*time.Millisecond, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Options{Seed: 11})
				answer := func(version string) http.HandlerFunc {
					return func(rw http.ResponseWriter, r *http.Request) {
						if r.URL.Path == "/slow" {
							select {
							case <-time.After(5 * time.Second):
							case <-r.Context().Done():
							}
						}
						_, _ = io.WriteString(rw, version+" hello")
					}
				}
				old, fresh := []Target{targetAt(1), targetAt(2)}, []Target{targetAt(3), targetAt(4)}
				var stops []func()
				for i := range old {
					stops = append(stops, w.serve(old[i], answer("v1")))
					w.serve(fresh[i], answer("v2"))
				}
				w.up([]string{"a", "b"}, old...)
				time.Sleep(time.Second)

				ctx, cancel := context.WithTimeout(t.Context(), 70*time.Second-time.Millisecond)
				defer cancel()
				go func() {
					time.Sleep(10 * time.Second)
					_ = w.Register(groupARN, fresh)
					time.Sleep(4 * time.Second)
					_ = w.Deregister(groupARN, old)
					time.Sleep(tt.outlive)
					for i, stop := range stops {
						stop()
						w.mu.Lock()
						w.silent[old[i].ID] = errDropped
						w.mu.Unlock()
					}
				}()
				var addrs []string
				for _, a := range w.Addresses(lbARN) {
					addrs = append(addrs, a.String())
				}
				r, err := load.Run(ctx, load.Options{URL: "http://web.test/", Addresses: addrs, Rate: 50, SlowShare: 0.1, SlowPath: "/slow", Dialer: w.dial})
				w.must(err)
				if (r.Failed > 0) != tt.lossy || r.Sent != 3500 || r.Missed != 0 {
					t.Errorf("%d of %d failed: status %v, errors %v", r.Failed, r.Sent, r.Status, r.Errors)
				}
				if r.Versions["v1"] < 500 || r.Versions["v2"] < 1800 {
					t.Errorf("versions %v, want many of both", r.Versions)
				}
				t.Logf("outlive %s: %d of %d failed, %v", tt.outlive, r.Failed, r.Sent, r.Status)
			})
		})
	}
}
