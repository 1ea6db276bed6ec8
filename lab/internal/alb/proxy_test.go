// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func slowly(d time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			select {
			case <-time.After(d):
			case <-r.Context().Done():
			}
		}
		_, _ = io.WriteString(w, "v1")
	}
}

// Each way to fail, told apart by status, time and the log's phases.
func TestFaults(t *testing.T) {
	a := targetAt(1)
	untilRead := func(then func(net.Conn)) func(net.Conn) {
		return func(c net.Conn) {
			defer func() { _ = c.Close() }()
			r := bufio.NewReader(c)
			for {
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				if req.URL.Path == "/healthz" {
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
					continue
				}
				then(c)
				return
			}
		}
	}
	tests := map[string]struct {
		raw     func(net.Conn) // the target, below HTTP
		handle  http.HandlerFunc
		before  func(w *world, stop func()) // just before the request
		during  func(w *world)              // a second after it
		put     func(*TargetGroup, *LoadBalancer)
		status  int
		cause   Cause
		took    time.Duration
		phases  [3]bool // reached: sent, answered, handed on
		noTried bool    // no target was chosen
	}{
		"502 refused: the process is gone, its address is not": {
			handle: say("v1"), before: func(_ *world, stop func()) { stop() }, status: 502, cause: CauseConnectRefused},
		"504 connect: the address is gone, after exactly 10 s": {
			handle: say("v1"), before: func(w *world, stop func()) { stop(); w.silent[a.ID] = errDropped },
			status: 504, cause: CauseConnectTimeout, took: 10 * time.Second},
		"504 connect: also when the lab's own kernel says after 3 s that nobody has the address": {
			handle: say("v1"), before: func(w *world, stop func()) { stop(); w.silent[a.ID] = syscall.EHOSTUNREACH },
			status: 504, cause: CauseConnectTimeout, took: 10 * time.Second},
		"502 closed with the request outstanding": {
			raw:    untilRead(func(net.Conn) { time.Sleep(3 * time.Second) }),
			status: 502, cause: CauseTargetClosed, took: 3 * time.Second, phases: [3]bool{true}},
		"502 malformed answer": {
			raw:    untilRead(func(c net.Conn) { _, _ = io.WriteString(c, "what?\r\n\r\n") }),
			status: 502, cause: CauseMalformed, phases: [3]bool{true, true, true}},
		"502 answer head over 32 KiB": {
			raw: untilRead(func(c net.Conn) {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 40<<10)+"\r\n\r\n")
			}),
			status: 502, cause: CauseMalformed, phases: [3]bool{true, true, true}},
		"502 delay expired on a request in flight": {
			handle: slowly(time.Hour), during: func(w *world) { w.must(w.Deregister(groupARN, []Target{a})) },
			status: 502, cause: CauseDelayExpired, took: 31 * time.Second, phases: [3]bool{true}},
		"502 a delay shorter than the node's lag ends with the lag": {
			handle: slowly(time.Hour), during: func(w *world) { w.must(w.Deregister(groupARN, []Target{a})) },
			put:    func(g *TargetGroup, _ *LoadBalancer) { g.Attributes["deregistration_delay.timeout_seconds"] = "5" },
			status: 502, cause: CauseDelayExpired, took: 13 * time.Second, phases: [3]bool{true}},
		"504 idle: no answer for 60 s": {
			handle: slowly(time.Hour), status: 504, cause: CauseIdleTimeout, took: time.Minute, phases: [3]bool{true}},
		"504 idle: the attribute is obeyed": {
			handle: slowly(time.Hour), put: func(_ *TargetGroup, b *LoadBalancer) { b.Attributes["idle_timeout.timeout_seconds"] = "7" },
			status: 504, cause: CauseIdleTimeout, took: 7 * time.Second, phases: [3]bool{true}},
		"503 nothing is registered": {
			handle: say("v1"), before: func(w *world, _ func()) {
				w.must(w.Deregister(groupARN, []Target{a}))
				time.Sleep(13 * time.Second)
			}, status: 503, cause: CauseNoTarget, noTried: true},
		"503 the group was deleted": {
			handle: say("v1"), before: func(w *world, _ func()) { w.DeleteTargetGroup(groupARN) }, status: 503, cause: CauseNoTarget, noTried: true},
		"502 the group is deleted under the request": {
			handle: slowly(time.Hour), during: func(w *world) { w.DeleteTargetGroup(groupARN) },
			status: 502, cause: CauseDelayExpired, took: time.Second, phases: [3]bool{true}},
		"200 in flight while draining": {
			handle: slowly(20 * time.Second), during: func(w *world) { w.must(w.Deregister(groupARN, []Target{a})) },
			status: 200, took: 20 * time.Second, phases: [3]bool{true, true, true}},
		"500 of the target's own": {
			handle: func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/healthz" {
					w.WriteHeader(500)
				}
			}, status: 500, phases: [3]bool{true, true, true}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, exact(Options{Deregister: Delay{12 * time.Second, 12 * time.Second}}))
				stop := func() {}
				if tt.raw != nil {
					w.accept(a, tt.raw)
				} else {
					stop = w.serve(a, tt.handle)
				}
				g, b := groupOf(groupARN), balancerOf("a")
				if tt.put != nil {
					tt.put(&g, &b)
				}
				w.must(w.PutTargetGroup(g))
				w.must(w.PutLoadBalancer(b))
				w.must(w.Register(groupARN, []Target{a}))
				time.Sleep(3 * time.Second)
				if tt.before != nil {
					tt.before(w, stop)
				}
				if tt.during != nil {
					time.AfterFunc(time.Second, func() { tt.during(w) })
				}
				got := w.get(0, "/slow")
				if got.err != nil || got.status != tt.status || got.took != tt.took {
					t.Fatalf("got %d (%v) after %s, want %d after %s", got.status, got.err, got.took, tt.status, tt.took)
				}
				synctest.Wait()
				l := w.lastRequest()
				if phases := [3]bool{l.RequestTime >= 0, l.TargetTime >= 0, l.ResponseTime >= 0}; phases != tt.phases {
					t.Errorf("phases %v %v %v, want reached %v", l.RequestTime, l.TargetTime, l.ResponseTime, tt.phases)
				}
				if l.Status != tt.status || l.Cause != tt.cause || (l.Target == "") != tt.noTried || (l.TargetStatus == tt.status) != (tt.cause == "") {
					t.Errorf("logged status %d (target's %d) cause %q target %q", l.Status, l.TargetStatus, l.Cause, l.Target)
				}
				if tt.cause != "" && (got.header.Get("Server") != "awselb/2.0" || !strings.Contains(got.body, fmt.Sprint(tt.status))) {
					t.Errorf("the answer is not the balancer's: %v %q", got.header, got.body)
				}
			})
		})
	}
}

