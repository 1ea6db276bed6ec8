// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outlast-ci/outlast/core/drain"
)

var (
	histories = flag.Int("histories", 100, "random histories that the gate judges")
	firstSeed = flag.Uint64("seed", 1, "of the first history")
)

// once passed falsely, by a gate of its time.
var once = []uint64{13464, 60225, 24979, 253279, 468516}

// known is what the gate is told of the pods to replace.
type known int

const (
	byAddress known = iota // UID and address, as apply tells them
	byUID
	unnamed // nothing, as when somebody else made the change
)

// drawn makes a rollout: of 1 to 3 replicas, one by one or all at once, with or
// without readiness gates, with hooks that are long enough, none, or pods that die
// early, targets that flap, a controller that stalls, answers that fail or are old,
// addresses that are given away again, evictions, and a gate that comes late.
func drawn(seed uint64) (s *sim, late float64, told known) {
	s = &sim{rng: rand.New(rand.NewPCG(seed, 1)), nodes: 3, checks: 1, stale: stale, lag: lag}
	in := drain.Defaults()
	in.Mode = []drain.Mode{drain.Strict, drain.Fast}[s.rng.IntN(2)]
	in.Jitter = new(jitter * time.Second)
	s.desired, s.groups = 1+s.rng.IntN(3), 1+s.rng.IntN(2)
	in.Replicas = s.desired
	plan, err := drain.Solve(in)
	if err != nil {
		panic(err)
	}
	s.plan, s.delay = plan, float64(plan.DeregistrationDelay)
	if s.chance(0.15) { // somebody else set it
		s.delay = s.between(0, 20)
	}
	s.told = s.chance(0.8)
	if s.chance(0.3) {
		from := s.between(0, 150)
		s.stalls = append(s.stalls, span{from, from + s.between(20, 120)})
	}
	if s.chance(0.3) {
		from := s.between(0, 150)
		s.mute = append(s.mute, span{from, from + s.between(5, 60)})
	}
	if s.chance(0.3) {
		from := s.between(0, 150)
		s.outages = append(s.outages, span{from, from + s.between(3, 10)})
	}
	if s.chance(0.5) {
		s.misses = s.between(0, 0.2)
	}
	r := rough{one: s.chance(0.5), gated: !s.chance(0.15), hook: float64(s.plan.PreStop), lost: 0.1, moved: 0.1}
	if s.chance(0.4) {
		r.flaps = 0.7
	}
	if s.chance(0.2) {
		r.hook = 0
	}
	s.roll(r)
	s.reuse()
	if s.chance(0.3) {
		s.stumble()
	}
	if s.chance(0.3) {
		if late = s.between(0, 300); s.chance(0.5) { // just after the last old pod
			for _, p := range s.pods {
				if p.old {
					late = max(0, p.gone+s.between(0, 20))
				}
			}
		}
	}
	if told = known(s.rng.IntN(3)); told == unnamed && late > 0 && len(s.stalls) > 0 {
		told = byAddress // nobody can know of a pod that was gone before, and that no controller deregistered
	}
	return s, late, told
}

// rough is what goes wrong in a rollout.
type rough struct {
	one         bool    // pod after pod, instead of all at once
	gated       bool    // pods have readiness gates
	hook        float64 // of the old pods
	flaps       float64 // chance that a healthy target turns unhealthy
	lost, moved float64 // chances that an old pod's node is lost, and that a new pod is evicted and made again
}

// roll replaces the old pods.
func (s *sim) roll(r rough) {
	var old []*life
	for i := range s.desired {
		p := s.pod(fmt.Sprint("old", i), fmt.Sprint("10.0.0.", i+1), -1000, -900)
		p.old, p.gated = true, r.gated
		s.register(p, 0)
		old = append(old, p)
	}
	at := s.between(0, 3)
	for i := range s.desired {
		p := s.pod(fmt.Sprint("new", i), fmt.Sprint("10.0.1.", i+1), at, at+s.between(2, 20))
		p.gated = r.gated
		s.register(p, r.flaps)
		available := p.isReady() + s.plan.MinReady.Duration().Seconds() + s.between(0, 0.5)
		ends := r.hook
		if s.chance(r.lost) {
			ends = s.between(0, 20)
		}
		s.remove(old[i], available, ends)
		if s.chance(r.moved) {
			evicted := available + s.between(0, 60)
			s.remove(p, evicted, r.hook)
			again := s.pod(fmt.Sprint("again", i), fmt.Sprint("10.0.2.", i+1), evicted+0.1, evicted+s.between(2, 20))
			again.gated = r.gated
			s.register(again, r.flaps)
		}
		if r.one {
			at = available + 0.5
		}
	}
}

// stumble lets a new pod's target be unhealthy until about when all else is done, or a
// little longer.
func (s *sim) stumble() {
	done := 0.0
	for _, p := range s.pods {
		if p.old {
			done = max(done, p.gone, p.in[0].gone)
		}
	}
	p := s.pods[len(s.pods)-1]
	for _, q := range s.pods {
		if !q.old && !q.stranger && !q.sibling && math.IsInf(q.deleted, 1) {
			p = q
		}
	}
	if r := &p.in[0]; !p.stranger {
		back := done + s.between(-15, 15)
		from := r.healthy[0].from
		to := max(from+1, back-s.between(2*interval, 6*interval))
		r.healthy = []span{{from, to}, {max(back, to+2*interval), never}} // no target recovers sooner: it takes two good checks, see register
	}
}

