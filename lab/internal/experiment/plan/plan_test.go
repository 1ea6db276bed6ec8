// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func all() []Setting {
	return append(append(Main(20, 3), Curve(3)...), DelayCurve(3)...)
}

func TestEachSettingHasANamespaceABalancerAndAnExpectation(t *testing.T) {
	names := map[string]bool{}
	for _, s := range all() {
		if names[s.Name] {
			t.Errorf("two settings have the namespace %s", s.Name)
		}
		names[s.Name] = true
		if least, most := s.nodes(); most <= least || s.Expect == "" || s.Title == "" || s.Rollouts == 0 || s.Slow() == 0 {
			t.Errorf("%+v", s)
		}
	}
	for _, name := range []string{"d", "d30", "dfast", "dover", "a", "b", "c", "c30", "c15", "nomin", "m00", "p60", "delay-m05", "delay-p40"} {
		if !names[name] {
			t.Errorf("there is no setting %s", name)
		}
	}
	if len(names) != 10+2*13+2*8 {
		t.Errorf("%d settings", len(names))
	}
}

// What must come of the curves: at the edge the draws of the nodes decide.
func TestTheFormulasSayWhereALossEnds(t *testing.T) {
	got := map[string]string{}
	for _, s := range append(Curve(1), DelayCurve(1)...) {
		got[string(s.Kind)+" "+s.Propagation] += map[Expect]string{Loses: "x", Either: "?", None: "."}[s.Expect]
	}
	want := map[string]string{
		"shorter " + Measured: "xx??.........", // 0, 5, 10, ... 60
		"shorter " + Planned:  "xx?????......",
		"delayed " + Measured: "xx??....", // 5, 10, ... 40
		"delayed " + Planned:  "xx?????.",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestAnEstimate(t *testing.T) {
	strict, bare := Timings{75, 65, 40, 15}, Nothing()
	for name, tt := range map[string]struct {
		setting Setting
		timings Timings
		want    time.Duration
	}{
		// Runs took 1,775, 84 and 151 s.
		"20 rollouts of (d)":                    {Setting{Kind: Computed, Propagation: Planned, Rollouts: 20}, strict, 1875 * time.Second},
		"3 of (b)":                              {Setting{Kind: Gate, Propagation: Measured, Rollouts: 3}, bare, 96 * time.Second},
		"3 of (c)":                              {Setting{Kind: Written, Propagation: Planned, Rollouts: 3}, Timings{50, 40, 35, Unwritten}, 174 * time.Second},
		"the last request comes late":           {Setting{Kind: Computed, Propagation: Over, Latency: 4.2, Rollouts: 1}, Timings{55, 40, 40, 15}, 94 * time.Second},
		"a point does not wait for its targets": {Setting{Kind: Shorter, Propagation: Measured, Rollouts: 1}, Timings{20, 0, 40, 15}, 57 * time.Second},
	} {
		if got := tt.setting.Takes(tt.timings); got != tt.want {
			t.Errorf("%s take %s, want %s", name, got, tt.want)
		}
	}
	takes := []time.Duration{10, 4, 4, 3, 2}
	for parallel, want := range map[int]time.Duration{1: 23, 2: 12, 5: 10, 9: 10} {
		if got := Estimate(takes, parallel); got != want {
			t.Errorf("%d at a time: %d, want %d", parallel, got, want)
		}
	}
}
