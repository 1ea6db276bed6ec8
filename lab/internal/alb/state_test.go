// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"net/http"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestALifeOfATarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{}))
		a := targetAt(1)
		w.serve(a, say("v1"))
		w.must(w.PutTargetGroup(groupOf(groupARN)))
		w.must(w.Register(groupARN, []Target{a}))
		begin := time.Now()
		at := func(d time.Duration, want string) {
			t.Helper()
			time.Sleep(time.Until(begin.Add(d)))
			synctest.Wait()
			if got := w.state(a); got != want {
				t.Errorf("at %s: %s, want %s", d, got, want)
			}
		}
		at(0, "unused/Target.NotInUse")
		w.must(w.PutLoadBalancer(balancerOf("a", "b")))
		at(0, "initial/Elb.RegistrationInProgress")
		at(1999*time.Millisecond, "initial/Elb.RegistrationInProgress")
		at(2001*time.Millisecond, "healthy")
		at(10*time.Second, "healthy")
		w.must(w.Deregister(groupARN, []Target{a}))
		at(10*time.Second, "draining/Target.DeregistrationInProgress")
		at(40999*time.Millisecond, "draining/Target.DeregistrationInProgress")
		at(41*time.Second, "unused/Target.NotRegistered")
		if all, err := w.Health(groupARN, nil); err != nil || len(all) != 0 {
			t.Errorf("still listed: %+v, %v", all, err)
		}
		var seen []string
		for _, e := range w.log {
			if e.Change != nil {
				seen = append(seen, e.Change.Health.State)
			}
		}
		if want := []string{"unused", "initial", "healthy", "draining", "unused"}; !slices.Equal(seen, want) {
			t.Errorf("observed %q, want %q", seen, want)
		}
	})
}

func TestHealthCheckVerdicts(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	tests := map[string]struct {
		handle  http.HandlerFunc
		silent  error
		matcher string
		port    string
		path    string
		want    string
		detail  string
	}{
		"a wrong code":             {handle: status(500), want: "unhealthy/Target.ResponseCodeMismatch", detail: "Health checks failed with these codes: [500]"},
		"a code in a range":        {handle: status(302), matcher: "200-399", want: "healthy"},
		"a code in a list":         {handle: status(204), matcher: "200, 204", want: "healthy"},
		"nobody listens":           {want: "unhealthy/Target.FailedHealthChecks", detail: "Health checks failed"},
		"an address without owner": {silent: errDropped, want: "unhealthy/Target.Timeout", detail: "Request timed out"},
		"an address that only the lab's kernel denies": {silent: syscall.EHOSTUNREACH, want: "unhealthy/Target.Timeout", detail: "Request timed out"},
		"a server that never says":                     {handle: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, want: "unhealthy/Target.Timeout", detail: "Request timed out"},
		"a port where nobody is":                       {handle: status(200), port: "81", want: "unhealthy/Target.FailedHealthChecks", detail: "Health checks failed"},
		"the path and agent of ELB": {path: "/x?y=1", want: "healthy", handle: func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RequestURI() != "/x?y=1" || r.UserAgent() != "ELB-HealthChecker/2.0" {
				w.WriteHeader(400)
			}
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, exact(Options{}))
				a := targetAt(1)
				if tt.handle != nil {
					w.serve(a, tt.handle)
				}
				w.silent[a.ID] = tt.silent
				g := groupOf(groupARN)
				g.HealthCheck.Matcher = tt.matcher
				if tt.port != "" {
					g.HealthCheck.Port = tt.port
				}
				if tt.path != "" {
					g.HealthCheck.Path = tt.path
				}
				w.must(w.PutTargetGroup(g))
				w.must(w.PutLoadBalancer(balancerOf("a")))
				w.must(w.Register(groupARN, []Target{a}))
				time.Sleep(2001 * time.Millisecond)
				synctest.Wait()
				if tt.want != "healthy" {
					// One failure is not yet a verdict.
					if got := w.state(a); got != "initial/Elb.InitialHealthChecking" {
						t.Errorf("after one check: %s", got)
					}
					time.Sleep(25 * time.Second)
				}
				h, _ := w.Health(groupARN, []Target{a})
				if got := w.state(a); got != tt.want || h[0].Description != tt.detail {
					t.Errorf("got %s %q, want %s %q", got, h[0].Description, tt.want, tt.detail)
				}
			})
		})
	}
}

func TestThresholdsCountInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{}))
		var code atomic.Int32
		code.Store(200)
		a := targetAt(1)
		w.serve(a, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(code.Load())) })
		w.up([]string{"a"}, a) // checked at 2 s, 17 s, 32 s, ...; it is 3 s now
		step := func(c int32, want string) {
			t.Helper()
			code.Store(c)
			time.Sleep(15 * time.Second)
			if got := w.state(a); got != want {
				t.Errorf("after a %d: %s, want %s", c, got, want)
			}
		}
		step(500, "healthy")
		step(200, "healthy")
		step(500, "healthy")
		step(500, "unhealthy/Target.ResponseCodeMismatch")
		step(200, "unhealthy/Target.ResponseCodeMismatch")
		step(500, "unhealthy/Target.ResponseCodeMismatch")
		step(200, "unhealthy/Target.ResponseCodeMismatch")
		step(200, "healthy")
	})
}

func TestPutBackWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{Deregister: Delay{10 * time.Second, 10 * time.Second}}))
		a := targetAt(1)
		w.serve(a, say("v1"))
		w.up([]string{"a"}, a)
		w.must(w.Deregister(groupARN, []Target{a}))
		time.Sleep(15 * time.Second)
		if got := w.get(0, "/"); got.status != 503 {
			t.Errorf("after the node dropped it: %d, want 503", got.status)
		}
		w.must(w.Register(groupARN, []Target{a}))
		if got := w.state(a); got != "initial/Elb.RegistrationInProgress" {
			t.Errorf("put back: %s", got)
		}
		time.Sleep(3 * time.Second)
		if got, s := w.get(0, "/"), w.state(a); got.status != 200 || s != "healthy" {
			t.Errorf("3 s after it was put back: %d, %s, want 200, healthy", got.status, s)
		}
		// The first registration's end must not take the second one away.
		time.Sleep(time.Minute)
		if s := w.state(a); s != "healthy" {
			t.Errorf("a minute later: %s, want healthy", s)
		}
	})
}

// A node that has not heard of a deregistration goes on checking, too.
func TestDrainingTargetsAreCheckedUntilNodesDropThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{Deregister: Delay{17 * time.Second, 17 * time.Second}}))
		var ill atomic.Bool
		var probes atomic.Int32
		a := targetAt(1)
		w.serve(a, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/healthz" {
				probes.Add(1)
				if ill.Load() {
					w.WriteHeader(503)
				}
			}
		})
		w.serve(targetAt(2), say("other"))
		g := groupOf(groupARN)
		g.HealthCheck.Interval = 5 * time.Second
		w.up([]string{"a"}, a, targetAt(2))
		w.must(w.PutTargetGroup(g)) // the checks begin anew now: 3 s, 8 s, ...
		time.Sleep(time.Second)
		w.must(w.Deregister(groupARN, []Target{a}))
		ill.Store(true)
		time.Sleep(10 * time.Second) // two checks failed
		for range 4 {
			if got := w.get(0, "/"); got.body != "other" {
				t.Errorf("a draining target that fails its checks still gets requests: %+v", got)
			}
		}
		time.Sleep(8 * time.Second)
		before := probes.Load()
		time.Sleep(time.Minute)
		if n := probes.Load() - before; n != 0 {
			t.Errorf("checked %d times after all nodes dropped it", n)
		}
	})
}

