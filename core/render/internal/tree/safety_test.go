// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// bomb is 519 bytes; kustomize 5.8.2 takes 6 GB for it and dies.
func bomb() string {
	text := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		p := string(c - 1)
		text += string(c) + ": &" + string(c) + " [*" + strings.Join(strings.Split(strings.Repeat(p, 9), ""), ",*") + "]\n"
	}
	return text
}

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"

// hostile are kustomizations that must be refused before anything is fetched,
// run, or read outside of the root. URL stands for a server on loopback.
var hostile = []struct {
	name  string
	files map[string]string
	want  string // how the error starts, file and line first
}{
	{"an alias bomb as a resource", map[string]string{"kustomization.yaml": "resources: [x.yaml]\n", "x.yaml": bomb()}, "x.yaml:6: the file holds more than 500000 values"},
	{"an alias bomb as the kustomization", map[string]string{"kustomization.yaml": bomb()}, "kustomization.yaml:6: the file holds more"},
	{"an alias bomb as a patch", map[string]string{"kustomization.yaml": "resources: [a.yaml]\npatches:\n- path: p.yaml\n", "a.yaml": configMap, "p.yaml": bomb()}, "p.yaml:6: the file holds more"},
	{"an alias bomb in a patch", map[string]string{"kustomization.yaml": "resources: [a.yaml]\npatches:\n- patch: |\n    " + strings.ReplaceAll(bomb(), "\n", "\n    "), "a.yaml": configMap}, "kustomization.yaml:3: patches: line 6 of the text: the file holds more"},
	{"an alias bomb in an old patch", map[string]string{"kustomization.yaml": "resources: [a.yaml]\npatchesStrategicMerge:\n- |\n  " + strings.ReplaceAll(bomb(), "\n", "\n  "), "a.yaml": configMap}, "kustomization.yaml:3: patchesStrategicMerge: line 6 of the text"},
	{"an alias bomb in a transformer", map[string]string{"kustomization.yaml": "resources: [a.yaml]\ntransformers:\n- |\n  " + strings.ReplaceAll(bomb(), "\n", "\n  "), "a.yaml": configMap}, "kustomization.yaml:3: transformers: line 6 of the text"},
	{"an alias bomb as the file of a transformer", map[string]string{"kustomization.yaml": "resources: [a.yaml]\ntransformers: [t.yaml]\nconfigMapGenerator: [{name: g, files: [p.yaml]}]\n", "a.yaml": configMap, "t.yaml": "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: t}\npath: p.yaml\ntarget: {kind: ConfigMap}\n", "p.yaml": bomb()}, "p.yaml:6: the file holds more"},
	{"an alias bomb as a schema", map[string]string{"kustomization.yaml": "openapi: {path: s.json}\n", "s.json": bomb()}, "s.json:6: the file holds more"},
	{"YAML that is too deep", map[string]string{"kustomization.yaml": "resources: [x.yaml]\n", "x.yaml": strings.Repeat("[", 200) + strings.Repeat("]", 200)}, "x.yaml:1: nested deeper than 100 levels"},
	{"a file that is too large", map[string]string{"kustomization.yaml": "resources: [x.yaml]\n", "x.yaml": "a: " + strings.Repeat("x", 5<<20)}, "x.yaml is larger than 5 MB"},
	{"folders that name one another very often", doubling(16), "d3/kustomization.yaml:1: its folders name one another more than 20000 times"},
	{"a folder that names itself", map[string]string{"kustomization.yaml": "resources: [a]\n", "a/kustomization.yaml": "resources: [../b]\n", "b/kustomization.yaml": "resources: [../a]\n"}, "a names itself, by way of other folders"},

	{"an http resource", map[string]string{"kustomization.yaml": "\nresources:\n- URL/x.yaml\n"}, `kustomization.yaml:3: resources names "URL/x.yaml": rendering fetches nothing`},
	{"an http resource by an upper-case field", map[string]string{"kustomization.yaml": "ReSources:\n- URL/x.yaml\n"}, `kustomization.yaml:2: resources names "URL/x.yaml"`},
	{"an http resource by a merge key", map[string]string{"kustomization.yaml": "<<: {resources: [URL/x.yaml]}\n"}, `kustomization.yaml:1: resources names "URL/x.yaml"`},
	{"an http resource by an alias", map[string]string{"kustomization.yaml": "metadata: {name: &u URL/x.yaml}\nresources: [*u]\n"}, `kustomization.yaml:1: resources names "URL/x.yaml"`},
	{"an http resource of a base", map[string]string{"kustomization.yaml": "resources: [base]\n", "base/kustomization.yaml": "resources:\n- URL/x.yaml\n"}, `base/kustomization.yaml:2: resources names "URL/x.yaml"`},
	{"an HTTP resource", map[string]string{"kustomization.yaml": "resources: ['HTTP:/x.yaml']\n"}, `kustomization.yaml:1: resources names "HTTP:/x.yaml"`},
	{"a git base by query", map[string]string{"kustomization.yaml": "resources:\n- example.com/a/b?ref=v1\n"}, `kustomization.yaml:2: resources names "example.com/a/b?ref=v1": rendering fetches nothing`},
	{"a git base by ssh", map[string]string{"kustomization.yaml": "bases: ['git@example.com:a/b.git']\n"}, "kustomization.yaml:1: resources names"},
	{"a git base of another user", map[string]string{"kustomization.yaml": "resources: ['me@example.com:a/b']\n"}, "kustomization.yaml:1: resources names"},
	{"a git base that is a folder, too", map[string]string{"kustomization.yaml": "resources: [github.com/a/b]\n", "github.com/a/b/kustomization.yaml": "resources: [a.yaml]\n", "github.com/a/b/a.yaml": configMap}, `kustomization.yaml:1: resources names "github.com/a/b": rendering fetches nothing`},
	{"a git base with a forced protocol", map[string]string{"kustomization.yaml": "resources: ['GIT::x/y/z']\n"}, "kustomization.yaml:1: resources names"},
	{"a git base of the machine", map[string]string{"kustomization.yaml": "resources: ['file:///etc']\n"}, "kustomization.yaml:1: resources names"},
	{"a git component", map[string]string{"kustomization.yaml": "components: ['ssh://git@example.com/a/b']\n"}, "kustomization.yaml:1: components names"},
	{"an http patch", map[string]string{"kustomization.yaml": "patches:\n- path: URL/p.yaml\n"}, `kustomization.yaml:2: patches names "URL/p.yaml"`},
	{"an http patch of JSON", map[string]string{"kustomization.yaml": "patchesJson6902:\n- path: URL/p.yaml\n  target: {name: a}\n"}, "kustomization.yaml:2: patchesJson6902 names"},
	{"an old http patch", map[string]string{"kustomization.yaml": "patchesStrategicMerge:\n- URL/p.yaml\n"}, "kustomization.yaml:2: patchesStrategicMerge names"},
	{"an http schema", map[string]string{"kustomization.yaml": "openapi:\n  path: URL/s.json\n"}, "kustomization.yaml:2: openapi names"},
	{"an http CRD", map[string]string{"kustomization.yaml": "crds: [URL/c.json]\n"}, "kustomization.yaml:1: crds names"},
	{"an http configuration", map[string]string{"kustomization.yaml": "configurations: [URL/c.yaml]\n"}, "kustomization.yaml:1: configurations names"},
	{"an http replacement", map[string]string{"kustomization.yaml": "replacements:\n- path: URL/r.yaml\n"}, "kustomization.yaml:2: replacements names"},
	{"an http file of a generator", map[string]string{"kustomization.yaml": "configMapGenerator:\n- name: a\n  files: ['a=URL/x']\n"}, `kustomization.yaml:3: configMapGenerator names "URL/x"`},
	{"an http env file of a generator", map[string]string{"kustomization.yaml": "secretGenerator:\n- name: a\n  env: URL/x\n"}, `kustomization.yaml:3: secretGenerator names "URL/x"`},
	{"an http transformer", map[string]string{"kustomization.yaml": "transformers: [URL/t.yaml]\n"}, "kustomization.yaml:1: transformers names"},
	{"an http generator", map[string]string{"kustomization.yaml": "generators: [URL/t.yaml]\n"}, "kustomization.yaml:1: generators names"},
	{"an http validator", map[string]string{"kustomization.yaml": "validators: [URL/t.yaml]\n"}, "kustomization.yaml:1: validators names"},
	{"a transformer with an http patch", map[string]string{"kustomization.yaml": "transformers: [t.yaml]\n", "t.yaml": "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: t}\nPATH: URL/p.yaml\n"}, `t.yaml:4: transformers of kustomization.yaml names "URL/p.yaml"`},
	{"an inline generator with an http file", map[string]string{"kustomization.yaml": "generators:\n- |-\n  apiVersion: builtin\n  kind: ConfigMapGenerator\n  metadata: {name: t}\n  files: ['a=URL/x']\n"}, `kustomization.yaml:2: generators names "a=URL/x"`},
	{"a folder of transformers that patches them", map[string]string{"kustomization.yaml": "transformers: [t]\n", "t/kustomization.yaml": "resources: [t.yaml]\npatches: [{patch: 'a: b', target: {kind: PatchTransformer}}]\n", "t/t.yaml": "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: t}\n"}, "t/kustomization.yaml:1: the folder of a generator or transformer may have resources only"},
	{"a folder of resources and transformers", map[string]string{"kustomization.yaml": "resources: [t]\ntransformers: [t]\n", "t/kustomization.yaml": "resources: [t.yaml]\n", "t/t.yaml": configMap}, "t holds both resources and the configuration of a generator"},

	{"a function in a container", map[string]string{"kustomization.yaml": "transformers: [f.yaml]\n", "f.yaml": "apiVersion: example.com/v1\nkind: Fn\nmetadata:\n  name: f\n  annotations:\n    config.kubernetes.io/function: |\n      container: {image: example.com/fn}\n"}, "f.yaml:6: transformers of kustomization.yaml would run a function"},
	{"a function as a program, inline", map[string]string{"kustomization.yaml": "validators:\n- |-\n  apiVersion: example.com/v1\n  kind: Fn\n  metadata:\n    name: f\n    annotations: {config.kubernetes.io/function: 'exec: {path: ./run}'}\n"}, "kustomization.yaml:2: validators would run a function"},
	{"a plugin", map[string]string{"kustomization.yaml": "generators: [p.yaml]\n", "p.yaml": "# mine\napiVersion: example.com/v1\nkind: Run\nmetadata: {name: p}\n"}, "p.yaml:3: generators of kustomization.yaml would run a program for kind Run"},
	{"plugins in a list", map[string]string{"kustomization.yaml": "generators: [p.yaml]\n", "p.yaml": "apiVersion: builtin\nkind: List\nitems: []\n"}, "p.yaml:2: generators of kustomization.yaml is a list"},
	{"a plugin in a component", map[string]string{"kustomization.yaml": "components: [c]\n", "c/kustomization.yaml": "kind: Component\ngenerators: [p.yaml]\n", "c/p.yaml": "apiVersion: example.com/v1\nkind: Run\nmetadata: {name: p}\n"}, "c/p.yaml:2: generators of c/kustomization.yaml would run a program"},
	{"a helm chart", map[string]string{"kustomization.yaml": "resources: []\nhelmCharts: [{name: a}]\n"}, "kustomization.yaml:2: helmCharts is not rendered: charts would be fetched"},
	{"an old helm chart", map[string]string{"kustomization.yaml": "helmChartInflationGenerator: [{chartName: a}]\n"}, "kustomization.yaml:1: helmChartInflationGenerator is not rendered"},
	{"settings of helm", map[string]string{"kustomization.yaml": "helmGlobals: {chartHome: x}\n"}, "kustomization.yaml:1: helmGlobals is not rendered"},
	{"a helm chart by a generator", map[string]string{"kustomization.yaml": "generators: [h.yaml]\n", "h.yaml": "apiVersion: builtin\nkind: HelmChartInflationGenerator\nmetadata: {name: h}\nrepo: URL\n"}, "h.yaml:2: generators of kustomization.yaml would fetch a chart"},

	{"a base outside of the root", map[string]string{"kustomization.yaml": "resources:\n- ../outside\n"}, "kustomization.yaml:2: resources: ../outside leads out of the root folder"},
	{"a file outside of the root", map[string]string{"kustomization.yaml": "configMapGenerator:\n- {name: a, files: [../outside/secret]}\n"}, "kustomization.yaml:2: configMapGenerator: ../outside/secret leads out of the root folder"},
	{"a schema outside of the root", map[string]string{"kustomization.yaml": "openapi: {path: ../outside/secret}\n"}, "kustomization.yaml:1: openapi: ../outside/secret leads out of the root folder"},
	{"an absolute path", map[string]string{"kustomization.yaml": "resources: [/etc/passwd]\n"}, `kustomization.yaml:1: resources names "/etc/passwd"`},
	{"a link out of the root", map[string]string{"kustomization.yaml": "resources:\n- link.yaml\n"}, "kustomization.yaml:2: resources: link.yaml leads out of the root folder"},
	{"a folder that links out of the root", map[string]string{"kustomization.yaml": "resources:\n- linked\n"}, "kustomization.yaml:2: resources: linked leads out of the root folder"},
	{"a file of a transformer that links out of the root", map[string]string{"kustomization.yaml": "resources: [a.yaml]\ntransformers: [t.yaml]\n", "a.yaml": configMap, "t.yaml": "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: t}\npath: link.yaml\n"}, "link.yaml leads out of the root folder"},

	{"a resource that is not there", map[string]string{"kustomization.yaml": "resources:\n- nothing\n"}, `kustomization.yaml:2: resources names "nothing", which does not exist`},
	{"a patch that is not there", map[string]string{"kustomization.yaml": "patches:\n- path: p.yaml\n"}, `kustomization.yaml:2: patches names "p.yaml", which does not exist`},
	{"a component that is a file", map[string]string{"kustomization.yaml": "components: [a.yaml]\n", "a.yaml": configMap}, `kustomization.yaml:1: components names "a.yaml", which is no folder`},
	{"a base without a kustomization", map[string]string{"kustomization.yaml": "resources: [base]\n", "base/a.yaml": configMap}, "base holds no kustomization.yaml"},
	{"two kustomizations", map[string]string{"kustomization.yaml": "resources: []\n", "kustomization.yml": "resources: []\n"}, ". holds both kustomization.yaml and kustomization.yml"},
	{"a field that does not exist", map[string]string{"kustomization.yaml": "namespace: x\nresorces: [a]\n"}, `kustomization.yaml:2: invalid Kustomization: json: unknown field "resorces"`},
	{"a kustomization that is no YAML", map[string]string{"kustomization.yaml": "a: b\nb: [\n"}, "kustomization.yaml:"},
}

