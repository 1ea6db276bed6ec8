// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/outlast-ci/outlast/core/drain"
)

type obj = map[string]any

// world is what a property is tried on: manifests, document by document, and options.
type world struct {
	docs []string
	ids  []string // Kind/namespace/name of each
	opt  Options
	ns   string
}

func (w *world) add(rt *rapid.T, kind, name string, o obj) {
	meta, _ := o["metadata"].(obj)
	if meta == nil {
		meta = obj{}
	}
	meta["name"], o["kind"], o["metadata"] = name, kind, meta
	id := kind + "/" + name
	if w.ns != "" && kind != "Namespace" {
		meta["namespace"] = w.ns
		id = kind + "/" + w.ns + "/" + name
	}
	text, err := yaml.Marshal(o)
	if rapid.Bool().Draw(rt, "flow") {
		text, err = json.Marshal(o)
		text = append(text, '\n')
	}
	if err != nil {
		rt.Fatal(err)
	}
	if rapid.Bool().Draw(rt, "comment") {
		text = append([]byte("# a comment\n"), text...)
	}
	w.docs, w.ids = append(w.docs, string(text)), append(w.ids, id)
}

func (w *world) text() []byte { return []byte(strings.Join(w.docs, "---\n")) }

func some[T any](rt *rapid.T, name string, from ...T) T {
	return rapid.SampledFrom(from).Draw(rt, name)
}

func seconds(rt *rapid.T, name string, most int) time.Duration {
	return time.Duration(rapid.IntRange(0, most).Draw(rt, name)) * time.Second
}

// inputs are random, within what makes sense.
func inputs(rt *rapid.T) drain.Inputs {
	in := drain.Defaults()
	in.Mode, in.App = some(rt, "mode", drain.Auto, drain.Auto, drain.Strict, drain.Fast), some(rt, "app", drain.Abrupt, drain.Graceful)
	if rapid.Bool().Draw(rt, "own numbers") {
		in.Request, in.Shutdown, in.SidecarShutdown = seconds(rt, "R", 400), seconds(rt, "S", 30), seconds(rt, "S_sc", 10)
		in.ControllerLatency, in.Propagation, in.Margin = seconds(rt, "L", 130), seconds(rt, "P", 200), seconds(rt, "M", 10)
		in.Cap = seconds(rt, "cap", 900)
	}
	if rapid.IntRange(0, 9).Draw(rt, "order") == 0 {
		a := seconds(rt, "A", 120)
		in.Order, in.RequestTimeout = some(rt, "which order", drain.AppFirst, drain.BalancerFirst), &a
	}
	return in
}

func hookOf(rt *rapid.T) obj {
	n := rapid.IntRange(0, 400).Draw(rt, "hook seconds")
	switch rapid.IntRange(0, 9).Draw(rt, "hook") {
	case 0, 1:
		return obj{"sleep": obj{"seconds": n}}
	case 2:
		return obj{"exec": obj{"command": []string{"sleep", fmt.Sprint(n)}}}
	case 3:
		return obj{"exec": obj{"command": []string{"/bin/sh", "-c", fmt.Sprintf("sleep %d", n)}}}
	case 4:
		return obj{"exec": obj{"command": []string{"sh", "-c", fmt.Sprintf("sleep %d; nginx -s quit", n)}}}
	case 5:
		return obj{"httpGet": obj{"path": "/drain", "port": 80}}
	case 6:
		return obj{"exec": obj{"command": []string{"/drain", "--now"}}}
	}
	return nil
}

func container(rt *rapid.T, name string) obj {
	c := obj{"name": name, "image": name + "@sha256:aa", "readinessProbe": obj{"httpGet": obj{"port": 80}}}
	if pre := hookOf(rt); pre != nil {
		c["lifecycle"] = obj{"preStop": pre}
	}
	return c
}

func maybe(rt *rapid.T, o obj, key string, value any) {
	if rapid.Bool().Draw(rt, "has "+key) {
		o[key] = value
	}
}

