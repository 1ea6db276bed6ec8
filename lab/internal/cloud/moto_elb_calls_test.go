// SPDX-License-Identifier: Apache-2.0

package cloud_test

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	ec2sdk "github.com/aws/aws-sdk-go-v2/service/ec2"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

func balancerCalls() []call {
	return []call{
		{"CreateLoadBalancer with subnets and a security group", func(ctx context.Context, s *side) (any, error) {
			out, err := s.elb.CreateLoadBalancer(ctx, &elbv2.CreateLoadBalancerInput{Name: aws.String("web"), Subnets: s.subnets, SecurityGroups: []string{s.made["group"]},
				Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}})
			return keep(s, "lb", out, err, func(o *elbv2.CreateLoadBalancerOutput) *string { return o.LoadBalancers[0].LoadBalancerArn })
		}},
		{"DescribeLoadBalancers by ARN", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeLoadBalancers(ctx, &elbv2.DescribeLoadBalancersInput{LoadBalancerArns: []string{s.made["lb"]}})
		}},
		{"DescribeLoadBalancerAttributes of a new one", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeLoadBalancerAttributes(ctx, &elbv2.DescribeLoadBalancerAttributesInput{LoadBalancerArn: s.arn("lb")})
		}},
		{"ModifyLoadBalancerAttributes of the idle timeout", func(ctx context.Context, s *side) (any, error) {
			return s.elb.ModifyLoadBalancerAttributes(ctx, &elbv2.ModifyLoadBalancerAttributesInput{LoadBalancerArn: s.arn("lb"),
				Attributes: []types.LoadBalancerAttribute{{Key: aws.String("idle_timeout.timeout_seconds"), Value: aws.String("61")}}})
		}},
		{"SetSecurityGroups", func(ctx context.Context, s *side) (any, error) {
			return s.elb.SetSecurityGroups(ctx, &elbv2.SetSecurityGroupsInput{LoadBalancerArn: s.arn("lb"), SecurityGroups: []string{s.made["group"]}})
		}},
		{"SetSubnets", func(ctx context.Context, s *side) (any, error) {
			return s.elb.SetSubnets(ctx, &elbv2.SetSubnetsInput{LoadBalancerArn: s.arn("lb"), Subnets: s.subnets})
		}},
		{"SetIpAddressType", func(ctx context.Context, s *side) (any, error) {
			return s.elb.SetIpAddressType(ctx, &elbv2.SetIpAddressTypeInput{LoadBalancerArn: s.arn("lb"), IpAddressType: types.IpAddressTypeIpv4})
		}},
		{"DescribeCapacityReservation", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeCapacityReservation(ctx, &elbv2.DescribeCapacityReservationInput{LoadBalancerArn: s.arn("lb")})
		}},
		{"DescribeAccountLimits", func(ctx context.Context, s *side) (any, error) {
			out, err := s.elb.DescribeAccountLimits(ctx, &elbv2.DescribeAccountLimitsInput{})
			if err != nil {
				return nil, err
			}
			limits := map[string]string{}
			for _, l := range out.Limits {
				limits[*l.Name] = *l.Max
			}
			return limits, nil
		}},
	}
}

