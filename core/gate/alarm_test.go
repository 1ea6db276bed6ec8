// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outlast-ci/outlast/core/event"
)

// bell is CloudWatch with one alarm, which goes off between two seconds, and does not answer between two others.
type bell struct {
	began    time.Time
	from, to int
	mute     [2]int
	asked    *int
}

func (b bell) Alarms(context.Context, []string) ([]Alarm, error) {
	*b.asked++
	at := int(time.Since(b.began).Seconds())
	switch {
	case at >= b.mute[0] && at < b.mute[1]:
		return nil, errors.New("rate exceeded")
	case at >= b.from && at < b.to:
		return []Alarm{{Name: "5xx", State: "ALARM", Since: b.began.Add(time.Duration(b.from) * time.Second), Why: "too many"}}, nil
	}
	return []Alarm{{Name: "5xx", State: "OK", Since: b.began}}, nil
}

func TestAnAlarmBesideTheRollout(t *testing.T) {
	cases := map[string]struct {
		bell     bell
		reason   Reason
		between  [2]int
		problems string
	}{
		"all is well":                               {bell{}, "", [2]int{114, 120}, ""},
		"it goes off":                               {bell{from: 40, to: 1000}, AlarmRaised, [2]int{40, 57}, "alarm 5xx went to ALARM at 00:00:40"},
		"at the very end: the last look counts":     {bell{from: 113, to: 1000}, AlarmRaised, [2]int{113, 120}, "alarm 5xx went to ALARM"},
		"it has gone off before":                    {bell{from: -10, to: 1000}, "", [2]int{114, 120}, ""},
		"no answer at the end holds it up":          {bell{mute: [2]int{100, 150}}, "", [2]int{150, 172}, ""},
		"for ever: the gate's time is over at last": {bell{mute: [2]int{10, 1e6}}, TimedOut, [2]int{690, 710}, "CloudWatch's alarms cannot be read: rate exceeded"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, asked, quiet, spoke := &world{began: time.Now(), stages: rollout}, 0, time.Duration(0), time.Now()
				c.bell.began, c.bell.asked = w.began, &asked
				observe := func(event.Event) { quiet, spoke = max(quiet, time.Since(spoke)), time.Now() }
				alarms, err := OpenAlarms(t.Context(), c.bell, []string{"5xx"}, observe)
				if err != nil {
					t.Fatal(err)
				}
				result, err := Wait(t.Context(), w, w, Options{Workloads: []Workload{behind()}, Alarms: alarms, Observe: observe})
				took := int(time.Since(w.began).Seconds())
				var failed *Error
				errors.As(err, &failed)
				if (c.reason == "") != (err == nil) || failed != nil && failed.Reason != c.reason || took < c.between[0] || took > c.between[1] {
					t.Fatalf("after %d s: %v; want %q in %v", took, err, c.reason, c.between)
				}
				if failed != nil && !slices.ContainsFunc(failed.Problems, func(p string) bool { return strings.Contains(p, c.problems) }) {
					t.Errorf("%q", failed.Problems)
				}
				if len(result.Alarms) != 1 || result.Alarms[0].Raised() != (c.reason == AlarmRaised) || asked < took/16 || asked > took/15+4 || quiet > 20*time.Second {
					t.Errorf("asked %d times in %d s, silent for %s: %+v", asked, took, quiet, result.Alarms)
				}
			})
		})
	}
}
