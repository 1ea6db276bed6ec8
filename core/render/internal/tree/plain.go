// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// chunk is a piece of plain YAML: a document with what stands before it.
type chunk struct {
	text    []byte
	objects []*Object
	prints  []string // of each object, as it was read
}

func (j *jail) plain(paths []string) (*Tree, error) {
	var files []File
	for _, path := range paths {
		text, err := j.ReadFile(path)
		if err != nil {
			return nil, err
		}
		files = append(files, File{j.short(path), text})
	}
	return loadPlain(files)
}

func loadPlain(files []File) (*Tree, error) {
	t := &Tree{Files: files}
	for _, f := range files {
		dec := yaml.NewDecoder(bytes.NewReader(f.Text))
		for i := 0; ; i++ {
			n := new(yaml.Node)
			if err := dec.Decode(n); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("%s: %w", f.Path, err)
			}
			if yaml.IsYNodeEmptyDoc(n) || len(n.Content) == 0 {
				continue
			}
			t.Objects = append(t.Objects, &Object{RNode: yaml.NewRNode(n), File: f.Path, Document: i})
		}
	}
	return t, nil
}

func (t *Tree) plainYAML() ([]byte, error) {
	var b bytes.Buffer
	for i, o := range t.Objects {
		if i > 0 {
			b.WriteString("---\n")
		}
		text, err := o.String()
		if err != nil {
			return nil, err
		}
		b.WriteString(text)
	}
	return b.Bytes(), nil
}
