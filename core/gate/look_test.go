// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// parse reads an object as the API server would tell it: whole numbers are int64.
func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestReadingAPod(t *testing.T) {
	clock := func(text string) time.Time {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	const head = `
apiVersion: v1
kind: Pod
metadata: {name: web-1, uid: u1, creationTimestamp: "2026-01-02T03:04:05Z", labels: {pod-template-hash: abc}%s}
`
	bare := func(change func(*Pod)) Pod {
		p := Pod{UID: "u1", Name: "web-1", New: true, Created: clock("2026-01-02T03:04:05Z"), Gates: map[string]string{}, Ports: map[string]int{}}
		change(&p)
		return p
	}
	const dying = `, deletionTimestamp: "2026-01-02T04:02:00Z", deletionGracePeriodSeconds: 120`
	cases := map[string]struct {
		meta, rest string
		want       Pod
	}{
		"a pod that serves: address, gates, containers and ports": {"", `
spec:
  readinessGates: [{conditionType: target-health.elbv2.k8s.aws/a}, {conditionType: target-health.elbv2.k8s.aws/b}]
  containers: [{name: web, ports: [{name: http, containerPort: 8080}, {containerPort: 9}]}, {name: log}]
  initContainers: [{name: proxy, ports: [{name: tls, containerPort: 8443}]}]
status:
  podIP: 10.0.0.2
  conditions: [{type: Ready, status: "True"}, {type: target-health.elbv2.k8s.aws/a, status: "True"}]
  containerStatuses: [{name: web, restartCount: 2, state: {running: {}}}, {name: log, restartCount: 1, state: {running: {}}}]
`, bare(func(p *Pod) {
			p.IP, p.Ready, p.Restarts, p.Containers = "10.0.0.2", true, 2, []string{"web", "log", "proxy"}
			p.Gates = map[string]string{"target-health.elbv2.k8s.aws/a": "True", "target-health.elbv2.k8s.aws/b": ""}
			p.Ports = map[string]int{"http": 8080, "": 9, "tls": 8443}
		})},
		"a pod without a node says why": {"", `
status: {conditions: [{type: PodScheduled, status: "False", reason: Unschedulable, message: 0/3 nodes are available}]}
`, bare(func(p *Pod) { p.Waiting, p.Detail = "Unschedulable", "0/3 nodes are available" })},
		"a pod that has one is not waiting": {"", `
status: {conditions: [{type: PodScheduled, status: "True", reason: x, message: y}, {type: Ready, status: "False"}]}
`, bare(func(*Pod) {})},
		"a container that is being made is no trouble": {"", `
status: {containerStatuses: [{name: web, state: {waiting: {reason: ContainerCreating}}}], initContainerStatuses: [{name: i, state: {waiting: {reason: PodInitializing}}}]}
`, bare(func(*Pod) {})},
		"one whose image cannot be pulled is": {"", `
status: {containerStatuses: [{name: web, state: {waiting: {reason: ErrImagePull, message: not found}}}, {name: log, state: {waiting: {reason: ContainerCreating}}}]}
`, bare(func(p *Pod) { p.Waiting, p.Detail = "ErrImagePull", "not found" })},
		"so is an init container that crashes": {"", `
status: {containerStatuses: [{name: web, state: {waiting: {reason: PodInitializing}}}], initContainerStatuses: [{name: i, restartCount: 4, state: {waiting: {reason: CrashLoopBackOff, message: back-off}}}]}
`, bare(func(p *Pod) { p.Waiting, p.Detail, p.Restarts = "CrashLoopBackOff", "back-off", 4 })},
		"its deletion was accepted a grace period before it takes effect": {dying, "", bare(func(p *Pod) { p.Deleted = clock("2026-01-02T04:00:00Z") })},
		"without a grace period the time is taken as it is":               {`, deletionTimestamp: "2026-01-02T04:02:00Z"`, "", bare(func(p *Pod) { p.Deleted = clock("2026-01-02T04:02:00Z") })},
		"it ended when its first container did": {dying, `
status:
  containerStatuses:
  - {name: web, state: {terminated: {exitCode: 0, finishedAt: "2026-01-02T04:01:10Z"}}}
  - {name: log, state: {terminated: {exitCode: 0, finishedAt: "2026-01-02T04:01:00Z"}}}
  - {name: sql, state: {terminated: {exitCode: 143, finishedAt: "2026-01-02T04:01:20Z"}}}
`, bare(func(p *Pod) { p.Deleted, p.Ended = clock("2026-01-02T04:00:00Z"), clock("2026-01-02T04:01:00Z") })},
		"any of them may have been killed": {dying, `
status:
  containerStatuses:
  - {name: web, state: {terminated: {exitCode: 137, finishedAt: "2026-01-02T04:01:10Z"}}}
  - {name: log, state: {terminated: {exitCode: 0, finishedAt: "2026-01-02T04:01:20Z"}}}
`, bare(func(p *Pod) {
			p.Deleted, p.Ended, p.Killed = clock("2026-01-02T04:00:00Z"), clock("2026-01-02T04:01:10Z"), true
		})},
		"the end of an init container is not that of the pod": {dying, `
status: {initContainerStatuses: [{name: i, state: {terminated: {exitCode: 137, finishedAt: "2026-01-02T03:05:00Z"}}}]}
`, bare(func(p *Pod) { p.Deleted = clock("2026-01-02T04:00:00Z") })},
		"nor is a crash before anybody deleted it": {"", `
status: {containerStatuses: [{name: web, restartCount: 1, state: {terminated: {exitCode: 137, finishedAt: "2026-01-02T03:05:00Z"}}}]}
`, bare(func(p *Pod) { p.Restarts = 1 })},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := readPod(parse(t, strings.Replace(head, "%s", c.meta, 1)+c.rest), [2]string{"pod-template-hash", "abc"})
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhichPodsAreNew(t *testing.T) {
	pod := parse(t, "{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {pod-template-hash: abc, empty: ''}}}")
	cases := map[string]struct {
		mark [2]string
		want bool
	}{
		"of the newest template":                  {[2]string{"pod-template-hash", "abc"}, true},
		"of another one":                          {[2]string{"pod-template-hash", "abd"}, false},
		"none, while the newest one is not known": {[2]string{}, false},
		"nor where its mark is empty":             {[2]string{"empty", ""}, false},
		"nor where pods have no such mark":        {[2]string{"controller-revision-hash", "abc"}, false},
	}
	for name, c := range cases {
		if got := readPod(pod, c.mark).New; got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestTheTargetPort(t *testing.T) {
	ports := `ports: [{name: http, port: 80, targetPort: 8080}, {name: tls, port: 443, targetPort: https}, {name: same, port: 90}, {name: zero, port: 91, targetPort: 0}]`
	cases := map[string]struct{ ref, want string }{
		"by number":                                   {"80", "8080"},
		"by name":                                     {"http", "8080"},
		"a port that has a name in the pod":           {"443", "https"},
		"one without a target port is its own":        {"90", "90"},
		"and so is one whose target port is zero":     {"zero", "91"},
		"a port that the Service lacks stays what is": {"7", "7"},
	}
	service := parse(t, "{apiVersion: v1, kind: Service, "+ports+"}")
	for name, c := range cases {
		binding := parse(t, "{apiVersion: elbv2.k8s.aws/v1beta1, kind: TargetGroupBinding, spec: {serviceRef: {name: web, port: "+c.ref+"}}}")
		if got := targetPort(list(service.Object, "ports"), binding.Object); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// altered is a world of which some answers are changed, or are errors.
type altered struct {
	*world
	fails string // kind whose list cannot be read
	more  []unstructured.Unstructured
}

func (a altered) List(ctx context.Context, version, kind, namespace, labels string) ([]unstructured.Unstructured, error) {
	if kind == a.fails {
		return nil, errors.New("forbidden")
	}
	items, err := a.world.List(ctx, version, kind, namespace, labels)
	for _, o := range a.more {
		if o.GetKind() == kind && (o.GetAPIVersion() == "" || o.GetAPIVersion() == version) {
			items, err = append(items, o), nil
		}
	}
	return items, err
}

// A list that cannot be read leaves a gap, which says what, and why.
func TestALookWithAGap(t *testing.T) {
	cases := map[string]struct {
		noBalancer bool
		kind, says string
		podsKnown  bool
	}{
		"the ReplicaSets":             {kind: "ReplicaSet", says: "finding the newest template of Deployment/dev/web: forbidden"},
		"the pods":                    {kind: "Pod", says: "listing the pods of Deployment/dev/web: forbidden"},
		"the Services":                {kind: "Service", says: "finding the target groups of Deployment/dev/web: forbidden", podsKnown: true},
		"the target group bindings":   {kind: "TargetGroupBinding", says: "finding the target groups of Deployment/dev/web: forbidden", podsKnown: true},
		"the balancer":                {noBalancer: true, says: "asking for the target health of web: throttled", podsKnown: true},
		"nothing: then there is none": {podsKnown: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			a := altered{world: &world{began: time.Now(), stages: []stage{{pods: "new", targets: "new=healthy", noBalancer: c.noBalancer}}}, fails: c.kind}
			w := newWait(a, a, Options{Workloads: []Workload{behind()}})
			s := w.look(t.Context(), w.tracks[0])
			if strings.Join(s.Unknown, ";") != c.says || s.PodsKnown != c.podsKnown {
				t.Errorf("unknown %q, pods known %t", s.Unknown, s.PodsKnown)
			}
			w.tracks[0].take(s)
			if v := w.tracks[0].judge(s); v.Done == (c.says != "") || v.Failed != "" {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestWhatBelongsToAWorkload(t *testing.T) {
	const owner = "ownerReferences: [{uid: ReplicaSet-new}], creationTimestamp: '2026-01-02T03:04:05Z', namespace: dev"
	cases := map[string]struct {
		object string
		pods   string // names of those seen
		groups string // their bindings
	}{
		"nothing else":              {"{kind: Nothing}", "new", "web"},
		"another pod of its own":    {"{kind: Pod, metadata: {name: more, " + owner + "}}", "new more", "web"},
		"a pod of somebody else":    {"{kind: Pod, metadata: {name: more, ownerReferences: [{uid: other}]}}", "new", "web"},
		"a pod of nobody":           {"{kind: Pod, metadata: {name: more}}", "new", "web"},
		"an evicted pod is over":    {"{kind: Pod, metadata: {name: more, " + owner + "}, status: {phase: Failed, reason: Evicted}}", "new", "web"},
		"and so is a finished one":  {"{kind: Pod, metadata: {name: more, " + owner + "}, status: {phase: Succeeded}}", "new", "web"},
		"the end of a deleted pod":  {"{kind: Pod, metadata: {name: more, " + owner + ", deletionTimestamp: '2026-01-02T03:04:05Z'}, status: {phase: Succeeded}}", "new more", "web"},
		"a pod that has not begun":  {"{kind: Pod, metadata: {name: more, " + owner + "}, status: {phase: Pending}}", "new more", "web"},
		"a ReplicaSet of another":   {"{kind: ReplicaSet, metadata: {name: r, uid: other, annotations: {deployment.kubernetes.io/revision: '2'}, labels: {pod-template-hash: x}, ownerReferences: [{uid: theirs}]}}", "new", "web"},
		"a binding of EKS's own":    {"{apiVersion: eks.amazonaws.com/v1, kind: TargetGroupBinding, metadata: {name: auto}, spec: {targetGroupARN: arn:auto, serviceRef: {name: web, port: 80}}}", "new", "web auto"},
		"a binding of instances":    {"{apiVersion: elbv2.k8s.aws/v1beta1, kind: TargetGroupBinding, metadata: {name: node}, spec: {targetGroupARN: arn:node, targetType: instance, serviceRef: {name: web, port: 80}}}", "new", "web"},
		"a binding that is deleted": {"{apiVersion: elbv2.k8s.aws/v1beta1, kind: TargetGroupBinding, metadata: {name: late, deletionTimestamp: '2026-01-02T03:04:05Z'}, spec: {targetGroupARN: arn:late, serviceRef: {name: web, port: 80}}}", "new", "web"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			text := c.object
			if !strings.Contains(text, "apiVersion") { // any version of its kind
				text = "{apiVersion: '', " + text[1:]
			}
			a := altered{world: &world{began: time.Now(), stages: []stage{{pods: "new", targets: "new=healthy"}}}, more: []unstructured.Unstructured{*parse(t, text)}}
			w := newWait(a, a, Options{Workloads: []Workload{behind()}})
			s := w.look(t.Context(), w.tracks[0])
			var pods, groups []string
			for _, p := range s.Pods {
				pods = append(pods, p.Name)
				if p.New != (p.Name == "new") {
					t.Errorf("pod %s is new: %t", p.Name, p.New)
				}
			}
			for _, g := range s.Groups {
				groups = append(groups, g.Binding)
			}
			if strings.Join(pods, " ") != c.pods || strings.Join(groups, " ") != c.groups || len(s.Unknown) > 0 {
				t.Errorf("pods %q, groups %q, unknown %q", pods, groups, s.Unknown)
			}
		})
	}
}

func TestEvidence(t *testing.T) {
	gather := func(t *testing.T, fails, pods string) []Evidence {
		t.Helper()
		a := altered{world: &world{began: time.Now(), stages: []stage{{pods: pods}}}, fails: fails}
		for i := range 12 {
			a.more = append(a.more, *parse(t, strings.ReplaceAll("{apiVersion: '', kind: Event, metadata: {name: e%d}, type: Normal, reason: Pulled, message: ' number %d\n', involvedObject: {name: new}}", "%d", string(rune('a'+i)))))
		}
		w := newWait(a, a, Options{Workloads: []Workload{behind()}})
		s := w.look(t.Context(), w.tracks[0])
		w.tracks[0].take(s)
		w.tracks[0].verdict = w.tracks[0].judge(s)
		w.evidence(t.Context())
		return w.tracks[0].evidence
	}
	t.Run("the newest events, and the log of the run before", func(t *testing.T) {
		got := gather(t, "", "old new!")
		if len(got) != 1 || got[0].Pod != "dev/new" || len(got[0].Events) != 10 || got[0].Events[0] != "Normal Pulled: number c (x1)" || got[0].Events[9] != "Normal Pulled: number l (x1)" {
			t.Fatalf("%+v", got)
		}
		if diff := cmp.Diff([]Log{{Container: "web", Previous: true, Lines: []string{"panic: no database", "exit status 2"}}}, got[0].Logs); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("events that cannot be read are said to be so", func(t *testing.T) {
		if got := gather(t, "Event", "new!"); len(got) != 1 || !slices.Equal(got[0].Events, []string{"events cannot be read: forbidden"}) {
			t.Errorf("%+v", got)
		}
	})
	t.Run("of a few pods only", func(t *testing.T) {
		if got := gather(t, "", strings.Repeat("new! ", 7)); len(got) != evidencePods {
			t.Errorf("of %d pods", len(got))
		}
	})
	t.Run("not of pods that are being deleted", func(t *testing.T) {
		if got := gather(t, "", "-new"); len(got) != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestTheNewestTemplateOfEachKind(t *testing.T) {
	bare := *parse(t, "{apiVersion: '', kind: ReplicaSet, metadata: {name: bare, labels: {pod-template-hash: bare}, ownerReferences: [{uid: Deployment-web}]}}")
	w := &waiting{cluster: altered{world: &world{stages: rollout}, more: []unstructured.Unstructured{bare}}}
	cases := map[string]struct {
		object *unstructured.Unstructured
		mark   [2]string
	}{
		"Deployment": {object("Deployment", "web", map[string]any{"metadata": map[string]any{"annotations": map[string]any{"deployment.kubernetes.io/revision": "2"}}}), [2]string{"pod-template-hash", "new"}},
		"a Deployment whose ReplicaSet is not there yet": {object("Deployment", "web", map[string]any{"metadata": map[string]any{"annotations": map[string]any{"deployment.kubernetes.io/revision": "3"}}}), [2]string{}},
		"a Deployment that has no revision yet":          {object("Deployment", "web", nil), [2]string{}},
		"StatefulSet":                                    {object("StatefulSet", "db", map[string]any{"status": map[string]any{"updateRevision": "db-5"}}), [2]string{"controller-revision-hash", "db-5"}},
		"DaemonSet":                                      {object("DaemonSet", "log", map[string]any{"metadata": map[string]any{"annotations": map[string]any{"deprecated.daemonset.template.generation": "7"}}}), [2]string{"pod-template-generation", "7"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			mark, _, err := w.newest(t.Context(), c.object, "")
			if err != nil || mark != c.mark {
				t.Errorf("%v, %v; want %v", mark, err, c.mark)
			}
		})
	}
}

func TestTheProgressOfADeployment(t *testing.T) {
	cases := map[string]struct{ replicas, updated, total, ready, available int64 }{
		"1 of 2 pods are of the new version":              {2, 1, 2, 2, 2},
		"1 pods of the old version run":                   {2, 2, 3, 3, 3},
		"1 of 2 pods are ready":                           {2, 2, 2, 1, 1},
		"1 of 2 pods have been ready for minReadySeconds": {2, 2, 2, 2, 1},
		"": {2, 2, 2, 2, 2},
	}
	for lacks, c := range cases {
		o := object("Deployment", "web", map[string]any{"spec": map[string]any{"replicas": c.replicas},
			"status": map[string]any{"updatedReplicas": c.updated, "replicas": c.total, "readyReplicas": c.ready, "availableReplicas": c.available}})
		if _, got, _ := progress(o); got != lacks {
			t.Errorf("%q, want %q", got, lacks)
		}
	}
}

func TestTheProgressOfADaemonSet(t *testing.T) {
	o := object("DaemonSet", "log", map[string]any{"status": map[string]any{"desiredNumberScheduled": int64(3), "updatedNumberScheduled": int64(3), "currentNumberScheduled": int64(3), "numberReady": int64(2), "numberAvailable": int64(2)}})
	if desired, lacks, _ := progress(o); desired != 3 || lacks != "2 of 3 pods are ready" {
		t.Errorf("%d, %q", desired, lacks)
	}
}

func TestWhatWasAppliedIsStillThere(t *testing.T) {
	live := object("Deployment", "web", map[string]any{"spec": map[string]any{"paused": true, "template": map[string]any{"spec": map[string]any{
		"containers": []any{map[string]any{"image": "web@2"}}, "initContainers": []any{map[string]any{"image": "migrate@2"}}}}}})
	cases := map[string]struct {
		workload Workload
		said     string
	}{
		"it is":                       {Workload{UID: "Deployment-web", Images: []string{"web@2", "migrate@2"}}, ""},
		"nothing is known of it":      {Workload{}, ""},
		"another object of that name": {Workload{UID: "other"}, "made again by somebody else"},
		"another version of it":       {Workload{UID: "Deployment-web", Images: []string{"web@1"}}, "does not name web@1 any more"},
	}
	for name, c := range cases {
		if got := superseded(c.workload, live); (got == "") != (c.said == "") || !strings.Contains(got, c.said) {
			t.Errorf("%s: %q", name, got)
		}
	}
	if _, _, stalled := progress(live); !strings.Contains(stalled, "spec.paused") {
		t.Errorf("a paused rollout: %q", stalled)
	}
}

// A Deployment that keeps no history deletes the ReplicaSet of pods that still
// terminate: they are not gone.
func TestAPodIsFollowedWithoutItsReplicaSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{began: time.Now(), stages: rollout}
		bare := withoutOldSet{w}
		workload := behind()
		workload.Replaced, workload.Generation = []Replaced{{UID: "Pod-old"}}, 2
		if _, err := Wait(t.Context(), bare, w, Options{Workloads: []Workload{workload}}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(w.began); took < 112*time.Second {
			t.Errorf("it passed after %s, while the old pod was there", took)
		}
	})
}

// withoutOldSet is a cluster whose old ReplicaSet has been deleted.
type withoutOldSet struct{ *world }

func (w withoutOldSet) List(ctx context.Context, version, kind, namespace, labels string) ([]unstructured.Unstructured, error) {
	items, err := w.world.List(ctx, version, kind, namespace, labels)
	if kind == "ReplicaSet" {
		items = slices.DeleteFunc(items, func(u unstructured.Unstructured) bool { return u.GetName() == "old" })
	}
	return items, err
}
