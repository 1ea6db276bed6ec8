// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/internal/live"
	"github.com/outlast-ci/outlast/core/render"
)

// stock is a cluster that holds objects; it refuses the kinds in denied, and
// knows no kind of the API groups in absent.
type stock struct {
	objects []unstructured.Unstructured
	denied  []string
	absent  []string
}

func (s stock) may(apiVersion, kind string) error {
	if group, _, _ := strings.Cut(apiVersion, "/"); slices.Contains(s.absent, group) {
		return fmt.Errorf("listing: %w", &meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: group, Kind: kind}})
	}
	if slices.Contains(s.denied, kind) {
		return errors.New("may not read " + kind)
	}
	return nil
}

func (s stock) Get(_ context.Context, apiVersion, kind, namespace, name string) (*unstructured.Unstructured, error) {
	if err := s.may(apiVersion, kind); err != nil {
		return nil, err
	}
	for _, o := range s.objects {
		if o.GetKind() == kind && o.GetNamespace() == namespace && o.GetName() == name {
			return &o, nil
		}
	}
	return nil, nil
}

func (s stock) List(_ context.Context, apiVersion, kind, namespace, _ string) (found []unstructured.Unstructured, err error) {
	if err := s.may(apiVersion, kind); err != nil {
		return nil, err
	}
	for _, o := range s.objects {
		if o.GetAPIVersion() == apiVersion && o.GetKind() == kind && (namespace == "" || o.GetNamespace() == namespace) {
			found = append(found, o)
		}
	}
	return found, nil
}

func (s stock) Logs(context.Context, string, string, string, int, bool) (string, error) {
	return "", errors.New("a check reads no logs")
}

// groups are attributes of target groups and of their balancers by ARN. All groups have
// one identity.
type groups map[string][2]map[string]string

func (g groups) TargetGroup(_ context.Context, arn string) (properties, attributes, loadBalancer map[string]string, err error) {
	found, ok := g[arn]
	if !ok {
		return nil, nil, nil, errors.New("no target group " + arn)
	}
	return map[string]string{"Protocol": "HTTP", "ProtocolVersion": "HTTP1", "Port": "80"}, found[0], found[1], nil
}

// safe are manifests that break no rule but those of the table.
const safe = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: dev}
spec:
  replicas: 2
  minReadySeconds: 15
  strategy: {rollingUpdate: {maxUnavailable: 0}}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 100
      topologySpreadConstraints: [{topologyKey: topology.kubernetes.io/zone, maxSkew: 1, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: web}}}]
      containers:
        - {name: web, image: "r/web@sha256:1", readinessProbe: {httpGet: {port: 80}}, lifecycle: {preStop: {sleep: {seconds: 90}}}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: dev}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: dev}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: dev
  annotations:
    alb.ingress.kubernetes.io/target-type: ip
    alb.ingress.kubernetes.io/group.name: shop
    alb.ingress.kubernetes.io/load-balancer-attributes: idle_timeout.timeout_seconds=60
    alb.ingress.kubernetes.io/target-group-attributes: deregistration_delay.timeout_seconds=65
spec:
  ingressClassName: alb
  defaultBackend: {service: {name: web, port: {number: 80}}}
