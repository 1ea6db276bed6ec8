// SPDX-License-Identifier: Apache-2.0

// Package objects reads manifests and knows the kinds of objects: which are
// written before which others, which run pods, and what of an object is content.
package objects

import (
	"bytes"
	rawjson "encoding/json"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Parse reads a stream of objects. An empty stream, an object without a name
// and one that comes twice are mistakes.
func Parse(manifests []byte) (objects []*unstructured.Unstructured, err error) {
	dec := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifests), 4096)
	seen := map[string]bool{}
	for n := 1; ; n++ {
		obj, raw := &unstructured.Unstructured{}, rawjson.RawMessage{}
		err := dec.Decode(&raw)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && len(raw) > 0 {
			err = json.Unmarshal(raw, &obj.Object) // apimachinery's: a whole number stays one
		}
		if err != nil {
			return nil, fmt.Errorf("reading object %d of the manifests: %w", n, err)
		}
		if len(obj.Object) == 0 {
			continue
		}
		if obj.GetAPIVersion() == "" || obj.GetKind() == "" || obj.GetName() == "" {
			return nil, fmt.Errorf("reading object %d of the manifests: it has no apiVersion, kind or metadata.name (generateName cannot be applied)", n)
		}
		key := obj.GetAPIVersion() + " " + ID(obj)
		if seen[key] {
			return nil, fmt.Errorf("reading object %d of the manifests: %s comes twice", n, ID(obj))
		}
		seen[key] = true
		objects = append(objects, obj)
	}
	if len(objects) == 0 {
		return nil, errors.New("reading the manifests: there is no object in them")
	}
	return objects, nil
}

// ID is how messages name an object: Kind/namespace/name.
func ID(obj *unstructured.Unstructured) string {
	if ns := obj.GetNamespace(); ns != "" {
		return obj.GetKind() + "/" + ns + "/" + obj.GetName()
	}
	return obj.GetKind() + "/" + obj.GetName()
}
