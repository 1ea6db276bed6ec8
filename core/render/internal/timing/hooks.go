// SPDX-License-Identifier: Apache-2.0

package timing

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/hook"
	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// readHooks reads the containers on the request path: all main containers, or
// those that the author names. Native sidecars get SIGTERM after the main
// containers have ended and need no hook.
func (a *Analysis) readHooks(s *Subject) (hooks []hook.Hook) {
	onPath, limited := node.Annotation(s.RNode, graph.OwnPrefix+"request-path")
	var names []string
	for name := range strings.SplitSeq(onPath, ",") {
		names = append(names, strings.TrimSpace(name))
	}
	prefix := append(append([]string{}, node.TemplatePath(s.Pods.GetKind())...), "containers")
	found := 0
	for i, c := range node.Containers(s.Spec) {
		name := node.Str(c, "name")
		if limited && !slices.Contains(names, name) {
			continue
		}
		found++
		step := "[name=" + name + "]"
		if name == "" {
			step = strconv.Itoa(i)
		}
		h := hook.Read(c)
		h.Name, h.Path = name, append(append([]string{}, prefix...), step, "lifecycle", "preStop")
		for _, key := range []string{"hook-seconds." + name, "hook-seconds"} {
			text, ok := a.hookAnnotation(s, key)
			if !ok {
				continue
			}
			n, err := strconv.Atoi(strings.TrimSuffix(text, "s"))
			if err != nil || n < 0 {
				a.Find("OL046", s.RNode, node.Path([]string{"metadata", "annotations", graph.OwnPrefix + key}), fmt.Sprintf("%q is no whole number of seconds", text), "write how long the hook takes, e.g. 45")
				break
			}
			h.Seconds, h.Known, h.Stated = drain.Seconds(min(n, 86_400)), true, true
			break
		}
		hooks = append(hooks, h)
	}
	for _, c := range node.Sidecars(s.Spec) {
		if h := hook.Read(c); h.Written && h.Known {
			h.Name, h.Sidecar = node.Str(c, "name"), true
			hooks = append(hooks, h)
		}
	}
	if limited && found == 0 {
		a.Find("OL046", s.RNode, node.Path([]string{"metadata", "annotations", graph.OwnPrefix + "request-path"}), fmt.Sprintf("no container is called %q", onPath), "name the containers that requests pass through, with commas between them")
	}
	return hooks
}

// hookAnnotation looks on the workload first, and then on its pods.
func (a *Analysis) hookAnnotation(s *Subject, key string) (string, bool) {
	for _, n := range []*yaml.RNode{s.RNode, node.Template(s.Pods)} {
		if n == nil {
			continue
		}
		if v, ok := node.Annotation(n, graph.OwnPrefix+key); ok {
			return v, true
		}
	}
	return "", false
}
