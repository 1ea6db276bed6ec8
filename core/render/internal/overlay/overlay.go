// SPDX-License-Identifier: Apache-2.0

// Package overlay makes the files that cure what a kustomization renders: a patch an
// object, or an object that is missing, named in the kustomization itself. Its bases,
// which may serve other overlays, stay as they are.
package overlay

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
	"github.com/outlast-ci/outlast/core/render/internal/source"
)

// Overlay is the kustomization that gets patches.
type Overlay struct {
	Text   []byte // as it will be
	prefix string
	suffix string
	space  string // namespace that it gives to all objects
	groups set    // API groups of a kind
	spaces set    // namespaces that a name of a kind is in

	stamped map[string]string // field of the kustomization that sets an annotation or a label of all objects
}

// set holds different values by a key.
type set map[string]map[string]bool

func (s set) add(key, value string) {
	if s[key] == nil {
		s[key] = map[string]bool{}
	}
	s[key][value] = true
}

// New reads a kustomization, and what of its output is to be told apart by more than
// kind and name.
func New(text []byte, objects []*yaml.RNode) (*Overlay, error) {
	k, err := yaml.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("reading the kustomization: %w", err)
	}
	o := &Overlay{Text: text, prefix: node.Str(k, "namePrefix"), suffix: node.Str(k, "nameSuffix"), space: node.Str(k, "namespace"), groups: set{}, spaces: set{}, stamped: stamps(k)}
	for _, n := range objects {
		o.groups.add(n.GetKind(), node.Group(n))
		o.spaces.add(named(n), n.GetNamespace())
	}
	return o, nil
}

// stamps reads what the kustomization writes on all objects, after its patches.
func stamps(k *yaml.RNode) map[string]string {
	out := map[string]string{}
	note := func(metadata, field string, values map[string]string) {
		for key := range values {
			out[node.Path([]string{"metadata", metadata, key})] = field
		}
	}
	note("annotations", "commonAnnotations", node.Strings(k, "commonAnnotations"))
	note("labels", "commonLabels", node.Strings(k, "commonLabels"))
	for i := range node.Elements(k, "labels") {
		pairs := []string{"labels", strconv.Itoa(i), "pairs"}
		note("labels", node.Path(pairs), node.Strings(k, pairs...))
	}
	return out
}

// Reaches tells why no patch can make an edit, or nil: what the kustomization writes on
// all objects takes the place of what patches say.
func (o *Overlay) Reaches(e *problem.Edit) error {
	if field, ok := o.stamped[node.Path(e.Path)]; ok && !e.Add {
		return fmt.Errorf("%s of the kustomization writes it on all objects, after every patch: write %s there", field, e.To)
	}
	return nil
}

func named(object *yaml.RNode) string {
	return strings.Join([]string{node.Group(object), object.GetKind(), object.GetName()}, "/")
}

// own is an object's name without the prefix and suffix that the kustomization
// gives it: to all but Namespaces.
func (o *Overlay) own(object *yaml.RNode) string {
	if object.GetKind() == "Namespace" {
		return object.GetName()
	}
	return strings.TrimSuffix(strings.TrimPrefix(object.GetName(), o.prefix), o.suffix)
}

// grouped: kind and name alone may mean an object of another API group.
func (o *Overlay) grouped(object *yaml.RNode) bool { return len(o.groups[object.GetKind()]) > 1 }

// spaced: they may mean an object of another namespace.
func (o *Overlay) spaced(object *yaml.RNode) bool { return len(o.spaces[named(object)]) > 1 }

// File is the name of an object's patch. What sets objects of one name apart is in it,
// by signs that no kind (.) and no namespace (_) has.
func (o *Overlay) File(object *yaml.RNode) string {
	kind, name := object.GetKind(), o.own(object)
	if group := node.Group(object); o.grouped(object) && group != "" {
		kind += "." + group
	}
	if o.spaced(object) {
		name = node.Namespace(object) + "_" + name
	}
	return strings.ToLower("outlast-" + kind + "-" + name + ".yaml")
}

// coreGroup is a regular expression that only the empty API group fits: kustomize takes
// a target without a group for one of any.
const coreGroup = "()"

// target finds an object while the kustomization is at work. What it says are regular
// expressions there; a Namespace may get another name at the end.
func (o *Overlay) target(object *yaml.RNode) *yaml.RNode {
	var pairs []any
	if o.grouped(object) {
		pairs = append(pairs, "group", node.Text(cmp.Or(regexp.QuoteMeta(node.Group(object)), coreGroup)))
	}
	pairs = append(pairs, "kind", node.Text(object.GetKind()))
	if object.GetKind() != "Namespace" || object.GetName() != o.space {
		pairs = append(pairs, "name", node.Text(regexp.QuoteMeta(o.own(object))))
	}
	if o.spaced(object) {
		pairs = append(pairs, "namespace", node.Text(node.Namespace(object)))
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
	return commented(object, edits, nil)
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
