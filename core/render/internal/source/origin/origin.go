// SPDX-License-Identifier: Apache-2.0

// Package origin tells in which file, and where in it, a field of an object of the output
// of kustomize was written.
package origin

import (
	"slices"

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
	all    []indexed
	byName map[named][]int // in order
}

type indexed struct {
	file string
	doc  source.Document
	size int // nodes
}

type named struct{ kind, name string }

// New parses the files, in the order in which kustomize merges them: a
// base before its patches. It leaves out what is no YAML; whoever reads the
// files for their content says so.
func New(files []File) Index {
	x := Index{byName: map[named][]int{}}
	for _, f := range files {
		docs, err := source.Documents(f.Text)
		if err != nil {
			continue
		}
		for _, d := range docs {
			if d.Name == "" {
				continue
			}
			key := named{d.Kind, d.Name}
			x.byName[key] = append(x.byName[key], len(x.all))
			x.all = append(x.all, indexed{f.Name, d, size(d.Node)})
		}
	}
	return x
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
// have given it a namespace, a prefix, a suffix or a hash: an exact name wins,
// then the longest that the output's name contains; a namespace that is the
// same wins over one that differs. Of what is left, a base and its patches, the
// last one with the field is the place, else the largest: the whole resource.
func (x Index) Field(kind, namespace, name string, path source.Path) (Place, bool) {
	var best Place
	var found bool
	var size int
	for _, c := range x.candidates(kind, namespace, name) {
		line, column, exact := source.Locate(c.doc, path)
		if exact || !best.Exact && c.size > size {
			best, found, size = Place{c.file, c.doc, line, column, exact}, true, c.size
		}
	}
	return best, found
}

// candidates are the objects whose name and namespace fit best.
func (x Index) candidates(kind, namespace, name string) (best []indexed) {
	same := false
	for _, i := range x.within(kind, name) {
		best = append(best, x.all[i])
		same = same || x.all[i].doc.Namespace == namespace
	}
	if !same {
		return best
	}
	return slices.DeleteFunc(best, func(c indexed) bool { return c.doc.Namespace != namespace && c.doc.Namespace != "" })
}

// within lists the objects whose names are the longest that a name contains, in order.
func (x Index) within(kind, name string) (all []int) {
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
