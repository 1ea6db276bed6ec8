// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/outlast-ci/outlast/core/render/internal/tree/source"
)

// mount is where kustomize finds the root, so that its errors tell nothing of
// the machine's folders.
const mount = "/@"

// view is the file system that kustomize sees: reading only, out of what the walk
// has read. What the walk did not foresee (a file that the configuration of a
// transformer names) is read and checked when kustomize asks for it.
type view struct {
	filesys.FileSystem // in memory and empty: nothing of it is reached
	src                *source.Source
	texts              map[string][]byte // read instead of the files; by path
}

func newView(src *source.Source, texts map[string][]byte) *view {
	return &view{FileSystem: filesys.MakeFsInMemory(), src: src, texts: texts}
}

// inside gives a path of kustomize's relative to the root.
func (v *view) inside(p string) (string, error) {
	p = filepath.ToSlash(p)
	if p == mount {
		return ".", nil
	}
	if rel, ok := strings.CutPrefix(p, mount+"/"); ok {
		return path.Clean(rel), nil
	}
	return v.src.Rel(p)
}

// CleanedAbs follows links and tells folders from files.
func (v *view) CleanedAbs(p string) (filesys.ConfirmedDir, string, error) {
	rel, err := v.inside(p)
	if err != nil {
		return "", "", err
	}
	to, dir, err := v.src.Follow(rel)
	if err != nil {
		return "", "", err
	}
	if dir {
		return v.confirmed(to), "", nil
	}
	return v.confirmed(path.Dir(to)), path.Base(to), nil
}

func (v *view) confirmed(rel string) filesys.ConfirmedDir {
	return filesys.ConfirmedDir(filepath.FromSlash(path.Join(mount, rel)))
}

// ReadFile gives a checked file's bytes.
func (v *view) ReadFile(p string) ([]byte, error) {
	rel, err := v.inside(p)
	if err != nil {
		return nil, err
	}
	if text, ok := v.texts[rel]; ok {
		return text, nil
	}
	if f, ok := v.src.Again(rel); ok && !v.src.Plugins {
		return f.Text, nil
	}
	f, err := v.src.Read(rel, true)
	if err != nil {
		return nil, err
	}
	return f.Text, nil
}

// IsDir is true for a folder of the root.
func (v *view) IsDir(p string) bool {
	_, file, err := v.CleanedAbs(p)
	return err == nil && file == ""
}

// Exists is true for what is there.
func (v *view) Exists(p string) bool {
	_, _, err := v.CleanedAbs(p)
	return err == nil
}

var errReadOnly = errors.New("rendering writes nothing")

func (v *view) Create(string) (filesys.File, error)  { return nil, errReadOnly }
func (v *view) Mkdir(string) error                   { return errReadOnly }
func (v *view) MkdirAll(string) error                { return errReadOnly }
func (v *view) RemoveAll(string) error               { return errReadOnly }
func (v *view) WriteFile(string, []byte) error       { return errReadOnly }
func (v *view) Open(string) (filesys.File, error)    { return nil, fs.ErrNotExist }
func (v *view) Glob(string) ([]string, error)        { return nil, fs.ErrNotExist }
func (v *view) ReadDir(string) ([]string, error)     { return nil, fs.ErrNotExist }
func (v *view) Walk(string, filepath.WalkFunc) error { return fs.ErrNotExist }
