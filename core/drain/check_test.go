// SPDX-License-Identifier: Apache-2.0

package drain

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// found is the finding of an inequality, and whether there is one.
func found(findings []Finding, id, text string) (Finding, bool) {
	for _, f := range findings {
		if f.Inequality == id && strings.Contains(f.Message, text) {
			return f, true
		}
	}
	return Finding{}, false
}

// TestFindings: each inequality is found when it does not hold, with its numbers,
// the cure and the nearest safe value; and not found when it just holds.
func TestFindings(t *testing.T) {
	safe := Given{65, 70, 80} // R=30, abrupt, fast
	type change = func(*Given, *Inputs)
	for name, tc := range map[string]struct {
		id       string
		broken   change
		holds    change
		severity Severity
		message  string
		fix      string
		want     Seconds
	}{
		"F1": {"F1", func(g *Given, _ *Inputs) { g.PreStop = 39 }, func(g *Given, _ *Inputs) { g.PreStop = 40 }, Error,
			"preStop >= L + P + M does not hold: 39s against 5 + 30 + 5 = 40s, 1s short; new requests reach", "set preStop to at least 70s", 70},
		"F2": {"F2", func(g *Given, _ *Inputs) { g.DeregistrationDelay = 64 }, nil, Error,
			"deregistration delay >= P + R + M does not hold: 64s against 30 + 30 + 5 = 65s, 1s short", "set deregistration delay to at least 65s", 65},
		"F2, a delay that AWS refuses": {"F2", func(g *Given, _ *Inputs) { g.DeregistrationDelay = 3601 }, func(g *Given, _ *Inputs) { g.DeregistrationDelay = 3600 }, Error,
			"deregistration delay <= 3600 does not hold: 3601s against 3600s, 1s too much", "3600s or less", 3600},
		"F2, requests that are too long": {"F2", func(_ *Given, in *Inputs) { in.Request = sec(7200) }, nil, Error, "7235s, 7170s short", "--set R_cut=TIME", 0},
		"F3, abrupt":                     {"F3", func(g *Given, _ *Inputs) { g.PreStop = 69 }, nil, Error, "preStop + S_drain >= L + P + R + M does not hold: 69s against 5 + 30 + 30 + 5 = 70s", "", 70},
		"F3, graceful":                   {"F3", nil, func(g *Given, in *Inputs) { g.PreStop, in.App = 40, Graceful }, "", "", "", 0},
		"F4":                             {"F4", func(g *Given, _ *Inputs) { g.GracePeriod = 79 }, nil, Error, "79s against 70 + 0 + 5 + 0 + 5 = 80s", "set terminationGracePeriodSeconds to at least 80s", 80},
		"F4, graceful: it finishes what it has": {"F4", func(g *Given, in *Inputs) { g.PreStop, in.App, g.GracePeriod = 40, Graceful, 79 }, func(g *Given, in *Inputs) { g.PreStop, in.App = 40, Graceful }, Error,
			"79s against 40 + 30 + 5 + 0 + 5 = 80s", "", 80},
		"F4, sidecars": {"F4", func(_ *Given, in *Inputs) { in.SidecarShutdown = 1 }, nil, Error, "70 + 0 + 5 + 0.000000001 + 5 = 80.000000001s, 0.000000001s short", "", 81},
		"F5, error":    {"F5", func(g *Given, _ *Inputs) { g.GracePeriod = 70 }, nil, Error, "70s against 70 + 5 = 75s", "", 80},
		"F5, warning":  {"F5", func(g *Given, _ *Inputs) { g.GracePeriod = 74 }, func(g *Given, _ *Inputs) { g.GracePeriod = 75 }, Warning, "74s against 75s"[:3], "", 80},
		"the strict relation in strict mode": {"strict", func(g *Given, in *Inputs) { g.PreStop, in.Mode = 89, Strict }, func(g *Given, in *Inputs) { g.PreStop, in.Mode = 90, Strict }, Error,
			"89s against 5 + 65 + 15 + 5 = 90s", "", 90},
		"the strict relation in mode auto":       {"strict", nil, func(*Given, *Inputs) {}, "", "", "", 0},
		"strict with instance targets":           {"strict", func(_ *Given, in *Inputs) { in.Mode, in.Balancer = Strict, Instance }, nil, Error, "targets are nodes: strict mode is impossible", "targets of type ip", 0},
		"F1 of instance targets":                 {"F1", func(g *Given, in *Inputs) { g.PreStop, in.Balancer = 69, Instance }, func(g *Given, in *Inputs) { in.Balancer = Instance }, Error, "preStop >= X_node (instance targets) does not hold: 69s against 70s", "preStop to at least 70s", 70},
		"instance targets are best effort":       {"F3", func(_ *Given, in *Inputs) { in.Balancer = Instance }, nil, Info, "targets are nodes: a pod that ends is never deregistered, so this is best effort", "type ip", 0},
		"a short delay of instance targets":      {"F2", nil, func(g *Given, in *Inputs) { g.DeregistrationDelay, in.Balancer = 0, Instance }, "", "", "", 0},
		"F6, error":                              {"F6", func(_ *Given, in *Inputs) { in.KeepAlive = ptr(sec(60)) }, nil, Error, "60s against 60 + 5 = 65s, 5s short", "keep-alive timeout of the application to at least 65s", 65},
		"F6, warning":                            {"F6", func(_ *Given, in *Inputs) { in.KeepAlive = ptr(sec(61)) }, func(_ *Given, in *Inputs) { in.KeepAlive = ptr(sec(65)) }, Warning, "61s", "", 65},
		"F6 does not count for an NLB":           {"F6", nil, func(g *Given, in *Inputs) { in.KeepAlive, in.Balancer = ptr(sec(1)), NLB }, "", "", "", 0},
		"F7":                                     {"F7", func(_ *Given, in *Inputs) { in.Silent = ptr(sec(60)) }, func(_ *Given, in *Inputs) { in.Silent = ptr(sec(59)) }, Error, "60s against 60s, and it has to be more", "idle timeout to at least 61s", 61},
		"F8 is only told when no order is named": {"F8", func(_ *Given, in *Inputs) { in.RequestTimeout = ptr(sec(90)) }, func(_ *Given, in *Inputs) { in.RequestTimeout = ptr(sec(59)) }, Info, "60s against 90s, 30s short", "lower the application's request timeout", 0},
		"F8 app-first, A and I":                  {"F8", func(g *Given, in *Inputs) { in.Order, in.RequestTimeout = AppFirst, ptr(sec(60)) }, func(g *Given, in *Inputs) { in.Order, in.RequestTimeout = AppFirst, ptr(sec(59)) }, Error, "A < I", "", 0},
		"F8 app-first, I and D": {"F8", func(g *Given, in *Inputs) {
			in.Order, in.RequestTimeout, in.IdleTimeout = AppFirst, ptr(sec(30)), sec(65)
		}, nil, Error, "I < D) does not hold: 65s against 65s", "deregistration delay to at least 66s", 66},
		"F8 balancer-first, I and A": {"F8", func(g *Given, in *Inputs) { in.Order, in.RequestTimeout = BalancerFirst, ptr(sec(60)) }, func(g *Given, in *Inputs) { in.Order, in.RequestTimeout = BalancerFirst, ptr(sec(61)) }, Error, "I < A", "", 0},
		"F8 balancer-first, A and D": {"F8", func(g *Given, in *Inputs) { in.Order, in.RequestTimeout = BalancerFirst, ptr(65*time.Second+1) }, nil, Error, "A < D) does not hold: 65s against 65.000000001s", "", 66},
		"F8, a delay that is left alone": {"F8", func(g *Given, in *Inputs) {
			g.DeregistrationDelay, in.Balancer, in.Order, in.RequestTimeout = 400, Instance, BalancerFirst, ptr(sec(400))
		}, func(g *Given, in *Inputs) {
			g.DeregistrationDelay, in.Balancer, in.Order, in.RequestTimeout = 401, Instance, BalancerFirst, ptr(sec(400))
		}, Warning, "deregistration delay > request timeout (A < D) does not hold: 400s against 400s, and it has to be more", "set deregistration delay to at least 401s", 401},
		"F8, an order that an NLB does not know": {"F8", func(_ *Given, in *Inputs) { in.Balancer, in.Order = NLB, AppFirst }, func(_ *Given, in *Inputs) { in.Balancer = NLB }, Info,
			"timeout order app-first: an NLB knows no requests", "let an ALB route to the pods", 0},
		"F9":                                {"F9", func(_ *Given, in *Inputs) { in.ClientTimeout = ptr(sec(30)) }, func(_ *Given, in *Inputs) { in.ClientTimeout = ptr(sec(31)) }, Warning, "30s against 30s", "", 31},
		"F10, replicas":                     {"F10", func(_ *Given, in *Inputs) { in.Replicas = 1 }, func(*Given, *Inputs) {}, Warning, "replicas >= 2 does not hold: 1 against 2 pods, 1 short", "set replicas to at least 2|", 2},
		"F10, surge":                        {"F10", func(_ *Given, in *Inputs) { in.Surge = 0 }, nil, Warning, "maxSurge >= 1", "", 0},
		"F10, nothing runs":                 {"F10", nil, func(_ *Given, in *Inputs) { in.Replicas = 0 }, "", "", "", 0},
		"F11":                               {"F11", func(_ *Given, in *Inputs) { in.NoGate, in.MinReady = true, 39 }, func(_ *Given, in *Inputs) { in.NoGate, in.MinReady = true, 40 }, Error, "39s against 40s", "minReadySeconds to at least 40s", 40},
		"F11 is none of nodes":              {"F11", nil, func(_ *Given, in *Inputs) { in.Balancer, in.NoGate, in.MinReady = Instance, true, 1 }, "", "", "", 0},
		"F12":                               {"F12", func(_ *Given, in *Inputs) { in.MinReady = 14 }, func(_ *Given, in *Inputs) { in.MinReady = 15 }, Warning, "14s against 15s", "", 15},
		"F12 of an unknown minReadySeconds": {"F12", nil, func(*Given, *Inputs) {}, "", "", "", 0},
		"F13":                               {"F13", func(_ *Given, in *Inputs) { in.ProgressDeadline = 94 }, func(_ *Given, in *Inputs) { in.ProgressDeadline = 95 }, Warning, "94s against 90 + 5 = 95s", "", 600},
		"F13, what the API server refuses":  {"F13", func(_ *Given, in *Inputs) { in.ProgressDeadline, in.MinReady = 94, 94 }, nil, Error, "API server", "", 600},
		"F13, no room":                      {"F13", func(_ *Given, in *Inputs) { in.ProgressDeadline, in.Tight = 95, true }, nil, Warning, "minReadySeconds + G + M does not hold: 95s against 90 + 80 + 5 = 175s", "", 600},
		"F14":                               {"F14", func(_ *Given, in *Inputs) { in.GateTimeout = 269 }, func(_ *Given, in *Inputs) { in.GateTimeout = 270 }, Warning, "269s against 270s", "gate-timeout to at least 270s", 270},
		"F15, warning":                      {"F15", func(g *Given, _ *Inputs) { g.GracePeriod = 121 }, func(g *Given, _ *Inputs) { g.GracePeriod = 120 }, Warning, "grace <= cap does not hold: 121s against 120s, 1s too much", "set it to 80s, which is enough, or raise the cap where all nodes allow it (--set cap=121)", 0},
		"F15, a hook that is too long": {"F15", func(g *Given, _ *Inputs) { g.PreStop, g.GracePeriod = 111, 121 }, func(g *Given, _ *Inputs) { g.PreStop, g.GracePeriod = 110, 120 }, Warning, "121s against 120s",
			"set preStop to 70s and it to 80s, which are enough, or raise the cap", 0},
		"F15, requests that are too long": {"F15", func(g *Given, in *Inputs) { *g, in.Request = Given{106, 111, 121}, sec(71) }, nil, Warning, "121s against 120s",
			"the longest request that fits a cap of 120s is 70s (in strict mode 50s): let none take longer, or raise the cap where all nodes allow it (--set cap=121)", 0},
		"F15, an author's longer grace, too": {"F15", func(g *Given, in *Inputs) { in.Request, in.Floor.GracePeriod, g.GracePeriod = sec(71), 300, 300 }, nil, Warning, "300s against 120s",
			"the longest request that fits a cap of 120s is 70s (in strict mode 50s)", 0},
		"F15, error":               {"F15", func(g *Given, _ *Inputs) { g.GracePeriod = 901 }, nil, Error, "901s", "", 0},
		"F15, no error yet":        {"F15", func(g *Given, _ *Inputs) { g.GracePeriod = 900 }, nil, Warning, "900s", "", 0},
		"F15, a cap of the user's": {"F15", nil, func(g *Given, in *Inputs) { g.GracePeriod, in.Cap = 901, sec(901) }, "", "", "", 0},
		"F15, nothing fits":        {"F15", func(_ *Given, in *Inputs) { in.Cap = sec(49) }, nil, Warning, "80s against 49s", "no request is short enough for a cap of 49s: raise the cap", 0},
		"F15, with R_cut":          {"F15", func(g *Given, in *Inputs) { g.GracePeriod, in.Cut = 121, ptr(sec(71)) }, nil, Warning, "121s", "is 70s (in strict mode 50s)", 0},
		"F16":                      {"F16", func(_ *Given, in *Inputs) { in.HealthInterval = sec(28) }, func(_ *Given, in *Inputs) { in.HealthInterval = 27500 * time.Millisecond }, Info, "h * n_u + t <= 60 does not hold: 56 + 5 = 61s against 60s", "", 0},
		"F17":                      {"F17", func(g *Given, _ *Inputs) { g.DeregistrationDelay = 81 }, func(g *Given, _ *Inputs) { g.DeregistrationDelay = 80 }, Warning, "100s against 5 + 81 + 15 = 101s", "free addresses", 0},
		"F18":                      {"F18", func(_ *Given, in *Inputs) { in.SlowStart, in.Tight, in.MinReady = sec(30), true, 29 }, func(_ *Given, in *Inputs) { in.SlowStart, in.Tight, in.MinReady = sec(30), true, 30 }, Warning, "slow_start", "", 30},
		"F18 with room":            {"F18", nil, func(_ *Given, in *Inputs) { in.SlowStart, in.MinReady = sec(30), 15 }, "", "", "", 0},
		"F19":                      {"F19", func(*Given, *Inputs) {}, func(g *Given, in *Inputs) { g.PreStop = 60 }, Info, "70s against 60s", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			judge := func(change change) []Finding {
				given, in := safe, Defaults()
				in.Replicas = 2
				change(&given, &in)
				_, findings, err := Check(given, in)
				if err != nil {
					t.Fatal(err)
				}
				return findings
			}
			if tc.broken != nil {
				f, ok := found(judge(tc.broken), tc.id, tc.message)
				if !ok {
					t.Fatalf("no %s with %q in %+v", tc.id, tc.message, judge(tc.broken))
				}
				if f.Severity != tc.severity || !strings.Contains(f.Fix+"|", tc.fix) || f.Want != tc.want || f.Fix == "" || f.Field == "" || f.Rule != RuleOf(tc.id) {
					t.Errorf("got %+v, want %s, fix %q, %s", f, tc.severity, tc.fix, tc.want)
				}
			}
			if tc.holds != nil {
				if f, ok := found(judge(tc.holds), tc.id, tc.message); ok {
					t.Errorf("found although it holds: %+v", f)
				}
			}
		})
	}
}

