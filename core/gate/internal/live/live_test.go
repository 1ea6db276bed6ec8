// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/gate/internal/history"
	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

// cluster serves the objects that it holds; an empty version is any.
type cluster struct {
	objects []unstructured.Unstructured
	fails   map[string]error // by kind, or by version and kind
	asked   []string
}

func newCluster(t *testing.T, texts ...string) *cluster {
	t.Helper()
	c := &cluster{fails: map[string]error{"eks.amazonaws.com/v1 TargetGroupBinding": &meta.NoKindMatchError{GroupKind: schema.GroupKind{Kind: "TargetGroupBinding"}}}}
	for _, text := range texts {
		for _, doc := range strings.Split(text, "\n---\n") {
			o := parse(t, doc)
			if o.GetNamespace() == "" {
				o.SetNamespace("dev")
			}
			c.objects = append(c.objects, *o)
		}
	}
	return c
}

func (c *cluster) Get(_ context.Context, version, kind, namespace, name string) (*unstructured.Unstructured, error) {
	c.asked = append(c.asked, "get "+kind)
	if err := c.fails["get "+kind]; err != nil {
		return nil, err
	}
	for _, o := range c.objects {
		if o.GetAPIVersion() == version && o.GetKind() == kind && o.GetNamespace() == namespace && o.GetName() == name {
			return o.DeepCopy(), nil
		}
	}
	return nil, nil
}

func (c *cluster) List(_ context.Context, version, kind, namespace, selector string) (out []unstructured.Unstructured, err error) {
	c.asked = append(c.asked, "list "+version+" "+kind)
	for _, key := range []string{kind, version + " " + kind} {
		if err := c.fails[key]; err != nil {
			return nil, err
		}
	}
	match, err := labels.Parse(selector)
	for _, o := range c.objects {
		if o.GetAPIVersion() == version && o.GetKind() == kind && o.GetNamespace() == namespace && match.Matches(labels.Set(o.GetLabels())) {
			out = append(out, *o.DeepCopy())
		}
	}
	return out, err
}

func (c *cluster) Logs(_ context.Context, _, pod, container string, _ int, previous bool) (string, error) {
	if previous {
		return "panic: no database\nexit status 2\n", nil
	}
	return "", errors.New("no log yet")
}

// balancer answers questions about groups.
type balancer struct {
	groups []model.TargetGroup
	fails  error
	asked  []model.GroupQuery
	as     []string
}

func (b *balancer) TargetHealth(context.Context, string) ([]model.Target, error) {
	return nil, errors.New("not asked here")
}

func (b *balancer) TargetGroups(_ context.Context, q model.GroupQuery) (out []model.TargetGroup, err error) {
	if b.asked = append(b.asked, q); b.fails != nil {
		return nil, b.fails
	}
	for _, g := range b.groups {
		byTag := len(q.Hostnames) > 0 && slices.ContainsFunc(q.Resources, func(r string) bool { return strings.HasPrefix(g.Resource, r) })
		if slices.Contains(q.ARNs, g.ARN) || slices.Contains(q.Names, g.Name) || byTag {
			out = append(out, g)
		}
	}
	return out, nil
}

