// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/gate"
)

// perCall is how many ARNs or names DescribeTargetGroups and DescribeTags take at once.
const perCall = 20

// TargetGroups describes the groups that are named, and finds those behind host
// names: a call for each 20 named ones and one for the attributes of each; by host
// name, calls for all load balancers of the region, since ELBv2 cannot search them.
// Throttling is an error at once: who waits asks again.
func (b *Balancer) TargetGroups(ctx context.Context, which gate.GroupQuery) (out []gate.TargetGroup, err error) {
	for arns := range slices.Chunk(which.ARNs, perCall) {
		found, err := b.named(ctx, &elb.DescribeTargetGroupsInput{TargetGroupArns: arns})
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	for names := range slices.Chunk(which.Names, perCall) {
		found, err := b.named(ctx, &elb.DescribeTargetGroupsInput{Names: names})
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	for i := range out {
		attributes, err := b.attributes(ctx, out[i].ARN, poll)
		if n, wrong := strconv.Atoi(attributes["deregistration_delay.timeout_seconds"]); err == nil && wrong == nil {
			out[i].Delay = new(drain.Seconds(n))
		}
		if errors.Is(err, gate.ErrThrottled) || ctx.Err() != nil {
			return nil, err
		} // what may not be read stays unknown
	}
	if len(which.Hostnames) == 0 {
		return out, nil
	}
	found, err := b.behind(ctx, which.Hostnames, which.Resources)
	return append(out, found...), err
}

// named describes groups. ELBv2 names none of several when one does not exist: then
// each is asked for by itself.
func (b *Balancer) named(ctx context.Context, in *elb.DescribeTargetGroupsInput) (out []gate.TargetGroup, err error) {
	found, err := b.describe(ctx, in, poll)
	if errors.Is(err, gate.ErrNoTargetGroup) {
		if len(in.TargetGroupArns)+len(in.Names) == 1 {
			return nil, nil
		}
		for _, arn := range in.TargetGroupArns {
			one, err := b.named(ctx, &elb.DescribeTargetGroupsInput{TargetGroupArns: []string{arn}})
			if err != nil {
				return nil, err
			}
			out = append(out, one...)
		}
		for _, name := range in.Names {
			one, err := b.named(ctx, &elb.DescribeTargetGroupsInput{Names: []string{name}})
			if err != nil {
				return nil, err
			}
			out = append(out, one...)
		}
		return out, nil
	}
	for _, g := range found {
		out = append(out, told(g))
	}
	return out, err
}

// told takes out of a target group what the gate wants to know.
func told(g types.TargetGroup) gate.TargetGroup {
	out := gate.TargetGroup{
		ARN: awssdk.ToString(g.TargetGroupArn), Name: awssdk.ToString(g.TargetGroupName), TargetType: string(g.TargetType), Protocol: string(g.Protocol),
		LoadBalancers: g.LoadBalancerArns, Interval: seconds(g.HealthCheckIntervalSeconds), Timeout: seconds(g.HealthCheckTimeoutSeconds),
		Healthy: int(awssdk.ToInt32(g.HealthyThresholdCount)), Unhealthy: int(awssdk.ToInt32(g.UnhealthyThresholdCount)),
	}
	if g.Matcher != nil {
		out.Matcher = awssdk.ToString(g.Matcher.HttpCode) + awssdk.ToString(g.Matcher.GrpcCode)
	}
	return out
}

func seconds(n *int32) time.Duration { return time.Duration(awssdk.ToInt32(n)) * time.Second }

// behind finds the groups of the load balancers with a host name whose tags name a resource.
func (b *Balancer) behind(ctx context.Context, hostnames, resources []string) (out []gate.TargetGroup, err error) {
	arns, err := b.loadBalancers(ctx, hostnames)
	if err != nil {
		return nil, err
	}
	byARN := map[string]gate.TargetGroup{}
	var order []string
	for _, arn := range arns {
		found, err := b.describe(ctx, &elb.DescribeTargetGroupsInput{LoadBalancerArn: &arn}, poll)
		if err != nil && !errors.Is(err, gate.ErrNoTargetGroup) {
			return nil, err
		}
		for _, g := range found {
			if t := told(g); byARN[t.ARN].ARN == "" {
				byARN[t.ARN], order = t, append(order, t.ARN)
			}
		}
	}
	for some := range slices.Chunk(order, perCall) {
		if err := b.budget.Wait(ctx); err != nil {
			return nil, err
		}
		tags, err := b.client.DescribeTags(ctx, &elb.DescribeTagsInput{ResourceArns: some}, poll)
		if err != nil {
			return nil, refused(err, "describing the tags of", strings.Join(some, ", "))
		}
		for _, d := range tags.TagDescriptions {
			g := byARN[awssdk.ToString(d.ResourceArn)]
			if g.Resource = resourceOf(d.Tags, resources); g.Resource != "" {
				out = append(out, g)
			}
		}
	}
	return out, nil
}

// resourceOf gives the tag that names one of the resources, by what it begins with.
func resourceOf(tags []types.Tag, resources []string) string {
	for _, tag := range tags {
		key, value := awssdk.ToString(tag.Key), awssdk.ToString(tag.Value)
		if key != "ingress.k8s.aws/resource" && key != "service.k8s.aws/resource" {
			continue
		}
		if slices.ContainsFunc(resources, func(prefix string) bool { return strings.HasPrefix(value, prefix) }) {
			return value
		}
	}
	return ""
}

// loadBalancers gives the ARNs of those with a host name, which DNS spells in any
// case, and the controller with a prefix for two families of addresses.
func (b *Balancer) loadBalancers(ctx context.Context, hostnames []string) (arns []string, err error) {
	plain := func(name string) string { return strings.TrimPrefix(strings.ToLower(name), "dualstack.") }
	want := map[string]bool{}
	for _, name := range hostnames {
		want[plain(name)] = true
	}
	pages := elb.NewDescribeLoadBalancersPaginator(b.client, &elb.DescribeLoadBalancersInput{})
	for pages.HasMorePages() && len(arns) < len(want) {
		if err := b.budget.Wait(ctx); err != nil {
			return nil, err
		}
		page, err := pages.NextPage(ctx, poll)
		if err != nil {
			return nil, refused(err, "listing the load balancers of", b.cfg.Region)
		}
		for _, lb := range page.LoadBalancers {
			if want[plain(awssdk.ToString(lb.DNSName))] {
				arns = append(arns, awssdk.ToString(lb.LoadBalancerArn))
			}
		}
	}
	return arns, nil
}
