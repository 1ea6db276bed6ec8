// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/outlast-ci/outlast/core/gate/internal/history"
	"github.com/outlast-ci/outlast/core/gate/internal/judge"
	"github.com/outlast-ci/outlast/core/gate/internal/live"
	"github.com/outlast-ci/outlast/core/gate/internal/model"
	"github.com/outlast-ci/outlast/core/gate/internal/pace"
	"github.com/outlast-ci/outlast/core/gate/internal/probe"
)

// Pauses of the loop.
const (
	confirm  = 2 * time.Second  // between the two good rounds at the end
	retreat  = 2 * time.Second  // after a call that was not answered, at least
	patience = 20 * time.Second // between calls that are not answered, at most
)

// How long the cluster and a group are asked before the other is looked after: what one of them
// does not tell may be told by the other meanwhile, and a drain is seen once.
const (
	lookFor = 10 * time.Second // at first; after each look that was cut short twice as long, since it may need that
	askFor  = 20 * time.Second
)

// watched is one workload that is waited for.
type watched struct {
	*history.Track
	verdict judge.Verdict
	next    time.Time // look at the cluster
	cut     int       // looks that were, until one was quick again
}

// polled is one target group, whichever workloads share it.
type polled struct {
	model.Group
	fails int       // calls in a row that were not answered
	quiet time.Time // no call before
}

// waiting is one Wait in progress.
type waiting struct {
	opt     Options
	reader  *live.Reader
	started time.Time
	total   time.Duration // timeout by now
	extend  func(time.Duration)
	all     []*watched
	groups  map[string]*polled // by ARN
	probe   *probe.Running
	looks   int
	polls   int

	probed   time.Time         // what the probe counts was told
	said     map[string]string // newest message by UID and object, so that only changes are told
	spoke    time.Time
	evidence []Evidence
}

func newWait(cluster Cluster, balancer Balancer, opt Options) *waiting {
	w := &waiting{opt: opt, reader: live.NewReader(cluster, balancer), started: time.Now(), groups: map[string]*polled{}, said: map[string]string{}, extend: func(time.Duration) {}}
	for _, workload := range opt.Workloads {
		w.all = append(w.all, &watched{Track: history.New(workload)})
	}
	w.total = w.timeout()
	return w
}

// timeout is the user's, or else the longest of the workloads'.
func (w *waiting) timeout() time.Duration {
	var longest time.Duration
	for _, t := range w.all {
		longest = max(longest, judge.Timeout(t.Track))
	}
	return cmp.Or(w.opt.Timeout, longest, unplanned)
}

// loop looks and asks when it is time, lets the judge decide, tells, and sleeps.
func (w *waiting) loop(ctx context.Context) error {
	for {
		now := time.Now()
		for _, t := range w.all {
			if !t.next.After(now) {
				w.look(ctx, t)
			}
		}
		if due := w.due(); len(due) > 0 && !due[0].at.After(time.Now()) {
			w.ask(ctx, due[0].polled) // one at a time, so that the cluster is not kept waiting by the ELB API's rate
		}
		if a := w.opt.Alarms; !a.Due().After(time.Now()) {
			a.Look(ctx)
		}
		err := w.decide()
		if err == nil && w.done() && w.askable() && w.opt.Alarms.Unread() == "" {
			var passed bool
			if passed, err = w.closing(ctx); passed {
				return nil
			}
		}
		if err == nil {
			err = w.sleep(ctx, w.next())
		}
		if err != nil {
			return err
		}
	}
}

// look asks the cluster about a workload.
func (w *waiting) look(ctx context.Context, t *watched) {
	began, most := time.Now(), lookFor<<min(t.cut, 3)
	within, done := context.WithTimeoutCause(ctx, most, fmt.Errorf("no answer within %s", most))
	defer done()
	seen := w.reader.Look(within, t.Track)
	switch {
	case within.Err() != nil:
		t.cut++
	case time.Since(began) < lookFor: // else the next one needs as long
		t.cut = 0
	}
	if ctx.Err() != nil && !t.Last.At.IsZero() { // a look that was cut short hides what the one before it saw
		return
	}
	w.looks++
	t.TakePods(seen)
	t.next = pace.Look(t.Track, w.opt.Interval)
	for _, g := range t.Groups {
		if p := w.groups[g.ARN]; p == nil {
			w.groups[g.ARN] = &polled{Group: g.Group}
		} else {
			p.Group = g.Group
		}
	}
	if total := w.timeout(); total > w.total { // more replicas than were planned for
		w.total = total
		w.extend(total)
	}
}

// dated is a group and when to ask for its targets.
type dated struct {
	*polled
	at time.Time
}

// due lists the groups in the order in which they are worth asking.
func (w *waiting) due() (out []dated) {
	for _, p := range w.groups {
		d := dated{polled: p}
		used := false
		for _, t := range w.all {
			for _, g := range t.Groups {
				if g.ARN != p.ARN {
					continue
				}
				at := pace.Group(t.Track, g, w.opt.Interval, func(p *history.Pod) time.Duration { return judge.Hold(t.Track, p) }, w.opt.chance())
				if !used || at.Before(d.at) {
					d.at, used = at, true
				}
			}
		}
		if d.at = history.Latest(d.at, p.quiet); used {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b dated) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.ARN, b.ARN)) })
	return out
}

