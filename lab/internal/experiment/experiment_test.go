// SPDX-License-Identifier: Apache-2.0

package experiment

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/experiment/observe"
	"github.com/outlast-ci/outlast/lab/internal/experiment/plan"
	"github.com/outlast-ci/outlast/lab/internal/load"
)

const rendered = `kind: Deployment
  minReadySeconds: 15
          preStop:
            sleep:
              seconds: 65
      terminationGracePeriodSeconds: 75
    alb.ingress.kubernetes.io/target-group-attributes: deregistration_delay.timeout_seconds=40
`

func timings(grace, preStop, delay, minReady int) plan.Timings {
	return plan.Timings{GracePeriod: grace, PreStop: preStop, DeregistrationDelay: delay, MinReady: minReady}
}

func TestTimingsAreReadFromWhatIsApplied(t *testing.T) {
	point := plan.Timings{GracePeriod: 25, PreStop: 5, DeregistrationDelay: plan.Unwritten, MinReady: plan.Unwritten}
	cut, eager := plan.Nothing(), plan.Nothing()
	cut.DeregistrationDelay, eager.MinReady = 10, 0
	tests := map[string]struct {
		text  string
		kind  plan.Kind
		write plan.Timings
		want  plan.Timings
		err   string
	}{
		"as they were computed":                {rendered, plan.Computed, plan.Nothing(), timings(75, 65, 40, 15), ""},
		"with a preStop of the curve":          {rendered, plan.Shorter, point, timings(25, 5, 40, 15), ""},
		"with a delay of the curve":            {rendered, plan.Delayed, cut, timings(75, 65, 10, 15), ""},
		"with no wait for new pods":            {rendered, plan.Computed, eager, timings(75, 65, 40, 0), ""},
		"by hand: templates have written it":   {rendered, plan.Written, point, timings(75, 65, 40, 15), ""},
		"none is written":                      {"kind: Deployment\n", plan.Gate, plan.Nothing(), plan.Nothing(), ""},
		"nothing was computed to be shortened": {"kind: Deployment\n", plan.Shorter, point, plan.Timings{}, "replacing the preStop of setting x: there is not one in the manifests, but 0"},
		"two hooks: which is meant?":           {rendered + rendered, plan.Shorter, point, plan.Timings{}, "but 2"},
		"no Deployment":                        {"kind: Service\n", plan.Bare, plan.Nothing(), plan.Nothing(), "no Deployment"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			text, got, err := replace(tt.text, plan.Setting{Name: "x", Kind: tt.kind, Write: tt.write})
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %+v, %v", got, err)
			}
			if tt.kind == plan.Shorter && err == nil && (!strings.Contains(text, "seconds: 5\n") || strings.Contains(text, "65")) {
				t.Errorf("applied would be:\n%s", text)
			}
		})
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
			r.sent(report, mostLate)
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

