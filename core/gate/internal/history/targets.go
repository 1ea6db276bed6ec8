// SPDX-License-Identifier: Apache-2.0

package history

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

// TakeTargets enters a reading of one of the workload's groups.
func (t *Track) TakeTargets(arn string, r model.Reading) {
	i := slices.IndexFunc(t.Groups, func(g *Group) bool { return g.ARN == arn })
	if i < 0 {
		return
	}
	g := t.Groups[i]
	t.leftovers(g, r)
	g.Reading, g.Unknown = r, ""
	for _, p := range t.All() {
		if p.IP != "" && !t.Taken(p) {
			t.takeTarget(g, p, r)
		}
	}
	t.orphans(g)
	t.watchFloor(g, r.At)
	t.aggregate(r.At)
}

// leftovers notes strangers of the first readings: the controller may not have deregistered
// yet what was gone just before the first look.
func (t *Track) leftovers(g *Group, r model.Reading) {
	if g.Reading.At.IsZero() {
		g.Began, g.strangers = r.At, map[string]bool{}
	}
	if g.Shared || r.At.Sub(g.Began) > orphanPatience {
		return
	}
	for _, target := range r.Targets {
		if t.stranger(target) && !g.strangers[target.ID] {
			g.strangers[target.ID], g.Leftover = true, r.At
		}
	}
}

// stranger tells whether a target drains whose pod was never seen.
func (t *Track) stranger(target model.Target) bool {
	return target.State == "draining" && !slices.ContainsFunc(t.All(), func(p *Pod) bool { return sameAddress(p.IP, target.ID) })
}

// TakeUnknown enters that a group could not be read: what was known of it before
// decides nothing until it is.
func (t *Track) TakeUnknown(arn, why string) {
	for _, g := range t.Groups {
		if g.ARN == arn {
			g.Unknown = why
		}
	}
}

// takeTarget follows one pod's target.
func (t *Track) takeTarget(g *Group, p *Pod, r model.Reading) {
	tg := p.In[g.ARN]
	if tg == nil {
		tg = &Target{}
		p.In[g.ARN] = tg
	}
	ip, port := g.Address(p)
	tg.At = net.JoinHostPort(ip, strconv.Itoa(port))
	now := model.Target{ID: ip, Port: port}
	for _, seen := range r.Targets {
		// Of a pod that was gone before the first look, nobody knows the ports.
		if sameAddress(seen.ID, ip) && (seen.Port == port || p.Seen.Created.IsZero()) && seen.Listed() {
			now = seen
		}
	}
	if g.Shared && !p.Gone.IsZero() && !tg.Left.IsZero() && now.State != "draining" { // another cluster's pod has the address now
		now = model.Target{ID: ip, Port: port}
	}
	if gap, blind := r.At.Sub(tg.Last), t.Blind(g, now.State); now.State != tg.State || tg.Reads == 0 {
		tg.Since, tg.Shown, tg.Held, tg.Reads = r.At, 0, r.At, 0
	} else if tg.Shown += min(gap, blind); gap > blind {
		tg.Held, tg.Reads = r.At, 0
	}
	if now.Listed() && !tg.Listed() { // it may have served since it was not listed
		tg.Left, tg.Draining = time.Time{}, time.Time{}
	}
	tg.Target, tg.Last, tg.Reads = now, r.At, tg.Reads+1
	if tg.Listed() {
		tg.Registered, tg.LastListed, tg.Absent = true, r.From, time.Time{}
	} else {
		first(&tg.Absent, r.At, true)
	}
	switch {
	case tg.Listed() && tg.State != "draining":
		tg.LastServing, tg.Left, tg.Draining = r.From, time.Time{}, time.Time{}
	default:
		first(&tg.Left, r.At, true)
		first(&tg.Draining, r.At, tg.Listed())
	}
}

// sameAddress compares addresses, which have several spellings in IPv6.
func sameAddress(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	return errX == nil && errY == nil && x.Unmap() == y.Unmap()
}

// Has tells whether an address is one of a pod's.
func Has(p model.Pod, address string) bool {
	return sameAddress(p.IP, address) || slices.ContainsFunc(p.IPs, func(ip string) bool { return sameAddress(ip, address) })
}

// Taken tells whether another live pod behind the same Services has the address
// now: the target's state says nothing about this one any more. Until its containers
// are ready the other is no target, so that the target is this one's still, which nobody
// has deregistered.
func (t *Track) Taken(p *Pod) bool {
	if p.Gone.IsZero() || p.IP == "" {
		return false
	}
	for _, other := range t.Pods {
		if other != p && other.IP == p.IP && other.Gone.IsZero() && other.Seen.ContainersReady && other.Created.After(p.Created) {
			return true
		}
	}
	return slices.ContainsFunc(t.Last.Others, func(o model.Pod) bool {
		return o.UID != p.UID && o.IP == p.IP && o.Deleted.IsZero() && o.ContainersReady && o.Created.After(p.Created)
	})
}

// Disputed tells whether the address of a pod that is gone is still a target: then
// it is worth knowing whether a pod of another workload has it now.
func (t *Track) Disputed() bool {
	return slices.ContainsFunc(t.All(), func(p *Pod) bool {
		if p.Gone.IsZero() {
			return false
		}
		for _, tg := range p.In {
			if tg.Listed() && tg.State != "draining" {
				return true
			}
		}
		return false
	})
}

