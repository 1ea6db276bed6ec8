// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outlast-ci/outlast/core/apply"
	"github.com/outlast-ci/outlast/core/build"
	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/push"
	"github.com/outlast-ci/outlast/core/render"
)

const digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"

// project is a checkout with a Dockerfile and manifests that no balancer is
// concerned with, and a run that would ship it.
func project(t *testing.T) Config {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"Dockerfile": "FROM scratch\n",
		"deploy/web.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: dev}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: web}]
`,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Config{
		Run:    Run{App: "web", Commit: "abc"},
		Images: []Image{{Build: build.Options{Name: "web", Context: dir}, Push: push.Options{Name: "web", Repository: "web"}}},
		World:  build.World{Environ: []string{"PATH=" + t.TempDir()}, TempDir: t.TempDir()},
		Render: render.Options{Path: filepath.Join(dir, "deploy"), Root: dir, Drain: drain.Defaults()},
	}
}

// nobody builds no client and remembers who asked.
func nobody(asked *[]string) Clients {
	refuse := func(name string) error {
		*asked = append(*asked, name)
		return errors.New("no " + name + " here")
	}
	return Clients{
		ECR:      func(context.Context) (push.ECR, error) { return nil, refuse("ECR") },
		Cluster:  func(context.Context) (Cluster, error) { return Cluster{}, refuse("cluster") },
		Balancer: func(context.Context) (gate.Balancer, error) { return nil, refuse("balancer") },
	}
}

func TestAllChecksComeBeforeTheFirstStage(t *testing.T) {
	cases := map[string]struct {
		change func(*Config)
		stage  string
		said   string
		asked  []string
	}{
		"a context that is not there is found without asking anybody": {
			func(c *Config) { c.Images[0].Build.Context += "/absent" }, "build", "reading its context", nil},
		"no login ends the run at push's check": {
			func(*Config) {}, "push", "no ECR here", []string{"ECR"}},
		"without a registry of ECR's nobody logs in, and the missing builder is found": {
			func(c *Config) { c.Images[0].Push.Repository = "localhost:1/web" }, "push", "finding a builder", nil},
		"broken manifests end the run at render's check": {
			func(c *Config) { c.Images, c.Render.Path = nil, c.Render.Path+"/absent" }, "render", "absent", nil},
		"what was never pushed is not applied": {
			func(c *Config) { c.From = "render" }, "render", "has no digest", nil},
		"no cluster ends the run at apply's check": {
			func(c *Config) { c.Images = nil }, "apply", "no cluster here", []string{"cluster"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := project(t)
			c.change(&cfg)
			var asked []string
			cfg.Observe = func(e event.Event) {
				if e.Kind == event.Start {
					t.Errorf("stage %s was started", e.Stage)
				}
			}
			report, err := Deploy(t.Context(), cfg, nobody(&asked), Report{})
			var stage *StageError
			if !errors.As(err, &stage) || !stage.Preflight || stage.Stage != c.stage || !strings.Contains(err.Error(), c.said) {
				t.Errorf("error %v, want one of %s's check with %q", err, c.stage, c.said)
			}
			if diff := cmp.Diff(c.asked, asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			if report.Result != Failed || report.Error != err.Error() || report.Finished.IsZero() {
				t.Errorf("report: %s, %q, finished %s", report.Result, report.Error, report.Finished)
			}
			for _, s := range report.Stages {
				if s.Result != Pending {
					t.Errorf("stage %s: %s", s.Name, s.Result)
				}
			}
		})
	}
}

func TestAPartOfTheListRuns(t *testing.T) {
	cases := map[string]struct {
		from, to string
		ran      string
		err      string
	}{
		"one stage alone":               {"render", "render", "render", ""},
		"an unknown stage is refused":   {"bild", "", "", `no stage is called "bild"`},
		"an unknown end is refused":     {"", "gat", "", `no stage is called "gat"`},
		"an order backwards is refused": {"gate", "push", "", "gate comes after push"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := project(t)
			cfg.From, cfg.To = c.from, c.to
			var ran []string
			cfg.Observe = func(e event.Event) {
				if e.Kind == event.Start {
					ran = append(ran, e.Stage)
				}
			}
			_, err := Deploy(t.Context(), cfg, nobody(new([]string)), Report{})
			if got := strings.Join(ran, " "); got != c.ran || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("ran %q with error %v; want %q, %q", got, err, c.ran, c.err)
			}
		})
	}
}

// The report of one job carries all that the next needs, and no manifests.
func TestStagesOfSeveralJobs(t *testing.T) {
	cfg := project(t)
	cfg.From, cfg.To = "render", "render"
	pushed := Report{Refs: []push.Ref{{Name: "web", Repository: "registry.example.com/web", Digest: digest}}}
	pushed.Stages = []StageRecord{{Name: "build", Result: Passed}, {Name: "push", Result: Passed}, {Name: "render", Result: Pending}, {Name: "apply", Result: Pending}, {Name: "gate", Result: Pending}}
	rendered, err := Deploy(t.Context(), cfg, nobody(new([]string)), roundTrip(t, pushed))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(rendered.YAML()), "registry.example.com/web@"+digest) {
		t.Errorf("the image is not pinned by the digest of the report:\n%s", rendered.YAML())
	}
	if rendered.Stages[1].Result != Passed || rendered.Stages[2].Result != Passed || rendered.Stages[3].Result != Pending {
		t.Errorf("stages: %+v", rendered.Stages)
	}

	cfg.From, cfg.To = "apply", "apply"
	next := roundTrip(t, rendered)
	if len(next.YAML()) > 0 {
		t.Fatal("the report carries manifests")
	}
	var wrote []string
	clients := Clients{Cluster: func(context.Context) (Cluster, error) {
		return Cluster{Ping: func(context.Context) (string, error) { return "v1", nil }, Apply: refusing{calls: &wrote}, Records: refusing{calls: &wrote}}, nil
	}}
	_, err = Deploy(t.Context(), cfg, clients, next)
	if err == nil || !strings.Contains(err.Error(), "it refuses") || len(wrote) == 0 {
		t.Errorf("apply did not get to the server's dry run: %v, %v", err, wrote)
	}

	wrote = nil
	changed := filepath.Join(cfg.Render.Path, "web.yaml")
	text, err := os.ReadFile(changed)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(changed, []byte(strings.Replace(string(text), "name: web, namespace", "name: wob, namespace", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = Deploy(t.Context(), cfg, clients, next)
	if err == nil || !strings.Contains(err.Error(), "rendering again gave other manifests") || len(wrote) > 0 {
		t.Errorf("another checkout was applied under the old report: %v, %v", err, wrote)
	}

	if _, err = Deploy(t.Context(), cfg, clients, Report{}); err == nil || !strings.Contains(err.Error(), "nothing to apply") {
		t.Errorf("apply with an empty report: %v", err)
	}
	cfg.From, cfg.To = "gate", "gate"
	if _, err = Deploy(t.Context(), cfg, clients, Report{}); err == nil || !strings.Contains(err.Error(), "nothing to wait for") {
		t.Errorf("gate with an empty report: %v", err)
	}
}

func roundTrip(t *testing.T, r Report) (back Report) {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

// refusing is an API server that takes nothing.
type refusing struct {
	apply.Cluster
	calls *[]string
}

var _ apply.Cluster = refusing{}

func (r refusing) Get(context.Context, string, string, string, string) (*unstructured.Unstructured, error) {
	return nil, nil
}

func (r refusing) List(context.Context, string, string, string, string) ([]unstructured.Unstructured, error) {
	return nil, nil
}

func (r refusing) Apply(_ context.Context, obj *unstructured.Unstructured, _ bool) (*unstructured.Unstructured, error) {
	*r.calls = append(*r.calls, obj.GetName())
	return nil, errors.New("it refuses")
}

func (r refusing) Create(context.Context, *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	return nil, errors.New("it refuses")
}

func (r refusing) Update(context.Context, *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	return nil, errors.New("it refuses")
}

func (r refusing) Delete(context.Context, string, string, string, string, types.UID) error {
	return errors.New("it refuses")
}

func TestAnInterruptedRunSaysSo(t *testing.T) {
	for _, cause := range []error{context.Canceled, errors.New("terminated by SIGTERM")} {
		cfg := project(t)
		cfg.From, cfg.To = "render", "render"
		ctx, cancel := context.WithCancelCause(t.Context())
		cfg.Observe = func(e event.Event) {
			if e.Kind == event.Start {
				cancel(cause)
			}
		}
		report, err := Deploy(ctx, cfg, nobody(new([]string)), Report{})
		if err == nil || report.Result != Interrupted || report.Stages[2].Result != Interrupted {
			t.Errorf("%v: error %v, result %s, stages %+v", cause, err, report.Result, report.Stages)
		}
	}
}

// What was checked is what is rendered: the manifests are read once in a run.
func TestManifestsAreReadOnce(t *testing.T) {
	cfg := project(t)
	cfg.From, cfg.To = "render", "render"
	want, err := Deploy(t.Context(), cfg, nobody(new([]string)), Report{})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Observe = func(e event.Event) {
		if e.Kind == event.Start && e.Stage == "render" {
			if err := os.RemoveAll(cfg.Render.Path); err != nil {
				t.Error(err)
			}
		}
	}
	got, err := Deploy(t.Context(), cfg, nobody(new([]string)), Report{})
	if err != nil || string(got.YAML()) != string(want.YAML()) || len(want.YAML()) == 0 || strings.Contains(string(got.YAML()), "preflight") {
		t.Errorf("%v\n%s", err, got.YAML())
	}
}

// The gate must know that a workload is behind a balancer, whoever wrote its
// namespace.
func TestTheGateGetsThePlanOfEachWorkload(t *testing.T) {
	timings, err := drain.Solve(drain.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	p := shipment{ManifestReport: ManifestReport{Workloads: []render.Workload{
		{Kind: "Deployment", Name: "web", Behind: true, Plan: timings}, {Kind: "Deployment", Namespace: "dev", Name: "web"}, {Kind: "Deployment", Namespace: "dev", Name: "api", Behind: true, Plan: timings},
	}}}
	for name, want := range map[string]bool{"default/web": true, "dev/web": false, "dev/api": true, "prod/api": false} {
		namespace, workload, _ := strings.Cut(name, "/")
		got := p.gated(apply.Workload{Kind: "Deployment", Namespace: namespace, Name: workload, Generation: 3, Replaced: []apply.Pod{{UID: "u"}}})
		if got.Behind != want || (got.Plan.PreStop > 0) != want || got.Generation != 3 || len(got.Replaced) != 1 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