func groupCalls() []call {
	target := func(s *side) []types.TargetDescription { return []types.TargetDescription{{Id: &s.address}} }
	return []call{
		{"CreateTargetGroup with what it needs", func(ctx context.Context, s *side) (any, error) {
			out, err := s.elb.CreateTargetGroup(ctx, &elbv2.CreateTargetGroupInput{Name: aws.String("web"), Protocol: types.ProtocolEnumHttp, Port: aws.Int32(8080), VpcId: &s.vpc, TargetType: types.TargetTypeEnumIp})
			return keep(s, "tg", out, err, func(o *elbv2.CreateTargetGroupOutput) *string { return o.TargetGroups[0].TargetGroupArn })
		}},
		{"CreateTargetGroup with all of a health check", func(ctx context.Context, s *side) (any, error) {
			out, err := s.elb.CreateTargetGroup(ctx, &elbv2.CreateTargetGroupInput{Name: aws.String("full"), Protocol: types.ProtocolEnumHttp, Port: aws.Int32(8080), VpcId: &s.vpc, TargetType: types.TargetTypeEnumIp,
				HealthCheckEnabled: aws.Bool(true), HealthCheckIntervalSeconds: aws.Int32(15), HealthCheckPath: aws.String("/readyz"), HealthCheckPort: aws.String("traffic-port"),
				HealthCheckProtocol: types.ProtocolEnumHttp, HealthCheckTimeoutSeconds: aws.Int32(5), HealthyThresholdCount: aws.Int32(2), UnhealthyThresholdCount: aws.Int32(2), Matcher: &types.Matcher{HttpCode: aws.String("200-299")}})
			return keep(s, "full", out, err, func(o *elbv2.CreateTargetGroupOutput) *string { return o.TargetGroups[0].TargetGroupArn })
		}},
		{"DescribeTargetGroups by name", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeTargetGroups(ctx, &elbv2.DescribeTargetGroupsInput{Names: []string{"web"}})
		}},
		{"DescribeTargetGroupAttributes of a new one", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeTargetGroupAttributes(ctx, &elbv2.DescribeTargetGroupAttributesInput{TargetGroupArn: s.arn("tg")})
		}},
		{"ModifyTargetGroupAttributes of the deregistration delay", func(ctx context.Context, s *side) (any, error) {
			return s.elb.ModifyTargetGroupAttributes(ctx, &elbv2.ModifyTargetGroupAttributesInput{TargetGroupArn: s.arn("tg"), Attributes: []types.TargetGroupAttribute{{Key: aws.String("deregistration_delay.timeout_seconds"), Value: aws.String("35")}}})
		}},
		{"ModifyTargetGroup of the health check", func(ctx context.Context, s *side) (any, error) {
			return s.elb.ModifyTargetGroup(ctx, &elbv2.ModifyTargetGroupInput{TargetGroupArn: s.arn("tg"), HealthCheckPath: aws.String("/healthz"), HealthyThresholdCount: aws.Int32(3)})
		}},
		{"DescribeTargetHealth of an empty group", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeTargetHealth(ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: s.arn("tg")})
		}},
		{"RegisterTargets into a group without a listener", func(ctx context.Context, s *side) (any, error) {
			return s.elb.RegisterTargets(ctx, &elbv2.RegisterTargetsInput{TargetGroupArn: s.arn("full"), Targets: target(s)})
		}},
		{"DescribeTargetHealth of a group without a listener", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeTargetHealth(ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: s.arn("full")})
		}},
		{"RegisterTargets", func(ctx context.Context, s *side) (any, error) {
			return s.elb.RegisterTargets(ctx, &elbv2.RegisterTargetsInput{TargetGroupArn: s.arn("tg"), Targets: target(s)})
		}},
		{"DescribeTargetHealth of a target that was never registered", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeTargetHealth(ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: s.arn("tg"), Targets: []types.TargetDescription{{Id: aws.String("10.244.0.77"), Port: aws.Int32(8080)}}})
		}},
	}
}

