// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"maps"
	"math"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/outlast-ci/outlast/lab/internal/cloud/region"
	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

type operation func(*Region, wire.Call, []byte) (any, error)

func operations() map[string]operation {
	return map[string]operation{
		"DescribeAlarms": describeAlarms, "PutMetricAlarm": putMetricAlarm, "PutCompositeAlarm": putCompositeAlarm,
		"SetAlarmState": setAlarmState, "DeleteAlarms": deleteAlarms,
	}
}

// Operations are what the lab's CloudWatch can do.
func Operations() []string { return slices.Sorted(maps.Keys(operations())) }

// Answer runs one operation; ok is false when the lab does not have it.
func Answer(r *Region, c wire.Call, body []byte) (out any, ok bool, err error) {
	do := operations()[c.Operation]
	if do == nil {
		return nil, false, nil
	}
	out, err = do(r, c, body)
	return out, true, err
}

// putMetricAlarm reads the request as an alarm: the parameters are named as its fields are.
func putMetricAlarm(r *Region, c wire.Call, body []byte) (any, error) {
	var m types.MetricAlarm
	if err := wire.DecodeCBOR(body, &m); err != nil {
		return nil, err
	}
	if err := goodName(m.AlarmName); err != nil {
		return nil, err
	}
	if err := checkMetric(m); err != nil {
		return nil, err
	}
	name := *m.AlarmName
	old := r.Alarms[name]
	if old != nil && old.Metric == nil {
		return nil, wire.Errorf("ValidationError", "There is a composite alarm named %s", name)
	}
	m.AlarmArn, m.AlarmConfigurationUpdatedTimestamp = arn(c, name), aws.Time(c.Now.UTC())
	if m.ActionsEnabled == nil {
		m.ActionsEnabled = aws.Bool(true)
	}
	if old != nil { // its state stays
		before := old.Metric
		m.StateValue, m.StateReason, m.StateReasonData = before.StateValue, before.StateReason, before.StateReasonData
		m.StateUpdatedTimestamp, m.StateTransitionedTimestamp = before.StateUpdatedTimestamp, before.StateTransitionedTimestamp
		old.Metric = &m
		return nil, nil
	}
	r.Alarms[name] = &Alarm{Metric: &m}
	m.StateValue = ""
	r.set(name, types.StateValueInsufficientData, aws.String(created), nil, c.Now)
	return nil, nil
}

const created = "Unchecked: Initial alarm creation"

func arn(c wire.Call, name string) *string {
	return aws.String(region.ARN("cloudwatch", c.Region, c.Account, "alarm:"+name))
}

// checkMetric checks what every alarm on a metric needs. What is only of alarms on
// expressions is kept as it comes.
func checkMetric(m types.MetricAlarm) error {
	periods := aws.ToInt32(m.EvaluationPeriods)
	switch {
	case m.ComparisonOperator == "":
		return constraint(nil, "comparisonOperator", "Member must not be null")
	case !slices.Contains(m.ComparisonOperator.Values(), m.ComparisonOperator):
		return constraint(m.ComparisonOperator, "comparisonOperator", "Member must satisfy enum value set: %v", m.ComparisonOperator.Values())
	case m.EvaluationPeriods == nil:
		return constraint(nil, "evaluationPeriods", "Member must not be null")
	case periods < 1:
		return constraint(periods, "evaluationPeriods", "Member must have value greater than or equal to 1")
	case len(m.Metrics) > 0 && m.MetricName != nil:
		return wire.Errorf("ValidationError", "Exactly one of MetricName and Metrics must be specified")
	case len(m.Metrics) > 0:
		return nil
	case m.MetricName == nil || m.Namespace == nil:
		return wire.Errorf("ValidationError", "MetricName and Namespace must be specified")
	case (m.Statistic == "") == (m.ExtendedStatistic == nil):
		return wire.Errorf("ValidationError", "Exactly one of Statistic and ExtendedStatistic must be specified")
	case m.Threshold == nil:
		return wire.Errorf("ValidationError", "Threshold must be specified")
	}
	p := aws.ToInt32(m.Period)
	if p < 1 || p%60 != 0 && !slices.Contains([]int32{10, 20, 30}, p) {
		return wire.Errorf("ValidationError", "Period must be 10, 20, 30 or a multiple of 60")
	}
	if math.MaxInt32/p < periods || p*periods > longPeriod {
		return wire.Errorf("ValidationError", "Metrics cannot be checked across more than a week (EvaluationPeriods * Period must be <= %d)", longPeriod)
	}
	return nil
}