// The lesson this lab is for: draining is not the end of new requests.
func TestDrainingTargetsStillGetRequestsAndNodesLagApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{Seed: 3})
		a, b := targetAt(1), targetAt(2)
		w.serve(a, say("old"))
		w.serve(b, say("new"))
		w.up([]string{"a", "b"}, a, b)
		time.Sleep(time.Second)
		accepted := time.Now()
		w.must(w.Deregister(groupARN, []Target{a}))
		if got := w.state(a); got != "draining/Target.DeregistrationInProgress" {
			t.Fatalf("state %s at once, want draining", got)
		}
		var last [2]time.Duration
		var old [2]int
		for time.Since(accepted) < 25*time.Second {
			for n := range last {
				if got := w.get(n, "/"); got.body == "old" {
					last[n] = time.Since(accepted)
					old[n]++
				} else if got.status != 200 {
					t.Fatalf("node %d: %d", n, got.status)
				}
			}
			time.Sleep(50 * time.Millisecond)
		}
		for n := range last {
			if last[n] < 9900*time.Millisecond || last[n] > 17*time.Second {
				t.Errorf("node %d sent its last request to the draining target after %s, want 10 to 17 s", n, last[n])
			}
			// Half of all requests, until the last: round robin goes on as before.
			if want := int(last[n] / (100 * time.Millisecond)); old[n] < want-2 || old[n] > want+2 {
				t.Errorf("node %d sent %d requests to the draining target, want about %d", n, old[n], want)
			}
		}
		if d := (last[0] - last[1]).Abs(); d < 200*time.Millisecond {
			t.Errorf("both nodes stopped at %s and %s: their lags are not their own", last[0], last[1])
		}
		synctest.Wait()
		logged := 0
		for _, l := range w.requests() {
			if l.Draining != (l.Target == a.addr()) || l.Node == "" {
				t.Errorf("logged target %q of node %q with draining=%v", l.Target, l.Node, l.Draining)
			}
			if l.Draining {
				logged++
			}
		}
		if logged != old[0]+old[1] {
			t.Errorf("logged %d requests to the draining target, want the %d that it answered", logged, old[0]+old[1])
		}
	})
}

