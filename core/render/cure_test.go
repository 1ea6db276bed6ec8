// SPDX-License-Identifier: Apache-2.0

package render

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outlast-ci/outlast/core/drain"
)

// put writes files below a folder.
func put(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// take reads them back.
func take(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		files[filepath.ToSlash(rel)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// sayings is what manifests say, by object.
func sayings(t *testing.T, opt Options) map[string]string {
	t.Helper()
	r, err := Render(context.Background(), opt)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, d := range readDocs(t, r.YAML) {
		b, err := json.MarshalIndent(d, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		out[text(d, "kind")+"/"+text(d, "metadata", "namespace")+"/"+text(d, "metadata", "name")] = string(b)
	}
	return out
}

// cured writes the cures of a folder, and asks that then no edit is left, that
// the manifests say what rendering would have made of them, and nothing more.
func cured(t *testing.T, opt Options, more ...string) Cures {
	t.Helper()
	ctx := context.Background()
	opt.Policy = Fix
	want := sayings(t, opt)
	before := take(t, opt.Root)
	cures, err := Cure(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range cures.Files {
		if old, ok := before[f.Path]; ok != (f.Old != nil) || old != string(f.Old) {
			t.Errorf("%s: %q is told to stand there", f.Path, f.Old)
		}
		put(t, opt.Root, map[string]string{f.Path: string(f.Text)})
	}
	if len(more) == 0 && len(cures.Left) > 0 {
		t.Errorf("left: %q", cures.Left)
	}
	if err := cures.Verify(ctx, opt); err != nil {
		t.Errorf("verifying: %v", err)
	}
	again, err := Cure(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	if len(again.Changes) > 0 || len(again.Files) > 0 {
		t.Errorf("a second run would change %+v, and write %d files", again.Changes, len(again.Files))
	}
	opt.Policy = Off
	if diff := cmp.Diff(want, sayings(t, opt)); diff != "" && len(more) == 0 {
		t.Errorf("the files do not say what rendering makes of them (- rendered, + cured):\n%s", diff)
	}
	if t.Failed() {
		for name, text := range take(t, opt.Root) {
			t.Logf("%s:\n%s", name, text)
		}
	}
	return cures
}

const (
	cureService = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n"
	cureIngress = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: web\n  annotations:\n    alb.ingress.kubernetes.io/target-type: ip # pods\nspec: {ingressClassName: alb, defaultBackend: {service: {name: web, port: {number: 80}}}}\n"
	curePod     = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  # how many
  replicas: 2   # two
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      # the only one
      - name: web
        image: web@sha256:1
        readinessProbe: {httpGet: {port: 80}}
`
	hpa = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\nspec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, minReplicas: 2, maxReplicas: 9}\n"
)

func TestCurePlain(t *testing.T) {
	join := func(docs ...string) string { return strings.Join(docs, "---\n") }
	list := func(docs ...string) string {
		out := "# printed by kubectl\napiVersion: v1\nkind: List\nitems:\n"
		for _, d := range docs {
			out += "- " + strings.TrimSuffix(strings.ReplaceAll(strings.TrimRight(d, "\n"), "\n", "\n  "), "  ") + "\n"
		}
		return out
	}
	flow := `{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web@sha256:1", "readinessProbe": {"httpGet": {"port": 80}}}]}}}}` + "\n"
	const gateway = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: alb}
spec: {gatewayClassName: aws-alb}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec: {parentRefs: [{name: alb}], rules: [{backendRefs: [{name: web, port: 80}]}]}
`
	const config = `apiVersion: gateway.k8s.aws/v1
kind: TargetGroupConfiguration
metadata: {name: web}
spec:
  targetReference: {name: web}
  defaultConfiguration:
    targetType: ip
    targetGroupAttributes:
    # sessions stay
    - key: stickiness.enabled
      value: "true" # with a cookie
`
	hook := func(text string) string {
		return strings.Replace(curePod, "        readinessProbe", "        lifecycle:\n          preStop:\n"+text+"        readinessProbe", 1)
	}
	for name, tc := range map[string]struct {
		files map[string]string
		kept  []string // stands in a file afterwards
		gone  []string
	}{
		"one file of several objects":        {files: map[string]string{"all.yaml": join(curePod, cureService, cureIngress)}, kept: []string{"  # how many\n  replicas: 2   # two\n", "      # the only one\n", "target-type: ip # pods\n"}},
		"a file each":                        {files: map[string]string{"a.yaml": curePod, "b.yml": cureService, "c.yaml": cureIngress}},
		"a List":                             {files: map[string]string{"all.yaml": list(curePod, cureService, cureIngress)}, kept: []string{"# printed by kubectl", "    # how many\n    replicas: 2   # two\n"}},
		"a List after an object":             {files: map[string]string{"all.yaml": join(cureService, list(curePod, cureIngress))}},
		"flow style stays JSON":              {files: map[string]string{"all.yaml": join(flow, cureService, cureIngress)}, kept: []string{`"lifecycle": {"preStop": {"sleep": {"seconds": 90}}}`, `"minReadySeconds": 15`}},
		"lines from Windows":                 {files: map[string]string{"all.yaml": strings.ReplaceAll(join(curePod, cureService, cureIngress), "\n", "\r\n")}, kept: []string{"replicas: 2   # two\r\n", "seconds: 90\r\n"}},
		"no line break at the end":           {files: map[string]string{"all.yaml": strings.TrimSuffix(join(curePod, cureService, cureIngress), "\n")}},
		"empty documents before and between": {files: map[string]string{"all.yaml": "---\n# nothing\n---\n" + join(curePod, "", "# still nothing\n", cureService, cureIngress)}},
		"a hook that is too short":           {files: map[string]string{"all.yaml": join(hook("            # wait\n            sleep: {seconds: 5} # short\n"), cureService, cureIngress)}, kept: []string{"            # wait\n            sleep: {seconds: 90} # short\n"}},
		"a script that goes on":              {files: map[string]string{"all.yaml": join(hook("            exec:\n              command: [sh, -c, 'sleep 15; nginx -s quit'] # nginx\n"), cureService, cureIngress)}, kept: []string{"[sh, -c, 'sleep 90; nginx -s quit'] # nginx\n"}},
		"a script in lines":                  {files: map[string]string{"all.yaml": join(hook("            exec:\n              command:\n              - /bin/sh\n              - -c\n              - |\n                sleep 15\n                nginx -s quit\n"), cureService, cureIngress)}},
		"a hook that is replaced":            {files: map[string]string{"all.yaml": join(hook("            exec: {command: [sleep, '10']}\n"), cureService, cureIngress)}, gone: []string{"exec:"}},
		"replicas that an autoscaler owns":   {files: map[string]string{"all.yaml": join(curePod, cureService, cureIngress, hpa)}, kept: []string{"  # how many\n"}, gone: []string{"replicas: 2"}},
		"a share in quotes":                  {files: map[string]string{"all.yaml": join(strings.Replace(curePod, "spec:\n", "spec:\n  strategy: {rollingUpdate: {maxUnavailable: \"50%\"}}\n", 1), cureService, cureIngress)}},
		"an annotation with other attributes": {files: map[string]string{"all.yaml": join(curePod, cureService, strings.Replace(cureIngress, "    alb", "    alb.ingress.kubernetes.io/target-group-attributes: \"stickiness.enabled=true,deregistration_delay.timeout_seconds=10\" # both\n    alb", 1))},
			kept: []string{"\"stickiness.enabled=true,deregistration_delay.timeout_seconds=65\" # both\n"}},
		"annotations that are null":                 {files: map[string]string{"all.yaml": join(curePod, cureService, "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: web\n  annotations:\nspec: {ingressClassName: alb, defaultBackend: {service: {name: web, port: {number: 80}}}}\n")}},
		"a Namespace without labels":                {files: map[string]string{"all.yaml": join("apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n", curePod, cureService, cureIngress)}},
		"a list without the attribute":              {files: map[string]string{"all.yaml": join(curePod, cureService, gateway, config)}, kept: []string{"    # sessions stay\n", "value: \"true\" # with a cookie\n"}},
		"a configuration without attributes":        {files: map[string]string{"all.yaml": join(curePod, cureService, gateway, strings.Split(config, "    targetGroupAttributes")[0])}},
		"a configuration that is not there":         {files: map[string]string{"web.yaml": join(curePod, gateway), "svc.yaml": cureService}},
		"one in lines from Windows":                 {files: map[string]string{"all.yaml": strings.ReplaceAll(join(curePod, cureService, gateway), "\n", "\r\n")}, kept: []string{"kind: TargetGroupConfiguration\r\nmetadata:\r\n"}},
		"one whose Service ends in no line":         {files: map[string]string{"web.yaml": join(curePod, gateway), "svc.yaml": strings.TrimSuffix(cureService, "\n")}},
		"one whose file ends in empty lines":        {files: map[string]string{"all.yaml": join(curePod, gateway, cureService, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  a: |+\n    b\n\n\n")}, kept: []string{"    b\n\n\n---\n"}},
		"two objects of one name in two Namespaces": {files: map[string]string{"all.yaml": join(curePod, cureService, cureIngress, strings.Replace(curePod, "name: web\n", "name: web\n  namespace: other\n", 1), strings.Replace(cureService, "name: web", "name: web, namespace: other", 1), strings.Replace(cureIngress, "name: web\n", "name: web\n  namespace: other\n", 1))}},
		"two objects of one name in two API groups": {files: map[string]string{"all.yaml": join("apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: web}\nspec: {}\n", strings.Replace(cureService, "name: web", "name: web, annotations: {alb.ingress.kubernetes.io/target-group-attributes: deregistration_delay.timeout_seconds=1}", 1), curePod, cureIngress)}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			put(t, root, tc.files)
			cures := cured(t, Options{Path: root, Root: root, Drain: drain.Defaults()})
			if len(cures.Changes) < 3 || len(cures.Files) == 0 {
				t.Errorf("only %d changes", len(cures.Changes))
			}
			all := strings.Join(slices.Sorted(maps.Values(take(t, root))), "\x00")
			for _, text := range tc.kept {
				if !strings.Contains(all, text) {
					t.Errorf("%q does not stand there:\n%s", text, all)
				}
			}
			for _, text := range tc.gone {
				if strings.Contains(all, text) {
					t.Errorf("%q still stands there:\n%s", text, all)
				}
			}
		})
	}
}

// TestCureAddsToTheServicesFile: an object that is to be added stands beside its
// Service, not beside another's of that name.
func TestCureAddsToTheServicesFile(t *testing.T) {
	root := t.TempDir()
	files := map[string]string{}
	for _, ns := range []string{"one", "two", "three"} {
		files[ns+".yaml"] = strings.NewReplacer("metadata:\n  name: web\n", "metadata:\n  name: web\n  namespace: "+ns+"\n", "{name: web}\nspec: {sel", "{name: web, namespace: "+ns+"}\nspec: {sel").Replace(curePod + "---\n" + cureService)
		files["route-"+ns+".yaml"] = strings.ReplaceAll(`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: alb, namespace: NS}
spec: {gatewayClassName: aws-alb}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: NS}
spec: {parentRefs: [{name: alb}], rules: [{backendRefs: [{name: web, port: 80}]}]}
`, "NS", ns)
	}
	put(t, root, files)
	cured(t, Options{Path: root, Root: root, Drain: drain.Defaults()})
	for name, text := range take(t, root) {
		ns := strings.TrimSuffix(name, ".yaml")
		if has := strings.Contains(text, "kind: TargetGroupConfiguration\nmetadata:\n  name: web\n  namespace: "+ns); has == strings.HasPrefix(name, "route-") {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}

func TestCureLeavesAliases(t *testing.T) {
	root := t.TempDir()
	put(t, root, map[string]string{"all.yaml": strings.Replace(curePod, "        readinessProbe", "        lifecycle: &hook {preStop: {sleep: {seconds: 5}}}\n        readinessProbe", 1) +
		"      - {name: proxy, image: proxy@sha256:1, lifecycle: *hook}\n---\n" + cureService + "---\n" + cureIngress})
	cures, err := Cure(context.Background(), Options{Path: root, Root: root, Drain: drain.Defaults()})
	if err != nil {
		t.Fatal(err)
	}
	if len(cures.Left) != 2 || !strings.Contains(cures.Left[0], "alias") || len(cures.Changes) == 0 {
		t.Errorf("left %q, changed %+v", cures.Left, cures.Changes)
	}
}

func TestCureKustomization(t *testing.T) {
	base := map[string]string{
		"base/kustomization.yaml": "resources: [all.yaml]\n",
		"base/all.yaml":           curePod + "---\n" + cureService + "---\n" + cureIngress,
	}
	with := func(more map[string]string) map[string]string {
		out := maps.Clone(base)
		maps.Copy(out, more)
		return out
	}
	overlay := func(text string) map[string]string {
		return with(map[string]string{"dev/kustomization.yaml": "# of dev\nresources:\n- ../base # the base\n" + text})
	}
	hook := func(text string) map[string]string {
		return with(map[string]string{"dev/kustomization.yaml": "resources: [../base]\n",
			"base/all.yaml": strings.Replace(curePod, "        readinessProbe", "        lifecycle: {preStop: {"+text+"}}\n        readinessProbe", 1) + "---\n" + cureService + "---\n" + cureIngress})
	}
	const namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
	for name, tc := range map[string]struct {
		files map[string]string
		top   string // dev, when empty
		kept  []string
	}{
		"base and overlay":                        {files: overlay(""), kept: []string{"# of dev\nresources:\n- ../base # the base\n"}},
		"a kustomization without a base":          {files: base, top: "base"},
		"a prefix":                                {files: overlay("namePrefix: dev-\n")},
		"a suffix":                                {files: overlay("nameSuffix: -dev\n")},
		"a prefix that the base has, too":         {files: with(map[string]string{"base/kustomization.yaml": "namePrefix: dev-\nresources: [all.yaml]\n", "dev/kustomization.yaml": "namePrefix: dev-\nresources: [../base]\n"})},
		"a namespace":                             {files: overlay("namespace: shop\n")},
		"prefix, suffix and namespace":            {files: overlay("namespace: shop\nnamePrefix: a-\nnameSuffix: -b\n")},
		"a Namespace":                             {files: with(map[string]string{"dev/ns.yaml": namespace, "dev/kustomization.yaml": "namespace: shop\nresources: [../base, ns.yaml]\n"})},
		"a Namespace and a prefix it starts with": {files: with(map[string]string{"dev/ns.yaml": namespace, "dev/kustomization.yaml": "namespace: shop\nnamePrefix: sh\nresources: [../base, ns.yaml]\n"})},
		"a Namespace that no prefix changes":      {files: with(map[string]string{"dev/ns.yaml": namespace, "dev/kustomization.yaml": "namePrefix: sh\nresources: [../mid, ns.yaml]\n", "mid/kustomization.yaml": "namespace: shop\nresources: [../base]\n"})},
		"a Namespace that is renamed":             {files: with(map[string]string{"dev/ns.yaml": strings.Replace(namespace, "shop", "other", 1), "dev/kustomization.yaml": "namespace: shop\nresources: [../base, ns.yaml]\n"})},
		"patches with comments": {files: overlay("patches:\n# first\n- target: {kind: Deployment} # all of them\n  patch: |-\n    # nothing much\n    - {op: add, path: /metadata/labels, value: {a: b}}\n# last\n- path: more.yaml\n"), top: "dev",
			kept: []string{"# of dev\nresources:\n- ../base # the base\n"}},
		"patches in flow style":                  {files: overlay("patches: [{path: more.yaml}]\n")},
		"a component":                            {files: with(map[string]string{"part/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnamePrefix: c-\npatches: [{path: p.yaml, target: {kind: Deployment}}]\n", "part/p.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {template: {spec: {terminationGracePeriodSeconds: 45}}}\n", "dev/kustomization.yaml": "resources: [../base]\ncomponents: [../part]\n"})},
		"a hook that is replaced":                {files: hook("exec: {command: [sleep, '10']}")},
		"a hook that is raised":                  {files: hook("sleep: {seconds: 10}")},
		"a script that goes on":                  {files: hook(`exec: {command: [sh, -c, "sleep 15; nginx -s quit"]}`)},
		"replicas that an autoscaler owns":       {files: with(map[string]string{"dev/hpa.yaml": hpa, "dev/kustomization.yaml": "resources: [../base, hpa.yaml]\n"})},
		"replicas that a transformer sets":       {files: with(map[string]string{"dev/hpa.yaml": hpa, "dev/kustomization.yaml": "resources: [../base, hpa.yaml, api.yaml]\nreplicas:\n- {name: api, count: 9} # stays\n- {name: web, count: 5}\n", "dev/api.yaml": strings.NewReplacer("name: web\n", "name: api\n", "app: web", "app: api").Replace(curePod)}), kept: []string{"- {name: api, count: 9} # stays\n"}},
		"replicas that a transformer sets alone": {files: with(map[string]string{"dev/hpa.yaml": hpa, "dev/kustomization.yaml": "namePrefix: dev-\nresources: [../base, hpa.yaml]\nreplicas: [{name: web, count: 5}]\n"})},
		"replicas that a transformer sets by a name without the base's prefix": {files: with(map[string]string{"mid/kustomization.yaml": "namePrefix: a-\nresources: [../base, we.yaml]\n", "mid/we.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: we}\nspec: {replicas: 1, selector: {matchLabels: {app: we}}, template: {metadata: {labels: {app: we}}, spec: {containers: [{name: we, image: we}]}}}\n", "dev/hpa.yaml": strings.Replace(hpa, "name: web}, min", "name: web}, min", 1), "dev/kustomization.yaml": "resources: [../mid, hpa.yaml]\nreplicas:\n- {name: we, count: 5}\n- {name: web, count: 5}\n"})},
		"replicas that the base's transformer sets":                            {files: with(map[string]string{"base/kustomization.yaml": "resources: [all.yaml]\nreplicas: [{name: web, count: 5}]\n", "dev/hpa.yaml": hpa, "dev/kustomization.yaml": "resources: [../base, hpa.yaml]\n"})},
		"a Rollout": {files: with(map[string]string{"base/all.yaml": strings.NewReplacer("apps/v1", "argoproj.io/v1alpha1", "Deployment", "Rollout", "spec:\n  #", "spec:\n  strategy: {canary: {maxUnavailable: 1, steps: [{setWeight: 20}]}}\n  #").Replace(curePod) + "      - {name: proxy, image: proxy@sha256:1}\n---\n" + cureService + "---\n" + cureIngress, "dev/kustomization.yaml": "namePrefix: dev-\nresources: [../base]\nconfigurations: [refs.yaml]\n", "dev/refs.yaml": "namePrefix: []\n"})},
		"a TargetGroupConfiguration": {files: with(map[string]string{"base/all.yaml": curePod + "---\n" + cureService + `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: alb}
spec: {gatewayClassName: aws-alb}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec: {parentRefs: [{name: alb}], rules: [{backendRefs: [{name: web, port: 80}]}]}
---
apiVersion: gateway.k8s.aws/v1
kind: TargetGroupConfiguration
metadata: {name: web}
spec: {targetReference: {name: web}, defaultConfiguration: {targetType: ip, targetGroupAttributes: [{key: stickiness.enabled, value: "true"}]}}
`, "dev/kustomization.yaml": "resources: [../base]\n"})},
		"a TargetGroupConfiguration that is not there": {files: with(map[string]string{"base/all.yaml": curePod + "---\n" + cureService + `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: alb}
spec: {gatewayClassName: aws-alb}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec: {parentRefs: [{name: alb}], rules: [{backendRefs: [{name: web, port: 80}]}]}
`, "dev/kustomization.yaml": "namespace: shop\nresources: [../base]\n"})},
		"one that is not there, and a prefix": {files: with(map[string]string{"base/all.yaml": curePod + "---\n" + cureService + `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: alb}
spec: {gatewayClassName: aws-alb}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec: {parentRefs: [{name: alb}], rules: [{backendRefs: [{name: web, port: 80}]}]}
`, "dev/refs.yaml": "nameReference:\n- kind: Service\n  version: v1\n  fieldSpecs: [{path: spec/rules/backendRefs/name, kind: HTTPRoute}]\n- kind: Gateway\n  fieldSpecs: [{path: spec/parentRefs/name, kind: HTTPRoute}]\n", "dev/kustomization.yaml": "namePrefix: dev-\nresources: [../base]\nconfigurations: [refs.yaml]\n"})},
		"two objects of one name in two Namespaces": {files: map[string]string{"dev/kustomization.yaml": "resources: [../a, ../b]\n", "a/kustomization.yaml": "namespace: a\nresources: [all.yaml]\n", "b/kustomization.yaml": "namespace: b\nresources: [all.yaml]\n", "a/all.yaml": base["base/all.yaml"], "b/all.yaml": strings.NewReplacer("  name: web\nspec:\n  #", "  name: web\n  annotations: {outlast/set: R=45}\nspec:\n  #", "readinessProbe", "lifecycle: {preStop: {sleep: {seconds: 7}}}\n        readinessProbe").Replace(base["base/all.yaml"])}},
		"a name with a point":                       {files: with(map[string]string{"base/all.yaml": strings.ReplaceAll(base["base/all.yaml"], "name: web\n", "name: web.v1\n") + "---\n" + strings.NewReplacer("name: web\n", "name: webxv1\n", "app: web", "app: other").Replace(curePod), "dev/kustomization.yaml": "resources: [../base]\n"})},
		"an older apiVersion":                       {files: with(map[string]string{"dev/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nbases: [../base]\npatchesStrategicMerge: [more.yaml]\n"})},
		"lines from Windows":                        {files: with(map[string]string{"dev/kustomization.yaml": "resources:\r\n- ../base # the base\r\n"}), kept: []string{"- ../base # the base\r\n"}},
		"a file named Kustomization":                {files: with(map[string]string{"dev/Kustomization": "resources: [../base]\n"})},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			files := maps.Clone(tc.files)
			for _, text := range tc.files {
				if strings.Contains(text, "more.yaml") {
					files["dev/more.yaml"] = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {priorityClassName: high}}}\n"
				}
			}
			put(t, root, files)
			top := tc.top
			if top == "" {
				top = "dev"
			}
			cures := cured(t, Options{Path: filepath.Join(root, top), Root: root, Drain: drain.Defaults()})
			if len(cures.Changes) < 3 {
				t.Errorf("only %d changes", len(cures.Changes))
			}
			after := take(t, root)
			for name, text := range files {
				if after[name] != text && filepath.Dir(name) != top {
					t.Errorf("%s was touched:\n%s", name, after[name])
				}
			}
			for _, text := range tc.kept {
				if !strings.Contains(after["dev/kustomization.yaml"], text) {
					t.Errorf("%q does not stand there:\n%s", text, after["dev/kustomization.yaml"])
				}
			}
		})
	}
}

// TestCureTargets: a patch means its own object, whatever is called like it.
func TestCureTargets(t *testing.T) {
	const knative = "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{image: fn}]}}}\n"
	shadow := strings.Replace(cureService, "name: web", "name: web, annotations: {alb.ingress.kubernetes.io/target-group-attributes: deregistration_delay.timeout_seconds=1}", 1)
	inNamespace := func(ns, text string) string {
		return strings.NewReplacer("metadata:\n  name: web\n", "metadata:\n  name: web\n  namespace: "+ns+"\n", "{name: web}\nspec: {sel", "{name: web, namespace: "+ns+"}\nspec: {sel").Replace(text)
	}
	all := curePod + "---\n" + cureService + "---\n" + cureIngress
	scaled := func(name string, count string) string {
		return strings.NewReplacer("name: web\n", "name: "+name+"\n", "app: web", "app: "+name, "replicas: 2 ", "replicas: "+count+" ").Replace(curePod)
	}
	for name, tc := range map[string]struct {
		top, all string
		files    []string // that are written
		kept     []string // stands in the kustomization afterwards
		gone     []string
		left     string // part of what is left, when something is
	}{
		"a Service of another API group": {all: curePod + "---\n" + shadow + "---\n" + cureIngress + "---\n" + knative,
			files: []string{"outlast-deployment-web.yaml", "outlast-service-web.yaml"}, kept: []string{"group: ()\n    kind: Service\n    name: web\n"}},
		"a Service of another API group, and a namespace for both": {top: "namespace: shop\n", all: curePod + "---\n" + shadow + "---\n" + cureIngress + "---\n" + knative,
			files: []string{"outlast-deployment-web.yaml", "outlast-service-web.yaml"}, kept: []string{"group: ()\n    kind: Service\n    name: web\n"}},
		"a Deployment of another API group": {all: all + "---\napiVersion: example.com/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {size: 3}\n",
			files: []string{"outlast-deployment.apps-web.yaml", "outlast-ingress-web.yaml"}, kept: []string{"group: apps\n    kind: Deployment\n"}},
		"an Ingress of another API group": {all: all + "---\napiVersion: config.openshift.io/v1\nkind: Ingress\nmetadata: {name: web}\nspec: {domain: example.com}\n",
			files: []string{"outlast-deployment-web.yaml", "outlast-ingress.networking.k8s.io-web.yaml"}, kept: []string{`group: networking\.k8s\.io`}},
		"no namespace beside one": {all: all + "---\n" + inNamespace("other", strings.Replace(all, "containers:", "terminationGracePeriodSeconds: 200\n      containers:", 1)),
			files: []string{"outlast-deployment-default_web.yaml", "outlast-deployment-other_web.yaml", "outlast-ingress-default_web.yaml", "outlast-ingress-other_web.yaml"}, kept: []string{"namespace: default\n", "namespace: other\n"}},
		"a namespace and a name that read like another's name": {all: all + "---\n" + inNamespace("a", all) + "---\n" + strings.ReplaceAll(all, "web", "a-web"),
			files: []string{"outlast-deployment-a-web.yaml", "outlast-deployment-a_web.yaml", "outlast-deployment-default_web.yaml", "outlast-ingress-a-web.yaml", "outlast-ingress-a_web.yaml", "outlast-ingress-default_web.yaml"}},
		"replicas by a name that is part of the autoscaled one's": {top: "replicas: [{name: web, count: 5}]\n", all: scaled("web", "2") + "---\n" + scaled("web-api", "5") + "---\n" + strings.Replace(cureService, "app: web", "app: web-api", 1) + "---\n" + cureIngress + "---\n" + strings.ReplaceAll(hpa, "name: web", "name: web-api"),
			files: []string{"outlast-deployment-web-api.yaml", "outlast-ingress-web.yaml"}, kept: []string{"{name: web, count: 5}"}},
		"replicas by the name before the prefix, and behind it": {top: "namePrefix: dev-\nreplicas:\n- {name: web, count: 5}\n- {name: dev-web, count: 6}\n- {name: api, count: 7}\n", all: all + "---\n" + hpa + "---\n" + scaled("api", "1"),
			files: []string{"outlast-deployment-web.yaml", "outlast-ingress-web.yaml"}, kept: []string{"replicas:\n- {name: api, count: 7}\n"}},
		"replicas of a kind that no autoscaler owns": {top: "replicas: [{name: web, count: 5}]\n", all: all + "---\n" + hpa + "---\n" + strings.NewReplacer("Deployment", "StatefulSet", "app: web", "app: other").Replace(curePod),
			files: []string{"outlast-deployment-web.yaml", "outlast-ingress-web.yaml"}, kept: []string{"replicas: [{name: web, count: 5}]"},
			left: `OL032: spec.replicas of Deployment/web: the kustomization's replicas entry "web" sets StatefulSet/web, too, which no autoscaler owns`},
		"replicas that nothing but the kustomization sets": {top: "replicas: [{name: web, count: 5}]\n", all: strings.Replace(all, "  replicas: 2   # two\n", "", 1) + "---\n" + hpa,
			files: []string{"outlast-deployment-web.yaml", "outlast-ingress-web.yaml"}, gone: []string{"count: 5"}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			base := map[string]string{"base/kustomization.yaml": "resources: [all.yaml]\n", "base/all.yaml": tc.all}
			put(t, root, base)
			put(t, root, map[string]string{"dev/kustomization.yaml": tc.top + "resources: [../base]\n"})
			var more []string
			if tc.left != "" {
				more = []string{"left"}
			}
			cures := cured(t, Options{Path: filepath.Join(root, "dev"), Root: root, Drain: drain.Defaults()}, more...)
			var files []string
			for _, f := range cures.Files {
				if name := strings.TrimPrefix(f.Path, "dev/"); name != "kustomization.yaml" {
					files = append(files, name)
				}
			}
			slices.Sort(files)
			if diff := cmp.Diff(tc.files, files); diff != "" {
				t.Errorf("files (- want, + got):\n%s", diff)
			}
			k := take(t, root)["dev/kustomization.yaml"]
			for _, text := range tc.kept {
				if !strings.Contains(k, text) {
					t.Errorf("%q does not stand in\n%s", text, k)
				}
			}
			for _, text := range tc.gone {
				if strings.Contains(k, text) {
					t.Errorf("%q still stands in\n%s", text, k)
				}
			}
			if left := strings.Join(cures.Left, "\n"); (left == "") != (tc.left == "") || !strings.Contains(left, tc.left) {
				t.Errorf("left %q, want %q", left, tc.left)
			}
		})
	}
}

