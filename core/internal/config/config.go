// SPDX-License-Identifier: Apache-2.0

// Package config reads outlast.yaml: bytes in, a File out. Every mistake is an
// error with file and line; an unknown key comes with the nearest known one.
// Which plain values may be set is told by the caller, who owns the one table
// of inputs; this package knows the structure around them.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// File is what an outlast.yaml says.
type File struct {
	Path         string
	Values       map[string]string      // plain values by key, e.g. "region", "drain.policy"
	Set          map[string]string      // drain.set: symbols of the drain formulas, e.g. P: 12s
	Images       []Image                //
	Environments map[string]Environment // by name
	Alarms       []string               // gate.alarms
}

// Image is one image to build and push.
type Image struct {
	Name       string            // as the manifests spell it
	Context    string            // build context, relative to outlast.yaml; empty: "."
	Dockerfile string            // relative to Context; empty: "Dockerfile"
	Target     string            // build stage; empty: the last
	Platform   string            // e.g. linux/arm64; empty: the cluster's, that is linux and the builder's own
	Repository string            // ECR repository, or registry/path of any OCI registry
	Args       map[string]string // build arguments
}

// Environment is one place to deploy to.
type Environment struct {
	Name     string
	Branches []string          // glob patterns of path.Match; a branch that matches deploys here
	Values   map[string]string // override the file's
	Set      map[string]string // override the file's, symbol by symbol
	Alarms   []string          // instead of the file's; nil: those
	Clusters []Cluster         // rolled one after another, in this order; empty: the one that the values name
}

// Cluster is how one of several clusters is reached: plain values by key, which
// override the environment's.
type Cluster map[string]string

// selectors are the keys that tell which cluster is meant, the strongest first.
var selectors = []string{"clusterName", "kubeContext", "kubeconfig"}

// Name is what people call the cluster; region tells those of one name apart.
func (c Cluster) Name() string {
	for _, key := range selectors {
		if c[key] != "" {
			return c[key]
		}
	}
	return ""
}

// Parse reads text, the content of the file at name. scalars are the keys of
// plain values that may stand at the top level and in an environment, dots
// for nesting ("drain.policy").
func Parse(name string, text []byte, scalars []string) (File, error) {
	f := File{Path: name, Values: map[string]string{}, Set: map[string]string{}, Environments: map[string]Environment{}}
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return File{}, fmt.Errorf("reading %s: the file is empty", name)
		}
		return File{}, fmt.Errorf("reading %s: %w", name, err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return File{}, fmt.Errorf("reading %s: more than one YAML document", name)
	}
	r := reader{file: name, scalars: scalars}
	r.mapping(doc.Content[0], "", names(FileKeys()), f.Values, f.Set, func(key string, n *yaml.Node) {
		switch key {
		case "images":
			f.Images = r.images(n)
		case "environments":
			f.Environments = r.environments(n)
		case alarmsKey:
			f.Alarms = r.words(n, key)
		}
	})
	if r.err == nil {
		r.err = f.check()
	}
	return f, r.err
}

func (f File) check() error {
	names := map[string]bool{}
	for _, img := range f.Images {
		if names[img.Name] {
			return fmt.Errorf("reading %s: two images are called %q", f.Path, img.Name)
		}
		names[img.Name] = true
	}
	return nil
}

// ForBranch finds the environment that a branch deploys to.
func (f File) ForBranch(branch string) (Environment, error) {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(f.Environments)) {
		for _, pattern := range f.Environments[name].Branches {
			if ok, _ := path.Match(pattern, branch); ok {
				found = append(found, name)
				break
			}
		}
	}
	switch len(found) {
	case 1:
		return f.Environments[found[0]], nil
	case 0:
		return Environment{}, &NoEnvironmentError{File: f.Path, Branch: branch, Known: f.branches()}
	}
	return Environment{}, fmt.Errorf("choosing an environment: branch %q matches several in %s: %s; make the patterns disjoint or name one with --environment", branch, f.Path, strings.Join(found, ", "))
}

func (f File) branches() (known []string) {
	for _, name := range slices.Sorted(maps.Keys(f.Environments)) {
		known = append(known, fmt.Sprintf("%s <- %s", name, strings.Join(f.Environments[name].Branches, ", ")))
	}
	return known
}

// NoEnvironmentError says that a branch has no environment, which `unmatched:
// skip` turns into a run that does nothing.
type NoEnvironmentError struct {
	File, Branch string
	Known        []string
}

func (e *NoEnvironmentError) Error() string {
	return fmt.Sprintf("choosing an environment: branch %q matches none in %s (%s); add it to an environment's branches, name one with --environment, or set unmatched: skip",
		e.Branch, e.File, strings.Join(e.Known, "; "))
}

// Named finds an environment by its name.
func (f File) Named(name string) (Environment, error) {
	env, ok := f.Environments[name]
	if !ok {
		return Environment{}, fmt.Errorf("choosing an environment: %q is not in %s%s", name, f.Path, DidYouMean(name, slices.Sorted(maps.Keys(f.Environments))))
	}
	return env, nil
}
