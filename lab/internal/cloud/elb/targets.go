// SPDX-License-Identifier: Apache-2.0

package elb

import (
	"net/netip"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/outlast-ci/outlast/lab/internal/alb"
	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

func (a API) registerTargets(r *Region, c wire.Call, in *sdk.RegisterTargetsInput) (*sdk.RegisterTargetsOutput, error) {
	g, err := r.targetGroup(in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	targets, err := a.targets(c, g, in.Targets, true)
	if err != nil {
		return nil, err
	}
	if err := a.roomFor(*g.TG.TargetGroupArn, targets); err != nil {
		return nil, err
	}
	if err := a.Engine.Register(*g.TG.TargetGroupArn, targets); err != nil {
		return nil, wire.Errorf("InvalidTarget", "%v", err)
	}
	return &sdk.RegisterTargetsOutput{}, nil
}

func (a API) deregisterTargets(r *Region, c wire.Call, in *sdk.DeregisterTargetsInput) (*sdk.DeregisterTargetsOutput, error) {
	g, err := r.targetGroup(in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	targets, err := a.targets(c, g, in.Targets, false)
	if err != nil {
		return nil, err
	}
	if err := a.Engine.Deregister(*g.TG.TargetGroupArn, targets); err != nil {
		return nil, wire.Errorf("InvalidTarget", "%v", err)
	}
	return &sdk.DeregisterTargetsOutput{}, nil
}

// targets checks what a caller named and finds each one's zone. Only a
// registration asks for the zone: the others name what is or was registered.
func (a API) targets(c wire.Call, g *TargetGroup, named []types.TargetDescription, registering bool) ([]alb.Target, error) {
	if len(named) == 0 {
		return nil, invalid("At least one target must be specified")
	}
	vpc, _ := a.Network.VPC(c.Region, aws.ToString(g.TG.VpcId))
	var out []alb.Target
	for _, n := range named {
		id := aws.ToString(n.Id)
		ip, err := netip.ParseAddr(id)
		if err != nil || !ip.Is4() {
			return nil, wire.Errorf("InvalidTarget", "The target '%s' is not a valid IPv4 address, which the target group's type 'ip' needs", id)
		}
		port := aws.ToInt32(n.Port)
		if n.Port != nil && (port < 1 || port > 65535) {
			return nil, invalid("Target port '%d' must be from 1 to 65535", port)
		}
		if port == 0 {
			port = aws.ToInt32(g.TG.Port)
		}
		zone := aws.ToString(n.AvailabilityZone)
		if registering {
			if zone, err = zoneOf(vpc, ip, zone, aws.ToString(g.TG.VpcId)); err != nil {
				return nil, err
			}
		}
		out = append(out, alb.Target{ID: id, Port: int(port), AZ: zone})
	}
	return out, nil
}

// zoneOf is the zone of a target: that of its subnet, or "all" when it is outside of the VPC.
func zoneOf(vpc VPC, ip netip.Addr, asked, vpcID string) (string, error) {
	for cidr, zone := range vpc.Zones {
		if cidr.Contains(ip) {
			if asked != "" && asked != zone && asked != "all" {
				return "", invalid("The IP address '%s' is in the Availability Zone '%s', not in '%s'", ip, zone, asked)
			}
			return zone, nil
		}
	}
	if slices.ContainsFunc(vpc.CIDRs, func(p netip.Prefix) bool { return p.Contains(ip) }) {
		return "", wire.Errorf("InvalidTarget", "The IP address '%s' is not in any subnet of '%s'", ip, vpcID)
	}
	if !private(ip) {
		return "", wire.Errorf("InvalidTarget", "The IP address '%s' is not a private address", ip)
	}
	if asked == "" {
		return "", invalid("The IP address '%s' is outside of the VPC '%s': you must specify an Availability Zone of 'all'", ip, vpcID)
	}
	return asked, nil
}

// private tells what may be registered from outside of the VPC: RFC 1918 and RFC 6598.
func private(ip netip.Addr) bool {
	return ip.IsPrivate() || netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, 0}), 10).Contains(ip)
}

func (a API) describeTargetHealth(r *Region, c wire.Call, in *sdk.DescribeTargetHealthInput) (*sdk.DescribeTargetHealthOutput, error) {
	g, err := r.targetGroup(in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	var ask []alb.Target
	if len(in.Targets) > 0 {
		if ask, err = a.targets(c, g, in.Targets, false); err != nil {
			return nil, err
		}
	}
	health, err := a.Engine.Health(*g.TG.TargetGroupArn, ask)
	if err != nil {
		return nil, wire.Errorf("HealthUnavailable", "%v", err).WithStatus(500)
	}
	anomalies := slices.ContainsFunc(in.Include, func(i types.DescribeTargetHealthInputIncludeEnum) bool {
		return i == types.DescribeTargetHealthInputIncludeEnumAnomaly || i == types.DescribeTargetHealthInputIncludeEnumAll
	})
	out := []types.TargetHealthDescription{}
	for _, h := range health {
		out = append(out, healthOf(h, anomalies))
	}
	return &sdk.DescribeTargetHealthOutput{TargetHealthDescriptions: out}, nil
}

func healthOf(h alb.TargetHealth, anomalies bool) types.TargetHealthDescription {
	d := types.TargetHealthDescription{
		Target:          &types.TargetDescription{Id: aws.String(h.Target.ID), Port: aws.Int32(int32(h.Target.Port))},
		HealthCheckPort: aws.String(h.HealthCheckPort),
		TargetHealth:    &types.TargetHealth{State: types.TargetHealthStateEnum(h.State), Reason: types.TargetHealthReasonEnum(h.Reason)},
	}
	if h.Target.AZ != "" {
		d.Target.AvailabilityZone = aws.String(h.Target.AZ)
	}
	if h.Description != "" {
		d.TargetHealth.Description = aws.String(h.Description)
	}
	if anomalies {
		d.AnomalyDetection = &types.AnomalyDetection{Result: types.AnomalyResultEnumNormal, MitigationInEffect: types.MitigationInEffectEnumNo}
	}
	return d
}
