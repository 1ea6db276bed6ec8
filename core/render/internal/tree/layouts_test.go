// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/openapi"

	"github.com/outlast-ci/outlast/core/render/internal/tree/parts"
	"github.com/outlast-ci/outlast/core/render/internal/tree/source"
)

// writeFiles puts files into a new folder. A text whose first line is "crlf" gets
// the line breaks of Windows.
func writeFiles(t testing.TB, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		if rest, ok := strings.CutPrefix(text, "crlf\n"); ok {
			text = strings.ReplaceAll(rest, "\n", "\r\n")
		}
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// layout reads testdata/layouts/NAME.txtar: a comment, then "path: " and where
// to start.
func layout(t testing.TB, file string) (files map[string]string, path string) {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, path, ok := strings.Cut(strings.TrimSpace(string(archive.Comment)), "path: ")
	if !ok {
		t.Fatalf("%s: no path", file)
	}
	files = map[string]string{}
	for _, f := range archive.Files {
		files[f.Name] = string(f.Data)
	}
	return files, path
}

// plainKustomize is what `kustomize build` does, with nothing of ours.
func plainKustomize(path string) ([]byte, error) {
	openapi.ResetOpenAPI()
	defer openapi.ResetOpenAPI()
	opt := &krusty.Options{Reorder: krusty.ReorderOptionUnspecified, LoadRestrictions: types.LoadRestrictionsRootOnly, PluginConfig: types.DisabledPluginConfig()}
	m, err := krusty.MakeKustomizer(opt).Run(filesys.MakeFsOnDisk(), path)
	if err != nil {
		return nil, err
	}
	return m.AsYaml()
}

func load(t testing.TB, path, root string) (string, *Tree) {
	t.Helper()
	read, err := Load(context.Background(), Options{Path: path, Root: root})
	if err != nil {
		t.Fatal(err)
	}
	text, err := read.YAML()
	if err != nil {
		t.Fatal(err)
	}
	return string(text), read
}

// TestLayouts: byte for byte what kustomize prints.
func TestLayouts(t *testing.T) {
	layouts, err := filepath.Glob("testdata/layouts/*.txtar")
	if err != nil || len(layouts) < 25 {
		t.Fatalf("%d layouts, %v", len(layouts), err)
	}
	for _, file := range layouts {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			files, path := layout(t, file)
			dir := writeFiles(t, files)
			want, err := plainKustomize(filepath.Join(dir, path))
			if err != nil {
				t.Fatal(err)
			}
			if len(want) == 0 {
				t.Fatal("kustomize prints nothing")
			}
			got, read := load(t, filepath.Join(dir, path), dir)
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("differs from kustomize's:\n%s", diff)
			}
			for _, f := range read.Files {
				if text, err := os.ReadFile(filepath.Join(dir, f.Path)); err != nil || string(text) != string(f.Text) {
					t.Errorf("%s is not what was read (%v)", f.Path, err)
				}
			}
			if read.Kustomization == "" || read.Parts != 1 {
				t.Errorf("kustomization %q, %d parts", read.Kustomization, read.Parts)
			}
			for size := 1; size < 4; size++ {
				split, read := loadInParts(t, filepath.Join(dir, path), dir, parts.Sizes{Least: 1, Part: size, Hub: 1 + size})
				if diff := cmp.Diff(got, split); diff != "" {
					t.Errorf("in %d parts it differs:\n%s", read.Parts, diff)
				}
				if read.Parts > 1 {
					t.Logf("%d parts", read.Parts)
				}
			}
		})
	}
}

// loadInParts splits kustomizations that are too small for it else.
func loadInParts(t testing.TB, path, dir string, sizes parts.Sizes) (string, *Tree) {
	t.Helper()
	root, err := source.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	at, err := root.Rel(path)
	if err != nil {
		t.Fatal(err)
	}
	read, err := kustomize(context.Background(), root, at, sizes, Options{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := read.YAML()
	if err != nil {
		t.Fatal(err)
	}
	return string(text), read
}

// TestDeprecated: kustomize's warnings are told once, and not printed.
func TestDeprecated(t *testing.T) {
	files, path := layout(t, "testdata/layouts/patches-old-fields.txtar")
	dir := writeFiles(t, files)
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	before := os.Stderr
	defer func() { os.Stderr = before }()
	os.Stderr = stderr
	read, err := Load(context.Background(), Options{Path: filepath.Join(dir, path), Root: dir, Stderr: &os.Stderr})
	if err != nil || os.Stderr != stderr {
		t.Fatal(err, os.Stderr)
	}
	var got []string
	for _, d := range read.Deprecated {
		place, _, _ := strings.Cut(d, " is deprecated")
		got = append(got, place)
	}
	want := []string{"overlay/kustomization.yaml:3: 'bases'", "overlay/kustomization.yaml:4: 'imageTags'", "overlay/kustomization.yaml:12: 'patchesJson6902'", "overlay/kustomization.yaml:6: 'patchesStrategicMerge'"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if text, err := os.ReadFile(stderr.Name()); err != nil || len(text) > 0 {
		t.Errorf("printed %q, %v", text, err)
	}
}
