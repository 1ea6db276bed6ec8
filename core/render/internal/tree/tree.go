// SPDX-License-Identifier: Apache-2.0

// Package tree turns a folder of YAML into objects. A kustomization goes through
// kustomize, in this process, which gets every file from a walk that checked
// it before. Plain YAML is parsed here, and what nobody changes is printed as
// it was written.
package tree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/tree/limit"
	"github.com/outlast-ci/outlast/core/render/internal/tree/print"
	"github.com/outlast-ci/outlast/core/render/internal/tree/source"
)

// Stdin as Options.Path stands for Options.Stream.
const Stdin = "-"

// Options say where to read.
type Options struct {
	Path   string // kustomization directory or file, one YAML or JSON file, or a directory of those; Stdin: Stream
	Root   string // nothing outside is read; empty: the top of Path's git checkout, else Path's own directory
	Stream []byte // what came on standard input, when Path is Stdin
	// Stderr is &os.Stderr, which kustomize prints warnings to. It leads nowhere while
	// kustomize runs, maybe many times, and Tree.Deprecated tells instead; nil: it is
	// left alone.
	Stderr **os.File
	// Instead holds texts that kustomize reads instead of files, by their paths relative
	// to Root. They name no other files than these.
	Instead map[string][]byte
}

// Tree is what was read.
type Tree struct {
	Objects       []*Object // in kustomize's order of output; of plain YAML in that of files and documents
	Files         []File    // every file that was read, in the order of its path
	Kustomization string    // path of the top kustomization file, relative to Root; empty: plain YAML
	Parts         int       // runs of kustomize that it took; 0: plain YAML
	Root          string    // absolute folder that Files are relative to; empty: a stream

	// Deprecated is what kustomize says of fields that it will not know for ever,
	// with file and line.
	Deprecated []string

	plain []document
}

// Object is one Kubernetes object, to be changed in place.
type Object struct {
	*yaml.RNode
	File     string // plain YAML: the file that holds it, relative to Root; empty: it came out of kustomize
	Document int    // plain YAML: which of the file's documents holds it, from 0; empty ones count
	Item     int    // plain YAML: which of the items of a List it is, from 1; 0: it is the document

	print uint64 // fingerprint of what was read
	text  []byte // what prints it while it is as it was read; nil: not known
}

// File is one file that was read.
type File struct {
	Path string // relative to Root, with slashes; Stdin for Options.Stream
	Text []byte // as it was read
}

// PathError says that Options name no manifests: the path or the root is not there, is
// out of bounds, or holds no YAML.
type PathError struct{ Err error }

func (e *PathError) Error() string { return e.Err.Error() }
func (e *PathError) Unwrap() error { return e.Err }

// Load reads opt.Path. Errors start with file and line where there is one.
func Load(ctx context.Context, opt Options) (*Tree, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if opt.Path == Stdin {
		return loadStream(opt.Stream)
	}
	abs, err := filepath.Abs(opt.Path)
	if err != nil {
		return nil, err
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return nil, &PathError{fmt.Errorf("finding it: %w; name a kustomization, a YAML file, a folder of them, or - for standard input", short(err))}
	}
	if opt.Root == "" {
		opt.Root = defaultRoot(abs)
	}
	root, err := source.Open(opt.Root)
	if err != nil {
		return nil, &PathError{err}
	}
	defer root.Close()
	at, err := root.Rel(abs)
	if err != nil {
		return nil, &PathError{err}
	}
	dir, files, err := entry(root, at)
	if err != nil {
		return nil, err
	}
	var t *Tree
	if files != nil {
		t, err = loadPlain(root, files)
	} else {
		t, err = kustomize(ctx, root, dir, sizes, opt)
	}
	if err != nil {
		return nil, err
	}
	t.Root, err = filepath.Abs(opt.Root)
	return t, err
}

// entry tells the folder of a kustomization from files of plain YAML.
func entry(root *source.Root, at string) (dir string, files []string, err error) {
	at, isDir, err := root.Follow(at)
	if err != nil {
		return "", nil, err
	}
	if !isDir {
		if slices.Contains(konfig.RecognizedKustomizationFileNames(), path.Base(at)) {
			return path.Dir(at), nil, nil
		}
		return "", []string{at}, nil
	}
	if file, err := root.KustomizationIn(at); err != nil || file != "" {
		return at, nil, err
	}
	names, err := root.List(at)
	if err != nil {
		return "", nil, err
	}
	for _, name := range names {
		if !slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name)) { // those that kubectl reads
			continue
		}
		file, isDir, err := root.Follow(path.Join(at, name))
		if err != nil {
			return "", nil, err
		}
		if !isDir {
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		return "", nil, &PathError{errors.New("the directory holds neither a kustomization.yaml nor any .yaml or .json file")}
	}
	return "", files, nil
}

// defaultRoot is the top of the git checkout, else the directory itself.
func defaultRoot(abs string) string {
	start := abs
	if info, err := os.Stat(abs); err == nil && !info.IsDir() {
		start = filepath.Dir(abs)
	}
	for d := start; ; d = filepath.Dir(d) {
		if _, err := os.Lstat(filepath.Join(d, ".git")); err == nil {
			return d
		}
		if d == filepath.Dir(d) {
			return start
		}
	}
}

// short takes the machine's folders out of an error.
func short(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

func loadStream(text []byte) (*Tree, error) {
	if err := Within(text); err != nil {
		return nil, err
	}
	t := &Tree{}
	return t, t.parse([]File{{Stdin, text}})
}

// Within refuses a stream that is too large, nested too deep, or of aliases that expand
// too far.
func Within(stream []byte) error {
	if len(stream) > limit.TotalBytes {
		return fmt.Errorf("it is larger than %d MB", limit.TotalBytes>>20)
	}
	if err := limit.Check(stream); err != nil {
		return fmt.Errorf("line %w", err) // which starts with its number
	}
	return nil
}

func loadPlain(root *source.Root, paths []string) (*Tree, error) {
	var files []File
	for _, p := range paths {
		f, err := root.Read(p, true)
		if err != nil {
			return nil, err
		}
		files = append(files, File{f.Path, f.Text})
	}
	t := &Tree{}
	return t, t.parse(files)
}

// YAML is what to print: objects that nobody changed as they were written or as
// kustomize writes them.
func (t *Tree) YAML() ([]byte, error) {
	if t.Kustomization == "" {
		return t.plainYAML()
	}
	size := 0
	for _, o := range t.Objects {
		size += len(o.text) + len(separator)
	}
	b := make([]byte, 0, size)
	for i, o := range t.Objects {
		text := o.text
		if text == nil || o.print != fingerprint(o.YNode()) {
			var err error
			if text, err = print.YAML(o.RNode); err != nil {
				return nil, fmt.Errorf("writing the YAML: %w", err)
			}
		}
		if i > 0 {
			b = append(b, separator...)
		}
		b = append(b, text...)
	}
	return b, nil
}

const separator = "---\n"
