// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Runner runs jobs on this machine.
type Runner struct {
	Dir     string   // source folder
	Environ []string // of every job
	Out     io.Writer
	Work    string // folder for workspaces and the steps' files
	Stored  []string

	number int
	failed map[string]bool
}

// ErrFailed says that a job failed; its steps have said why.
var ErrFailed = errors.New("the workflow failed")

// job is one that runs.
type job struct {
	*Runner
	task    task
	dir     string
	environ []string
	shell   string
	failed  bool
}

// Run runs the jobs of a plan one after the other; what requires a failed one
// does not run.
func (r *Runner) Run(tasks []task, scope map[string]object) error {
	r.failed = map[string]bool{}
	var result error
	for _, t := range tasks {
		if i := slices.IndexFunc(t.requires, func(need string) bool { return r.failed[need] }); i >= 0 {
			fmt.Fprintf(r.Out, "[circleci] job %s is not run: %s failed\n", t.name, t.requires[i])
			r.failed[t.name], r.failed[t.entry] = true, true
			continue
		}
		if t.approval {
			fmt.Fprintf(r.Out, "[circleci] job %s is approved\n", t.name)
			continue
		}
		fmt.Fprintf(r.Out, "[circleci] job %s\n", t.name)
		err := r.job(t, scope)
		if err != nil && !errors.Is(err, ErrFailed) {
			return fmt.Errorf("job %s: %w", t.name, err)
		}
		if err != nil {
			r.failed[t.name], r.failed[t.entry] = true, true
			result = err
		}
	}
	return result
}

// Check settles a job's parameters and steps without running anything.
func (r *Runner) job(t task, scope map[string]object) error {
	where := "jobs." + t.job
	body := t.config.Jobs[t.job]
	given, err := values(where, body["parameters"], t.params)
	if err != nil {
		return err
	}
	inner := maps.Clone(scope)
	inner["parameters"] = given
	filled, err := fill(without(body, "parameters"), inner)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	body = filled.(object)
	if body["type"] == "no-op" {
		return nil
	}
	if err := machine(where, body); err != nil {
		return err
	}
	j := &job{Runner: r, task: t, dir: r.Dir, shell: "/bin/bash -eo pipefail"}
	if err := j.surroundings(where, t.config, body, scope); err != nil {
		return err
	}
	steps, err := asList(body["steps"], where+".steps")
	if err != nil {
		return err
	}
	if len(steps) == 0 {
		return fmt.Errorf("%s: there are no steps", where)
	}
	if err := j.steps(where, t.home, t.before, scope); err != nil {
		return err
	}
	if err := j.steps(where, t.config, steps, inner); err != nil {
		return err
	}
	if err := j.steps(where, t.home, t.after, scope); err != nil {
		return err
	}
	if j.failed {
		return ErrFailed
	}
	return nil
}

func without(m object, key string) object {
	m = maps.Clone(m)
	delete(m, key)
	return m
}

// surroundings are the job's environment, folder and shell, its executor's first.
func (j *job) surroundings(where string, c *Config, body object, scope map[string]object) error {
	j.number++
	bashEnv := filepath.Join(j.Work, fmt.Sprintf("bash-env-%d", j.number))
	if err := os.WriteFile(bashEnv, nil, 0o644); err != nil {
		return err
	}
	j.environ = append(slices.Clone(j.Runner.Environ), "CI=true", "CIRCLECI=true", "CIRCLE_JOB="+j.task.name, "CIRCLE_WORKING_DIRECTORY="+j.Dir, "BASH_ENV="+bashEnv)
	parts := []object{body}
	if body["executor"] != nil {
		name, args := "", object{}
		switch e := body["executor"].(type) {
		case string:
			name = e
		case object:
			name, args = word(e["name"]), without(e, "name")
		}
		home, short, err := c.find(where+".executor", name, func(c *Config) map[string]object { return c.Executors })
		if err != nil {
			return err
		}
		executor := home.Executors[short]
		given, err := values(where+".executor", executor["parameters"], args)
		if err != nil {
			return err
		}
		inner := maps.Clone(scope)
		inner["parameters"] = given
		filled, err := fill(without(executor, "parameters"), inner)
		if err != nil {
			return err
		}
		parts = append([]object{filled.(object)}, parts...)
	}
	for _, part := range parts {
		pairs, err := environment(where, part["environment"])
		if err != nil {
			return err
		}
		j.environ = append(j.environ, pairs...)
		if s, ok := part["shell"].(string); ok {
			j.shell = s
		}
	}
	return nil
}

