// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/outlast-ci/outlast/core/drain"
)

var runs = flag.Int("runs", 200, "rollouts whose detection is timed")

// rolled is a sim with a plan for a number of replicas, whose answers are never old.
func rolled(seed uint64, mode drain.Mode, replicas, checks int) *sim {
	in := drain.Defaults()
	in.Mode, in.Replicas = mode, replicas
	plan, err := drain.Solve(in)
	if err != nil {
		panic(err)
	}
	return &sim{rng: rand.New(rand.NewPCG(seed, 2)), nodes: 1, groups: 1, desired: replicas, told: true, plan: plan, delay: float64(plan.DeregistrationDelay), checks: checks}
}

// workload is the sim's, with the pods that it replaces.
func (s *sim) workload() Workload {
	w := Workload{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "dev", Name: "web", Generation: 2, Behind: true, Plan: s.plan}
	for _, p := range s.pods {
		if p.old {
			w.Replaced = append(w.Replaced, Replaced{UID: "Pod-" + p.name, Name: p.name, IP: p.ip})
		}
	}
	return w
}

// percentile is of sorted values.
func percentile(sorted []float64, p float64) float64 {
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}

// detection is how the last of 4 new targets is seen to be healthy, by a gate or a peer.
type detection struct{ late, calls []float64 }

func (d detection) String() string {
	slices.Sort(d.late)
	slices.Sort(d.calls)
	sum := 0.0
	for _, c := range d.calls {
		sum += c
	}
	return fmt.Sprintf("p50 %.2f s, p95 %.2f s, calls mean %.1f, p95 %.0f", percentile(d.late, 0.5), percentile(d.late, 0.95), sum/float64(len(d.calls)), percentile(d.calls, 0.95))
}

// From the moment when the last of 4 new targets of one group is healthy to the first call
// that shows it: at most a second in 95 of 100 rollouts, by at most 18 calls from
// the beginning of the gate on; and that whether a new target has to pass one check, as AWS
// documents it for an ALB, or as many as the threshold says. Fixed pauses beside it.
func TestHowSoonTheGateSeesThatTargetsAreHealthy(t *testing.T) {
	for _, checks := range []int{1, 2} {
		var ours, five, one detection
		for seed := range uint64(*runs) {
			synctest.Test(t, func(t *testing.T) {
				s := rolled(seed, drain.Strict, 4, checks)
				last, at := 0.0, s.between(2, 20)
				made := at + s.between(1, 3)
				for i := range 4 {
					p := s.pod(fmt.Sprint("new", i), fmt.Sprint("10.0.1.", i+1), 0, at)
					p.gated = true
					s.register(p, 0)
					r := &p.in[0]
					r.healthy[0].from += made - r.made
					r.made = made
					last = max(last, r.healthy[0].from)
				}
				s.began = time.Now()
				ctx, cancel := context.WithCancel(t.Context())
				calls, seen := 0, 0.0
				s.asked = func(at float64) {
					if calls++; at >= last {
						seen = at
						cancel()
					}
				}
				if _, err := Wait(ctx, s, s, Options{Workloads: []Workload{s.workload()}, chance: s.rng.Float64}); err == nil || seen == 0 {
					t.Fatalf("seed %d: %v", seed, err)
				}
				ours.late, ours.calls = append(ours.late, seen-last), append(ours.calls, float64(calls))
				for pause, peer := range map[float64]*detection{5: &five, 1: &one} { // from when the containers are ready
					first := at + s.between(0, pause)
					n := max(0, math.Ceil((last-first)/pause))
					peer.late, peer.calls = append(peer.late, first+n*pause-last), append(peer.calls, n+1)
				}
			})
		}
		t.Logf("%d rollouts, %d check(s) make a new target healthy\n  ours:       %s\n  fixed 5 s:  %s\n  fixed 1 s:  %s", *runs, checks, ours, five, one)
		if percentile(ours.late, 0.95) > 1 || percentile(ours.calls, 0.95) > 18 {
			t.Errorf("with %d check(s): %s; want p95 within 1 s, by at most 18 calls", checks, ours)
		}
	}
}

// bucket is the account's: 40 calls, refilled by 10 a second.
type bucket struct {
	mu     sync.Mutex
	tokens float64
	at     time.Time
}

func (b *bucket) fill() {
	now := time.Now()
	b.tokens = min(40, b.tokens+10*now.Sub(b.at).Seconds())
	b.at = now
}

func (b *bucket) take(calls int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fill(); b.tokens < float64(calls) {
		return false
	}
	b.tokens -= float64(calls)
	return true
}

func (b *bucket) left() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill()
	return b.tokens
}

// metered is a sim whose gate makes one call a second, out of a shared bucket.
type metered struct {
	*sim
	budget *rate.Limiter
}

func (m metered) TargetHealth(ctx context.Context, arn string) ([]Target, error) {
	if err := m.budget.Wait(ctx); err != nil {
		return nil, err
	}
	return m.sim.TargetHealth(ctx, arn)
}

func (m metered) TargetGroups(ctx context.Context, q GroupQuery) ([]TargetGroup, error) {
	for range 1 + len(q.ARNs) {
		if err := m.budget.Wait(ctx); err != nil {
			return nil, err
		}
	}
	return m.sim.TargetGroups(ctx, q)
}

