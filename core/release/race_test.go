// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// fault is what befalls one request; the times are seconds for which the
// process, or the network, stands still.
type fault struct {
	Before, After int
	Lost          byte // 'b': it never arrives; 'a': its answer does not
}

// deployer is one process that wants the lock, again and again.
type deployer struct {
	Start  int // seconds
	Steals bool
	Dies   bool     // without a release
	Faults [][4]int // of its requests in turn; see take
	Skews  []int    // of its clock, in seconds, at its requests in turn
	Thinks []int    // seconds between its writes
}

func (d *deployer) take() (f fault) {
	if len(d.Faults) > 0 {
		f = fault{Before: d.Faults[0][0] * d.Faults[0][1], After: d.Faults[0][0] * d.Faults[0][2], Lost: " ba"[d.Faults[0][3]]}
		d.Faults = d.Faults[1:]
	}
	return f
}

func drawDeployers(rt *rapid.T) (all []*deployer) {
	// Most requests go well, and of those that do not most stand still on one side.
	faults := rapid.Custom(func(rt *rapid.T) [4]int {
		return [4]int{rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(rt, "slow"), rapid.IntRange(0, 90).Draw(rt, "before"),
			rapid.IntRange(0, 90).Draw(rt, "after"), rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(rt, "lost")}
	})
	for range rapid.IntRange(2, 3).Draw(rt, "deployers") {
		all = append(all, &deployer{
			Start: rapid.IntRange(0, 30).Draw(rt, "start"), Steals: rapid.Bool().Draw(rt, "steals"), Dies: rapid.Bool().Draw(rt, "dies"),
			Faults: rapid.SliceOfN(faults, 0, 40).Draw(rt, "faults"), Skews: rapid.SliceOfN(rapid.IntRange(-600, 600), 1, 4).Draw(rt, "skews"),
			Thinks: rapid.SliceOfN(rapid.IntRange(0, 25), 1, 20).Draw(rt, "thinks"),
		})
	}
	return all
}

// truth is what only the test knows: the highest token that an Acquire has
// returned. Whoever writes with a lower one writes beside its holder.
type truth struct {
	mu      sync.Mutex
	highest int64
	problem string
	writes  int
}

func (tr *truth) returned(who int, token int64) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if token == tr.highest {
		tr.problem = fmt.Sprintf("deployer %d got token %d a second time", who, token)
	}
	tr.highest = max(tr.highest, token)
}

func (tr *truth) write(who int, token int64) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.writes++; token < tr.highest {
		tr.problem = fmt.Sprintf("at %s deployer %d writes with token %d, after %d was given", time.Now().Format("15:04:05"), who, token, tr.highest)
	}
}

// wireOf is the deployer's way to the server, with its faults and its clock.
func (d *deployer) wireOf(s *server) Store {
	var mu sync.Mutex
	var f fault
	w := &wire{server: s}
	w.before = func(context.Context, string) error {
		mu.Lock()
		f = d.take()
		now := f
		mu.Unlock()
		time.Sleep(time.Duration(now.Before) * time.Second) // a process that stands still heeds no context
		if now.Lost == 'b' {
			return errLost
		}
		return nil
	}
	w.after = func(context.Context, string) error {
		mu.Lock()
		now := f
		mu.Unlock()
		time.Sleep(time.Duration(now.After) * time.Second)
		if now.Lost == 'a' {
			return errLost
		}
		return nil
	}
	n := 0
	return &skewed{Store: w, by: func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		n++
		return time.Duration(d.Skews[n%len(d.Skews)]) * time.Second
	}}
}

// run deploys until the deployer has had its turns.
func (d *deployer) run(ctx context.Context, s *server, who int, tr *truth) {
	time.Sleep(time.Duration(d.Start) * time.Second)
	store := d.wireOf(s)
	for range 3 {
		l, err := Acquire(ctx, store, web, LockOptions{Holder: fmt.Sprint(who), Steal: d.Steals})
		if err != nil {
			time.Sleep(time.Second)
			continue
		}
		tr.returned(who, l.Token())
		for _, think := range d.Thinks {
			time.Sleep(time.Duration(think) * time.Second)
			ask := l.Ours
			if think%2 == 1 {
				ask = l.Recheck
			}
			if ask(ctx) == nil {
				tr.write(who, l.Token())
			}
		}
		if d.Dies {
			killed(l)
		} else {
			_ = l.Release(ctx) // a wire that fails is no finding
		}
	}
}

// TestNobodyWritesBesideTheHolder: however requests are lost, processes stand
// still and clocks jump, a write never begins after a later lock was given.
func TestNobodyWritesBesideTheHolder(t *testing.T) {
	writes := 0
	rapid.Check(t, func(rt *rapid.T) {
		all, tr := drawDeployers(rt), &truth{}
		synctest.Test(t, func(t *testing.T) {
			s, done := newServer(), sync.WaitGroup{}
			for i, d := range all {
				done.Go(func() { d.run(t.Context(), s, i, tr) })
			}
			done.Wait()
		})
		if writes += tr.writes; tr.problem != "" {
			rt.Fatal(tr.problem)
		}
	})
	if writes < 100 {
		t.Errorf("only %d writes were tried: that proves nothing", writes)
	}
}