func listenerCalls() []call {
	return []call{
		{"CreateListener that forwards", func(ctx context.Context, s *side) (any, error) {
			out, err := s.elb.CreateListener(ctx, &elbv2.CreateListenerInput{LoadBalancerArn: s.arn("lb"), Port: aws.Int32(18090), Protocol: types.ProtocolEnumHttp, DefaultActions: forward(s.made["tg"])})
			return keep(s, "listener", out, err, func(o *elbv2.CreateListenerOutput) *string { return o.Listeners[0].ListenerArn })
		}},
		{"DescribeListeners of a load balancer", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeListeners(ctx, &elbv2.DescribeListenersInput{LoadBalancerArn: s.arn("lb")})
		}},
		{"DescribeListenerAttributes of a new one", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeListenerAttributes(ctx, &elbv2.DescribeListenerAttributesInput{ListenerArn: s.arn("listener")})
		}},
		{"ModifyListenerAttributes of the server header", func(ctx context.Context, s *side) (any, error) {
			return s.elb.ModifyListenerAttributes(ctx, &elbv2.ModifyListenerAttributesInput{ListenerArn: s.arn("listener"), Attributes: []types.ListenerAttribute{{Key: aws.String("routing.http.response.server.enabled"), Value: aws.String("false")}}})
		}},
		{"DescribeListenerCertificates of an HTTP listener", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeListenerCertificates(ctx, &elbv2.DescribeListenerCertificatesInput{ListenerArn: s.arn("listener")})
		}},
		{"ModifyListener to a fixed response", func(ctx context.Context, s *side) (any, error) {
			return s.elb.ModifyListener(ctx, &elbv2.ModifyListenerInput{ListenerArn: s.arn("listener"), DefaultActions: []types.Action{{Type: types.ActionTypeEnumFixedResponse,
				FixedResponseConfig: &types.FixedResponseActionConfig{StatusCode: aws.String("404"), ContentType: aws.String("text/plain"), MessageBody: aws.String("none")}}}})
		}},
		{"DescribeTargetGroups of one that no rule names any more", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeTargetGroups(ctx, &elbv2.DescribeTargetGroupsInput{TargetGroupArns: []string{s.made["tg"]}})
		}},
	}
}

func ruleCalls() []call {
	return []call{
		{"CreateRule by path", func(ctx context.Context, s *side) (any, error) {
			out, err := s.elb.CreateRule(ctx, &elbv2.CreateRuleInput{ListenerArn: s.arn("listener"), Priority: aws.Int32(1), Actions: forward(s.made["tg"]), Conditions: path("/a/*")})
			return keep(s, "rule", out, err, func(o *elbv2.CreateRuleOutput) *string { return o.Rules[0].RuleArn })
		}},
		{"CreateRule by host with weights", func(ctx context.Context, s *side) (any, error) {
			out, err := s.elb.CreateRule(ctx, &elbv2.CreateRuleInput{ListenerArn: s.arn("listener"), Priority: aws.Int32(2),
				Actions: []types.Action{{Type: types.ActionTypeEnumForward, ForwardConfig: &types.ForwardActionConfig{TargetGroups: []types.TargetGroupTuple{
					{TargetGroupArn: s.arn("tg"), Weight: aws.Int32(9)}, {TargetGroupArn: s.arn("full"), Weight: aws.Int32(1)}}}}},
				Conditions: []types.RuleCondition{{Field: aws.String("host-header"), HostHeaderConfig: &types.HostHeaderConditionConfig{Values: []string{"a.example"}}}}})
			return keep(s, "weighted", out, err, func(o *elbv2.CreateRuleOutput) *string { return o.Rules[0].RuleArn })
		}},
		{"DescribeRules of a listener", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeRules(ctx, &elbv2.DescribeRulesInput{ListenerArn: s.arn("listener")})
		}},
		{"ModifyRule of its path", func(ctx context.Context, s *side) (any, error) {
			return s.elb.ModifyRule(ctx, &elbv2.ModifyRuleInput{RuleArn: s.arn("rule"), Conditions: path("/b/*")})
		}},
		{"SetRulePriorities", func(ctx context.Context, s *side) (any, error) {
			return s.elb.SetRulePriorities(ctx, &elbv2.SetRulePrioritiesInput{RulePriorities: []types.RulePriorityPair{{RuleArn: s.arn("rule"), Priority: aws.Int32(7)}}})
		}},
		{"DescribeTargetHealth of a target in use", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeTargetHealth(ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: s.arn("tg")})
		}},
		{"DeregisterTargets", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DeregisterTargets(ctx, &elbv2.DeregisterTargetsInput{TargetGroupArn: s.arn("tg"), Targets: []types.TargetDescription{{Id: &s.address}}})
		}},
		{"DescribeTargetHealth of a target that was deregistered", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeTargetHealth(ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: s.arn("tg"), Targets: []types.TargetDescription{{Id: &s.address, Port: aws.Int32(8080)}}})
		}},
	}
}

