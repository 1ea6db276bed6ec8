// SPDX-License-Identifier: Apache-2.0

package timing

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
)

// manifests are one workload behind an Ingress. KIND, META, SPEC, POD, MAIN and INGRESS are
// put in.
const manifests = `{apiVersion: apps/v1, kind: KIND, metadata: {name: web, namespace: shop META}, spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main MAIN}] POD}} SPEC}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {selector: {app: web}}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, namespace: shop, annotations: {alb.ingress.kubernetes.io/target-type: ip INGRESS}}, spec: {ingressClassName: alb, defaultBackend: {service: {name: web}}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {elbv2.k8s.aws/pod-readiness-gate-inject: enabled}}}
`

// judged reads, solves and judges one workload of the manifests.
func judged(t *testing.T, text string, opt Options) (s *Subject, found []string) {
	t.Helper()
	s, problems := problems(t, text, opt)
	for _, p := range problems {
		to := ""
		if p.Edit != nil {
			to = " " + p.Edit.To
		}
		found = append(found, fmt.Sprintf("%s %s%s", p.Rule, p.Severity, to))
	}
	return s, found
}

func problems(t *testing.T, text string, opt Options) (*Subject, []problem.Problem) {
	t.Helper()
	for _, mark := range []string{"META", "SPEC", "POD", "MAIN", "INGRESS"} {
		text = strings.ReplaceAll(text, " "+mark, "")
	}
	var objects []*yaml.RNode
	for doc := range strings.SplitSeq(strings.ReplaceAll(text, "KIND", "Deployment"), "---\n") {
		n, err := yaml.Parse(doc)
		if err != nil {
			t.Fatalf("%v:\n%s", err, doc)
		}
		objects = append(objects, n)
	}
	list := &problem.List{}
	a := New(list, graph.New(objects), opt)
	s, err := a.Subject(a.Graph.Workloads[0])
	for _, step := range []func(*Subject) error{a.Needs, a.Judge} {
		if err == nil {
			err = step(s)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return s, list.All
}

func with(pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] != "KIND" {
			pairs[i], pairs[i+1] = " "+pairs[i], ", "+pairs[i+1]
		}
	}
	return strings.NewReplacer(pairs...).Replace(manifests)
}

const hpa = "---\n{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: h, namespace: shop}, spec: {scaleTargetRef: {kind: Deployment, name: web}%s}}\n"

func TestReplicas(t *testing.T) {
	for name, tc := range map[string]struct {
		text        string
		known       int // Inputs.Replicas
		least, most int
	}{
		"not written":                          {manifests, 1, 1, 1},
		"written":                              {with("SPEC", "replicas: 5"), 1, 5, 5},
		"none":                                 {with("SPEC", "replicas: 0"), 1, 0, 0},
		"a DaemonSet has as many as nodes":     {with("KIND", "DaemonSet"), 7, 7, 7},
		"a DaemonSet of nodes nobody counted":  {with("KIND", "DaemonSet"), 0, 1, 1},
		"an autoscaler says from where to":     {with("SPEC", "replicas: 5") + fmt.Sprintf(hpa, ", minReplicas: 2, maxReplicas: 20"), 1, 2, 20},
		"an autoscaler without a least":        {with("SPEC", "replicas: 5") + fmt.Sprintf(hpa, ", maxReplicas: 20"), 1, 1, 20},
		"an autoscaler of more than are there": {manifests + fmt.Sprintf(hpa, ", maxReplicas: 1000000"), 1, 1, 10_000},
		"one that says nothing":                {with("SPEC", "replicas: 5") + fmt.Sprintf(hpa, ""), 1, 1, 5},
		"KEDA's own least and most":            {manifests + strings.NewReplacer("autoscaling/v2", "keda.sh/v1alpha1", "HorizontalPodAutoscaler", "ScaledObject").Replace(fmt.Sprintf(hpa, "")), 1, 0, 100},
		"KEDA":                                 {manifests + strings.NewReplacer("autoscaling/v2", "keda.sh/v1alpha1", "HorizontalPodAutoscaler", "ScaledObject").Replace(fmt.Sprintf(hpa, ", minReplicaCount: 0, maxReplicaCount: 9")), 1, 0, 9},
	} {
		t.Run(name, func(t *testing.T) {
			in := drain.Defaults()
			in.Replicas = tc.known
			s, _ := judged(t, tc.text, Options{Drain: in})
			if s.Least != tc.least || s.Replicas != tc.most || s.Plan.Inputs.Replicas != tc.most {
				t.Errorf("%d to %d (planned for %d), want %d to %d", s.Least, s.Replicas, s.Plan.Inputs.Replicas, tc.least, tc.most)
			}
		})
	}
}

