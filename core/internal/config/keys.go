// SPDX-License-Identifier: Apache-2.0

package config

import "slices"

// Key is one key of outlast.yaml that is no plain value of the table of inputs,
// or one of an image. The reader and the JSON Schema are made from these lists.
type Key struct {
	Name     string
	Shape    Shape
	Required bool // there, and not empty
	Doc      string
}

// Shape is what stands below a key.
type Shape string

// The shapes.
const (
	Plain            Shape = "plain value"
	PlainMap         Shape = "mapping of plain values"
	SymbolMap        Shape = "mapping of drain symbols"
	ImageList        Shape = "list of images"
	EnvironmentMap   Shape = "mapping of environments"
	BranchPatternSeq Shape = "list of branch patterns"
	ClusterList      Shape = "list of clusters"
	NameList         Shape = "list of names"
)

// setKey holds symbols of the drain formulas, at the top and in an environment.
const setKey = "drain.set"

// alarmsKey lists CloudWatch alarms, at the top and in an environment.
const alarmsKey = "gate.alarms"

var gateAlarms = Key{alarmsKey, NameList, false, "CloudWatch alarms, metric or composite: one that goes to ALARM after the rollout began fails the gate. Those of an environment stand in for those at the top."}

var drainSet = Key{setKey, SymbolMap, false, "Symbols of the drain formulas, in seconds or as 1m30s; counts are whole numbers."}

// FileKeys are the structured keys at the top.
func FileKeys() []Key {
	return []Key{
		{"images", ImageList, false, "Images to build and push."},
		{"environments", EnvironmentMap, false, "Places to deploy to, by name."},
		drainSet, gateAlarms,
	}
}

// EnvironmentKeys are the structured keys of an environment.
func EnvironmentKeys() []Key {
	return []Key{
		{"branches", BranchPatternSeq, false, "Branches that deploy here: glob patterns, in which * stops at a slash."},
		{"clusters", ClusterList, false, "Clusters that a deploy rolls through, one after another, until one fails; each needs clusterName, kubeContext or kubeconfig. Unset: the one that the environment's own keys name."},
		drainSet, gateAlarms,
	}
}

// ImageKeys are the keys of an image.
func ImageKeys() []Key {
	return []Key{
		{"name", Plain, true, "Name of the image, as the manifests spell it."},
		{"context", Plain, false, "Build context, relative to outlast.yaml. Unset: its folder."},
		{"dockerfile", Plain, false, "Dockerfile, relative to the context. Unset: Dockerfile."},
		{"target", Plain, false, "Build stage. Unset: the last one."},
		{"platform", Plain, false, "Platform, e.g. linux/arm64. Unset: the builder's own."},
		{"repository", Plain, false, "ECR repository, or registry/path of another registry. Unset: the name."},
		{"args", PlainMap, false, "Build arguments."},
	}
}

// ClusterKeys are the keys of one of several clusters: what selects it, no more.
func ClusterKeys() []Key {
	return []Key{
		{"clusterName", Plain, false, "EKS cluster."},
		{"region", Plain, false, "Its AWS region. Unset: the environment's."},
		{"roleArn", Plain, false, "AWS role to become for it. Unset: the environment's."},
		{"chainRoleArn", Plain, false, "Second AWS role, assumed by the first. Unset: the environment's."},
		{"externalId", Plain, false, "External id for the role that is assumed last. Unset: the environment's."},
		{"profile", Plain, false, "AWS profile. Unset: the environment's."},
		{"kubeconfig", Plain, false, "Kubeconfig file, when clusterName is unset. Unset: the environment's."},
		{"kubeContext", Plain, false, "Context of the kubeconfig."},
	}
}

// ClusterSelectors are those of which a cluster needs one.
func ClusterSelectors() []string { return slices.Clone(selectors) }

func names(keys []Key) (all []string) {
	for _, k := range keys {
		all = append(all, k.Name)
	}
	return all
}