// doubling is a chain of folders, each of which names the next one twice.
func doubling(levels int) map[string]string {
	files := map[string]string{"kustomization.yaml": "resources: [d0]\n", fmt.Sprintf("d%d/kustomization.yaml", levels): "resources: [x.yaml]\n", fmt.Sprintf("d%d/x.yaml", levels): configMap}
	for i := range levels {
		files[fmt.Sprintf("d%d/kustomization.yaml", i)] = "resources: [a, b]\n"
		for _, half := range []string{"a", "b"} {
			files[fmt.Sprintf("d%d/%s/kustomization.yaml", i, half)] = fmt.Sprintf("namePrefix: %s\nresources: [../../d%d]\n", half, i+1)
		}
	}
	return files
}

// prepare puts a hostile kustomization beside a folder that it must not read.
func prepare(t testing.TB, files map[string]string, url string) (root string) {
	t.Helper()
	at := map[string]string{"outside/secret": "stolen: treasure\n", "outside/kustomization.yaml": "resources: []\n"}
	for name, text := range files {
		at["root/"+name] = strings.ReplaceAll(text, "URL", url)
	}
	dir := writeFiles(t, at)
	root = filepath.Join(dir, "root")
	for link, to := range map[string]string{"link.yaml": "../outside/secret", "linked": filepath.Join(dir, "outside")} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestRefuses(t *testing.T) {
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer server.Close()
	for _, tc := range hostile {
		t.Run(tc.name, func(t *testing.T) {
			root := prepare(t, tc.files, server.URL)
			start := time.Now()
			_, err := Load(context.Background(), Options{Path: root, Root: root})
			if took := time.Since(start); took > 20*time.Second { // a bomb takes all memory; a busy machine, some seconds
				t.Errorf("took %s", took)
			}
			want := strings.ReplaceAll(tc.want, "URL", server.URL)
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got %v, want %q first", err, want)
			} else if strings.Contains(err.Error(), "treasure") || strings.Contains(err.Error(), filepath.Dir(root)) {
				t.Errorf("it tells of the machine: %v", err)
			}
		})
	}
	if n := calls.Load(); n > 0 {
		t.Errorf("%d requests were made", n)
	}
}

