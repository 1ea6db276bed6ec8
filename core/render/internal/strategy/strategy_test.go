// SPDX-License-Identifier: Apache-2.0

package strategy

import (
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// TestSurge: with defaults, rounded up.
func TestSurge(t *testing.T) {
	for text, want := range map[string]int{
		"kind: Deployment": 3, // 25 % of 10, rounded up
		"{kind: Deployment, spec: {strategy: {rollingUpdate: {maxSurge: 2}}}}":     2,
		"{kind: Deployment, spec: {strategy: {rollingUpdate: {maxSurge: 100%}}}}":  10,
		"{kind: Deployment, spec: {strategy: {rollingUpdate: {maxSurge: 0}}}}":     1, // which is asked for
		"{kind: Deployment, spec: {strategy: {rollingUpdate: {maxSurge: odd}}}}":   1,
		"{kind: Deployment, spec: {strategy: {rollingUpdate: {maxSurge: 99999}}}}": 10_000,
		"kind: StatefulSet": 0,
		"kind: DaemonSet":   1,
		"{kind: DaemonSet, spec: {updateStrategy: {rollingUpdate: {maxSurge: 3}}}}":                                   3,
		"{kind: DaemonSet, spec: {template: {spec: {hostNetwork: true}}}}":                                            0,
		"{kind: Deployment, spec: {template: {spec: {hostNetwork: true}}, strategy: {rollingUpdate: {maxSurge: 0}}}}": 0,
		"{kind: Deployment, spec: {template: {spec: {hostNetwork: true}}}}":                                           3,
		"{kind: Rollout, spec: {strategy: {canary: {maxSurge: 4}}}}":                                                  4,
		"{kind: Rollout, spec: {strategy: {blueGreen: {}}}}":                                                          10,
	} {
		n := yaml.MustParse(text)
		if got := Surge(n, node.At(n, "spec", "template", "spec"), 10); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

// TestUnavailable: with the defaults and the rounding of each kind.
func TestUnavailable(t *testing.T) {
	for text, want := range map[string]int{
		"kind: Deployment": 2, // 25 % of 10, rounded down
		"{kind: Deployment, spec: {strategy: {rollingUpdate: {maxUnavailable: 0}}}}":     0,
		"{kind: Deployment, spec: {strategy: {rollingUpdate: {maxUnavailable: odd}}}}":   0,
		"{kind: Deployment, spec: {strategy: {rollingUpdate: {maxUnavailable: 99999}}}}": 10_000,
		"{kind: Rollout, spec: {strategy: {canary: {maxUnavailable: 3}}}}":               3,
		"kind: StatefulSet": 1,
		"{kind: StatefulSet, spec: {updateStrategy: {rollingUpdate: {maxUnavailable: 1%}}}}":  1,
		"{kind: StatefulSet, spec: {updateStrategy: {rollingUpdate: {maxUnavailable: 55%}}}}": 5,
		"kind: DaemonSet": 1,
		"{kind: DaemonSet, spec: {updateStrategy: {rollingUpdate: {maxUnavailable: 55%}}}}": 6,
	} {
		if got := Unavailable(yaml.MustParse(text), 10); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}