// aggregate tells of each pod what holds in all its groups.
func (t *Track) aggregate(now time.Time) {
	for _, p := range t.All() {
		if t.Taken(p) {
			continue
		}
		need, listed, healthy, draining := 0, 0, 0, 0
		var registered bool
		for _, g := range t.Groups {
			tg := p.In[g.ARN]
			if g.Current {
				need++
			}
			if tg == nil {
				continue
			}
			registered = registered || tg.Registered
			switch {
			case !tg.Listed():
				continue
			case tg.State == "draining":
				draining++
			case tg.State == "healthy" && g.Current:
				healthy++
			}
			listed++
		}
		first(&p.Registered, now, registered)
		first(&p.Healthy, now, need > 0 && healthy == need)
		t.Healthy = t.Healthy || (p.New && healthy > 0)
		if listed > draining {
			p.Draining = time.Time{}
		}
		if listed > 0 {
			p.Drained = time.Time{}
		}
		first(&p.Draining, now, draining > 0 && listed == draining)
		first(&p.Drained, now, listed == 0 && registered && (!p.New || !p.Deleted.IsZero()) && t.allRead())
	}
}

// allRead tells whether every group has been read at its last question.
func (t *Track) allRead() bool {
	return len(t.Groups) > 0 && !slices.ContainsFunc(t.Groups, func(g *Group) bool { return !g.Known() })
}

// Floor is how many of the workload's pods were healthy at the balancer, at the least.
type Floor struct {
	Minimum int       // in any group, since the floor was reached first; -1: it was not
	Least   int       // desired less maxUnavailable
	Broken  int       // fewest below it
	At      time.Time // when; zero: never
}

// setFloor takes what is wanted now. A floor that rises has to be reached first.
func (t *Track) setFloor() {
	least := max(0, t.Last.Desired-t.Last.Unavailable)
	if least > t.Floor.Least {
		for _, g := range t.Groups {
			g.reached = false
		}
	}
	t.Floor.Least = least
}

// watchFloor counts the pods that are not being deleted and whose targets are healthy
// in a group that was read just now.
func (t *Track) watchFloor(g *Group, now time.Time) {
	f, n := &t.Floor, 0
	for _, p := range t.Pods {
		if tg := p.In[g.ARN]; p.Live() && tg != nil && tg.State == "healthy" {
			n++
		}
	}
	if g.reached = g.reached || n >= f.Least; !g.Current || !g.reached || f.Least == 0 {
		return
	}
	if f.Minimum < 0 || n < f.Minimum {
		f.Minimum = n
	}
	if n < f.Least && (f.At.IsZero() || n < f.Broken) {
		f.Broken, f.At = n, now
	}
}

// orphanPatience is what the controller gets to deregister a pod that is gone.
const orphanPatience = 30 * time.Second

// orphans warns of targets that are registered still though their pod is gone. In a
// group that others use, too, only addresses of our own pods are looked at.
func (t *Track) orphans(g *Group) {
	for _, p := range t.All() {
		tg := p.In[g.ARN]
		if tg == nil || p.Gone.IsZero() || t.Taken(p) || !tg.Listed() || tg.State == "draining" || tg.Last.Sub(p.Gone) < orphanPatience {
			continue
		}
		t.warn(fmt.Sprintf("target %s is registered in target group %s, though its pod %s is gone: nobody deregisters it; does the load balancer controller run?", tg.At, g.Binding, p.Called()))
	}
}

// Called is how messages call a pod.
func (p *Pod) Called() string {
	if p.Name == "" {
		return p.UID
	}
	return p.Name
}

// Fresh lists the new pods that are there to stay.
func (t *Track) Fresh() (out []*Pod) {
	for _, p := range t.All() {
		if p.New && p.Live() {
			out = append(out, p)
		}
	}
	return out
}

// Leaving tells whether pods of the workload end, which makes room.
func (t *Track) Leaving() bool {
	for _, p := range t.Pods {
		if p.Gone.IsZero() && !p.Deleted.IsZero() {
			return true
		}
	}
	return false
}

// Quiet is for how long the balancer may go on sending to a target that leaves: P + M.
func (t *Track) Quiet() time.Duration {
	in := t.Workload.Plan.Inputs
	return in.MaxPropagation() + in.Margin
}

// Delay is a group's deregistration delay: its own where it was read, or else the plan's.
func (t *Track) Delay(g *Group) time.Duration {
	if g.Info.Delay != nil {
		return g.Info.Delay.Duration()
	}
	return t.Workload.Plan.DeregistrationDelay.Duration()
}

// Short tells whether that is too short, or not known well enough, for its end to prove
// anything: by the time the target is gone, nodes may still send to it.
func (t *Track) Short(g *Group) bool { return g.Info.Delay == nil || t.Delay(g) < t.Quiet() }

// Checks are a group's health check interval, and how many checks in a row make a target
// healthy and unhealthy: its own where they were read, or else those of the plan.
func (t *Track) Checks(g *Group) (interval time.Duration, healthy, unhealthy int) {
	if g.Info.Interval > 0 {
		return g.Info.Interval, g.Info.Healthy, g.Info.Unhealthy
	}
	in := t.Workload.Plan.Inputs
	return in.HealthInterval, in.HealthyCount, in.UnhealthyCount
}

// Blind is how far apart two readings of a state may be and say something of the time
// between them: a target that turned unhealthy needs as long to be healthy again, and one that
// turned healthy to be anything else.
func (t *Track) Blind(g *Group, state string) time.Duration {
	interval, checks, unhealthy := t.Checks(g)
	if state != "healthy" {
		checks = unhealthy
	}
	return max(10*time.Second, interval*time.Duration(checks))
}
