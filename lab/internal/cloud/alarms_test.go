// SPDX-License-Identifier: Apache-2.0

package cloud_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/google/go-cmp/cmp"
)

func (l *lab) alarms() *cloudwatch.Client { return cloudwatch.NewFromConfig(l.own()) }

// onMetric is what is needed of an alarm on a metric.
func onMetric(name string) *cloudwatch.PutMetricAlarmInput {
	return &cloudwatch.PutMetricAlarmInput{AlarmName: &name, Namespace: aws.String("AWS/ApplicationELB"), MetricName: aws.String("HTTPCode_Target_5XX_Count"), Statistic: types.StatisticSum,
		Period: aws.Int32(60), EvaluationPeriods: aws.Int32(2), Threshold: aws.Float64(-1.5), ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold}
}

// setAlarm changes the state of one alarm.
func setAlarm(t *testing.T, c *cloudwatch.Client, name string, state types.StateValue) {
	t.Helper()
	must(c.SetAlarmState(t.Context(), &cloudwatch.SetAlarmStateInput{AlarmName: &name, StateValue: state, StateReason: aws.String("a test")}))(t)
}

// states are NAME=STATE, with a ! for composite alarms, in the order of the answer.
func states(out *cloudwatch.DescribeAlarmsOutput) (all []string) {
	for _, a := range out.MetricAlarms {
		all = append(all, *a.AlarmName+"="+string(a.StateValue))
	}
	for _, a := range out.CompositeAlarms {
		all = append(all, *a.AlarmName+"!="+string(a.StateValue))
	}
	return all
}

func TestAMetricAlarmThroughItsLife(t *testing.T) {
	l := newLab(t, "cn-northwest-1")
	c := l.alarms()
	l.clock.stop()
	in := onMetric("web-5xx")
	in.AlarmActions, in.Dimensions = []string{"arn:aws-cn:sns:cn-northwest-1:123456789012:pager"}, []types.Dimension{{Name: aws.String("LoadBalancer"), Value: aws.String("app/web/1")}}
	must(c.PutMetricAlarm(t.Context(), in))(t)
	one := func() types.MetricAlarm {
		out := must(c.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"web-5xx", "absent"}}))(t)
		if len(out.MetricAlarms) != 1 || len(out.CompositeAlarms) != 0 {
			t.Fatalf("got %v", states(out))
		}
		return out.MetricAlarms[0]
	}
	a, made := one(), l.clock.now().UTC().Truncate(time.Millisecond)
	if *a.AlarmArn != "arn:aws-cn:cloudwatch:cn-northwest-1:123456789012:alarm:web-5xx" || a.StateValue != "INSUFFICIENT_DATA" || *a.StateReason != "Unchecked: Initial alarm creation" || !*a.ActionsEnabled ||
		*a.Threshold != -1.5 || *a.EvaluationPeriods != 2 || *a.Dimensions[0].Value != "app/web/1" || a.AlarmActions[0] != in.AlarmActions[0] || a.StateTransitionedTimestamp.Sub(made).Abs() > time.Millisecond {
		t.Errorf("got %+v", a)
	}
	l.clock.move(time.Minute)
	setAlarm(t, c, "web-5xx", types.StateValueAlarm)
	l.clock.move(time.Minute)
	setAlarm(t, c, "web-5xx", types.StateValueAlarm)
	if a = one(); a.StateValue != "ALARM" || *a.StateReason != "a test" || a.StateTransitionedTimestamp.Sub(made).Round(time.Second) != time.Minute || a.StateUpdatedTimestamp.Sub(made).Round(time.Second) != 2*time.Minute {
		t.Errorf("set twice to ALARM: %+v", a)
	}
	in.Threshold = aws.Float64(5)
	must(c.PutMetricAlarm(t.Context(), in))(t)
	l.Cloud.Close() //nolint:errcheck // what is saved is looked at
	l.open(t)
	c = l.alarms()
	if a = one(); a.StateValue != "ALARM" || *a.Threshold != 5 || a.StateTransitionedTimestamp.Sub(made).Round(time.Second) != time.Minute {
		t.Errorf("changed, and after a restart: %+v", a)
	}
	if out := must(cloudwatch.NewFromConfig(l.sdk("us-east-1", keyID, secret, "")).DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{}))(t); len(out.MetricAlarms) > 0 {
		t.Errorf("another region has %v", states(out))
	}
	must(c.DeleteAlarms(t.Context(), &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"absent", "web-5xx"}}))(t)
	if out := must(c.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{}))(t); len(out.MetricAlarms) > 0 {
		t.Errorf("after it was deleted: %v", states(out))
	}
}

