// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"
	"fmt"
	"slices"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/outlast-ci/outlast/core/gate"
)

// namesPerCall is how many alarms DescribeAlarms takes by name.
const namesPerCall = 100

// Alarms reads CloudWatch's alarms for the gate.
type Alarms struct{ client *cloudwatch.Client }

// NewAlarms makes one.
func NewAlarms(cfg awssdk.Config) *Alarms { return &Alarms{cloudwatch.NewFromConfig(cfg)} }

var _ gate.Alarms = (*Alarms)(nil)

// Alarms tells the states of metric and composite alarms; those that do not exist are left out.
func (a *Alarms) Alarms(ctx context.Context, names []string) (all []gate.Alarm, err error) {
	for some := range slices.Chunk(names, namesPerCall) {
		pages := cloudwatch.NewDescribeAlarmsPaginator(a.client, &cloudwatch.DescribeAlarmsInput{AlarmNames: some, MaxRecords: awssdk.Int32(namesPerCall),
			AlarmTypes: []types.AlarmType{types.AlarmTypeMetricAlarm, types.AlarmTypeCompositeAlarm}})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, fmt.Errorf("%w (gate.alarms needs cloudwatch:DescribeAlarms)", explain(err, "describing CloudWatch alarms", ""))
			}
			for _, m := range page.MetricAlarms {
				all = append(all, alarmOf(m.AlarmName, m.StateValue, m.StateReason, m.StateTransitionedTimestamp))
			}
			for _, c := range page.CompositeAlarms {
				all = append(all, alarmOf(c.AlarmName, c.StateValue, c.StateReason, c.StateTransitionedTimestamp))
			}
		}
	}
	return all, nil
}

func alarmOf(name *string, state types.StateValue, why *string, since *time.Time) gate.Alarm {
	return gate.Alarm{Name: awssdk.ToString(name), State: string(state), Why: awssdk.ToString(why), Since: awssdk.ToTime(since)}
}
