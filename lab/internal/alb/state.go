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

// record is what the engine knows of one target of one group. It is a value:
// the functions below return what it becomes.
type record struct {
	Target Target
	// Spans overlap in their nodes' views: a target put back while draining may
	// still be in one node's list and not yet again in another's.
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

// visible says whether a node has the target in its list at now.
func (r record) visible(now time.Time, lag func(span) lags) bool {
	for _, s := range r.Spans {
		l := lag(s)
		if now.Before(s.From.Add(l.register)) {
			continue
		}
		if s.Until.IsZero() || now.Before(s.Until.Add(l.deregister)) {
			return true
		}
	}
	return false
}

// cutAt is when a node ends what is still in flight to a draining target: when
// the delay is over, but not before the node has heard of the deregistration.
func (r record) cutAt(delay time.Duration, l lags) time.Time {
	return r.last().Until.Add(max(delay, l.deregister))
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

// known says when the last of the nodes has learned of the present registration.
func (r record) known(each []lags) time.Time {
	at := r.last().From
	for _, l := range each {
		if t := r.last().From.Add(l.register); t.After(at) {
			at = t
		}
	}
	return at
}

// describe is the target's row in DescribeTargetHealth. inUse: a listener of a
// load balancer in the target's zone forwards to the group.
func (r record) describe(now time.Time, inUse bool, known time.Time, hc HealthCheck) TargetHealth {
	h := TargetHealth{Target: r.Target, HealthCheckPort: hc.portOf(r.Target)}
	switch {
	case r.draining():
		h.State, h.Reason, h.Description = stateDraining, reasonDeregistering, "Target deregistration is in progress"
	case !inUse:
		h.State, h.Reason = stateUnused, reasonNotInUse
		h.Description = "Target group is not configured to receive traffic from the load balancer"
	case !hc.Enabled:
		h.State, h.Reason, h.Description = stateUnavailable, reasonDisabled, "Health checks are not enabled for this target"
	case r.Health == stateInitial && now.Before(known):
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
