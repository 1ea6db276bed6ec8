// SPDX-License-Identifier: Apache-2.0

package drain

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// millis draws a time with a fraction, so that rounding up is exercised.
func millis(t *rapid.T, name string, most int64) time.Duration {
	return time.Duration(rapid.Int64Range(0, most*1000).Draw(t, name)) * time.Millisecond
}

func drawSeconds(t *rapid.T, name string, most int64) *Seconds {
	if !rapid.Bool().Draw(t, name+" is written") {
		return nil
	}
	s := Seconds(rapid.Int64Range(0, most).Draw(t, name))
	return &s
}

// drawInputs draws what Solve takes, often with several target groups.
func drawInputs(t *rapid.T) Inputs {
	in := Defaults()
	for _, symbol := range in.symbols().Names() {
		if d := in.symbols().Durations[symbol]; d != nil {
			*d = millis(t, symbol, 2000)
		}
	}
	in.Propagation, in.Margin = millis(t, "P", 1000), 5*time.Second+millis(t, "M", 60)
	in.NodePreStop = max(in.NodePreStop, time.Second) // or there is nothing to take away
	in.Cap = time.Duration(rapid.IntRange(30, 2000).Draw(t, "cap")) * time.Second
	in.Mode = rapid.SampledFrom([]Mode{Auto, Strict, Fast}).Draw(t, "mode")
	in.App = rapid.SampledFrom([]App{Abrupt, Graceful}).Draw(t, "app")
	in.Balancer = rapid.SampledFrom([]Balancer{ALB, ALB, ALB, NLB, Instance}).Draw(t, "balancer")
	in.Replicas, in.Surge = rapid.IntRange(0, 500).Draw(t, "N"), rapid.IntRange(0, 50).Draw(t, "s")
	in.TargetGroups, in.Queued, in.Calls = rapid.IntRange(0, 50).Draw(t, "nTG"), rapid.IntRange(0, 50).Draw(t, "n_tgb_queued"), rapid.IntRange(0, 50).Draw(t, "n_calls")
	in.NoGate, in.Tight = rapid.Bool().Draw(t, "no gate"), rapid.Bool().Draw(t, "tight")
	in.Delay = drawSeconds(t, "delay", 3600)
	for i := range rapid.IntRange(0, 3).Draw(t, "groups") {
		in.Groups = append(in.Groups, Group{Name: string(rune('a' + i)), Delay: drawSeconds(t, "group's delay", 3600),
			Balancer: rapid.SampledFrom([]Balancer{"", ALB, NLB, Instance}).Draw(t, "group's balancer"), HealthInterval: millis(t, "group's h", 300)})
	}
	if rapid.Bool().Draw(t, "R_cut is known") {
		cut := millis(t, "R_cut", 2000)
		in.Cut = &cut
	}
	if rapid.Bool().Draw(t, "running pods are known") {
		in.Running = &Given{Seconds(rapid.IntRange(0, 3600).Draw(t, "running D")), Seconds(rapid.IntRange(0, 3600).Draw(t, "running X")), Seconds(rapid.IntRange(0, 3600).Draw(t, "running G"))}
	}
	return in
}

// curable are the inequalities that timings cure.
func curable(findings []Finding) (ids []string) {
	for _, f := range findings {
		if f.Severity == Error && slices.Contains([]string{"F1", "F2", "F3", "F4", "F5", "F8", "strict"}, f.Inequality) {
			ids = append(ids, f.Inequality)
		}
	}
	return ids
}

// refused tells whether a refusal is due.
func refused(in Inputs) bool {
	for _, g := range in.groups() {
		switch {
		case g.Balancer == Instance && in.Mode == Strict:
			return true
		case g.Balancer != Instance && g.propagation+in.longest()+in.Margin > MaxDelay*time.Second:
			return true
		}
	}
	return false
}

