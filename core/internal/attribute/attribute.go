// SPDX-License-Identifier: Apache-2.0

// Package attribute reads and writes the stringMap of the AWS Load Balancer
// Controller: attributes of a target group or load balancer in one annotation.
package attribute

import (
	"fmt"
	"strings"
)

// Delay is the deregistration delay among a target group's attributes.
const Delay = "deregistration_delay.timeout_seconds"

// IdleTimeout is a load balancer's.
const IdleTimeout = "idle_timeout.timeout_seconds"

// Map is a list of k=v pairs between commas, each split at the first =. A backslash takes the
// sign behind it as it is, and a comma at the very end belongs to the last value.
type Map []Pair

// Pair is one attribute.
type Pair struct{ Key, Value string }

// Parse reads an annotation as the controller does, and refuses what that refuses.
func Parse(text string) (Map, error) {
	var attrs Map
	if text == "" {
		return nil, nil
	}
	for _, item := range splitUnescaped(text) {
		k, v, ok := strings.Cut(item, "=")
		if k = strings.TrimSpace(k); !ok || k == "" {
			return nil, fmt.Errorf("%q is not key=value", item)
		}
		attrs = append(attrs, Pair{k, strings.TrimSpace(v)})
	}
	return attrs, nil
}

func splitUnescaped(text string) (items []string) {
	var item strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text):
			i++
			item.WriteByte(text[i])
		case text[i] == ',' && strings.TrimSpace(text[i+1:]) != "":
			items = append(items, item.String())
			item.Reset()
		default:
			item.WriteByte(text[i])
		}
	}
	return append(items, item.String())
}

// Get gives the last of a key's values, as the controller does.
func (a Map) Get(key string) (value string, ok bool) {
	for _, attr := range a {
		if attr.Key == key {
			value, ok = attr.Value, true
		}
	}
	return value, ok
}

// With gives a copy with one key set, in place where it stood.
func (a Map) With(key, value string) Map {
	out := make(Map, 0, len(a)+1)
	found := false
	for _, attr := range a {
		if attr.Key == key {
			attr.Value, found = value, true
		}
		out = append(out, attr)
	}
	if !found {
		out = append(out, Pair{key, value})
	}
	return out
}

func (a Map) String() string {
	items := make([]string, len(a))
	for i, attr := range a {
		items[i] = strings.NewReplacer(`\`, `\\`, ",", `\,`).Replace(attr.Key + "=" + attr.Value)
	}
	return strings.Join(items, ",")
}
