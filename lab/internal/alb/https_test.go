// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const tls13 = "ELBSecurityPolicy-TLS13-1-2-2021-06"

// roomy is the server's end of a pipe that, like a socket and unlike net.Pipe,
// takes what is written before it is read: in a TLS handshake both sides write at once.
type roomy struct {
	net.Conn
	mu    sync.Mutex
	more  *sync.Cond
	queue []byte
	ended bool
}

func newRoomy(c net.Conn) *roomy {
	r := &roomy{Conn: c}
	r.more = sync.NewCond(&r.mu)
	go r.deliver()
	return r
}

func (r *roomy) deliver() {
	for {
		r.mu.Lock()
		for len(r.queue) == 0 && !r.ended {
			r.more.Wait()
		}
		p := r.queue
		r.queue = nil
		r.mu.Unlock()
		if _, err := r.Conn.Write(p); len(p) == 0 || err != nil {
			_ = r.Conn.Close()
			return
		}
	}
}

func (r *roomy) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return 0, net.ErrClosed
	}
	r.queue = append(r.queue, p...)
	r.more.Signal()
	return len(p), nil
}

func (r *roomy) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	r.more.Signal()
	return nil
}

// secure makes the usual load balancer with an HTTPS listener beside the HTTP
// one: web.test is the default certificate, api.test is in the list.
func (w *world) secure(policy string) (*x509.CertPool, LoadBalancer) {
	w.Helper()
	web, pool := selfSigned(w.T, "web.test")
	api, _ := selfSigned(w.T, "api.test")
	web.ARN, api.ARN = "cert/web", "cert/api"
	pool.AppendCertsFromPEM(api.Cert)
	b := balancerOf("a")
	b.Attributes["access_logs.s3.enabled"] = "true"
	b.Listeners = append(b.Listeners, Listener{ARN: "listener/443", Protocol: "HTTPS", Port: 443, Policy: policy,
		Rules: b.Listeners[0].Rules, Certificates: []Certificate{web, api}})
	w.must(w.PutTargetGroup(groupOf(groupARN)))
	w.must(w.PutLoadBalancer(b))
	w.must(w.Register(groupARN, []Target{targetAt(1)}))
	time.Sleep(3 * time.Second)
	return pool, b
}

// https is a client of the HTTPS listener that names server in its handshake.
func (w *world) https(pool *x509.CertPool, server string, http2 bool) *http.Transport {
	rt := w.client()
	rt.ForceAttemptHTTP2 = http2
	rt.TLSClientConfig = &tls.Config{RootCAs: pool, ServerName: server, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	return rt
}

// dialTLS is a connection for HTTP/1.1 to the HTTPS listener.
func (w *world) dialTLS(pool *x509.CertPool, server string) net.Conn {
	w.Helper()
	raw, err := w.dial(w.Context(), "tcp", w.Addresses(lbARN)[0].String()+":443")
	w.must(err)
	c := tls.Client(raw, &tls.Config{RootCAs: pool, ServerName: server})
	w.must(c.Handshake())
	w.Cleanup(func() { _ = c.Close() })
	return c
}

// echo is a target that answers, streams, and is a WebSocket server of sorts.
func echo(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	switch {
	case r.Header.Get("Upgrade") != "":
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, buffered, err := c.Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.Copy(conn, buffered)
	case r.URL.Path == "/stream":
		w.Header().Set("Content-Length", "8") // a known length must not make the balancer wait for more
		for i := range 4 {
			if i > 0 {
				time.Sleep(10 * time.Second)
			}
			_, _ = fmt.Fprintln(w, i)
			_ = c.Flush()
		}
	case r.URL.Path == "/duplex": // each line back when it came
		_ = c.EnableFullDuplex()
		for lines := bufio.NewScanner(r.Body); lines.Scan(); {
			_, _ = fmt.Fprintln(w, lines.Text())
			_ = c.Flush()
		}
	default:
		_, _ = io.WriteString(w, r.Proto+" "+r.Host+" "+r.Header.Get("X-Forwarded-Proto")+" "+r.Header.Get("X-Forwarded-Port"))
	}
}

func TestHTTP2ClientsGetThroughToHTTP1Targets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{}))
		w.serve(targetAt(1), echo)
		pool, b := w.secure(tls13)
		rt := w.https(pool, "web.test", true)
		for range 2 {
			if got := w.do(rt, 0, "GET", "https://web.test:443/"); got.err != nil || got.body != "HTTP/1.1 web.test:443 https 443" {
				t.Errorf("got %q, %v", got.body, got.err)
			}
		}
		synctest.Wait()
		if rs := w.requests(); len(rs) != 2 || rs[0].Type != "h2" || rs[0].Proto != "HTTP/2.0" || rs[0].Client != rs[1].Client {
			t.Errorf("logged %+v, want two of type h2 on one connection", rs)
		}
		b.Attributes = map[string]string{"routing.http2.enabled": "false"}
		w.must(w.PutLoadBalancer(b))
		w.do(w.https(pool, "web.test", true), 0, "GET", "https://web.test:443/")
		synctest.Wait()
		if l := w.lastRequest(); l.Type != "https" || l.Proto != "HTTP/1.1" {
			t.Errorf("with HTTP/2 off: logged %s %s", l.Type, l.Proto)
		}
	})
}

func TestTargetsMayBeToldOfTheClientsTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{}))
		w.serve(targetAt(1), func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Header.Get("X-Amzn-Tls-Version")+" "+r.Header.Get("X-Amzn-Tls-Cipher-Suite"))
		})
		pool, b := w.secure(tls13)
		if got := w.do(w.https(pool, "web.test", true), 0, "GET", "https://web.test:443/"); got.body != " " {
			t.Errorf("unasked: %q", got.body)
		}
		b.Attributes = map[string]string{"routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "true"}
		w.must(w.PutLoadBalancer(b))
		got := w.do(w.https(pool, "web.test", true), 0, "GET", "https://web.test:443/")
		synctest.Wait()
		if l := w.lastRequest(); got.body != l.TLS+" "+l.Cipher || !strings.HasPrefix(got.body, "TLSv1.3 TLS_") {
			t.Errorf("the target was told %q, logged %s %s", got.body, l.TLS, l.Cipher)
		}
	})
}

// A stream of HTTP/2 that has no answer in the idle timeout gets its 504, and
// the connection goes on.
func TestHTTP2StreamsFailOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{}))
		var connections atomic.Int32
		w.serve(targetAt(1), slowly(time.Hour))
		pool, _ := w.secure(tls13)
		rt := w.https(pool, "web.test", true)
		dial := rt.DialContext
		rt.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			connections.Add(1)
			return dial(ctx, network, addr)
		}
		slow := make(chan answer)
		go func() { slow <- w.do(rt, 0, "GET", "https://web.test:443/slow") }()
		time.Sleep(30 * time.Second)
		if got := w.do(rt, 0, "GET", "https://web.test:443/"); got.status != 200 {
			t.Errorf("a second stream beside the slow one: %d, %v", got.status, got.err)
		}
		if got := <-slow; got.status != 504 || got.took != time.Minute {
			t.Errorf("the slow stream: %d after %s, want 504 after 1m0s", got.status, got.took)
		}
		if got := w.do(rt, 0, "GET", "https://web.test:443/"); got.status != 200 || connections.Load() != 1 {
			t.Errorf("afterwards: %d on connection %d, want 200 on the first", got.status, connections.Load())
		}
	})
}

// upgrade asks for a WebSocket and returns the connection's reader.
func upgrade(t *testing.T, c net.Conn) *bufio.Reader {
	t.Helper()
	_, _ = io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: web.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v, %v, want 101", resp, err)
	}
	return r
}

func TestWebSocketsPassOnBothListeners(t *testing.T) {
	for kind, open := range map[string]func(*world, *x509.CertPool) net.Conn{
		"ws": func(w *world, _ *x509.CertPool) net.Conn {
			c, err := w.dial(w.Context(), "tcp", w.Addresses(lbARN)[0].String()+":80")
			w.must(err)
			return c
		},
		"wss": func(w *world, pool *x509.CertPool) net.Conn { return w.dialTLS(pool, "api.test") },
	} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, exact(Options{}))
				w.serve(targetAt(1), echo)
				pool, _ := w.secure(tls13)
				c := open(w, pool)
				r := upgrade(t, c)
				for i := range 3 {
					time.Sleep(40 * time.Second) // less than the idle timeout each, more in all
					if _, err := fmt.Fprintf(c, "frame %d\n", i); err != nil {
						t.Fatal(err)
					}
					if got, err := r.ReadString('\n'); err != nil || got != fmt.Sprintf("frame %d\n", i) {
						t.Fatalf("got %q, %v", got, err)
					}
				}
				if n := len(w.requests()); n != 0 {
					t.Errorf("%d requests were logged before the connection's end", n)
				}
				_ = c.Close()
				synctest.Wait()
				if l := w.lastRequest(); l.Type != kind || l.Status != 101 || l.TargetStatus != 101 || l.Target != targetAt(1).addr() {
					t.Errorf("logged %s %d %d %s, want %s 101 101", l.Type, l.Status, l.TargetStatus, l.Target, kind)
				}
			})
		})
	}
}

