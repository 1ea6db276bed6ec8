// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"context"
	"slices"
	"strconv"
	"time"
)

// lag is what a node's view of one span lags by; it is drawn, not stored. The
// words that it is drawn by have nothing of ARNs and addresses, which another
// run of the same does not have again.
func (e *Engine) lag(n *node, s span) lags {
	draw := strconv.Itoa(s.N)
	return lags{
		register:   e.opt.Registration.draw(e.opt.Seed, "register", n.name, n.zone, draw),
		deregister: e.propagationOf(n.lb).draw(e.opt.Seed, "deregister", n.name, n.zone, draw),
	}
}

// windows are those of each node that may send to the target.
func (e *Engine) windows(g *group, r *entry) map[*node][]window {
	out := map[*node][]window{}
	for _, b := range g.users {
		for _, n := range b.nodes {
			if g.reaches(n, r.Target) {
				out[n] = r.windows(func(s span) lags { return e.lag(n, s) })
			}
		}
	}
	return out
}

// heard is when the first node takes the target up. Nothing more is needed for
// `healthy`, so that the API says it while other nodes have yet to hear.
func (e *Engine) heard(g *group, r *entry) time.Time {
	var first time.Time
	for _, ws := range e.windows(g, r) {
		if from := ws[len(ws)-1].from; first.IsZero() || from.Before(first) {
			first = from
		}
	}
	return later(first, r.last().From)
}

// tend starts and stops health checkers to fit the present state, then wakes the sweeper.
func (e *Engine) tend() {
	for _, g := range e.groups {
		for _, r := range g.records {
			e.tendOne(g, r)
		}
	}
	e.wake()
}

func (e *Engine) wake() {
	select {
	case e.poke <- struct{}{}:
	default:
	}
}

func (e *Engine) tendOne(g *group, r *entry) {
	// Nodes that have not heard of a deregistration go on checking.
	want := g.HealthCheck.Enabled && g.serves(r.Target) && e.ctx.Err() == nil && time.Now().Before(e.forgotten(g, r))
	if r.stop != nil && (!want || r.checks != g.HealthCheck) {
		r.halt()
	}
	if !g.serves(r.Target) || !g.HealthCheck.Enabled {
		r.Passed, r.Failed, r.Health = 0, 0, stateInitial
	}
	if want && r.stop == nil {
		ctx, cancel := context.WithCancel(e.ctx)
		r.stop, r.checks = cancel, g.HealthCheck
		e.wg.Go(func() { e.checkLoop(ctx, g, r) })
	}
}

// forgotten is when the last node drops a draining target from its list; the
// far future while it is registered.
func (e *Engine) forgotten(g *group, r *entry) time.Time {
	if !r.draining() {
		return time.Unix(1<<40, 0)
	}
	at := r.last().Until
	for _, ws := range e.windows(g, r) {
		at = later(at, ws[len(ws)-1].until)
	}
	return at
}

func (r *entry) halt() {
	if r.stop != nil {
		r.stop()
		r.stop = nil
	}
}

// sweepLoop does what falls due: cutting requests whose target's delay is
// over, and dropping targets that are gone.
func (e *Engine) sweepLoop() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		next := e.sweep(time.Now())
		e.flush()
		timer.Reset(time.Until(next))
		select {
		case <-e.ctx.Done():
			return
		case <-e.poke:
		case <-timer.C:
		}
	}
}

// sweep does what is due at now and says when to come again.
func (e *Engine) sweep(now time.Time) time.Time {
	next := now.Add(time.Hour)
	due := func(t time.Time) bool {
		if t.After(now) {
			if t.Before(next) {
				next = t
			}
			return false
		}
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, g := range e.groups {
		g.records = slices.DeleteFunc(g.records, func(r *entry) bool {
			if !r.draining() && len(r.Spans) == 1 {
				return false
			}
			e.cutDue(g, r, due)
			if !r.draining() {
				return false
			}
			forgotten := due(e.forgotten(g, r))
			if forgotten {
				r.halt()
			}
			gone := due(r.Gone)
			if gone && !r.goneReported {
				r.goneReported = true
				e.report(g, r, now)
			}
			return gone && forgotten && len(r.flights) == 0
		})
	}
	e.dropPools()
	return next
}

// cutDue ends the requests of every node whose time for a span is over, also
// when the target was put back since. It forgets spans that no node acts on.
func (e *Engine) cutDue(g *group, r *entry, due func(time.Time) bool) {
	each, over := e.windows(g, r), len(r.Spans)-1
	for n, ws := range each {
		for i, w := range ws {
			ended := !w.Until.IsZero() && due(w.cutAt(g.delay()))
			if ended {
				r.cut(n, w.N)
			}
			if i < len(ws)-1 && !(due(ws[i+1].from) && ended) {
				over = min(over, i)
			}
		}
	}
	r.Spans = r.Spans[over:]
}

// cut ends the requests in flight from one node, or from all when n is nil,
// that were let in by the span of this number or an earlier one.
func (r *entry) cut(n *node, upTo int) {
	for f := range r.flights {
		if (n == nil || f.node == n) && f.span <= upTo {
			f.cancel(errDelayExpired)
		}
	}
}
