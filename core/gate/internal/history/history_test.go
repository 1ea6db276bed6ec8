// SPDX-License-Identifier: Apache-2.0

package history

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

const (
	newIP = "10.0.0.2"
	oldIP = "10.0.0.1"
)

// track is the history of a Deployment of one pod, which replaces pod old.
func track() *Track {
	plan, err := drain.Solve(drain.Defaults())
	if err != nil {
		panic(err)
	}
	return New(model.Workload{Kind: "Deployment", Namespace: "dev", Name: "web", Replaced: []model.Replaced{{UID: "old"}}, Behind: true, Plan: plan})
}

func pod(uid, ip string, change ...func(*model.Pod)) model.Pod {
	p := model.Pod{UID: uid, Name: "web-" + uid, IP: ip, New: uid != "old", Ready: true, ContainersReady: true, Created: at(0), Started: at(0), Gates: map[string]string{}, Ports: map[string]int{"http": 8080}}
	if !p.New {
		p.Created = at(-100)
	}
	for _, c := range change {
		c(&p)
	}
	return p
}

func deleted(p *model.Pod) { p.Deleted = at(10) }

// look is one at the cluster, which takes a second, with the workload's groups.
func (t *Track) look(second int, groups []model.Group, pods ...model.Pod) {
	t.TakePods(model.Snapshot{From: at(second), At: at(second), PodsKnown: true, GroupsKnown: true, Desired: 1, Pods: pods, Groups: groups})
}

// read is a reading of a group, in words: "10.0.0.2=healthy".
func (t *Track) read(second int, arn, words string) {
	r := model.Reading{From: at(second), At: at(second)}
	for word := range strings.FieldsSeq(words) {
		ip, state, _ := strings.Cut(word, "=")
		r.Targets = append(r.Targets, model.Target{ID: ip, Port: 8080, State: state})
	}
	t.TakeTargets(arn, r)
}

func groups(arns ...string) (out []model.Group) {
	for _, arn := range arns {
		out = append(out, model.Group{ARN: arn, Binding: arn, TargetPort: "8080", Current: true})
	}
	return out
}

func TestWhatTheHistoryKeeps(t *testing.T) {
	tr, two := track(), groups("a", "b")
	tr.look(0, two, pod("new", newIP), pod("old", oldIP))
	tr.read(0, "a", "10.0.0.2=healthy 10.0.0.1=healthy")
	tr.read(0, "b", "10.0.0.2=initial")
	if p := tr.Pods["new"]; !p.Healthy.IsZero() || p.Registered != at(0) {
		t.Errorf("healthy in one of two groups is not healthy: %+v", p)
	}
	tr.read(5, "b", "10.0.0.2=healthy")
	tr.read(9, "a", "10.0.0.2=unhealthy")
	tr.read(12, "a", "10.0.0.2=healthy 10.0.0.1=healthy")
	if p := tr.Pods["new"]; p.Healthy != at(5) || p.In["a"].Since != at(12) || p.In["a"].Reads != 1 || p.In["b"].Since != at(5) {
		t.Errorf("healthy %s, in a since %s", p.Healthy, p.In["a"].Since)
	}
	tr.TakeUnknown("a", "throttled")
	tr.look(20, two, pod("new", newIP))
	if p := tr.Pods["old"]; !p.Drained.IsZero() || p.Gone != at(20) {
		t.Errorf("a group that could not be read tells of no drain: %+v", p)
	}
	tr.look(25, two, pod("new", newIP), pod("old", oldIP, deleted, func(p *model.Pod) { p.Killed, p.Ended = true, at(24) }))
	tr.read(25, "a", "")
	again := pod("again", oldIP, func(p *model.Pod) { p.Created = at(26) })
	tr.look(30, two, pod("new", newIP), again)
	tr.read(30, "a", "10.0.0.1=healthy")
	if p := tr.Pods["old"]; p.Drained != at(25) || p.In["a"].LastListed != at(12) || !p.Killed || p.Ended != at(24) || p.Gone != at(30) {
		t.Errorf("of the old pod: %+v, %+v", p, p.In["a"])
	}
	tr.read(31, "a", "")
	tr.read(31, "b", "")
	if p := tr.Pods["new"]; !p.Drained.IsZero() {
		t.Error("a live pod whose target is gone for a moment counts as drained")
	}
}

