// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outlast-ci/outlast/core/event"
)

// TestAWaitIsHeard: nobody hears nothing for 30 s, whatever the server does, and many
// requests that wait for it are one voice.
func TestAWaitIsHeard(t *testing.T) {
	away := func(*http.Request, time.Duration) (*http.Response, error) { return breaks(refusedErr) }
	mute := func(r *http.Request, _ time.Duration) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	for name, tc := range map[string]struct {
		answer   func(*http.Request, time.Duration) (*http.Response, error)
		ends     time.Duration // of the trouble
		requests int
		want     []string // what is told, as far as it is compared
	}{
		"an answer in nine seconds": {away, 9 * time.Second, 1, nil},
		"a server that is away for 25 s": {away, 25 * time.Second, 1, []string{
			"waiting for its answer for 10s: dial tcp: connection refused", "waiting for its answer for 20s: dial tcp: connection refused", "it answered after 2"}},
		"and many ask": {away, 25 * time.Second, 12, []string{"waiting for its answer for 10s: ", "waiting for its answer for 20s: ", "it answered after 2"}},
		"one that takes the request and says nothing": {mute, 35 * time.Second, 1, []string{
			"waiting for its answer for 10s", "waiting for its answer for 20s", "waiting for its answer for 30s", "waiting for its answer for 40s: no answer within 30s", "waiting for its answer for 50s: no answer", "waiting for its answer for 1m0s: no answer", "it answered after 1m"}},
		"one that is overloaded": {func(*http.Request, time.Duration) (*http.Response, error) { return says(429, "", "Retry-After", "1") }, 12 * time.Second, 1, []string{
			"waiting for its answer for 10s: 429 Too Many Requests", "it answered after 1"}},
		"one that never comes back": {away, time.Hour, 1, []string{
			"waiting for its answer for 10s: ", "waiting for its answer for 20s: ", "waiting for its answer for 30s: ", "waiting for its answer for 40s: ", "waiting for its answer for 50s: ", "waiting for its answer for 1m0s: ", "waiting for its answer for 1m10s: "}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				next := transport(func(r *http.Request) (*http.Response, error) {
					if elapsed := time.Since(began); elapsed < tc.ends {
						return tc.answer(r, elapsed)
					}
					return says(200, "ok")
				})
				var told []string
				p := &patient{next: next, patience: patience, hello: hello, met: true, observe: func(e event.Event) {
					if e.Kind != event.Progress || e.Object != "API server" {
						t.Errorf("%+v", e)
					}
					told = append(told, e.Message)
				}}
				done := make(chan error)
				for i := range tc.requests {
					go func() {
						req, err := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("http://cluster/%d", i), nil)
						if err == nil {
							_, err = p.RoundTrip(req)
						}
						done <- err
					}()
				}
				for range tc.requests {
					if err := <-done; (err == nil) != (tc.ends < time.Hour) {
						t.Error(err)
					}
				}
				time.Sleep(time.Minute)
				if !slices.EqualFunc(told, tc.want, strings.HasPrefix) {
					t.Errorf("told %q, want %q", told, tc.want)
				}
			})
		})
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
