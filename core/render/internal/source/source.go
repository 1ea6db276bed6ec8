// SPDX-License-Identifier: Apache-2.0

// Package source knows where the fields of an object stand in the YAML that
// somebody wrote, and edits that YAML in place: no comment, order, style or
// other byte is lost.
package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Document is one object of a file.
type Document struct {
	Index int        // of the YAML document in the file, from 0; empty ones count
	Item  int        // of the object in the items of a List, from 1; 0: the document is the object
	Node  *yaml.Node // the object's mapping
	Line  int        // of its first key, from 1

	APIVersion, Kind, Namespace, Name string
}

// Documents lists the objects of a file in their order: its mappings, and of a
// List each item in its place. An error is the parser's, and says the line.
func Documents(text []byte) ([]Document, error) {
	docs, err := parse(text)
	if err != nil {
		return nil, err
	}
	var found []Document
	for i, doc := range docs {
		root := target(doc.Content[0])
		if items := listed(root); items != nil {
			for j, item := range items.Content {
				if item = target(item); item.Kind == yaml.MappingNode {
					found = append(found, document(item, i, j+1))
				}
			}
		} else if root.Kind == yaml.MappingNode {
			found = append(found, document(root, i, 0))
		}
	}
	return found, nil
}

func document(n *yaml.Node, index, item int) Document {
	return Document{
		Index: index, Item: item, Node: n, Line: n.Line,
		APIVersion: scalar(n, "apiVersion"), Kind: scalar(n, "kind"),
		Namespace: scalar(n, "metadata", "namespace"), Name: scalar(n, "metadata", "name"),
	}
}

// listed gives the items of a List, as kustomize tells one: by its kind.
func listed(root *yaml.Node) *yaml.Node {
	if !strings.HasSuffix(scalar(root, "kind"), "List") {
		return nil
	}
	if _, items := lookup(root, Step{Key: "items"}); items != nil && items.Kind == yaml.SequenceNode {
		return items
	}
	return nil
}

// parse reads every document of a file. The parser's panics become errors.
func parse(text []byte) (docs []*yaml.Node, err error) {
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return nil, errors.New("the file is UTF-16; save it as UTF-8")
	}
	defer func() {
		if r := recover(); r != nil {
			docs, err = nil, fmt.Errorf("yaml: the parser panicked: %v", r)
		}
	}()
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		doc := new(yaml.Node)
		if err := dec.Decode(doc); errors.Is(err, io.EOF) {
			return docs, nil
		} else if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
}

// Locate gives the line and column, from 1, of a field: of its key, or of the
// element of a list. Without the field it is the nearest ancestor that is
// there, at last the object's first line, and exact is false.
func Locate(doc Document, path Path) (line, column int, exact bool) {
	at, n := doc.Node, doc.Node
	for _, step := range path {
		a, v := lookup(n, step)
		if v == nil {
			return at.Line, at.Column, false
		}
		at, n = a, v
	}
	return at.Line, at.Column, true
}
