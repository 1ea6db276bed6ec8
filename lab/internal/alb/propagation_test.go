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

func TestAnUnknownLoadBalancerHasNoPropagation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		if err := w.SetPropagation("arn:none", Delay{1, 1}); !errors.Is(err, ErrLoadBalancerNotFound) {
			t.Errorf("set: %v", err)
		}
		if _, err := w.Propagation("arn:none"); !errors.Is(err, ErrLoadBalancerNotFound) {
			t.Errorf("asked for: %v", err)
		}
	})
}
