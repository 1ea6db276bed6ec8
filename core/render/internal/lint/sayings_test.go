// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
)

// TestUnread: an annotation of ours that nothing reads, with the name that was meant.
func TestUnread(t *testing.T) {
	const top, pods = "metadata.annotations", "spec.template.metadata.annotations"
	for name, tc := range map[string]struct{ object, of, want string }{
		"all that are read":          {top, "outlast/set: R=1, outlast/on-sigterm: abrupt, outlast/hook-seconds: '1', outlast/hook-seconds.web: '1', outlast/request-path: web, outlast/balancer: alb, outlast/delay-seconds: '1', outlast/ignore.OL001: x, outlast/ignore.OL999: x, outlast/phase: pre, outlast/prune: disabled, outlast/run: x, other/x: y", ""},
		"a slip":                     {top, "outlast/hook-second: '1'", `metadata.annotations[outlast/hook-second]: nothing reads outlast/hook-second: did you mean "hook-seconds"?`},
		"nothing near":               {top, "outlast/x: '1'", "metadata.annotations[outlast/x]: nothing reads outlast/x: known are set, on-sigterm, "},
		"a container that is none":   {top, "outlast/hook-seconds.wbe: '1'", `metadata.annotations[outlast/hook-seconds.wbe]: no container is called "wbe": did you mean "web"?`},
		"on the pods":                {pods, "outlast/hook-seconds.web: '1'", ""},
		"a slip on the pods":         {pods, "outlast/hook-secs.web: '1'", "spec.template.metadata.annotations[outlast/hook-secs.web]: nothing reads outlast/hook-secs.web: "},
		"a stranger on the pods":     {pods, "outlast/hook-seconds.api: '1'", `spec.template.metadata.annotations[outlast/hook-seconds.api]: no container is called "api": `},
		"a slip on any other object": {"", "outlast/prunes: x", `metadata.annotations[outlast/prunes]: nothing reads outlast/prunes: did you mean "prune"?`},
	} {
		text := map[string]string{
			top:  "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, annotations: {" + tc.of + "}}, spec: {template: {spec: {containers: [{name: web}]}}}}",
			pods: "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {template: {metadata: {annotations: {" + tc.of + "}}, spec: {containers: [{name: web}]}}}}",
			"":   "{apiVersion: v1, kind: ConfigMap, metadata: {name: web, annotations: {" + tc.of + "}}}",
		}[tc.object]
		c := &Checker{List: &problem.List{}, Graph: graph.New([]*yaml.RNode{yaml.MustParse(text)})}
		c.Objects()
		var got []string
		for _, p := range c.All {
			if p.Rule == "OL046" && p.Severity == "warning" {
				got = append(got, p.Field+": "+p.Message)
			}
		}
		if all := strings.Join(got, "|"); (all == "") != (tc.want == "") || !strings.HasPrefix(all, tc.want) || len(got) > 1 {
			t.Errorf("%s: %q, want %q", name, all, tc.want)
		}
	}
}
