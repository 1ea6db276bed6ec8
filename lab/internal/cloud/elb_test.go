// SPDX-License-Identifier: Apache-2.0

package cloud_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// world is a load balancer with a listener and a target group, made through the API.
type world struct {
	subnets          []string
	lb, tg, listener string
}

func (l *lab) subnets(t *testing.T) []string {
	t.Helper()
	out, err := l.ec2().DescribeSubnets(context.Background(), &ec2.DescribeSubnetsInput{Filters: []ec2types.Filter{
		{Name: aws.String("vpc-id"), Values: []string{l.VPCID()}}, {Name: aws.String("tag:kubernetes.io/role/elb"), Values: []string{"", "1"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, s := range out.Subnets {
		ids = append(ids, *s.SubnetId)
	}
	return ids
}

func (l *lab) newGroup(t *testing.T, name string) string {
	t.Helper()
	out, err := l.elb().CreateTargetGroup(context.Background(), groupInput(l, name))
	if err != nil {
		t.Fatal(err)
	}
	return *out.TargetGroups[0].TargetGroupArn
}

func groupInput(l *lab, name string) *elbv2.CreateTargetGroupInput {
	return &elbv2.CreateTargetGroupInput{Name: aws.String(name), Protocol: types.ProtocolEnumHttp, Port: aws.Int32(8080), VpcId: aws.String(l.VPCID()),
		TargetType: types.TargetTypeEnumIp, HealthCheckPath: aws.String("/readyz"), HealthCheckIntervalSeconds: aws.Int32(5), HealthCheckTimeoutSeconds: aws.Int32(2)}
}

func forward(arn string) []types.Action {
	return []types.Action{{Type: types.ActionTypeEnumForward, TargetGroupArn: aws.String(arn)}}
}

func (l *lab) newWorld(t *testing.T) world {
	t.Helper()
	ctx := context.Background()
	w := world{subnets: l.subnets(t)}
	lb, err := l.elb().CreateLoadBalancer(ctx, &elbv2.CreateLoadBalancerInput{Name: aws.String("k8s-apidev-1"), Subnets: w.subnets,
		Tags: []types.Tag{{Key: aws.String("elbv2.k8s.aws/cluster"), Value: aws.String("lab")}}})
	if err != nil {
		t.Fatal(err)
	}
	w.lb = *lb.LoadBalancers[0].LoadBalancerArn
	w.tg = l.newGroup(t, "web")
	ls, err := l.elb().CreateListener(ctx, &elbv2.CreateListenerInput{LoadBalancerArn: &w.lb, Port: aws.Int32(18080), Protocol: types.ProtocolEnumHttp, DefaultActions: forward(w.tg)})
	if err != nil {
		t.Fatal(err)
	}
	w.listener = *ls.Listeners[0].ListenerArn
	return w
}

func TestNamesFollowThePartition(t *testing.T) {
	for region, want := range map[string]struct{ arn, dns string }{
		"us-east-1":      {"arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/k8s-apidev-1/", ".us-east-1.elb.amazonaws.com"},
		"cn-northwest-1": {"arn:aws-cn:elasticloadbalancing:cn-northwest-1:123456789012:loadbalancer/app/k8s-apidev-1/", ".cn-northwest-1.elb.amazonaws.com.cn"},
	} {
		t.Run(region, func(t *testing.T) {
			l := newLab(t, region)
			w := l.newWorld(t)
			out := must(l.elb().DescribeLoadBalancers(context.Background(), &elbv2.DescribeLoadBalancersInput{Names: []string{"k8s-apidev-1"}}))(t)
			lb := out.LoadBalancers[0]
			if !strings.HasPrefix(*lb.LoadBalancerArn, want.arn) || !strings.HasSuffix(*lb.DNSName, want.dns) {
				t.Errorf("got %s at %s", *lb.LoadBalancerArn, *lb.DNSName)
			}
			if lb.State.Code != types.LoadBalancerStateEnumActive || len(lb.AvailabilityZones) != 2 || *lb.AvailabilityZones[0].ZoneName != region+"a" {
				t.Errorf("got state %s, zones %+v", lb.State.Code, lb.AvailabilityZones)
			}
			tgs := must(l.elb().DescribeTargetGroups(context.Background(), &elbv2.DescribeTargetGroupsInput{LoadBalancerArn: &w.lb}))(t)
			if len(tgs.TargetGroups) != 1 || *tgs.TargetGroups[0].TargetGroupArn != w.tg || tgs.TargetGroups[0].LoadBalancerArns[0] != w.lb {
				t.Errorf("got target groups %+v", tgs.TargetGroups)
			}
			other := elbv2.NewFromConfig(l.sdk("eu-west-1", keyID, secret, ""))
			_, err := other.DescribeLoadBalancers(context.Background(), &elbv2.DescribeLoadBalancersInput{Names: []string{"k8s-apidev-1"}})
			wantCode(t, err, "LoadBalancerNotFound")
		})
	}
}

func TestELBErrors(t *testing.T) {
	l := newLab(t, "cn-northwest-1")
	w := l.newWorld(t)
	c, ctx := l.elb(), context.Background()
	gone := strings.Replace(w.tg, "/web/", "/gone/", 1)
	goneLB := strings.Replace(w.lb, "/k8s-apidev-1/", "/gone/", 1)
	must(c.CreateRule(ctx, &elbv2.CreateRuleInput{ListenerArn: &w.listener, Priority: aws.Int32(1), Actions: forward(w.tg), Conditions: path("/a")}))(t)
	second := must(c.CreateLoadBalancer(ctx, &elbv2.CreateLoadBalancerInput{Name: aws.String("second"), Subnets: w.subnets}))(t)
	rules := must(c.DescribeRules(ctx, &elbv2.DescribeRulesInput{ListenerArn: &w.listener}))(t)
	def := rules.Rules[len(rules.Rules)-1].RuleArn
	for name, x := range map[string]struct {
		code string
		call func() error
	}{
		"target group absent": {"TargetGroupNotFound", func() error {
			_, err := c.DescribeTargetHealth(ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: &gone})
			return err
		}},
		"target group ARN of another kind": {"ValidationError", func() error {
			_, err := c.DescribeTargetHealth(ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: &w.lb})
			return err
		}},
		"load balancer absent": {"LoadBalancerNotFound", func() error {
			_, err := c.DescribeLoadBalancerAttributes(ctx, &elbv2.DescribeLoadBalancerAttributesInput{LoadBalancerArn: &goneLB})
			return err
		}},
		"target group of that name with another port": {"DuplicateTargetGroupName", func() error {
			in := groupInput(l, "web")
			in.Port = aws.Int32(81)
			_, err := c.CreateTargetGroup(ctx, in)
			return err
		}},
		"health check timeout not below the interval": {"ValidationError", func() error {
			in := groupInput(l, "slow")
			in.HealthCheckTimeoutSeconds = aws.Int32(5)
			_, err := c.CreateTargetGroup(ctx, in)
			return err
		}},
		"target group in use": {"ResourceInUse", func() error {
			_, err := c.DeleteTargetGroup(ctx, &elbv2.DeleteTargetGroupInput{TargetGroupArn: &w.tg})
			return err
		}},
		"load balancer of that name with one subnet": {"ValidationError", func() error {
			_, err := c.CreateLoadBalancer(ctx, &elbv2.CreateLoadBalancerInput{Name: aws.String("one"), Subnets: w.subnets[:1]})
			return err
		}},
		"load balancer of that name with another scheme": {"DuplicateLoadBalancerName", func() error {
			_, err := c.CreateLoadBalancer(ctx, &elbv2.CreateLoadBalancerInput{Name: aws.String("k8s-apidev-1"), Subnets: w.subnets, Scheme: types.LoadBalancerSchemeEnumInternal})
			return err
		}},
		"subnet absent": {"SubnetNotFound", func() error {
			_, err := c.CreateLoadBalancer(ctx, &elbv2.CreateLoadBalancerInput{Name: aws.String("x"), Subnets: []string{"subnet-1", "subnet-2"}})
			return err
		}},
		"security group absent": {"InvalidSecurityGroup", func() error {
			_, err := c.CreateLoadBalancer(ctx, &elbv2.CreateLoadBalancerInput{Name: aws.String("x"), Subnets: w.subnets, SecurityGroups: []string{"sg-1"}})
			return err
		}},
		"second listener on the port": {"DuplicateListener", func() error {
			_, err := c.CreateListener(ctx, &elbv2.CreateListenerInput{LoadBalancerArn: &w.lb, Port: aws.Int32(18080), Protocol: types.ProtocolEnumHttp,
				DefaultActions: []types.Action{{Type: types.ActionTypeEnumFixedResponse, FixedResponseConfig: &types.FixedResponseActionConfig{StatusCode: aws.String("404")}}}})
			return err
		}},
		"HTTPS with a certificate nobody has": {"CertificateNotFound", func() error {
			_, err := c.CreateListener(ctx, &elbv2.CreateListenerInput{LoadBalancerArn: &w.lb, Port: aws.Int32(18443), Protocol: types.ProtocolEnumHttps,
				Certificates: []types.Certificate{{CertificateArn: aws.String("arn:aws-cn:acm:x")}}, DefaultActions: forward(w.tg)})
			return err
		}},
		"target group of another load balancer": {"TargetGroupAssociationLimit", func() error {
			_, err := c.CreateListener(ctx, &elbv2.CreateListenerInput{LoadBalancerArn: second.LoadBalancers[0].LoadBalancerArn, Port: aws.Int32(18081), Protocol: types.ProtocolEnumHttp, DefaultActions: forward(w.tg)})
			return err
		}},
		"rule to an absent target group": {"TargetGroupNotFound", func() error {
			_, err := c.CreateRule(ctx, &elbv2.CreateRuleInput{ListenerArn: &w.listener, Priority: aws.Int32(9), Actions: forward(gone), Conditions: path("/b")})
			return err
		}},
		"priority in use": {"PriorityInUse", func() error {
			_, err := c.CreateRule(ctx, &elbv2.CreateRuleInput{ListenerArn: &w.listener, Priority: aws.Int32(1), Actions: forward(w.tg), Conditions: path("/b")})
			return err
		}},
		"default rule deleted": {"OperationNotPermitted", func() error {
			_, err := c.DeleteRule(ctx, &elbv2.DeleteRuleInput{RuleArn: def})
			return err
		}},
		"target that is no address": {"InvalidTarget", func() error {
			_, err := c.RegisterTargets(ctx, &elbv2.RegisterTargetsInput{TargetGroupArn: &w.tg, Targets: []types.TargetDescription{{Id: aws.String("i-1")}}})
			return err
		}},
		"target outside of the VPC without a zone": {"ValidationError", func() error {
			_, err := c.RegisterTargets(ctx, &elbv2.RegisterTargetsInput{TargetGroupArn: &w.tg, Targets: []types.TargetDescription{{Id: aws.String("192.168.7.7")}}})
			return err
		}},
		"attribute that does not exist": {"ValidationError", func() error {
			_, err := c.ModifyTargetGroupAttributes(ctx, &elbv2.ModifyTargetGroupAttributesInput{TargetGroupArn: &w.tg, Attributes: []types.TargetGroupAttribute{{Key: aws.String("nope"), Value: aws.String("1")}}})
			return err
		}},
		"deregistration delay over an hour": {"ValidationError", func() error {
			_, err := c.ModifyTargetGroupAttributes(ctx, &elbv2.ModifyTargetGroupAttributesInput{TargetGroupArn: &w.tg, Attributes: []types.TargetGroupAttribute{{Key: aws.String("deregistration_delay.timeout_seconds"), Value: aws.String("3601")}}})
			return err
		}},
		"21 attributes at once": {"ValidationError", func() error {
			in := &elbv2.ModifyLoadBalancerAttributesInput{LoadBalancerArn: &w.lb}
			for i := range 21 {
				in.Attributes = append(in.Attributes, types.LoadBalancerAttribute{Key: aws.String("idle_timeout.timeout_seconds"), Value: aws.String(fmt.Sprint(i + 1))})
			}
			_, err := c.ModifyLoadBalancerAttributes(ctx, in)
			if err != nil && !strings.Contains(err.Error(), "less than or equal to 20") {
				return fmt.Errorf("another error: %s", err)
			}
			return err
		}},
		"page of no size": {"ValidationError", func() error {
			_, err := c.DescribeTargetGroups(ctx, &elbv2.DescribeTargetGroupsInput{PageSize: aws.Int32(0)})
			return err
		}},
		"tags of 21 resources": {"ValidationError", func() error {
			_, err := c.DescribeTags(ctx, &elbv2.DescribeTagsInput{ResourceArns: make([]string, 21)})
			return err
		}},
		"operation the lab does not have": {"InvalidAction", func() error {
			_, err := c.DescribeSSLPolicies(ctx, &elbv2.DescribeSSLPoliciesInput{})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, x.call(), x.code) })
	}
}

func path(p string) []types.RuleCondition {
	return []types.RuleCondition{{Field: aws.String("path-pattern"), PathPatternConfig: &types.PathPatternConditionConfig{Values: []string{p}}}}
}

func TestTargetsHealthAndAttributes(t *testing.T) {
	l := newLab(t, "cn-northwest-1")
	w := l.newWorld(t)
	c, ctx := l.elb(), context.Background()
	must(c.ModifyTargetGroupAttributes(ctx, &elbv2.ModifyTargetGroupAttributesInput{TargetGroupArn: &w.tg, Attributes: []types.TargetGroupAttribute{{Key: aws.String("deregistration_delay.timeout_seconds"), Value: aws.String("35")}}}))(t)
	attrs := must(c.DescribeTargetGroupAttributes(ctx, &elbv2.DescribeTargetGroupAttributesInput{TargetGroupArn: &w.tg}))(t)
	got := map[string]string{}
	for _, a := range attrs.Attributes {
		got[*a.Key] = *a.Value
	}
	if got["deregistration_delay.timeout_seconds"] != "35" || got["slow_start.duration_seconds"] != "0" || got["load_balancing.algorithm.type"] != "round_robin" {
		t.Errorf("got attributes %v", got)
	}
	target := types.TargetDescription{Id: aws.String("10.244.0.9"), Port: aws.Int32(8080)}
	must(c.RegisterTargets(ctx, &elbv2.RegisterTargetsInput{TargetGroupArn: &w.tg, Targets: []types.TargetDescription{target}}))(t)
	h := must(c.DescribeTargetHealth(ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: &w.tg}))(t).TargetHealthDescriptions
	if len(h) != 1 || *h[0].Target.Id != "10.244.0.9" || *h[0].Target.AvailabilityZone != "cn-northwest-1a" || h[0].TargetHealth.State != types.TargetHealthStateEnumInitial {
		t.Fatalf("got health %+v", h)
	}
	must(c.DeregisterTargets(ctx, &elbv2.DeregisterTargetsInput{TargetGroupArn: &w.tg, Targets: []types.TargetDescription{target}}))(t)
	ask := &elbv2.DescribeTargetHealthInput{TargetGroupArn: &w.tg, Targets: []types.TargetDescription{target, {Id: aws.String("10.244.0.10")}}}
	h = must(c.DescribeTargetHealth(ctx, ask))(t).TargetHealthDescriptions
	if h[0].TargetHealth.State != types.TargetHealthStateEnumDraining || h[0].TargetHealth.Reason != types.TargetHealthReasonEnumDeregistrationInProgress {
		t.Errorf("deregistered target: got %+v", h[0].TargetHealth)
	}
	if h[1].TargetHealth.Reason != types.TargetHealthReasonEnumNotRegistered || *h[1].Target.Port != 8080 {
		t.Errorf("unknown target: got %+v %+v", h[1].TargetHealth, h[1].Target)
	}
	idle := l.newGroup(t, "idle")
	must(c.RegisterTargets(ctx, &elbv2.RegisterTargetsInput{TargetGroupArn: &idle, Targets: []types.TargetDescription{target}}))(t)
	h = must(c.DescribeTargetHealth(ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: &idle}))(t).TargetHealthDescriptions
	if h[0].TargetHealth.Reason != types.TargetHealthReasonEnumNotInUse {
		t.Errorf("group without listener: got %+v", h[0].TargetHealth)
	}
}

