// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"

	"github.com/outlast-ci/outlast/core/render/internal/tree/parts"
	"github.com/outlast-ci/outlast/core/render/internal/tree/source"
)

// kustomizeMu makes renders take turns: kustomize keeps a process-global
// OpenAPI schema, and a custom one of a kustomization would leak into the next
// render (https://github.com/fluxcd/pkg/issues/1237).
var kustomizeMu sync.Mutex

// kustomize renders the kustomization in a folder of the root.
func kustomize(ctx context.Context, root *source.Root, dir string, sizes parts.Sizes, opt Options) (*Tree, error) {
	src, err := root.Walk(dir)
	if err != nil {
		return nil, err
	}
	kustomizeMu.Lock()
	defer kustomizeMu.Unlock()
	defer silence(opt.Stderr)()
	openapi.ResetOpenAPI()
	defer openapi.ResetOpenAPI()
	t := &Tree{Kustomization: src.Top.File.Path, Deprecated: src.Deprecated}
	var objects []printed
	runs := 0
	if opt.Instead == nil { // parts are made of what the files say
		objects, runs = inParts(ctx, src, sizes)
	}
	if objects == nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if objects, err = whole(src, opt.Instead); err != nil {
			return nil, err
		}
		runs = 1
	}
	t.Parts = runs
	for _, p := range objects {
		o, err := p.object()
		if err != nil {
			return nil, err
		}
		t.Objects = append(t.Objects, o)
	}
	for _, f := range src.Files() {
		t.Files = append(t.Files, File{f.Path, f.Text})
	}
	return t, nil
}

// silence makes a file lead nowhere until the function that it gives is called.
func silence(file **os.File) (restore func()) {
	if file == nil {
		return func() {}
	}
	nowhere, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return func() {} // rather too many warnings than none
	}
	before := *file
	*file = nowhere
	return func() {
		*file = before
		nowhere.Close()
	}
}

// whole renders with one run of kustomize.
func whole(src *source.Source, instead map[string][]byte) ([]printed, error) {
	objects, err := build(src, instead)
	if src.Refused != nil { // kustomize words it as a missing file or worse
		return nil, src.Refused
	}
	if err != nil {
		return nil, errors.New(redact(err.Error(), src))
	}
	return objects, nil
}

// build is one run of kustomize as its command line does it: no plugins, no
// charts, files only. Texts are read instead of files. A panic of kustomize
// becomes an error.
func build(src *source.Source, texts map[string][]byte) (objects []printed, err error) {
	defer func() {
		if r := recover(); r != nil {
			objects, err = nil, fmt.Errorf("kustomize panicked: %v", r)
		}
	}()
	opt := &krusty.Options{
		Reorder:          krusty.ReorderOptionUnspecified,
		LoadRestrictions: types.LoadRestrictionsRootOnly,
		PluginConfig:     types.DisabledPluginConfig(),
	}
	m, err := krusty.MakeKustomizer(opt).Run(newView(src, texts), filepath.FromSlash(filepath.Join(mount, src.Top.Path)))
	if err != nil {
		return nil, err
	}
	for _, res := range m.Resources() {
		p, err := newPrinted(res)
		if err != nil {
			return nil, err
		}
		objects = append(objects, p)
	}
	return objects, nil
}
