// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/outlast-ci/outlast/core/render/internal/tree/parts"
	"github.com/outlast-ci/outlast/core/render/internal/tree/source"
)

// drawer makes random kustomizations whose names nearly collide: the name of
// one object is that of another with a prefix.
type drawer struct {
	*rapid.T
	files map[string]string
	taken map[string]bool
	found map[string][]string // names of the objects of a kind so far
	scope map[string][]string // the same, in this folder and those below
	dirs  int
}

var (
	prefixes   = []string{"", "", "p-", "x-"}
	suffixes   = []string{"", "", "", "-s"}
	nameParts  = []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"}
	kinds      = []string{"Deployment", "Deployment", "Service", "ConfigMap", "Secret", "ServiceAccount", "Ingress", "HorizontalPodAutoscaler", "RoleBinding", "ClusterRole", "PersistentVolumeClaim", "StatefulSet"}
	apiVersion = map[string]string{
		"Deployment": "apps/v1", "StatefulSet": "apps/v1", "Service": "v1", "ConfigMap": "v1", "Secret": "v1", "ServiceAccount": "v1", "PersistentVolumeClaim": "v1",
		"Ingress": "networking.k8s.io/v1", "HorizontalPodAutoscaler": "autoscaling/v2", "RoleBinding": "rbac.authorization.k8s.io/v1", "ClusterRole": "rbac.authorization.k8s.io/v1",
	}
	// bodies have %s for names of other objects.
	bodies = map[string]string{
		"Deployment":              "spec: {template: {spec: {serviceAccountName: %s, containers: [{name: c, image: 'img:1', envFrom: [{configMapRef: {name: %s}}, {secretRef: {name: %s}}]}]}}}\n",
		"StatefulSet":             "spec: {serviceName: %s, template: {spec: {volumes: [{name: v, persistentVolumeClaim: {claimName: %s}}], containers: [{name: c, image: img, env: [{name: E, valueFrom: {configMapKeyRef: {name: %s, key: k}}}]}]}}}\n",
		"Service":                 "spec: {selector: {app: s}, ports: [{port: 80}]}\n",
		"ConfigMap":               "data: {k: v}\n",
		"Secret":                  "data: {k: dg==}\n",
		"ServiceAccount":          "imagePullSecrets: [{name: %s}]\n",
		"PersistentVolumeClaim":   "spec: {volumeName: v}\n",
		"Ingress":                 "spec: {tls: [{secretName: %s}], defaultBackend: {service: {name: %s, port: {number: 80}}}}\n",
		"HorizontalPodAutoscaler": "spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: %s}}\n",
		"RoleBinding":             "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %s}\nsubjects: [{kind: ServiceAccount, name: %s}]\n",
		"ClusterRole":             "rules: [{apiGroups: [''], resources: [secrets, configmaps], resourceNames: [%s], verbs: [get]}]\n",
	}
)

func (d *drawer) pick(from []string, label string) string {
	return rapid.SampledFrom(from).Draw(d.T, label)
}

func (d *drawer) chance(percent int, label string) bool {
	return rapid.IntRange(1, 100).Draw(d.T, label) <= percent
}

func (d *drawer) name() string {
	name := d.pick(nameParts, "name") + d.pick([]string{"", "1", "2", "3", "4", "5"}, "number")
	if d.chance(15, "near") {
		name = d.pick(prefixes, "near prefix") + name + d.pick(suffixes, "near suffix")
	}
	return name
}

// reference is mostly the name of an object that is there.
func (d *drawer) reference(kind string) string {
	if names := d.found[kind]; len(names) > 0 && d.chance(45, "known") {
		return d.pick(names, "reference")
	}
	return d.name()
}

func (d *drawer) object() string {
	kind := d.pick(kinds, "kind")
	name := d.name()
	for d.taken[kind+name] {
		name += "z"
	}
	d.taken[kind+name] = true
	var names []any
	for range strings.Count(bodies[kind], "%s") {
		names = append(names, d.reference(d.pick(kinds, "referred")))
	}
	switch kind { // so that most refer to what they may refer to
	case "Deployment":
		names = []any{d.reference("ServiceAccount"), d.reference("ConfigMap"), d.reference("Secret")}
	case "Ingress":
		names = []any{d.reference("Secret"), d.reference("Service")}
	case "HorizontalPodAutoscaler":
		names = []any{d.reference("Deployment")}
	}
	d.find(kind, name)
	return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: %s}\n", apiVersion[kind], kind, name) + fmt.Sprintf(bodies[kind], names...)
}