// BenchmarkRefuses is how long each refusal takes.
func BenchmarkRefuses(b *testing.B) {
	for _, tc := range hostile {
		b.Run(tc.name, func(b *testing.B) {
			root := prepare(b, tc.files, "http://127.0.0.1:1")
			for b.Loop() {
				if _, err := Load(context.Background(), Options{Path: root, Root: root}); err == nil {
					b.Fatal("it was not refused")
				}
			}
		})
	}
}

// TestTellsNoSecret: kustomize's own errors, without secrets and folders.
func TestTellsNoSecret(t *testing.T) {
	const secret = "hunter2-and-more"
	const encoded = "aHVudGVyMi1hbmQtbW9yZQ=="
	object := "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {password: " + encoded + "}\nstringData: {plain: " + secret + "}\n"
	for name, tc := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a literal that is no pair":         {map[string]string{"kustomization.yaml": "secretGenerator:\n- name: s\n  literals: [" + secret + "]\n"}, "a literal is not key=value"},
		"a generator without a name":        {map[string]string{"kustomization.yaml": "secretGenerator:\n- literals: [a=" + secret + "]\n"}, "must have a name"},
		"an env file with a key twice":      {map[string]string{"kustomization.yaml": "secretGenerator:\n- name: s\n  envs: [e]\n", "e": "a=" + secret + "\na=" + secret + "\n"}, "illegally repeats the key `a`"},
		"an env file that is no text":       {map[string]string{"kustomization.yaml": "secretGenerator:\n- name: s\n  envs: [e]\n", "e": "a=" + secret + "\xff\n"}, "has invalid utf8 bytes : ***"},
		"a key twice":                       {map[string]string{"kustomization.yaml": "secretGenerator:\n- name: s\n  literals: [a=" + secret + ", a=" + secret + "]\n"}, "illegally repeats the key `a`"},
		"a Secret twice":                    {map[string]string{"kustomization.yaml": "resources: [a.yaml, b.yaml]\n", "a.yaml": object, "b.yaml": object}, "already registered id"},
		"a Secret without a name":           {map[string]string{"kustomization.yaml": "resources: [a.yaml]\n", "a.yaml": strings.Replace(object, "name: s", "x: y", 1)}, "missing metadata.name"},
		"a Secret with an empty item":       {map[string]string{"kustomization.yaml": "resources: [a.yaml]\n", "a.yaml": object + "list: [null]\n"}, ""},
		"a patch without its target":        {map[string]string{"kustomization.yaml": "resources: [a.yaml]\npatches:\n- patch: |-\n    " + strings.ReplaceAll(strings.ReplaceAll(object, "\n", "\n    "), "name: s", "name: other"), "a.yaml": configMap}, "no resource matches strategic merge patch"},
		"a patch that is none":              {map[string]string{"kustomization.yaml": "resources: [a.yaml]\npatches:\n- target: {kind: Secret}\n  patch: |-\n    just " + secret + "\n", "a.yaml": configMap}, "unable to parse SM or JSON patch"},
		"a patch of JSON that does not fit": {map[string]string{"kustomization.yaml": "resources: [a.yaml]\npatches:\n- target: {kind: Secret}\n  patch: |-\n    [{\"op\": \"replace\", \"path\": \"/nowhere/x\", \"value\": \"" + secret + "\"}]\n", "a.yaml": object}, ""},
		"a patch and a path":                {map[string]string{"kustomization.yaml": "resources: [a.yaml]\npatches:\n- path: a.yaml\n  patch: |-\n    a: " + secret + "\n", "a.yaml": object}, "patch and path can't be set at the same time"},
		"references to two":                 {map[string]string{"kustomization.yaml": "resources: [a, b, r.yaml]\n", "a/kustomization.yaml": "namespace: a\nsecretGenerator: [{name: s, literals: [a=" + secret + "]}]\n", "b/kustomization.yaml": "namespace: b\nsecretGenerator: [{name: s, literals: [b=" + secret + "]}]\n", "r.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: r}\nrules: [{resourceNames: [s]}]\n"}, "found multiple possible referrals"},
		"keys that are no text":             {map[string]string{"kustomization.yaml": "resources: [a.yaml]\npatches: [{patch: 'a: b', target: {kind: X}}]\n", "a.yaml": object + "more: {1: {2: " + secret + "}}\n"}, ""},
		"a schema that is none":             {map[string]string{"kustomization.yaml": "openapi: {path: s.json}\nresources: [a.yaml]\npatches:\n- target: {kind: Secret}\n  patch: |-\n    apiVersion: v1\n    kind: Secret\n    metadata: {name: s}\n    data: {a: YQ==}\n", "s.json": "[" + secret + "]", "a.yaml": object}, "kustomize panicked"},
		"a file beside the kustomization":   {map[string]string{"kustomization.yaml": "resources: [base]\n", "base/kustomization.yaml": "resources: [../a.yaml]\n", "a.yaml": object}, "security; file 'a.yaml' is not in or below 'base'"},
		"a field of the wrong type":         {map[string]string{"kustomization.yaml": "resources: [a.yaml]\nnamespace: x\n", "a.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: [" + secret + "]}\n"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := writeFiles(t, tc.files)
			_, err := Load(context.Background(), Options{Path: dir, Root: dir})
			if err == nil && tc.want == "" {
				t.Skip("kustomize finds nothing wrong with it")
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
			t.Log(err)
			for _, leak := range []string{secret, encoded, strings.TrimRight(encoded, "="), fmt.Sprint([]byte(secret[:4]))[1:10], dir, mount} {
				if strings.Contains(err.Error(), leak) {
					t.Errorf("%q is in it: %v", leak, err)
				}
			}
		})
	}
}