func TestACompositeAlarmFollowsItsRule(t *testing.T) {
	l := newLab(t, "us-east-1")
	c := l.alarms()
	for _, name := range []string{"a", "b c"} {
		must(c.PutMetricAlarm(t.Context(), onMetric(name)))(t)
	}
	compose := func(name, rule string) error {
		_, err := c.PutCompositeAlarm(t.Context(), &cloudwatch.PutCompositeAlarmInput{AlarmName: &name, AlarmRule: &rule})
		return err
	}
	for name, rule := range map[string]string{"both": `ALARM(a) AND ALARM("b c")`, "either": `(ALARM(arn:aws:cloudwatch:us-east-1:123456789012:alarm:a) or ALARM("b c")) AND NOT FALSE`} {
		if err := compose(name, rule); err != nil {
			t.Fatal(err)
		}
	}
	if err := compose("top", "OK(both) AND ALARM(either)"); err != nil {
		t.Fatal(err)
	}
	both := &cloudwatch.DescribeAlarmsInput{AlarmTypes: []types.AlarmType{types.AlarmTypeMetricAlarm, types.AlarmTypeCompositeAlarm}}
	for _, x := range []struct {
		name  string
		state types.StateValue
		want  string
	}{
		{"a", "OK", "a=OK b c=INSUFFICIENT_DATA both!=OK either!=OK top!=OK"},
		{"b c", "ALARM", "a=OK b c=ALARM both!=OK either!=ALARM top!=ALARM"},
		{"a", "ALARM", "a=ALARM b c=ALARM both!=ALARM either!=ALARM top!=OK"},
		{"either", "OK", "a=ALARM b c=ALARM both!=ALARM either!=OK top!=OK"},
	} {
		setAlarm(t, c, x.name, x.state)
		if got := strings.Join(states(must(c.DescribeAlarms(t.Context(), both))(t)), " "); got != x.want {
			t.Errorf("after %s became %s: %s, want %s", x.name, x.state, got, x.want)
		}
	}
	for rule, want := range map[string]string{"ALARM(a": "in parentheses", "ALARM(a) b": "unexpected b", "a": "no condition", "(TRUE": "not closed", "ALARM(nobody)": "do not exist", "TRUE AND": "no condition", "OR TRUE": "no condition", strings.Repeat("NOT ", 4000) + "TRUE": "at 'alarmRule'"} {
		err := compose("wrong", rule)
		if wantCode(t, err, "ValidationError"); !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", rule, err, want)
		}
	}
	for _, names := range [][]string{{"a"}, {"both"}, {"top", "both"}} {
		_, err := c.DeleteAlarms(t.Context(), &cloudwatch.DeleteAlarmsInput{AlarmNames: names})
		wantCode(t, err, "ValidationError")
	}
	if err := compose("both", "ALARM(top)"); err != nil { // a circle, in which nothing may hang
		t.Fatal(err)
	}
	setAlarm(t, c, "a", types.StateValueOk)
}

func TestAlarmsAreFilteredAndPaged(t *testing.T) {
	l := newLab(t, "us-east-1")
	c := l.alarms()
	var all []string
	for i := range 55 {
		in := onMetric(fmt.Sprintf("m-%02d", i))
		if i < 2 {
			in.OKActions = []string{"arn:aws:sns:us-east-1:123456789012:x"}
		}
		must(c.PutMetricAlarm(t.Context(), in))(t)
		all = append(all, *in.AlarmName+"=INSUFFICIENT_DATA")
	}
	must(c.PutCompositeAlarm(t.Context(), &cloudwatch.PutCompositeAlarmInput{AlarmName: aws.String("m-00-c"), AlarmRule: aws.String("ALARM(m-01)")}))(t)
	setAlarm(t, c, "m-01", types.StateValueAlarm)
	all[1] = "m-01=ALARM"
	two := []types.AlarmType{types.AlarmTypeMetricAlarm, types.AlarmTypeCompositeAlarm}
	for name, x := range map[string]struct {
		in    cloudwatch.DescribeAlarmsInput
		want  []string
		pages int
	}{
		"pages of 50, which is the usual size":       {cloudwatch.DescribeAlarmsInput{}, all, 2},
		"composite ones only":                        {cloudwatch.DescribeAlarmsInput{AlarmTypes: two[1:]}, []string{"m-00-c!=ALARM"}, 1},
		"by state":                                   {cloudwatch.DescribeAlarmsInput{AlarmTypes: two, StateValue: types.StateValueAlarm}, []string{"m-01=ALARM", "m-00-c!=ALARM"}, 1},
		"by prefix, on pages of three of both types": {cloudwatch.DescribeAlarmsInput{AlarmTypes: two, AlarmNamePrefix: aws.String("m-0"), MaxRecords: aws.Int32(3)}, append([]string{"m-00=INSUFFICIENT_DATA", "m-00-c!=ALARM"}, all[1:10]...), 4},
		"by action":                                  {cloudwatch.DescribeAlarmsInput{ActionPrefix: aws.String("arn:aws:sns")}, all[:2], 1},
		"names that nobody has":                      {cloudwatch.DescribeAlarmsInput{AlarmTypes: two, AlarmNames: []string{"x", "m-0"}}, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			n := 0
			for p := cloudwatch.NewDescribeAlarmsPaginator(c, &x.in); p.HasMorePages(); n++ {
				page := must(p.NextPage(t.Context()))(t)
				got = append(got, states(page)...)
			}
			if diff := cmp.Diff(slices.Sorted(slices.Values(x.want)), slices.Sorted(slices.Values(got))); diff != "" || n != x.pages {
				t.Errorf("%d pages, want %d (-want +got):\n%s", n, x.pages, diff)
			}
		})
	}
}

