// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/outlast-ci/outlast/core/drain"
)

// What the simulated balancer does at most, in seconds. P and J are the planning
// values of package drain; that a target which is shown as healthy is routed to by
// all nodes within minReadySeconds is what F12 rests on.
const (
	propagation = 30 // P: nodes go on sending new requests to a target that was deregistered
	jitter      = 15 // J: a target is listed for longer than its deregistration delay
	arrival     = 15 // nodes begin to send to a target that is shown as healthy
	departure   = 3  // nodes cease to send to one that is shown as unhealthy
	interval    = 15 // h, with 2 checks in a row either way
	stale       = 3  // age of an answer of the ELB API
	lag         = 2  // age of an answer of the API server
)

var never = math.Inf(1)

// span is a time, in seconds since the rollout began.
type span struct{ from, to float64 }

func (s span) holds(at float64) bool { return s.from <= at && at < s.to }

// registration is what becomes of a pod's address in one target group.
type registration struct {
	made, ended, gone float64 // RegisterTargets, DeregisterTargets, and listed no more
	healthy           []span  // by the API's word, while it is registered
	arrives, leaves   []float64
	quits             []float64 // of each node: after ended
}

// state is what DescribeTargetHealth says.
func (r registration) state(at float64) string {
	switch {
	case at < r.made || at >= r.gone:
		return ""
	case at >= r.ended:
		return "draining"
	case slices.ContainsFunc(r.healthy, func(s span) bool { return s.holds(at) }):
		return "healthy"
	case len(r.healthy) > 0 && at >= r.healthy[0].to:
		return "unhealthy"
	}
	return "initial"
}

// routes is the truth: whether a node may send a new request to the address.
func (r registration) routes(node int, at float64) bool {
	if at >= r.ended {
		return at < r.ended+r.quits[node] && r.state(math.Nextafter(r.ended, 0)) != "initial"
	}
	for _, s := range r.healthy {
		if at >= s.from+r.arrives[node] && at < min(s.to, r.ended)+r.leaves[node] {
			return true
		}
	}
	return false
}

// life is one pod's.
type life struct {
	name, ip                string
	old, stranger, sibling  bool // stranger: of nobody behind the Service; sibling: of another workload behind it
	created, ready, deleted float64
	exits, gone             float64 // its process, its object
	gated                   bool    // it has readiness gates
	open                    float64 // when they are True, by the controller's word
	in                      []registration
}

// isReady is the pod's condition.
func (p *life) isReady() float64 {
	if p.gated {
		return max(p.ready, p.open)
	}
	return p.ready
}

// sim is one rollout with its truth, as it was going to happen from the start.
type sim struct {
	rng     *rand.Rand
	began   time.Time
	plan    drain.Plan
	delay   float64 // deregistration delay of the groups
	told    bool    // and it can be read
	nodes   int
	groups  int
	desired int
	pods    []*life
	stalls  []span // of the controller: it does nothing
	mute    []span // of the ELB API: it is throttled
	outages []span // of the API server
	misses  float64
	stale   float64              // greatest age of an answer of the ELB API
	lag     float64              // and of the API server's
	checks  int                  // that a new target has to pass: one, as AWS documents it for an ALB
	ask     func(calls int) bool // whether the ELB API takes calls; nil: it does
	asked   func(at float64)     // told of each call for the health of targets; may be nil
}

func (s *sim) between(a, b float64) float64 { return a + s.rng.Float64()*(b-a) }
func (s *sim) chance(p float64) bool        { return s.rng.Float64() < p }

// now is the time of the simulation, as old as an answer may be.
func (s *sim) now(age float64) float64 {
	return time.Since(s.began).Seconds() - s.between(0, age)
}

// acts is when the controller does what is due: not while it stalls.
func (s *sim) acts(due float64) float64 {
	at := due + s.between(0.3, 3)
	for _, stall := range s.stalls {
		if stall.holds(at) {
			at = stall.to + s.between(0.3, 3)
		}
	}
	return at
}

// pod makes one whose containers become ready, and registers it.
func (s *sim) pod(name, ip string, created, ready float64) *life {
	p := &life{name: name, ip: ip, created: created, ready: ready, deleted: never, exits: never, gone: never}
	s.pods = append(s.pods, p)
	return p
}

