// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"fmt"
	"strconv"
	"time"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/attribute"
	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// DelayAnnotation on a TargetGroupBinding, or on a workload with outlast/balancer, states
// the deregistration delay of a target group that is made elsewhere, in seconds.
const DelayAnnotation = node.OwnPrefix + "delay-seconds"

// Maker is what makes a target group, and so where its attributes are written
// and which defaults it has.
type Maker string

const (
	ByIngress Maker = "Ingress" // the controller, from an Ingress
	ByService Maker = "Service" // the controller, from a Service of type LoadBalancer
	ByGateway Maker = "Gateway" // the controller, from a route of the Gateway API
	ByHand    Maker = "hand"    // somebody else; a TargetGroupBinding names it
)

// TargetGroup is one target group that pods are registered in.
type TargetGroup struct {
	Maker    Maker
	Balancer drain.Balancer
	Route    *yaml.RNode // Ingress, Service, route or TargetGroupBinding
	Service  *yaml.RNode
	Ingress  *Ingress // of Maker Ingress
	Port     string   // of Maker Service: the port that it is for, where there are several
	Ports    []string // of Maker Ingress and Gateway: of the Service, as the route names them; each has a target group of its own; "" is one that it does not tell
	Auto     bool     // EKS Auto Mode makes it, which wants a label of its own for readiness gates
	Type     Written  // ip, instance
	Shared   Written  // true: other clusters' targets are in it, too

	Attributes attribute.Set
	Health     Health
	idle       Written // the balancer's idle timeout
}

// Written is a scalar, and where it stands.
type Written struct {
	Value  string // "": nowhere; Object and Field are where it would
	Object *yaml.RNode
	Field  string
}

// Name is how messages name the target group: what routes, and to where.
func (t *TargetGroup) Name() string {
	switch {
	case t.Port != "":
		return node.ID(t.Route) + ":" + t.Port
	case t.Route == t.Service:
		return node.ID(t.Route)
	}
	return node.ID(t.Route) + " -> " + node.ID(t.Service)
}

// Count is how many target groups these are: one for each port that is routed to.
func (t *TargetGroup) Count() (n int) {
	for _, port := range t.Ports {
		if port != "" {
			n++
		}
	}
	return max(1, n)
}

// Health is the health check as written; zero: the defaults of the Maker.
type Health struct {
	Interval, Timeout, Healthy, Unhealthy int
	Path                                  string
}

// Settle takes over a target type that no manifest says: the author's word, or what
// runs.
func (t *TargetGroup) Settle(target string) {
	if t.Type.Value == "" && target != "" {
		t.Type.Value = target
		t.Balancer = balancerOf(t.Balancer, target)
	}
}

// Drain gives the group as the arithmetic takes it. Errors are malformed
// values, on the object and field that hold them.
func (t *TargetGroup) Drain() (drain.Group, error) {
	g := drain.Group{Name: t.Name(), Balancer: t.Balancer}
	h := t.Health.OrDefaults(t.Maker)
	g.HealthInterval, g.HealthTimeout, g.HealthyCount, g.UnhealthyCount = seconds(h.Interval), seconds(h.Timeout), h.Healthy, h.Unhealthy
	delay, ok, err := t.Attributes.Number(attribute.Delay)
	if err == nil && ok {
		d := drain.Seconds(delay)
		g.Delay = &d
	}
	if err == nil && t.Maker == ByHand {
		g.Delay, err = StatedDelay(t.Route)
	}
	if err != nil {
		return g, err
	}
	slow, _, err := t.Attributes.Number("slow_start.duration_seconds")
	if err != nil {
		return g, err
	}
	g.SlowStart = seconds(slow)
	idle, _, _, err := t.IdleTimeout()
	g.IdleTimeout = seconds(idle)
	return g, err
}

// StatedDelay is the deregistration delay of a target group that is made elsewhere, as
// an annotation says; nil: it says nothing.
func StatedDelay(n *yaml.RNode) (*drain.Seconds, error) {
	text, ok := node.Annotation(n, DelayAnnotation)
	if !ok {
		return nil, nil
	}
	v, err := strconv.Atoi(text)
	if err != nil || v < 0 {
		return nil, &attribute.Malformed{Object: n, Field: annotationPath(DelayAnnotation), Err: fmt.Errorf("%q is no number of seconds", text)}
	}
	d := drain.Seconds(v)
	return &d, nil
}

// seconds of a number that is written; what no timing can be reads as none.
func seconds(n int) time.Duration {
	return time.Duration(min(max(n, 0), 1_000_000)) * time.Second
}

// OrDefaults is with what the controller, or AWS for a group made by hand, takes when
// nothing is written.
func (h Health) OrDefaults(m Maker) Health {
	def := Health{Interval: 15, Timeout: 5, Healthy: 2, Unhealthy: 2}
	switch {
	case m == ByHand:
		def = Health{Interval: 30, Timeout: 5, Healthy: 5, Unhealthy: 2}
	case m == ByGateway: // of both kinds of balancers
		def = Health{Interval: 15, Timeout: 5, Healthy: 3, Unhealthy: 3}
	case m == ByService:
		def = Health{Interval: 10, Timeout: 10, Healthy: 3, Unhealthy: 3}
	}
	for _, f := range []struct{ have, def *int }{{&h.Interval, &def.Interval}, {&h.Timeout, &def.Timeout}, {&h.Healthy, &def.Healthy}, {&h.Unhealthy, &def.Unhealthy}} {
		if *f.have == 0 {
			*f.have = *f.def
		}
	}
	return h
}

// balancerOf combines the load balancer's kind with what its targets are.
func balancerOf(kind drain.Balancer, target string) drain.Balancer {
	if target == "instance" {
		return drain.Instance
	}
	return kind
}
