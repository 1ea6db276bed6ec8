// SPDX-License-Identifier: Apache-2.0

// Package monitoring imitates CloudWatch's alarms. Requests go in as the SDK's
// input structs in CBOR, and come out as its output structs. There are no metrics:
// a metric alarm has the state that it was set to, and a composite alarm follows the
// alarms that its rule names.
//
// Not imitated: metrics, dashboards, log alarms, alarms by PromQL, actions (they are
// kept and shown, and nobody is called), histories and tags.
package monitoring

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// The service's quotas and defaults (API reference; the page's size is what clients
// that ask for none were seen to get).
const (
	maxNames   = 100 // of one call
	maxName    = 255 // characters
	maxPage    = 100
	usualPage  = 50
	maxReason  = 1023
	maxRule    = 10_240
	longPeriod = 604_800 // seconds: a period times its number
)

// Alarm is one alarm: one of the two is set.
type Alarm struct {
	Metric    *types.MetricAlarm    `json:",omitempty"`
	Composite *types.CompositeAlarm `json:",omitempty"`
}

// Region is all that CloudWatch holds in one region, by name. It survives JSON.
type Region struct {
	Alarms map[string]*Alarm
}

// NewRegion returns an empty region.
func NewRegion() *Region { return &Region{Alarms: map[string]*Alarm{}} }

func (a *Alarm) state() types.StateValue {
	if a.Metric != nil {
		return a.Metric.StateValue
	}
	return a.Composite.StateValue
}

func (a *Alarm) actions() []string {
	if a.Metric != nil {
		return slices.Concat(a.Metric.AlarmActions, a.Metric.OKActions, a.Metric.InsufficientDataActions)
	}
	return slices.Concat(a.Composite.AlarmActions, a.Composite.OKActions, a.Composite.InsufficientDataActions)
}

// set gives an alarm a state; it has changed only when it is another one.
func (a *Alarm) set(state types.StateValue, why, data *string, now time.Time) {
	at := aws.Time(now.UTC())
	changed := a.state() != state
	if m := a.Metric; m != nil {
		m.StateValue, m.StateReason, m.StateReasonData, m.StateUpdatedTimestamp = state, why, data, at
		if changed {
			m.StateTransitionedTimestamp = at
		}
		return
	}
	c := a.Composite
	c.StateValue, c.StateReason, c.StateReasonData, c.StateUpdatedTimestamp = state, why, data, at
	if changed {
		c.StateTransitionedTimestamp = at
	}
}

// set gives the alarm of that name a state, and composite alarms theirs that follow it.
func (r *Region) set(name string, state types.StateValue, why, data *string, now time.Time) {
	r.Alarms[name].set(state, why, data, now)
	r.follow(name, now)
}

// follow evaluates the composite alarms whose rule names an alarm, those that name
// these, and so on. Rules may go in a circle: there it ends, as the service does.
func (r *Region) follow(name string, now time.Time) {
	moved := []string{name}
	for range r.Alarms {
		var next []string
		for _, other := range r.names() {
			c := r.Alarms[other].Composite
			if c != nil && slices.ContainsFunc(named(*c.AlarmRule), func(n string) bool { return slices.Contains(moved, n) }) && r.evaluate(other, now) {
				next = append(next, other)
			}
		}
		moved = next
	}
}

// evaluate gives a composite alarm the state that its rule has by now, and tells whether
// that is another one.
func (r *Region) evaluate(name string, now time.Time) bool {
	a := r.Alarms[name]
	state := types.StateValueOk
	if holds, _ := evaluate(*a.Composite.AlarmRule, r.stateOf); holds { // it was read when it came
		state = types.StateValueAlarm
	}
	if state == a.state() {
		return false
	}
	why := fmt.Sprintf("%s transitioned to %s at %s", *a.Composite.AlarmArn, state, now.UTC().Format("Monday 02 January, 2006 15:04:05 MST"))
	a.set(state, &why, nil, now)
	return true
}

// stateOf is that of an alarm that may not exist.
func (r *Region) stateOf(name string) types.StateValue {
	if a := r.Alarms[name]; a != nil {
		return a.state()
	}
	return types.StateValueInsufficientData
}

func (r *Region) names() []string { return slices.Sorted(maps.Keys(r.Alarms)) }

// constraint is a refusal in the words of the service's validator.
func constraint(value any, name, format string, a ...any) error {
	text := "null"
	if value != nil {
		text = fmt.Sprintf("'%v'", value)
	}
	return wire.Errorf("ValidationError", "1 validation error detected: Value %s at '%s' failed to satisfy constraint: %s", text, name, fmt.Sprintf(format, a...))
}

// goodName checks the name of one alarm.
func goodName(name *string) error {
	switch {
	case name == nil:
		return constraint(nil, "alarmName", "Member must not be null")
	case *name == "":
		return constraint("", "alarmName", "Member must have length greater than or equal to 1")
	case len(*name) > maxName:
		return constraint(*name, "alarmName", "Member must have length less than or equal to %d", maxName)
	}
	return nil
}

// goodState checks a state.
func goodState(state types.StateValue) error {
	if all := types.StateValueOk.Values(); !slices.Contains(all, state) {
		return constraint(state, "stateValue", "Member must satisfy enum value set: %v", all)
	}
	return nil
}
