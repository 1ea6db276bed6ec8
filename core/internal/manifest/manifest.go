// SPDX-License-Identifier: Apache-2.0

// Package manifest reads and writes streams of Kubernetes objects, and tells what they say of each other. It is pure.
package manifest

import (
	"bytes"
	rawjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// ID is how messages name an object: Kind/namespace/name, or Kind//name without a
// namespace, as render does.
func ID(obj *unstructured.Unstructured) string {
	return obj.GetKind() + "/" + obj.GetNamespace() + "/" + obj.GetName()
}

// Parse reads a stream of YAML or JSON documents; empty ones are left out.
func Parse(text []byte) (all []*unstructured.Unstructured, err error) {
	dec := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		obj, raw := &unstructured.Unstructured{}, rawjson.RawMessage{}
		err := dec.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err == nil && len(raw) > 0 {
			err = json.Unmarshal(raw, &obj.Object) // apimachinery's: a whole number stays one
		}
		if err != nil {
			return nil, fmt.Errorf("reading object %d of the manifests: %w", len(all)+1, err)
		}
		if len(obj.Object) > 0 {
			all = append(all, obj)
		}
	}
}

// Stream writes objects as a YAML stream of JSON documents.
func Stream(objects []*unstructured.Unstructured) ([]byte, error) {
	var b bytes.Buffer
	for _, obj := range objects {
		text, err := rawjson.Marshal(obj.Object)
		if err != nil {
			return nil, fmt.Errorf("writing %s: %w", ID(obj), err)
		}
		b.WriteString("---\n")
		b.Write(text)
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

// OwnedBy tells whether an object of the cluster is owned by one of those with some UIDs.
func OwnedBy(obj *unstructured.Unstructured, owners map[string]bool) bool {
	return slices.ContainsFunc(obj.GetOwnerReferences(), func(ref metav1.OwnerReference) bool { return owners[string(ref.UID)] })
}

// IsPreDeploy tells whether a Job has to succeed before the workloads are touched, by its
// annotation.
func IsPreDeploy(obj *unstructured.Unstructured) bool {
	return obj.GetKind() == "Job" && obj.GetAnnotations()["outlast/phase"] == "pre-deploy"
}

// Paused gives the manifests with the rollout of each Deployment stopped where it is.
func Paused(text []byte) ([]byte, error) {
	objects, err := Parse(text)
	if err != nil {
		return nil, err
	}
	for _, obj := range objects {
		if obj.GetKind() == "Deployment" {
			if err := unstructured.SetNestedField(obj.Object, true, "spec", "paused"); err != nil {
				return nil, fmt.Errorf("%s: %w", ID(obj), err)
			}
		}
	}
	return Stream(objects)
}
