// SPDX-License-Identifier: Apache-2.0

// Package region derives from a region's name what AWS derives from it: the
// partition, the DNS suffix, and from these names and ARNs. A region goes in,
// a string comes out; nothing else in the lab spells a partition or a suffix.
package region

import "strings"

// Partition returns the partition that a region belongs to. An unknown region
// is of the commercial partition, as in the SDKs.
func Partition(name string) string {
	switch {
	case strings.HasPrefix(name, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(name, "us-gov-"):
		return "aws-us-gov"
	case strings.HasPrefix(name, "us-iso-"):
		return "aws-iso"
	case strings.HasPrefix(name, "us-isob-"):
		return "aws-iso-b"
	}
	return "aws"
}

// DNSSuffix returns what the public host names of a region's services end in.
func DNSSuffix(name string) string {
	switch Partition(name) {
	case "aws-cn":
		return "amazonaws.com.cn"
	case "aws-iso":
		return "c2s.ic.gov"
	case "aws-iso-b":
		return "sc2s.sgov.gov"
	}
	return "amazonaws.com"
}

// ARN builds the ARN of a resource. For IAM, which has no region, pass the
// region all the same: it only tells the partition.
func ARN(service, name, account, resource string) string {
	in := name
	if service == "iam" || service == "sts" {
		in = ""
	}
	return "arn:" + Partition(name) + ":" + service + ":" + in + ":" + account + ":" + resource
}

// STSHost returns the region's public STS host: the only one an EKS cluster
// accepts in a token.
func STSHost(name string) string { return "sts." + name + "." + DNSSuffix(name) }

// RegistryHost returns the host that a real account's registry would have.
func RegistryHost(name, account string) string {
	return account + ".dkr.ecr." + name + "." + DNSSuffix(name)
}