func TestWhichTargetsAreUsable(t *testing.T) {
	fine, broken := int32(200), int32(500)
	tests := map[string]struct {
		codes      [3]*int32 // health code of three targets; nil: never answers
		wait       time.Duration
		attributes []string
		want       string // bodies that come back, "" for 503
	}{
		"all healthy":                       {codes: [3]*int32{&fine, &fine, &fine}, wait: 3 * time.Second, want: "0 1 2"},
		"an unhealthy one is left out":      {codes: [3]*int32{&fine, &broken, &fine}, wait: 20 * time.Second, want: "0 2"},
		"fail open when all are unhealthy":  {codes: [3]*int32{&broken, &broken, &broken}, wait: 20 * time.Second, want: "0 1 2"},
		"still in their first checks: none": {codes: [3]*int32{&broken, &broken, &broken}, wait: 3 * time.Second, want: ""},
		"fewer healthy than the count": {codes: [3]*int32{&fine, &broken, &broken}, wait: 20 * time.Second, want: "0 1 2",
			attributes: []string{"target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", "2"}},
		"fewer healthy than the share": {codes: [3]*int32{&fine, &broken, &broken}, wait: 20 * time.Second, want: "0 1 2",
			attributes: []string{"target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", "50"}},
		"not yet registered with the node": {codes: [3]*int32{&fine, &fine, &fine}, wait: time.Second, want: ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, exact(Options{}))
				w.must(w.PutTargetGroup(groupOf(groupARN, tt.attributes...)))
				w.must(w.PutLoadBalancer(balancerOf("a")))
				for i, code := range tt.codes {
					target := targetAt(i)
					w.serve(target, func(rw http.ResponseWriter, r *http.Request) {
						if r.URL.Path == "/healthz" {
							rw.WriteHeader(int(*code))
						}
						_, _ = fmt.Fprint(rw, i)
					})
					w.must(w.Register(groupARN, []Target{target}))
				}
				time.Sleep(tt.wait)
				synctest.Wait()
				got := map[string]bool{}
				for range 12 {
					if r := w.get(0, "/"); r.status == 200 {
						got[r.body] = true
					} else if r.status != 503 {
						t.Fatalf("got %d", r.status)
					}
				}
				if s := strings.Join(sortedKeys(got), " "); s != tt.want {
					t.Errorf("targets %q answered, want %q", s, tt.want)
				}
			})
		})
	}
}

func TestHeadersToTheTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{}))
		var got http.Request
		w.serve(targetAt(1), func(_ http.ResponseWriter, r *http.Request) { got = *r })
		w.up([]string{"a"}, targetAt(1))
		w.do(w.client(), 0, "GET", "http://Web.test/a%2Fb?x=1;y", "X-Forwarded-For", "192.0.2.7", "Connection", "X-Drop", "X-Drop", "1")
		for name, want := range map[string]string{
			"X-Forwarded-For": "192.0.2.7, 10.9.9.9", "X-Forwarded-Proto": "http", "X-Forwarded-Port": "80", "X-Drop": "", "User-Agent": "Go-http-client/1.1",
		} {
			if v := got.Header.Get(name); v != want {
				t.Errorf("%s is %q, want %q", name, v, want)
			}
		}
		if got.Host != "Web.test" || got.RequestURI != "/a%2Fb?x=1;y" {
			t.Errorf("host %q, URI %q: not as the client sent them", got.Host, got.RequestURI)
		}
		if id := got.Header.Get("X-Amzn-Trace-Id"); !strings.HasPrefix(id, fmt.Sprintf("Root=1-%08x-", time.Now().Unix())) || len(id) != 40 {
			t.Errorf("trace id %q", id)
		}
	})
}

func TestAttributesChangeTheHeaders(t *testing.T) {
	const r = "routing.http."
	for name, tt := range map[string]struct {
		attributes []string
		port       int
		host       string
		forwarded  []string // what the client sends
		want       map[string]string
	}{
		"nothing asked for, on the protocol's port":    {nil, 80, "web.test", nil, map[string]string{"Host": "web.test", "X-Forwarded-For": "10.9.9.9", "X_under": "1"}},
		"the listener's port is added to the host":     {nil, 8080, "web.test", nil, map[string]string{"Host": "web.test:8080"}},
		"unless the host has one":                      {nil, 8080, "web.test:99", nil, map[string]string{"Host": "web.test:99"}},
		"or is to be preserved":                        {[]string{r + "preserve_host_header.enabled", "true"}, 8080, "web.test", nil, map[string]string{"Host": "web.test"}},
		"headers with odd names are dropped":           {[]string{r + "drop_invalid_header_fields.enabled", "true"}, 80, "web.test", nil, map[string]string{"X_under": "", "X-Fine": "1"}},
		"append, to all that there is":                 {nil, 80, "web.test", []string{"192.0.2.1", "192.0.2.2"}, map[string]string{"X-Forwarded-For": "192.0.2.1, 192.0.2.2, 10.9.9.9"}},
		"preserve, what there is":                      {[]string{r + "xff_header_processing.mode", "preserve"}, 80, "web.test", []string{"192.0.2.1"}, map[string]string{"X-Forwarded-For": "192.0.2.1"}},
		"preserve, also nothing":                       {[]string{r + "xff_header_processing.mode", "preserve"}, 80, "web.test", nil, map[string]string{"X-Forwarded-For": ""}},
		"remove, also the client's own":                {[]string{r + "xff_header_processing.mode", "remove"}, 80, "web.test", []string{"192.0.2.1"}, map[string]string{"X-Forwarded-For": "", "X-Forwarded-Proto": "http"}},
		"with the client's port":                       {[]string{r + "xff_client_port.enabled", "true"}, 80, "web.test", []string{"192.0.2.1"}, map[string]string{"X-Forwarded-For": "192.0.2.1, 10.9.9.9:PORT"}},
		"TLS's version and cipher, but not without it": {[]string{r + "x_amzn_tls_version_and_cipher_suite.enabled", "true"}, 80, "web.test", nil, map[string]string{"X-Amzn-Tls-Version": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, exact(Options{}))
				var got http.Request
				w.serve(targetAt(1), func(_ http.ResponseWriter, r *http.Request) { got = *r })
				w.up([]string{"a"}, targetAt(1))
				b := balancerOf("a")
				b.Listeners[0].Port = tt.port
				for i := 0; i < len(tt.attributes); i += 2 {
					b.Attributes[tt.attributes[i]] = tt.attributes[i+1]
				}
				w.must(w.PutLoadBalancer(b))
				at := fmt.Sprintf("%s:%d", w.Addresses(lbARN)[0], tt.port)
				req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+at+"/", nil)
				req.Host, req.Header = tt.host, http.Header{"X_under": {"1"}, "X-Fine": {"1"}}
				if tt.forwarded != nil {
					req.Header["X-Forwarded-For"] = tt.forwarded
				}
				resp, err := w.client().RoundTrip(req)
				w.must(err)
				_ = resp.Body.Close()
				synctest.Wait()
				_, port, _ := net.SplitHostPort(w.lastRequest().Client)
				got.Header.Set("Host", got.Host)
				for name, want := range tt.want {
					// Not Get, which asks for the canonical name only.
					if v := strings.Join(got.Header[name], " and "); v != strings.ReplaceAll(want, "PORT", port) {
						t.Errorf("%s is %q, want %q", name, v, want)
					}
				}
			})
		})
	}
}

func TestTargetConnectionsAreKeptAndNeverRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{}))
		a := targetAt(1)
		var served atomic.Int32
		l, _ := w.listen("tcp", a.addr())
		srv := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/healthz" {
				return
			}
			if served.Add(1); r.URL.Path == "/drop" {
				c, _, _ := http.NewResponseController(rw).Hijack()
				_ = c.Close()
			}
		})}
		go func() { _ = srv.Serve(l) }()
		w.Cleanup(func() { _ = srv.Close() })
		w.up([]string{"a"}, a)
		for i := range 3 {
			w.get(0, "/")
			synctest.Wait()
			if l := w.lastRequest(); l.Reused != (i > 0) {
				t.Errorf("request %d reused %v: client connections come and go, the target's stays", i, l.Reused)
			}
		}
		for _, method := range []string{"GET", "POST", "PUT", "HEAD"} {
			w.get(0, "/") // leaves a kept connection
			before := served.Load()
			got := w.do(w.client(), 0, method, "http://web.test/drop")
			synctest.Wait()
			if n := served.Load() - before; got.status != 502 || n != 1 || !w.lastRequest().Reused {
				t.Errorf("%s on a kept connection that closes: %d, sent %d times, reused %v; want 502, once, reused", method, got.status, n, w.lastRequest().Reused)
			}
		}
		w.get(0, "/")
		time.Sleep(61 * time.Second)
		w.get(0, "/")
		synctest.Wait()
		if w.lastRequest().Reused {
			t.Error("an idle connection lived longer than the idle timeout")
		}
	})
}

func TestStreamsFlowAndSilenceBreaksThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{}))
		w.serve(targetAt(1), func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/healthz" {
				return
			}
			if r.URL.Path != "/hang" {
				rw.Header().Set("Content-Length", "8") // a known length must not make the balancer wait for more
			}
			for i := range 4 {
				_, _ = fmt.Fprintln(rw, i)
				_ = http.NewResponseController(rw).Flush()
				time.Sleep(40 * time.Second)
			}
			if r.URL.Path == "/hang" {
				<-r.Context().Done()
			}
		})
		w.up([]string{"a"}, targetAt(1))
		begin := time.Now()
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+w.Addresses(lbARN)[0].String()+"/", nil)
		resp, err := w.client().RoundTrip(req)
		w.must(err)
		lines := bufio.NewScanner(resp.Body)
		for i := 0; lines.Scan(); i++ {
			if d := time.Since(begin); d != time.Duration(i)*40*time.Second {
				t.Errorf("line %d came after %s: it was held back", i, d)
			}
		}
		if d := time.Since(begin); d != 120*time.Second || lines.Err() != nil {
			t.Errorf("the stream ended after %s with %v, want 2m0s: bytes put the idle timeout off", d, lines.Err())
		}
		time.Sleep(41 * time.Second) // the handler is done with the connection, too
		got := w.get(0, "/hang")
		synctest.Wait()
		if l := w.lastRequest(); got.err == nil || got.took != 180*time.Second || l.Cause != CauseIdleTimeout || !l.Truncated {
			t.Errorf("a silent stream: error %v after %s, logged %q truncated %v", got.err, got.took, l.Cause, l.Truncated)
		}
	})
}

func TestWebSocketPassesUntilTheDelayExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{Deregister: Delay{12 * time.Second, 12 * time.Second}}))
		a := targetAt(1)
		w.serve(a, func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") == "" {
				return
			}
			rw.Header().Set("Upgrade", "websocket")
			rw.Header().Set("Connection", "Upgrade")
			rw.WriteHeader(101)
			c, b, err := http.NewResponseController(rw).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }()
			_, _ = io.Copy(c, b)
		})
		w.up([]string{"a"}, a)
		c, err := w.dial(t.Context(), "tcp", w.Addresses(lbARN)[0].String()+":80")
		w.must(err)
		defer func() { _ = c.Close() }()
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: web.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		r := bufio.NewReader(c)
		resp, err := http.ReadResponse(r, nil)
		w.must(err)
		if resp.StatusCode != 101 {
			t.Fatalf("got %d, want 101", resp.StatusCode)
		}
		echo := func() error {
			if _, err := io.WriteString(c, "hello"); err != nil {
				return err
			}
			_, err := io.ReadFull(r, make([]byte, 5))
			return err
		}
		for range 3 {
			time.Sleep(40 * time.Second)
			w.must(echo())
		}
		w.must(w.Deregister(groupARN, []Target{a}))
		time.Sleep(29 * time.Second)
		w.must(echo())
		time.Sleep(2 * time.Second)
		if err := echo(); err == nil {
			t.Error("the connection outlived the deregistration delay")
		}
		synctest.Wait()
		if l := w.lastRequest(); l.Type != "ws" || l.Status != 101 || l.Cause != CauseDelayExpired {
			t.Errorf("logged %s %d %q, want ws 101 delay-expired", l.Type, l.Status, l.Cause)
		}
	})
}

func TestAClientThatLeavesIs460(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{}))
		w.serve(targetAt(1), slowly(time.Hour))
		w.up([]string{"a"}, targetAt(1))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+w.Addresses(lbARN)[0].String()+"/slow", nil)
		if _, err := w.client().RoundTrip(req); err == nil {
			t.Fatal("the request was answered")
		}
		synctest.Wait()
		if l := w.lastRequest(); l.Status != 460 || l.Cause != CauseClientClosed {
			t.Errorf("logged %d %q, want 460 client-closed", l.Status, l.Cause)
		}
	})
}

func TestClientConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{}))
		w.serve(targetAt(1), say("v1"))
		w.must(w.PutTargetGroup(groupOf(groupARN)))
		b := balancerOf("a")
		b.Attributes["client_keep_alive.seconds"] = "100"
		b.Attributes["idle_timeout.timeout_seconds"] = "55"
		w.must(w.PutLoadBalancer(b))
		w.must(w.Register(groupARN, []Target{targetAt(1)}))
		time.Sleep(3 * time.Second)
		rt := w.client()
		var clients []string
		for range 4 {
			w.do(rt, 0, "GET", "http://web.test/")
			synctest.Wait()
			clients = append(clients, w.lastRequest().Client)
			time.Sleep(50 * time.Second)
		}
		// At 0, 50 and (not over 100 yet) 100 s on one connection; the answer at 100 s still keeps it, the next ends it.
		if clients[0] != clients[1] || clients[1] != clients[2] {
			t.Errorf("connections %q: want the first three to be one", clients)
		}
		got := w.do(rt, 0, "GET", "http://web.test/")
		synctest.Wait()
		if last := w.lastRequest().Client; got.status != 200 || last == clients[0] {
			t.Errorf("a connection lived longer than client_keep_alive: %q then %q", clients, last)
		}
		b.Attributes["idle_timeout.timeout_seconds"] = "30"
		w.must(w.PutLoadBalancer(b))
		c, err := w.dial(t.Context(), "tcp", w.Addresses(lbARN)[0].String()+":80")
		w.must(err)
		begin := time.Now()
		_, err = c.Read(make([]byte, 1))
		if d := time.Since(begin); err == nil || d != 30*time.Second {
			t.Errorf("an idle connection was closed after %s with %v, want after 30s", d, err)
		}
	})
}

