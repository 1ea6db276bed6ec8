// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDropped = errors.New("dropped")

const (
	groupARN = "tg/web"
	lbARN    = "lb/web"
)

// world is an in-memory network with an engine in it, so that a test runs on
// synctest's clock. Use it inside synctest.Test.
type world struct {
	*testing.T
	*Engine
	mu     sync.Mutex
	socks  map[string]*sock
	silent map[string]error // hosts that do not answer: errDropped, or what the kernel says after 3 s
	ports  int
	log    []Event
}

func newWorld(t *testing.T, o Options) *world {
	t.Helper()
	w := &world{T: t, socks: map[string]*sock{}, silent: map[string]error{}}
	o.Dialer, o.Listen = w.dial, w.listen
	o.Observe = func(e Event) { w.mu.Lock(); w.log = append(w.log, e); w.mu.Unlock() }
	w.Engine = New(o)
	t.Cleanup(func() { _ = w.Engine.Close() })
	return w
}

// exact makes all delays known, but for the deregistration's.
func exact(o Options) Options {
	o.Registration = Delay{2 * time.Second, 2 * time.Second}
	o.Jitter = Delay{time.Second, time.Second}
	return o
}

func (w *world) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(addr)
	w.mu.Lock()
	s, silent := w.socks[addr], w.silent[host]
	w.ports++
	from := netip.AddrPortFrom(netip.MustParseAddr("10.9.9.9"), uint16(1024+w.ports%60000))
	w.mu.Unlock()
	if silent != nil {
		if silent != errDropped {
			ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			<-ctx.Done()
			return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", silent)}
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	refused := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	if s == nil {
		return nil, refused
	}
	here, there := net.Pipe()
	if strings.HasSuffix(addr, ":443") {
		there = newRoomy(there)
	}
	select {
	case s.conns <- named{there, net.TCPAddrFromAddrPort(from)}:
		return here, nil
	case <-s.done:
		return nil, refused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (w *world) listen(_, addr string) (net.Listener, error) {
	s := &sock{conns: make(chan net.Conn), done: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.socks[addr] = s
	return s, nil
}

type named struct {
	net.Conn
	from net.Addr
}

func (n named) RemoteAddr() net.Addr { return n.from }

type sock struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (s *sock) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}
func (s *sock) Close() error   { s.once.Do(func() { close(s.done) }); return nil }
func (s *sock) Addr() net.Addr { return &net.TCPAddr{} }

// serve runs a target; stop ends it like a killed process whose address lives on.
func (w *world) serve(t Target, h http.HandlerFunc) (stop func()) {
	l, _ := w.listen("tcp", t.addr())
	srv := &http.Server{Handler: h}
	go func() { _ = srv.Serve(l) }()
	stop = func() { _ = srv.Close(); _ = l.Close() }
	w.Cleanup(stop)
	return stop
}

// accept runs a target below HTTP.
func (w *world) accept(t Target, h func(net.Conn)) {
	l, _ := w.listen("tcp", t.addr())
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go h(c)
		}
	}()
	w.Cleanup(func() { _ = l.Close() })
}

// say answers health checks with 200 and the rest with words.
func say(words string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, words) }
}

func checks() HealthCheck {
	return HealthCheck{Enabled: true, Protocol: "HTTP", Port: "traffic-port", Path: "/healthz", Matcher: "200",
		Interval: 15 * time.Second, Timeout: 5 * time.Second, HealthyThreshold: 2, UnhealthyThreshold: 2}
}

func groupOf(arn string, attributes ...string) TargetGroup {
	g := TargetGroup{ARN: arn, Name: arn, Protocol: "HTTP", ProtocolVersion: "HTTP1", TargetType: "ip", Port: 1325,
		HealthCheck: checks(), Attributes: map[string]string{"deregistration_delay.timeout_seconds": "30"}}
	for i := 0; i < len(attributes); i += 2 {
		g.Attributes[attributes[i]] = attributes[i+1]
	}
	return g
}

func forwardTo(arn string) []Action {
	return []Action{{Type: "forward", TargetGroups: []WeightedTargetGroup{{ARN: arn, Weight: 1}}}}
}

func balancerOf(zones ...string) LoadBalancer {
	return LoadBalancer{ARN: lbARN, Name: "web", Zones: zones, Attributes: map[string]string{}, Listeners: []Listener{
		{ARN: "listener/80", Protocol: "HTTP", Port: 80, Rules: []Rule{{Actions: forwardTo(groupARN)}}},
	}}
}

func targetAt(n int) Target { return Target{ID: "10.0.0." + strconv.Itoa(n), Port: 1325} }

// up makes the usual load balancer and group and registers targets, healthy after 3 s.
func (w *world) up(zones []string, ts ...Target) {
	w.Helper()
	w.must(w.PutTargetGroup(groupOf(groupARN)))
	w.must(w.PutLoadBalancer(balancerOf(zones...)))
	w.must(w.Register(groupARN, ts))
	time.Sleep(3 * time.Second)
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// state of a target, as "state/reason".
func (w *world) state(t Target) string {
	w.Helper()
	h, err := w.Health(groupARN, []Target{t})
	w.must(err)
	return strings.TrimSuffix(h[0].State+"/"+h[0].Reason, "/")
}

// answer is what a client got.
type answer struct {
	status int
	body   string
	header http.Header
	err    error
	took   time.Duration
}

// client keeps connections; get uses a new one for each request.
func (w *world) client() *http.Transport {
	rt := &http.Transport{DialContext: w.dial}
	w.Cleanup(rt.CloseIdleConnections)
	return rt
}

func (w *world) do(rt *http.Transport, node int, method, url string, header ...string) answer {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, url, nil)
	w.must(err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	host := req.URL.Host
	if _, port, err := net.SplitHostPort(host); err == nil {
		req.URL.Host = net.JoinHostPort(w.Addresses(lbARN)[node].String(), port)
	} else {
		req.URL.Host = w.Addresses(lbARN)[node].String()
	}
	req.Host = host
	begin := time.Now()
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return answer{err: err, took: time.Since(begin)}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, body: string(body), header: resp.Header, err: err, took: time.Since(begin)}
}

func (w *world) get(node int, path string) answer {
	w.Helper()
	rt := &http.Transport{DialContext: w.dial, DisableKeepAlives: true}
	return w.do(rt, node, http.MethodGet, "http://web.test"+path)
}

// requests that were logged so far.
func (w *world) requests() []RequestLog {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []RequestLog
	for _, e := range w.log {
		if e.Request != nil {
			out = append(out, *e.Request)
		}
	}
	return out
}

func (w *world) lastRequest() RequestLog {
	w.Helper()
	rs := w.requests()
	if len(rs) == 0 {
		w.Fatal("no request was logged")
	}
	return rs[len(rs)-1]
}
