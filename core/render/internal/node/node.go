// SPDX-License-Identifier: Apache-2.0

// Package node reads fields of Kubernetes objects kept as YAML nodes, and sets
// them. What is absent, null or of another type reads as nothing: the API
// server is the one to complain about shapes.
package node

import (
	"cmp"
	"errors"
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

// Namespace is where an object of a namespaced kind goes: default, when it does not say.
func Namespace(n *yaml.RNode) string { return cmp.Or(n.GetNamespace(), DefaultNamespace) }

// DefaultNamespace is where objects go that name none.
const DefaultNamespace = "default"

// OwnPrefix starts the keys of our own annotations.
const OwnPrefix = "outlast/"

// Identity tells an object from all others: ID does not say the API group.
func Identity(n *yaml.RNode) string { return Group(n) + "/" + ID(n) }

// Group is the API group: apps of apps/v1, "" of v1.
func Group(n *yaml.RNode) string {
	group, _, ok := strings.Cut(n.GetApiVersion(), "/")
	if !ok {
		return ""
	}
	return group
}

// At gives the node at a path, or nil. A step is a key, [name=web] for the element of a
// list that has that, or an index.
func At(n *yaml.RNode, path ...string) *yaml.RNode {
	if n == nil {
		return nil
	}
	at := n.YNode()
	for _, step := range path {
		if at = child(at, step); at == nil {
			return nil
		}
	}
	if at == nil || at.Tag == yaml.NodeTagNull {
		return nil
	}
	return yaml.NewRNode(at)
}

// child goes one step down, through aliases, or gives nil.
func child(n *yaml.Node, step string) *yaml.Node {
	if n = target(n); n == nil {
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return target(n.Content[i+1])
			}
		}
	case yaml.SequenceNode:
		key, value, named := pair(step)
		index, err := strconv.Atoi(step)
		for i, e := range n.Content {
			if v := target(e); named && v.Kind == yaml.MappingNode {
				if have := child(v, key); have != nil && have.Value == value {
					return v
				}
			} else if err == nil && i == index {
				return v
			}
		}
	}
	return nil
}

func target(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// pair splits [name=web].
func pair(step string) (key, value string, ok bool) {
	inner, isList := strings.CutPrefix(step, "[")
	if !isList {
		return "", "", false
	}
	return strings.Cut(strings.TrimSuffix(inner, "]"), "=")
}

// Str gives the scalar at a path, or "".
func Str(n *yaml.RNode, path ...string) string {
	v := At(n, path...)
	if v == nil || v.YNode().Kind != yaml.ScalarNode {
		return ""
	}
	return v.YNode().Value
}

// Int gives the whole number at a path, and whether there is one. It is read as the
// readers of manifests do, to which 010 is 8.
func Int(n *yaml.RNode, path ...string) (int, bool) {
	v, err := strconv.ParseInt(Str(n, path...), 0, 0)
	return int(v), err == nil
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

// Set sets the field at a path, making the mappings and the elements with a name
// above it. Comments on the field stay.
func Set(n *yaml.RNode, value *yaml.RNode, path ...string) error {
	at := target(n.YNode())
	for i, step := range path {
		next := child(at, step)
		if next == nil || next.Tag == yaml.NodeTagNull && i+1 < len(path) {
			kind := yaml.MappingNode
			if i+1 < len(path) && (isIndex(path[i+1]) || strings.HasPrefix(path[i+1], "[")) {
				kind = yaml.SequenceNode
			}
			made := &yaml.Node{Kind: kind}
			if next != nil { // null
				*next = *made
			} else if err := add(at, step, made); err != nil {
				return fmt.Errorf("setting %s: %s %w", Path(path), Path(path[:i]), err)
			} else {
				next = made
			}
		}
		at = target(next)
	}
	v := *value.YNode()
	if v.Kind == at.Kind && v.Tag == at.Tag && v.Style == 0 {
		v.Style = at.Style
	}
	v.HeadComment, v.LineComment, v.FootComment = at.HeadComment, at.LineComment, at.FootComment
	*at = v
	return nil
}

// add adds an entry to a mapping, or an element to a list.
func add(to *yaml.Node, step string, value *yaml.Node) error {
	key, name, isPair := pair(step)
	switch {
	case to.Kind == yaml.MappingNode:
		to.Content = append(to.Content, yaml.NewStringRNode(step).YNode(), value)
	case to.Kind != yaml.SequenceNode:
		return errors.New("is neither a mapping nor a list")
	case !isPair:
		return fmt.Errorf("has no element %s", step)
	default:
		value.Kind, value.Content = yaml.MappingNode, []*yaml.Node{yaml.NewStringRNode(key).YNode(), yaml.NewStringRNode(name).YNode()}
		to.Content = append(to.Content, value)
	}
	return nil
}

// Clear takes the field at a path away.
func Clear(n *yaml.RNode, path ...string) error {
	last := len(path) - 1
	parent := At(n, path[:last]...)
	if parent == nil || parent.YNode().Kind != yaml.MappingNode {
		return nil
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

// Text is a node that holds a string. What YAML 1.1 takes for something else, as y for
// yes, gets quotes: kustomize reads its patches so.
func Text(v string) *yaml.RNode {
	n := yaml.NewStringRNode(v)
	if yaml.IsYaml1_1NonString(&yaml.Node{Kind: yaml.ScalarNode, Value: v}) {
		n.YNode().Style = yaml.DoubleQuotedStyle
	}
	return n
}

// Null is a node that says that there is nothing: what a patch takes away.
func Null() *yaml.RNode {
	return yaml.NewRNode(&yaml.Node{Kind: yaml.ScalarNode, Tag: yaml.NodeTagNull, Value: "null"})
}

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
