// SPDX-License-Identifier: Apache-2.0

package ec2

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// Filter is one filter of a Describe operation: any of its values.
type Filter struct {
	Name   string
	Values []string `query:"Value"`
}

// DescribeInput is the input of all Describe operations: each takes its own
// list of ids, of which at most one is given.
type DescribeInput struct {
	VPCs           []string `query:"VpcId"`
	Subnets        []string `query:"SubnetId"`
	SecurityGroups []string `query:"GroupId"`
	GroupNames     []string `query:"GroupName"`
	Instances      []string `query:"InstanceId"`
	Interfaces     []string `query:"NetworkInterfaceId"`
	RouteTables    []string `query:"RouteTableId"`
	Gateways       []string `query:"InternetGatewayId"`
	ZoneNames      []string `query:"ZoneName"`
	Filters        []Filter `query:"Filter"`
	MaxResults     int
	NextToken      string
}

// kind is how one kind of resource is described.
type kind[T any] struct {
	id       func(T) string
	tags     func(T) []Tag
	fields   func(T) map[string][]string // values by filter name
	notFound string                      // error code for an unknown id
	noun     string                      // "subnet ID", for the error's words
}

// find returns one page of the resources that were asked for by id and that
// pass the filters, and the token of the next page.
func find[T any](all []T, k kind[T], ids []string, in *DescribeInput) ([]T, string, error) {
	for _, id := range ids {
		if !slices.ContainsFunc(all, func(t T) bool { return k.id(t) == id }) {
			return nil, "", wire.Errorf(k.notFound, "The %s '%s' does not exist", k.noun, id)
		}
	}
	out := []T{}
	for _, t := range all {
		if len(ids) > 0 && !slices.Contains(ids, k.id(t)) {
			continue
		}
		ok, err := passes(t, k, in.Filters)
		if err != nil {
			return nil, "", err
		}
		if ok {
			out = append(out, t)
		}
	}
	return page(out, in)
}

func page[T any](all []T, in *DescribeInput) ([]T, string, error) {
	from := 0
	if in.NextToken != "" {
		n, err := strconv.Atoi(strings.TrimPrefix(in.NextToken, "page-"))
		if err != nil || n < 0 || n > len(all) {
			return nil, "", wire.Errorf("InvalidPaginationToken", "The specified pagination token is not valid.")
		}
		from = n
	}
	all = all[from:]
	if in.MaxResults > 0 && len(all) > in.MaxResults {
		return all[:in.MaxResults], "page-" + strconv.Itoa(from+in.MaxResults), nil
	}
	return all, "", nil
}

func passes[T any](t T, k kind[T], filters []Filter) (bool, error) {
	for _, f := range filters {
		have, known := fieldValues(t, k, f.Name)
		if !known {
			return false, wire.Errorf("InvalidParameterValue", "The filter '%s' is invalid", f.Name)
		}
		if !slices.ContainsFunc(have, func(v string) bool {
			return slices.ContainsFunc(f.Values, func(pattern string) bool { return matchFilter(pattern, v) })
		}) {
			return false, nil
		}
	}
	return true, nil
}

func fieldValues[T any](t T, k kind[T], name string) ([]string, bool) {
	var have []string
	if key, ok := strings.CutPrefix(name, "tag:"); ok {
		for _, tag := range k.tags(t) {
			if tag.Key == key {
				have = append(have, tag.Value)
			}
		}
		return have, true
	}
	if name == "tag-key" || name == "tag-value" {
		for _, tag := range k.tags(t) {
			have = append(have, map[string]string{"tag-key": tag.Key, "tag-value": tag.Value}[name])
		}
		return have, true
	}
	have, ok := k.fields(t)[name]
	return have, ok
}