func TestTheTableSaysWhatEachLost(t *testing.T) {
	old := observe.Story{Pod: observe.Pod{Name: "old", Created: at(1), Deleted: at(20), Exited: at(86)}, Draining: at(20.2), LastRequest: at(34), Unused: at(62)}
	e := Experiment{Replicas: 2, Parallel: 6, Seconds: 1807, Origin: Origin{Commit: "abc+dirty", Seed: 7, Registration: "1s-3s", Jitter: "0s-15s", Requeue: "3s", Versions: map[string]string{"kubernetes": "v1.37.2"}}, Results: []Result{
		{Setting: plan.Setting{Name: "b", Title: "gate only", Kind: plan.Gate, Propagation: plan.Measured, Expect: plan.Loses}, Timings: plan.Nothing(), Requests: 1000, Failed: 313, Logged: 313,
			Causes: map[string]int{"504 connect-timeout": 140, "502 connect-reset": 173}, Rollouts: []Rollout{{Pods: []observe.Story{old}}}},
		{Setting: plan.Setting{Name: "p05", Kind: plan.Shorter, Propagation: plan.Planned}, Timings: timings(25, 5, 40, 15), Rollouts: []Rollout{{Failed: 7}, {Failed: 9}}},
		{Setting: plan.Setting{Name: "m05", Kind: plan.Shorter, Propagation: plan.Measured}, Timings: timings(25, 5, 40, 15), Invalid: "too busy"},
		{Setting: plan.Setting{Name: "delay-m10", Kind: plan.Delayed, Propagation: plan.Measured, Expect: plan.Loses}, Timings: timings(55, 40, 10, 15), Rollouts: []Rollout{{}, {}}},
	}, Retried: []Result{{Setting: plan.Setting{Title: "gate only"}, Requests: 90, Failed: 3, Invalid: "too busy"}}}
	var text strings.Builder
	e.Table(&text)
	for _, want := range []string{
		"| gate only |", "-/-/-", "173 × 502 connect-reset, 140 × 504 connect-timeout", "| 0.2 s ", "| 14.0 s ", "| 42.0 s ", "| 66.0 s ", "made again: gate only, in which 3 of 90 requests failed: invalid: too busy",
		"| 5 s     | invalid", "| 7, 9 ", "| 10 s                 | 0, 0, UNEXPECTED ", "5 rollouts in 4 settings, 6 applications at a time, 30 minutes; commit abc+dirty, seed 7, registration 1s-3s, jitter 0s-15s, requeue 3s, kubernetes v1.37.2",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
	if err := e.err(); err == nil || !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "too busy") {
		t.Errorf("an invalid result is no error: %v", err)
	}
}

func TestASettingMustDoWhatIsExpected(t *testing.T) {
	for name, tt := range map[string]struct {
		expect plan.Expect
		failed int
		want   string
	}{
		"a control that loses":          {plan.Loses, 3, ""},
		"a control that loses none":     {plan.Loses, 0, "must lose requests, and lost none"},
		"what outlast computes":         {plan.None, 0, ""},
		"what outlast computes, broken": {plan.None, 1, "must lose none, and lost 1"},
		"at the edge":                   {plan.Either, 1, ""},
	} {
		r := Result{Setting: plan.Setting{Title: "x", Expect: tt.expect}, Failed: tt.failed, Logged: tt.failed}
		err := Experiment{Results: []Result{{Setting: plan.Setting{Expect: plan.Either}}, r}}.err()
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || errors.Is(err, ErrInvalid)) {
			t.Errorf("%s: %v", name, err)
		}
		r.Invalid = "too busy"
		if err := (Experiment{Results: []Result{r}}).err(); err == nil || strings.Contains(err.Error(), "must lose") {
			t.Errorf("%s, invalid, is judged: %v", name, err)
		}
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

// What is made again takes the place of what it was, which is kept beside.
func TestMadeAgain(t *testing.T) {
	of := func(name string, expect plan.Expect, failed int, invalid string) Result {
		return Result{Setting: plan.Setting{Name: name, Title: "setting " + name, Expect: expect}, Failed: failed, Requests: 100, Invalid: invalid}
	}
	e := Experiment{Seconds: 60, Results: []Result{of("a", plan.Loses, 3, ""), of("b", plan.None, 2, ""), of("c", plan.None, 0, "late"), of("d", plan.Either, 1, "")}}
	if got := strings.Join(e.Wanting(), " "); got != "b c" {
		t.Errorf("wanting are %q", got)
	}
	now := e.With(Experiment{Seconds: 30, Origin: Origin{Commit: "abc"}, Results: []Result{of("b", plan.None, 0, ""), of("c", plan.None, 0, ""), of("other", plan.None, 0, "")}})
	if len(now.Wanting()) > 0 || len(now.Results) != 4 || len(now.Retried) != 2 || now.Seconds != 90 || now.Results[1].Again != "abc" || now.Results[0].Again != "" || e.Results[1].Failed != 2 {
		t.Errorf("%+v", now)
	}
	var table strings.Builder
	now.Table(&table)
	for _, want := range []string{"made again with commit abc: setting b, in which 2 of 100 requests failed: UNEXPECTED: it must lose none, and lost 2", "setting c, in which 0 of 100 requests failed: invalid: late"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in\n%s", want, table.String())
		}
	}
}
