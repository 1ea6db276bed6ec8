// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/soak/book"
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

	args   []string // of the deploy, on top of the others
	pods   shape    // that are deployed
	before *shape   // of the pods that are to be replaced, unless they are those of any other release
	load   *stream  // unless it is the usual one
	like   string   // the kind whose deploys tell how long this one's take, when it is to be killed
	step   func(*app, context.Context, *attempt) error
}

// shape is what a release's manifests have besides the example's.
type shape struct {
	env map[string]string
	// bare pods have these timings, no preStop, and leave at once on SIGTERM.
	bare        bool
	grace, idle int // seconds; idle is the balancer's idle timeout
	delay       int
}

// stream is what clients ask for.
type stream struct {
	path    string  // of slow requests
	share   float64 // of all
	before  time.Duration
	timeout time.Duration
}

// Pods as people have them before they hear of preStop, and pods whose requests are
// longer than their grace.
var (
	legacy = shape{bare: true, grace: 30, delay: 20}
	long   = shape{bare: true, grace: 60, delay: longRequest + 10, idle: 2 * longRequest}
)

const longRequest = 150 // seconds

// usual is the load of most trials: a tenth of it takes two seconds.
var usual = stream{path: "/slow?ms=2000", share: 0.1, before: 2 * time.Second, timeout: 30 * time.Second}

// longs is one request of 150 s a second, so that many are under way when the deploy
// begins.
var longs = stream{path: fmt.Sprintf("/slow?ms=%d000", longRequest), share: 0.01, before: 20 * time.Second, timeout: 2 * longRequest * time.Second}

// crowd says how often a kind is tried: under the fast profile, and in real time.
func crowd(fast, real int) map[string]int { return map[string]int{Fast.Name: fast, Real.Name: real} }

