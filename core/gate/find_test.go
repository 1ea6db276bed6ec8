// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/outlast-ci/outlast/core/drain"
)

// objects is a cluster of the objects in a text.
type objects []unstructured.Unstructured

func cluster(t *testing.T, text string) (all objects) {
	t.Helper()
	for _, doc := range strings.Split(text, "\n---\n") {
		raw, err := yaml.YAMLToJSON([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		o := unstructured.Unstructured{}
		if err := o.UnmarshalJSON(raw); err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		if o.GetNamespace() == "" {
			o.SetNamespace("shop")
		}
		all = append(all, o)
	}
	return all
}

func (c objects) Get(_ context.Context, version, kind, namespace, name string) (*unstructured.Unstructured, error) {
	for _, o := range c {
		if o.GetAPIVersion() == version && o.GetKind() == kind && o.GetNamespace() == namespace && o.GetName() == name {
			return o.DeepCopy(), nil
		}
	}
	return nil, nil
}

func (c objects) List(_ context.Context, version, kind, namespace, selector string) (out []unstructured.Unstructured, err error) {
	if version == "argoproj.io/v1alpha1" || version == "eks.amazonaws.com/v1" {
		return nil, &meta.NoKindMatchError{GroupKind: schema.GroupKind{Kind: kind}}
	}
	match, err := labels.Parse(selector)
	if err != nil {
		return nil, err
	}
	for _, o := range c {
		if o.GetAPIVersion() == version && o.GetKind() == kind && o.GetNamespace() == namespace && match.Matches(labels.Set(o.GetLabels())) {
			out = append(out, *o.DeepCopy())
		}
	}
	return out, nil
}

func (objects) Logs(context.Context, string, string, string, int, bool) (string, error) {
	return "", errors.New("no logs here")
}

// attributed is a balancer whose groups have a deregistration delay, or one that cannot be read.
type attributed struct {
	delay    *drain.Seconds
	protocol string
}

func (attributed) TargetHealth(context.Context, string) ([]Target, error) {
	return nil, errors.New("not asked here")
}

func (a attributed) TargetGroups(_ context.Context, q GroupQuery) (out []TargetGroup, err error) {
	for _, arn := range q.ARNs {
		out = append(out, TargetGroup{ARN: arn, Protocol: a.protocol, LoadBalancers: []string{"lb"}, Interval: 7 * time.Second, Timeout: 5 * time.Second, Healthy: 3, Unhealthy: 2, Delay: a.delay})
	}
	return out, nil
}

func (attributed) As(context.Context, string, string) (Balancer, error) {
	return nil, errors.New("no other account here")
}

// shop is what helm left behind: a Deployment in the middle of its rollout, a worker, and a set.
const shop = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, uid: d, generation: 3, labels: {team: shop}, annotations: {deployment.kubernetes.io/revision: "2"}}
spec:
  replicas: 6
  minReadySeconds: 20
  progressDeadlineSeconds: 900
  strategy: {rollingUpdate: {maxSurge: 50%, maxUnavailable: 0}}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {terminationGracePeriodSeconds: 100, containers: [{name: web, image: web:2, lifecycle: {preStop: {sleep: {seconds: 90}}}}]}
status: {observedGeneration: 3, replicas: 6, updatedReplicas: 2}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-2, uid: r2, labels: {app: web, pod-template-hash: two}, annotations: {deployment.kubernetes.io/revision: "2"}, ownerReferences: [{uid: d}]}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-1, uid: r1, labels: {app: web, pod-template-hash: one}, annotations: {deployment.kubernetes.io/revision: "1"}, ownerReferences: [{uid: d}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-2-a, uid: a, labels: {app: web, pod-template-hash: two}, ownerReferences: [{uid: r2}]}
status: {podIP: 10.0.0.2}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1-b, uid: b, labels: {app: web, pod-template-hash: one}, ownerReferences: [{uid: r1}]}
spec: {terminationGracePeriodSeconds: 130, containers: [{name: web, lifecycle: {preStop: {exec: {command: [sleep, "120"]}}}}]}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: elbv2.k8s.aws/v1beta1
kind: TargetGroupBinding
metadata: {name: k8s-web}
spec: {targetGroupARN: "arn:web", targetType: ip, serviceRef: {name: web, port: 80}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker, uid: w, generation: 1, labels: {team: shop}}
spec: {selector: {matchLabels: {app: worker}}, template: {metadata: {labels: {app: worker}}, spec: {containers: [{name: w, image: worker:2}]}}}
status: {observedGeneration: 1}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, uid: s, generation: 1}
spec: {selector: {matchLabels: {app: db}}, template: {metadata: {labels: {app: db}}, spec: {containers: [{name: db, image: db:2}]}}}
status: {observedGeneration: 1, updateRevision: db-2}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: parked, uid: p, generation: 1, labels: {team: parked}}
spec: {replicas: 0, selector: {matchLabels: {app: parked}}, template: {metadata: {labels: {app: parked}}, spec: {containers: [{name: p, image: p:2}]}}}
status: {observedGeneration: 1}
`

func TestWorkloadsAreFoundAsTheyRun(t *testing.T) {
	found, err := Find(t.Context(), cluster(t, shop), attributed{delay: new(drain.Seconds(60))}, Which{Selector: "team=shop", Namespace: "shop"})
	if err != nil || len(found) != 2 {
		t.Fatalf("%v, %+v", err, found)
	}
	web, worker := found[0], found[1]
	plan := web.Plan
	web.Plan = drain.Plan{}
	want := Workload{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web", Generation: 3, UID: "d", Images: []string{"web:2"}, Replaced: []Replaced{{UID: "b", Name: "web-1-b", IP: "10.0.0.1"}}, Behind: true}
	if diff := cmp.Diff(want, web); diff != "" {
		t.Error(diff)
	}
	if plan.Mode != drain.Strict || plan.DeregistrationDelay != 60 || plan.PreStop != 90 || plan.GracePeriod != 100 || plan.MinReady != 20 || plan.ProgressDeadline != 900 {
		t.Errorf("plan: %+v", plan)
	}
	in := plan.Inputs
	if in.Replicas != 6 || in.Surge != 3 || len(in.Groups) != 1 || in.Groups[0].HealthInterval != 7*time.Second || in.Groups[0].HealthyCount != 3 || in.Running.PreStop != 120 || in.Running.GracePeriod != 130 {
		t.Errorf("inputs: %+v", in)
	}
	if worker.Name != "worker" || worker.Behind || worker.Plan.Mode != "" || len(worker.Replaced) > 0 {
		t.Errorf("the worker: %+v", worker)
	}
}

func TestWhatIsMadeOfTheTimingsThatRun(t *testing.T) {
	cases := map[string]struct {
		balancer attributed
		mode     drain.Mode
		delay    drain.Seconds
	}{
		"a delay that the hook outlasts is strict":            {attributed{delay: new(drain.Seconds(60))}, drain.Strict, 60},
		"a long one is fast":                                  {attributed{delay: new(drain.Seconds(300))}, drain.Fast, 300},
		"one that cannot be read proves nothing by its end":   {attributed{}, drain.Strict, 0},
		"a Network Load Balancer goes on sending for minutes": {attributed{delay: new(drain.Seconds(60)), protocol: "TCP"}, drain.Strict, 60},
	}
	for name, c := range cases {
		found, err := Find(t.Context(), cluster(t, shop), c.balancer, Which{Refs: []string{"deploy/web"}, Namespace: "shop"})
		if err != nil || len(found) != 1 || found[0].Plan.Mode != c.mode || found[0].Plan.DeregistrationDelay != c.delay {
			t.Errorf("%s: %v, %+v", name, err, found)
			continue
		}
		if nlb := found[0].Plan.Inputs.MaxPropagation() > time.Minute; nlb != (c.balancer.protocol == "TCP") {
			t.Errorf("%s: P is %s", name, found[0].Plan.Inputs.MaxPropagation())
		}
	}
}

// What has no binding yet stands behind a balancer when its annotations ask for pods as targets.
func TestWhatStandsBehindABalancer(t *testing.T) {
	const ingress = `
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, annotations: {alb.ingress.kubernetes.io/target-type: %s}}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}`
	unbound := strings.Replace(shop, "serviceRef: {name: web, port: 80}", "serviceRef: {name: other, port: 80}", 1)
	cases := map[string]struct {
		text string
		want bool
	}{
		"a binding":                  {shop, true},
		"none, and nothing else":     {unbound, false},
		"an Ingress to pods":         {unbound + strings.Replace(ingress, "%s", "ip", 1), true},
		"an Ingress to nodes":        {unbound + strings.Replace(ingress, "%s", "instance", 1), false},
		"a binding to nodes, though": {strings.Replace(shop, "targetType: ip", "targetType: instance", 1) + strings.Replace(ingress, "%s", "ip", 1), false},
		"an NLB's Service to pods":   {strings.Replace(unbound, "metadata: {name: web}\nspec: {selector", "metadata: {name: web, annotations: {service.beta.kubernetes.io/aws-load-balancer-nlb-target-type: ip}}\nspec: {type: LoadBalancer, selector", 1), true},
	}
	for name, c := range cases {
		found, err := Find(t.Context(), cluster(t, c.text), attributed{delay: new(drain.Seconds(60))}, Which{Refs: []string{"Deployment/shop/web"}})
		if err != nil || len(found) != 1 || found[0].Behind != c.want {
			t.Errorf("%s: %v, %+v", name, err, found)
		}
	}
}

// While the controller has not seen the newest template, nobody knows which pods are old.
func TestPodsOfAnUnseenGenerationAreNotOld(t *testing.T) {
	text := strings.Replace(shop, "generation: 3", "generation: 4", 1)
	found, err := Find(t.Context(), cluster(t, text), attributed{}, Which{Refs: []string{"Deployment/shop/web"}})
	if err != nil || len(found) != 1 || len(found[0].Replaced) > 0 || found[0].Generation != 4 {
		t.Errorf("%v, %+v", err, found)
	}
}

func TestHowWorkloadsAreNamed(t *testing.T) {
	cases := map[string]struct {
		which Which
		names string // found
		says  string // of the error
	}{
		"by kind and name":         {Which{Refs: []string{"sts/db"}, Namespace: "shop"}, "db", ""},
		"as kubectl prints them":   {Which{Refs: []string{"deployment.apps/web", "StatefulSet/shop/db"}, Namespace: "shop"}, "web db", ""},
		"by label":                 {Which{Selector: "team=shop", Namespace: "shop"}, "web worker", ""},
		"none":                     {Which{}, "", "none is named"},
		"both":                     {Which{Refs: []string{"sts/db"}, Selector: "a=b"}, "", "but not both"},
		"one that is not there":    {Which{Refs: []string{"sts/db"}}, "", "there is no StatefulSet of this name in namespace default"},
		"a label that nobody has":  {Which{Selector: "team=none", Namespace: "shop"}, "", "no Deployment, StatefulSet, DaemonSet or Rollout with the labels team=none is in namespace shop"},
		"all":                      {Which{All: true, Namespace: "shop"}, "web worker db", ""},
		"all of nothing":           {Which{All: true, Namespace: "none"}, "", "no Deployment, StatefulSet, DaemonSet or Rollout is in namespace none"},
		"one that wants no pods":   {Which{Refs: []string{"deploy/parked"}, Namespace: "shop"}, "", "Deployment/shop/parked wants 0 replicas"},
		"among others":             {Which{Refs: []string{"deploy/parked", "sts/db"}, Namespace: "shop", All: true}, "db", ""},
		"nothing but that":         {Which{Selector: "team=parked", Namespace: "shop"}, "", "every workload that was found wants 0 replicas"},
		"a kind without pods":      {Which{Refs: []string{"cronjob/db"}}, "", "cronjob is no kind that the gate can wait for"},
		"a name alone":             {Which{Refs: []string{"web"}}, "", "want KIND/NAME or KIND/NAMESPACE/NAME"},
		"a name that is missing":   {Which{Refs: []string{"sts/"}}, "", "want KIND/NAME or KIND/NAMESPACE/NAME"},
		"a selector that is wrong": {Which{Selector: "a in", Namespace: "shop"}, "", "finding workloads by label: "},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			found, err := Find(t.Context(), cluster(t, shop), attributed{}, c.which)
			var names []string
			for _, w := range found {
				names = append(names, w.Name)
			}
			if strings.Join(names, " ") != c.names || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("found %q, error %v", names, err)
			}
		})
	}
	if k, ns, name, err := parse("ro/prod/web", "dev"); err != nil || k.name != "Rollout" || ns != "prod" || name != "web" || slices.Contains(k.words, "web") {
		t.Errorf("%v %s %s %v", k, ns, name, err)
	}
}
