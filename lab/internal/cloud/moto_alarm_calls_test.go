// SPDX-License-Identifier: Apache-2.0

package cloud_test

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

func alarmCalls() []call {
	two := []types.AlarmType{types.AlarmTypeMetricAlarm, types.AlarmTypeCompositeAlarm}
	describe := func(say string, in cloudwatch.DescribeAlarmsInput) call {
		return call{"DescribeAlarms " + say, func(ctx context.Context, s *side) (any, error) { return s.alarms.DescribeAlarms(ctx, &in) }}
	}
	set := func(say, name string, state types.StateValue) call {
		return call{"SetAlarmState " + say, func(ctx context.Context, s *side) (any, error) {
			return s.alarms.SetAlarmState(ctx, &cloudwatch.SetAlarmStateInput{AlarmName: &name, StateValue: state, StateReason: aws.String("why")})
		}}
	}
	remove := func(say string, names ...string) call {
		return call{"DeleteAlarms " + say, func(ctx context.Context, s *side) (any, error) {
			return s.alarms.DeleteAlarms(ctx, &cloudwatch.DeleteAlarmsInput{AlarmNames: names})
		}}
	}
	return []call{
		{"PutMetricAlarm with all that an alarm on a metric has", func(ctx context.Context, s *side) (any, error) {
			in := onMetric("web-5xx")
			in.AlarmDescription, in.TreatMissingData, in.DatapointsToAlarm, in.Unit = aws.String("d"), aws.String("notBreaching"), aws.Int32(1), types.StandardUnitCount
			in.Dimensions = []types.Dimension{{Name: aws.String("LoadBalancer"), Value: aws.String("app/web/1")}}
			in.AlarmActions = []string{"arn:aws-cn:sns:cn-northwest-1:123456789012:pager"}
			return s.alarms.PutMetricAlarm(ctx, in)
		}},
		{"PutMetricAlarm for more than a week", func(ctx context.Context, s *side) (any, error) {
			in := onMetric("long")
			in.EvaluationPeriods = aws.Int32(20_000)
			return s.alarms.PutMetricAlarm(ctx, in)
		}},
		describe("that was made", cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"web-5xx", "absent"}, AlarmTypes: two}),
		set("to ALARM", "web-5xx", types.StateValueAlarm),
		set("of one that is absent", "absent", types.StateValueAlarm),
		set("to what is none", "web-5xx", "FINE"),
		{"PutCompositeAlarm", func(ctx context.Context, s *side) (any, error) {
			return s.alarms.PutCompositeAlarm(ctx, &cloudwatch.PutCompositeAlarmInput{AlarmName: aws.String("all"), AlarmRule: aws.String("ALARM(web-5xx)")})
		}},
		describe("of both types, in ALARM", cloudwatch.DescribeAlarmsInput{AlarmTypes: two, AlarmNames: []string{"all", "web-5xx"}, StateValue: types.StateValueAlarm}),
		describe("without types", cloudwatch.DescribeAlarmsInput{AlarmNamePrefix: aws.String("a")}),
		describe("on too large a page", cloudwatch.DescribeAlarmsInput{MaxRecords: aws.Int32(999)}),
		describe("by names and a prefix", cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"a"}, AlarmNamePrefix: aws.String("a")}),
		remove("that a composite one follows", "web-5xx"),
		remove("that is composite", "all"),
		remove("of which one is absent", "web-5xx", "absent"),
	}
}