// TestTheDelayProtectsWhatTheTimeoutLeaves: F8 counts the shorter of A and R.
func TestTheDelayProtectsWhatTheTimeoutLeaves(t *testing.T) {
	for a, want := range map[int]float64{20: 55, 50: 65} {
		in := Defaults()
		in.RequestTimeout = ptr(sec(a))
		margins, _, err := Check(Given{65, 70, 80}, in)
		if err != nil {
			t.Fatal(err)
		}
		seen := false
		for _, m := range margins {
			if m.Rule == "deregistration delay >= P + min(A, R) + M" {
				seen = true
				if m.Need != want {
					t.Errorf("A = %d: needs %g s, want %g", a, m.Need, want)
				}
			}
		}
		if !seen {
			t.Error("no such margin")
		}
	}
}

// TestWhatFindingsWantIsSafe: all the values together.
func TestWhatFindingsWantIsSafe(t *testing.T) {
	for name, tc := range map[string]struct {
		given Given
		mode  Mode
		app   App
		want  Given
	}{
		"nothing is written":                  {Unwritten(), Auto, Graceful, Given{300, 40, 80}},
		"nothing is written, strict":          {Unwritten(), Strict, Graceful, Given{300, 325, 335}},
		"50/40/35":                            {Given{35, 40, 50}, Auto, Abrupt, Given{65, 70, 80}},
		"a hook that outlasts a short delay":  {Given{5, 40, 50}, Auto, Abrupt, Given{65, 70, 80}},
		"a long hook moves the grace":         {Given{65, 100, 60}, Fast, Abrupt, Given{65, 100, 110}},
		"zeros are zeros, not what is absent": {Given{}, Fast, Graceful, Given{65, 40, 80}},
	} {
		t.Run(name, func(t *testing.T) {
			in := Defaults()
			in.Mode, in.App = tc.mode, tc.app
			p, err := Adopt(tc.given, in)
			if err != nil {
				t.Fatal(err)
			}
			got := tc.given
			for _, f := range p.Findings {
				if _, grace, ok := strings.Cut(f.Fix, fieldGrace+" to at least "); ok {
					n, err := strconv.Atoi(strings.TrimSuffix(grace, "s"))
					if err != nil {
						t.Fatal(err)
					}
					got.GracePeriod = max(got.GracePeriod, Seconds(n))
				}
				switch {
				case f.Severity != Error:
				case f.Field == fieldDelay:
					got.DeregistrationDelay = max(got.DeregistrationDelay, f.Want)
				case f.Field == fieldGrace:
					got.GracePeriod = max(got.GracePeriod, f.Want)
				default:
					got.PreStop = max(got.PreStop, f.Want)
				}
			}
			if got != tc.want {
				t.Errorf("raised to %+v, want %+v", got, tc.want)
			}
			if p, _ = Adopt(got, in); len(curable(p.Findings)) > 0 {
				t.Errorf("still broken: %v", curable(p.Findings))
			}
		})
	}
}