// TestCureTellsOfReplicas: an entry that is taken out of the kustomization is a change
// like the others.
func TestCureTellsOfReplicas(t *testing.T) {
	root := t.TempDir()
	put(t, root, map[string]string{"kustomization.yaml": "resources: [all.yaml]\nreplicas: [{name: web, count: 5}]\n", "all.yaml": curePod + "---\n" + cureService + "---\n" + cureIngress + "---\n" + hpa})
	cures := cured(t, Options{Path: root, Root: root, Drain: drain.Defaults()})
	const want = "OL032: took replicas[web] of kustomization.yaml away, which was 5"
	for _, ch := range cures.Changes {
		if ch.String() == want {
			return
		}
	}
	t.Errorf("no change is %q: %v", want, cures.Changes)
}

// TestCureFreezesNothing: what others change later comes through the patches: images,
// containers, and names that kustomize makes of a content.
func TestCureFreezesNothing(t *testing.T) {
	generator := "configMapGenerator: [{name: settings, literals: [level=1]}]\n"
	pod := strings.Replace(curePod, "        readinessProbe", "        envFrom: [{configMapRef: {name: settings}}]\n        volumeMounts: [{name: s, mountPath: /s}]\n        readinessProbe", 1) +
		"      - {name: proxy, image: proxy@sha256:1, lifecycle: {preStop: {sleep: {seconds: 3}}}}\n      volumes: [{name: s, configMap: {name: settings}}]\n"
	rollout := strings.NewReplacer("apps/v1", "argoproj.io/v1alpha1", "Deployment", "Rollout", "spec:\n  #", "spec:\n  strategy: {canary: {maxUnavailable: 1, steps: [{setWeight: 20}]}}\n  #")
	for name, workload := range map[string]string{
		"a Deployment":                          pod,
		"a StatefulSet":                         strings.Replace(pod, "kind: Deployment", "kind: StatefulSet", 1),
		"a Rollout":                             rollout.Replace(pod),
		"a Rollout that refers to a Deployment": pod + "---\napiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: web}\nspec: {replicas: 2, selector: {matchLabels: {app: web}}, workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}, strategy: {canary: {}}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			base := map[string]string{"base/kustomization.yaml": "resources: [all.yaml]\n" + generator, "base/all.yaml": workload + "---\n" + cureService + "---\n" + cureIngress}
			if strings.Contains(workload, "argoproj") { // whose fields kustomize has to be told of
				refs := "nameReference:\n- {kind: ConfigMap, version: v1, fieldSpecs: [{path: spec/template/spec/containers/envFrom/configMapRef/name, kind: Rollout}, {path: spec/template/spec/volumes/configMap/name, kind: Rollout}]}\n"
				base["base/refs.yaml"] = refs
				base["base/kustomization.yaml"] += "configurations: [refs.yaml]\n"
			}
			put(t, root, base)
			put(t, root, map[string]string{"dev/kustomization.yaml": "namespace: shop\nnamePrefix: dev-\nresources: [../base]\n"})
			opt := Options{Path: filepath.Join(root, "dev"), Root: root, Drain: drain.Defaults()}
			cured(t, opt)
			for name, text := range take(t, root) {
				if strings.HasPrefix(name, "dev/outlast-") && (strings.Contains(text, "sha256") || strings.Contains(text, "settings") || strings.Contains(text, "image")) {
					t.Errorf("%s:\n%s", name, text)
				}
			}
			old := sayings(t, Options{Path: opt.Path, Root: root, Drain: drain.Defaults(), Policy: Off})
			change := strings.NewReplacer("sha256:1", "sha256:2", "level=1", "level=2", "      - {name: proxy", "      - {name: late, image: late@sha256:3}\n      - {name: proxy")
			put(t, root, map[string]string{"base/kustomization.yaml": change.Replace(base["base/kustomization.yaml"])})
			put(t, root, map[string]string{"base/all.yaml": change.Replace(base["base/all.yaml"])})
			if strings.Contains(workload, "argoproj") && !strings.Contains(workload, "workloadRef") { // its patch finds containers by their places, and says when they move
				if _, err := Render(context.Background(), opt); err == nil || !strings.Contains(err.Error(), "test") {
					t.Errorf("a container that has moved: %v", err)
				}
				put(t, root, map[string]string{"base/all.yaml": strings.Replace(change.Replace(base["base/all.yaml"]), "      - {name: late, image: late@sha256:3}\n", "", 1)})
			}
			now := sayings(t, Options{Path: opt.Path, Root: root, Drain: drain.Defaults(), Policy: Off})
			all := strings.Join(slices.Sorted(maps.Values(now)), "\n")
			if strings.Contains(all, "sha256:1") || strings.Count(all, "web@sha256:2") != 1 || strings.Count(all, "proxy@sha256:2") != 1 {
				t.Errorf("images are as they were:\n%s", all)
			}
			for id := range old {
				if strings.Contains(id, "settings") && (now[id] != "" || strings.Contains(all, id[strings.LastIndex(id, "/")+1:])) {
					t.Errorf("%s is there still, by its name:\n%s", id, all)
				}
			}
		})
	}
}