// reuse gives addresses of pods that are gone to others: to nobody behind the Service, or to
// a pod of another workload behind it.
func (s *sim) reuse() {
	for _, p := range append([]*life(nil), s.pods...) {
		if math.IsInf(p.gone, 1) || !s.chance(0.3) {
			continue
		}
		created := p.gone + s.between(1, 60)
		next := s.pod("other-"+p.name, p.ip, created, created+s.between(1, 10))
		if next.stranger = s.chance(0.5); !next.stranger {
			next.sibling = true
			s.register(next, 0)
		}
	}
}

// wrong says how a pass at a time contradicts the truth; nothing when it does not. What
// happened less than the age of the answers ago cannot be known.
func (s *sim) wrong(at float64) string {
	const age = stale + lag
	serving := 0
	for _, p := range s.pods {
		switch {
		case p.stranger || p.sibling:
		case p.old && at < p.gone:
			return "old pod " + p.name + " is still there"
		case p.old || p.deleted < at-age:
			if s.addressed(p, at) && s.owner(p, at) == nil {
				return "nodes send to the address of " + p.name
			}
		case p.created < at-age:
			serving++
			ever := false
			for back := 0.0; back <= age; back += 0.25 {
				ever = ever || s.serves(p, at-back)
			}
			if !ever {
				return "not all nodes send to new pod " + p.name
			}
		}
	}
	if serving < s.desired {
		return fmt.Sprintf("%d of %d new pods serve", serving, s.desired)
	}
	return ""
}

// misproven says which pod is called proven though nodes sent to it after its end.
func (s *sim) misproven(r Result) string {
	for _, w := range r.Workloads {
		for _, line := range w.Pods {
			for _, p := range s.pods {
				if line.Proof == Proven && line.Name == p.name && s.addressed(p, p.exits+1) { // the kubelet tells whole seconds
					return p.name
				}
			}
		}
	}
	return ""
}

// complete is when Kubernetes calls the rollout complete, as `kubectl rollout status` waits for.
func (s *sim) complete() (last float64) {
	for _, p := range s.pods {
		switch {
		case p.old:
			last = max(last, p.deleted)
		case !p.stranger && !p.sibling && math.IsInf(p.deleted, 1):
			last = max(last, p.isReady()+s.plan.MinReady.Duration().Seconds())
		}
	}
	return last
}

// The truth is what each node of the balancer does, which no answer of an API shows. In no
// history may the gate pass while a node does not send to a new pod, may send to the
// address of an old one, or while an old pod is there; nor call a pod proven to which
// nodes sent after its end.
func TestNoHistoryPassesFalsely(t *testing.T) {
	passed, ended, naive, proven, polls := 0, 0, 0, 0, 0
	for i := range *histories {
		seed := *firstSeed + uint64(i)
		if i < len(once) && *firstSeed == 1 {
			seed = once[i]
		}
		synctest.Test(t, func(t *testing.T) {
			s, late, told := drawn(seed)
			s.began = time.Now()
			workload := Workload{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "dev", Name: "web", Generation: 2, Behind: true, Plan: s.plan}
			for _, p := range s.pods {
				if r := (Replaced{UID: "Pod-" + p.name, Name: p.name, IP: p.ip}); p.old && told != unnamed {
					if told == byUID && late == 0 {
						r.IP = ""
					}
					workload.Replaced = append(workload.Replaced, r)
				}
			}
			time.Sleep(time.Duration(late * float64(time.Second)))
			result, err := Wait(t.Context(), s, s, Options{Workloads: []Workload{workload}, Timeout: 15 * time.Minute, chance: s.rng.Float64})
			at := time.Since(s.began).Seconds()
			var failed *Error
			switch {
			case err == nil:
				passed++
				if why := s.wrong(at); why != "" {
					t.Errorf("seed %d passed falsely after %.1f s: %s", seed, at, why)
				}
			case errors.As(err, &failed):
				ended++
			default:
				t.Errorf("seed %d: %v", seed, err)
			}
			if who := s.misproven(result); who != "" {
				t.Errorf("seed %d: pod %s is called proven falsely", seed, who)
			}
			for _, w := range result.Workloads {
				for _, p := range w.Pods {
					if p.Proof == Proven {
						proven++
					}
				}
			}
			polls += result.Polls
			if s.wrong(s.complete()+0.5) != "" {
				naive++
			}
		})
		if t.Failed() && i > 50 {
			break
		}
	}
	t.Logf("%d histories: %d passed, none of them falsely; %d timed out or failed; %d old pods proven, none of them falsely; %.1f calls to ELBv2 each. Passing when Kubernetes calls the rollout complete would have been false in %d",
		*histories, passed, ended, proven, float64(polls)/float64(*histories), naive)
	if passed < *histories*8/10 || naive < *histories/2 || proven < passed/2 {
		t.Errorf("too little was tried: %d of %d passed, %d proven, %d naive", passed, *histories, proven, naive)
	}
}
