// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/event"
)

const (
	newIP = "10.0.0.2"
	oldIP = "10.0.0.1"
)

// behind is a Deployment of one pod behind a balancer, in strict mode: D 65, preStop 90, grace 100.
func behind() Workload {
	in := drain.Defaults()
	in.Mode = drain.Strict
	plan, err := drain.Solve(in)
	if err != nil {
		panic(err)
	}
	return Workload{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "dev", Name: "web", UID: "Deployment-web", Replaced: []Replaced{{UID: "Pod-old"}}, Generation: 2, Behind: true, Plan: plan}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is what the world looks like from a moment on.
type stage struct {
	from       int // seconds since the start
	unseen     bool
	stalled    string
	pods       string // "old new": names; "-old": terminating, "new?": not ready, "new!": crash looping
	targets    string // "old=healthy new=initial"
	unbound    bool   // no target group is bound
	noAnswer   bool   // the API server errors
	noBalancer bool   // ELBv2 errors
	slow       int    // seconds until the API server answers
	deaf       bool   // the ELB API never does
}

// world is a cluster and a balancer that change with the time.
type world struct {
	began  time.Time
	stages []stage
	mute   [2]int // seconds between which ELBv2 is throttled

	mu      sync.Mutex
	asked   []string
	refused int
}

func (w *world) now() stage {
	elapsed := int(time.Since(w.began).Seconds())
	now := w.stages[0]
	for _, s := range w.stages {
		if s.from <= elapsed {
			now = s
		}
	}
	return now
}

func (w *world) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, what)
}

var ips = map[string]string{"old": oldIP, "new": newIP}

func object(kind, name string, fields map[string]any) *unstructured.Unstructured {
	o := map[string]any{"kind": kind, "metadata": map[string]any{"name": name, "namespace": "dev", "uid": kind + "-" + name}}
	for k, v := range fields {
		if k == "metadata" {
			for mk, mv := range v.(map[string]any) {
				o["metadata"].(map[string]any)[mk] = mv
			}
			continue
		}
		o[k] = v
	}
	return &unstructured.Unstructured{Object: o}
}

