// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// backends looks for Services that a balancer sends to and that have no pods here, or
// none with the port that they name.
func (a *Checker) backends() {
	pods := map[*yaml.RNode][]*yaml.RNode{} // their specs, by Service
	for _, w := range a.Graph.Workloads {
		for _, svc := range w.Services {
			pods[svc] = append(pods[svc], w.Spec)
		}
	}
	for _, s := range a.Graph.Strays {
		pods[s.Service] = append(pods[s.Service], node.At(s.Object, node.TemplatePath(s.Object.GetKind())...))
	}
	seen := map[*yaml.RNode]bool{}
	for _, t := range a.Graph.Targets {
		switch {
		case seen[t.Service]:
		case len(pods[t.Service]) == 0:
			a.deserted(t)
		default:
			a.portNames(t, pods[t.Service])
		}
		seen[t.Service] = true
	}
}

// deserted tells of a Service that selects no pods here.
func (a *Checker) deserted(t *graph.TargetGroup) {
	var terms []string
	labels := node.Strings(t.Service, "spec", "selector")
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		terms = append(terms, key+"="+labels[key])
	}
	why := "it has no selector"
	if len(terms) > 0 {
		why = "its selector (" + strings.Join(terms, ", ") + ") matches no pods of these manifests"
	}
	a.Find("OL052", t.Service, "spec.selector", fmt.Sprintf("%s sends to this Service, but %s: the pods behind it are not seen here, and if there are none, the balancer answers 503", node.ID(t.Route), why),
		"correct the selector or the labels of the pods, or put the workload among the manifests")
}

// portNames looks for a targetPort that is the name of no container's port.
func (a *Checker) portNames(t *graph.TargetGroup, pods []*yaml.RNode) {
	var names []string
	for _, spec := range pods {
		for _, c := range node.AllContainers(spec) {
			for _, p := range node.Elements(c, "ports") {
				names = append(names, node.Str(p, "name"))
			}
		}
	}
	for i, p := range node.Elements(t.Service, "spec", "ports") {
		name := node.Str(p, "targetPort")
		if _, err := strconv.Atoi(name); name != "" && err != nil && !slices.Contains(names, name) {
			a.Find("OL052", t.Service, node.Path([]string{"spec", "ports", strconv.Itoa(i), "targetPort"}), fmt.Sprintf("no container of the pods has a port called %s: the Service has no endpoints for it, and the balancer answers 503", name),
				"correct the name, or write the number of the port")
		}
	}
}