func TestRulesListenersAndTags(t *testing.T) {
	l := newLab(t, "us-east-1")
	w := l.newWorld(t)
	c, ctx := l.elb(), context.Background()
	var arns []string
	for i, p := range []string{"/b/*", "/a/*"} {
		r := must(c.CreateRule(ctx, &elbv2.CreateRuleInput{ListenerArn: &w.listener, Priority: aws.Int32(int32(2 - i)), Actions: forward(w.tg), Conditions: path(p)}))(t)
		arns = append(arns, *r.Rules[0].RuleArn)
	}
	order := func() string {
		out := must(c.DescribeRules(ctx, &elbv2.DescribeRulesInput{ListenerArn: &w.listener}))(t)
		s := ""
		for _, r := range out.Rules {
			s += *r.Priority
			if len(r.Conditions) > 0 {
				s += r.Conditions[0].Values[0] + r.Conditions[0].PathPatternConfig.Values[0]
			}
			s += fmt.Sprintf("(%d) ", *r.Actions[0].ForwardConfig.TargetGroups[0].Weight)
		}
		return s
	}
	if got, want := order(), "1/a/*/a/*(1) 2/b/*/b/*(1) default(1) "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	must(c.SetRulePriorities(ctx, &elbv2.SetRulePrioritiesInput{RulePriorities: []types.RulePriorityPair{{RuleArn: &arns[0], Priority: aws.Int32(1)}, {RuleArn: &arns[1], Priority: aws.Int32(2)}}}))(t)
	if got, want := order(), "1/b/*/b/*(1) 2/a/*/a/*(1) default(1) "; got != want {
		t.Errorf("after SetRulePriorities: got %q, want %q", got, want)
	}
	_, err := c.SetRulePriorities(ctx, &elbv2.SetRulePrioritiesInput{RulePriorities: []types.RulePriorityPair{{RuleArn: &arns[0], Priority: aws.Int32(2)}}})
	wantCode(t, err, "PriorityInUse")
	must(c.AddTags(ctx, &elbv2.AddTagsInput{ResourceArns: []string{w.tg, arns[0]}, Tags: []types.Tag{{Key: aws.String("a<b"), Value: aws.String("c&d")}}}))(t)
	tags := must(c.DescribeTags(ctx, &elbv2.DescribeTagsInput{ResourceArns: []string{arns[0], w.lb}}))(t)
	if x := tags.TagDescriptions; *x[0].Tags[0].Key != "a<b" || *x[0].Tags[0].Value != "c&d" || *x[1].Tags[0].Key != "elbv2.k8s.aws/cluster" {
		t.Errorf("got tags %+v", x)
	}
	must(c.RemoveTags(ctx, &elbv2.RemoveTagsInput{ResourceArns: []string{arns[0]}, TagKeys: []string{"a<b"}}))(t)
	must(c.DeleteLoadBalancer(ctx, &elbv2.DeleteLoadBalancerInput{LoadBalancerArn: &w.lb}))(t)
	_, err = c.DescribeRules(ctx, &elbv2.DescribeRulesInput{ListenerArn: &w.listener})
	wantCode(t, err, "ListenerNotFound")
	must(c.DeleteTargetGroup(ctx, &elbv2.DeleteTargetGroupInput{TargetGroupArn: &w.tg}))(t)
	must(c.DeleteLoadBalancer(ctx, &elbv2.DeleteLoadBalancerInput{LoadBalancerArn: &w.lb}))(t) // a second time succeeds
}