// TestCureAgain: what a second run finds, since more is known of the application by
// then, goes into the patches of the first.
func TestCureAgain(t *testing.T) {
	const routes = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: alb}
spec: {gatewayClassName: aws-alb}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec: {parentRefs: [{name: alb}], rules: [{backendRefs: [{name: web, port: 80}]}]}
`
	rollout := strings.NewReplacer("apps/v1", "argoproj.io/v1alpha1", "Deployment", "Rollout", "spec:\n  #", "spec:\n  strategy: {canary: {}}\n  #").Replace(curePod) + "      - {name: proxy, image: proxy@sha256:1, lifecycle: {preStop: {sleep: {seconds: 3}}}}\n"
	for name, tc := range map[string]struct{ top, all, want string }{
		"a Deployment and an Ingress": {"namePrefix: dev-\n", curePod + "---\n" + cureService + "---\n" + cureIngress, `# Written by outlast check --fix.
# OL003 spec.template.spec.containers[web].lifecycle.preStop.sleep.seconds: the balancer goes on sending requests after it was told to stop
# OL001 spec.template.spec.containers[web].lifecycle.preStop: the balancer goes on sending requests after it was told to stop
# OL004 spec.template.spec.terminationGracePeriodSeconds: the hook, what is in flight and the shutdown have to fit before SIGKILL
# OL012 spec.minReadySeconds: healthy is reported before every node of the balancer routes to the pod
# OL010 spec.strategy.rollingUpdate.maxUnavailable: old pods must not leave before new ones are healthy at the balancer
apiVersion: apps/v1
kind: Deployment
metadata:
  name: dev-web
