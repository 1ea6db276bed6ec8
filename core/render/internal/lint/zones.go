// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"fmt"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/selector"
)

// zoneKeys are the labels that tell a node's zone.
var zoneKeys = []string{"topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone", "topology.k8s.aws/zone-id"}

func ofZones(term *yaml.RNode) bool { return slices.Contains(zoneKeys, node.Str(term, "topologyKey")) }

// zones looks for a zone that has no pod, and for pods that may all be in one. How many
// zones there are, a constraint says (minDomains) or the cluster's nodes do.
func (a *Checker) zones(w *graph.Workload, least int) {
	if w.GetKind() == "DaemonSet" || least < 2 {
		return
	}
	field := node.Path(node.TemplatePath(w.Pods.GetKind())) + ".topologySpreadConstraints"
	spread, zones, basis := separated(w.Spec), a.Zones, "the cluster's nodes are in"
	for _, c := range node.Elements(w.Spec, "topologySpreadConstraints") {
		if !ofZones(c) {
			continue
		}
		spread = true
		if !selector.Of(node.At(c, "labelSelector")).Matches(w.Labels()) {
			a.Find("OL055", w.Pods, field, "the labelSelector of the constraint does not match the pods themselves: it counts others, and spreads nothing over the zones", "give it the labels of the pod template")
		}
		if n, ok := node.Int(c, "minDomains"); ok && n > zones {
			zones, basis = n, "the constraint wants (minDomains)"
		}
	}
	switch {
	case zones > least:
		a.Find("OL055", w.RNode, "spec.replicas", fmt.Sprintf("as few as %d pods for the %d zones that %s: %d have none; requests that enter there cross to another zone, or are answered with 503 where cross-zone balancing is off", least, zones, basis, zones-least),
			fmt.Sprintf("run at least %d, or live with traffic between zones", zones))
	case zones > 1 && !spread:
		a.Find("OL055", w.Pods, field, fmt.Sprintf("nothing says that the pods have to be in several of the %d zones that %s: the scheduler only prefers it, and the loss of one zone may take all of them", zones, basis),
			"add a topologySpreadConstraint of topology.kubernetes.io/zone with maxSkew 1")
	}
}

// separated tells whether pods keep away from their like in the same zone.
func separated(spec *yaml.RNode) bool {
	anti := node.At(spec, "affinity", "podAntiAffinity")
	return slices.ContainsFunc(node.Elements(anti, "requiredDuringSchedulingIgnoredDuringExecution"), ofZones) ||
		slices.ContainsFunc(node.Elements(anti, "preferredDuringSchedulingIgnoredDuringExecution"), func(t *yaml.RNode) bool { return ofZones(node.At(t, "podAffinityTerm")) })
}