func TestRefusalsOfCloudWatch(t *testing.T) {
	l := newLab(t, "us-east-1")
	c, ctx := l.alarms(), t.Context()
	must(c.PutMetricAlarm(ctx, onMetric("a")))(t)
	many := make([]string, 101)
	for i := range many {
		many[i] = "x"
	}
	describe := func(in cloudwatch.DescribeAlarmsInput) error { _, err := c.DescribeAlarms(ctx, &in); return err }
	put := func(edit func(*cloudwatch.PutMetricAlarmInput)) error {
		in := onMetric("b")
		edit(in)
		_, err := c.PutMetricAlarm(ctx, in)
		return err
	}
	set := func(name string, state types.StateValue) error {
		_, err := c.SetAlarmState(ctx, &cloudwatch.SetAlarmStateInput{AlarmName: &name, StateValue: state, StateReason: aws.String("")})
		return err
	}
	for name, x := range map[string]struct {
		err        error
		code, text string
	}{
		"too large a page":        {describe(cloudwatch.DescribeAlarmsInput{MaxRecords: aws.Int32(999)}), "ValidationError", "1 validation error detected: Value '999' at 'maxRecords' failed to satisfy constraint: Member must have value less than or equal to 100"},
		"too small a page":        {describe(cloudwatch.DescribeAlarmsInput{MaxRecords: aws.Int32(-7)}), "ValidationError", "Value '-7' at 'maxRecords'"},
		"too many names":          {describe(cloudwatch.DescribeAlarmsInput{AlarmNames: many}), "ValidationError", "at 'alarmNames'"},
		"a name that is empty":    {describe(cloudwatch.DescribeAlarmsInput{AlarmNames: []string{""}}), "ValidationError", "at 'alarmNames'"},
		"names and a prefix":      {describe(cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"a"}, AlarmNamePrefix: aws.String("a")}), "InvalidParameterCombination", "mutually exclusive"},
		"no token of its own":     {describe(cloudwatch.DescribeAlarmsInput{NextToken: aws.String("more")}), "InvalidNextToken", ""},
		"no type of alarm":        {describe(cloudwatch.DescribeAlarmsInput{AlarmTypes: []types.AlarmType{"MetricAlarms"}}), "ValidationError", "at 'alarmTypes'"},
		"no state":                {describe(cloudwatch.DescribeAlarmsInput{StateValue: "alarm"}), "ValidationError", "at 'stateValue'"},
		"children":                {describe(cloudwatch.DescribeAlarmsInput{ChildrenOfAlarmName: aws.String("a")}), "ValidationError", "not imitated"},
		"no period of a minute":   {put(func(in *cloudwatch.PutMetricAlarmInput) { in.Period = aws.Int32(90) }), "ValidationError", "multiple of 60"},
		"more than a week":        {put(func(in *cloudwatch.PutMetricAlarmInput) { in.Period = aws.Int32(1 << 30 / 60 * 60) }), "ValidationError", "more than a week"},
		"no statistic":            {put(func(in *cloudwatch.PutMetricAlarmInput) { in.Statistic = "" }), "ValidationError", "Statistic"},
		"a comparison unheard of": {put(func(in *cloudwatch.PutMetricAlarmInput) { in.ComparisonOperator = ">" }), "ValidationError", "comparisonOperator"},
		"a PromQL alarm": {put(func(in *cloudwatch.PutMetricAlarmInput) {
			in.EvaluationCriteria = &types.EvaluationCriteriaMemberPromQLCriteria{Value: types.AlarmPromQLCriteria{Query: aws.String("up")}}
		}), "SerializationException", "EvaluationCriteria"},
		"the state of nobody":     {set("b", "OK"), "ResourceNotFound", ""},
		"a state unheard of":      {set("a", "FINE"), "ValidationError", "at 'stateValue'"},
		"an operation of another": {func() error { _, err := c.ListDashboards(ctx, &cloudwatch.ListDashboardsInput{}); return err }(), "UnknownOperationException", "ListDashboards"},
	} {
		t.Run(name, func(t *testing.T) {
			if wantCode(t, x.err, x.code); !strings.Contains(x.err.Error(), x.text) {
				t.Errorf("%v, want %q", x.err, x.text)
			}
		})
	}
	var combination *types.InvalidParameterCombinationException
	var absent *types.ResourceNotFound
	if err := describe(cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"a"}, AlarmNamePrefix: aws.String("a")}); !errors.As(err, &combination) {
		t.Errorf("the SDK does not know the error's type: %v", err)
	}
	if err := set("b", "OK"); !errors.As(err, &absent) {
		t.Errorf("the SDK does not know the error's type: %v", err)
	}
}
