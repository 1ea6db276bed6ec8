// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// patient sends a request again whose connection failed, for as long as the
// request may take: an API server that is replaced is away for some seconds.
// Only one that has answered before is waited for, so that a wrong address is
// told at once. A write may have been accepted although its answer was lost;
// whoever writes has to bear that, by the version that it writes over.
type patient struct {
	next     http.RoundTripper
	answered atomic.Bool
}

// Pauses between two tries: each twice the last.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
)

// RoundTrip sends a request until it is answered. The answer is read as a
// whole, since it may end early, too.
func (p *patient) RoundTrip(req *http.Request) (*http.Response, error) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		res, err := p.try(req)
		if err == nil {
			p.answered.Store(true)
			return res, nil
		}
		if !p.answered.Load() || !passing(err) || req.Body != nil && req.GetBody == nil {
			return nil, err
		}
		select {
		case <-time.After(pause/2 + rand.N(pause/2)): // not all at once
		case <-req.Context().Done():
			return nil, err
		}
	}
}

func (p *patient) try(req *http.Request) (*http.Response, error) {
	clone := req.Clone(req.Context())
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		clone.Body = body
	}
	res, err := p.next.RoundTrip(clone)
	if err != nil || req.URL.Query().Get("watch") != "" || req.URL.Query().Get("follow") != "" { // these have no end
		return res, err
	}
	text, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(text))
	return res, nil
}

// passing tells whether an error is one of the connection, not of whom it
// leads to: a certificate stays wrong.
func passing(err error) bool {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return true
	}
	if network := (*net.OpError)(nil); errors.As(err, &network) {
		return slices.Contains([]string{"dial", "read", "write"}, network.Op)
	}
	return strings.Contains(err.Error(), "http2: ") // of types that net/http keeps to itself: the connection was lost, or the server sent GOAWAY
}