// TestReplaced: where no pod can start beside the old one, its author's limits stay, unless they
// let all pods go at once; and one pod is nobody while it is replaced.
func TestReplaced(t *testing.T) {
	const port, none = "hostNetwork: true", "strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: %s}}"
	set := func(rest ...string) string { return with(append([]string{"KIND", "StatefulSet"}, rest...)...) }
	for name, tc := range map[string]struct{ text, want string }{
		"a StatefulSet":                          {set("SPEC", "replicas: 3"), "OL039 info"},
		"that replaces two of three":             {set("SPEC", "replicas: 3, updateStrategy: {rollingUpdate: {maxUnavailable: 2}}"), "OL039 info"},
		"and all":                                {set("SPEC", "replicas: 3, updateStrategy: {rollingUpdate: {maxUnavailable: 100%}}"), "OL039 info|OL010 error 1"},
		"and more than there are":                {set("SPEC", "replicas: 3, updateStrategy: {rollingUpdate: {maxUnavailable: 5}}"), "OL039 info|OL010 error 1"},
		"and as many as an autoscaler may leave": {set("SPEC", "replicas: 9, updateStrategy: {rollingUpdate: {maxUnavailable: 2}}") + strings.Replace(fmt.Sprintf(hpa, ", minReplicas: 2, maxReplicas: 20"), "Deployment", "StatefulSet", 1), "OL039 info|OL010 error 1"},
		"and a share, of as many as an autoscaler may leave": {set("SPEC", "replicas: 9, updateStrategy: {rollingUpdate: {maxUnavailable: 50%}}") + strings.Replace(fmt.Sprintf(hpa, ", minReplicas: 2, maxReplicas: 20"), "Deployment", "StatefulSet", 1), "OL039 info"},
		"whose pods somebody deletes by hand":                {set("SPEC", "replicas: 3, updateStrategy: {type: OnDelete, rollingUpdate: {maxUnavailable: 100%}}"), "OL039 info"},
		"of one pod":                                         {set("SPEC", "replicas: 1, updateStrategy: {rollingUpdate: {maxUnavailable: 100%}}"), "OL039 error"},
		"of one pod that nobody wrote":                       {set(), "OL039 error"},
		"of one pod if an autoscaler wants it":               {set() + strings.Replace(fmt.Sprintf(hpa, ", maxReplicas: 20"), "Deployment", "StatefulSet", 1), "OL039 warning"},
		"of none":                                            {set("SPEC", "replicas: 0"), ""},
		"a Deployment on ports of the node":                  {with("SPEC", "replicas: 3, "+fmt.Sprintf(none, "1"), "POD", port), "OL039 info"},
		"of one pod there":                                   {with("SPEC", fmt.Sprintf(none, "1"), "POD", port), "OL039 error"},
		"that lets all go there":                             {with("SPEC", "replicas: 3, "+fmt.Sprintf(none, "100%"), "POD", port), "OL039 info|OL010 error 1"},
		"both limits are 0, which the controller makes 1":    {with("SPEC", "replicas: 3, "+fmt.Sprintf(none, "1%"), "POD", port), "OL039 info"},
		"room for one more, if a node is free":               {with("SPEC", "replicas: 3, strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}", "POD", port), ""},
		"the defaults there, which is the same for 3":        {with("SPEC", "replicas: 3", "POD", port), ""},
		"but not for 4":                                      {with("SPEC", "replicas: 4", "POD", port), "OL039 info"},
		"a canary there":                                     {strings.Replace(with("KIND", "Rollout", "SPEC", "replicas: 3, strategy: {canary: {maxSurge: 0, maxUnavailable: 1}}", "POD", port), "apps/v1", "argoproj.io/v1alpha1", 1), "OL039 info"},
		"a DaemonSet there":                                  {with("KIND", "DaemonSet", "POD", port), "OL039 info"},
		"all of its pods, of nodes that nobody counted":      {with("KIND", "DaemonSet", "POD", port, "SPEC", "updateStrategy: {rollingUpdate: {maxUnavailable: 100%}}"), "OL039 info|OL010 error 1"},
		"some of its pods, of nodes that nobody counted":     {with("KIND", "DaemonSet", "POD", port, "SPEC", "updateStrategy: {rollingUpdate: {maxUnavailable: 3}}"), "OL039 info"},
		"no ports of the node":                               {with("SPEC", "replicas: 3, "+fmt.Sprintf(none, "1")), "OL010 error 0|OL010 error 1"},
	} {
		t.Run(name, func(t *testing.T) {
			s, found := judged(t, tc.text, Options{Drain: drain.Defaults()})
			found = slices.DeleteFunc(found, func(f string) bool { return !strings.HasPrefix(f, "OL010") && !strings.HasPrefix(f, "OL039") })
			if got := strings.Join(found, "|"); got != tc.want {
				t.Errorf("found %q, want %q", got, tc.want)
			}
			if all := strings.Contains(tc.want, "OL010 error 1"); all && s.Strategy().Unavailable > 1 {
				t.Errorf("planned with what no longer stands: %+v", s.Strategy())
			}
		})
	}
}

