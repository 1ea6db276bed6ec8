// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/internal/config"
	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// sayings are the annotations of ours that people write.
var sayings = []string{"set", "on-sigterm", "hook-seconds", "request-path", "balancer", "delay-seconds", "phase", "prune"}

// written are those that a deploy writes: manifests that were read from a cluster have them.
var written = []string{"run", "run-url", "hold", "owed"}

// sayings looks for annotations of ours that nothing reads: their names have a slip.
func (a *Checker) sayings(n *yaml.RNode) {
	a.unread(n, "metadata", "annotations")
	if pods := node.Template(n); pods != nil && pods.YNode() != n.YNode() {
		path := node.TemplatePath(n.GetKind())
		a.unread(n, append(slices.Clone(path[:len(path)-1]), "metadata", "annotations")...)
	}
}

func (a *Checker) unread(on *yaml.RNode, path ...string) {
	annotations := node.Strings(on, path...)
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		name, ours := strings.CutPrefix(key, node.OwnPrefix)
		container, named := strings.CutPrefix(name, "hook-seconds.")
		switch {
		case !ours || slices.Contains(sayings, name) || slices.Contains(written, name) || strings.HasPrefix(name, "ignore."): // that one has a rule of its own
			continue
		case named:
			name = a.stranger(on, container)
		default:
			name = "nothing reads " + key + config.DidYouMean(name, sayings)
		}
		if name != "" {
			a.Find("OL046", on, node.Path(append(slices.Clone(path), key)), name, "correct the name, or leave it out").Severity = drain.Warning
		}
	}
}

// stranger tells of a container that is none of the pods', or "".
func (a *Checker) stranger(n *yaml.RNode, container string) string {
	var names []string
	for _, w := range a.Graph.Workloads {
		if w.RNode.YNode() == n.YNode() || w.Pods.YNode() == n.YNode() {
			for _, c := range node.Containers(w.Spec) {
				names = append(names, node.Str(c, "name"))
			}
		}
	}
	if len(names) == 0 || slices.Contains(names, container) {
		return ""
	}
	return fmt.Sprintf("no container is called %q%s", container, config.DidYouMean(container, names))
}
