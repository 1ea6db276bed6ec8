// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
	"github.com/outlast-ci/outlast/core/render/internal/source"
)

// merged kinds have lists whose elements a strategic merge knows by name. Other
// kinds get operations: a merge would repeat a list as a whole, images included.
var merged = []string{"Deployment", "StatefulSet", "DaemonSet", "Service", "Ingress", "Namespace"}

// overlay is the kustomization that gets patches.
type overlay struct {
	text    []byte
	prefix  string
	suffix  string
	space   string // namespace that it gives to all objects
	several map[string]bool
}

// newOverlay reads a kustomization, and which kinds and names its output has more than once.
func newOverlay(text []byte, objects []*yaml.RNode) (*overlay, error) {
	k, err := yaml.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("reading the kustomization: %w", err)
	}
	o := &overlay{text: text, prefix: node.Str(k, "namePrefix"), suffix: node.Str(k, "nameSuffix"), space: node.Str(k, "namespace"), several: map[string]bool{}}
	for _, n := range objects {
		_, seen := o.several[n.GetKind()+"/"+n.GetName()]
		o.several[n.GetKind()+"/"+n.GetName()] = seen
	}
	return o, nil
}

// own is an object's name without the prefix and suffix that the kustomization
// gives it: to all but Namespaces.
func (o *overlay) own(object *yaml.RNode) string {
	if object.GetKind() == "Namespace" {
		return object.GetName()
	}
	return strings.TrimSuffix(strings.TrimPrefix(object.GetName(), o.prefix), o.suffix)
}

func (o *overlay) twice(object *yaml.RNode) bool {
	return o.several[object.GetKind()+"/"+object.GetName()]
}

// file is the name of an object's patch.
func (o *overlay) file(object *yaml.RNode) string {
	name := o.own(object)
	if o.twice(object) {
		name = object.GetNamespace() + "-" + name
	}
	return strings.ToLower("outlast-" + object.GetKind() + "-" + name + ".yaml")
}

// target finds an object while the kustomization is at work. Names are regular
// expressions there; a Namespace may get another name at the end.
func (o *overlay) target(object *yaml.RNode) *yaml.RNode {
	pairs := []any{"kind", node.Text(object.GetKind())}
	if object.GetKind() != "Namespace" || object.GetName() != o.space {
		pairs = append(pairs, "name", node.Text(regexp.QuoteMeta(o.own(object))))
	}
	if o.twice(object) {
		pairs = append(pairs, "namespace", node.Text(object.GetNamespace()))
	}
	return node.Map(pairs...)
}

// use names a file in the kustomization, once: as a patch of an object, or as a
// resource.
func (o *overlay) use(file string, object *yaml.RNode, add bool) error {
	k, err := yaml.Parse(string(o.text))
	if err != nil {
		return fmt.Errorf("reading the kustomization: %w", err)
	}
	for _, e := range append(node.Elements(k, "patches"), node.Elements(k, "resources")...) {
		if node.Str(e, "path") == file || e.YNode().Value == file {
			return nil // of an earlier run
		}
	}
	field, entry := "patches", node.Map("path", node.Text(file), "target", o.target(object))
	if add {
		field, entry = "resources", node.Text(file)
	}
	return o.edit(func(doc source.Document) ([]byte, error) {
		return source.Append(o.text, doc, source.Path{{Key: field}}, entry.YNode())
	})
}

func (o *overlay) edit(change func(source.Document) ([]byte, error)) error {
	docs, err := source.Documents(o.text)
	if err != nil || len(docs) != 1 {
		return fmt.Errorf("the kustomization is not one YAML document (%d)", len(docs))
	}
	text, err := change(docs[0])
	if err == nil {
		o.text = text
	}
	return err
}

// unscale takes an object out of the kustomization's own replicas, which come after
// patches. They name it as it was before any prefix, or after some.
func (o *overlay) unscale(object *yaml.RNode) error {
	k, err := yaml.Parse(string(o.text))
	if err != nil {
		return fmt.Errorf("reading the kustomization: %w", err)
	}
	best := ""
	for _, e := range node.Elements(k, "replicas") {
		if name := node.Str(e, "name"); len(name) > len(best) && strings.Contains(object.GetName(), name) && node.Str(e, "count") == node.Str(object, "spec", "replicas") {
			best = name
		}
	}
	if best == "" {
		return nil
	}
	return o.edit(func(doc source.Document) ([]byte, error) {
		return source.Delete(o.text, doc, source.Path{{Key: "replicas"}, {Key: best, Bracket: true}})
	})
}

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
	write := merge
	if !slices.Contains(merged, object.GetKind()) && (patch == nil || patch.YNode().Kind == yaml.SequenceNode) {
		write = operate
	}
	patch, err := write(patch, object, edits)
	if err != nil {
		return nil, fmt.Errorf("patching %s: %w", node.ID(object), err)
	}
	return explained(patch, edits, earlier)
}

// explained writes a patch below a line for each edit; those of an earlier run stay.
func explained(patch *yaml.RNode, edits []problem.Problem, earlier []byte) ([]byte, error) {
	body, err := patch.String()
	if err != nil {
		return nil, fmt.Errorf("writing a patch: %w", err)
	}
	const head = "# Written by outlast check --fix.\n"
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
