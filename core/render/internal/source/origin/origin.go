// SPDX-License-Identifier: Apache-2.0

// Package origin tells in which file, and where in it, a field of an object of the output
// of kustomize was written.
package origin

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/outlast-ci/outlast/core/render/internal/source"
)

// File is one YAML file.
type File struct {
	Name string
	Text []byte
}

// Index holds the objects of several files, to look up many fields.
type Index struct {
	all     []indexed        // in the order in which kustomize lays them over one another
	byName  map[named][]int  // resources, and all of files that no kustomization names
	patches []int            // what is laid over resources
	spaces  []int            // Namespaces
	scopes  []scope          // all different ones
	found   map[string][]int // candidates by object
}

type indexed struct {
	file   string
	doc    source.Document
	scope  scope
	target *target       // of a patch; nil: a resource
	at     func(int) int // what a line of doc is called in the file; nil: no kustomization names the file
	size   int           // nodes
}

type named struct{ kind, name string }

// New parses the files, and follows the outermost kustomization, if it is named, to tell
// what is laid over what. It leaves out what is no YAML; whoever reads the files for
// their content says so.
func New(files []File, outermost string) *Index {
	x := &Index{byName: map[named][]int{}, found: map[string][]int{}}
	w := walker{files: map[string]File{}, index: x, docs: map[string][]source.Document{}, busy: map[string]bool{}}
	for _, f := range files {
		w.files[f.Name] = f
	}
	if f, ok := w.files[outermost]; ok {
		w.walk(f, scope{})
	}
	known := map[string]bool{}
	for _, c := range x.all {
		known[c.file] = true
	}
	for _, f := range files {
		docs, err := source.Documents(f.Text)
		for _, d := range docs {
			if err == nil && d.Name != "" && !known[f.Name] {
				x.add(indexed{file: f.Name, doc: d})
			}
		}
	}
	return x
}

func (x *Index) add(c indexed) {
	c.size = size(c.doc.Node)
	if i := len(x.all); c.target != nil {
		x.patches = append(x.patches, i)
	} else {
		key := named{c.doc.Kind, c.doc.Name}
		x.byName[key] = append(x.byName[key], i)
		if c.doc.Kind == "Namespace" {
			x.spaces = append(x.spaces, i)
		}
	}
	if !slices.Contains(x.scopes, c.scope) {
		x.scopes = append(x.scopes, c.scope)
	}
	x.all = append(x.all, c)
}

func size(n *yaml.Node) int {
	total := 1
	for _, c := range n.Content {
		total += size(c)
	}
	return total
}

// Place is where a field stands.
type Place struct {
	File         string
	Document     source.Document
	Line, Column int  // from 1
	Exact        bool // the field is there; else the line is its nearest ancestor's
}

// Field looks for a field of an object of the output of kustomize, which may
// have given it a namespace, a prefix, a suffix or a hash. Of a resource and the patches
// over it, the last one with the field is the place, else the resource.
func (x *Index) Field(kind, namespace, name string, path source.Path) (Place, bool) {
	var best Place
	var found, whole bool
	var size int
	for _, i := range x.candidates(kind, namespace, name) {
		c := x.all[i]
		line, column, exact := source.Locate(c.doc, path)
		if exact || !best.Exact && (c.target == nil && !whole || c.size > size && (c.target == nil) == whole) {
			if c.at != nil {
				line = c.at(line)
			}
			best, found, size, whole = Place{c.file, c.doc, line, column, exact}, true, c.size, c.target == nil
		}
	}
	return best, found
}

// candidates are a resource and what is laid over it, in order.
func (x *Index) candidates(kind, namespace, name string) []int {
	key := strings.Join([]string{kind, namespace, name}, "/")
	if all, ok := x.found[key]; ok {
		return all
	}
	all := x.resources(kind, namespace, name)
	if len(all) == 0 {
		all = x.similar(kind, namespace, name)
	}
	x.found[key] = x.covered(all, kind, namespace, name)
	return x.found[key]
}

// resources are those that the kustomizations make the object of.
func (x *Index) resources(kind, namespace, name string) (all []int) {
	for _, s := range x.scopes {
		inner, ok := s.inner(kind, namespace, name)
		for _, i := range x.byName[named{kind, inner}] {
			if c := &x.all[i]; ok && c.at != nil && c.scope == s && (s.space != "" || namespace == "" || c.doc.Namespace == namespace) {
				all = append(all, i)
			}
		}
	}
	for _, i := range x.spaces { // which get the name of the namespace that is set
		if c := &x.all[i]; kind == "Namespace" && c.at != nil && c.scope.space == name && c.doc.Name != name {
			all = append(all, i)
		}
	}
	return all
}

// covered adds the patches over resources.
func (x *Index) covered(all []int, kind, namespace, name string) []int {
	n := len(all)
	names := make([]string, n+1) // of the resources, and what a patch calls them
	for j, i := range all {
		names[j] = x.all[i].doc.Name
	}
	for _, i := range x.patches {
		c, ok := &x.all[i], false
		if !c.target.kind(kind) { // most are not, and this tells it at once
			continue
		}
		if names[n], ok = c.scope.inner(kind, namespace, name); ok && c.target.takes(namespace, names) && (c.doc.Namespace == "" || c.scope.space != "" || c.doc.Namespace == namespace) {
			all = append(all, i)
		}
	}
	slices.Sort(all)
	return all
}

// similar is a guess, for what a generator or a name of a component's has made: an exact
// name wins, then the longest that the output's name contains; a namespace that is the
// same wins over one that differs.
func (x *Index) similar(kind, namespace, name string) (best []int) {
	best = x.within(kind, name)
	if !slices.ContainsFunc(best, func(i int) bool { return x.all[i].doc.Namespace == namespace }) {
		return best
	}
	return slices.DeleteFunc(best, func(i int) bool {
		return x.all[i].doc.Namespace != namespace && x.all[i].doc.Namespace != ""
	})
}

// within lists the objects whose names are the longest that a name contains, in order.
func (x *Index) within(kind, name string) (all []int) {
	for length := len(name); length > 0 && len(all) == 0; length-- {
		seen := map[string]bool{}
		for at := range len(name) - length + 1 {
			if part := name[at : at+length]; !seen[part] {
				seen[part] = true
				all = append(all, x.byName[named{kind, part}]...)
			}
		}
	}
	slices.Sort(all)
	return all
}
