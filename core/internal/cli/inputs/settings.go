// SPDX-License-Identifier: Apache-2.0

package inputs

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

// Settings holds each input's value and where it came from, in the order of
// precedence: flag, OUTLAST_ variable, outlast.yaml (environment, then top).
// What the CI says and the defaults come in where a value is used.
type Settings struct {
	values map[string]string // by input name
	source map[string]string // for error messages: "--region", "OUTLAST_REGION", "outlast.yaml: drain.policy"
	lists  map[string][]string

	Set  map[string]string  // drain symbols of outlast.yaml, below the ones of --set
	File config.File        // Path is empty when there is none
	Dir  string             // folder of outlast.yaml: relative paths of the file start here; else the working folder
	Env  config.Environment // the one that was chosen

	clusters []*Settings // see Clusters
}

// Text gives an input's value as it was written; empty means unset.
func (s *Settings) Text(name string) string { return s.values[name] }

// List gives the items of a list input.
func (s *Settings) List(name string) []string { return s.lists[name] }

// Alarms are the names of CloudWatch alarms to watch: those of flags and variables, or else the
// environment's, or the file's.
func (s *Settings) Alarms() []string {
	names := s.lists["alarm"]
	if len(names) == 0 {
		names = s.Env.Alarms
	}
	if names == nil {
		names = s.File.Alarms
	}
	names = slices.Sorted(slices.Values(names))
	return slices.Compact(names)
}

// Source tells where an input's value came from; empty when it is unset.
func (s *Settings) Source(name string) string { return s.source[name] }

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

// Read takes flags and variables; the file comes in later.
func Read(flags map[string][]string, environ []string) (*Settings, error) {
	s := &Settings{values: map[string]string{}, source: map[string]string{}, lists: map[string][]string{}}
	env := map[string]string{}
	for _, pair := range environ {
		if name, value, ok := strings.Cut(pair, "="); ok && value != "" && strings.HasPrefix(name, "OUTLAST_") && !ignored(name) {
			env[name] = value
		}
	}
	var known []string
	for _, in := range All() {
		var fromFlag, fromEnv []given
		for _, name := range in.Names() {
			known = append(known, variable(name))
			for _, value := range flags[name] {
				fromFlag = append(fromFlag, given{value, "--" + name})
			}
			if value := env[variable(name)]; value != "" {
				fromEnv = append(fromEnv, given{value, variable(name)})
			}
			delete(env, variable(name))
		}
		if err := s.take(in, fromFlag, fromEnv); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		return nil, fmt.Errorf("reading the environment: unknown variable %s%s", name, config.DidYouMean(name, known))
	}
	return s, nil
}

// given is a value and where it was written.
type given struct{ value, source string }

// take settles one input: flags win over variables. Items of a list are added
// up; of two for the same name the later one, the flag's, wins.
func (s *Settings) take(in Input, fromFlag, fromEnv []given) error {
	if in.Kind == List {
		var items []string
		for _, g := range fromEnv {
			items = append(items, strings.Split(g.value, "\n")...)
		}
		for _, g := range fromFlag {
			items = append(items, g.value)
		}
		for _, item := range items {
			if item = strings.TrimSpace(item); item != "" {
				s.lists[in.Name] = append(s.lists[in.Name], item)
			}
		}
		return nil
	}
	for _, all := range [][]given{fromEnv, fromFlag} {
		all = slices.DeleteFunc(all, func(g given) bool { return g.value == "" })
		for _, g := range all {
			if other := all[0]; other.source != g.source && other.value != g.value {
				return fmt.Errorf("reading %s and %s: they are two names of one input, and their values differ", other.source, g.source)
			}
			s.put(in.Name, g.value, g.source)
		}
	}
	return nil
}

func (s *Settings) put(name, value, source string) {
	s.values[name], s.source[name] = value, source
}

// ReadFile finds and parses outlast.yaml. Only one that was named must exist.
func (s *Settings) ReadFile(dir string) error {
	s.Dir = dir
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
	if s.File, err = config.Parse(shown, text, ScalarKeys()); err != nil {
		return err
	}
	s.Dir = filepath.Dir(path)
	return nil
}