// A gap is no time in which a target was healthy for sure; of one in which it was not, what fails
// counts as much as may not hide another state: two checks of 15 s.
func TestAGapBetweenReadings(t *testing.T) {
	for name, c := range map[string]struct {
		state    string
		readings []int
		held     int
		reads    int
		shown    time.Duration
	}{
		"close together":            {"healthy", []int{0, 30, 60}, 0, 3, 60 * time.Second},
		"a gap":                     {"healthy", []int{0, 31, 40}, 31, 2, 39 * time.Second},
		"each one is a gap":         {"unhealthy", []int{0, 40, 80, 120}, 120, 1, 90 * time.Second},
		"unhealthy beyond a hiatus": {"unhealthy", []int{0, 10, 600, 610}, 600, 2, 50 * time.Second},
	} {
		tr := track()
		tr.look(0, groups("a"), pod("new", newIP))
		tr.read(0, "a", newIP+"=initial")
		for _, second := range c.readings {
			tr.read(second, "a", newIP+"="+c.state)
		}
		if tg := tr.Pods["new"].In["a"]; tg.Since != at(0) || tg.Held != at(c.held) || tg.Reads != c.reads || tg.Shown != c.shown {
			t.Errorf("%s: since %s, held since %s in %d readings, shown for %s", name, tg.Since, tg.Held, tg.Reads, tg.Shown)
		}
	}
}

// Times that others wrote lie between the looks of ours that frame them, whatever their clocks show.
func TestOtherClocksAreNotTrusted(t *testing.T) {
	for name, ahead := range map[string]int{"ten minutes late": -600, "right": 0, "ten minutes early": 600} {
		tr := track()
		tr.look(0, nil, pod("old", oldIP))
		tr.look(8, nil, pod("old", oldIP))
		dying := func(p *model.Pod) { p.Deleted = at(10 + ahead) }
		tr.look(12, nil, pod("old", oldIP, dying))
		tr.look(20, nil, pod("old", oldIP, dying))
		tr.look(23, nil, pod("old", oldIP, dying, func(p *model.Pod) { p.Ended = at(21 + ahead) }))
		p := tr.Pods["old"]
		want := map[int][2]time.Time{-600: {at(8), at(20)}, 0: {at(10), at(21)}, 600: {at(12), at(23)}}[ahead]
		if p.Deleted != want[0] || p.Ended != want[1] {
			t.Errorf("%s: deleted %s, ended %s; want %v", name, p.Deleted, p.Ended, want)
		}
		tr.look(30, nil, pod("new", newIP, func(p *model.Pod) { p.ContainersReady, p.Ready = false, false }))
		tr.look(40, nil, pod("new", newIP, func(p *model.Pod) { p.Started = at(35 + ahead) }))
		if got, want := tr.Pods["new"].Checked, map[int]time.Time{-600: at(30), 0: at(35), 600: at(40)}[ahead]; got != want {
			t.Errorf("%s: containers ready at %s, want %s", name, got, want)
		}
	}
}

