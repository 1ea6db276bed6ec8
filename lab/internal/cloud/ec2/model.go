// SPDX-License-Identifier: Apache-2.0

// Package ec2 is the part of EC2 that the AWS Load Balancer Controller uses:
// one VPC with its subnets, gateway, instance and network interface, made
// once by Seed, and security groups that can be made, changed and deleted.
// Decoded requests go in, the answer's structs come out; the xml tags spell
// the answers.
package ec2

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Tag is a tag of any resource.
type Tag struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

// CIDRAssociation is a CIDR block of a VPC.
type CIDRAssociation struct {
	ID    string `xml:"associationId"`
	CIDR  string `xml:"cidrBlock"`
	State string `xml:"cidrBlockState>state"`
}

// VPC is a virtual network.
type VPC struct {
	ID        string            `xml:"vpcId"`
	Owner     string            `xml:"ownerId"`
	State     string            `xml:"state"`
	CIDR      string            `xml:"cidrBlock"`
	CIDRs     []CIDRAssociation `xml:"cidrBlockAssociationSet>item"`
	DHCP      string            `xml:"dhcpOptionsId"`
	Tenancy   string            `xml:"instanceTenancy"`
	IsDefault bool              `xml:"isDefault"`
	Tags      []Tag             `xml:"tagSet>item"`
}

// Subnet is a part of a VPC in one zone.
type Subnet struct {
	ID          string `xml:"subnetId"`
	ARN         string `xml:"subnetArn"`
	State       string `xml:"state"`
	Owner       string `xml:"ownerId"`
	VPC         string `xml:"vpcId"`
	CIDR        string `xml:"cidrBlock"`
	Available   int    `xml:"availableIpAddressCount"`
	Zone        string `xml:"availabilityZone"`
	ZoneID      string `xml:"availabilityZoneId"`
	DefaultInAZ bool   `xml:"defaultForAz"`
	PublicIP    bool   `xml:"mapPublicIpOnLaunch"`
	Tags        []Tag  `xml:"tagSet>item"`
}

// Group names a security group.
type Group struct {
	ID   string `xml:"groupId"`
	Name string `xml:"groupName"`
}

// Range is one source or destination of a permission. Exactly one of its
// address fields is set.
type Range struct {
	CIDR        string `query:"CidrIp" xml:"cidrIp,omitempty"`
	CIDR6       string `query:"CidrIpv6" xml:"cidrIpv6,omitempty"`
	PrefixList  string `query:"PrefixListId" xml:"prefixListId,omitempty"`
	Description string `xml:"description,omitempty"`
}

// Pair is a security group as a source.
type Pair struct {
	UserID      string `query:"UserId" xml:"userId"`
	GroupID     string `query:"GroupId" xml:"groupId"`
	VPC         string `query:"VpcId" xml:"vpcId,omitempty"`
	Description string `xml:"description,omitempty"`
}

// Permission is what a security group lets in or out. All ports when FromPort is nil.
type Permission struct {
	Protocol string  `query:"IpProtocol" xml:"ipProtocol"`
	FromPort *int    `xml:"fromPort"`
	ToPort   *int    `xml:"toPort"`
	Pairs    []Pair  `query:"Groups" xml:"groups>item"`
	V4       []Range `query:"IpRanges" xml:"ipRanges>item"`
	V6       []Range `query:"Ipv6Ranges" xml:"ipv6Ranges>item"`
	Prefixes []Range `query:"PrefixListIds" xml:"prefixListIds>item"`
}

// SecurityGroup is a security group.
type SecurityGroup struct {
	ID          string       `xml:"groupId"`
	ARN         string       `xml:"securityGroupArn"`
	Owner       string       `xml:"ownerId"`
	Name        string       `xml:"groupName"`
	Description string       `xml:"groupDescription"`
	VPC         string       `xml:"vpcId"`
	Ingress     []Permission `xml:"ipPermissions>item"`
	Egress      []Permission `xml:"ipPermissionsEgress>item"`
	Tags        []Tag        `xml:"tagSet>item"`
}

// Address is a private address of a network interface.
type Address struct {
	IP      string `xml:"privateIpAddress"`
	DNS     string `xml:"privateDnsName"`
	Primary bool   `xml:"primary"`
}

// Attachment ties an interface to an instance.
type Attachment struct {
	ID       string `xml:"attachmentId"`
	Instance string `xml:"instanceId,omitempty"`
	Index    int    `xml:"deviceIndex"`
	Status   string `xml:"status"`
}

// Interface is a network interface. The same element serves in an instance.
type Interface struct {
	ID          string     `xml:"networkInterfaceId"`
	Subnet      string     `xml:"subnetId"`
	VPC         string     `xml:"vpcId"`
	Zone        string     `xml:"availabilityZone"`
	Description string     `xml:"description"`
	Owner       string     `xml:"ownerId"`
	Status      string     `xml:"status"`
	MAC         string     `xml:"macAddress"`
	IP          string     `xml:"privateIpAddress"`
	Type        string     `xml:"interfaceType"`
	Check       bool       `xml:"sourceDestCheck"`
	Groups      []Group    `xml:"groupSet>item"`
	Attachment  Attachment `xml:"attachment"`
	Addresses   []Address  `xml:"privateIpAddressesSet>item"`
	Tags        []Tag      `xml:"tagSet>item"`
}

