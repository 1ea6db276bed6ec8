// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/release"
)

// ship deploys an image, as onFailure has it.
func ship(t *testing.T, m *memory, image string, then OnFailure) (Report, error) {
	cfg := shipping(t, image)
	cfg.OnFailure = then
	return Deploy(t.Context(), cfg, m.clients(), Report{})
}

// states are the application's revisions, the newest first.
func states(t *testing.T, m *memory) string {
	t.Helper()
	history, err := release.Open(m, release.App{Namespace: "dev", Name: "web-prod"})
	if err != nil {
		t.Fatal(err)
	}
	list, err := history.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range list {
		all = append(all, string(r.State))
	}
	return strings.Join(all, " ")
}

// What a deploy whose gate does not pass leaves behind.
func TestAFailedDeploy(t *testing.T) {
	for name, c := range map[string]struct {
		before []string // images that were deployed earlier
		then   OnFailure
		image  string // that is left
		states string
		undone bool
		paused bool
	}{
		"goes back to the last release whose gate passed": {[]string{v1}, "", v1, "passed rolled-back passed", true, false},
		"and not to one that failed":                      {[]string{v1, bad}, "", v1, "passed rolled-back passed rolled-back passed", true, false},
		"stays where it is when that is wanted":           {[]string{v1}, Hold, bad, "failed passed", false, false},
		"is paused when that is wanted":                   {[]string{v1}, Pause, bad, "failed passed", false, true},
		"has nothing to go back to the first time":        {nil, "", bad, "failed", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory("a", new([]string))
				for _, image := range c.before {
					if _, err := ship(t, m, image, ""); err != nil && image != bad {
						t.Fatal(err)
					}
				}
				r, err := ship(t, m, bad, c.then)
				var verdict *gate.Error
				var undone *RolledBackError
				if !errors.As(err, &verdict) || errors.As(err, &undone) != c.undone || r.Result != Failed || c.undone && (undone.Undone != nil || r.Rollback == nil || !r.Rollback.Passed) {
					t.Errorf("got %v, rollback %+v", err, r.Rollback)
				}
				if got := m.image(); got != c.image {
					t.Errorf("%s is left, want %s", got, c.image)
				}
				if got := states(t, m); got != c.states {
					t.Errorf("revisions %q, want %q", got, c.states)
				}
				if paused, _, _ := unstructured.NestedBool(m.objects["Deployment dev/web"].Object, "spec", "paused"); paused != c.paused {
					t.Errorf("paused: %t", paused)
				}
				if holder, _, _ := unstructured.NestedString(m.objects["Lease dev/outlast-web-prod"].Object, "spec", "holderIdentity"); holder != "" {
					t.Errorf("the lock is still held by %q", holder)
				}
			})
		})
	}
}

// A migration that does not end well is there to be looked at after the rollback, until
// the next deploy.
func TestAFailedJobOutlivesItsRollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory("a", new([]string))
		if _, err := ship(t, m, v1, ""); err != nil {
			t.Fatal(err)
		}
		cfg := shipping(t, v2)
		job := "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, namespace: dev, annotations: {outlast/phase: pre-deploy}}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: " + v2 + "}]}}}\n"
		if err := os.WriteFile(filepath.Join(cfg.Render.Path, "job.yaml"), []byte(job), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Deploy(t.Context(), cfg, m.clients(), Report{})
		var undone *RolledBackError
		if !errors.As(err, &undone) || undone.Undone != nil || m.image() != v1 || m.objects["Job dev/migrate"] == nil {
			t.Fatalf("got %v, %s runs", err, m.image())
		}
		if _, err := ship(t, m, v3, ""); err != nil || m.objects["Job dev/migrate"] != nil {
			t.Errorf("the next deploy: %v", err)
		}
	})
}

// A rollback whose own apply fails is told as such, with both reasons.
func TestARollbackThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory("a", new([]string))
		if _, err := ship(t, m, v1, ""); err != nil {
			t.Fatal(err)
		}
		cfg := shipping(t, bad)
		cfg.Observe = func(e event.Event) {
			if e.Stage == "rollback" && e.Kind == event.Start {
				m.mu.Lock()
				m.refuse = "Deployment"
				m.mu.Unlock()
			}
		}
		r, err := Deploy(t.Context(), cfg, m.clients(), Report{})
		var undone *RolledBackError
		if !errors.As(err, &undone) || undone.Undone == nil || !strings.Contains(undone.Undone.Error(), "it refuses") || undone.To != 1 || r.Rollback.Passed {
			t.Errorf("got %v", err)
		}
		if got := states(t, m); got != "failed failed passed" {
			t.Errorf("revisions %q", got)
		}
	})
}

// A rollback asks for its permissions, too, before it takes the lock.
func TestARollbackThatMayNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []string
		m := newMemory("a", &log)
		for _, image := range []string{v1, v2} {
			if _, err := ship(t, m, image, ""); err != nil {
				t.Fatal(err)
			}
		}
		cfg := shipping(t, v1)
		cfg.Namespace, m.lacks, log = "dev", "Deployment", nil
		_, err := Rollback(t.Context(), cfg, m.clients(), 0)
		var stage *StageError
		if !errors.As(err, &stage) || !stage.Preflight || !strings.Contains(err.Error(), "resources: [deployments], verbs: [patch]") || len(log) > 0 {
			t.Errorf("got %v, %q", err, log)
		}
	})
}

// Going back by hand: to the one before what is in force, or to the one that is named.
func TestRollback(t *testing.T) {
	for name, c := range map[string]struct {
		to    int
		image string
		err   string
	}{
		"to the one before":          {0, v2, ""},
		"to a number":                {1, v1, ""},
		"to one that did not pass":   {4, v3, "going back to revision 4: its gate has not passed"},
		"to one that is not there":   {9, v3, "going back to revision 9: it is not among the 5 that are kept"},
		"to one before that history": {-1, v3, "there is no earlier release"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory("a", new([]string))
				images := []string{v1, v2, v3, bad}
				if c.to < 0 {
					images, c.to = []string{v3}, 0
				}
				for _, image := range images {
					if _, err := ship(t, m, image, ""); err != nil && image != bad {
						t.Fatal(err)
					}
				}
				cfg := shipping(t, v1)
				cfg.Namespace = "dev"
				r, err := Rollback(t.Context(), cfg, m.clients(), c.to)
				if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %v, want %q", err, c.err)
				}
				if got := m.image(); got != c.image {
					t.Errorf("%s runs, want %s", got, c.image)
				}
				if err == nil && (r.Result != Passed || r.Rollback == nil || r.Rollback.Gate == nil) {
					t.Errorf("report: %s, %+v", r.Result, r.Rollback)
				}
			})
		})
	}
}

// A deploy that is told to end in its gate leaves the lock free and says where it was;
// run again, it goes on.
func TestAnInterruptedDeployIsTakenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory("a", new([]string))
		ctx, cancel := context.WithCancel(t.Context())
		cfg := shipping(t, v1)
		cfg.Observe = func(e event.Event) {
			if e.Stage == "gate" && e.Kind == event.Start {
				cancel()
			}
		}
		r, err := Deploy(ctx, cfg, m.clients(), Report{})
		if err == nil || r.Result != Interrupted {
			t.Fatalf("got %v, %s", err, r.Result)
		}
		if got := states(t, m); got != "interrupted" {
			t.Errorf("revisions %q", got)
		}
		if _, err := ship(t, m, v1, ""); err != nil {
			t.Fatal(err)
		}
		if got := states(t, m); got != "passed interrupted" {
			t.Errorf("revisions %q", got)
		}
	})
}
