// SPDX-License-Identifier: Apache-2.0

// Package house holds the rules of the house as tests: which package may
// import what, that nothing below cmd touches the process, and how large
// things may grow. A rule is a pure function from parsed sources to
// complaints; each is shown by a test to complain about code that breaks it.
//
// The sources are read in this process, because the test cache does not see
// the files that a `go list` child reads (golang/go#30313).
package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// modulePath is the product's module.
const modulePath = "github.com/outlast-ci/outlast"

// source is one parsed Go file.
type source struct {
	Path    string // slash-separated, relative to the module root
	Package string // import path
	Test    bool
	Fset    *token.FileSet
	File    *ast.File
	Lines   int
}

// load parses every Go file below dirs of the module at root.
func load(root fs.FS, dirs ...string) ([]source, error) {
	var all []source
	for _, dir := range dirs {
		err := fs.WalkDir(root, dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() {
				if name := d.Name(); name == "testdata" || (strings.HasPrefix(name, ".") && name != ".") {
					return fs.SkipDir
				}
				return nil
			}
			if !strings.HasSuffix(p, ".go") {
				return nil
			}
			text, err := fs.ReadFile(root, p)
			if err != nil {
				return err
			}
			s, err := parse(p, text)
			if err != nil {
				return err
			}
			all = append(all, s)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func parse(p string, text []byte) (source, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, p, text, parser.ParseComments)
	if err != nil {
		return source{}, err
	}
	return source{
		Path:    p,
		Package: path.Join(modulePath, path.Dir(p)),
		Test:    strings.HasSuffix(p, "_test.go"),
		Fset:    fset,
		File:    file,
		Lines:   strings.Count(string(text), "\n"),
	}, nil
}

// imports lists the import paths of a file.
func (s source) imports() []string {
	var paths []string
	for _, spec := range s.File.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// at says where a node stands, as file:line.
func (s source) at(n ast.Node) string {
	return s.Path + ":" + strconv.Itoa(s.Fset.Position(n.Pos()).Line)
}

// within tells whether an import path is pkg or below it.
func within(importPath, pkg string) bool {
	return importPath == pkg || strings.HasPrefix(importPath, pkg+"/")
}

// inCore gives a package's path below core, and whether it is there at all.
func (s source) inCore() (string, bool) {
	return strings.CutPrefix(s.Package+"/", modulePath+"/core/")
}
