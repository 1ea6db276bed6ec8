// SPDX-License-Identifier: Apache-2.0

package accesslog

import "time"

// Class is what a line says went wrong.
type Class string

// The classes of the lines. One line cannot tell TargetClosed from
// DelayExpired: both cut a request that was outstanding. Known.DelayEnds does.
const (
	OK             Class = "ok"              // no 5xx, and the client stayed
	ConnectReset   Class = "connect-reset"   // 502: the process is gone, its address is not
	ConnectTimeout Class = "connect-timeout" // 504: the address is gone and nothing answers
	IdleTimeout    Class = "idle-timeout"    // 504: silence for the idle timeout
	TargetClosed   Class = "target-closed"   // 502: closed with the request outstanding
	DelayExpired   Class = "delay-expired"   // 502: the deregistration delay ended first
	NoTarget       Class = "no-target"       // 503: nothing to send to
	ClientGone     Class = "client-gone"     // 460
	Application    Class = "application"     // 5xx of the target's own
	Other          Class = "other"           // none of these rules knows it
)

// Known is what may be known besides the line.
type Known struct {
	// DelayEnds is when the deregistration delay of the line's target ended;
	// zero: it is not known or the target was not deregistered.
	DelayEnds time.Time
}

// ConnectLimit is not configurable; user guide, troubleshooting page, HTTP 504.
const ConnectLimit = 10 * time.Second

const (
	// A connect that is refused takes a round trip, not seconds.
	soon = time.Second
	// How far a timer's end may be from its second.
	slack = 2 * time.Second
)

// Duration is the time from the request's arrival to the end of its answer.
func (e Entry) Duration() time.Duration { return e.Time.Sub(e.Created) }

// Diagnose finds the class of a line.
func (e Entry) Diagnose(k Known) Class {
	sent := e.RequestTime >= 0
	none := !sent && e.TargetTime < 0 && e.ResponseTime < 0
	took := e.Duration()
	switch {
	case e.Status == 460:
		return ClientGone
	case e.Status < 500:
		return OK
	case e.TargetStatus == e.Status:
		return Application
	case e.TargetStatus != 0:
		return Other
	case e.Status == 503 && none && e.Target == "":
		return NoTarget
	case e.Status == 502 && none && e.Target != "" && took < soon:
		return ConnectReset
	case e.Status == 504 && none && e.Target != "" && near(took, ConnectLimit):
		return ConnectTimeout
	case e.Status == 504 && sent && e.ResponseTime < 0:
		return IdleTimeout
	case e.Status == 502 && sent && e.ResponseTime < 0:
		if !k.DelayEnds.IsZero() && near(e.Time.Sub(k.DelayEnds), 0) {
			return DelayExpired
		}
		return TargetClosed
	}
	return Other
}

func near(a, b time.Duration) bool { return (a - b).Abs() <= slack }
