// SPDX-License-Identifier: Apache-2.0

package ec2

import "fmt"

// flatten splits permissions in rules with exactly one source each, the unit
// in which EC2 counts, adds and revokes.
func flatten(ps []Permission) []Permission {
	var out []Permission
	for _, p := range ps {
		base := Permission{Protocol: protocolName(p.Protocol), FromPort: p.FromPort, ToPort: p.ToPort}
		if base.Protocol == "-1" {
			base.FromPort, base.ToPort = nil, nil
		}
		for _, x := range p.Pairs {
			r := base
			r.Pairs = []Pair{x}
			out = append(out, r)
		}
		for _, x := range p.V4 {
			r := base
			r.V4 = []Range{x}
			out = append(out, r)
		}
		for _, x := range p.V6 {
			r := base
			r.V6 = []Range{x}
			out = append(out, r)
		}
		for _, x := range p.Prefixes {
			r := base
			r.Prefixes = []Range{x}
			out = append(out, r)
		}
	}
	return out
}

// group puts rules of the same protocol and ports together again, as EC2 answers them.
func group(rules []Permission) []Permission {
	var out []Permission
	at := map[string]int{}
	for _, r := range rules {
		key := portsText(r)
		i, ok := at[key]
		if !ok {
			at[key] = len(out)
			out = append(out, r)
			continue
		}
		out[i].Pairs = append(out[i].Pairs, r.Pairs...)
		out[i].V4 = append(out[i].V4, r.V4...)
		out[i].V6 = append(out[i].V6, r.V6...)
		out[i].Prefixes = append(out[i].Prefixes, r.Prefixes...)
	}
	return out
}

// sameRule compares without the descriptions, as EC2 does.
func sameRule(a, b Permission) bool { return ruleText(a) == ruleText(b) }

func portsText(p Permission) string {
	if p.FromPort == nil || p.ToPort == nil {
		return p.Protocol + ", ALL"
	}
	return fmt.Sprintf("%s, from port: %d, to port: %d", p.Protocol, *p.FromPort, *p.ToPort)
}

func ruleText(p Permission) string {
	peer := ""
	for _, x := range p.Pairs {
		peer += "group: " + x.GroupID
	}
	for _, x := range p.V4 {
		peer += x.CIDR
	}
	for _, x := range p.V6 {
		peer += x.CIDR6
	}
	for _, x := range p.Prefixes {
		peer += x.PrefixList
	}
	return fmt.Sprintf("peer: %s, %s, ALLOW", peer, portsText(p))
}

func protocolName(p string) string {
	switch p {
	case "6":
		return "tcp"
	case "17":
		return "udp"
	case "1":
		return "icmp"
	case "all":
		return "-1"
	}
	return p
}
