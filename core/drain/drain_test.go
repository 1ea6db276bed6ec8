// SPDX-License-Identifier: Apache-2.0

package drain

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func sec(n int) time.Duration { return time.Duration(n) * time.Second }

// TestWorkedValues is the table of worked values at the planning values L=5,
// P=30, M=5, S=5, J=15: deregistration delay, preStop, grace.
func TestWorkedValues(t *testing.T) {
	type row = [3]Seconds
	for r, want := range map[int]struct{ graceful, abrupt, strict row }{
		5:   {row{40, 40, 55}, row{40, 45, 55}, row{40, 65, 75}},
		10:  {row{45, 40, 60}, row{45, 50, 60}, row{45, 70, 80}},
		30:  {row{65, 40, 80}, row{65, 70, 80}, row{65, 90, 100}},
		60:  {row{95, 40, 110}, row{95, 100, 110}, row{95, 120, 130}},
		300: {row{335, 40, 350}, row{335, 340, 350}, row{335, 360, 370}},
		900: {row{935, 40, 950}, row{935, 940, 950}, row{935, 960, 970}},
	} {
		for name, tc := range map[string]struct {
			mode Mode
			app  App
			want row
		}{
			"fast graceful":   {Fast, Graceful, want.graceful},
			"fast abrupt":     {Fast, Abrupt, want.abrupt},
			"strict graceful": {Strict, Graceful, want.strict},
			"strict abrupt":   {Strict, Abrupt, want.strict},
		} {
			t.Run(fmt.Sprintf("R=%d %s", r, name), func(t *testing.T) {
				in := Defaults()
				in.Request, in.Mode, in.App = sec(r), tc.mode, tc.app
				p, err := Solve(in)
				if err != nil {
					t.Fatal(err)
				}
				if got := (row{p.DeregistrationDelay, p.PreStop, p.GracePeriod}); got != tc.want || p.Mode != tc.mode {
					t.Errorf("got %v in mode %s, want %v", got, p.Mode, tc.want)
				}
			})
		}
	}
}

func TestModeFollowsTheCap(t *testing.T) {
	for name, tc := range map[string]struct {
		request int
		delay   Seconds
		app     App
		want    Mode
		warns   bool
	}{
		"R=50 just fits strict":                     {50, 0, Abrupt, Strict, false},
		"R=51 does not":                             {51, 0, Abrupt, Fast, false},
		"R=70 just fits fast":                       {70, 0, Graceful, Fast, false},
		"R=71 fits neither and is warned about":     {71, 0, Graceful, Fast, true},
		"an author's delay of 300 is too much":      {5, 300, Graceful, Fast, false},
		"an author's shorter delay changes nothing": {50, 10, Abrupt, Strict, false},
	} {
		t.Run(name, func(t *testing.T) {
			in := Defaults()
			in.Request, in.App, in.Floor.DeregistrationDelay = sec(tc.request), tc.app, tc.delay
			p, err := Solve(in)
			if err != nil {
				t.Fatal(err)
			}
			warned := false
			for _, f := range p.Findings {
				warned = warned || f.Inequality == "F15"
			}
			if p.Mode != tc.want || warned != tc.warns {
				t.Errorf("mode %s, F15 warned %v (grace %s), want %s, %v", p.Mode, warned, p.GracePeriod, tc.want, tc.warns)
			}
		})
	}
}

