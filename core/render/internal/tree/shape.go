// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Shaped refuses an object whose metadata or keys no API server would take: kyaml's
// getters panic on a list there, and it writes keys twice that are no text.
func Shaped(n *yaml.Node) error {
	if err := keyed(n); err != nil {
		return err
	}
	metadata, err := mappingAt(n, "metadata", "metadata")
	if err != nil || metadata == nil {
		return err
	}
	for _, key := range []string{"annotations", "labels"} {
		if _, err := mappingAt(metadata, key, "metadata."+key); err != nil {
			return err
		}
	}
	return nil
}

// keyed refuses keys that are null, lists or mappings.
func keyed(n *yaml.Node) error {
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			key := child
			if key.Kind == yaml.AliasNode {
				key = key.Alias
			}
			if key.Kind != yaml.ScalarNode || key.Tag == yaml.NodeTagNull {
				return fmt.Errorf("the key in line %d is no text", child.Line)
			}
		}
		if err := keyed(child); err != nil {
			return err
		}
	}
	return nil
}

// mappingAt gives the mapping below a key; nil: there is none.
func mappingAt(n *yaml.Node, key, name string) (*yaml.Node, error) {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		v := n.Content[i+1]
		if v.Kind == yaml.AliasNode {
			v = v.Alias
		}
		switch {
		case n.Content[i].Value != key:
		case v.Kind == yaml.MappingNode:
			return v, nil
		case v.Kind == yaml.ScalarNode && (v.Tag == yaml.NodeTagNull || v.Value == ""):
			return nil, nil
		default:
			return nil, fmt.Errorf("its %s is no mapping of keys to values", name)
		}
	}
	return nil, nil
}
