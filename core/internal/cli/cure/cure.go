// SPDX-License-Identifier: Apache-2.0

// Package cure writes what render.Cure says: all files or none, and none when they
// turn out not to say what they were meant to.
package cure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/outlast-ci/outlast/core/render"
)

// RefusedError says that a file may not be written. No file is changed.
type RefusedError struct {
	Path string // relative to the root of the manifests
	Err  error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("writing %s: %v; no file was changed: make it and its folder writable, or take what outlast render prints", e.Path, e.Err)
}
func (e *RefusedError) Unwrap() error { return e.Err }

// UndoneError says that files were written and did not say what they were meant to.
// They are as they were before, but for those of Changed, which could not be put back.
type UndoneError struct {
	Err     error
	Changed []string // relative to the root of the manifests
}

func (e *UndoneError) Error() string {
	if len(e.Changed) > 0 {
		return fmt.Sprintf("writing the cures: %v; %s could not be put back as before: do it by hand", e.Err, strings.Join(e.Changed, ", "))
	}
	return fmt.Sprintf("writing the cures: %v; every file is as it was before: set by hand what outlast check finds; where a replacement or a later transformer of the kustomization writes the field, set it there", e.Err)
}
func (e *UndoneError) Unwrap() error { return e.Err }

// Write cures the manifests at opt.Path.
func Write(ctx context.Context, opt render.Options) (render.Cures, error) {
	cures, err := render.Cure(ctx, opt)
	if err != nil || len(cures.Files) == 0 {
		return cures, err
	}
	return cures, replace(cures.Root, cures.Files, func() error { return cures.Verify(ctx, opt) })
}

// replace writes files, each as a whole: who reads one sees the old or the new text.
// All are on the disk under other names before the first takes its place.
func replace(root string, files []render.File, verify func() error) error {
	made := make([]string, len(files))
	defer func() {
		for _, name := range made {
			if name != "" {
				os.Remove(name) // gone already when all went well
			}
		}
	}()
	for i, f := range files {
		var err error
		if made[i], err = write(filepath.Join(root, filepath.FromSlash(f.Path)), f.Text); err != nil {
			return &RefusedError{f.Path, err}
		}
	}
	for i, f := range files {
		if err := os.Rename(made[i], filepath.Join(root, filepath.FromSlash(f.Path))); err != nil {
			if changed := restore(root, files[:i]); len(changed) > 0 {
				return &UndoneError{err, changed}
			}
			return &RefusedError{f.Path, short(err)}
		}
	}
	if err := verify(); err != nil {
		return &UndoneError{err, restore(root, files)}
	}
	return nil
}

// write makes a new file beside one that it is to take the place of, when that may be
// written: a rename alone would not ask.
func write(path string, text []byte) (name string, err error) {
	mode := os.FileMode(0o644)
	switch info, err := os.Stat(path); {
	case err == nil:
		if mode = info.Mode().Perm(); mode&0o222 == 0 { // an administrator may write it all the same
			return "", errors.New("it is read-only")
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return "", short(err)
		}
		f.Close()
	case !errors.Is(err, fs.ErrNotExist):
		return "", short(err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".outlast-*")
	if err != nil {
		return "", fmt.Errorf("in its folder: %w", short(err))
	}
	_, err = tmp.Write(text)
	return tmp.Name(), short(errors.Join(err, tmp.Chmod(mode), tmp.Close()))
}

// short takes the names out of an error that says them again.
func short(err error) error {
	var at *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &at):
		return at.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}

// restore puts files back, and lists those that it could not.
func restore(root string, files []render.File) (changed []string) {
	for _, f := range files {
		path := filepath.Join(root, filepath.FromSlash(f.Path))
		if f.Old == nil {
			if os.Remove(path) != nil {
				changed = append(changed, f.Path)
			}
			continue
		}
		name, err := write(path, f.Old)
		if err == nil {
			err = os.Rename(name, path)
		}
		if err != nil {
			changed = append(changed, f.Path)
		}
	}
	return changed
}
