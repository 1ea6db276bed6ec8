// SPDX-License-Identifier: Apache-2.0

package overlay

import (
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
)

func TestOperate(t *testing.T) {
	const object = "kind: X\nmetadata: {name: x}\nspec: {list: [{key: a, value: 1}, {key: b, value: 2}, {key: \"y\", value: 3}], field: 1, none: null}\n"
	edit := func(value *yaml.RNode, path ...string) problem.Edit { return problem.Edit{Path: path, Value: value} }
	for name, tc := range map[string]struct {
		edits []problem.Edit
		want  string
	}{
		"a field that is there":       {[]problem.Edit{edit(node.Number(2), "spec", "field")}, "replace /spec/field 2"},
		"one that is not":             {[]problem.Edit{edit(node.Number(2), "spec", "other")}, "add /spec/other 2"},
		"one that is null":            {[]problem.Edit{edit(node.Number(2), "spec", "none")}, "add /spec/none 2"},
		"one to be taken away":        {[]problem.Edit{edit(nil, "spec", "field")}, "remove /spec/field"},
		"a key with a slash":          {[]problem.Edit{edit(node.Text("x"), "metadata", "annotations", "a.b/c~d")}, "add /metadata/annotations {a.b/c~d: x}"},
		"two keys with a slash":       {[]problem.Edit{edit(node.Text("x"), "metadata", "annotations", "a.b/c"), edit(node.Text("z"), "metadata", "annotations", "a/~b")}, "add /metadata/annotations {a.b/c: x}; add /metadata/annotations/a~1~0b z"},
		"two below what is not there": {[]problem.Edit{edit(node.Number(0), "spec", "a", "b", "c"), edit(node.Number(1), "spec", "a", "b", "d")}, "add /spec/a {b: {c: 0}}; add /spec/a/b/d 1"},
		"an element":                  {[]problem.Edit{edit(node.Number(3), "spec", "list", "[key=b]", "value")}, "test /spec/list/1/key b; replace /spec/list/1/value 3"},
		"an element called yes":       {[]problem.Edit{edit(node.Number(3), "spec", "list", "[key=y]", "value")}, `test /spec/list/2/key "y"; replace /spec/list/2/value 3`},
		"two fields of an element":    {[]problem.Edit{edit(node.Number(3), "spec", "list", "[key=b]", "value"), edit(node.Number(4), "spec", "list", "[key=b]", "more", "yet")}, "test /spec/list/1/key b; replace /spec/list/1/value 3; add /spec/list/1/more {yet: 4}"},
		"an element that is not":      {[]problem.Edit{edit(node.Number(3), "spec", "list", "[key=c]", "value")}, "add /spec/list/- {key: c, value: 3}"},
		"a list that is not":          {[]problem.Edit{edit(node.Number(3), "spec", "new", "[key=c]", "value")}, "add /spec/new [{key: c, value: 3}]"},
		"an index":                    {[]problem.Edit{edit(node.Number(3), "spec", "list", "0", "value")}, "replace /spec/list/0/value 3"},
		"one field twice":             {[]problem.Edit{edit(node.Number(2), "spec", "field"), edit(node.Number(3), "spec", "field")}, "replace /spec/field 3"},
		"taken away and set again":    {[]problem.Edit{edit(nil, "spec", "field"), edit(node.Number(3), "spec", "field")}, "remove /spec/field; add /spec/field 3"},
	} {
		t.Run(name, func(t *testing.T) {
			n := yaml.MustParse(object)
			var edits []problem.Problem
			for _, e := range tc.edits {
				e.Object = n
				edits = append(edits, problem.Problem{On: n, Edit: &e})
			}
			patch, err := operate(nil, n, edits)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range patch.Content() {
				op := yaml.NewRNode(e)
				line := node.Str(op, "op") + " " + node.Str(op, "path")
				if v := node.At(op, "value"); v != nil {
					if v.YNode().Kind != yaml.ScalarNode {
						v.YNode().Style = yaml.FlowStyle
					}
					line += " " + strings.TrimSpace(v.MustString())
				}
				got = append(got, line)
			}
			if strings.Join(got, "; ") != tc.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, "; "), tc.want)
			}
			if n.MustString() != yaml.MustParse(object).MustString() {
				t.Error("the object has changed")
			}
		})
	}
}
