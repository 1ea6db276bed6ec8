// SPDX-License-Identifier: Apache-2.0

package elb

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/outlast-ci/outlast/lab/internal/cloud/region"
	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

func validName(what, name string) error {
	ok, _ := regexp.MatchString(`^[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?$`, name)
	if !ok {
		return invalid("The %s name '%s' must be 1 to 32 letters, digits and hyphens, and cannot begin or end with a hyphen", what, name)
	}
	return nil
}

func (a API) createLoadBalancer(r *Region, c wire.Call, in *sdk.CreateLoadBalancerInput) (*sdk.CreateLoadBalancerOutput, error) {
	name := aws.ToString(in.Name)
	if err := validName("load balancer", name); err != nil {
		return nil, err
	}
	if strings.HasPrefix(name, "internal-") {
		return nil, invalid("The load balancer name '%s' cannot begin with 'internal-'", name)
	}
	if in.Type != "" && in.Type != types.LoadBalancerTypeEnumApplication {
		return nil, invalid("Load balancers of type '%s' are not available in the lab: it has application load balancers only", in.Type)
	}
	scheme := in.Scheme
	if scheme == "" {
		scheme = types.LoadBalancerSchemeEnumInternetFacing
	}
	if !slices.Contains(scheme.Values(), scheme) {
		return nil, wire.Errorf("InvalidScheme", "The scheme '%s' is not valid", scheme)
	}
	if in.IpAddressType != "" && in.IpAddressType != types.IpAddressTypeIpv4 {
		return nil, invalid("The IP address type '%s' is not available: the subnets have no IPv6 CIDR block", in.IpAddressType)
	}
	zones, vpc, err := a.zones(c, subnetIDs(in.Subnets, in.SubnetMappings), scheme)
	if err != nil {
		return nil, err
	}
	if err := a.securityGroups(c, vpc, in.SecurityGroups); err != nil {
		return nil, err
	}
	for _, lb := range r.LoadBalancers {
		if aws.ToString(lb.LB.LoadBalancerName) != name {
			continue
		}
		if lb.LB.Scheme == scheme && sameZones(lb.LB.AvailabilityZones, zones) && sameSet(lb.LB.SecurityGroups, in.SecurityGroups) {
			return &sdk.CreateLoadBalancerOutput{LoadBalancers: []types.LoadBalancer{a.shown(lb, c)}}, nil
		}
		return nil, wire.Errorf("DuplicateLoadBalancerName", "A load balancer with the same name '%s' exists, but with different settings", name)
	}
	if len(r.LoadBalancers) >= maxLoadBalancers {
		return nil, wire.Errorf("TooManyLoadBalancers", "The maximum number of load balancers, %d, has been reached", maxLoadBalancers)
	}
	tags, err := newTags(in.Tags)
	if err != nil {
		return nil, err
	}
	id := wire.Hex(16)
	dns := dnsName(name, id, c.Region, scheme)
	lb := &LoadBalancer{Attributes: maps.Clone(loadBalancerDefaults()), Tags: tags, LB: types.LoadBalancer{
		LoadBalancerArn: aws.String(arnOf(c, "loadbalancer/app/"+name+"/"+id)), LoadBalancerName: in.Name, DNSName: aws.String(dns),
		CanonicalHostedZoneId: aws.String("Z" + strings.ToUpper(id[:13])), CreatedTime: aws.Time(c.Now.UTC()), Scheme: scheme,
		Type: types.LoadBalancerTypeEnumApplication, IpAddressType: types.IpAddressTypeIpv4, VpcId: aws.String(vpc),
		AvailabilityZones: zones, SecurityGroups: in.SecurityGroups,
	}}
	r.LoadBalancers[*lb.LB.LoadBalancerArn] = lb
	if err := a.pushLoadBalancer(r, lb); err != nil {
		delete(r.LoadBalancers, *lb.LB.LoadBalancerArn)
		return nil, err
	}
	out := a.shown(lb, c)
	out.State = &types.LoadBalancerState{Code: types.LoadBalancerStateEnumProvisioning}
	return &sdk.CreateLoadBalancerOutput{LoadBalancers: []types.LoadBalancer{out}}, nil
}

func dnsName(name, id, in string, scheme types.LoadBalancerSchemeEnum) string {
	dns := name + "-" + strconv.FormatUint(mustHex(id)%10_000_000_000, 10) + "." + in + ".elb." + region.DNSSuffix(in)
	if scheme == types.LoadBalancerSchemeEnumInternal {
		return "internal-" + dns
	}
	return dns
}

