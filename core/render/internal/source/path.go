// SPDX-License-Identifier: Apache-2.0

package source

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Path is the way from an object to one of its fields.
type Path []Step

// Step goes one level down. A bare step is the key of a mapping. A bracketed
// one is what the YAML makes of it: in a mapping a key, which dots would break
// otherwise; in a list the element whose name is that, or else whose key is,
// or else of which key=value holds, or that is this scalar, or that has this
// index, from 0.
type Step struct {
	Key     string
	Bracket bool
}

// mappings are the fields whose brackets hold a key, also where the field is
// not there yet.
var mappings = []string{"annotations", "binaryData", "data", "labels", "matchLabels", "nodeSelector", "selector", "stringData"}

// ParsePath reads the printed form of findings, such as
// spec.template.spec.containers[web].lifecycle.preStop and
// metadata.annotations[example.com/a.b]. What holds a bracket of its own is
// quoted as in Go: data["a]b"].
func ParsePath(text string) (Path, error) {
	var p Path
	for rest := text; rest != "" || p == nil; {
		step, after, err := parseStep(rest, p == nil)
		if err != nil {
			return nil, fmt.Errorf("reading the path %q: %w", text, err)
		}
		p, rest = append(p, step), after
	}
	return p, nil
}

func parseStep(text string, first bool) (step Step, rest string, err error) {
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if quoted, err := strconv.QuotedPrefix(inner); err == nil && inner[0] == '"' {
			step.Key, _ = strconv.Unquote(quoted)
			rest, ok = strings.CutPrefix(inner[len(quoted):], "]")
		} else {
			step.Key, rest, ok = strings.Cut(inner, "]")
			ok = ok && step.Key != ""
		}
		if !ok {
			return step, "", fmt.Errorf("the bracket at %q holds nothing or does not end", text)
		}
		step.Bracket = true
		return step, rest, nil
	}
	if !first {
		var dot bool
		if text, dot = strings.CutPrefix(text, "."); !dot {
			return step, "", fmt.Errorf("want . or [ before %q", text)
		}
	}
	end := strings.IndexAny(text, ".[")
	if end < 0 {
		end = len(text)
	}
	if step.Key, rest = text[:end], text[end:]; !bare(step.Key) {
		return step, "", fmt.Errorf("%q is no key; write a key with other signs in brackets", step.Key)
	}
	return step, rest, nil
}

// bare keys stand in a path without brackets.
func bare(key string) bool {
	return key != "" && !strings.ContainsAny(key, ".[]\"` \t\r\n")
}

// String is the form that ParsePath reads.
func (p Path) String() string {
	var b strings.Builder
	for i, s := range p {
		switch {
		case bare(s.Key) && !s.Bracket:
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.Key)
		case s.Key == "" || strings.ContainsAny(s.Key, "[]") || strconv.Quote(s.Key) != `"`+s.Key+`"`:
			b.WriteString("[" + strconv.Quote(s.Key) + "]")
		default:
			b.WriteString("[" + s.Key + "]")
		}
	}
	return b.String()
}

// child finds what a step leads to: the index of the value in n.Content, or -1.
// Where a second element fits as well, double is true.
func (s Step) child(n *yaml.Node) (index int, double bool) {
	switch {
	case n.Kind == yaml.SequenceNode && s.Bracket:
		return s.element(n)
	case n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if k := n.Content[i]; k.Kind == yaml.ScalarNode && k.Value == s.Key {
				return i + 1, false
			}
		}
	}
	return -1, false
}

// element finds the element of a list that a bracket means.
func (s Step) element(list *yaml.Node) (index int, double bool) {
	key, value, isPair := strings.Cut(s.Key, "=")
	for _, fits := range []func(*yaml.Node) bool{
		func(n *yaml.Node) bool { return scalar(n, "name") == s.Key },
		func(n *yaml.Node) bool { return scalar(n, "key") == s.Key },
		func(n *yaml.Node) bool { return isPair && value != "" && scalar(n, key) == value },
		func(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Value == s.Key },
	} {
		index = slices.IndexFunc(list.Content, func(n *yaml.Node) bool { return s.Key != "" && fits(target(n)) })
		if index >= 0 {
			return index, slices.ContainsFunc(list.Content[index+1:], func(n *yaml.Node) bool { return fits(target(n)) })
		}
	}
	if i, err := strconv.Atoi(s.Key); err == nil && i >= 0 && i < len(list.Content) {
		return i, false
	}
	return -1, false
}

// scalar is the text of a scalar field, "" without one.
func scalar(n *yaml.Node, keys ...string) string {
	for _, k := range keys {
		if _, n = lookup(n, Step{Key: k}); n == nil {
			return ""
		}
	}
	if n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// target is what an alias stands for.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// lookup goes one step down as a reader does, through aliases and merge keys:
// where the field stands (its key, or the element of a list), and its value.
func lookup(n *yaml.Node, step Step) (at, value *yaml.Node) {
	return lookupIn(target(n), step, map[*yaml.Node]bool{})
}

func lookupIn(n *yaml.Node, step Step, open map[*yaml.Node]bool) (at, value *yaml.Node) {
	if i, _ := step.child(n); i >= 0 {
		if at = n.Content[i]; n.Kind == yaml.MappingNode {
			at = n.Content[i-1]
		}
		return at, target(n.Content[i])
	}
	if n.Kind != yaml.MappingNode || open[n] {
		return nil, nil
	}
	open[n] = true
	for _, m := range merged(n) {
		if at, value = lookupIn(m, step, open); value != nil {
			return at, value
		}
	}
	return nil, nil
}

// merged lists the mappings that a mapping takes entries from.
func merged(n *yaml.Node) (from []*yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].ShortTag() != "!!merge" {
			continue
		}
		v := target(n.Content[i+1])
		if v.Kind != yaml.SequenceNode {
			from = append(from, v)
			continue
		}
		for _, e := range v.Content {
			from = append(from, target(e))
		}
	}
	return from
}
