// SPDX-License-Identifier: Apache-2.0

package origin

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/outlast-ci/outlast/core/render/internal/source"
)

func TestField(t *testing.T) {
	object := func(kind, namespace, name, rest string) string {
		return fmt.Sprintf("kind: %s\nmetadata:\n  name: %s\n  namespace: %q\n%s---\n", kind, name, namespace, rest)
	}
	replicas, grace := "spec:\n  replicas: 1\n", "spec:\n  grace: 2\n"
	whole := "spec:\n  selector: {app: web, tier: front}\n  replicas: 1\n"
	for name, tc := range map[string]struct {
		files []string
		want  string // of spec.grace of Deployment shop/dev-web-7f
	}{
		"nothing":                                 {[]string{object("Service", "", "web", grace), object("Deployment", "", "api", grace), "kind: Deployment\nmetadata: {}\n"}, "none"},
		"a name with a prefix and a suffix":       {[]string{object("Deployment", "", "web", grace)}, "0:6 true"},
		"the longest name":                        {[]string{object("Deployment", "", "we", grace), object("Deployment", "", "web", replicas), object("Deployment", "", "eb", grace)}, "1:5 false"},
		"two that are as long, the last of them":  {[]string{object("Deployment", "", "eb-7", grace), object("Deployment", "", "v-we", grace)}, "1:6 true"},
		"the order of the files, not of the name": {[]string{object("Deployment", "", "v-we", grace), object("Deployment", "", "eb-7", grace)}, "1:6 true"},
		"an exact name":                           {[]string{object("Deployment", "", "dev-web-7f", replicas), object("Deployment", "", "dev-web-7", grace)}, "0:5 false"},
		"a later document":                        {[]string{object("Service", "", "web", "") + object("Deployment", "", "web", grace)}, "0:11 true"},
		"the last patch with the field":           {[]string{object("Deployment", "", "web", grace), object("Deployment", "", "web", grace), object("Deployment", "", "web", replicas)}, "1:6 true"},
		"the base, where no patch has the field":  {[]string{object("Deployment", "", "web", replicas), object("Deployment", "", "web", whole), object("Deployment", "", "web", replicas)}, "1:5 false"},
		"the same namespace":                      {[]string{object("Deployment", "shop", "web", replicas), object("Deployment", "other", "web", grace)}, "0:5 false"},
		"a patch without a namespace":             {[]string{object("Deployment", "shop", "web", replicas), object("Deployment", "", "web", grace)}, "1:6 true"},
		"another namespace, which was overridden": {[]string{object("Deployment", "default", "web", grace)}, "0:6 true"},
		"a file that does not parse":              {[]string{"a: [", object("Deployment", "", "web", grace)}, "1:6 true"},
	} {
		t.Run(name, func(t *testing.T) {
			var files []File
			for i, text := range tc.files {
				files = append(files, File{fmt.Sprint(i), []byte(text)})
			}
			got := "none"
			if p, ok := New(files, "").Field("Deployment", "shop", "dev-web-7f", source.Path{{Key: "spec"}, {Key: "grace"}}); ok {
				got = fmt.Sprintf("%s:%d %v", p.File, p.Line, p.Exact)
				text := files[p.File[0]-'0'].Text
				if out, err := source.Set(text, p.Document, source.Path{{Key: "spec"}, {Key: "new"}}, 1); err != nil || bytes.Equal(out, text) {
					t.Errorf("the document is not to be edited: %v", err)
				}
			}
			if got != tc.want {
				t.Errorf("found %s, want %s", got, tc.want)
			}
		})
	}
}