// controller is the load balancer controller's double, of one workload: it describes targets
// at each change and, while a readiness gate is closed, every 15 s. It tells for
// how long it was refused in a row, at most.
func (s *sim) controller(b *bucket) (worst time.Duration) {
	var due []float64
	for _, p := range s.pods {
		if p.old {
			due = append(due, p.in[0].ended)
		} else {
			due = append(due, p.in[0].made)
		}
	}
	slices.Sort(due)
	for at := due[0] + 15; at < due[len(due)-1]+30; at += 15 {
		if slices.ContainsFunc(s.pods, func(p *life) bool { return !p.old && p.in[0].made <= at && at < p.open }) {
			due = append(due, at)
		}
	}
	slices.Sort(due)
	due = slices.CompactFunc(due, func(a, b float64) bool { return b-a < 1 }) // one reconciliation for what changes meanwhile
	for _, at := range due {
		time.Sleep(time.Until(s.began.Add(time.Duration(at * float64(time.Second)))))
		began := time.Now()
		for pause := time.Second; !b.take(1); pause = min(2*pause, 20*time.Second) { // the SDK's full jitter
			time.Sleep(time.Duration(rand.Float64() * float64(pause)))
			worst = max(worst, time.Since(began))
		}
	}
	return worst
}

// A deploy that changes nothing is seen to be healthy twice, minReadySeconds apart, since nobody knows
// what its targets were just before; and then all over again twice, 2 s apart. Beside that there is a
// second for each question.
func TestAGateThatFindsAllDoneIsShort(t *testing.T) {
	for _, groups := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			s := rolled(1, drain.Strict, 4, 1)
			s.groups = groups
			for i := range 4 {
				p := s.pod(fmt.Sprint("new", i), fmt.Sprint("10.0.1.", i+1), -600, -590)
				s.register(p, 0)
				p.gated, p.open = true, -500
			}
			s.began = time.Now()
			calls := 0
			s.asked = func(float64) { calls++ }
			result, err := Wait(t.Context(), s, metered{s, rate.NewLimiter(1, 1)}, Options{Workloads: []Workload{s.workload()}, chance: s.rng.Float64})
			took, least := time.Since(s.began), s.plan.MinReady.Duration()+2*time.Second
			if err != nil || took < least || took > least+time.Duration(2+3*groups)*time.Second {
				t.Errorf("%d groups: %v after %s, want at least %s, and a second for each question", groups, err, took, least)
			}
			if calls != 4*groups || len(result.Workloads[0].Pods) != 4 {
				t.Errorf("%d groups: %d calls, %+v", groups, calls, result.Workloads)
			}
			t.Logf("%d groups: %s, %d calls for targets", groups, took, calls)
		})
	}
}

// 50 gates that begin within a minute leave the controller its share of the account's calls.
func TestFiftyGatesAtOnce(t *testing.T) {
	const gates = 50
	synctest.Test(t, func(t *testing.T) {
		b := &bucket{tokens: 40, at: time.Now()}
		var work sync.WaitGroup
		var mu sync.Mutex
		failed, polls, worst, slowest := 0, 0, time.Duration(0), time.Duration(0)
		refused := 0
		for i := range uint64(gates) {
			work.Go(func() {
				s := rolled(i, []drain.Mode{drain.Strict, drain.Fast}[i%2], 4, 1)
				time.Sleep(time.Duration(s.between(0, 60) * float64(time.Second)))
				s.roll(rough{one: i%4 < 2, gated: true, hook: float64(s.plan.PreStop)})
				s.began = time.Now()
				s.ask = func(calls int) bool {
					ok := b.take(calls)
					if !ok {
						mu.Lock()
						refused++
						mu.Unlock()
					}
					return ok
				}
				var other sync.WaitGroup
				other.Go(func() {
					longest := s.controller(b)
					mu.Lock()
					defer mu.Unlock()
					worst = max(worst, longest)
				})
				result, err := Wait(t.Context(), s, metered{s, rate.NewLimiter(1, 1)}, Options{Workloads: []Workload{s.workload()}})
				other.Wait()
				mu.Lock()
				defer mu.Unlock()
				polls += result.Polls
				slowest = max(slowest, time.Since(s.began))
				if err != nil {
					failed++
					t.Errorf("gate %d: %v", i, err)
				}
			})
		}
		done := make(chan struct{})
		go func() { work.Wait(); close(done) }()
		sum, n, least := 0.0, 0, 40.0
		busy, busyN := 0.0, 0 // while all have begun and none has ended
		began := time.Now()
		for over := false; !over; {
			select {
			case <-done:
				over = true
			case <-time.After(100 * time.Millisecond):
				left := b.left()
				sum, n, least = sum+left, n+1, min(least, left)
				if since := time.Since(began); since < 90*time.Second {
					busy, busyN = busy+left, busyN+1
				}
			}
		}
		t.Logf("%d gates begun within 60 s: %d failed, the slowest took %s; %d polls, %d refused; tokens left on average %.1f of 40 (%.1f in the first 90 s), at least %.1f; the controller was refused for %s in a row at most",
			gates, failed, slowest.Round(time.Second), polls, refused, sum/float64(n), busy/float64(busyN), least, worst.Round(10*time.Millisecond))
		if sum/float64(n) < 20 || worst > 2*time.Second || polls < gates*10 {
			t.Error("want half of the tokens left, and the controller refused for no more than 2 s in a row")
		}
	})
}
