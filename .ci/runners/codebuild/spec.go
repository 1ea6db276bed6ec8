// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Spec is a buildspec of version 0.2, or of 0.1, whose commands have a shell each:
// https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html
type Spec struct {
	Version   string            `yaml:"version"`
	RunAs     string            `yaml:"run-as"`
	Env       Env               `yaml:"env"`
	Proxy     map[string]string `yaml:"proxy"`
	Batch     *Batch            `yaml:"batch"`
	Phases    Phases            `yaml:"phases"`
	Reports   map[string]Report `yaml:"reports"`
	Artifacts Artifacts         `yaml:"artifacts"`
	Cache     *Cache            `yaml:"cache"`
}

// Env is the environment of all commands.
type Env struct {
	Shell               string            `yaml:"shell"`
	Variables           map[string]string `yaml:"variables"`
	ParameterStore      map[string]string `yaml:"parameter-store"`
	SecretsManager      map[string]string `yaml:"secrets-manager"`
	ExportedVariables   []string          `yaml:"exported-variables"`
	GitCredentialHelper string            `yaml:"git-credential-helper"`
}

// Phases are the four that a buildspec may have.
type Phases struct {
	Install   *Phase `yaml:"install"`
	PreBuild  *Phase `yaml:"pre_build"`
	Build     *Phase `yaml:"build"`
	PostBuild *Phase `yaml:"post_build"`
}

// Phase is a list of commands.
type Phase struct {
	RunAs           string            `yaml:"run-as"`
	OnFailure       string            `yaml:"on-failure"`
	RuntimeVersions map[string]string `yaml:"runtime-versions"`
	Commands        []string          `yaml:"commands"`
	Finally         []string          `yaml:"finally"`
}

// Report is a report group.
type Report struct {
	Files         Strings `yaml:"files"`
	BaseDirectory string  `yaml:"base-directory"`
	DiscardPaths  string  `yaml:"discard-paths"`
	FileFormat    string  `yaml:"file-format"`
}

// Artifacts are the files that the build leaves.
type Artifacts struct {
	Files          Strings              `yaml:"files"`
	Name           string               `yaml:"name"`
	DiscardPaths   string               `yaml:"discard-paths"`
	BaseDirectory  string               `yaml:"base-directory"`
	ExcludePaths   Strings              `yaml:"exclude-paths"`
	EnableSymlinks string               `yaml:"enable-symlinks"`
	S3Prefix       string               `yaml:"s3-prefix"`
	Secondary      map[string]Artifacts `yaml:"secondary-artifacts"`
}

// Cache is what is kept for the next build.
type Cache struct {
	Paths        Strings `yaml:"paths"`
	Key          string  `yaml:"key"`
	FallbackKeys Strings `yaml:"fallback-keys"`
	Action       string  `yaml:"action"`
}

// Batch describes several builds; this runner runs one, but knows the words.
type Batch struct {
	FastFail string      `yaml:"fast-fail"`
	List     []yaml.Node `yaml:"build-list"`
	Graph    []yaml.Node `yaml:"build-graph"`
	Matrix   *yaml.Node  `yaml:"build-matrix"`
	Fanout   *yaml.Node  `yaml:"build-fanout"`
}

// Strings is a list, or one word in its stead.
type Strings []string

// UnmarshalYAML takes both.
func (s *Strings) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*s = Strings{n.Value}
		return nil
	}
	return n.Decode((*[]string)(s))
}

var (
	onFailure = regexp.MustCompile(`^(ABORT|CONTINUE|RETRY(-\d+)?(-.+)?)$`)
	name      = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	shells    = []string{"", "bash", "/bin/sh"}
	formats   = []string{"", "JUNITXML", "NUNITXML", "NUNIT3XML", "CUCUMBERJSON", "VISUALSTUDIOTRX", "TESTNGXML", "CLOVERXML", "COBERTURAXML", "JACOCOXML", "SIMPLECOV"}
)

// Parse reads a buildspec and refuses all that CodeBuild would, or would overlook.
func Parse(text []byte) (*Spec, error) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	var s Spec
	if err := dec.Decode(&s); err != nil {
		return nil, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one document")
	}
	return &s, s.check()
}

func (s *Spec) check() error {
	if s.Version != "0.2" && s.Version != "0.1" {
		return fmt.Errorf("version: %q is neither 0.2 nor 0.1", s.Version)
	}
	if !slices.Contains(shells, s.Env.Shell) {
		return fmt.Errorf("env.shell: %q is none of bash, /bin/sh", s.Env.Shell)
	}
	for _, group := range []map[string]string{s.Env.Variables, s.Env.ParameterStore, s.Env.SecretsManager} {
		for n := range group {
			if !name.MatchString(n) {
				return fmt.Errorf("env: %q is no name of a variable", n)
			}
		}
	}
	for _, n := range s.Env.ExportedVariables {
		if !name.MatchString(n) {
			return fmt.Errorf("env.exported-variables: %q is no name of a variable", n)
		}
		_, parameter := s.Env.ParameterStore[n]
		_, secret := s.Env.SecretsManager[n]
		if strings.HasPrefix(n, "AWS_") || parameter || secret {
			return fmt.Errorf("env.exported-variables: %s may not be exported", n)
		}
	}
	if any := s.all(); len(any) == 0 {
		return errors.New("phases: there are none")
	} else {
		for _, p := range any {
			if err := p.phase.check(); err != nil {
				return fmt.Errorf("phases.%s: %w", p.name, err)
			}
		}
	}
	if s.Phases.PreBuild != nil && s.Phases.PreBuild.RuntimeVersions != nil || s.Phases.Build != nil && s.Phases.Build.RuntimeVersions != nil || s.Phases.PostBuild != nil && s.Phases.PostBuild.RuntimeVersions != nil {
		return errors.New("phases: runtime-versions belong to install")
	}
	for group, r := range s.Reports {
		if len(r.Files) == 0 {
			return fmt.Errorf("reports.%s: files are missing", group)
		}
		if !slices.Contains(formats, strings.ToUpper(r.FileFormat)) {
			return fmt.Errorf("reports.%s.file-format: %q is unknown", group, r.FileFormat)
		}
	}
	if len(s.Artifacts.Files) == 0 && s.Artifacts.Name+s.Artifacts.BaseDirectory != "" && len(s.Artifacts.Secondary) == 0 {
		return errors.New("artifacts: files are missing")
	}
	return nil
}

func (p *Phase) check() error {
	if p.OnFailure != "" && !onFailure.MatchString(p.OnFailure) {
		return fmt.Errorf("on-failure: %q is none of ABORT, CONTINUE, RETRY", p.OnFailure)
	}
	if len(p.Commands) == 0 && len(p.RuntimeVersions) == 0 {
		return errors.New("commands are missing")
	}
	return nil
}

// named is a phase with its name.
type named struct {
	name  string
	phase *Phase
}

// all lists the phases that are there, in order.
func (s *Spec) all() (list []named) {
	for _, p := range []named{{"install", s.Phases.Install}, {"pre_build", s.Phases.PreBuild}, {"build", s.Phases.Build}, {"post_build", s.Phases.PostBuild}} {
		if p.phase != nil {
			list = append(list, p)
		}
	}
	return list
}
