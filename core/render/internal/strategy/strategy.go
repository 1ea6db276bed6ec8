// SPDX-License-Identifier: Apache-2.0

// Package strategy reads how a workload replaces its pods, as its controller
// does: from the manifest, with defaults and percentages resolved.
package strategy

import (
	"cmp"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// most is what is counted of a surge or of pods away: no cluster has more.
const most = 10_000

// Path is where a kind keeps the limits of its rolling update.
func Path(n *yaml.RNode) []string {
	switch n.GetKind() {
	case "DaemonSet", "StatefulSet":
		return []string{"spec", "updateStrategy", "rollingUpdate"}
	case "Rollout":
		return []string{"spec", "strategy", "canary"}
	}
	return []string{"spec", "strategy", "rollingUpdate"}
}

// At is the place of a limit, and what is written there.
func At(n *yaml.RNode, limit string) (path []string, text string) {
	path = append(Path(n), limit)
	return path, node.Str(n, path...)
}

// Surge resolves maxSurge; what the rules ask for is counted as set. pods is the spec of
// the pods: those that take ports of their node surge only where the author says so.
func Surge(n, pods *yaml.RNode, replicas int) int {
	_, blocked := node.BlockedPorts(pods)
	least, def := 1, "25%"
	switch n.GetKind() {
	case "StatefulSet":
		return 0
	case "DaemonSet":
		def = "0"
		if blocked {
			return 0
		}
	case "Rollout":
		if node.At(n, "spec", "strategy", "blueGreen") != nil {
			return max(1, replicas)
		}
	}
	if blocked {
		least = 0
	}
	_, text := At(n, "maxSurge")
	v, err := node.Resolve(cmp.Or(text, def), replicas, true)
	if err != nil {
		return 1
	}
	return min(max(v, least), most)
}

// Unavailable resolves maxUnavailable: how many pods may be away at once.
func Unavailable(n *yaml.RNode, replicas int) int {
	least, def, up := 0, "25%", false
	switch n.GetKind() {
	case "StatefulSet":
		least, def = 1, "1"
	case "DaemonSet":
		def, up = "1", true
	}
	_, text := At(n, "maxUnavailable")
	v, err := node.Resolve(cmp.Or(text, def), replicas, up)
	if err != nil {
		return least
	}
	return min(max(v, least), most)
}