// workloadOf adds one workload, and perhaps an autoscaler.
func (w *world) workload(rt *rapid.T, name string, labels obj) {
	kind := some(rt, "kind", "Deployment", "Deployment", "Deployment", "StatefulSet", "DaemonSet", "Rollout")
	pod := obj{"containers": []any{container(rt, "main")}}
	for i := range rapid.IntRange(0, 2).Draw(rt, "more containers") {
		pod["containers"] = append(pod["containers"].([]any), container(rt, fmt.Sprintf("c%d", i)))
	}
	if rapid.IntRange(0, 3).Draw(rt, "sidecar") == 0 {
		sidecar := container(rt, "proxy")
		sidecar["restartPolicy"] = "Always"
		pod["initContainers"] = []any{sidecar}
	}
	maybe(rt, pod, "terminationGracePeriodSeconds", rapid.IntRange(0, 500).Draw(rt, "grace"))
	spec := obj{"selector": obj{"matchLabels": labels}, "template": obj{"metadata": obj{"labels": labels}, "spec": pod}}
	if kind != "DaemonSet" {
		maybe(rt, spec, "replicas", rapid.IntRange(0, 6).Draw(rt, "replicas"))
	}
	maybe(rt, spec, "minReadySeconds", rapid.IntRange(0, 60).Draw(rt, "minReady"))
	if kind == "Deployment" || kind == "Rollout" {
		maybe(rt, spec, "progressDeadlineSeconds", rapid.IntRange(1, 1000).Draw(rt, "deadline"))
	}
	limits := obj{}
	maybe(rt, limits, "maxUnavailable", some[any](rt, "unavailable", 0, 1, "0%", "25%", "50%"))
	maybe(rt, limits, "maxSurge", some[any](rt, "surge", 0, 1, "0%", "25%"))
	api := "apps/v1"
	switch kind {
	case "Deployment":
		spec["strategy"] = obj{"rollingUpdate": limits}
	case "DaemonSet":
		spec["updateStrategy"] = obj{"rollingUpdate": limits}
	case "Rollout":
		api, spec["strategy"] = "argoproj.io/v1alpha1", obj{"canary": limits}
	}
	annotations := obj{}
	if rapid.IntRange(0, 3).Draw(rt, "own R") == 0 {
		annotations["outlast/set"] = fmt.Sprintf("R=%d, S=%d", rapid.IntRange(0, 300).Draw(rt, "R"), rapid.IntRange(0, 20).Draw(rt, "S"))
	}
	if rapid.IntRange(0, 3).Draw(rt, "own app") == 0 {
		annotations["outlast/on-sigterm"] = some(rt, "on sigterm", "graceful", "abrupt")
	}
	if rapid.IntRange(0, 3).Draw(rt, "stated") == 0 {
		annotations["outlast/hook-seconds.main"] = fmt.Sprint(rapid.IntRange(0, 600).Draw(rt, "stated seconds"))
	}
	if rapid.IntRange(0, 9).Draw(rt, "path") == 0 {
		annotations["outlast/request-path"] = "main"
	}
	w.add(rt, kind, name, obj{"apiVersion": api, "metadata": obj{"annotations": annotations}, "spec": spec})
	if kind != "DaemonSet" && rapid.IntRange(0, 4).Draw(rt, "scaled") == 0 {
		w.add(rt, "HorizontalPodAutoscaler", name, obj{"apiVersion": "autoscaling/v2", "spec": obj{"scaleTargetRef": obj{"kind": kind, "name": name}, "minReplicas": 1, "maxReplicas": rapid.IntRange(1, 50).Draw(rt, "most")}})
	}
}

// attributesOf is a target group's annotation.
func attributesOf(rt *rapid.T) string {
	delay := fmt.Sprintf("%s=%d", delayKey, rapid.IntRange(0, 700).Draw(rt, "delay"))
	return some(rt, "attributes", delay, delay, "stickiness.enabled=true, "+delay, "slow_start.duration_seconds=30", delay+","+delayKey+"=5", "")
}

