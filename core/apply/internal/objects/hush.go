// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Hush keeps a Secret's values out of an error: API servers quote a value that
// has the wrong type.
func Hush(obj *unstructured.Unstructured, err error) error {
	if err == nil || obj.GetKind() != "Secret" {
		return err
	}
	var values []string
	for _, field := range []string{"data", "stringData"} {
		values = append(values, leaves(obj.Object[field])...)
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) }) // one may be a part of another
	text := err.Error()
	for _, v := range values {
		if len(v) >= 4 { // shorter ones are words of any message
			text = strings.ReplaceAll(text, v, "(hidden)")
		}
	}
	return &hushed{text, err}
}

// leaves lists the values below v, also as the text that they encode.
func leaves(v any) (all []string) {
	switch v := v.(type) {
	case map[string]any:
		for _, inner := range v {
			all = append(all, leaves(inner)...)
		}
		return all
	case []any:
		for _, inner := range v {
			all = append(all, leaves(inner)...)
		}
		return all
	case nil:
		return nil
	case string:
		if text, err := base64.StdEncoding.DecodeString(v); err == nil {
			all = append(all, string(text))
		}
	}
	return append(all, fmt.Sprint(v))
}

type hushed struct {
	text string
	err  error
}

func (h *hushed) Error() string { return h.text }
func (h *hushed) Unwrap() error { return h.err }
