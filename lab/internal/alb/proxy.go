// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Not standard, but what an ALB logs when the client went away.
const statusClientClosed = 460

// exchange is one request on its way through a node.
type exchange struct {
	front  *front
	config *frontConfig
	w      *counter
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu      sync.Mutex // the fields below are written from the transport's goroutines, too
	log     RequestLog
	wrote   time.Time
	first   time.Time
	dialed  int
	reading error // how reading the target's answer ended
	quiet   *time.Timer
}

// ServeHTTP is one request to one listener of one node.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	if f.ended {
		f.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	f.active.Add(1)
	f.mu.Unlock()
	defer f.active.Done()

	c := f.config.Load()
	x := &exchange{front: f, config: c, w: &counter{ResponseWriter: w}, log: newLog(f, c, r)}
	x.ctx, x.cancel = context.WithCancelCause(r.Context())
	defer x.cancel(nil)
	defer x.finish()
	if start := connOf(r).start; !start.IsZero() && time.Since(start) > c.keepAlive {
		w.Header().Set("Connection", "close")
	}
	rule, ok := match(c.rules, r)
	if !ok {
		x.answer(http.StatusServiceUnavailable, CauseNoTarget)
		return
	}
	a := rule.Actions[len(rule.Actions)-1]
	x.log.Priority, x.log.Action = rule.Priority, a.Type
	switch a.Type {
	case "fixed-response":
		x.fixed(*a.FixedResponse)
	case "redirect":
		x.log.RedirectURL = a.Redirect.location(r, x.scheme(), c.listener.Port)
		w.Header().Set("Location", x.log.RedirectURL)
		x.answer(a.Redirect.StatusCode, CauseNone)
	default:
		x.forward(r, a.TargetGroups)
	}
}

func newLog(f *front, c *frontConfig, r *http.Request) RequestLog {
	l := RequestLog{
		Type: "http", LoadBalancer: c.lb.ARN, Listener: c.listener.ARN, Node: f.node.addr.String(),
		Client: r.RemoteAddr, Created: time.Now(), RequestTime: -1, TargetTime: -1, ResponseTime: -1,
		Method: r.Method, Proto: r.Proto, UserAgent: r.UserAgent(), Priority: -1,
		TraceID: traceID(r.Header.Get("X-Amzn-Trace-Id")), ConnTraceID: connOf(r).trace, Received: requestHead(r),
	}
	if r.TLS != nil {
		l.Type = "https"
		f.secured(&l, c, r)
	}
	l.URL = l.Type + "://" + withPort(r.Host, c.listener.Port) + r.URL.RequestURI()
	if r.ProtoMajor == 2 {
		l.Type = "h2"
	}
	return l
}

// traceID keeps the client's root, or makes one whose first part is the second of arrival.
func traceID(given string) string {
	var id [12]byte
	_, _ = rand.Read(id[:])
	fresh := fmt.Sprintf("1-%08x-%s", time.Now().Unix(), hex.EncodeToString(id[:]))
	switch {
	case given == "":
		return "Root=" + fresh
	case strings.Contains(given, "Root="):
		return "Self=" + fresh + ";" + given
	}
	return "Root=" + fresh + ";" + given
}

func (x *exchange) scheme() string { return strings.ToLower(x.config.listener.Protocol) }

func (x *exchange) forward(r *http.Request, groups []WeightedTargetGroup) {
	f := &flight{node: x.front.node, cancel: x.cancel}
	e := x.front.node.engine
	c, ok := e.choose(x.front.node, groups, r, x.config.idleTimeout, f)
	x.log.TargetGroup = c.group
	if !ok {
		x.answer(http.StatusServiceUnavailable, CauseNoTarget)
		return
	}
	defer e.release(c, f)
	x.log.Target, x.log.Draining = c.target.addr(), c.draining
	x.quiet = time.AfterFunc(time.Hour, func() { x.cancel(errIdleTimeout) })
	x.quiet.Stop() // it starts with the connection: until then the connect timeout rules
	defer x.quiet.Stop()
	proxy := &httputil.ReverseProxy{
		Transport:      c.rt,
		FlushInterval:  -1,
		BufferPool:     e.buffers,
		ErrorLog:       log.New(io.Discard, "", 0),
		Rewrite:        func(p *httputil.ProxyRequest) { x.rewrite(p, c) },
		ModifyResponse: func(resp *http.Response) error { return x.answered(resp, c) },
		ErrorHandler:   func(_ http.ResponseWriter, _ *http.Request, err error) { x.failed(err) },
	}
	proxy.ServeHTTP(x.w, r.WithContext(httptrace.WithClientTrace(x.ctx, x.trace())))
}

