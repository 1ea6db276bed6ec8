// SPDX-License-Identifier: Apache-2.0

// Package tree turns a folder of YAML into objects: kustomize runs in this
// process over a file system that reads inside one root only and checks every
// file before kustomize gets a byte of it.
package tree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// kustomizeMu makes builds take turns: kustomize keeps a process-global
// OpenAPI schema, and a custom one of a kustomization would leak into the next
// build (https://github.com/fluxcd/pkg/issues/1237).
var kustomizeMu sync.Mutex

// Load runs kustomize over path: a kustomization directory, one YAML file, or a
// directory of YAML files. Plain YAML is given to it as the resources of
// a kustomization made up for it, so that there is one way through.
func Load(path, root string) (resmap.ResMap, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return nil, fmt.Errorf("finding it: %w", err)
	}
	if root == "" {
		root = defaultRoot(abs)
	}
	jail, err := newJail(root)
	if err != nil {
		return nil, err
	}
	dir, err := jail.entry(abs)
	if err != nil {
		return nil, err
	}
	objects, err := build(jail, dir)
	if jail.refused != nil { // kustomize words it as a missing file or worse
		return nil, jail.refused
	}
	if err != nil {
		return nil, errors.New(plain(err, root))
	}
	return objects, nil
}

// build is one run of kustomize: no plugins, no helm, files only. A panic of
// kustomize becomes an error.
func build(jail *jail, dir string) (objects resmap.ResMap, err error) {
	kustomizeMu.Lock()
	defer kustomizeMu.Unlock()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("kustomize panicked: %v", r)
		}
	}()
	openapi.ResetOpenAPI()
	defer openapi.ResetOpenAPI()
	opt := krusty.MakeDefaultOptions()
	opt.LoadRestrictions = types.LoadRestrictionsRootOnly
	opt.PluginConfig = types.DisabledPluginConfig()
	return krusty.MakeKustomizer(opt).Run(jail, dir)
}

// plain takes the machine's folders out of kustomize's words.
func plain(err error, root string) string {
	text := strings.ReplaceAll(err.Error(), root+string(filepath.Separator), "")
	return strings.Join(strings.Fields(text), " ")
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

// kustomizationIn gives the path of a directory's kustomization file, or "".
func kustomizationIn(dir string) string {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return path
		}
	}
	return ""
}
