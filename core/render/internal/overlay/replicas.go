// SPDX-License-Identifier: Apache-2.0

package overlay

import (
	"fmt"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/source"
)

// Replica is an entry of the kustomization's replicas.
type Replica struct{ Name, Count string }

// Replicas lists the entries of the kustomization's replicas. They come after patches
// and prefixes.
func (o *Overlay) Replicas() (list []Replica, err error) {
	k, err := yaml.Parse(string(o.Text))
	if err != nil {
		return nil, fmt.Errorf("reading the kustomization: %w", err)
	}
	for _, e := range node.Elements(k, "replicas") {
		list = append(list, Replica{node.Str(e, "name"), node.Str(e, "count")})
	}
	return list, nil
}

// Counted is the kustomization with another count in each entry of its replicas.
func (o *Overlay) Counted(count func(entry int) int) ([]byte, error) {
	k, err := yaml.Parse(string(o.Text))
	if err != nil {
		return nil, fmt.Errorf("reading the kustomization: %w", err)
	}
	for i, e := range node.Elements(k, "replicas") {
		if err := node.Set(e, node.Number(count(i)), "count"); err != nil {
			return nil, fmt.Errorf("counting replicas: %w", err)
		}
	}
	text, err := k.String()
	return []byte(text), err
}

// Unscale takes an entry out of the kustomization's replicas.
func (o *Overlay) Unscale(name string) error {
	return o.edit(func(doc source.Document) ([]byte, error) {
		return source.Delete(o.Text, doc, source.Path{{Key: "replicas"}, {Key: name, Bracket: true}})
	})
}
