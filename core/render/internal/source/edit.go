// SPDX-License-Identifier: Apache-2.0

package source

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/outlast-ci/outlast/core/render/internal/source/yamltext"
)

// Set gives the text with a field of an object set to a value, a *yaml.Node or
// what yaml encodes; parents that are missing are made, but no element of
// a list. Of doc only Index and Item count, so that it may be of the text before
// an earlier edit. Every byte stays but the field's: comments, order and quotes
// too, and a comment on the field's line. A value that is there already gives
// the same text. What would change anything else is an error that says the
// line: an alias, what an alias elsewhere repeats, what a merge key brings in.
func Set(text []byte, doc Document, path Path, value any) ([]byte, error) {
	out, err := set(text, doc, path, value)
	if err != nil {
		return nil, fmt.Errorf("setting %s: %w", path, err)
	}
	return out, nil
}

// Delete gives the text without a field, with the comment on its line but not
// those above it. What was a parent of that alone becomes {} or []. Without the
// field it is the same text. Its errors are Set's.
func Delete(text []byte, doc Document, path Path) ([]byte, error) {
	out, err := remove(text, doc, path)
	if err != nil {
		return nil, fmt.Errorf("deleting %s: %w", path, err)
	}
	return out, nil
}

// spot is a node within its parent.
type spot struct {
	parent *yaml.Node
	index  int
	flow   bool // the parent is a flow, or within one
}

func (s spot) node() *yaml.Node { return s.parent.Content[s.index] }

// editor holds one text and the way to the object in it.
type editor struct {
	*yamltext.Text
	yamltext.Layout
	doc   *yaml.Node
	spots []spot // from the document down
	way   []int  // the same as indexes, after the document's own
	users map[*yaml.Node][]*yaml.Node
}

// open parses a text and goes to an object.
func open(text []byte, d Document) (*editor, error) {
	docs, err := parse(text)
	if err != nil {
		return nil, err
	}
	if d.Index < 0 || d.Index >= len(docs) {
		return nil, fmt.Errorf("the file has %d documents, none of index %d", len(docs), d.Index)
	}
	e := &editor{Text: yamltext.New(text), doc: docs[d.Index], way: []int{d.Index}, users: map[*yaml.Node][]*yaml.Node{}}
	if first, twice := duplicate(e.doc); twice != nil {
		return nil, fmt.Errorf("line %d: the key %q is there twice, first on line %d; remove one", twice.Line, twice.Value, first.Line)
	}
	e.Layout = yamltext.LayoutOf(e.doc)
	e.uses(e.doc)
	e.down(e.doc, 0)
	if items := listed(e.last().node()); d.Item > 0 {
		if items == nil || d.Item > len(items.Content) {
			return nil, fmt.Errorf("document %d is no List with an item %d", d.Index, d.Item)
		}
		if err := e.follow(Step{Key: "items"}); err != nil {
			return nil, err
		}
		if err := e.own(e.last().node()); err != nil {
			return nil, err
		}
		e.down(items, d.Item-1)
	}
	n := e.last().node()
	if err := e.own(n); err != nil {
		return nil, err
	}
	if n.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: no object is here", n.Line)
	}
	return e, nil
}

// uses notes which nodes aliases repeat.
func (e *editor) uses(n *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		e.users[n.Alias] = append(e.users[n.Alias], n)
	}
	for _, c := range n.Content {
		e.uses(c)
	}
}

func (e *editor) last() spot { return e.spots[len(e.spots)-1] }

func (e *editor) down(parent *yaml.Node, index int) {
	flow := parent.Style&yaml.FlowStyle != 0 || len(e.spots) > 0 && e.last().flow
	e.spots, e.way = append(e.spots, spot{parent, index, flow}), append(e.way, index)
}

// errNotThere ends the way: the field is to be made.
var errNotThere = errors.New("not there")

// follow goes one step down and refuses what is shared.
func (e *editor) follow(step Step) error {
	n := e.last().node()
	if err := e.own(n); err != nil {
		return err
	}
	index, double := step.child(n)
	if double {
		return fmt.Errorf("line %d: %s fits twice; change it by hand", n.Line, Path{step})
	}
	if index >= 0 {
		e.down(n, index)
		return nil
	}
	return errNotThere
}

// own refuses an alias, and a node that an alias repeats.
func (e *editor) own(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode {
		return fmt.Errorf("line %d: here is the alias *%s of line %d; change it there, or write it out", n.Line, n.Value, n.Alias.Line)
	}
	if users := e.users[n]; len(users) > 0 {
		return fmt.Errorf("line %d: the alias *%s of line %d repeats what is here; change it by hand", n.Line, n.Anchor, users[0].Line)
	}
	return nil
}

