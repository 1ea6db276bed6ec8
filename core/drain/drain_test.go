// SPDX-License-Identifier: Apache-2.0

package drain

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/core/drain/timeline"
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

// TestProfiles are the worked values of other balancers and slower controllers.
func TestProfiles(t *testing.T) {
	for name, tc := range map[string]struct {
		balancer Balancer
		mode     Mode
		app      App
		set      string
		want     Given // D, X, G
	}{
		"NLB":                                 {NLB, Fast, Graceful, "R=30", Given{185, 160, 200}},
		"NLB, strict":                         {NLB, Strict, Graceful, "R=30", Given{185, 210, 220}},
		"NLB, faster, as its user says":       {NLB, Fast, Graceful, "R=30 P=17", Given{52, 27, 67}},
		"NLB, slower":                         {NLB, Fast, Graceful, "R=30 P=180", Given{215, 190, 230}},
		"instance targets":                    {Instance, Fast, Graceful, "R=30", Given{300, 70, 110}},
		"instance targets, abrupt and auto":   {Instance, Auto, Abrupt, "R=10", Given{300, 70, 90}},
		"instance targets, measured":          {Instance, Auto, Abrupt, "X_node=100", Given{300, 100, 140}},
		"conservative":                        {ALB, Fast, Graceful, "R=30 P=50", Given{85, 60, 100}},
		"failover of the controller":          {ALB, Fast, Graceful, "R=30 L=120", Given{65, 155, 195}},
		"a busy controller":                   {ALB, Fast, Graceful, "R=30 n_tgb_queued=20 n_calls=40", Given{65, 48, 88}}, // L = 5 + 3 + 5
		"connections cut at 10 minutes":       {ALB, Fast, Graceful, "R=7200 R_cut=600", Given{635, 40, 650}},
		"no margin leaves 5 s after the hook": {ALB, Fast, Abrupt, "R=30 M=0 S=0", Given{60, 65, 70}},
		"a queue of bindings alone":           {ALB, Fast, Graceful, "R=30 n_tgb_queued=100", Given{65, 55, 95}}, // L = 5 + 15
		"the 21st call waits for a quarter":   {ALB, Fast, Graceful, "R=30 n_calls=21", Given{65, 41, 81}},
		"20 calls do not":                     {ALB, Fast, Graceful, "R=30 n_calls=20", Given{65, 40, 80}},
		"fractions are rounded up once":       {ALB, Fast, Graceful, "R=30.2 S=4.7 P=30.5", Given{66, 41, 81}},
	} {
		t.Run(name, func(t *testing.T) {
			in := DefaultsFor(tc.balancer)
			in.Mode, in.App = tc.mode, tc.app
			set(t, &in, tc.set)
			p, err := Solve(in)
			if err != nil {
				t.Fatal(err)
			}
			if p.Given() != tc.want {
				t.Errorf("got %+v, want %+v", p.Given(), tc.want)
			}
		})
	}
	nlb, beside := DefaultsFor(NLB), Defaults()
	beside.Groups = []Group{{Balancer: NLB}}
	if p, _ := Solve(beside); p.DeregistrationDelay != 185 {
		t.Errorf("an NLB among an ALB's has a delay of %s", p.DeregistrationDelay)
	}
	beside.Propagation = sec(200) // which an NLB is no faster than
	if p, _ := Solve(beside); p.DeregistrationDelay != 235 {
		t.Errorf("an NLB among an ALB's of P = 200 has a delay of %s", p.DeregistrationDelay)
	}
	if p, _ := Solve(nlb); nlb.Registration != sec(180) || nlb.HealthInterval != sec(10) || nlb.UnhealthyCount != 3 || p.Inputs.Propagation != sec(150) {
		t.Errorf("the planning values of an NLB are %+v", nlb)
	}
}

