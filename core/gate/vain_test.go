// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/event"
)

// wave is a rollout of 4 pods, one after the other, whose first new pod's target is never healthy.
type wave struct {
	metered
	every  time.Duration // between health checks
	target Target        // what becomes of it
}

func (w wave) TargetHealth(ctx context.Context, arn string) ([]Target, error) {
	targets, err := w.metered.TargetHealth(ctx, arn)
	for i, t := range targets {
		if t.ID == newIP && w.target.State != "" {
			targets[i].State, targets[i].Reason = w.target.State, w.target.Reason
		}
	}
	return targets, err
}

func (w wave) TargetGroups(ctx context.Context, q GroupQuery) ([]TargetGroup, error) {
	found, err := w.metered.TargetGroups(ctx, q)
	for i := range found {
		found[i].Interval = w.every
	}
	return found, err
}

// A rollout that cannot go on is in vain long before its last wave, however short the health check's interval
// is beside the pauses of the gate.
func TestAFirstWaveThatNeverGetsHealthy(t *testing.T) {
	sick, unused, taken := Target{State: "unhealthy", Reason: "Target.FailedHealthChecks"}, Target{State: "unused", Reason: "Target.NotInUse"}, Target{State: "unused", Reason: "Target.IpUnusable"}
	cases := map[string]struct {
		every   time.Duration
		target  Target
		groups  int
		mute    []span
		reason  Reason
		between [2]float64 // seconds after the containers are ready; 15 pass until the target is asked for
	}{
		"checked every 5 s: 3 checks": {5 * time.Second, sick, 1, nil, TargetUnhealthy, [2]float64{15, 35}},
		"every 15 s":                  {15 * time.Second, sick, 1, nil, TargetUnhealthy, [2]float64{45, 80}},
		"every 30 s":                  {30 * time.Second, sick, 1, nil, TargetUnhealthy, [2]float64{90, 125}},
		"in more groups than one can ask in 10 s":  {5 * time.Second, sick, 14, nil, TargetUnhealthy, [2]float64{15, 75}},
		"no answer for a while is no time of it":   {5 * time.Second, sick, 1, []span{{24, 60}}, TargetUnhealthy, [2]float64{50, 85}},
		"a group on no listener gets its 90 s":     {5 * time.Second, unused, 1, nil, TargetNotInUse, [2]float64{90, 115}},
		"an address that a load balancer has, too": {5 * time.Second, taken, 1, nil, TargetIPUnusable, [2]float64{90, 115}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := rolled(1, drain.Strict, 4, 1)
				s.groups, s.mute = c.groups, c.mute
				for i := range 4 {
					s.register(s.pod(fmt.Sprint("old", i), fmt.Sprint("10.0.1.", i+1), -1000, -900), 0)
					s.pods[i].old = true
				}
				const ready = 5
				p := s.pod("new0", newIP, 0, ready)
				p.gated = true
				s.register(p, 0)
				p.open = never
				s.began = time.Now()
				_, err := Wait(t.Context(), s, wave{metered{s, rate.NewLimiter(1, 1)}, c.every, c.target}, Options{Workloads: []Workload{s.workload()}, chance: s.rng.Float64})
				took := time.Since(s.began).Seconds() - ready
				var failed *Error
				if !errors.As(err, &failed) || failed.Reason != c.reason || took < c.between[0] || took > c.between[1] {
					t.Errorf("after %.0f s: %v; want %s in %v", took, err, c.reason, c.between)
				}
				t.Logf("%s: after %.0f s", name, took)
			})
		})
	}
}

// numbered is a balancer whose failures are each told in other words.
type numbered struct {
	wave
	failed *int
}

func (n numbered) TargetHealth(ctx context.Context, arn string) ([]Target, error) {
	targets, err := n.wave.TargetHealth(ctx, arn)
	if err != nil {
		*n.failed++
		err = fmt.Errorf("%w: request %d", err, *n.failed)
	}
	return targets, err
}

// A line of the log tells a state that changed: not that the same was seen again, after a gap that
// nobody planned or in other words. When nothing changes, one line says what is waited for.
func TestEachStateIsToldOnce(t *testing.T) {
	since := regexp.MustCompile(` since [0-9:]+`)
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			s := rolled(seed, drain.Strict, 3, 1)
			s.roll(rough{one: true, gated: true, hook: float64(s.plan.PreStop)})
			s.mute = []span{{50, 110}}
			s.began = time.Now()
			last, quiet, spoke, failed := map[string]string{}, time.Duration(0), time.Now(), 0
			_, err := Wait(t.Context(), s, numbered{wave{metered{s, rate.NewLimiter(1, 1)}, 5 * time.Second, Target{}}, &failed}, Options{Workloads: []Workload{s.workload()}, chance: s.rng.Float64, Observe: func(e event.Event) {
				quiet, spoke = max(quiet, time.Since(spoke)), time.Now()
				text := since.ReplaceAllString(e.Message, "")
				if strings.HasPrefix(text, "cannot tell") {
					text = "cannot tell"
				}
				if last[e.Object] == text {
					t.Errorf("seed %d: told again after %s: %s: %s", seed, time.Since(s.began), e.Object, e.Message)
				}
				if !strings.HasPrefix(text, "waiting, ") {
					last[e.Object] = text
				}
			}})
			if err != nil || quiet > 20*time.Second || failed < 3 {
				t.Errorf("seed %d: %v, silent for %s, %d failures", seed, err, quiet, failed)
			}
		})
	}
}
