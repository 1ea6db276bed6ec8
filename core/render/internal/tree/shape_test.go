// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"strings"
	"testing"
)

func TestOddShapes(t *testing.T) {
	for _, metadata := range []string{"[a]", "a", "{annotations: [a]}", "{name: a, annotations: x}", "{name: a, labels: [b, c, d]}", "{name: [a]}"} {
		text := "apiVersion: v1\nkind: ConfigMap\nmetadata: " + metadata + "\n"
		_, err := Load(t.Context(), Options{Path: Stdin, Stream: []byte(text)})
		if err == nil || !strings.Contains(err.Error(), "metadata") {
			t.Errorf("metadata: %s: %v", metadata, err)
		}
	}
	for _, key := range []string{"~: x", "null: x", "? [a]\n  : x", "? {a: b}\n  : x"} {
		_, err := Load(t.Context(), Options{Path: Stdin, Stream: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  " + key + "\n")})
		if err == nil || !strings.HasSuffix(err.Error(), "line 1: this is no Kubernetes object: the key in line 5 is no text") {
			t.Errorf("%s: %v", key, err)
		}
	}
	for _, key := range []string{"1: x", "true: x", "'null': x", "'~': x", "&a k: x\n  *a : y\n  z: x"} {
		if _, err := Load(t.Context(), Options{Path: Stdin, Stream: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  " + key + "\n")}); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	for _, metadata := range []string{"{name: a, annotations: null}", "{name: a, labels: }", "{name: a, annotations: {}}"} {
		if _, err := Load(t.Context(), Options{Path: Stdin, Stream: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: " + metadata + "\n")}); err != nil {
			t.Errorf("metadata: %s: %v", metadata, err)
		}
	}
}
