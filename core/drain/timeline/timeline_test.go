// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// controller plays the Deployment controller's rolling update second by second, as its
// source has it and with no wave in it: new pods up to replicas and surge, old ones
// down to what is available beyond replicas less unavailable.
func controller(p Pace, s Strategy, life time.Duration) (seconds int64, pods, addresses int) {
	unavailable := s.Unavailable
	if s.Surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	old, fresh := p.Replicas, []time.Duration{} // when each new pod was made
	var gone []time.Duration                    // when each old pod ends
	pods, addresses = p.Replicas, p.Replicas
	for now := time.Duration(0); ; now += time.Second {
		available := 0
		for _, made := range fresh {
			if made+p.Start <= now {
				available++
			}
		}
		for {
			if up := min(p.Replicas+s.Surge-old-len(fresh), p.Replicas-len(fresh)); up > 0 {
				for range up {
					fresh = append(fresh, now)
				}
				if p.Start == 0 {
					available = len(fresh)
				}
				continue
			}
			down := min(old, old+available-(p.Replicas-unavailable))
			if down <= 0 {
				break
			}
			old -= down
			for range down {
				gone = append(gone, now+life)
			}
		}
		ending, cooling, end := 0, 0, now
		for _, at := range gone {
			if at > now {
				ending++
			}
			if at+p.Cooldown > now {
				cooling++
			}
			end = max(end, at, at-life+p.Drained)
		}
		pods, addresses = max(pods, old+len(fresh)+ending), max(addresses, old+len(fresh)+cooling)
		if old == 0 && available == p.Replicas {
			return int64(end / time.Second), pods, addresses
		}
	}
}

func TestARollingUpdateGoesAsTheControllerDoesIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seconds := func(name string, least, most int) time.Duration {
			return time.Duration(rapid.IntRange(least, most).Draw(t, name)) * time.Second
		}
		p := Pace{Replicas: rapid.IntRange(1, 40).Draw(t, "N"), Start: seconds("start", 1, 60), Drained: seconds("drained", 0, 120), Cooldown: seconds("cooldown", 0, 60)}
		life := seconds("life", 1, 120)
		p.Pod.Exit = int64(life / time.Second)
		s := Strategy{Kind: Rolling, Surge: rapid.IntRange(0, 45).Draw(t, "surge"), Unavailable: rapid.IntRange(0, 45).Draw(t, "unavailable")}
		line := Predict(p, s)
		if end, pods, addresses := controller(p, s, life); line.Seconds != end || line.PeakPods != pods || line.PeakIPs != addresses {
			t.Fatalf("%d s, %d pods, %d addresses; the controller: %d s, %d pods, %d addresses", line.Seconds, line.PeakPods, line.PeakIPs, end, pods, addresses)
		}
	})
}