// TestModes: which mode, which timings, and what is asked for.
func TestModes(t *testing.T) {
	sleep := func(n int) string { return fmt.Sprintf("lifecycle: {preStop: {sleep: {seconds: %d}}}", n) }
	const delay = "alb.ingress.kubernetes.io/target-group-attributes: deregistration_delay.timeout_seconds=%d"
	done := []string{"SPEC", "minReadySeconds: 15, strategy: {rollingUpdate: {maxUnavailable: 0}}"}
	safe := func(pairs ...string) string { return with(slices.Concat(done, pairs)...) }
	for name, tc := range map[string]struct {
		text  string
		mode  drain.Mode
		set   string
		plan  string // mode, D, X, G of what the edits make of it
		asIs  string // of what is written
		found string
	}{
		"strict, as it should be":                                   {safe("MAIN", sleep(90), "POD", "terminationGracePeriodSeconds: 100", "INGRESS", fmt.Sprintf(delay, 65)), "", "", "strict 65s 90s 100s", "strict 65s 90s 100s", ""},
		"nothing is written":                                        {safe(), "", "", "strict 65s 90s 100s", "fast 300s 0s 30s", "OL001 error sleep 90|OL004 error 100|OL000 info deregistration_delay.timeout_seconds=65"},
		"a delay that is longer than its default":                   {safe(), "", "R=300", "fast 335s 340s 350s", "fast 300s 0s 30s", "OL001 error sleep 340|OL004 error 350|OL002 error deregistration_delay.timeout_seconds=335|OL015 warning"},
		"a hook that is safe in fast mode stays":                    {safe("MAIN", sleep(70), "POD", "terminationGracePeriodSeconds: 80", "INGRESS", fmt.Sprintf(delay, 65)), "", "", "fast 65s 70s 80s", "fast 65s 70s 80s", ""},
		"but not in strict mode":                                    {safe("MAIN", sleep(70), "POD", "terminationGracePeriodSeconds: 80", "INGRESS", fmt.Sprintf(delay, 65)), drain.Strict, "", "strict 65s 90s 100s", "strict 65s 70s 80s", "OL000 error 90|OL004 error 100"},
		"a hook of unknown length counts for no mode":               {safe("MAIN", "lifecycle: {preStop: {httpGet: {port: 80}}}}, {name: other, "+sleep(70), "POD", "terminationGracePeriodSeconds: 80", "INGRESS", fmt.Sprintf(delay, 65)), "", "", "fast 65s 70s 80s", "fast 65s 0s 80s", "OL025 warning"},
		"nor does that of a sidecar":                                {safe("MAIN", sleep(70), "POD", "terminationGracePeriodSeconds: 80, initContainers: [{name: proxy, restartPolicy: Always, "+sleep(5)+"}]", "INGRESS", fmt.Sprintf(delay, 65)), "", "", "fast 65s 70s 80s", "fast 65s 70s 80s", ""},
		"the grace has to cover a sidecar's":                        {safe("MAIN", sleep(90), "POD", "terminationGracePeriodSeconds: 100, initContainers: [{name: proxy, restartPolicy: Always, "+sleep(95)+"}]", "INGRESS", fmt.Sprintf(delay, 65)), "", "", "strict 65s 90s 105s", "strict 65s 90s 100s", "OL004 error 105"},
		"a stated hook cannot be raised, so fast mode":              {safe("META", "annotations: {outlast/hook-seconds.main: '75'}", "MAIN", "lifecycle: {preStop: {httpGet: {port: 80}}}}, {name: other", "INGRESS", fmt.Sprintf(delay, 65)), "", "", "fast 65s 70s 85s", "fast 65s 0s 30s", "OL001 error sleep 70|OL005 error 85"},
		"unless strict is asked for":                                {safe("META", "annotations: {outlast/hook-seconds.main: '75'}", "MAIN", "lifecycle: {preStop: {httpGet: {port: 80}}}", "POD", "terminationGracePeriodSeconds: 100", "INGRESS", fmt.Sprintf(delay, 65)), drain.Strict, "", "strict 65s 90s 100s", "strict 65s 75s 100s", "OL000 error"},
		"the weakest container counts":                              {safe("MAIN", sleep(90)+"}, {name: other, "+sleep(10), "POD", "terminationGracePeriodSeconds: 100", "INGRESS", fmt.Sprintf(delay, 65)), "", "", "strict 65s 90s 100s", "fast 65s 10s 100s", "OL001 error 90"},
		"a grace that the author keeps leaves no room for a hook":   {safe("META", "annotations: {outlast/ignore.OL004: old nodes}", "INGRESS", fmt.Sprintf(delay, 65)), "", "", "strict 65s 90s 100s", "fast 65s 0s 30s", "OL001 error|OL004 error 100"},
		"unless another rule is meant":                              {safe("META", "annotations: {outlast/ignore.OL005: old nodes}", "INGRESS", fmt.Sprintf(delay, 65)), "", "", "strict 65s 90s 100s", "fast 65s 0s 30s", "OL001 error sleep 90|OL004 error 100"},
		"one that is long enough does":                              {safe("META", "annotations: {outlast/ignore.OL004: old nodes}", "POD", "terminationGracePeriodSeconds: 95", "INGRESS", fmt.Sprintf(delay, 65)), "", "", "strict 65s 90s 100s", "fast 65s 0s 95s", "OL001 error sleep 90|OL004 error 100"},
		"a longer grace of the author's is no reason for fast mode": {safe("POD", "terminationGracePeriodSeconds: 300", "INGRESS", fmt.Sprintf(delay, 65)), "", "", "strict 65s 90s 300s", "fast 65s 0s 300s", "OL001 error sleep 90|OL015 warning"},
		"nor is a longer hook":                                      {safe("MAIN", sleep(300)+"}, {name: other", "POD", "terminationGracePeriodSeconds: 310", "INGRESS", fmt.Sprintf(delay, 65)), "", "", "strict 65s 90s 310s", "fast 65s 0s 310s", "OL001 error sleep 90|OL015 warning"},
		"a target type that nobody wrote may be either":             {strings.Replace(safe("INGRESS", fmt.Sprintf(delay, 65)), "alb.ingress.kubernetes.io/target-type: ip", "a: b", 1), "", "", "fast 65s 70s 110s", "fast 65s 0s 30s", "OL001 error sleep 70|OL004 error 110"},
		"and is never proven":                                       {strings.Replace(safe("INGRESS", fmt.Sprintf(delay, 65)), "alb.ingress.kubernetes.io/target-type: ip", "a: b", 1), drain.Strict, "", "fast 65s 0s 30s", "fast 65s 0s 30s", "OL000 error"},
		"unless the author says so":                                 {strings.Replace(safe("META", "annotations: {outlast/balancer: alb}", "MAIN", sleep(90), "POD", "terminationGracePeriodSeconds: 100", "INGRESS", fmt.Sprintf(delay, 65)), "alb.ingress.kubernetes.io/target-type: ip", "a: b", 1), "", "", "strict 65s 90s 100s", "strict 65s 90s 100s", ""},
		"a delay that nobody tells":                                 {strings.NewReplacer("apiVersion: networking.k8s.io/v1, kind: Ingress", "apiVersion: elbv2.k8s.aws/v1beta1, kind: TargetGroupBinding", "ingressClassName: alb, defaultBackend: {service: {name: web}}", "targetType: ip, serviceRef: {name: web}").Replace(safe()), "", "", "fast 65s 70s 80s", "fast 300s 0s 30s", "OL001 error sleep 70|OL004 error 80|OL037 warning|OL012 warning 30|OL016 info"},
		"one that is told":                                          {strings.NewReplacer("apiVersion: networking.k8s.io/v1, kind: Ingress", "apiVersion: elbv2.k8s.aws/v1beta1, kind: TargetGroupBinding", "ingressClassName: alb, defaultBackend: {service: {name: web}}", "targetType: ip, serviceRef: {name: web}").Replace(safe("INGRESS", "outlast/delay-seconds: '65'")), "", "", "strict 65s 90s 100s", "fast 65s 0s 30s", "OL001 error sleep 90|OL004 error 100|OL012 warning 30|OL016 info"},
		"two sleeps are one":                                        {safe("MAIN", "lifecycle: {preStop: {exec: {command: [bash, -c, sleep 30; sleep 60]}}}", "POD", "terminationGracePeriodSeconds: 100", "INGRESS", fmt.Sprintf(delay, 65)), "", "", "strict 65s 90s 100s", "strict 65s 90s 100s", "OL026 warning"},
		"the first of them is raised":                               {safe("MAIN", "lifecycle: {preStop: {exec: {command: [bash, -c, sleep 3; sleep 60; drain]}}}", "POD", "terminationGracePeriodSeconds: 100", "INGRESS", fmt.Sprintf(delay, 65)), "", "", "strict 65s 90s 100s", "fast 65s 63s 100s", "OL025 warning|OL026 warning|OL003 error sleep 30; sleep 60; drain"},
		"what follows a sleep has to be told":                       {safe("MAIN", "lifecycle: {preStop: {exec: {command: [bash, -c, sleep 90; drain]}}}", "POD", "terminationGracePeriodSeconds: 100", "INGRESS", fmt.Sprintf(delay, 65)), "", "", "strict 65s 90s 100s", "strict 65s 90s 100s", "OL025 warning|OL026 warning"},
		"and counts for the grace":                                  {safe("META", "annotations: {outlast/hook-seconds.main: '105'}", "MAIN", "lifecycle: {preStop: {exec: {command: [bash, -c, sleep 90; drain]}}}", "POD", "terminationGracePeriodSeconds: 100", "INGRESS", fmt.Sprintf(delay, 65)), "", "", "strict 65s 105s 115s", "strict 65s 105s 100s", "OL005 error 115"},
		"what is wrong beyond any timing":                           {safe(), drain.Strict, "R=4000", "fast 300s 0s 30s", "fast 300s 0s 30s", "OL002 error"},
	} {
		t.Run(name, func(t *testing.T) {
			in := drain.Defaults()
			if tc.mode != "" {
				in.Mode = tc.mode
			}
			if symbol, value, ok := strings.Cut(tc.set, "="); ok {
				if err := in.Set(symbol, value); err != nil {
					t.Fatal(err)
				}
			}
			s, found := judged(t, tc.text, Options{Drain: in})
			said := func(p drain.Plan) string {
				return fmt.Sprintf("%s %s %s %s", p.Mode, p.DeregistrationDelay, p.PreStop, p.GracePeriod)
			}
			if said(s.Plan) != tc.plan || said(s.AsIs) != tc.asIs {
				t.Errorf("plan %s, as it is %s, want %s and %s", said(s.Plan), said(s.AsIs), tc.plan, tc.asIs)
			}
			found = slices.DeleteFunc(found, func(f string) bool { return strings.HasPrefix(f, "OL031") })
			if got := strings.Join(found, "|"); got != tc.found {
				t.Errorf("found %s\nwant  %s", got, tc.found)
			}
		})
	}
}

