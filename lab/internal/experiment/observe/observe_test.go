// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outlast-ci/outlast/lab/internal/alb/accesslog"
)

func at(seconds int) time.Time { return time.Date(2026, 11, 29, 4, 0, seconds, 0, time.UTC) }

func TestTheTimesOfAPodAreThoseOfTheFirstEventThatShowsThem(t *testing.T) {
	var p Pods
	for i, text := range []string{
		`{"type":"ADDED","object":{"metadata":{"name":"web-1","namespace":"n","uid":"u"}}}`,
		`{"type":"MODIFIED","object":{"metadata":{"name":"web-1","namespace":"n","uid":"u"},"status":{"podIP":"10.0.0.1","conditions":[{"type":"Ready","status":"False"}]}}}`,
		`{"type":"MODIFIED","object":{"metadata":{"name":"web-1","namespace":"n","uid":"u"},"status":{"podIP":"10.0.0.1","conditions":[{"type":"Ready","status":"True"}]}}}`,
		`{"type":"MODIFIED","object":{"metadata":{"name":"web-1","namespace":"n","uid":"u","deletionTimestamp":"2026-11-29T04:01:00Z"},"status":{"podIP":"10.0.0.1","conditions":[{"type":"Ready","status":"True"}]}}}`,
		`{"type":"MODIFIED","object":{"metadata":{"name":"web-1","namespace":"n","uid":"u","deletionTimestamp":"2026-11-29T04:01:00Z"},"status":{"containerStatuses":[{"state":{"terminated":{"exitCode":0}}}]}}}`,
		`{"type":"DELETED","object":{"metadata":{"name":"web-1","namespace":"n","uid":"u","deletionTimestamp":"2026-11-29T04:01:00Z"},"status":{"containerStatuses":[{"state":{"terminated":{"exitCode":0}}}]}}}`,
	} {
		var e shown
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatal(err)
		}
		if err := p.take(e, at(i)); err != nil {
			t.Fatal(err)
		}
	}
	want := []Pod{{Name: "web-1", Namespace: "n", UID: "u", IP: "10.0.0.1", Created: at(0), Ready: at(2), Deleted: at(3), Exited: at(4), Gone: at(5)}}
	if d := cmp.Diff(want, p.In("n")); d != "" || p.In("other") != nil {
		t.Errorf("%s, in another namespace %v", d, p.In("other"))
	}
	var e shown
	e.Type, e.Object.Message = "ERROR", "too old resource version"
	if err := p.take(e, at(9)); err == nil || !strings.Contains(err.Error(), "too old") {
		t.Errorf("an error of the API server: %v", err)
	}
}

func TestTargetsAreCountedAtEachChange(t *testing.T) {
	h := History{{at(0), "a", "initial"}, {at(1), "a", "healthy"}, {at(5), "b", "initial"}, {at(6), "a", "draining"}, {at(8), "b", "healthy"}, {at(20), "a", "unused"}, {at(30), "a", "initial"}}
	tests := map[string]struct {
		from, to int
		want     []Count
		fewest   int
	}{
		"before anything was":                     {-1, -1, []Count{{At: at(-1)}}, 0},
		"what was there counts from the start on": {2, 2, []Count{{At: at(2), Healthy: 1}}, 1},
		"a gap between two healthy ones is seen": {4, 10, []Count{{At: at(4), Healthy: 1}, {At: at(5), Healthy: 1, Initial: 1},
			{At: at(6), Initial: 1, Draining: 1}, {At: at(8), Healthy: 1, Draining: 1}}, 0},
		"after the last change": {40, 41, []Count{{At: at(40), Healthy: 1, Initial: 1}}, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := h.Counts(at(tt.from), at(tt.to))
			if d := cmp.Diff(tt.want, got); d != "" || Fewest(got) != tt.fewest {
				t.Errorf("fewest %d: %s", Fewest(got), d)
			}
		})
	}
	if got := h.First("a", "initial", at(1)); got != at(30) {
		t.Errorf("the second registration was at %s", got)
	}
	if got := h.First("a", "unhealthy", at(0)); !got.IsZero() {
		t.Errorf("a state that it never had: %s", got)
	}
}

func TestFailuresAreToldWithTheirCause(t *testing.T) {
	closed := accesslog.Entry{Status: 502, Target: "10.0.0.1:1325", TargetTime: -1, ResponseTime: -1}
	pending := closed
	pending.RequestTime = -1
	broken := closed
	broken.TargetTime, broken.ResponseTime = 0.1, 0
	end := End{Told: at(60), Delay: at(43).Add(50 * time.Millisecond)}
	for name, tt := range map[string]struct {
		entry    accesslog.Entry
		from, to int
		end      End
		want     string
	}{
		"an answer":                             {accesslog.Entry{Status: 200, TargetStatus: 200}, 1, 1, end, ""},
		"the address is gone":                   {accesslog.Entry{Status: 504, Target: "10.0.0.1:1325", RequestTime: -1, TargetTime: -1, ResponseTime: -1}, 2, 12, end, "504 connect-timeout"},
		"cut when the delay is over":            {closed, 39, 43, end, "502 delay-expired"},
		"cut later, while the process serves":   {closed, 45, 50, end, "502 delay-expired"},
		"closed by a process that stops":        {closed, 58, 61, end, "502 target-closed"},
		"closed before the delay is over":       {closed, 30, 35, end, "502 target-closed"},
		"closed by a pod that is not replaced":  {closed, 4, 9, End{}, "502 target-closed"},
		"cut before there was a connection":     {pending, 62, 67, end, "502 delay-expired"},
		"cut as its answer came":                {broken, 43, 43, end, "502 delay-expired"},
		"no connection, and no delay was over":  {pending, 32, 37, end, "502 other"},
		"an answer of no sense, while it stops": {broken, 58, 62, end, "502 other"},
	} {
		tt.entry.Created, tt.entry.Time = at(tt.from), at(tt.to)
		got := Failures([]accesslog.Entry{tt.entry}, func(string, time.Time) End { return tt.end })
		var want []Failure
		if tt.want != "" {
			want = []Failure{{at(tt.from), tt.want}}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
