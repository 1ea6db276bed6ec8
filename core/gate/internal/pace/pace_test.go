// SPDX-License-Identifier: Apache-2.0

package pace

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/gate/internal/history"
	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(seconds float64) time.Time {
	return epoch.Add(time.Duration(seconds * float64(time.Second)))
}

// track is a history after one look and one reading, both at a second: pods are
// "new" (ready), "new?" (not ready), "old" and "-old" (deleted at 0, with a preStop of 90 s), with the states of their targets.
func track(mode drain.Mode, desired int, second float64, words string, change ...func(*model.Group)) *history.Track {
	in := drain.Defaults()
	in.Mode = mode
	plan, err := drain.Solve(in)
	if err != nil {
		panic(err)
	}
	t := history.New(model.Workload{Behind: true, Plan: plan})
	take(t, desired, second, words, change...)
	return t
}

func take(t *history.Track, desired int, second float64, words string, change ...func(*model.Group)) {
	g := model.Group{ARN: "g", Binding: "g", TargetPort: "8080", Current: true}
	for _, c := range change {
		c(&g)
	}
	s := model.Snapshot{From: at(second), At: at(second), PodsKnown: true, GroupsKnown: true, Desired: desired, Groups: []model.Group{g}}
	r := model.Reading{From: at(second), At: at(second)}
	for word := range strings.FieldsSeq(words) {
		name, state, _ := strings.Cut(word, "=")
		p := model.Pod{UID: strings.Trim(name, "-?"), Name: name, IP: strings.Trim(name, "-?"), New: strings.Contains(name, "new"), Created: at(-1000), PreStop: 90 * time.Second}
		if p.Ready = !strings.HasSuffix(name, "?"); p.Ready {
			p.ContainersReady, p.Started = true, at(-1000)
		}
		if strings.HasPrefix(name, "-") {
			p.Deleted = at(-1000)
		}
		s.Pods = append(s.Pods, p)
		if state != "" {
			r.Targets = append(r.Targets, model.Target{ID: p.IP, Port: 8080, State: state})
		}
	}
	t.TakePods(s)
	t.TakeTargets("g", r)
}

// after tells in how many seconds a group is asked again.
func after(t *history.Track, hold time.Duration) float64 {
	return Group(t, t.Groups[0], 5*time.Second, func(*history.Pod) time.Duration { return hold }, 0.5).Sub(t.Groups[0].Reading.At).Seconds()
}

