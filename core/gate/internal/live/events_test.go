// SPDX-License-Identifier: Apache-2.0

package live

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

// Events tell what no status does, when something has been lacking for a while.
func TestWhatOnlyEventsTell(t *testing.T) {
	event := func(uid, reason, at string) string {
		return fmt.Sprintf("{apiVersion: v1, kind: Event, reason: %s, message: said of %s, lastTimestamp: '%s', involvedObject: {uid: %s}}", reason, uid, at, uid)
	}
	set := func(more ...model.Pod) model.Snapshot { return model.Snapshot{Desired: 2, Pods: more} }
	pod := func(age time.Duration) model.Pod {
		return model.Pod{UID: "p", New: true, Created: time.Now().Add(-age)}
	}
	cases := map[string]struct {
		kind             string
		snapshot         func() model.Snapshot
		events           []string
		waiting, refused string
		asked            bool
	}{
		"a volume that is not mounted":            {"StatefulSet", func() model.Snapshot { return set(pod(30*time.Second), pod(30*time.Second)) }, []string{event("p", "FailedMount", "2000-01-01T00:00:10Z")}, "FailedMount", "", true},
		"but was at last":                         {"StatefulSet", func() model.Snapshot { return set(pod(30*time.Second), pod(30*time.Second)) }, []string{event("p", "FailedMount", "2000-01-01T00:00:10Z"), event("p", "Pulling", "2000-01-01T00:00:11Z")}, "", "", true},
		"a pod that is young":                     {"Deployment", func() model.Snapshot { return set(pod(10 * time.Second)) }, []string{event("p", "FailedMount", "2000-01-01T00:00:10Z")}, "", "", false},
		"a pod that waits by its own word":        {"Deployment", func() model.Snapshot { p := pod(time.Minute); p.Waiting = "ErrImagePull"; return set(p) }, []string{event("p", "FailedMount", "2000-01-01T00:00:10Z")}, "ErrImagePull", "", false},
		"a pod that a StatefulSet may not create": {"StatefulSet", func() model.Snapshot { return set(model.Pod{UID: "p", New: true, IP: "10.0.0.1"}) }, []string{event("w", "FailedCreate", "2000-01-01T00:00:10Z")}, "", "said of w", true},
		"which it could later":                    {"StatefulSet", func() model.Snapshot { return set(model.Pod{UID: "p", New: true, IP: "10.0.0.1"}) }, []string{event("w", "FailedCreate", "2000-01-01T00:00:10Z"), event("w", "SuccessfulCreate", "2000-01-01T00:00:10Z")}, "", "", true},
		"a Deployment's status says it itself":    {"Deployment", func() model.Snapshot { return set(model.Pod{UID: "p", New: true, IP: "10.0.0.1"}) }, []string{event("w", "FailedCreate", "2000-01-01T00:00:10Z")}, "", "", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := newCluster(t, c.events...)
				r, s := NewReader(api, nil), c.snapshot()
				obj := parse(t, "{kind: "+c.kind+", metadata: {uid: w, namespace: dev}}")
				r.troubles(t.Context(), obj, &s)
				waiting := ""
				if len(s.Pods) > 0 {
					waiting = s.Pods[0].Waiting
				}
				if waiting != c.waiting || s.Refused != c.refused || slices.Contains(api.asked, "list v1 Event") != c.asked {
					t.Errorf("waiting %q, refused %q, asked %q", waiting, s.Refused, api.asked)
				}
				r.troubles(t.Context(), obj, &s)
				if n := len(api.asked); n > 1 {
					t.Errorf("asked %d times in a moment", n)
				}
			})
		})
	}
}

func TestEvidence(t *testing.T) {
	var events []string
	for i := range 12 { // listed in another order than that in which they were seen
		at := (i + 5) % 12
		events = append(events, fmt.Sprintf("{apiVersion: v1, kind: Event, type: Normal, reason: Pulled, message: ' number %c\n', lastTimestamp: '2000-01-01T00:00:%02dZ', involvedObject: {name: new, uid: u}}", 'a'+rune(at), at))
	}
	events = append(events, "{apiVersion: v1, kind: Event, type: Normal, reason: Killing, message: of a pod of this name before, lastTimestamp: '2000-01-01T00:00:50Z', involvedObject: {name: new, uid: v}}",
		"{apiVersion: v1, kind: Event, type: Normal, reason: Many, eventTime: '2000-01-01T00:00:01Z', series: {count: 7, lastObservedTime: '2000-01-01T00:01:00Z'}, involvedObject: {name: web, uid: w}}")
	api := newCluster(t, events...)
	r := NewReader(api, nil)
	all := r.ReadEvents(t.Context(), "dev")
	got := r.Evidence(t.Context(), "dev", model.Pod{UID: "u", Name: "new", Containers: []string{"web"}}, all)
	if got.Pod != "dev/new" || len(got.Events) != 10 || got.Events[0] != "Normal Pulled: number c (x1)" || got.Events[9] != "Normal Pulled: number l (x1)" {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff([]model.Log{{Container: "web", Previous: true, Lines: []string{"panic: no database", "exit status 2"}}}, got.Logs); diff != "" {
		t.Error(diff)
	}
	since := func(second int) time.Time { return time.Date(2000, 1, 1, 0, 0, second, 0, time.UTC) }
	for second, want := range map[int]int{0: 10, 9: 3, 11: 1, 12: 0} {
		if got := all.Of("u", since(second)); len(got) != want {
			t.Errorf("since second %d: %q", second, got)
		}
	}
	if got := all.Of("w", since(60)); !slices.Equal(got, []string{"Normal Many:  (x7)"}) {
		t.Errorf("%q", got)
	}
	api.fails["Event"] = errors.New("forbidden")
	if got := r.ReadEvents(t.Context(), "dev").Of("u", since(0)); !slices.Equal(got, []string{"events cannot be read: forbidden"}) {
		t.Errorf("%q", got)
	}
}
