// SPDX-License-Identifier: Apache-2.0

package elb

import (
	"cmp"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// actions checks the actions of a rule of that load balancer, and returns them
// as AWS answers them: a forward always with its ForwardConfig, and with its
// TargetGroupArn when there is one group.
func (a API) actions(r *Region, lb string, in []types.Action) ([]types.Action, error) {
	out := slices.Clone(in)
	slices.SortStableFunc(out, func(x, y types.Action) int { return cmp.Compare(aws.ToInt32(x.Order), aws.ToInt32(y.Order)) })
	if len(out) == 0 {
		return nil, invalid("At least one action must be specified")
	}
	if len(out) > 1 {
		return nil, wire.Errorf("InvalidLoadBalancerAction", "A rule of an HTTP listener has exactly one action: forward, redirect or fixed-response")
	}
	var err error
	switch x := out[0]; x.Type {
	case types.ActionTypeEnumForward:
		if out[0], err = r.forward(lb, x); err == nil {
			err = r.fewGroups(lb, out)
		}
	case types.ActionTypeEnumFixedResponse:
		err = validFixed(x.FixedResponseConfig)
	case types.ActionTypeEnumRedirect:
		out[0].RedirectConfig, err = redirect(x.RedirectConfig)
	case types.ActionTypeEnumAuthenticateOidc, types.ActionTypeEnumAuthenticateCognito, types.ActionTypeEnumJwtValidation:
		err = wire.Errorf("InvalidLoadBalancerAction", "Actions of type '%s' are not available in the lab", x.Type)
	default:
		err = invalid("'%s' is not a valid action type", x.Type)
	}
	return out, err
}

func (r *Region) forward(lb string, x types.Action) (types.Action, error) {
	cfg := types.ForwardActionConfig{}
	if x.ForwardConfig != nil {
		cfg = *x.ForwardConfig
		cfg.TargetGroups = slices.Clone(cfg.TargetGroups)
	}
	if x.TargetGroupArn != nil {
		if len(cfg.TargetGroups) == 0 {
			cfg.TargetGroups = []types.TargetGroupTuple{{TargetGroupArn: x.TargetGroupArn}}
		}
		if len(cfg.TargetGroups) != 1 || *cfg.TargetGroups[0].TargetGroupArn != *x.TargetGroupArn {
			return x, wire.Errorf("InvalidLoadBalancerAction", "TargetGroupArn and ForwardConfig of a forward action must name the same target group")
		}
	}
	switch n := len(cfg.TargetGroups); {
	case n == 0:
		return x, invalid("A target group ARN must be specified for a forward action")
	case n > maxGroupsOfAction:
		return x, wire.Errorf("TooManyTargetGroups", "A forward action can have at most %d target groups", maxGroupsOfAction)
	}
	for i, t := range cfg.TargetGroups {
		if _, err := r.targetGroup(t.TargetGroupArn); err != nil {
			return x, err
		}
		if users := r.usersOf(*t.TargetGroupArn); len(users) > 0 && !slices.Contains(users, lb) {
			return x, wire.Errorf("TargetGroupAssociationLimit", "The following target groups cannot be associated with more than one load balancer: %s", *t.TargetGroupArn)
		}
		if w := aws.ToInt32(t.Weight); w < 0 || w > 999 {
			return x, invalid("The weight '%d' of a target group must be from 0 to 999", w)
		}
		orDefault(&cfg.TargetGroups[i].Weight, 1)
	}
	if cfg.TargetGroupStickinessConfig == nil {
		cfg.TargetGroupStickinessConfig = &types.TargetGroupStickinessConfig{Enabled: aws.Bool(false)}
	}
	x.ForwardConfig = &cfg
	x.TargetGroupArn = nil
	if len(cfg.TargetGroups) == 1 {
		x.TargetGroupArn = cfg.TargetGroups[0].TargetGroupArn
	}
	return x, nil
}

func validFixed(f *types.FixedResponseActionConfig) error {
	if f == nil || f.StatusCode == nil {
		return invalid("A status code must be specified for a fixed-response action")
	}
	if s := *f.StatusCode; len(s) != 3 || !strings.Contains("245", s[:1]) {
		return invalid("Fixed-response status code '%s' must be 2XX, 4XX or 5XX", s)
	}
	if _, err := strconv.Atoi(*f.StatusCode); err != nil {
		return invalid("Fixed-response status code '%s' must be a number", *f.StatusCode)
	}
	if len(aws.ToString(f.MessageBody)) > 1024 {
		return invalid("The fixed-response message body can be at most 1024 characters")
	}
	return nil
}

func redirect(in *types.RedirectActionConfig) (*types.RedirectActionConfig, error) {
	if in == nil || in.StatusCode != types.RedirectActionStatusCodeEnumHttp301 && in.StatusCode != types.RedirectActionStatusCodeEnumHttp302 {
		return nil, invalid("A redirect action needs the status code HTTP_301 or HTTP_302")
	}
	out := *in
	orDefault(&out.Protocol, "#{protocol}")
	orDefault(&out.Host, "#{host}")
	orDefault(&out.Port, "#{port}")
	orDefault(&out.Path, "/#{path}")
	orDefault(&out.Query, "#{query}")
	if *out.Protocol == "#{protocol}" && *out.Host == "#{host}" && *out.Port == "#{port}" && *out.Path == "/#{path}" {
		return nil, wire.Errorf("InvalidLoadBalancerAction", "The redirect configuration is not valid because it creates a loop")
	}
	return &out, nil
}

func sameActions(x, y []types.Action) bool { return reflect.DeepEqual(x, y) }

// checkConditions checks the conditions of a rule, and returns them as AWS
// answers them: host-header and path-pattern with both spellings of their values.
func checkConditions(in []types.RuleCondition) ([]types.RuleCondition, error) {
	if len(in) == 0 {
		return nil, invalid("A condition must be specified")
	}
	out := slices.Clone(in)
	seen := map[string]bool{}
	for i := range out {
		field := aws.ToString(out[i].Field)
		if len(out[i].RegexValues) > 0 {
			return nil, invalid("Regular expressions in conditions are not available in the lab")
		}
		if seen[field] && field != "http-header" && field != "query-string" {
			return nil, invalid("A rule can only have one '%s' condition", field)
		}
		seen[field] = true
		if err := checkCondition(&out[i], field); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func checkCondition(c *types.RuleCondition, field string) error {
	var values []string
	switch field {
	case "host-header":
		if c.HostHeaderConfig == nil {
			c.HostHeaderConfig = &types.HostHeaderConditionConfig{Values: c.Values}
		}
		values, c.Values = c.HostHeaderConfig.Values, c.HostHeaderConfig.Values
	case "path-pattern":
		if c.PathPatternConfig == nil {
			c.PathPatternConfig = &types.PathPatternConditionConfig{Values: c.Values}
		}
		values, c.Values = c.PathPatternConfig.Values, c.PathPatternConfig.Values
	case "http-header":
		if c.HttpHeaderConfig == nil || aws.ToString(c.HttpHeaderConfig.HttpHeaderName) == "" {
			return invalid("An http-header condition needs a header name")
		}
		values = c.HttpHeaderConfig.Values
	case "http-request-method":
		if c.HttpRequestMethodConfig != nil {
			values = c.HttpRequestMethodConfig.Values
		}
	case "source-ip":
		if c.SourceIpConfig != nil {
			values = c.SourceIpConfig.Values
		}
	case "query-string":
		if c.QueryStringConfig != nil {
			for _, kv := range c.QueryStringConfig.Values {
				values = append(values, aws.ToString(kv.Value))
			}
		}
	default:
		return invalid("Condition field '%s' must be one of 'host-header', 'path-pattern', 'http-header', 'http-request-method', 'query-string', 'source-ip'", field)
	}
	if len(values) == 0 {
		return invalid("A condition value must be specified for '%s'", field)
	}
	for _, v := range values {
		if v == "" || len(v) > 128 {
			return invalid("The condition value '%s' of '%s' must be 1 to 128 characters", v, field)
		}
	}
	return nil
}
