// SPDX-License-Identifier: Apache-2.0

// Package print writes objects as kustomize does. kustomize encodes an object,
// decodes it, makes JSON of it, reads that as YAML and encodes it again, a
// fourth of the time that a render takes. Here what most manifests consist of
// is written at once; anything else goes kustomize's way.
package print

import (
	"slices"
	"strings"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"
)

// YAML writes an object with its keys sorted, byte for byte as kustomize does.
func YAML(n *kyaml.RNode) ([]byte, error) {
	if node := n.YNode(); node != nil && node.Kind == kyaml.MappingNode {
		var space [2048]byte
		w := writer{b: space[:0]}
		if w.mapping(node, 0, false) {
			return slices.Clone(w.b), nil
		}
	}
	return Slow(n)
}

// Slow is how kustomize does it (api/resource.Resource.AsYAML).
func Slow(n *kyaml.RNode) ([]byte, error) {
	text, err := n.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(text)
}

// writer writes block style. Its methods are false for what they leave to
// kustomize's way.
type writer struct {
	b []byte
}

// mapping writes from the first key on, which stands where the text ends.
func (w *writer) mapping(n *kyaml.Node, indent int, flow bool) bool {
	if flow = flow || n.Style&kyaml.FlowStyle != 0; !usual(n, "!!map", flow) {
		return false
	}
	if len(n.Content) == 0 {
		w.b = append(w.b, "{}\n"...)
		return true
	}
	var space [32]entry
	entries := space[:0]
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != kyaml.ScalarNode || !usual(key, "!!str", flow) {
			return false
		}
		entries = append(entries, entry{key.Value, n.Content[i+1]})
	}
	slices.SortFunc(entries, entry.compare)
	for i, e := range entries {
		if i > 0 {
			if e.key == entries[i-1].key {
				return false
			}
			w.indent(indent)
		}
		if !w.key(e.key) || !w.value(e.value, indent, flow) {
			return false
		}
	}
	return true
}

// value writes what stands behind a key.
func (w *writer) value(n *kyaml.Node, indent int, flow bool) bool {
	switch {
	case n.Kind == kyaml.MappingNode && len(n.Content) > 0:
		w.b = append(w.b, '\n')
		w.indent(indent + 2)
		return w.mapping(n, indent+2, flow)
	case n.Kind == kyaml.SequenceNode && len(n.Content) > 0:
		w.b = append(w.b, '\n')
		w.indent(indent)
		return w.sequence(n, indent, flow)
	}
	w.b = append(w.b, ' ')
	return w.node(n, indent, flow)
}

// node writes what may stand behind a space.
func (w *writer) node(n *kyaml.Node, indent int, flow bool) bool {
	switch n.Kind {
	case kyaml.MappingNode:
		return w.mapping(n, indent, flow)
	case kyaml.SequenceNode:
		return w.sequence(n, indent, flow)
	case kyaml.ScalarNode:
		return w.scalar(n, indent, flow)
	}
	return false
}

func (w *writer) sequence(n *kyaml.Node, indent int, flow bool) bool {
	if flow = flow || n.Style&kyaml.FlowStyle != 0; !usual(n, "!!seq", flow) {
		return false
	}
	if len(n.Content) == 0 {
		w.b = append(w.b, "[]\n"...)
		return true
	}
	for i, item := range n.Content {
		if i > 0 {
			w.indent(indent)
		}
		w.b = append(w.b, '-', ' ')
		at := indent + 2
		if item.Kind == kyaml.ScalarNode {
			at = indent // its lines start two columns behind the -
		}
		if !w.node(item, at, flow) {
			return false
		}
	}
	return true
}

func (w *writer) indent(n int) {
	for range n {
		w.b = append(w.b, ' ')
	}
}

// usual: the node has the tag, no anchor, and no comment that kustomize's first
// encoding could misplace.
func usual(n *kyaml.Node, tag string, flow bool) bool {
	if n.Anchor != "" || n.Alias != nil || n.Tag != "" && n.Tag != tag || n.Tag == "" && n.ShortTag() != tag {
		return false
	}
	if n.LineComment != "" && (n.Kind != kyaml.ScalarNode || n.Style&(kyaml.LiteralStyle|kyaml.FoldedStyle) != 0 || strings.Contains(n.LineComment, "\n")) {
		return false
	}
	for _, c := range [...]string{n.HeadComment, n.LineComment, n.FootComment} {
		if c != "" && (flow || !comment(c)) {
			return false
		}
	}
	return true
}

// comment: every line that is not empty starts with #.
func comment(text string) bool {
	start := true
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\n':
			start = true
			continue
		case start && c != '#', c < ' ', c > '~':
			return false
		}
		start = false
	}
	return true
}

type entry struct {
	key   string
	value *kyaml.Node
}

// compare is the order of keys of the encoder (go.yaml.in/yaml/v2, sorter.go),
// for keys of ASCII: numbers within them count as numbers.
func (a entry) compare(b entry) int {
	switch {
	case a.key == b.key:
		return 0
	case less(a.key, b.key):
		return -1
	}
	return 1
}

func less(a, b string) bool {
	for i := 0; i < len(a) && i < len(b); i++ {
		if a[i] == b[i] {
			continue
		}
		al, bl := letter(a[i]), letter(b[i])
		if al && bl {
			return a[i] < b[i]
		}
		if al || bl {
			return bl
		}
		var an, bn int64
		if a[i] == '0' || b[i] == '0' {
			for j := i - 1; j >= 0 && digit(a[j]); j-- {
				if a[j] != '0' {
					an, bn = 1, 1
					break
				}
			}
		}
		ai, bi := i, i
		for ; ai < len(a) && digit(a[ai]); ai++ {
			an = an*10 + int64(a[ai]-'0')
		}
		for ; bi < len(b) && digit(b[bi]); bi++ {
			bn = bn*10 + int64(b[bi]-'0')
		}
		if an != bn {
			return an < bn
		}
		if ai != bi {
			return ai < bi
		}
		return a[i] < b[i]
	}
	return len(a) < len(b)
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func digit(c byte) bool { return c >= '0' && c <= '9' }
