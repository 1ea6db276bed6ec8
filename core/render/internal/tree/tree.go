// SPDX-License-Identifier: Apache-2.0

// Package tree turns a folder of YAML into objects. A kustomization goes through
// kustomize, in this process, over a file system that reads inside one root
// only and checks every file before kustomize gets a byte of it. Plain YAML is
// parsed here, and what nobody changes is printed as it was written.
package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Stdin as Options.Path stands for Options.Stream.
const Stdin = "-"

// Options say where to read.
type Options struct {
	Path   string // kustomization directory or file, one YAML file, or a directory of YAML files; Stdin: Stream
	Root   string // nothing outside is read; empty: the top of Path's git checkout, else Path's own directory
	Stream []byte // what came on standard input, when Path is Stdin
}

// Tree is what was read.
type Tree struct {
	Objects       []*Object // in kustomize's order of output; of plain YAML in that of files and documents
	Files         []File    // every file that was read, in the order of its path
	Kustomization string    // path of the top kustomization file, relative to Root; empty: plain YAML
	Parts         int       // runs of kustomize that it took; 0: plain YAML

	chunks []chunk // of plain YAML: what to print
}

// Object is one Kubernetes object, to be changed in place.
type Object struct {
	*yaml.RNode
	File     string // plain YAML: the file that holds it, relative to Root; empty: it came out of kustomize
	Document int    // plain YAML: which of the file's documents holds it, from 0
}

// File is one file that was read.
type File struct {
	Path string // relative to Root, with slashes; Stdin for Options.Stream
	Text []byte // as it was read
}

// Load reads opt.Path. Errors name file and line where there is one.
func Load(ctx context.Context, opt Options) (*Tree, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if opt.Path == Stdin {
		return loadPlain([]File{{Stdin, opt.Stream}})
	}
	abs, err := filepath.Abs(opt.Path)
	if err != nil {
		return nil, err
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return nil, fmt.Errorf("finding it: %w", err)
	}
	root := opt.Root
	if root == "" {
		root = defaultRoot(abs)
	}
	jail, err := newJail(root)
	if err != nil {
		return nil, err
	}
	kustomization, files, err := entry(jail, abs)
	if err != nil {
		return nil, err
	}
	if kustomization == "" {
		return jail.plain(files)
	}
	return jail.kustomize(kustomization)
}

// entry tells a kustomization file from the files of plain YAML.
func entry(j *jail, abs string) (kustomization string, files []string, err error) {
	if _, err := j.inside(abs); err != nil {
		return "", nil, err
	}
	info, err := os.Stat(abs)
	if err != nil {
		return "", nil, err
	}
	if !info.IsDir() {
		if slices.Contains(konfig.RecognizedKustomizationFileNames(), filepath.Base(abs)) {
			return abs, nil, nil
		}
		return "", []string{abs}, nil
	}
	if file := kustomizationIn(abs); file != "" {
		return file, nil, nil
	}
	entries, err := os.ReadDir(abs)
	if err != nil {
		return "", nil, err
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".yaml" || ext == ".yml") {
			files = append(files, filepath.Join(abs, e.Name()))
		}
	}
	if len(files) == 0 {
		return "", nil, errors.New("the directory holds neither a kustomization.yaml nor any .yaml file")
	}
	slices.Sort(files)
	return "", files, nil
}

// YAML is what to print: objects that nobody changed as they were written or as
// kustomize writes them.
func (t *Tree) YAML() ([]byte, error) {
	if t.Kustomization == "" {
		return t.plainYAML()
	}
	var b bytes.Buffer
	for i, o := range t.Objects {
		if i > 0 {
			b.WriteString("---\n")
		}
		text, err := asKustomize(o.RNode)
		if err != nil {
			return nil, fmt.Errorf("writing the YAML: %w", err)
		}
		b.Write(text)
	}
	return b.Bytes(), nil
}
