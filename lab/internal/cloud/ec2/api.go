// SPDX-License-Identifier: Apache-2.0

package ec2

import (
	"net/url"

	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// Operation answers one EC2 operation with a struct whose xml tags spell the
// answer; nil is the plain "return true".
type Operation func(r *Region, c wire.Call, form url.Values) (any, error)

// API is EC2 with its connections to the other services.
type API struct {
	// GroupInUse says what of another service uses a security group, or "".
	GroupInUse func(region, group string) string
}

// Operations returns what the lab's EC2 can do, by name.
func (a API) Operations() map[string]Operation {
	return map[string]Operation{
		"DescribeVpcs": list("vpcSet", sortedOf(func(r *Region) map[string]*VPC { return r.VPCs }), vpcKind(),
			func(in *DescribeInput) []string { return in.VPCs }),
		"DescribeSubnets": list("subnetSet", sortedOf(func(r *Region) map[string]*Subnet { return r.Subnets }), subnetKind(),
			func(in *DescribeInput) []string { return in.Subnets }),
		"DescribeSecurityGroups": list("securityGroupInfo", sortedOf(func(r *Region) map[string]*SecurityGroup { return r.SecurityGroups }), groupKind(),
			func(in *DescribeInput) []string { return in.SecurityGroups }),
		"DescribeNetworkInterfaces": list("networkInterfaceSet", sortedOf(func(r *Region) map[string]*Interface { return r.Interfaces }), interfaceKind(),
			func(in *DescribeInput) []string { return in.Interfaces }),
		"DescribeRouteTables": list("routeTableSet", sortedOf(func(r *Region) map[string]*RouteTable { return r.RouteTables }), tableKind(),
			func(in *DescribeInput) []string { return in.RouteTables }),
		"DescribeInternetGateways": list("internetGatewaySet", sortedOf(func(r *Region) map[string]*InternetGateway { return r.InternetGateways }), gatewayKind(),
			func(in *DescribeInput) []string { return in.Gateways }),
		"DescribeAvailabilityZones": list("availabilityZoneInfo", (*Region).Zones, zoneKind(),
			func(in *DescribeInput) []string { return in.ZoneNames }),
		"DescribeInstances":             describeInstances,
		"CreateSecurityGroup":           op(createSecurityGroup),
		"DeleteSecurityGroup":           op(a.deleteSecurityGroup),
		"AuthorizeSecurityGroupIngress": op(authorize),
		"RevokeSecurityGroupIngress":    op(revoke),
		"CreateTags":                    op(createTags),
		"DeleteTags":                    op(deleteTags),
	}
}

// op decodes an operation's input.
func op[In any](f func(*Region, wire.Call, *In) (any, error)) Operation {
	return func(r *Region, c wire.Call, form url.Values) (any, error) {
		in := new(In)
		if err := wire.DecodeEC2(form, in); err != nil {
			return nil, err
		}
		return f(r, c, in)
	}
}

func sortedOf[T any](m func(*Region) map[string]*T) func(*Region) []T {
	return func(r *Region) []T { return sorted(m(r)) }
}

// list makes a Describe operation whose answer is a set of items.
func list[T any](set string, all func(*Region) []T, k kind[T], ids func(*DescribeInput) []string) Operation {
	return op(func(r *Region, _ wire.Call, in *DescribeInput) (any, error) {
		items, next, err := find(all(r), k, ids(in), in)
		if err != nil {
			return nil, err
		}
		return answer[T]{Set: itemSet[T]{name: set, Items: items}, Next: next}, nil
	})
}

type reservation struct {
	ID        string     `xml:"reservationId"`
	Owner     string     `xml:"ownerId"`
	Instances []Instance `xml:"instancesSet>item"`
}

func describeInstances(r *Region, c wire.Call, form url.Values) (any, error) {
	return op(func(r *Region, c wire.Call, in *DescribeInput) (any, error) {
		items, next, err := find(sorted(r.Instances), instanceKind(), in.Instances, in)
		if err != nil {
			return nil, err
		}
		out := []reservation{}
		for _, i := range items {
			out = append(out, reservation{ID: "r-" + i.ID[2:], Owner: c.Account, Instances: []Instance{i}})
		}
		return answer[reservation]{Set: itemSet[reservation]{name: "reservationSet", Items: out}, Next: next}, nil
	})(r, c, form)
}
