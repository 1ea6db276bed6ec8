// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core/internal/config"
)

// settings holds each input's value and where it came from, in the order of
// precedence: flag, OUTLAST_ variable, outlast.yaml (environment, then top).
// What the CI says and the defaults come in where a value is used.
type settings struct {
	values map[string]string // by input name
	source map[string]string // for error messages: "--region", "OUTLAST_REGION", "outlast.yaml: drain.policy"
	lists  map[string][]string
	set    map[string]string // drain symbols of outlast.yaml, below the ones of --set
	file   config.File       // Path is empty when there is none
	dir    string            // folder of outlast.yaml: relative paths of the file start here; else the working folder
	env    config.Environment
}

// ignored variables: our outputs, and what Kubernetes injects into a pod of a
// namespace with a Service called outlast.
func ignored(name string) bool {
	for _, prefix := range []string{"OUTLAST_OUT_", "OUTLAST_SERVICE_", "OUTLAST_PORT_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return name == "OUTLAST_PORT"
}

// readInputs takes flags and variables; the file comes in later.
func readInputs(flags map[string][]string, environ []string) (*settings, error) {
	s := &settings{values: map[string]string{}, source: map[string]string{}, lists: map[string][]string{}}
	env := map[string]string{}
	for _, pair := range environ {
		if name, value, ok := strings.Cut(pair, "="); ok && strings.HasPrefix(name, "OUTLAST_") && !ignored(name) {
			env[name] = value
		}
	}
	var known []string
	for _, in := range inputs {
		known = append(known, in.variable())
		fromEnv := env[in.variable()]
		delete(env, in.variable())
		if in.kind == list { // items are added up; of two for the same name the later one, the flag's, wins
			s.lists[in.name] = nonEmpty(append(strings.Split(fromEnv, "\n"), flags[in.name]...))
			continue
		}
		if given := flags[in.name]; len(given) > 0 && given[len(given)-1] != "" {
			s.put(in.name, given[len(given)-1], "--"+in.name)
		} else if fromEnv != "" {
			s.put(in.name, fromEnv, in.variable())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		return nil, fmt.Errorf("reading the environment: unknown variable %s%s", name, config.DidYouMean(name, known))
	}
	return s, nil
}

func (s *settings) put(name, value, source string) {
	s.values[name], s.source[name] = value, source
}

func nonEmpty(items []string) (kept []string) {
	for _, item := range items {
		if item = strings.TrimSpace(item); item != "" {
			kept = append(kept, item)
		}
	}
	return kept
}

// readFile finds and parses outlast.yaml. Only one that was named must exist.
func (s *settings) readFile(dir string) error {
	s.dir = dir
	path := s.values["config"]
	if path == "" {
		path = findUp(dir, "outlast.yaml")
		if path == "" {
			return nil
		}
	} else if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the configuration named by %s: %w", s.source["config"], err)
	}
	shown := path
	if rel, err := filepath.Rel(dir, path); err == nil {
		shown = rel
	}
	if s.file, err = config.Parse(shown, text, scalarKeys()); err != nil {
		return err
	}
	s.dir = filepath.Dir(path)
	return nil
}

// findUp looks for name in dir and its parents, up to the top of the
// repository; outside one, in dir only.
func findUp(dir, name string) string {
	top := repositoryTop(dir)
	for d := dir; ; d = filepath.Dir(d) {
		if info, err := os.Stat(filepath.Join(d, name)); err == nil && !info.IsDir() {
			return filepath.Join(d, name)
		}
		if top == "" || d == top || d == filepath.Dir(d) {
			return ""
		}
	}
}

// repositoryTop is the nearest folder with a .git, or "".
func repositoryTop(dir string) string {
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Lstat(filepath.Join(d, ".git")); err == nil {
			return d
		}
		if d == filepath.Dir(d) {
			return ""
		}
	}
}

// choose settles the environment and takes the file's values below the flags
// and variables.
func (s *settings) choose(branch string) error {
	var err error
	switch name := s.values["environment"]; {
	case name != "":
		if s.file.Path == "" {
			s.env = config.Environment{Name: name}
		} else if s.env, err = s.file.Named(name); err != nil {
			return err
		}
	case len(s.file.Environments) > 0 && branch != "":
		if s.env, err = s.file.ForBranch(branch); err != nil {
			return err
		}
	case len(s.file.Environments) == 1:
		for _, env := range s.file.Environments {
			s.env = env
		}
	case len(s.file.Environments) > 1:
		return fmt.Errorf("choosing an environment: no branch is known (detached checkout, no CI variable); name one of %v with --environment, or the branch with --branch",
			slices.Sorted(maps.Keys(s.file.Environments)))
	}
	for _, in := range inputs {
		if in.key == "" || s.values[in.name] != "" {
			continue
		}
		if v := s.env.Values[in.key]; v != "" {
			s.put(in.name, v, s.file.Path+": environments."+s.env.Name+"."+in.key)
		} else if v := s.file.Values[in.key]; v != "" {
			s.put(in.name, v, s.file.Path+": "+in.key)
		}
	}
	s.set = maps.Clone(s.file.Set)
	if s.set == nil {
		s.set = map[string]string{}
	}
	maps.Copy(s.set, s.env.Set)
	return s.check()
}

// check holds every value against its kind.
func (s *settings) check() error {
	for _, in := range inputs {
		v := s.values[in.name]
		if v == "" {
			continue
		}
		switch in.kind {
		case choice:
			if !slices.Contains(in.choices, v) {
				return fmt.Errorf("reading %s: %q is none of %s%s", s.source[in.name], v, strings.Join(in.choices, ", "), config.DidYouMean(v, in.choices))
			}
		case duration:
			if _, err := parseDuration(v); err != nil {
				return fmt.Errorf("reading %s: %w", s.source[in.name], err)
			}
		case boolean:
			if _, err := strconv.ParseBool(v); err != nil {
				return fmt.Errorf("reading %s: %q is neither true nor false", s.source[in.name], v)
			}
		}
	}
	return nil
}

// parseDuration takes 90s, 1m30s, or a bare number of seconds.
func parseDuration(v string) (time.Duration, error) {
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no duration: write seconds (90) or 1m30s", v)
	}
	return d, nil
}

func (s *settings) duration(name string) time.Duration {
	d, err := parseDuration(s.values[name])
	if err != nil { // unset; check has refused the rest
		return 0
	}
	return d
}

func (s *settings) bool(name string) bool {
	b, err := strconv.ParseBool(s.values[name])
	return err == nil && b
}

// path resolves a path: relative to outlast.yaml when it stands there, to the
// working folder when it came from a flag or a variable.
func (s *settings) path(name, workdir string) string {
	v := s.values[name]
	switch {
	case v == "" || filepath.IsAbs(v):
		return v
	case s.file.Path != "" && strings.HasPrefix(s.source[name], s.file.Path+":"):
		return filepath.Join(s.dir, v)
	}
	return filepath.Join(workdir, v)
}
