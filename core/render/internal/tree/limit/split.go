// SPDX-License-Identifier: Apache-2.0

package limit

import "bytes"

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