// register makes a pod a target of every group, with health that may flap.
func (s *sim) register(p *life, flaps float64) {
	for range s.groups {
		r := registration{made: s.acts(p.ready), ended: never, gone: never}
		for range s.nodes {
			r.arrives, r.leaves, r.quits = append(r.arrives, s.between(0, arrival)), append(r.leaves, s.between(0, departure)), append(r.quits, s.between(0, propagation))
		}
		for from := r.made + s.between(0, interval) + float64(s.checks-1)*interval; ; {
			to := never
			if s.chance(flaps) {
				to = from + s.between(1, 200)
			}
			if r.healthy = append(r.healthy, span{from, to}); to == never {
				break
			}
			from = to + s.between(2*interval, 6*interval)
		}
		p.in = append(p.in, r)
		p.open = max(p.open, s.acts(r.healthy[0].from+s.between(0, interval)))
	}
}

// remove deletes a pod: its hook runs, the controller deregisters it, its process ends.
func (s *sim) remove(p *life, at, hook float64) {
	p.deleted = at
	p.exits = at + hook + s.between(0, 5)
	p.gone = p.exits + s.between(0.2, 2)
	for g := range p.in {
		r := &p.in[g]
		r.ended = max(s.acts(at), r.made)
		r.gone = r.ended + s.delay + s.between(0, jitter)
	}
}

// serves is the truth about a new pod: all nodes send to it, in all groups.
func (s *sim) serves(p *life, at float64) bool {
	for _, r := range p.in {
		for node := range s.nodes {
			if !r.routes(node, at) {
				return false
			}
		}
	}
	return true
}

// addressed tells whether a node may send to a pod's address on its behalf.
func (s *sim) addressed(p *life, at float64) bool {
	for _, r := range p.in {
		for node := range s.nodes {
			if r.routes(node, at) {
				return true
			}
		}
	}
	return false
}

// owner is the pod that has the address of another one by a time and is a target itself.
func (s *sim) owner(of *life, at float64) *life {
	for _, p := range s.pods {
		if p != of && p.ip == of.ip && p.created > of.created && at >= p.ready && at < p.gone && !p.stranger {
			return p
		}
	}
	return nil
}

func (s *sim) Get(_ context.Context, _, kind, _, name string) (*unstructured.Unstructured, error) {
	at := s.now(s.lag)
	if s.fails(at) {
		return nil, errors.New("the API server does not answer")
	}
	updated, ready, available, total := 0, 0, 0, 0
	for _, p := range s.pods {
		if p.stranger || p.sibling || at < p.created || at >= p.deleted {
			continue
		}
		total++
		if !p.old {
			updated++
		}
		if at >= p.isReady() {
			ready++
		}
		if at >= p.isReady()+s.plan.MinReady.Duration().Seconds() {
			available++
		}
	}
	return object("Deployment", "web", map[string]any{
		"metadata": map[string]any{"generation": int64(2), "annotations": map[string]any{"deployment.kubernetes.io/revision": "2"}},
		"spec": map[string]any{"replicas": int64(s.desired), "minReadySeconds": int64(s.plan.MinReady), "selector": map[string]any{"matchLabels": map[string]any{"app": "web"}},
			"strategy": map[string]any{"rollingUpdate": map[string]any{"maxUnavailable": int64(0)}}, "template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": "web"}}}},
		"status": map[string]any{"observedGeneration": int64(2), "replicas": int64(total), "updatedReplicas": int64(updated), "readyReplicas": int64(ready), "availableReplicas": int64(available)},
	}), nil
}

// fails tells whether an API server's answer is lost.
func (s *sim) fails(at float64) bool {
	return s.chance(s.misses/5) || slices.ContainsFunc(s.outages, func(o span) bool { return o.holds(at) })
}

func (s *sim) List(_ context.Context, version, kind, _, selector string) (items []unstructured.Unstructured, err error) {
	at := s.now(s.lag)
	if s.fails(at) {
		return nil, errors.New("the API server does not answer")
	}
	switch kind {
	case "ReplicaSet":
		for i, name := range []string{"old", "new"} {
			items = append(items, *object(kind, name, map[string]any{"metadata": map[string]any{
				"annotations": map[string]any{"deployment.kubernetes.io/revision": fmt.Sprint(i + 1)}, "labels": map[string]any{"pod-template-hash": name},
				"ownerReferences": []any{map[string]any{"uid": "Deployment-web"}}}}))
		}
	case "Pod":
		for _, p := range s.pods {
			if at >= p.created && at < p.gone && !p.stranger {
				items = append(items, *s.object(p, at))
			}
		}
	case "Service":
		items = append(items, *object(kind, "web", map[string]any{"spec": map[string]any{"selector": map[string]any{"app": "web"}, "ports": []any{map[string]any{"port": int64(80), "targetPort": int64(8080)}}}}))
	case "TargetGroupBinding":
		if version == "eks.amazonaws.com/v1" {
			return nil, &meta.NoKindMatchError{GroupKind: schema.GroupKind{Kind: kind}}
		}
		for g := range s.groups {
			items = append(items, *object(kind, fmt.Sprint("tg", g), map[string]any{"spec": map[string]any{"targetGroupARN": fmt.Sprint("arn", g), "targetType": "ip", "serviceRef": map[string]any{"name": "web", "port": int64(80)}}}))
		}
	}
	return items, nil
}

