// SPDX-License-Identifier: Apache-2.0

package live

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

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
	bare := func(change func(*model.Pod)) model.Pod {
		p := model.Pod{UID: "u1", Name: "web-1", New: true, Created: clock("2026-01-02T03:04:05Z"), Gates: map[string]string{}, Ports: map[string]int{}}
		change(&p)
		return p
	}
	const dying = `, deletionTimestamp: "2026-01-02T04:02:00Z", deletionGracePeriodSeconds: 120`
	cases := map[string]struct {
		meta, rest string
		want       model.Pod
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
`, bare(func(p *model.Pod) {
			p.IP, p.Ready, p.Restarts, p.Containers = "10.0.0.2", true, 2, []string{"web", "log", "proxy"}
			p.Gates = map[string]string{"target-health.elbv2.k8s.aws/a": "True", "target-health.elbv2.k8s.aws/b": ""}
			p.Ports = map[string]int{"http": 8080, "": 9, "tls": 8443}
		})},
		"when its containers became ready, its hooks, its grace and both its addresses": {"", `
spec:
  terminationGracePeriodSeconds: 100
  containers: [{name: web, lifecycle: {preStop: {sleep: {seconds: 90}}}}, {name: log, lifecycle: {preStop: {exec: {command: [sh, -c, "sleep 95 && kill 1"]}}}}]
status:
  podIP: 10.0.0.2
  podIPs: [{ip: 10.0.0.2}, {ip: "fd00::2"}]
  conditions: [{type: ContainersReady, status: "True", lastTransitionTime: "2026-01-02T03:05:00Z"}, {type: Ready, status: "False"}]
`, bare(func(p *model.Pod) {
			p.IP, p.IPs, p.Containers = "10.0.0.2", []string{"10.0.0.2", "fd00::2"}, []string{"web", "log"}
			p.ContainersReady, p.Started = true, clock("2026-01-02T03:05:00Z")
			p.Grace, p.PreStop = 100*time.Second, 95*time.Second
		})},
		"a hook that the grace cuts off": {"", `
spec: {terminationGracePeriodSeconds: 30, containers: [{name: web, lifecycle: {preStop: {exec: {command: [/bin/sleep, "90"]}}}}]}
`, bare(func(p *model.Pod) { p.Containers, p.Grace, p.PreStop = []string{"web"}, 30*time.Second, 30*time.Second })},
		"why a container ended before": {"", `
status: {containerStatuses: [{name: web, restartCount: 3, state: {waiting: {reason: CrashLoopBackOff, message: back-off}}, lastState: {terminated: {reason: OOMKilled, exitCode: 137}}}]}
`, bare(func(p *model.Pod) {
			p.Waiting, p.Restarts, p.Detail = "CrashLoopBackOff", 3, "back-off (its container web ended before: OOMKilled, exit code 137)"
		})},
		"a pod without a node says why": {"", `
status: {conditions: [{type: PodScheduled, status: "False", reason: Unschedulable, message: 0/3 nodes are available}]}
`, bare(func(p *model.Pod) { p.Waiting, p.Detail = "Unschedulable", "0/3 nodes are available" })},
		"a pod that has one is not waiting": {"", `
status: {conditions: [{type: PodScheduled, status: "True", reason: x, message: y}, {type: Ready, status: "False"}]}
`, bare(func(*model.Pod) {})},
		"a container that is being made is no trouble": {"", `
status: {containerStatuses: [{name: web, state: {waiting: {reason: ContainerCreating}}}], initContainerStatuses: [{name: i, state: {waiting: {reason: PodInitializing}}}]}
`, bare(func(*model.Pod) {})},
		"one whose image cannot be pulled is": {"", `
status: {containerStatuses: [{name: web, state: {waiting: {reason: ErrImagePull, message: not found}}}, {name: log, state: {waiting: {reason: ContainerCreating}}}]}
`, bare(func(p *model.Pod) { p.Waiting, p.Detail = "ErrImagePull", "not found" })},
		"so is an init container that crashes": {"", `
status: {containerStatuses: [{name: web, state: {waiting: {reason: PodInitializing}}}], initContainerStatuses: [{name: i, restartCount: 4, state: {waiting: {reason: CrashLoopBackOff, message: back-off}}}]}
`, bare(func(p *model.Pod) { p.Waiting, p.Detail, p.Restarts = "CrashLoopBackOff", "back-off", 4 })},
		"its deletion was accepted a grace period before it takes effect": {dying, "", bare(func(p *model.Pod) { p.Deleted, p.Grace = clock("2026-01-02T04:00:00Z"), 2*time.Minute })},
		"without a grace period the time is taken as it is":               {`, deletionTimestamp: "2026-01-02T04:02:00Z"`, "", bare(func(p *model.Pod) { p.Deleted = clock("2026-01-02T04:02:00Z") })},
		"it ended when its first container did": {dying, `
status:
  containerStatuses:
  - {name: web, state: {terminated: {exitCode: 0, finishedAt: "2026-01-02T04:01:10Z"}}}
  - {name: log, state: {terminated: {exitCode: 0, finishedAt: "2026-01-02T04:01:00Z"}}}
  - {name: sql, state: {terminated: {exitCode: 143, finishedAt: "2026-01-02T04:01:20Z"}}}
`, bare(func(p *model.Pod) {
			p.Deleted, p.Grace, p.Ended = clock("2026-01-02T04:00:00Z"), 2*time.Minute, clock("2026-01-02T04:01:00Z")
		})},
		"any of them may have been killed": {dying, `
status:
  containerStatuses:
  - {name: web, state: {terminated: {exitCode: 137, finishedAt: "2026-01-02T04:01:10Z"}}}
  - {name: log, state: {terminated: {exitCode: 0, finishedAt: "2026-01-02T04:01:20Z"}}}
`, bare(func(p *model.Pod) {
			p.Deleted, p.Grace, p.Ended, p.Killed = clock("2026-01-02T04:00:00Z"), 2*time.Minute, clock("2026-01-02T04:01:10Z"), true
		})},
		"the end of an init container is not that of the pod": {dying, `
status: {initContainerStatuses: [{name: i, state: {terminated: {exitCode: 137, finishedAt: "2026-01-02T03:05:00Z"}}}]}
`, bare(func(p *model.Pod) { p.Deleted, p.Grace = clock("2026-01-02T04:00:00Z"), 2*time.Minute })},
		"nor is a crash before anybody deleted it": {"", `
status: {containerStatuses: [{name: web, restartCount: 1, state: {terminated: {exitCode: 137, finishedAt: "2026-01-02T03:05:00Z"}}}]}
`, bare(func(p *model.Pod) { p.Restarts = 1 })},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := readPod(parse(t, strings.Replace(head, "%s", c.meta, 1)+c.rest), mark{"pod-template-hash", "abc"})
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhichPodsAreNew(t *testing.T) {
	pod := parse(t, "{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {pod-template-hash: abc, empty: ''}}}")
	cases := map[string]struct {
		mark mark
		want bool
	}{
		"of the newest template":                  {mark{"pod-template-hash", "abc"}, true},
		"of another one":                          {mark{"pod-template-hash", "abd"}, false},
		"none, while the newest one is not known": {mark{}, false},
		"nor where its mark is empty":             {mark{"empty", ""}, false},
		"nor where pods have no such mark":        {mark{"controller-revision-hash", "abc"}, false},
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
		if got := targetPort(list(service.Object, "ports"), c.ref); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestTheNewestTemplateOfEachKind(t *testing.T) {
	sets := `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: bare, labels: {pod-template-hash: bare}, ownerReferences: [{uid: d}]}