// TestSchemaDoesNotLeak: a kustomization with a schema of its own, which makes
// lists be replaced, must not change how the next one is merged.
func TestSchemaDoesNotLeak(t *testing.T) {
	files, path := layout(t, "testdata/layouts/patches.txtar")
	dir := writeFiles(t, files)
	victim := filepath.Join(dir, path)
	before, _ := load(t, victim, dir)
	poison := writeFiles(t, map[string]string{
		"schema.json":        `{"definitions": {}}`,
		"kustomization.yaml": "openapi: {path: schema.json}\nresources: [a.yaml]\npatches:\n- patch: |-\n    apiVersion: v1\n    kind: ConfigMap\n    metadata: {name: a, labels: {x: one}}\n",
		"a.yaml":             configMap,
	})
	load(t, poison, "")
	after, _ := load(t, victim, dir)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}
}

// TestRoot: what --root allows may be read, and no more.
func TestRoot(t *testing.T) {
	dir := writeFiles(t, map[string]string{"base/kustomization.yaml": "resources: [a.yaml]\n", "base/a.yaml": configMap, "over/kustomization.yaml": "resources: [../base]\nnamePrefix: x-\n"})
	over := filepath.Join(dir, "over")
	if text, _ := load(t, over, dir); !strings.Contains(text, "name: x-a") {
		t.Errorf("got %s", text)
	}
	if _, err := Load(context.Background(), Options{Path: over}); err == nil || !strings.Contains(err.Error(), "kustomization.yaml:1: resources: ../base leads out of the root folder") {
		t.Errorf("got %v", err)
	}
	if _, err := Load(context.Background(), Options{Path: over, Root: filepath.Join(dir, "base")}); err == nil || !strings.Contains(err.Error(), "over leads out of the root folder, to ../over") {
		t.Errorf("got %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, ".git"), 0o700); err != nil {
		t.Fatal(err)
	}
	if text, read := load(t, filepath.Join(over, "kustomization.yaml"), ""); !strings.Contains(text, "name: x-a") || read.Kustomization != "over/kustomization.yaml" {
		t.Errorf("%s: %s", read.Kustomization, text)
	}
	if _, err := Load(context.Background(), Options{Path: filepath.Join(dir, "nowhere")}); err == nil || !strings.Contains(err.Error(), "no such file") || strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
}