func TestWhatSolveReturnsHoldsAndIsMinimal(t *testing.T) {
	solved, strict := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		in := drawInputs(t)
		p, err := Solve(in)
		if (err != nil) != refused(in) {
			t.Fatalf("refused %v, want %v", err, refused(in))
		}
		if err != nil {
			return
		}
		solved++
		if ids := curable(p.Findings); len(ids) > 0 {
			t.Fatalf("%v broken by the solution %+v", ids, p.Given())
		}
		in.Mode = p.Mode
		if p.Mode == Strict {
			strict++
			if p.GracePeriod <= p.PreStop || p.PreStop <= p.DeregistrationDelay {
				t.Fatalf("the order of the name is broken: %+v", p.Given())
			}
		}
		breaks := func(name string, g Given, in Inputs) {
			adopted, err := Adopt(g, in)
			if err != nil {
				t.Fatal(err)
			}
			if len(curable(adopted.Findings)) == 0 {
				t.Fatalf("one second less of %s (%+v) breaks nothing", name, g)
			}
		}
		groups := in.groups()
		for i := range in.Groups { // as written now
			in.Groups[i].Delay = &p.Groups[i].DeregistrationDelay
		}
		breaks("G", Given{p.DeregistrationDelay, p.PreStop, p.GracePeriod - 1}, in)
		breaks("X", Given{p.DeregistrationDelay, p.PreStop - 1, p.GracePeriod}, in)
		for i, g := range groups {
			if !g.drains() || g.Delay != nil { // an author's long delay stays, and is not minimal
				continue
			}
			if len(in.Groups) == 0 {
				breaks("D", Given{p.DeregistrationDelay - 1, p.PreStop, p.GracePeriod}, in)
				continue
			}
			less, was := p.Groups[i].DeregistrationDelay-1, in.Groups[i].Delay
			in.Groups[i].Delay = &less
			breaks("D", p.Given(), in)
			in.Groups[i].Delay = was
		}
	})
	if solved < 20 || strict < 5 {
		t.Errorf("%d solutions, %d strict: little was proved", solved, strict)
	}
}

// Strict is chosen exactly when its grace fits the cap: by the algorithm written
// down once more.
func TestStrictWhenItsGraceFitsTheCap(t *testing.T) {
	chosen := map[Mode]int{}
	rapid.Check(t, func(t *rapid.T) {
		in := drawInputs(t)
		in.Mode = Strict
		s, err := Solve(in)
		if err == nil && rapid.Bool().Draw(t, "a cap that just fits, or just does not") {
			in.Cap = s.GracePeriod.Duration() + rapid.SampledFrom([]time.Duration{-time.Second, -1, 0, 1}).Draw(t, "more")
		}
		in.Mode = Auto
		p, err2 := Solve(in)
		if err2 != nil {
			return
		}
		if want := err == nil && s.GracePeriod.Duration() <= in.Cap; want != (p.Mode == Strict) {
			t.Fatalf("mode %s; strict: %v, grace %s of cap %s", p.Mode, err, s.GracePeriod, in.Cap)
		}
		chosen[p.Mode]++
	})
	if chosen[Strict] == 0 || chosen[Fast] == 0 {
		t.Errorf("chosen: %v: nothing was proved", chosen)
	}
}

func TestMoreRiskNeverMeansLess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInputs(t)
		in.Mode = rapid.SampledFrom([]Mode{Strict, Fast}).Draw(t, "fixed mode")
		jitter := in.jitter()
		in.Jitter = &jitter
		before, err := Solve(in)
		if err != nil {
			return
		}
		risks := map[string]*time.Duration{"R": &in.Request, "L": &in.ControllerLatency, "P": &in.Propagation, "M": &in.Margin, "S": &in.Shutdown, "S_sc": &in.SidecarShutdown, "J": in.Jitter, "X_node": &in.NodePreStop}
		symbol := rapid.SampledFrom([]string{"R", "L", "P", "M", "S", "S_sc", "J", "X_node", "n_tgb_queued", "n_calls"}).Draw(t, "symbol")
		if d := risks[symbol]; d != nil {
			*d += millis(t, "more", 500)
		} else {
			*in.symbols().Counts[symbol] += rapid.IntRange(0, 500).Draw(t, "more")
		}
		after, err := Solve(in)
		if err != nil { // more than a target group takes
			return
		}
		if after.DeregistrationDelay < before.DeregistrationDelay || after.PreStop < before.PreStop || after.GracePeriod < before.GracePeriod {
			t.Fatalf("more %s lowered %+v to %+v", symbol, before.Given(), after.Given())
		}
		for i := range after.Groups {
			if after.Groups[i].DeregistrationDelay < before.Groups[i].DeregistrationDelay {
				t.Fatalf("more %s lowered the delay of group %d", symbol, i)
			}
		}
	})
}