// service adds a Service and what stands in front of it.
func (w *world) service(rt *rapid.T, name string, selector obj) {
	annotations, spec := obj{}, obj{"selector": selector, "ports": []any{obj{"name": "a", "port": 80}, obj{"name": "b", "port": 443}}}
	front := rapid.IntRange(0, 9).Draw(rt, "front")
	if rapid.IntRange(0, 3).Draw(rt, "shadow") == 0 {
		annotations[albKey+"target-group-attributes"] = attributesOf(rt)
	}
	if front == 0 || front == 1 {
		spec["type"], spec["loadBalancerClass"] = "LoadBalancer", "service.k8s.aws/nlb"
		annotations[nlbKey+"nlb-target-type"] = some(rt, "nlb targets", "ip", "ip", "instance")
		maybe(rt, annotations, nlbKey+"target-group-attributes", attributesOf(rt))
		maybe(rt, annotations, nlbKey+"target-group-attributes.443", attributesOf(rt))
	}
	w.add(rt, "Service", name, obj{"apiVersion": "v1", "metadata": obj{"annotations": annotations}, "spec": spec})
	ref := []any{obj{"backendRefs": []any{obj{"name": name, "port": 80}}}}
	switch front {
	case 2:
		w.add(rt, "HTTPRoute", name, obj{"apiVersion": "gateway.networking.k8s.io/v1", "spec": obj{"parentRefs": []any{obj{"name": "alb"}}, "rules": ref}})
		w.configuration(rt, name)
	case 3:
		w.add(rt, "TCPRoute", name, obj{"apiVersion": "gateway.networking.k8s.io/v1alpha2", "spec": obj{"parentRefs": []any{obj{"name": "nlb"}}, "rules": ref}})
		w.configuration(rt, name)
	case 4:
		binding := obj{"serviceRef": obj{"name": name, "port": 80}, "targetType": some(rt, "binding", "ip", "ip", "instance")}
		maybe(rt, binding, "targetGroupProtocol", some(rt, "protocol", "HTTP", "TCP"))
		stated := obj{}
		maybe(rt, stated, "outlast/delay-seconds", fmt.Sprint(rapid.IntRange(0, 700).Draw(rt, "stated delay")))
		w.add(rt, "TargetGroupBinding", name, obj{"apiVersion": "elbv2.k8s.aws/v1beta1", "metadata": obj{"annotations": stated}, "spec": binding})
	}
}

func (w *world) configuration(rt *rapid.T, name string) {
	if rapid.Bool().Draw(rt, "no configuration") {
		return
	}
	props := obj{"targetType": some(rt, "gateway targets", "ip", "ip", "instance")}
	maybe(rt, props, "targetGroupAttributes", []any{obj{"key": "stickiness.enabled", "value": "true"}, obj{"key": delayKey, "value": fmt.Sprint(rapid.IntRange(0, 700).Draw(rt, "gateway delay"))}})
	w.add(rt, "TargetGroupConfiguration", name+"-tg", obj{"apiVersion": "gateway.k8s.aws/v1", "spec": obj{"targetReference": obj{"name": name}, "defaultConfiguration": props}})
}

// ingress adds one for several Services.
func (w *world) ingress(rt *rapid.T, name string, services []string) {
	annotations, paths := obj{}, []any{}
	maybe(rt, annotations, albKey+"target-group-attributes", attributesOf(rt))
	maybe(rt, annotations, albKey+"target-type", some(rt, "targets", "ip", "ip", "ip", "instance"))
	for _, svc := range services {
		port := obj{"number": 80}
		if rapid.IntRange(0, 4).Draw(rt, "action") == 0 {
			port = obj{"name": "use-annotation"}
			annotations[albKey+"actions."+svc] = fmt.Sprintf(`{"type":"forward","forwardConfig":{"targetGroups":[{"serviceName":%q,"servicePort":80,"weight":1},{"serviceName":%q,"servicePort":80,"weight":2}]}}`, svc, services[0])
		}
		paths = append(paths, obj{"path": "/" + svc, "pathType": "Prefix", "backend": obj{"service": obj{"name": svc, "port": port}}})
	}
	w.add(rt, "Ingress", name, obj{"apiVersion": "networking.k8s.io/v1", "metadata": obj{"annotations": annotations}, "spec": obj{"ingressClassName": "alb", "rules": []any{obj{"http": obj{"paths": paths}}}}})
}

