// SPDX-License-Identifier: Apache-2.0

// Package attribute reads and writes the attributes of target groups and load
// balancers, which stand in annotations and in lists of the controller's resources.
package attribute

import (
	"fmt"
	"strconv"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	stringmap "github.com/outlast-ci/outlast/core/internal/attribute"
	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// Attributes by the names that ELBv2 gives them.
const (
	Delay       = stringmap.Delay
	IdleTimeout = stringmap.IdleTimeout
)

// Set is a target group's attributes, at the places where they are written: the
// first place that has a key wins, and new keys go to the first place.
type Set struct {
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

// Annotation is the place of a stringMap in an annotation.
func Annotation(object *yaml.RNode, key string) Place {
	return Place{Object: object, Path: []string{"metadata", "annotations", key}}
}

// Malformed is a value that the controller refuses, with where it stands.
type Malformed struct {
	Object *yaml.RNode
	Field  string
	Err    error
}

func (e *Malformed) Error() string {
	return fmt.Sprintf("reading %s of %s: %v", e.Field, node.ID(e.Object), e.Err)
}
func (e *Malformed) Unwrap() error { return e.Err }

// Get gives an attribute's value, and whether it is written.
func (a Set) Get(key string) (string, bool, error) {
	for _, p := range a.Places {
		if v, ok, err := p.get(key); ok || err != nil {
			return v, ok, err
		}
	}
	return "", false, nil
}

// Where is the place that holds an attribute, or the one that would; of a set without
// places none.
func (a Set) Where(key string) Place {
	for _, p := range a.Places {
		if _, ok, err := p.get(key); ok && err == nil {
			return p
		}
	}
	if len(a.Places) == 0 {
		return Place{}
	}
	return a.Places[0]
}

// Number gives an attribute that is a whole number, not negative.
func (a Set) Number(key string) (int, bool, error) {
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
			return 0, false, &Malformed{p.Object, node.Path(p.Path), fmt.Errorf("%s=%s is no number of seconds", key, text)}
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
	attrs, err := stringmap.Parse(node.Str(p.Object, p.Path...))
	if err != nil {
		return "", false, &Malformed{p.Object, node.Path(p.Path), err}
	}
	v, ok := attrs.Get(key)
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
	attrs, err := stringmap.Parse(from)
	if err != nil { // Get has refused it
		attrs = nil
	}
	to := attrs.With(key, value).String()
	return Setting{Path: p.Path, Value: node.Text(to), From: from, To: to}
}