func TestStreamsAreNotHeldBack(t *testing.T) {
	for name, http2 := range map[string]bool{"https": false, "h2": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, exact(Options{}))
				w.serve(targetAt(1), echo)
				pool, _ := w.secure(tls13)
				rt := w.https(pool, "web.test", http2)
				url := "https://" + w.Addresses(lbARN)[0].String() + ":443"
				req, _ := http.NewRequestWithContext(t.Context(), "GET", url+"/stream", nil)
				begin := time.Now()
				resp, err := rt.RoundTrip(req)
				w.must(err)
				lines := bufio.NewScanner(resp.Body)
				for i := 0; lines.Scan(); i++ {
					if d := time.Since(begin); d != time.Duration(i)*10*time.Second {
						t.Errorf("line %d came after %s: it was held back", i, d)
					}
				}
				w.must(lines.Err())
				if !http2 {
					return
				}
				// Both ways at once: HTTP/2 alone lets a client read while it still sends.
				up, down := io.Pipe()
				req, _ = http.NewRequestWithContext(t.Context(), "POST", url+"/duplex", up)
				go func() { _, _ = io.WriteString(down, "0\n") }()
				resp, err = rt.RoundTrip(req)
				w.must(err)
				lines = bufio.NewScanner(resp.Body)
				for i := range 3 {
					if !lines.Scan() || lines.Text() != fmt.Sprint(i) {
						t.Fatalf("got %q, %v, want line %d while the request goes on", lines.Text(), lines.Err(), i)
					}
					time.Sleep(10 * time.Second)
					_, _ = fmt.Fprintln(down, i+1)
				}
				_ = down.Close()
			})
		})
	}
}

// What differs from run to run in a line.
var moving = []struct {
	is *regexp.Regexp
	as string
}{
	{regexp.MustCompile(`TID_[0-9a-f]{32}`), "TID"},
	{regexp.MustCompile(`1-[0-9a-f]{8}-[0-9a-f]{24}`), "TRACE"},
	{regexp.MustCompile(`10\.9\.9\.9:\d+`), "CLIENT"},
	{regexp.MustCompile(`127\.80\.\d+\.\d+`), "NODE"},
}

