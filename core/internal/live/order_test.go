// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
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
		all = append(all, s.object("{metadata: {name: web-1}, spec: {terminationGracePeriodSeconds: 80, containers: [{name: main, lifecycle: {preStop: {sleep: {seconds: 40}}}}]}, status: {phase: Running}}"))
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
	s := shop{t, []string{"alb", "nlb"}, map[string]string{"alb": "HTTP", "nlb": "TLS"}, map[string]string{"alb": "65", "nlb": "185"}}
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