func newWorld(rt *rapid.T) *world {
	w := &world{ns: some(rt, "namespace", "", "shop")}
	w.opt = Options{Path: Stdin, Drain: inputs(rt)}
	if rapid.IntRange(0, 5).Draw(rt, "old") == 0 {
		w.opt.Kubelet = "1.29"
		w.opt.Shell = some(rt, "shell", "/bin/sh", "sh", "")
	}
	if w.ns != "" && rapid.Bool().Draw(rt, "namespace object") {
		labels := obj{}
		maybe(rt, labels, "elbv2.k8s.aws/pod-readiness-gate-inject", some(rt, "gate", "enabled", "disabled"))
		w.add(rt, "Namespace", w.ns, obj{"apiVersion": "v1", "metadata": obj{"labels": labels}})
	}
	var services []string
	for i := range rapid.IntRange(1, 3).Draw(rt, "workloads") {
		name := fmt.Sprintf("w%d", i)
		labels := obj{"app": name}
		if i > 0 && rapid.IntRange(0, 3).Draw(rt, "same labels") == 0 {
			labels = obj{"app": "w0", "of": name}
		}
		w.workload(rt, name, labels)
		for j := range rapid.IntRange(1, 2).Draw(rt, "services") {
			svc := fmt.Sprintf("%s-%d", name, j)
			w.service(rt, svc, obj{"app": labels["app"]})
			services = append(services, svc)
		}
	}
	for _, kind := range []string{"alb", "nlb"} {
		w.add(rt, "Gateway", kind, obj{"apiVersion": "gateway.networking.k8s.io/v1", "spec": obj{"gatewayClassName": "aws-" + kind}})
	}
	for i := range rapid.IntRange(0, 2).Draw(rt, "ingresses") {
		of := rapid.Permutation(services).Draw(rt, "routed")
		w.ingress(rt, fmt.Sprintf("i%d", i), of[:rapid.IntRange(1, len(of)).Draw(rt, "how many")])
	}
	w.docs, w.ids = append(w.docs, "# odd\napiVersion: v1\nkind:   ConfigMap\nmetadata: {name: odd}\ndata: {a:   \"1\", b: 'two'}   # the end\n"), append(w.ids, "ConfigMap/odd")
	return w
}

// TestRenderedManifestsAreSafe: whatever the manifests and what is known of the
// application, rendering refuses, or gives manifests that need no second rendering,
// that pass, and that lose nothing by a computation of the test's own.
func TestRenderedManifestsAreSafe(t *testing.T) {
	rendered, refused := 0, map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		ctx := context.Background()
		opt := w.opt
		opt.Stream = w.text()
		for _, policy := range []Policy{Off, Warn} {
			opt.Policy = policy
			if r, err := Render(ctx, opt); err == nil && (!bytes.Equal(r.YAML, opt.Stream) || len(r.Changes) > 0) {
				rt.Fatalf("%s has changed what it was given:\n%s\n%s", policy, opt.Stream, r.YAML)
			} else if err != nil && !strings.Contains(err.Error(), "drain timings") {
				rt.Fatalf("%s: %v", policy, err)
			}
		}
		opt.Policy = Fix
		r, err := Render(ctx, opt)
		if err != nil {
			var rules *RuleError
			if !errors.As(err, &rules) && !strings.Contains(err.Error(), "drain timings") {
				rt.Fatalf("an error that is no refusal: %v\n%s", err, opt.Stream)
			}
			if rules != nil {
				for _, f := range rules.Findings {
					refused[f.Rule]++
				}
			}
			return
		}
		rendered++
		w.untouched(rt, r)
		again := opt
		again.Stream = r.YAML
		for _, policy := range []Policy{Fix, Enforce} {
			again.Policy = policy
			r2, err := Render(ctx, again)
			if policy == Enforce && untold(err) {
				continue
			}
			if err != nil || len(r2.Changes) > 0 || !bytes.Equal(r2.YAML, r.YAML) {
				rt.Fatalf("a second rendering, %s: %v, %+v\n%s\n%s", policy, err, r2.Changes, r.YAML, r2.YAML)
			}
		}
		report, err := Check(ctx, again, nil)
		if err != nil {
			rt.Fatal(err)
		}
		for _, f := range report.Findings {
			if f.Severity == drain.Error && f.Suppressed == "" {
				rt.Fatalf("an error is left: %+v\n%s", f, r.YAML)
			}
		}
		w.safe(rt, t, r)
	})
	t.Logf("%d rendered; refused by %v", rendered, refused)
	if rendered < 30 {
		t.Errorf("only %d were rendered: a property of nothing", rendered)
	}
}