spec:
  template:
    spec:
      containers:
      - name: web
        lifecycle:
          preStop:
            sleep:
              seconds: 240
      terminationGracePeriodSeconds: 250
  minReadySeconds: 15
  strategy:
    rollingUpdate:
      maxUnavailable: 0
`},
		"a Rollout and a route": {"namespace: shop\n", rollout + "---\n" + cureService + "---\n" + routes, `# Written by outlast check --fix.
# OL003 spec.template.spec.containers[web].lifecycle.preStop.sleep.seconds: the balancer goes on sending requests after it was told to stop
# OL003 spec.template.spec.containers[proxy].lifecycle.preStop.sleep.seconds: the balancer goes on sending requests after it was told to stop
# OL001 spec.template.spec.containers[web].lifecycle.preStop: the balancer goes on sending requests after it was told to stop
# OL001 spec.template.spec.containers[proxy].lifecycle.preStop.sleep.seconds: the balancer goes on sending requests after it was told to stop
# OL004 spec.template.spec.terminationGracePeriodSeconds: the hook, what is in flight and the shutdown have to fit before SIGKILL
# OL012 spec.minReadySeconds: healthy is reported before every node of the balancer routes to the pod
# OL010 spec.strategy.canary.maxUnavailable: old pods must not leave before new ones are healthy at the balancer
- op: test
  path: /spec/template/spec/containers/0/name
  value: web
