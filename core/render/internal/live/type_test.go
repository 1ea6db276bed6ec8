// SPDX-License-Identifier: Apache-2.0

package live

import (
	"fmt"
	"testing"
)

// TestTargetType: what runs tells it, when all of it agrees.
func TestTargetType(t *testing.T) {
	of := func(namespace, service, kind string) Group {
		return Group{Namespace: namespace, Service: service, TargetType: kind}
	}
	for name, tc := range map[string]struct {
		groups []Group
		want   string
	}{
		"none":              {nil, ""},
		"one":               {[]Group{of("default", "web", "ip")}, "ip"},
		"two alike":         {[]Group{of("default", "web", "instance"), of("default", "web", "instance")}, "instance"},
		"two that differ":   {[]Group{of("default", "web", "ip"), of("default", "web", "instance")}, ""},
		"another Service":   {[]Group{of("default", "api", "ip")}, ""},
		"another Namespace": {[]Group{of("shop", "web", "ip")}, ""},
	} {
		g := parse(t, fmt.Sprintf(manifests, delay65))
		if got := (&Facts{Groups: tc.groups}).TargetType(g.Workloads[0].Groups[0]); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