// TestSeedValues: 50/40/35, found by hand, hold at the planning values for no
// request time at all, and for 13 s at the measured L and P.
func TestSeedValues(t *testing.T) {
	seed := Given{DeregistrationDelay: 35, PreStop: 40, GracePeriod: 50}
	margin := func(in Inputs, id string) float64 {
		t.Helper()
		margins, _, err := Check(seed, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range margins {
			if m.ID == id {
				return m.Seconds
			}
		}
		t.Fatalf("no margin %s", id)
		return 0
	}
	in := Defaults()
	in.App, in.Request = Graceful, 0
	for id, want := range map[string]float64{"F1": 0, "F2": 0, "F4": 0, "strict": -20} {
		if got := margin(in, id); got != want {
			t.Errorf("R=0: margin of %s is %g, want %g", id, got, want)
		}
	}
	in.ControllerLatency, in.Propagation, in.Request = sec(2), sec(17), sec(13)
	for id, want := range map[string]float64{"F1": 16, "F2": 0, "F3": 3, "F4": 0} {
		if got := margin(in, id); got != want {
			t.Errorf("L=2, P=17, R=13: margin of %s is %g, want %g", id, got, want)
		}
	}
	in.Request = sec(14)
	if got := margin(in, "F2"); got != -1 {
		t.Errorf("R=14: margin of F2 is %g, want -1", got)
	}
}

func TestGateTime(t *testing.T) {
	in := Defaults()
	in.Mode, in.App, in.Replicas, in.Surge = Fast, Graceful, 10, 3
	p, err := Solve(in)
	if err != nil {
		t.Fatal(err)
	}
	if p.MinReady != 15 || p.GateTimeoutLowerBound != 450 || p.GateTimeout != 680 {
		t.Errorf("minReady %s, gate %s to %s, want 15s, 450s, 680s", p.MinReady, p.GateTimeoutLowerBound, p.GateTimeout)
	}
	in.NoGate = true
	if p, _ := Solve(in); p.MinReady != 40 { // F11: 5 + 10 + 15 + 5 + 5
		t.Errorf("without readiness gates minReady is %s, want 40s", p.MinReady)
	}
}

func TestSolveRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Inputs)
		want   string
	}{
		"a delay that a target group cannot have": {func(in *Inputs) { in.Request = sec(3566) }, "at most 3600s"},
		"an author's delay over the limit":        {func(in *Inputs) { in.Floor.DeregistrationDelay = 3601 }, "more than a target group takes"},
		"a negative time":                         {func(in *Inputs) { in.Margin = -1 }, "M = -1ns is not between"},
		"an absurd time":                          {func(in *Inputs) { in.Shutdown = 1<<63 - 1 }, "S = "},
		"too many replicas":                       {func(in *Inputs) { in.Replicas = 1 << 40 }, "N = "},
		"an unknown mode":                         {func(in *Inputs) { in.Mode = "lazy" }, `mode "lazy"`},
		"an unknown application":                  {func(in *Inputs) { in.App = "" }, `application ""`},
	} {
		t.Run(name, func(t *testing.T) {
			in := Defaults()
			tc.change(&in)
			if _, err := Solve(in); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
	in := Defaults()
	in.Request = sec(3565)
	if _, err := Solve(in); err != nil {
		t.Errorf("a delay of exactly 3600s is refused: %v", err)
	}
}

func TestSet(t *testing.T) {
	in := Defaults()
	for symbol, value := range map[string]string{"R": "90", "P": "12s", "J": "1.5", "cap": "2m", "N": "4", "S_sc": "0"} {
		if err := in.Set(symbol, value); err != nil {
			t.Errorf("%s=%s: %v", symbol, value, err)
		}
	}
	if in.Request != sec(90) || in.Propagation != sec(12) || *in.Jitter != 1500*time.Millisecond || in.Cap != sec(120) || in.Replicas != 4 {
		t.Errorf("set to %+v", in)
	}
	for symbol, value := range map[string]string{"R": "soon", "N": "2.5", "Z": "1", "J": ""} {
		if err := in.Set(symbol, value); err == nil {
			t.Errorf("%s=%q is accepted", symbol, value)
		}
	}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var back Inputs
	if err := json.Unmarshal(text, &back); err != nil || back.Request != in.Request || *back.Jitter != *in.Jitter || back.Replicas != 4 {
		t.Errorf("inputs after JSON: %+v, %v", back, err)
	}
}

func ExampleSolve() {
	in := Defaults()
	in.Request, in.App = 30*time.Second, Graceful
	p, err := Solve(in)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s: grace %s > preStop %s > deregistration delay %s\n", p.Mode, p.GracePeriod, p.PreStop, p.DeregistrationDelay)
	// Output: strict: grace 100s > preStop 90s > deregistration delay 65s
}
