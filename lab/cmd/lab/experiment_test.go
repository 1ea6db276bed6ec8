// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/experiment"
	"github.com/outlast-ci/outlast/lab/internal/experiment/plan"
)

// A run on a busy machine once replaced the results that documents quote.
func TestOnlyARunThatSaysSomethingReplacesWhatIsKept(t *testing.T) {
	begin := time.Date(2026, 11, 29, 4, 0, 0, 0, time.UTC)
	valid := experiment.Experiment{Rate: 60, Replicas: 2, Results: []experiment.Result{{
		Setting: plan.Setting{Name: "b", Title: "gate only", Kind: plan.Gate, Propagation: plan.Measured}, Timings: plan.Nothing(), Requests: 1800,
		Rollouts: []experiment.Rollout{{Started: begin, Ended: begin.Add(time.Minute), Requests: 1800}},
	}}}
	invalid := valid
	invalid.Results = append([]experiment.Result{{Setting: plan.Setting{Name: "d", Title: "outlast render", Kind: plan.Computed}, Invalid: "too busy"}}, valid.Results...)
	for name, tt := range map[string]struct {
		run      experiment.Experiment
		err      error
		replaces bool
		want     string // in the error
	}{
		"all is valid":            {valid, nil, true, ""},
		"a setting is invalid":    {invalid, fmt.Errorf("outlast render: %w: too busy", experiment.ErrInvalid), false, "stays as it was"},
		"a setting lost too much": {valid, errors.New("gate only: it must lose none, and lost 3"), true, "must lose none"},
	} {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			aside := filepath.Join(out, unfinished)
			write := func(path, text string) {
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			kept := []string{resultsFile, "table.md", "log.txt", "rollouts.svg", "rollouts.png"}
			for _, f := range kept {
				write(filepath.Join(out, f), "old")
			}
			write(filepath.Join(aside, "log.txt"), "new log")
			err := conclude(tt.run, tt.err, out)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ended with %v", err)
			}
			at := map[bool]string{true: out, false: aside}[tt.replaces]
			for _, f := range kept {
				old, err := os.ReadFile(filepath.Join(out, f))
				if err != nil || (string(old) != "old") != tt.replaces {
					t.Errorf("%s is replaced: %t, %v", f, string(old) != "old", err)
				}
				if fresh, err := os.ReadFile(filepath.Join(at, f)); err != nil || string(fresh) == "old" {
					t.Errorf("%s of this run: %.20s, %v", f, fresh, err)
				}
			}
			if _, err := os.Stat(aside); (err == nil) == tt.replaces {
				t.Errorf("the folder beside: %v", err)
			}
		})
	}
}

// A run is gone on with from where it is kept, and its log with it.
func TestGoingOnReadsTheLastRun(t *testing.T) {
	write := func(dir, name, text string) {
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	out := t.TempDir()
	aside := filepath.Join(out, unfinished)
	if _, err := goOn(out, aside); err == nil || !strings.Contains(err.Error(), "run it first") {
		t.Errorf("nothing is there: %v", err)
	}
	write(out, resultsFile, `{"rate": 60}`)
	write(out, logFile, "kept")
	kept, err := goOn(out, aside)
	log, readErr := os.ReadFile(filepath.Join(aside, logFile))
	if err != nil || kept.Rate != 60 || readErr != nil || string(log) != "kept" {
		t.Errorf("%+v, %v; the log beside: %q, %v", kept, err, log, readErr)
	}
	write(aside, resultsFile, `{"rate": 61}`)
	write(aside, logFile, "invalid")
	kept, err = goOn(out, aside)
	if log, _ := os.ReadFile(filepath.Join(aside, logFile)); err != nil || kept.Rate != 61 || string(log) != "invalid" {
		t.Errorf("%+v, %v, %q", kept, err, log)
	}
}
