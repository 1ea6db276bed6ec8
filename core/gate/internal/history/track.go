// SPDX-License-Identifier: Apache-2.0

// Package history keeps what looks at the cluster and readings of target groups said
// of a workload: what became of each pod, and of its target in each group, and
// since when. It decides nothing and makes no call.
package history

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

// Track is the history of one workload.
type Track struct {
	Workload model.Workload
	Last     model.Snapshot  // newest look
	Pods     map[string]*Pod // by UID
	Groups   []*Group
	Refused  Since // why pods cannot be created
	Stalled  Since // why the workload's controller gave up, in its words
	Healthy  bool  // some new pod's target has been healthy once
	Floor    Floor
	Warnings []string      // what was odd
	Ungated  time.Duration // minReadySeconds that F11 asks for where a readiness gate is missing

	order []string // UIDs as first seen
}

// Pod is one pod's history.
type Pod struct {
	model.PodTimeline
	Seen    model.Pod          // as of the last look that showed it
	Good    Since              // Ready, with all its gates True
	Trouble Since              // what it waits for, by the kubelet's word
	In      map[string]*Target // its targets, by the ARN of their group
	Checked time.Time          // when its containers became ready, so that health checks can pass; zero while they are not
	Alive   time.Time          // last known to run
	Kept    time.Time          // last known not to be deleted
}

// Target is a pod's target in one group. Times of what was there are those of the
// question, times of what has changed those of the answer: the truth lies between.
type Target struct {
	model.Target
	At    string    // address:port
	Last  time.Time // newest reading
	Since time.Time // first of the readings in a row that showed the present state

	// Held is like Since, with no gap between the readings in which it may have been in another state: what passes
	// rests on it. What fails rests on Shown, or a target that is asked for seldom, since there are many groups or
	// the ELB API is throttled, would never fail: of a gap it counts what its reading vouches for.
	Held  time.Time
	Reads int // from Held on
	Shown time.Duration

	Registered  bool // it has been listed once
	LastListed  time.Time
	LastServing time.Time // listed, and not draining
	Left        time.Time // first reading since it last served that showed it draining or not at all; zero while it serves
	Draining    time.Time // the same, draining
	Absent      time.Time // first reading that did not list it since it last was
}

// Group is a target group and what was read of it last.
type Group struct {
	model.Group
	Reading model.Reading
	Unknown string // why the newest reading failed

	// Leftover is when one of the first readings showed one more target that drains and
	// belongs to no pod that was seen: to one, perhaps, that was gone before anybody looked.
	Leftover  time.Time
	Began     time.Time       // first reading
	strangers map[string]bool // addresses of such targets

	reached bool // as many targets as the floor wants have been healthy: from then on they have to be
}

// Known tells whether the group could be read when it was asked last.
func (g *Group) Known() bool { return !g.Reading.At.IsZero() && g.Unknown == "" }

// Since is something that holds, and from when on.
type Since struct {
	What string
	At   time.Time
}

// set enters what holds now; the time starts anew when it is something else.
func (s *Since) set(what string, at time.Time) {
	switch {
	case what == "":
		*s = Since{}
	case what != s.What:
		*s = Since{what, at}
	}
}

// Held tells for how long it has held; less than nothing when it does not.
func (s Since) Held(now time.Time) time.Duration {
	if s.At.IsZero() {
		return -1
	}
	return now.Sub(s.At)
}

// New starts a history. The pods to replace are known from the start.
func New(w model.Workload) *Track {
	if w.Plan.Inputs.Propagation == 0 {
		w.Plan.Inputs = drain.Defaults()
	}
	t := &Track{Workload: w, Pods: map[string]*Pod{}, Floor: Floor{Minimum: -1}}
	t.Ungated = t.Replan(func(in *drain.Inputs) { in.NoGate = true }).MinReady.Duration()
	for _, r := range w.Replaced {
		p := t.pod(r.UID)
		p.Name, p.IP = r.Name, r.IP
	}
	return t
}

// Replan computes the plan's rollout for other inputs, with its timings as they are.
func (t *Track) Replan(change func(*drain.Inputs)) drain.Plan {
	plan := t.Workload.Plan
	in := plan.Inputs
	in.Groups = slices.Clone(in.Groups)
	for i := range in.Groups {
		if i < len(plan.Groups) {
			in.Groups[i].Delay = &plan.Groups[i].DeregistrationDelay
		}
	}
	change(&in)
	again, err := drain.Adopt(plan.Given(), in)
	if err != nil { // the plan was made of such inputs before
		return plan
	}
	return again
}

func (t *Track) pod(uid string) *Pod {
	p, ok := t.Pods[uid]
	if !ok {
		p = &Pod{PodTimeline: model.PodTimeline{UID: uid}, In: map[string]*Target{}}
		t.Pods[uid], t.order = p, append(t.order, uid)
	}
	return p
}

// All lists the pods as they were first seen.
func (t *Track) All() []*Pod {
	out := make([]*Pod, len(t.order))
	for i, uid := range t.order {
		out[i] = t.Pods[uid]
	}
	return out
}

