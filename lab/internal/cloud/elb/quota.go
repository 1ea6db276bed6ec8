// SPDX-License-Identifier: Apache-2.0

package elb

import (
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/outlast-ci/outlast/lab/internal/alb"
	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// AWS's default quotas for application load balancers ("Quotas for your
// Application Load Balancers" in their user guide).
const (
	maxLoadBalancers      = 50   // of a region
	maxTargetGroups       = 3000 // of a region
	maxTargets            = 1000 // of a target group
	maxListeners          = 50   // of a load balancer
	maxRules              = 100  // of a load balancer, without default rules
	maxGroupsOfBalancer   = 100  // of a load balancer
	maxGroupsOfAction     = 5
	maxCertificates       = 25 // of a load balancer, without default ones
	maxTags               = 50
	maxBalancersDescribed = 20 // ARNs in one DescribeLoadBalancers
	maxTagsDescribed      = 20 // ARNs in one DescribeTags
	maxAttributesChanged  = 20 // pairs in one Modify…Attributes (terraform-provider-aws's pull request 46496)
)

func (a API) describeAccountLimits(_ *Region, _ wire.Call, in *sdk.DescribeAccountLimitsInput) (*sdk.DescribeAccountLimitsOutput, error) {
	var limits []types.Limit
	for _, l := range []struct {
		name string
		most int
	}{
		{"target-groups", maxTargetGroups},
		{"certificates-per-application-load-balancer", maxCertificates},
		{"targets-per-application-load-balancer", maxTargets},
		{"listeners-per-application-load-balancer", maxListeners},
		{"rules-per-application-load-balancer", maxRules},
		{"application-load-balancers", maxLoadBalancers},
		{"target-groups-per-action-on-application-load-balancer", maxGroupsOfAction},
		{"target-groups-per-application-load-balancer", maxGroupsOfBalancer},
	} {
		limits = append(limits, types.Limit{Name: aws.String(l.name), Max: aws.String(strconv.Itoa(l.most))})
	}
	page, next, err := paginate(limits, func(l types.Limit) string { return *l.Name }, in.Marker, in.PageSize)
	if err != nil {
		return nil, err
	}
	return &sdk.DescribeAccountLimitsOutput{Limits: page, NextMarker: next}, nil
}

// roomFor tells whether the targets fit into the group beside those that are
// registered; the draining ones do not count.
func (a API) roomFor(group string, add []alb.Target) error {
	have, err := a.Engine.Health(group, nil)
	if err != nil {
		return err
	}
	ids := map[string]bool{}
	for _, h := range have {
		if h.State != string(types.TargetHealthStateEnumDraining) {
			ids[h.Target.ID+" "+strconv.Itoa(h.Target.Port)] = true
		}
	}
	for _, t := range add {
		ids[t.ID+" "+strconv.Itoa(t.Port)] = true
	}
	if len(ids) > maxTargets {
		return wire.Errorf("TooManyTargets", "The maximum number of targets, %d, of target group '%s' has been reached", maxTargets, group)
	}
	return nil
}

// rulesOfBalancer counts the rules that are no default ones.
func (r *Region) rulesOfBalancer(lb string) int {
	n := 0
	for _, x := range r.Rules {
		if !aws.ToBool(x.R.IsDefault) && aws.ToString(r.Listeners[x.Listener].L.LoadBalancerArn) == lb {
			n++
		}
	}
	return n
}

// fewGroups tells whether a load balancer may send to the groups of these actions, too.
func (r *Region) fewGroups(lb string, actions []types.Action) error {
	groups := map[string]bool{}
	for _, g := range forwardsTo(actions) {
		groups[g] = true
	}
	for _, x := range r.Rules {
		if aws.ToString(r.Listeners[x.Listener].L.LoadBalancerArn) == lb {
			for _, g := range forwardsTo(x.R.Actions) {
				groups[g] = true
			}
		}
	}
	if len(groups) > maxGroupsOfBalancer {
		return wire.Errorf("TooManyUniqueTargetGroupsPerLoadBalancer", "You have reached the maximum number of unique target groups, %d, of load balancer '%s'", maxGroupsOfBalancer, lb)
	}
	return nil
}
