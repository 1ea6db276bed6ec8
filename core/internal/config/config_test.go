// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var scalars = []string{"app", "region", "clusterName", "manifests", "unmatched", "drain.policy", "drain.longestRequest", "gate.timeout"}

const good = `
app: shop
region: eu-west-1
drain:
  policy: fix
  set: {P: 12s, L: 2}
gate: {alarms: [web 5xx, latency]}
images:
  - name: shop/web
    repository: shop/web
    args: {VERSION: "1.0"}
  - name: shop/worker
    context: worker
    repository: shop/worker
environments:
  dev:
    branches: [develop, "feature/*"]
    manifests: deploy/dev
  prod:
    branches: [main]
    region: cn-northwest-1
    drain: {policy: enforce, set: {P: 30s}}
    gate: {alarms: []}
    clusters:
      - {clusterName: north, roleArn: r}
      - {clusterName: north, region: cn-north-1}
      - {kubeContext: lab}
`

func TestParse(t *testing.T) {
	got, err := Parse("outlast.yaml", []byte(good), scalars)
	if err != nil {
		t.Fatal(err)
	}
	want := File{
		Path:   "outlast.yaml",
		Values: map[string]string{"app": "shop", "region": "eu-west-1", "drain.policy": "fix"},
		Set:    map[string]string{"P": "12s", "L": "2"},
		Alarms: []string{"web 5xx", "latency"},
		Images: []Image{
			{Name: "shop/web", Repository: "shop/web", Args: map[string]string{"VERSION": "1.0"}},
			{Name: "shop/worker", Context: "worker", Repository: "shop/worker", Args: map[string]string{}},
		},
		Environments: map[string]Environment{
			"dev": {Name: "dev", Branches: []string{"develop", "feature/*"}, Values: map[string]string{"manifests": "deploy/dev"}, Set: map[string]string{}},
			"prod": {Name: "prod", Branches: []string{"main"}, Values: map[string]string{"region": "cn-northwest-1", "drain.policy": "enforce"}, Set: map[string]string{"P": "30s"}, Alarms: []string{},
				Clusters: []Cluster{{"clusterName": "north", "roleArn": "r"}, {"clusterName": "north", "region": "cn-north-1"}, {"kubeContext": "lab"}}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"an unknown key, with the nearest":     {"app: x\nenviroments: {}", `outlast.yaml:2: unknown key "enviroments": did you mean "environments"?`},
		"an unknown nested key":                {"drain:\n  polcy: fix", `outlast.yaml:2: unknown key "drain.polcy": did you mean "drain.policy"?`},
		"an unknown key of an environment":     {"environments:\n  dev:\n    brnches: [a]", `outlast.yaml:3: unknown key "brnches": did you mean "branches"?`},
		"images inside an environment":         {"environments:\n  dev:\n    images: []", `unknown key "images"`},
		"an unknown key of an image":           {"images:\n  - {name: a, dockerFile: b}", `did you mean "dockerfile"?`},
		"an image without a name":              {"images:\n  - {context: .}", "outlast.yaml:2: an image needs a name"},
		"two images of one name":               {"images:\n  - {name: a}\n  - {name: a}", `two images are called "a"`},
		"a list where a value belongs":         {"app: [a]", "app must be one plain value"},
		"a key twice":                          {"app: a\napp: b", `"app"`},
		"a value where environments belong":    {"environments: dev", "environments must be a mapping"},
		"a broken branch pattern":              {"environments:\n  dev: {branches: ['[']}", "malformed"},
		"an empty file":                        {"", "the file is empty"},
		"two documents":                        {"app: a\n---\napp: b", "more than one YAML document"},
		"not YAML":                             {"app: [", "reading outlast.yaml"},
		"a list as the whole file":             {"- a", "must be a mapping"},
		"one alarm where a list belongs":       {"gate:\n  alarms: 5xx", "outlast.yaml:2: gate.alarms must be a list"},
		"an alarm without a name":              {"gate:\n  alarms: ['']", "outlast.yaml:2: gate.alarms has an empty name"},
		"clusters that are none":               {"environments:\n  dev: {clusters: []}", "outlast.yaml:2: clusters is empty"},
		"a cluster that nothing selects":       {"environments:\n  dev:\n    clusters:\n      - {region: a}", "outlast.yaml:4: a cluster needs one of clusterName, kubeContext, kubeconfig"},
		"an unknown key of a cluster":          {"environments:\n  dev: {clusters: [{cluster: a}]}", `unknown key "cluster" of a cluster`},
		"a cluster twice":                      {"environments:\n  dev: {clusters: [{clusterName: a, roleArn: b}, {clusterName: a}]}", "cluster a is listed twice"},
		"a far-off key lists what is possible": {"zzz: 1", "known are app, clusterName"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("outlast.yaml", []byte(tc.text), scalars)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestForBranch(t *testing.T) {
	f, err := Parse("outlast.yaml", []byte(good), scalars)
	if err != nil {
		t.Fatal(err)
	}
	for branch, want := range map[string]string{"develop": "dev", "feature/login": "dev", "main": "prod"} {
		if env, err := f.ForBranch(branch); err != nil || env.Name != want {
			t.Errorf("branch %s deploys to %q (%v), want %q", branch, env.Name, err, want)
		}
	}
	var none *NoEnvironmentError
	if _, err := f.ForBranch("feature/a/b"); !errors.As(err, &none) {
		t.Errorf("branch feature/a/b: %v, want a NoEnvironmentError", err)
	}
	f.Environments["all"] = Environment{Name: "all", Branches: []string{"*"}}
	if _, err := f.ForBranch("main"); err == nil || !strings.Contains(err.Error(), "several") {
		t.Errorf("a branch of two environments: %v", err)
	}
	if _, err := f.Named("prd"); err == nil || !strings.Contains(err.Error(), `did you mean "prod"?`) {
		t.Errorf("a misspelt environment: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := Parse("f", text, scalars); err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
	})
}
