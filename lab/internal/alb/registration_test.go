// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/load"
)

// quickly is a range so short that nothing happens in it; the zero Delay would
// be the default.
var quickly = Delay{Max: time.Nanosecond}

// lateNode tells when the first and the last node take a target up, and which is the last of two.
func (w *world) lateNode(t Target) (first, last time.Time, late int) {
	w.Helper()
	w.Engine.mu.Lock()
	defer w.Engine.mu.Unlock()
	g := w.groups[groupARN]
	each := w.Engine.windows(g, g.find(t))
	for i, n := range w.balancers[lbARN].nodes {
		from := each[n][len(each[n])-1].from
		if first.IsZero() || from.Before(first) {
			first = from
		}
		if from.After(last) {
			last, late = from, i
		}
	}
	if last.Sub(first) < 2*time.Second {
		w.Errorf("the nodes hear %s apart: choose another seed", last.Sub(first))
	}
	return first, last, late
}

// What minReadySeconds is for (F12): the API says healthy when one node knows
// the target, while another has yet to hear of it.
func TestHealthyComesBeforeEachNodeRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{Seed: 267, Registration: Delay{0, 10 * time.Second}, Deregister: quickly})
		w.serve(targetAt(1), say("new"))
		w.must(w.PutTargetGroup(groupOf(groupARN)))
		w.must(w.PutLoadBalancer(balancerOf("a", "b")))
		w.must(w.Register(groupARN, []Target{targetAt(1)}))
		first, last, late := w.lateNode(targetAt(1))
		time.Sleep(time.Until(first) - time.Millisecond)
		if s := w.state(targetAt(1)); s != "initial/Elb.RegistrationInProgress" {
			t.Errorf("before any node has heard: %s", s)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if s := w.state(targetAt(1)); s != "healthy" {
			t.Errorf("when one node has heard: %s, want healthy", s)
		}
		if got := w.get(1-late, "/"); got.body != "new" {
			t.Errorf("the node that has heard answers %d %q", got.status, got.body)
		}
		time.Sleep(time.Until(last) - time.Millisecond)
		if got := w.get(late, "/"); got.status != 503 {
			t.Errorf("the node that has not heard answers %d %q, want 503", got.status, got.body)
		}
		time.Sleep(2 * time.Millisecond)
		if got := w.get(late, "/"); got.body != "new" {
			t.Errorf("when it has heard it answers %d %q", got.status, got.body)
		}
	})
}

// A new target replaces the old one, whose nodes and process are quick to let go,
// so that only the registration's lag can lose requests.
func TestARolloutLosesRequestsUnlessNewTargetsAreWaitedFor(t *testing.T) {
	tests := map[string]struct {
		minReady, remains time.Duration
		status            int // of what is lost; 0: nothing is
	}{
		"no minReadySeconds, the old target goes away at once":        {0, 0, 503},
		"no minReadySeconds, the old process outlives its target":     {0, 10 * time.Second, 503},
		"minReadySeconds shorter than the lag":                        {3 * time.Second, 0, 503},
		"minReadySeconds as long as the lag: the old one goes away":   {10 * time.Second, 0, 0},
		"minReadySeconds as long as the lag, and the process remains": {10 * time.Second, 10 * time.Second, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Options{Seed: 267, Registration: Delay{0, 10 * time.Second}, Deregister: quickly})
				fresh, old := targetAt(1), targetAt(2)
				stop := w.serve(old, say("v1"))
				w.serve(fresh, say("v2"))
				w.must(w.PutTargetGroup(groupOf(groupARN)))
				w.must(w.PutLoadBalancer(balancerOf("a", "b")))
				w.must(w.Register(groupARN, []Target{old}))
				time.Sleep(11 * time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second-time.Millisecond)
				defer cancel()
				go func() {
					time.Sleep(5 * time.Second)
					_ = w.Register(groupARN, []Target{fresh})
					w.lateNode(fresh)
					for w.state(fresh) != "healthy" {
						time.Sleep(10 * time.Millisecond)
					}
					time.Sleep(tt.minReady)
					_ = w.Deregister(groupARN, []Target{old})
					time.Sleep(time.Millisecond + tt.remains)
					stop()
				}()
				r, err := load.Run(ctx, load.Options{URL: "http://web.test/", Addresses: []string{w.Addresses(lbARN)[0].String(), w.Addresses(lbARN)[1].String()}, Rate: 50, Dialer: w.dial})
				w.must(err)
				if (r.Failed > 0) != (tt.status != 0) || r.Failed != r.Status[tt.status] || r.Sent != 2000 || r.Versions["v2"] == 0 {
					t.Errorf("%d of %d failed: status %v, errors %v, versions %v", r.Failed, r.Sent, r.Status, r.Errors, r.Versions)
				}
			})
		})
	}
}

func TestPutBackBeforeTheNodesHaveHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{Seed: 267, Deregister: Delay{10 * time.Second, 17 * time.Second}}))
		w.serve(targetAt(1), say("v1"))
		w.up([]string{"a", "b"}, targetAt(1)) // checked at 2 s and 17 s; it is 3 s now
		w.must(w.Deregister(groupARN, []Target{targetAt(1)}))
		time.Sleep(time.Second)
		w.must(w.Register(groupARN, []Target{targetAt(1)}))
		first, last, late := w.lateNode(targetAt(1))
		if d := time.Until(first); d < 11*time.Second || d > 18*time.Second {
			t.Errorf("the first node takes it up after %s, want 9 to 16 s for the old word and 2 s for the new one", d)
		}
		time.Sleep(time.Until(first) - time.Millisecond)
		if s, got := w.state(targetAt(1)), w.get(1-late, "/"); s != "initial/Elb.RegistrationInProgress" || got.status != 503 {
			t.Errorf("before a node has it again: %s, %d", s, got.status)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if s, got := w.state(targetAt(1)), w.get(1-late, "/"); s != "healthy" || got.status != 200 {
			t.Errorf("when one has it again: %s, %d, want healthy without waiting for the old turn, 200", s, got.status)
		}
		time.Sleep(time.Until(last) - time.Millisecond)
		if s, got := w.state(targetAt(1)), w.get(late, "/"); s != "healthy" || got.status != 503 {
			t.Errorf("at the node that has not: %s, %d, want healthy, 503", s, got.status)
		}
		time.Sleep(2 * time.Millisecond)
		if got := w.get(late, "/"); got.status != 200 {
			t.Errorf("when all have it: %d", got.status)
		}
		time.Sleep(time.Minute)
		w.Engine.mu.Lock()
		defer w.Engine.mu.Unlock()
		if n := len(w.groups[groupARN].records[0].Spans); n != 1 {
			t.Errorf("%d spans are remembered, of which one matters", n)
		}
	})
}

// The old delay goes on for the requests that came before, not for later ones.
func TestPutBackDoesNotSaveTheRequestsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{Deregister: Delay{5 * time.Second, 5 * time.Second}}))
		w.serve(targetAt(1), slowly(50*time.Second))
		w.up([]string{"a"}, targetAt(1))
		before, after := make(chan answer, 1), make(chan answer, 1)
		go func() { before <- w.get(0, "/slow") }()
		time.Sleep(time.Second)
		w.must(w.Deregister(groupARN, []Target{targetAt(1)})) // with a delay of 30 s
		time.Sleep(6 * time.Second)
		w.must(w.Register(groupARN, []Target{targetAt(1)}))
		time.Sleep(3 * time.Second)
		go func() { after <- w.get(0, "/slow") }()
		if got := <-before; got.status != 502 || got.took != 31*time.Second {
			t.Errorf("from before the deregistration: %d after %s, want 502 after 31s", got.status, got.took)
		}
		synctest.Wait()
		if l := w.lastRequest(); l.Cause != CauseDelayExpired {
			t.Errorf("logged %q, want %q", l.Cause, CauseDelayExpired)
		}
		if got := <-after; got.status != 200 || got.took != 50*time.Second {
			t.Errorf("from after the registration: %d after %s, want 200 after 50s", got.status, got.took)
		}
	})
}

func TestEachEndOfATargetIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The nodes are slower than the delay, so that the target leaves the list before they drop it.
		w := newWorld(t, exact(Options{Deregister: Delay{50 * time.Second, 50 * time.Second}}))
		w.serve(targetAt(1), say("v1"))
		w.up([]string{"a"}, targetAt(1))
		w.must(w.Deregister(groupARN, []Target{targetAt(1)}))
		time.Sleep(40 * time.Second) // gone after 31 s
		w.must(w.Register(groupARN, []Target{targetAt(1)}))
		time.Sleep(30 * time.Second)
		w.must(w.Deregister(groupARN, []Target{targetAt(1)}))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		var seen []string
		for _, e := range w.log {
			if e.Change != nil {
				seen = append(seen, e.Change.Health.State)
			}
		}
		if want := []string{"initial", "healthy", "draining", "unused", "initial", "healthy", "draining", "unused"}; !slices.Equal(seen, want) {
			t.Errorf("observed %q, want %q", seen, want)
		}
	})
}

func TestACheckOfAnEarlierRegistrationCountsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{Deregister: quickly}))
		w.serve(targetAt(1), http.NotFound)
		w.up([]string{"a"}, targetAt(1))
		w.Engine.mu.Lock()
		earlier := w.groups[groupARN].records[0].last().N
		w.Engine.mu.Unlock()
		w.must(w.Deregister(groupARN, []Target{targetAt(1)}))
		w.must(w.Register(groupARN, []Target{targetAt(1)}))
		time.Sleep(3 * time.Second)
		w.Engine.apply(groupARN, targetAt(1), earlier, result{}, checks())
		if s := w.state(targetAt(1)); s != "initial/Elb.InitialHealthChecking" {
			t.Errorf("after a pass of the earlier registration: %s", s)
		}
		w.Engine.apply(groupARN, targetAt(1), earlier+1, result{}, checks())
		if s := w.state(targetAt(1)); s != "healthy" {
			t.Errorf("after one of the present registration: %s", s)
		}
	})
}

// Draws have nothing of ARNs and addresses, so that a lab made anew, whose ARNs
// are others, lags as the first one did.
func TestEqualSeedsAndCallsLagEqually(t *testing.T) {
	lagsOf := func(seed uint64, arn, id string) (out []Delay) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Options{Seed: seed})
			b, g := balancerOf("a", "b"), groupOf(groupARN+arn)
			b.ARN = arn
			b.Listeners[0].Rules[0].Actions = forwardTo(g.ARN)
			w.must(w.PutTargetGroup(g))
			w.must(w.PutLoadBalancer(b))
			w.must(w.Register(g.ARN, []Target{{ID: id, Port: 1325}}))
			began := time.Now()
			w.must(w.Deregister(g.ARN, []Target{{ID: id, Port: 1325}}))
			w.Engine.mu.Lock()
			defer w.Engine.mu.Unlock()
			r := w.groups[g.ARN].records[0]
			each := w.Engine.windows(w.groups[g.ARN], r)
			for _, n := range w.balancers[arn].nodes {
				out = append(out, Delay{each[n][0].from.Sub(began), each[n][0].until.Sub(began)})
			}
			out = append(out, Delay{Max: r.Gone.Sub(began)})
		})
		return out
	}
	one := lagsOf(7, "lb/1", "10.0.0.1")
	if again := lagsOf(7, "lb/2", "10.0.0.2"); !slices.Equal(one, again) || len(one) != 3 {
		t.Errorf("the same seed: %v, then %v", one, again)
	}
	if other := lagsOf(8, "lb/1", "10.0.0.1"); other[0] == one[0] || other[1] == one[1] || other[2] == one[2] {
		t.Errorf("another seed: %v, and %v", one, other)
	}
	if one[0] == one[1] {
		t.Errorf("both nodes lag by %v", one[0])
	}
}
