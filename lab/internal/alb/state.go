// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"fmt"
	"net"
	"strconv"
	"time"
)

// States and reasons, spelt as ELBv2 spells them.
const (
	stateInitial     = "initial"
	stateHealthy     = "healthy"
	stateUnhealthy   = "unhealthy"
	stateDraining    = "draining"
	stateUnused      = "unused"
	stateUnavailable = "unavailable"

	reasonRegistering   = "Elb.RegistrationInProgress"
	reasonFirstCheck    = "Elb.InitialHealthChecking"
	reasonMismatch      = "Target.ResponseCodeMismatch"
	reasonTimeout       = "Target.Timeout"
	reasonFailed        = "Target.FailedHealthChecks"
	reasonDeregistering = "Target.DeregistrationInProgress"
	reasonNotRegistered = "Target.NotRegistered"
	reasonNotInUse      = "Target.NotInUse"
	reasonDisabled      = "Target.HealthCheckDisabled"
)

// span is one registration of a target. Until is zero while it lasts.
type span struct {
	From, Until time.Time
	N           int // distinguishes this registration's draws from the next one's
}

// lags are the delays with which one node hears of a span's two ends.
type lags struct{ register, deregister time.Duration }

// window is when one node has the target in its list by one span. until is
// zero while the target is registered.
type window struct {
	span
	from, until time.Time
}

// record is what the engine knows of one target of one group. It is a value:
// the functions below return what it becomes.
type record struct {
	Target Target
	// Spans are one a registration. Those before the last stay for as long as a
	// node has not heard of their end, or a request that they let in may be in flight.
	Spans  []span
	Gone   time.Time // when a draining target leaves the list; zero while registered
	Health string    // healthy, unhealthy or initial: the result of checks, also while draining
	Reason string    // of an unhealthy Health
	Detail string
	Passed int // checks passed in a row
	Failed int // checks failed in a row
	// Warming is when slow start began; zero: it is off, or this target is exempt.
	Warming time.Time
}

func (t Target) addr() string { return net.JoinHostPort(t.ID, strconv.Itoa(t.Port)) }

func newRecord(t Target, now time.Time, n int) record {
	return record{Target: t, Spans: []span{{From: now, N: n}}, Health: stateInitial}
}

func (r record) last() span { return r.Spans[len(r.Spans)-1] }

// warmth is the part of its full share, 0 to 1, that a target in slow start
// gets: it grows evenly over the duration.
func (r record) warmth(now time.Time, duration time.Duration) float64 {
	if r.Warming.IsZero() || r.Health != stateHealthy || duration <= 0 {
		return 1
	}
	return min(1, float64(now.Sub(r.Warming))/float64(duration))
}

func (r record) draining() bool { return !r.last().Until.IsZero() }

// deregister ends the registration at now; the target stays listed for delay and jitter.
func (r record) deregister(now time.Time, delay, jitter time.Duration) record {
	r.Spans = append([]span(nil), r.Spans...)
	r.Spans[len(r.Spans)-1].Until = now
	r.Gone = now.Add(delay + jitter)
	return r
}

// register puts a draining target back: it starts again as a new one.
func (r record) register(now time.Time, n int) record {
	old := r.Spans
	r = newRecord(r.Target, now, n)
	r.Spans = append(append([]span(nil), old...), r.Spans...)
	return r
}

// windows are a node's, one a span. A node does one after the other what it is
// told of a target: a target that is put back while it drains is taken up again
// only when the node has dropped it, and then as late as a new one. That is the
// harm of not waiting for the delay, as AWS asks for; how it shows there is not
// documented.
func (r record) windows(lag func(span) lags) []window {
	out := make([]window, len(r.Spans))
	var done time.Time // with what came before
	for i, s := range r.Spans {
		l := lag(s)
		out[i] = window{span: s, from: later(s.From, done).Add(l.register)}
		if !s.Until.IsZero() {
			out[i].until = s.Until.Add(l.deregister)
			done = later(done, out[i].until)
		}
	}
	return out
}