func mustHex(s string) uint64 {
	n, _ := strconv.ParseUint(s, 16, 64) // s comes from wire.Hex
	return n
}

// shown is the load balancer as Describe answers it, with its state of now.
func (a API) shown(lb *LoadBalancer, c wire.Call) types.LoadBalancer {
	out := lb.LB
	out.State = &types.LoadBalancerState{Code: types.LoadBalancerStateEnumActive}
	if c.Now.Sub(aws.ToTime(out.CreatedTime)) < a.Provisioning {
		out.State.Code = types.LoadBalancerStateEnumProvisioning
	}
	return out
}

func subnetIDs(ids []string, mappings []types.SubnetMapping) []string {
	ids = slices.Clone(ids)
	for _, m := range mappings {
		ids = append(ids, aws.ToString(m.SubnetId))
	}
	return ids
}

// zones checks the subnets of a load balancer and returns their zones and VPC.
func (a API) zones(c wire.Call, ids []string, scheme types.LoadBalancerSchemeEnum) ([]types.AvailabilityZone, string, error) {
	var zones []types.AvailabilityZone
	vpc := ""
	for _, id := range ids {
		s, ok := a.Network.Subnet(c.Region, id)
		switch {
		case !ok:
			return nil, "", wire.Errorf("SubnetNotFound", "The subnet ID '%s' does not exist", id)
		case vpc != "" && vpc != s.VPC:
			return nil, "", wire.Errorf("InvalidSubnet", "All subnets must belong to the same VPC: '%s'", vpc)
		case scheme == types.LoadBalancerSchemeEnumInternetFacing && !s.Public:
			return nil, "", wire.Errorf("InvalidSubnet", "VPC %s has no internet gateway", s.VPC)
		case slices.ContainsFunc(zones, func(z types.AvailabilityZone) bool { return *z.ZoneName == s.Zone }):
			return nil, "", wire.Errorf("InvalidConfigurationRequest", "A load balancer cannot be attached to multiple subnets in the same Availability Zone")
		}
		vpc = s.VPC
		zones = append(zones, types.AvailabilityZone{ZoneName: aws.String(s.Zone), SubnetId: aws.String(id), LoadBalancerAddresses: []types.LoadBalancerAddress{}})
	}
	if len(zones) < 2 {
		return nil, "", invalid("At least two subnets in two different Availability Zones must be specified")
	}
	slices.SortFunc(zones, func(x, y types.AvailabilityZone) int { return strings.Compare(*x.ZoneName, *y.ZoneName) })
	return zones, vpc, nil
}

func (a API) securityGroups(c wire.Call, vpc string, ids []string) error {
	for _, id := range ids {
		if v, ok := a.Network.SecurityGroupVPC(c.Region, id); !ok || v != vpc {
			return wire.Errorf("InvalidSecurityGroup", "One or more security groups are invalid: '%s' is not in %s", id, vpc)
		}
	}
	return nil
}

func sameZones(x, y []types.AvailabilityZone) bool {
	return slices.EqualFunc(x, y, func(a, b types.AvailabilityZone) bool { return *a.SubnetId == *b.SubnetId })
}

func sameSet(x, y []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(x)), slices.Sorted(slices.Values(y)))
}

func (a API) describeLoadBalancers(r *Region, c wire.Call, in *sdk.DescribeLoadBalancersInput) (*sdk.DescribeLoadBalancersOutput, error) {
	if len(in.LoadBalancerArns) > maxBalancersDescribed {
		return nil, invalid("A maximum of %d load balancers can be described at once", maxBalancersDescribed)
	}
	if len(in.LoadBalancerArns) > 0 && len(in.Names) > 0 {
		return nil, invalid("Load balancer ARNs and load balancer names cannot be specified at the same time")
	}
	for i := range in.LoadBalancerArns {
		if _, err := r.loadBalancer(&in.LoadBalancerArns[i]); err != nil {
			return nil, err
		}
	}
	found := []types.LoadBalancer{}
	names := map[string]bool{}
	for _, lb := range sorted(r.LoadBalancers) {
		names[*lb.LB.LoadBalancerName] = true
		if len(in.LoadBalancerArns) > 0 && !slices.Contains(in.LoadBalancerArns, *lb.LB.LoadBalancerArn) ||
			len(in.Names) > 0 && !slices.Contains(in.Names, *lb.LB.LoadBalancerName) {
			continue
		}
		found = append(found, a.shown(lb, c))
	}
	for _, n := range in.Names {
		if !names[n] {
			return nil, wire.Errorf("LoadBalancerNotFound", "Load balancers '[%s]' not found", n)
		}
	}
	page, next, err := paginate(found, func(lb types.LoadBalancer) string { return *lb.LoadBalancerArn }, in.Marker, in.PageSize)
	if err != nil {
		return nil, err
	}
	return &sdk.DescribeLoadBalancersOutput{LoadBalancers: page, NextMarker: next}, nil
}