func (d *drawer) find(kind, name string) {
	d.found[kind] = append(d.found[kind], name)
	d.scope[kind] = append(d.scope[kind], name)
}

// patch changes an object that is there, or all of a kind.
func (d *drawer) patch() string {
	set := fmt.Sprintf("spec: {template: {spec: {containers: [{name: c, envFrom: [{configMapRef: {name: %s}}]}]}}}", d.reference("ConfigMap"))
	name, how := d.reference("Deployment"), d.pick([]string{"own", "own", "own", "named", "named", "kind", "json"}, "patch")
	if names := d.scope["Deployment"]; how == "own" && len(names) == 0 {
		how = "named"
	} else if how == "own" {
		name = d.pick(names, "patched")
	}
	switch how {
	case "own":
		return fmt.Sprintf("- patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: %s}\n    %s\n", name, set)
	case "kind":
		return fmt.Sprintf("- target: {kind: Deployment}\n  patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: any}\n    %s\n", set)
	case "named":
		return fmt.Sprintf("- target: {kind: Deployment, name: %s}\n  patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: any}\n    %s\n", name, set)
	default:
		return fmt.Sprintf("- target: {kind: Deployment|StatefulSet, name: '%s.*'}\n  patch: |-\n    - {op: add, path: /spec/template/spec/priorityClassName, value: %s}\n    - {op: add, path: /spec/template/spec/serviceAccountName, value: %s}\n", name, d.name(), d.reference("ServiceAccount"))
	}
}

// folder draws a kustomization and gives its path.
func (d *drawer) folder(depth int, component bool) string {
	d.dirs++
	at := fmt.Sprintf("d%d", d.dirs)
	outer := d.scope
	if d.scope = map[string][]string{}; component {
		d.scope = outer
	}
	var k strings.Builder
	if component {
		k.WriteString("kind: Component\n")
	}
	k.WriteString("resources:\n")
	if depth > 0 {
		for range rapid.IntRange(1, 2).Draw(d.T, "bases") {
			fmt.Fprintf(&k, "- ../%s\n", d.folder(depth-1, false))
		}
	}
	for i := range rapid.IntRange(1, 2).Draw(d.T, "files") {
		var docs []string
		for range rapid.IntRange(1, 4).Draw(d.T, "documents") {
			docs = append(docs, d.object())
		}
		d.files[fmt.Sprintf("%s/f%d.yaml", at, i)] = strings.Join(docs, "---\n")
		fmt.Fprintf(&k, "- f%d.yaml\n", i)
	}
	if depth > 0 && !component && d.chance(30, "component") {
		fmt.Fprintf(&k, "components: [../%s]\n", d.folder(0, true))
	}
	d.changes(&k)
	d.files[at+"/kustomization.yaml"] = k.String()
	for kind, names := range d.scope {
		if !component {
			outer[kind] = append(outer[kind], names...)
		}
	}
	d.scope = outer
	return at
}

