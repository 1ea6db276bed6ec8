// SPDX-License-Identifier: Apache-2.0

package timings

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/drain/timeline"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
)

func settings(t testing.TB, flags map[string][]string) *inputs.Settings {
	t.Helper()
	s, err := inputs.Read(flags, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Choose(""); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestJSON: exactly these keys, and findings are a list although there are none.
func TestJSON(t *testing.T) {
	for name, o := range map[string]Options{"computed": {}, "checked": {Check: "100/90/65"}} {
		t.Run(name, func(t *testing.T) {
			o.Output, o.App = "json", "graceful"
			flags := map[string][]string{"longest-request": {"5s"}, "set": {"S_sc=0", "L=0"}}
			if err := o.merge(flags); err != nil {
				t.Fatal(err)
			}
			a, err := o.ask(settings(t, flags))
			if err != nil {
				t.Fatal(err)
			}
			a.Findings = slices.DeleteFunc(a.Findings, func(f drain.Finding) bool { return f.Inequality == "F19" })
			var b bytes.Buffer
			if err := o.print(&b, a); err != nil {
				t.Fatal(err)
			}
			var got map[string]json.RawMessage
			if err := json.Unmarshal(b.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			want := []string{"deregistrationDelaySeconds", "findings", "gateTimeoutLowerBoundSeconds", "gateTimeoutSeconds", "inputs", "margins", "minReadySeconds",
				"mode", "preStopSeconds", "progressDeadlineSeconds", "terminationGracePeriodSeconds", "timeline"}
			if diff := cmp.Diff(want, slices.Sorted(maps.Keys(got))); diff != "" {
				t.Error(diff)
			}
			if string(got["findings"]) != "[]" || !strings.Contains(b.String(), `"rule": "preStop >= L + P + M"`) {
				t.Errorf("got %s", b.String())
			}
		})
	}
}

func TestGiven(t *testing.T) {
	for text, want := range map[string]drain.Given{
		"50/40/35":      {DeregistrationDelay: 35, PreStop: 40, GracePeriod: 50},
		"50s / 40s/35s": {DeregistrationDelay: 35, PreStop: 40, GracePeriod: 50},
		"-/-/-":         {DeregistrationDelay: 300, PreStop: 0, GracePeriod: 30},
		"60/-/0":        {DeregistrationDelay: 0, PreStop: 0, GracePeriod: 60},
	} {
		if got, err := parseGiven(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "50", "50/40/35/30", "a/b/c", "-1/0/0", "1.5/1/1", "9999999999/1/1"} {
		if got, err := parseGiven(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func TestStrategy(t *testing.T) {
	for name, tc := range map[string]struct {
		o        Options
		set      string
		replicas int
		surge    int
	}{
		"two replicas and a quarter, rounded up": {Options{}, "R=1", 2, 1},
		"a quarter of ten":                       {Options{Replicas: "10"}, "R=1", 10, 3},
		"a percentage":                           {Options{Replicas: "10", Surge: "50%"}, "R=1", 10, 5},
		"a number":                               {Options{Replicas: "10", Surge: "2"}, "R=1", 10, 2},
		"symbols":                                {Options{}, "N=8\ns=4", 8, 4},
		"a flag beats a symbol":                  {Options{Replicas: "4", Surge: "1"}, "N=8\ns=4", 4, 1},
		"a StatefulSet has no surge":             {Options{Workload: "statefulset"}, "R=1", 2, 0},
		"nor has a DaemonSet":                    {Options{Workload: "daemonset", Replicas: "7"}, "R=1", 7, 0},
		"unless it is given":                     {Options{Workload: "daemonset", Replicas: "7", Surge: "1"}, "R=1", 7, 1},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := tc.o.ask(settings(t, map[string][]string{"set": strings.Fields(tc.set)}))
			if err != nil {
				t.Fatal(err)
			}
			if a.Inputs.Replicas != tc.replicas || a.Inputs.Surge != tc.surge || a.Timeline.Strategy.Surge != tc.surge {
				t.Errorf("N = %d, s = %d", a.Inputs.Replicas, a.Inputs.Surge)
			}
		})
	}
}

// TestThePageIsNarrow whatever is asked, and a check finds what the numbers lack.
func TestThePageIsNarrow(t *testing.T) {
	pages := 0
	rapid.Check(t, func(t *rapid.T) {
		word := func(name string, words ...string) string { return rapid.SampledFrom(words).Draw(t, name) }
		o := Options{App: word("app", "", "graceful", "abrupt"), Mode: word("mode", "", "strict", "fast", "auto"), Balancer: word("balancer", "", "alb", "nlb", "instance"),
			Replicas: word("replicas", "", "0", "1", "7", "333"), Workload: word("workload", "", "statefulset", "daemonset"), Check: word("check", "", "50/40/35", "-/-/-", "86400/86400/86400", "0/0/0")}
		flags := map[string][]string{"longest-request": {word("R", "", "0", "1.234567s", "90s", "3000s")}, "request-timeout": {word("A", "", "20s", "61s")}, "keep-alive": {word("K", "", "5s", "60s", "61s", "100s")},
			"set": {word("set", "R_silent=70", "M=0", "S=20000", "h=300", "cap=10", "n_calls=10000")}}
		if err := o.merge(flags); err != nil {
			t.Fatal(err)
		}
		s, err := inputs.Read(flags, nil)
		if err == nil {
			err = s.Choose("")
		}
		if err != nil {
			t.Fatal(err)
		}
		a, err := o.ask(s)
		var refusal *drain.Refusal
		if errors.As(err, &refusal) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := o.print(&b, a); err != nil {
			t.Fatal(err)
		}
		pages++
		for line := range strings.Lines(b.String()) {
			if len(line) > width+1 || strings.HasSuffix(line, " \n") {
				t.Fatalf("%d columns: %q", len(line)-1, line)
			}
		}
		if safe := strings.HasPrefix(b.String(), "NOT SAFE"); safe != (len(a.broken()) > 0) {
			t.Fatalf("broken %v:\n%s", a.broken(), b.String())
		}
	})
	if pages < 20 {
		t.Errorf("%d pages: nothing was proved", pages)
	}
}

// TestPage: a plan of several target groups names each, with its own delay, and a hook
// that is longer than preStop.
func TestPage(t *testing.T) {
	in := drain.Defaults()
	in.App, in.Replicas, in.LongerHook = drain.Graceful, 3, 300
	in.Groups = []drain.Group{{Name: "Ingress/dev/web -> Service/dev/web"}, {Name: "Service/dev/nlb", Balancer: drain.NLB}, {Name: "Ingress/dev/old", Balancer: drain.Instance}}
	p, err := drain.Solve(in)
	if err != nil {
		t.Fatal(err)
	}
	page := Page(p, drain.Strategy{Kind: timeline.Rolling, Surge: 1})
	for line := range strings.Lines(page) {
		if len(line) > width+1 {
			t.Errorf("%d columns: %q", len(line)-1, line)
		}
	}
	words := strings.Join(strings.Fields(page), " ")
	for _, want := range []string{
		"lifecycle.preStop.sleep.seconds 160 every container that serves", "longest preStop 300 one container's, which the grace covers",
		"deregistration_delay.timeout_seconds 65 Ingress/dev/web -> Service/dev/web", "deregistration_delay.timeout_seconds 185 Service/dev/nlb",
		"deregistration_delay.timeout_seconds 300 Ingress/dev/old, left alone: instance targets", "behind an ALB and an NLB and instance targets: R=30 L=5 P=150 X_node=70 M=5",
		"F2 deregistration delay >= P + R + M, of 185 185 0 Service/dev/nlb", "info F3 targets are nodes: a pod that ends", "of: Ingress/dev/old fix: use targets of type ip",
	} {
		if !strings.Contains(words, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
}
