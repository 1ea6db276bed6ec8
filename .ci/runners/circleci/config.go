// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// object is a mapping of a configuration, its anchors resolved.
type object = map[string]any

// Config is a configuration of version 2.1, or an orb:
// https://circleci.com/docs/reference/configuration-reference/
type Config struct {
	Commands, Jobs, Executors map[string]object
	Parameters                object // of the pipeline
	Workflows                 object
	Orbs                      map[string]*Config
}

// read reads a file as a mapping.
func read(path string) (object, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var top object
	if err := yaml.Unmarshal(text, &top); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return top, nil
}

// parse checks the top of a configuration or an orb. orbs are the packed ones
// that are known, by namespace/name.
func parse(top object, orbs map[string]string, orb bool) (*Config, error) {
	if v := fmt.Sprint(top["version"]); v != "2.1" {
		return nil, fmt.Errorf("version: %q is not 2.1", v)
	}
	c := &Config{Orbs: map[string]*Config{}}
	for part, to := range map[string]*map[string]object{"commands": &c.Commands, "jobs": &c.Jobs, "executors": &c.Executors} {
		all, err := asObject(top[part], part)
		if err != nil {
			return nil, err
		}
		*to = map[string]object{}
		for name, body := range all {
			if (*to)[name], err = asObject(body, part+"."+name); err != nil {
				return nil, err
			}
			if err := known(part+"."+name, (*to)[name], keys[part]); err != nil {
				return nil, err
			}
		}
	}
	for name, body := range c.Executors {
		if err := machine("executors."+name, body); err != nil {
			return nil, err
		}
	}
	used, err := asObject(top["orbs"], "orbs")
	if err != nil {
		return nil, err
	}
	for name, ref := range used {
		if c.Orbs[name], err = orbOf(name, ref, orbs); err != nil {
			return nil, err
		}
	}
	if orb {
		return c, known("orb", top, []string{"version", "description", "display", "orbs", "commands", "jobs", "executors", "examples"})
	}
	if c.Parameters, err = asObject(top["parameters"], "parameters"); err != nil {
		return nil, err
	}
	c.Workflows, err = asObject(top["workflows"], "workflows")
	return c, err
}

// orbOf finds an orb: inline, or packed in a file.
func orbOf(name string, ref any, orbs map[string]string) (*Config, error) {
	if inline, ok := ref.(object); ok {
		inline = maps.Clone(inline)
		inline["version"] = "2.1"
		return parse(inline, orbs, true)
	}
	full, version, ok := strings.Cut(fmt.Sprint(ref), "@")
	if !ok || version == "" {
		return nil, fmt.Errorf("orbs.%s: %q is not NAMESPACE/NAME@VERSION", name, ref)
	}
	path, ok := orbs[full]
	if !ok {
		return nil, fmt.Errorf("orbs.%s: %s is not given (--orb)", name, full)
	}
	top, err := read(path)
	if err != nil {
		return nil, err
	}
	c, err := parse(top, orbs, true)
	if err != nil {
		return nil, fmt.Errorf("orb %s: %w", full, err)
	}
	return c, nil
}

// keys are what each part may hold.
var keys = map[string][]string{
	"commands":  {"description", "parameters", "steps"},
	"executors": append([]string{"description", "parameters", "environment", "working_directory", "shell", "resource_class"}, machines...),
	"jobs": append([]string{"description", "parameters", "executor", "steps", "environment", "working_directory", "shell", "resource_class", "parallelism",
		"circleci_ip_ranges", "retention", "type", "max_auto_reruns"}, machines...),
	"run": {"name", "command", "shell", "environment", "background", "working_directory", "no_output_timeout", "when", "max_auto_reruns", "auto_rerun_delay"},
}

var machines = []string{"docker", "machine", "macos", "xcode"}

func known(where string, body object, allowed []string) error {
	for _, key := range slices.Sorted(maps.Keys(body)) {
		if !slices.Contains(allowed, key) {
			return fmt.Errorf("%s: unknown key %q", where, key)
		}
	}
	return nil
}

