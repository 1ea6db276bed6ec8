// SPDX-License-Identifier: Apache-2.0

package source

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// File is one YAML file.
type File struct {
	Name string
	Text []byte
}

// Index holds the objects of several files, to look up many fields.
type Index []indexed

type indexed struct {
	file string
	doc  Document
	size int // nodes
}

// NewIndex parses the files, in the order in which kustomize merges them: a
// base before its patches. It leaves out what is no YAML; whoever reads the
// files for their content says so.
func NewIndex(files []File) Index {
	var x Index
	for _, f := range files {
		docs, err := Documents(f.Text)
		if err != nil {
			continue
		}
		for _, d := range docs {
			x = append(x, indexed{f.Name, d, size(d.Node)})
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
	Document     Document
	Line, Column int  // from 1
	Exact        bool // the field is there; else the line is its nearest ancestor's
}

// Find looks for a field of an object of the output of kustomize, which may
// have given it a namespace, a prefix, a suffix or a hash: an exact name wins,
// then the longest that the output's name contains; a namespace that is the
// same wins over one that differs. Of what is left, a base and its patches, the
// last one with the field is the place, else the largest: the whole resource.
func (x Index) Find(kind, namespace, name string, path Path) (Place, bool) {
	var best Place
	var found bool
	var size int
	for _, c := range x.candidates(kind, namespace, name) {
		line, column, exact := Locate(c.doc, path)
		if exact || !best.Exact && c.size > size {
			best, found, size = Place{c.file, c.doc, line, column, exact}, true, c.size
		}
	}
	return best, found
}

// candidates are the objects whose name and namespace fit best.
func (x Index) candidates(kind, namespace, name string) (best []indexed) {
	most, same := 0, false
	for _, c := range x {
		if c.doc.Kind != kind || c.doc.Name == "" || !strings.Contains(name, c.doc.Name) {
			continue
		}
		if fit := len(c.doc.Name); fit > most { // the exact name is the longest
			best, most, same = nil, fit, false
		} else if fit < most {
			continue
		}
		best = append(best, c)
		same = same || c.doc.Namespace == namespace
	}
	if !same {
		return best
	}
	var kept []indexed
	for _, c := range best {
		if c.doc.Namespace == namespace || c.doc.Namespace == "" {
			kept = append(kept, c)
		}
	}
	return kept
}
