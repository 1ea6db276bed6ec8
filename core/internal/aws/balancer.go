// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"
	"errors"
	"fmt"
	"strconv"

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
	client *elb.Client
	budget *rate.Limiter
}

// Calls a second, and how many at once.
const (
	callsPerSecond = 2
	callsAtOnce    = 10
)

// NewBalancer makes a Balancer.
func NewBalancer(cfg awssdk.Config) *Balancer {
	return &Balancer{client: elb.NewFromConfig(cfg), budget: rate.NewLimiter(callsPerSecond, callsAtOnce)}
}

var _ gate.Balancer = (*Balancer)(nil)

// TargetHealth lists the targets of a group (DescribeTargetHealth is not paged).
func (b *Balancer) TargetHealth(ctx context.Context, groupARN string) ([]gate.Target, error) {
	if err := b.budget.Wait(ctx); err != nil {
		return nil, err
	}
	out, err := b.client.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: &groupARN})
	if err != nil {
		return nil, explain(err, "describing the target health of "+groupARN, "")
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

// Check proves that the states of targets may be read, before anything is
// changed: a group that does not exist is answered by its absence, a login
// that may not ask by a refusal.
func (b *Balancer) Check(ctx context.Context) error {
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
	if err := b.budget.WaitN(ctx, 3); err != nil {
		return nil, nil, nil, err
	}
	written, err := b.client.DescribeTargetGroupAttributes(ctx, &elb.DescribeTargetGroupAttributesInput{TargetGroupArn: &arn})
	if err != nil {
		return nil, nil, nil, explain(err, "describing the attributes of "+arn, "")
	}
	attributes = map[string]string{}
	for _, a := range written.Attributes {
		attributes[awssdk.ToString(a.Key)] = awssdk.ToString(a.Value)
	}
	found, err := b.client.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{TargetGroupArns: []string{arn}})
	if err != nil {
		return nil, attributes, nil, explain(err, "describing "+arn, "")
	}
	if len(found.TargetGroups) == 0 {
		return nil, attributes, nil, nil
	}
	group := found.TargetGroups[0]
	properties = propertiesOf(group)
	if len(group.LoadBalancerArns) == 0 {
		return properties, attributes, nil, nil
	}
	of := group.LoadBalancerArns[0]
	balancer, err := b.client.DescribeLoadBalancerAttributes(ctx, &elb.DescribeLoadBalancerAttributesInput{LoadBalancerArn: &of})
	if err != nil {
		return properties, attributes, nil, explain(err, "describing the attributes of "+of, "")
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