// Knows tells whether a pod has been seen, or named by the apply.
func (t *Track) Knows(uid string) bool { return t.Pods[uid] != nil }

// Live tells whether a pod is there and not being deleted.
func (p *Pod) Live() bool { return p.Gone.IsZero() && p.Deleted.IsZero() && !p.Seen.Created.IsZero() }

// TakePods enters a look at the cluster.
func (t *Track) TakePods(s model.Snapshot) {
	before := t.Last
	t.Last = s
	t.warn(s.Warnings...)
	if s.GroupsKnown {
		t.takeGroups(s.Groups)
	}
	t.Refused.set(s.Refused, s.At)
	t.Stalled.set(s.Stalled, s.At)
	if !s.PodsKnown {
		return
	}
	here := map[string]bool{}
	for _, p := range s.Pods {
		here[p.UID] = true
		t.takePod(s, p, before)
	}
	for _, p := range t.All() {
		if !here[p.UID] {
			first(&p.Gone, s.At, true)
		}
	}
	t.setFloor()
	t.aggregate(s.At)
}

func (t *Track) takePod(s model.Snapshot, seen model.Pod, before model.Snapshot) {
	p := t.pod(seen.UID)
	p.Name, p.New, p.Created, p.Gone = seen.Name, seen.New, seen.Created, time.Time{} // a stale read may have missed it
	if seen.IP == "" {
		seen.IP, seen.IPs = p.Seen.IP, p.Seen.IPs
	} else {
		p.IP = seen.IP
	}
	p.Seen = seen
	first(&p.Ready, s.At, seen.Ready)
	// Neither the API server's clock nor the kubelet's need be ours: what they date
	// lies between the last look before and the one that shows it.
	if seen.Deleted.IsZero() {
		p.Kept = s.From
	}
	first(&p.Deleted, within(seen.Deleted, p.Kept, s.At), !seen.Deleted.IsZero())
	if seen.Ended.IsZero() {
		p.Alive = s.From
	}
	first(&p.Ended, within(seen.Ended, p.Alive, s.At), !seen.Ended.IsZero())
	if !seen.ContainersReady {
		p.Checked = time.Time{}
	}
	first(&p.Checked, within(seen.Started, before.From, s.At), seen.ContainersReady)
	p.Killed = p.Killed || seen.Killed
	good := ""
	if seen.Ready && !slices.ContainsFunc(ClosedGates(seen), func(string) bool { return true }) {
		good = "ready"
	}
	p.Good.set(good, s.At)
	p.Trouble.set(troubleOf(seen), s.At)
}

// ClosedGates lists the readiness gates that are not True.
func ClosedGates(p model.Pod) (closed []string) {
	for name, status := range p.Gates {
		if status != "True" {
			closed = append(closed, name)
		}
	}
	slices.Sort(closed)
	return closed
}

// troubleOf names what a pod waits for: the kubelet alternates between two words
// for an image that it cannot pull.
func troubleOf(p model.Pod) string {
	if p.Waiting == "ImagePullBackOff" {
		return "ErrImagePull"
	}
	return p.Waiting
}

// takeGroups enters the groups that were found. One that is bound no more is
// followed for as long as a pod's target is seen in it.
func (t *Track) takeGroups(found []model.Group) {
	var next []*Group
	for _, f := range found {
		g := &Group{}
		if i := slices.IndexFunc(t.Groups, func(g *Group) bool { return g.ARN == f.ARN }); i >= 0 {
			g = t.Groups[i]
		}
		g.Group = f
		next = append(next, g)
	}
	for _, g := range t.Groups {
		if slices.Contains(next, g) {
			continue
		}
		left := slices.ContainsFunc(t.All(), func(p *Pod) bool { return p.In[g.ARN] != nil && p.In[g.ARN].Listed() })
		if g.Current = false; left {
			next = append(next, g)
		}
	}
	t.Groups = next
}

// warn keeps what is odd, once.
func (t *Track) warn(texts ...string) {
	for _, text := range texts {
		if !slices.Contains(t.Warnings, text) {
			t.Warnings = append(t.Warnings, text)
		}
	}
}

// Address is where a pod's target in a group is.
func (g *Group) Address(p *Pod) (string, int) {
	ip := p.IP
	for _, other := range p.Seen.IPs {
		if a, err := netip.ParseAddr(other); err == nil && a.Is6() == g.IPv6 {
			ip = other
			break
		}
	}
	if n, err := strconv.Atoi(g.TargetPort); err == nil {
		return ip, n
	}
	return ip, p.Seen.Ports[g.TargetPort]
}

// first sets a time once.
func first(at *time.Time, when time.Time, seen bool) {
	if seen && at.IsZero() {
		*at = when
	}
}

// within keeps a time between two others.
func within(at, from, to time.Time) time.Time { return Latest(from, Earliest(at, to)) }

// Latest is the later of two times.
func Latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Earliest is the earlier of two times.
func Earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