// untold tells whether all that is refused is what nobody tells: the length of a hook, or
// a delay that is set elsewhere.
func untold(err error) bool {
	var broken *RuleError
	return errors.As(err, &broken) && !slices.ContainsFunc(broken.Findings, func(f drain.Finding) bool { return f.Rule != "OL025" && f.Rule != "OL037" })
}

// untouched: documents of which no change tells keep their bytes.
func (w *world) untouched(rt *rapid.T, r Result) {
	for i, doc := range w.docs {
		changed := slices.ContainsFunc(r.Changes, func(c Change) bool { return c.Object == w.ids[i] })
		if kept := bytes.Contains(r.YAML, []byte(doc)); !changed && !kept {
			rt.Fatalf("%s has changed, and no change tells of it:\n%s\n%s", w.ids[i], doc, r.YAML)
		}
	}
}

func (w *world) safe(rt *rapid.T, t *testing.T, r Result) {
	docs := readDocs(t, r.YAML)
	for _, of := range r.Workloads {
		d := find(docs, of.Kind, of.Namespace, of.Name)
		mode := w.opt.Drain.Mode
		if of.Behind && of.Plan.Mode == drain.Strict {
			mode = drain.Strict // as it is reported
		}
		broken := judge(docs, d, w.opt.Drain, mode, w.opt.Kubelet == "")
		if len(broken) > 0 {
			rt.Fatalf("%s (%s) loses requests:\n%s\n%s", of.ID(), mode, strings.Join(broken, "\n"), r.YAML)
		}
		if have := w.hooks(d); of.Behind && have != nil && !slices.Contains(have, int(of.Plan.PreStop)) {
			rt.Fatalf("%s: a preStop of %s is told, and the hooks take %v:\n%s", of.ID(), of.Plan.PreStop, have, r.YAML)
		}
	}
	if len(r.Workloads) == 0 {
		rt.Fatal("no workload was found")
	}
}

// hooks are how long those of a workload's containers take; nil: nobody can tell of one.
func (w *world) hooks(d doc) (all []int) {
	if w.opt.Kubelet != "" { // ignores some
		return nil
	}
	annotations := dict(d, "metadata", "annotations")
	for _, field := range []string{"containers", "initContainers"} {
		for _, c := range list(d, "spec", "template", "spec", field) {
			n, known := hookSeconds(c, annotations, true)
			if !known {
				return nil
			}
			all = append(all, n)
		}
	}
	return all
}

