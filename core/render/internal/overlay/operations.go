// SPDX-License-Identifier: Apache-2.0

package overlay

import (
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
)

// operate gives a JSON patch (RFC 6902): a list of operations, each on one field.
// Elements of lists go by their place; a test before them says which is meant, so
// that kustomize fails, loudly, when it has moved.
func operate(patch, object *yaml.RNode, edits []problem.Problem) (*yaml.RNode, error) {
	if patch == nil {
		patch = node.List()
	}
	work := object.Copy() // with the edits before
	for _, p := range edits {
		for _, op := range operations(work, p.Edit) {
			add(patch, op)
		}
		e := *p.Edit
		e.Object = work
		if err := e.Apply(); err != nil {
			return nil, err
		}
	}
	return patch, nil
}

// operations make one edit in an object: from the first step that is not there
// on, what is to be made is one value.
func operations(object *yaml.RNode, e *problem.Edit) (ops []*yaml.RNode) {
	pointer := ""
	for i, step := range e.Path {
		last := i == len(e.Path)-1
		there := node.At(object, e.Path[:i+1]...)
		key, name, element := strings.Cut(strings.Trim(step, "[]"), "=")
		element = element && strings.HasPrefix(step, "[")
		switch {
		case element && there != nil:
			place := index(object, e.Path[:i], there)
			pointer += "/" + place
			ops = append(ops, operation("test", pointer+"/"+escaped(key), node.Text(name)))
		case element:
			pointer += "/-"
		default:
			pointer += "/" + escaped(step)
		}
		switch {
		case last && e.Value == nil:
			return append(ops, operation("remove", pointer, nil))
		case last && there != nil:
			return append(ops, operation("replace", pointer, e.Value.Copy()))
		case there == nil:
			return append(ops, operation("add", pointer, below(e.Path[i:], e.Value.Copy())))
		}
	}
	return ops
}

// below wraps a value in what a path makes below its first step.
func below(path []string, value *yaml.RNode) *yaml.RNode {
	for i := len(path) - 1; i >= 0; i-- {
		key, name, element := strings.Cut(strings.Trim(path[i], "[]"), "=")
		element = element && strings.HasPrefix(path[i], "[")
		if element {
			m := node.Map(key, node.Text(name))
			m.YNode().Content = append(m.YNode().Content, value.YNode().Content...)
			value = m
		}
		switch {
		case i == 0:
		case element:
			value = node.List(value)
		default:
			value = node.Map(path[i], value)
		}
	}
	return value
}

// index is the place of an element in its list.
func index(object *yaml.RNode, list []string, element *yaml.RNode) string {
	return strconv.Itoa(slices.IndexFunc(node.Elements(object, list...), func(e *yaml.RNode) bool { return e.YNode() == element.YNode() }))
}

func operation(op, pointer string, value *yaml.RNode) *yaml.RNode {
	if value == nil {
		return node.Map("op", node.Text(op), "path", node.Text(pointer))
	}
	return node.Map("op", node.Text(op), "path", node.Text(pointer), "value", value)
}

func escaped(key string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(key) }

// add adds an operation to a patch. A value that an earlier one has set is set
// there.
func add(patch, op *yaml.RNode) {
	for _, e := range patch.Content() {
		old := yaml.NewRNode(e)
		if node.Str(old, "path") != node.Str(op, "path") || strings.HasSuffix(node.Str(op, "path"), "/-") {
			continue
		}
		switch kind := node.Str(op, "op"); {
		case kind == "test" && node.Str(old, "op") == "test":
			return
		case kind == "replace" && node.Str(old, "op") != "test" && node.Str(old, "op") != "remove":
			if at := node.At(old, "value"); at != nil {
				*at.YNode() = *node.At(op, "value").YNode()
				return
			}
		}
	}
	patch.YNode().Content = append(patch.YNode().Content, op.YNode())
}
