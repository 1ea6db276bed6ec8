// SPDX-License-Identifier: Apache-2.0

// Package running reads from pods that run by which timings they will end.
package running

import (
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/hook"
	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// Read tells the timings by which a pod that runs will end: the shortest preStop
// of the containers on the request path, and the grace. pod is the object as the API
// server gives it, annotations are its workload's, which may name the request path
// and the length of a hook. known is false when a hook's length cannot be told; then
// PreStop is what is sure.
func Read(pod map[string]any, annotations map[string]string) (given drain.Given, known bool, err error) {
	n, err := yaml.FromMap(pod)
	if err != nil {
		return given, false, err
	}
	given, known = drain.Given{GracePeriod: drain.Unwritten().GracePeriod}, true
	spec := node.At(n, "spec")
	if grace, ok := node.Int(spec, "terminationGracePeriodSeconds"); ok {
		given.GracePeriod = drain.Seconds(grace)
	}
	onPath := map[string]bool{}
	for name := range strings.SplitSeq(annotations[node.OwnPrefix+"request-path"], ",") {
		if name = strings.TrimSpace(name); name != "" {
			onPath[name] = true
		}
	}
	shortest := drain.Seconds(-1)
	for _, c := range node.Containers(spec) {
		name := node.Str(c, "name")
		if len(onPath) > 0 && !onPath[name] {
			continue
		}
		h := hook.Read(c)
		for _, key := range []string{"hook-seconds." + name, "hook-seconds"} {
			if stated, err := strconv.Atoi(strings.TrimSuffix(annotations[node.OwnPrefix+key], "s")); err == nil && (!h.Known || h.More) {
				h.Seconds, h.Known, h.More = drain.Seconds(max(0, stated)), true, false
			}
		}
		known = known && h.Known
		if shortest < 0 || h.Seconds < shortest {
			shortest = h.Seconds
		}
	}
	given.PreStop = max(0, shortest)
	return given, known, nil
}

// Hook is how long the preStop of a container lasts at least; 0: it has none, or nobody
// can tell.
func Hook(container map[string]any) drain.Seconds {
	n, err := yaml.FromMap(container)
	if err != nil {
		return 0
	}
	h := hook.Read(n)
	if !h.Known || h.More {
		return 0
	}
	return h.Seconds
}
