// SPDX-License-Identifier: Apache-2.0

package experiment

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outlast-ci/outlast/lab/internal/alb/accesslog"
	"github.com/outlast-ci/outlast/lab/internal/experiment/observe"
	"github.com/outlast-ci/outlast/lab/internal/load"
)

const rendered = `kind: Deployment
          preStop:
            sleep:
              seconds: 65
      terminationGracePeriodSeconds: 75
    alb.ingress.kubernetes.io/target-group-attributes: deregistration_delay.timeout_seconds=40
`

func TestTimingsAreReadFromWhatIsApplied(t *testing.T) {
	tests := map[string]struct {
		text string
		kind Kind
		want Timings
		err  string
	}{
		"as they were computed":                {rendered, Computed, Timings{75, 65, 40}, ""},
		"with a preStop of the curve":          {rendered, Shorter, Timings{25, 5, 40}, ""},
		"none is written":                      {"kind: Deployment\n", Gate, Timings{-1, -1, -1}, ""},
		"nothing was computed to be shortened": {"kind: Deployment\n", Shorter, Timings{}, "not one preStop"},
		"two hooks: which is meant?":           {rendered + rendered, Shorter, Timings{}, "not one preStop"},
		"no Deployment":                        {"kind: Service\n", Bare, Timings{-1, -1, -1}, "no Deployment"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			text, got, err := shorten(tt.text, Setting{Name: "x", Kind: tt.kind, Write: Timings{PreStop: 5, GracePeriod: 25}})
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %v, %v", got, err)
			}
			if tt.kind == Shorter && err == nil && (!strings.Contains(text, "seconds: 5\n") || strings.Contains(text, "65")) {
				t.Errorf("applied would be:\n%s", text)
			}
		})
	}
}

func TestTheCurveGoesFrom0To60InBothPropagations(t *testing.T) {
	all := Curve(3)
	if len(all) != 26 || all[0].Write.PreStop != 0 || all[12].Write.PreStop != 60 || all[13].Propagation == all[0].Propagation {
		t.Errorf("%+v", all)
	}
	names := map[string]bool{}
	for _, s := range append(all, Main(20, 3)...) {
		if names[s.Name] {
			t.Errorf("two settings have the namespace %s", s.Name)
		}
		names[s.Name] = true
	}
}

func TestALateGeneratorMakesAResultInvalid(t *testing.T) {
	good := load.Report{Sent: 1000, Slow: 120, Late: 10, MaxLag: time.Second}
	tests := map[string]struct {
		change func(*load.Report)
		want   string
	}{
		"a hundredth late is borne":   {func(*load.Report) {}, ""},
		"more is not":                 {func(r *load.Report) { r.Late = 11 }, "too busy"},
		"nor is one that is too late": {func(r *load.Report) { r.MaxLag = 3 * time.Second }, "too busy"},
		"nor one that was not sent":   {func(r *load.Report) { r.Missed = 1 }, "not sent"},
		"fewer slow ones than asked":  {func(r *load.Report) { r.Slow = 99 }, "fewer than a tenth"},
		"no request":                  {func(r *load.Report) { *r = load.Report{} }, "no request"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			report, r := good, Result{}
			tt.change(&report)
			r.sent(report)
			if (r.Invalid == "") != (tt.want == "") || !strings.Contains(r.Invalid, tt.want) {
				t.Errorf("got %q, want %q", r.Invalid, tt.want)
			}
		})
	}
}

