// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRestoreGoesOnWhereTheSnapshotWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := exact(Options{Seed: 5})
		w := newWorld(t, o)
		fine, ill, going := targetAt(1), targetAt(2), targetAt(3)
		w.serve(fine, say("fine"))
		w.serve(ill, http.NotFound)
		w.serve(going, say("going"))
		w.up([]string{"a", "b"}, fine, ill, going)
		time.Sleep(20 * time.Second)
		w.must(w.Deregister(groupARN, []Target{going}))
		time.Sleep(5 * time.Second)
		before, err := w.Health(groupARN, nil)
		w.must(err)
		addrs := w.Addresses(lbARN)
		snapshot, err := w.Snapshot()
		w.must(err)
		w.must(w.Close())
		if _, err := w.dial(t.Context(), "tcp", addrs[0].String()+":80"); err == nil {
			t.Error("a closed engine takes connections")
		}
		time.Sleep(2 * time.Second)

		o.Dialer, o.Listen = w.dial, w.listen
		lagging := w.visibleTo(going)
		w.Engine = New(o)
		w.must(w.Restore(snapshot))
		if again := w.visibleTo(going); again != lagging {
			t.Errorf("nodes drop the draining target after %s, before the restart it was %s", again, lagging)
		}
		after, err := w.Health(groupARN, nil)
		w.must(err)
		if d := cmp.Diff(before, after); d != "" || len(after) != 3 {
			t.Errorf("health changed (-before +after):\n%s", d)
		}
		if got := w.Addresses(lbARN); !slices.Equal(got, addrs) || len(addrs) != 2 {
			t.Errorf("addresses %v, before %v", got, addrs)
		}
		// The same again from the caller's own records changes nothing.
		w.must(w.PutTargetGroup(groupOf(groupARN)))
		w.must(w.PutLoadBalancer(balancerOf("a", "b")))
		w.must(w.Register(groupARN, []Target{fine, ill}))
		after, _ = w.Health(groupARN, nil)
		if d := cmp.Diff(before, after); d != "" {
			t.Errorf("health changed by being put again (-before +after):\n%s", d)
		}
		if got := w.get(1, "/"); got.status != 200 {
			t.Errorf("after restore: %d %v", got.status, got.err)
		}
		time.Sleep(24*time.Second - 10*time.Millisecond) // 31 s after the deregistration
		if s := w.state(going); s != "draining/Target.DeregistrationInProgress" {
			t.Errorf("just before the delay and jitter are over: %s", s)
		}
		time.Sleep(10 * time.Millisecond)
		if s := w.state(going); s != "unused/Target.NotRegistered" {
			t.Errorf("after the delay and jitter: %s", s)
		}
		if err := w.Restore(snapshot); err == nil {
			t.Error("a used engine was restored into")
		}
	})
}

// visibleTo is when the last node drops a draining target, as text.
func (w *world) visibleTo(t Target) string {
	e := w.Engine
	e.mu.Lock()
	defer e.mu.Unlock()
	g := e.groups[groupARN]
	return fmt.Sprint(e.forgotten(g, g.find(t)))
}

func TestGroupComesIntoUseAndGoesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{}))
		w.serve(targetAt(1), say("v1"))
		w.up([]string{"a"}, targetAt(1))
		w.DeleteLoadBalancer(lbARN)
		if s := w.state(targetAt(1)); s != "unused/Target.NotInUse" {
			t.Errorf("without a load balancer: %s", s)
		}
		if w.Addresses(lbARN) != nil {
			t.Error("a deleted load balancer has addresses")
		}
		w.must(w.PutLoadBalancer(balancerOf("a")))
		if s := w.state(targetAt(1)); s != "initial/Elb.RegistrationInProgress" {
			t.Errorf("with it again: %s", s)
		}
		time.Sleep(3 * time.Second)
		if got := w.get(0, "/"); got.status != 200 {
			t.Errorf("3 s later: %d", got.status)
		}
		far := Target{ID: "10.0.0.8", Port: 1325, AZ: "z"}
		w.must(w.Register(groupARN, []Target{far}))
		if s := w.state(far); s != "unused/Target.NotInUse" {
			t.Errorf("a target in a zone that is not enabled: %s", s)
		}
		w.DeleteTargetGroup(groupARN)
		if _, err := w.Health(groupARN, nil); err == nil {
			t.Error("a deleted group has health")
		}
	})
}

func TestCrossZoneOffKeepsToTheZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{}))
		a, b := targetAt(1), targetAt(2)
		a.AZ, b.AZ = "a", "b"
		w.serve(a, say("a"))
		w.serve(b, say("b"))
		w.up([]string{"a", "b"}, a, b)
		w.must(w.PutTargetGroup(groupOf(groupARN, "load_balancing.cross_zone.enabled", "false")))
		for range 4 {
			if got := w.get(1, "/").body; got != "b" {
				t.Errorf("the node in zone b asked target %s", got)
			}
		}
	})
}

func TestChangedHealthCheckTakesEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{}))
		w.serve(targetAt(1), say("v1"))
		w.up([]string{"a"}, targetAt(1))
		g := groupOf(groupARN)
		g.HealthCheck.Port, g.HealthCheck.Interval, g.HealthCheck.UnhealthyThreshold = "9", 5*time.Second, 3
		w.must(w.PutTargetGroup(g))
		time.Sleep(9 * time.Second)
		if s := w.state(targetAt(1)); s != "healthy" {
			t.Errorf("after two failed checks of three: %s", s)
		}
		time.Sleep(2 * time.Second)
		h, _ := w.Health(groupARN, nil)
		if s := w.state(targetAt(1)); s != "unhealthy/Target.FailedHealthChecks" || h[0].HealthCheckPort != "9" {
			t.Errorf("after three: %s on port %s", s, h[0].HealthCheckPort)
		}
		g.HealthCheck.Enabled = false
		w.must(w.PutTargetGroup(g))
		if s := w.state(targetAt(1)); s != "unavailable/Target.HealthCheckDisabled" {
			t.Errorf("checks off: %s", s)
		}
		if got := w.get(0, "/"); got.status != 200 {
			t.Errorf("checks off: %d", got.status)
		}
	})
}

func TestAddressesAreStableAndDistinct(t *testing.T) {
	w := newWorld(t, Options{Prefix: netip.MustParsePrefix("127.99.0.0/28")})
	seen := map[netip.Addr]bool{}
	put := func(arn string) error {
		b := balancerOf("a", "b")
		b.ARN = arn
		return w.PutLoadBalancer(b)
	}
	for i := range 7 { // 16 addresses less the one that ends in 0
		w.must(put(string(rune('a' + i))))
		for _, a := range w.Addresses(string(rune('a' + i))) {
			if seen[a] || !netip.MustParsePrefix("127.99.0.0/28").Contains(a) || a.As4()[3] == 0 {
				t.Errorf("address %s is taken, out of the prefix or a network's", a)
			}
			seen[a] = true
		}
	}
	if err := put("one too many"); err == nil || !strings.Contains(err.Error(), "127.99.0.0/28") {
		t.Errorf("a full prefix: %v", err)
	}
	first, second := newWorld(t, Options{}), newWorld(t, Options{})
	for _, arn := range []string{"x", "y"} {
		b := balancerOf("a", "b")
		b.ARN = arn
		first.must(first.PutLoadBalancer(b))
		if arn == "y" {
			second.must(second.PutLoadBalancer(b))
		}
	}
	if got, want := second.Addresses("y"), first.Addresses("y"); !slices.Equal(got, want) {
		t.Errorf("another engine gave %v, this one %v: want the same for the same ARN", got, want)
	}
}

// Sockets, TLS and HTTP/2 as they are, on this machine's loopback.
func TestRealSockets(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("X-Forwarded-Proto")+" "+r.Proto)
	}))
	defer target.Close()
	at := netip.MustParseAddrPort(target.Listener.Addr().String())
	logs := make(chan RequestLog, 10)
	e := New(Options{Registration: Delay{0, time.Millisecond}, Observe: func(v Event) {
		if v.Request != nil {
			logs <- *v.Request
		}
	}})
	defer func() { _ = e.Close() }()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(e.PutTargetGroup(groupOf(groupARN)))
	b := balancerOf("a", "b")
	cert, pool := selfSigned(t, "web.test")
	b.Listeners[0].Port = 18080
	b.Listeners = append(b.Listeners, Listener{ARN: "listener/443", Protocol: "HTTPS", Port: 18443, Rules: b.Listeners[0].Rules, Certificates: []Certificate{cert}})
	must(e.PutLoadBalancer(b))
	must(e.Register(groupARN, []Target{{ID: at.Addr().String(), Port: int(at.Port())}}))
	deadline := time.Now().Add(time.Minute) // the second check, if a busy machine is late for the first
	for {
		h, err := e.Health(groupARN, nil)
		must(err)
		if h[0].State == "healthy" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("state %+v after a minute", h)
		}
		time.Sleep(10 * time.Millisecond)
	}
	for name, tt := range map[string]struct{ url, want, kind string }{
		"http": {"http://" + e.Addresses(lbARN)[0].String() + ":18080/", "http HTTP/1.1", "http"},
		"h2":   {"https://" + e.Addresses(lbARN)[1].String() + ":18443/", "https HTTP/1.1", "h2"},
	} {
		rt := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "web.test"}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		req, _ := http.NewRequestWithContext(ctx, "GET", tt.url, nil)
		resp, err := rt.RoundTrip(req)
		must(err)
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if l := <-logs; string(body) != tt.want || l.Type != tt.kind || l.Status != 200 {
			t.Errorf("%s: body %q, logged %s %d", name, body, l.Type, l.Status)
		}
		cancel()
		rt.CloseIdleConnections()
	}
}

func selfSigned(t *testing.T, name string) (Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := Certificate{ARN: "certificate/1", Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(c.Cert)
	return c, pool
}
