// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outlast-ci/outlast/core/drain"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// options reads a case's case.json.
func options(t *testing.T, dir string) Options {
	t.Helper()
	var c struct {
		Path           string
		Policy         Policy
		Images         map[string]string
		Set            []string // SYMBOL=VALUE
		Mode           drain.Mode
		Kubelet, Shell string
	}
	text, err := os.ReadFile(filepath.Join(dir, "case.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	if c.Path == "" {
		c.Path = "tree"
	}
	opt := Options{Path: filepath.Join(dir, c.Path), Root: filepath.Join(dir, "tree"), Policy: c.Policy, Drain: drain.Defaults(), Kubelet: c.Kubelet, Shell: c.Shell}
	for name, ref := range c.Images {
		opt.Images = append(opt.Images, Image{name, ref})
	}
	if c.Mode != "" {
		opt.Drain.Mode = c.Mode
	}
	for _, item := range c.Set {
		symbol, value, _ := strings.Cut(item, "=")
		if err := opt.Drain.Set(symbol, value); err != nil {
			t.Fatal(err)
		}
	}
	return opt
}

// report is the other half of a golden file: what was found and changed.
func report(r Result) string {
	var b strings.Builder
	for _, w := range r.Workloads {
		fmt.Fprintf(&b, "# workload %s/%s/%s replicas=%d behind=%v services=%v balancers=%v", w.Kind, w.Namespace, w.Name, w.Replicas, w.Behind, w.Services, w.Balancers)
		if w.Behind {
			fmt.Fprintf(&b, " %s %s>%s, D=%s", w.Plan.Mode, w.Plan.GracePeriod, w.Plan.PreStop, w.Plan.DeregistrationDelay)
		}
		b.WriteString("\n")
	}
	for _, c := range r.Changes {
		fmt.Fprintf(&b, "# change %s %s: %q -> %q (%s)\n", c.Object, c.Field, c.From, c.To, c.Why)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "# %s %s %s %s: %s\n", f.Severity, f.Rule, f.Object, f.Field, f.Message)
	}
	return b.String()
}

func cases(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("testdata/*/case.json")
	if err != nil || len(dirs) < 30 {
		t.Fatalf("cases %v, %v", dirs, err)
	}
	for i := range dirs {
		dirs[i] = filepath.Dir(dirs[i])
	}
	return dirs
}

func TestGolden(t *testing.T) {
	for _, dir := range cases(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			r, err := Render(context.Background(), options(t, dir))
			got := report(r) + "---\n" + string(r.YAML)
			if rules := (*RuleError)(nil); errors.As(err, &rules) {
				got = "# refused: " + strings.ReplaceAll(err.Error(), "\n", "\n# ") + "\n"
			} else if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join(dir, "want.yaml")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("differs from %s:\n%s", golden, diff)
			}
		})
	}
}

// TestAgain: rendering what was rendered changes nothing, under fix and under
// enforce, and the same input always gives the same bytes.
func TestAgain(t *testing.T) {
	for _, dir := range cases(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			opt := options(t, dir)
			first, err := Render(context.Background(), opt)
			if rules := (*RuleError)(nil); errors.As(err, &rules) {
				return // TestGolden has the words
			} else if err != nil {
				t.Fatal(err)
			}
			if same, err := Render(context.Background(), opt); err != nil || !bytes.Equal(first.YAML, same.YAML) {
				t.Errorf("another run gave other bytes (%v)", err)
			}
			if opt.Policy != "" {
				return
			}
			out := filepath.Join(t.TempDir(), "all.yaml")
			if err := os.WriteFile(out, first.YAML, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, policy := range []Policy{Fix, Enforce} {
				again, err := Render(context.Background(), Options{Path: out, Drain: opt.Drain, Kubelet: opt.Kubelet, Shell: opt.Shell, Policy: policy})
				if policy == Enforce && untold(err) {
					continue
				}
				if err != nil {
					t.Fatalf("a second pass, %s: %v", policy, err)
				}
				if diff := cmp.Diff(string(first.YAML), string(again.YAML)); diff != "" || len(again.Changes) > 0 {
					t.Errorf("a second pass changed %v:\n%s", again.Changes, diff)
				}
			}
		})
	}
}

