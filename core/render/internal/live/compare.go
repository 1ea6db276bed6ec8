// SPDX-License-Identifier: Apache-2.0

package live

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core/drain"
	stringmap "github.com/outlast-ci/outlast/core/internal/attribute"
	"github.com/outlast-ci/outlast/core/render/internal/attribute"
	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/hook"
	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// of tells whether a target group may be the one that the manifests make.
func (g Group) of(t *graph.TargetGroup) bool {
	switch {
	case !g.serves(t.Service), g.Maker != "" && g.Maker != t.Maker, t.Maker == graph.ByHand && t.Route.GetName() != g.Binding:
		return false
	}
	return g.Maker != graph.ByIngress || g.Stack == t.Ingress.Stack()
}

// settings compares what else is written with what runs: the kind of targets, and the
// load balancer's idle timeout.
func (a *Checker) settings(w *graph.Workload, g Group) {
	for _, t := range w.Groups {
		if !g.of(t) {
			continue
		}
		if g.Maker == "" && t.Type.Value != "" && g.TargetType != "" && t.Type.Value != g.TargetType {
			p := a.Find("OL048", t.Type.Object, t.Type.Field, fmt.Sprintf("the targets of target group %s are of type %s, the manifests say %s: they were not applied, or somebody else's value wins", g.ARN, g.TargetType, t.Type.Value),
				"find out which of the two is meant: where the controller makes the target group, an apply makes another one of the other type, and deletes this one at once")
			if g.TargetType == string(drain.Instance) {
				p.Message += "; nodes are registered, not pods, so no pod that ends is ever deregistered"
			}
		}
		want, object, field, err := t.IdleTimeout()
		have, ok := g.LoadBalancer[attribute.IdleTimeout]
		if err == nil && ok && want > 0 && have != strconv.Itoa(want) {
			a.Find("OL048", object, field, fmt.Sprintf("the idle timeout of the load balancer of %s is %ss, the manifests say %ds: they were not applied, or another member of its group says otherwise", g.ARN, have, want),
				"apply the manifests, and look for the attribute in other Ingresses of the group, and in the class")
		}
	}
}

// unprotected tells of running pods that have no preStop where the manifests have one, or
// one that ends while the balancer still sends: the rollout that brings it ends them as
// they are.
func (a *Checker) unprotected(w *graph.Workload, pods []Pod, sends time.Duration) {
	var bare []string
	hooked, what := map[string]bool{}, "no preStop where the manifests have one"
	for _, c := range node.Containers(w.Spec) {
		h := hook.Read(c)
		hooked[node.Str(c, "name")] = h.Written && (!h.Known || h.Seconds.Duration() >= sends) // else it is too short itself
	}
	for _, p := range pods {
		if !slices.ContainsFunc(p.Containers, func(c Container) bool {
			short := c.Seconds > 0 && c.Seconds.Duration() < sends
			if short && hooked[c.Name] {
				what = fmt.Sprintf("a preStop of less than the %s for which the balancer may send new requests, or none, where the manifests have one that is long enough", drain.Seconds(sends/time.Second))
			}
			return hooked[c.Name] && (short || !c.PreStop)
		}) {
			continue
		}
		bare = append(bare, p.Name)
	}
	if len(bare) == 0 {
		return
	}
	names := strings.Join(bare[:min(3, len(bare))], ", ")
	if len(bare) > 3 {
		names += ", ..."
	}
	a.Find("OL053", w.RNode, "spec.template", fmt.Sprintf("%d of the %d running pods (%s) have %s: they end by what they were started with, so the rollout that replaces them loses requests", len(bare), len(pods), names, what),
		"roll out when little is asked for; every later rollout is protected")
}

// loadBalancer gives the attributes that a member of a group wants, its class's over
// those of its annotation. What is malformed wants nothing.
func (m Member) loadBalancer() map[string]string {
	out := map[string]string{}
	if attrs, err := stringmap.Parse(m.Attributes); err == nil {
		for _, a := range attrs {
			out[a.Key] = a.Value
		}
	}
	maps.Copy(out, m.Class)
	return out
}
