// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
	"github.com/outlast-ci/outlast/core/render/internal/source"
)

// merged kinds have lists whose elements a strategic merge knows by name. Of
// other kinds a patch repeats a list as a whole, since it replaces it.
var merged = []string{"Deployment", "StatefulSet", "DaemonSet", "Service", "Ingress", "Namespace"}

// patchOf is a strategic merge patch that makes the edits of one object, and
// those of an earlier run's patch; of an object that is to be added it is the object.
func patchOf(object *yaml.RNode, edits []problem.Problem, earlier []byte) ([]byte, error) {
	edited := object.Copy()
	for _, p := range edits {
		e := *p.Edit
		e.Object = edited
		if err := e.Apply(); err != nil {
			return nil, err
		}
	}
	patch := edited
	if !edits[0].Edit.Add {
		if patch = node.Map("apiVersion", node.Text(object.GetApiVersion()), "kind", node.Text(object.GetKind()), "metadata", node.Map("name", node.Text(object.GetName()))); earlier != nil {
			var err error
			if patch, err = yaml.Parse(string(earlier)); err != nil {
				return nil, fmt.Errorf("reading the patch of an earlier run: %w", err)
			}
		}
		for _, p := range edits {
			if err := include(patch, object, edited, p.Edit.Path); err != nil {
				return nil, fmt.Errorf("patching %s: %w", node.ID(object), err)
			}
		}
	}
	body, err := patch.String()
	if err != nil {
		return nil, fmt.Errorf("writing the patch of %s: %w", node.ID(object), err)
	}
	var why strings.Builder
	for _, p := range edits {
		fmt.Fprintf(&why, "# %s %s: %s\n", p.Rule, node.Path(p.Edit.Path), p.Edit.Why)
	}
	head := "# Written by outlast check --fix.\n"
	if earlier != nil { // whose comments are there
		head = ""
	}
	return []byte(head + why.String() + body), nil
}

// include puts the field at a path, as it is after the edits, into a patch.
func include(patch, before, after *yaml.RNode, at []string) error {
	for i, step := range at {
		known := slices.Contains(merged, after.GetKind()) && strings.HasPrefix(step, "[name=")
		if isIndex(step) || strings.HasPrefix(step, "[") && !known {
			at = at[:i] // the whole list
			break
		}
	}
	value := node.At(after, at...)
	if value == nil {
		return node.Set(patch, yaml.MakeNullNode(), at...)
	}
	value = value.Copy()
	if old := node.At(before, at...); old != nil && old.YNode().Kind == yaml.MappingNode && value.YNode().Kind == yaml.MappingNode {
		fields, err := old.Fields()
		if err != nil {
			return err
		}
		for _, f := range fields { // what a merge would leave standing
			if value.Field(f) == nil {
				if err := value.PipeE(yaml.SetField(f, yaml.MakeNullNode())); err != nil {
					return err
				}
			}
		}
	}
	return node.Set(patch, value, at...)
}

func isIndex(step string) bool { return strings.Trim(step, "0123456789") == "" && step != "" }

// ownName is an object's name without the prefix and suffix of the kustomization.
func ownName(kustomization []byte, object *yaml.RNode) string {
	k, err := yaml.Parse(string(kustomization))
	if err != nil {
		return object.GetName()
	}
	return strings.TrimSuffix(strings.TrimPrefix(object.GetName(), node.Str(k, "namePrefix")), node.Str(k, "nameSuffix"))
}

// nameInKustomization adds a patch, or a resource, to a kustomization. The
// object is found by kind and its own name.
func nameInKustomization(text []byte, file string, object *yaml.RNode, add bool) ([]byte, error) {
	k, err := yaml.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("reading the kustomization: %w", err)
	}
	field, entry := "patches", node.Map("path", node.Text(file))
	if add {
		field, entry = "resources", node.Text(file)
	} else {
		entry = node.Map("path", node.Text(file), "target", node.Map("kind", node.Text(object.GetKind()), "name", node.Text(ownName(text, object))))
	}
	for _, e := range node.Elements(k, field) {
		if node.Str(e, "path") == file || e.YNode().Value == file {
			return text, nil // of an earlier run
		}
	}
	where, err := source.ParsePath(field)
	if err != nil {
		return nil, err
	}
	docs, err := source.Documents(text)
	if err != nil || len(docs) != 1 {
		return nil, fmt.Errorf("the kustomization is not one YAML document (%d)", len(docs))
	}
	return source.Append(text, docs[0], where, entry.YNode())
}
