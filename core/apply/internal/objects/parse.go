// SPDX-License-Identifier: Apache-2.0

// Package objects reads manifests and knows the kinds of objects: which are
// written before which others, which run pods, and what of an object is content.
package objects

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/internal/manifest"
)

// Parse reads a stream of objects, Secrets with their stringData as data. An empty
// stream, an object without a name and one that comes twice are mistakes.
func Parse(manifests []byte) ([]*unstructured.Unstructured, error) {
	all, err := manifest.Parse(manifests)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for i, obj := range all {
		if obj.GetAPIVersion() == "" || obj.GetKind() == "" || obj.GetName() == "" {
			return nil, fmt.Errorf("reading object %d of the manifests: it has no apiVersion, kind or metadata.name (generateName cannot be applied)", i+1)
		}
		key := obj.GetAPIVersion() + " " + ID(obj)
		if seen[key] {
			return nil, fmt.Errorf("reading object %d of the manifests: %s comes twice", i+1, ID(obj))
		}
		seen[key] = true
		encodeStrings(obj)
	}
	if len(all) == 0 {
		return nil, errors.New("reading the manifests: there is no object in them")
	}
	return all, nil
}

// ID is how messages name an object: Kind/namespace/name.
func ID(obj *unstructured.Unstructured) string {
	if ns := obj.GetNamespace(); ns != "" {
		return obj.GetKind() + "/" + ns + "/" + obj.GetName()
	}
	return obj.GetKind() + "/" + obj.GetName()
}
