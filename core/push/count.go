// SPDX-License-Identifier: Apache-2.0

package push

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// counter counts the blobs that a push really uploads.
type counter struct {
	next  http.RoundTripper
	mu    sync.Mutex
	blobs int
	bytes int64
}

// RoundTrip passes a request on. A blob is uploaded by PATCH (its bytes) and
// PUT (its digest): both are answered with 2xx.
func (c *counter) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := c.next.RoundTrip(req)
	if err != nil || res.StatusCode/100 != 2 || !strings.Contains(req.URL.Path, "/blobs/uploads/") {
		return res, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch req.Method {
	case http.MethodPatch:
		c.bytes += max(0, req.ContentLength)
	case http.MethodPut:
		c.blobs++
	}
	return res, err
}

func (c *counter) totals(took time.Duration) (blobs int, bytes int64, seconds float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blobs, c.bytes, took.Seconds()
}
