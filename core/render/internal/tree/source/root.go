// SPDX-License-Identifier: Apache-2.0

// Package source reads what a kustomization is made of, before kustomize does:
// every file inside one root, of bounded size, its YAML checked, and no
// address among its paths. It opens no connection and runs no program.
package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/outlast-ci/outlast/core/render/internal/tree/limit"
)

// Root is a folder that nothing is read outside of.
type Root struct {
	dir   string // absolute, without links
	root  *os.Root
	links map[string]place // what paths lead to; both are relative, with slashes
	files map[string]*File
	total int
	// Refused is the first refusal: kustomize words it as a missing file or worse.
	Refused error
}

// File is one file that was read.
type File struct {
	Path    string // relative to the root, with slashes
	Text    []byte
	checked bool
}

// place is what a path leads to.
type place struct {
	path string
	dir  bool
	err  error
}

// Open opens a folder. Close it after use.
func Open(dir string) (*Root, error) {
	real, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if real, err = filepath.EvalSymlinks(real); err != nil {
		return nil, fmt.Errorf("finding the root folder: %w", short(err))
	}
	root, err := os.OpenRoot(real)
	if err != nil {
		return nil, fmt.Errorf("opening the root folder: %w", short(err))
	}
	return &Root{dir: real, root: root, links: map[string]place{}, files: map[string]*File{}}, nil
}

// Close gives the folder's handle back.
func (r *Root) Close() error { return r.root.Close() }

// Rel is a path of the machine relative to the root.
func (r *Root) Rel(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return "", short(err)
	}
	rel, err := filepath.Rel(r.dir, abs)
	if err != nil {
		return "", err
	}
	rel = filepath.ToSlash(rel)
	if rel == ".." || strings.HasPrefix(rel, "../") {
		return "", r.refuse("%s leads out of the root folder, to %s; move it inside, or allow a wider folder with --root", filepath.Base(path), rel)
	}
	return rel, nil
}

// Follow tells what a path, relative to the root, leads to.
func (r *Root) Follow(rel string) (path string, dir bool, err error) {
	if p, ok := r.links[rel]; ok {
		return p.path, p.dir, p.err
	}
	real, err := filepath.EvalSymlinks(filepath.Join(r.dir, filepath.FromSlash(rel)))
	if err != nil {
		r.links[rel] = place{err: short(err)}
		return "", false, short(err)
	}
	to, err := filepath.Rel(r.dir, real)
	if err != nil {
		return "", false, err
	}
	to = filepath.ToSlash(to)
	if to == ".." || strings.HasPrefix(to, "../") {
		return "", false, r.refuse("%s leads out of the root folder, to %s; move it inside, or allow a wider folder with --root", rel, to)
	}
	info, err := r.root.Stat(filepath.FromSlash(to))
	if err != nil {
		return "", false, short(err)
	}
	r.links[rel] = place{path: to, dir: info.IsDir()}
	return to, info.IsDir(), nil
}

// Again gives a file that was read before. What was read as the data of a
// generator only is not checked.
func (r *Root) Again(path string) (*File, bool) {
	f, ok := r.files[path]
	return f, ok
}

// Read gives a file by the path that Follow gave. With check, its YAML is
// within the limits.
func (r *Root) Read(path string, check bool) (*File, error) {
	if r.Refused != nil {
		return nil, r.Refused
	}
	f, ok := r.files[path]
	if !ok {
		text, err := r.read(path)
		if err != nil {
			return nil, err
		}
		if r.total += len(text); r.total > limit.TotalBytes {
			return nil, r.refuse("more than %d MB are read", limit.TotalBytes>>20)
		}
		f = &File{Path: path, Text: text}
		r.files[path] = f
	}
	if check && !f.checked {
		f.checked = true
		if err := limit.Check(f.Text); err != nil {
			return nil, r.refuse("%s:%w", path, err)
		}
	}
	return f, nil
}

func (r *Root) read(path string) ([]byte, error) {
	info, err := r.root.Stat(filepath.FromSlash(path))
	if err != nil {
		return nil, short(err)
	}
	if !info.Mode().IsRegular() { // opening a pipe waits for its writer
		return nil, r.refuse("%s is no regular file", path)
	}
	f, err := r.root.Open(filepath.FromSlash(path))
	if err != nil {
		return nil, short(err)
	}
	defer f.Close()
	if info.Size() > limit.FileBytes {
		return nil, r.refuse("%s is larger than %d MB", path, limit.FileBytes>>20)
	}
	text := make([]byte, info.Size()+1)
	n, err := io.ReadFull(f, text)
	if err == nil || n != int(info.Size()) {
		return nil, fmt.Errorf("%s changes while it is read", path)
	}
	return text[:n:n], nil
}

// Files lists what was read, by path.
func (r *Root) Files() []*File {
	all := make([]*File, 0, len(r.files))
	for _, f := range r.files {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *File) int { return strings.Compare(a.Path, b.Path) })
	return all
}

// List gives the names of the regular files, and of links, in a folder.
func (r *Root) List(path string) (names []string, err error) {
	entries, err := fs.ReadDir(r.root.FS(), path)
	if err != nil {
		return nil, short(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (r *Root) refuse(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if r.Refused == nil {
		r.Refused = err
	}
	return err
}

// short takes the machine's folders out of an error.
func short(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%s: %w", filepath.Base(path.Path), path.Err)
	}
	return err
}
