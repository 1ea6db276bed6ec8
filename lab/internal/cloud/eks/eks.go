// SPDX-License-Identifier: Apache-2.0

// Package eks is the part of the EKS API that finds a cluster. A method and a
// path go in, the JSON answer comes out.
package eks

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"github.com/outlast-ci/outlast/lab/internal/cloud/region"
	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// Cluster is a cluster as its region knows it.
type Cluster struct {
	Name, Endpoint, Version string
	CA                      string // PEM
	VPC                     string
	Subnets                 []string
	SecurityGroup           string
	Created                 float64 // seconds since 1970, as the API spells times
}

// Operation names what a request asks for, "" when it is nothing the lab has.
func Operation(r *http.Request) (name, cluster string) {
	if r.Method != http.MethodGet {
		return "", ""
	}
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/clusters")
	switch {
	case !ok:
		return "", ""
	case rest == "" || rest == "/":
		return "ListClusters", ""
	case strings.Count(rest, "/") == 1:
		cluster, err := url.PathUnescape(rest[1:])
		if err != nil {
			return "", ""
		}
		return "DescribeCluster", cluster
	}
	return "", ""
}

// Answer runs an operation on the clusters of the region.
func Answer(c wire.Call, clusters map[string]Cluster, name string) (any, error) {
	if c.Operation == "ListClusters" {
		names := []string{}
		for n := range clusters {
			names = append(names, n)
		}
		return map[string]any{"clusters": names}, nil
	}
	x, ok := clusters[name]
	if !ok {
		return nil, wire.Errorf("ResourceNotFoundException", "No cluster found for name: %s.", name).WithStatus(http.StatusNotFound)
	}
	return map[string]any{"cluster": map[string]any{
		"name": x.Name, "arn": region.ARN("eks", c.Region, c.Account, "cluster/"+x.Name), "createdAt": x.Created, "version": x.Version,
		"endpoint": x.Endpoint, "status": "ACTIVE", "platformVersion": "eks.1",
		"roleArn":              region.ARN("iam", c.Region, c.Account, "role/"+x.Name+"-cluster"),
		"certificateAuthority": map[string]any{"data": base64.StdEncoding.EncodeToString([]byte(x.CA))},
		"resourcesVpcConfig": map[string]any{"vpcId": x.VPC, "subnetIds": x.Subnets, "securityGroupIds": []string{},
			"clusterSecurityGroupId": x.SecurityGroup, "endpointPublicAccess": true, "endpointPrivateAccess": false, "publicAccessCidrs": []string{"0.0.0.0/0"}},
		"accessConfig": map[string]any{"authenticationMode": "API"},
		"tags":         map[string]string{},
	}}, nil
}