func TestPagesHoldEveryGroupOnce(t *testing.T) {
	l := newLab(t, "us-east-1")
	for i := range 7 {
		l.newGroup(t, fmt.Sprintf("tg-%d", i))
	}
	seen, pages := map[string]int{}, 0
	p := elbv2.NewDescribeTargetGroupsPaginator(l.elb(), &elbv2.DescribeTargetGroupsInput{PageSize: aws.Int32(3)})
	for p.HasMorePages() {
		out := must(p.NextPage(context.Background()))(t)
		pages++
		for _, tg := range out.TargetGroups {
			seen[*tg.TargetGroupName]++
		}
	}
	if len(seen) != 7 || pages != 3 {
		t.Errorf("got %v on %d pages", seen, pages)
	}
}

func TestEverythingSurvivesARestart(t *testing.T) {
	l := newLab(t, "cn-northwest-1")
	w := l.newWorld(t)
	target := types.TargetDescription{Id: aws.String("10.244.0.9"), Port: aws.Int32(8080)}
	must(l.elb().RegisterTargets(context.Background(), &elbv2.RegisterTargetsInput{TargetGroupArn: &w.tg, Targets: []types.TargetDescription{target}}))(t)
	addresses := l.engine.Addresses(w.lb)
	provider := l.ProviderID()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_ = l.engine.Close()
	l.open(t)
	if got := l.engine.Addresses(w.lb); len(got) != 2 || got[0] != addresses[0] || got[1] != addresses[1] {
		t.Errorf("addresses: got %v, want %v", got, addresses)
	}
	if l.ProviderID() != provider {
		t.Errorf("provider id: got %s, want %s", l.ProviderID(), provider)
	}
	h := must(l.elb().DescribeTargetHealth(context.Background(), &elbv2.DescribeTargetHealthInput{TargetGroupArn: &w.tg}))(t).TargetHealthDescriptions
	if len(h) != 1 || *h[0].Target.Id != "10.244.0.9" || h[0].TargetHealth.State == types.TargetHealthStateEnumUnused {
		t.Errorf("got %+v", h)
	}
	ls := must(l.elb().DescribeListeners(context.Background(), &elbv2.DescribeListenersInput{LoadBalancerArn: &w.lb}))(t)
	if len(ls.Listeners) != 1 || *ls.Listeners[0].DefaultActions[0].TargetGroupArn != w.tg {
		t.Errorf("got listeners %+v", ls.Listeners)
	}
}