func (b *balancer) As(_ context.Context, role, externalID string) (model.Balancer, error) {
	if role == "refused" {
		return nil, errors.New("it does not trust us")
	}
	b.as = append(b.as, strings.TrimSpace(role+" "+externalID))
	return &balancer{groups: []model.TargetGroup{{ARN: "arn:far", Name: "far", Interval: 7 * time.Second, LoadBalancers: []string{"lb"}}}}, nil
}

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, uid: d, generation: 2, annotations: {deployment.kubernetes.io/revision: "2"}}
spec: {replicas: 1, minReadySeconds: 12, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web, version: two}}, spec: {containers: [{name: web, image: web@2}]}}}
status: {observedGeneration: 2, replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1}
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
metadata: {name: new, uid: new, creationTimestamp: "2026-01-02T03:04:05Z", labels: {app: web, version: two, pod-template-hash: two}, ownerReferences: [{uid: r2}]}
status: {podIP: 10.0.0.2}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: other}
spec: {selector: {app: other}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless}
spec: {selector: {}, ports: [{port: 80}]}
---
apiVersion: elbv2.k8s.aws/v1beta1
kind: TargetGroupBinding
metadata: {name: web}
spec: {targetGroupARN: "arn:web", targetType: ip, serviceRef: {name: web, port: http}}
---
apiVersion: elbv2.k8s.aws/v1beta1
kind: TargetGroupBinding
metadata: {name: other}
spec: {targetGroupARN: "arn:other", targetType: ip, serviceRef: {name: other, port: 80}}
---
apiVersion: elbv2.k8s.aws/v1beta1
kind: TargetGroupBinding
metadata: {name: headless}
spec: {targetGroupARN: "arn:headless", targetType: ip, serviceRef: {name: headless, port: 80}}
---
apiVersion: elbv2.k8s.aws/v1beta1
kind: TargetGroupBinding
metadata: {name: unmade}
spec: {targetType: ip, serviceRef: {name: web, port: 80}}
`

func web() *history.Track {
	return history.New(model.Workload{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "dev", Name: "web", Generation: 2, Behind: true})
}

func described() *balancer {
	return &balancer{groups: []model.TargetGroup{{ARN: "arn:web", Name: "k8s-web", TargetType: "ip", LoadBalancers: []string{"lb"}, Interval: 5 * time.Second, Delay: new(drain.Seconds(65))}}}
}

func TestALook(t *testing.T) {
	got := NewReader(newCluster(t, deployment), described()).Look(t.Context(), web())
	want := model.Snapshot{PodsKnown: true, GroupsKnown: true, Desired: 1, MinReady: 12 * time.Second,
		Pods:   []model.Pod{{UID: "new", Name: "new", IP: "10.0.0.2", New: true, Created: when("2026-01-02T03:04:05Z"), Gates: map[string]string{}, Ports: map[string]int{}}},
		Groups: []model.Group{{ARN: "arn:web", Binding: "web", TargetPort: "8080", Current: true, Info: described().groups[0]}}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(model.Snapshot{}, "From", "At"), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if got.From.IsZero() || got.At.Before(got.From) {
		t.Errorf("asked %s, answered %s", got.From, got.At)
	}
}

// Where the pods that stay are not of the newest template they are the new ones, also to Services,
// and what the controller says of the newest ones is not said of them. A Service may select by what
// its ReplicaSet gives a pod, and no template has.
func TestALookForThoseThatStay(t *testing.T) {
	stalled := strings.Replace(deployment, "observedGeneration: 2,", `observedGeneration: 2, conditions: [{type: ReplicaFailure, status: "True", message: exceeded quota},
  {type: Progressing, status: "False", reason: ProgressDeadlineExceeded, message: 'Deployment "web" has timed out progressing.'}],`, 1)
	for stays, want := range map[string]string{
		"one of Services of one": "new=false old=true current=true",
		" of Services of one":    "new=true old=false current=false",
		" of Services of two":    "new=true old=false current=true",
	} {
		stays, selects, _ := strings.Cut(stays, " of Services of ")
		text := strings.Replace(stalled, "{selector: {app: web}, ports", "{selector: {app: web, pod-template-hash: "+selects+"}, ports", 1) + `---
