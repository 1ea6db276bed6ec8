// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/attribute"
	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// refusal ends what is said of a value that can be read, but that is not taken.
const refusal = ": it is refused, and the controller updates nothing of this load balancer"

// values judges what is written of a target group by what the controller and ELBv2 take.
func (a *Checker) values(t *graph.TargetGroup) {
	types := []string{"", "ip", "instance"}
	if t.Maker == graph.ByHand { // of a Network Load Balancer in front of another
		types = append(types, "alb")
	}
	if !slices.Contains(types, t.Type.Value) {
		a.Find("OL046", t.Type.Object, t.Type.Field, fmt.Sprintf("%q is no target type"+refusal, t.Type.Value), "write ip, or instance")
	}
	a.ports(t)
	a.health(t)
	a.algorithm(t)
	if seconds, on, field, err := t.IdleTimeout(); err == nil && on != nil && t.Balancer != drain.NLB {
		a.within(on, field, attribute.IdleTimeout, seconds, 1, 4000)
	}
}

// within asks for a number between two limits.
func (a *Checker) within(on *yaml.RNode, field, what string, have, least, most int) {
	if have < least || have > most {
		a.Find("OL046", on, field, fmt.Sprintf("%s is %d, outside of %d to %d"+refusal, what, have, least, most), fmt.Sprintf("write a number from %d to %d", least, most))
	}
}

// ports looks for those that a route names and the Service lacks. Their names hold a letter.
func (a *Checker) ports(t *graph.TargetGroup) {
	named, field := t.Ports, "spec"
	if t.Maker == graph.ByHand {
		named, field = []string{node.Str(t.Route, "spec", "serviceRef", "port")}, "spec.serviceRef.port"
	}
	var has []string
	for _, p := range node.Elements(t.Service, "spec", "ports") {
		has = append(has, node.Str(p, "port"))
		if name := node.Str(p, "name"); name != "" {
			has = append(has, name)
		}
	}
	for _, port := range named {
		if port != "" && len(has) > 0 && !slices.Contains(has, port) {
			a.Find("OL046", t.Route, field, fmt.Sprintf("it names the port %s of %s, which has %s"+refusal, port, node.ID(t.Service), strings.Join(has, ", ")), "name a port of the Service: a number of its port fields, or a name")
		}
	}
}

// health: an Application Load Balancer waits for less than its interval, a Network Load
// Balancer for no more.
func (a *Checker) health(t *graph.TargetGroup) {
	of := map[string]string{}
	switch t.Maker {
	case graph.ByIngress:
		of = map[string]string{"interval": "healthcheck-interval-seconds", "timeout": "healthcheck-timeout-seconds", "healthy": "healthy-threshold-count", "unhealthy": "unhealthy-threshold-count"}
	case graph.ByService:
		of = map[string]string{"interval": "healthcheck-interval", "timeout": "healthcheck-timeout", "healthy": "healthcheck-healthy-threshold", "unhealthy": "healthcheck-unhealthy-threshold"}
	default: // the API server knows the limits of the controller's own resources
		return
	}
	where := func(what string) graph.Written { return asked(t, of[what]) }
	for _, l := range []struct {
		what              string
		have, least, most int
	}{{"interval", t.Health.Interval, 5, 300}, {"timeout", t.Health.Timeout, 2, 120}, {"healthy", t.Health.Healthy, 2, 10}, {"unhealthy", t.Health.Unhealthy, 2, 10}} {
		if w := where(l.what); l.have != 0 {
			a.within(w.Object, w.Field, of[l.what], l.have, l.least, l.most)
		}
	}
	h := t.Health.OrDefaults(t.Maker)
	if h.Timeout < h.Interval || h.Timeout == h.Interval && t.Maker == graph.ByService {
		return
	}
	w := where("timeout")
	if t.Health.Timeout == 0 {
		w = where("interval")
	}
	a.Find("OL046", w.Object, w.Field, fmt.Sprintf("the health check waits for %d s (%s), which is too long for an interval of %d s (%s)"+refusal, h.Timeout, of["timeout"], h.Interval, of["interval"]),
		"write a timeout below the interval")
}

// asked is where something of the health check is written, or would be.
func asked(t *graph.TargetGroup, annotation string) graph.Written {
	switch t.Maker {
	case graph.ByIngress:
		return t.Annotated(annotation)
	case graph.ByService:
		return graph.Written{Object: t.Service, Field: node.Path([]string{"metadata", "annotations", graph.NLBPrefix + annotation})}
	}
	return graph.Written{Object: t.Route} // a configuration of the controller's own may be anywhere
}

// algorithm: only round robin can send a reduced share.
func (a *Checker) algorithm(t *graph.TargetGroup) {
	slow, _, err := t.Attributes.Number("slow_start.duration_seconds")
	if err != nil || slow == 0 { // what cannot be read is told elsewhere
		return
	}
	place := t.Attributes.Where("slow_start.duration_seconds")
	kind, _, _ := t.Attributes.Get("load_balancing.algorithm.type")
	a.within(place.Object, node.Path(place.Path), "slow_start.duration_seconds", slow, 30, 900)
	if kind != "" && kind != "round_robin" {
		a.Find("OL046", place.Object, node.Path(place.Path), "slow_start.duration_seconds="+strconv.Itoa(slow)+" beside load_balancing.algorithm.type="+kind+refusal, "leave out one of the two")
	}
}