func tagCalls() []call {
	return []call{
		{"AddTags", func(ctx context.Context, s *side) (any, error) {
			return s.elb.AddTags(ctx, &elbv2.AddTagsInput{ResourceArns: []string{s.made["tg"]}, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}})
		}},
		{"DescribeTags", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeTags(ctx, &elbv2.DescribeTagsInput{ResourceArns: []string{s.made["tg"], s.made["lb"]}})
		}},
		{"RemoveTags", func(ctx context.Context, s *side) (any, error) {
			return s.elb.RemoveTags(ctx, &elbv2.RemoveTagsInput{ResourceArns: []string{s.made["tg"]}, TagKeys: []string{"a"}})
		}},
		{"AddTags to a target group that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.elb.AddTags(ctx, &elbv2.AddTagsInput{ResourceArns: []string{*s.other("tg")}, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}})
		}},
	}
}

func balancerErrors() []call {
	return []call{
		{"DescribeLoadBalancers of an ARN that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeLoadBalancers(ctx, &elbv2.DescribeLoadBalancersInput{LoadBalancerArns: []string{*s.other("lb")}})
		}},
		{"DescribeLoadBalancers of a name that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeLoadBalancers(ctx, &elbv2.DescribeLoadBalancersInput{Names: []string{"gone"}})
		}},
		{"CreateLoadBalancer in a subnet that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.elb.CreateLoadBalancer(ctx, &elbv2.CreateLoadBalancerInput{Name: aws.String("other"), Subnets: []string{"subnet-0123456789abcdef0", "subnet-0123456789abcdef1"}})
		}},
		{"CreateLoadBalancer in one subnet", func(ctx context.Context, s *side) (any, error) {
			return s.elb.CreateLoadBalancer(ctx, &elbv2.CreateLoadBalancerInput{Name: aws.String("other"), Subnets: s.subnets[:1]})
		}},
		{"CreateLoadBalancer of a name that is taken", func(ctx context.Context, s *side) (any, error) {
			return s.elb.CreateLoadBalancer(ctx, &elbv2.CreateLoadBalancerInput{Name: aws.String("web"), Subnets: s.subnets, Scheme: types.LoadBalancerSchemeEnumInternal})
		}},
		{"ModifyLoadBalancerAttributes to an idle timeout of 5000", func(ctx context.Context, s *side) (any, error) {
			return s.elb.ModifyLoadBalancerAttributes(ctx, &elbv2.ModifyLoadBalancerAttributesInput{LoadBalancerArn: s.arn("lb"),
				Attributes: []types.LoadBalancerAttribute{{Key: aws.String("idle_timeout.timeout_seconds"), Value: aws.String("5000")}}})
		}},
		{"ModifyLoadBalancerAttributes of one that is none", func(ctx context.Context, s *side) (any, error) {
			return s.elb.ModifyLoadBalancerAttributes(ctx, &elbv2.ModifyLoadBalancerAttributesInput{LoadBalancerArn: s.arn("lb"), Attributes: []types.LoadBalancerAttribute{{Key: aws.String("nope"), Value: aws.String("1")}}})
		}},
		{"CreateListener on a port that is taken", func(ctx context.Context, s *side) (any, error) {
			return s.elb.CreateListener(ctx, &elbv2.CreateListenerInput{LoadBalancerArn: s.arn("lb"), Port: aws.Int32(18090), Protocol: types.ProtocolEnumHttp, DefaultActions: forward(s.made["full"])})
		}},
		{"CreateListener of a load balancer that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.elb.CreateListener(ctx, &elbv2.CreateListenerInput{LoadBalancerArn: s.other("lb"), Port: aws.Int32(18091), Protocol: types.ProtocolEnumHttp, DefaultActions: forward(s.made["tg"])})
		}},
		{"CreateListener with a certificate that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.elb.CreateListener(ctx, &elbv2.CreateListenerInput{LoadBalancerArn: s.arn("lb"), Port: aws.Int32(18443), Protocol: types.ProtocolEnumHttps, DefaultActions: forward(s.made["tg"]),
				Certificates: []types.Certificate{{CertificateArn: aws.String("arn:aws-cn:acm:cn-northwest-1:123456789012:certificate/gone")}}})
		}},
		{"DescribeListeners of one that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeListeners(ctx, &elbv2.DescribeListenersInput{ListenerArns: []string{*s.other("listener")}})
		}},
	}
}

