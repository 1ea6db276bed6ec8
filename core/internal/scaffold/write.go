// SPDX-License-Identifier: Apache-2.0

package scaffold

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// ExistsError says that init ran here before, or that somebody else's file has
// a name of ours.
type ExistsError struct{ Paths []string }

func (e *ExistsError) Error() string {
	return fmt.Sprintf("writing %s: it is there already, and nothing was written; outlast init --force overwrites it", strings.Join(e.Paths, ", "))
}

// planIgnores adds .outlast, where a run leaves its outputs, to .gitignore,
// and to .dockerignore where the folder lies in a build context.
func (p *project) planIgnores(plan *Plan) error {
	targets := []string{".gitignore"}
	for _, img := range p.images {
		if img.Context != "" && img.Context != "." {
			continue
		}
		targets = append(targets, ".dockerignore")
		if own := cmp.Or(img.Dockerfile, "Dockerfile") + ".dockerignore"; exists(filepath.Join(p.dir, own)) {
			targets = append(targets, own) // which BuildKit reads instead
		}
	}
	slices.Sort(targets)
	for _, name := range slices.Compact(targets) {
		old, err := readFile(filepath.Join(p.dir, filepath.FromSlash(name)))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			plan.Files = append(plan.Files, File{Path: path.Join(p.below(), name), Text: ".outlast\n"})
		case err != nil:
			return fmt.Errorf("reading %s: %w", name, err)
		case !ignored(string(old)):
			plan.Files = append(plan.Files, File{Path: path.Join(p.below(), name), Text: addition(string(old)), Append: true})
		}
	}
	return nil
}

// ignored tells whether an ignore file has .outlast in it.
func ignored(text string) (yes bool) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if bare := strings.TrimPrefix(strings.Trim(strings.TrimPrefix(line, "!"), "/"), "**/"); bare == ".outlast" {
			yes = !strings.HasPrefix(line, "!")
		}
	}
	return yes
}

// addition is one more line, ended as the others are.
func addition(text string) string {
	end := "\n"
	if strings.Contains(text, "\r\n") {
		end = "\r\n"
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		return end + ".outlast" + end
	}
	return ".outlast" + end
}

// check refuses, before the first write, what a write would refuse.
func (p Plan) check() error {
	var there []string
	for _, f := range p.Files {
		info, err := os.Lstat(filepath.Join(p.Top, filepath.FromSlash(f.Path)))
		switch {
		case err != nil || f.Append:
		case !f.Force:
			there = append(there, f.Path)
		case !info.Mode().IsRegular():
			return fmt.Errorf("writing %s: it is there and no regular file, which --force does not overwrite", f.Path)
		}
	}
	if len(there) > 0 {
		return &ExistsError{there}
	}
	return nil
}

// Write writes the plan. A file that is there is never replaced unless it was
// forced, no link leads out of Top, and what fails midway is undone.
func (p Plan) Write() (err error) {
	if err := p.check(); err != nil {
		return err
	}
	root, err := os.OpenRoot(p.Top)
	if err != nil {
		return fmt.Errorf("opening the repository: %w", err)
	}
	defer root.Close()
	var undo []func() error
	defer func() {
		if err == nil {
			return
		}
		for _, u := range slices.Backward(undo) {
			err = errors.Join(err, u())
		}
	}()
	for _, f := range p.Files {
		made, err := makeFolders(root, path.Dir(f.Path))
		undo = append(undo, made...)
		if err != nil {
			return fmt.Errorf("writing %s: %w", f.Path, err)
		}
		back, err := f.write(root)
		if back != nil {
			undo = append(undo, back)
		}
		if err != nil {
			return fmt.Errorf("writing %s: %w", f.Path, err)
		}
	}
	return nil
}

// makeFolders makes dir and its parents; undo removes the ones it made.
func makeFolders(root *os.Root, dir string) (undo []func() error, err error) {
	for i := range len(dir) + 1 {
		if dir == "." || i < len(dir) && dir[i] != '/' {
			continue
		}
		switch err := root.Mkdir(dir[:i], 0o755); {
		case err == nil:
			undo = append(undo, func() error { return root.Remove(dir[:i]) })
		case !errors.Is(err, fs.ErrExist):
			return undo, err
		}
	}
	return undo, nil
}

// write makes, replaces or adds to one file; undo is set when it must be
// undone, also after an error.
func (f File) write(root *os.Root) (undo func() error, err error) {
	flag := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	undo = func() error { return root.Remove(f.Path) }
	if f.Append {
		info, err := root.Stat(f.Path)
		if err != nil {
			return nil, err
		}
		flag = os.O_WRONLY | os.O_APPEND
		undo = func() error { return truncate(root, f.Path, info.Size()) }
	} else if old, err := root.ReadFile(f.Path); err == nil && f.Force {
		flag = os.O_WRONLY | os.O_TRUNC
		undo = func() error { return root.WriteFile(f.Path, old, 0o644) }
	}
	file, err := root.OpenFile(f.Path, flag, 0o644)
	if err != nil {
		return nil, err
	}
	_, err = file.WriteString(f.Text)
	return undo, errors.Join(err, file.Close())
}

func truncate(root *os.Root, name string, size int64) error {
	file, err := root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Truncate(size), file.Close())
}
