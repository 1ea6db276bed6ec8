// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"golang.org/x/time/rate"

	"github.com/outlast-ci/outlast/core/gate"
)

// Balancer reads ELBv2 for the gate. All calls of a process share one budget:
// the account's Describe calls refill at 10 a second for everybody, the
// controller that we wait for included.
type Balancer struct {
	cfg    awssdk.Config
	client *elb.Client
	budget *rate.Limiter
}

// NewBalancer makes a Balancer of one call a second, for a wait.
func NewBalancer(cfg awssdk.Config) *Balancer { return newBalancer(cfg, rate.NewLimiter(1, 1)) }

// NewAttributes makes one for a few questions that somebody waits for: two calls a
// second, and the first ten at once.
func NewAttributes(cfg awssdk.Config) *Balancer { return newBalancer(cfg, rate.NewLimiter(2, 10)) }

func newBalancer(cfg awssdk.Config, budget *rate.Limiter) *Balancer {
	return &Balancer{cfg: cfg, client: elb.NewFromConfig(cfg), budget: budget}
}

var _ gate.Balancer = (*Balancer)(nil)

// As asks as a role, which the one that we are may assume: that of another
// account's target groups. The budget stays one.
func (b *Balancer) As(_ context.Context, roleARN, externalID string) (gate.Balancer, error) {
	if err := (Role{ARN: roleARN}).Check(); err != nil {
		return nil, err
	}
	cfg := b.cfg
	cfg.Credentials = Role{ARN: roleARN, ExternalID: externalID}.on(b.cfg)
	if l, ok := b.cfg.Credentials.(learning); ok {
		cfg.Credentials = learning{cfg.Credentials, l.learn}
	}
	return newBalancer(cfg, b.budget), nil
}

// refused says what ELBv2 refused, and marks what the gate can tell apart.
func refused(err error, verb, what string) error {
	var none *types.TargetGroupNotFoundException
	switch explained := explain(err, verb+" "+what, ""); {
	case throttled(err):
		return fmt.Errorf("%w: others use up the calls of this account and region: %w", gate.ErrThrottled, explained)
	case errors.As(err, &none):
		return fmt.Errorf("%w: %w", gate.ErrNoTargetGroup, explained)
	default:
		return explained
	}
}

// TargetHealth lists the targets of a group (DescribeTargetHealth is not paged). It is
// not tried again when it is throttled: who polls does so anyway.
func (b *Balancer) TargetHealth(ctx context.Context, groupARN string) ([]gate.Target, error) {
	if err := b.budget.Wait(ctx); err != nil {
		return nil, err
	}
	out, err := b.client.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: &groupARN}, poll)
	if err != nil {
		return nil, refused(err, "describing the target health of", groupARN)
	}
	targets := make([]gate.Target, 0, len(out.TargetHealthDescriptions))
	for _, d := range out.TargetHealthDescriptions {
		if d.Target == nil || d.TargetHealth == nil {
			continue
		}
		targets = append(targets, gate.Target{
			ID: awssdk.ToString(d.Target.Id), Port: int(awssdk.ToInt32(d.Target.Port)),
			State: string(d.TargetHealth.State), Reason: string(d.TargetHealth.Reason), Description: awssdk.ToString(d.TargetHealth.Description),
		})
	}
	return targets, nil
}

// poll leaves throttling to the caller.
func poll(o *elb.Options) { o.Retryer = polling.retryer() }

// Check proves that the states of targets may be read, before anything is
// changed: a group that does not exist is answered by its absence, a login
// that may not ask by a refusal.
func (b *Balancer) Check(ctx context.Context) error {
	if err := b.budget.Wait(ctx); err != nil {
		return err
	}
	_, err := b.client.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{PageSize: awssdk.Int32(1)})
	var none *types.TargetGroupNotFoundException
	if err != nil && !errors.As(err, &none) {
		return fmt.Errorf("%w (the gate needs elasticloadbalancing:DescribeTargetHealth and DescribeTargetGroups)", explain(err, "asking ELBv2 for target groups", ""))
	}
	return nil
}

// TargetGroup gives the properties of a target group by the names that ELBv2 has for them, its
// attributes, and those of the load balancer that it is attached to: three calls.
func (b *Balancer) TargetGroup(ctx context.Context, arn string) (properties, attributes, loadBalancer map[string]string, err error) {
	if attributes, err = b.attributes(ctx, arn); err != nil {
		return nil, nil, nil, err
	}
	found, err := b.describe(ctx, &elb.DescribeTargetGroupsInput{TargetGroupArns: []string{arn}})
	if err != nil {
		return nil, attributes, nil, err
	}
	if len(found) == 0 {
		return nil, attributes, nil, nil
	}
	properties = propertiesOf(found[0])
	if len(found[0].LoadBalancerArns) == 0 {
		return properties, attributes, nil, nil
	}
	of := found[0].LoadBalancerArns[0]
	if err := b.budget.Wait(ctx); err != nil {
		return properties, attributes, nil, err
	}
	balancer, err := b.client.DescribeLoadBalancerAttributes(ctx, &elb.DescribeLoadBalancerAttributesInput{LoadBalancerArn: &of})
	if err != nil {
		return properties, attributes, nil, refused(err, "describing the attributes of", of)
	}
	loadBalancer = map[string]string{}
	for _, a := range balancer.Attributes {
		loadBalancer[awssdk.ToString(a.Key)] = awssdk.ToString(a.Value)
	}
	return properties, attributes, loadBalancer, nil
}

// propertiesOf are those that a target group keeps for life, and how its targets are checked.
func propertiesOf(group types.TargetGroup) map[string]string {
	all := map[string]string{"TargetType": string(group.TargetType), "Protocol": string(group.Protocol),
		"ProtocolVersion": awssdk.ToString(group.ProtocolVersion), "HealthCheckProtocol": string(group.HealthCheckProtocol)}
	for name, n := range map[string]*int32{"Port": group.Port, "HealthCheckIntervalSeconds": group.HealthCheckIntervalSeconds} {
		if n != nil {
			all[name] = strconv.Itoa(int(*n))
		}
	}
	return all
}

// attributes are those of a target group.
func (b *Balancer) attributes(ctx context.Context, arn string, how ...func(*elb.Options)) (map[string]string, error) {
	if err := b.budget.Wait(ctx); err != nil {
		return nil, err
	}
	out, err := b.client.DescribeTargetGroupAttributes(ctx, &elb.DescribeTargetGroupAttributesInput{TargetGroupArn: &arn}, how...)
	if err != nil {
		return nil, refused(err, "describing the attributes of", arn)
	}
	group := map[string]string{}
	for _, a := range out.Attributes {
		group[awssdk.ToString(a.Key)] = awssdk.ToString(a.Value)
	}
	return group, nil
}

// describe lists target groups, page by page. Those that are named and do not exist
// are no error.
func (b *Balancer) describe(ctx context.Context, in *elb.DescribeTargetGroupsInput, how ...func(*elb.Options)) (all []types.TargetGroup, err error) {
	pages := elb.NewDescribeTargetGroupsPaginator(b.client, in)
	for pages.HasMorePages() {
		if err := b.budget.Wait(ctx); err != nil {
			return nil, err
		}
		page, err := pages.NextPage(ctx, how...)
		if err != nil {
			what := strings.Join(slices.Concat(in.TargetGroupArns, in.Names), ", ")
			return nil, refused(err, "describing target groups", what)
		}
		all = append(all, page.TargetGroups...)
	}
	return all, nil
}
