// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"strings"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/gate/internal/history"
	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

// A new pod counts when it has been ready, and healthy in every group, for
// minReadySeconds, in two readings at least.
func TestANewPodHasToHold(t *testing.T) {
	held := behind()
	held.Plan.MinReady = 15
	bare := func(p *model.Pod) { p.Gates = nil } // F11: 5 + 10 + 15 + 5 + 5
	good := func(second int, change ...func(*model.Pod)) poll {
		return seen(second, pods(newOne(change...)), group(target(newIP, "healthy")))
	}
	bad := func(second int) poll {
		return seen(second, pods(newOne()), group(target(newIP, "unhealthy")))
	}
	second := func(p poll) poll {
		g := group(target(newIP, "healthy"))
		g.Binding = "second"
		p.groups = append(p.groups, g)
		return p
	}
	unknown := func(p poll) poll {
		p.groups[0].unknown = "throttled"
		return p
	}
	live := func(second int, seconds int) poll {
		return with(good(second), func(p *poll) { p.MinReady = time.Duration(seconds) * time.Second })
	}
	unheld := behind()
	cases := map[string]struct {
		workload model.Workload
		polls    []poll
		problem  string // empty: it counts
	}{
		"for a second less":                         {held, []poll{good(0), good(14)}, "pod web-new: ready and healthy for 14s of 15s"},
		"for long enough":                           {held, []poll{good(0), good(15)}, ""},
		"a reading in between that was bad":         {held, []poll{good(0), bad(5), good(7), good(15)}, "for 8s of 15s"},
		"the hold starts anew after it":             {held, []poll{good(0), bad(5), good(7), good(22)}, ""},
		"a look in between at which it was unready": {held, []poll{good(0), good(5, unready), good(7), good(15)}, "for 8s of 15s"},
		"a gate that was closed in between":         {held, []poll{good(0), good(5, gateless), good(7), good(15)}, "for 8s of 15s"},
		"one good reading":                          {unheld, []poll{good(0)}, "pod web-new: healthy in one reading, and not yet in a second"},
		"two":                                       {unheld, []poll{good(0), good(1)}, ""},
		"readings so far apart that a change may have gone unseen": {held, []poll{good(0), unknown(good(10)), good(41)}, "for 0s of 15s"},
		"a group that came later":                                  {held, []poll{good(0), second(good(15)), second(good(29))}, "for 14s of 15s"},
		"and has held, too":                                        {held, []poll{good(0), second(good(15)), second(good(30))}, ""},
		"without its gate it takes longer":                         {held, []poll{good(0, bare), good(39, bare)}, "for 39s of 40s"},
		"which F11 tells":                                          {held, []poll{good(0, bare), good(40, bare)}, ""},
		"the live minReadySeconds, when longer":                    {held, []poll{live(0, 60), live(59, 60)}, "for 59s of 1m0s"},
		"and not when shorter":                                     {held, []poll{live(0, 1), live(14, 1)}, "for 14s of 15s"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			tr := history.New(c.workload)
			run(tr, c.polls, func(poll) {})
			got := strings.Join(newReady(tr, tr.Pods["new"]), "\n")
			if (got == "") != (c.problem == "") || !strings.Contains(got, c.problem) {
				t.Errorf("%q, want %q", got, c.problem)
			}
		})
	}
}

