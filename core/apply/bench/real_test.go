// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"encoding/json"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/apply"
	"github.com/outlast-ci/outlast/core/internal/kube"
)

// web has everything of which a real API server knows more than our own in
// memory: lists with keys, defaults in them, quantities.
const web = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NAMESPACE, labels: {app: web}}
spec:
  replicas: 10
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: main
        image: registry.example.com/web:1
        ports: [{containerPort: 8080}, {containerPort: 9090, name: admin}]
        env: [{name: A, value: "1"}, {name: B, value: "2"}]
        resources: {requests: {cpu: 100m, memory: 128Mi}}
        volumeMounts: [{name: tmp, mountPath: /tmp}]
      - {name: side, image: registry.example.com/side:1}
      volumes: [{name: tmp, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NAMESPACE}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web, namespace: NAMESPACE}
data: {a: "1", b: "2"}
`

const hpa = `---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: NAMESPACE}
spec: {minReplicas: 4, maxReplicas: 20, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
`

// real is a real API server, and kubectl.
type real struct {
	*testing.T
	*kube.Client
	namespace string
}

func connect(t *testing.T, namespace string) real {
	t.Helper()
	kubeconfig := os.Getenv("OUTLAST_BENCH_KUBECONFIG")
	if kubeconfig == "" {
		t.Skip("run by lab/internal/applybench")
	}
	client, err := kube.New(kube.Access{Kubeconfig: kubeconfig, UserAgent: "outlast-bench"})
	if err != nil {
		t.Fatal(err)
	}
	r := real{t, client, namespace}
	r.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: " + namespace + "}")
	return r
}

func (r real) text(manifests string) []byte {
	return []byte(strings.ReplaceAll(manifests, "NAMESPACE", r.namespace))
}

func (r real) apply(manifests string) apply.Rollout {
	r.Helper()
	rollout, err := apply.Apply(r.Context(), r, r.text(manifests), apply.Options{})
	if err != nil {
		r.Fatal(err)
	}
	return rollout
}

func (r real) kubectl(manifests string, args ...string) {
	r.Helper()
	cmd := exec.CommandContext(r.Context(), os.Getenv("OUTLAST_BENCH_KUBECTL"), append([]string{"--kubeconfig", os.Getenv("OUTLAST_BENCH_KUBECONFIG")}, args...)...)
	cmd.Stdin = strings.NewReader(string(r.text(manifests)))
	if out, err := cmd.CombinedOutput(); err != nil {
		r.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
}

func (r real) get(kind string) *unstructured.Unstructured {
	r.Helper()
	obj, err := r.Get(r.Context(), map[string]string{"Deployment": "apps/v1"}[kind]+map[string]string{"ConfigMap": "v1", "Service": "v1"}[kind], kind, r.namespace, "web")
	if err != nil {
		r.Fatal(err)
	}
	return obj
}

// settled is the version of the Deployment when its controller has nothing left to write.
func (r real) settled() string {
	r.Helper()
	for before := ""; ; time.Sleep(time.Second) {
		now := r.get("Deployment").GetResourceVersion()
		if now == before {
			return now
		}
		before = now
	}
}

// TestReal: what the code believes of an API server.
func TestReal(t *testing.T) {
	t.Run("an object is created with a version that none has, and not over another", func(t *testing.T) {
		r := connect(t, "real-absent")
		obj := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"a": "1"}}}
		obj.SetName("web")
		obj.SetNamespace(r.namespace)
		obj.SetResourceVersion("1")
		if _, err := r.Apply(t.Context(), obj, false); err != nil {
			t.Fatal(err)
		}
		obj.Object["data"] = map[string]any{"a": "2"}
		if _, err := r.Apply(t.Context(), obj, false); !apierrors.IsConflict(err) {
			t.Errorf("over what is there: %v", err)
		}
		live := r.get("ConfigMap")
		if err := r.Delete(t.Context(), "v1", "ConfigMap", r.namespace, "web", live.GetUID()); err != nil {
			t.Fatal(err)
		}
		obj.SetResourceVersion(live.GetResourceVersion())
		obj.SetUID(live.GetUID())
		if _, err := r.Apply(t.Context(), obj, false); !apierrors.IsConflict(err) || r.get("ConfigMap") != nil {
			t.Errorf("what is gone comes back: %v", err)
		}
	})
	t.Run("what is applied again is known without asking", func(t *testing.T) {
		r := connect(t, "real-again")
		r.apply(web)
		c := &counting{Client: r.Client}
		if _, err := apply.Apply(t.Context(), c, r.text(web), apply.Options{}); err != nil || c.dry+c.written > 0 {
			t.Errorf("%v: %d questions, %d writes", err, c.dry, c.written)
		}
		before, other := r.settled(), strings.Replace(web, "cpu: 100m", "cpu: 0.1", 1)
		got, err := apply.Apply(t.Context(), c, r.text(other), apply.Options{})
		if err != nil || c.dry > 0 || c.written != 1 || got.Changes[0].Action != apply.Unchanged || r.get("Deployment").GetResourceVersion() != before {
			t.Errorf("in another spelling: %+v, %v: %d questions, %d writes", got.Changes, err, c.dry, c.written)
		}
		plan, err := apply.Diff(t.Context(), r, r.text(strings.NewReplacer("web:1", "web:2", "cpu: 100m", "cpu: 200m").Replace(web)), apply.Options{})
		if err != nil || len(plan.Changes[0].Fields) != 2 || plan.Changes[0].Fields[0].Path != "spec.template.spec.containers[name=main].image" || plan.Changes[1].Action != apply.Unchanged {
			t.Errorf("the plan %+v, %v", plan.Changes, err)
		}
	})
	for name, make := range map[string]func(r real, manifests string){
		"kubectl apply":               func(r real, m string) { r.kubectl(m, "apply", "-f", "-") },
		"kubectl apply --server-side": func(r real, m string) { r.kubectl(m, "apply", "--server-side", "-f", "-") },
		"helm":                        func(r real, m string) { r.kubectl(m, "create", "--field-manager", "helm", "-f", "-") },
	} {
		t.Run("the objects of "+name, func(t *testing.T) { adopted(t, name, make) })
	}
}

// adopted: what another tool made is taken over without a rollout, as planned;
// fields that only it had go, defaults stay, and replicas are an autoscaler's.
func adopted(t *testing.T, name string, make func(r real, manifests string)) {
	r := connect(t, "real-"+strings.NewReplacer(" ", "-", "--", "").Replace(name))
	theirs := strings.NewReplacer(`b: "2"}`, `b: "2", old: "3"}`, "labels: {app: web}}\nspec", "labels: {app: web, old: x}, annotations: {meta.helm.sh/release-name: shop}}\nspec", "emptyDir: {}", "emptyDir: {sizeLimit: 1Gi}").Replace(web)
	make(r, theirs)
	before := r.get("Deployment")
	same := strings.NewReplacer("  replicas: 10\n", "", "emptyDir: {}", "emptyDir: {sizeLimit: 1Gi}").Replace(web)
	plan, err := apply.Diff(t.Context(), r, r.text(same+hpa), apply.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var lost []string
	for _, c := range plan.Changes {
		for _, f := range c.Lost {
			lost = append(lost, c.Object+" "+f.Path)
		}
		if len(c.Fields) > 0 {
			t.Errorf("%s would change %v", c.Object, c.Fields)
		}
	}
	want := []string{"ConfigMap/" + r.namespace + "/web data.old", "Deployment/" + r.namespace + "/web metadata.labels.old"}
	if name != "helm" {
		want = append(want, "Deployment/"+r.namespace+"/web metadata.annotations[meta.helm.sh/release-name]")
	}
	slices.Sort(lost)
	slices.Sort(want)
	if !slices.Equal(lost, want) {
		t.Errorf("the plan says that %v go, want %v", lost, want)
	}
	rollout := r.apply(same + hpa)
	if !reflect.DeepEqual(plan.Changes, rollout.Changes) {
		t.Errorf("planned %+v, did %+v", plan.Changes, rollout.Changes)
	}
	after := r.get("Deployment")
	if !reflect.DeepEqual(before.Object["spec"], after.Object["spec"]) || len(rollout.Workloads[0].Replaced) > 0 {
		a, _ := json.Marshal(before.Object["spec"]) //nolint:errcheck // it is only shown
		b, _ := json.Marshal(after.Object["spec"])  //nolint:errcheck // it is only shown
		t.Errorf("adopting it changed its spec:\n%s\n%s", a, b)
	}
	if n, _, _ := unstructured.NestedInt64(after.Object, "spec", "replicas"); n != 10 || after.GetLabels()["old"] != "" || (after.GetAnnotations()["meta.helm.sh/release-name"] == "shop") != (name == "helm") {
		t.Errorf("%d replicas, labels %v, annotations %v", n, after.GetLabels(), after.GetAnnotations())
	}
	c := &counting{Client: r.Client}
	again, err := apply.Apply(t.Context(), c, r.text(same+hpa), apply.Options{})
	if err != nil || c.written > 0 || slices.ContainsFunc(again.Changes, func(c apply.Change) bool { return c.Action != apply.Unchanged }) {
		t.Errorf("again: %+v, %v, %d writes", again.Changes, err, c.written)
	}
	if c.dry > 2 { // the Deployment's, whose replicas are kept
		t.Errorf("again it asked %d times", c.dry)
	}
}