func (d *drawer) changes(k *strings.Builder) {
	if p := d.pick(prefixes, "prefix"); p != "" {
		fmt.Fprintf(k, "namePrefix: %s\n", p)
	}
	if s := d.pick(suffixes, "suffix"); s != "" {
		fmt.Fprintf(k, "nameSuffix: %s\n", s)
	}
	if d.chance(12, "namespace") {
		fmt.Fprintf(k, "namespace: %s\n", d.pick([]string{"n1", "n2"}, "which namespace"))
	}
	if d.chance(10, "labels") {
		fmt.Fprintf(k, "%s: {team: %s}\n", d.pick([]string{"commonLabels", "commonAnnotations"}, "labels field"), d.name())
	}
	if d.chance(4, "annotation") {
		fmt.Fprintf(k, "labels: [{pairs: {l: %s}, includeSelectors: true}]\n", d.name())
	}
	if d.chance(5, "images") {
		fmt.Fprintf(k, "images: [{name: img, newTag: '%s'}]\n", d.name())
	}
	if d.chance(12, "replicas") && len(d.scope["Deployment"]) > 0 {
		fmt.Fprintf(k, "replicas: [{name: %s, count: 3}]\n", d.pick(d.scope["Deployment"], "replicas of"))
	}
	if d.chance(30, "generator") {
		kind := d.pick([]string{"ConfigMap", "Secret"}, "generated")
		name := d.name()
		behavior := ""
		if names := d.scope[kind]; len(names) > 0 && d.chance(30, "merge") {
			name, behavior = d.pick(names, "merged"), ", behavior: merge"
		} else {
			for d.taken[kind+name] {
				name += "z"
			}
			d.taken[kind+name] = true
			d.find(kind, name)
		}
		fmt.Fprintf(k, "%sGenerator: [{name: %s, literals: [x=%d]%s}]\n", strings.ToLower(kind[:1])+strings.Replace(kind[1:], "Secret", "secret", 1), name, d.dirs, behavior)
	}
	if d.chance(40, "patches") {
		k.WriteString("patches:\n")
		for range rapid.IntRange(1, 2).Draw(d.T, "number of patches") {
			k.WriteString(d.patch())
		}
	}
}

// both renders a kustomization as a whole and in parts.
func both(t interface {
	Fatal(...any)
	Helper()
}, dir, at string, sizes parts.Sizes) (asWhole, split string, runs int) {
	t.Helper()
	root, err := source.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	src, err := root.Walk(at)
	if err != nil {
		t.Fatal(err)
	}
	objects, runs := inParts(context.Background(), src, sizes)
	all, err := whole(src, nil)
	switch {
	case err != nil && objects != nil:
		t.Fatal("in parts it works, as a whole it fails:", err)
	case err != nil:
		return "", "", 0
	case objects == nil:
		objects, runs = all, 1
	}
	return join(all), join(objects), runs
}

func join(objects []printed) string {
	var texts []string
	for _, o := range objects {
		texts = append(texts, string(o.text))
	}
	return strings.Join(texts, separator)
}

// TestInParts: rendered in parts, a kustomization gives the bytes of the whole.
func TestInParts(t *testing.T) {
	const cases = 500
	checks := flag.Lookup("rapid.checks")
	before := checks.Value.String()
	if err := checks.Value.Set(fmt.Sprint(cases)); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := checks.Value.Set(before); err != nil {
			t.Error(err)
		}
	}()
	dir := t.TempDir()
	ran, failed, split := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		d := &drawer{T: t, files: map[string]string{}, taken: map[string]bool{}, found: map[string][]string{}, scope: map[string][]string{}}
		top := d.folder(rapid.SampledFrom([]int{1, 1, 2}).Draw(t, "depth"), false)
		at, err := os.MkdirTemp(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(at)
		for name, text := range d.files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(at, name)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(at, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		whole, inParts, runs := both(t, at, top, parts.Sizes{Least: 1, Part: rapid.IntRange(2, 6).Draw(t, "size"), Hub: rapid.SampledFrom([]int{1, 2, 3, 9}).Draw(t, "hub")})
		ran++
		switch {
		case runs == 0:
			failed++
		case runs > 1:
			split++
		}
		if diff := cmp.Diff(whole, inParts); diff != "" {
			t.Fatalf("%d parts differ from the whole:\n%s", runs, diff)
		}
	})
	t.Logf("%d kustomizations: %d in parts, %d that kustomize refuses", ran, split, failed)
	if ran < cases || split < ran/2 {
		t.Errorf("only %d of %d were rendered in parts", split, ran)
	}
}

