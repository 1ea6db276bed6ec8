// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// task is one job of a workflow, its parameters settled.
type task struct {
	name     string  // in the workflow
	entry    string  // the name that all jobs of a matrix share
	job      string  // in config
	config   *Config // that the job is of: ours, or an orb's
	params   object
	requires []string
	approval bool
	out      bool  // filtered out, with all that requires it
	before   []any // pre-steps
	after    []any // post-steps
	home     *Config
}

// plan lists the jobs that a push starts, each after what it requires.
func (c *Config) plan(scope map[string]object, branch, tag string) ([]task, error) {
	if len(c.Workflows) == 0 {
		if c.Jobs["build"] == nil {
			return nil, fmt.Errorf("there are neither workflows nor a job named build")
		}
		return []task{{name: "build", job: "build", config: c, home: c}}, nil
	}
	var all []task
	for _, name := range slices.Sorted(maps.Keys(c.Workflows)) {
		if name == "version" {
			continue
		}
		w, err := asObject(c.Workflows[name], "workflows."+name)
		if err != nil {
			return nil, err
		}
		tasks, err := c.workflow("workflows."+name, w, scope, branch, tag)
		if err != nil {
			return nil, err
		}
		all = append(all, tasks...)
	}
	return all, nil
}

func (c *Config) workflow(where string, w object, scope map[string]object, branch, tag string) ([]task, error) {
	if err := known(where, w, []string{"when", "unless", "jobs", "triggers", "max_auto_reruns"}); err != nil {
		return nil, err
	}
	filled, err := fill(w, scope)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	w = filled.(object)
	jobs, err := asList(w["jobs"], where+".jobs")
	if err != nil {
		return nil, err
	}
	if len(jobs) == 0 {
		return nil, fmt.Errorf("%s: there are no jobs", where)
	}
	var tasks []task
	for _, entry := range jobs {
		made, err := c.entry(where, entry, branch, tag)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, made...)
	}
	tasks, err = order(where, tasks)
	if err != nil {
		return nil, err
	}
	run := true
	if w["when"] != nil {
		run, err = holds(w["when"])
	} else if w["unless"] != nil {
		run, err = holds(w["unless"])
		run = !run
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	if w["triggers"] != nil || !run { // by a clock, not by a push
		return nil, nil
	}
	return slices.DeleteFunc(tasks, func(t task) bool { return t.out }), nil
}

// reserved are the keys of a workflow's job that are no parameters.
var reserved = []string{"requires", "filters", "context", "matrix", "name", "type", "pre-steps", "post-steps", "serial-group", "override-with"}

func (c *Config) entry(where string, entry any, branch, tag string) ([]task, error) {
	name, body, err := single(entry, where)
	if err != nil {
		return nil, err
	}
	given, err := asObject(body, where+"."+name)
	if err != nil {
		return nil, err
	}
	t := task{name: name, entry: name, job: name, config: c, home: c, params: object{}, approval: given["type"] == "approval"}
	if !t.approval {
		if t.config, t.job, err = c.find(where, name, func(c *Config) map[string]object { return c.Jobs }); err != nil {
			return nil, err
		}
	}
	for k, v := range given {
		if !slices.Contains(reserved, k) {
			t.params[k] = v
		}
	}
	requires, err := asList(given["requires"], where+"."+name+".requires")
	if err != nil {
		return nil, err
	}
	for _, r := range requires {
		need, _, err := single(r, where+"."+name+".requires")
		if err != nil {
			return nil, err
		}
		t.requires = append(t.requires, need)
	}
	if t.before, err = asList(given["pre-steps"], where+"."+name+".pre-steps"); err != nil {
		return nil, err
	}
	if t.after, err = asList(given["post-steps"], where+"."+name+".post-steps"); err != nil {
		return nil, err
	}
	if n, ok := given["name"].(string); ok {
		t.name, t.entry = n, n
	}
	wanted, err := filtered(where+"."+name, given["filters"], branch, tag)
	if err != nil {
		return nil, err
	}
	made, err := matrix(where+"."+name, t, given["matrix"])
	if err != nil {
		return nil, err
	}
	for i := range made {
		if !made[i].approval {
			if _, err := values(where+"."+made[i].name, made[i].config.Jobs[made[i].job]["parameters"], made[i].params); err != nil {
				return nil, err
			}
		}
	}
	for i := range made {
		made[i].out = !wanted
	}
	return made, nil
}

// find looks a name up, here or in an orb: ORB/NAME.
func (c *Config) find(where, name string, in func(*Config) map[string]object) (*Config, string, error) {
	config, rest := c, name
	if orb, inner, ok := strings.Cut(name, "/"); ok {
		if config = c.Orbs[orb]; config == nil {
			return nil, "", fmt.Errorf("%s: %s: there is no orb %q", where, name, orb)
		}
		rest = inner
	}
	if in(config)[rest] == nil {
		return nil, "", fmt.Errorf("%s: there is no %q", where, name)
	}
	return config, rest, nil
}

// single takes NAME, or a mapping with that one key.
func single(v any, where string) (string, any, error) {
	switch v := v.(type) {
	case string:
		return v, nil, nil
	case object:
		if len(v) == 1 {
			for k, body := range v {
				return k, body, nil
			}
		}
		return "", nil, fmt.Errorf("%s: want one key, not %v", where, slices.Sorted(maps.Keys(v)))
	}
	return "", nil, fmt.Errorf("%s: want a name or a mapping, not %v", where, v)
}

