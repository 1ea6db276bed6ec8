// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outlast-ci/outlast/lab/internal/alb/accesslog"
)

// sec is a moment of these tests, in seconds.
func sec(seconds float64) time.Time {
	return at(0).Add(time.Duration(seconds * float64(time.Second)))
}

func pod(name, ip string, created, deleted float64) Pod {
	p := Pod{Name: name, IP: ip, Created: sec(created)}
	if deleted > 0 {
		p.Deleted, p.Exited, p.Gone = sec(deleted), sec(deleted+66), sec(deleted+66)
	}
	return p
}

func TestARequestBelongsToWhoHadTheAddressThen(t *testing.T) {
	pods := []Pod{pod("first", "10.0.0.1", 0, 100), pod("other", "10.0.0.2", 50, 0), pod("second", "10.0.0.1", 1200, 1300)}
	var entries []accesslog.Entry
	for _, s := range []float64{10, 99, 112, 1250, 1311} {
		entries = append(entries, accesslog.Entry{Target: "10.0.0.1:1325", Created: sec(s), Time: sec(s + 5)})
	}
	entries = append(entries, accesslog.Entry{Created: sec(1312)}) // a 503 has no target
	h := History{{At: sec(100.1), IP: "10.0.0.1", State: "draining"}, {At: sec(142), IP: "10.0.0.1", State: "unused"}, {At: sec(1300.2), IP: "10.0.0.1", State: "draining"}}
	got := map[string][3]time.Time{}
	for _, s := range Stories(pods, h, entries) {
		got[s.Name] = [3]time.Time{s.Draining, s.LastRequest, s.LastAnswer}
	}
	want := map[string][3]time.Time{
		"first": {sec(100.1), sec(112), sec(117)}, "other": {}, "second": {sec(1300.2), sec(1311), sec(1316)},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestARolloutTellsOfThePodsItReplacedAndMade(t *testing.T) {
	all := []Story{{Pod: pod("before", "a", 0, 5)}, {Pod: pod("old", "b", 1, 20)}, {Pod: pod("new", "c", 11, 99)}, {Pod: pod("after", "d", 90, 0)}}
	got := map[string]bool{}
	for _, s := range During(all, sec(10), sec(80)) {
		got[s.Name] = s.New
		if s.New != s.Deleted.IsZero() {
			t.Errorf("%s: new %t, deleted %s", s.Name, s.New, s.Deleted)
		}
	}
	if d := cmp.Diff(map[string]bool{"old": false, "new": true}, got); d != "" {
		t.Error(d)
	}
}
