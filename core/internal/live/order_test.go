// SPDX-License-Identifier: Apache-2.0

package live

import (
	"cmp"
	"context"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/drain/change"
	"github.com/outlast-ci/outlast/core/render"
)

// shop is a namespace with one workload, and its target groups by their ARN.
type shop struct {
	t         *testing.T
	bindings  []string // of TargetGroupBindings: ARN
	protocols map[string]string
	delays    map[string]string
	pod       string // lifecycle; "": a sleep of 40 s
}

func (s shop) object(text string) unstructured.Unstructured {
	var obj map[string]any
	if err := yaml.Unmarshal([]byte(text), &obj); err != nil {
		s.t.Fatal(err)
	}
	return unstructured.Unstructured{Object: obj}
}

func (s shop) Get(context.Context, string, string, string, string) (*unstructured.Unstructured, error) {
	obj := s.object("{kind: Deployment, metadata: {name: web, namespace: shop}, spec: {selector: {matchLabels: {app: web}}}}")
	return &obj, nil
}

func (s shop) List(_ context.Context, version, kind, _, _ string) (all []unstructured.Unstructured, err error) {
	switch {
	case kind == "Pod":
		all = append(all, s.object("{metadata: {name: web-1}, spec: {terminationGracePeriodSeconds: 80, containers: [{name: main, lifecycle: "+cmp.Or(s.pod, "{preStop: {sleep: {seconds: 40}}}")+"}]}, status: {phase: Running}}"))
	case kind == "TargetGroupBinding" && version == "elbv2.k8s.aws/v1beta1":
		for _, arn := range s.bindings {
			all = append(all, s.object("{metadata: {name: "+arn+"}, spec: {targetGroupARN: "+arn+", targetType: ip, serviceRef: {name: web, port: 80}}}"))
		}
	}
	return all, nil
}

func (s shop) TargetGroup(_ context.Context, arn string) (properties, attributes, balancer map[string]string, err error) {
	return map[string]string{"Protocol": s.protocols[arn]}, map[string]string{"deregistration_delay.timeout_seconds": s.delays[arn]}, nil, nil
}

// TestOrdersByKind: each target group gets the delay of its own kind, and is judged by
// how fast that kind is.
func TestOrdersByKind(t *testing.T) {
	in := drain.Defaults()
	in.App, in.Mode = drain.Graceful, drain.Fast
	in.Groups = []drain.Group{{Name: "Ingress/shop/web -> Service/shop/web"}, {Name: "Service/shop/web", Balancer: drain.NLB}, {Name: "Ingress/shop/web (if nodes are the targets)", Balancer: drain.Instance}}
	plan, err := drain.Solve(in)
	if err != nil {
		t.Fatal(err)
	}
	s := shop{t, []string{"alb", "nlb"}, map[string]string{"alb": "HTTP", "nlb": "TLS"}, map[string]string{"alb": "65", "nlb": "185"}, ""}
	manifests := "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop, annotations: {service.beta.kubernetes.io/aws-load-balancer-target-group-attributes: deregistration_delay.timeout_seconds=185}}}\n"
	orders := Orders(t.Context(), s, s, []byte(manifests), []render.Workload{{Kind: "Deployment", Namespace: "shop", Name: "web", Behind: true, Services: []string{"shop/web"}, Plan: plan}}, nil)
	if len(orders) != 2 {
		t.Fatalf("%+v", orders)
	}
	for i, want := range []struct {
		to   drain.Seconds
		lost int
	}{{65, 0}, {185, 2}} { // the pods' 40 s and 80 s are right for the ALB
		if o := orders[i]; o.To != want.to || o.When != change.Unchanged || len(o.Lost) != want.lost {
			t.Errorf("%s: %+v, want %+v", o.Group, o, want)
		}
	}
}