`

// healthy is a cluster in which all is well.
const healthy = `
{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {topology.kubernetes.io/zone: a}}, status: {nodeInfo: {kubeletVersion: v1.33.1-eks-1}}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2, labels: {topology.kubernetes.io/zone: b}}, status: {nodeInfo: {kubeletVersion: v1.30.4}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: dev, labels: {elbv2.k8s.aws/pod-readiness-gate-inject: enabled}}}
---
{apiVersion: elbv2.k8s.aws/v1beta1, kind: TargetGroupBinding, metadata: {name: k8s-web, namespace: dev, labels: {ingress.k8s.aws/stack: shop}}, spec: {targetGroupARN: tg/web, targetType: ip, serviceRef: {name: web, port: 80}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web-1, namespace: dev, labels: {app: web}}, spec: {readinessGates: [{conditionType: target-health.elbv2.k8s.aws/k8s-web}], containers: [{name: web, lifecycle: {preStop: {sleep: {seconds: 90}}}}]}, status: {phase: Running}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: other, namespace: else, annotations: {alb.ingress.kubernetes.io/group.name: shop, alb.ingress.kubernetes.io/load-balancer-attributes: idle_timeout.timeout_seconds=60}}, spec: {ingressClassName: alb}}
`

func objects(t *testing.T, text string) (all []unstructured.Unstructured) {
	t.Helper()
	for doc := range strings.SplitSeq(text, "\n---\n") {
		var o unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(doc), &o.Object); err != nil || len(o.Object) == 0 {
			t.Fatalf("%v in %s", err, doc)
		}
		all = append(all, o)
	}
	return all
}

// TestLiveFacts: what only the cluster and the balancer know is read, and what
// cannot be read is told and judged by nobody.
func TestLiveFacts(t *testing.T) {
	well := groups{"tg/web": {{"deregistration_delay.timeout_seconds": "65"}, {"idle_timeout.timeout_seconds": "60"}}}
	for name, tc := range map[string]struct {
		change func(text string) string
		stock  stock
		groups groups
		want   []string // rules of errors and warnings, and OL055
		said   string   // part of a warning event
	}{
		"all is well": {},
		"an old kubelet ignores the native sleep": {
			change: func(s string) string { return strings.Replace(s, "v1.30.4", "v1.29.9", 1) }, want: []string{"OL027"}},
		"the Namespace of the cluster has no label": {
			change: func(s string) string { return strings.Replace(s, "inject: enabled", "inject: disabled", 1) }, want: []string{"OL011"}},
		"a Namespace that the deploy makes is not known yet": {
			change: func(s string) string {
				return strings.Replace(s, "kind: Namespace, metadata: {name: dev", "kind: Namespace, metadata: {name: prod", 1)
			}, want: []string{"OL011"}},
		"the balancer's delay is another": {
			groups: groups{"tg/web": {{"deregistration_delay.timeout_seconds": "300"}, nil}}, want: []string{"OL048"}},
		"another team's Ingress of the group wants another idle timeout": {
			change: func(s string) string { return strings.Replace(s, "timeout_seconds=60", "timeout_seconds=600", 1) }, want: []string{"OL020"}},
		"a pod without its readiness gate": {
			change: func(s string) string { return strings.Replace(s, "aws/k8s-web}]", "aws/k8s-old}]", 1) }, want: []string{"OL049"}},
		"a container that a webhook put in": {
			change: func(s string) string {
				return strings.Replace(s, "containers: [", "containers: [{name: istio-proxy}, ", 1)
			}, want: []string{"OL051"}},
		"another port of the pods than the target group's": {
			change: func(s string) string { return strings.Replace(s, "name: web, port: 80}", "name: web, port: 8080}", 1) }, want: []string{"OL054"}},
		"a target group that another Ingress made": {
			change: func(s string) string {
				return strings.NewReplacer("{ingress.k8s.aws/stack: shop}", "{ingress.k8s.aws/stack-namespace: dev, ingress.k8s.aws/stack-name: other}", "name: web, port: 80}", "name: web, port: 8080}").Replace(s)
			}},
		"a group that the Ingress joins": {
			change: func(s string) string {
				return strings.Replace(s, "{ingress.k8s.aws/stack: shop}", "{ingress.k8s.aws/stack-namespace: dev, ingress.k8s.aws/stack-name: web}", 1)
			}, want: []string{"OL054"}},
		"three zones for two pods": {
			change: func(s string) string {
				return s + "---\n{apiVersion: v1, kind: Node, metadata: {name: n3, labels: {topology.kubernetes.io/zone: c}}}\n"
			}, want: []string{"OL055"}},
		"a third that takes no pods": {
			change: func(s string) string {
				return s + "---\n{apiVersion: v1, kind: Node, metadata: {name: n3, labels: {topology.kubernetes.io/zone: c}}, spec: {unschedulable: true}}\n"
			}},
		"a finished pod is none": {
			change: func(s string) string {
				return strings.NewReplacer("aws/k8s-web}]", "aws/k8s-old}]", "Running", "Succeeded").Replace(s)
			}},
		"a cluster without Auto Mode":                {stock: stock{absent: []string{"eks.amazonaws.com"}}},
		"nodes that may not be listed":               {stock: stock{denied: []string{"Node"}}, said: "may not read Node"},
		"Ingresses of others that may not be listed": {stock: stock{denied: []string{"Ingress"}}, said: "may not read Ingress"},
		"a target group that is gone":                {groups: groups{}, said: "no target group tg/web"},
	} {
		t.Run(name, func(t *testing.T) {
			text := healthy
			if tc.change != nil {
				if text = tc.change(healthy); text == healthy {
					t.Fatal("the case changes nothing")
				}
			}
			tc.stock.objects = objects(t, text)
			if tc.groups == nil {
				tc.groups = well
			}
			path := filepath.Join(t.TempDir(), "all.yaml")
			if err := os.WriteFile(path, []byte(safe), 0o600); err != nil {
				t.Fatal(err)
			}
			var said []string
			cfg := Config{Live: true, Render: render.Options{Path: path, Drain: drain.Defaults()},
				Observe: func(e event.Event) { said = append(said, e.Object+": "+e.Message) }}
			clients := core.Clients{
				Cluster: func(context.Context) (core.Cluster, error) {
					return core.Cluster{Gate: tc.stock, Ping: func(context.Context) (string, error) { return "v1", nil }}, nil
				},
				Attributes: func(context.Context) (live.Attributes, error) { return tc.groups, nil },
			}
			report, err := Run(t.Context(), cfg, clients)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range report.Findings {
				if f.Severity != drain.Info || f.Rule == "OL055" {
					got = append(got, f.Rule)
				}
			}
			if diff := cmp.Diff(tc.want, slices.Compact(got)); diff != "" {
				t.Errorf("%s\n%+v", diff, report.Findings)
			}
			if all := strings.Join(said, "\n"); (tc.said == "") != (all == "") || !strings.Contains(all, tc.said) {
				t.Errorf("told %q, want %q", all, tc.said)
			}
		})
	}
}

// TestCheckReadsOnce: what is judged with the cluster's facts is what was judged without.
func TestCheckReadsOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "all.yaml")
	if err := os.WriteFile(path, []byte(safe), 0o600); err != nil {
		t.Fatal(err)
	}
	clients := core.Clients{
		Cluster: func(context.Context) (core.Cluster, error) {
			return core.Cluster{Gate: stock{objects: objects(t, healthy)}, Ping: func(context.Context) (string, error) { return "v1", os.Remove(path) }}, nil
		},
		Attributes: func(context.Context) (live.Attributes, error) { return groups{}, nil },
	}
	report, err := Run(t.Context(), Config{Live: true, Render: render.Options{Path: path, Drain: drain.Defaults()}}, clients)
	if err != nil || report.Objects != 4 {
		t.Errorf("%d objects: %v", report.Objects, err)
	}
}

// TestCheckOffline asks nobody, and without a login the live check does not begin.
func TestCheckOffline(t *testing.T) {
	path := filepath.Join(t.TempDir(), "all.yaml")
	if err := os.WriteFile(path, []byte(safe), 0o600); err != nil {
		t.Fatal(err)
	}
	var asked []string
	nobody := core.Clients{
		Cluster: func(context.Context) (core.Cluster, error) {
			asked = append(asked, "cluster")
			return core.Cluster{}, errors.New("no cluster here")
		},
		Attributes: func(context.Context) (live.Attributes, error) {
			asked = append(asked, "attributes")
			return nil, errors.New("no balancer here")
		},
	}
	opt := render.Options{Path: path, Drain: drain.Defaults()}
	if report, err := Run(t.Context(), Config{Render: opt}, nobody); err != nil || len(asked) > 0 || report.Objects != 4 {
		t.Errorf("asked for %v, %d objects: %v", asked, report.Objects, err)
	}
	if _, err := Run(t.Context(), Config{Render: opt, Live: true}, nobody); err == nil || !strings.Contains(err.Error(), "no cluster here") {
		t.Errorf("a live check without a cluster: %v", err)
	}
}