func TestWhoseTheTargetIs(t *testing.T) {
	six := groups("a")
	six[0].IPv6 = true
	shared := groups("a")
	shared[0].Shared = true
	named := groups("a")
	named[0].TargetPort = "http"
	cases := map[string]struct {
		groups []model.Group
		pod    model.Pod // nil: gone before the first look
		target model.Target
		listed bool
	}{
		"by address and port":               {groups("a"), pod("old", oldIP), model.Target{ID: oldIP, Port: 8080, State: "healthy"}, true},
		"not another port":                  {groups("a"), pod("old", oldIP), model.Target{ID: oldIP, Port: 9090, State: "healthy"}, false},
		"by the port's name":                {named, pod("old", oldIP), model.Target{ID: oldIP, Port: 8080, State: "healthy"}, true},
		"a name that it does not have":      {named, pod("old", oldIP, func(p *model.Pod) { p.Ports = nil }), model.Target{ID: oldIP, Port: 8080, State: "healthy"}, false},
		"asked for by its id only":          {groups("a"), pod("old", oldIP), model.Target{ID: oldIP, Port: 8080, State: "unused", Reason: "Target.NotRegistered"}, false},
		"registered, but on no listener":    {groups("a"), pod("old", oldIP), model.Target{ID: oldIP, Port: 8080, State: "unused", Reason: "Target.NotInUse"}, true},
		"by its second address, spelt anew": {six, pod("old", oldIP, func(p *model.Pod) { p.IPs = []string{oldIP, "fd00::1"} }), model.Target{ID: "fd00:0:0:0:0:0:0:1", Port: 8080, State: "healthy"}, true},
		"not by its first, in that family":  {six, pod("old", oldIP, func(p *model.Pod) { p.IPs = []string{oldIP, "fd00::1"} }), model.Target{ID: oldIP, Port: 8080, State: "healthy"}, false},
	}
	for name, c := range cases {
		tr := track()
		tr.look(0, c.groups, c.pod)
		tr.TakeTargets("a", model.Reading{From: at(0), At: at(0), Targets: []model.Target{c.target}})
		if tg := tr.Pods["old"].In["a"]; tg == nil || tg.Listed() != c.listed {
			t.Errorf("%s: %+v", name, tg)
		}
	}
	tr := New(model.Workload{Behind: true, Replaced: []model.Replaced{{UID: "old", IP: oldIP}}})
	tr.look(0, named)
	tr.read(0, "a", "10.0.0.1=healthy")
	if tg := tr.Pods["old"].In["a"]; !tg.Listed() {
		t.Error("of a pod that was gone before the first look nobody knows the ports, but its address tells")
	}
}

// A target that was not listed, and then drains, has served between two readings.
func TestATargetThatServedUnseen(t *testing.T) {
	tr := track()
	tr.look(0, groups("a"), pod("new", newIP))
	tr.read(0, "a", "")
	tr.read(10, "a", "")
	tr.read(60, "a", newIP+"=draining")
	tr.read(70, "a", newIP+"=draining")
	if tg := tr.Pods["new"].In["a"]; tg.Left != at(60) || tg.Draining != at(60) {
		t.Errorf("left %s, draining since %s", tg.Left, tg.Draining)
	}
}

// In a group that other clusters use, an address that comes back after its pod is gone is theirs.
func TestAnAddressOfAnotherCluster(t *testing.T) {
	for name, c := range map[string]struct {
		shared bool
		listed bool
	}{"a group of our own": {false, true}, "one that others use": {true, false}} {
		tr, g := track(), groups("a")
		g[0].Shared = c.shared
		tr.look(0, g, pod("old", oldIP))
		tr.read(0, "a", "10.0.0.1=healthy")
		tr.look(10, g, pod("old", oldIP, deleted))
		tr.read(10, "a", "10.0.0.1=draining")
		tr.look(90, g)
		tr.read(90, "a", "10.0.0.1=draining")
		if !tr.Pods["old"].In["a"].Listed() {
			t.Errorf("%s: it drains still", name)
		}
		tr.read(100, "a", "10.0.0.1=initial")
		if got := tr.Pods["old"].In["a"].Listed(); got != c.listed {
			t.Errorf("%s: listed %t", name, got)
		}
	}
}