// TestNearMisses: names that are equal on some level only.
func TestNearMisses(t *testing.T) {
	const role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: r}\nrules: [{resourceNames: [%s]}]\n"
	object := func(kind, name string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: %s\nmetadata: {name: %s}\n", kind, name)
	}
	for name, tc := range map[string]struct {
		files map[string]string
		hub   int
		want  string // in the result
	}{
		// resourceNames may name ConfigMaps and Secrets, and kustomize looks for both, one
		// after the other: a-s becomes p-a-s, which the Secret was called on its way.
		"a reference that is followed twice": {map[string]string{
			"kustomization.yaml":    "resources: [a, b, r.yaml, rest.yaml]\n",
			"a/kustomization.yaml":  "namePrefix: p-\nresources: [a.yaml]\n",
			"a/a.yaml":              object("ConfigMap", "a-s"),
			"b/kustomization.yaml":  "namePrefix: x-\nresources: [../b2]\n",
			"b2/kustomization.yaml": "nameSuffix: -s\nresources: [b.yaml]\n",
			"b2/b.yaml":             object("Secret", "p-a"),
			"r.yaml":                fmt.Sprintf(role, "a-s"),
			"rest.yaml":             object("ConfigMap", "u") + "---\n" + object("ConfigMap", "v") + "---\n" + object("ConfigMap", "w"),
		}, 9, "- x-p-a-s"},
		"a hub that names another object": {map[string]string{
			"kustomization.yaml": "namePrefix: p-\nresources: [all.yaml]\n",
			"all.yaml": object("Secret", "s") + "---\n" + object("ConfigMap", "v") + "---\n" + object("ConfigMap", "w") + "---\n" +
				object("ServiceAccount", "hub") + "imagePullSecrets: [{name: s}]\n---\n" +
				object("Pod", "one") + "spec: {serviceAccountName: hub}\n---\n" + object("Pod", "two") + "spec: {serviceAccountName: hub}\n",
		}, 1, "imagePullSecrets:\n- name: p-s"},
		"a patch that brings a reference": {map[string]string{
			"kustomization.yaml": "namePrefix: p-\nresources: [all.yaml]\npatches:\n- patch: |-\n    apiVersion: v1\n    kind: Pod\n    metadata: {name: one}\n    spec: {serviceAccountName: a}\n",
			"all.yaml":           object("ServiceAccount", "a") + "---\n" + object("ConfigMap", "v") + "---\n" + object("ConfigMap", "w") + "---\n" + object("Pod", "one"),
		}, 9, "serviceAccountName: p-a"},
		"a patch of all that brings a reference": {map[string]string{
			"kustomization.yaml": "namePrefix: p-\nresources: [all.yaml]\npatches:\n- target: {kind: Pod}\n  patch: |-\n    - {op: add, path: /spec, value: {serviceAccountName: a}}\n",
			"all.yaml":           object("ServiceAccount", "a") + "---\n" + object("ConfigMap", "v") + "---\n" + object("ConfigMap", "w") + "---\n" + object("Pod", "one") + "---\n" + object("Pod", "two"),
		}, 9, "serviceAccountName: p-a"},
		"an annotation for all that is a reference": {map[string]string{
			"kustomization.yaml": "namePrefix: p-\nresources: [all.yaml]\ncommonAnnotations: {nginx.ingress.kubernetes.io/auth-secret: a}\n",
			"all.yaml":           object("Secret", "a") + "---\n" + object("ConfigMap", "v") + "---\n" + object("ConfigMap", "w") + "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i}\n",
		}, 9, "auth-secret: p-a"},
		"a generated object in two parts": {map[string]string{
			"kustomization.yaml": "resources: [all.yaml]\nconfigMapGenerator: [{name: g, literals: [a=b]}]\n",
			"all.yaml":           object("Pod", "one") + "spec: {volumes: [{configMap: {name: g}}]}\n---\n" + object("Pod", "two") + "spec: {volumes: [{configMap: {name: g}}]}\n---\n" + object("Pod", "three"),
		}, 9, "name: g-"},
	} {
		t.Run(name, func(t *testing.T) {
			whole, inParts, runs := both(t, writeFiles(t, tc.files), ".", parts.Sizes{Least: 1, Part: 2, Hub: tc.hub})
			if !strings.Contains(whole, tc.want) {
				t.Errorf("kustomize gives no %q:\n%s", tc.want, whole)
			}
			if diff := cmp.Diff(whole, inParts); diff != "" || runs < 2 {
				t.Errorf("%d parts: %s", runs, diff)
			}
		})
	}
}

