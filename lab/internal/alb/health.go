// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// checkLoop checks one target until ctx ends: first when a node knows the
// target, then once an interval.
func (e *Engine) checkLoop(ctx context.Context, g *group, r *entry) {
	e.mu.Lock()
	arn, target, hc, n := g.ARN, r.Target, r.checks, r.last().N
	protocol := g.Protocol
	begin := e.heard(g, r)
	e.mu.Unlock()
	if hc.Protocol != "" {
		protocol = hc.Protocol
	}
	for next := begin; ; next = next.Add(hc.Interval) {
		if now := time.Now(); next.Before(now) {
			next = now
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(next)):
		}
		got := e.probe(ctx, strings.ToLower(protocol), target, hc)
		if ctx.Err() != nil {
			return
		}
		e.apply(arn, target, n, got, hc)
	}
}

// apply takes a check's result into the target's record. n is the number of the
// registration that it is of: the next one begins anew.
func (e *Engine) apply(arn string, t Target, n int, got result, hc HealthCheck) {
	e.mu.Lock()
	defer e.mu.Unlock()
	g := e.groups[arn]
	if g == nil {
		return
	}
	r := g.find(t)
	if r == nil || r.last().N != n {
		return
	}
	before, now := r.Health, time.Now()
	r.record = r.checked(got, hc)
	if r.Health == stateHealthy && before != stateHealthy {
		r.Warming = time.Time{}
		if g.slowStart() > 0 && g.someWarm(r, now) {
			r.Warming = now
		}
	}
	if r.Health != before && !r.draining() {
		e.report(g, r, now)
	}
}

// someWarm says whether another target, not registered in the same call, takes
// its full share: without one, slow start does not begin.
func (g *group) someWarm(than *entry, now time.Time) bool {
	return slices.ContainsFunc(g.records, func(r *entry) bool {
		return r != than && !r.last().From.Equal(than.last().From) && !r.draining() && r.Health == stateHealthy && r.warmth(now, g.slowStart()) >= 1
	})
}

func (g *group) slowStart() time.Duration {
	return seconds(g.Attributes, "slow_start.duration_seconds", 0)
}

// probe asks a target once, on a connection of its own.
func (e *Engine) probe(ctx context.Context, scheme string, t Target, hc HealthCheck) result {
	ctx, cancel := context.WithTimeout(ctx, hc.Timeout)
	defer cancel()
	path := hc.Path
	if path == "" {
		path = "/"
	}
	url := scheme + "://" + net.JoinHostPort(t.ID, hc.portOf(t)) + path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return result{reasonFailed, "Health checks failed"}
	}
	req.Header.Set("User-Agent", "ELB-HealthChecker/2.0")
	rt := &http.Transport{
		DisableKeepAlives: true, DisableCompression: true, DialContext: e.opt.Dialer,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the real one does not verify targets either
	}
	defer rt.CloseIdleConnections()
	resp, err := rt.RoundTrip(req)
	if err != nil {
		var ne net.Error
		if ctx.Err() != nil || errors.As(err, &ne) && ne.Timeout() || silent(err) {
			return result{reasonTimeout, "Request timed out"}
		}
		return result{reasonFailed, "Health checks failed"}
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16))
	ok, err := parseMatcher(hc.Matcher)
	if err != nil || !ok(resp.StatusCode) {
		return mismatch(resp.StatusCode)
	}
	return result{}
}

// parseMatcher reads "200", "200,202" and "200-299", and mixtures.
func parseMatcher(m string) (func(int) bool, error) {
	if m == "" {
		m = "200"
	}
	var ranges [][2]int
	for part := range strings.SplitSeq(m, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			high = low
		}
		a, err1 := strconv.Atoi(low)
		b, err2 := strconv.Atoi(high)
		if err1 != nil || err2 != nil || a < 200 || b > 499 || a > b {
			return nil, fmt.Errorf("matcher %q: want codes from 200 to 499, such as 200,202 or 200-299", m)
		}
		ranges = append(ranges, [2]int{a, b})
	}
	return func(code int) bool {
		for _, r := range ranges {
			if r[0] <= code && code <= r[1] {
				return true
			}
		}
		return false
	}, nil
}
