// SPDX-License-Identifier: Apache-2.0

// Package overlay makes the files that cure what a kustomization renders: a patch an
// object, or an object that is missing, named in the kustomization itself. Its bases,
// which may serve other overlays, stay as they are.
package overlay

import (
	"fmt"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
	"github.com/outlast-ci/outlast/core/render/internal/source"
)

// Overlay is the kustomization that gets patches.
type Overlay struct {
	Text    []byte // as it will be
	prefix  string
	suffix  string
	space   string // namespace that it gives to all objects
	several map[string]bool
}

// New reads a kustomization, and which kinds and names its output has more than once.
func New(text []byte, objects []*yaml.RNode) (*Overlay, error) {
	k, err := yaml.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("reading the kustomization: %w", err)
	}
	o := &Overlay{Text: text, prefix: node.Str(k, "namePrefix"), suffix: node.Str(k, "nameSuffix"), space: node.Str(k, "namespace"), several: map[string]bool{}}
	for _, n := range objects {
		_, seen := o.several[n.GetKind()+"/"+n.GetName()]
		o.several[n.GetKind()+"/"+n.GetName()] = seen
	}
	return o, nil
}

// own is an object's name without the prefix and suffix that the kustomization
// gives it: to all but Namespaces.
func (o *Overlay) own(object *yaml.RNode) string {
	if object.GetKind() == "Namespace" {
		return object.GetName()
	}
	return strings.TrimSuffix(strings.TrimPrefix(object.GetName(), o.prefix), o.suffix)
}

func (o *Overlay) twice(object *yaml.RNode) bool {
	return o.several[object.GetKind()+"/"+object.GetName()]
}

// File is the name of an object's patch.
func (o *Overlay) File(object *yaml.RNode) string {
	name := o.own(object)
	if o.twice(object) {
		name = object.GetNamespace() + "-" + name
	}
	return strings.ToLower("outlast-" + object.GetKind() + "-" + name + ".yaml")
}

// target finds an object while the kustomization is at work. Names are regular
// expressions there; a Namespace may get another name at the end.
func (o *Overlay) target(object *yaml.RNode) *yaml.RNode {
	pairs := []any{"kind", node.Text(object.GetKind())}
	if object.GetKind() != "Namespace" || object.GetName() != o.space {
		pairs = append(pairs, "name", node.Text(regexp.QuoteMeta(o.own(object))))
	}
	if o.twice(object) {
		pairs = append(pairs, "namespace", node.Text(object.GetNamespace()))
	}
	return node.Map(pairs...)
}

// Cure gives the file that makes the edits of one object, and names it in the
// kustomization.
func (o *Overlay) Cure(edits []problem.Problem, earlier []byte, file string) (body []byte, err error) {
	object, before := edits[0].Edit.Object, o.Text
	defer func() {
		if err != nil {
			o.Text = before
		}
	}()
	if edits[0].Edit.Add {
		if body, err = o.resource(edits); err != nil {
			return nil, err
		}
		return body, o.use(file, object, true)
	}
	if body, err = patchOf(object, edits, earlier); err != nil {
		return nil, err
	}
	for _, p := range edits {
		if p.Edit.Value == nil && node.Path(p.Edit.Path) == "spec.replicas" {
			if err := o.unscale(object); err != nil {
				return nil, err
			}
		}
	}
	return body, o.use(file, object, false)
}

// resource is an object that is to be added, with the name that the kustomization
// makes the wanted one of.
func (o *Overlay) resource(edits []problem.Problem) ([]byte, error) {
	object := edits[0].Edit.Object.Copy()
	for _, p := range edits {
		e := *p.Edit
		e.Object = object
		if err := e.Apply(); err != nil {
			return nil, err
		}
	}
	if err := node.Set(object, node.Text(o.own(object)), "metadata", "name"); err != nil {
		return nil, err
	}
	return explained(object, edits, nil)
}

// use names a file in the kustomization, once: as a patch of an object, or as a
// resource.
func (o *Overlay) use(file string, object *yaml.RNode, add bool) error {
	k, err := yaml.Parse(string(o.Text))
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
		return source.Append(o.Text, doc, source.Path{{Key: field}}, entry.YNode())
	})
}

func (o *Overlay) edit(change func(source.Document) ([]byte, error)) error {
	docs, err := source.Documents(o.Text)
	if err != nil || len(docs) != 1 {
		return fmt.Errorf("the kustomization is not one YAML document (%d)", len(docs))
	}
	text, err := change(docs[0])
	if err == nil {
		o.Text = text
	}
	return err
}

// unscale takes an object out of the kustomization's own replicas, which come after
// patches. They name it as it was before any prefix, or after some.
func (o *Overlay) unscale(object *yaml.RNode) error {
	k, err := yaml.Parse(string(o.Text))
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
		return source.Delete(o.Text, doc, source.Path{{Key: "replicas"}, {Key: best, Bracket: true}})
	})
}
