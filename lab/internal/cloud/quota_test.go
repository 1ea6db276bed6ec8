// SPDX-License-Identifier: Apache-2.0

package cloud_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	acmtypes "github.com/aws/aws-sdk-go-v2/service/acm/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/smithy-go"

	"github.com/outlast-ci/outlast/lab/internal/alb"
	"github.com/outlast-ci/outlast/lab/internal/cloud/elb"
	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// upTo calls until one is refused, and wants the refusal to be the first above
// the quota; have are there already.
func upTo(t *testing.T, have, quota int, code string, call func(n int) error) {
	t.Helper()
	for n := have; n < quota; n++ {
		if err := call(n); err != nil {
			t.Fatalf("number %d of %d is refused: %v", n+1, quota, err)
		}
	}
	wantCode(t, call(quota), code)
}

func weighted(arns []string) []types.Action {
	f := &types.ForwardActionConfig{}
	for _, a := range arns {
		f.TargetGroups = append(f.TargetGroups, types.TargetGroupTuple{TargetGroupArn: aws.String(a), Weight: aws.Int32(1)})
	}
	return []types.Action{{Type: types.ActionTypeEnumForward, ForwardConfig: f}}
}

func TestQuotas(t *testing.T) {
	l := newLab(t, "cn-northwest-1")
	w := l.newWorld(t)
	c, ctx := l.elb(), t.Context()
	second := must(c.CreateLoadBalancer(ctx, &elbv2.CreateLoadBalancerInput{Name: aws.String("lb-1"), Subnets: w.subnets}))(t).LoadBalancers[0].LoadBalancerArn
	none := []types.Action{{Type: types.ActionTypeEnumFixedResponse, FixedResponseConfig: &types.FixedResponseActionConfig{StatusCode: aws.String("404")}}}
	var groups []string
	for i := range 100 { // web is the first of 101
		groups = append(groups, l.newGroup(t, fmt.Sprintf("tg-%d", i)))
	}
	t.Run("rules and target groups of a load balancer", func(t *testing.T) {
		rule := func(n int, actions []types.Action) error {
			_, err := c.CreateRule(ctx, &elbv2.CreateRuleInput{ListenerArn: &w.listener, Priority: aws.Int32(int32(n + 1)), Actions: actions, Conditions: path(fmt.Sprintf("/%d", n))})
			return err
		}
		wantCode(t, rule(0, weighted(groups[:6])), "TooManyTargetGroups")
		for i := range 19 {
			if err := rule(i, weighted(groups[5*i:5*i+5])); err != nil {
				t.Fatal(err)
			}
		}
		if err := rule(19, weighted(groups[95:99])); err != nil {
			t.Fatal(err)
		}
		wantCode(t, rule(20, forward(groups[99])), "TooManyUniqueTargetGroupsPerLoadBalancer")
		upTo(t, 20, 100, "TooManyRules", func(n int) error { return rule(n, none) })
	})
	t.Run("listeners of a load balancer", func(t *testing.T) {
		upTo(t, 1, 50, "TooManyListeners", func(n int) error {
			_, err := c.CreateListener(ctx, &elbv2.CreateListenerInput{LoadBalancerArn: &w.lb, Port: aws.Int32(int32(18100 + n)), Protocol: types.ProtocolEnumHttp, DefaultActions: none})
			return err
		})
	})
	t.Run("certificates of a load balancer, without default ones", func(t *testing.T) {
		i := newIssuer(t, acmtypes.KeyAlgorithmEcPrime256v1)
		listener := func(port int32, cert string) *string {
			return must(c.CreateListener(ctx, &elbv2.CreateListenerInput{LoadBalancerArn: second, Port: &port, Protocol: types.ProtocolEnumHttps, Certificates: certs(cert), DefaultActions: none}))(t).Listeners[0].ListenerArn
		}
		list := []*string{listener(18201, l.imported(t, i, i.key, "a.test")), listener(18202, l.imported(t, i, i.key, "b.test"))}
		upTo(t, 0, 25, "TooManyCertificates", func(n int) error {
			_, err := c.AddListenerCertificates(ctx, &elbv2.AddListenerCertificatesInput{ListenerArn: list[n%2], Certificates: certs(l.imported(t, i, i.key, fmt.Sprintf("%d.test", n)))})
			return err
		})
	})
	t.Run("load balancers of a region", func(t *testing.T) {
		upTo(t, 2, 50, "TooManyLoadBalancers", func(n int) error {
			_, err := c.CreateLoadBalancer(ctx, &elbv2.CreateLoadBalancerInput{Name: aws.String(fmt.Sprintf("lb-%d", n)), Subnets: w.subnets})
			return err
		})
	})
	t.Run("targets of a target group", func(t *testing.T) {
		upTo(t, 0, 5, "TooManyTargets", func(n int) error {
			in := &elbv2.RegisterTargetsInput{TargetGroupArn: &groups[99]} // in use by nobody, so that nothing is checked
			for i := range 200 {
				in.Targets = append(in.Targets, types.TargetDescription{Id: aws.String(fmt.Sprintf("10.244.0.%d", i+10)), Port: aws.Int32(int32(8080 + n))})
			}
			_, err := c.RegisterTargets(ctx, in)
			return err
		})
	})
	t.Run("tags of a resource", func(t *testing.T) {
		upTo(t, 0, 50, "TooManyTags", func(n int) error {
			_, err := c.AddTags(ctx, &elbv2.AddTagsInput{ResourceArns: []string{w.tg}, Tags: []types.Tag{{Key: aws.String(fmt.Sprint(n)), Value: aws.String("v")}}})
			return err
		})
	})
}

