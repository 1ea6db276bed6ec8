// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"
)

// change is what an edit does to the tree of a file: the way by indexes from
// its documents to the parent, and the parent's new content.
type change struct {
	way    []int
	change func(parent *yaml.Node)
}

// verify parses both texts and compares them node by node: the new one must be
// the old one with the change, in every document.
func verify(before, after []byte, c change) error {
	want, err := parse(before)
	if err != nil {
		return err
	}
	got, err := parse(after)
	if err != nil {
		return fmt.Errorf("the text would not parse any more (%w); change it by hand", err)
	}
	parent := want[c.way[0]]
	for _, i := range c.way[1:] {
		parent = parent.Content[i]
	}
	c.change(parent)
	if len(want) != len(got) {
		return fmt.Errorf("the file would have %d documents instead of %d; change it by hand", len(got), len(want))
	}
	for i := range want {
		if bad := differ(want[i], got[i]); bad != nil {
			return fmt.Errorf("line %d would change, too; change it by hand", bad.Line)
		}
	}
	return nil
}

// Apart is the way to the first field in which two objects, in JSON, differ.
func Apart(a, b []byte) (path Path) {
	for {
		var x, y map[string]json.RawMessage
		if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
			return path
		}
		keys := slices.Concat(slices.Sorted(maps.Keys(x)), slices.Sorted(maps.Keys(y)))
		at := slices.IndexFunc(keys, func(k string) bool { return !bytes.Equal(x[k], y[k]) })
		if at < 0 {
			return path
		}
		path, a, b = append(path, Step{Key: keys[at]}), x[keys[at]], y[keys[at]]
	}
}

// differ gives the first node of got that is not as wanted. An alias of the same
// name, behind the same anchors, stands for the same.
func differ(want, got *yaml.Node) *yaml.Node {
	if want.Kind != got.Kind || want.ShortTag() != got.ShortTag() || want.Value != got.Value || want.Anchor != got.Anchor ||
		len(want.Content) != len(got.Content) {
		return got
	}
	for i, c := range want.Content {
		if bad := differ(c, got.Content[i]); bad != nil {
			return bad
		}
	}
	return nil
}

// same tells whether two nodes mean the same, whatever their style and order.
func same(a, b *yaml.Node) bool {
	var x, y any
	return a.Decode(&x) == nil && b.Decode(&y) == nil && reflect.DeepEqual(stringKeys(x), stringKeys(y))
}

// stringKeys writes all keys as strings, as JSON has them.
func stringKeys(v any) any {
	switch v := v.(type) {
	case map[any]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[fmt.Sprint(k)] = stringKeys(e)
		}
		return m
	case map[string]any:
		for k, e := range v {
			v[k] = stringKeys(e)
		}
	case []any:
		for i, e := range v {
			v[i] = stringKeys(e)
		}
	}
	return v
}

// duplicate finds a key that a mapping has twice.
func duplicate(n *yaml.Node) (first, second *yaml.Node) {
	seen := map[string]*yaml.Node{}
	for i, c := range n.Content {
		if first, second = duplicate(c); second != nil {
			return first, second
		}
		if n.Kind != yaml.MappingNode || i%2 != 0 || c.Kind != yaml.ScalarNode {
			continue
		}
		if first = seen[c.Value]; first != nil {
			return first, c
		}
		seen[c.Value] = c
	}
	return nil, nil
}