// TestPorts: each port of a Service that is routed to has a target group, and the poll of many
// takes longer.
func TestPorts(t *testing.T) {
	const route = "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g, namespace: shop}, spec: {gatewayClassName: alb}}\n---\n{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: web, namespace: shop}, spec: {parentRefs: [{name: g}], rules: [{backendRefs: [PORTS]}]}}\n---\n" +
		"{apiVersion: gateway.k8s.aws/v1, kind: TargetGroupConfiguration, metadata: {name: c, namespace: shop}, spec: {targetReference: {name: web}, defaultConfiguration: {targetType: ip}}}\n---\n"
	for ports, want := range map[int]int{1: 1, 5: 5, 10: 10} {
		var paths, refs []string
		for i := range ports {
			paths = append(paths, fmt.Sprintf("{backend: {service: {name: web, port: {number: %d}}}}", 80+i))
			refs = append(refs, fmt.Sprintf("{name: web, port: %d}", 80+i))
		}
		docs := strings.SplitAfter(manifests, "---\n")
		for kind, text := range map[string]string{
			"Ingress": strings.Replace(manifests, "defaultBackend: {service: {name: web}}", "rules: [{http: {paths: ["+strings.Join(paths, ", ")+"]}}]", 1),
			"route":   docs[0] + docs[1] + strings.Replace(route, "PORTS", strings.Join(refs, ", "), 1) + docs[3],
		} {
			s, _ := judged(t, text, Options{Drain: drain.Defaults()})
			if x := map[int]drain.Seconds{1: 90, 5: 90, 10: 96}[ports]; s.Plan.Inputs.TargetGroups != want || s.Plan.PreStop != x {
				t.Errorf("%s of %d ports: nTG=%d, preStop %s, want %d and %s", kind, ports, s.Plan.Inputs.TargetGroups, s.Plan.PreStop, want, x)
			}
		}
	}
}

