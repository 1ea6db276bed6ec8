// SPDX-License-Identifier: Apache-2.0

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
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"
)

// kustomizeMu makes builds take turns: kustomize keeps a process-global
// OpenAPI schema, and a custom one of a kustomization would leak into the next
// build (https://github.com/fluxcd/pkg/issues/1237).
var kustomizeMu sync.Mutex

// kustomize runs kustomize over the directory of a kustomization file.
func (j *jail) kustomize(file string) (*Tree, error) {
	objects, err := build(j, filepath.Dir(file))
	if j.refused != nil { // kustomize words it as a missing file or worse
		return nil, j.refused
	}
	if err != nil {
		return nil, errors.New(plain(err, j.root))
	}
	t := &Tree{Kustomization: j.short(file), Parts: 1}
	for _, res := range objects.Resources() {
		t.Objects = append(t.Objects, &Object{RNode: &res.RNode})
	}
	return t, nil
}

// asKustomize writes an object as kustomize does: keys sorted.
func asKustomize(n *kyaml.RNode) ([]byte, error) {
	text, err := n.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(text)
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
	opt.Reorder = krusty.ReorderOptionUnspecified // as the command line has it
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
