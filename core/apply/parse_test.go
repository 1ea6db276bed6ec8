// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/outlast-ci/outlast/core/apply/internal/objects"
)

func TestParse(t *testing.T) {
	const named = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"
	a, b := fmt.Sprintf(named, "a"), fmt.Sprintf(named, "b")
	for name, tc := range map[string]struct {
		text string
		want []string // ids
		err  string
	}{
		"one document":  {a, []string{"ConfigMap/a"}, ""},
		"two documents": {a + "---\n" + b, []string{"ConfigMap/a", "ConfigMap/b"}, ""},
		"empty documents and comments in between": {"---\n# nothing\n---\n" + a + "---\n---\n# nothing\n---\n" + b + "---\n", []string{"ConfigMap/a", "ConfigMap/b"}, ""},
		"a document that is null":                 {a + "---\nnull\n---\n" + b, []string{"ConfigMap/a", "ConfigMap/b"}, ""},
		"a comment behind the separator":          {a + "--- # from the chart\n" + b, []string{"ConfigMap/a", "ConfigMap/b"}, ""},
		"line ends of Windows":                    {strings.ReplaceAll(a+"---\n"+b, "\n", "\r\n"), []string{"ConfigMap/a", "ConfigMap/b"}, ""},
		"JSON":                                    {`{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}`, []string{"ConfigMap/a"}, ""},
		"JSON and YAML in one stream":             {`{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}` + "\n---\n" + b, []string{"ConfigMap/a", "ConfigMap/b"}, ""},
		"a separator inside a value":              {a + "data:\n  k: |\n    x\n    ---\n    y\n", []string{"ConfigMap/a"}, ""},
		"a large object":                          {a + "data: {k: " + strings.Repeat("x", 1<<20) + "}\n---\n" + b, []string{"ConfigMap/a", "ConfigMap/b"}, ""},
		"a name with its namespace":               {strings.Replace(a, "name: a", "name: a, namespace: ns", 1), []string{"ConfigMap/ns/a"}, ""},
		"one name in two namespaces":              {a + "---\n" + strings.Replace(a, "name: a", "name: a, namespace: ns", 1), []string{"ConfigMap/a", "ConfigMap/ns/a"}, ""},
		"one name of two kinds":                   {a + "---\n" + strings.Replace(a, "ConfigMap", "Secret", 1), []string{"ConfigMap/a", "Secret/a"}, ""},
		"nothing at all":                          {"", nil, "reading the manifests: there is no object in them"},
		"only comments":                           {"# nothing\n---\n# nothing\n", nil, "reading the manifests: there is no object in them"},
		"an object twice":                         {a + "---\n" + b + "---\n" + a, nil, "reading object 3 of the manifests: ConfigMap/a comes twice"},
		"no name":                                 {"apiVersion: v1\nkind: ConfigMap\n", nil, "reading object 1 of the manifests: it has no apiVersion, kind or metadata.name"},
		"a name to be generated":                  {a + "---\napiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}\n", nil, "reading object 2 of the manifests: it has no apiVersion, kind or metadata.name (generateName cannot be applied)"},
		"no kind":                                 {"apiVersion: v1\nmetadata: {name: a}\n", nil, "it has no apiVersion, kind or metadata.name"},
		"no apiVersion":                           {"kind: ConfigMap\nmetadata: {name: a}\n", nil, "it has no apiVersion, kind or metadata.name"},
		"a name that is a number":                 {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 7}\n", nil, "it has no apiVersion, kind or metadata.name"},
		"metadata that is a text":                 {"apiVersion: v1\nkind: ConfigMap\nmetadata: a\n", nil, "it has no apiVersion, kind or metadata.name"},
		"a List, which render takes apart":        {"apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(a, "\n", "\n  "), nil, "it has no apiVersion, kind or metadata.name"},
		"a document that is a list":               {"- " + strings.ReplaceAll(a, "\n", "\n  "), nil, "reading object 1 of the manifests: "},
		"a document that is a text":               {a + "---\nhunter22\n", nil, "reading object 2 of the manifests: "},
		"not YAML":                                {a + "---\na: [\n", nil, "reading object 2 of the manifests: "},
		"a tab where YAML wants spaces":           {"apiVersion: v1\nkind: ConfigMap\nmetadata:\n\tname: a\n", nil, "reading object 1 of the manifests: "},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := objects.Parse([]byte(tc.text))
			if (err == nil) != (tc.err == "") || !strings.Contains(fmt.Sprint(err), tc.err) {
				t.Fatalf("got %v, want %q", err, tc.err)
			}
			if err != nil && (all != nil || strings.Contains(err.Error(), "hunter22")) {
				t.Errorf("got %v with %v", err, all)
			}
			var got []string
			for _, obj := range all {
				got = append(got, objects.ID(obj))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
			if err != nil { // the mistakes that Check and Apply meet first of all
				s := newServer(t, "")
				checked := Check(t.Context(), s, []byte(tc.text), Options{})
				rollout, applied := Apply(t.Context(), s, []byte(tc.text), Options{})
				if fmt.Sprint(checked) != err.Error() || fmt.Sprint(applied) != err.Error() || len(rollout.Changes)+len(s.dry)+len(s.writes) > 0 {
					t.Errorf("check says %v and apply %v", checked, applied)
				}
			}
		})
	}
}

// TestWholeNumbersStay: a float cannot hold this one, and the API server would
// store another.
func TestWholeNumbersStay(t *testing.T) {
	all, err := objects.Parse([]byte("apiVersion: v1\nkind: Widget\nmetadata: {name: a}\nspec: {limit: 9007199254740993, share: 0.5}\n"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := all[0].MarshalJSON()
	if err != nil || !strings.Contains(string(text), `{"limit":9007199254740993,"share":0.5}`) {
		t.Errorf("got %s, %v", text, err)
	}
}

// FuzzParse: whatever the text, parse ends without a panic in an error or in
// objects that have names, each once.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{web, pods, web + "---" + web, "---\n---\n", "{}", `{"a": 1}{"b": 2}`, "- a", "a: &a [*a]", "\t", "kind: 1", "---\r\n# x", "--- |\n x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := objects.Parse(text)
		if (err == nil) != (len(all) > 0) {
			t.Fatalf("%d objects with %v", len(all), err)
		}
		seen := map[string]bool{}
		for _, obj := range all {
			key := obj.GetAPIVersion() + " " + objects.ID(obj)
			if obj.GetName() == "" || obj.GetKind() == "" || seen[key] {
				t.Errorf("%q comes twice, or has no name or kind", key)
			}
			seen[key] = true
			if _, err := obj.MarshalJSON(); err != nil {
				t.Errorf("%s cannot be sent: %v", key, err)
			}
			if p := objects.PhaseOf(obj); p < 0 || p >= len(Phases()) {
				t.Errorf("%s is of phase %d, which is never begun", key, p)
			}
			objects.Same(obj, obj)
		}
	})
}