// TestOnce: what is wrong is told once, on the object that says it.
func TestOnce(t *testing.T) {
	const delay = "alb.ingress.kubernetes.io/target-group-attributes: deregistration_delay.timeout_seconds=%d"
	docs := strings.SplitAfter(with("SPEC", "minReadySeconds: 15, strategy: {rollingUpdate: {maxUnavailable: 0}}", "MAIN", "lifecycle: {preStop: {sleep: {seconds: 90}}}", "POD", "terminationGracePeriodSeconds: 100"), "---\n")
	configured := docs[0] + docs[1] + "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g, namespace: shop}, spec: {gatewayClassName: alb}}\n---\n{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: web, namespace: shop}, spec: {parentRefs: [{name: g}], rules: [{backendRefs: [{name: web, port: 80}]}]}}\n---\n" +
		"{apiVersion: gateway.k8s.aws/v1, kind: TargetGroupConfiguration, metadata: {name: c, namespace: shop}, spec: {targetReference: {name: web}, defaultConfiguration: {targetType: ip, targetGroupAttributes: [{key: deregistration_delay.timeout_seconds, value: '20'}]}}}\n---\n" + docs[3]
	for name, tc := range map[string]struct{ text, want string }{
		"a delay of a configuration":     {configured, "OL002 TargetGroupConfiguration/shop/c spec.defaultConfiguration.targetGroupAttributes[deregistration_delay.timeout_seconds].value"},
		"a hook that its author states":  {with("META", "annotations: {outlast/hook-seconds: '20'}", "MAIN", "lifecycle: {preStop: {httpGet: {port: 80}}}", "POD", "terminationGracePeriodSeconds: 100", "INGRESS", fmt.Sprintf(delay, 65)), "OL001 Deployment/shop/web spec.template.spec.containers[main].lifecycle.preStop"},
		"a delay that nothing takes":     {with("INGRESS", fmt.Sprintf(delay, 4000)), "OL002 Ingress/shop/web metadata.annotations[alb.ingress.kubernetes.io/target-group-attributes]"},
		"requests longer than any delay": {with("META", "annotations: {outlast/set: R=3600}", "INGRESS", fmt.Sprintf(delay, 65)), "OL002 Ingress/shop/web metadata.annotations[alb.ingress.kubernetes.io/target-group-attributes]"},
	} {
		_, all := problems(t, tc.text, Options{Drain: drain.Defaults(), AsWritten: true})
		var got []string
		for _, p := range all {
			if p.Rule <= "OL005" && p.Rule != "OL000" {
				if got = append(got, p.Rule+" "+p.Object+" "+p.Field); p.Object != node.ID(p.On) {
					t.Errorf("%s: suppressed on %s, not %s", name, node.ID(p.On), p.Object)
				}
			}
		}
		if strings.Join(got, "|") != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// TestGrace: what is said of a grace that is none.
func TestGrace(t *testing.T) {
	for grace, want := range map[string]string{"": "is not set, which means 30s", "'30'": "is 30s", "-1": "is -1, which is no number of seconds", "99.5": "is 99.5, which is no number of seconds", "1e30": "is 1e30, which is no number of seconds", "null": "is not set, which means 30s"} {
		pod := "terminationGracePeriodSeconds: " + grace
		if grace == "" {
			pod = "hostname: web"
		}
		_, all := problems(t, with("POD", pod), Options{Drain: drain.Defaults()})
		i := slices.IndexFunc(all, func(p problem.Problem) bool { return p.Rule == "OL004" })
		if i < 0 || !strings.HasPrefix(all[i].Message, "terminationGracePeriodSeconds "+want+":") {
			t.Errorf("%q: %+v", grace, all)
		}
	}
}

// TestOrders: a delay that only breaks the order that was asked for cuts no request.
func TestOrders(t *testing.T) {
	const delay = "alb.ingress.kubernetes.io/target-group-attributes: deregistration_delay.timeout_seconds=%d"
	for name, tc := range map[string]struct {
		order   drain.Order
		timeout time.Duration
		delay   int // 0: not written
		want    string
	}{
		"balancer first, and the delay before the application": {drain.BalancerFirst, 90 * time.Second, 65, "OL008 91"},
		"as long as the application waits":                     {drain.BalancerFirst, 90 * time.Second, 90, "OL008 91"},
		"above it":                                             {drain.BalancerFirst, 90 * time.Second, 91, ""},
		"requests are cut, too":                                {drain.BalancerFirst, 90 * time.Second, 64, "OL002 91"},
		"application first, and the delay is longer":           {drain.AppFirst, 50 * time.Second, 65, ""},
		"the default is too short":                             {drain.BalancerFirst, 400 * time.Second, 0, "OL008 401"},
		"no order":                                             {drain.NoOrder, 90 * time.Second, 65, ""},
	} {
		in := drain.Defaults()
		in.Order, in.RequestTimeout = tc.order, &tc.timeout
		text := with("INGRESS", fmt.Sprintf(delay, tc.delay))
		if tc.delay == 0 {
			text = manifests
		}
		_, found := judged(t, text, Options{Drain: in})
		got := ""
		for _, f := range found {
			if rest, ok := strings.CutPrefix(f, "OL002 error deregistration_delay.timeout_seconds="); ok {
				got = "OL002 " + rest
			} else if rest, ok := strings.CutPrefix(f, "OL008 error deregistration_delay.timeout_seconds="); ok {
				got = "OL008 " + rest
			} else if strings.HasPrefix(f, "OL008 error") || strings.HasPrefix(f, "OL002") {
				got += "and " + f
			}
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q (%q)", name, got, tc.want, found)
		}
	}
}

// TestUnavailable: a share that comes to no pod loses none, until there are more pods.
func TestUnavailable(t *testing.T) {
	scaled := fmt.Sprintf(hpa, ", minReplicas: 2, maxReplicas: 3")
	const limits = ", strategy: {rollingUpdate: {maxUnavailable: 25%}}"
	for text, want := range map[string]string{
		with("SPEC", "replicas: 3"):                 "OL010 info 0",
		with("SPEC", "replicas: 4"):                 "OL010 error 0",
		with("SPEC", "replicas: 3") + scaled:        "OL010 error 0",
		with("SPEC", "replicas: 3"+limits):          "",
		with("SPEC", "replicas: 4"+limits):          "OL010 error 0",
		with("SPEC", "replicas: 3"+limits) + scaled: "OL010 error 0",
		with("KIND", "DaemonSet"):                   "OL010 error 0|OL010 error 1",
	} {
		_, found := judged(t, text, Options{Drain: drain.Defaults()})
		found = slices.DeleteFunc(found, func(f string) bool { return !strings.HasPrefix(f, "OL010") })
		if got := strings.Join(found, "|"); got != want {
			t.Errorf("found %q, want %q of\n%s", got, want, text)
		}
	}
}

// TestStated: the author says that a balancer is there which no manifest shows.
func TestStated(t *testing.T) {
	alone := strings.Join(strings.SplitAfter(manifests, "---\n")[:2], "") + "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n"
	for balancer, want := range map[string]string{"alb": "fast 65s 70s 80s true", "nlb": "fast 185s 190s 200s true", "instance": "fast 300s 70s 110s false", "none": "", "odd": ""} {
		s, found := judged(t, strings.Replace(alone, " META", ", annotations: {outlast/balancer: "+balancer+"}", 1), Options{Drain: drain.Defaults()})
		got := ""
		if s.Behind() {
			gate := slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, "OL011") })
			got = fmt.Sprintf("%s %s %s %s %v", s.Plan.Mode, s.Plan.DeregistrationDelay, s.Plan.PreStop, s.Plan.GracePeriod, gate)
			if told := slices.Contains(found, "OL037 warning"); told == (balancer == "instance") { // whose delay no pod's end depends on
				t.Errorf("%s: nobody says that the delay is set elsewhere: %q", balancer, found)
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s (%q)", balancer, got, want, found)
		}
	}
}