// aNetwork has every VPC that is asked for.
type aNetwork struct{}

func (aNetwork) Subnet(string, string) (elb.Subnet, bool)       { return elb.Subnet{}, false }
func (aNetwork) SecurityGroupVPC(string, string) (string, bool) { return "", false }
func (aNetwork) VPC(string, string) (elb.VPC, bool)             { return elb.VPC{}, true }

// The largest quota, below HTTP, where each call would save thousands of groups.
func TestQuotaOfTargetGroups(t *testing.T) {
	engine := alb.New(alb.Options{})
	defer func() { _ = engine.Close() }()
	ops := elb.API{Engine: engine, Network: aNetwork{}}.Operations()
	r, call := elb.NewRegion(), wire.Call{Region: "us-east-1", Account: account}
	create := func(n int) error {
		_, err := ops["CreateTargetGroup"](r, call, url.Values{"Name": {fmt.Sprintf("tg-%d", n)}, "Protocol": {"HTTP"}, "Port": {"80"}, "VpcId": {"vpc-1"}, "TargetType": {"ip"}})
		var refused *wire.Error
		if errors.As(err, &refused) {
			return &smithy.GenericAPIError{Code: refused.Code, Message: refused.Message}
		}
		return err
	}
	if err := create(0); err != nil {
		t.Fatal(err)
	}
	for arn, first := range maps.Clone(r.TargetGroups) {
		for n := 1; n < 2998; n++ {
			g := *first
			g.TG.TargetGroupName, g.TG.TargetGroupArn = aws.String(fmt.Sprintf("tg-%d", n)), aws.String(strings.Replace(arn, "tg-0", fmt.Sprintf("tg-%d", n), 1))
			r.TargetGroups[*g.TG.TargetGroupArn] = &g
		}
	}
	upTo(t, 2998, 3000, "TooManyTargetGroups", create)
	if err := create(7); err != nil {
		t.Errorf("one that is there, with the same settings: %v", err)
	}
	names, marker, pages := map[string]bool{}, "", 0
	for ; pages == 0 || marker != ""; pages++ {
		out := must(ops["DescribeTargetGroups"](r, call, url.Values{"Marker": {marker}}))(t).(*elbv2.DescribeTargetGroupsOutput)
		for _, g := range out.TargetGroups {
			names[*g.TargetGroupName] = true
		}
		marker = aws.ToString(out.NextMarker)
	}
	if len(names) != 3000 || pages != 8 {
		t.Errorf("%d groups are described on %d pages, want 3000 on 8", len(names), pages)
	}
	limits := must(ops["DescribeAccountLimits"](r, call, nil))(t).(*elbv2.DescribeAccountLimitsOutput).Limits
	if *limits[0].Name != "target-groups" || *limits[0].Max != "3000" {
		t.Errorf("the limit is told as %s %s", *limits[0].Name, *limits[0].Max)
	}
}

// pager is a paginator of the SDK, whatever its output.
type pager interface {
	HasMorePages() bool
	next(context.Context) (items int, err error)
}

type pages[Out, Opt any] struct {
	p interface {
		HasMorePages() bool
		NextPage(context.Context, ...func(*Opt)) (Out, error)
	}
	count func(Out) int
}

func (p pages[Out, Opt]) HasMorePages() bool { return p.p.HasMorePages() }
func (p pages[Out, Opt]) next(ctx context.Context) (int, error) {
	out, err := p.p.NextPage(ctx)
	if err != nil {
		return 0, err
	}
	return p.count(out), nil
}

