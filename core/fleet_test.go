// SPDX-License-Identifier: Apache-2.0

package core

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/internal/fleet"
	"github.com/outlast-ci/outlast/core/internal/rights"
	"github.com/outlast-ci/outlast/core/push"
	"github.com/outlast-ci/outlast/core/render"
)

// three clusters in memory, and what is done to them in order.
func three(log *[]string) (all []*memory, targets []Target) {
	for _, name := range []string{"a", "b", "c"} {
		m := newMemory(name, log)
		all = append(all, m)
		targets = append(targets, Target{Run: Run{App: "web", Environment: "prod", Cluster: name}, Clients: m.clients()})
	}
	return all, targets
}

// shipping is a deploy of an image that was made elsewhere.
func shipping(t *testing.T, image string) Config {
	cfg := project(t)
	cfg.Images, cfg.From = nil, "render"
	cfg.Run.Environment, cfg.Holder = "prod", "test"
	cfg.Render.Images = []render.Image{{Name: "web", Ref: image}}
	return cfg
}

const (
	v1  = "registry.example.com/web@" + digest
	v2  = "registry.example.com/web2@" + digest
	v3  = "registry.example.com/web3@" + digest
	bad = "registry.example.com/bad@" + digest
)

func results(r Report) (words []string) {
	for _, c := range r.Clusters {
		words = append(words, c.Run.Cluster+" "+string(c.Result))
	}
	return words
}

func TestClustersAreRolledOneAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []string
		clusters, targets := three(&log)
		var order []string
		cfg := shipping(t, v1)
		cfg.Observe = func(e event.Event) {
			if e.Kind == event.Start || e.Kind == event.End {
				order = append(order, strings.TrimSpace(e.Cluster+" "+e.Stage+" "+string(e.Kind)))
			}
		}
		r, err := DeployAll(t.Context(), cfg, Clients{}, targets, Report{})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"render start", "render end", "a apply start", "a apply end", "a gate start", "a gate end", "b apply start", "b apply end", "b gate start", "b gate end", "c apply start", "c apply end", "c gate start", "c gate end"}
		if diff := cmp.Diff(want, order); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"a passed", "b passed", "c passed"}, results(r)); diff != "" || r.Result != Passed {
			t.Errorf("%s: %s", r.Result, diff)
		}
		for i, m := range clusters {
			if m.image() != v1 || r.Clusters[i].Revision != 1 || r.Clusters[i].Gate == nil || r.Clusters[i].Stages[4].Result != Passed {
				t.Errorf("cluster %s runs %q: %+v", m.name, m.image(), r.Clusters[i].Stages)
			}
		}
	})
}

// The second cluster's new pods never come up: it gets back what it had, the first one
// keeps the new version, the third is not touched. Run again with a good image, all get
// it.
func TestTheFirstFailureEndsTheRoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []string
		clusters, targets := three(&log)
		if _, err := DeployAll(t.Context(), shipping(t, v1), Clients{}, targets, Report{}); err != nil {
			t.Fatal(err)
		}
		clusters[1].refuse = "Deployment"
		log = nil
		r, err := DeployAll(t.Context(), shipping(t, v2), Clients{}, targets, Report{})
		var at *fleet.Error
		var undone *RolledBackError
		if !errors.As(err, &at) || at.Cluster != "b" || !slices.Equal(at.Passed, []string{"a"}) || !slices.Equal(at.Left, []string{"c"}) || !errors.As(err, &undone) {
			t.Fatalf("got %v", err)
		}
		if diff := cmp.Diff([]string{"a passed", "b failed", "c pending"}, results(r)); diff != "" || r.Result != Failed {
			t.Errorf("%s: %s", r.Result, diff)
		}
		for _, line := range log {
			if strings.HasPrefix(line, "c ") {
				t.Errorf("the third cluster was touched: %s", line)
			}
		}
		if clusters[0].image() != v2 || clusters[2].image() != v1 {
			t.Errorf("a runs %q, c %q", clusters[0].image(), clusters[2].image())
		}
		clusters[1].refuse = ""

		r, err = DeployAll(t.Context(), shipping(t, bad), Clients{}, targets, Report{})
		if !errors.As(err, &undone) || undone.Undone != nil || r.Clusters[0].Rollback == nil || !r.Clusters[0].Rollback.Passed || clusters[0].image() != v2 || clusters[1].image() != v1 {
			t.Errorf("a bad image: %v; a runs %q, b %q", err, clusters[0].image(), clusters[1].image())
		}
		if r, err = DeployAll(t.Context(), shipping(t, v2), Clients{}, targets, Report{}); err != nil || clusters[1].image() != v2 || clusters[2].image() != v2 || r.Clusters[2].Result != Passed {
			t.Errorf("again: %v; b runs %q, c %q", err, clusters[1].image(), clusters[2].image())
		}
	})
}