// TestIdleTimeouts: that of a load balancer as it is counts, where it is known.
func TestIdleTimeouts(t *testing.T) {
	in := drain.Defaults()
	keepAlive := 70 * time.Second
	in.KeepAlive = &keepAlive
	for idle, want := range map[time.Duration]bool{0: false, 60 * time.Second: false, 90 * time.Second: true} {
		_, found := judged(t, manifests, Options{Drain: in, IdleTimeouts: map[string]time.Duration{"Deployment/shop/web": idle}})
		if slices.Contains(found, "OL006 error") != want {
			t.Errorf("an idle timeout of %s: %q", idle, found)
		}
	}
}

// TestPrograms: what to do about a hook whose program an image may lack; an old kubelet
// knows no other.
func TestPrograms(t *testing.T) {
	for kubelet, want := range map[string]string{
		"":     "write sleep: {seconds: 400}, which needs nothing in the image; or name the shell that all images have with drain.shell",
		"1.29": "name the shell that all images have with drain.shell (--shell /bin/sh)",
	} {
		_, all := problems(t, with("MAIN", "lifecycle: {preStop: {exec: {command: [sleep, '400']}}}"), Options{Drain: drain.Defaults(), Kubelet: kubelet})
		i := slices.IndexFunc(all, func(p problem.Problem) bool { return p.Rule == "OL026" })
		if i < 0 || all[i].Fix != want {
			t.Errorf("kubelet %q: %+v", kubelet, all)
		}
	}
}