// Each operation that answers in pages gives all items once, however small the pages.
func TestEveryPaginatorGoesThroughAllPages(t *testing.T) {
	l := newLab(t, "us-east-1")
	w := l.newWorld(t)
	ctx := t.Context()
	for i := range 2 {
		l.newGroup(t, fmt.Sprintf("tg-%d", i))
		must(l.elb().CreateLoadBalancer(ctx, &elbv2.CreateLoadBalancerInput{Name: aws.String(fmt.Sprintf("lb-%d", i)), Subnets: w.subnets}))(t)
		must(l.elb().CreateListener(ctx, &elbv2.CreateListenerInput{LoadBalancerArn: &w.lb, Port: aws.Int32(int32(18085 + i)), Protocol: types.ProtocolEnumHttp, DefaultActions: forward(w.tg)}))(t)
		must(l.elb().CreateRule(ctx, &elbv2.CreateRuleInput{ListenerArn: &w.listener, Priority: aws.Int32(int32(i + 1)), Actions: forward(w.tg), Conditions: path("/a")}))(t)
		must(l.ec2().CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{GroupName: aws.String(fmt.Sprintf("sg-%d", i)), Description: aws.String("d"), VpcId: aws.String(l.VPCID())}))(t)
		if err := l.CreateRepository("us-east-1", fmt.Sprintf("repo-%d", i), false); err != nil {
			t.Fatal(err)
		}
	}
	one := aws.Int32(1)
	groups := len(must(l.ec2().DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{}))(t).SecurityGroups)
	for name, tc := range map[string]struct {
		pager pager
		want  int
	}{
		"DescribeLoadBalancers": {pages[*elbv2.DescribeLoadBalancersOutput, elbv2.Options]{elbv2.NewDescribeLoadBalancersPaginator(l.elb(), &elbv2.DescribeLoadBalancersInput{PageSize: one}), func(o *elbv2.DescribeLoadBalancersOutput) int { return len(o.LoadBalancers) }}, 3},
		"DescribeTargetGroups":  {pages[*elbv2.DescribeTargetGroupsOutput, elbv2.Options]{elbv2.NewDescribeTargetGroupsPaginator(l.elb(), &elbv2.DescribeTargetGroupsInput{PageSize: one}), func(o *elbv2.DescribeTargetGroupsOutput) int { return len(o.TargetGroups) }}, 3},
		"DescribeListeners":     {pages[*elbv2.DescribeListenersOutput, elbv2.Options]{elbv2.NewDescribeListenersPaginator(l.elb(), &elbv2.DescribeListenersInput{LoadBalancerArn: &w.lb, PageSize: one}), func(o *elbv2.DescribeListenersOutput) int { return len(o.Listeners) }}, 3},
		"DescribeRules":         {pages[*elbv2.DescribeRulesOutput, elbv2.Options]{elbv2.NewDescribeRulesPaginator(l.elb(), &elbv2.DescribeRulesInput{ListenerArn: &w.listener, PageSize: one}), func(o *elbv2.DescribeRulesOutput) int { return len(o.Rules) }}, 3},
		"DescribeAccountLimits": {pages[*elbv2.DescribeAccountLimitsOutput, elbv2.Options]{elbv2.NewDescribeAccountLimitsPaginator(l.elb(), &elbv2.DescribeAccountLimitsInput{PageSize: one}), func(o *elbv2.DescribeAccountLimitsOutput) int { return len(o.Limits) }}, 8},
		"DescribeListenerCertificates": {pages[*elbv2.DescribeListenerCertificatesOutput, elbv2.Options]{elbv2.NewDescribeListenerCertificatesPaginator(l.elb(), &elbv2.DescribeListenerCertificatesInput{ListenerArn: &w.listener, PageSize: one}),
			func(o *elbv2.DescribeListenerCertificatesOutput) int { return len(o.Certificates) }}, 0},
		"DescribeSubnets":        {pages[*ec2.DescribeSubnetsOutput, ec2.Options]{ec2.NewDescribeSubnetsPaginator(l.ec2(), &ec2.DescribeSubnetsInput{MaxResults: one}), func(o *ec2.DescribeSubnetsOutput) int { return len(o.Subnets) }}, 2},
		"DescribeSecurityGroups": {pages[*ec2.DescribeSecurityGroupsOutput, ec2.Options]{ec2.NewDescribeSecurityGroupsPaginator(l.ec2(), &ec2.DescribeSecurityGroupsInput{MaxResults: one}), func(o *ec2.DescribeSecurityGroupsOutput) int { return len(o.SecurityGroups) }}, groups},
		"DescribeVpcs":           {pages[*ec2.DescribeVpcsOutput, ec2.Options]{ec2.NewDescribeVpcsPaginator(l.ec2(), &ec2.DescribeVpcsInput{MaxResults: one}), func(o *ec2.DescribeVpcsOutput) int { return len(o.Vpcs) }}, 1},
		"DescribeInstances": {pages[*ec2.DescribeInstancesOutput, ec2.Options]{ec2.NewDescribeInstancesPaginator(l.ec2(), &ec2.DescribeInstancesInput{MaxResults: one}),
			func(o *ec2.DescribeInstancesOutput) int { return len(o.Reservations) }}, 1},
		"DescribeRepositories": {pages[*ecr.DescribeRepositoriesOutput, ecr.Options]{ecr.NewDescribeRepositoriesPaginator(l.ecr(), &ecr.DescribeRepositoriesInput{MaxResults: one}), func(o *ecr.DescribeRepositoriesOutput) int { return len(o.Repositories) }}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			items, turns := 0, 0
			for tc.pager.HasMorePages() {
				n, err := tc.pager.next(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if n > 1 {
					t.Errorf("page %d has %d items, want one", turns, n)
				}
				items, turns = items+n, turns+1
			}
			if items != tc.want || turns != max(1, tc.want) {
				t.Errorf("got %d items on %d pages, want %d", items, turns, tc.want)
			}
		})
	}
}
