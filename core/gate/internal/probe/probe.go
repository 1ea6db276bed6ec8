// SPDX-License-Identifier: Apache-2.0

// Package probe sends requests while pods are replaced, and counts. It is an open
// loop: a request is sent when it is due, whether or not those before it have been
// answered, and its time runs from when it was due; so a service that hangs
// does not hide how many would have waited.
package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Probe says what to send and to expect.
type Probe struct {
	URL      string
	Host     string // that is asked for, in the Host header and of TLS; empty: the URL's, which is connected to in any case
	Header   http.Header
	Rate     float64       // requests a second; zero: 5, at most 1000
	Timeout  time.Duration // of one request, its body included; zero: 5 s
	Status   []int         // expected; empty: 200 to 399. Redirects are not followed
	Body     string        // regular expression that the answer's body matches; empty: any
	Failures int           // budget: so many may fail

	Client Client // nil: one of its own
}

// Client sends one request.
type Client interface {
	Do(*http.Request) (*http.Response, error)
}

// Result is what a probe counted.
type Result struct {
	URL      string    `json:"url"`
	Sent     int       `json:"sent"`
	Answered int       `json:"answered"` // as expected or not, in time or not; the rest was cut off by the end
	Failed   int       `json:"failed"`
	Slowest  float64   `json:"slowestSeconds"` // of those that did not fail
	First    []Failure `json:"first,omitempty"`
}

// And adds what was counted before, if anything was.
func (r *Result) And(before *Result) *Result {
	if r == nil || before == nil {
		return cmp.Or(r, before)
	}
	return &Result{URL: r.URL, Sent: before.Sent + r.Sent, Answered: before.Answered + r.Answered, Failed: before.Failed + r.Failed,
		Slowest: max(before.Slowest, r.Slowest), First: slices.Concat(before.First, r.First)}
}

// Words say what was counted, for people.
func (r Result) Words() string {
	if r.Failed == 0 {
		return fmt.Sprintf("%d requests answered as expected, the slowest in %.2f s", r.Answered, r.Slowest)
	}
	return fmt.Sprintf("%d of %d requests failed%s", r.Failed, r.Answered, r.first())
}

func (r Result) first() string {
	if len(r.First) == 0 {
		return ""
	}
	return fmt.Sprintf("; first at %s: %s", r.First[0].At.UTC().Format(time.TimeOnly), r.First[0].What)
}

// Failure is one request that failed.
type Failure struct {
	At   time.Time `json:"at"` // when it was due
	What string    `json:"what"`
}

// Limits.
const (
	kept     = 10      // failures that are told one by one
	longBody = 1 << 20 // bytes of a body that are looked at
	most     = 1000    // requests a second
)

// Problem judges the counts: what is wrong, or nothing. At the end a probe of which
// nothing was answered proves nothing.
func Problem(p Probe, r Result, end bool) string {
	switch {
	case r.Failed > p.Failures:
		return fmt.Sprintf("probe %s: %d of %d requests failed, at most %d may%s", r.URL, r.Failed, r.Answered, p.Failures, r.first())
	case end && r.Answered == 0:
		return fmt.Sprintf("probe %s: none of %d requests was answered, so it proves nothing", r.URL, r.Sent)
	}
	return ""
}

// Running is a probe at work.
type Running struct {
	probe  Probe
	body   *regexp.Regexp
	client Client
	enough context.CancelFunc // send no more
	cancel context.CancelFunc // and give up those under way
	alarm  chan struct{}
	work   sync.WaitGroup

	mu     sync.Mutex
	result Result
}

// Check says what is wrong with a probe; it sends nothing.
func (p Probe) Check() error {
	_, _, err := p.read()
	return err
}

// read reads the texts of a probe.
func (p Probe) read() (*url.URL, *regexp.Regexp, error) {
	body, err := regexp.Compile(p.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the probe's expression for the body: %w", err)
	}
	u, err := url.Parse(p.URL)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return nil, nil, fmt.Errorf("reading the probe's URL %q: want http://HOST/PATH or https://HOST/PATH", p.URL)
	case p.Host != "" && !isHost(p.Host):
		return nil, nil, fmt.Errorf("reading the probe's host %q: want a name, with a port or without, such as shop.example.com", p.Host)
	case p.Rate < 0 || p.Timeout < 0 || p.Failures < 0:
		return nil, nil, errors.New("reading the probe: its rate, its timeout and its budget of failures cannot be less than nothing")
	case p.Rate > most:
		return nil, nil, fmt.Errorf("reading the probe: %g requests a second are more than %d", p.Rate, most)
	}
	return u, body, nil
}

