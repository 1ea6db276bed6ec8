// SPDX-License-Identifier: Apache-2.0

// Package node reads fields of Kubernetes objects kept as YAML nodes, and sets
// them. What is absent, null or of another type reads as nothing: the API
// server is the one to complain about shapes.
package node

import (
	"fmt"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// ID is how messages name an object: Kind/namespace/name.
func ID(n *yaml.RNode) string {
	if ns := n.GetNamespace(); ns != "" {
		return n.GetKind() + "/" + ns + "/" + n.GetName()
	}
	return n.GetKind() + "/" + n.GetName()
}

// Group is the API group: apps of apps/v1, "" of v1.
func Group(n *yaml.RNode) string {
	group, _, ok := strings.Cut(n.GetApiVersion(), "/")
	if !ok {
		return ""
	}
	return group
}

// At gives the node at a path, or nil. A step [name=web] chooses an element.
func At(n *yaml.RNode, path ...string) *yaml.RNode {
	if n == nil {
		return nil
	}
	v, err := n.Pipe(yaml.Lookup(path...))
	if err != nil || v == nil || v.YNode() == nil || v.YNode().Tag == yaml.NodeTagNull {
		return nil
	}
	return v
}

// Str gives the scalar at a path, or "".
func Str(n *yaml.RNode, path ...string) string {
	v := At(n, path...)
	if v == nil || v.YNode().Kind != yaml.ScalarNode {
		return ""
	}
	return v.YNode().Value
}

// Int gives the whole number at a path, and whether there is one.
func Int(n *yaml.RNode, path ...string) (int, bool) {
	v, err := strconv.Atoi(Str(n, path...))
	return v, err == nil
}

// Elements gives the items of the list at a path.
func Elements(n *yaml.RNode, path ...string) []*yaml.RNode {
	list := At(n, path...)
	if list == nil || list.YNode().Kind != yaml.SequenceNode {
		return nil
	}
	items, err := list.Elements()
	if err != nil {
		return nil
	}
	return items
}

// Strings gives the mapping of scalars at a path; never nil.
func Strings(n *yaml.RNode, path ...string) map[string]string {
	out := map[string]string{}
	m := At(n, path...)
	if m == nil || m.YNode().Kind != yaml.MappingNode {
		return out
	}
	content := m.YNode().Content
	for i := 0; i+1 < len(content); i += 2 {
		if v := yaml.NewRNode(content[i+1]).YNode(); v.Kind == yaml.ScalarNode && v.Tag != yaml.NodeTagNull {
			out[content[i].Value] = v.Value
		}
	}
	return out
}

// Annotation gives one annotation of an object, and whether it is there.
func Annotation(n *yaml.RNode, key string) (string, bool) {
	v := At(n, "metadata", "annotations", key)
	if v == nil || v.YNode().Kind != yaml.ScalarNode {
		return "", false
	}
	return v.YNode().Value, true
}

// Template gives the pod template of any kind that runs pods, a Pod being its
// own, or nil.
func Template(n *yaml.RNode) *yaml.RNode {
	switch n.GetKind() {
	case "Pod":
		return n
	case "CronJob":
		return At(n, "spec", "jobTemplate", "spec", "template")
	}
	return At(n, "spec", "template")
}

// TemplatePath is where Template finds the pod's spec.
func TemplatePath(kind string) []string {
	switch kind {
	case "Pod":
		return []string{"spec"}
	case "CronJob":
		return []string{"spec", "jobTemplate", "spec", "template", "spec"}
	}
	return []string{"spec", "template", "spec"}
}

// Containers lists a pod's main containers, which get SIGTERM together.
func Containers(podSpec *yaml.RNode) []*yaml.RNode { return Elements(podSpec, "containers") }

// Sidecars lists the native ones: init containers that live as long as the pod.
// Each gets SIGTERM after the containers that it was started before.
func Sidecars(podSpec *yaml.RNode) (list []*yaml.RNode) {
	for _, c := range Elements(podSpec, "initContainers") {
		if Str(c, "restartPolicy") == "Always" {
			list = append(list, c)
		}
	}
	return list
}

// AllContainers lists every container that a pod ever runs, init ones too.
func AllContainers(podSpec *yaml.RNode) []*yaml.RNode {
	return append(Elements(podSpec, "containers"), Elements(podSpec, "initContainers")...)
}

// Set sets the field at a path, making the mappings above it.
func Set(n *yaml.RNode, value *yaml.RNode, path ...string) error {
	last := len(path) - 1
	parent := n
	if last > 0 {
		var err error
		if parent, err = n.Pipe(yaml.LookupCreate(yaml.MappingNode, path[:last]...)); err != nil {
			return fmt.Errorf("setting %s: %w", Path(path), err)
		}
	}
	if parent.YNode().Kind != yaml.MappingNode {
		return fmt.Errorf("setting %s: %s is no mapping", Path(path), Path(path[:last]))
	}
	if err := parent.PipeE(yaml.SetField(path[last], value)); err != nil {
		return fmt.Errorf("setting %s: %w", Path(path), err)
	}
	return nil
}

// Clear takes the field at a path away.
func Clear(n *yaml.RNode, path ...string) error {
	last := len(path) - 1
	parent := n
	if last > 0 {
		if parent = At(n, path[:last]...); parent == nil {
			return nil
		}
	}
	return parent.PipeE(yaml.Clear(path[last]))
}

// Path prints a path the way findings do: containers[web].lifecycle, and
// annotations[a.b/c], whose keys have dots.
func Path(path []string) string {
	var b strings.Builder
	for i, step := range path {
		switch {
		case strings.HasPrefix(step, "["): // [name=web] or [key=x]
			_, value, _ := strings.Cut(strings.Trim(step, "[]"), "=")
			b.WriteString("[" + value + "]")
		case strings.ContainsAny(step, "./") || i > 0 && isIndex(step):
			b.WriteString("[" + step + "]")
		case i > 0:
			b.WriteString("." + step)
		default:
			b.WriteString(step)
		}
	}
	return b.String()
}

func isIndex(step string) bool { _, err := strconv.Atoi(step); return err == nil }

// Number is a node that holds a whole number.
func Number[T ~int | ~int64](v T) *yaml.RNode {
	return yaml.NewRNode(&yaml.Node{Kind: yaml.ScalarNode, Tag: yaml.NodeTagInt, Value: strconv.FormatInt(int64(v), 10)})
}

// Text is a node that holds a string.
func Text(v string) *yaml.RNode { return yaml.NewStringRNode(v) }

// Map is a node that holds a mapping of the pairs key, value, key, value.
func Map(pairs ...any) *yaml.RNode {
	m := &yaml.Node{Kind: yaml.MappingNode, Tag: yaml.NodeTagMap}
	for i := 0; i+1 < len(pairs); i += 2 {
		m.Content = append(m.Content, yaml.NewStringRNode(pairs[i].(string)).YNode(), pairs[i+1].(*yaml.RNode).YNode())
	}
	return yaml.NewRNode(m)
}

// List is a node that holds a list.
func List(items ...*yaml.RNode) *yaml.RNode {
	l := &yaml.Node{Kind: yaml.SequenceNode, Tag: yaml.NodeTagSeq}
	for _, item := range items {
		l.Content = append(l.Content, item.YNode())
	}
	return yaml.NewRNode(l)
}
