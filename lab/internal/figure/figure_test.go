// SPDX-License-Identifier: Apache-2.0

package figure

import (
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/experiment"
	"github.com/outlast-ci/outlast/lab/internal/experiment/observe"
	"github.com/outlast-ci/outlast/lab/internal/experiment/plan"
)

func sample() experiment.Experiment {
	begin := time.Date(2026, 11, 29, 4, 0, 0, 0, time.UTC)
	pod := observe.Story{Pod: observe.Pod{Created: begin, Ready: begin.Add(time.Second), Deleted: begin.Add(9 * time.Second)}, Draining: begin.Add(10 * time.Second), LastRequest: begin.Add(20 * time.Second)}
	lossy := experiment.Result{
		Setting: plan.Setting{Name: "b", Title: "(b) readiness gate only", Kind: plan.Gate, Propagation: "10s-17s"}, Timings: plan.Timings{GracePeriod: -1, PreStop: -1, DeregistrationDelay: -1},
		Rollouts: []experiment.Rollout{{Started: begin, Ended: begin.Add(30 * time.Second), Requests: 1800, Failed: 446, Pods: []observe.Story{pod},
			Seconds: []observe.Second{{At: 3, Requests: 60, Failed: map[string]int{"502 connect-reset": 20, "460 client-gone": 1}}}}},
	}
	point := lossy
	point.Kind, point.Name, point.Timings = plan.Shorter, "m05", plan.Timings{GracePeriod: 25, PreStop: 5, DeregistrationDelay: 40}
	cut := point
	cut.Kind, cut.Name, cut.Timings = plan.Delayed, "delay-m10", plan.Timings{GracePeriod: 55, PreStop: 40, DeregistrationDelay: 10}
	fast := lossy
	fast.Name, fast.Timings, fast.Failed = "dfast", plan.Timings{GracePeriod: 55, PreStop: 40, DeregistrationDelay: 40}, 7
	return experiment.Experiment{Rate: 60, Replicas: 2, SlowSeconds: 5, Results: []experiment.Result{lossy, point, cut, fast}}
}

func TestPicturesAreDrawnInBothForms(t *testing.T) {
	tests := map[string]struct {
		draw func(experiment.Experiment, string) error
		want []string
	}{
		"rollouts":    {Rollouts, []string{"(b) readiness gate only", "446 of 1800 requests failed", "nodes of the balancer go on sending for 10 to 17 s", "old pod 1"}},
		"loss curve":  {Curve, []string{"preStop, seconds", "nodes go on sending for 10 to 17 s", ">500<", ">P = 17 s<", "fast mode: preStop 40 s", "7 failed in 1 rollouts"}},
		"delay curve": {DelayCurve, []string{"deregistration delay, seconds", ">P + R = 22 s<", "outlast render: deregistration delay 40 s", "7 failed in 1 rollouts"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "picture")
			if err := tt.draw(sample(), path); err != nil {
				t.Fatal(err)
			}
			svg, err := os.ReadFile(path + ".svg")
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range append(tt.want, "sans-serif") {
				if !strings.Contains(string(svg), want) {
					t.Errorf("%q is not in the SVG", want)
				}
			}
			for d := xml.NewDecoder(strings.NewReader(string(svg))); err == nil; {
				_, err = d.Token()
			}
			if !errors.Is(err, io.EOF) {
				t.Errorf("the SVG is no XML: %v", err)
			}
			f, err := os.Open(path + ".png")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if img, err := png.Decode(f); err != nil || img.Bounds().Dx() < 1000 {
				t.Errorf("the PNG: %v", err)
			}
		})
	}
}

func TestNothingIsDrawnOfNothing(t *testing.T) {
	invalid := sample()
	for i := range invalid.Results {
		invalid.Results[i].Invalid = "too busy"
	}
	for name, draw := range map[string]func(experiment.Experiment, string) error{"rollouts": Rollouts, "curve": Curve, "delay curve": DelayCurve} {
		if err := draw(invalid, filepath.Join(t.TempDir(), "picture")); err == nil {
			t.Errorf("%s: a picture of invalid results was drawn", name)
		}
	}
}
