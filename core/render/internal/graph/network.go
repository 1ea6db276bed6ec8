// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/attribute"
	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// network gives the target groups of a Service that has a Network Load Balancer of
// the controller's: one for each port, which may have attributes of its own.
func (g *Graph) network(svc *yaml.RNode) (groups []*TargetGroup) {
	class, kind, target := node.Str(svc, "spec", "loadBalancerClass"), annotation(svc, NLBPrefix+"type"), annotation(svc, NLBPrefix+"nlb-target-type")
	if ours := strings.HasSuffix(class, "/nlb") || class == "" && (kind == "nlb-ip" || kind == "external" && target != ""); !ours {
		why := fmt.Sprintf("loadBalancerClass %q is not the AWS Load Balancer Controller's", class)
		switch {
		case node.Str(svc, "spec", "type") != "LoadBalancer":
			return nil
		case class == "" && kind == "external":
			why = "the AWS Load Balancer Controller takes type external only with " + NLBPrefix + "nlb-target-type, or a loadBalancerClass"
		case class == "":
			why = "no loadBalancerClass: unless the controller's webhook sets one, the cloud provider of Kubernetes itself makes the load balancer, and nothing drains it pod by pod"
		}
		g.Unknown = append(g.Unknown, Unknown{svc, "spec.loadBalancerClass", why})
		return nil
	}
	if kind == "nlb-ip" {
		target = "ip"
	}
	read := func(name string) int {
		name = NLBPrefix + "healthcheck-" + name
		return g.number(annotation(svc, name), svc, annotationPath(name))
	}
	key := NLBPrefix + "target-group-attributes"
	add := func(port string, places ...attribute.Place) {
		groups = append(groups, &TargetGroup{Maker: ByService, Balancer: balancerOf(drain.NLB, target), Route: svc, Service: svc, Port: port,
			Auto:   strings.HasPrefix(class, autoGroup+"/"),
			Type:   Written{target, svc, node.Path([]string{"metadata", "annotations", NLBPrefix + "nlb-target-type"})},
			Shared: Written{annotation(svc, NLBPrefix+multiCluster), svc, annotationPath(NLBPrefix + multiCluster)},
			Health: Health{read("interval"), read("timeout"), read("healthy-threshold"), read("unhealthy-threshold"), annotation(svc, NLBPrefix+"healthcheck-path")},

			Attributes: attribute.Set{Places: append(places, attribute.Annotation(svc, key))}})
	}
	ports := map[string]bool{}
	for _, p := range node.Elements(svc, "spec", "ports") {
		ports[node.Str(p, "port")] = true
	}
	for _, port := range slices.Sorted(maps.Keys(ports)) {
		var own []attribute.Place
		if _, ok := node.Annotation(svc, key+"."+port); ok {
			own = []attribute.Place{attribute.Annotation(svc, key+"."+port)}
		}
		if len(ports) == 1 {
			port = ""
		}
		add(port, own...)
	}
	return groups
}
