// SPDX-License-Identifier: Apache-2.0

package ec2

import (
	"slices"

	"github.com/outlast-ci/outlast/lab/internal/cloud/region"
	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// maxRules is AWS's default quota of ingress rules in a security group.
const maxRules = 60

type tagSpecification struct {
	ResourceType string
	Tags         []Tag `query:"Tag"`
}

type createSecurityGroupInput struct {
	GroupName        string
	GroupDescription string
	VPC              string             `query:"VpcId"`
	Specs            []tagSpecification `query:"TagSpecification"`
}

type createSecurityGroupOutput struct {
	ID   string `xml:"groupId"`
	ARN  string `xml:"securityGroupArn"`
	Tags []Tag  `xml:"tagSet>item"`
}

func createSecurityGroup(r *Region, c wire.Call, in *createSecurityGroupInput) (any, error) {
	if in.GroupName == "" || in.GroupDescription == "" {
		return nil, wire.Errorf("MissingParameter", "The request must contain the parameters GroupName and GroupDescription")
	}
	if in.VPC != "" && r.VPCs[in.VPC] == nil {
		return nil, wire.Errorf("InvalidVpcID.NotFound", "The vpc ID '%s' does not exist", in.VPC)
	}
	if in.VPC == "" {
		return nil, wire.Errorf("VPCIdNotSpecified", "No default VPC for this user")
	}
	for _, g := range r.SecurityGroups {
		if g.VPC == in.VPC && g.Name == in.GroupName {
			return nil, wire.Errorf("InvalidGroup.Duplicate", "The security group '%s' already exists for VPC '%s'", in.GroupName, in.VPC)
		}
	}
	id := "sg-" + wire.Hex(17)
	g := &SecurityGroup{
		ID: id, ARN: region.ARN("ec2", c.Region, c.Account, "security-group/"+id), Owner: c.Account, Name: in.GroupName,
		Description: in.GroupDescription, VPC: in.VPC,
		Egress: []Permission{{Protocol: "-1", V4: []Range{{CIDR: "0.0.0.0/0"}}}},
	}
	for _, s := range in.Specs {
		if s.ResourceType != "security-group" {
			return nil, wire.Errorf("InvalidParameterValue", "'%s' is not a valid taggable resource type for this operation.", s.ResourceType)
		}
		g.Tags = merge(g.Tags, s.Tags)
	}
	r.SecurityGroups[id] = g
	return createSecurityGroupOutput{ID: id, ARN: g.ARN, Tags: g.Tags}, nil
}

type groupInput struct {
	GroupID     string       `query:"GroupId"`
	Permissions []Permission `query:"IpPermissions"`
}

func (r *Region) group(id string) (*SecurityGroup, error) {
	if g := r.SecurityGroups[id]; g != nil {
		return g, nil
	}
	return nil, wire.Errorf("InvalidGroup.NotFound", "The security group '%s' does not exist", id)
}

func (a API) deleteSecurityGroup(r *Region, c wire.Call, in *groupInput) (any, error) {
	g, err := r.group(in.GroupID)
	if err != nil {
		return nil, err
	}
	user := ""
	if a.GroupInUse != nil {
		user = a.GroupInUse(c.Region, g.ID)
	}
	for _, n := range r.Interfaces {
		if slices.ContainsFunc(n.Groups, func(x Group) bool { return x.ID == g.ID }) {
			user = n.ID
		}
	}
	for _, other := range r.SecurityGroups {
		if other.ID != g.ID && refersTo(other.Ingress, g.ID) {
			user = other.ID
		}
	}
	if user != "" {
		return nil, wire.Errorf("DependencyViolation", "resource %s has a dependent object", g.ID)
	}
	delete(r.SecurityGroups, g.ID)
	return nil, nil
}

func refersTo(ps []Permission, group string) bool {
	return slices.ContainsFunc(ps, func(p Permission) bool {
		return slices.ContainsFunc(p.Pairs, func(x Pair) bool { return x.GroupID == group })
	})
}

func authorize(r *Region, c wire.Call, in *groupInput) (any, error) {
	g, err := r.group(in.GroupID)
	if err != nil {
		return nil, err
	}
	if len(in.Permissions) == 0 {
		return nil, wire.Errorf("MissingParameter", "The request must contain the parameter IpPermissions")
	}
	rules := flatten(g.Ingress)
	for _, p := range flatten(in.Permissions) {
		for i, pair := range p.Pairs {
			if _, err := r.group(pair.GroupID); err != nil {
				return nil, err
			}
			p.Pairs[i].UserID = c.Account
		}
		if i := slices.IndexFunc(rules, func(have Permission) bool { return sameRule(have, p) }); i >= 0 {
			return nil, wire.Errorf("InvalidPermission.Duplicate", "the specified rule \"%s\" already exists", ruleText(p))
		}
		rules = append(rules, p)
	}
	if len(rules) > maxRules {
		return nil, wire.Errorf("RulesPerSecurityGroupLimitExceeded", "The maximum number of rules per security group has been reached.")
	}
	g.Ingress = group(rules)
	return nil, nil
}

func revoke(r *Region, _ wire.Call, in *groupInput) (any, error) {
	g, err := r.group(in.GroupID)
	if err != nil {
		return nil, err
	}
	rules := flatten(g.Ingress)
	for _, p := range flatten(in.Permissions) {
		i := slices.IndexFunc(rules, func(have Permission) bool { return sameRule(have, p) })
		if i < 0 {
			return nil, wire.Errorf("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
		}
		rules = slices.Delete(rules, i, i+1)
	}
	g.Ingress = group(rules)
	return nil, nil
}