// TestWhatTheAuthorWroteIsOnlyRaised: longer values stay, and what comes of them is as safe.
func TestWhatTheAuthorWroteIsOnlyRaised(t *testing.T) {
	kept := 0
	rapid.Check(t, func(t *rapid.T) {
		in := drawInputs(t)
		second := func(name string, most int) Seconds { return Seconds(rapid.IntRange(0, most).Draw(t, name)) }
		in.Floor = Given{second("floor of D", 3600), second("floor of X", 4000), second("floor of G", 8000)}
		in.LongerHook = second("longer hook", 4000)
		in.MinReady, in.ProgressDeadline = second("minReady", 1000), second("progressDeadline", 10_000)
		p, err := Solve(in)
		if (err != nil) != refused(in) {
			t.Fatalf("refused %v, want %v", err, refused(in))
		}
		if err != nil {
			return
		}
		kept++
		if ids := curable(p.Findings); len(ids) > 0 || p.GracePeriod < max(p.PreStop, in.LongerHook)+5 {
			t.Fatalf("%v broken by the solution %+v", ids, p.Given())
		}
		if p.PreStop < in.Floor.PreStop || p.GracePeriod < in.Floor.GracePeriod || p.MinReady < in.MinReady || p.ProgressDeadline <= p.MinReady ||
			len(in.Groups) == 0 && in.Balancer != Instance && p.DeregistrationDelay < in.Floor.DeregistrationDelay {
			t.Fatalf("%+v, minReady %s, deadline %s of %+v", p.Given(), p.MinReady, p.ProgressDeadline, in.Floor)
		}
		in.Floor, in.LongerHook = Given{DeregistrationDelay: in.Floor.DeregistrationDelay}, 0
		bare := must(t, in)
		if p.Mode != bare.Mode || p.PreStop < bare.PreStop || p.GracePeriod < bare.GracePeriod || p.DeregistrationDelay != bare.DeregistrationDelay {
			t.Fatalf("%+v is less than without an author, %+v", p.Given(), bare.Given())
		}
	})
	if kept < 20 {
		t.Errorf("%d solutions: little was proved", kept)
	}
}

// TestTheNamedOrderHoldsLiterally: A < I < D or I < A < D, else a refusal.
func TestTheNamedOrderHoldsLiterally(t *testing.T) {
	held, contradicted := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		in := drawInputs(t)
		in.Groups, in.Balancer, in.Request, in.Cut = nil, ALB, millis(t, "R", 100), nil
		in.Order = rapid.SampledFrom([]Order{AppFirst, BalancerFirst}).Draw(t, "order")
		a := millis(t, "A", 1000)
		in.RequestTimeout, in.IdleTimeout = &a, millis(t, "I", 1000)
		if rapid.Bool().Draw(t, "whole seconds") {
			a, in.IdleTimeout = a.Truncate(time.Second), in.IdleTimeout.Truncate(time.Second)
		}
		p, err := Solve(in)
		i := in.IdleTimeout
		if wrong := in.Order == AppFirst && a >= i || in.Order == BalancerFirst && i >= a; wrong != (err != nil) {
			t.Fatalf("A = %s, I = %s, %s: %v", a, i, in.Order, err)
		}
		if err != nil {
			contradicted++
			return
		}
		held++
		d := p.DeregistrationDelay.Duration()
		if in.Order == AppFirst && !(a < i && i < d) || in.Order == BalancerFirst && !(i < a && a < d) {
			t.Fatalf("A = %s, I = %s, D = %s, %s", a, i, d, in.Order)
		}
		if d < in.Propagation+min(a, in.Request)+in.Margin {
			t.Fatalf("D = %s does not protect the requests", d)
		}
		if ids := curable(p.Findings); len(ids) > 0 {
			t.Fatalf("%v broken", ids)
		}
	})
	if held < 5 || contradicted < 5 {
		t.Errorf("%d held, %d contradicted: little was proved", held, contradicted)
	}
}