// visible says whether a node has the target in its list at now, and by which
// span's number.
func (r record) visible(now time.Time, lag func(span) lags) (n int, ok bool) {
	for _, w := range r.windows(lag) {
		if !now.Before(w.from) && (w.until.IsZero() || now.Before(w.until)) {
			return w.N, true
		}
	}
	return 0, false
}

// cutAt is when a node ends what is still in flight by a span that has ended: when
// the delay is over, but not before the node has heard of the deregistration.
func (w window) cutAt(delay time.Duration) time.Time { return later(w.Until.Add(delay), w.until) }

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// result of one health check; an empty reason is a pass.
type result struct{ reason, detail string }

// checked is the record after one more health check. One pass is enough for a
// new target, the healthy threshold only counts for an unhealthy one.
func (r record) checked(c result, hc HealthCheck) record {
	if c.reason == "" {
		r.Passed, r.Failed = r.Passed+1, 0
		if r.Health == stateInitial || r.Passed >= max(1, hc.HealthyThreshold) {
			r.Health, r.Reason, r.Detail = stateHealthy, "", ""
		}
		return r
	}
	r.Passed, r.Failed = 0, r.Failed+1
	if r.Health == stateUnhealthy || r.Failed >= max(1, hc.UnhealthyThreshold) {
		r.Health, r.Reason, r.Detail = stateUnhealthy, c.reason, c.detail
	}
	return r
}

// describe is the target's row in DescribeTargetHealth. inUse: a listener of a
// load balancer in the target's zone forwards to the group. heard is when the
// first node takes the target up, which ends the registration for the API.
func (r record) describe(now time.Time, inUse bool, heard time.Time, hc HealthCheck) TargetHealth {
	h := TargetHealth{Target: r.Target, HealthCheckPort: hc.portOf(r.Target)}
	switch {
	case r.draining():
		h.State, h.Reason, h.Description = stateDraining, reasonDeregistering, "Target deregistration is in progress"
	case !inUse:
		h.State, h.Reason = stateUnused, reasonNotInUse
		h.Description = "Target group is not configured to receive traffic from the load balancer"
	case !hc.Enabled:
		h.State, h.Reason, h.Description = stateUnavailable, reasonDisabled, "Health checks are not enabled for this target"
	case r.Health == stateInitial && now.Before(heard):
		h.State, h.Reason, h.Description = stateInitial, reasonRegistering, "Target registration is in progress"
	case r.Health == stateInitial:
		h.State, h.Reason, h.Description = stateInitial, reasonFirstCheck, "Initial health checks in progress"
	case r.Health == stateUnhealthy:
		h.State, h.Reason, h.Description = stateUnhealthy, r.Reason, r.Detail
	default:
		h.State = stateHealthy
	}
	return h
}

func notRegistered(t Target, hc HealthCheck) TargetHealth {
	return TargetHealth{
		Target: t, HealthCheckPort: hc.portOf(t), State: stateUnused, Reason: reasonNotRegistered,
		Description: "Target is not registered to the target group",
	}
}

func (hc HealthCheck) portOf(t Target) string {
	if hc.Port == "" || hc.Port == "traffic-port" {
		return strconv.Itoa(t.Port)
	}
	return hc.Port
}

// usable picks from a node's visible targets those that may get a request.
// With fewer healthy ones than the group asks for (by count or by share), all
// checked ones are: that is fail-open. A target still in its first checks never is.
func usable(visible []*entry, minCount int, minPercent float64) []*entry {
	var healthy, checked []*entry
	for _, r := range visible {
		switch r.Health {
		case stateHealthy:
			healthy = append(healthy, r)
			checked = append(checked, r)
		case stateUnhealthy:
			checked = append(checked, r)
		}
	}
	share := 100 * float64(len(healthy)) / max(1, float64(len(visible)))
	if len(healthy) < max(1, minCount) || share < minPercent {
		return checked
	}
	return healthy
}

func mismatch(code int) result {
	return result{reasonMismatch, fmt.Sprintf("Health checks failed with these codes: [%d]", code)}
}