// machine: what runs is said once.
func machine(where string, body object) error {
	n := 0
	for _, key := range append([]string{"executor"}, machines[:3]...) {
		if body[key] != nil {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("%s: want one of docker, machine, macos, executor; there are %d", where, n)
	}
	return nil
}

func asObject(v any, where string) (object, error) {
	switch v := v.(type) {
	case nil:
		return object{}, nil
	case object:
		return v, nil
	}
	return nil, fmt.Errorf("%s: want a mapping, not %T", where, v)
}

func asList(v any, where string) ([]any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []any:
		return v, nil
	}
	return nil, fmt.Errorf("%s: want a list, not %T", where, v)
}

// values settles the parameters of a command, job or executor: what is given
// is checked against its type, defaults fill the rest.
func values(where string, declared any, given object) (object, error) {
	all, err := asObject(declared, where+".parameters")
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, ok := all[name]; !ok {
			return nil, fmt.Errorf("%s: unknown parameter %q", where, name)
		}
	}
	out := object{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		p, err := asObject(all[name], where+".parameters."+name)
		if err != nil {
			return nil, err
		}
		if err := known(where+".parameters."+name, p, []string{"type", "default", "description", "enum"}); err != nil {
			return nil, err
		}
		v, ok := given[name]
		if !ok {
			if v, ok = p["default"]; !ok {
				return nil, fmt.Errorf("%s: parameter %q is missing", where, name)
			}
		}
		if err := fits(p, v); err != nil {
			return nil, fmt.Errorf("%s: parameter %q: %w", where, name, err)
		}
		out[name] = v
	}
	return out, nil
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// fits holds a value against a parameter's type.
func fits(p object, v any) error {
	ok := false
	switch p["type"] {
	case "string":
		switch v.(type) {
		case string, int, float64, bool:
			ok = true
		}
		if v == nil {
			ok = true
		}
	case "boolean":
		_, ok = v.(bool)
	case "integer":
		_, ok = v.(int)
	case "enum":
		all, err := asList(p["enum"], "enum")
		if err != nil || len(all) == 0 {
			return fmt.Errorf("the enum has no values")
		}
		if !slices.ContainsFunc(all, func(a any) bool { return fmt.Sprint(a) == fmt.Sprint(v) }) {
			return fmt.Errorf("%v is none of %v", v, all)
		}
		ok = true
	case "executor":
		switch v.(type) {
		case string, object:
			ok = true
		}
	case "steps":
		_, ok = v.([]any)
	case "env_var_name":
		s, text := v.(string)
		ok = text && variable.MatchString(s)
	default:
		return fmt.Errorf("type %v is unknown", p["type"])
	}
	if !ok {
		return fmt.Errorf("%v is no %s", v, p["type"])
	}
	return nil
}

var (
	reference = regexp.MustCompile(`<<\s*([a-z]+)\.([A-Za-z0-9_.-]+)\s*>>`)
	whole     = regexp.MustCompile(`^` + reference.String() + `$`)
)

// fill puts values into a tree: scope holds parameters, pipeline and matrix by
// their first word. What is put in is never looked at again.
func fill(tree any, scope map[string]object) (any, error) {
	switch t := tree.(type) {
	case object:
		out := object{}
		for k, v := range t {
			var err error
			if out[k], err = fill(v, scope); err != nil {
				return nil, err
			}
		}
		return out, nil
	case []any:
		out := make([]any, len(t))
		for i, v := range t {
			var err error
			if out[i], err = fill(v, scope); err != nil {
				return nil, err
			}
		}
		return out, nil
	case string:
		if m := whole.FindStringSubmatch(t); m != nil {
			return lookUp(m, scope)
		}
		var failed error
		text := reference.ReplaceAllStringFunc(t, func(s string) string {
			v, err := lookUp(reference.FindStringSubmatch(s), scope)
			if err != nil {
				failed = err
			}
			return word(v)
		})
		return text, failed
	}
	return tree, nil
}

func lookUp(m []string, scope map[string]object) (any, error) {
	in, ok := scope[m[1]]
	if !ok {
		return m[0], nil // another level's: filled in there
	}
	v, ok := in[m[2]]
	if !ok {
		return nil, fmt.Errorf("%s: there is no such value", m[0])
	}
	return v, nil
}

// word writes a value into a text.
func word(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}