func putCompositeAlarm(r *Region, c wire.Call, body []byte) (any, error) {
	var in types.CompositeAlarm
	if err := wire.DecodeCBOR(body, &in); err != nil {
		return nil, err
	}
	if err := goodName(in.AlarmName); err != nil {
		return nil, err
	}
	if aws.ToString(in.AlarmRule) == "" {
		return nil, constraint(nil, "alarmRule", "Member must not be null")
	}
	if len(*in.AlarmRule) > maxRule {
		return nil, constraint("...", "alarmRule", "Member must have length less than or equal to %d", maxRule)
	}
	if _, err := evaluate(*in.AlarmRule, r.stateOf); err != nil {
		return nil, wire.Errorf("ValidationError", "Error parsing AlarmRule: %v", err)
	}
	for _, other := range named(*in.AlarmRule) {
		if r.Alarms[other] == nil {
			return nil, wire.Errorf("ValidationError", "Could not save the composite alarm as alarms [%s] in the alarm rule do not exist", other)
		}
	}
	name := *in.AlarmName
	old := r.Alarms[name]
	if old != nil && old.Composite == nil {
		return nil, wire.Errorf("ValidationError", "There is a metric alarm named %s", name)
	}
	in.AlarmArn, in.AlarmConfigurationUpdatedTimestamp = arn(c, name), aws.Time(c.Now.UTC())
	if in.ActionsEnabled == nil {
		in.ActionsEnabled = aws.Bool(true)
	}
	in.StateValue = ""
	a := &Alarm{Composite: &in}
	r.Alarms[name] = a
	if old != nil {
		before := old.Composite
		in.StateTransitionedTimestamp = before.StateTransitionedTimestamp
		in.StateValue, in.StateReason, in.StateReasonData, in.StateUpdatedTimestamp = before.StateValue, before.StateReason, before.StateReasonData, before.StateUpdatedTimestamp
	} else {
		a.set(types.StateValueInsufficientData, aws.String(created), nil, c.Now)
	}
	r.evaluate(name, c.Now)
	r.follow(name, c.Now)
	return nil, nil
}

func setAlarmState(r *Region, c wire.Call, body []byte) (any, error) {
	var in cloudwatch.SetAlarmStateInput
	if err := wire.DecodeCBOR(body, &in); err != nil {
		return nil, err
	}
	if err := goodName(in.AlarmName); err != nil {
		return nil, err
	}
	if err := goodState(in.StateValue); err != nil {
		return nil, err
	}
	if in.StateReason == nil {
		return nil, constraint(nil, "stateReason", "Member must not be null")
	}
	if len(*in.StateReason) > maxReason {
		return nil, constraint(*in.StateReason, "stateReason", "Member must have length less than or equal to %d", maxReason)
	}
	if r.Alarms[*in.AlarmName] == nil {
		return nil, wire.Errorf("ResourceNotFound", "Alarm %s does not exist", *in.AlarmName).WithStatus(404)
	}
	r.set(*in.AlarmName, in.StateValue, in.StateReason, in.StateReasonData, c.Now)
	return nil, nil
}

// deleteAlarms deletes those that are there: names that are wrong are no error.
func deleteAlarms(r *Region, c wire.Call, body []byte) (any, error) {
	var in cloudwatch.DeleteAlarmsInput
	if err := wire.DecodeCBOR(body, &in); err != nil {
		return nil, err
	}
	if in.AlarmNames == nil {
		return nil, constraint(nil, "alarmNames", "Member must not be null")
	}
	if len(in.AlarmNames) > maxNames {
		return nil, constraint(in.AlarmNames, "alarmNames", "Member must have length less than or equal to %d", maxNames)
	}
	composite := 0
	for _, name := range in.AlarmNames {
		a := r.Alarms[name]
		if a == nil {
			continue
		}
		if a.Composite != nil {
			composite++
		}
		for _, other := range r.names() {
			if x := r.Alarms[other].Composite; x != nil && slices.Contains(named(*x.AlarmRule), name) {
				return nil, wire.Errorf("ValidationError", "Could not delete alarm %s: it is used by composite alarm %s", name, other)
			}
		}
	}
	if composite > 1 {
		return nil, wire.Errorf("ValidationError", "Only one composite alarm can be deleted in one call")
	}
	for _, name := range in.AlarmNames {
		delete(r.Alarms, name)
	}
	return nil, nil
}
