// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
)

// check reads all jobs and commands of a configuration, also those that this
// push does not run.
func (c *Config) check(scope map[string]object) error {
	for _, name := range slices.Sorted(maps.Keys(c.Jobs)) {
		body := c.Jobs[name]
		where := "jobs." + name
		if body["type"] == "no-op" {
			continue
		}
		if err := machine(where, body); err != nil {
			return err
		}
		if e, ok := body["executor"].(string); ok && !reference.MatchString(e) {
			if _, _, err := c.find(where+".executor", e, func(c *Config) map[string]object { return c.Executors }); err != nil {
				return err
			}
		}
		if err := c.checkSteps(where, body["steps"], scope); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Commands)) {
		if err := c.checkSteps("commands."+name, c.Commands[name]["steps"], scope); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) checkSteps(where string, v any, scope map[string]object) error {
	steps, err := asList(v, where+".steps")
	if err != nil {
		return err
	}
	if len(steps) == 0 {
		return fmt.Errorf("%s: there are no steps", where)
	}
	for i, s := range steps {
		at := fmt.Sprintf("%s.steps[%d]", where, i)
		if text, ok := s.(string); ok && whole.MatchString(text) { // steps that are a parameter
			continue
		}
		name, body, err := single(s, at)
		if err != nil {
			return err
		}
		if err := c.checkStep(at, name, body, scope); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) checkStep(at, name string, body any, scope map[string]object) error {
	if name == "run" {
		if _, ok := body.(string); ok {
			return nil
		}
		args, err := asObject(body, at+".run")
		if err == nil {
			err = known(at+".run", args, keys["run"])
		}
		if err == nil && args["command"] == nil {
			err = fmt.Errorf("%s.run: command is missing", at)
		}
		return err
	}
	args, err := asObject(body, at+"."+name)
	if err != nil {
		return err
	}
	if name == "when" || name == "unless" {
		if err := known(at+"."+name, args, []string{"condition", "steps"}); err != nil {
			return err
		}
		if text, ok := args["steps"].(string); ok && whole.MatchString(text) {
			return nil
		}
		return c.checkSteps(at+"."+name, args["steps"], scope)
	}
	if b, ok := built[name]; ok {
		return known(at+"."+name, args, b.keys)
	}
	home, short, err := c.find(at, name, func(c *Config) map[string]object { return c.Commands })
	if err != nil {
		return err
	}
	declared, err := asObject(home.Commands[short]["parameters"], at)
	if err != nil {
		return err
	}
	for _, given := range slices.Sorted(maps.Keys(args)) {
		if declared[given] == nil {
			return fmt.Errorf("%s.%s: unknown parameter %q", at, name, given)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(declared)) {
		one, err := asObject(declared[p], at+"."+name+"."+p)
		if err != nil {
			return err
		}
		if _, has := one["default"]; !has && args[p] == nil {
			return fmt.Errorf("%s.%s: parameter %q is missing", at, name, p)
		}
	}
	return nil
}