// The address of a pod that is gone may be that of another one behind the same Services.
func TestWhoHasTakenAnAddress(t *testing.T) {
	other := func(change func(*model.Pod)) model.Pod {
		return pod("other", oldIP, func(p *model.Pod) { p.Created, p.ContainersReady = at(5), true }, change)
	}
	cases := map[string]struct {
		others []model.Pod
		pods   []model.Pod
		want   bool
	}{
		"nobody":                          {nil, nil, false},
		"a younger pod of the workload":   {nil, []model.Pod{pod("new", oldIP)}, true},
		"one of it that is not ready":     {nil, []model.Pod{pod("new", oldIP, func(p *model.Pod) { p.ContainersReady = false })}, false},
		"an older one of the workload":    {nil, []model.Pod{pod("new", oldIP, func(p *model.Pod) { p.Created = at(-200) })}, false},
		"a younger pod of another one":    {[]model.Pod{other(func(*model.Pod) {})}, nil, true},
		"one of it that is no target yet": {[]model.Pod{other(func(p *model.Pod) { p.ContainersReady = false })}, nil, false},
		"an older one of another":         {[]model.Pod{other(func(p *model.Pod) { p.Created = at(-200) })}, nil, false},
		"one that is deleted already":     {[]model.Pod{other(deleted)}, nil, false},
		"one of the workload, likewise":   {nil, []model.Pod{pod("new", oldIP, func(p *model.Pod) { p.ContainersReady = false })}, false},
		"a pod with another address":      {[]model.Pod{pod("other", "10.0.0.9")}, nil, false},
		"the pod itself, in a stale list": {[]model.Pod{pod("old", oldIP, func(p *model.Pod) { p.Created = at(5) })}, nil, false},
	}
	for name, c := range cases {
		tr := track()
		tr.look(0, groups("a"), pod("old", oldIP))
		tr.read(0, "a", "10.0.0.1=healthy")
		if tr.Disputed() {
			t.Errorf("%s: disputed while its pod is there", name)
		}
		s := model.Snapshot{From: at(10), At: at(10), PodsKnown: true, GroupsKnown: true, Groups: groups("a"), Pods: c.pods, Others: c.others}
		tr.TakePods(s)
		if got := tr.Taken(tr.Pods["old"]); got != c.want || !tr.Disputed() {
			t.Errorf("%s: taken %t, disputed %t", name, got, tr.Disputed())
		}
	}
}

// A group that is bound no more is followed as long as a pod's target is seen in it.
func TestAGroupThatIsUnbound(t *testing.T) {
	tr := track()
	tr.look(0, groups("a", "b"), pod("old", oldIP))
	tr.read(0, "a", "10.0.0.1=draining")
	tr.read(0, "b", "")
	names := func() (out []string) {
		for _, g := range tr.Groups {
			out = append(out, g.ARN)
		}
		return out
	}
	tr.look(1, groups("c"), pod("old", oldIP))
	if got := names(); !slices.Equal(got, []string{"c", "a"}) || tr.Groups[1].Current {
		t.Errorf("groups %q", got)
	}
	tr.read(2, "a", "")
	tr.look(3, groups("c"), pod("old", oldIP))
	if got := names(); !slices.Equal(got, []string{"c"}) {
		t.Errorf("groups %q", got)
	}
	tr.TakePods(model.Snapshot{At: at(4), PodsKnown: true})
	if got := names(); !slices.Equal(got, []string{"c"}) {
		t.Errorf("a look that could not tell the groups: %q", got)
	}
}

