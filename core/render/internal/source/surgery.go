// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/outlast-ci/outlast/core/render/internal/source/yamltext"
)

// replace writes a value over the node at the end of the way.
func (e *editor) replace(value *yaml.Node) (patch, error) {
	at := e.last()
	old := at.node()
	if err := e.ownAll(old); err != nil {
		return patch{}, err
	}
	p := patch{change: change{e.way[:len(e.way)-1], func(parent *yaml.Node) { parent.Content[at.index] = value }}}
	start, err := e.Start(old)
	if err != nil {
		return p, err
	}
	if p.to, err = e.End(old); err != nil {
		return p, err
	}
	if old.Kind != yaml.ScalarNode && old.Style&yaml.FlowStyle == 0 { // a comment on its last line is of what goes
		p.to = e.LineEnd(p.to)
	}
	behind := start // what the value follows: its key's colon, or itself
	if at.parent.Kind == yaml.MappingNode {
		if behind, err = e.valueFrom(at); err != nil {
			return p, err
		}
	}
	if old.Kind == yaml.ScalarNode && old.ShortTag() == "!!str" {
		yamltext.Requote(value, old.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle), false)
	}
	if yamltext.IsBlock(value) && !at.flow {
		return e.replaceByBlock(p, old, value, start, behind)
	}
	text, err := e.flowText(value, at)
	if err != nil {
		return p, err
	}
	switch {
	case yamltext.IsBlock(old) && at.parent.Kind == yaml.MappingNode: // comments on the way to the old lines stay
		p.from, p.text = behind, " "+text+strings.TrimRight(string(e.Bytes[behind:start]), " \t\r\n")
	case start == p.to: // nothing is written
		p.from, p.to, p.text = behind, behind, " "+text
		if at.parent.Kind == yaml.MappingNode && !bytes.HasSuffix(e.Bytes[:behind], []byte(":")) {
			p.text = ":" + p.text
		}
	default:
		p.from, p.text = start, text+e.headerComment(old)
	}
	return p, nil
}

// valueFrom is the offset behind the colon; {a} has none.
func (e *editor) valueFrom(at spot) (int, error) {
	key := at.parent.Content[at.index-1]
	p, err := e.Colon(key)
	if err != nil && at.flow && at.node().Value == "" {
		return e.End(key)
	}
	return p, err
}

// headerComment is the comment beside the | of a block scalar.
func (e *editor) headerComment(n *yaml.Node) string {
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
		return ""
	}
	p, err := e.Content(n)
	if err != nil {
		return ""
	}
	header := e.Bytes[p:e.LineEnd(p)]
	if i := bytes.IndexByte(header, '#'); i > 0 {
		return string(header[len(bytes.TrimRight(header[:i], " \t")):])
	}
	return ""
}

// flowText writes a value into one line. Where the keys beside it are quoted,
// the text may be JSON, and stays JSON.
func (e *editor) flowText(value *yaml.Node, at spot) (string, error) {
	if !at.flow {
		return yamltext.Inline(value, false)
	}
	if e.json(at) {
		yamltext.Requote(value, yaml.DoubleQuotedStyle, true)
	}
	return yamltext.Inline(value, true)
}

func (e *editor) json(at spot) bool {
	for i := 0; i < len(at.parent.Content); i += 2 {
		if at.parent.Kind != yaml.MappingNode || at.parent.Content[i].Style&yaml.DoubleQuotedStyle == 0 {
			return false
		}
	}
	return true
}

