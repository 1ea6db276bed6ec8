// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Resolve reads a number, as Int does, or a percentage of the replicas.
func Resolve(text string, replicas int, up bool) (int, error) {
	percent, ok := strings.CutSuffix(text, "%")
	if !ok {
		n, err := strconv.ParseInt(text, 0, 0)
		return int(n), err
	}
	n, err := strconv.Atoi(percent)
	if err != nil {
		return n, err
	}
	if n < 0 || n > 1_000_000 {
		return 0, fmt.Errorf("%s is no share", text)
	}
	if up {
		return (n*replicas + 99) / 100, nil
	}
	return n * replicas / 100, nil
}

// BlockedPorts tells what ties a pod to its node's ports, for as long as it lives.
func BlockedPorts(spec *yaml.RNode) (field string, blocked bool) {
	if Str(spec, "hostNetwork") == "true" {
		return "hostNetwork", true
	}
	if name, blocked := hostPort(Containers(spec)); blocked {
		return "containers[" + name + "].ports", true
	}
	if name, blocked := hostPort(Sidecars(spec)); blocked {
		return "initContainers[" + name + "].ports", true
	}
	return "", false
}

// hostPort names the first of containers that takes a port of the node.
func hostPort(containers []*yaml.RNode) (name string, found bool) {
	for _, c := range containers {
		for _, p := range Elements(c, "ports") {
			if n, ok := Int(p, "hostPort"); ok && n > 0 {
				return Str(c, "name"), true
			}
		}
	}
	return "", false
}

// ImageName cuts tag and digest off an image.
func ImageName(image string) string {
	name, _, _ := strings.Cut(image, "@")
	if slash, colon := strings.LastIndex(name, "/"), strings.LastIndex(name, ":"); colon > slash {
		name = name[:colon]
	}
	return name
}

// Older compares versions such as 1.29, v1.29.3 or v1.30.4-eks-1 by their first
// two numbers. What is no version is not older.
func Older(a, b string) bool {
	x, ok1 := version(a)
	y, ok2 := version(b)
	return ok1 && ok2 && (x[0] < y[0] || x[0] == y[0] && x[1] < y[1])
}

// IsVersion tells whether Older can compare it.
func IsVersion(text string) bool { _, ok := version(text); return ok }

func version(text string) (v [2]int, ok bool) {
	parts := strings.Split(strings.TrimPrefix(text, "v"), ".")
	if len(parts) < 2 {
		return v, false
	}
	for i := range v {
		n, err := strconv.Atoi(parts[i])
		if err != nil {
			return v, false
		}
		v[i] = n
	}
	return v, true
}
