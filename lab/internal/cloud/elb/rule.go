// SPDX-License-Identifier: Apache-2.0

package elb

import (
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

const defaultPriority = 1 << 30

// priority is a rule's number; the default rule comes after all others.
func priority(r *Rule) int {
	n, err := strconv.Atoi(aws.ToString(r.R.Priority))
	if err != nil {
		return defaultPriority
	}
	return n
}

func (a API) createRule(r *Region, c wire.Call, in *sdk.CreateRuleInput) (*sdk.CreateRuleOutput, error) {
	l, err := r.listener(in.ListenerArn)
	if err != nil {
		return nil, err
	}
	if p := aws.ToInt32(in.Priority); p < 1 || p > 50000 {
		return nil, invalid("Rule priority '%d' must be from 1 to 50000", p)
	}
	if len(in.Transforms) > 0 {
		return nil, invalid("Transforms are not available in the lab")
	}
	conditions, err := checkConditions(in.Conditions)
	if err != nil {
		return nil, err
	}
	actions, err := a.actions(r, *l.L.LoadBalancerArn, in.Actions)
	if err != nil {
		return nil, err
	}
	rules := r.rulesOf(*l.L.ListenerArn)
	if slices.ContainsFunc(rules, func(x *Rule) bool { return priority(x) == int(*in.Priority) }) {
		return nil, wire.Errorf("PriorityInUse", "Priority '%d' is currently in use", *in.Priority)
	}
	if r.rulesOfBalancer(*l.L.LoadBalancerArn) >= maxRules {
		return nil, wire.Errorf("TooManyRules", "The maximum number of rules on load balancer '%s' has been reached", *l.L.LoadBalancerArn)
	}
	tags, err := newTags(in.Tags)
	if err != nil {
		return nil, err
	}
	rule := &Rule{Listener: *l.L.ListenerArn, Tags: tags, R: types.Rule{
		RuleArn:  aws.String(arnOf(c, "listener-rule/"+tail(*l.L.ListenerArn, "listener")+"/"+wire.Hex(16))),
		Priority: aws.String(strconv.Itoa(int(*in.Priority))), IsDefault: aws.Bool(false), Actions: actions, Conditions: conditions,
	}}
	r.Rules[*rule.R.RuleArn] = rule
	if err := a.pushLoadBalancer(r, r.LoadBalancers[*l.L.LoadBalancerArn]); err != nil {
		delete(r.Rules, *rule.R.RuleArn)
		return nil, err
	}
	return &sdk.CreateRuleOutput{Rules: []types.Rule{rule.R}}, nil
}

func (a API) describeRules(r *Region, _ wire.Call, in *sdk.DescribeRulesInput) (*sdk.DescribeRulesOutput, error) {
	found := []types.Rule{}
	switch {
	case in.ListenerArn != nil && len(in.RuleArns) > 0:
		return nil, invalid("You cannot specify both a listener ARN and rule ARNs")
	case in.ListenerArn != nil:
		if _, err := r.listener(in.ListenerArn); err != nil {
			return nil, err
		}
		for _, rule := range r.rulesOf(*in.ListenerArn) {
			found = append(found, rule.R)
		}
	case len(in.RuleArns) > 0:
		for i := range in.RuleArns {
			rule, err := r.rule(&in.RuleArns[i])
			if err != nil {
				return nil, err
			}
			found = append(found, rule.R)
		}
	default:
		return nil, invalid("You must specify either a listener ARN or rule ARNs")
	}
	page, next, err := paginate(found, func(x types.Rule) string { return *x.RuleArn }, in.Marker, in.PageSize)
	if err != nil {
		return nil, err
	}
	return &sdk.DescribeRulesOutput{Rules: page, NextMarker: next}, nil
}

func (a API) modifyRule(r *Region, _ wire.Call, in *sdk.ModifyRuleInput) (*sdk.ModifyRuleOutput, error) {
	rule, err := r.rule(in.RuleArn)
	if err != nil {
		return nil, err
	}
	if aws.ToBool(rule.R.IsDefault) {
		return nil, wire.Errorf("OperationNotPermitted", "Default rule '%s' cannot be modified", *in.RuleArn)
	}
	if len(in.Transforms) > 0 {
		return nil, invalid("Transforms are not available in the lab")
	}
	lb := r.LoadBalancers[*r.Listeners[rule.Listener].L.LoadBalancerArn]
	before, next := rule.R, rule.R
	if in.Conditions != nil {
		if next.Conditions, err = checkConditions(in.Conditions); err != nil {
			return nil, err
		}
	}
	if in.Actions != nil {
		if next.Actions, err = a.actions(r, *lb.LB.LoadBalancerArn, in.Actions); err != nil {
			return nil, err
		}
	}
	rule.R = next
	if err := a.pushLoadBalancer(r, lb); err != nil {
		rule.R = before
		return nil, err
	}
	return &sdk.ModifyRuleOutput{Rules: []types.Rule{rule.R}}, nil
}

func (a API) deleteRule(r *Region, _ wire.Call, in *sdk.DeleteRuleInput) (*sdk.DeleteRuleOutput, error) {
	rule, err := r.rule(in.RuleArn)
	if err != nil {
		return nil, err
	}
	if aws.ToBool(rule.R.IsDefault) {
		return nil, wire.Errorf("OperationNotPermitted", "Default rule '%s' cannot be deleted", *in.RuleArn)
	}
	delete(r.Rules, *in.RuleArn)
	if err := a.pushLoadBalancer(r, r.LoadBalancers[*r.Listeners[rule.Listener].L.LoadBalancerArn]); err != nil {
		return nil, err
	}
	return &sdk.DeleteRuleOutput{}, nil
}

func (a API) setRulePriorities(r *Region, _ wire.Call, in *sdk.SetRulePrioritiesInput) (*sdk.SetRulePrioritiesOutput, error) {
	next := map[string]int32{}
	listener := ""
	for _, p := range in.RulePriorities {
		rule, err := r.rule(p.RuleArn)
		if err != nil {
			return nil, err
		}
		if aws.ToBool(rule.R.IsDefault) {
			return nil, wire.Errorf("OperationNotPermitted", "The priority of default rule '%s' cannot be changed", *p.RuleArn)
		}
		if n := aws.ToInt32(p.Priority); n < 1 || n > 50000 {
			return nil, invalid("Rule priority '%d' must be from 1 to 50000", n)
		}
		if listener != "" && listener != rule.Listener {
			return nil, invalid("All rules must belong to the same listener")
		}
		listener = rule.Listener
		next[*p.RuleArn] = *p.Priority
	}
	if listener == "" {
		return nil, invalid("At least one rule priority must be specified")
	}
	used := map[int]bool{}
	for _, rule := range r.rulesOf(listener) {
		n := priority(rule)
		if p, ok := next[*rule.R.RuleArn]; ok {
			n = int(p)
		}
		if used[n] {
			return nil, wire.Errorf("PriorityInUse", "Priority '%d' is currently in use", n)
		}
		used[n] = true
	}
	changed := []types.Rule{}
	for _, rule := range r.rulesOf(listener) {
		if p, ok := next[*rule.R.RuleArn]; ok {
			rule.R.Priority = aws.String(strconv.Itoa(int(p)))
			changed = append(changed, rule.R)
		}
	}
	if err := a.pushLoadBalancer(r, r.LoadBalancers[*r.Listeners[listener].L.LoadBalancerArn]); err != nil {
		return nil, err
	}
	return &sdk.SetRulePrioritiesOutput{Rules: changed}, nil
}