// environment gives NAME=value pairs. A boolean arrives as 1 or 0.
func environment(where string, v any) (pairs []string, err error) {
	if list, ok := v.([]any); ok { // a list of mappings
		for _, one := range list {
			more, err := environment(where, one)
			if err != nil {
				return nil, err
			}
			pairs = append(pairs, more...)
		}
		return pairs, nil
	}
	all, err := asObject(v, where+".environment")
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		value := word(all[name])
		switch all[name] {
		case true:
			value = "1"
		case false:
			value = "0"
		}
		pairs = append(pairs, name+"="+value)
	}
	return pairs, nil
}

// steps runs a list of steps of a job or a command.
func (j *job) steps(where string, c *Config, steps []any, scope map[string]object) error {
	for i, s := range steps {
		at := fmt.Sprintf("%s.steps[%d]", where, i)
		name, body, err := single(s, at)
		if err != nil {
			return err
		}
		if err := j.step(at, c, name, body, scope); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) step(at string, c *Config, name string, body any, scope map[string]object) error {
	if b, ok := built[name]; ok {
		args, err := asObject(body, at+"."+name)
		if err == nil {
			err = known(at+"."+name, args, b.keys)
		}
		if err != nil || j.failed && !b.always {
			return err
		}
		return j.builtIn(name, args)
	}
	switch name {
	case "run":
		return j.run(at, body)
	case "when", "unless":
		args, err := asObject(body, at+"."+name)
		if err == nil {
			err = known(at+"."+name, args, []string{"condition", "steps"})
		}
		if err != nil {
			return err
		}
		yes, err := holds(args["condition"])
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		steps, err := asList(args["steps"], at+"."+name+".steps")
		if err != nil || yes != (name == "when") {
			return err
		}
		return j.steps(at, c, steps, scope)
	}
	home, short, err := c.find(at, name, func(c *Config) map[string]object { return c.Commands })
	if err != nil {
		return err
	}
	args, err := asObject(body, at+"."+name)
	if err != nil {
		return err
	}
	command := home.Commands[short]
	given, err := values(at+"."+name, command["parameters"], args)
	if err != nil {
		return err
	}
	inner := maps.Clone(scope)
	inner["parameters"] = given
	filled, err := fill(command["steps"], inner)
	if err != nil {
		return fmt.Errorf("%s.%s: %w", at, name, err)
	}
	steps, err := asList(filled, at+"."+name+".steps")
	if err != nil {
		return err
	}
	// A list of steps that was given as a parameter belongs to the caller.
	var flat []any
	for _, s := range steps {
		if list, ok := s.([]any); ok {
			flat = append(flat, list...)
		} else {
			flat = append(flat, s)
		}
	}
	return j.steps(at+"."+name, home, flat, inner)
}

// run runs one command, as the agent does: the job's shell with a file.
func (j *job) run(at string, body any) error {
	if text, ok := body.(string); ok {
		body = object{"command": text}
	}
	args, err := asObject(body, at+".run")
	if err == nil {
		err = known(at+".run", args, keys["run"])
	}
	if err != nil {
		return err
	}
	command, ok := args["command"].(string)
	if !ok || strings.TrimSpace(command) == "" {
		return fmt.Errorf("%s.run: command is missing", at)
	}
	when := word(args["when"])
	if !slices.Contains([]string{"", "on_success", "on_fail", "always"}, when) {
		return fmt.Errorf("%s.run: when: %q is none of on_success, on_fail, always", at, when)
	}
	if j.failed && when != "always" && when != "on_fail" || !j.failed && when == "on_fail" {
		return nil
	}
	pairs, err := environment(at+".run", args["environment"])
	if err != nil {
		return err
	}
	title, _, _ := strings.Cut(strings.TrimSpace(command), "\n")
	if n := word(args["name"]); n != "" {
		title = n
	}
	fmt.Fprintf(j.Out, "[circleci] run %s\n", title)
	j.number++
	file := filepath.Join(j.Work, fmt.Sprintf("step-%d", j.number))
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(command, `\<<`, "<<")+"\n"), 0o755); err != nil {
		return err
	}
	shell := j.shell
	if s := word(args["shell"]); s != "" {
		shell = s
	}
	words := append(strings.Fields(shell), file)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = j.dir, append(slices.Clone(j.environ), pairs...), j.Out, j.Out
	if d := word(args["working_directory"]); filepath.IsAbs(d) {
		cmd.Dir = d
	} else if d != "" && !strings.HasPrefix(d, "~") {
		cmd.Dir = filepath.Join(j.dir, d)
	}
	if args["background"] == true {
		if err := cmd.Start(); err != nil {
			return err
		}
		go cmd.Wait() //nolint:errcheck // nobody asks how a background step ends
		return nil
	}
	var exit *exec.ExitError
	switch err := cmd.Run(); {
	case errors.As(err, &exit):
		fmt.Fprintf(j.Out, "[circleci] run %s: exit code %d\n", title, exit.ExitCode())
		j.failed = true
	case err != nil:
		return err
	}
	return nil
}
