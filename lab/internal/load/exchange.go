// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Sample is one request and what became of it.
type Sample struct {
	Due     time.Time     `json:"due"`    // when it should have been sent
	Offset  time.Duration `json:"offset"` // the same, since the run began; nanoseconds
	Path    string        `json:"path"`
	Status  int           `json:"status"`          // 0: no answer
	Error   string        `json:"error,omitempty"` // class, empty when answered in full
	Detail  string        `json:"detail,omitempty"`
	Address string        `json:"address"`
	Fresh   bool          `json:"fresh"`  // a connection of its own
	Reused  bool          `json:"reused"` // the connection had served before
	Slow    bool          `json:"slow"`
	Late    bool          `json:"late"`              // it started more than 50 ms after Due
	Latency time.Duration `json:"latency"`           // from Due to the answer's last byte; nanoseconds
	Version string        `json:"version,omitempty"` // first word of the body
}

// Failed says whether the client did not get what it asked for.
func (s Sample) Failed() bool { return s.Error != "" || s.Status >= 400 }

func (g *generator) exchange(ctx context.Context, rt *http.Transport, u *url.URL, s *Sample) {
	var conns atomic.Int32
	var reused atomic.Bool
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { reused.Store(i.Reused) },
		GetConn: func(string) {
			if conns.Add(1) > 1 {
				cancel(errSecondTry)
			}
		},
	})
	req := &http.Request{Method: http.MethodGet, URL: u, Host: g.url.Host, Header: g.Header.Clone(), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	if req.Header == nil {
		req.Header = http.Header{}
	}
	// A body, though empty, keeps the transport from quietly repeating the
	// request on another connection: a failure must be seen, not mended.
	req.Body = io.NopCloser(strings.NewReader(""))
	resp, err := rt.RoundTrip(req.WithContext(ctx))
	s.Reused = reused.Load()
	if err != nil {
		s.Error, s.Detail = class(ctx, err), err.Error()
		return
	}
	defer func() { _ = resp.Body.Close() }()
	s.Status = resp.StatusCode
	var head head
	err = head.readFrom(resp.Body)
	if words := strings.Fields(string(head)); len(words) > 0 {
		s.Version = words[0]
	}
	if err != nil {
		s.Error, s.Detail = "body-"+class(ctx, err), err.Error()
	}
}

// head keeps the first bytes of a body, enough for a version.
type head []byte

// copies are used again: io.Copy's, of 32 KiB for each answer, were two fifths of all
// that the generator and the balancer together allocate.
var copies = sync.Pool{New: func() any { return new([4 << 10]byte) }}

// readFrom reads a body to its end.
func (h *head) readFrom(body io.Reader) error {
	buf := copies.Get().(*[4 << 10]byte)
	defer copies.Put(buf)
	for {
		n, err := body.Read(buf[:])
		if room := 64 - len(*h); room > 0 {
			*h = append(*h, buf[:min(room, n)]...)
		}
		if errors.Is(err, io.EOF) { // not ErrUnexpectedEOF, which is no EOF
			return nil
		}
		if err != nil {
			return err
		}
	}
}

var errSecondTry = errors.New("the kept connection was closed before the request was sent")

// class puts an error into one word.
func class(ctx context.Context, err error) string {
	var op *net.OpError
	switch {
	case errors.Is(context.Cause(ctx), errSecondTry):
		return "closed"
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.As(err, &op) && op.Op == "dial":
		return "dial"
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "server closed"):
		return "closed"
	}
	return "other"
}