func (w *world) Get(ctx context.Context, _, kind, _, name string) (*unstructured.Unstructured, error) {
	s := w.now()
	w.note("get " + kind)
	for waited := 0; waited < w.now().slow; waited++ {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
	s = w.now()
	if s.noAnswer {
		return nil, errors.New("the API server does not answer")
	}
	if name == "absent" {
		return nil, nil
	}
	fresh, all, ready := 0, 0, 0
	for _, p := range strings.Fields(s.pods) {
		if strings.HasPrefix(p, "-") {
			continue
		}
		all++
		if strings.HasPrefix(p, "new") {
			fresh++
			if p == "new" {
				ready++
			}
		} else {
			ready++
		}
	}
	observed := int64(2)
	if s.unseen {
		observed = 1
	}
	conditions := []any{}
	if s.stalled != "" {
		conditions = append(conditions, map[string]any{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": s.stalled})
	}
	labels := map[string]any{"app": "web"}
	return object("Deployment", "web", map[string]any{
		"metadata": map[string]any{"generation": int64(2), "annotations": map[string]any{"deployment.kubernetes.io/revision": "2"}},
		"spec":     map[string]any{"replicas": int64(1), "selector": map[string]any{"matchLabels": labels}, "template": map[string]any{"metadata": map[string]any{"labels": labels}}},
		"status": map[string]any{"observedGeneration": observed, "replicas": int64(all), "updatedReplicas": int64(fresh), "readyReplicas": int64(ready), "availableReplicas": int64(ready),
			"conditions": conditions},
	}), nil
}

func (w *world) List(ctx context.Context, version, kind, _, _ string) ([]unstructured.Unstructured, error) {
	s := w.now()
	w.note("list " + kind)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var items []unstructured.Unstructured
	switch kind {
	case "ReplicaSet":
		for i, name := range []string{"old", "new"} {
			items = append(items, *object(kind, name, map[string]any{"metadata": map[string]any{
				"annotations": map[string]any{"deployment.kubernetes.io/revision": fmt.Sprint(i + 1)}, "labels": map[string]any{"pod-template-hash": name},
				"ownerReferences": []any{map[string]any{"uid": "Deployment-web"}}}}))
		}
	case "Pod":
		for _, p := range strings.Fields(s.pods) {
			items = append(items, *w.pod(p))
		}
	case "Service":
		items = append(items, *object(kind, "web", map[string]any{"spec": map[string]any{"selector": map[string]any{"app": "web"}, "ports": []any{map[string]any{"port": int64(80), "targetPort": "http"}}}}),
			*object(kind, "other", map[string]any{"spec": map[string]any{"selector": map[string]any{"app": "other"}, "ports": []any{map[string]any{"port": int64(80)}}}}),
			*object(kind, "headless", map[string]any{"spec": map[string]any{"selector": map[string]any{}, "ports": []any{map[string]any{"port": int64(80)}}}}))
	case "TargetGroupBinding":
		if version == "eks.amazonaws.com/v1" { // not EKS Auto Mode
			return nil, &meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: "eks.amazonaws.com", Kind: kind}}
		}
		if !s.unbound {
			binding := func(service string) unstructured.Unstructured {
				return *object(kind, service, map[string]any{"spec": map[string]any{"targetGroupARN": "arn:" + service, "targetType": "ip", "serviceRef": map[string]any{"name": service, "port": int64(80)}}})
			}
			unmade := binding("web") // the controller has not made its target group yet
			unmade.Object["spec"].(map[string]any)["targetGroupARN"] = ""
			items = append(items, binding("web"), binding("other"), binding("headless"), unmade)
		}
	case "Event":
		items = append(items, *object(kind, "e", map[string]any{"type": "Warning", "reason": "BackOff", "message": "restarting", "count": int64(4), "involvedObject": map[string]any{"name": "new", "uid": "Pod-new"}}))
		for message, ago := range map[string]time.Duration{"Scaled up replica set web-old": 10 * time.Minute, "Scaled up replica set web-new": 5 * time.Second} { // by another deploy, and by this one
			items = append(items, *object(kind, "e", map[string]any{"type": "Normal", "reason": "ScalingReplicaSet", "message": message, "lastTimestamp": w.began.Add(-ago).UTC().Format(time.RFC3339),
				"involvedObject": map[string]any{"name": "web", "uid": "Deployment-web"}}))
		}
	}
	return items, nil
}

func (w *world) pod(word string) *unstructured.Unstructured {
	name := strings.Trim(word, "-?!")
	ready := "True"
	status := map[string]any{"podIP": ips[name]}
	if strings.HasSuffix(word, "?") || strings.HasSuffix(word, "!") {
		ready = "False"
	}
	if strings.HasSuffix(word, "!") {
		status["containerStatuses"] = []any{map[string]any{"name": "web", "restartCount": int64(3), "state": map[string]any{"waiting": map[string]any{"reason": "CrashLoopBackOff", "message": "back-off"}}}}
	}
	status["conditions"] = []any{map[string]any{"type": "Ready", "status": ready}, map[string]any{"type": "ContainersReady", "status": ready, "lastTransitionTime": w.since(word).Format(time.RFC3339)},
		map[string]any{"type": "target-health.elbv2.k8s.aws/web", "status": ready}}
	about := map[string]any{"labels": map[string]any{"pod-template-hash": name}, "ownerReferences": []any{map[string]any{"uid": "ReplicaSet-" + name}}, "creationTimestamp": w.began.UTC().Format(time.RFC3339)}
	if strings.HasPrefix(word, "-") {
		about["deletionTimestamp"], about["deletionGracePeriodSeconds"] = w.since(word).Add(100*time.Second).Format(time.RFC3339), int64(100)
	}
	return object("Pod", name, map[string]any{"metadata": about, "status": status, "spec": map[string]any{"readinessGates": []any{map[string]any{"conditionType": "target-health.elbv2.k8s.aws/web"}},
		"containers": []any{map[string]any{"name": "web", "lifecycle": map[string]any{"preStop": map[string]any{"sleep": map[string]any{"seconds": int64(90)}}}, "ports": []any{map[string]any{"name": "http", "containerPort": int64(8080)}}}}}})
}

// since is when a pod was first as a word says.
func (w *world) since(word string) time.Time {
	first := slices.IndexFunc(w.stages, func(s stage) bool { return slices.Contains(strings.Fields(s.pods), word) })
	return w.began.Add(time.Duration(w.stages[first].from) * time.Second).UTC()
}

func (w *world) Logs(ctx context.Context, _, pod, container string, _ int, previous bool) (string, error) {
	w.note("logs of " + pod)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if previous {
		return "panic: no database\nexit status 2\n", nil
	}
	return "", errors.New("no log yet")
}

func (w *world) TargetHealth(ctx context.Context, arn string) ([]Target, error) {
	s := w.now()
	w.note("targets " + arn)
	if s.deaf {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if elapsed := int(time.Since(w.began).Seconds()); elapsed >= w.mute[0] && elapsed < w.mute[1] {
		w.refused++
		s.noBalancer = true
	}
	if s.noBalancer {
		return nil, ErrThrottled
	}
	var targets []Target
	for _, word := range strings.Fields(s.targets) {
		name, state, _ := strings.Cut(word, "=")
		targets = append(targets, Target{ID: ips[name], Port: 8080, State: state})
	}
	return targets, nil
}

func (w *world) TargetGroups(_ context.Context, q GroupQuery) (out []TargetGroup, err error) {
	if w.now().noBalancer {
		return nil, ErrThrottled
	}
	for _, arn := range q.ARNs {
		out = append(out, TargetGroup{ARN: arn, Name: strings.TrimPrefix(arn, "arn:"), TargetType: "ip", Protocol: "HTTP", LoadBalancers: []string{"lb"}, Interval: 15 * time.Second, Healthy: 2, Unhealthy: 2, Delay: new(drain.Seconds(65))})
	}
	return out, nil
}

func (w *world) As(context.Context, string, string) (Balancer, error) {
	return nil, errors.New("no other account here")
}

// rollout is one that goes well.
var rollout = []stage{
	{from: 0, unseen: true, pods: "old", targets: "old=healthy"},
	{from: 3, pods: "old new?", targets: "old=healthy"},
	{from: 12, pods: "old new", targets: "old=healthy new=initial"},
	{from: 22, pods: "-old new", targets: "old=draining new=healthy"},
	{from: 88, pods: "-old new", targets: "new=healthy"},
	{from: 112, pods: "new", targets: "new=healthy"},
}

func TestTheWait(t *testing.T) {
	change := func(from int, change func(*stage)) []stage {
		stages := slices.Clone(rollout)
		for i := range stages {
			if stages[i].from >= from {
				change(&stages[i])
			}
		}
		return stages
	}
	cases := map[string]struct {
		stages   []stage
		opt      func(*Options)
		reason   Reason // empty: passes
		timedOut bool
		between  [2]int // seconds that it takes
		says     []string
		not      []string
	}{
		"a rollout passes when its old pod is gone, after a second look": {rollout, nil, "", false, [2]int{114, 120}, []string{"rollout complete, old pods gone", "pod old: old, terminating, target draining", "pod old: old, gone, target drained"}, nil},
		"a healthy target that vanishes in between starts the second look anew": {
			append(slices.Clone(rollout), stage{from: 114, pods: "new", targets: ""}, stage{from: 130, pods: "new", targets: "new=healthy"}), nil, "", false, [2]int{145, 152}, nil, nil},
		"a balancer that does not answer for a while holds it up, and no more": {
			append(slices.Clone(rollout), stage{from: 112, pods: "new", noBalancer: true}, stage{from: 140, pods: "new", targets: "new=healthy"}), nil, "", false, [2]int{142, 180}, []string{"cannot tell: asking for the target health of web: the ELB API is throttled"}, nil},
		"an API server that never answers is no success": {[]stage{{noAnswer: true}}, func(o *Options) { o.Timeout = 60 * time.Second }, TimedOut, true, [2]int{60, 60}, []string{"the API server does not answer"}, nil},
		"nor is a balancer that never answers":           {change(0, func(s *stage) { s.noBalancer = true }), func(o *Options) { o.Timeout = 200 * time.Second }, TimedOut, true, [2]int{200, 200}, nil, nil},
		"no target group to the end":                     {change(0, func(s *stage) { s.unbound = true }), func(o *Options) { o.Timeout = 200 * time.Second }, NoTargetGroup, true, [2]int{200, 200}, nil, nil},
		"a target group that comes late is found":        {change(0, func(s *stage) { s.unbound = s.from < 22 }), nil, "", false, [2]int{114, 120}, nil, nil},
		"an old target that never drains is waited for": {
			change(88, func(s *stage) { s.targets = "old=draining new=healthy" }), func(o *Options) { o.Timeout = 300 * time.Second }, TimedOut, true, [2]int{300, 300}, nil, nil},
		"a crash loop ends the wait, with the logs of the run before": {
			[]stage{{pods: "old", targets: "old=healthy"}, {from: 30, pods: "old new!", targets: "old=healthy"}}, nil, CrashLoop, false, [2]int{30, 36},
			[]string{"event: Warning BackOff: restarting (x4)", "panic: no database"}, nil},
		"a ready pod that never gets healthy is asked for its logs, too": {
			[]stage{{pods: "old new", targets: "old=healthy new=unhealthy"}}, nil, TargetUnhealthy, false, [2]int{45, 52}, []string{"panic: no database"}, nil},
		"the time is over while nobody asks: the new pod is heard even so": {
			[]stage{{pods: "old new?", targets: "old=healthy"}}, func(o *Options) { o.Timeout = 33 * time.Second }, TimedOut, true, [2]int{33, 33}, []string{"panic: no database", "event: Warning"}, []string{"logs of old"}},
		"the time is over while the API server is asked: what was seen before counts": { // looks at 0 to 2, 7 to 9, 14 to 16, 21 to 23
			[]stage{{pods: "old new?", targets: "old=healthy", slow: 2}}, func(o *Options) { o.Timeout = 22 * time.Second }, TimedOut, true, [2]int{22, 22}, []string{"panic: no database", "event: Warning"}, nil},
		"and names what was missing": {
			[]stage{{pods: "old new", unbound: true, slow: 2}}, func(o *Options) { o.Timeout = 22 * time.Second }, NoTargetGroup, true, [2]int{22, 22}, nil, nil},
		"an API server that hangs from the start is said to": {
			[]stage{{slow: 1000}}, func(o *Options) { o.Timeout = 18 * time.Second }, TimedOut, true, [2]int{18, 18}, []string{"cannot tell: reading Deployment/dev/web"}, nil},
		"the second look being cut short is no success": { // looks at 0 to 2 and 4 to 6
			[]stage{{pods: "new", targets: "new=healthy", slow: 2}}, func(o *Options) { o.Timeout = 5 * time.Second }, TimedOut, true, [2]int{5, 5}, nil, nil},
		"the progress deadline ends it": {
			[]stage{{pods: "old new?", targets: "old=healthy"}, {from: 50, pods: "old new?", targets: "old=healthy", stalled: "ReplicaSet has timed out progressing"}}, nil, ProgressDeadline, false, [2]int{60, 68}, nil, nil},
		"pods are not looked at before the controller saw the generation": {
			[]stage{{unseen: true, pods: "new", targets: "new=healthy"}}, func(o *Options) { o.Timeout = 30 * time.Second }, TimedOut, true, [2]int{30, 30}, []string{"has not seen generation 2 yet"}, []string{"list Pod", "targets"}},
		"nor before it saw the one that the apply was given": {
			[]stage{{pods: "new", targets: "new=healthy"}}, func(o *Options) { o.Workloads[0].Generation, o.Timeout = 3, 30*time.Second }, TimedOut, true, [2]int{30, 30}, []string{"has not seen generation 3 yet"}, []string{"list Pod", "targets"}},
		"nor before it saw one that somebody made since": {
			[]stage{{unseen: true, pods: "new", targets: "new=healthy"}}, func(o *Options) { o.Workloads[0].Generation, o.Timeout = 1, 30*time.Second }, TimedOut, true, [2]int{30, 30}, []string{"has not seen generation 2 yet"}, []string{"list Pod", "targets"}},
		"only the groups of the workload's own Services are asked": {rollout, nil, "", false, [2]int{114, 120}, nil, []string{"arn:other", "arn:headless"}},
		"a workload that is not there ends it":                     {rollout, func(o *Options) { o.Workloads[0].Name = "absent" }, WorkloadGone, false, [2]int{0, 0}, nil, nil},
		"nothing to wait for is no success":                        {rollout, func(o *Options) { o.Workloads = nil }, NothingToWaitFor, false, [2]int{0, 0}, nil, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{began: time.Now(), stages: c.stages}
				var told []string
				var quiet time.Duration
				spoke := time.Now()
				workload := behind()
				opt := Options{Workloads: []Workload{workload}, Observe: func(e event.Event) {
					quiet, spoke = max(quiet, time.Since(spoke)), time.Now()
					told = append(told, strings.TrimSpace(e.Object+": "+e.Message))
				}}
				if c.opt != nil {
					c.opt(&opt)
				}
				result, err := Wait(t.Context(), w, w, opt)
				took := int(time.Since(w.began).Seconds())
				var failed *Error
				errors.As(err, &failed)
				switch {
				case c.reason == "" && (err != nil || !result.Passed):
					t.Fatalf("after %d s: %v, passed %t", took, err, result.Passed)
				case c.reason != "" && (failed == nil || failed.Reason != c.reason || failed.TimedOut != c.timedOut || result.Passed):
					t.Fatalf("after %d s: %v (passed %t), want %s, timed out %t", took, err, result.Passed, c.reason, c.timedOut)
				case took < c.between[0] || took > c.between[1]:
					t.Errorf("it took %d s, want %v", took, c.between)
				}
				if quiet > 20*time.Second {
					t.Errorf("nothing was said for %s", quiet)
				}
				all := strings.Join(told, "\n")
				for _, want := range c.says {
					if !strings.Contains(all, want) {
						t.Errorf("%q was not said:\n%s", want, all)
					}
				}
				for _, not := range c.not {
					if slices.ContainsFunc(w.asked, func(a string) bool { return strings.Contains(a, not) }) {
						t.Errorf("%q was asked for", not)
					}
				}
			})
		})
	}
}

func TestWhatTheResultTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{began: time.Now(), stages: rollout}
		workload := behind()
		result, err := Wait(t.Context(), w, w, Options{Workloads: []Workload{workload}})
		if err != nil {
			t.Fatal(err)
		}
		r := result.Workloads[0]
		if r.Object != "Deployment/dev/web" || r.Desired != 1 || r.MinHealthy != 1 || len(r.Groups) != 1 || r.Groups[0] != "arn:web" || len(r.Problems) > 0 || len(r.Pods) != 2 {
			t.Fatalf("%+v", r)
		}
		seconds := func(at time.Time) int { return int(at.Sub(w.began).Seconds()) }
		old, fresh := r.Pods[0], r.Pods[1]
		// Deletion is the API server's word; drained is seen within the interval, and gone a second late at most, since the pod is about to end.
		if old.New || old.Name != "old" || old.IP != oldIP || seconds(old.Draining) < 22 || seconds(old.Draining) > 27 || seconds(old.Drained) < 88 || seconds(old.Drained) > 93 || seconds(old.Gone) < 112 || seconds(old.Gone) > 113 {
			t.Errorf("old pod: draining %d, drained %d, gone %d: %+v", seconds(old.Draining), seconds(old.Drained), seconds(old.Gone), old)
		}
		if old.Proof != Proven || old.Margin < 19 || old.Margin > 24 {
			t.Errorf("proof: %s by %v s", old.Proof, old.Margin)
		}
		if !fresh.New || seconds(fresh.Healthy) < 22 || seconds(fresh.Healthy) > 27 || !fresh.Deleted.IsZero() || fresh.Proof != "" {
			t.Errorf("new pod: %+v", fresh)
		}
		text, err := json.Marshal(result)
		if err != nil {
			t.Fatal(err)
		}
		var back Result
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(result, back, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("it does not survive JSON:\n%s", diff)
		}
		if seconds(result.Finished) < 114 || result.Looks < 20 || result.Polls < 10 || result.Polls > 25 {
			t.Errorf("finished after %d s with %d looks and %d polls", seconds(result.Finished), result.Looks, result.Polls)
		}
	})
}