// filtered: a push of a branch runs a job unless its filter says no; one of a
// tag runs it only when its filter says so.
func filtered(where string, v any, branch, tag string) (bool, error) {
	f, err := asObject(v, where+".filters")
	if err != nil {
		return false, err
	}
	if err := known(where+".filters", f, []string{"branches", "tags"}); err != nil {
		return false, err
	}
	part, value := "branches", branch
	if tag != "" {
		part, value = "tags", tag
	}
	p, err := asObject(f[part], where+".filters."+part)
	if err != nil {
		return false, err
	}
	if err := known(where+".filters."+part, p, []string{"only", "ignore"}); err != nil {
		return false, err
	}
	if only, ok := p["only"]; ok {
		return anyMatches(only, value), nil
	}
	if ignore, ok := p["ignore"]; ok {
		return !anyMatches(ignore, value), nil
	}
	return tag == "", nil
}

func anyMatches(v any, value string) bool {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	return slices.ContainsFunc(list, func(p any) bool { return matches(fmt.Sprint(p), value) })
}

// matches: /a pattern/ of the whole value, or the value itself.
func matches(pattern, value string) bool {
	if len(pattern) > 1 && strings.HasPrefix(pattern, "/") && strings.HasSuffix(pattern, "/") {
		re, err := regexp.Compile("^(?:" + pattern[1:len(pattern)-1] + ")$")
		return err == nil && re.MatchString(value)
	}
	return pattern == value
}

// matrix multiplies a job.
func matrix(where string, t task, v any) ([]task, error) {
	m, err := asObject(v, where+".matrix")
	if err != nil || len(m) == 0 {
		return []task{t}, err
	}
	if err := known(where+".matrix", m, []string{"parameters", "exclude", "alias"}); err != nil {
		return nil, err
	}
	params, err := asObject(m["parameters"], where+".matrix.parameters")
	if err != nil {
		return nil, err
	}
	all := []object{{}}
	names := slices.Sorted(maps.Keys(params))
	for _, name := range names {
		list, err := asList(params[name], where+".matrix.parameters."+name)
		if err != nil {
			return nil, err
		}
		var next []object
		for _, so := range all {
			for _, value := range list {
				one := maps.Clone(so)
				one[name] = value
				next = append(next, one)
			}
		}
		all = next
	}
	exclude, err := asList(m["exclude"], where+".matrix.exclude")
	if err != nil {
		return nil, err
	}
	var made []task
	for _, one := range all {
		if slices.ContainsFunc(exclude, func(x any) bool { return fmt.Sprint(x) == fmt.Sprint(one) }) {
			continue
		}
		copied := t
		copied.params = maps.Clone(t.params)
		maps.Copy(copied.params, one)
		filled, err := fill(t.name, map[string]object{"matrix": one})
		if err != nil {
			return nil, err
		}
		if copied.name = fmt.Sprint(filled); copied.name == t.name {
			for _, n := range names {
				copied.name += "-" + word(one[n])
			}
		}
		made = append(made, copied)
	}
	return made, nil
}

// order sorts jobs so that each comes after what it requires. A job of a matrix is
// required by the name of the whole, too.
func order(where string, tasks []task) ([]task, error) {
	var sorted []task
	left := slices.Clone(tasks)
	is := func(need string) func(task) bool {
		return func(t task) bool { return t.name == need || t.entry == need }
	}
	for _, t := range tasks {
		for _, need := range t.requires {
			if !slices.ContainsFunc(tasks, is(need)) {
				return nil, fmt.Errorf("%s.%s: requires %q, which is no job of the workflow", where, t.name, need)
			}
		}
	}
	ready := func(need string) bool { return !slices.ContainsFunc(left, is(need)) }
	for len(left) > 0 {
		at := slices.IndexFunc(left, func(t task) bool { return !slices.ContainsFunc(t.requires, func(r string) bool { return !ready(r) }) })
		if at < 0 {
			names := make([]string, len(left))
			for i, t := range left {
				names[i] = t.name
			}
			sort.Strings(names)
			return nil, fmt.Errorf("%s: %s require one another", where, strings.Join(names, ", "))
		}
		next := left[at]
		next.out = next.out || slices.ContainsFunc(sorted, func(t task) bool {
			return t.out && slices.ContainsFunc(next.requires, func(need string) bool { return is(need)(t) })
		})
		sorted = append(sorted, next)
		left = slices.Delete(left, at, at+1)
	}
	return sorted, nil
}

// holds decides a logic statement.
func holds(v any) (bool, error) {
	m, ok := v.(object)
	if !ok {
		return truth(v), nil
	}
	op, arg, err := single(m, "condition")
	if err != nil {
		return false, err
	}
	switch op {
	case "not":
		b, err := holds(arg)
		return !b, err
	case "and", "or":
		list, err := asList(arg, op)
		if err != nil {
			return false, err
		}
		for _, one := range list {
			b, err := holds(one)
			if err != nil || b == (op == "or") {
				return b, err
			}
		}
		return op == "and", nil
	case "equal":
		list, err := asList(arg, op)
		if err != nil || len(list) < 2 {
			return false, fmt.Errorf("equal: want a list of two or more (%v)", err)
		}
		return !slices.ContainsFunc(list, func(x any) bool { return fmt.Sprint(x) != fmt.Sprint(list[0]) }), nil
	case "matches":
		p, err := asObject(arg, op)
		if err != nil {
			return false, err
		}
		re, err := regexp.Compile(fmt.Sprint(p["pattern"]))
		return err == nil && re.MatchString(word(p["value"])), err
	}
	return false, fmt.Errorf("condition: unknown operator %q", op)
}

// truth: false, null, 0 and the empty text are not true.
func truth(v any) bool {
	return v != nil && v != false && v != 0 && v != ""
}