func TestStickinessFollowsTheCookieAndBreaksWithTheTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{Deregister: Delay{12 * time.Second, 12 * time.Second}}))
		w.up([]string{"a"}, targetAt(1), targetAt(2))
		w.must(w.PutTargetGroup(groupOf(groupARN, "stickiness.enabled", "true", "stickiness.type", "lb_cookie")))
		w.serve(targetAt(1), say("1"))
		w.serve(targetAt(2), say("2"))
		time.Sleep(time.Minute)
		first := w.get(0, "/")
		cookie := strings.Split(first.header.Get("Set-Cookie"), ";")[0]
		if !strings.HasPrefix(cookie, "AWSALB=") {
			t.Fatalf("cookie %q", cookie)
		}
		ask := func() string { return w.do(w.client(), 0, "GET", "http://web.test/", "Cookie", cookie).body }
		for range 5 {
			if got := ask(); got != first.body {
				t.Fatalf("target %s answered, want %s", got, first.body)
			}
		}
		gone := targetAt(int(first.body[0] - '0'))
		w.must(w.Deregister(groupARN, []Target{gone}))
		time.Sleep(13 * time.Second)
		if got := ask(); got == first.body || got == "" {
			t.Errorf("after deregistration %q answered, want the other one", got)
		}
	})
}

func TestLeastOutstandingRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{}))
		w.must(w.PutTargetGroup(groupOf(groupARN, "load_balancing.algorithm.type", "least_outstanding_requests")))
		w.must(w.PutLoadBalancer(balancerOf("a")))
		w.must(w.Register(groupARN, []Target{targetAt(1), targetAt(2)}))
		w.serve(targetAt(1), slowly(10*time.Second))
		w.serve(targetAt(2), slowly(10*time.Second))
		time.Sleep(3 * time.Second)
		go w.get(0, "/slow")
		synctest.Wait()
		for range 6 {
			w.get(0, "/")
			synctest.Wait() // the client has its answer a moment before the node has done with the request
		}
		rs := w.requests()
		for _, r := range rs[1:] {
			if r.Target != rs[0].Target {
				t.Fatalf("quick requests went to %s and %s, want only the idle one", rs[0].Target, r.Target)
			}
		}
		time.Sleep(11 * time.Second)
	})
}

func TestSlowStartRaisesTheShareEvenly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{}))
		w.serve(targetAt(1), say("1"))
		w.serve(targetAt(2), say("2"))
		w.up([]string{"a"}, targetAt(1))
		w.must(w.PutTargetGroup(groupOf(groupARN, "slow_start.duration_seconds", "100")))
		w.must(w.Register(groupARN, []Target{targetAt(2)}))
		time.Sleep(2 * time.Second)
		rt := w.client()
		// Of two targets the new one's full share is a half, of which it gets
		// 0 to 0.25 in the first quarter of the time, and so on.
		for quarter, want := range []int{63, 188, 313, 438} {
			n := 0
			for range 1000 {
				if w.do(rt, 0, "GET", "http://web.test/").body == "2" {
					n++
				}
				time.Sleep(25 * time.Millisecond)
			}
			if n < want-50 || n > want+50 {
				t.Errorf("quarter %d: %d of 1000 requests, want about %d", quarter, n, want)
			}
		}
		n := 0
		for range 100 {
			if w.do(rt, 0, "GET", "http://web.test/").body == "2" {
				n++
			}
		}
		if n != 50 {
			t.Errorf("after slow start: %d of 100, want 50", n)
		}
	})
}

func TestSlowStartIsSkippedWhenNobodyIsWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{}))
		w.serve(targetAt(1), say("1"))
		w.serve(targetAt(2), say("2"))
		w.must(w.PutTargetGroup(groupOf(groupARN, "slow_start.duration_seconds", "100")))
		w.must(w.PutLoadBalancer(balancerOf("a")))
		w.must(w.Register(groupARN, []Target{targetAt(1), targetAt(2)}))
		time.Sleep(3 * time.Second)
		w.Engine.mu.Lock()
		defer w.Engine.mu.Unlock()
		for _, r := range w.groups[groupARN].records {
			if !r.Warming.IsZero() {
				t.Errorf("target %s warms alone", r.Target.addr())
			}
		}
	})
}
