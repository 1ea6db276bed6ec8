// SPDX-License-Identifier: Apache-2.0

// Package limit refuses YAML that would take the program down: kustomize takes
// 6 GB for a file of 519 bytes whose aliases name lists of aliases.
package limit

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Limits on what is read. The largest kustomizations seen in public are a few
// MB; what is beyond is a mistake or an attack.
const (
	FileBytes  = 5 << 20
	TotalBytes = 50 << 20
	Depth      = 100
	Values     = 500_000 // of one file, with its aliases written out
)

// Error says what is too large, and where.
type Error struct {
	Line int
	What string
}

func (e *Error) Error() string { return fmt.Sprintf("%d: %s", e.Line, e.What) }

// Check refuses YAML that is nested too deep or whose aliases expand too far,
// by an *Error. What is no YAML at all is left to the reader of its values.
func Check(text []byte) error {
	if harmless(text) {
		return nil
	}
	size := 0
	for _, chunk := range Split(text) {
		docs, _ := Decode(chunk.Text) // the reader of its values says what is wrong
		for _, doc := range docs {
			c := counter{seen: map[*yaml.Node]extent{}, open: map[*yaml.Node]bool{}, line: chunk.Line - 1}
			e, err := c.count(doc, 0, doc.Line)
			if err != nil {
				return err
			}
			if size += e.size; size > Values {
				return &Error{chunk.Line, tooMany}
			}
		}
	}
	return nil
}

const tooMany = "the file holds more than 500000 values, its aliases written out"

// harmless tells by the bytes alone that there is no alias, that the nesting of
// each document is shallow and that there are not too many values: a column to
// the right is at most two levels (a list may stand in its key's own column), an
// opening bracket is one, and no sign brings more than two values.
func harmless(text []byte) bool {
	const columns, brackets = 28, 40 // 2*28+40 levels at most
	signs, opening, column, indent := 0, 0, 0, true
	for i, b := range text {
		switch b {
		case '&', 0, 0xfe, 0xff:
			return false
		case 0xc2, 0xe2:
			if rest := text[i+1:]; bytes.HasPrefix(rest, []byte("\x85")) || bytes.HasPrefix(rest, []byte("\x80\xa8")) || bytes.HasPrefix(rest, []byte("\x80\xa9")) {
				return false
			}
			indent = false
		case '\n', '\r':
			column, indent = 0, true
			if rest, ok := bytes.CutPrefix(text[i+1:], []byte("---")); ok && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0) {
				opening = 0 // the next document
			}
			signs++
			continue
		case '[', '{':
			opening++
			signs++
			indent = false
		case '-', '?', ':':
			signs++
		case ',':
			signs++
			indent = false
		case ' ', '\t':
		default:
			indent = false
		}
		if indent {
			column++
		}
		if column > columns || opening > brackets {
			return false
		}
	}
	return 2*signs+len(text)/64 < Values
}

// counter counts nodes as if aliases were written out, each anchor once (seen);
// it gives up early enough not to overflow.
type counter struct {
	seen map[*yaml.Node]extent
	open map[*yaml.Node]bool
	line int // lines before the document
}

// extent is how many values a node holds, and how many levels.
type extent struct{ size, height int }

// line is the place in the text, which for what stands behind an alias is the
// alias's.
func (c *counter) count(n *yaml.Node, depth, line int) (extent, error) {
	e, ok := c.seen[n]
	if depth+e.height > Depth {
		return e, &Error{c.line + line, fmt.Sprintf("nested deeper than %d levels", Depth)}
	}
	if ok {
		return e, nil
	}
	if c.open[n] {
		return e, &Error{c.line + line, "an alias contains itself"}
	}
	children, alias := n.Content, n.Kind == yaml.AliasNode
	if alias {
		children = []*yaml.Node{n.Alias}
	}
	e.size = 1 + len(n.Value)/64 // a long text, many times over, is as bad
	if len(children) > 0 {
		c.open[n] = true
		defer delete(c.open, n)
	}
	for _, child := range children {
		if !alias {
			line = child.Line
		}
		below, err := c.count(child, depth+1, line)
		if err != nil {
			return e, err
		}
		e.height = max(e.height, below.height+1)
		if e.size += below.size; e.size > Values {
			return e, &Error{c.line + line, tooMany}
		}
	}
	if len(children) > 0 {
		c.seen[n] = e
	}
	return e, nil
}