// findUp looks for name in dir and its parents, up to the top of the
// repository; outside one, in dir only.
func findUp(dir, name string) string {
	top := RepositoryTop(dir)
	for d := dir; ; d = filepath.Dir(d) {
		if info, err := os.Stat(filepath.Join(d, name)); err == nil && !info.IsDir() {
			return filepath.Join(d, name)
		}
		if top == "" || d == top || d == filepath.Dir(d) {
			return ""
		}
	}
}

// RepositoryTop is the nearest folder with a .git, or "".
func RepositoryTop(dir string) string {
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Lstat(filepath.Join(d, ".git")); err == nil {
			return d
		}
		if d == filepath.Dir(d) {
			return ""
		}
	}
}

// Choose settles the environment and takes the file's values below the flags
// and variables.
func (s *Settings) Choose(branch string) error {
	var err error
	switch name := s.values["environment"]; {
	case name != "":
		if s.File.Path == "" {
			s.Env = config.Environment{Name: name}
		} else if s.Env, err = s.File.Named(name); err != nil {
			return err
		}
	case len(s.File.Environments) > 0 && branch != "":
		if s.Env, err = s.File.ForBranch(branch); err != nil {
			return err
		}
	case len(s.File.Environments) == 1:
		for _, env := range s.File.Environments {
			s.Env = env
		}
	case len(s.File.Environments) > 1:
		return fmt.Errorf("choosing an environment: no branch is known (detached checkout, no CI variable); name one of %v with --environment, or the branch with --branch",
			slices.Sorted(maps.Keys(s.File.Environments)))
	}
	return s.fill()
}

// ChooseNone takes the file's values at its top only: for manifests that were
// named outright, and that no environment is asked about.
func (s *Settings) ChooseNone() error {
	s.Env = config.Environment{}
	return s.fill()
}

// fill takes the file's values below the flags and variables.
func (s *Settings) fill() error {
	for _, in := range All() {
		if in.Key == "" || s.values[in.Name] != "" {
			continue
		}
		if v := s.Env.Values[in.Key]; v != "" {
			s.put(in.Name, v, s.File.Path+": environments."+s.Env.Name+"."+in.Key)
		} else if v := s.File.Values[in.Key]; v != "" {
			s.put(in.Name, v, s.File.Path+": "+in.Key)
		}
	}
	s.Set = maps.Clone(s.File.Set)
	if s.Set == nil {
		s.Set = map[string]string{}
	}
	maps.Copy(s.Set, s.Env.Set)
	if err := s.spread(); err != nil {
		return err
	}
	return s.check()
}

// check holds every value against its kind.
func (s *Settings) check() error {
	for _, in := range All() {
		v := s.values[in.Name]
		if v == "" {
			continue
		}
		switch in.Kind {
		case Choice:
			if !slices.Contains(in.Choices, v) {
				return fmt.Errorf("reading %s: %q is none of %s%s", s.source[in.Name], v, strings.Join(in.Choices, ", "), config.DidYouMean(v, in.Choices))
			}
		case Duration:
			if _, err := parseDuration(v); err != nil {
				return fmt.Errorf("reading %s: %w", s.source[in.Name], err)
			}
		case Boolean:
			if _, err := strconv.ParseBool(v); err != nil {
				return fmt.Errorf("reading %s: %q is neither true nor false", s.source[in.Name], v)
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

// Duration gives a duration input; zero means unset.
func (s *Settings) Duration(name string) time.Duration {
	d, err := parseDuration(s.values[name])
	if err != nil { // unset; check has refused the rest
		return 0
	}
	return d
}

// Bool gives a boolean input; false when unset.
func (s *Settings) Bool(name string) bool {
	b, err := strconv.ParseBool(s.values[name])
	return err == nil && b
}

// Path resolves a path: relative to outlast.yaml when it stands there, to the
// working folder when it came from a flag or a variable.
func (s *Settings) Path(name, workdir string) string {
	v := s.values[name]
	switch {
	case v == "" || filepath.IsAbs(v):
		return v
	case s.File.Path != "" && strings.HasPrefix(s.source[name], s.File.Path+":"):
		return filepath.Join(s.Dir, v)
	}
	return filepath.Join(workdir, v)
}