// TestGroupsAreJudgedEach: a finding names its target group, and one that is not
// written has AWS's 300.
func TestGroupsAreJudgedEach(t *testing.T) {
	in := Defaults()
	in.App = Graceful
	in.Groups = []Group{{Name: "Ingress/dev/web", Delay: ptr(Seconds(35))}, {Name: "Service/dev/nlb", Balancer: NLB}}
	p, err := Adopt(Given{1, 40, 80}, in)
	if err != nil {
		t.Fatal(err)
	}
	if p.Mode != Fast || p.DeregistrationDelay != 300 || p.Groups[0].DeregistrationDelay != 35 || p.Groups[1].DeregistrationDelay != 300 {
		t.Errorf("mode %s, %+v, %+v", p.Mode, p.Given(), p.Groups)
	}
	where := map[string]string{}
	for _, f := range p.Findings {
		if f.Severity == Error {
			where[f.Inequality] += f.Object
		}
	}
	if where["F2"] != "Ingress/dev/web" || where["F1"] != "Service/dev/nlb" || where["F4"] != "" {
		t.Errorf("errors at %v", where)
	}
	if _, ok := where["F4"]; !ok {
		t.Error("the grace is not found to be short for the NLB")
	}
	for _, m := range p.Margins {
		if (m.ID == "F1" || m.ID == "F2") != (m.Group != "") && m.ID != "F3" && m.ID != "strict" && m.ID != "F16" && m.ID != "F17" {
			t.Errorf("margin %+v", m)
		}
	}
}

func TestUnwritten(t *testing.T) {
	if got := Unwritten(); got != (Given{DeregistrationDelay: 300, PreStop: 0, GracePeriod: 30}) {
		t.Errorf("got %+v", got)
	}
}

func TestAdoptKnowsStrict(t *testing.T) {
	for name, tc := range map[string]struct {
		delay, preStop Seconds
		balancer       Balancer
		want           Mode
	}{
		"a second short":   {65, 89, ALB, Fast},
		"just strict":      {65, 90, ALB, Strict},
		"instance targets": {65, 900, Instance, Fast},
	} {
		t.Run(name, func(t *testing.T) {
			in := Defaults()
			in.Balancer = tc.balancer
			p, err := Adopt(Given{tc.delay, tc.preStop, 1000}, in)
			if err != nil || p.Mode != tc.want {
				t.Errorf("mode %s, %v, want %s", p.Mode, err, tc.want)
			}
		})
	}
}

// TestRulesHaveAName: every inequality has its rule.
func TestRulesHaveAName(t *testing.T) {
	for id, want := range map[string]string{"F1": "OL001", "F3a": "OL003", "F20": "OL020", "strict": "OL000"} {
		if got := RuleOf(id); got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
	}
}
