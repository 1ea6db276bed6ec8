// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// describeAlarms gives the alarms in the order of their names, of both types on one
// page; names that nobody has are left out.
func describeAlarms(r *Region, c wire.Call, body []byte) (any, error) {
	var in cloudwatch.DescribeAlarmsInput
	if err := wire.DecodeCBOR(body, &in); err != nil {
		return nil, err
	}
	if err := checkDescribe(in); err != nil {
		return nil, err
	}
	after, err := readToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	most := int(usualPage)
	if in.MaxRecords != nil {
		most = int(*in.MaxRecords)
	}
	out := &cloudwatch.DescribeAlarmsOutput{MetricAlarms: []types.MetricAlarm{}, CompositeAlarms: []types.CompositeAlarm{}}
	last := ""
	for _, name := range r.names() {
		a := r.Alarms[name]
		if name <= after || !wanted(in, name, a) {
			continue
		}
		if len(out.MetricAlarms)+len(out.CompositeAlarms) == most {
			out.NextToken = aws.String(base64.StdEncoding.EncodeToString([]byte(token + last)))
			break
		}
		if last = name; a.Metric != nil {
			out.MetricAlarms = append(out.MetricAlarms, *a.Metric)
		} else {
			out.CompositeAlarms = append(out.CompositeAlarms, *a.Composite)
		}
	}
	return out, nil
}

// wanted tells whether the filters let an alarm through. Without types metric alarms
// only are meant.
func wanted(in cloudwatch.DescribeAlarmsInput, name string, a *Alarm) bool {
	kind := types.AlarmTypeMetricAlarm
	if a.Composite != nil {
		kind = types.AlarmTypeCompositeAlarm
	}
	kinds := in.AlarmTypes
	if len(kinds) == 0 {
		kinds = []types.AlarmType{types.AlarmTypeMetricAlarm}
	}
	return slices.Contains(kinds, kind) &&
		(len(in.AlarmNames) == 0 || slices.Contains(in.AlarmNames, name)) &&
		strings.HasPrefix(name, aws.ToString(in.AlarmNamePrefix)) &&
		(in.StateValue == "" || in.StateValue == a.state()) &&
		(in.ActionPrefix == nil || slices.ContainsFunc(a.actions(), func(arn string) bool { return strings.HasPrefix(arn, *in.ActionPrefix) }))
}

func checkDescribe(in cloudwatch.DescribeAlarmsInput) error {
	switch {
	case len(in.AlarmNames) > maxNames:
		return constraint(in.AlarmNames, "alarmNames", "Member must have length less than or equal to %d", maxNames)
	case in.MaxRecords != nil && *in.MaxRecords > maxPage:
		return constraint(*in.MaxRecords, "maxRecords", "Member must have value less than or equal to %d", maxPage)
	case in.MaxRecords != nil && *in.MaxRecords < 1:
		return constraint(*in.MaxRecords, "maxRecords", "Member must have value greater than or equal to 1")
	case in.AlarmNamePrefix != nil && len(in.AlarmNames) > 0:
		return wire.Errorf("InvalidParameterCombination", "AlarmNamePrefix and AlarmNames.member are mutually exclusive")
	case in.ChildrenOfAlarmName != nil || in.ParentsOfAlarmName != nil:
		return wire.Errorf("ValidationError", "ChildrenOfAlarmName and ParentsOfAlarmName are not imitated by the lab")
	}
	for _, name := range in.AlarmNames {
		if name == "" || len(name) > maxName {
			return constraint(in.AlarmNames, "alarmNames", "Member must satisfy constraint: [Member must have length less than or equal to %d, Member must have length greater than or equal to 1]", maxName)
		}
	}
	for _, kind := range in.AlarmTypes {
		if !slices.Contains(kind.Values(), kind) {
			return constraint(in.AlarmTypes, "alarmTypes", "Member must satisfy constraint: [Member must satisfy enum value set: %v]", kind.Values())
		}
	}
	if in.StateValue != "" {
		return goodState(in.StateValue)
	}
	return nil
}

// token begins every one of ours; after it comes the last name of the page before.
const token = "after:"

func readToken(text *string) (after string, err error) {
	if text == nil {
		return "", nil
	}
	b, err := base64.StdEncoding.DecodeString(*text)
	after, ok := strings.CutPrefix(string(b), token)
	if err != nil || !ok {
		return "", wire.Errorf("InvalidNextToken", "The next token specified is invalid.")
	}
	return after, nil
}
