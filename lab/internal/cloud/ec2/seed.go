// SPDX-License-Identifier: Apache-2.0

package ec2

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"

	"github.com/outlast-ci/outlast/lab/internal/cloud/region"
)

// SeedOptions say what network the cluster lives in.
type SeedOptions struct {
	Account string
	Cluster string
	CIDR    string // of the VPC
	// PodCIDR is inside CIDR; the node's interface holds all its addresses,
	// so it is a /24 or smaller.
	PodCIDR  string
	NodeIP   string
	NodeName string // "" makes AWS's name of NodeIP
}

// Seeded is what Seed made.
type Seeded struct {
	VPC      string
	Subnets  []string
	Zones    []string
	NodeSG   string
	Instance string
}

// ProviderID is the instance as a Kubernetes node names it.
func (s Seeded) ProviderID() string { return "aws:///" + s.Zones[0] + "/" + s.Instance }

// Seed makes the VPC of a cluster: two subnets in two zones, a gateway, the
// node's security group, and an instance with the interface that holds the
// pods' addresses. The ids follow from the account, region and cluster, so that
// a second run makes the same.
func Seed(r *Region, o SeedOptions) (Seeded, error) {
	id := func(kind, what string) string {
		sum := sha256.Sum256([]byte(o.Account + "/" + r.Name + "/" + o.Cluster + "/" + kind + "/" + what))
		return kind + "-0" + hex.EncodeToString(sum[:])[:16]
	}
	cidr, err := netip.ParsePrefix(o.CIDR)
	if err != nil || !cidr.Addr().Is4() || cidr.Bits() > 23 {
		return Seeded{}, fmt.Errorf("making the VPC: CIDR %q is not an IPv4 network of at least two /24", o.CIDR)
	}
	pods, err := netip.ParsePrefix(o.PodCIDR)
	if err != nil || pods.Bits() < 24 || !cidr.Contains(pods.Addr()) {
		return Seeded{}, fmt.Errorf("making the VPC: PodCIDR %q is not a /24 or smaller inside %s", o.PodCIDR, o.CIDR)
	}
	own := Tag{"kubernetes.io/cluster/" + o.Cluster, "owned"}
	shared := Tag{"kubernetes.io/cluster/" + o.Cluster, "shared"}
	s := Seeded{VPC: id("vpc", "main"), NodeSG: id("sg", "nodes"), Instance: id("i", "node")}
	r.VPCs[s.VPC] = &VPC{ID: s.VPC, Owner: o.Account, State: "available", CIDR: o.CIDR, DHCP: id("dopt", "main"), Tenancy: "default",
		CIDRs: []CIDRAssociation{{ID: id("vpc-cidr-assoc", "main"), CIDR: o.CIDR, State: "associated"}}, Tags: []Tag{{"Name", o.Cluster}, shared}}
	for i, z := range r.Zones()[:2] {
		net := subnetCIDR(cidr, i)
		sn := &Subnet{ID: id("subnet", z.Name), State: "available", Owner: o.Account, VPC: s.VPC, CIDR: net.String(), Available: 200,
			Zone: z.Name, ZoneID: z.ID, PublicIP: true,
			Tags: []Tag{{"Name", o.Cluster + "-" + z.Name}, {"kubernetes.io/role/elb", "1"}, {"kubernetes.io/role/internal-elb", "1"}, shared}}
		sn.ARN = region.ARN("ec2", r.Name, o.Account, "subnet/"+sn.ID)
		r.Subnets[sn.ID] = sn
		s.Subnets, s.Zones = append(s.Subnets, sn.ID), append(s.Zones, z.Name)
	}
	r.SecurityGroups[s.NodeSG] = &SecurityGroup{ID: s.NodeSG, ARN: region.ARN("ec2", r.Name, o.Account, "security-group/"+s.NodeSG), Owner: o.Account,
		Name: o.Cluster + "-nodes", Description: "nodes of " + o.Cluster, VPC: s.VPC, Tags: []Tag{own},
		Egress: []Permission{{Protocol: "-1", V4: []Range{{CIDR: "0.0.0.0/0"}}}}}
	seedGateway(r, s, o, id)
	seedNode(r, s, o, pods, id)
	return s, nil
}

func subnetCIDR(vpc netip.Prefix, i int) netip.Prefix {
	a := vpc.Masked().Addr().As4()
	a[2] += byte(i)
	return netip.PrefixFrom(netip.AddrFrom4(a), 24)
}

func seedGateway(r *Region, s Seeded, o SeedOptions, id func(kind, what string) string) {
	igw, rtb := id("igw", "main"), id("rtb", "main")
	r.InternetGateways[igw] = &InternetGateway{ID: igw, Owner: o.Account, VPC: s.VPC, VPCState: "available"}
	r.RouteTables[rtb] = &RouteTable{ID: rtb, VPC: s.VPC, Owner: o.Account,
		Routes: []Route{
			{Destination: o.CIDR, Gateway: "local", State: "active", Origin: "CreateRouteTable"},
			{Destination: "0.0.0.0/0", Gateway: igw, State: "active", Origin: "CreateRoute"},
		},
		Associations: []RouteAssociation{{ID: id("rtbassoc", "main"), Table: rtb, Main: true, State: "associated"}}}
}

func seedNode(r *Region, s Seeded, o SeedOptions, pods netip.Prefix, id func(kind, what string) string) {
	name := o.NodeName
	if name == "" {
		name = dnsName(o.NodeIP, r.Name)
	}
	groups := []Group{{ID: s.NodeSG, Name: o.Cluster + "-nodes"}}
	eni := Interface{ID: id("eni", "node"), Subnet: s.Subnets[0], VPC: s.VPC, Zone: s.Zones[0], Description: "node and its pods", Owner: o.Account,
		Status: "in-use", MAC: "0a:00:0a:4d:00:02", IP: o.NodeIP, Type: "interface", Groups: groups,
		Attachment: Attachment{ID: id("eni-attach", "node"), Instance: s.Instance, Status: "attached"},
		Addresses:  []Address{{IP: o.NodeIP, DNS: dnsName(o.NodeIP, r.Name), Primary: true}}}
	for a := pods.Masked().Addr().Next(); pods.Contains(a.Next()); a = a.Next() {
		if a.String() != o.NodeIP {
			eni.Addresses = append(eni.Addresses, Address{IP: a.String(), DNS: dnsName(a.String(), r.Name)})
		}
	}
	r.Interfaces[eni.ID] = &eni
	r.Instances[s.Instance] = &Instance{ID: s.Instance, Image: id("ami", "node"), Type: "m5.large", LaunchTime: "2026-01-01T00:00:00.000Z",
		StateCode: 16, State: "running", DNS: name, Zone: s.Zones[0], Tenancy: "default", Subnet: s.Subnets[0], VPC: s.VPC, IP: o.NodeIP,
		Groups: groups, Interfaces: []Interface{eni}, Tags: []Tag{{"Name", name}, {"kubernetes.io/cluster/" + o.Cluster, "owned"}}}
}

func dnsName(ip, regionName string) string {
	b := []byte("ip-" + ip)
	for i, c := range b {
		if c == '.' {
			b[i] = '-'
		}
	}
	return string(b) + "." + regionName + ".compute.internal"
}
