// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/outlast-ci/outlast/core/apply/internal/objects"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: dev, labels: {app: web}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "shop/web@sha256:1"}]}
`

// pods of web as a cluster has them: two that run, one that is finished, and
// one of another workload with the same label.
const pods = `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-1, namespace: dev, labels: {app: web}, uid: rs-1, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: web-uid}]}
spec: {template: {metadata: {labels: {app: web, pod-template-hash: "1"}}, spec: {restartPolicy: Always, containers: [{name: web, image: "shop/web@sha256:1"}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1-a, namespace: dev, labels: {app: web}, uid: pod-a, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: rs-1}]}
status: {phase: Running, podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1-b, namespace: dev, labels: {app: web}, uid: pod-b, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: rs-1}]}
status: {phase: Pending}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1-c, namespace: dev, labels: {app: web}, uid: pod-c, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: rs-1}]}
status: {phase: Failed}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1-d, namespace: dev, labels: {app: web}, uid: pod-d, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: rs-1}]}
status: {phase: Succeeded}
---
apiVersion: v1
kind: Pod
metadata: {name: stray, namespace: dev, labels: {app: web}, uid: pod-s, ownerReferences: [{apiVersion: batch/v1, kind: Job, name: web, uid: job}]}
status: {phase: Running}
`

// running is a server where the manifests were applied by Outlast before, and
// web got the UID web-uid and pods.
func running(t *testing.T, manifests string) *server {
	t.Helper()
	s := newServer(t, "")
	if _, err := Apply(t.Context(), s, []byte(manifests), Options{}); err != nil {
		t.Fatal(err)
	}
	for _, obj := range s.objects {
		if objects.RunsPods(obj.GetKind()) {
			obj.SetUID("web-uid")
			obj.Object["status"] = map[string]any{"readyReplicas": int64(2)}
		}
	}
	s.add(t, pods)
	s.writes, s.dry = nil, nil
	return s
}

// counted gives the manifest of web a number of replicas.
var counted = strings.NewReplacer("\nspec:\n", "\nspec:\n  replicas: 2\n")

func TestWhatChanges(t *testing.T) {
	both := []Pod{{UID: "pod-a", Name: "web-1-a", IP: "10.0.0.1"}, {UID: "pod-b", Name: "web-1-b"}}
	for name, tc := range map[string]struct {
		before, after string
		want          Workload
		writes        int
	}{
		"the same manifests again write nothing and replace nothing": {
			web, web, Workload{Generation: 1, Action: Unchanged}, 0,
		},
		"another image replaces the pods that run, not finished ones and not a stranger's": {
			web, strings.Replace(web, "sha256:1", "sha256:2", 1), Workload{Generation: 2, Action: Configured, Replaced: both}, 1,
		},
		"another count of replicas replaces no pod": {
			counted.Replace(web), strings.Replace(web, "spec:\n", "spec:\n  replicas: 4\n", 1), Workload{Generation: 2, Action: Configured}, 1,
		},
		"another label of the Deployment itself bumps no generation": {
			web, strings.Replace(web, "labels: {app: web}}\n", "labels: {app: web, team: shop}}\n", 1), Workload{Generation: 1, Action: Configured}, 1,
		},
		"a field that the manifests give up is taken away": {
			strings.Replace(web, "spec:\n", "spec:\n  paused: true\n", 1), web, Workload{Generation: 2, Action: Configured}, 1,
		},
		"a selector of expressions selects pods, too": {
			strings.Replace(web, "{matchLabels: {app: web}}", "{matchExpressions: [{key: app, operator: In, values: [web]}]}", 1),
			strings.NewReplacer("{matchLabels: {app: web}}", "{matchExpressions: [{key: app, operator: In, values: [web]}]}", "sha256:1", "sha256:2").Replace(web),
			Workload{Generation: 2, Action: Configured, Replaced: both}, 1,
		},
	} {
		check := func(t *testing.T, before, after string) {
			s := running(t, before)
			got, err := Apply(t.Context(), s, []byte(after), Options{})
			if err != nil {
				t.Fatal(err)
			}
			tc.want.APIVersion, tc.want.Kind, tc.want.Namespace, tc.want.Name, tc.want.UID = "apps/v1", "Deployment", "dev", "web", "web-uid"
			if diff := cmp.Diff([]Workload{tc.want}, got.Workloads); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]Change{{Object: "Deployment/dev/web", Action: tc.want.Action}}, brief(got.Changes)); diff != "" {
				t.Error(diff)
			}
			asked := tc.writes
			if strings.Contains(after, "replicas:") {
				asked = 0 // no autoscaler's number can be lost: the write tells all
			}
			if len(s.writes) != tc.writes || len(s.dry) != asked {
				t.Errorf("wrote %v after dry runs %v, want %d writes, after %d dry runs", s.writes, s.dry, tc.writes, asked)
			}
			if live := s.objects["apps/v1 Deployment dev/web"]; live.GetGeneration() != tc.want.Generation {
				t.Errorf("the object is at generation %d, want %d", live.GetGeneration(), tc.want.Generation)
			}
			if (got.Changes[0].Fields == nil) != (tc.want.Action == Unchanged) {
				t.Errorf("what changes: %v", got.Changes[0].Fields)
			}
		}
		t.Run(name, func(t *testing.T) { check(t, tc.before, tc.after) })
		if !strings.Contains(tc.after, "replicas:") {
			t.Run(name+", with a number of replicas", func(t *testing.T) { check(t, counted.Replace(tc.before), counted.Replace(tc.after)) })
		}
	}
}

// TestBusy: what controllers write between the look and the dry run is no
// change of ours.
func TestBusy(t *testing.T) {
	s := running(t, web)
	s.before = func(_ context.Context, verb, _, _ string) error {
		if verb == "dry" {
			s.mu.Lock()
			defer s.mu.Unlock()
			live := s.objects["apps/v1 Deployment dev/web"]
			live.Object["status"] = map[string]any{"readyReplicas": int64(1)}
			live.SetResourceVersion("1000")
		}
		return nil
	}
	got, err := Apply(t.Context(), s, []byte(web), Options{})
	if err != nil || got.Changes[0].Action != Unchanged || len(s.writes) > 0 {
		t.Errorf("got %v, %v with the writes %v", got.Changes, err, s.writes)
	}
}

// TestTheSameByAnother: an object that another tool applies just so is not written.
func TestTheSameByAnother(t *testing.T) {
	s := newServer(t, web)
	defaults(s.objects["apps/v1 Deployment dev/web"])
	got, err := Apply(t.Context(), s, []byte(web), Options{})
	if err != nil || got.Changes[0].Action != Unchanged || len(s.writes) > 0 {
		t.Errorf("got %v, %v with the writes %v", got.Changes, err, s.writes)
	}
}

// TestGivenUp: the manifests give up a field that has its default. No value
// changes, but from then on it is not ours: written once, and then known.
func TestGivenUp(t *testing.T) {
	s := running(t, strings.Replace(web, "spec:\n", "spec:\n  progressDeadlineSeconds: 600\n", 1))
	got, err := Apply(t.Context(), s, []byte(web), Options{})
	if err != nil || got.Changes[0].Action != Configured || got.Changes[0].Note == "" || len(got.Changes[0].Fields) > 0 || got.Workloads[0].Generation != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	s.writes, s.dry = nil, nil
	got, err = Apply(t.Context(), s, []byte(web), Options{})
	if err != nil || got.Changes[0].Action != Unchanged || len(s.writes)+len(s.dry) > 0 {
		t.Errorf("got %v, %v with the writes %v and the questions %v", got.Changes, err, s.writes, s.dry)
	}
}

// TestTheWriteTells: a controller has written below what is ours, so that only the server
// knows what an apply would change. Of an object that we have applied before nobody asks;
// it is written, and stays the version that it was.
func TestTheWriteTells(t *testing.T) {
	const key = "apps/v1 Deployment dev/web"
	manifests := strings.Replace(counted.Replace(web), "labels: {app: web}}\nspec", "labels: {app: web}, annotations: {}}\nspec", 1)
	s := running(t, manifests)
	s.change(t, key, "deployment-controller", func(o *unstructured.Unstructured) { o.SetAnnotations(map[string]string{"revision": "1"}) })
	before := s.objects[key].GetResourceVersion()
	got, err := Apply(t.Context(), s, []byte(manifests), Options{})
	if err != nil || got.Changes[0].Action != Unchanged || len(got.Changes[0].Fields) > 0 || len(got.Workloads[0].Replaced) > 0 || got.Summary() != "0 created, 0 configured, 1 unchanged" {
		t.Errorf("%+v, %v", got, err)
	}
	if after := s.objects[key].GetResourceVersion(); after != before || len(s.writes) != 1 || len(s.dry) > 0 {
		t.Errorf("version %s, then %s, by the writes %v after the questions %v", before, after, s.writes, s.dry)
	}
}

func TestSame(t *testing.T) {
	for field, want := range map[string]bool{
		"status": true, "metadata.resourceVersion": true, "metadata.generation": true, "metadata.managedFields": true,
		"spec": false, "data": false, "immutable": false, "metadata.labels": false, "metadata.annotations": false, "metadata.ownerReferences": false, "metadata.finalizers": false,
	} {
		t.Run("a difference of "+field, func(t *testing.T) {
			a := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "a"}}}
			b := a.DeepCopy()
			if err := unstructured.SetNestedField(b.Object, "x", strings.Split(field, ".")...); err != nil {
				t.Fatal(err)
			}
			if got := objects.Same(a, b); got != want || !objects.Same(a, a) || !objects.Same(b, b.DeepCopy()) {
				t.Errorf("the same: %t, want %t", got, want)
			}
		})
	}
}

// TestUndone: version 2 hangs with one pod, so both pods of version 1 run on
// when version 1 is applied again. A gate that waited for them to go would wait
// forever.
func TestUndone(t *testing.T) {
	s := running(t, web)
	if _, err := Apply(t.Context(), s, []byte(strings.Replace(web, "sha256:1", "sha256:2", 1)), Options{}); err != nil {
		t.Fatal(err)
	}
	second := strings.NewReplacer("web-1", "web-2", "rs-1", "rs-2", "pod-", "new-", `hash: "1"`, `hash: "2"`, "sha256:1", "sha256:2", "stray", "stray-2").Replace(pods)
	docs := strings.Split(second, "\n---\n")
	s.add(t, docs[0]+"\n---\n"+docs[1])
	got, err := Apply(t.Context(), s, []byte(web), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := []Pod{{UID: "new-a", Name: "web-2-a", IP: "10.0.0.1"}}; !cmp.Equal(got.Workloads[0].Replaced, want) {
		t.Errorf("replaces %v, want only the pod of version 2", got.Workloads[0].Replaced)
	}
}

func TestPodsOfOtherKinds(t *testing.T) {
	for _, kind := range []string{"StatefulSet", "DaemonSet"} {
		t.Run(kind+" owns its pods directly", func(t *testing.T) {
			manifest := strings.Replace(web, "kind: Deployment", "kind: "+kind, 1)
			s := running(t, manifest)
			s.add(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: web-0, namespace: dev, labels: {app: web}, uid: pod-0, ownerReferences: [{apiVersion: apps/v1, kind: "+kind+", name: web, uid: web-uid}]}\nstatus: {phase: Running}")
			got, err := Apply(t.Context(), s, []byte(strings.Replace(manifest, "sha256:1", "sha256:2", 1)), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Workloads) != 1 {
				t.Fatalf("workloads %v, want one", got.Workloads)
			}
			if want := []Pod{{UID: "pod-0", Name: "web-0"}}; !cmp.Equal(got.Workloads[0].Replaced, want) {
				t.Errorf("replaces %v, want %v", got.Workloads[0].Replaced, want)
			}
			got, err = Apply(t.Context(), s, []byte(strings.NewReplacer("sha256:1", "sha256:2", "spec:\n", "spec:\n  minReadySeconds: 4\n").Replace(manifest)), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if w := got.Workloads[0]; w.Action != Configured || len(w.Replaced) > 0 {
				t.Errorf("a change outside of the template gave %+v", w)
			}
		})
	}
}

func TestRolloutSurvivesJSON(t *testing.T) {
	s := running(t, web)
	want, err := Apply(t.Context(), s, []byte(strings.Replace(web, "sha256:1", "sha256:2", 1)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Rollout
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || want.Started.IsZero() || len(want.Workloads[0].Replaced) != 2 {
		t.Errorf("%s differs: %s", text, diff)
	}
	if got := want.Workloads[0].ID(); got != "Deployment/dev/web" {
		t.Errorf("the workload is called %s", got)
	}
}

func TestEvents(t *testing.T) {
	s, r := running(t, web), &recorder{}
	manifests := strings.Replace(web, "sha256:1", "sha256:2", 1) + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: dev}\n"
	if _, err := Apply(t.Context(), s, []byte(manifests), Options{Observe: r.observe}); err != nil {
		t.Fatal(err)
	}
	want := "apply progress ConfigMap/dev/c: created map[]\napply progress Deployment/dev/web: configured, replaces 2 pods map[]\n"
	if got := r.text(); got != want {
		t.Errorf("events:\n%s\nwant:\n%s", got, want)
	}
}

// TestNoNamespace: an object that names no namespace is the default one's, and
// the Rollout says so, in the order of the manifests.
func TestNoNamespace(t *testing.T) {
	s := newServer(t, "")
	bare := strings.Replace(web, ", namespace: dev", "", 1)
	got, err := Apply(t.Context(), s, []byte(web+"---"+bare+"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []Change{{Object: "Deployment/dev/web", Action: Created}, {Object: "Deployment/default/web", Action: Created}, {Object: "ConfigMap/default/c", Action: Created}}
	if diff := cmp.Diff(want, brief(got.Changes)); diff != "" {
		t.Error(diff)
	}
	if got := []string{got.Workloads[0].ID(), got.Workloads[1].ID()}; !slices.Equal(got, []string{"Deployment/dev/web", "Deployment/default/web"}) {
		t.Errorf("workloads %v", got)
	}
}

// first says which kinds have to be there before which others, and why.
var first = []struct{ before, after, why string }{
	{"Namespace", "ServiceAccount", "the second lives in the first"},
	{"Namespace", "Deployment", "the second lives in the first"},
	{"CustomResourceDefinition", "Widget", "the first defines the second"},
	{"CustomResourceDefinition", "ConfigMap", "the first may take a while, so it goes first"},
	{"ServiceAccount", "Deployment", "pods are refused without their account"},
	{"Role", "Deployment", "a pod may use its rights at once"},
	{"RoleBinding", "Deployment", "a pod may use its rights at once"},
	{"ClusterRole", "Deployment", "a pod may use its rights at once"},
	{"ConfigMap", "Deployment", "pods read it when they start"},
	{"Secret", "StatefulSet", "pods read it when they start"},
	{"PersistentVolumeClaim", "StatefulSet", "pods mount it when they start"},
	{"ConfigMap", "Job", "pods read it when they start"},
	{"Service", "Deployment", "pods that are older than the target group get no readiness gate"},
	{"Ingress", "Deployment", "pods that are older than the target group get no readiness gate"},
	{"Service", "StatefulSet", "a StatefulSet names its Service"},
	{"Deployment", "PodDisruptionBudget", "the second acts upon the pods of the first"},
	{"Deployment", "HorizontalPodAutoscaler", "the second acts upon the first"},
	{"Widget", "HorizontalPodAutoscaler", "the second may act upon the first"},
}

// TestOrder applies random sets of objects in random order: whatever the set,
// each object is written once, no kind before one that it needs, the Rollout
// keeps the order of the manifests, and a second time nothing is written.
func TestOrder(t *testing.T) {
	kinds := []string{"example.com/v1 Widget"}
	for kind := range scopes {
		if kind != "v1 Namespace" {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	rapid.Check(t, func(rt *rapid.T) {
		s := newServer(t, "")
		s.kinds["example.com/v1 Widget"] = true
		var docs, want []string
		for i, kind := range rapid.SliceOfN(rapid.SampledFrom(kinds), 1, 40).Draw(rt, "kinds") {
			apiVersion, kind, _ := strings.Cut(kind, " ")
			obj := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind}}
			obj.SetName(fmt.Sprintf("x%d", i))
			if s.kinds[apiVersion+" "+kind] {
				obj.SetNamespace(rapid.SampledFrom([]string{"dev", "default", "fresh"}).Draw(rt, "namespace"))
			}
			text, err := obj.MarshalJSON()
			if err != nil {
				rt.Fatal(err)
			}
			docs, want = append(docs, string(text)), append(want, objects.ID(obj))
		}
		at := rapid.IntRange(0, len(docs)).Draw(rt, "where the namespace stands")
		docs, want = slices.Insert(docs, at, "apiVersion: v1\nkind: Namespace\nmetadata: {name: fresh}"), slices.Insert(want, at, "Namespace/fresh")
		manifests := []byte("---\n" + strings.Join(docs, "\n---\n"))

		if err := Check(t.Context(), s, manifests, Options{}); err != nil || len(s.writes) > 0 {
			rt.Fatalf("checking: %v, with the writes %v", err, s.writes)
		}
		rollout, err := Apply(t.Context(), s, manifests, Options{})
		if err != nil {
			rt.Fatal(err)
		}
		var got []string
		for _, c := range rollout.Changes {
			got = append(got, c.Object)
			if c.Action != Created {
				rt.Errorf("%s is %s, want created", c.Object, c.Action)
			}
		}
		if !slices.Equal(got, want) {
			rt.Errorf("the Rollout lists %v, want the manifests' order %v", got, want)
		}
		if got, want := slices.Sorted(slices.Values(s.writes)), slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
			rt.Errorf("wrote %v, want each of %v once", got, want)
		}
		for _, rule := range first {
			last := -1
			for i, w := range s.writes {
				if strings.HasPrefix(w, rule.before+"/") {
					last = i
				}
			}
			soon := slices.IndexFunc(s.writes, func(w string) bool { return strings.HasPrefix(w, rule.after+"/") })
			if soon >= 0 && last > soon {
				rt.Errorf("%s before %s, but %s: %v", s.writes[soon], s.writes[last], rule.why, s.writes)
			}
		}
		s.writes = nil
		again, err := Apply(t.Context(), s, manifests, Options{})
		if err != nil || len(s.writes) > 0 || len(again.Changes) != len(want) {
			rt.Errorf("the second time %v was written, %d changes, %v", s.writes, len(again.Changes), err)
		}
		for _, c := range again.Changes {
			if c.Action != Unchanged {
				rt.Errorf("the second time %s is %s", c.Object, c.Action)
			}
		}
	})
}

// TestManyAtOnce: the objects of one phase are written at once, though never
// more than the server's fairness gives a user.
func TestManyAtOnce(t *testing.T) {
	var docs []string
	for i := range 160 {
		docs = append(docs, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d, namespace: dev}", i))
	}
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, "")
		busy, most, started := 0, 0, time.Now()
		s.before = func(context.Context, string, string, string) error {
			s.mu.Lock()
			busy++
			most = max(most, busy)
			s.mu.Unlock()
			time.Sleep(time.Second)
			s.mu.Lock()
			busy--
			s.mu.Unlock()
			return nil
		}
		if _, err := Apply(t.Context(), s, []byte(strings.Join(docs, "\n---\n")), Options{}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(started); most != 16 || took != 11*time.Second || len(s.writes) != 160 {
			t.Errorf("%d requests of a second at once, %s in all, %d writes; want 16, 11s: one list and ten times 16, 160", most, took, len(s.writes))
		}
	})
}

// TestReplicasStay: an autoscaler came, and the manifests leave the number of
// pods to it. Taking the field away would leave one pod of ten.
func TestReplicasStay(t *testing.T) {
	ten := strings.Replace(web, "spec:\n", "spec:\n  replicas: 10\n", 1)
	s := running(t, ten)
	count := func() int64 {
		t.Helper()
		live, err := s.Get(t.Context(), "apps/v1", "Deployment", "dev", "web")
		if err != nil {
			t.Fatal(err)
		}
		n, _, _ := unstructured.NestedInt64(live.Object, "spec", "replicas")
		return n
	}
	if count() != 10 {
		t.Fatalf("%d replicas to begin with", count())
	}
	for range 2 {
		if _, err := Apply(t.Context(), s, []byte(web), Options{}); err != nil {
			t.Fatal(err)
		}
		if count() != 10 {
			t.Fatalf("%d replicas are left of 10", count())
		}
	}
	if _, err := Apply(t.Context(), s, []byte(strings.Replace(ten, "10", "4", 1)), Options{}); err != nil {
		t.Fatal(err)
	}
	if count() != 4 {
		t.Errorf("%d replicas, the manifests say 4", count())
	}
}

// TestKeepReplicas: of which kinds the number of pods is kept.
func TestKeepReplicas(t *testing.T) {
	of := func(kind string, replicas any) *unstructured.Unstructured {
		spec := map[string]any{}
		if replicas != nil {
			spec["replicas"] = replicas
		}
		return &unstructured.Unstructured{Object: map[string]any{"kind": kind, "spec": spec}}
	}
	for kind, want := range map[string]bool{"Deployment": true, "StatefulSet": true, "Rollout": true, "ReplicaSet": true, "KafkaTopic": false, "ConfigMap": false} {
		obj := of(kind, nil)
		if got := objects.KeepReplicas(obj, of(kind, int64(3)), of(kind, int64(1))); got != want {
			t.Errorf("%s: kept %v, want %v", kind, got, want)
		}
	}
	if objects.KeepReplicas(of("Deployment", int64(1)), of("Deployment", int64(3)), of("Deployment", int64(1))) || objects.KeepReplicas(of("Deployment", nil), of("Deployment", nil), of("Deployment", nil)) {
		t.Error("kept what is written, or what is not there")
	}
}