func TestTheFloor(t *testing.T) {
	type step struct {
		second, desired, unavailable int
		pods                         []model.Pod
		targets                      string
	}
	a, b, c := pod("a", "10.0.1.1"), pod("b", "10.0.1.2"), pod("c", "10.0.1.3")
	dying := pod("a", "10.0.1.1", deleted)
	all := []model.Pod{a, b}
	cases := map[string]struct {
		steps   []step
		minimum int
		broken  bool
	}{
		"it holds":                                     {[]step{{0, 2, 0, all, "10.0.1.1=healthy 10.0.1.2=healthy"}}, 2, false},
		"one is unhealthy":                             {[]step{{0, 2, 0, all, "10.0.1.1=healthy 10.0.1.2=healthy"}, {5, 2, 0, all, "10.0.1.1=unhealthy 10.0.1.2=healthy"}}, 1, true},
		"and may be":                                   {[]step{{0, 2, 1, all, "10.0.1.1=healthy 10.0.1.2=healthy"}, {5, 2, 1, all, "10.0.1.1=unhealthy 10.0.1.2=healthy"}}, 1, false},
		"one that is deleted does not count":           {[]step{{0, 2, 0, all, "10.0.1.1=healthy 10.0.1.2=healthy"}, {5, 2, 0, []model.Pod{dying, b}, "10.0.1.1=healthy 10.0.1.2=healthy"}}, 1, true},
		"nor does somebody else's":                     {[]step{{0, 2, 0, all, "10.0.1.1=healthy 10.0.1.2=healthy"}, {5, 2, 0, all, "10.0.1.1=healthy 10.0.9.9=healthy"}}, 1, true},
		"a first deploy has to reach it first":         {[]step{{0, 2, 0, all, "10.0.1.1=initial 10.0.1.2=initial"}, {5, 2, 0, all, "10.0.1.1=healthy 10.0.1.2=healthy"}}, 2, false},
		"one that never does has no minimum":           {[]step{{0, 2, 0, all, "10.0.1.1=initial"}}, -1, false},
		"so does one that an autoscaler raises":        {[]step{{0, 2, 0, all, "10.0.1.1=healthy 10.0.1.2=healthy"}, {5, 3, 0, []model.Pod{a, b, c}, "10.0.1.1=healthy 10.0.1.2=healthy"}}, 2, false},
		"one that it lowers is lower at once":          {[]step{{0, 2, 0, all, "10.0.1.1=healthy 10.0.1.2=healthy"}, {5, 1, 0, []model.Pod{dying, b}, "10.0.1.2=healthy"}}, 1, false},
		"a look between two readings says nothing yet": {[]step{{0, 2, 0, all, "10.0.1.1=healthy 10.0.1.2=healthy"}, {5, 2, 0, []model.Pod{dying, b, c}, "?"}, {6, 2, 0, []model.Pod{dying, b, c}, "10.0.1.2=healthy 10.0.1.3=healthy"}}, 2, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			tr := New(model.Workload{Behind: true})
			for _, s := range c.steps {
				tr.TakePods(model.Snapshot{From: at(s.second), At: at(s.second), PodsKnown: true, GroupsKnown: true, Desired: s.desired, Unavailable: s.unavailable, Pods: s.pods, Groups: groups("g")})
				if s.targets != "?" {
					tr.read(s.second, "g", s.targets)
				}
			}
			if f := tr.Floor; f.Minimum != c.minimum || f.At.IsZero() == c.broken {
				t.Errorf("%+v", f)
			}
		})
	}
}

// What is registered though its pod is gone is told, of our own pods only.
func TestOrphans(t *testing.T) {
	run := func(second int, targets string, pods ...model.Pod) []string {
		tr := track()
		tr.look(0, groups("g"), pod("old", oldIP))
		tr.read(0, "g", "10.0.0.1=healthy")
		tr.look(10, groups("g"), pods...)
		tr.look(second, groups("g"), pods...)
		tr.read(second, "g", targets)
		tr.read(second, "g", targets)
		return tr.Warnings
	}
	if got := run(40, "10.0.0.1=healthy 10.9.9.9=healthy", pod("new", newIP)); len(got) != 1 || !strings.Contains(got[0], "target 10.0.0.1:8080 is registered in target group g, though its pod web-old is gone") {
		t.Errorf("%q", got)
	}
	for name, got := range map[string][]string{
		"the controller gets its time":  run(39, "10.0.0.1=healthy"),
		"one that drains":               run(40, "10.0.0.1=draining"),
		"somebody else's":               run(40, "10.9.9.9=healthy"),
		"an address that has a new pod": run(40, "10.0.0.1=healthy", pod("new", oldIP)),
		"a pod that is there":           run(40, "10.0.0.1=healthy", pod("old", oldIP, deleted)),
	} {
		if len(got) > 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
}