// TestCuredManifestsAreRendered: the files that Cure gives say what Render makes of
// the manifests, nothing more, as plain YAML and as a kustomization, and need no
// second cure.
func TestCuredManifestsAreRendered(t *testing.T) {
	tried := 0
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		dir, err := os.MkdirTemp("", "cure")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		opt := w.opt
		opt.Root, opt.Path, opt.Policy = dir, dir, Fix
		write := func(name string, text []byte) {
			path := filepath.Join(dir, filepath.FromSlash(name))
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, text, 0o600)); err != nil {
				rt.Fatal(err)
			}
		}
		if rapid.Bool().Draw(rt, "kustomization") {
			w.ns = "shop"
			write("base/all.yaml", w.text())
			write("base/kustomization.yaml", []byte("resources: [all.yaml]\n"))
			write("dev/kustomization.yaml", []byte("namespace: shop\nresources:\n- ../base\n"))
			opt.Path = filepath.Join(dir, "dev")
		} else {
			write("all.yaml", w.text())
		}
		want, err := Render(context.Background(), opt)
		if err != nil {
			return // TestRenderedManifestsAreSafe looks at refusals
		}
		cures, err := Cure(context.Background(), opt)
		if err != nil {
			rt.Fatal(err)
		}
		if tried++; len(cures.Left) > 0 {
			rt.Fatalf("left: %q", cures.Left)
		}
		for _, f := range cures.Files {
			write(f.Path, f.Text)
		}
		again, err := Cure(context.Background(), opt)
		if err != nil || len(again.Changes) > 0 || len(again.Files) > 0 {
			rt.Fatalf("a second cure: %v, %+v, %d files", err, again.Changes, len(again.Files))
		}
		opt.Policy = Off
		got, err := Render(context.Background(), opt)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(said(t, want.YAML), said(t, got.YAML)); diff != "" {
			rt.Fatalf("the files do not say what rendering makes of them (- rendered, + cured):\n%s\n%s", diff, w.text())
		}
	})
	if tried < 20 {
		t.Errorf("only %d were cured", tried)
	}
}

// said is what manifests say, by object.
func said(t *testing.T, text []byte) map[string]any {
	t.Helper()
	out := map[string]any{}
	for _, d := range readDocs(t, text) {
		out[fmt.Sprint(d["kind"], at(d, "metadata", "namespace"), at(d, "metadata", "name"))] = map[string]any(d)
	}
	return out
}

// TestOddShapes: whatever stands where something else is meant to, rendering, checking
// and curing refuse or go on; none panics.
func TestOddShapes(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		for range rapid.IntRange(1, 4).Draw(rt, "how many") {
			i := rapid.IntRange(0, len(w.docs)-1).Draw(rt, "document")
			var d any
			if err := yaml.Unmarshal([]byte(w.docs[i]), &d); err != nil {
				rt.Fatal(err)
			}
			d = bend(rt, d)
			out, err := yaml.Marshal(d)
			if err != nil {
				rt.Fatal(err)
			}
			w.docs[i] = string(out)
		}
		opt := w.opt
		opt.Stream = w.text()
		for _, policy := range []Policy{Fix, Warn} {
			opt.Policy = policy
			_, _ = Render(context.Background(), opt)
		}
		_, _ = Check(context.Background(), opt, &Live{Groups: []LiveGroup{{Namespace: "shop", Service: "w0-0"}}, Pods: []LivePod{{Namespace: "shop", Labels: map[string]string{"app": "w0"}}}, Members: []LiveMember{{Group: "g"}}})
		path := filepath.Join(dir, "all.yaml")
		if err := os.WriteFile(path, opt.Stream, 0o600); err != nil {
			rt.Fatal(err)
		}
		opt.Path, opt.Root = path, dir
		_, _ = Cure(context.Background(), opt)
	})
}

// bend puts something odd in one place of a value.
func bend(rt *rapid.T, v any) any {
	odd := func() any {
		return some[any](rt, "odd", nil, "", "x", -1, 1e30, true, []any{}, []any{nil}, []any{"x"}, obj{}, obj{"name": nil}, []any{obj{}}, "99999999999999999999")
	}
	if rapid.IntRange(0, 3).Draw(rt, "here") == 0 {
		return odd()
	}
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		if len(keys) == 0 {
			return odd()
		}
		slices.Sort(keys)
		k := some(rt, "key", keys...)
		v[k] = bend(rt, v[k])
		return v
	case []any:
		if len(v) == 0 {
			return odd()
		}
		i := rapid.IntRange(0, len(v)-1).Draw(rt, "element")
		v[i] = bend(rt, v[i])
		return v
	}
	return odd()
}