// replaceByBlock writes a value in lines over p.to's node.
func (e *editor) replaceByBlock(p patch, old, value *yaml.Node, start, behind int) (patch, error) {
	lines, err := e.Lines(value)
	if err != nil {
		return p, err
	}
	remarks, err := e.comments(old, start, p.to)
	if err != nil {
		return p, err
	}
	parent, column := e.last().parent, e.Column(start)
	inMapping := parent.Kind == yaml.MappingNode
	var least int // the column where the value may start
	if inMapping {
		key, err := e.Start(parent.Content[e.last().index-1])
		if err != nil {
			return p, err
		}
		if least = e.Column(key) + e.Below(value); value.Kind == yaml.SequenceNode {
			least = e.Column(key)
		}
		if !yamltext.IsBlock(old) {
			column = e.Column(key) + e.Below(value)
		}
	}
	nl := e.Newline(start)
	switch {
	case yamltext.IsBlock(old) && e.First(start):
		column = max(column, least)
		p.from, p.text = e.LineStart(start), strings.Join(yamltext.Indent(column, append(remarks, lines...)), nl)
	case !inMapping && start == p.to: // an element that is empty
		p.from, p.text = start, " "+strings.Join(yamltext.Indent(column+1, lines), nl)[column+1:]
	case !inMapping || yamltext.IsBlock(old):
		p.from, p.text = start, strings.Join(yamltext.Indent(column, lines), nl)[column:]+e.headerComment(old)
	default: // behind what trails the key
		end := e.LineEnd(p.to)
		trail := strings.TrimRight(string(e.Bytes[behind:start]), " \t\r\n") + e.headerComment(old) + string(e.Bytes[p.to:end])
		p.from, p.to, p.text = behind, end, trail+nl+strings.Join(yamltext.Indent(column, append(remarks, lines...)), nl)
	}
	return p, nil
}

// comments are those within a node that is not one scalar: what takes its place gets
// them, since nobody but their author can tell whether they still hold.
func (e *editor) comments(n *yaml.Node, from, to int) (found []string, err error) {
	look := func(end int) {
		for ; from < end; from++ {
			if e.Has(from, "#") && (from == 0 || e.Blank(from-1) > 0) {
				found = append(found, strings.TrimRight(string(e.Bytes[from:e.LineEnd(from)]), " \t"))
				from = e.LineEnd(from)
			}
		}
	}
	var walk func(n *yaml.Node) error
	walk = func(n *yaml.Node) error {
		if len(n.Content) == 0 && n.Value != "" { // what may hold a # itself
			start, err := e.Start(n)
			if err != nil {
				return err
			}
			look(start)
			from, err = e.End(n)
			return err
		}
		for _, c := range n.Content {
			if err := walk(c); err != nil {
				return err
			}
		}
		return nil
	}
	if len(n.Content) == 0 {
		return nil, nil
	}
	err = walk(n)
	look(to)
	return found, err
}

// add writes a new key behind the last entry of the mapping at the end of the
// way.
func (e *editor) add(key string, value *yaml.Node) (patch, error) {
	m, k := e.last().node(), yamltext.Key(key)
	if err := e.own(m); err != nil {
		return patch{}, err
	}
	p := patch{change: change{e.way, func(parent *yaml.Node) { parent.Content = append(parent.Content, k, value) }}}
	first, err := e.Start(m.Content[0])
	if err != nil {
		return p, err
	}
	for i := 0; i < len(m.Content); i += 2 {
		if _, err := e.valueFrom(spot{m, i + 1, m.Style&yaml.FlowStyle != 0}); err != nil {
			return p, err
		}
	}
	end, err := e.LastEnd(m.Content[len(m.Content)-1])
	if err != nil {
		return p, err
	}
	if m.Style&yaml.FlowStyle != 0 {
		return e.addToFlow(p, m, k, value, end)
	}
	lines, err := e.Lines(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{k, value}})
	if err != nil {
		return p, err
	}
	nl := e.Newline(end)
	p.from = e.LineEnd(end)
	p.to, p.text = p.from, nl+strings.Join(yamltext.Indent(e.Column(first), lines), nl)
	return p, nil
}

func (e *editor) addToFlow(p patch, m, k, value *yaml.Node, end int) (patch, error) {
	open, err := e.Content(m)
	if err != nil {
		return p, err
	}
	if !e.Has(open, "{") {
		return p, fmt.Errorf("line %d: the pair has no braces; change it by hand", m.Line)
	}
	at := spot{m, 1, true}
	if e.json(at) {
		k.Style = yaml.DoubleQuotedStyle
	}
	key, err := yamltext.Inline(k, true)
	if err != nil {
		return p, err
	}
	text, err := e.flowText(value, at)
	if err != nil {
		return p, err
	}
	last, err := e.Start(m.Content[len(m.Content)-2])
	if err != nil {
		return p, err
	}
	p.from, p.to, p.text = end, end, ", "+key+": "+text
	rest := string(e.Bytes[end:e.LineEnd(end)])
	if comma := strings.TrimLeft(rest, " \t"); e.First(last) && (comma == "" || comma[0] == '#') { // an entry a line
		p.to, p.text = e.LineEnd(end), ","+rest+e.Newline(end)+strings.Repeat(" ", e.Column(last))+key+": "+text
	}
	return p, nil
}

