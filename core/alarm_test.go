// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outlast-ci/outlast/core/gate"
)

// sirens is CloudWatch with one alarm, which is in ALARM from the second time on that it is asked while a
// deploy's new image is there, or all the time.
type sirens struct {
	m      *memory
	always bool
	asked  int
	since  time.Time
}

func (s *sirens) Alarms(context.Context, []string) ([]gate.Alarm, error) {
	a := gate.Alarm{Name: "5xx", State: "OK"}
	if s.m.image() == v2 {
		s.asked++
	}
	if s.always || s.asked > 1 {
		if s.since.IsZero() {
			s.since = time.Now()
		}
		a.State, a.Since = "ALARM", s.since
	}
	return []gate.Alarm{a}, nil
}

func TestADeployWithAlarms(t *testing.T) {
	for name, c := range map[string]struct {
		alarms []string
		always bool
		image  string // that is left
		undone bool
		early  bool // before anything was changed
	}{
		"what the new image sets off is rolled back, and the rollback watches none": {[]string{"5xx"}, false, v1, true, false},
		"what was there before is not its fault":                                    {[]string{"5xx"}, true, v2, false, false},
		"an alarm that does not exist is found before anything is changed":          {[]string{"5xx", "4xx"}, false, v1, false, true},
		"without a name nobody asks":                                                {nil, false, v2, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory("a", new([]string))
				if _, err := ship(t, m, v1, ""); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				cfg, clients := shipping(t, v2), m.clients()
				cfg.Gate.Alarms = c.alarms
				clients.Alarms = func(context.Context) (gate.Alarms, error) { return &sirens{m: m, always: c.always}, nil }
				r, err := Deploy(t.Context(), cfg, clients, Report{})
				var verdict *gate.Error
				var undone *RolledBackError
				var stage *StageError
				if errors.As(err, &undone) != c.undone || (err == nil) == (c.undone || c.early) || m.image() != c.image {
					t.Fatalf("%v; %s is left, want %s", err, m.image(), c.image)
				}
				if c.undone && (!errors.As(err, &verdict) || verdict.Reason != gate.AlarmRaised || undone.Undone != nil || len(r.Rollback.Gate.Alarms) > 0) {
					t.Errorf("%v, rollback %+v", err, r.Rollback)
				}
				if c.early && (!errors.As(err, &stage) || !stage.Preflight || stage.Stage != "gate") {
					t.Errorf("%v", err)
				}
				if !c.early && len(r.Gate.Alarms) != len(c.alarms) {
					t.Errorf("%+v", r.Gate.Alarms)
				}
			})
		})
	}
}
