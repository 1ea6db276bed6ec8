// SPDX-License-Identifier: Apache-2.0

package timing

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/hook"
	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// readHooks reads the containers on the request path: all main containers, or
// those that the author names. Native sidecars get SIGTERM after the main
// containers have ended and need no hook.
func (a *Analysis) readHooks(s *Subject) (hooks []hook.Hook) {
	onPath, limited := node.Annotation(s.RNode, node.OwnPrefix+"request-path")
	var missing []string // of the names
	for name := range strings.SplitSeq(onPath, ",") {
		missing = append(missing, strings.TrimSpace(name))
	}
	prefix := append(append([]string{}, node.TemplatePath(s.Pods.GetKind())...), "containers")
	containers := node.Containers(s.Spec)
	for i, c := range containers {
		name := node.Str(c, "name")
		if at := slices.Index(missing, name); limited && at < 0 {
			continue
		} else if limited {
			missing = slices.Delete(missing, at, at+1)
		}
		step := "[name=" + name + "]"
		if name == "" {
			step = strconv.Itoa(i)
		}
		h := hook.Read(c)
		h.Name, h.Path = name, append(append([]string{}, prefix...), step, "lifecycle", "preStop")
		a.state(s, &h, len(containers) == 1)
		hooks = append(hooks, h)
	}
	if limited && len(missing) > 0 {
		a.Find("OL046", s.RNode, node.Path([]string{"metadata", "annotations", node.OwnPrefix + "request-path"}), fmt.Sprintf("no container is called %q", strings.Join(missing, ", ")), "name the containers that requests pass through, with commas between them")
	}
	for _, c := range node.Sidecars(s.Spec) {
		if h := hook.Read(c); h.Written && h.Known {
			h.Name, h.Sidecar = node.Str(c, "name"), true
			hooks = append(hooks, h)
		}
	}
	return hooks
}

// state takes the author's word for how long a hook takes that is not just a
// sleep. Of a container without a hook it counts when it is meant: by its name, or as
// the only one.
func (a *Analysis) state(s *Subject, h *hook.Hook, alone bool) {
	if h.Written && h.Known && !h.More {
		return
	}
	for _, key := range []string{"hook-seconds." + h.Name, "hook-seconds"} {
		text, ok := a.hookAnnotation(s, key)
		if !ok || key == "hook-seconds" && !h.Written && !alone {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSuffix(text, "s"))
		if err != nil || n < 0 {
			a.Find("OL046", s.RNode, node.Path([]string{"metadata", "annotations", node.OwnPrefix + key}), fmt.Sprintf("%q is no whole number of seconds", text), "write how long the hook takes, e.g. 45")
			return
		}
		h.Seconds, h.Known, h.Stated = drain.Seconds(min(n, 86_400)), true, true
		return
	}
}

// hookAnnotation looks on the workload first, and then on its pods.
func (a *Analysis) hookAnnotation(s *Subject, key string) (string, bool) {
	for _, n := range []*yaml.RNode{s.RNode, node.Template(s.Pods)} {
		if n == nil {
			continue
		}
		if v, ok := node.Annotation(n, node.OwnPrefix+key); ok {
			return v, true
		}
	}
	return "", false
}