func groupErrors() []call {
	return []call{
		{"DescribeTargetGroups of an ARN that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeTargetGroups(ctx, &elbv2.DescribeTargetGroupsInput{TargetGroupArns: []string{*s.other("tg")}})
		}},
		{"DescribeTargetGroups of a name that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeTargetGroups(ctx, &elbv2.DescribeTargetGroupsInput{Names: []string{"gone"}})
		}},
		{"DescribeTargetHealth of a group that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeTargetHealth(ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: s.other("tg")})
		}},
		{"RegisterTargets into a group that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.elb.RegisterTargets(ctx, &elbv2.RegisterTargetsInput{TargetGroupArn: s.other("tg"), Targets: []types.TargetDescription{{Id: &s.address}}})
		}},
		{"RegisterTargets of no address", func(ctx context.Context, s *side) (any, error) {
			return s.elb.RegisterTargets(ctx, &elbv2.RegisterTargetsInput{TargetGroupArn: s.arn("tg"), Targets: []types.TargetDescription{{Id: aws.String("i-0123456789abcdef0")}}})
		}},
		{"DeregisterTargets of what was never registered", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DeregisterTargets(ctx, &elbv2.DeregisterTargetsInput{TargetGroupArn: s.arn("tg"), Targets: []types.TargetDescription{{Id: aws.String("10.244.0.78")}}})
		}},
		{"ModifyTargetGroupAttributes to a delay of 3601", func(ctx context.Context, s *side) (any, error) {
			return s.elb.ModifyTargetGroupAttributes(ctx, &elbv2.ModifyTargetGroupAttributesInput{TargetGroupArn: s.arn("tg"), Attributes: []types.TargetGroupAttribute{{Key: aws.String("deregistration_delay.timeout_seconds"), Value: aws.String("3601")}}})
		}},
		{"ModifyTargetGroupAttributes of one that is none", func(ctx context.Context, s *side) (any, error) {
			return s.elb.ModifyTargetGroupAttributes(ctx, &elbv2.ModifyTargetGroupAttributesInput{TargetGroupArn: s.arn("tg"), Attributes: []types.TargetGroupAttribute{{Key: aws.String("nope"), Value: aws.String("1")}}})
		}},
		{"CreateTargetGroup of a name that is taken, with another port", func(ctx context.Context, s *side) (any, error) {
			return s.elb.CreateTargetGroup(ctx, &elbv2.CreateTargetGroupInput{Name: aws.String("web"), Protocol: types.ProtocolEnumHttp, Port: aws.Int32(81), VpcId: &s.vpc, TargetType: types.TargetTypeEnumIp})
		}},
		{"CreateTargetGroup with a timeout as long as the interval", func(ctx context.Context, s *side) (any, error) {
			return s.elb.CreateTargetGroup(ctx, &elbv2.CreateTargetGroupInput{Name: aws.String("slow"), Protocol: types.ProtocolEnumHttp, Port: aws.Int32(81), VpcId: &s.vpc, TargetType: types.TargetTypeEnumIp,
				HealthCheckIntervalSeconds: aws.Int32(5), HealthCheckTimeoutSeconds: aws.Int32(5)})
		}},
		{"CreateTargetGroup of a name with a dot", func(ctx context.Context, s *side) (any, error) {
			return s.elb.CreateTargetGroup(ctx, &elbv2.CreateTargetGroupInput{Name: aws.String("a.b"), Protocol: types.ProtocolEnumHttp, Port: aws.Int32(81), VpcId: &s.vpc, TargetType: types.TargetTypeEnumIp})
		}},
		{"DeleteTargetGroup that is in use", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DeleteTargetGroup(ctx, &elbv2.DeleteTargetGroupInput{TargetGroupArn: s.arn("tg")})
		}},
	}
}

