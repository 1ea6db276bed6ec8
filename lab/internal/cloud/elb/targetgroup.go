// SPDX-License-Identifier: Apache-2.0

package elb

import (
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

func (a API) createTargetGroup(r *Region, c wire.Call, in *sdk.CreateTargetGroupInput) (*sdk.CreateTargetGroupOutput, error) {
	name := aws.ToString(in.Name)
	if err := validName("target group", name); err != nil {
		return nil, err
	}
	tg := types.TargetGroup{
		TargetGroupName: in.Name, Protocol: in.Protocol, ProtocolVersion: in.ProtocolVersion, Port: in.Port, VpcId: in.VpcId, TargetType: in.TargetType,
		IpAddressType: in.IpAddressType, HealthCheckEnabled: in.HealthCheckEnabled, HealthCheckProtocol: in.HealthCheckProtocol,
		HealthCheckPort: in.HealthCheckPort, HealthCheckPath: in.HealthCheckPath, HealthCheckIntervalSeconds: in.HealthCheckIntervalSeconds,
		HealthCheckTimeoutSeconds: in.HealthCheckTimeoutSeconds, HealthyThresholdCount: in.HealthyThresholdCount,
		UnhealthyThresholdCount: in.UnhealthyThresholdCount, Matcher: in.Matcher, LoadBalancerArns: []string{},
	}
	withDefaults(&tg)
	if err := a.validGroup(c, tg); err != nil {
		return nil, err
	}
	for _, have := range r.TargetGroups {
		if *have.TG.TargetGroupName != name {
			continue
		}
		if sameGroup(have.TG, tg) {
			return &sdk.CreateTargetGroupOutput{TargetGroups: []types.TargetGroup{r.shownGroup(have)}}, nil
		}
		return nil, wire.Errorf("DuplicateTargetGroupName", "A target group with the same name '%s' exists, but with different settings", name)
	}
	if len(r.TargetGroups) >= maxTargetGroups {
		return nil, wire.Errorf("TooManyTargetGroups", "The maximum number of target groups, %d, has been reached", maxTargetGroups)
	}
	tags, err := newTags(in.Tags)
	if err != nil {
		return nil, err
	}
	tg.TargetGroupArn = aws.String(arnOf(c, "targetgroup/"+name+"/"+wire.Hex(16)))
	g := &TargetGroup{TG: tg, Attributes: targetGroupDefaults(), Tags: tags}
	if err := a.pushTargetGroup(g); err != nil {
		return nil, err
	}
	r.TargetGroups[*tg.TargetGroupArn] = g
	return &sdk.CreateTargetGroupOutput{TargetGroups: []types.TargetGroup{r.shownGroup(g)}}, nil
}

// withDefaults fills in what AWS fills in for HTTP and HTTPS groups.
func withDefaults(tg *types.TargetGroup) {
	if tg.TargetType == "" {
		tg.TargetType = types.TargetTypeEnumInstance
	}
	if tg.HealthCheckProtocol == "" {
		tg.HealthCheckProtocol = types.ProtocolEnumHttp
	}
	if tg.IpAddressType == "" {
		tg.IpAddressType = types.TargetGroupIpAddressTypeEnumIpv4
	}
	orDefault(&tg.ProtocolVersion, "HTTP1")
	orDefault(&tg.HealthCheckEnabled, true)
	orDefault(&tg.HealthCheckPort, "traffic-port")
	path, matcher := "/", &types.Matcher{HttpCode: aws.String("200")}
	if *tg.ProtocolVersion == "GRPC" {
		path, matcher = "/AWS.ALB/healthcheck", &types.Matcher{GrpcCode: aws.String("12")}
	}
	orDefault(&tg.HealthCheckPath, path)
	orDefault(&tg.HealthCheckIntervalSeconds, 30)
	orDefault(&tg.HealthCheckTimeoutSeconds, 5)
	orDefault(&tg.HealthyThresholdCount, 5)
	orDefault(&tg.UnhealthyThresholdCount, 2)
	if tg.Matcher == nil || tg.Matcher.HttpCode == nil && tg.Matcher.GrpcCode == nil {
		tg.Matcher = matcher
	}
}

func orDefault[T any](p **T, v T) {
	if *p == nil {
		*p = &v
	}
}

func (a API) validGroup(c wire.Call, tg types.TargetGroup) error {
	if tg.TargetType != types.TargetTypeEnumIp {
		return invalid("Target groups of type '%s' are not available in the lab: its load balancers send to targets of type 'ip'", tg.TargetType)
	}
	if tg.Protocol != types.ProtocolEnumHttp && tg.Protocol != types.ProtocolEnumHttps {
		return invalid("The protocol '%s' is not valid for a target group of an application load balancer: HTTP or HTTPS", tg.Protocol)
	}
	if p := aws.ToInt32(tg.Port); p < 1 || p > 65535 {
		return invalid("Target group port '%d' must be from 1 to 65535", p)
	}
	if tg.IpAddressType != types.TargetGroupIpAddressTypeEnumIpv4 {
		return invalid("The VPC has no IPv6 CIDR block")
	}
	if aws.ToString(tg.VpcId) == "" {
		return invalid("A VPC ID must be specified for a target group of type 'ip'")
	}
	if _, ok := a.Network.VPC(c.Region, *tg.VpcId); !ok {
		return invalid("The VPC ID '%s' is not found", *tg.VpcId)
	}
	if !slices.Contains([]string{"HTTP1", "HTTP2", "GRPC"}, *tg.ProtocolVersion) {
		return invalid("The protocol version '%s' must be one of 'HTTP1', 'HTTP2', 'GRPC'", *tg.ProtocolVersion)
	}
	return validHealthCheck(tg)
}

func validHealthCheck(tg types.TargetGroup) error {
	for _, x := range []struct {
		name      string
		v         *int32
		low, high int32
	}{
		{"Health check interval", tg.HealthCheckIntervalSeconds, 5, 300},
		{"Health check timeout", tg.HealthCheckTimeoutSeconds, 2, 120},
		{"Healthy threshold count", tg.HealthyThresholdCount, 2, 10},
		{"Unhealthy threshold count", tg.UnhealthyThresholdCount, 2, 10},
	} {
		if *x.v < x.low || *x.v > x.high {
			return invalid("%s '%d' must be between %d and %d", x.name, *x.v, x.low, x.high)
		}
	}
	if *tg.HealthCheckTimeoutSeconds >= *tg.HealthCheckIntervalSeconds {
		return invalid("Health check timeout '%d' must be smaller than the interval '%d'", *tg.HealthCheckTimeoutSeconds, *tg.HealthCheckIntervalSeconds)
	}
	if tg.HealthCheckProtocol != types.ProtocolEnumHttp && tg.HealthCheckProtocol != types.ProtocolEnumHttps {
		return invalid("Health check protocol '%s' must be HTTP or HTTPS", tg.HealthCheckProtocol)
	}
	if p := *tg.HealthCheckPort; p != "traffic-port" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return invalid("Health check port '%s' must be 'traffic-port' or from 1 to 65535", p)
		}
	}
	if p := *tg.HealthCheckPath; p == "" || p[0] != '/' || len(p) > 1024 {
		return invalid("Health check path '%s' must begin with a '/' character and be at most 1024 characters", p)
	}
	if !*tg.HealthCheckEnabled {
		return invalid("Health check enabled must be true for target groups with target type 'ip'")
	}
	return validMatcher(aws.ToString(tg.ProtocolVersion), *tg.Matcher)
}

