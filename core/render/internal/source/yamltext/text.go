// SPDX-License-Identifier: Apache-2.0

// Package yamltext finds the bytes of parsed YAML nodes, and writes nodes the
// way the text around them is written.
package yamltext

import (
	"bytes"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Text finds the bytes of a parsed node, as offsets: the parser tells only where
// one starts. It knows the node's value, so an end is found by reading the value
// again in the text, and text that says something else is an error that names
// the line.
type Text struct {
	Bytes  []byte
	starts []int // of the lines, as YAML counts them
}

// New takes the text that the nodes were parsed from, in UTF-8.
func New(text []byte) *Text {
	s := &Text{Bytes: text, starts: []int{0}}
	if bytes.HasPrefix(text, []byte("\ufeff")) {
		s.starts[0] = 3 // the parser counts no column for it
	}
	for p := s.starts[0]; p < len(text); {
		if n := s.LineBreak(p); n > 0 {
			p += n
			s.starts = append(s.starts, p)
		} else {
			p++
		}
	}
	return s
}

// LineBreak gives the length of the line break at p, 0 without one. YAML 1.1
// knows more breaks than editors do.
func (s *Text) LineBreak(p int) int {
	if p >= len(s.Bytes) || s.Bytes[p] != '\n' && s.Bytes[p] != '\r' && s.Bytes[p] < utf8.RuneSelf {
		return 0
	}
	for _, b := range []string{"\r\n", "\n", "\r", "\u0085", "\u2028", "\u2029"} {
		if bytes.HasPrefix(s.Bytes[p:], []byte(b)) {
			return len(b)
		}
	}
	return 0
}

// Blank gives the length of the blank or line break at p.
func (s *Text) Blank(p int) int {
	if s.Has(p, " \t") {
		return 1
	}
	return s.LineBreak(p)
}

// Has tells whether the byte at p is one of those.
func (s *Text) Has(p int, any string) bool {
	return p < len(s.Bytes) && strings.IndexByte(any, s.Bytes[p]) >= 0
}

// LineStart is where the line of p starts.
func (s *Text) LineStart(p int) int {
	return s.starts[max(0, sort.SearchInts(s.starts, p+1)-1)]
}

// LineEnd is where the line of p ends, before its break.
func (s *Text) LineEnd(p int) int {
	for p < len(s.Bytes) && s.LineBreak(p) == 0 {
		p++
	}
	return p
}

// Newline is the break to write beside p: that of its line, else of the one before.
func (s *Text) Newline(p int) string {
	end := s.LineEnd(p)
	if end == len(s.Bytes) {
		if end = s.LineStart(p) - 1; end > 0 && s.Bytes[end] == '\n' && s.Bytes[end-1] == '\r' {
			end--
		}
	}
	switch {
	case end < 0 || !s.Has(end, "\r"):
		return "\n"
	case s.LineBreak(end) == 2:
		return "\r\n"
	}
	return "\r"
}

// First tells whether nothing but spaces stands before p on its line.
func (s *Text) First(p int) bool {
	return len(bytes.Trim(s.Bytes[s.LineStart(p):p], " ")) == 0
}

// Column of p counts from 0. What stands before an entry of a block has one
// byte a character.
func (s *Text) Column(p int) int {
	return p - s.LineStart(p)
}

// Line of p counts from 1.
func (s *Text) Line(p int) int {
	return sort.SearchInts(s.starts, p+1)
}

// Skip passes blanks, breaks and comments to the next token.
func (s *Text) Skip(p int) int {
	for p < len(s.Bytes) {
		if n := s.Blank(p); n > 0 {
			p += n
		} else if s.Bytes[p] == '#' {
			p = s.LineEnd(p)
		} else {
			break
		}
	}
	return p
}

// Start is the offset of a node, or of its anchor or tag.
func (s *Text) Start(n *yaml.Node) (int, error) {
	if n.Line < 1 || n.Line > len(s.starts) {
		return 0, s.lost(n)
	}
	p := s.starts[n.Line-1]
	for range n.Column - 1 {
		if p >= len(s.Bytes) {
			return 0, s.lost(n)
		}
		_, width := utf8.DecodeRune(s.Bytes[p:])
		p += width
	}
	return p, nil
}

func (s *Text) lost(n *yaml.Node) error {
	return fmt.Errorf("line %d: the text does not read as its value; change it by hand", n.Line)
}

// quoted are the styles of a scalar that is more than its words.
const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

// ownsProperties tells whether an anchor or a tag at a node's start is its own,
// not its first key's.
func ownsProperties(n *yaml.Node) bool {
	return n.Anchor != "" || n.Kind == yaml.ScalarNode || n.Style&(yaml.TaggedStyle|yaml.FlowStyle) != 0
}

// Content passes a node's anchor and tag.
func (s *Text) Content(n *yaml.Node) (p int, err error) {
	if p, err = s.Start(n); err != nil {
		return 0, err
	}
	hollow := n.Kind == yaml.ScalarNode && n.Value == "" && n.Style&quoted == 0
	for ownsProperties(n) && s.Has(p, "&!") {
		stop := " \t"
		if hollow || n.Style&yaml.FlowStyle != 0 {
			stop = " \t,[]{}"
		}
		for p < len(s.Bytes) && s.LineBreak(p) == 0 && !s.Has(p, stop) {
			p++
		}
		if next := s.Skip(p); !hollow || s.Has(next, "&!") && s.Line(next) == s.Line(p) {
			p = next
		}
	}
	return p, nil
}

// End is the offset behind a node, without what trails it on its line.
func (s *Text) End(n *yaml.Node) (int, error) {
	p, err := s.Content(n)
	if err != nil {
		return 0, err
	}
	switch {
	case n.Kind == yaml.AliasNode:
		if !bytes.HasPrefix(s.Bytes[p:], []byte("*"+n.Value)) {
			return 0, s.lost(n)
		}
		return p + 1 + len(n.Value), nil
	case n.Kind != yaml.ScalarNode:
		return s.collectionEnd(n, p)
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return s.quotedEnd(n, p, '"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		return s.quotedEnd(n, p, '\'')
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		if !s.Has(p, "|>") {
			return 0, s.lost(n)
		}
		end, err := s.match(n, s.LineEnd(p))
		return s.LineEnd(end), err
	}
	return s.match(n, p)
}

// LastEnd is the end of a node together with the empty lines that belong to it,
// those of a block scalar that keeps them.
func (s *Text) LastEnd(n *yaml.Node) (int, error) {
	end, err := s.End(n)
	if err != nil {
		return 0, err
	}
	for n.Kind != yaml.ScalarNode && n.Style&yaml.FlowStyle == 0 && len(n.Content) > 0 {
		n = n.Content[len(n.Content)-1]
	}
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
		return end, nil
	}
	p, err := s.Content(n)
	if err != nil {
		return 0, err
	}
	header, _, _ := bytes.Cut(s.Bytes[p:s.LineEnd(p)], []byte("#"))
	kept := strings.TrimRight(n.Value, "\n")
	if !bytes.Contains(header, []byte("+")) && strings.TrimRight(kept, " \t") == kept {
		return end, nil
	}
	for {
		width := s.LineBreak(end)
		next := s.LineEnd(end + width)
		if width == 0 || end+width == len(s.Bytes) || !s.empty(next) {
			return end, nil
		}
		end = next
	}
}

