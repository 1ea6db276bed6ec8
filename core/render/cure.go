// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/overlay"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
	"github.com/outlast-ci/outlast/core/render/internal/source"
	"github.com/outlast-ci/outlast/core/render/internal/tree"
	"github.com/outlast-ci/outlast/core/render/internal/tree/limit"
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

	meant []string // what the objects say with the changes
}

// Cure gives the files to write so that the manifests at Options.Path need no
// edit any more. Plain YAML is edited where the field stands, and every other
// byte of it stays; a kustomization gets patches, since its bases may serve
// other overlays. It writes nothing.
func Cure(ctx context.Context, opt Options) (Cures, error) {
	if opt.Path == Stdin {
		return Cures{}, errors.New("curing manifests: standard input cannot be written to; name a file or a folder")
	}
	read, err := load(ctx, opt)
	if err != nil {
		return Cures{}, err
	}
	return cure(ctx, opt, read)
}

func cure(ctx context.Context, opt Options, read *tree.Tree) (Cures, error) {
	_, problems, err := analyse(graph.New(nodes(read)), opt.rules(true))
	if err != nil {
		return Cures{}, fmt.Errorf("curing %s: %w", opt.subject(), err)
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
	} else if err := out.patches(ctx, opt, read, edits); err != nil {
		return Cures{}, fmt.Errorf("curing %s: %w", opt.subject(), err)
	}
	if out.meant, err = meaning(read, out.made); err != nil {
		return Cures{}, fmt.Errorf("curing %s: %w", opt.subject(), err)
	}
	return out.Cures, nil
}

// Verify reads the manifests again, when the files are written: they say what they
// were meant to, of every object, and nothing is left to be set but what was left.
func (c Cures) Verify(ctx context.Context, opt Options) error {
	read, err := load(ctx, opt)
	if err != nil {
		return err
	}
	now, err := meaning(read, nil)
	if err != nil {
		return err
	}
	same := 0
	for same < min(len(now), len(c.meant)) && now[same] == c.meant[same] {
		same++
	}
	if rest := slices.Concat(c.meant[same:], now[same:]); len(rest) > 0 {
		id, want, _ := strings.Cut(rest[0], "\n")
		for _, other := range now {
			if have, ok := strings.CutPrefix(other, id+"\n"); ok {
				id = source.Apart([]byte(want), []byte(have)).String() + " of " + id
			}
		}
		return fmt.Errorf("%s does not say what it was meant to", id)
	}
	after, err := cure(ctx, opt, read)
	if err == nil && len(after.Changes) > 0 {
		err = fmt.Errorf("%s of %s would have to be set again", after.Changes[0].Field, after.Changes[0].Object)
	}
	return err
}

// meaning is what objects say with edits, in no style: a line that names one, and then
// its JSON. The edits are made in the objects.
func meaning(read *tree.Tree, edits []problem.Problem) ([]string, error) {
	objects := nodes(read)
	for _, p := range edits {
		if err := p.Edit.Apply(); err != nil {
			return nil, err
		}
		if p.Edit.Add && !slices.Contains(objects, p.Edit.Object) {
			objects = append(objects, p.Edit.Object)
		}
	}
	var all []string
	for _, n := range objects {
		text, err := n.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", node.ID(n), err)
		}
		all = append(all, node.ID(n)+"\n"+string(text))
	}
	slices.Sort(all)
	return all, nil
}