- op: add
  path: /spec/template/spec/containers/0/lifecycle
  value:
    preStop:
      sleep:
        seconds: 70
- op: test
  path: /spec/template/spec/containers/1/name
  value: proxy
- op: replace
  path: /spec/template/spec/containers/1/lifecycle/preStop/sleep/seconds
  value: 240
- op: add
  path: /spec/template/spec/terminationGracePeriodSeconds
  value: 450
- op: add
  path: /spec/minReadySeconds
  value: 15
- op: add
  path: /spec/strategy/canary/maxUnavailable
  value: 0
- op: replace
  path: /spec/template/spec/containers/0/lifecycle/preStop/sleep/seconds
  value: 240
`},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			base := map[string]string{"base/kustomization.yaml": "resources: [all.yaml]\n", "base/all.yaml": tc.all}
			put(t, root, base)
			put(t, root, map[string]string{"dev/kustomization.yaml": tc.top + "resources: [../base]\n"})
			opt := Options{Path: filepath.Join(root, "dev"), Root: root, Drain: drain.Defaults()}
			cured(t, opt)
			opt.Drain.Request = 200 * time.Second
			cured(t, opt)
			after := take(t, root)
			for name, text := range base {
				if after[name] != text {
					t.Errorf("%s was touched:\n%s", name, after[name])
				}
			}
			k := after["dev/kustomization.yaml"]
			for name := range after {
				if file, ok := strings.CutPrefix(name, "dev/outlast-"); ok && strings.Count(k, file) != 1 {
					t.Errorf("%s is named %d times:\n%s", name, strings.Count(k, file), k)
				}
			}
			got := after["dev/outlast-deployment-web.yaml"] + after["dev/outlast-rollout-web.yaml"]
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestCureKeepsTheUsersPatch: a file of the name that a patch would get is not written
// into, when the kustomization names it, either.
func TestCureKeepsTheUsersPatch(t *testing.T) {
	const mine = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {revisionHistoryLimit: 3} # by hand\n"
	for name, top := range map[string]string{
		"a patch":          "patches: [{path: outlast-deployment-web.yaml}]\n",
		"an older patch":   "patchesStrategicMerge: [outlast-deployment-web.yaml]\n",
		"a patch of a set": "patches: [{path: outlast-deployment-web.yaml, target: {kind: Deployment}}]\n",
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			put(t, root, map[string]string{"kustomization.yaml": "resources: [all.yaml]\n" + top, "all.yaml": curePod + "---\n" + cureService + "---\n" + cureIngress, "outlast-deployment-web.yaml": mine})
			cures := cured(t, Options{Path: root, Root: root, Drain: drain.Defaults()}, "left")
			if take(t, root)["outlast-deployment-web.yaml"] != mine {
				t.Errorf("it was written:\n%s", take(t, root)["outlast-deployment-web.yaml"])
			}
			if len(cures.Left) != 4 || !strings.Contains(cures.Left[0], "outlast-deployment-web.yaml, which is there already and was not written by outlast check --fix") {
				t.Errorf("left %q", cures.Left)
			}
		})
	}
}

// TestCureLeavesWhatIsWrittenLater: what the kustomization writes on all objects comes after
// its patches, so that the one place is told and everything else is cured.
func TestCureLeavesWhatIsWrittenLater(t *testing.T) {
	const namespace = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n"
	for name, tc := range map[string]struct {
		top  string
		left []string
	}{
		"annotations":     {"commonAnnotations: {alb.ingress.kubernetes.io/target-group-attributes: deregistration_delay.timeout_seconds=10}\n", []string{"OL002: metadata.annotations[alb.ingress.kubernetes.io/target-group-attributes] of Service/default/web: commonAnnotations of the kustomization writes it on all objects, after every patch: write deregistration_delay.timeout_seconds=65 there"}},
		"labels":          {"labels: [{pairs: {a: b}}, {pairs: {elbv2.k8s.aws/pod-readiness-gate-inject: disabled}}]\n", []string{"OL011: metadata.labels[elbv2.k8s.aws/pod-readiness-gate-inject] of Namespace/default: labels[1].pairs of the kustomization writes it on all objects, after every patch: write enabled there"}},
		"labels, as once": {"commonLabels: {elbv2.k8s.aws/pod-readiness-gate-inject: disabled}\n", []string{"OL011: metadata.labels[elbv2.k8s.aws/pod-readiness-gate-inject] of Namespace/default: commonLabels of the kustomization writes it on all objects, after every patch: write enabled there"}},
		"others":          {"commonAnnotations: {team: a}\nlabels: [{pairs: {team: a}}]\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			put(t, root, map[string]string{"kustomization.yaml": "namespace: default\nresources: [all.yaml]\n" + tc.top, "all.yaml": curePod + "---\n" + cureService + "---\n" + cureIngress + namespace})
			cures := cured(t, Options{Path: root, Root: root, Drain: drain.Defaults()}, "left")
			if !slices.Equal(cures.Left, tc.left) || len(cures.Changes) < 4 {
				t.Errorf("left %q, want %q; changed %+v", cures.Left, tc.left, cures.Changes)
			}
		})
	}
}

// TestCureKeepsFiles: a file that the kustomization does not name may be anybody's.
func TestCureKeepsFiles(t *testing.T) {
	root := t.TempDir()
	put(t, root, map[string]string{"kustomization.yaml": "resources: [all.yaml]\n", "all.yaml": curePod + "---\n" + cureService + "---\n" + cureIngress, "outlast-deployment-web.yaml": "mine\n"})
	cures, err := Cure(context.Background(), Options{Path: root, Root: root, Drain: drain.Defaults()})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range cures.Files {
		if f.Path == "outlast-deployment-web.yaml" || strings.Contains(string(f.Text), "outlast-deployment-web.yaml") {
			t.Errorf("%s would be written:\n%s", f.Path, f.Text)
		}
	}
	if len(cures.Left) != 4 || !strings.Contains(cures.Left[0], "the kustomization does not name outlast-deployment-web.yaml, which is there already") || len(cures.Changes) != 1 {
		t.Errorf("left %q, changed %+v", cures.Left, cures.Changes)
	}
}

func TestCureRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		opt  Options
		want string
	}{
		"standard input":     {Options{Path: Stdin, Stream: []byte(curePod)}, "curing manifests: standard input cannot be written to"},
		"what is not there":  {Options{Path: "nowhere"}, "no such file"},
		"inputs of no sense": {Options{Path: "testdata/enforce-refuses/tree", Drain: drain.Inputs{Mode: "odd"}}, "curing testdata/enforce-refuses/tree"},
	} {
		if _, err := Cure(context.Background(), tc.opt); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