func (x *exchange) rewrite(p *httputil.ProxyRequest, c choice) {
	out := p.Out
	out.URL.Scheme, out.URL.Host = c.scheme, c.target.addr()
	out.URL.RawQuery = p.In.URL.RawQuery // also what Go finds malformed
	x.headers(p)
	// The transport repeats a request without a body on another connection when
	// a kept one turns out to be closed. An ALB does not: that is its 502.
	switch {
	case out.Body != nil:
		out.Body = &touched{ReadCloser: out.Body, x: x, count: &x.log.Received}
	case out.Method == http.MethodGet || out.Method == http.MethodHead || out.Method == http.MethodOptions:
		out.Body = io.NopCloser(strings.NewReader(""))
	}
	out.GetBody = nil
}

// trace notes the phases. Its functions run in the transport's goroutines.
func (x *exchange) trace() *httptrace.ClientTrace {
	locked := func(f func()) { x.mu.Lock(); f(); x.mu.Unlock() }
	return &httptrace.ClientTrace{
		GetConn: func(string) {
			locked(func() {
				if x.dialed++; x.dialed > 1 {
					x.cancel(errNoRetry)
				}
			})
		},
		GotConn: func(i httptrace.GotConnInfo) {
			locked(func() { x.log.Reused = i.Reused })
			x.touch()
		},
		WroteRequest: func(httptrace.WroteRequestInfo) {
			locked(func() { x.wrote = time.Now(); x.log.RequestTime = x.wrote.Sub(x.log.Created).Seconds() })
			x.touch()
		},
		GotFirstResponseByte: func() {
			locked(func() {
				x.first = time.Now()
				if !x.wrote.IsZero() {
					x.log.TargetTime = x.first.Sub(x.wrote).Seconds()
				}
			})
			x.touch()
		},
	}
}

func (x *exchange) touch() { x.quiet.Reset(x.config.idleTimeout) }

// answered takes note of the target's status and watches its body.
func (x *exchange) answered(resp *http.Response, c choice) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.log.TargetStatus = resp.StatusCode
	if c.cookie != nil {
		resp.Header.Add("Set-Cookie", c.cookie.String())
	}
	body := touched{ReadCloser: resp.Body, x: x, ended: &x.reading}
	if rw, ok := resp.Body.(io.ReadWriteCloser); ok && resp.StatusCode == http.StatusSwitchingProtocols {
		x.log.Type = map[string]string{"http": "ws", "https": "wss"}[x.scheme()]
		x.log.Status, x.w.at = resp.StatusCode, time.Now() // it is written on the bare connection
		body.count, x.w.sent = &x.log.Sent, headSize(len("HTTP/1.1 101 Switching Protocols"), resp.Header)
		resp.Body = &touchedBoth{touched: body, w: rw}
		return nil
	}
	resp.Body = &body
	return nil
}

// failed answers for a target that did not.
func (x *exchange) failed(err error) {
	x.mu.Lock()
	if x.log.Detail = err.Error(); x.dialed > 1 {
		x.log.Detail = "it closed a connection that had been kept: " + x.log.Detail
	}
	x.mu.Unlock()
	switch cause := classify(context.Cause(x.ctx), err); cause {
	case CauseClientClosed:
		x.mu.Lock()
		x.log.Status, x.log.Cause = statusClientClosed, cause
		x.mu.Unlock()
	case CauseConnectTimeout, CauseIdleTimeout:
		x.answer(http.StatusGatewayTimeout, cause)
	default:
		x.answer(http.StatusBadGateway, cause)
	}
}

