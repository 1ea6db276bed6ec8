// SPDX-License-Identifier: Apache-2.0

// Package alb is the lab's Application Load Balancer data plane. In go target
// groups, targets and load balancers as the ELBv2 API knows them; out come
// listening sockets (one front-end node per zone, each on its own loopback
// address), proxied requests, and target health in ELBv2's words.
//
// What makes it a load balancer to learn from rather than a reverse proxy is
// its tardiness: every node hears of a registration or a deregistration after
// its own delay, so a target that the API calls draining goes on receiving
// new requests for 10 to 17 s, as was measured on the real one.
//
// Not imitated: Lambda and instance targets, gRPC and HTTP/2 towards targets,
// authentication, WAF and request rewriting; those are refused, not ignored.
// Accepted without effect: DNS failover, group and application stickiness,
// weighted_random (it is served as round robin).
package alb

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"
)

// ErrTargetGroupNotFound is wrapped by calls that name an unknown target group.
var ErrTargetGroupNotFound = errors.New("target group not found")

// Options of an Engine. The zero value behaves like the real service in real time.
type Options struct {
	// Prefix holds the loopback addresses handed out to nodes; zero: 127.80.0.0/16.
	Prefix netip.Prefix
	// Deregister is how long after DeregisterTargets a node goes on sending new
	// requests; zero: 10 to 17 s (measured in the controller's issues 2366, 905 and 1719).
	Deregister Delay
	// Registration is how long after RegisterTargets a node learns of the target; zero: 1 to 3 s.
	// The first node that does begins the health checks, so that the API may say
	// healthy before the others send to the target.
	Registration Delay
	// Jitter passes between the end of the deregistration delay and the target's
	// leaving the list; zero: 0 to 15 s, all that Outlast plans for (J).
	Jitter Delay
	// ConnectTimeout ends a TCP connect to a target with a 504; zero: 10 s, the real one's fixed value.
	ConnectTimeout time.Duration
	// Seed of every draw: equal seeds and equal calls give equal delays, by the
	// names of load balancers and the order of registrations.
	Seed uint64
	// Dialer reaches targets, for requests and health checks; nil: net.Dialer.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)
	// Listen opens a node's socket; nil: net.Listen.
	Listen func(network, addr string) (net.Listener, error)
	// Observe receives requests and target state changes; nil: nobody does. It is
	// called from many goroutines, never under a lock of the engine, and must not block for long.
	Observe func(Event)
}

// Delay is a range of durations from which one is drawn uniformly, both ends included.
type Delay struct{ Min, Max time.Duration }

// Target of a target group. ID is an IP address.
type Target struct {
	ID   string
	Port int    // zero: the group's port
	AZ   string // zone; empty or "all": every zone
}

// HealthCheck of a target group, as ELBv2 spells its parts.
type HealthCheck struct {
	Enabled            bool
	Protocol           string // HTTP or HTTPS; empty: the group's
	Port               string // "traffic-port" (or empty), or a number
	Path               string // empty: /
	Matcher            string // "200", "200,202" or "200-399"; empty: 200
	Interval           time.Duration
	Timeout            time.Duration
	HealthyThreshold   int
	UnhealthyThreshold int
}

// TargetGroup without its targets. Attributes that matter here:
// deregistration_delay.timeout_seconds, slow_start.duration_seconds, load_balancing.algorithm.type,
// load_balancing.cross_zone.enabled, stickiness.* of type lb_cookie, and
// target_group_health.unhealthy_state_routing.minimum_healthy_targets.*.
type TargetGroup struct {
	ARN, Name, Protocol, ProtocolVersion, TargetType string
	Port                                             int
	HealthCheck                                      HealthCheck
	Attributes                                       map[string]string
}

// TargetHealth is one row of DescribeTargetHealth.
type TargetHealth struct {
	Target                     Target
	HealthCheckPort            string
	State, Reason, Description string
}

// Action of a rule; the last one of a rule decides.
type Action struct {
	Type          string // forward, fixed-response or redirect
	TargetGroups  []WeightedTargetGroup
	FixedResponse *FixedResponse
	Redirect      *Redirect
}

// WeightedTargetGroup is one receiver of a forward action. A single group
// receives everything, whatever its weight.
type WeightedTargetGroup struct {
	ARN    string
	Weight int
}

// FixedResponse is answered by the node itself.
type FixedResponse struct {
	StatusCode        int
	ContentType, Body string
}

// Redirect fields may hold #{protocol}, #{host}, #{port}, #{path} and #{query};
// an empty field keeps the request's value.
type Redirect struct {
	Protocol, Host, Port, Path, Query string
	StatusCode                        int
}

// Condition of a rule: one of Values (or of Query for query-string) must match.
type Condition struct {
	Field  string // host-header, path-pattern, http-header, http-request-method, query-string or source-ip
	Name   string // the header of http-header
	Values []string
	Query  [][2]string // key (may be empty) and value
}

// Rule of a listener. Priority 0 is the default rule.
type Rule struct {
	Priority   int
	Conditions []Condition
	Actions    []Action
}

// Certificate of an HTTPS listener, PEM encoded, with its chain behind it; the first one is the default.
type Certificate struct {
	ARN       string
	Cert, Key []byte `json:"-"`
}

// Listener of a load balancer. Protocol is HTTP or HTTPS, Policy the security
// policy of an HTTPS one (empty: the service's default).
type Listener struct {
	ARN, Protocol string
	Policy        string
	Port          int
	Rules         []Rule
	Certificates  []Certificate
}

// LoadBalancer with everything its nodes need. Attributes that matter here:
// idle_timeout.timeout_seconds, client_keep_alive.seconds, routing.http2.enabled.
type LoadBalancer struct {
	ARN, Name, DNSName, Scheme string
	Zones                      []string // one node each
	Attributes                 map[string]string
	Listeners                  []Listener
}

func (o Options) withDefaults() Options {
	if !o.Prefix.IsValid() {
		o.Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 80, 0, 0}), 16)
	}
	o.Deregister = o.Deregister.or(10*time.Second, 17*time.Second)
	o.Registration = o.Registration.or(time.Second, 3*time.Second)
	o.Jitter = o.Jitter.or(0, 15*time.Second)
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = ConnectTimeout
	}
	if o.Dialer == nil {
		o.Dialer = (&net.Dialer{}).DialContext
	}
	if o.Listen == nil {
		o.Listen = net.Listen
	}
	if o.Observe == nil {
		o.Observe = func(Event) {}
	}
	return o
}

func (d Delay) or(low, high time.Duration) Delay {
	if d == (Delay{}) {
		return Delay{low, high}
	}
	d.Max = max(d.Min, d.Max)
	return d
}

// draw gives the same delay for the same seed and words every time, so a
// node's lag is a property of the change and needs no storage.
func (d Delay) draw(seed uint64, words ...string) time.Duration {
	if d.Max <= d.Min {
		return d.Min
	}
	r := rand.New(rand.NewPCG(seed, hash(words...)))
	return d.Min + time.Duration(r.Int64N(int64(d.Max-d.Min)+1))
}
