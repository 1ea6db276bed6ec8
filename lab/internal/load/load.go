// SPDX-License-Identifier: Apache-2.0

// Package load sends HTTP requests at a constant rate, whatever becomes of
// them (an open loop): a service that stalls does not slow the sender, so the
// requests that would have come meanwhile are sent and their wait is counted.
// In go a URL and addresses to connect to; out comes a Report.
package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Options of a run. URL and Rate are needed.
type Options struct {
	URL string
	// Addresses (host:port, or a host that takes the URL's port) are connected to
	// in turn while the Host header stays the URL's; empty: the URL's own.
	Addresses []string
	Rate      float64 // requests per second, all together
	// SlowShare of the requests (0 to 1) asks for SlowPath instead of the URL's path.
	SlowShare float64
	SlowPath  string
	// FreshShare of the requests opens a connection of its own, 0 to 0.5; the others
	// use kept-alive ones. Zero: 0.25; negative: none.
	FreshShare float64
	// MaxConns bounds the kept-alive connections to an address, as a client's pool
	// does: a request waits for one, and its wait is counted. Zero: no bound.
	MaxConns int
	Timeout  time.Duration // of one request; zero: 90 s
	Header   http.Header   // sent with each request
	// MaxInFlight bounds memory: a request due beyond it is not sent but counted
	// in Report.Missed. Zero: 20000.
	MaxInFlight int
	// Dialer connects to an address; nil: net.Dialer.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)
	// Observe receives each finished request, from many goroutines; may be nil.
	Observe func(Sample)
}

// lateAfter is how far behind its time a request may start and still count as sent on time.
const lateAfter = 50 * time.Millisecond

// Run sends until ctx ends, then waits for the answers still due (up to
// Timeout) and reports. Ending ctx cuts no request. The error is about the
// options only; what goes wrong on the way is in the report.
func Run(ctx context.Context, o Options) (Report, error) {
	g, err := newGenerator(o)
	if err != nil {
		return Report{}, fmt.Errorf("starting load on %q: %w", o.URL, err)
	}
	defer g.close()
	g.begin = time.Now()
	gap := float64(time.Second) / g.Rate
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	var flights sync.WaitGroup
	for i := int64(0); ; i++ {
		due := g.begin.Add(time.Duration(float64(i) * gap))
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
		}
		if ctx.Err() != nil {
			break
		}
		if !g.tally.start(due, g.MaxInFlight) {
			continue
		}
		flights.Go(func() { g.send(context.WithoutCancel(ctx), i, due) })
	}
	stopped := time.Now()
	flights.Wait()
	return g.tally.report(g.begin, stopped, g.Rate), nil
}

type generator struct {
	Options
	url   *url.URL
	slow  *url.URL
	kept  []*http.Transport // one an address
	fresh []*http.Transport
	begin time.Time
	tally *tally
}

func newGenerator(o Options) (*generator, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, err
	}
	if u.Host == "" {
		return nil, errors.New("it is no absolute URL, such as http://web.example/")
	}
	if !(o.Rate > 0) || math.IsInf(o.Rate, 0) {
		return nil, fmt.Errorf("rate %v must be more than 0 a second", o.Rate)
	}
	if o.SlowShare > 0 && o.SlowPath == "" {
		return nil, errors.New("a slow share needs a slow path")
	}
	if o.SlowShare < 0 || o.SlowShare > 1 || o.FreshShare > 0.5 {
		return nil, fmt.Errorf("slow share %v must be within 0 and 1, fresh share %v at most 0.5", o.SlowShare, o.FreshShare)
	}
	if o.FreshShare == 0 {
		o.FreshShare = 0.25
	}
	if o.Timeout == 0 {
		o.Timeout = 90 * time.Second
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 20000
	}
	if o.Dialer == nil {
		o.Dialer = (&net.Dialer{}).DialContext
	}
	g := &generator{Options: o, url: u, tally: newTally()}
	if g.slow, err = u.Parse(o.SlowPath); err != nil {
		return nil, fmt.Errorf("reading slow path %q: %w", o.SlowPath, err)
	}
	if len(g.Addresses) == 0 {
		g.Addresses = []string{u.Hostname()}
	}
	for _, a := range g.Addresses {
		g.kept = append(g.kept, g.transport(withPort(a, u), false))
		g.fresh = append(g.fresh, g.transport(withPort(a, u), true))
	}
	return g, nil
}

func withPort(a string, u *url.URL) string {
	if _, _, err := net.SplitHostPort(a); err == nil {
		return a
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443"}[u.Scheme]
	}
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(strings.Trim(a, "[]"), port)
}

func (g *generator) transport(addr string, fresh bool) *http.Transport {
	most := g.MaxConns
	if fresh {
		most = 0
	}
	return &http.Transport{
		MaxConnsPerHost: most,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return g.Dialer(ctx, network, addr)
		},
		DisableKeepAlives:   fresh,
		DisableCompression:  true,
		MaxIdleConnsPerHost: 1 << 16,
		// Well under any load balancer's idle timeout: a connection closed by it
		// just as we reuse it would be counted as its failure, and is not.
		IdleConnTimeout: 20 * time.Second,
	}
}

func (g *generator) close() {
	for i := range g.kept {
		g.kept[i].CloseIdleConnections()
		g.fresh[i].CloseIdleConnections()
	}
}

// spread says whether the i-th request is one of a share, evenly and, with
// different irrational steps, independently of other shares.
func spread(i int64, step, share float64) bool {
	_, f := math.Modf(float64(i) * step)
	return f < share
}

const (
	goldenStep = 0.6180339887498949
	rootStep   = 0.4142135623730951
)

// send makes the i-th request, which was due at due, and tallies what became of it.
func (g *generator) send(ctx context.Context, i int64, due time.Time) {
	ctx, cancel := context.WithTimeout(ctx, g.Timeout)
	defer cancel()
	at := int(i % int64(len(g.Addresses)))
	s := Sample{
		Due: due, Offset: due.Sub(g.begin), Address: g.Addresses[at],
		Slow: g.SlowPath != "" && spread(i, goldenStep, g.SlowShare), Fresh: spread(i, rootStep, g.FreshShare),
	}
	u, rt := g.url, g.kept[at]
	if s.Slow {
		u = g.slow
	}
	if s.Fresh {
		rt = g.fresh[at]
	}
	s.Path = u.RequestURI()
	s.Late = time.Since(due) > lateAfter
	g.exchange(ctx, rt, u, &s)
	s.Latency = time.Since(due)
	g.tally.end(s)
	if g.Observe != nil {
		g.Observe(s)
	}
}