func TestWhenAGroupIsAskedAgain(t *testing.T) {
	nlb := func(g *model.Group) {
		g.Info = model.TargetGroup{Protocol: "TCP", Interval: 10 * time.Second, Healthy: 3}
	}
	often := func(g *model.Group) {
		g.Info = model.TargetGroup{Protocol: "HTTP", Interval: 5 * time.Second, Healthy: 2, Unhealthy: 2}
	}
	former := func(g *model.Group) { g.Current = false }
	cases := map[string]struct {
		mode  drain.Mode
		steps []string // at 0, 10, 20, ...
		more  func(*model.Group)
		want  float64 // seconds
	}{
		"where nothing can change, seldom":                          {drain.Strict, []string{"old=healthy"}, nil, 30},
		"nor while a pod starts":                                    {drain.Strict, []string{"old=healthy new?"}, nil, 30},
		"when its containers become ready, after a second":          {drain.Strict, []string{"old=healthy new?", "old=healthy new"}, nil, 1},
		"one target: every second":                                  {drain.Strict, []string{"new?", "new=initial", "new=initial"}, nil, 1},
		"a group that is new pods' no more is not watched for them": {drain.Strict, []string{"new?", "new=initial", "new=initial"}, former, 30},
		"after the last check that could count: at leisure":         {drain.Strict, []string{"new?", "new=initial", "new=initial", "new=initial", "new=initial", "new=initial", "new=initial"}, nil, 5},
		"by the group's own interval":                               {drain.Strict, []string{"new?", "new=initial", "new=initial", "new=initial"}, often, 5},
		"an NLB registers for minutes":                              {drain.Strict, []string{"new?", "new=initial", "new=initial"}, nlb, 5.1},
		"healthy: when it has held for 15 s":                        {drain.Strict, []string{"new=healthy"}, nil, 15},
		"held: seldom, but no change may go unseen":                 {drain.Strict, []string{"new=healthy", "new=healthy", "new=healthy"}, nil, 18},
		"which takes 2 checks of 5 s":                               {drain.Strict, []string{"new=healthy", "new=healthy", "new=healthy"}, often, 6},
		"a deleted pod: until the controller deregisters it":        {drain.Strict, []string{"old=healthy", "-old=healthy"}, nil, 2},
		"for half a minute":                                         {drain.Strict, []string{"old=healthy", "-old=healthy", "-old=healthy", "-old=healthy", "-old=healthy"}, nil, 5},
		"strict: draining, until the delay of 65 s can be over":     {drain.Strict, []string{"old=healthy", "-old=draining"}, nil, 30},
		"shortly before: then":                                      {drain.Strict, []string{"old=healthy", "-old=draining", "-old=draining", "-old=draining", "-old=draining", "-old=draining"}, nil, 15},
		"and after it: at leisure":                                  {drain.Strict, []string{"old=healthy", "-old=draining", "-old=draining", "-old=draining", "-old=draining", "-old=draining", "-old=draining", "-old=draining"}, nil, 5},
		"nobody saw its beginning, and the pod may end now":         {drain.Strict, []string{"-old=draining"}, nil, 1},
		"fast: draining is all there is to see":                     {drain.Fast, []string{"old=healthy", "-old=draining"}, nil, 30},
		"drained: seldom":                                           {drain.Strict, []string{"old=healthy", "-old=draining", "-old"}, nil, 30},
		"the last second of the pod: closely": {drain.Strict, []string{"old=healthy", "-old=draining", "-old=draining", "-old=draining", "-old=draining", "-old=draining", "-old=draining", "-old=draining",
			"-old=draining", "-old=draining", "-old=draining"}, nil, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			change := func(g *model.Group) {
				if c.more != nil {
					c.more(g)
				}
			}
			tr := track(c.mode, 1, 0, c.steps[0], change)
			for i, words := range c.steps[1:] {
				take(tr, 1, float64(10*(i+1)), words, change)
			}
			if got := after(tr, 15*time.Second); got < c.want-0.1 || got > c.want+0.1 {
				t.Errorf("in %.2f s, want %.1f", got, c.want)
			}
		})
	}
}

// Which ends first, target or pod, is the proof: a reading at a margin's distance from the
// pod's end, at which by the plan its target is gone, gives it; from then on each second counts.
func TestThePodsLastMarginIsNotMissed(t *testing.T) {
	for second, want := range map[float64]float64{76: 81, 79: 84, 81: 85, 84.5: 85.4, 85: 85.9, 87: 87.9, 120: 120.9} { // it ends at 90 at the earliest
		tr := track(drain.Strict, 1, 0, "old=healthy")
		take(tr, 1, 10, "-old=draining")
		take(tr, 1, second, "-old=draining")
		if got := second + after(tr, 0); math.Abs(got-want) > 1e-6 {
			t.Errorf("after a reading at %.1f s: at %.2f s, want %.1f", second, got, want)
		}
	}
}

// Of several targets the last gets healthy late in the interval, most likely: the more
// wait, the longer the pause, until few do or the interval ends.
func TestSeveralTargetsAreWaitedForTogether(t *testing.T) {
	pause := func(n int, second float64) float64 {
		tr := track(drain.Strict, n, 0, strings.Repeat("", 0))
		words := ""
		for i := range n {
			words += " new" + string(rune('a'+i)) + "=initial"
		}
		take(tr, n, 0, strings.ReplaceAll(words, "=initial", "?"))
		take(tr, n, 0.5, words)
		take(tr, n, second, words)
		return after(tr, 0)
	}
	one, four, ten := pause(1, 2), pause(4, 2), pause(10, 2)
	if one > 1.1 || four < 6 || ten < 10 || ten > 15 { // of the 18 s that the first check may take
		t.Errorf("one %.1f, four %.1f, ten %.1f", one, four, ten)
	}
	if late := pause(4, 17); late > 1.1 { // the interval ends 3 + 15 s after the containers were ready
		t.Errorf("at its end: %.1f", late)
	}
}