`
	r := NewReader(newCluster(t, deployment, sets), nil)
	cases := map[string]struct {
		object string
		mark   mark
	}{
		"Deployment": {"{kind: Deployment, metadata: {uid: d, annotations: {deployment.kubernetes.io/revision: '2'}}}", mark{"pod-template-hash", "two"}},
		"a Deployment whose ReplicaSet is not there yet": {"{kind: Deployment, metadata: {uid: d, annotations: {deployment.kubernetes.io/revision: '3'}}}", mark{}},
		"a Deployment that has no revision yet":          {"{kind: Deployment, metadata: {uid: d}}", mark{}},
		"StatefulSet":                                    {"{kind: StatefulSet, metadata: {uid: s}, status: {updateRevision: db-5}}", mark{"controller-revision-hash", "db-5"}},
		"DaemonSet":                                      {"{kind: DaemonSet, metadata: {uid: s, annotations: {deprecated.daemonset.template.generation: '7'}}}", mark{"pod-template-generation", "7"}},
		"Rollout":                                        {"{kind: Rollout, metadata: {uid: d, annotations: {deployment.kubernetes.io/revision: '1'}}, status: {currentPodHash: abc}}", mark{"rollouts-pod-template-hash", "abc"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			obj := parse(t, c.object)
			obj.SetNamespace("dev")
			got, owners, err := r.newest(t.Context(), obj, "")
			if err != nil || got != c.mark || !owners[string(obj.GetUID())] {
				t.Errorf("%v, %v, %v; want %v", got, owners, err, c.mark)
			}
		})
	}
}

// How far a rollout is, and how many pods may be missing meanwhile.
func TestTheProgressOfAWorkload(t *testing.T) {
	of := func(kind, spec, status string) string {
		return "{kind: " + kind + ", spec: {" + spec + "}, status: {" + status + "}}"
	}
	const done = "updatedReplicas: 4, replicas: 4, readyReplicas: 4, availableReplicas: 4"
	cases := map[string]struct {
		object      string
		desired     int
		unavailable int
		complete    string
		stalled     string
		refused     string
	}{
		"done":                          {of("Deployment", "replicas: 4", done), 4, 1, "", "", ""},
		"no replicas are one":           {of("Deployment", "", "updatedReplicas: 1, replicas: 1, readyReplicas: 1, availableReplicas: 1"), 1, 0, "", "", ""},
		"not all pods are new":          {of("Deployment", "replicas: 4", "updatedReplicas: 3, replicas: 4, readyReplicas: 4, availableReplicas: 4"), 4, 1, "3 of 4 pods are of the new version", "", ""},
		"old ones run":                  {of("Deployment", "replicas: 4", "updatedReplicas: 4, replicas: 5, readyReplicas: 4, availableReplicas: 4"), 4, 1, "1 pods of the old version run", "", ""},
		"not all are ready":             {of("Deployment", "replicas: 4", "updatedReplicas: 4, replicas: 4, readyReplicas: 3, availableReplicas: 3"), 4, 1, "3 of 4 pods are ready", "", ""},
		"nor for long enough":           {of("Deployment", "replicas: 4", "updatedReplicas: 4, replicas: 4, readyReplicas: 4, availableReplicas: 2"), 4, 1, "2 of 4 pods have been ready for minReadySeconds", "", ""},
		"none may be missing":           {of("Deployment", "replicas: 4, strategy: {rollingUpdate: {maxUnavailable: 0}}", done), 4, 0, "", "", ""},
		"a share, rounded down":         {of("Deployment", "replicas: 4, strategy: {rollingUpdate: {maxUnavailable: 70%}}", done), 4, 2, "", "", ""},
		"all, when they are made again": {of("Deployment", "replicas: 4, strategy: {type: Recreate}", done), 4, 4, "", "", ""},
		"no more than there are":        {of("Deployment", "replicas: 4, strategy: {rollingUpdate: {maxUnavailable: 9}}", done), 4, 4, "", "", ""},
		"a StatefulSet misses one":      {of("StatefulSet", "replicas: 4", done), 4, 1, "", "", ""},
		"or waits for somebody": {of("StatefulSet", "replicas: 4, updateStrategy: {type: OnDelete}", "updatedReplicas: 1"), 4, 1,
			"1 of 4 pods are of the new version, and by its updateStrategy OnDelete somebody has to delete the old ones", "", ""},
		"or for a partition": {of("StatefulSet", "replicas: 4, updateStrategy: {rollingUpdate: {partition: 3}}", "updatedReplicas: 1"), 4, 1,
			"1 of 4 pods are of the new version, and by its partition the first 3 keep the old one until somebody lowers it", "", ""},
		"a DaemonSet counts nodes": {of("DaemonSet", "updateStrategy: {rollingUpdate: {maxUnavailable: 50%}}", "desiredNumberScheduled: 3, updatedNumberScheduled: 3, currentNumberScheduled: 3, numberReady: 2, numberAvailable: 2"), 3, 1, "2 of 3 pods are ready", "", ""},
		"the deadline is over":     {of("Deployment", "replicas: 4", done+", conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: timed out}]"), 4, 1, "", "timed out", ""},
		"pods are refused":         {of("Deployment", "replicas: 4", done+", conditions: [{type: ReplicaFailure, status: 'True', reason: FailedCreate, message: 'exceeded quota: small'}]"), 4, 1, "", "", "exceeded quota: small"},
		"no longer refused":        {of("Deployment", "replicas: 4", done+", conditions: [{type: ReplicaFailure, status: 'False', message: 'exceeded quota: small'}]"), 4, 1, "", "", ""},
		"it is paused":             {of("Deployment", "replicas: 4, paused: true", done), 4, 1, "", "spec.paused is true: nothing rolls out until somebody resumes it", ""},
		"a Rollout":                {of("Rollout", "replicas: 4, strategy: {canary: {maxUnavailable: 2}}", done), 4, 2, "", "", ""},
		"that was aborted":         {of("Rollout", "replicas: 4", done+", phase: Degraded, message: RolloutAborted"), 4, 1, "", "RolloutAborted", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var got model.Snapshot
			progress(parse(t, c.object), &got)
			want := model.Snapshot{Desired: c.desired, Unavailable: c.unavailable, Complete: c.complete, Stalled: c.stalled, Refused: c.refused}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatWasAppliedIsStillThere(t *testing.T) {
	live := parse(t, "{kind: Deployment, metadata: {uid: d}, spec: {template: {spec: {containers: [{image: web@2}], initContainers: [{image: migrate@2}]}}}}")
	cases := map[string]struct {
		workload model.Workload
		said     string
	}{
		"it is":                       {model.Workload{UID: "d", Images: []string{"web@2", "migrate@2"}}, ""},
		"nothing is known of it":      {model.Workload{}, ""},
		"another object of that name": {model.Workload{UID: "other"}, "made again by somebody else"},
		"another version of it":       {model.Workload{UID: "d", Images: []string{"web@1"}}, "does not name web@1 any more"},
	}
	for name, c := range cases {
		if got := superseded(c.workload, live); (got == "") != (c.said == "") || !strings.Contains(got, c.said) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A controller that has not seen what was applied says nothing of it.
func TestTheGenerationThatAControllerHasSeen(t *testing.T) {
	for object, want := range map[string]int64{
		"{kind: Deployment, status: {observedGeneration: 3}}": 3,
		"{kind: Rollout, status: {observedGeneration: '4'}}":  4,
		"{kind: Rollout, status: {observedGeneration: abc}}":  0,
		"{kind: Deployment}": 0,
	} {
		if got := observed(parse(t, object)); got != want {
			t.Errorf("%s: %d", object, got)
		}
	}
	api := newCluster(t, strings.Replace(deployment, "generation: 2", "generation: 3", 1))
	if s := NewReader(api, described()).Look(t.Context(), web()); s.PodsKnown || s.Desired != 1 || s.Complete != "its controller has not seen generation 3 yet" {
		t.Errorf("%+v", s)
	}
}