// empty tells whether the line that ends at p is.
func (s *Text) empty(p int) bool {
	return len(bytes.Trim(s.Bytes[s.LineStart(p):p], " \t")) == 0
}

// match reads a scalar's value from p on, whatever was folded or indented.
func (s *Text) match(n *yaml.Node, p int) (int, error) {
	value := &Text{Bytes: []byte(n.Value)}
	for q := 0; ; {
		for b := value.Blank(q); b > 0; b = value.Blank(q) {
			q += b
		}
		if q == len(value.Bytes) {
			return p, nil
		}
		for b := s.Blank(p); b > 0; b = s.Blank(p) {
			p += b
		}
		for q < len(value.Bytes) && value.Blank(q) == 0 {
			if p >= len(s.Bytes) || s.Bytes[p] != value.Bytes[q] {
				return 0, s.lost(n)
			}
			p, q = p+1, q+1
		}
	}
}

func (s *Text) quotedEnd(n *yaml.Node, p int, quote byte) (int, error) {
	if p >= len(s.Bytes) || s.Bytes[p] != quote {
		return 0, s.lost(n)
	}
	for p++; p < len(s.Bytes); p++ {
		switch {
		case s.Bytes[p] == '\\' && quote == '"', s.Bytes[p] == quote && quote == '\'' && s.Has(p+1, "'"):
			p++
		case s.Bytes[p] == quote:
			return p + 1, nil
		}
	}
	return 0, s.lost(n)
}

// collectionEnd: a block ends with its last node, a flow with its bracket.
func (s *Text) collectionEnd(n *yaml.Node, p int) (end int, err error) {
	if n.Kind != yaml.MappingNode && n.Kind != yaml.SequenceNode {
		return 0, s.lost(n)
	}
	inner := p + 1
	if len(n.Content) > 0 {
		if inner, err = s.End(n.Content[len(n.Content)-1]); err != nil {
			return 0, err
		}
	}
	open, closing := "{", "}"
	if n.Kind == yaml.SequenceNode {
		open, closing = "[", "]"
	}
	if n.Style&yaml.FlowStyle == 0 || !s.Has(p, open) { // a: b within [] has no brackets
		return inner, nil
	}
	if inner = s.Skip(inner); s.Has(inner, ",") {
		inner = s.Skip(inner + 1)
	}
	if !s.Has(inner, closing) {
		return 0, s.lost(n)
	}
	return inner + 1, nil
}

// Colon is the offset behind the colon of a key.
func (s *Text) Colon(key *yaml.Node) (int, error) {
	start, err := s.Start(key)
	if err != nil {
		return 0, err
	}
	end, err := s.End(key)
	if err != nil {
		return 0, err
	}
	before := bytes.TrimRight(s.Bytes[s.LineStart(start):start], " \t")
	p := s.Skip(end)
	if bytes.HasSuffix(before, []byte("?")) || !s.Has(p, ":") {
		return 0, fmt.Errorf("line %d: the key is written with ?, or without a colon; change it by hand", key.Line)
	}
	return p + 1, nil
}