// Only the last wave of a rollout is watched closely.
func TestEarlierWavesAreNotWatchedClosely(t *testing.T) {
	tr := track(drain.Strict, 4, 0, "newa?")
	take(tr, 4, 1, "newa")
	take(tr, 4, 3, "newa=initial")
	if got := after(tr, 0); got != 15 {
		t.Errorf("in %.1f s", got)
	}
	often := func(g *model.Group) { g.Info = model.TargetGroup{Interval: 5 * time.Second, Healthy: 5, Unhealthy: 2} }
	for state, want := range map[string]float64{"initial": 15, "unhealthy": 8, "unused": 8} { // what may end it is seen without a gap
		take(tr, 4, 3, "newa="+state, often)
		if got := after(tr, 0); got != want {
			t.Errorf("%s: in %.1f s", state, got)
		}
	}
}

// When none of several targets is healthy by a time at which one should be, one check is not
// enough, and the next interval is waited for.
func TestNoneOfSeveralIsHealthy(t *testing.T) {
	pause := func(second float64, words string) float64 {
		tr := track(drain.Strict, 4, 0, "newa? newb? newc? newd?")
		take(tr, 4, 0.5, "newa newb newc newd")
		take(tr, 4, second, words)
		return after(tr, 0)
	}
	const none = "newa=initial newb=initial newc=initial newd=initial"
	if got := pause(12, none); got < 2 || got > 3 { // (6 / 18)^4 = 0.012
		t.Errorf("while it may be chance: in %.2f s", got)
	}
	if got := pause(13, none); got != 5 { // at 18 s
		t.Errorf("when it is none: in %.2f s", got)
	}
	if got := pause(13, "newa=healthy newb=initial newc=initial newd=initial"); got > 2 {
		t.Errorf("when one is: in %.2f s", got)
	}
}

func TestWhenTheClusterIsLookedAtAgain(t *testing.T) {
	cases := map[string]struct {
		words    string
		complete string
		second   float64
		want     float64
	}{
		"nothing goes on":                       {"new=healthy", "", 0, 5},
		"a rollout is under way":                {"new=healthy", "1 of 2 pods are ready", 0, 2},
		"a pod starts":                          {"new?", "", 0, 2},
		"a pod ends, but not yet":               {"new -old", "", 10, 2},
		"a pod is about to end: its hook is 90": {"new -old", "", 89, 0.9},
		"and has not":                           {"new -old", "", 150, 0.9},
	}
	for name, c := range cases {
		tr := track(drain.Strict, 1, 0, strings.ReplaceAll(c.words, "-old", "old"))
		if c.second > 0 {
			take(tr, 1, 0.1, c.words)
			take(tr, 1, c.second, c.words)
		}
		tr.Last.Complete = c.complete
		if got := Look(tr, 5*time.Second).Sub(tr.Last.At).Seconds(); got != c.want {
			t.Errorf("%s: in %.1f s, want %.1f", name, got, c.want)
		}
	}
	if got := Look(history.New(model.Workload{}), 5*time.Second); !got.Before(epoch) {
		t.Errorf("a first look is due at once, not at %s", got)
	}
}

// A group that has not been read is due, and so is one that was read before an old pod was known.
func TestWhatWasNotReadIsDue(t *testing.T) {
	tr := track(drain.Strict, 1, 0, "new=healthy")
	tr.Groups[0].Reading = model.Reading{}
	if got := Group(tr, tr.Groups[0], 5*time.Second, nil, 0); !got.IsZero() {
		t.Errorf("%s", got)
	}
	tr = track(drain.Strict, 1, 0, "new=healthy")
	tr.TakePods(model.Snapshot{From: at(3), At: at(3), PodsKnown: true, Pods: []model.Pod{{UID: "late", IP: "late", Created: at(2)}}})
	if got := after(tr, 0); got != 0.9 {
		t.Errorf("in %.1f s", got)
	}
}