apiVersion: v1
kind: Pod
metadata: {name: old, uid: old, labels: {app: web, version: one, pod-template-hash: one}, ownerReferences: [{uid: r1}]}
status: {podIP: 10.0.0.1}
`
		track := web()
		if stays != "" {
			track.Workload.Stays = model.Mark{Label: "pod-template-hash", Value: stays}
		}
		got := NewReader(newCluster(t, text), described()).Look(t.Context(), track)
		var words []string
		for _, p := range got.Pods {
			words = append(words, fmt.Sprintf("%s=%t", p.Name, p.New))
		}
		for _, g := range got.Groups {
			words = append(words, fmt.Sprintf("current=%t", g.Current))
		}
		if s := strings.Join(words, " "); s != want || (got.Stalled+got.Refused == "") != (stays != "") {
			t.Errorf("those of %q stay, Services select those of %q: %s, want %s; stalled %q, refused %q, unknown %q", stays, selects, s, want, got.Stalled, got.Refused, got.Unknown)
		}
	}
}

// What a Deployment's controller said of pods that were rolled back is not said of those
// that it was rolled back to.
func TestGivenUpIsTheNewestTemplate(t *testing.T) {
	for message, want := range map[string]string{
		`ReplicaSet "web-two" has timed out progressing.`: `ReplicaSet "web-two" has timed out progressing.`,
		`ReplicaSet "web-one" has timed out progressing.`: "",
		`Deployment "web" has timed out progressing.`:     `Deployment "web" has timed out progressing.`,
	} {
		text := strings.Replace(deployment, "observedGeneration: 2,", "observedGeneration: 2, conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: '"+message+"'}],", 1)
		if got := NewReader(newCluster(t, text), described()).Look(t.Context(), web()).Stalled; got != want {
			t.Errorf("%s: stalled %q, want %q", message, got, want)
		}
	}
}

// A list that cannot be read leaves a gap, which says what, and why.
func TestALookWithAGap(t *testing.T) {
	cases := map[string]struct {
		fails        string
		says         string
		pods, groups bool // known
	}{
		"the workload":                {"get Deployment", "reading Deployment/dev/web: no answer", false, false},
		"the ReplicaSets":             {"ReplicaSet", "listing the pods of Deployment/dev/web: finding the newest template: no answer", false, false},
		"the pods":                    {"Pod", "listing the pods of Deployment/dev/web: no answer", false, false},
		"the Services":                {"Service", "finding the target groups of Deployment/dev/web: no answer", true, false},
		"the target group bindings":   {"TargetGroupBinding", "finding the target groups of Deployment/dev/web: no answer", true, false},
		"nothing: then there is none": {"Nothing", "", true, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			api := newCluster(t, deployment)
			api.fails[c.fails] = errors.New("no answer")
			s := NewReader(api, described()).Look(t.Context(), web())
			if strings.Join(s.Unknown, ";") != c.says || s.PodsKnown != c.pods || s.GroupsKnown != c.groups {
				t.Errorf("unknown %q, pods known %t, groups known %t", s.Unknown, s.PodsKnown, s.GroupsKnown)
			}
		})
	}
}

func TestWhatBelongsToAWorkload(t *testing.T) {
	const owner = "labels: {app: web}, ownerReferences: [{uid: r2}], creationTimestamp: '2026-01-02T03:04:05Z'"
	const bind = "apiVersion: elbv2.k8s.aws/v1beta1, kind: TargetGroupBinding"
	cases := map[string]struct {
		object string
		pods   string // names of those seen
		groups string // their bindings; those that only old pods are in in brackets
	}{
		"nothing else":                {"{apiVersion: v1, kind: Nothing}", "new", "web"},
		"another pod of its own":      {"{apiVersion: v1, kind: Pod, metadata: {name: more, " + owner + "}}", "new more", "web"},
		"a pod of somebody else":      {"{apiVersion: v1, kind: Pod, metadata: {name: more, labels: {app: web}, ownerReferences: [{uid: other}]}}", "new", "web"},
		"a pod of nobody":             {"{apiVersion: v1, kind: Pod, metadata: {name: more, labels: {app: web}}}", "new", "web"},
		"an evicted pod is over":      {"{apiVersion: v1, kind: Pod, metadata: {name: more, " + owner + "}, status: {phase: Failed, reason: Evicted}}", "new", "web"},
		"and so is a finished one":    {"{apiVersion: v1, kind: Pod, metadata: {name: more, " + owner + "}, status: {phase: Succeeded}}", "new", "web"},
		"the end of a deleted pod":    {"{apiVersion: v1, kind: Pod, metadata: {name: more, " + owner + ", deletionTimestamp: '2026-01-02T03:04:05Z'}, status: {phase: Succeeded}}", "new more", "web"},
		"a pod that has not begun":    {"{apiVersion: v1, kind: Pod, metadata: {name: more, " + owner + "}, status: {phase: Pending}}", "new more", "web"},
		"a ReplicaSet of another":     {"{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: r, uid: other, annotations: {deployment.kubernetes.io/revision: '2'}, labels: {app: web, pod-template-hash: x}, ownerReferences: [{uid: theirs}]}}", "new", "web"},
		"a binding of EKS's own":      {"{apiVersion: eks.amazonaws.com/v1, kind: TargetGroupBinding, metadata: {name: auto}, spec: {targetGroupARN: arn:auto, serviceRef: {name: web, port: 80}}}", "new", "web auto"},
		"a binding of instances":      {"{" + bind + ", metadata: {name: node}, spec: {targetGroupARN: arn:node, targetType: instance, serviceRef: {name: web, port: 80}}}", "new", "web"},
		"a binding that is deleted":   {"{" + bind + ", metadata: {name: late, deletionTimestamp: '2026-01-02T03:04:05Z'}, spec: {targetGroupARN: arn:late, serviceRef: {name: web, port: 80}}}", "new", "web"},
		"a second binding of a group": {"{" + bind + ", metadata: {name: twice}, spec: {targetGroupARN: arn:web, serviceRef: {name: web, port: 80}}}", "new", "web"},
		"a group that is named":       {"{" + bind + ", metadata: {name: named}, spec: {targetGroupName: k8s-named, serviceRef: {name: web, port: 80}}}", "new", "web named"},
		"a name that nobody has yet":  {"{" + bind + ", metadata: {name: named}, spec: {targetGroupName: k8s-later, serviceRef: {name: web, port: 80}}}", "new", "web"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			api := newCluster(t, deployment, c.object)
			if strings.Contains(c.object, "eks.amazonaws.com") {
				clear(api.fails)
			}
			elb := described()
			elb.groups = append(elb.groups, model.TargetGroup{ARN: "arn:named", Name: "k8s-named"})
			s := NewReader(api, elb).Look(t.Context(), web())
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

// The pods that run count beside the template: an old pod may be in a group of its own.
func TestAGroupThatOnlyOldPodsAreIn(t *testing.T) {
	api := newCluster(t, deployment, `
