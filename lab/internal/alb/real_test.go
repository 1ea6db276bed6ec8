// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"
)

// The kernel's own refusals and resets, which an in-memory network cannot give.
func TestRealRefusalsAndResets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(l.Addr().String())
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_ = c.(*net.TCPConn).SetLinger(0) // close with a reset
			_ = c.Close()
		}
	}()
	logs := make(chan RequestLog, 10)
	e := New(Options{Registration: Delay{0, time.Millisecond}, Observe: func(v Event) {
		if v.Request != nil {
			logs <- *v.Request
		}
	}})
	defer func() { _ = e.Close() }()
	g, b := groupOf(groupARN), balancerOf("a")
	g.HealthCheck.Enabled = false
	b.Listeners[0].Port = 18082
	for _, err := range []error{e.PutTargetGroup(g), e.PutLoadBalancer(b), e.Register(groupARN, []Target{{ID: at.Addr().String(), Port: int(at.Port())}})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	ask := func(want Cause) {
		t.Helper()
		status := askOne(t, "http://"+e.Addresses(lbARN)[0].String()+":18082/", logs)
		if l := <-logs; status != 502 || l.Cause != want || l.Detail == "" || (l.RequestTime >= 0) != (want == CauseTargetClosed) {
			t.Errorf("got %d, logged %q after sending %v, want 502 %q", status, l.Cause, l.RequestTime, want)
		}
	}
	ask(CauseTargetClosed)
	_ = l.Close()
	ask(CauseConnectRefused)
}

// askOne asks until a node knows of a target, which it does some time after the registration;
// before, it answers with 503. What was logged of those is taken from logs.
func askOne[L any](t *testing.T, url string, logs <-chan L) (status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		req, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable {
			return resp.StatusCode
		}
		<-logs
		time.Sleep(time.Millisecond)
	}
}
