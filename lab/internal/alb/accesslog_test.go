// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb/accesslog"
)

// lines are the access log lines so far, as text.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(_ accesslog.Source, e accesslog.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(e.AppendLine(nil)))
}

// last reads the last line back.
func (l *lines) last(t *testing.T) accesslog.Entry {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		t.Fatal("no line was logged")
	}
	t.Log(strings.TrimSpace(l.all[len(l.all)-1]))
	e, err := accesslog.Parse(l.all[len(l.all)-1])
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Each fault, through the data plane, and told from its line alone; only the
// end of a deregistration delay must be known besides.
func TestDiagnosisOfEachFault(t *testing.T) {
	a := targetAt(1)
	type fault struct {
		handle http.HandlerFunc
		before func(w *world, stop func())
		during func(w *world, stop func()) // a second after the request
		giveUp time.Duration
		line   accesslog.Class
		known  accesslog.Class // with the end of the delay known; "": the same
	}
	deregister := func(w *world, _ func()) { w.must(w.Deregister(groupARN, []Target{a})) }
	for name, tt := range map[string]fault{
		"502 reset on connect":     {handle: say("v1"), before: func(_ *world, stop func()) { stop() }, line: accesslog.ConnectReset},
		"502 closed in the middle": {handle: slowly(time.Hour), during: func(_ *world, stop func()) { stop() }, line: accesslog.TargetClosed},
		"502 delay expired":        {handle: slowly(time.Hour), during: deregister, line: accesslog.TargetClosed, known: accesslog.DelayExpired},
		"503 no targets": {handle: say("v1"), before: func(w *world, _ func()) { deregister(w, nil); time.Sleep(13 * time.Second) },
			line: accesslog.NoTarget},
		"504 connect": {handle: say("v1"), before: func(w *world, stop func()) { stop(); w.silent[a.ID] = errDropped }, line: accesslog.ConnectTimeout},
		"504 idle":    {handle: slowly(time.Hour), line: accesslog.IdleTimeout},
		"460":         {handle: slowly(time.Hour), giveUp: 5 * time.Second, line: accesslog.ClientGone},
		"500 own": {handle: func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				w.WriteHeader(500)
			}
		}, line: accesslog.Application},
		"200": {handle: slowly(2 * time.Second), line: accesslog.OK},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, exact(Options{Deregister: Delay{12 * time.Second, 12 * time.Second}}))
				got := &lines{}
				w.LogTo(got.add)
				stop := w.serve(a, tt.handle)
				b := balancerOf("a")
				b.Attributes["access_logs.s3.enabled"] = "true"
				w.must(w.PutTargetGroup(groupOf(groupARN)))
				w.must(w.PutLoadBalancer(b))
				w.must(w.Register(groupARN, []Target{a}))
				time.Sleep(3 * time.Second)
				if tt.before != nil {
					tt.before(w, stop)
				}
				var delayEnds time.Time
				if tt.during != nil {
					time.AfterFunc(time.Second, func() { tt.during(w, stop); delayEnds = time.Now().Add(30 * time.Second) })
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.giveUp > 0 {
					time.AfterFunc(tt.giveUp, cancel)
				}
				req, err := http.NewRequestWithContext(ctx, "GET", "http://"+w.Addresses(lbARN)[0].String()+"/slow", nil)
				w.must(err)
				if resp, err := w.client().RoundTrip(req); err == nil {
					_ = resp.Body.Close()
				}
				synctest.Wait()
				e := got.last(t)
				if c := e.Diagnose(accesslog.Known{}); c != tt.line {
					t.Errorf("the line alone says %q, want %q", c, tt.line)
				}
				want := tt.known
				if want == "" {
					want = tt.line
				}
				if c := e.Diagnose(accesslog.Known{DelayEnds: delayEnds}); c != want {
					t.Errorf("with the delay's end known: %q, want %q", c, want)
				}
			})
		})
	}
}

// silence is a socket whose queue is full: the kernel drops further SYNs and
// says nothing, like the network of a VPC for an address that is gone.
func silence(t *testing.T) Target {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at := Target{ID: "127.0.0.1", Port: name.(*syscall.SockaddrInet4).Port}
	// A machine that stands still for a moment is silent, too: the third silence counts.
	silent := 0
	for range 8 {
		c, err := (&net.Dialer{Timeout: 500 * time.Millisecond}).DialContext(t.Context(), "tcp", at.addr())
		if err == nil {
			t.Cleanup(func() { _ = c.Close() })
		} else if silent++; silent == 3 {
			return at
		}
	}
	t.Skip("this kernel answers although the queue is full")
	return at
}

// The line this project began with, in real time on real sockets.
func TestConnectTimeoutInRealTime(t *testing.T) {
	at := silence(t)
	logs := make(chan accesslog.Entry, 1)
	e := New(Options{Registration: Delay{0, time.Millisecond}})
	defer func() { _ = e.Close() }()
	e.LogTo(func(_ accesslog.Source, l accesslog.Entry) { logs <- l })
	g, b := groupOf(groupARN), balancerOf("a")
	g.HealthCheck.Enabled = false
	b.Listeners[0].Port, b.Attributes["access_logs.s3.enabled"] = 18083, "true"
	for _, err := range []error{e.PutTargetGroup(g), e.PutLoadBalancer(b), e.Register(groupARN, []Target{at})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	status := askOne(t, "http://"+e.Addresses(lbARN)[0].String()+":18083/", logs)
	l := <-logs
	line := string(l.AppendLine(nil))
	// That it is 10 s is shown on a fake clock. Here it is no other of the balancer's times, of which the next is 60 s.
	if status != 504 || !strings.Contains(line, " "+at.addr()+" -1 -1 -1 504 - ") || l.Diagnose(accesslog.Known{}) != accesslog.ConnectTimeout ||
		l.Duration() < 10*time.Second || l.Duration() > 40*time.Second {
		t.Errorf("%d after %s: %q, %s, want -1 -1 -1 504 - after 10 s", status, l.Duration(), l.Diagnose(accesslog.Known{}), line)
	}
}