apiVersion: v1
kind: Pod
metadata: {name: old, uid: old, labels: {app: web, version: one, pod-template-hash: one}, ownerReferences: [{uid: r1}]}
---
apiVersion: v1
kind: Service
metadata: {name: first}
spec: {selector: {version: one}, ports: [{port: 80}]}
---
apiVersion: elbv2.k8s.aws/v1beta1
kind: TargetGroupBinding
metadata: {name: first}
spec: {targetGroupARN: "arn:first", serviceRef: {name: first, port: 80}, multiClusterTargetGroup: true, ipAddressType: ipv6}
`)
	s := NewReader(api, described()).Look(t.Context(), web())
	if len(s.Groups) != 2 || !s.Groups[0].Current || s.Groups[1].Current || !s.Groups[1].Shared || !s.Groups[1].IPv6 || s.Groups[1].ARN != "arn:first" {
		t.Errorf("%+v", s.Groups)
	}
}

// A group of another account is asked for as the role that its binding names, once.
func TestAGroupOfAnotherAccount(t *testing.T) {
	far := `
apiVersion: elbv2.k8s.aws/v1beta1
kind: TargetGroupBinding
metadata: {name: far}
spec: {targetGroupARN: "arn:far", serviceRef: {name: web, port: 80}, iamRoleArnToAssume: %s, assumeRoleExternalId: secret}
`
	elb := described()
	r := NewReader(newCluster(t, deployment, strings.Replace(far, "%s", "far-role", 1)), elb)
	s := r.Look(t.Context(), web())
	if len(s.Groups) != 2 || s.Groups[1].Role != "far-role" || s.Groups[1].Info.Interval != 7*time.Second || len(s.Unknown) > 0 {
		t.Errorf("%+v", s)
	}
	if _, err := r.Finder.For(t.Context(), s.Groups[1]); err != nil || !slices.Equal(elb.as, []string{"far-role secret"}) {
		t.Errorf("became %q: %v", elb.as, err)
	}
	s = NewReader(newCluster(t, deployment, strings.Replace(far, "%s", "refused", 1)), described()).Look(t.Context(), web())
	if len(s.Groups) != 2 || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "becoming refused, to whose account target group far belongs: it does not trust us") {
		t.Errorf("%+v", s)
	}
}

// A group is described once, or until it is on a listener.
func TestADescriptionIsKept(t *testing.T) {
	elb := described()
	f := NewFinder(newCluster(t, deployment), elb)
	find := func() Found {
		t.Helper()
		found, err := f.Find(t.Context(), &newCluster(t, deployment).objects[0], nil)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	find()
	find()
	if len(elb.asked) != 1 {
		t.Errorf("asked %+v", elb.asked)
	}
	f.described["arn:web"] = description{at: time.Now().Add(-describeEach)}
	elb.groups[0].LoadBalancers = nil
	if found := find(); len(elb.asked) != 2 || len(found.Warnings) != 1 || !strings.Contains(found.Warnings[0], "k8s-web is attached to no load balancer") {
		t.Errorf("asked %+v, %q", elb.asked, found.Warnings)
	}
	elb.fails = model.ErrThrottled
	f.described["arn:web"] = description{at: time.Now().Add(-describeEach)}
	if found := find(); len(found.Warnings) != 1 || !strings.Contains(found.Warnings[0], "planning values are used: the ELB API is throttled") || len(found.Groups) != 1 {
		t.Errorf("%+v", found)
	}
}

const ingresses = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: front}
spec: {rules: [{http: {paths: [{backend: {service: {name: other}}}, {backend: {service: {name: web, port: {number: 80}}}}]}}]}
status: {loadBalancer: {ingress: [{hostname: dualstack.front.example}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: acted, annotations: {alb.ingress.kubernetes.io/actions.go: '{"type":"forward","forwardConfig":{"targetGroups":[{"serviceName":"web","servicePort":"http"}]}}'}}
spec: {defaultBackend: {service: {name: go, port: {name: use-annotation}}}}
status: {loadBalancer: {ingress: [{hostname: acted.example}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: foreign}
spec: {defaultBackend: {service: {name: other}}}
status: {loadBalancer: {ingress: [{hostname: foreign.example}]}}
`