// cut takes the entry at the end of the way out of its parent.
func (e *editor) cut() (patch, error) {
	at := e.last()
	if err := e.ownAll(at.node()); err != nil {
		return patch{}, err
	}
	from := at.index
	if at.parent.Kind == yaml.MappingNode {
		from--
		if err := e.ownAll(at.parent.Content[from]); err != nil {
			return patch{}, err
		}
	}
	if from == 0 && at.index == len(at.parent.Content)-1 { // the only one
		e.spots, e.way = e.spots[:len(e.spots)-1], e.way[:len(e.way)-1]
		return e.replace(&yaml.Node{Kind: at.parent.Kind, Tag: at.parent.ShortTag(), Style: yaml.FlowStyle})
	}
	p := patch{change: change{e.way[:len(e.way)-1], func(parent *yaml.Node) {
		parent.Content = slices.Delete(parent.Content, from, at.index+1)
	}}}
	end, err := e.LastEnd(at.node())
	if err != nil {
		return p, err
	}
	start, err := e.entry(at.parent, from)
	if err != nil {
		return p, err
	}
	if at.parent.Style&yaml.FlowStyle != 0 {
		return e.cutFlow(p, at.parent, from, start, end)
	}
	p.from, p.to = e.LineStart(start), e.LineEnd(end)
	after := p.to + e.LineBreak(p.to)
	switch {
	case !e.First(start): // behind a dash: the next entry moves up to it
		p.from = start
		for p.to = after; e.Blank(p.to) > 0; p.to += e.Blank(p.to) {
		}
	case after > p.to:
		p.to = after
	case p.from > 0: // the text ends without a break, and goes on doing so
		p.from--
		if p.from > 0 && e.LineBreak(p.from-1) == 2 {
			p.from--
		}
	}
	return p, nil
}

// entry is where the entry at an index starts: its key, or its dash.
func (e *editor) entry(parent *yaml.Node, index int) (int, error) {
	if parent.Kind == yaml.MappingNode {
		if _, err := e.valueFrom(spot{parent, index + 1, parent.Style&yaml.FlowStyle != 0}); err != nil {
			return 0, err
		}
		return e.Start(parent.Content[index])
	}
	if parent.Style&yaml.FlowStyle != 0 {
		return e.Start(parent.Content[index])
	}
	if index == 0 {
		return e.Content(parent)
	}
	end, err := e.End(parent.Content[index-1])
	return e.Skip(end), err
}

// cutFlow takes an entry out of a flow, and one comma.
func (e *editor) cutFlow(p patch, parent *yaml.Node, from, start, end int) (patch, error) {
	if next := e.Skip(end); from > 0 { // the comma before it
		before, err := e.End(parent.Content[from-1])
		if err != nil {
			return p, err
		}
		if rest := bytes.TrimLeft(e.Bytes[end:e.LineEnd(end)], " \t"); bytes.HasPrefix(rest, []byte("#")) && e.First(start) {
			end = e.LineEnd(end)
		}
		comma := e.Skip(before)
		between := string(e.Bytes[before:comma]) + strings.TrimPrefix(string(e.Bytes[comma:start]), ",")
		p.from, p.to = before, end
		if strings.Contains(between, "#") {
			p.text = between
			if e.LineBreak(end) > 0 {
				p.text = strings.TrimRight(between, " \t\r\n")
			}
		}
	} else if e.Has(next, ",") {
		p.from, p.to = start, next+1
		for e.Has(p.to, " \t") {
			p.to++
		}
		if e.Has(p.to, "#") { // of the entry
			p.to = e.LineEnd(p.to)
		}
		for e.LineBreak(p.to) > 0 || e.Has(p.to, " \t") {
			p.to += e.Blank(p.to)
		}
	} else {
		return p, fmt.Errorf("line %d: no comma follows; change it by hand", e.Line(end))
	}
	return p, nil
}