// ask reads a group's targets, once for all workloads that share it.
func (w *waiting) ask(ctx context.Context, p *polled) {
	r := model.Reading{From: time.Now()}
	within, done := context.WithTimeoutCause(ctx, askFor, fmt.Errorf("no answer within %s", askFor))
	defer done()
	balancer, err := w.reader.Finder.For(within, p.Group)
	if err == nil {
		w.polls++
		r.Targets, err = balancer.TargetHealth(within, p.ARN)
	}
	r.At = time.Now()
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		p.fails++
		p.quiet = r.At.Add(backoff(p.fails, w.opt.chance()))
	}
	if errors.Is(err, model.ErrThrottled) { // all groups have one budget
		for _, other := range w.groups {
			other.quiet = history.Latest(other.quiet, p.quiet)
		}
	}
	for _, t := range w.all {
		i := slices.IndexFunc(t.Groups, func(g *history.Group) bool { return g.ARN == p.ARN })
		switch {
		case i < 0:
		case err == nil, errors.Is(err, model.ErrNoTargetGroup) && !t.Groups[i].Current: // with a group that is deleted its targets are gone
			t.TakeTargets(p.ARN, r)
		default:
			t.TakeUnknown(p.ARN, err.Error())
		}
	}
	if err == nil {
		p.fails = 0
	}
}

// backoff is the pause after calls that were not answered: it doubles, with full
// jitter, so that many gates do not come back together.
func backoff(fails int, chance float64) time.Duration {
	most := min(patience, retreat<<min(fails, 5))
	return max(retreat, time.Duration(chance*float64(most)))
}

// decide asks the judge about each workload, and the probe.
func (w *waiting) decide() error {
	now := time.Now()
	for _, t := range w.all {
		t.verdict = judge.Judge(t.Track, now)
		w.tell(t)
		if t.verdict.Failed != "" {
			return &Error{Reason: t.verdict.Failed, Problems: t.verdict.Problems}
		}
	}
	if w.probe != nil {
		w.tellProbe(false)
		if problem := w.probe.Problem(); problem != "" {
			return &Error{Reason: ProbeFailed, Problems: []string{problem}}
		}
	}
	if problem := w.opt.Alarms.Problem(); problem != "" {
		return &Error{Reason: AlarmRaised, Problems: []string{problem}}
	}
	return nil
}

func (w *waiting) done() bool {
	return !slices.ContainsFunc(w.all, func(t *watched) bool { return !t.verdict.Done })
}

// askable tells whether every group may be asked now.
func (w *waiting) askable() bool {
	now := time.Now()
	return !slices.ContainsFunc(w.due(), func(d dated) bool { return d.quiet.After(now) })
}

// closing proves that the end has been reached: twice, all is looked at and asked
// anew, and has to be good.
func (w *waiting) closing(ctx context.Context) (bool, error) {
	for round := range 2 {
		if round > 0 {
			if err := w.sleep(ctx, time.Now().Add(confirm)); err != nil {
				return false, err
			}
		}
		for _, t := range w.all {
			w.look(ctx, t)
		}
		for _, d := range w.due() {
			w.ask(ctx, d.polled)
		}
		if round > 0 {
			w.opt.Alarms.Look(ctx)
		}
		if ctx.Err() != nil {
			return false, w.over(ctx)
		}
		if err := w.decide(); err != nil || !w.done() || w.opt.Alarms.Unread() != "" {
			return false, err
		}
	}
	if w.probe != nil {
		problem := w.probe.Final()
		if ctx.Err() != nil {
			return false, w.over(ctx)
		}
		if problem != "" {
			return false, &Error{Reason: ProbeFailed, Problems: []string{problem}}
		}
	}
	return true, nil
}

// next is when there is something to do.
func (w *waiting) next() time.Time {
	next := time.Now().Add(w.opt.Interval)
	for _, t := range w.all {
		next = history.Earliest(next, t.next)
	}
	if due := w.due(); len(due) > 0 {
		next = history.Earliest(next, due[0].at)
	}
	return history.Earliest(next, w.opt.Alarms.Due())
}

// sleep waits until a time, or until the probe has something to say.
func (w *waiting) sleep(ctx context.Context, until time.Time) error {
	var alarm <-chan struct{}
	if w.probe != nil {
		alarm = w.probe.Alarm()
	}
	select {
	case <-ctx.Done():
		return w.over(ctx)
	case <-alarm:
	case <-time.After(time.Until(until)):
	}
	return nil
}

// over tells why the wait has ended: its time, naming what was missing to the
// end, or somebody's wish.
func (w *waiting) over(ctx context.Context) error {
	if !errors.Is(context.Cause(ctx), errTimeout) {
		return context.Cause(ctx)
	}
	e := &Error{Reason: TimedOut, TimedOut: true, Problems: []string{fmt.Sprintf("not done after %s", w.total)}}
	if why := w.opt.Alarms.Unread(); why != "" {
		e.Problems = append(e.Problems, why)
	}
	for _, t := range w.all {
		for _, problem := range append(judge.Causes(t.Track, time.Now()), t.verdict.Problems...) {
			if !slices.Contains(e.Problems, problem) {
				e.Problems = append(e.Problems, problem)
			}
		}
		if judge.Unbound(t.Track) {
			e.Reason = NoTargetGroup
		}
	}
	return e
}