// While one of the two hangs the other is looked after: its word may come once only.
func TestOneThatHangsDoesNotHideTheOther(t *testing.T) {
	hangs := func(from, to int, change func(*stage)) (stages []stage) {
		for _, s := range append(slices.Clone(rollout), stage{from: from}, stage{from: to}) {
			for _, r := range rollout { // what is the case then
				if r.from <= s.from {
					at := s.from
					s = r
					s.from = at
				}
			}
			if s.from >= from && s.from < to {
				change(&s)
			}
			stages = append(stages, s)
		}
		slices.SortStableFunc(stages, func(a, b stage) int { return a.from - b.from })
		return stages
	}
	for name, c := range map[string]struct {
		stages        []stage
		drained, gone [2]int // seconds between which it has to be seen
	}{
		"the API server, when the target leaves": {hangs(84, 111, func(s *stage) { s.slow = 1000 }), [2]int{94, 97}, [2]int{112, 114}},
		"the ELB API, when the pod ends":         {hangs(96, 170, func(s *stage) { s.deaf = true }), [2]int{88, 93}, [2]int{112, 135}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{began: time.Now(), stages: c.stages}
				result, err := Wait(t.Context(), w, w, Options{Workloads: []Workload{behind()}})
				if err != nil {
					t.Fatal(err)
				}
				old := result.Workloads[0].Pods[0]
				drained, gone := int(old.Drained.Sub(w.began).Seconds()), int(old.Gone.Sub(w.began).Seconds())
				if drained < c.drained[0] || drained > c.drained[1] || gone < c.gone[0] || gone > c.gone[1] || old.Proof != Proven {
					t.Errorf("drained at %d, gone at %d, %s by %.1f", drained, gone, old.Proof, old.Margin)
				}
			})
		})
	}
}

