// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/experiment"
	"github.com/outlast-ci/outlast/lab/internal/experiment/plan"
	"github.com/outlast-ci/outlast/lab/internal/labstate"
)

// TestExperiment is the short form of `make experiment`: one rollout with a
// readiness gate only, one with what outlast computes from its documented
// planning values, in real time and at once.
func TestExperiment(t *testing.T) {
	dir, err := labstate.DefaultDir(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	lab, err := labstate.Load(dir)
	if err != nil || !lab.Started {
		t.Fatalf("the lab is not up; run these tests by `make e2e`: %v", err)
	}
	settings := slices.DeleteFunc(plan.Main(1, 1), func(s plan.Setting) bool { return s.Name != "b" && s.Name != "d" })
	started := time.Now()
	e, err := experiment.Run(t.Context(), experiment.Options{
		State: lab, Product: "../..", Dir: filepath.Join(t.TempDir(), "web"), Settings: settings, Hurry: true, Log: t.Logf,
		Late: 0.1, // of so few requests one stall of a busy machine makes more than a hundredth late; what fails must be in the access log all the same
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("took %.0f s", time.Since(started).Seconds())
	gate, _ := e.Of("b")
	if gate.Failed == 0 || gate.Causes["502 connect-reset"] == 0 || gate.Causes["504 connect-timeout"] == 0 {
		t.Errorf("with a readiness gate and no preStop %d of %d requests failed (%v): this test could not see a loss", gate.Failed, gate.Requests, gate.Causes)
	}
	computed, _ := e.Of("d")
	if computed.Failed != 0 || computed.Logged != 0 || computed.MinHealthy < e.Replicas {
		t.Errorf("with what outlast computes %d of %d requests failed, %d by the access log (%v), and %d targets were healthy at one moment",
			computed.Failed, computed.Requests, computed.Logged, computed.Causes, computed.MinHealthy)
	}
	if computed.Timings != (plan.Timings{GracePeriod: 75, PreStop: 65, DeregistrationDelay: 40, MinReady: 15}) {
		t.Errorf("timings %+v are not those that docs/timings.md has for requests of 5 s", computed.Timings)
	}
	for _, r := range e.Results {
		if r.Load.Achieved < 50 || r.Load.Slow*10 < r.Requests || r.Load.Fresh == 0 || r.Load.Reused == 0 {
			t.Errorf("%s: this was not the load that was asked for: %+v", r.Title, r.Load)
		}
	}
}