func (a API) deleteLoadBalancer(r *Region, _ wire.Call, in *sdk.DeleteLoadBalancerInput) (*sdk.DeleteLoadBalancerOutput, error) {
	lb, err := r.loadBalancer(in.LoadBalancerArn)
	if e, ok := err.(*wire.Error); ok && e.Code == "LoadBalancerNotFound" {
		return &sdk.DeleteLoadBalancerOutput{}, nil // the call succeeds, by the reference
	}
	if err != nil {
		return nil, err
	}
	arn := *lb.LB.LoadBalancerArn
	if lb.Attributes["deletion_protection.enabled"] == "true" {
		return nil, wire.Errorf("OperationNotPermitted", "Load balancer '%s' cannot be deleted because deletion protection is enabled", arn)
	}
	for _, l := range sorted(r.Listeners) {
		if aws.ToString(l.L.LoadBalancerArn) == arn {
			r.dropListener(*l.L.ListenerArn)
		}
	}
	delete(r.LoadBalancers, arn)
	a.Engine.DeleteLoadBalancer(arn)
	return &sdk.DeleteLoadBalancerOutput{}, nil
}

func (a API) setSubnets(r *Region, c wire.Call, in *sdk.SetSubnetsInput) (*sdk.SetSubnetsOutput, error) {
	lb, err := r.loadBalancer(in.LoadBalancerArn)
	if err != nil {
		return nil, err
	}
	zones, vpc, err := a.zones(c, subnetIDs(in.Subnets, in.SubnetMappings), lb.LB.Scheme)
	if err != nil {
		return nil, err
	}
	if vpc != aws.ToString(lb.LB.VpcId) {
		return nil, wire.Errorf("InvalidSubnet", "The subnets must belong to the load balancer's VPC '%s'", aws.ToString(lb.LB.VpcId))
	}
	lb.LB.AvailabilityZones = zones
	if err := a.pushLoadBalancer(r, lb); err != nil {
		return nil, err
	}
	return &sdk.SetSubnetsOutput{AvailabilityZones: zones, IpAddressType: lb.LB.IpAddressType}, nil
}

func (a API) setSecurityGroups(r *Region, c wire.Call, in *sdk.SetSecurityGroupsInput) (*sdk.SetSecurityGroupsOutput, error) {
	lb, err := r.loadBalancer(in.LoadBalancerArn)
	if err != nil {
		return nil, err
	}
	if len(in.SecurityGroups) == 0 {
		return nil, wire.Errorf("InvalidConfigurationRequest", "An application load balancer must have at least one security group")
	}
	if err := a.securityGroups(c, aws.ToString(lb.LB.VpcId), in.SecurityGroups); err != nil {
		return nil, err
	}
	lb.LB.SecurityGroups = in.SecurityGroups
	return &sdk.SetSecurityGroupsOutput{SecurityGroupIds: in.SecurityGroups}, nil
}

func (a API) setIPAddressType(r *Region, _ wire.Call, in *sdk.SetIpAddressTypeInput) (*sdk.SetIpAddressTypeOutput, error) {
	lb, err := r.loadBalancer(in.LoadBalancerArn)
	if err != nil {
		return nil, err
	}
	if in.IpAddressType != types.IpAddressTypeIpv4 {
		return nil, wire.Errorf("InvalidSubnet", "The subnets have no IPv6 CIDR block")
	}
	return &sdk.SetIpAddressTypeOutput{IpAddressType: lb.LB.IpAddressType}, nil
}

func (a API) describeCapacityReservation(r *Region, _ wire.Call, in *sdk.DescribeCapacityReservationInput) (*sdk.DescribeCapacityReservationOutput, error) {
	if _, err := r.loadBalancer(in.LoadBalancerArn); err != nil {
		return nil, err
	}
	return &sdk.DescribeCapacityReservationOutput{DecreaseRequestsRemaining: aws.Int32(2)}, nil
}
