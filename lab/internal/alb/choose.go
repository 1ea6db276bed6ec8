// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// flight is a request under way to a target.
type flight struct {
	node   *node
	span   int // number of the registration that let it in
	cancel context.CancelCauseFunc
}

// choice is where a request goes.
type choice struct {
	group    string
	entry    *entry
	target   Target
	scheme   string
	rt       *http.Transport
	draining bool
	cookie   *http.Cookie // stickiness to hand to the client; nil: off
}

// pool holds a node's connections to one target.
type pool struct {
	node   netip.Addr
	target string
	rt     *http.Transport
}

// choose picks a target group by weight and a target in the node's view of it,
// and books the flight. ok is false when there is no target to use.
func (e *Engine) choose(n *node, ws []WeightedTargetGroup, r *http.Request, idle time.Duration, f *flight) (choice, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	arn := e.weigh(ws)
	g := e.groups[arn]
	c := choice{group: arn}
	if g == nil {
		return c, false
	}
	now := time.Now()
	list := e.view(n, g, now)
	if g.HealthCheck.Enabled {
		list = usable(list, g.minimum("count"), float64(g.minimum("percentage")))
	}
	if len(list) == 0 {
		return c, false
	}
	r2 := n.next(g, list, now)
	if g.sticky() {
		r2 = stuck(g, list, r, r2)
		c.cookie = stickyCookie(g, r2, now)
	}
	r2.flights[f] = struct{}{}
	f.span, _ = e.sees(n, r2, now)
	c.entry, c.target, c.draining, c.scheme = r2, r2.Target, r2.draining(), strings.ToLower(g.Protocol)
	c.rt = e.pool(n, c.scheme, r2.Target.addr(), idle)
	return c, true
}

func (e *Engine) release(c choice, f *flight) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(c.entry.flights, f)
	if c.draining || c.entry.draining() {
		e.wake()
	}
}

// weigh draws a group by weight; "" when all weights are zero.
func (e *Engine) weigh(ws []WeightedTargetGroup) string {
	if len(ws) == 1 {
		return ws[0].ARN
	}
	total := 0
	for _, w := range ws {
		total += max(0, w.Weight)
	}
	if total == 0 {
		return ""
	}
	at := e.rand.IntN(total)
	for _, w := range ws {
		if at -= max(0, w.Weight); at < 0 {
			return w.ARN
		}
	}
	return ""
}

// view is the node's present list of the group's targets.
func (e *Engine) view(n *node, g *group, now time.Time) []*entry {
	var out []*entry
	for _, r := range g.records {
		if !g.reaches(n, r.Target) || !g.serves(r.Target) {
			continue
		}
		if _, ok := e.sees(n, r, now); ok {
			out = append(out, r)
		}
	}
	return out
}

// sees says whether a target is in the node's list, and by which registration.
func (e *Engine) sees(n *node, r *entry, now time.Time) (number int, ok bool) {
	if len(r.Spans) == 1 && !r.draining() && now.After(r.last().From.Add(e.opt.Registration.Max)) {
		return r.last().N, true // no node can have yet to hear of it
	}
	return r.visible(now, func(s span) lags { return e.lag(n, s) })
}

// next picks by the group's algorithm: round robin, in which a target in slow
// start is passed over in part, or the target with the fewest requests in flight.
func (n *node) next(g *group, list []*entry, now time.Time) *entry {
	turn := n.turns[g.ARN]
	n.turns[g.ARN]++
	first := list[turn%uint64(len(list))]
	if g.Attributes["load_balancing.algorithm.type"] == "least_outstanding_requests" {
		best := first
		for _, r := range list {
			if len(r.flights) < len(best.flights) {
				best = r
			}
		}
		return best
	}
	slow := g.slowStart()
	for i := range list {
		r := list[(turn+uint64(i))%uint64(len(list))]
		if w := r.warmth(now, slow); w >= 1 || n.engine.rand.Float64() < w {
			return r
		}
	}
	return first
}

func (g *group) minimum(unit string) int {
	n, err := strconv.Atoi(g.Attributes["target_group_health.unhealthy_state_routing.minimum_healthy_targets."+unit])
	if err != nil {
		return 0 // absent or "off"
	}
	return n
}

func (g *group) sticky() bool {
	t := g.Attributes["stickiness.type"]
	return g.Attributes["stickiness.enabled"] == "true" && (t == "" || t == "lb_cookie")
}

// stuck is the target that the client's cookie names, if it may still be used.
func stuck(g *group, list []*entry, r *http.Request, otherwise *entry) *entry {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return otherwise
	}
	for _, t := range list {
		if c.Value == cookieValue(g, t) {
			return t
		}
	}
	return otherwise
}

const cookieName = "AWSALB"

func cookieValue(g *group, r *entry) string {
	return strconv.FormatUint(hash(g.ARN, r.Target.addr()), 16)
}

func stickyCookie(g *group, r *entry, now time.Time) *http.Cookie {
	last := seconds(g.Attributes, "stickiness.lb_cookie.duration_seconds", DefaultStickiness)
	return &http.Cookie{Name: cookieName, Value: cookieValue(g, r), Path: "/", Expires: now.Add(last)}
}

// pool gives the node's connections to a target, kept alive for the idle timeout.
func (e *Engine) pool(n *node, scheme, target string, idle time.Duration) *http.Transport {
	key := n.addr.String() + " " + scheme + " " + target + " " + idle.String()
	p := e.pools[key]
	if p == nil {
		p = &pool{node: n.addr, target: target, rt: &http.Transport{
			DialContext:            e.dial,
			DisableCompression:     true,
			MaxIdleConnsPerHost:    1 << 16,
			IdleConnTimeout:        idle,
			TLSClientConfig:        &tls.Config{InsecureSkipVerify: true}, // the real one does not verify targets either
			TLSHandshakeTimeout:    HandshakeTimeout,
			MaxResponseHeaderBytes: MaxResponseHead,
		}}
		e.pools[key] = p
	}
	return p.rt
}

// dropPools closes connections to targets that no group lists any more.
func (e *Engine) dropPools() {
	listed := map[string]bool{}
	for _, g := range e.groups {
		for _, r := range g.records {
			listed[r.Target.addr()] = true
		}
	}
	for key, p := range e.pools {
		if !listed[p.target] {
			p.rt.CloseIdleConnections()
			delete(e.pools, key)
		}
	}
}