// matchFilter compares with EC2's wildcards * and ?.
func matchFilter(pattern, value string) bool {
	if !strings.ContainsAny(pattern, "*?") {
		return pattern == value
	}
	// path.Match stops * at a slash and knows brackets; neither is wanted.
	clean := strings.NewReplacer("/", "\x00", "[", `\[`, `\`, `\\`)
	ok, err := path.Match(clean.Replace(pattern), strings.ReplaceAll(value, "/", "\x00"))
	return err == nil && ok
}

func vpcKind() kind[VPC] {
	return kind[VPC]{
		id: func(v VPC) string { return v.ID }, tags: func(v VPC) []Tag { return v.Tags },
		fields: func(v VPC) map[string][]string {
			return map[string][]string{"vpc-id": {v.ID}, "cidr": {v.CIDR}, "state": {v.State}, "owner-id": {v.Owner}, "isDefault": {strconv.FormatBool(v.IsDefault)}}
		},
		notFound: "InvalidVpcID.NotFound", noun: "vpc ID",
	}
}

func subnetKind() kind[Subnet] {
	return kind[Subnet]{
		id: func(s Subnet) string { return s.ID }, tags: func(s Subnet) []Tag { return s.Tags },
		fields: func(s Subnet) map[string][]string {
			return map[string][]string{"vpc-id": {s.VPC}, "subnet-id": {s.ID}, "availability-zone": {s.Zone}, "state": {s.State}, "cidr-block": {s.CIDR}}
		},
		notFound: "InvalidSubnetID.NotFound", noun: "subnet ID",
	}
}

func groupKind() kind[SecurityGroup] {
	return kind[SecurityGroup]{
		id: func(g SecurityGroup) string { return g.ID }, tags: func(g SecurityGroup) []Tag { return g.Tags },
		fields: func(g SecurityGroup) map[string][]string {
			return map[string][]string{"vpc-id": {g.VPC}, "group-id": {g.ID}, "group-name": {g.Name}, "description": {g.Description}, "owner-id": {g.Owner}}
		},
		notFound: "InvalidGroup.NotFound", noun: "security group",
	}
}

func instanceKind() kind[Instance] {
	return kind[Instance]{
		id: func(i Instance) string { return i.ID }, tags: func(i Instance) []Tag { return i.Tags },
		fields: func(i Instance) map[string][]string {
			return map[string][]string{"vpc-id": {i.VPC}, "subnet-id": {i.Subnet}, "instance-id": {i.ID}, "private-ip-address": {i.IP},
				"instance-state-name": {i.State}, "private-dns-name": {i.DNS}, "availability-zone": {i.Zone}}
		},
		notFound: "InvalidInstanceID.NotFound", noun: "instance ID",
	}
}

func interfaceKind() kind[Interface] {
	return kind[Interface]{
		id: func(n Interface) string { return n.ID }, tags: func(n Interface) []Tag { return n.Tags },
		fields: func(n Interface) map[string][]string {
			f := map[string][]string{"vpc-id": {n.VPC}, "subnet-id": {n.Subnet}, "network-interface-id": {n.ID}, "private-ip-address": {n.IP},
				"status": {n.Status}, "attachment.instance-id": {n.Attachment.Instance}, "addresses.private-ip-address": {}, "group-id": {}, "ipv6-addresses.ipv6-address": {}}
			for _, a := range n.Addresses {
				f["addresses.private-ip-address"] = append(f["addresses.private-ip-address"], a.IP)
			}
			for _, g := range n.Groups {
				f["group-id"] = append(f["group-id"], g.ID)
			}
			return f
		},
		notFound: "InvalidNetworkInterfaceID.NotFound", noun: "networkInterface ID",
	}
}

func tableKind() kind[RouteTable] {
	return kind[RouteTable]{
		id: func(t RouteTable) string { return t.ID }, tags: func(t RouteTable) []Tag { return t.Tags },
		fields: func(t RouteTable) map[string][]string {
			return map[string][]string{"vpc-id": {t.VPC}, "route-table-id": {t.ID}}
		},
		notFound: "InvalidRouteTableID.NotFound", noun: "routeTable ID",
	}
}

func gatewayKind() kind[InternetGateway] {
	return kind[InternetGateway]{
		id: func(g InternetGateway) string { return g.ID }, tags: func(g InternetGateway) []Tag { return g.Tags },
		fields: func(g InternetGateway) map[string][]string {
			return map[string][]string{"attachment.vpc-id": {g.VPC}, "attachment.state": {g.VPCState}, "internet-gateway-id": {g.ID}}
		},
		notFound: "InvalidInternetGatewayID.NotFound", noun: "internetGateway ID",
	}
}

func zoneKind() kind[Zone] {
	return kind[Zone]{
		id: func(z Zone) string { return z.Name }, tags: func(Zone) []Tag { return nil },
		fields: func(z Zone) map[string][]string {
			return map[string][]string{"zone-name": {z.Name}, "zone-id": {z.ID}, "state": {z.State}, "region-name": {z.Region}, "zone-type": {z.Type}}
		},
		notFound: "InvalidParameterValue", noun: "availability zone",
	}
}

// HasVPC tells whether the VPC exists.
func (r *Region) HasVPC(id string) bool { return r.VPCs[id] != nil }

// SubnetIDs returns the ids of all subnets, in order.
func (r *Region) SubnetIDs() []string { return slices.Sorted(maps.Keys(r.Subnets)) }
