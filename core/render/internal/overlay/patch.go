// SPDX-License-Identifier: Apache-2.0

package overlay

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
)

// merged kinds have lists whose elements a strategic merge knows by name. Other
// kinds get operations: a merge would repeat a list as a whole, images included.
var merged = []string{"Deployment", "StatefulSet", "DaemonSet", "Service", "Ingress", "Namespace"}

// patchOf is a patch that makes the edits of one object, and those of an earlier
// run's patch.
func patchOf(object *yaml.RNode, edits []problem.Problem, earlier []byte) ([]byte, error) {
	var patch *yaml.RNode
	if earlier != nil {
		var err error
		if patch, err = yaml.Parse(string(earlier)); err != nil {
			return nil, fmt.Errorf("reading the patch of an earlier run: %w", err)
		}
	}
	write, retyped := merge, slices.ContainsFunc(edits, func(p problem.Problem) bool { return retypes(object, p.Edit) })
	switch {
	case patch != nil && patch.YNode().Kind == yaml.MappingNode:
		if retyped {
			return nil, errors.New("in a merge kustomize would keep the quotes of a text that a number takes the place of; make the patch of an earlier run one of operations, or change the field by hand")
		}
	case patch != nil || retyped || !slices.Contains(merged, object.GetKind()):
		write = operate
	}
	patch, err := write(patch, object, edits)
	if err != nil {
		return nil, fmt.Errorf("patching %s: %w", node.ID(object), err)
	}
	return commented(patch, edits, earlier)
}

// retypes tells whether a number takes the place of a text: kustomize's merge keeps
// the quotes, and a maxSurge of "1" is refused.
func retypes(object *yaml.RNode, e *problem.Edit) bool {
	old := node.At(object, e.Path...)
	return old != nil && e.Value != nil && old.YNode().Tag == yaml.NodeTagString && e.Value.YNode().Tag == yaml.NodeTagInt
}

// head is the first line of what is written, and who wrote it.
const head = "# Written by outlast check --fix.\n"

// Ours tells whether an earlier run has written a file.
func Ours(text []byte) bool {
	return strings.HasPrefix(strings.ReplaceAll(string(text), "\r\n", "\n"), head)
}

// commented writes a patch below a line for each edit; those of an earlier run stay.
func commented(patch *yaml.RNode, edits []problem.Problem, earlier []byte) ([]byte, error) {
	body, err := patch.String()
	if err != nil {
		return nil, fmt.Errorf("writing a patch: %w", err)
	}
	out := ""
	if earlier == nil {
		out = head
	}
	for _, p := range edits {
		line := fmt.Sprintf("# %s %s: %s\n", p.Rule, node.Path(p.Edit.Path), p.Edit.Why)
		if !strings.Contains(out+string(earlier), line) {
			out += line
		}
	}
	if rest, ok := strings.CutPrefix(body, head); ok { // the first line stays the first
		return []byte(head + out + rest), nil
	}
	return []byte(out + body), nil
}

// merge gives a strategic merge patch.
func merge(patch, object *yaml.RNode, edits []problem.Problem) (*yaml.RNode, error) {
	if patch == nil {
		patch = node.Map("apiVersion", node.Text(object.GetApiVersion()), "kind", node.Text(object.GetKind()), "metadata", node.Map("name", node.Text(object.GetName())))
	}
	edited := object.Copy()
	for _, p := range edits {
		e := *p.Edit
		e.Object = edited
		if err := e.Apply(); err != nil {
			return nil, err
		}
	}
	for _, p := range edits {
		if err := include(patch, object, edited, p.Edit.Path); err != nil {
			return nil, err
		}
	}
	return patch, nil
}

// include puts the field at a path, as it is after the edits, into a patch.
func include(patch, before, after *yaml.RNode, at []string) error {
	for i, step := range at {
		if isIndex(step) {
			at = at[:i] // the whole list
			break
		}
		if !strings.HasPrefix(step, "[name=") {
			continue
		}
		for _, e := range node.Elements(before, at[:i]...) { // all by name, since a merge puts those of the patch first
			name := node.Str(e, "name")
			if err := node.Set(patch, node.Text(name), append(slices.Clone(at[:i]), "[name="+name+"]", "name")...); err != nil {
				return err
			}
		}
	}
	value := node.At(after, at...)
	if value == nil {
		return node.Set(patch, node.Null(), at...)
	}
	value = value.Copy()
	if old := node.At(before, at...); old != nil && old.YNode().Kind == yaml.MappingNode && value.YNode().Kind == yaml.MappingNode {
		fields, err := old.Fields()
		if err != nil {
			return err
		}
		for _, f := range fields { // what a merge would leave standing
			if value.Field(f) == nil {
				if err := node.Set(value, node.Null(), f); err != nil {
					return err
				}
			}
		}
	}
	return node.Set(patch, value, at...)
}

func isIndex(step string) bool { return strings.Trim(step, "0123456789") == "" && step != "" }
