// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestRoutingComesFirst: pods that start before their target group is there get no readiness
// gate of it.
func TestRoutingComesFirst(t *testing.T) {
	for _, kind := range []string{
		"Service", "Ingress", "IngressClass", "IngressClassParams", "TargetGroupBinding", "TargetGroupConfiguration", "LoadBalancerConfiguration",
		"Gateway", "GatewayClass", "ListenerSet", "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute",
	} {
		obj := &unstructured.Unstructured{Object: map[string]any{"kind": kind}}
		if got := PhaseOf(obj); got != Routing || got >= Workloads {
			t.Errorf("%s is of phase %d", kind, got)
		}
	}
}