// What is wrong with any cluster is found before the first is written to.
func TestAllClustersAreCheckedBeforeTheFirstWrite(t *testing.T) {
	var log []string
	clusters, targets := three(&log)
	clusters[1].down, clusters[2].down = errors.New("b is away"), errors.New("c is away")
	built := false
	cfg := shipping(t, v1)
	cfg.Observe = func(e event.Event) { built = built || e.Kind == event.Start }
	r, err := DeployAll(t.Context(), cfg, Clients{}, targets, Report{})
	var stage *StageError
	if !errors.As(err, &stage) || !stage.Preflight || !strings.Contains(err.Error(), "b is away") || !strings.Contains(err.Error(), "c is away") {
		t.Errorf("got %v", err)
	}
	if len(log) > 0 || built {
		t.Errorf("something was done before: %q, a stage started: %t", log, built)
	}
	if diff := cmp.Diff([]string{"a pending", "b pending", "c pending"}, results(r)); diff != "" {
		t.Error(diff)
	}
}

// Applied to all and waited for later is not one after another.
func TestARollIsNotParted(t *testing.T) {
	var log []string
	_, targets := three(&log)
	for _, part := range [][2]string{{"render", "apply"}, {"gate", "gate"}, {"render", "render"}} {
		cfg := shipping(t, v1)
		cfg.From, cfg.To = part[0], part[1]
		if _, err := DeployAll(t.Context(), cfg, Clients{}, targets, Report{}); !errors.Is(err, ErrParted) || len(log) > 0 {
			t.Errorf("%v: %v, %q", part, err, log)
		}
	}
}

// A later job starts at apply, with the report of the one that rendered.
func TestARollMayStartAtApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []string
		clusters, targets := three(&log)
		cfg := shipping(t, v1)
		cfg.To = "render"
		r, err := Deploy(t.Context(), cfg, Clients{}, Report{})
		if err != nil {
			t.Fatal(err)
		}
		cfg.From, cfg.To = "apply", ""
		if r, err = DeployAll(t.Context(), cfg, Clients{}, targets, roundTrip(t, r)); err != nil || clusters[2].image() != v1 || r.Stages[2].Result != Passed {
			t.Errorf("%v, %+v", err, r.Stages)
		}
	})
}

// Each cluster has its part of an agreed plan, and one whose world has moved ends the
// run before anything.
func TestAnAgreedPlanOfSeveralClusters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []string
		clusters, targets := three(&log)
		cfg := shipping(t, v1)
		agreed := Plan{Schema: PlanSchema}
		for _, target := range targets {
			one := cfg
			one.Run = target.Run
			plan, err := MakePlan(t.Context(), one, target.Clients, Report{})
			if err != nil {
				t.Fatal(err)
			}
			agreed.Clusters = append(agreed.Clusters, plan)
		}
		cfg.Plan = &agreed
		clusters[2].put(clusters[2].deployment("web"))
		var moved *MovedError
		if _, err := DeployAll(t.Context(), cfg, Clients{}, targets, Report{}); !errors.As(err, &moved) || !strings.Contains(err.Error(), "cluster c:") || len(log) > 0 {
			t.Errorf("got %v, %q", err, log)
		}
		delete(clusters[2].objects, "Deployment dev/web")
		if _, err := DeployAll(t.Context(), cfg, Clients{}, targets, Report{}); err != nil || clusters[2].image() != v1 {
			t.Errorf("got %v", err)
		}
		agreed.Clusters = agreed.Clusters[:2]
		if _, err := DeployAll(t.Context(), cfg, Clients{}, targets, Report{}); !errors.As(err, &moved) || !strings.Contains(err.Error(), "cluster c:") {
			t.Errorf("a cluster that the plan does not know: %v", err)
		}
	})
}

// A plan of a project whose image is yet to be built has a stand-in for it.
func TestAPlanNeedsNoBuild(t *testing.T) {
	var log []string
	m := newMemory("a", &log)
	cfg := project(t)
	cfg.Render.Images = nil
	plan, err := MakePlan(t.Context(), cfg, m.clients(), Report{Refs: []push.Ref{}})
	if err != nil || len(plan.Changes) != 1 || len(log) > 0 {
		t.Errorf("%v, %+v, %q", err, plan, log)
	}
}

// Permissions are asked about in all clusters before anything is built or written.
func TestMissingPermissionsAreToldBeforehand(t *testing.T) {
	var log []string
	clusters, targets := three(&log)
	clusters[0].lacks, clusters[2].lacks = "Deployment", "Secret"
	_, err := DeployAll(t.Context(), shipping(t, v1), Clients{}, targets, Report{})
	var missing *rights.MissingError
	var stage *StageError
	if !errors.As(err, &missing) || !errors.As(err, &stage) || !stage.Preflight || len(log) > 0 {
		t.Errorf("got %v, %q", err, log)
	}
	for _, words := range []string{"cluster a: apply: this identity may not", "resources: [deployments], verbs: [create, patch]", "cluster c: ", "resources: [secrets], verbs: [create, update]"} {
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, want %q", err, words)
		}
	}
}
