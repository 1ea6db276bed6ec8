// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"encoding/base64"
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// encodeStrings turns a Secret's stringData into data, where it wins, as the API
// server does. Left to the server, Outlast would own stringData, which no object ever
// has: another's write to data would be no conflict, and a key that the manifests drop
// would stay. What the server refuses stays as it is, for it to say so.
func encodeStrings(obj *unstructured.Unstructured) {
	texts, ok := obj.Object["stringData"].(map[string]any)
	if !ok || obj.GetAPIVersion() != "v1" || obj.GetKind() != "Secret" {
		return
	}
	data := map[string]any{}
	if given, there := obj.Object["data"]; there && given != nil {
		if data, ok = given.(map[string]any); !ok {
			return
		}
	}
	encoded := map[string]any{}
	for k, v := range texts {
		text, ok := v.(string)
		if !ok && v != nil { // null is an empty text there
			return
		}
		encoded[k] = base64.StdEncoding.EncodeToString([]byte(text))
	}
	maps.Copy(data, encoded)
	if delete(obj.Object, "stringData"); len(encoded) > 0 {
		obj.Object["data"] = data
	}
}
