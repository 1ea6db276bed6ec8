// SPDX-License-Identifier: Apache-2.0

package elb

import (
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/outlast-ci/outlast/lab/internal/alb"
	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// PushAll hands all that the region holds to the data plane, after a restart.
func (a API) PushAll(r *Region) error {
	for _, tg := range sorted(r.TargetGroups) {
		if err := a.pushTargetGroup(tg); err != nil {
			return fmt.Errorf("restoring target group %q: %w", *tg.TG.TargetGroupArn, err)
		}
	}
	for _, lb := range sorted(r.LoadBalancers) {
		if err := a.pushLoadBalancer(r, lb); err != nil {
			return fmt.Errorf("restoring load balancer %q: %w", *lb.LB.LoadBalancerArn, err)
		}
	}
	return nil
}

func (a API) pushTargetGroup(g *TargetGroup) error {
	tg := g.TG
	seconds := func(n *int32) time.Duration { return time.Duration(aws.ToInt32(n)) * time.Second }
	err := a.Engine.PutTargetGroup(alb.TargetGroup{
		ARN: *tg.TargetGroupArn, Name: *tg.TargetGroupName, Protocol: string(tg.Protocol), ProtocolVersion: aws.ToString(tg.ProtocolVersion),
		TargetType: string(tg.TargetType), Port: int(*tg.Port), Attributes: g.Attributes,
		HealthCheck: alb.HealthCheck{
			Enabled: aws.ToBool(tg.HealthCheckEnabled), Protocol: string(tg.HealthCheckProtocol), Port: aws.ToString(tg.HealthCheckPort),
			Path: aws.ToString(tg.HealthCheckPath), Matcher: aws.ToString(tg.Matcher.HttpCode),
			Interval: seconds(tg.HealthCheckIntervalSeconds), Timeout: seconds(tg.HealthCheckTimeoutSeconds),
			HealthyThreshold: int(*tg.HealthyThresholdCount), UnhealthyThreshold: int(*tg.UnhealthyThresholdCount),
		},
	})
	if err != nil {
		return invalid("%v", err)
	}
	return nil
}

// pushLoadBalancer hands the load balancer, with its listeners and rules, to the data plane.
func (a API) pushLoadBalancer(r *Region, lb *LoadBalancer) error {
	out := alb.LoadBalancer{
		ARN: *lb.LB.LoadBalancerArn, Name: *lb.LB.LoadBalancerName, DNSName: *lb.LB.DNSName, Scheme: string(lb.LB.Scheme), Attributes: lb.Attributes,
	}
	for _, z := range lb.LB.AvailabilityZones {
		out.Zones = append(out.Zones, *z.ZoneName)
	}
	for _, l := range sorted(r.Listeners) {
		if *l.L.LoadBalancerArn != out.ARN {
			continue
		}
		listener := alb.Listener{ARN: *l.L.ListenerArn, Protocol: string(l.L.Protocol), Port: int(*l.L.Port), Policy: aws.ToString(l.L.SslPolicy), Certificates: a.presented(l)}
		for _, rule := range r.rulesOf(listener.ARN) {
			listener.Rules = append(listener.Rules, ruleOf(rule))
		}
		out.Listeners = append(out.Listeners, listener)
	}
	if err := a.Engine.PutLoadBalancer(out); err != nil {
		return wire.Errorf("ServiceUnavailable", "%v", err).WithStatus(503)
	}
	return nil
}

func ruleOf(r *Rule) alb.Rule {
	out := alb.Rule{}
	if !aws.ToBool(r.R.IsDefault) {
		out.Priority = priority(r)
	}
	for _, c := range r.R.Conditions {
		out.Conditions = append(out.Conditions, conditionOf(c))
	}
	for _, x := range r.R.Actions {
		out.Actions = append(out.Actions, actionOf(x))
	}
	return out
}

func conditionOf(c types.RuleCondition) alb.Condition {
	out := alb.Condition{Field: aws.ToString(c.Field), Values: c.Values}
	switch {
	case c.HttpHeaderConfig != nil:
		out.Name, out.Values = aws.ToString(c.HttpHeaderConfig.HttpHeaderName), c.HttpHeaderConfig.Values
	case c.HttpRequestMethodConfig != nil:
		out.Values = c.HttpRequestMethodConfig.Values
	case c.SourceIpConfig != nil:
		out.Values = c.SourceIpConfig.Values
	case c.QueryStringConfig != nil:
		for _, kv := range c.QueryStringConfig.Values {
			out.Query = append(out.Query, [2]string{aws.ToString(kv.Key), aws.ToString(kv.Value)})
		}
	}
	return out
}

func actionOf(x types.Action) alb.Action {
	out := alb.Action{Type: string(x.Type)}
	if x.ForwardConfig != nil {
		for _, t := range x.ForwardConfig.TargetGroups {
			out.TargetGroups = append(out.TargetGroups, alb.WeightedTargetGroup{ARN: aws.ToString(t.TargetGroupArn), Weight: int(aws.ToInt32(t.Weight))})
		}
	}
	if f := x.FixedResponseConfig; f != nil {
		code, _ := strconv.Atoi(aws.ToString(f.StatusCode)) // checked when it came
		out.FixedResponse = &alb.FixedResponse{StatusCode: code, ContentType: aws.ToString(f.ContentType), Body: aws.ToString(f.MessageBody)}
	}
	if d := x.RedirectConfig; d != nil {
		code := 301
		if d.StatusCode == types.RedirectActionStatusCodeEnumHttp302 {
			code = 302
		}
		out.Redirect = &alb.Redirect{Protocol: aws.ToString(d.Protocol), Host: aws.ToString(d.Host), Port: aws.ToString(d.Port),
			Path: aws.ToString(d.Path), Query: aws.ToString(d.Query), StatusCode: code}
	}
	return out
}