// curing collects the files.
type curing struct {
	Cures
	texts map[string][]byte // of every file, as it will be
	made  []problem.Problem // whose edits the files make
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

func (c *curing) done(p problem.Problem) {
	c.Changes, c.made = append(c.Changes, change(p)), append(c.made, p)
}

func (c *curing) left(p problem.Problem, why error) {
	c.Left = append(c.Left, fmt.Sprintf("%s: %s of %s: %v", p.Rule, node.Path(p.Edit.Path), node.ID(p.Edit.Object), why))
}

// spot is where an object stands: in which document of which file.
type spot struct {
	file string
	part int
	doc  source.Document
}

// pieces are the files cut into documents, so that an edit reads no more than one.
type pieces struct {
	parts map[string][][]byte // by file; together they are its text
	homes map[*yaml.RNode]spot
}

func cut(read *tree.Tree) pieces {
	p := pieces{parts: map[string][][]byte{}, homes: map[*yaml.RNode]spot{}}
	byFile := map[string][]*tree.Object{}
	for _, o := range read.Objects {
		byFile[o.File] = append(byFile[o.File], o)
	}
	for _, f := range read.Files {
		rest := byFile[f.Path]
		for part, chunk := range limit.Split(f.Text) {
			text := slices.Concat(chunk.Separator, chunk.Text)
			p.parts[f.Path] = append(p.parts[f.Path], text)
			docs, err := source.Documents(text)
			if err != nil {
				continue // its objects have no home then
			}
			for _, d := range docs { // in the order of the objects
				i := slices.IndexFunc(rest, func(o *tree.Object) bool {
					return d.Kind == o.GetKind() && d.Name == o.GetName() && d.Namespace == o.GetNamespace()
				})
				if i >= 0 {
					p.homes[rest[i].RNode] = spot{f.Path, part, d}
					rest = slices.Delete(rest, i, i+1)
				}
			}
		}
	}
	return p
}

// inPlace edits the files that hold the objects.
func (c *curing) inPlace(read *tree.Tree, edits []problem.Problem) {
	p := cut(read)
	for _, e := range edits {
		var err error
		home, ok := p.homes[e.Edit.Object]
		switch {
		case e.Edit.Add:
			err = p.add(e.Edit)
		case !ok:
			err = errors.New("nobody can tell where the object stands in its file")
		default:
			var text []byte
			if text, err = setIn(p.parts[home.file][home.part], home.doc, e.Edit); err == nil {
				p.parts[home.file][home.part] = text
			}
		}
		if err != nil {
			c.left(e, err)
			continue
		}
		c.done(e)
	}
	for _, f := range read.Files {
		if text := slices.Concat(p.parts[f.Path]...); !bytes.Equal(text, f.Text) {
			c.write(f.Path, text)
		}
	}
}

// setIn makes one edit in the text of a document.
func setIn(text []byte, doc source.Document, e *problem.Edit) ([]byte, error) {
	for n, step := range e.Path { // an element that is not there yet is added as a whole
		if !strings.HasPrefix(step, "[") || node.At(e.Object, e.Path[:n+1]...) != nil {
			continue
		}
		edited := *e
		edited.Object = e.Object.Copy()
		if err := edited.Apply(); err != nil {
			return nil, err
		}
		where, err := source.ParsePath(node.Path(e.Path[:n]))
		if err != nil {
			return nil, err
		}
		return source.Append(text, doc, where, node.At(edited.Object, e.Path[:n+1]...).YNode())
	}
	where, err := source.ParsePath(node.Path(e.Path))
	if err != nil {
		return nil, err
	}
	if e.Value == nil {
		return source.Delete(text, doc, where)
	}
	return source.Set(text, doc, where, e.Value.YNode())
}

// add appends a new object to the file of the Service that needs it.
func (p pieces) add(e *problem.Edit) error {
	edited := *e
	edited.Object = e.Object.Copy()
	if err := edited.Apply(); err != nil {
		return err
	}
	text, err := edited.Object.String()
	if err != nil {
		return err
	}
	service := node.Str(e.Object, "spec", "targetReference", "name")
	for n, home := range p.homes {
		if n.GetKind() == "Service" && node.Group(n) == "" && n.GetName() == service && n.GetNamespace() == e.Object.GetNamespace() {
			parts := p.parts[home.file]
			last := len(parts) - 1
			if bytes.Contains(parts[home.part], []byte("\r\n")) {
				text = strings.ReplaceAll(text, "\n", "\r\n")
			}
			parts[last] = another(parts[last], text)
			return nil
		}
	}
	return errors.New("no file holds its Service")
}

// patches writes a patch an object beside the kustomization, and names them in it.
func (c *curing) patches(ctx context.Context, opt Options, read *tree.Tree, edits []problem.Problem) error {
	into, err := overlay.New(c.texts[read.Kustomization], nodes(read))
	if err != nil {
		return err
	}
	if edits, err = c.unscale(ctx, opt, read, into, edits); err != nil {
		return err
	}
	edits = slices.DeleteFunc(edits, func(p problem.Problem) bool {
		err := into.Reaches(p.Edit)
		if err != nil {
			c.left(p, err)
		}
		return err != nil
	})
	for _, group := range byObject(edits) {
		name := path.Join(path.Dir(read.Kustomization), into.File(group[0].Edit.Object))
		body, err := c.patch(read, into, group, name)
		for _, p := range group {
			if err != nil {
				c.left(p, err)
			} else {
				c.done(p)
			}
		}
		if err == nil {
			c.write(name, body)
		}
	}
	if !bytes.Equal(into.Text, c.texts[read.Kustomization]) {
		c.write(read.Kustomization, into.Text)
	}
	return nil
}

// patch gives the file that makes the edits of one object. A file that no earlier run
// has written stays its owner's.
func (c *curing) patch(read *tree.Tree, into *overlay.Overlay, group []problem.Problem, name string) ([]byte, error) {
	file := path.Base(name)
	earlier, named := c.texts[name]
	switch _, err := os.Lstat(filepath.Join(read.Root, filepath.FromSlash(name))); {
	case slices.ContainsFunc(c.Files, func(f File) bool { return f.Path == name }):
		return nil, fmt.Errorf("its patch would be called %s, as another object's is", file)
	case err == nil && !named:
		return nil, fmt.Errorf("the kustomization does not name %s, which is there already: name it among its patches, or remove it", file)
	case named && !overlay.Ours(earlier):
		return nil, fmt.Errorf("its patch would be called %s, which is there already and was not written by outlast check --fix: give that another name", file)
	}
	return into.Cure(group, earlier, file)
}

// byObject groups edits by their object, in the order of the first edit of each.
func byObject(edits []problem.Problem) (groups [][]problem.Problem) {
	at := map[string]int{}
	for _, p := range edits {
		id := node.Identity(p.Edit.Object)
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
