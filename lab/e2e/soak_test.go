// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"cmp"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/labstate"
	"github.com/outlast-ci/outlast/lab/internal/soak"
	"github.com/outlast-ci/outlast/lab/internal/soak/book"
)

// TestSoak is a sample of `make soak`: SOAK_SEED=N says which, else the day does.
func TestSoak(t *testing.T) {
	text := cmp.Or(os.Getenv("SOAK_SEED"), time.Now().UTC().Format("20060102"))
	dir, err := labstate.DefaultDir(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	lab, err := labstate.Load(dir)
	if err != nil || !lab.Started {
		t.Fatalf("the lab is not up; run these tests by `make e2e`: %v", err)
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	day := rand.New(rand.NewPCG(seed, 1))
	one := func(of ...string) string { return of[day.IntN(len(of))] }
	counts := map[string]int{one("good", "probe-good"): 1, one(soak.RolledBack()...): 1, "kill": 1, "legacy-handover": 1}
	t.Logf("SOAK_SEED=%d: %v", seed, counts)
	out := t.TempDir()
	// The controller's own pace stays as it is: the other tests use it, too.
	all, err := soak.Run(t.Context(), soak.Options{
		State: lab, Product: "../..", Dir: filepath.Join(out, "work"), Out: out, Profile: soak.Fast, Seed: seed, Counts: counts, Log: t.Logf,
	})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := soak.Plan(soak.Fast, seed, counts)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range book.Rows(soak.Asked(plan), all) {
		if !row.Holds() {
			t.Errorf("%s: of %d trials %d passed and %d failed", row.Kind, row.Trials, row.Passed, row.Failed)
		}
	}
	for _, r := range all {
		if r.Verdict == book.Failed {
			t.Errorf("%s: %q; requests: %q", r.ID, r.Why, r.Failures)
		}
	}
}