// A look that takes longer than one is given at first is given that time from then on: the two
// good ones at the end follow each other.
func TestASlowAPIServerIsNoFailure(t *testing.T) {
	for slow, most := range map[int]time.Duration{12: 200 * time.Second, 25: 260 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := &world{began: time.Now(), stages: slices.Clone(rollout)}
			for i := range w.stages {
				w.stages[i].slow = slow
			}
			if _, err := Wait(t.Context(), w, w, Options{Workloads: []Workload{behind()}}); err != nil || time.Since(w.began) > most {
				t.Errorf("a look of %d s: after %s: %v", slow, time.Since(w.began), err)
			}
		})
	}
}

// Being told to stop is neither success nor failure of the rollout, and the
// caller's cause comes back.
func TestACancelledWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{began: time.Now(), stages: rollout[:2]}
		workload := behind()
		stop := errors.New("terminated by SIGTERM")
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { time.Sleep(20 * time.Second); cancel(stop) }()
		result, err := Wait(ctx, w, w, Options{Workloads: []Workload{workload}})
		var failed *Error
		if !errors.Is(err, stop) || errors.As(err, &failed) || result.Passed || len(result.Workloads) != 1 || len(result.Workloads[0].Problems) == 0 {
			t.Errorf("%v, %+v", err, result)
		}
		if took := time.Since(w.began); took != 20*time.Second {
			t.Errorf("it took %s", took)
		}
		if slices.ContainsFunc(w.asked, func(a string) bool { return a == "list Event" || strings.HasPrefix(a, "logs") }) {
			t.Error("evidence was gathered though nothing failed")
		}
	})
}