// TestOrdersOfOneNamespace: what Hold cannot hold apart is not written at different moments.
func TestOrdersOfOneNamespace(t *testing.T) {
	in := drain.Defaults()
	in.App, in.Mode = drain.Graceful, drain.Fast
	wait := drain.Seconds(200)
	in.Groups = []drain.Group{{Name: "Ingress/shop/web -> Service/shop/web"}, {Name: "Service/shop/web", Balancer: drain.NLB, Delay: &wait}}
	plan, err := drain.Solve(in)
	if err != nil {
		t.Fatal(err)
	}
	s := shop{t, []string{"alb", "nlb"}, map[string]string{"alb": "HTTP", "nlb": "TLS"}, map[string]string{"alb": "20", "nlb": "185"}, ""}
	manifests := "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop, annotations: {service.beta.kubernetes.io/aws-load-balancer-target-group-attributes: deregistration_delay.timeout_seconds=200}}}\n"
	w := []render.Workload{{Kind: "Deployment", Namespace: "shop", Name: "web", Behind: true, Services: []string{"shop/web"}, Plan: plan}}
	shop := func(alb string, pod string) (when []change.When, hold []string) {
		s.delays["alb"], s.pod = alb, pod
		orders := Orders(t.Context(), s, s, []byte(manifests), w, nil)
		for _, o := range orders {
			when = append(when, o.When)
		}
		if hold, err = Hold([]byte(manifests), w, orders); err != nil {
			t.Fatal(err)
		}
		return when, hold
	}
	outlasts := "{preStop: {sleep: {seconds: 210}}}" // 185 s of the NLB, and not 200
	if when, hold := shop("300", outlasts); !slices.Equal(when, []change.When{change.After, change.After}) || !slices.Equal(hold, []string{"Service/shop/web"}) {
		t.Errorf("one waits: %v, %v is held", when, hold)
	}
	if when, hold := shop("20", outlasts); !slices.Equal(when, []change.When{change.Before, change.Before}) || hold != nil {
		t.Errorf("the ALB cuts requests while the NLB's waits: %v, %v is held", when, hold)
	}
}

// TestOrdersByGroup: of several target groups of a kind each gets its own delay, and what
// the plan does not know by name the longest.
func TestOrdersByGroup(t *testing.T) {
	of := func(kind drain.Balancer, service, port string) render.LiveGroup {
		return render.LiveGroup{Namespace: "shop", Service: service, ServicePort: port, Properties: map[string]string{"Protocol": map[drain.Balancer]string{drain.ALB: "HTTP", drain.NLB: "TCP"}[kind]}}
	}
	second := func(n drain.Seconds) *drain.Seconds { return &n }
	in := drain.Defaults()
	in.Groups = []drain.Group{
		{Name: "Ingress/shop/a -> Service/shop/web", Delay: second(65)}, {Name: "Ingress/shop/b -> Service/shop/web", Delay: second(70)},
		{Name: "Ingress/shop/a -> Service/shop/web2", Delay: second(300)},
		{Name: "Service/shop/tcp:80", Balancer: drain.NLB, Delay: second(200)}, {Name: "Service/shop/tcp:443", Balancer: drain.NLB, Delay: second(210)}, {Name: "Service/shop/other:1", Balancer: drain.NLB, Delay: second(400)},
	}
	plan, err := drain.Solve(in)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		group render.LiveGroup
		want  drain.Seconds
	}{
		"one of an Ingress and a Service":        {of(drain.ALB, "web2", "80"), 300},
		"one of two Ingresses":                   {of(drain.ALB, "web", "80"), 70},
		"one that the plan does not know":        {of(drain.ALB, "other", "80"), 300},
		"one of a port":                          {of(drain.NLB, "tcp", "80"), 200},
		"one of another":                         {of(drain.NLB, "tcp", "443"), 210},
		"a port that the binding has by name":    {of(drain.NLB, "tcp", "https"), 210},
		"one of a kind that the plan knows none": {render.LiveGroup{Namespace: "shop", Service: "web", TargetType: "instance"}, plan.DeregistrationDelay},
	} {
		t.Run(name, func(t *testing.T) {
			if got := delayOf(plan, tc.group, kindOf(tc.group)); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