// at is a moment of the tests, in seconds.
func at(seconds float64) time.Time {
	return time.Date(2026, 11, 29, 4, 0, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

func pod(name, ip string, created, deleted float64) observe.Pod {
	p := observe.Pod{Name: name, IP: ip, Created: at(created)}
	if deleted > 0 {
		p.Deleted, p.Exited, p.Gone = at(deleted), at(deleted+66), at(deleted+66)
	}
	return p
}

func TestARequestBelongsToWhoHadTheAddressThen(t *testing.T) {
	pods := []observe.Pod{pod("first", "10.0.0.1", 0, 100), pod("other", "10.0.0.2", 50, 0), pod("second", "10.0.0.1", 1200, 1300)}
	var entries []accesslog.Entry
	for _, s := range []float64{10, 99, 112, 1250, 1311} {
		entries = append(entries, accesslog.Entry{Target: "10.0.0.1:1325", Created: at(s), Time: at(s + 5)})
	}
	entries = append(entries, accesslog.Entry{Created: at(1312)}) // a 503 has no target
	h := observe.History{{At: at(100.1), IP: "10.0.0.1", State: "draining"}, {At: at(142), IP: "10.0.0.1", State: "unused"}, {At: at(1300.2), IP: "10.0.0.1", State: "draining"}}
	got := map[string][3]time.Time{}
	for _, s := range stories(pods, h, entries) {
		got[s.Name] = [3]time.Time{s.Draining, s.LastRequest, s.LastAnswer}
	}
	want := map[string][3]time.Time{
		"first": {at(100.1), at(112), at(117)}, "other": {}, "second": {at(1300.2), at(1311), at(1316)},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestARolloutTellsOfThePodsItReplacedAndMade(t *testing.T) {
	all := []Story{{Pod: pod("before", "a", 0, 5)}, {Pod: pod("old", "b", 1, 20)}, {Pod: pod("new", "c", 11, 99)}, {Pod: pod("after", "d", 90, 0)}}
	got := map[string]bool{}
	for _, s := range during(all, at(10), at(80)) {
		got[s.Name] = s.New
		if s.New != s.Deleted.IsZero() {
			t.Errorf("%s: new %t, deleted %s", s.Name, s.New, s.Deleted)
		}
	}
	if d := cmp.Diff(map[string]bool{"old": false, "new": true}, got); d != "" {
		t.Error(d)
	}
}

func TestTheTableSaysWhatEachLost(t *testing.T) {
	old := Story{Pod: pod("old", "b", 1, 20), Draining: at(20.2), LastRequest: at(34), Unused: at(62)}
	e := Experiment{Replicas: 2, Results: []Result{
		{Setting: Setting{Name: "b", Title: "gate only", Kind: Gate, Propagation: measured}, Timings: Timings{-1, -1, -1}, Requests: 1000, Failed: 313, Logged: 313,
			Causes: map[string]int{"504 connect-timeout": 140, "502 connect-reset": 173}, Rollouts: []Rollout{{Pods: []Story{old}}}},
		{Setting: Setting{Name: "p05", Kind: Shorter, Propagation: planned}, Timings: Timings{25, 5, 40}, Rollouts: []Rollout{{Failed: 7}, {Failed: 9}}},
		{Setting: Setting{Name: "m05", Kind: Shorter, Propagation: measured}, Timings: Timings{25, 5, 40}, Invalid: "too busy"},
	}, Retried: []Result{{Setting: Setting{Title: "gate only"}, Requests: 90, Failed: 3, Invalid: "too busy"}}}
	var text strings.Builder
	e.Table(&text)
	for _, want := range []string{"| gate only |", "-/-/-", "173 × 502 connect-reset, 140 × 504 connect-timeout", "| 0.2 s ", "| 14.0 s ", "| 42.0 s ", "| 66.0 s ", "made again: gate only, in which 3 of 90 requests failed: too busy", "| 5 s     | invalid", "| 7, 9 "} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
	if err := e.err(); err == nil || !strings.Contains(err.Error(), "too busy") {
		t.Errorf("an invalid result is no error: %v", err)
	}
}

// Causes and the figures of each rollout are from the access log: a setting in which it
// tells of other failures than the clients saw says nothing.
func TestClientsAndTheAccessLogAgree(t *testing.T) {
	for name, c := range map[string]struct {
		Result
		want string
	}{
		"both saw as many":            {Result{Failed: 3, Logged: 3}, ""},
		"the log has fewer":           {Result{Failed: 1}, "the clients saw 1 failures, and the access log has 0"},
		"what was invalid before it":  {Result{Failed: 1, Invalid: "too busy"}, "too busy"},
		"the log has more, of nobody": {Result{Logged: 2}, "the clients saw 0 failures, and the access log has 2"},
	} {
		if c.agree(); c.Invalid != c.want {
			t.Errorf("%s: %q, want %q", name, c.Invalid, c.want)
		}
	}
}