// ownAll refuses a node of which anything is an alias's that stays.
func (e *editor) ownAll(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode {
		return e.own(n)
	}
	inside := map[*yaml.Node]bool{}
	all := []*yaml.Node{n}
	for i := 0; i < len(all); i++ {
		inside[all[i]] = true
		all = append(all, all[i].Content...)
	}
	for _, m := range all {
		for _, user := range e.users[m] {
			if !inside[user] {
				return e.own(m)
			}
		}
	}
	return nil
}

// walk follows a path as far as it is there.
func (e *editor) walk(path Path) (rest Path, err error) {
	if len(path) == 0 {
		return nil, errors.New("the path is empty")
	}
	for _, step := range path {
		if !utf8.ValidString(step.Key) {
			return nil, fmt.Errorf("%q is no UTF-8", step.Key)
		}
	}
	for i, step := range path {
		if err := e.follow(step); errors.Is(err, errNotThere) {
			return path[i:], nil
		} else if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// find reads a field's value, through aliases and merge keys.
func (e *editor) find(path Path) *yaml.Node {
	n := e.last().node()
	for _, step := range path {
		if _, n = lookup(n, step); n == nil {
			return nil
		}
	}
	return n
}

// nested wraps a value in the mappings of a path.
func nested(path Path, value *yaml.Node) *yaml.Node {
	for i := len(path) - 1; i >= 0; i-- {
		value = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{yamltext.Key(path[i].Key), value}}
	}
	return value
}

func set(text []byte, doc Document, path Path, value any) ([]byte, error) {
	wanted, err := yamltext.Value(value)
	if err != nil {
		return nil, fmt.Errorf("the value: %w", err)
	}
	if _, twice := duplicate(wanted); twice != nil {
		return nil, fmt.Errorf("the value has the key %q twice", twice.Value)
	}
	e, err := open(text, doc)
	if err != nil {
		return nil, err
	}
	if n := e.find(path); n != nil && len(path) > 0 && same(n, wanted) {
		return text, nil
	}
	rest, err := e.walk(path)
	if err != nil {
		return nil, err
	}
	if len(rest) == 0 {
		return e.apply(e.replace(wanted))
	}
	if err := e.makeable(path, rest); err != nil {
		return nil, err
	}
	if parent := e.last().node(); parent.Kind == yaml.MappingNode && len(parent.Content) > 0 {
		return e.apply(e.add(rest[0].Key, nested(rest[1:], wanted)))
	}
	return e.apply(e.replace(nested(rest, wanted)))
}

// makeable tells whether the rest of a path can be made where it ends.
func (e *editor) makeable(path, rest Path) error {
	parent, have := e.last().node(), path[:len(path)-len(rest)]
	switch {
	case parent.Kind == yaml.SequenceNode && rest[0].Bracket:
		return fmt.Errorf("line %d: the list has no element %s; add it by hand", parent.Line, rest[0].Key)
	case parent.Kind != yaml.MappingNode && parent.ShortTag() != "!!null":
		return fmt.Errorf("line %d: %s is no mapping, so it has no %s", parent.Line, have, rest[0].Key)
	}
	if at, v := lookup(parent, rest[0]); v != nil && len(rest) > 1 {
		return fmt.Errorf("line %d: %s comes by a merge key (<<) from line %d; change it by hand", parent.Line, rest[0].Key, at.Line)
	}
	for i := range rest {
		at := len(have) + i
		if isMap := i == 0 && parent.Kind == yaml.MappingNode; path[at].Bracket && !isMap && (at == 0 || !slices.Contains(mappings, path[at-1].Key)) {
			return fmt.Errorf("line %d: %s has no list with an element %s; add it by hand", parent.Line, path[:at], path[at].Key)
		}
	}
	return nil
}

func remove(text []byte, doc Document, path Path) ([]byte, error) {
	e, err := open(text, doc)
	if err != nil {
		return nil, err
	}
	if e.find(path) == nil {
		return text, nil
	}
	rest, err := e.walk(path)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("line %d: %s comes by a merge key (<<) from elsewhere; change it by hand", e.last().node().Line, rest[0].Key)
	}
	return e.apply(e.cut())
}

// patch is one stretch of text to write over, and what it does to the tree.
type patch struct {
	from, to int
	text     string
	change
}

// apply makes the patch and gives nothing that was not verified.
func (e *editor) apply(p patch, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	b.Write(e.Bytes[:p.from])
	b.WriteString(p.text)
	b.Write(e.Bytes[p.to:])
	out := []byte(b.String())
	if err := verify(e.Bytes, out, p.change); err != nil {
		return nil, err
	}
	return out, nil
}
