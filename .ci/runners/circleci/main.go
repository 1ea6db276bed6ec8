// SPDX-License-Identifier: Apache-2.0

// Command circleci-run runs a CircleCI configuration on this machine, for
// tests: orbs, parameters, workflows and conditions are read strictly, and each
// run step is a real shell. It is no imitation of CircleCI: there are no
// images, no caches and no network.
//
//	circleci-run [--source DIR] [--orb NAMESPACE/NAME=FILE]... [--env NAME=VALUE]... [--branch NAME | --tag NAME]
//	             [--parameter NAME=VALUE]... [--stored FILE] CONFIG
//	circleci-run --check CONFIG    only reads it
package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

type pairs map[string]string

func (p pairs) String() string { return "" }
func (p pairs) Set(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok {
		return errors.New("want NAME=VALUE")
	}
	p[name] = value
	return nil
}

func main() {
	orbs, env, parameters := pairs{}, pairs{}, pairs{}
	source := flag.String("source", ".", "folder of the source")
	branch := flag.String("branch", "main", "branch that was pushed")
	tag := flag.String("tag", "", "tag that was pushed")
	stored := flag.String("stored", "", "file that gets a line for each stored path")
	check := flag.Bool("check", false, "only read the configuration")
	flag.Var(orbs, "orb", "packed orb: NAMESPACE/NAME=FILE")
	flag.Var(env, "env", "variable of the project, NAME=VALUE")
	flag.Var(parameters, "parameter", "parameter of the pipeline, NAME=VALUE")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: circleci-run [flags] CONFIG; see -help")
		os.Exit(2)
	}
	r := &Runner{Out: os.Stdout, Environ: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}}
	for name, value := range env {
		r.Environ = append(r.Environ, name+"="+value)
	}
	r.Environ = append(r.Environ, "CIRCLE_BRANCH="+*branch, "CIRCLE_TAG="+*tag)
	err := run(r, flag.Arg(0), *source, *branch, *tag, orbs, parameters, *check)
	if *stored != "" {
		err = errors.Join(err, os.WriteFile(*stored, []byte(strings.Join(append(r.Stored, ""), "\n")), 0o644))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "circleci-run:", err)
	}
	switch {
	case errors.Is(err, ErrFailed):
		os.Exit(1)
	case err != nil:
		os.Exit(2)
	}
}

func run(r *Runner, path, source, branch, tag string, orbs, parameters pairs, check bool) error {
	top, err := read(path)
	if err != nil {
		return err
	}
	c, err := parse(top, orbs, false)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	given := object{}
	for name, value := range parameters {
		var v any
		if err := yaml.Unmarshal([]byte(value), &v); err != nil {
			return err
		}
		given[name] = v
	}
	settled, err := values("pipeline", c.Parameters, given)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	pipeline := object{"id": "1", "number": 1, "project.git_url": "https://example.com/acme/web", "project.type": "github", "git.tag": tag, "git.branch": branch,
		"git.revision": strings.Repeat("0", 40), "trigger_source": "webhook", "schedule.name": ""}
	for name, v := range settled {
		pipeline["parameters."+name] = v
	}
	scope := map[string]object{"pipeline": pipeline}
	tasks, err := c.plan(scope, branch, tag)
	if err == nil {
		err = c.check(scope)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if check {
		return nil
	}
	if r.Dir, err = filepath.Abs(source); err != nil {
		return err
	}
	if r.Work, err = os.MkdirTemp("", "circleci-run-"); err != nil {
		return err
	}
	defer os.RemoveAll(r.Work)
	return r.Run(tasks, maps.Clone(scope))
}
