// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestContent: what the API server counts by itself is no content, wherever it keeps it.
func TestContent(t *testing.T) {
	daemon := func(generation int64, template, note string) *unstructured.Unstructured {
		annotations := map[string]any{"deprecated.daemonset.template.generation": template}
		if note != "" {
			annotations["note"] = note
		}
		return &unstructured.Unstructured{Object: map[string]any{"kind": "DaemonSet", "metadata": map[string]any{"name": "d", "generation": generation, "annotations": annotations}}}
	}
	bare := &unstructured.Unstructured{Object: map[string]any{"kind": "DaemonSet", "metadata": map[string]any{"name": "d"}}}
	for name, tc := range map[string]struct {
		a, b *unstructured.Unstructured
		same bool
	}{
		"another generation":                {daemon(1, "1", ""), daemon(2, "2", ""), true},
		"one that is not counted yet":       {daemon(1, "1", ""), bare, true},
		"another generation and annotation": {daemon(1, "1", "x"), daemon(2, "2", "y"), false},
		"an annotation that goes":           {daemon(1, "1", "x"), daemon(1, "1", ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			if Same(tc.a, tc.b) != tc.same {
				t.Errorf("%v and %v", Content(tc.a), Content(tc.b))
			}
			if tc.a.GetAnnotations()["deprecated.daemonset.template.generation"] != "1" {
				t.Error("the object itself has changed")
			}
		})
	}
}