func TestUnknownGroupAndBadInput(t *testing.T) {
	w := newWorld(t, Options{})
	if err := w.Register("tg/none", []Target{targetAt(1)}); err == nil {
		t.Error("registering in an unknown group was accepted")
	}
	if _, err := w.Health("tg/none", nil); err == nil {
		t.Error("asking an unknown group was accepted")
	}
	w.must(w.PutTargetGroup(groupOf(groupARN)))
	if err := w.Register(groupARN, []Target{{ID: "i-0123"}}); err == nil {
		t.Error("an instance id was accepted as an IP")
	}
	if err := w.Deregister(groupARN, []Target{targetAt(9)}); err != nil {
		t.Errorf("deregistering what is not there: %v, want nothing to happen", err)
	}
	for name, change := range map[string]func(*TargetGroup){
		"protocol":         func(g *TargetGroup) { g.Protocol = "TCP" },
		"protocol version": func(g *TargetGroup) { g.ProtocolVersion = "GRPC" },
		"target type":      func(g *TargetGroup) { g.TargetType = "lambda" },
		"matcher":          func(g *TargetGroup) { g.HealthCheck.Matcher = "5xx" },
		"interval":         func(g *TargetGroup) { g.HealthCheck.Interval = 0 },
		"no ARN":           func(g *TargetGroup) { g.ARN = "" },
	} {
		g := groupOf(groupARN)
		change(&g)
		if err := w.PutTargetGroup(g); err == nil {
			t.Errorf("%s: it was accepted", name)
		}
	}
	for name, change := range map[string]func(*LoadBalancer){
		"no zone":        func(b *LoadBalancer) { b.Zones = nil },
		"TCP":            func(b *LoadBalancer) { b.Listeners[0].Protocol = "TCP" },
		"no certificate": func(b *LoadBalancer) { b.Listeners[0].Protocol = "HTTPS" },
		"no action":      func(b *LoadBalancer) { b.Listeners[0].Rules[0].Actions = nil },
		"authentication": func(b *LoadBalancer) { b.Listeners[0].Rules[0].Actions[0].Type = "authenticate-oidc" },
		"unknown field":  func(b *LoadBalancer) { b.Listeners[0].Rules[0].Conditions = []Condition{{Field: "cookie"}} },
	} {
		b := balancerOf("a")
		change(&b)
		if err := w.PutLoadBalancer(b); err == nil {
			t.Errorf("%s: it was accepted", name)
		}
	}
}

// A node's view of one registration is exactly the span, shifted at both ends.
func TestVisibleIsTheShiftedSpan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := func(name string, most int) time.Duration {
			return time.Duration(rapid.IntRange(0, most).Draw(t, name)) * time.Millisecond
		}
		epoch := time.Unix(1000, 0)
		l := lags{ms("register lag", 3000), ms("deregister lag", 17000)}
		r := newRecord(targetAt(1), epoch, 1)
		life := ms("life", 60000)
		r = r.deregister(epoch.Add(life), 30*time.Second, 0)
		now := epoch.Add(ms("now", 120000))
		want := !now.Before(epoch.Add(l.register)) && now.Before(epoch.Add(life+l.deregister))
		if _, got := r.visible(now, func(span) lags { return l }); got != want {
			t.Fatalf("visible %v, want %v", got, want)
		}
		// Put back, it is in the list again as late as a new one, and not before the
		// node has dropped it.
		again := r.register(later(now, epoch.Add(life)), 2)
		taken := later(again.last().From, epoch.Add(life+l.deregister)).Add(l.register)
		if _, ok := again.visible(taken.Add(-1), func(span) lags { return l }); ok && l.register > 0 {
			t.Fatal("put back, it is visible too early")
		}
		if n, ok := again.visible(taken, func(span) lags { return l }); !ok || n != 2 {
			t.Fatalf("put back and propagated, yet visible is %v, by %d", ok, n)
		}
	})
}

func TestDrawsStayInRangeAndDiffer(t *testing.T) {
	d := Delay{10 * time.Second, 17 * time.Second}
	seen := map[time.Duration]bool{}
	for i := range 1000 {
		v := d.draw(7, "deregister", "node", string(rune('a'+i)))
		if v < d.Min || v > d.Max {
			t.Fatalf("drew %s", v)
		}
		if v != d.draw(7, "deregister", "node", string(rune('a'+i))) {
			t.Fatal("the same words drew another value")
		}
		seen[v.Truncate(100*time.Millisecond)] = true
	}
	if len(seen) < 60 {
		t.Errorf("1000 draws from 7 s fell into %d tenths of seconds only", len(seen))
	}
	if d.draw(1, "x") == d.draw(2, "x") {
		t.Error("the seed does not matter")
	}
}
