// SPDX-License-Identifier: Apache-2.0

// Package pace says when the cluster and the target groups of a workload are
// worth asking again. Looks at the cluster are cheap. The account's calls to ELBv2 are few
// (a bucket of 40, refilled by 10 a second, for the load balancer controller, too), so
// a group is asked when an answer can have changed, and not before. It is a
// pure function of the history.
package pace

import (
	"math"
	"time"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/gate/internal/history"
	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

const (
	closely   = 900 * time.Millisecond // where a second counts: with a tenth of jitter it is one at most
	briskly   = 2 * time.Second        // where something is about to change
	idle      = 30 * time.Second       // where nothing can
	attentive = 30 * time.Second       // after a pod was deleted: the controller deregisters it
	attached  = 3 * time.Second        // the controller's, from ready containers to registered targets
	earlier   = 15 * time.Second       // while a wave of the rollout that is not its last gets healthy
	unlikely  = 0.01                   // chance that no target is healthy yet though one check is enough
	missed    = 0.03                   // chance that the last of several targets got healthy a second or more before a reading
)

// Look says when to look at the cluster again.
func Look(t *history.Track, most time.Duration) time.Time {
	pause := most
	if t.Last.Complete != "" || !t.Last.PodsKnown {
		pause = min(pause, briskly)
	}
	for _, p := range t.All() {
		switch {
		case !p.Gone.IsZero():
		case !p.Deleted.IsZero() && t.Last.At.Add(pause).After(End(t, p)):
			pause = min(pause, closely)
		case p.New && p.Live() && !p.Seen.Ready, !p.Deleted.IsZero():
			pause = min(pause, briskly)
		}
	}
	return t.Last.At.Add(pause)
}

// End is when the containers of a pod that is being deleted may end at the earliest:
// when its preStop does.
func End(t *history.Track, p *history.Pod) time.Time { return p.Deleted.Add(p.Seen.PreStop) }

// Group says when to ask for a group's targets again. Most is the longest pause while
// something is waited for; chance, of [0, 1), spreads what several gates do.
func Group(t *history.Track, g *history.Group, most time.Duration, hold func(*history.Pod) time.Duration, chance float64) time.Time {
	last := g.Reading.At
	if last.IsZero() {
		return last
	}
	next := last.Add(idle)
	at := func(when time.Time) { next = history.Earliest(next, history.Latest(when, last.Add(closely))) }
	if t.Workload.Until == model.Unused {
		at(last.Add(briskly))
	}
	var waiting []*history.Pod
	for _, p := range t.All() {
		tg := p.In[g.ARN]
		switch {
		case t.Taken(p) || p.IP == "":
		case !p.New || !p.Deleted.IsZero():
			if when := leaving(t, g, p, tg, most); !when.IsZero() {
				at(when)
			}
		case !g.Current || !p.Live():
		case tg != nil && tg.State == "healthy":
			at(last.Add(t.Blind(g, tg.State) * 3 / 5)) // what turns unhealthy is seen, by a reading that is late, too
			if held := tg.Held.Add(hold(p)); tg.Last.Before(held) {
				at(held)
			}
		case p.Seen.ContainersReady:
			if waiting = append(waiting, p); tg != nil && (tg.State == "unhealthy" || tg.State == "unused") { // the rollout may be in vain
				at(last.Add(t.Blind(g, tg.State) * 4 / 5))
			}
		}
	}
	if len(waiting) > 0 {
		at(coming(t, g, waiting, most, chance))
	}
	return next
}

// coming says when new targets that wait for their health checks are worth asking for. One
// check makes a new target healthy at an ALB, as AWS documents it; to be sure, later
// ones are expected, too, up to the threshold. When in its interval each target's check
// comes is not known: so of n targets the last gets healthy late in it, most
// likely, and the pause is such that it hardly does so a second before its end. When none of
// several is healthy by a time at which one should be, it takes another interval.
// Only the last wave of a rollout is watched like that: the gate cannot pass before.
func coming(t *history.Track, g *history.Group, waiting []*history.Pod, most time.Duration, chance float64) time.Time {
	last, opened, ready := g.Reading.At, time.Time{}, 0
	for _, p := range waiting {
		opened = history.Latest(opened, p.Checked)
	}
	for _, p := range t.Fresh() {
		if p.Seen.ContainersReady {
			ready++
		}
	}
	if ready < t.Last.Desired {
		return last.Add(earlier)
	}
	interval, count, _ := t.Checks(g)
	from, length := history.Latest(last, opened), registration(t, g)+interval
	end, n := opened.Add(length), 1
	for ; !end.After(from); n++ {
		if n >= count || interval <= 0 {
			return last.Add(most)
		}
		end, length = end.Add(interval), interval
	}
	rest, several := end.Sub(from), float64(len(waiting))
	if len(waiting) == ready && n < count && math.Pow(rest.Seconds()/length.Seconds(), several) < unlikely {
		return end
	}
	pause := time.Duration(math.Pow(missed, 1/several) * float64(rest))
	return from.Add(time.Duration(float64(max(pause, closely)) * (0.9 + 0.2*chance)))
}

// registration is how long it takes from ready containers to the first health check.
func registration(t *history.Track, g *history.Group) time.Duration {
	if NLB(g.Info) || g.Info.Protocol == "" && t.Workload.Plan.Inputs.Balancer == drain.NLB {
		return drain.DefaultsFor(drain.NLB).Registration
	}
	return attached
}

// NLB tells whether a target group is a Network Load Balancer's.
func NLB(g model.TargetGroup) bool {
	switch g.Protocol {
	case "TCP", "TLS", "UDP", "TCP_UDP", "QUIC", "TCP_QUIC":
		return true
	}
	return false
}

// leaving says when an old pod's target is worth asking for; zero: it is not.
func leaving(t *history.Track, g *history.Group, p *history.Pod, tg *history.Target, most time.Duration) time.Time {
	last := g.Reading.At
	switch {
	case tg == nil: // the group was read before the pod was known
		return last
	case tg.Listed() && tg.State != "draining":
		switch since := history.Latest(p.Deleted, p.Gone); {
		case since.IsZero(): // nobody has deleted it yet
			return time.Time{}
		case last.Sub(since) < attentive:
			return last.Add(briskly)
		}
		return last.Add(most)
	case tg.State != "draining" || t.Workload.Plan.Mode == drain.Fast: // gone, or nothing more to see
		return time.Time{}
	}
	next := last.Add(most)
	if p.Gone.IsZero() && p.Ended.IsZero() && !p.Deleted.IsZero() {
		// Which of the two ends first is the proof, and by the plan the target does, by the margin.
		if eve := End(t, p).Add(-t.Workload.Plan.Inputs.Margin); next.After(eve) {
			next = history.Latest(eve, last.Add(closely))
		}
	}
	if tg.LastServing.IsZero() { // nobody saw when it began
		return next
	}
	return history.Latest(tg.LastServing.Add(t.Delay(g)), next)
}