// object is a pod as the API server tells it.
func (s *sim) object(p *life, at float64) *unstructured.Unstructured {
	stamp := func(at float64) string {
		return s.began.Add(time.Duration(at * float64(time.Second))).UTC().Format(time.RFC3339)
	}
	hash, owner := "new", "ReplicaSet-new"
	switch {
	case p.sibling:
		hash, owner = "sibling", "ReplicaSet-sibling"
	case p.old:
		hash, owner = "old", "ReplicaSet-old"
	}
	about := map[string]any{"labels": map[string]any{"app": "web", "pod-template-hash": hash}, "ownerReferences": []any{map[string]any{"uid": owner}}, "creationTimestamp": stamp(p.created)}
	if at >= p.deleted {
		grace := int64(s.plan.GracePeriod)
		about["deletionTimestamp"], about["deletionGracePeriodSeconds"] = stamp(p.deleted+float64(grace)), grace
	}
	truth := func(b bool) string {
		if b {
			return "True"
		}
		return "False"
	}
	became := p.isReady()
	if at < became {
		became = p.created
	}
	conditions := []any{map[string]any{"type": "Ready", "status": truth(at >= p.isReady()), "lastTransitionTime": stamp(became)}, map[string]any{"type": "ContainersReady", "status": truth(at >= p.ready), "lastTransitionTime": stamp(p.ready)}}
	var gates []any
	for g := range p.in {
		if name := fmt.Sprint("target-health.elbv2.k8s.aws/tg", g); p.gated {
			gates = append(gates, map[string]any{"conditionType": name})
			conditions = append(conditions, map[string]any{"type": name, "status": truth(at >= p.open)})
		}
	}
	status := map[string]any{"podIP": p.ip, "conditions": conditions}
	if at >= p.exits {
		status["containerStatuses"] = []any{map[string]any{"name": "web", "state": map[string]any{"terminated": map[string]any{"finishedAt": stamp(p.exits), "exitCode": int64(0)}}}}
	}
	return object("Pod", p.name, map[string]any{"metadata": about, "status": status, "spec": map[string]any{"readinessGates": gates, "containers": []any{map[string]any{"name": "web"}}}})
}

func (s *sim) Logs(context.Context, string, string, string, int, bool) (string, error) {
	return "", errors.New("no logs here")
}

func (s *sim) TargetHealth(_ context.Context, arn string) (targets []Target, err error) {
	at := s.now(s.stale)
	if s.asked != nil {
		s.asked(at)
	}
	if s.ask != nil && !s.ask(1) || slices.ContainsFunc(s.mute, func(m span) bool { return m.holds(at) }) {
		return nil, ErrThrottled
	}
	if s.chance(s.misses) {
		return nil, errors.New("connection reset")
	}
	var g int
	fmt.Sscanf(arn, "arn%d", &g) //nolint:errcheck // it is one of ours
	for _, p := range s.pods {
		if g >= len(p.in) || p.in[g].state(at) == "" {
			continue
		}
		t := Target{ID: p.ip, Port: 8080, State: p.in[g].state(at)}
		if i := slices.IndexFunc(targets, func(have Target) bool { return have.ID == p.ip }); i >= 0 { // registered anew
			targets[i] = t
			continue
		}
		targets = append(targets, t)
	}
	return targets, nil
}

func (s *sim) TargetGroups(_ context.Context, q GroupQuery) (out []TargetGroup, err error) {
	if s.chance(s.misses) || s.ask != nil && !s.ask(1+len(q.ARNs)) {
		return nil, ErrThrottled
	}
	for _, arn := range q.ARNs {
		g := TargetGroup{ARN: arn, Protocol: "HTTP", LoadBalancers: []string{"lb"}, Interval: interval * time.Second, Timeout: 5 * time.Second, Healthy: 2, Unhealthy: 2}
		if s.told {
			g.Delay = new(drain.Seconds(s.delay))
		}
		out = append(out, g)
	}
	return out, nil
}

func (s *sim) As(context.Context, string, string) (Balancer, error) {
	return nil, errors.New("no other account here")
}
