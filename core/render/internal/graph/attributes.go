// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// DelayAttribute is the deregistration delay among a target group's attributes.
const DelayAttribute = "deregistration_delay.timeout_seconds"

const idleAttribute = "idle_timeout.timeout_seconds"

// Attributes are a target group's, at the places where they are written: the
// first place that has a key wins, and new keys go to the first place.
type Attributes struct {
	Places []Place
	Hidden *Place // an annotation of the Ingress that the Service's hides as a whole
}

// Place is an annotation that holds a stringMap, or a list of {key, value}.
type Place struct {
	Object *yaml.RNode
	Path   []string
	List   bool
	Make   bool // Object is not there yet: it has to be added to the manifests
}

func annotationPlace(object *yaml.RNode, key string) Place {
	return Place{Object: object, Path: []string{"metadata", "annotations", key}}
}

// PlaceError is a malformed value, with where it stands.
type PlaceError struct {
	Object *yaml.RNode
	Field  string
	Err    error
}

func (e *PlaceError) Error() string {
	return fmt.Sprintf("reading %s of %s: %v", e.Field, node.ID(e.Object), e.Err)
}
func (e *PlaceError) Unwrap() error { return e.Err }

// Get gives an attribute's value, and whether it is written.
func (a Attributes) Get(key string) (string, bool, error) {
	for _, p := range a.Places {
		if v, ok, err := p.get(key); ok || err != nil {
			return v, ok, err
		}
	}
	return "", false, nil
}

// Number gives an attribute that is a whole number, not negative.
func (a Attributes) Number(key string) (int, bool, error) {
	for _, p := range a.Places {
		text, ok, err := p.get(key)
		if err != nil {
			return 0, false, err
		}
		if !ok {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return 0, false, &PlaceError{p.Object, node.Path(p.Path), fmt.Errorf("%s=%s is no number of seconds", key, text)}
		}
		return n, true, nil
	}
	return 0, false, nil
}

func (p Place) get(key string) (string, bool, error) {
	if p.List {
		for _, e := range node.Elements(p.Object, p.Path...) {
			if node.Str(e, "key") == key {
				return node.Str(e, "value"), true, nil
			}
		}
		return "", false, nil
	}
	attrs, err := parse(node.Str(p.Object, p.Path...))
	if err != nil {
		return "", false, &PlaceError{p.Object, node.Path(p.Path), err}
	}
	v, ok := attrs.get(key)
	return v, ok, nil
}

// Setting is one field to write: what stands there and what is to.
type Setting struct {
	Path     []string
	Value    *yaml.RNode
	From, To string
}

// With gives the setting that writes an attribute at the place: an annotation as a whole,
// since it is one string, or the value of one element of a list.
func (p Place) With(key, value string) Setting {
	if p.List {
		from, _, _ := p.get(key)
		return Setting{Path: append(append([]string{}, p.Path...), "[key="+key+"]", "value"), Value: node.Text(value), From: from, To: value}
	}
	from := node.Str(p.Object, p.Path...)
	attrs, err := parse(from)
	if err != nil { // Get has refused it
		attrs = nil
	}
	to := attrs.with(key, value).String()
	return Setting{Path: p.Path, Value: node.Text(to), From: from, To: to}
}

// stringMap is how the AWS Load Balancer Controller writes attributes in an
// annotation: k=v pairs between commas, split at the first =. A backslash takes the
// sign behind it as it is, and a comma at the very end belongs to the last value.
type stringMap []pair

type pair struct{ key, value string }

func parse(text string) (stringMap, error) {
	var attrs stringMap
	if text == "" {
		return nil, nil
	}
	for _, item := range splitUnescaped(text) {
		k, v, ok := strings.Cut(item, "=")
		if k = strings.TrimSpace(k); !ok || k == "" {
			return nil, fmt.Errorf("%q is not key=value", item)
		}
		attrs = append(attrs, pair{k, strings.TrimSpace(v)})
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

// get gives the last of a key's values, as the controller does.
func (a stringMap) get(key string) (value string, ok bool) {
	for _, attr := range a {
		if attr.key == key {
			value, ok = attr.value, true
		}
	}
	return value, ok
}

// with gives a copy with one key set, in place where it stood.
func (a stringMap) with(key, value string) stringMap {
	out := make(stringMap, 0, len(a)+1)
	found := false
	for _, attr := range a {
		if attr.key == key {
			attr.value, found = value, true
		}
		out = append(out, attr)
	}
	if !found {
		out = append(out, pair{key, value})
	}
	return out
}

func (a stringMap) String() string {
	items := make([]string, len(a))
	for i, attr := range a {
		items[i] = strings.NewReplacer(`\`, `\\`, ",", `\,`).Replace(attr.key + "=" + attr.value)
	}
	return strings.Join(items, ",")
}

// seconds of a number that is written; what no timing can be reads as none.
func seconds(n int) time.Duration {
	return time.Duration(min(max(n, 0), 1_000_000)) * time.Second
}

// StringMap reads an annotation's k=v pairs.
func StringMap(text string) (map[string]string, error) {
	attrs, err := parse(text)
	out := map[string]string{}
	for _, a := range attrs {
		out[a.key] = a.value
	}
	return out, err
}
