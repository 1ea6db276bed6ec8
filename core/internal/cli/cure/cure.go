// SPDX-License-Identifier: Apache-2.0

// Package cure writes what render.Cure says, whole files at a time, and takes it
// back when it does not help.
package cure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/outlast-ci/outlast/core/render"
)

// UndoneError says that files were written, and are as they were before.
type UndoneError struct{ Err error }

func (e *UndoneError) Error() string {
	return fmt.Sprintf("writing the cures: every file is as it was before: %v", e.Err)
}
func (e *UndoneError) Unwrap() error { return e.Err }

// Write cures the manifests at opt.Path. After an *UndoneError, and after any
// other error, the files are as they were.
func Write(ctx context.Context, opt render.Options) (render.Cures, error) {
	cures, err := render.Cure(ctx, opt)
	if err != nil {
		return cures, err
	}
	for i, f := range cures.Files {
		if err := replaceFile(filepath.Join(cures.Root, filepath.FromSlash(f.Path)), f.Text); err != nil {
			return cures, errors.Join(&UndoneError{err}, restore(cures.Root, cures.Files[:i]))
		}
	}
	if len(cures.Files) == 0 {
		return cures, nil
	}
	after, err := render.Cure(ctx, opt)
	if err == nil && len(after.Changes) > 0 {
		err = fmt.Errorf("they do not help: %s of %s would have to be set again", after.Changes[0].Field, after.Changes[0].Object)
	}
	if err != nil {
		return cures, errors.Join(&UndoneError{err}, restore(cures.Root, cures.Files))
	}
	return cures, nil
}

// replaceFile writes a file as a whole: who reads it sees the old or the new one.
func replaceFile(path string, text []byte) error {
	mode := os.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".outlast-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone already when all went well
	_, err = tmp.Write(text)
	if err = errors.Join(err, tmp.Chmod(mode), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

func restore(root string, files []render.File) (err error) {
	for _, f := range files {
		path := filepath.Join(root, filepath.FromSlash(f.Path))
		if f.Old == nil {
			err = errors.Join(err, os.Remove(path))
			continue
		}
		err = errors.Join(err, replaceFile(path, f.Old))
	}
	return err
}
