// SPDX-License-Identifier: Apache-2.0

package yamltext

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Layout is how a document is written, for what is added to it.
type Layout struct {
	step int // columns that a mapping in a mapping is indented by
	dash int // and a list in a mapping
}

// LayoutOf takes the first mapping and the first list that it meets; without
// one it is as kubectl and kustomize write.
func LayoutOf(root *yaml.Node) Layout {
	l := Layout{step: -1, dash: -1}
	l.look(root)
	if l.step < 1 {
		l.step = 2
	}
	if l.dash < 0 {
		l.dash = 0
	}
	return l
}

func (l *Layout) look(n *yaml.Node) {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && IsBlock(n) && IsBlock(c) && c.Line > n.Content[i-1].Line {
			switch d := c.Column - n.Content[0].Column; {
			case c.Kind == yaml.MappingNode && l.step < 0:
				l.step = d
			case c.Kind == yaml.SequenceNode && l.dash < 0:
				l.dash = d
			}
		}
		l.look(c)
	}
}

// IsBlock tells whether a node is a list or mapping that is written in lines,
// starting with its first entry.
func IsBlock(n *yaml.Node) bool {
	return n.Kind != yaml.ScalarNode && len(n.Content) > 0 && n.Style&(yaml.FlowStyle|yaml.TaggedStyle) == 0 && n.Anchor == ""
}

// Value makes a node of a value, a *yaml.Node or what yaml encodes, and cleans
// it of comments, anchors and styles that do not fit in a line. An alias is an
// error.
func Value(value any) (node *yaml.Node, err error) {
	defer func() { // the encoder's, of a channel and the like
		if r := recover(); r != nil {
			node, err = nil, fmt.Errorf("it cannot be written: %v", r)
		}
	}()
	n, ok := value.(*yaml.Node)
	if !ok {
		n = new(yaml.Node)
		if err := n.Encode(value); err != nil {
			return nil, err
		}
	}
	if n == nil {
		return nil, errors.New("it is a node that is nil")
	}
	if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
		n = n.Content[0]
	}
	return clean(n)
}

func clean(n *yaml.Node) (*yaml.Node, error) {
	c := &yaml.Node{Kind: n.Kind, Tag: n.ShortTag(), Value: n.Value, Style: n.Style & (yaml.FlowStyle | yaml.TaggedStyle)}
	switch {
	case n.IsZero():
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
	case n.Kind == yaml.ScalarNode && c.Tag == "!!str":
		c.Style = n.Style & (yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle)
		if c.Style == 0 {
			encoded := new(yaml.Node)
			if err := encoded.Encode(n.Value); err != nil {
				return nil, err
			}
			c.Style, c.Tag, c.Value = encoded.Style&^quoted, encoded.Tag, encoded.Value
			if encoded.Style&quoted != 0 {
				c.Style |= yaml.DoubleQuotedStyle
			}
		}
		if strings.ContainsAny(c.Value, "\r\n\u0085\u2028\u2029") { // stays on one line
			c.Style = yaml.DoubleQuotedStyle
		}
		return c, nil
	case n.Kind == yaml.ScalarNode:
		return c, nil
	case n.Kind != yaml.MappingNode && n.Kind != yaml.SequenceNode, n.Kind == yaml.MappingNode && len(n.Content)%2 != 0:
		return nil, fmt.Errorf("a node of kind %d cannot be written; give a scalar, mapping or list", n.Kind)
	}
	for _, child := range n.Content {
		cc, err := clean(child)
		if err != nil {
			return nil, err
		}
		c.Content = append(c.Content, cc)
	}
	return c, nil
}

// Key makes a node of a mapping's key, quoted where it would be no string.
func Key(key string) *yaml.Node {
	n, err := clean(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key})
	if err != nil {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key, Style: yaml.DoubleQuotedStyle}
	}
	return n
}

// Requote gives a string the quotes of what stands there, deep in a value every
// string.
func Requote(n *yaml.Node, style yaml.Style, deep bool) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" && n.Style&yaml.DoubleQuotedStyle == 0 {
		n.Style |= style
	}
	for _, c := range n.Content {
		if deep {
			Requote(c, style, deep)
		}
	}
}

// Inline writes a value into one line; within a flow commas and brackets mean
// something, so that more has to be quoted.
func Inline(n *yaml.Node, flow bool) (string, error) {
	if n.Kind != yaml.ScalarNode || flow {
		n = &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle, Content: []*yaml.Node{n}}
	}
	text, err := yaml.Marshal(n)
	if err != nil {
		return "", err
	}
	line := strings.TrimSuffix(string(text), "\n")
	if n.Kind != yaml.ScalarNode {
		line = strings.TrimSuffix(strings.TrimPrefix(line, "["), "]")
	}
	return line, nil
}

// Lines writes a value in block style, as far as it is a list or mapping, each
// line as it stands in column 0.
func (l Layout) Lines(n *yaml.Node) ([]string, error) {
	if !IsBlock(n) {
		line, err := Inline(n, false)
		return []string{line}, err
	}
	var all []string
	for i, c := range n.Content {
		below, err := l.Lines(c)
		if err != nil {
			return nil, err
		}
		switch {
		case n.Kind == yaml.SequenceNode:
			all = append(all, "- "+below[0])
			all = append(all, Indent(2, below[1:])...)
		case i%2 == 0:
			all = append(all, below[0]+":")
		case IsBlock(c):
			all = append(all, Indent(l.Below(c), below)...)
		default:
			all[len(all)-1] += " " + below[0]
		}
	}
	return all, nil
}

// Below is how much deeper than its key a value stands.
func (l Layout) Below(n *yaml.Node) int {
	if n.Kind == yaml.SequenceNode {
		return l.dash
	}
	return l.step
}

// Indent puts spaces before lines.
func Indent(by int, lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = strings.Repeat(" ", by) + line
	}
	return out
}