const pod = `apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
spec:
  replicas: 2
  selector: {matchLabels: {app: a}}
  %s
  template:
    metadata: {labels: {app: a}}
    spec: {containers: [{name: a, image: a, readinessProbe: {httpGet: {port: 80}}}]}
---
apiVersion: v1
kind: Service
metadata: {name: a%s}
spec: {selector: {app: a}, ports: [{port: 80}]%s}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: a%s}
spec: {ingressClassName: alb, defaultBackend: {service: {name: a, port: {number: 80}}}}
`

func TestRefuses(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		p := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [*" + strings.Join(strings.Split(strings.Repeat(p, 9), ""), ",*") + "]\n"
	}
	for name, tc := range map[string]struct {
		files  map[string]string
		path   string
		policy Policy
		images []Image
		want   string
		rule   bool // a RuleError
	}{
		"an alias bomb":                {files: map[string]string{"x.yaml": bomb}, want: "its aliases written out"},
		"YAML that is too deep":        {files: map[string]string{"x.yaml": strings.Repeat("[", 200) + strings.Repeat("]", 200)}, want: "nested deeper than 100"},
		"a file that is too large":     {files: map[string]string{"x.yaml": "a: " + strings.Repeat("x", 5<<20)}, want: "larger than 5 MB"},
		"an http resource":             {files: map[string]string{"kustomization.yaml": "resources:\n- https://example.com/x.yaml\n"}, want: `kustomization.yaml:2: resources names "https://example.com/x.yaml": rendering fetches nothing`},
		"a git base":                   {files: map[string]string{"kustomization.yaml": "bases: ['git@example.com:a/b.git']\n"}, want: "rendering fetches nothing"},
		"a git component by query":     {files: map[string]string{"kustomization.yaml": "components:\n- example.com/a/b?ref=v1\n"}, want: "rendering fetches nothing"},
		"an http patch":                {files: map[string]string{"kustomization.yaml": "patches:\n- path: http://example.com/p.yaml\n"}, want: "kustomization.yaml:2: patches names"},
		"an http openapi schema":       {files: map[string]string{"kustomization.yaml": "openapi: {path: 'http://example.com/s.json'}\n"}, want: "openapi names"},
		"an http file of a generator":  {files: map[string]string{"kustomization.yaml": "configMapGenerator:\n- name: a\n  files: ['a=https://example.com/x']\n"}, want: "configMapGenerator names"},
		"a helm chart":                 {files: map[string]string{"kustomization.yaml": "helmCharts: [{name: a}]\n"}, want: "charts would be fetched"},
		"a resource that is not there": {files: map[string]string{"kustomization.yaml": "resources: [nothing]\n"}, want: `kustomization.yaml:1: resources names "nothing", which does not exist`},
		"a base outside the root":      {files: map[string]string{"kustomization.yaml": "resources: [../../etc]\n", "../../etc/kustomization.yaml": ""}, path: "in", want: "leads out of"},
		"a broken kustomization":       {files: map[string]string{"kustomization.yaml": "resorces: [a]\n"}, want: "resorces"},
		"broken YAML":                  {files: map[string]string{"x.yaml": "a: [\n"}, want: "x.yaml"},
		"a folder without YAML":        {files: map[string]string{"README": "x"}, want: "holds neither a kustomization.yaml nor any .yaml or .json file"},
		"YAML without objects":         {files: map[string]string{"x.yaml": "# nothing\n"}, want: "it holds no objects"},
		"an image that nobody uses":    {files: map[string]string{"x.yaml": fmt.Sprintf(pod, "", "", "", "")}, images: []Image{{"b", "b@sha256:1"}}, want: `no container uses the image "b"; the images of the manifests are a`},
		"Recreate":                     {files: map[string]string{"x.yaml": fmt.Sprintf(pod, "strategy: {type: Recreate}", "", "", "")}, want: "Recreate takes all old pods away", rule: true},
		"publishNotReadyAddresses":     {files: map[string]string{"x.yaml": fmt.Sprintf(pod, "", "", ", publishNotReadyAddresses: true", "")}, want: "a terminating pod stays registered", rule: true},
		"unsafe timings under enforce": {files: map[string]string{"x.yaml": fmt.Sprintf(pod, "", "", "", "")}, policy: Enforce, want: "terminationGracePeriodSeconds", rule: true},
		"a delay that is no number":    {files: map[string]string{"x.yaml": fmt.Sprintf(pod, "", "", "", ", annotations: {alb.ingress.kubernetes.io/target-group-attributes: deregistration_delay.timeout_seconds=long}")}, want: "is no number of seconds", rule: true},
		"attributes that are no pairs": {files: map[string]string{"x.yaml": fmt.Sprintf(pod, "", "", "", ", annotations: {alb.ingress.kubernetes.io/target-group-attributes: nonsense}")}, want: "is not key=value", rule: true},
		"a path that is not there":     {path: "nowhere", want: "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "a", "root")
			for file, text := range tc.files {
				path := filepath.Join(root, tc.path, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if tc.files == nil {
				if err := os.MkdirAll(root, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			start := time.Now()
			_, err := Render(context.Background(), Options{Path: filepath.Join(root, tc.path), Root: root, Policy: tc.policy, Images: tc.images, Drain: drain.Defaults()})
			var rules *RuleError
			if err == nil || !strings.Contains(err.Error(), tc.want) || errors.As(err, &rules) != tc.rule {
				t.Errorf("got %v (rule error: %v), want an error with %q", err, errors.As(err, &rules), tc.want)
			}
			if took := time.Since(start); took > 20*time.Second { // a bomb takes all memory; a busy machine, some seconds
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestSymlinksStayInside(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	if err := os.MkdirAll(root, 0o700); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(dir, "secret.yaml")
	if err := os.WriteFile(secret, []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: stolen}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(root, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	_, err := Render(context.Background(), Options{Path: root, Root: root, Drain: drain.Defaults()})
	if err == nil || !strings.Contains(err.Error(), "leads out of") {
		t.Errorf("got %v, want a refusal", err)
	}
}

// TestSchemaDoesNotLeak: a kustomization with a schema of its own, which makes
// lists be replaced, must not change how the next one is merged.
func TestSchemaDoesNotLeak(t *testing.T) {
	victim := options(t, "testdata/kustomization")
	before, err := Render(context.Background(), victim)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"schema.json":        `{"definitions": {}}`,
		"kustomization.yaml": "openapi: {path: schema.json}\nresources: [cm.yaml]\npatches:\n- patch: |-\n    apiVersion: v1\n    kind: ConfigMap\n    metadata: {name: a, labels: {x: y}}\n",
		"cm.yaml":            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Render(context.Background(), Options{Path: dir, Drain: drain.Defaults()}); err != nil {
		t.Fatal(err)
	}
	after, err := Render(context.Background(), victim)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(before.YAML), string(after.YAML)); diff != "" {
		t.Error(diff)
	}
}

func TestHooks(t *testing.T) {
	dir := t.TempDir()
	for name, tc := range map[string]struct {
		hook    string
		changed bool // overwritten by a sleep that is long enough
		finding bool // left, with a finding
	}{
		"none":                         {"", true, false},
		"a short sleep":                {"sleep: {seconds: 10}", true, false},
		"a long sleep":                 {"sleep: {seconds: 200}", false, false},
		"a short exec sleep":           {"exec: {command: [sleep, '10']}", true, false},
		"a long shell sleep":           {"exec: {command: [/bin/sh, -c, sleep 200s]}", false, true},
		"an exec of unknown length":    {"exec: {command: [/drain]}", false, true},
		"an httpGet of unknown length": {"httpGet: {port: 80}", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			text := fmt.Sprintf(pod, "", "", "", "")
			text = strings.Replace(text, "image: a,", "image: a, lifecycle: {preStop: {"+tc.hook+"}},", 1)
			if tc.hook == "" {
				text = fmt.Sprintf(pod, "", "", "", "")
			}
			path := filepath.Join(dir, "x.yaml")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := Render(context.Background(), Options{Path: path, Drain: drain.Defaults()})
			if err != nil {
				t.Fatal(err)
			}
			changed, found := false, false
			for _, c := range r.Changes {
				changed = changed || strings.Contains(c.Field, "preStop")
			}
			for _, f := range r.Findings {
				found = found || strings.Contains(f.Field, "preStop")
			}
			if changed != tc.changed || found != tc.finding {
				t.Errorf("changed %v, finding %v, want %v, %v\n%s", changed, found, tc.changed, tc.finding, r.YAML)
			}
		})
	}
}