// Where bindings may not be read, or are not served at all, host names and tags lead to the groups.
func TestGroupsAreFoundWithoutBindings(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "targetgroupbindings"}, "", errors.New("no"))
	absent := &meta.NoKindMatchError{GroupKind: schema.GroupKind{Kind: "TargetGroupBinding"}}
	tagged := func(arn, resource, kind string) model.TargetGroup {
		return model.TargetGroup{ARN: arn, Name: "name-of-" + arn, Resource: resource, TargetType: kind, LoadBalancers: []string{"lb"}}
	}
	all := []model.TargetGroup{tagged("a", "dev/front-web:80", "ip"), tagged("b", "dev/acted-web:http", "ip"), tagged("c", "dev/front-other:80", "ip"), tagged("d", "dev/front-web:81", "instance"), tagged("e", "prod/front-web:80", "ip")}
	cases := map[string]struct {
		fails  error
		more   string
		groups string // ARNs and target ports
		says   string
	}{
		"a refusal":                       {forbidden, ingresses, "a 8080,b 8080", ""},
		"a cluster without the kind":      {absent, ingresses, "a 8080,b 8080", ""},
		"a refusal, and no Ingress":       {forbidden, "", "", "and none was found by host name and tags: targetgroupbindings is forbidden: no"},
		"without the kind nor an Ingress": {absent, "", "", ""},
		"an error is no reason to guess":  {errors.New("no answer"), ingresses, "", "no answer"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			objects := []string{deployment}
			if c.more != "" {
				objects = append(objects, c.more)
			}
			api, elb := newCluster(t, objects...), &balancer{groups: all}
			api.fails["elbv2.k8s.aws/v1beta1 TargetGroupBinding"] = c.fails
			f := NewFinder(api, elb)
			var got []string
			for range 2 {
				found, err := f.Find(t.Context(), &newCluster(t, deployment).objects[0], nil)
				if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
					t.Fatal(err)
				}
				got = nil
				for _, g := range found.Groups {
					got = append(got, g.ARN+" "+g.TargetPort)
				}
			}
			if slices.Sort(got); strings.Join(got, ",") != c.groups {
				t.Errorf("found %q", got)
			}
			if c.groups == "" {
				return
			}
			want := model.GroupQuery{Hostnames: []string{"acted.example", "dualstack.front.example"}, Resources: []string{"dev/acted-web:", "dev/front-web:", "dev/web:"}}
			if diff := cmp.Diff(want, elb.asked[0]); diff != "" {
				t.Error(diff)
			}
			if n := len(slices.DeleteFunc(slices.Clone(elb.asked), func(q model.GroupQuery) bool { return len(q.Hostnames) == 0 })); n != 1 {
				t.Errorf("searched %d times", n)
			}
		})
	}
}

// The API server is asked for a kind that it does not serve once a minute.
func TestAKindThatIsAbsentIsNotAskedForEachTime(t *testing.T) {
	api := newCluster(t, deployment)
	f := NewFinder(api, described())
	for range 3 {
		if _, err := f.Find(t.Context(), &newCluster(t, deployment).objects[0], nil); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for _, a := range api.asked {
		if strings.Contains(a, "eks.amazonaws.com") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// An address that is a target still, though its pod is gone, may be another pod's behind the Service by now.
func TestWhoHasTheAddressNow(t *testing.T) {
	api := newCluster(t, deployment, "{apiVersion: v1, kind: Pod, metadata: {name: canary, uid: canary, labels: {app: web}}, status: {podIP: 10.0.0.1}}")
	tr, r := web(), NewReader(api, described())
	if s := r.Look(t.Context(), tr); len(s.Others) > 0 {
		t.Errorf("nobody asked for others: %+v", s.Others)
	}
	gone := model.Workload{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "dev", Name: "web", Behind: true, Replaced: []model.Replaced{{UID: "gone", IP: "10.0.0.1"}}}
	tr = history.New(gone)
	tr.TakePods(r.Look(t.Context(), tr))
	tr.TakeTargets("arn:web", model.Reading{From: time.Now(), At: time.Now(), Targets: []model.Target{{ID: "10.0.0.1", Port: 8080, State: "healthy"}}})
	s := r.Look(t.Context(), tr)
	if len(s.Others) != 2 || s.Others[1].UID != "canary" || s.Others[1].IP != "10.0.0.1" {
		t.Errorf("%+v", s.Others)
	}
}