// TestNothingOverflows: any number at all is refused or computed with.
func TestNothingOverflows(t *testing.T) {
	solved := 0
	rapid.Check(t, func(t *rapid.T) {
		in := Defaults()
		huge := rapid.Bool().Draw(t, "out of limits, too")
		duration := func(name string) time.Duration {
			if huge {
				return time.Duration(rapid.Int64().Draw(t, name))
			}
			return rapid.SampledFrom([]time.Duration{0, 1, time.Second - 1, time.Minute, time.Hour, 24 * time.Hour}).Draw(t, name)
		}
		count := func(name string) int {
			if huge {
				return rapid.Int().Draw(t, name)
			}
			return rapid.SampledFrom([]int{0, 1, 500, 10_000}).Draw(t, name)
		}
		seconds := func(name string) Seconds { return Seconds(duration(name) / time.Second) }
		for _, symbol := range in.symbols().Names() {
			table := in.symbols()
			switch {
			case table.Durations[symbol] != nil:
				*table.Durations[symbol] = duration(symbol)
			case table.Counts[symbol] != nil:
				*table.Counts[symbol] = count(symbol)
			case table.Flags[symbol] != nil:
				*table.Flags[symbol] = true
			default:
				d := duration(symbol)
				*table.Optional[symbol] = &d
			}
		}
		if !huge { // such that some are solved
			in.Propagation, in.Margin = min(in.Propagation, 20*time.Minute), min(in.Margin, 20*time.Minute)
			*in.Cut = min(*in.Cut, 19*time.Minute)
		}
		in.Floor, in.LongerHook = Given{seconds("D") % 3600, seconds("X"), seconds("G")}, seconds("longer hook")
		in.MinReady, in.ProgressDeadline, in.GateTimeout = seconds("minReady"), seconds("deadline"), seconds("gate")
		in.Running = &Given{seconds("running D"), seconds("running X"), seconds("running G")}
		in.Tight = true
		given := Given{seconds("D"), seconds("X"), seconds("G")}
		if _, _, err := Check(given, in); err != nil && !huge && in.Replicas < 10_000 {
			t.Fatal(err)
		}
		p, err := Solve(in)
		if err != nil {
			return
		}
		solved++
		if p.GracePeriod <= 0 || p.GateTimeoutLowerBound <= 0 || p.GateTimeoutLowerBound < p.GracePeriod || p.ProgressDeadline <= p.MinReady {
			t.Fatalf("a plan of %+v", p)
		}
		for _, m := range p.Margins {
			if math.Abs(m.Have)+math.Abs(m.Need) > 1e10 {
				t.Fatalf("margin %+v", m)
			}
		}
		for _, kind := range kinds {
			if line := Predict(p, Strategy{Kind: kind, Surge: in.Surge}); line.Seconds < 0 || line.PeakPods < 0 || line.Chart(80) == "" || line.Pod.Chart(80) == "" {
				t.Fatalf("timeline %+v", line)
			}
		}
	})
	if solved < 5 {
		t.Errorf("%d solved: little was proved", solved)
	}
}

// TestInputsSurviveJSON: a job that reads the report solves the same.
func TestInputsSurviveJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInputs(t)
		in.Shutdown += time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "nanoseconds"))
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var back Inputs
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		jitter := in.jitter()
		in.Jitter = &jitter
		if !reflect.DeepEqual(in, back) {
			t.Fatalf("%s\n%+v\n%+v", text, in, back)
		}
	})
}
