// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
)

// Kind is one thing that is tried again and again.
type Kind struct {
	Name   string
	Bar    string         // what is asked of it, in words
	Counts map[string]int // trials of a profile

	Exit    int    // that outlast must end with
	Reason  string // in its report
	Losing  bool   // requests must fail: a control, without which a zero says nothing
	Changes bool   // the new version must serve after it, else the old one

	env    map[string]string // of the bad pods
	step   func(*app, context.Context, *attempt) error
	legacy bool // the pods that are replaced have no preStop and leave at once
}

// crowd says how often a kind is tried: under the fast profile, and in real time.
func crowd(fast, real int) map[string]int { return map[string]int{Fast.Name: fast, Real.Name: real} }

// Kinds are all that is tried, in the order of the table.
func Kinds() []Kind {
	bad := func(name, reason string, env map[string]string) Kind {
		return Kind{Name: name, Bar: "rolled back, no request fails, the reason is named", Counts: crowd(10, 1), Exit: 9, Reason: reason, env: env, step: (*app).deployOnce}
	}
	return []Kind{
		{Name: "good", Bar: "passes, no request fails", Counts: crowd(30, 3), Reason: "ok", Changes: true, step: (*app).deployOnce},
		bad("never-ready", "progress-deadline", map[string]string{"READY_AFTER": "never"}),
		bad("crash-loop", "crash-loop", map[string]string{"ADDR": "nowhere"}),
		bad("missing-image", "image-pull", nil),
		bad("wrong-port", "target-unhealthy", map[string]string{"ADDR": ":8080"}),
		bad("health-500", "target-unhealthy", map[string]string{"HEALTH_STATUS": "500"}),
		bad("slow-start", "progress-deadline", map[string]string{"READY_AFTER": slowStart}),
		{Name: "kill", Bar: "SIGKILL at a random moment; the same command again passes, no request fails", Counts: crowd(50, 5), Reason: "ok", Changes: true, step: (*app).killed},
		{Name: "kill-rollback", Bar: "SIGKILL in the rollback of a bad image; the same command again ends rolled back, no request fails", Counts: crowd(5, 0), Exit: 9, Reason: "target-unhealthy",
			env: map[string]string{"ADDR": ":8080"}, step: (*app).killedInRollback},
	}
}

// slowStart stands for a time after the progress deadline.
const slowStart = "after the deadline"

// Trial is one of a kind.
type Trial struct {
	Kind
	Number int // from 1
}

// ID names it in the log.
func (t Trial) ID() string { return fmt.Sprintf("%s-%02d", t.Name, t.Number) }

// Draw gives the trial's random numbers at its nth try: the same ones for the same seed.
func (t Trial) Draw(seed uint64, try int) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d", t.ID(), try)
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// Plan lists the trials of a profile in an order that the seed decides, so that
// kinds meet one another in the lab. counts has the numbers of some kinds only;
// nil: the profile's.
func Plan(p Profile, seed uint64, counts map[string]int) ([]Trial, error) {
	var list []Trial
	known := map[string]bool{}
	for _, k := range Kinds() {
		known[k.Name] = true
		n := k.Counts[p.Name]
		if counts != nil {
			n = counts[k.Name]
		}
		for i := range n {
			list = append(list, Trial{k, i + 1})
		}
	}
	for name := range counts {
		if !known[name] {
			return nil, fmt.Errorf("planning the soak: no kind of trial is called %q", name)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("planning the soak: no trial in the profile %s", p.Name)
	}
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list, nil
}