// TestSayings: annotations of the author's own, and what is no such thing.
func TestSayings(t *testing.T) {
	for annotation, want := range map[string]string{
		"outlast/set: R=90":                   "R=90 abrupt",
		"outlast/set: ' R=90 ,, S=2 '":        "R=90 abrupt",
		"outlast/set: R":                      "R=30 abrupt OL046",
		"outlast/set: X=1":                    "R=30 abrupt OL046",
		"outlast/set: 'R=90, X=1'":            "R=90 abrupt OL046",
		"outlast/on-sigterm: graceful":        "R=30 graceful",
		"outlast/on-sigterm: politely":        "R=30 abrupt OL046",
		"outlast/request-path: main":          "R=30 abrupt",
		"outlast/request-path: 'main, other'": "R=30 abrupt OL046",
		"outlast/request-path: other":         "R=30 abrupt OL046",
		"outlast/hook-seconds.main: soon":     "R=30 abrupt OL046",
		"outlast/hook-seconds: '-1'":          "R=30 abrupt OL046",
		"outlast/hook-seconds.other: soon":    "R=30 abrupt",
	} {
		s, found := judged(t, strings.Replace(manifests, " META", ", annotations: {"+annotation+"}", 1), Options{Drain: drain.Defaults()})
		got := fmt.Sprintf("R=%g %s", s.Plan.Inputs.Request.Seconds(), s.Plan.Inputs.App)
		if slices.Contains(found, "OL046 error") {
			got += " OL046"
		}
		if got != want {
			t.Errorf("%s: %s, want %s (%q)", annotation, got, want, found)
		}
	}
}