// classify finds the cause of a failed round trip. ended is why the request's
// context ended, nil when it has not.
func classify(ended, err error) Cause {
	var c *connectError
	switch {
	case errors.Is(ended, errDelayExpired):
		return CauseDelayExpired
	case errors.Is(ended, errIdleTimeout):
		return CauseIdleTimeout
	case errors.Is(ended, errNoRetry):
		return CauseTargetClosed
	case ended != nil:
		return CauseClientClosed
	case errors.As(err, &c) && c.timeout:
		return CauseConnectTimeout
	case errors.As(err, &c):
		return CauseConnectRefused
	case strings.Contains(err.Error(), "malformed") || strings.Contains(err.Error(), "exceeded"):
		return CauseMalformed // net/http has no type for these
	}
	return CauseTargetClosed
}

// answer is the node's own answer, in the words of the real one.
func (x *exchange) answer(status int, cause Cause) {
	x.mu.Lock()
	x.log.Cause = cause
	x.mu.Unlock()
	words := http.StatusText(status)
	switch status {
	case 503:
		words = "Service Temporarily Unavailable"
	case 504:
		words = "Gateway Time-out"
	}
	title := fmt.Sprintf("%d %s", status, words)
	x.fixed(FixedResponse{StatusCode: status, ContentType: "text/html", Body: "<html>\r\n<head><title>" + title +
		"</title></head>\r\n<body>\r\n<center><h1>" + title + "</h1></center>\r\n</body>\r\n</html>\r\n"})
}

func (x *exchange) fixed(f FixedResponse) {
	h := x.w.Header()
	h.Set("Server", "awselb/2.0")
	if f.ContentType == "" {
		f.ContentType = "text/plain"
	}
	h.Set("Content-Type", f.ContentType)
	h.Set("Content-Length", strconv.Itoa(len(f.Body)))
	x.w.WriteHeader(f.StatusCode)
	_, _ = io.WriteString(x.w, f.Body)
}

// finish writes the log record, also when the answer was broken off.
func (x *exchange) finish() {
	broken := recover()
	x.mu.Lock()
	l := x.log
	if x.w.status != 0 {
		l.Status = x.w.status
	}
	l.Sent += x.w.sent
	if !x.first.IsZero() && !x.w.at.IsZero() {
		l.ResponseTime = x.w.at.Sub(x.first).Seconds()
	}
	if broken != nil || l.TargetStatus == http.StatusSwitchingProtocols {
		if ended := context.Cause(x.ctx); ended != nil || x.reading != nil {
			l.Cause = classify(ended, x.reading)
		} else if broken != nil {
			l.Cause = CauseClientClosed
		}
		l.Truncated = broken != nil
	}
	x.mu.Unlock()
	now := time.Now()
	x.front.node.engine.opt.Observe(Event{Time: now, Request: &l})
	x.front.node.engine.access(x.config.lb.Attributes, &l, now)
	if broken != nil {
		panic(broken)
	}
}

// counter is a response writer that knows what went out and when it began.
type counter struct {
	http.ResponseWriter
	status int
	sent   int64
	at     time.Time
}

func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *counter) WriteHeader(status int) {
	if status >= 200 && c.status == 0 {
		c.status, c.at = status, time.Now()
		c.sent = headSize(len("HTTP/1.1 200 ")+len(http.StatusText(status)), c.Header())
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.sent += int64(n)
	return n, err
}

// touched is a body whose every byte puts off the idle timeout.
type touched struct {
	io.ReadCloser
	x     *exchange
	count *int64
	ended *error
}

func (t *touched) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if n > 0 {
		t.x.touch()
	}
	t.x.mu.Lock()
	if t.count != nil {
		*t.count += int64(n)
	}
	if t.ended != nil && err != nil && !errors.Is(err, io.EOF) {
		*t.ended = err
	}
	t.x.mu.Unlock()
	return n, err
}

type touchedBoth struct {
	touched
	w io.Writer
}

func (t *touchedBoth) Write(p []byte) (int, error) {
	t.x.touch()
	n, err := t.w.Write(p)
	t.x.mu.Lock()
	t.x.log.Received += int64(n)
	t.x.mu.Unlock()
	return n, err
}

// bufferPool keeps the memory through which bodies are copied.
type bufferPool struct{ pool sync.Pool }

func newBufferPool() *bufferPool {
	return &bufferPool{sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}}
}

func (b *bufferPool) Get() []byte  { return *b.pool.Get().(*[]byte) }
func (b *bufferPool) Put(p []byte) { b.pool.Put(&p) }
