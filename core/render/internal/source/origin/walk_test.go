// SPDX-License-Identifier: Apache-2.0

package origin

import (
	"fmt"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/outlast-ci/outlast/core/render/internal/source"
)

// TestWalk: which file a field comes from is for the kustomizations to say, since names
// alone may mean several objects.
func TestWalk(t *testing.T) {
	const team = `-- kustomization.yaml --
resources: [z, a]
-- a/kustomization.yaml --
namespace: a
namePrefix: a-
resources: [web.yaml]
-- a/web.yaml --
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
-- z/kustomization.yaml --
namespace: z
namePrefix: z-
resources: [web.yaml]
-- z/web.yaml --
kind: Deployment
metadata: {name: web}

spec:
  replicas: 2
`
	const over = `-- top/kustomization.yaml --
namePrefix: p-
resources: [../zbase]
components: [../part]
%s
-- part/kustomization.yaml --
kind: Component
patches:
- target: {kind: Deployment, name: web}
  patch: |-
    - op: add
      path: /metadata/annotations/example.com~1key
      value: part
    - op: add
      path: /spec/template/spec/containers/-
      value:
        name: side
        image: s
    - op: replace
      path: /spec/template/spec/containers/0/image
      value: other
-- zbase/kustomization.yaml --
resources: [web.yaml]
-- zbase/web.yaml --
kind: Deployment
metadata:
  name: web
  annotations: {example.com/key: base}
spec:
  replicas: 2
  template: {spec: {containers: [{name: web, image: w}]}}
---
kind: Deployment
metadata: {name: webhook}
spec: {replicas: 3}
-- top/patch.yaml --
kind: Deployment
metadata: {name: web}
spec:
  replicas: 5
-- top/full.yaml --
kind: Deployment
metadata: {name: p-web}
spec: {minReadySeconds: 1}
`
	for name, tc := range map[string]struct {
		files, args, kind, space, name, field, want string
	}{
		"one of two of the same name":      {files: team, kind: "Deployment", space: "a", name: "a-web", field: "spec.replicas", want: "a/web.yaml:4"},
		"the other":                        {files: team, kind: "Deployment", space: "z", name: "z-web", field: "spec.replicas", want: "z/web.yaml:5"},
		"what a kustomization sets itself": {files: team, kind: "Deployment", space: "z", name: "z-web", field: "metadata.namespace", want: "z/kustomization.yaml:1"},
		"a field of a base":                {files: over, kind: "Deployment", name: "p-web", field: "spec.replicas", want: "zbase/web.yaml:6"},
		"an operation of a component":      {files: over, kind: "Deployment", name: "p-web", field: "metadata.annotations[example.com/key]", want: "part/kustomization.yaml:5"},
		"an element that one adds":         {files: over, kind: "Deployment", name: "p-web", field: "spec.template.spec.containers[side].image", want: "part/kustomization.yaml:12"},
		"an element by its place":          {files: over, kind: "Deployment", name: "p-web", field: "spec.template.spec.containers[web].image", want: "zbase/web.yaml:7"},
		"no patch is for it":               {files: over, kind: "Deployment", name: "p-webhook", field: "metadata.annotations[example.com/key]", want: "zbase/web.yaml:10"},
		"a target by labels":               {files: over, args: "patches: [{path: patch.yaml, target: {labelSelector: a=b}}]", kind: "Deployment", name: "p-web", field: "spec.replicas", want: "zbase/web.yaml:6"},
		"a target of another namespace":    {files: over, args: "patches: [{path: patch.yaml, target: {namespace: x}}]", kind: "Deployment", name: "p-web", field: "spec.replicas", want: "zbase/web.yaml:6"},
		"a patch in a file":                {files: over, args: "patches: [{path: patch.yaml}]", kind: "Deployment", name: "p-web", field: "spec.replicas", want: "top/patch.yaml:4"},
		"a strategic merge of old":         {files: over, args: "patchesStrategicMerge: [patch.yaml]", kind: "Deployment", name: "p-web", field: "spec.replicas", want: "top/patch.yaml:4"},
		"a patch by its target":            {files: over, args: "patches: [{path: patch.yaml, target: {name: webh.*}}]", kind: "Deployment", name: "p-webhook", field: "spec.replicas", want: "top/patch.yaml:4"},
		"a target that fits another":       {files: over, args: "patches: [{path: patch.yaml, target: {name: webh.*}}]", kind: "Deployment", name: "p-web", field: "spec.replicas", want: "zbase/web.yaml:6"},
		"a patch does not hide its base":   {files: over, args: "patches: [{path: full.yaml, target: {name: web}}]", kind: "Deployment", name: "p-web", field: "spec.replicas", want: "zbase/web.yaml:6"},
		"a patch on one line":              {files: over, args: "patches: [{patch: 'kind: Deployment\n\n    metadata: {name: web}\n\n    spec: {replicas: 9}'}]", kind: "Deployment", name: "p-web", field: "spec.replicas", want: "top/kustomization.yaml:4"},
		"a number of the kustomization's":  {files: over, args: "replicas: [{name: web, count: 1}]", kind: "Deployment", name: "p-web", field: "spec.replicas", want: "top/kustomization.yaml:4"},
		"a number of another's":            {files: over, args: "replicas: [{name: web, count: 1}]", kind: "Deployment", name: "p-webhook", field: "spec.replicas", want: "zbase/web.yaml:11"},
		"an annotation of all":             {files: over, args: "commonAnnotations: {example.com/key: x}", kind: "Deployment", name: "p-web", field: "metadata.annotations[example.com/key]", want: "top/kustomization.yaml:4"},
		"a name that nothing explains":     {files: over, kind: "Deployment", name: "x-webhook-7f", field: "spec.replicas", want: "zbase/web.yaml:11"},
		"a namespace by another name": {files: "-- kustomization.yaml --\nnamespace: shop\nresources: [n.yaml]\n-- n.yaml --\nkind: Namespace\nmetadata:\n  name: any\n",
			kind: "Namespace", name: "shop", field: "metadata.labels[a]", want: "n.yaml:2"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.files == over {
				tc.files = fmt.Sprintf(over, tc.args)
			}
			var files []File
			for _, f := range txtar.Parse([]byte(tc.files)).Files {
				files = append(files, File{f.Name, f.Data})
			}
			path, err := source.ParsePath(tc.field)
			if err != nil {
				t.Fatal(err)
			}
			got := "none"
			if p, ok := New(files, files[0].Name).Field(tc.kind, tc.space, tc.name, path); ok {
				got = fmt.Sprintf("%s:%d", p.File, p.Line)
			}
			if got != tc.want {
				t.Errorf("%s of %s is at %s, want %s", tc.field, tc.name, got, tc.want)
			}
		})
	}
}