// TestHookSeconds: whose hook the author's word is for.
func TestHookSeconds(t *testing.T) {
	const unknown = "lifecycle: {preStop: {httpGet: {port: 80}}}"
	for name, tc := range map[string]struct {
		annotations, containers string
		want                    string // seconds of each; ?: nobody knows
	}{
		"a hook by its container":                 {"outlast/hook-seconds.a: '50'", "{name: a, " + unknown + "}, {name: b, " + unknown + "}", "50 ?"},
		"all hooks":                               {"outlast/hook-seconds: 50s", "{name: a, " + unknown + "}, {name: b, " + unknown + "}", "50 50"},
		"the nearer word counts":                  {"outlast/hook-seconds: '50', outlast/hook-seconds.b: '60'", "{name: a, " + unknown + "}, {name: b, " + unknown + "}", "50 60"},
		"a sleep tells its own time":              {"outlast/hook-seconds: '50', outlast/hook-seconds.a: '60'", "{name: a, lifecycle: {preStop: {sleep: {seconds: 5}}}}", "5"},
		"so does an exec of sleep":                {"outlast/hook-seconds: '50'", "{name: a, lifecycle: {preStop: {exec: {command: [sleep, '5']}}}}", "5"},
		"but not a script that goes on":           {"outlast/hook-seconds: '50'", "{name: a, lifecycle: {preStop: {exec: {command: [sh, -c, sleep 5; drain]}}}}", "50"},
		"no hook, by name: the application waits": {"outlast/hook-seconds.a: '50'", "{name: a}, {name: b}", "50 0"},
		"no hook, alone":                          {"outlast/hook-seconds: '50'", "{name: a}", "50"},
		"no hook beside others":                   {"outlast/hook-seconds: '50'", "{name: a, " + unknown + "}, {name: b}", "50 0"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(strings.Replace(manifests, " META", ", annotations: {"+tc.annotations+"}", 1), "{name: main MAIN}", tc.containers, 1)
			s, _ := judged(t, text, Options{Drain: drain.Defaults()})
			var got []string
			for _, h := range s.hooks {
				said := fmt.Sprint(int(h.Seconds))
				if !h.Known {
					said = "?"
				}
				got = append(got, said)
			}
			if strings.Join(got, " ") != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// TestGates: where no readiness gate waits, and none will, time has to.
func TestGates(t *testing.T) {
	label := "labels: {elbv2.k8s.aws/pod-readiness-gate-inject: enabled}"
	nlb := func(spec string) string {
		docs := strings.SplitAfter(strings.Replace(with("SPEC", spec), label, "labels: {}", 1), "---\n")
		return docs[0] + "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop, annotations: {service.beta.kubernetes.io/aws-load-balancer-nlb-target-type: ip}}, spec: {selector: {app: web}, type: LoadBalancer, loadBalancerClass: service.k8s.aws/nlb, ports: [{port: 80}]}}\n---\n" + docs[3]
	}
	for name, tc := range map[string]struct {
		text  string
		gated map[string]bool
		want  string
	}{
		"a label":                                 {manifests, nil, "OL012 warning 15"},
		"a label that will be set":                {strings.Replace(manifests, label, "labels: {}", 1), nil, "OL011 error enabled|OL012 warning 15"},
		"one that its author keeps":               {strings.Replace(manifests, label, "annotations: {outlast/ignore.OL011: no webhook here}", 1), nil, "OL011 error enabled|OL011 error 40"},
		"the cluster's has none":                  {strings.Join(strings.SplitAfter(manifests, "---\n")[:3], ""), map[string]bool{"shop": false}, "OL011 error|OL011 error 40"},
		"none, and time enough":                   {strings.Replace(with("SPEC", "minReadySeconds: 40"), label, "labels: {}", 1), nil, ""},
		"none, and a second short":                {strings.Replace(with("SPEC", "minReadySeconds: 39"), label, "labels: {}", 1), nil, "OL011 error enabled"},
		"nobody knows, time enough":               {strings.Join(strings.SplitAfter(with("SPEC", "minReadySeconds: 40"), "---\n")[:3], ""), nil, ""},
		"nobody knows, a bit less":                {strings.Join(strings.SplitAfter(with("SPEC", "minReadySeconds: 39"), "---\n")[:3], ""), nil, "OL011 warning"},
		"the cluster's has none, but time enough": {strings.Join(strings.SplitAfter(with("SPEC", "minReadySeconds: 40"), "---\n")[:3], ""), map[string]bool{"shop": false}, ""},
		"an NLB":                  {nlb("minReadySeconds: 209"), nil, "OL011 error enabled"},
		"an NLB, and time enough": {nlb("minReadySeconds: 210"), nil, ""},
		"the cluster's has one":   {strings.Join(strings.SplitAfter(manifests, "---\n")[:3], ""), map[string]bool{"shop": true}, "OL012 warning 15"},
	} {
		t.Run(name, func(t *testing.T) {
			_, found := judged(t, strings.TrimSuffix(tc.text, "---\n"), Options{Drain: drain.Defaults(), Gated: tc.gated})
			found = slices.DeleteFunc(found, func(f string) bool { return !strings.HasPrefix(f, "OL011") && !strings.HasPrefix(f, "OL012") })
			if got := strings.Join(found, "|"); got != tc.want {
				t.Errorf("found %s, want %s", got, tc.want)
			}
		})
	}
}

// TestStrategy: how pods are replaced.
func TestStrategy(t *testing.T) {
	for rolling, want := range map[string]int{"": 1, "maxUnavailable: 3": 3, "maxUnavailable: 50%": 5, "maxUnavailable: 1%": 1, "maxUnavailable: odd": 1} {
		s, _ := judged(t, with("KIND", "StatefulSet", "SPEC", "replicas: 10, updateStrategy: {rollingUpdate: {"+rolling+"}}"), Options{Drain: drain.Defaults()})
		if got := s.Strategy(); got.Unavailable != want || got.Surge != 0 {
			t.Errorf("%q: %+v", rolling, got)
		}
	}
	in := drain.Defaults()
	s, _ := judged(t, with("KIND", "DaemonSet"), Options{Drain: in, Nodes: 12})
	if s.Replicas != 12 {
		t.Errorf("a DaemonSet of 12 nodes has %d pods", s.Replicas)
	}
	s, found := judged(t, with("KIND", "DaemonSet", "META", "annotations: {outlast/set: N=9}"), Options{Drain: in})
	if s.Replicas != 9 || slices.Contains(found, "OL014 info") {
		t.Errorf("a DaemonSet of 9 nodes, as its author says, has %d pods: %q", s.Replicas, found)
	}
	if _, found = judged(t, with("KIND", "DaemonSet"), Options{Drain: in}); !slices.Contains(found, "OL014 info") {
		t.Errorf("nobody says that the nodes were not counted: %q", found)
	}
}

// TestNLBTimes: an author who says that there is an NLB sets its own times.
func TestNLBTimes(t *testing.T) {
	s, _ := judged(t, with("META", "annotations: {outlast/balancer: nlb, outlast/set: P=20}"), Options{Drain: drain.Defaults()})
	if s.inputs.Balancer != drain.NLB || s.inputs.Propagation != 20*time.Second || s.inputs.Registration != 180*time.Second {
		t.Errorf("got %+v", s.inputs)
	}
}

// TestThePlanIsWhatIsWritten: the hook that is asked for is the plan's, in its mode,
// whatever grace the author wrote.
func TestThePlanIsWhatIsWritten(t *testing.T) {
	for grace, mode := range map[string]drain.Mode{"": drain.Strict, "100": drain.Strict, "120": drain.Strict, "121": drain.Strict, "300": drain.Strict, "3600": drain.Strict} {
		text := manifests
		if grace != "" {
			text = with("POD", "terminationGracePeriodSeconds: "+grace)
		}
		s, found := judged(t, text, Options{Drain: drain.Defaults()})
		if asked := "OL001 error sleep " + num(s.Plan.PreStop); s.Plan.Mode != mode || !slices.Contains(found, asked) {
			t.Errorf("a grace of %q: %s, and the problems %q", grace, s.Plan.Words(), found)
		}
	}
}

// TestShortestHook: a number that is one container's is told there, not at the container
// that happens to come first.
func TestShortestHook(t *testing.T) {
	in := drain.Defaults()
	in.App = drain.Graceful
	text := with("MAIN", "lifecycle: {preStop: {sleep: {seconds: 40}}}", "POD", "terminationGracePeriodSeconds: 215")
	text = strings.Replace(text, "containers: [", "containers: [{name: long, image: i, lifecycle: {preStop: {sleep: {seconds: 200}}}}, ", 1)
	_, all := problems(t, text, Options{Drain: in, AsWritten: true})
	i := slices.IndexFunc(all, func(p problem.Problem) bool { return p.Rule == "OL017" })
	if i < 0 || all[i].Field != "spec.template.spec.containers[main].lifecycle.preStop" || !strings.Contains(all[i].Message, "70s against") {
		t.Errorf("%+v", all)
	}
	in.Request = 4000 * time.Second // which no timing makes safe
	if s, _ := judged(t, text, Options{Drain: in}); !slices.ContainsFunc(s.Plan.Margins, func(m drain.Margin) bool { return m.ID == "F5" && m.Have == 215 && m.Need == 205 }) {
		t.Errorf("the grace is not judged by the longest hook: %+v", s.Plan.Margins)
	}
}