// A new pod without the readiness gate of a group is told, once for a group, and not for one
// that only old pods are in.
func TestAMissingReadinessGateIsTold(t *testing.T) {
	tr := history.New(behind())
	bare := func(p *model.Pod) { p.Gates = map[string]string{"target-health.elbv2.k8s.aws/other": "True"} }
	more := newOne(bare)
	more.UID = "more"
	left := group()
	left.Binding, left.Current = "left", false
	take(tr, seen(0, pods(newOne(bare), more, oldOne(bare)), group(target(newIP, "healthy")), left))
	if got := Warnings(tr); len(got) != 1 || !strings.Contains(got[0], "no readiness gate target-health.elbv2.k8s.aws/tgb,") {
		t.Errorf("%q", got)
	}
	tr = history.New(behind())
	take(tr, seen(0, pods(newOne(), oldOne(bare)), group(target(newIP, "healthy"))))
	if got := Warnings(tr); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

// When an old pod's target has drained, by the mode and by the group's own deregistration delay.
func TestWhenATargetHasDrained(t *testing.T) {
	reading := func(second int, state string) poll {
		g := group()
		if state != "" {
			g.targets = []model.Target{target(oldIP, state)}
		}
		return seen(second, nil, g)
	}
	old := func(p poll) poll { p.Pods = pods(oldOne(deleted)); return p }
	short := func(p poll) poll {
		p.groups[0].Info.Delay = new(drain.Seconds(5))
		return p
	}
	unknown := func(p poll) poll { p.groups[0].unknown = "throttled"; return p }
	cases := map[string]struct {
		mode  drain.Mode
		polls []poll
		want  string // what is missing; empty: it has
	}{
		"strict: gone":                                {drain.Strict, []poll{old(reading(0, "healthy")), reading(70, "")}, ""},
		"strict: draining, however long":              {drain.Strict, []poll{old(reading(0, "healthy")), reading(10, "draining"), reading(300, "draining")}, "draining"},
		"strict: unhealthy is registered":             {drain.Strict, []poll{old(reading(0, "healthy")), reading(300, "unhealthy")}, "unhealthy"},
		"strict: an NLB's unhealthy.draining is, too": {drain.Strict, []poll{old(reading(0, "healthy")), reading(300, "unhealthy.draining")}, "unhealthy.draining"},
		"strict: a short delay's end is too early":    {drain.Strict, []poll{old(short(reading(0, "healthy"))), short(reading(10, "draining")), short(reading(44, ""))}, "the balancer may send to it for another 1s"},
		"strict: it has to be outlived by P + M":      {drain.Strict, []poll{old(short(reading(0, "healthy"))), short(reading(10, "draining")), short(reading(45, ""))}, ""},
		"fast: draining for P + M":                    {drain.Fast, []poll{old(reading(0, "healthy")), reading(10, "draining"), reading(45, "draining")}, ""},
		"fast: for less":                              {drain.Fast, []poll{old(reading(0, "healthy")), reading(10, "draining"), reading(44, "draining")}, "for another 1s"},
		"fast: gone":                                  {drain.Fast, []poll{old(reading(0, "healthy")), reading(10, "")}, ""},
		"fast: gone, after a short delay":             {drain.Fast, []poll{old(short(reading(0, "healthy"))), short(reading(10, ""))}, "for another 35s"},
		"never seen in the group":                     {drain.Strict, []poll{old(reading(0, ""))}, ""},
		"its group has not been read":                 {drain.Strict, []poll{old(unknown(reading(0, "")))}, "target group tgb has not been read yet"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := behind()
			w.Plan = plan(c.mode)
			tr := history.New(w)
			for _, p := range c.polls {
				take(tr, p)
			}
			got := undrained(tr, tr.Groups[0], tr.Pods["old"], tr.Last.At)
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// What drains when the gate begins, and belongs to no pod that it knows, may be a pod's that
// was gone before.
func TestLeftoversAreOutlived(t *testing.T) {
	begin := func(change func(*asked), targets ...model.Target) *history.Track {
		tr, g := history.New(behind()), group(append(targets, target(newIP, "healthy"))...)
		change(&g)
		take(tr, seen(0, pods(newOne()), g))
		take(tr, seen(5, pods(newOne()), g))
		return tr
	}
	nothing := func(*asked) {}
	if v := Judge(begin(nothing, target("10.9.9.9", "draining")), at(34)); v.Done || !strings.Contains(v.Problems[0], "gone before the first look: the balancer may send to them for another 1s") {
		t.Errorf("%+v", v)
	}
	late := begin(nothing)
	take(late, seen(6, pods(newOne()), group(target("10.9.9.9", "draining"), target(newIP, "healthy"))))
	if v := Judge(late, at(40)); v.Done || !strings.Contains(v.Problems[0], "for another 1s") {
		t.Errorf("one that was deregistered after the first look: %+v", v)
	}
	for name, tr := range map[string]*history.Track{
		"after P + M":              nil,
		"one that is healthy":      begin(nothing, target("10.9.9.9", "healthy")),
		"a pod that is known":      begin(nothing, target(newIP, "draining")),
		"a group that others use":  begin(func(g *asked) { g.Shared = true }, target("10.9.9.9", "draining")),
		"one that came afterwards": begin(nothing),
	} {
		now := at(41)
		if tr == nil {
			tr, now = begin(nothing, target("10.9.9.9", "draining")), at(35)
		}
		if name == "one that came afterwards" {
			for _, second := range []int{20, 35} {
				take(tr, seen(second, pods(newOne()), group(target(newIP, "healthy"))))
			}
			take(tr, seen(41, pods(newOne()), group(target("10.9.9.9", "draining"), target(newIP, "healthy"))))
		}
		if v := Judge(tr, now); !v.Done {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// More replicas than were planned for take longer; fewer no less.
func TestTheTimeoutFollowsTheReplicas(t *testing.T) {
	w := behind()
	w.Plan.Inputs.Replicas, w.Plan.GateTimeout = 4, 680
	for desired, want := range map[int]time.Duration{0: 680 * time.Second, 1: 680 * time.Second, 4: 680 * time.Second, 40: 0} {
		tr := history.New(w)
		tr.Last.Desired = desired
		got := Timeout(tr)
		if want > 0 && got != want {
			t.Errorf("%d replicas: %s, want %s", desired, got, want)
		}
		// F14 for 40 waves of 75 s, L, max(G, D + J) and M: B 30, L 5, T_reg 10, h 15, Q 15 and no minReadySeconds but F12's.
		if want == 0 && (got < 40*85*time.Second || got > 2*time.Hour) {
			t.Errorf("%d replicas: %s", desired, got)
		}
	}
	user := w
	user.Plan.Inputs.GateTimeout, user.Plan.GateTimeout = 300, 300
	tr := history.New(user)
	if tr.Last.Desired = 40; Timeout(tr) != 5*time.Minute {
		t.Errorf("the user's own: %s", Timeout(tr))
	}
	if got := Timeout(history.New(model.Workload{})); got != 0 {
		t.Errorf("without a plan: %s", got)
	}
}
