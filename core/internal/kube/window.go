// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// Bounds of how many requests are under way at once. The most is a third of
// what an API server's fairness gives a plain user.
const (
	mostAtOnce = 16
	recovery   = time.Second // after which one more is tried, and within which one refusal counts
)

// window lets so many requests be under way as the server bears: half as many
// after it has said that they are too many (429), and then one more a second.
type window struct {
	next http.RoundTripper

	mu      sync.Mutex
	limit   int
	busy    int
	changed time.Time     // when the limit was lowered or raised last
	freed   chan struct{} // closed when one of busy ends
}

func newWindow(next http.RoundTripper) *window {
	return &window{next: next, limit: mostAtOnce, freed: make(chan struct{})}
}

// RoundTrip sends a request when its turn has come.
func (w *window) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := w.enter(req.Context()); err != nil {
		if req.Body != nil {
			req.Body.Close() //nolint:errcheck // it was never read
		}
		return nil, err
	}
	res, err := w.next.RoundTrip(req)
	w.leave(err == nil && res.StatusCode == http.StatusTooManyRequests)
	return res, err
}

func (w *window) enter(ctx context.Context) error {
	for {
		w.mu.Lock()
		if grown := int(time.Since(w.changed) / recovery); w.limit < mostAtOnce && grown > 0 {
			w.limit, w.changed = min(mostAtOnce, w.limit+grown), time.Now()
		}
		if w.busy < w.limit {
			w.busy++
			w.mu.Unlock()
			return nil
		}
		freed := w.freed
		w.mu.Unlock()
		select {
		case <-freed:
		case <-time.After(recovery):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (w *window) leave(refused bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy--
	if refused && time.Since(w.changed) >= recovery { // those that were under way together are refused together
		w.limit, w.changed = max(1, w.limit/2), time.Now()
	}
	close(w.freed)
	w.freed = make(chan struct{})
}