func ruleErrors() []call {
	return []call{
		{"CreateRule of a priority that is taken", func(ctx context.Context, s *side) (any, error) {
			return s.elb.CreateRule(ctx, &elbv2.CreateRuleInput{ListenerArn: s.arn("listener"), Priority: aws.Int32(7), Actions: forward(s.made["tg"]), Conditions: path("/c")})
		}},
		{"CreateRule to a target group that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.elb.CreateRule(ctx, &elbv2.CreateRuleInput{ListenerArn: s.arn("listener"), Priority: aws.Int32(9), Actions: forward(*s.other("tg")), Conditions: path("/c")})
		}},
		{"CreateRule of a listener that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.elb.CreateRule(ctx, &elbv2.CreateRuleInput{ListenerArn: s.other("listener"), Priority: aws.Int32(9), Actions: forward(s.made["tg"]), Conditions: path("/c")})
		}},
		{"DescribeRules of one that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeRules(ctx, &elbv2.DescribeRulesInput{RuleArns: []string{*s.other("rule")}})
		}},
		{"DeleteRule that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DeleteRule(ctx, &elbv2.DeleteRuleInput{RuleArn: s.other("rule")})
		}},
		{"SetRulePriorities to one that is taken", func(ctx context.Context, s *side) (any, error) {
			return s.elb.SetRulePriorities(ctx, &elbv2.SetRulePrioritiesInput{RulePriorities: []types.RulePriorityPair{{RuleArn: s.arn("rule"), Priority: aws.Int32(2)}}})
		}},
	}
}

func deletions() []call {
	return []call{
		{"DeleteSecurityGroup that a load balancer uses", func(ctx context.Context, s *side) (any, error) {
			return s.ec2.DeleteSecurityGroup(ctx, &ec2sdk.DeleteSecurityGroupInput{GroupId: s.arn("group")})
		}},
		{"DeleteRule", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DeleteRule(ctx, &elbv2.DeleteRuleInput{RuleArn: s.arn("rule")})
		}},
		{"DeleteListener", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DeleteListener(ctx, &elbv2.DeleteListenerInput{ListenerArn: s.arn("listener")})
		}},
		{"DeleteTargetGroup", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DeleteTargetGroup(ctx, &elbv2.DeleteTargetGroupInput{TargetGroupArn: s.arn("tg")})
		}},
		{"DeleteLoadBalancer", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DeleteLoadBalancer(ctx, &elbv2.DeleteLoadBalancerInput{LoadBalancerArn: s.arn("lb")})
		}},
		{"DeleteLoadBalancer that is gone", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DeleteLoadBalancer(ctx, &elbv2.DeleteLoadBalancerInput{LoadBalancerArn: s.arn("lb")})
		}},
		{"DeleteListener that is gone", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DeleteListener(ctx, &elbv2.DeleteListenerInput{ListenerArn: s.arn("listener")})
		}},
		{"DeleteSecurityGroup", func(ctx context.Context, s *side) (any, error) {
			return s.ec2.DeleteSecurityGroup(ctx, &ec2sdk.DeleteSecurityGroupInput{GroupId: s.arn("group")})
		}},
	}
}
