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
	entries := []accesslog.Entry{
		{Created: at(1), Time: at(1), Status: 200, TargetStatus: 200},
		{Created: at(2), Time: at(12), Status: 504, Target: "10.0.0.1:1325", RequestTime: -1, TargetTime: -1, ResponseTime: -1},
		{Created: at(3), Time: at(43), Status: 502, Target: "10.0.0.1:1325", TargetTime: -1, ResponseTime: -1},
		{Created: at(4), Time: at(9), Status: 502, Target: "10.0.0.2:1325", TargetTime: -1, ResponseTime: -1},
	}
	got := Failures(entries, func(target string, _ time.Time) time.Time {
		return map[string]time.Time{"10.0.0.1:1325": at(43)}[target]
	})
	want := []Failure{{at(2), "504 connect-timeout"}, {at(3), "502 delay-expired"}, {at(4), "502 target-closed"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
