// SPDX-License-Identifier: Apache-2.0

package render

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
	"github.com/outlast-ci/outlast/core/render/internal/rules"
	"github.com/outlast-ci/outlast/core/render/internal/source"
	"github.com/outlast-ci/outlast/core/render/internal/tree"
)

// File is one file to write.
type File struct {
	Path string // relative to Cures.Root, with slashes
	Text []byte
	Old  []byte // what stands there; nil: the file is new
}

// Cures are files that make manifests safe.
type Cures struct {
	Root    string // absolute
	Files   []File
	Changes []Change
	Left    []string // edits that have to be made by hand, each with its reason
}

// Cure gives the files to write so that the manifests at Options.Path need no
// edit any more. Plain YAML is edited where the field stands, and every other
// byte of it stays; a kustomization gets patches, since its bases may serve
// other overlays. It writes nothing.
func Cure(ctx context.Context, opt Options) (Cures, error) {
	read, err := load(ctx, opt)
	if err != nil {
		return Cures{}, err
	}
	if opt.Path == Stdin {
		return Cures{}, errors.New("curing manifests: standard input cannot be written to; name a file or a folder")
	}
	_, problems, err := rules.Analyse(graph.New(nodes(read)), opt.rules(true))
	if err != nil {
		return Cures{}, fmt.Errorf("curing %s: %w", opt.Path, err)
	}
	out := &curing{Cures: Cures{Root: read.Root}, texts: map[string][]byte{}}
	for _, f := range read.Files {
		out.texts[f.Path] = f.Text
	}
	var edits []problem.Problem
	for _, p := range problems {
		if p.Edit != nil {
			edits = append(edits, p)
		}
	}
	if read.Kustomization == "" {
		out.inPlace(read, edits)
		return out.Cures, nil
	}
	return out.Cures, out.patches(read.Kustomization, edits)
}

// curing collects the files.
type curing struct {
	Cures
	texts map[string][]byte // of every file, as it will be
}

func (c *curing) write(path string, text []byte) {
	old := c.texts[path]
	c.texts[path] = text
	for i := range c.Files {
		if c.Files[i].Path == path {
			c.Files[i].Text = text
			return
		}
	}
	c.Files = append(c.Files, File{Path: path, Text: text, Old: old})
}

func (c *curing) done(p problem.Problem) { c.Changes = append(c.Changes, change(p)) }

func (c *curing) left(p problem.Problem, why error) {
	c.Left = append(c.Left, fmt.Sprintf("%s: %s of %s: %v", p.Rule, node.Path(p.Edit.Path), node.ID(p.Edit.Object), why))
}

// inPlace edits the files that hold the objects.
func (c *curing) inPlace(read *tree.Tree, edits []problem.Problem) {
	home := map[*yaml.RNode]string{}
	for _, o := range read.Objects {
		home[o.RNode] = o.File
	}
	for _, p := range edits {
		if p.Edit.Add {
			c.add(home, p)
			continue
		}
		file := home[p.Edit.Object]
		text, err := setIn(c.texts[file], p.Edit)
		if err != nil {
			c.left(p, err)
			continue
		}
		c.write(file, text)
		c.done(p)
	}
}

// setIn makes one edit in the text of a file.
func setIn(text []byte, e *problem.Edit) ([]byte, error) {
	docs, err := source.Documents(text)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(docs, func(d source.Document) bool {
		return d.Kind == e.Object.GetKind() && d.Name == e.Object.GetName() && d.Namespace == e.Object.GetNamespace()
	})
	if i < 0 {
		return nil, errors.New("the file does not hold the object")
	}
	at, value := e.Path, e.Value
	for n, step := range at { // an element that is not there yet: its whole list is written
		if strings.HasPrefix(step, "[") && node.At(e.Object, at[:n+1]...) == nil {
			edited := *e
			edited.Object = e.Object.Copy()
			if err := edited.Apply(); err != nil {
				return nil, err
			}
			at, value = at[:n], node.At(edited.Object, at[:n]...)
			break
		}
	}
	where, err := source.ParsePath(node.Path(at))
	if err != nil {
		return nil, err
	}
	if value == nil {
		return source.Delete(text, docs[i], where)
	}
	return source.Set(text, docs[i], where, value.YNode())
}

// add appends a new object to the file of the object that needs it.
func (c *curing) add(home map[*yaml.RNode]string, p problem.Problem) {
	edited := *p.Edit
	edited.Object = p.Edit.Object.Copy()
	err := edited.Apply()
	text, printErr := edited.Object.String()
	file := ""
	for n, f := range home {
		if n.GetKind() == "Service" && n.GetName() == edited.Object.GetName() && n.GetNamespace() == edited.Object.GetNamespace() {
			file = f
		}
	}
	if err = errors.Join(err, printErr); err == nil && file == "" {
		err = errors.New("no file holds its Service")
	}
	if err != nil {
		c.left(p, err)
		return
	}
	c.write(file, another(slices.Clone(c.texts[file]), text))
	c.done(p)
}

// patches writes a patch an object beside the kustomization, and names them in it.
func (c *curing) patches(kustomization string, edits []problem.Problem) error {
	dir := path.Dir(kustomization)
	text := c.texts[kustomization]
	for _, group := range byObject(edits) {
		object := group[0].Edit.Object
		name := strings.ToLower("outlast-" + object.GetKind() + "-" + ownName(c.texts[kustomization], object) + ".yaml")
		body, err := patchOf(object, group, c.texts[path.Join(dir, name)])
		if err == nil {
			text, err = nameInKustomization(text, name, object, group[0].Edit.Add)
		}
		if err != nil {
			for _, p := range group {
				c.left(p, err)
			}
			continue
		}
		c.write(path.Join(dir, name), body)
		for _, p := range group {
			c.done(p)
		}
	}
	if len(c.Files) > 0 {
		c.write(kustomization, text)
	}
	return nil
}

// byObject groups edits by their object, in the order of the first edit of each.
func byObject(edits []problem.Problem) (groups [][]problem.Problem) {
	at := map[string]int{}
	for _, p := range edits {
		id := node.ID(p.Edit.Object)
		i, ok := at[id]
		if !ok {
			i = len(groups)
			at[id] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], p)
	}
	return groups
}