func set(t *testing.T, in *Inputs, symbols string) {
	t.Helper()
	for item := range strings.FieldsSeq(symbols) {
		symbol, value, _ := strings.Cut(item, "=")
		if err := in.Set(symbol, value); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGroups: preStop and grace are the largest that a group needs, the delay is
// each one's own.
func TestGroups(t *testing.T) {
	long, short, zero := Seconds(300), Seconds(10), Seconds(0)
	type delays = []GroupPlan
	for name, tc := range map[string]struct {
		groups []Group
		mode   Mode
		want   Given
		delays delays
	}{
		"an ALB and an NLB":                        {[]Group{{Name: "a"}, {Name: "n", Balancer: NLB}}, Fast, Given{185, 160, 200}, delays{{"a", 65, false}, {"n", 185, false}}},
		"a long delay stays, and counts in strict": {[]Group{{Name: "a", Delay: &long}, {Name: "b", Delay: &short}, {Name: "c", Delay: &zero}}, Strict, Given{300, 325, 335}, delays{{"a", 300, false}, {"b", 65, false}, {"c", 65, false}}},
		"a delay that is not written is no floor":  {[]Group{{Name: "a"}}, Strict, Given{65, 90, 100}, delays{{"a", 65, false}}},
		"instance targets beside pods":             {[]Group{{Name: "a"}, {Name: "i", Balancer: Instance}}, Auto, Given{300, 70, 110}, delays{{"a", 65, false}, {"i", 300, true}}},
		"an instance group's delay is left alone":  {[]Group{{Name: "i", Balancer: Instance, Delay: &zero}}, Auto, Given{0, 70, 110}, delays{{"i", 0, true}}},
	} {
		t.Run(name, func(t *testing.T) {
			in := Defaults()
			in.App, in.Mode, in.Groups = Graceful, tc.mode, tc.groups
			p, err := Solve(in)
			if err != nil {
				t.Fatal(err)
			}
			slow := slices.ContainsFunc(tc.groups, func(g Group) bool { return g.Balancer == NLB })
			if got := p.Inputs.MaxPropagation(); slow != (got == sec(150)) || !slow && got != sec(30) {
				t.Errorf("the largest P is %s", got)
			}
			if p.Given() != tc.want || !slices.Equal(p.Groups, tc.delays) {
				t.Errorf("got %+v, %+v, want %+v, %+v", p.Given(), p.Groups, tc.want, tc.delays)
			}
		})
	}
}

// TestGroupsOfOtherKinds: what a group leaves open is the default of its kind; many
// of them take turns in J; and the floor of a single group's delay is not theirs.
func TestGroupsOfOtherKinds(t *testing.T) {
	in := Defaults()
	in.App, in.Mode, in.HealthInterval, in.IdleTimeout, in.KeepAlive = Graceful, Fast, sec(40), sec(100), ptr(sec(90))
	in.Groups = []Group{{Name: "a"}, {Name: "i", Balancer: Instance}, {Name: "n", Balancer: NLB}, {Name: "own", HealthInterval: sec(5), IdleTimeout: sec(60)}}
	in.Floor.DeregistrationDelay = 500
	p, err := Solve(in)
	if err != nil {
		t.Fatal(err)
	}
	where := map[string]string{}
	for _, f := range p.Findings {
		where[f.Inequality] += f.Object
	}
	if where["F16"] != "ai" || where["F6"] != "ai" { // 85 s of backstop and I = 100 s, but of the NLB 40 s, and no HTTP
		t.Errorf("findings at %v", where)
	}
	if p.Groups[0].DeregistrationDelay != 65 {
		t.Errorf("the delay is %s", p.Groups[0].DeregistrationDelay)
	}
	in.Groups = make([]Group, 8)
	for _, m := range must(t, in).Margins {
		if m.ID == "strict" && m.Need != 5+65+(9+1.2*8)+5 {
			t.Errorf("the strict relation of 8 groups needs %g s", m.Need)
		}
	}
}

func must(t interface {
	Helper()
	Fatal(...any)
}, in Inputs) Plan {
	t.Helper()
	p, err := Solve(in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestFloor: what the author wrote stays when it is long enough.
func TestFloor(t *testing.T) {
	zero, long := Seconds(0), Seconds(100)
	for name, tc := range map[string]struct {
		change func(*Inputs)
		want   Given
	}{
		"nothing":                     {func(*Inputs) {}, Given{65, 40, 80}},
		"a longer preStop":            {func(in *Inputs) { in.Floor.PreStop = 90 }, Given{65, 90, 100}},
		"a longer grace":              {func(in *Inputs) { in.Floor.GracePeriod = 120 }, Given{65, 40, 120}},
		"another container's hook":    {func(in *Inputs) { in.LongerHook = 90 }, Given{65, 40, 100}},
		"a shorter one of another":    {func(in *Inputs) { in.LongerHook = 30 }, Given{65, 40, 80}},
		"one behind instance targets": {func(in *Inputs) { in.LongerHook, in.Balancer = 90, Instance }, Given{300, 70, 130}},
		"a written 0 is too short":    {func(in *Inputs) { in.Delay = &zero }, Given{65, 40, 80}},
		"a longer delay":              {func(in *Inputs) { in.Delay = &long }, Given{100, 40, 80}},
		"a written 0 is left to AWS":  {func(in *Inputs) { in.Delay, in.Balancer = &zero, Instance }, Given{0, 70, 110}},
		"and so is what is not there": {func(in *Inputs) { in.Balancer = Instance }, Given{300, 70, 110}},
	} {
		t.Run(name, func(t *testing.T) {
			in := Defaults()
			in.Mode, in.App = Fast, Graceful
			tc.change(&in)
			if p, err := Solve(in); err != nil || p.Given() != tc.want {
				t.Errorf("got %+v, %v, want %+v", p.Given(), err, tc.want)
			}
		})
	}
}

// TestLongerHook: each container ends by its own hook, so F1 and strict are of the
// shortest, and the grace has to cover the longest, by F4 and F5.
func TestLongerHook(t *testing.T) {
	in := Defaults()
	in.LongerHook = 300
	p := must(t, in)
	if want := (Given{65, 90, 310}); p.Given() != want || p.Mode != Strict {
		t.Fatalf("%s %+v, want strict %+v", p.Mode, p.Given(), want)
	}
	want := map[string]float64{"F1": 50, "strict": 0, "F4": 0, "F5": 5}
	for _, m := range p.Margins {
		if margin, ok := want[m.ID]; ok && m.Seconds != margin {
			t.Errorf("margin of %s: %v, want %v", m.ID, m.Seconds, margin)
		}
		delete(want, m.ID)
	}
	if len(want) > 0 {
		t.Errorf("no margins of %v", want)
	}
	for request, fix := range map[int]string{
		30: "set the longest preStop to 90s and it to 100s, which are enough",
		90: "the longest request that fits a cap of 120s is 70s (in strict mode 50s): let none take longer",
	} {
		long := in
		long.Request = sec(request)
		p := must(t, long)
		if i := slices.IndexFunc(p.Findings, func(f Finding) bool { return f.Inequality == "F15" }); i < 0 || !strings.HasPrefix(p.Findings[i].Fix, fix) {
			t.Errorf("R=%d: findings %+v, want F15 with %q", request, p.Findings, fix)
		}
	}
	if end := Predict(p, Strategy{Kind: timeline.Rolling, Surge: 1}).Pod; end.Term != 90 || end.Exit != 305 || end.Kill != 310 {
		t.Errorf("the old pod's end is predicted as %+v, want SIGTERM at 90, exit at 305, SIGKILL at 310", end)
	}
	in.Groups = []Group{{Delay: &p.DeregistrationDelay}}
	if less, err := Adopt(Given{65, 90, 309}, in); err != nil || !slices.Contains(curable(less.Findings), "F4") {
		t.Errorf("one second less of G breaks %v, %v; want F4", curable(less.Findings), err)
	}
}

func TestModeFollowsTheCap(t *testing.T) {
	for name, tc := range map[string]struct {
		request int
		delay   Seconds
		grace   Seconds
		app     App
		want    Mode
		warns   bool
	}{
		"R=50 just fits strict":                     {50, 0, 0, Abrupt, Strict, false},
		"R=51 does not":                             {51, 0, 0, Abrupt, Fast, false},
		"R=70 just fits fast":                       {70, 0, 0, Graceful, Fast, false},
		"R=71 fits neither and is warned about":     {71, 0, 0, Graceful, Fast, true},
		"an author's delay of 300 is too much":      {5, 300, 0, Graceful, Fast, false},
		"an author's grace of 300 is no reason":     {50, 0, 300, Abrupt, Strict, true},
		"nor for what strict's own is over, too":    {51, 0, 300, Abrupt, Fast, true},
		"an author's shorter delay changes nothing": {50, 10, 0, Abrupt, Strict, false},
	} {
		t.Run(name, func(t *testing.T) {
			in := Defaults()
			in.Request, in.App, in.Floor = sec(tc.request), tc.app, Given{DeregistrationDelay: tc.delay, GracePeriod: tc.grace}
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

// TestHandMadeValues: 50/40/35, found by hand, hold at the planning values for no
// request time at all, and for 13 s at the measured L and P.
func TestHandMadeValues(t *testing.T) {
	made := Given{DeregistrationDelay: 35, PreStop: 40, GracePeriod: 50}
	margin := func(in Inputs, id string) float64 {
		t.Helper()
		margins, _, err := Check(made, in)
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
	for name, tc := range map[string]struct {
		change                     func(*Inputs)
		ready, deadline, low, gate Seconds
	}{
		"no readiness gates: 5 + 10 + 15 + 5 + 5":          {func(in *Inputs) { in.NoGate = true }, 40, 600, 550, 680},
		"a longer minReadySeconds stays":                   {func(in *Inputs) { in.MinReady = 60 }, 60, 600, 630, 680},
		"a shorter deadline that is long enough stays":     {func(in *Inputs) { in.ProgressDeadline = 95 }, 15, 95, 450, 450},
		"a deadline that is too short does not":            {func(in *Inputs) { in.ProgressDeadline = 94 }, 15, 600, 450, 680},
		"one pod after the other: 10 * (90 + 80)":          {func(in *Inputs) { in.Surge = 0 }, 15, 600, 1790, 1790},
		"no room: each wave waits for old pods":            {func(in *Inputs) { in.Tight = true }, 15, 600, 770, 770},
		"slow start counts when there is no room":          {func(in *Inputs) { in.Tight, in.SlowStart = true, sec(30) }, 30, 600, 830, 830},
		"slow start alone does not":                        {func(in *Inputs) { in.SlowStart = sec(30) }, 15, 600, 450, 680},
		"running pods that take longer: 360 + 5 + 335 + 5": {func(in *Inputs) { in.Running = &Given{300, 320, 335} }, 15, 600, 705, 935},
		"running pods that take less change nothing":       {func(in *Inputs) { in.Running = &Given{10, 10, 30} }, 15, 600, 450, 680},
		"no room, and running pods of 335 s":               {func(in *Inputs) { in.Running, in.Tight = &Given{300, 320, 335}, true }, 15, 600, 2045, 2045},
		"the deadline is over minReadySeconds, whatever it is": {func(in *Inputs) {
			for _, d := range in.symbols().Durations {
				*d = 0
			}
			in.MinReady = 1000
		}, 1000, 1001, 4015, 4015},
		"the user's own gate timeout":                                 {func(in *Inputs) { in.GateTimeout = 500 }, 15, 600, 450, 500},
		"a deadline beyond the floor: 5 minutes to start":             {func(in *Inputs) { in.Start = sec(600) }, 15, 665, 2730, 2730},
		"an NLB registers in minutes: h 10, T_reg 180, 4 * 250 + 210": {func(in *Inputs) { *in = nlbOf(*in) }, 10, 600, 1210, 1210},
		"instance targets have nothing to wait for but the grace":     {func(in *Inputs) { in.Balancer = Instance }, 15, 600, 480, 710},
	} {
		t.Run(name, func(t *testing.T) {
			in := in
			tc.change(&in)
			p, err := Solve(in)
			if err != nil || p.MinReady != tc.ready || p.ProgressDeadline != tc.deadline || p.GateTimeoutLowerBound != tc.low || p.GateTimeout != tc.gate {
				t.Errorf("minReady %s, deadline %s, gate %s to %s, %v; want %s, %s, %s to %s", p.MinReady, p.ProgressDeadline, p.GateTimeoutLowerBound, p.GateTimeout, err, tc.ready, tc.deadline, tc.low, tc.gate)
			}
		})
	}
}

func nlbOf(in Inputs) Inputs {
	out := DefaultsFor(NLB)
	out.Mode, out.App, out.Replicas, out.Surge = in.Mode, in.App, in.Replicas, in.Surge
	return out
}

func TestSolveRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Inputs)
		want   string
		rule   string
	}{
		"a delay that a target group cannot have": {func(in *Inputs) { in.Request = sec(3566) }, "at most 3600s", "OL002"},
		"an author's delay over the limit":        {func(in *Inputs) { in.Floor.DeregistrationDelay = 3601 }, "a deregistration delay of 3601s is written, and a target group takes at most 3600s: write at most that", "OL002"},
		"a negative time":                         {func(in *Inputs) { in.Margin = -1 }, "M = -1ns is not between", ""},
		"an absurd time":                          {func(in *Inputs) { in.Shutdown = 1<<63 - 1 }, "S = ", ""},
		"too many replicas":                       {func(in *Inputs) { in.Replicas = 1 << 40 }, "N = ", ""},
		"an unknown mode":                         {func(in *Inputs) { in.Mode = "lazy" }, `mode "lazy"`, ""},
		"an unknown application":                  {func(in *Inputs) { in.App = "" }, `application ""`, ""},
		"an unknown balancer":                     {func(in *Inputs) { in.Balancer = "elb" }, `balancer "elb" is none of [alb nlb instance]`, ""},
		"an unknown balancer of a group":          {func(in *Inputs) { in.Groups = []Group{{Name: "web", Balancer: "gwlb"}} }, `target group web: balancer "gwlb"`, ""},
		"an unknown order":                        {func(in *Inputs) { in.Order = "first" }, `timeout order "first"`, ""},
		"more pods than can be added up":          {func(in *Inputs) { in.Replicas, in.Start, in.GatePoll = 10_000, sec(86400), sec(86400) }, "N = 10000 pods", ""},
		"an order without a request timeout":      {func(in *Inputs) { in.Order = AppFirst }, "A), which is not known: say what it is (--request-timeout)", "OL008"},
		"app-first with equal timeouts":           {func(in *Inputs) { in.Order, in.RequestTimeout = AppFirst, ptr(sec(60)) }, "A = 60s is not below the idle timeout I = 60s: lower A below 60s, or raise I to 61s or more", "OL008"},
		"balancer-first with A before I":          {func(in *Inputs) { in.Order, in.RequestTimeout = BalancerFirst, ptr(sec(30)) }, "I = 60s is not below the request timeout A = 30s: lower I below 30s, or raise A to 61s or more", "OL008"},
		"an order that no delay satisfies":        {func(in *Inputs) { in.Order, in.RequestTimeout = BalancerFirst, ptr(sec(3600)) }, "needs a deregistration delay of 3601s", "OL008"},
		"strict with instance targets":            {func(in *Inputs) { in.Mode, in.Balancer = Strict, Instance }, "use targets of type ip, or mode fast", "OL000"},
		"endless requests":                        {func(in *Inputs) { in.Request = sec(86400) }, "--set R_cut=3565", "OL002"},
		"no request is short enough":              {func(in *Inputs) { in.Propagation = sec(3596) }, "a smaller P or M: they are too long even for requests that take no time", "OL002"},
		"a group's delay over the limit":          {func(in *Inputs) { in.Groups = []Group{{Name: "web", Delay: ptr(Seconds(4000))}} }, "a deregistration delay of 4000s of web is written, and a target group takes at most 3600s", "OL002"},
	} {
		t.Run(name, func(t *testing.T) {
			in := Defaults()
			tc.change(&in)
			_, err := Solve(in)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
			// A refusal is a finding, too; a number out of its limits is a mistake.
			var refusal *Refusal
			if errors.As(err, &refusal) != (tc.rule != "") || tc.rule != "" && (refusal.Finding.Rule != tc.rule || refusal.Finding.Fix == "") {
				t.Errorf("%v, want a refusal by %q", refusal, tc.rule)
			}
		})
	}
	in := Defaults()
	in.Request = sec(3565)
	if _, err := Solve(in); err != nil {
		t.Errorf("a delay of exactly 3600s is refused: %v", err)
	}
}

func ptr[T any](v T) *T { return &v }

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
	was := in
	for symbol, value := range map[string]string{"R": "soon", "N": "2.5", "Z": "1", "J": "", "P": "-1", "K": "25h", "n_u": "10001"} {
		if err := in.Set(symbol, value); err == nil || !reflect.DeepEqual(in, was) {
			t.Errorf("%s=%q is accepted, or changes something: %v", symbol, value, err)
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

// TestUngated: what minReadySeconds has to be without readiness gates (F11).
func TestUngated(t *testing.T) {
	of := func(change func(*Inputs)) Inputs {
		in := Defaults()
		change(&in)
		return in
	}
	for want, in := range map[Seconds]Inputs{
		40:  Defaults(),
		210: DefaultsFor(NLB),
		0:   of(func(in *Inputs) { in.Balancer = Instance }),
		45: of(func(in *Inputs) {
			in.Groups = []Group{{HealthInterval: 20 * time.Second}, {HealthInterval: 10 * time.Second}}
		}),
		41: of(func(in *Inputs) { in.ControllerLatency = 5100 * time.Millisecond }),
	} {
		if got := in.Ungated(); got != want {
			t.Errorf("got %s, want %s of %+v", got, want, in)
		}
		longer := map[Seconds]Seconds{40: 70, 210: 360, 0: 0, 45: 75, 41: 71}[want] // by P
		if got := in.Rejoined(); got != longer {
			t.Errorf("rejoined after %s, want %s of %+v", got, longer, in)
		}
		if in.NoGate = true; want > 0 {
			if p, err := Solve(in); err != nil || p.MinReady != want {
				t.Errorf("solved for %s (%v), want %s", p.MinReady, err, want)
			}
		}
	}
}