// Instance is a machine: the lab's node.
type Instance struct {
	ID         string      `xml:"instanceId"`
	Image      string      `xml:"imageId"`
	Type       string      `xml:"instanceType"`
	LaunchTime string      `xml:"launchTime"`
	StateCode  int         `xml:"instanceState>code"`
	State      string      `xml:"instanceState>name"`
	DNS        string      `xml:"privateDnsName"`
	Zone       string      `xml:"placement>availabilityZone"`
	Tenancy    string      `xml:"placement>tenancy"`
	Subnet     string      `xml:"subnetId"`
	VPC        string      `xml:"vpcId"`
	IP         string      `xml:"privateIpAddress"`
	Groups     []Group     `xml:"groupSet>item"`
	Interfaces []Interface `xml:"networkInterfaceSet>item"`
	Tags       []Tag       `xml:"tagSet>item"`
}

// Route is an entry of a route table.
type Route struct {
	Destination string `xml:"destinationCidrBlock"`
	Gateway     string `xml:"gatewayId"`
	State       string `xml:"state"`
	Origin      string `xml:"origin"`
}

// RouteAssociation says what a route table is for.
type RouteAssociation struct {
	ID     string `xml:"routeTableAssociationId"`
	Table  string `xml:"routeTableId"`
	Subnet string `xml:"subnetId,omitempty"`
	Main   bool   `xml:"main"`
	State  string `xml:"associationState>state"`
}

// RouteTable is a route table.
type RouteTable struct {
	ID           string             `xml:"routeTableId"`
	VPC          string             `xml:"vpcId"`
	Owner        string             `xml:"ownerId"`
	Routes       []Route            `xml:"routeSet>item"`
	Associations []RouteAssociation `xml:"associationSet>item"`
	Tags         []Tag              `xml:"tagSet>item"`
}

// InternetGateway is a VPC's way out.
type InternetGateway struct {
	ID       string `xml:"internetGatewayId"`
	Owner    string `xml:"ownerId"`
	VPC      string `xml:"attachmentSet>item>vpcId"`
	VPCState string `xml:"attachmentSet>item>state"`
	Tags     []Tag  `xml:"tagSet>item"`
}

// Zone is an availability zone.
type Zone struct {
	Name   string `xml:"zoneName"`
	ID     string `xml:"zoneId"`
	State  string `xml:"zoneState"`
	Region string `xml:"regionName"`
	Group  string `xml:"groupName"`
	Border string `xml:"networkBorderGroup"`
	OptIn  string `xml:"optInStatus"`
	Type   string `xml:"zoneType"`
}

// Region is all that EC2 holds in one region. It survives JSON.
type Region struct {
	Name             string
	VPCs             map[string]*VPC
	Subnets          map[string]*Subnet
	SecurityGroups   map[string]*SecurityGroup
	Instances        map[string]*Instance
	Interfaces       map[string]*Interface
	RouteTables      map[string]*RouteTable
	InternetGateways map[string]*InternetGateway
}

// NewRegion returns a region without a VPC.
func NewRegion(name string) *Region {
	return &Region{
		Name: name, VPCs: map[string]*VPC{}, Subnets: map[string]*Subnet{}, SecurityGroups: map[string]*SecurityGroup{},
		Instances: map[string]*Instance{}, Interfaces: map[string]*Interface{}, RouteTables: map[string]*RouteTable{},
		InternetGateways: map[string]*InternetGateway{},
	}
}

// Zones returns the region's availability zones.
func (r *Region) Zones() []Zone {
	letters := []string{"a", "b", "c"}
	if r.Name == "cn-north-1" {
		letters = []string{"a", "b", "d"}
	}
	var zs []Zone
	for i, l := range letters {
		zs = append(zs, Zone{
			Name: r.Name + l, ID: zoneIDPrefix(r.Name) + "-az" + string(rune('1'+i)), State: "available", Region: r.Name,
			Group: r.Name, Border: r.Name, OptIn: "opt-in-not-required", Type: "availability-zone",
		})
	}
	return zs
}

// zoneIDPrefix shortens us-east-1 to use1, as zone ids do.
func zoneIDPrefix(name string) string {
	p := strings.Split(name, "-")
	short := p[0]
	for _, w := range p[1:] {
		switch w {
		case "northwest", "northeast", "southwest", "southeast":
			short += w[:1] + w[5:6]
		default:
			short += w[:1]
		}
	}
	return short
}

// sorted returns a map's values in the order of their ids.
func sorted[T any](m map[string]*T) []T {
	var out []T
	for _, id := range slices.SortedFunc(maps.Keys(m), cmp.Compare[string]) {
		out = append(out, *m[id])
	}
	return out
}