// Kinds are all that is tried, in the order of the table.
func Kinds() []Kind {
	bad := func(name, reason string, env map[string]string) Kind {
		return Kind{Name: name, Bar: "rolled back, no request fails, the reason is named", Counts: crowd(10, 1), Exit: 9, Reason: reason, pods: shape{env: env}, step: (*app).deployOnce}
	}
	return []Kind{
		{Name: "good", Bar: "passes, no request fails", Counts: crowd(30, 3), Reason: "ok", Changes: true, step: (*app).deployOnce},
		bad("never-ready", "progress-deadline", map[string]string{"READY_AFTER": "never"}),
		bad("crash-loop", "crash-loop", map[string]string{"ADDR": "nowhere"}),
		bad("missing-image", "image-pull", nil),
		bad("wrong-port", "target-unhealthy", map[string]string{"ADDR": ":8080"}),
		bad("health-500", "target-unhealthy", map[string]string{"HEALTH_STATUS": "500"}),
		bad("slow-start", "progress-deadline", map[string]string{"READY_AFTER": slowStart}),
		{Name: "alarm", Bar: "a good image; an alarm goes to ALARM while the gate waits; rolled back, no request fails, the reason is named", Counts: crowd(10, 1), Exit: 9, Reason: "alarm", like: "good", step: (*app).alarmed},
		{Name: "probe", Bar: "healthy, but wrong on the page that the probe asks for; rolled back, no request of the load fails, the reason is named", Counts: crowd(10, 1), Exit: 9, Reason: "probe-failed",
			pods: shape{env: map[string]string{"CART_STATUS": "500"}}, step: (*app).probed},
		{Name: "probe-good", Bar: "a good image, with a probe and with an alarm that stays OK; passes, no request fails", Counts: crowd(10, 0), Reason: "ok", Changes: true, step: (*app).watched},
		{Name: "kill", Bar: "SIGKILL at a random moment; the same command again passes, no request fails", Counts: crowd(50, 5), Reason: "ok", Changes: true, like: "good", step: (*app).killed},
		{Name: "kill-rollback", Bar: "SIGKILL in the rollback of a bad image; the same command again ends rolled back, no request fails", Counts: crowd(5, 0), Exit: 9, Reason: "target-unhealthy",
			pods: shape{env: map[string]string{"ADDR": ":8080"}}, step: (*app).killedInRollback},
		{Name: "legacy-rolling", Bar: "a control: pods without preStop are replaced as usual; requests fail", Counts: crowd(10, 0), Reason: "ok", Losing: true, Changes: true,
			before: &legacy, step: (*app).deployOnce},
		{Name: "legacy-handover", Bar: "pods without preStop are handed over; passes, no request fails", Counts: crowd(10, 0), Reason: "ok", Changes: true,
			args: []string{"--legacy-pods", "handover"}, before: &legacy, step: (*app).deployOnce},
		{Name: "handover-bad", Bar: "rollout: handover of a bad image; rolled back, no request fails, the reason is named", Counts: crowd(3, 0), Exit: 9, Reason: "target-unhealthy",
			args: []string{"--rollout", "handover"}, pods: shape{env: map[string]string{"ADDR": ":8080"}}, step: (*app).deployOnce},
		{Name: "legacy-kill", Bar: "pods without preStop are handed over, SIGKILL at a random moment; the same command again passes, no request fails", Counts: crowd(10, 0), Reason: "ok", Changes: true,
			args: []string{"--legacy-pods", "handover"}, before: &legacy, like: "legacy-handover", step: (*app).killed},
		{Name: "handover-kill", Bar: "rollout: handover, SIGKILL at a random moment; the same command again passes, no request fails", Counts: crowd(10, 0), Reason: "ok", Changes: true,
			args: []string{"--rollout", "handover"}, like: "legacy-handover", step: (*app).killed},
		{Name: "handover-back", Bar: "pods without preStop are handed over to such pods, and outlast rollback hands them back; passes, no request fails", Counts: crowd(5, 0), Reason: "ok",
			args: []string{"--rollout", "handover"}, pods: legacy, before: &legacy, step: (*app).thereAndBack},
		{Name: "long-rolling", Bar: "a control: requests of 150 s, grace 60 s, as usual; requests are cut", Counts: crowd(1, 0), Reason: "ok", Losing: true, Changes: true,
			pods: long, before: &long, load: &longs, step: (*app).deployOnce},
		{Name: "long-handover", Bar: "requests of 150 s, grace 60 s, rollout: handover; passes, none is cut", Counts: crowd(3, 0), Reason: "ok", Changes: true,
			args: []string{"--rollout", "handover"}, pods: long, before: &long, load: &longs, step: (*app).deployOnce},
		{Name: "long-undone", Bar: "the same, and an alarm goes to ALARM when the new pods serve; rolled back, no request is cut, the reason is named", Counts: crowd(3, 0), Exit: 9, Reason: "alarm",
			args: []string{"--rollout", "handover"}, pods: long, before: &long, load: &longs, step: (*app).alarmedAmid},
	}
}

// Asked sums a plan up by kinds, for the table.
func Asked(plan []Trial) (list []book.Asked) {
	for _, k := range Kinds() {
		a := book.Asked{Kind: k.Name, Bar: k.Bar}
		for _, t := range plan {
			if t.Name == k.Name {
				a.Trials++
			}
		}
		if a.Trials > 0 {
			list = append(list, a)
		}
	}
	return list
}

// left are the trials of a plan that have no record that counts. again takes those
// that failed, too.
func left(plan []Trial, all []book.Record, again bool) []Trial {
	done := book.Last(all)
	var out []Trial
	for _, t := range plan {
		if r, ok := done[t.ID()]; !ok || again && r.Verdict == book.Failed {
			out = append(out, t)
		}
	}
	return out
}

// RolledBack are the kinds of which every deploy is to be rolled back, in each profile.
func RolledBack() (names []string) {
	for _, k := range Kinds() {
		if k.Exit != 0 && k.Counts[Real.Name] > 0 {
			names = append(names, k.Name)
		}
	}
	return names
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