// isHost tells whether a text is NAME or NAME:PORT.
func isHost(text string) bool {
	u, err := url.Parse("//" + text)
	return err == nil && u.Host == text && u.Hostname() != "" && !strings.ContainsAny(text, " \t")
}

// Start checks a probe and begins to send.
func Start(ctx context.Context, p Probe) (*Running, error) {
	u, body, err := p.read()
	if err != nil {
		return nil, err
	}
	p.Rate, p.Timeout = cmp.Or(p.Rate, 5), cmp.Or(p.Timeout, 5*time.Second)
	r := &Running{probe: p, body: body, client: p.Client, alarm: make(chan struct{}), result: Result{URL: u.Redacted()}}
	if r.client == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		if p.Host != "" {
			named := url.URL{Host: p.Host}
			own.TLSClientConfig = &tls.Config{ServerName: named.Hostname()}
		}
		r.client = &http.Client{Transport: own, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		context.AfterFunc(ctx, own.CloseIdleConnections)
	}
	var sending context.Context
	ctx, r.cancel = context.WithCancel(ctx)
	sending, r.enough = context.WithCancel(ctx)
	r.work.Go(func() { r.send(sending, ctx) })
	return r, nil
}

// send starts a request each time that one is due.
func (r *Running) send(sending, ctx context.Context) {
	began := time.Now()
	for n := 0; ; n++ {
		due := began.Add(time.Duration(float64(n) / r.probe.Rate * float64(time.Second)))
		select {
		case <-sending.Done():
			return
		case <-time.After(time.Until(due)):
		}
		r.mu.Lock()
		r.result.Sent++
		r.mu.Unlock()
		r.work.Go(func() { r.one(ctx, due) })
	}
}

// one sends a request and counts its answer; one that was given up counts for nothing.
func (r *Running) one(ctx context.Context, due time.Time) {
	timed, cancel := context.WithDeadlineCause(ctx, due.Add(r.probe.Timeout), fmt.Errorf("no answer within %s", r.probe.Timeout))
	defer cancel()
	what := r.ask(timed)
	took := time.Since(due)
	if what != "" && ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Answered++
	if what == "" {
		r.result.Slowest = max(r.result.Slowest, took.Seconds())
		return
	}
	if r.result.Failed++; len(r.result.First) < kept {
		r.result.First = append(r.result.First, Failure{due, what})
	}
	if r.result.Failed == r.probe.Failures+1 {
		close(r.alarm)
	}
}

// ask says what is wrong with an answer; nothing when it is as expected.
func (r *Running) ask(ctx context.Context) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.probe.URL, nil)
	if err != nil {
		return err.Error()
	}
	if r.probe.Header != nil {
		req.Header = r.probe.Header.Clone()
	}
	if r.probe.Host != "" {
		req.Host = r.probe.Host
	}
	res, err := r.client.Do(req)
	if err == nil {
		defer res.Body.Close() //nolint:errcheck // it was only read
		var text []byte
		if text, err = io.ReadAll(io.LimitReader(res.Body, longBody)); err == nil {
			return r.wrong(res.StatusCode, text)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx).Error()
	}
	return err.Error()
}

// wrong compares an answer with what is expected.
func (r *Running) wrong(status int, body []byte) string {
	fine := slices.Contains(r.probe.Status, status)
	if len(r.probe.Status) == 0 {
		fine = status >= 200 && status < 400
	}
	switch {
	case !fine:
		return fmt.Sprintf("status %d", status)
	case !r.body.Match(body):
		return fmt.Sprintf("status %d, but the body does not match %s", status, r.probe.Body)
	}
	return ""
}

// Alarm is closed when the budget of failures is used up.
func (r *Running) Alarm() <-chan struct{} { return r.alarm }

// Problem judges what was counted so far.
func (r *Running) Problem() string { return Problem(r.probe, r.Result(), false) }

// Final sends no more, waits for what is under way, and judges.
func (r *Running) Final() string {
	r.enough()
	r.work.Wait()
	return Problem(r.probe, r.Result(), true)
}

// Result is what was counted so far.
func (r *Running) Result() Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.result
	out.First = slices.Clone(out.First)
	return out
}

// Stop gives up what is under way.
func (r *Running) Stop() {
	r.cancel()
	r.work.Wait()
}
