// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/config"
)

// object is a JSON object; encoding/json sorts its keys.
type object = map[string]any

// Patterns of what inputs and drain read as a time. Both take Go's durations;
// an input's bare number is whole, and an empty text is unset.
const (
	duration     = `[+]?(([0-9]+([.][0-9]*)?|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))+`
	inputTime    = `^(|[0-9]+|` + duration + `)$`
	symbolTime   = `^([+]?([0-9]+([.][0-9]*)?|[.][0-9]+)|` + duration + `)$`
	maxInputTime = 1<<31 - 1
)

// Schema gives the JSON Schema of outlast.yaml: the plain keys from the table,
// the structure from package config. It cannot say that names, branches and clusters
// are unique, or that a pattern is well-formed; the program does.
func Schema(table []inputs.Group) ([]byte, error) {
	environment := level(table, config.EnvironmentKeys(), nil)
	top := level(table, config.FileKeys(), environment)
	top["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	top["$comment"] = header
	top["title"] = "outlast.yaml"
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(top)
	return out.Bytes(), err
}

// mapping is an object with these keys only.
func mapping() object {
	return object{"type": "object", "additionalProperties": false, "properties": object{}}
}

// level is one that may hold plain values, and structured keys; environment is
// the schema of one, where they may stand.
func level(table []inputs.Group, keys []config.Key, environment object) object {
	here := mapping()
	for _, g := range table {
		for _, in := range g.Inputs {
			if in.Key != "" {
				put(here, in.Key, plainValue(row{in}))
			}
		}
	}
	for _, k := range keys {
		put(here, k.Name, structured(k, environment))
	}
	return here
}

// put sets the schema of a key with dots for nesting.
func put(at object, key string, schema object) {
	first, rest, nested := strings.Cut(key, ".")
	properties := at["properties"].(object)
	if !nested {
		properties[first] = schema
		return
	}
	if properties[first] == nil {
		properties[first] = mapping()
	}
	put(properties[first].(object), rest, schema)
}

func plainValue(r row) object {
	s := object{"description": r.Description()}
	switch r.Kind {
	case inputs.Choice:
		words := []any{}
		for _, c := range r.Choices {
			words = append(words, c)
		}
		s["enum"] = append(words, "", nil)
	case inputs.Duration:
		s["type"], s["pattern"] = []string{"string", "integer", "null"}, inputTime
		s["minimum"], s["maximum"] = 0, maxInputTime
	case inputs.Boolean:
		s["enum"] = []any{true, false, "true", "false", "", nil}
	default:
		s["type"] = []string{"string", "number", "boolean", "null"}
	}
	return s
}

func structured(k config.Key, environment object) object {
	s := object{}
	switch k.Shape {
	case config.ImageList:
		image := mapping()
		var required []string
		for _, key := range config.ImageKeys() {
			put(image, key.Name, structured(key, nil))
			if key.Required {
				required = append(required, key.Name)
			}
		}
		image["required"] = required
		s = object{"type": "array", "items": image}
	case config.EnvironmentMap:
		s = object{"type": "object", "additionalProperties": environment}
	case config.BranchPatternSeq, config.NameList:
		s = object{"type": "array", "items": object{"type": []string{"string", "number", "boolean"}, "minLength": 1}}
	case config.ClusterList:
		cluster := mapping()
		for _, key := range config.ClusterKeys() {
			put(cluster, key.Name, structured(key, nil))
		}
		var one []any
		for _, key := range config.ClusterSelectors() {
			there := object{"type": []string{"string", "number", "boolean"}, "minLength": 1}
			one = append(one, object{"required": []string{key}, "properties": object{key: there}})
		}
		cluster["anyOf"] = one
		s = object{"type": "array", "items": cluster, "minItems": 1}
	case config.SymbolMap:
		s = symbols()
	case config.PlainMap:
		s = object{"type": "object", "additionalProperties": object{"type": []string{"string", "number", "boolean", "null"}}}
	case config.Plain:
		s["type"] = []string{"string", "number", "boolean", "null"}
		if k.Required {
			s = object{"type": []string{"string", "number", "boolean"}, "minLength": 1}
		}
	}
	s["description"] = k.Doc
	return s
}

// symbols are those that drain knows; one that takes no fraction is a count, and
// one that takes true is a flag.
func symbols() object {
	s := mapping()
	for _, symbol := range drain.Symbols() {
		value := object{"type": []string{"string", "number"}, "pattern": symbolTime, "minimum": 0, "maximum": 86_400}
		if in := drain.Defaults(); in.Set(symbol, "true") == nil {
			value = object{"type": []string{"boolean", "string", "integer"}, "pattern": "^(1|t|T|TRUE|true|True|0|f|F|FALSE|false|False)$", "minimum": 0, "maximum": 1}
		} else if in.Set(symbol, "1.5") != nil {
			value = object{"type": []string{"string", "integer"}, "pattern": "^[+]?[0-9]+$", "minimum": 0, "maximum": 10_000}
		}
		put(s, symbol, value)
	}
	return s
}
