// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestALoadBalancerMayBeSlowerThanTheOthers(t *testing.T) {
	tests := map[string]struct {
		own   Delay
		after time.Duration
		hears bool // the node no longer sends to the target
	}{
		"it still sends when the others would not":  {Delay{25 * time.Second, 25 * time.Second}, 24900 * time.Millisecond, false},
		"it stops after its own time":               {Delay{25 * time.Second, 25 * time.Second}, 25100 * time.Millisecond, true},
		"none of its own: the engine's, not over":   {Delay{}, 9900 * time.Millisecond, false},
		"none of its own: the engine's, and over":   {Delay{}, 17100 * time.Millisecond, true},
		"a quick one hears sooner than any default": {Delay{time.Second, time.Second}, 1100 * time.Millisecond, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Options{Seed: 3})
				w.serve(targetAt(1), say("old"))
				w.serve(targetAt(2), say("new"))
				w.up([]string{"a"}, targetAt(1), targetAt(2))
				time.Sleep(10 * time.Second)
				w.must(w.SetPropagation(lbARN, tt.own))
				w.must(w.Deregister(groupARN, []Target{targetAt(1)}))
				time.Sleep(tt.after)
				seen := map[string]bool{}
				for range 4 {
					seen[w.get(0, "/").body] = true
				}
				if seen["old"] == tt.hears || !seen["new"] {
					t.Errorf("%s after the deregistration it sends to %v", tt.after, seen)
				}
				if d, err := w.Propagation(lbARN); err != nil || tt.own != (Delay{}) && d != tt.own {
					t.Errorf("its propagation is %v, %v", d, err)
				}
			})
		})
	}
}

// A deregistration that some nodes have not heard of goes on being unheard by
// them, for the load balancer's own time, when another process takes over.
func TestAPropagationOfItsOwnSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{Seed: 3})
		w.serve(targetAt(1), say("old"))
		w.serve(targetAt(2), say("new"))
		w.up([]string{"a"}, targetAt(1), targetAt(2))
		time.Sleep(10 * time.Second)
		own := Delay{25 * time.Second, 25 * time.Second}
		w.must(w.SetPropagation(lbARN, own))
		w.must(w.Deregister(groupARN, []Target{targetAt(1)}))
		time.Sleep(5 * time.Second)
		snapshot, err := w.Snapshot()
		w.must(err)
		w.must(w.Close())
		w.Engine = New(Options{Seed: 3, Dialer: w.dial, Listen: w.listen})
		w.must(w.Restore(snapshot))
		asks := func() map[string]bool {
			seen := map[string]bool{}
			for range 4 {
				seen[w.get(0, "/").body] = true
			}
			return seen
		}
		time.Sleep(19900 * time.Millisecond)
		if seen := asks(); !seen["old"] || !seen["new"] {
			t.Errorf("24.9 s after the deregistration, across a restart, it sends to %v, want both", seen)
		}
		time.Sleep(200 * time.Millisecond)
		if seen := asks(); seen["old"] || !seen["new"] {
			t.Errorf("25.1 s after it sends to %v, want only the new one", seen)
		}
		w.must(w.Deregister(groupARN, []Target{targetAt(2)}))
		if d, err := w.Propagation(lbARN); err != nil || d != own {
			t.Errorf("for what comes later its propagation is %v, %v, want %v", d, err, own)
		}
	})
}

func TestALoadBalancerMayHaveAJitterOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{Seed: 3})) // a second
		ts := []Target{targetAt(1), targetAt(2), targetAt(3)}
		w.up([]string{"a"}, ts...)
		gone := func(i int, want time.Duration) {
			t.Helper()
			w.must(w.Deregister(groupARN, ts[i:i+1]))
			time.Sleep(30*time.Second + want - time.Millisecond)
			if s := w.state(ts[i]); s != "draining/Target.DeregistrationInProgress" {
				t.Errorf("target %d, before a jitter of %s is over: %s", i, want, s)
			}
			time.Sleep(2 * time.Millisecond)
			if s := w.state(ts[i]); s != "unused/Target.NotRegistered" {
				t.Errorf("target %d, after a jitter of %s: %s", i, want, s)
			}
		}
		w.must(w.SetJitter(lbARN, Delay{12 * time.Second, 12 * time.Second}))
		gone(0, 12*time.Second)
		snapshot, err := w.Snapshot()
		w.must(err)
		w.must(w.Close())
		w.Engine = New(exact(Options{Seed: 3, Dialer: w.dial, Listen: w.listen}))
		w.must(w.Restore(snapshot))
		gone(1, 12*time.Second)
		w.must(w.SetJitter(lbARN, Delay{}))
		gone(2, time.Second)
	})
}

func TestAnUnknownLoadBalancerHasNoPropagation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		if err := w.SetPropagation("arn:none", Delay{1, 1}); !errors.Is(err, ErrLoadBalancerNotFound) {
			t.Errorf("set: %v", err)
		}
		if err := w.SetJitter("arn:none", Delay{1, 1}); !errors.Is(err, ErrLoadBalancerNotFound) {
			t.Errorf("set the jitter: %v", err)
		}
		if _, err := w.Propagation("arn:none"); !errors.Is(err, ErrLoadBalancerNotFound) {
			t.Errorf("asked for: %v", err)
		}
	})
}
