// SPDX-License-Identifier: Apache-2.0

// Package elb is the control plane of the Elastic Load Balancing v2 API for
// application load balancers: it keeps what callers made, checks requests as
// the service does, and hands the result to the data plane. The SDK's own
// input structs go in, its output structs come out.
package elb

import (
	"cmp"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/outlast-ci/outlast/lab/internal/alb"
	"github.com/outlast-ci/outlast/lab/internal/cloud/region"
	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// Subnet is what a load balancer must know of a subnet.
type Subnet struct {
	VPC, Zone string
	Public    bool // its route table leads to an internet gateway
}

// VPC is what a target group must know of a VPC.
type VPC struct {
	CIDRs []netip.Prefix
	// Zones maps the CIDR of each subnet to its zone.
	Zones map[netip.Prefix]string
}

// Network answers what EC2 knows; ok is false for what does not exist there.
type Network interface {
	Subnet(region, id string) (Subnet, bool)
	SecurityGroupVPC(region, id string) (vpc string, ok bool)
	VPC(region, id string) (VPC, bool)
}

// Certificate is what a listener must know of a certificate.
type Certificate struct {
	Text, Key []byte // PEM; the chain follows the certificate
	Names     []string
}

// Certificates answers what ACM knows.
type Certificates interface {
	Certificate(arn string) (Certificate, bool)
}

// LoadBalancer is a load balancer with what Describe does not answer in one piece.
type LoadBalancer struct {
	LB         types.LoadBalancer
	Attributes map[string]string
	Tags       map[string]string
}

// TargetGroup is a target group likewise. Its targets are in the data plane.
type TargetGroup struct {
	TG         types.TargetGroup
	Attributes map[string]string
	Tags       map[string]string
}

// Listener is a listener likewise. Its default actions are also a rule.
type Listener struct {
	L types.Listener
	// Certificates is the certificate list of an HTTPS listener, ARNs in the
	// order in which they were added. The default one is L's.
	Certificates []string
	Attributes   map[string]string
	Tags         map[string]string
}

// Rule is a rule with the listener it belongs to.
type Rule struct {
	R        types.Rule
	Listener string // ARN
	Tags     map[string]string
}

// Region is all that ELBv2 holds in one region. It survives JSON. The keys are ARNs.
type Region struct {
	LoadBalancers map[string]*LoadBalancer
	TargetGroups  map[string]*TargetGroup
	Listeners     map[string]*Listener
	Rules         map[string]*Rule
}

// NewRegion returns an empty region.
func NewRegion() *Region {
	return &Region{LoadBalancers: map[string]*LoadBalancer{}, TargetGroups: map[string]*TargetGroup{},
		Listeners: map[string]*Listener{}, Rules: map[string]*Rule{}}
}

// API is ELBv2 with its connections.
type API struct {
	Engine  *alb.Engine
	Network Network
	// Certificates are those of all regions.
	Certificates Certificates
	// Provisioning is how long a new load balancer says "provisioning"; it
	// serves from the start. The real service takes one to three minutes.
	Provisioning time.Duration
}

// Operation answers one operation with one of the SDK's output structs.
type Operation func(r *Region, c wire.Call, form url.Values) (any, error)

// op decodes an operation's input.
func op[In, Out any](f func(*Region, wire.Call, *In) (*Out, error)) Operation {
	return func(r *Region, c wire.Call, form url.Values) (any, error) {
		in := new(In)
		if err := wire.DecodeQuery(form, in); err != nil {
			return nil, err
		}
		out, err := f(r, c, in)
		if err != nil {
			return nil, err
		}
		return out, nil
	}
}

// Operations returns what the lab's ELBv2 can do, by name.
func (a API) Operations() map[string]Operation {
	return map[string]Operation{
		"CreateLoadBalancer":             op(a.createLoadBalancer),
		"DescribeLoadBalancers":          op(a.describeLoadBalancers),
		"DescribeLoadBalancerAttributes": op(a.describeLoadBalancerAttributes),
		"ModifyLoadBalancerAttributes":   op(a.modifyLoadBalancerAttributes),
		"DeleteLoadBalancer":             op(a.deleteLoadBalancer),
		"SetSubnets":                     op(a.setSubnets),
		"SetSecurityGroups":              op(a.setSecurityGroups),
		"SetIpAddressType":               op(a.setIPAddressType),
		"DescribeCapacityReservation":    op(a.describeCapacityReservation),
		"CreateTargetGroup":              op(a.createTargetGroup),
		"DescribeTargetGroups":           op(a.describeTargetGroups),
		"DescribeTargetGroupAttributes":  op(a.describeTargetGroupAttributes),
		"ModifyTargetGroup":              op(a.modifyTargetGroup),
		"ModifyTargetGroupAttributes":    op(a.modifyTargetGroupAttributes),
		"DeleteTargetGroup":              op(a.deleteTargetGroup),
		"RegisterTargets":                op(a.registerTargets),
		"DeregisterTargets":              op(a.deregisterTargets),
		"DescribeTargetHealth":           op(a.describeTargetHealth),
		"CreateListener":                 op(a.createListener),
		"DescribeListeners":              op(a.describeListeners),
		"DescribeListenerAttributes":     op(a.describeListenerAttributes),
		"ModifyListenerAttributes":       op(a.modifyListenerAttributes),
		"DescribeListenerCertificates":   op(a.describeListenerCertificates),
		"AddListenerCertificates":        op(a.addListenerCertificates),
		"RemoveListenerCertificates":     op(a.removeListenerCertificates),
		"ModifyListener":                 op(a.modifyListener),
		"DeleteListener":                 op(a.deleteListener),
		"CreateRule":                     op(a.createRule),
		"DescribeRules":                  op(a.describeRules),
		"ModifyRule":                     op(a.modifyRule),
		"DeleteRule":                     op(a.deleteRule),
		"SetRulePriorities":              op(a.setRulePriorities),
		"AddTags":                        op(a.addTags),
		"RemoveTags":                     op(a.removeTags),
		"DescribeTags":                   op(a.describeTags),
		"DescribeAccountLimits":          op(a.describeAccountLimits),
	}
}

// SecurityGroupUser returns the ARN of a load balancer that uses the security group, or "".
func (r *Region) SecurityGroupUser(group string) string {
	for arn, lb := range r.LoadBalancers {
		if slices.Contains(lb.LB.SecurityGroups, group) {
			return arn
		}
	}
	return ""
}

func invalid(format string, a ...any) error { return wire.Errorf("ValidationError", format, a...) }

func arnOf(c wire.Call, resource string) string {
	return region.ARN("elasticloadbalancing", c.Region, c.Account, resource)
}

// tail is what follows a kind in an ARN: "app/web/0123" of a load balancer's.
func tail(arn, kind string) string {
	_, t, _ := strings.Cut(arn, ":"+kind+"/")
	return t
}

func (r *Region) loadBalancer(arn *string) (*LoadBalancer, error) {
	if lb := r.LoadBalancers[aws.ToString(arn)]; lb != nil {
		return lb, nil
	}
	return nil, badARN(arn, "load balancer", "loadbalancer", wire.Errorf("LoadBalancerNotFound", "One or more load balancers not found"))
}

func (r *Region) targetGroup(arn *string) (*TargetGroup, error) {
	if tg := r.TargetGroups[aws.ToString(arn)]; tg != nil {
		return tg, nil
	}
	return nil, badARN(arn, "target group", "targetgroup", wire.Errorf("TargetGroupNotFound", "One or more target groups not found"))
}

func (r *Region) listener(arn *string) (*Listener, error) {
	if l := r.Listeners[aws.ToString(arn)]; l != nil {
		return l, nil
	}
	return nil, badARN(arn, "listener", "listener", wire.Errorf("ListenerNotFound", "One or more listeners not found"))
}

func (r *Region) rule(arn *string) (*Rule, error) {
	if x := r.Rules[aws.ToString(arn)]; x != nil {
		return x, nil
	}
	return nil, badARN(arn, "listener rule", "listener-rule", wire.Errorf("RuleNotFound", "One or more rules not found"))
}

// badARN tells what is no ARN of the kind from what is one of something absent.
func badARN(arn *string, noun, kind string, absent error) error {
	if arn == nil || *arn == "" {
		return invalid("A %s ARN must be specified", noun)
	}
	if !strings.Contains(*arn, ":"+kind+"/") {
		return invalid("'%s' is not a valid %s ARN", *arn, noun)
	}
	return absent
}

func sorted[T any](m map[string]*T) []*T {
	var out []*T
	for _, k := range slices.SortedFunc(maps.Keys(m), cmp.Compare[string]) {
		out = append(out, m[k])
	}
	return out
}
