// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// Limits on what is read. The largest kustomizations seen in public are a few
// MB; what is beyond is a mistake or an attack.
const (
	maxFileBytes  = 5 << 20
	maxTotalBytes = 50 << 20
)

// jail is the file system that kustomize sees: reading only, inside root only,
// each file checked before kustomize gets a byte of it. The first refusal is
// kept, and nothing is read after it.
type jail struct {
	filesys.FileSystem // the disk; every method that writes is overridden
	root               string
	made               map[string][]byte // kustomizations made up for plain YAML, by path
	total              int
	refused            error
}

func newJail(root string) (*jail, error) {
	real, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if real, err = filepath.EvalSymlinks(real); err != nil {
		return nil, fmt.Errorf("finding the root folder: %w", err)
	}
	return &jail{FileSystem: filesys.MakeFsOnDisk(), root: real, made: map[string][]byte{}}, nil
}

// inside resolves links and refuses what leads out of root.
func (j *jail) inside(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	if real, err = filepath.Abs(real); err != nil {
		return "", err
	}
	if real != j.root && !strings.HasPrefix(real, j.root+string(filepath.Separator)) {
		return "", j.refuse("%s leads out of %s to %s; move it inside, or allow a wider folder with --root", path, j.root, real)
	}
	return real, nil
}

func (j *jail) refuse(format string, args ...any) error {
	if j.refused == nil {
		j.refused = fmt.Errorf(format, args...)
	}
	return j.refused
}

// ReadFile gives a checked file's bytes.
func (j *jail) ReadFile(path string) ([]byte, error) {
	if j.refused != nil {
		return nil, j.refused
	}
	if text, ok := j.made[path]; ok {
		return text, nil
	}
	real, err := j.inside(path)
	if err != nil {
		return nil, err
	}
	text, err := readAtMost(real, maxFileBytes)
	if err != nil {
		if errors.Is(err, errTooLarge) {
			return nil, j.refuse("%s is larger than %d MB", j.short(path), maxFileBytes>>20)
		}
		return nil, err
	}
	if j.total += len(text); j.total > maxTotalBytes {
		return nil, j.refuse("the kustomization reads more than %d MB", maxTotalBytes>>20)
	}
	if err := checkYAML(text); err != nil {
		return nil, j.refuse("%s: %v", j.short(path), err)
	}
	if slices.Contains(konfig.RecognizedKustomizationFileNames(), filepath.Base(path)) {
		if err := checkKustomization(text, filepath.Dir(path)); err != nil {
			return nil, j.refuse("%s%v", j.short(path), err)
		}
	}
	return text, nil
}

func (j *jail) short(path string) string {
	if rel, err := filepath.Rel(j.root, path); err == nil {
		return rel
	}
	return path
}

var errTooLarge = errors.New("too large")

func readAtMost(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		return nil, errTooLarge
	}
	return text, err
}

// Exists also knows the made-up kustomization.
func (j *jail) Exists(path string) bool {
	_, made := j.made[path]
	return made || j.FileSystem.Exists(path)
}

// CleanedAbs refuses directories outside root.
func (j *jail) CleanedAbs(path string) (filesys.ConfirmedDir, string, error) {
	if _, ok := j.made[path]; ok {
		return filesys.ConfirmedDir(filepath.Dir(path)), filepath.Base(path), nil
	}
	dir, file, err := j.FileSystem.CleanedAbs(path)
	if err != nil {
		return dir, file, err
	}
	if _, err := j.inside(string(dir)); err != nil {
		return "", "", err
	}
	return dir, file, nil
}

var errReadOnly = errors.New("rendering writes nothing")

func (j *jail) Create(string) (filesys.File, error) { return nil, errReadOnly }
func (j *jail) Mkdir(string) error                  { return errReadOnly }
func (j *jail) MkdirAll(string) error               { return errReadOnly }
func (j *jail) RemoveAll(string) error              { return errReadOnly }
func (j *jail) WriteFile(string, []byte) error      { return errReadOnly }
func (j *jail) Open(string) (filesys.File, error)   { return nil, errReadOnly }
