// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"strings"
)

// attributes is a stringMap of the AWS Load Balancer Controller: k=v pairs
// between commas, split at the first =, a comma in a value escaped as `\,`.
type attributes []attribute

type attribute struct{ key, value string }

func parseAttributes(text string) (attributes, error) {
	var attrs attributes
	for _, item := range splitUnescaped(text) {
		if strings.TrimSpace(item) == "" {
			continue
		}
		k, v, ok := strings.Cut(item, "=")
		if k = strings.TrimSpace(k); !ok || k == "" {
			return nil, fmt.Errorf("%q is not key=value", item)
		}
		if v = strings.TrimSpace(v); strings.HasSuffix(v, `\`) || strings.HasSuffix(k, `\`) {
			return nil, fmt.Errorf("%q ends in a backslash, which would swallow the next comma", item)
		}
		attrs = append(attrs, attribute{k, v})
	}
	return attrs, nil
}

func splitUnescaped(text string) (items []string) {
	var item strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == ',':
			item.WriteByte(',')
			i++
		case text[i] == ',':
			items = append(items, item.String())
			item.Reset()
		default:
			item.WriteByte(text[i])
		}
	}
	return append(items, item.String())
}

func (a attributes) get(key string) (string, bool) {
	for _, attr := range a {
		if attr.key == key {
			return attr.value, true
		}
	}
	return "", false
}

// with gives a copy with one key set, in place where it stood.
func (a attributes) with(key, value string) attributes {
	out := make(attributes, 0, len(a)+1)
	found := false
	for _, attr := range a {
		if attr.key == key {
			attr.value, found = value, true
		}
		out = append(out, attr)
	}
	if !found {
		out = append(out, attribute{key, value})
	}
	return out
}

func (a attributes) String() string {
	items := make([]string, len(a))
	for i, attr := range a {
		items[i] = strings.ReplaceAll(attr.key+"="+attr.value, ",", `\,`)
	}
	return strings.Join(items, ",")
}