// TestFailsInParts: what kustomize refuses as a whole is not rendered in parts,
// although each part alone would do.
func TestFailsInParts(t *testing.T) {
	object := func(kind, name string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: %s\nmetadata: {name: %s}\n", kind, name)
	}
	patch := "patches:\n- patch: |-\n    apiVersion: v1\n    kind: ConfigMap\n    metadata: {name: a}\n    data: {x: one}\n"
	rest := object("Secret", "u") + "---\n" + object("Secret", "v") + "---\n" + object("Secret", "w") + "---\n"
	for name, files := range map[string]map[string]string{
		"a component whose patch finds its object in one of two folders": {
			"kustomization.yaml": "resources: [a, b]\n", "c/kustomization.yaml": "kind: Component\n" + patch,
			"a/kustomization.yaml": "resources: [a.yaml]\ncomponents: [../c]\n", "a/a.yaml": object("ConfigMap", "a"),
			"b/kustomization.yaml": "resources: [b.yaml]\ncomponents: [../c]\n", "b/b.yaml": rest,
		},
		"a patch of an object that another folder holds": {
			"kustomization.yaml":   "resources: [a, b]\n",
			"a/kustomization.yaml": "resources: [a.yaml]\n", "a/a.yaml": object("ConfigMap", "a"),
			"b/kustomization.yaml": "resources: [b.yaml]\n" + patch, "b/b.yaml": rest,
		},
		"the replicas of an object that another folder holds": {
			"kustomization.yaml":   "resources: [a, b]\n",
			"a/kustomization.yaml": "resources: [a.yaml]\n", "a/a.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n",
			"b/kustomization.yaml": "resources: [b.yaml]\nreplicas: [{name: a, count: 2}]\n", "b/b.yaml": rest,
		},
		"two objects of one name": {
			"kustomization.yaml":   "resources: [a, b]\n",
			"a/kustomization.yaml": "namePrefix: p-\nresources: [a.yaml]\n", "a/a.yaml": object("Pod", "a-s"),
			"b/kustomization.yaml": "nameSuffix: -s\nresources: [b.yaml]\n", "b/b.yaml": rest + object("Pod", "p-a"),
		},
		"two namespaces that become one": {
			"kustomization.yaml": "namespace: ns\nresources: [b.yaml]\n", "b.yaml": rest + object("Namespace", "a") + "---\n" + object("Namespace", "b"),
		},
		"a selecting patch of no object that is no patch": {
			"kustomization.yaml": "resources: [b.yaml]\npatches: [{target: {name: nobody}, patch: '[{op: add, path: /spec}]'}]\n", "b.yaml": rest,
		},
		"an empty folder": {
			"kustomization.yaml": "resources: [a, b.yaml]\n", "a/kustomization.yaml": "kind: Kustomization\n", "b.yaml": rest,
		},
		"a generated object that a folder holds already": {
			"kustomization.yaml": "resources: [b.yaml]\nsecretGenerator: [{name: u, literals: [a=b]}]\n", "b.yaml": rest,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if whole, _, runs := both(t, writeFiles(t, files), ".", parts.Sizes{Least: 1, Part: 1, Hub: 9}); runs != 0 {
				t.Errorf("kustomize does not refuse it: %s", whole)
			}
		})
	}
}

// TestKindsThatNamesLeadTo: the kinds whose names kustomize follows are those
// that a split knows.
func TestKindsThatNamesLeadTo(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kustomize/api").Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "internal/konfig/builtinpluginconsts/namereference.go"))
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for line := range strings.Lines(string(text)) {
		if kind, ok := strings.CutPrefix(line, "- kind: "); ok {
			kinds = append(kinds, strings.TrimSpace(kind))
		}
	}
	slices.Sort(kinds)
	if diff := cmp.Diff(kinds, parts.Targets()); diff != "" || len(kinds) < 10 {
		t.Errorf("%d kinds: %s", len(kinds), diff)
	}
}