// validMatcher checks codes like "200", "200,202" and "200-299".
func validMatcher(version string, m types.Matcher) error {
	codes, kind, low, high := aws.ToString(m.HttpCode), "HTTP", 200, 499
	if version == "GRPC" {
		codes, kind, low, high = aws.ToString(m.GrpcCode), "gRPC", 0, 99
	}
	for _, item := range strings.Split(codes, ",") {
		first, last, ranged := strings.Cut(item, "-")
		if !ranged {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil || from < low || to > high || from > to {
			return invalid("Health check matcher %s code '%s' must be within '%d-%d' inclusive", kind, codes, low, high)
		}
	}
	return nil
}

// sameGroup compares what CreateTargetGroup compares.
func sameGroup(x, y types.TargetGroup) bool {
	return x.Protocol == y.Protocol && *x.Port == *y.Port && *x.VpcId == *y.VpcId && x.TargetType == y.TargetType &&
		*x.ProtocolVersion == *y.ProtocolVersion && x.HealthCheckProtocol == y.HealthCheckProtocol && *x.HealthCheckPort == *y.HealthCheckPort &&
		*x.HealthCheckPath == *y.HealthCheckPath && *x.HealthCheckIntervalSeconds == *y.HealthCheckIntervalSeconds &&
		*x.HealthCheckTimeoutSeconds == *y.HealthCheckTimeoutSeconds && *x.HealthyThresholdCount == *y.HealthyThresholdCount &&
		*x.UnhealthyThresholdCount == *y.UnhealthyThresholdCount && aws.ToString(x.Matcher.HttpCode) == aws.ToString(y.Matcher.HttpCode) &&
		aws.ToString(x.Matcher.GrpcCode) == aws.ToString(y.Matcher.GrpcCode)
}

// shownGroup is the target group with the load balancers that use it now.
func (r *Region) shownGroup(tg *TargetGroup) types.TargetGroup {
	out := tg.TG
	out.LoadBalancerArns = r.usersOf(*tg.TG.TargetGroupArn)
	return out
}

// usersOf lists the load balancers with a rule that forwards to the group.
func (r *Region) usersOf(group string) []string {
	users := []string{}
	for _, rule := range sorted(r.Rules) {
		lb := aws.ToString(r.Listeners[rule.Listener].L.LoadBalancerArn)
		if slices.Contains(forwardsTo(rule.R.Actions), group) && !slices.Contains(users, lb) {
			users = append(users, lb)
		}
	}
	return users
}

func forwardsTo(actions []types.Action) []string {
	var arns []string
	for _, x := range actions {
		if x.ForwardConfig != nil {
			for _, t := range x.ForwardConfig.TargetGroups {
				arns = append(arns, aws.ToString(t.TargetGroupArn))
			}
		}
	}
	return arns
}

func (a API) describeTargetGroups(r *Region, _ wire.Call, in *sdk.DescribeTargetGroupsInput) (*sdk.DescribeTargetGroupsOutput, error) {
	given := 0
	for _, n := range []int{len(in.TargetGroupArns), len(in.Names), len(aws.ToString(in.LoadBalancerArn))} {
		given += min(n, 1)
	}
	if given > 1 {
		return nil, invalid("Load balancer ARN, target group ARNs and target group names cannot be specified at the same time")
	}
	if in.LoadBalancerArn != nil {
		if _, err := r.loadBalancer(in.LoadBalancerArn); err != nil {
			return nil, err
		}
	}
	for i := range in.TargetGroupArns {
		if _, err := r.targetGroup(&in.TargetGroupArns[i]); err != nil {
			return nil, err
		}
	}
	found := []types.TargetGroup{}
	names := map[string]bool{}
	for _, tg := range sorted(r.TargetGroups) {
		out := r.shownGroup(tg)
		names[*out.TargetGroupName] = true
		if len(in.TargetGroupArns) > 0 && !slices.Contains(in.TargetGroupArns, *out.TargetGroupArn) ||
			len(in.Names) > 0 && !slices.Contains(in.Names, *out.TargetGroupName) ||
			in.LoadBalancerArn != nil && !slices.Contains(out.LoadBalancerArns, *in.LoadBalancerArn) {
			continue
		}
		found = append(found, out)
	}
	for _, n := range in.Names {
		if !names[n] {
			return nil, wire.Errorf("TargetGroupNotFound", "One or more target groups not found")
		}
	}
	page, next, err := paginate(found, func(tg types.TargetGroup) string { return *tg.TargetGroupArn }, in.Marker, in.PageSize)
	if err != nil {
		return nil, err
	}
	return &sdk.DescribeTargetGroupsOutput{TargetGroups: page, NextMarker: next}, nil
}

func (a API) modifyTargetGroup(r *Region, _ wire.Call, in *sdk.ModifyTargetGroupInput) (*sdk.ModifyTargetGroupOutput, error) {
	g, err := r.targetGroup(in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	before, next := g.TG, g.TG
	replace(&next.HealthCheckEnabled, in.HealthCheckEnabled)
	replace(&next.HealthCheckPort, in.HealthCheckPort)
	replace(&next.HealthCheckPath, in.HealthCheckPath)
	replace(&next.HealthCheckIntervalSeconds, in.HealthCheckIntervalSeconds)
	replace(&next.HealthCheckTimeoutSeconds, in.HealthCheckTimeoutSeconds)
	replace(&next.HealthyThresholdCount, in.HealthyThresholdCount)
	replace(&next.UnhealthyThresholdCount, in.UnhealthyThresholdCount)
	replace(&next.Matcher, in.Matcher)
	if in.HealthCheckProtocol != "" {
		next.HealthCheckProtocol = in.HealthCheckProtocol
	}
	if err := validHealthCheck(next); err != nil {
		return nil, err
	}
	g.TG = next
	if err := a.pushTargetGroup(g); err != nil {
		g.TG = before
		return nil, err
	}
	return &sdk.ModifyTargetGroupOutput{TargetGroups: []types.TargetGroup{r.shownGroup(g)}}, nil
}

func replace[T any](p **T, v *T) {
	if v != nil {
		*p = v
	}
}

func (a API) deleteTargetGroup(r *Region, _ wire.Call, in *sdk.DeleteTargetGroupInput) (*sdk.DeleteTargetGroupOutput, error) {
	g, err := r.targetGroup(in.TargetGroupArn)
	if e, ok := err.(*wire.Error); ok && e.Code == "TargetGroupNotFound" {
		return &sdk.DeleteTargetGroupOutput{}, nil // the call succeeds: it has no such error
	}
	if err != nil {
		return nil, err
	}
	arn := *g.TG.TargetGroupArn
	if len(r.usersOf(arn)) > 0 {
		return nil, wire.Errorf("ResourceInUse", "Target group '%s' is currently in use by a listener or a rule", arn)
	}
	delete(r.TargetGroups, arn)
	a.Engine.DeleteTargetGroup(arn)
	return &sdk.DeleteTargetGroupOutput{}, nil
}
