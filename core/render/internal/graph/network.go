// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"fmt"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// network is the target group of a Service of type LoadBalancer: a Network Load
// Balancer of the controller's, or nil.
func (g *Graph) network(svc *yaml.RNode) *TargetGroup {
	if node.Str(svc, "spec", "type") != "LoadBalancer" {
		return nil
	}
	class, kind := node.Str(svc, "spec", "loadBalancerClass"), annotation(svc, NLBPrefix+"type")
	ours := strings.HasSuffix(class, "/nlb") || class == "" && (kind == "external" || kind == "nlb-ip")
	if !ours {
		why := fmt.Sprintf("loadBalancerClass %q is not the AWS Load Balancer Controller's", class)
		if class == "" {
			why = "no loadBalancerClass: unless the controller's webhook sets one, the cloud provider of Kubernetes itself makes the load balancer, and nothing drains it pod by pod"
		}
		g.Unknown = append(g.Unknown, Unknown{svc, "spec.loadBalancerClass", why})
		return nil
	}
	target := annotation(svc, NLBPrefix+"nlb-target-type")
	if kind == "nlb-ip" {
		target = "ip"
	}
	read := func(name string) int { return number(annotation(svc, NLBPrefix+"healthcheck-"+name)) }
	t := &TargetGroup{Maker: ByService, Balancer: balancerOf(drain.NLB, target), Route: svc, Service: svc,
		Type:   TargetType{target, svc, node.Path([]string{"metadata", "annotations", NLBPrefix + "nlb-target-type"})},
		Health: Health{read("interval"), read("timeout"), read("healthy-threshold"), read("unhealthy-threshold"), annotation(svc, NLBPrefix+"healthcheck-path")}}
	key := NLBPrefix + "target-group-attributes"
	for name := range node.Strings(svc, "metadata", "annotations") { // one port may have its own
		if port, ok := strings.CutPrefix(name, key+"."); ok && hasPort(svc, port) {
			t.Attributes.Places = append(t.Attributes.Places, annotationPlace(svc, name))
		}
	}
	t.Attributes.Places = append(t.Attributes.Places, annotationPlace(svc, key))
	return t
}

func hasPort(svc *yaml.RNode, port string) bool {
	for _, p := range node.Elements(svc, "spec", "ports") {
		if node.Str(p, "port") == port {
			return true
		}
	}
	return false
}
