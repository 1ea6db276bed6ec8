// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// Chunk is what kustomize decodes at a time.
type Chunk struct {
	Separator []byte // the line before it, with its break; nil: the file starts here
	Text      []byte
	Line      int // of Text's first byte, from 1
}

// Split cuts a file at its `---` lines, exactly where kustomize does
// (kyaml's kio.ByteReader): a line that starts with ---, other than the
// first, and other than right after another. The line break before it stays
// with the chunk, since it may be part of a text. Separators and texts
// together are the file.
func Split(text []byte) (chunks []Chunk) {
	chunk, start := Chunk{Line: 1}, 0
	for from := 0; ; {
		at := bytes.Index(text[from:], []byte("\n---"))
		if at < 0 {
			break
		}
		at += from + 1
		end := bytes.IndexByte(text[at:], '\n')
		if end < 0 {
			break // a last line without a break is no separator to it
		}
		next := at + end + 1
		chunk.Text = text[start:at]
		chunks = append(chunks, chunk)
		chunk = Chunk{Separator: text[at:next], Line: chunk.Line + bytes.Count(text[start:next], []byte("\n"))}
		start, from = next, next
	}
	chunk.Text = text[start:]
	return append(chunks, chunk)
}

// Decode gives the YAML documents of a text, those before an error included. A
// panic of the parser becomes an error.
func Decode(text []byte) (docs []*yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: the parser panicked: %v", r)
		}
	}()
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		doc := new(yaml.Node)
		if err := dec.Decode(doc); errors.Is(err, io.EOF) {
			return docs, nil
		} else if err != nil {
			return docs, err
		}
		docs = append(docs, doc)
	}
}