// The whole line of each type, as the user guide has its examples.
func TestAccessLogLineOfEachType(t *testing.T) {
	const times, tail = "2000-01-01T00:00:13.000000Z", `"forward" "-" "-" "10.0.0.1:1325" "200" "-" "-" TID "-" "-" "-"`
	ask := func(server string, http2 bool, prepare ...func(*http.Transport)) func(*world, *x509.CertPool) {
		return func(w *world, pool *x509.CertPool) {
			rt := w.https(pool, server, http2)
			for _, p := range prepare {
				p(rt)
			}
			w.do(rt, 0, "GET", "https://web.test:443/a?b=c", "User-Agent", "curl/7.46.0")
		}
	}
	for name, tt := range map[string]struct {
		policy string
		do     func(*world, *x509.CertPool)
		want   string
	}{
		"http": {tls13, func(w *world, _ *x509.CertPool) {
			w.do(w.client(), 0, "GET", "http://web.test/a?b=c", "User-Agent", "curl/7.46.0")
		},
			`http TIME lb/web CLIENT 10.0.0.1:1325 0.000 0.000 0.000 200 200 BYTES BYTES "GET http://web.test:80/a?b=c HTTP/1.1" "curl/7.46.0" - - tg/web "Root=TRACE" "-" "-" 0 TIME ` + tail},
		"https, TLS 1.3, a certificate of the list": {tls13, ask("api.test", false),
			`https TIME lb/web CLIENT 10.0.0.1:1325 0.000 0.000 0.000 200 200 BYTES BYTES "GET https://web.test:443/a?b=c HTTP/1.1" "curl/7.46.0" TLS_AES_128_GCM_SHA256 TLSv1.3 tg/web "Root=TRACE" "api.test" "cert/api" 0 TIME ` + tail},
		"h2": {tls13, ask("web.test", true),
			`h2 TIME lb/web CLIENT 10.0.0.1:1325 0.000 0.000 0.000 200 200 BYTES BYTES "GET https://web.test:443/a?b=c HTTP/2.0" "curl/7.46.0" TLS_AES_128_GCM_SHA256 TLSv1.3 tg/web "Root=TRACE" "web.test" "cert/web" 0 TIME ` + tail},
		"https by the default policy": {"", ask("web.test", false),
			`https TIME lb/web CLIENT 10.0.0.1:1325 0.000 0.000 0.000 200 200 BYTES BYTES "GET https://web.test:443/a?b=c HTTP/1.1" "curl/7.46.0" ECDHE-ECDSA-AES128-GCM-SHA256 TLSv1.2 tg/web "Root=TRACE" "web.test" "cert/web" 0 TIME ` + tail},
		"https, a name of no certificate": {tls13, ask("other.test", false, func(rt *http.Transport) { rt.TLSClientConfig.InsecureSkipVerify = true }),
			`https TIME lb/web CLIENT 10.0.0.1:1325 0.000 0.000 0.000 200 200 BYTES BYTES "GET https://web.test:443/a?b=c HTTP/1.1" "curl/7.46.0" TLS_AES_128_GCM_SHA256 TLSv1.3 tg/web "Root=TRACE" "-" "cert/web" 0 TIME ` + tail},
		"https, the session of an earlier connection": {tls13, func(w *world, pool *x509.CertPool) {
			rt := w.https(pool, "api.test", false)
			rt.DisableKeepAlives = true
			for range 2 {
				w.do(rt, 0, "GET", "https://web.test:443/a?b=c", "User-Agent", "curl/7.46.0")
			}
		}, `https TIME lb/web CLIENT 10.0.0.1:1325 0.000 0.000 0.000 200 200 BYTES BYTES "GET https://web.test:443/a?b=c HTTP/1.1" "curl/7.46.0" TLS_AES_128_GCM_SHA256 TLSv1.3 tg/web "Root=TRACE" "api.test" "session-reused" 0 TIME ` + tail},
		"ws": {tls13, func(w *world, _ *x509.CertPool) {
			c, err := w.dial(w.Context(), "tcp", w.Addresses(lbARN)[0].String()+":80")
			w.must(err)
			upgrade(w.T, c)
			_ = c.Close()
		}, `ws TIME lb/web CLIENT 10.0.0.1:1325 0.000 0.000 0.000 101 101 BYTES BYTES "GET http://web.test:80/ws HTTP/1.1" "-" - - tg/web "Root=TRACE" "-" "-" 0 TIME ` + strings.Replace(tail, `"200"`, `"101"`, 1)},
		"wss": {tls13, func(w *world, pool *x509.CertPool) {
			c := w.dialTLS(pool, "api.test")
			upgrade(w.T, c)
			_ = c.Close()
		}, `wss TIME lb/web CLIENT 10.0.0.1:1325 0.000 0.000 0.000 101 101 BYTES BYTES "GET https://web.test:443/ws HTTP/1.1" "-" TLS_AES_128_GCM_SHA256 TLSv1.3 tg/web "Root=TRACE" "api.test" "cert/api" 0 TIME ` + strings.Replace(tail, `"200"`, `"101"`, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, exact(Options{}))
				got := &lines{}
				w.LogTo(got.add)
				w.serve(targetAt(1), echo)
				pool, _ := w.secure(tt.policy)
				time.Sleep(10 * time.Second)
				tt.do(w, pool)
				synctest.Wait()
				e := got.last(t)
				if e.Sent < 50 || e.Received < 50 {
					t.Errorf("%d bytes received, %d sent: fewer than the heads have", e.Received, e.Sent)
				}
				line := strings.TrimSpace(got.all[len(got.all)-1])
				for _, m := range moving {
					line = m.is.ReplaceAllString(line, m.as)
				}
				fields := strings.Split(line, " ")
				fields[10], fields[11] = "BYTES", "BYTES"
				if want := strings.ReplaceAll(tt.want, "TIME", times); strings.Join(fields, " ") != want {
					t.Errorf("got\n%s\nwant\n%s", strings.Join(fields, " "), want)
				}
			})
		})
	}
}

// A certificate that is replaced is presented from the next handshake on, on
// the same socket, and the log names what each connection was shown.
func TestANewCertificateNeedsNoNewSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{}))
		w.serve(targetAt(1), echo)
		pool, b := w.secure(tls13)
		kept := w.https(pool, "api.test", false)
		w.do(kept, 0, "GET", "https://web.test:443/")
		next, _ := selfSigned(t, "api.test")
		next.ARN = "cert/next"
		pool.AppendCertsFromPEM(next.Cert)
		b.Listeners = slices.Clone(b.Listeners)
		b.Listeners[1].Certificates = []Certificate{b.Listeners[1].Certificates[0], next}
		w.must(w.PutLoadBalancer(b))
		w.do(kept, 0, "GET", "https://web.test:443/")
		w.do(w.https(pool, "api.test", false), 0, "GET", "https://web.test:443/")
		synctest.Wait()
		rs := w.requests()
		if len(rs) != 3 || rs[0].Certificate != "cert/api" || rs[1].Certificate != "cert/api" || rs[1].Client != rs[0].Client || rs[2].Certificate != "cert/next" {
			t.Errorf("logged %+v, want cert/api twice on one connection, then cert/next", rs)
		}
	})
}
