// SPDX-License-Identifier: Apache-2.0

package alb

import "time"

// Event is one thing that happened: Request or Change is set.
type Event struct {
	Time    time.Time
	Request *RequestLog   `json:",omitempty"`
	Change  *TargetChange `json:",omitempty"`
}

// TargetChange is a target's new health, also its leaving the list.
type TargetChange struct {
	TargetGroup string
	Health      TargetHealth
}

// Cause says why a request failed, in words that tell the faults apart.
type Cause string

// The causes. None: the target answered in full, or a rule did.
const (
	CauseNone           Cause = ""
	CauseConnectRefused Cause = "connect-refused" // 502: reset or refused on connect
	CauseConnectTimeout Cause = "connect-timeout" // 504: no answer to connect
	CauseTargetClosed   Cause = "target-closed"   // 502: closed or reset with the request outstanding
	CauseMalformed      Cause = "malformed"       // 502: not HTTP, or too large a head
	CauseDelayExpired   Cause = "delay-expired"   // 502: the deregistration delay ended
	CauseIdleTimeout    Cause = "idle-timeout"    // 504: silence for the idle timeout
	CauseNoTarget       Cause = "no-target"       // 503: nothing to send to
	CauseClientClosed   Cause = "client-closed"   // 460: the client went away
)

// RequestLog is one finished request, with what an access log line needs.
type RequestLog struct {
	Type         string // http, https, h2, ws or wss
	LoadBalancer string // ARN
	Listener     string // ARN
	Node         string // the node's address
	Client       string // ip:port
	Target       string // ip:port; empty: none was chosen
	TargetGroup  string // ARN; empty: none was chosen
	Created      time.Time
	// Phases in seconds, -1 when not reached: until the request was with the
	// target, until its answer began, until the answer went to the client.
	RequestTime, TargetTime, ResponseTime float64
	Status                                int   // what the client got, 460 when it had gone
	TargetStatus                          int   // 0: the target did not answer
	Received, Sent                        int64 // bytes, with the heads
	Method, URL, Proto, UserAgent         string
	TraceID, ConnTraceID                  string
	// Of a TLS connection: cipher suite, version, SNI and the certificate's ARN or "session-reused".
	Cipher, TLS, Domain, Certificate string
	Priority                         int // of the matched rule; 0 default, -1 none
	Action                           string
	RedirectURL                      string
	Cause                            Cause
	Detail                           string // of a target that did not answer, in the words of the connection to it
	Reused                           bool   // the target connection had served before
	Draining                         bool   // the target was draining when chosen
	// Truncated: the answer was broken off after its status had gone out, so the
	// client saw Status and then a closed connection.
	Truncated bool
}

// report queues a target's health for the observer: the lock is held here, and
// the observer must not be called under it.
func (e *Engine) report(g *group, r *entry, now time.Time) {
	h := notRegistered(r.Target, g.HealthCheck)
	if r.listed(now) {
		h = e.describe(g, r, now)
	}
	e.events = append(e.events, Event{Time: now, Change: &TargetChange{TargetGroup: g.ARN, Health: h}})
	e.wake()
}

// flush hands queued events over, in order.
func (e *Engine) flush() {
	e.mu.Lock()
	events := e.events
	e.events = nil
	e.mu.Unlock()
	for _, v := range events {
		e.opt.Observe(v)
	}
}