// both is a cluster whose namespaces have worlds of their own.
type both map[string]*world

func (b both) Get(ctx context.Context, version, kind, namespace, name string) (*unstructured.Unstructured, error) {
	obj, err := b[namespace].Get(ctx, version, kind, namespace, name)
	if obj != nil {
		obj.SetNamespace(namespace)
	}
	return obj, err
}

func (b both) List(ctx context.Context, version, kind, namespace, labels string) ([]unstructured.Unstructured, error) {
	return b[namespace].List(ctx, version, kind, namespace, labels)
}

func (b both) Logs(ctx context.Context, namespace, pod, container string, lines int, previous bool) (string, error) {
	return b[namespace].Logs(ctx, namespace, pod, container, lines, previous)
}

func TestTwoWorkloads(t *testing.T) {
	cases := map[string]struct {
		second  []stage
		reason  Reason
		between [2]int
		lacks   []int // how many problems each has in the end
	}{
		"the slower one decides when it is over":       {[]stage{{pods: "old new?"}, {from: 150, pods: "new"}}, "", [2]int{152, 158}, []int{0, 0}},
		"the faster one does not end it":               {[]stage{{pods: "new"}}, "", [2]int{114, 120}, []int{0, 0}},
		"one that is doomed ends it for both":          {[]stage{{pods: "old"}, {from: 30, pods: "old new!"}}, CrashLoop, [2]int{30, 36}, []int{3, 1}},
		"one that is never done fails the one that is": {[]stage{{pods: "old new?"}}, TimedOut, [2]int{200, 200}, []int{0, 4}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				first, second := behind(), behind()
				second.Namespace, second.Behind = "jobs", false
				first.Replaced, second.Replaced = []Replaced{{UID: "Pod-old"}}, []Replaced{{UID: "Pod-old"}}
				world1 := &world{began: began, stages: rollout}
				result, err := Wait(t.Context(), both{"dev": world1, "jobs": {began: began, stages: c.second}}, world1,
					Options{Workloads: []Workload{first, second}, Timeout: 200 * time.Second})
				took := int(time.Since(began).Seconds())
				var failed *Error
				errors.As(err, &failed)
				if (c.reason == "") != (err == nil) || (failed != nil && failed.Reason != c.reason) || result.Passed != (err == nil) || took < c.between[0] || took > c.between[1] {
					t.Fatalf("after %d s: %v, passed %t; want %q in %v", took, err, result.Passed, c.reason, c.between)
				}
				for i, w := range result.Workloads {
					if len(w.Problems) != c.lacks[i] {
						t.Errorf("%s lacks %q, want %d", w.Object, w.Problems, c.lacks[i])
					}
				}
				if c.reason != "" && !strings.Contains(err.Error(), "pod new") {
					t.Errorf("%v: which pod?", err)
				}
				if c.reason != "" && (!slices.ContainsFunc(result.Evidence, func(e Evidence) bool { return e.Pod == "jobs/new" }) || !strings.Contains(err.Error(), string(c.reason))) {
					t.Errorf("%v, evidence %+v", err, result.Evidence)
				}
			})
		})
	}
}

