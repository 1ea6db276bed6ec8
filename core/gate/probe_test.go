// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outlast-ci/outlast/core/event"
)

// answers is a service that fails between two seconds, or that nobody can reach.
type answers struct {
	began    time.Time
	from, to int
	dead     bool
}

func (a answers) Do(r *http.Request) (*http.Response, error) {
	if a.dead {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	status := http.StatusOK
	if at := int(time.Since(a.began).Seconds()); at >= a.from && at < a.to {
		status = http.StatusBadGateway
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

func TestAProbeBesideTheRollout(t *testing.T) {
	cases := map[string]struct {
		service answers
		budget  int
		timeout time.Duration
		reason  Reason
		between [2]int
	}{
		"all is well":                     {answers{}, 0, 0, "", [2]int{114, 120}},
		"a failure within the budget":     {answers{from: 30, to: 31}, 5, 0, "", [2]int{114, 120}},
		"one too many ends it at once":    {answers{from: 30, to: 31}, 2, 0, ProbeFailed, [2]int{30, 30}},
		"one at the very end counts":      {answers{from: 113, to: 1000}, 0, 0, ProbeFailed, [2]int{113, 113}},
		"nobody answers in time":          {answers{dead: true}, 0, 0, ProbeFailed, [2]int{5, 5}},
		"a service that hangs to the end": {answers{dead: true}, 1e6, time.Hour, TimedOut, [2]int{690, 710}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{began: time.Now(), stages: rollout}
				c.service.began = w.began
				result, err := Wait(t.Context(), w, w, Options{Workloads: []Workload{behind()}, Probe: &Probe{URL: "http://shop.example/", Client: c.service, Failures: c.budget, Timeout: c.timeout}})
				took := int(time.Since(w.began).Seconds())
				var failed *Error
				errors.As(err, &failed)
				if (c.reason == "") != (err == nil) || failed != nil && (failed.Reason != c.reason || failed.TimedOut != (c.reason == TimedOut)) || took < c.between[0] || took > c.between[1] {
					t.Fatalf("after %d s: %v; want %q in %v", took, err, c.reason, c.between)
				}
				if result.Probe == nil || result.Probe.Sent < 5*min(took, 114) || (c.reason == "" && result.Probe.Answered < 5*took) {
					t.Errorf("%+v", result.Probe)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // what is counted is told as often as anything
		w := &world{began: time.Now(), stages: rollout}
		var told []string
		last, longest := time.Now(), time.Duration(0)
		result, err := Wait(t.Context(), w, w, Options{Workloads: []Workload{behind()}, Probe: &Probe{URL: "http://ann:secret@shop.example/", Client: answers{began: w.began, from: 30, to: 31}, Failures: 9},
			Observe: func(e event.Event) {
				if e.Object == "probe http://ann:xxxxx@shop.example/" && e.Kind == event.Progress {
					longest, last, told = max(longest, time.Since(last)), time.Now(), append(told, e.Message)
				}
			}})
		if err != nil || longest > 20*time.Second || len(told) == 0 || !strings.HasPrefix(told[len(told)-1], "5 of ") || !strings.HasSuffix(told[len(told)-1], "requests failed; first at 00:00:30: status 502") {
			t.Errorf("%v, silent for %s, told %q", err, longest, told)
		}
		if result.Probe.URL != "http://ann:xxxxx@shop.example/" {
			t.Errorf("the report has the password: %s", result.Probe.URL)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := &world{began: time.Now(), stages: rollout}
		if _, err := Wait(t.Context(), w, w, Options{Workloads: []Workload{behind()}, Probe: &Probe{URL: "shop"}}); err == nil || len(w.asked) > 0 {
			t.Errorf("a probe that is none: %v, asked %q", err, w.asked)
		}
	})
}

// What a failing rollout leaves as evidence: the pod's logs, events and targets, and the workload's events.
func TestTheEvidenceOfAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{began: time.Now(), stages: []stage{{pods: "old new", targets: "old=healthy new=unhealthy"}}}
		result, err := Wait(t.Context(), w, w, Options{Workloads: []Workload{behind()}})
		var failed *Error
		if !errors.As(err, &failed) || failed.Reason != TargetUnhealthy || len(result.Evidence) != 2 {
			t.Fatalf("%v, %+v", err, result.Evidence)
		}
		e := result.Evidence[0]
		if e.Pod != "dev/new" || len(e.Targets) != 1 || !strings.HasPrefix(e.Targets[0], "web: 10.0.0.2:8080 is unhealthy for 4") || len(e.Events) != 1 || len(e.Logs) != 1 || !e.Logs[0].Previous || e.Logs[0].Lines[0] != "panic: no database" {
			t.Errorf("%+v", e)
		}
		if e := result.Evidence[1]; e.Pod != "Deployment/dev/web" || len(e.Events) != 1 || !strings.Contains(e.Events[0], "web-new") {
			t.Errorf("of the workload: %+v", e)
		}
	})
}
