// SPDX-License-Identifier: Apache-2.0

// Package alarm has CloudWatch alarms made, changed and listed, for the lab's own
// commands and for the soak. The lab has no metrics: an alarm is in the state that
// somebody gave it. In go an SDK's configuration and names, out come states.
package alarm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// Alarm is one alarm as it is now.
type Alarm struct {
	Name, State, Why string
	Since            time.Time // of the state
}

// Set gives an alarm a state, OK, ALARM or INSUFFICIENT_DATA. A metric alarm is made
// when there is none of that name.
func Set(ctx context.Context, cfg aws.Config, name, state, why string) error {
	client := cloudwatch.NewFromConfig(cfg)
	set := func() error {
		_, err := client.SetAlarmState(ctx, &cloudwatch.SetAlarmStateInput{AlarmName: &name, StateValue: types.StateValue(state), StateReason: &why})
		return err
	}
	err := set()
	var absent *types.ResourceNotFound
	if errors.As(err, &absent) {
		if _, err = client.PutMetricAlarm(ctx, &cloudwatch.PutMetricAlarmInput{AlarmName: &name, AlarmDescription: aws.String("of the lab, which has no metrics"),
			Namespace: aws.String("AWS/ApplicationELB"), MetricName: aws.String("HTTPCode_Target_5XX_Count"), Statistic: types.StatisticSum,
			ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold, Threshold: aws.Float64(0), Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1)}); err == nil {
			err = set()
		}
	}
	if err != nil {
		return fmt.Errorf("setting alarm %q to %s: %w", name, state, err)
	}
	return nil
}

// Delete deletes an alarm; one that is not there is no error.
func Delete(ctx context.Context, cfg aws.Config, name string) error {
	if _, err := cloudwatch.NewFromConfig(cfg).DeleteAlarms(ctx, &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{name}}); err != nil {
		return fmt.Errorf("deleting alarm %q: %w", name, err)
	}
	return nil
}

// List gives all alarms: of each page in the order of their names, metric ones first.
func List(ctx context.Context, cfg aws.Config) (all []Alarm, err error) {
	for pages := cloudwatch.NewDescribeAlarmsPaginator(cloudwatch.NewFromConfig(cfg), &cloudwatch.DescribeAlarmsInput{
		AlarmTypes: []types.AlarmType{types.AlarmTypeMetricAlarm, types.AlarmTypeCompositeAlarm}}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing the alarms: %w", err)
		}
		for _, a := range page.MetricAlarms {
			all = append(all, Alarm{aws.ToString(a.AlarmName), string(a.StateValue), aws.ToString(a.StateReason), aws.ToTime(a.StateTransitionedTimestamp)})
		}
		for _, a := range page.CompositeAlarms {
			all = append(all, Alarm{aws.ToString(a.AlarmName), string(a.StateValue), aws.ToString(a.StateReason), aws.ToTime(a.StateTransitionedTimestamp)})
		}
	}
	return all, nil
}
