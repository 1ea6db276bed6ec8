// SPDX-License-Identifier: Apache-2.0

package cure

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outlast-ci/outlast/core/render"
)

// read gives the files below a folder, those of no name that a user gave, too.
func read(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		files[filepath.ToSlash(rel)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestReplace: all files are written or none.
func TestReplace(t *testing.T) {
	before := map[string]string{"a.yaml": "old a", "dir/b.yaml": "old b"}
	files := []render.File{
		{Path: "a.yaml", Text: []byte("new a"), Old: []byte("old a")},
		{Path: "c.yaml", Text: []byte("new c")},
		{Path: "dir/b.yaml", Text: []byte("new b"), Old: []byte("old b")},
	}
	after := map[string]string{"a.yaml": "new a", "c.yaml": "new c", "dir/b.yaml": "new b"}
	for name, tc := range map[string]struct {
		spoil  func(t *testing.T, root string)
		verify error
		want   map[string]string
		fails  string
	}{
		"nothing is in the way": {want: after},
		"a file is read-only": {
			spoil: func(t *testing.T, root string) { chmod(t, root+"/dir/b.yaml", 0o444) },
			want:  before, fails: "writing dir/b.yaml: it is read-only; no file was changed: make it and its folder writable, or take what outlast render prints"},
		"a file is somebody else's": {
			spoil: func(t *testing.T, root string) { chmod(t, root, 0o777); nobody(t) },
			want:  before, fails: "writing a.yaml: permission denied; no file was changed"},
		"a folder may not be written": {
			spoil: func(t *testing.T, root string) { chmod(t, root+"/a.yaml", 0o666); chmod(t, root, 0o755); nobody(t) },
			want:  before, fails: "writing a.yaml: in its folder: permission denied; no file was changed"},
		"the last folder may not be written": {
			spoil: func(t *testing.T, root string) {
				for _, name := range []string{"/a.yaml", "/dir/b.yaml"} {
					chmod(t, root+name, 0o666)
				}
				chmod(t, root, 0o777)
				chmod(t, root+"/dir", 0o755)
				nobody(t)
			},
			want: before, fails: "writing dir/b.yaml: in its folder: permission denied; no file was changed"},
		"a folder has the name of a new file": {
			spoil: func(t *testing.T, root string) {
				if err := os.MkdirAll(root+"/c.yaml/x", 0o755); err != nil {
					t.Fatal(err)
				}
			},
			want: before, fails: "writing c.yaml: "},
		"they do not say what they were meant to": {verify: errors.New("a is not b"), want: before, fails: "writing the cures: a is not b; every file is as it was before"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			chmod(t, filepath.Dir(root), 0o755) // for nobody
			for name, text := range before {
				path := filepath.Join(root, filepath.FromSlash(name))
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			if tc.spoil != nil {
				tc.spoil(t, root)
			}
			err := replace(root, files, func() error { return tc.verify })
			if (err == nil) != (tc.fails == "") || err != nil && !strings.HasPrefix(err.Error(), tc.fails) {
				t.Errorf("got %v, want %s", err, tc.fails)
			}
			if diff := cmp.Diff(tc.want, read(t, root)); diff != "" {
				t.Errorf("files (- want, + got):\n%s", diff)
			}
			if err != nil && tc.verify == nil {
				var refused *RefusedError
				if !errors.As(err, &refused) {
					t.Errorf("%T", err)
				}
			}
			var undone *UndoneError
			if errors.As(err, &undone) != (tc.verify != nil) {
				t.Errorf("%T", err)
			}
		})
	}
}

// TestRestore tells which files stay changed.
func TestRestore(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(root+"/a.yaml", []byte("new"), 0o444); err != nil {
		t.Fatal(err)
	}
	err := &UndoneError{errors.New("a is not b"), restore(root, []render.File{{Path: "a.yaml", Old: []byte("old")}, {Path: "gone.yaml"}})}
	const want = "writing the cures: a is not b; a.yaml, gone.yaml could not be put back as before: do it by hand"
	if err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
