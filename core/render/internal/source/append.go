// SPDX-License-Identifier: Apache-2.0

package source

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/outlast-ci/outlast/core/render/internal/source/yamltext"
)

// Append gives the text with one more element behind the last one of a list,
// which is made where it is not there. As with Set, every other byte stays; of a
// list in one line ([a, b]) the whole line is written anew. Its errors are Set's.
func Append(text []byte, doc Document, path Path, value any) ([]byte, error) {
	out, err := appendTo(text, doc, path, value)
	if err != nil {
		return nil, fmt.Errorf("adding to %s: %w", path, err)
	}
	return out, nil
}

func appendTo(text []byte, doc Document, path Path, value any) ([]byte, error) {
	wanted, err := yamltext.Value(value)
	if err != nil {
		return nil, fmt.Errorf("the value: %w", err)
	}
	list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{wanted}}
	e, err := open(text, doc)
	if err != nil {
		return nil, err
	}
	rest, err := e.walk(path)
	if err != nil {
		return nil, err
	}
	there := e.last().node()
	switch {
	case len(rest) > 0 || there.ShortTag() == "!!null" || there.Kind == yaml.SequenceNode && len(there.Content) == 0:
		return set(text, doc, path, list)
	case there.Kind != yaml.SequenceNode:
		return nil, fmt.Errorf("line %d: it is no list", there.Line)
	case !yamltext.IsBlock(there):
		list.Style, list.Content = yaml.FlowStyle, append(append([]*yaml.Node{}, there.Content...), wanted)
		return set(text, doc, path, list)
	}
	return e.apply(e.appendBlock(there, wanted))
}

// appendBlock writes an element in lines of its own, under the dashes of the others.
func (e *editor) appendBlock(list, value *yaml.Node) (patch, error) {
	if err := e.own(list); err != nil {
		return patch{}, err
	}
	p := patch{change: change{e.way, func(parent *yaml.Node) { parent.Content = append(parent.Content, value) }}}
	dash, err := e.entry(list, 0)
	if err != nil {
		return p, err
	}
	end, err := e.LastEnd(list.Content[len(list.Content)-1])
	if err != nil {
		return p, err
	}
	lines, err := e.Lines(&yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{value}})
	if err != nil {
		return p, err
	}
	nl := e.Newline(end)
	p.from = e.LineEnd(end)
	p.to, p.text = p.from, nl+strings.Join(yamltext.Indent(e.Column(dash), lines), nl)
	return p, nil
}