// A minute of throttling costs at most a call each two seconds, and at most the pause of a
// retreat beside itself. The gate passes, or fails by its own time.
func TestAMinuteOfThrottling(t *testing.T) {
	for name, c := range map[string]struct {
		from, to int
		timeout  time.Duration
		between  [2]int
	}{
		"at the beginning":            {0, 60, 0, [2]int{114, 140}},
		"while targets get healthy":   {10, 70, 0, [2]int{114, 140}},
		"while the old target drains": {30, 90, 0, [2]int{114, 150}},
		"at the end":                  {100, 160, 0, [2]int{160, 202}},
		"for ever":                    {10, 10000, 200 * time.Second, [2]int{200, 200}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{began: time.Now(), stages: slices.Clone(rollout), mute: [2]int{c.from, c.to}}
				result, err := Wait(t.Context(), w, w, Options{Workloads: []Workload{behind()}, Timeout: c.timeout})
				took := int(time.Since(w.began).Seconds())
				var failed *Error
				if errors.As(err, &failed); result.Passed == (c.timeout > 0) || c.timeout > 0 && !failed.TimedOut || took < c.between[0] || took > c.between[1] {
					t.Errorf("after %d s: passed %t, %v", took, result.Passed, err)
				}
				if longest := min(c.to, took) - c.from; w.refused == 0 || w.refused > longest/2+2 {
					t.Errorf("%d calls in %d s of throttling", w.refused, longest)
				}
			})
		})
	}
}

func TestLimitsThatNobodySet(t *testing.T) {
	long, short := behind(), behind()
	long.Plan.GateTimeout, short.Plan.GateTimeout = 700, 500
	for want, o := range map[time.Duration]Options{
		700 * time.Second: {Workloads: []Workload{short, long}},
		10 * time.Minute:  {Workloads: []Workload{{}}},
		time.Second:       {Workloads: []Workload{long}, Timeout: time.Second},
	} {
		if got := newWait(nil, nil, o).total; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
