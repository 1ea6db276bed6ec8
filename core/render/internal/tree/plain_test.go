// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/source"
)

const helm = `# helm template
---
# Source: shop/templates/serviceaccount.yaml
apiVersion: v1
kind: ServiceAccount   # who it is
metadata:
    name: shop
---
# Source: shop/templates/empty.yaml
---
# Source: shop/templates/service.yaml

apiVersion: v1
kind: Service
metadata: { name: shop, labels: {"a":   'b'} }
spec:
  ports:
    - port: 80
      targetPort: 0x50

  selector:
    app: shop
--- # a comment
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: text
data:
  a: |+
    one

---
`

// TestPlainSame: what nobody changed is printed byte for byte.
func TestPlainSame(t *testing.T) {
	for name, text := range map[string]string{
		"what helm prints":             helm,
		"with breaks of Windows":       strings.ReplaceAll(helm, "\n", "\r\n"),
		"without a break at the end":   strings.TrimRight(helm, "\n-") + "\n---",
		"a document mark at the start": "---\n" + helm,
		"a byte order mark":            "\ufeff" + helm,
		"anchors":                      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: &a a}\ndata: {x: *a}\n",
		"a document's end":             "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n...\n",
		"nothing":                      "",
		"a comment":                    "# nothing\n",
	} {
		t.Run(name, func(t *testing.T) {
			read, err := Load(context.Background(), Options{Path: Stdin, Stream: []byte(text)})
			if err != nil {
				t.Fatal(err)
			}
			got, err := read.YAML()
			if diff := cmp.Diff(text, string(got)); diff != "" || err != nil {
				t.Errorf("%s%v", diff, err)
			}
		})
	}
}

// TestPlainChanged: only the document that somebody changed is written anew,
// with its comments.
func TestPlainChanged(t *testing.T) {
	for name, tc := range map[string]struct{ text, replace, by string }{
		"what helm prints": {helm, `# Source: shop/templates/service.yaml

apiVersion: v1
kind: Service
metadata: { name: shop, labels: {"a":   'b'} }
spec:
  ports:
    - port: 80
      targetPort: 0x50

  selector:
    app: shop
`, `# Source: shop/templates/service.yaml

apiVersion: v1
kind: Service
metadata: {name: shop, labels: {"a": 'b'}, annotations: {x: 'z'}}
spec:
  ports:
    - port: 80
      targetPort: 0x50
  selector:
    app: shop
`},
		"with breaks of Windows": {"apiVersion: v1\r\nkind: Service\r\nmetadata:\r\n  name:   a\r\n---\r\n", "  name:   a\r\n", "  name: a\r\n  annotations:\r\n    x: 'z'\r\n"},
		"the first of a file":    {"---\napiVersion: v1\nkind: Service\nmetadata:\n  name: a\n---\n# end", "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: a\n", "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  annotations:\n    x: 'z'\n"},
		"an anchor":              {"apiVersion: v1\nkind: Service\nmetadata: {name: &a a, labels: {a: *a}}\n", "{name: &a a, labels: {a: *a}}", "{name: a, labels: {a: a}, annotations: {x: 'z'}}"},
	} {
		t.Run(name, func(t *testing.T) {
			read, err := Load(context.Background(), Options{Path: Stdin, Stream: []byte(tc.text)})
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range read.Objects {
				if o.GetKind() == "Service" {
					if err := o.PipeE(yaml.SetAnnotation("x", "z")); err != nil {
						t.Fatal(err)
					}
				}
			}
			got, err := read.YAML()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Replace(tc.text, tc.replace, tc.by, 1), string(got)); diff != "" || !strings.Contains(tc.text, tc.replace) {
				t.Error(diff)
			}
		})
	}
}

// TestPlainDirectory: files in the order of their names, lists as their items,
// and lines that are those of the files.
func TestPlainDirectory(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		"b.yaml":     "---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: s}\n- apiVersion: v1\n  kind: RoleList\n  items:\n  # why\n  - apiVersion: rbac.authorization.k8s.io/v1\n    kind: Role\n    metadata: {name: r}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: t}",
		"a.yml":      "apiVersion: v1\nkind: Secret\nmetadata: {name: u}",
		"c.yaml":     "apiVersion: v1\nkind: ConfigMapList\nitems: []\n",
		"note.md":    "no YAML",
		"sub/d.yaml": "not: read",
	})
	text, read := load(t, dir, "")
	var got []string
	for _, o := range read.Objects {
		got = append(got, fmt.Sprintf("%s %s:%d document %d item %d", o.GetName(), o.File, o.YNode().Line, o.Document, o.Item))
	}
	want := []string{"u a.yml:1 document 0 item 0", "s b.yaml:5 document 0 item 1", "r b.yaml:12 document 0 item 2", "t b.yaml:16 document 1 item 0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	const printed = `apiVersion: v1
kind: Secret
metadata: {name: u}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
---
# why
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: r}
---
apiVersion: v1
kind: Secret
metadata: {name: t}
`
	if diff := cmp.Diff(printed, text+"\n"); diff != "" {
		t.Error(diff)
	}
	if read.Kustomization != "" || read.Parts != 0 || len(read.Files) != 3 {
		t.Errorf("kustomization %q, %d parts, %d files", read.Kustomization, read.Parts, len(read.Files))
	}
	read.Objects = append(read.Objects[1:2], &Object{RNode: yaml.MustParse("a: b\n")})
	if text, err := read.YAML(); err != nil || string(text) != "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n---\na: b\n" {
		t.Errorf("with one object left and one added: %q, %v", text, err)
	}
}

// TestBystanders: a file beside manifests that is none of them is left out, unless it
// holds an object.
func TestBystanders(t *testing.T) {
	const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
	other := strings.Replace(secret, "name: s", "name: t", 1)
	for name, tc := range map[string]struct {
		file, text string
		objects    int
	}{
		"our own settings":              {"outlast.yaml", "app: web\n", 1},
		"our own settings, a comment":   {"outlast.yaml", "# nothing said\napp: web\ndrain: {mode: fast}\n", 1},
		"an object in outlast.yaml":     {"outlast.yaml", other, 2},
		"JSON that is no object":        {"package.json", `{"name": "web", "version": "1"}`, 1},
		"JSON with comments":            {"tsconfig.json", "// of the compiler\n{\"strict\": true, /* also */ \"lib\": []}\n", 1},
		"JSON of several values":        {"rows.json", "{\"a\": 1}\n{\"a\": 2}\n", 1},
		"JSON of one value":             {"version.json", "3\n", 1},
		"JSON with escapes of its own":  {"words.json", `{"a": "b\/c", "d": "\ud83d\ude00"}`, 1},
		"JSON that is a list":           {"words.json", `["a", "b"]`, 1},
		"an object in JSON":             {"t.json", "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Secret\",\n\t\"metadata\": {\"name\": \"t\"}\n}\n", 2},
		"a file that kubectl reads not": {"t.txt", other, 1},
	} {
		t.Run(name, func(t *testing.T) {
			_, read := load(t, writeFiles(t, map[string]string{"a.yaml": secret, tc.file: tc.text}), "")
			if len(read.Objects) != tc.objects {
				t.Errorf("%d objects, want %d", len(read.Objects), tc.objects)
			}
		})
	}
	dir := writeFiles(t, map[string]string{"outlast.yaml": "app: web\n"})
	if _, err := Load(context.Background(), Options{Path: dir}); err == nil || !strings.Contains(err.Error(), "this is no Kubernetes object") {
		t.Errorf("alone it is read as manifests: %v", err)
	}
	dir = writeFiles(t, map[string]string{"a.yaml": secret, "t.json": `{"apiVersion": `})
	if _, err := Load(context.Background(), Options{Path: dir}); err == nil || !strings.Contains(err.Error(), "t.json:1: ") {
		t.Errorf("broken JSON may be a manifest: %v", err)
	}
}

func TestPlainRefuses(t *testing.T) {
	const cm = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	for name, tc := range map[string]struct {
		files map[string]string
		want  string
	}{
		"an object twice":                  {map[string]string{"a.yaml": cm, "b.yaml": "# x\n---\n" + strings.Replace(cm, "v1", "v1", 1)}, "b.yaml:3: ConfigMap a is there a second time, first at a.yaml:1; leave one"},
		"an object twice, of two versions": {map[string]string{"a.yaml": strings.Replace(cm, "v1", "x/v1", 1) + "---\n" + strings.Replace(cm, "v1", "x/v2", 1)}, "a.yaml:5: ConfigMap a is there a second time, first at a.yaml:1"},
		"a key twice":                      {map[string]string{"a.yaml": cm + "---\n" + cm + "kind: Secret\n"}, `a.yaml:8: the key "kind" is there a second time, first in line 6`},
		"broken YAML":                      {map[string]string{"a.yaml": cm + "---\na: [\n\nb"}, "a.yaml:7: did not find expected ',' or ']'"},
		"YAML that is no object":           {map[string]string{"a.yaml": cm + "---\nreplicas: 3\n"}, "a.yaml:5: this is no Kubernetes object: it lacks apiVersion or kind"},
		"a text":                           {map[string]string{"a.yaml": "hello\n"}, "a.yaml:1: this is no Kubernetes object but a single value or a list"},
		"an object without a name":         {map[string]string{"a.yaml": "apiVersion: v1\nkind: Pod\n"}, "a.yaml:1: this Pod lacks metadata.name"},
		"an item without a name":           {map[string]string{"a.yaml": "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n"}, "a.yaml:4: this Pod lacks metadata.name"},
		"items that are no list":           {map[string]string{"a.yaml": "apiVersion: v1\nkind: List\nitems: {a: b}\n"}, "a.yaml:1: the items of a List are no list"},
		"a document behind the mark":       {map[string]string{"a.yaml": cm + "--- {a: b}\n"}, "a.yaml:4: a line of --- has more behind it; break the line there"},
		"a document that only YAML sees":   {map[string]string{"a.yaml": cm + "...\r--- {a: b}\n"}, "a.yaml:1: another document follows in line 5; put a line of its own with --- between"},
		"a directory without YAML":         {map[string]string{"a.txt": cm}, "the directory holds neither a kustomization.yaml nor any .yaml or .json file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(context.Background(), Options{Path: writeFiles(t, tc.files)})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// TestPlainPlaces: documents are numbered as the package that edits files
// numbers them.
func TestPlainPlaces(t *testing.T) {
	objects := 0
	rapid.Check(t, func(t *rapid.T) {
		n := 0
		var text string
		for _, piece := range rapid.SliceOfN(rapid.SampledFrom([]string{"---\n", "--- # c\n", "# c\n", "\n", "---\nnull\n", "OBJECT", "LIST", "OBJECT"}), 0, 20).Draw(t, "pieces") {
			if piece == "OBJECT" || piece == "LIST" {
				n++
				object := fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a%d}\n", n)
				if piece == "LIST" {
					object = "apiVersion: v1\nkind: List\nitems:\n- " + strings.TrimSpace(strings.ReplaceAll(object, "\n", "\n  ")) + "\n"
				}
				piece = "---\n" + object
			}
			text += piece
		}
		read, err := Load(context.Background(), Options{Path: Stdin, Stream: []byte(text)})
		if err != nil {
			return
		}
		docs, err := source.Documents([]byte(text))
		if err != nil || len(docs) != len(read.Objects) {
			t.Fatalf("%q: %d documents, %d objects, %v", text, len(docs), len(read.Objects), err)
		}
		for i, o := range read.Objects {
			if d := docs[i]; d.Index != o.Document || d.Item != o.Item || d.Line != o.YNode().Line {
				t.Fatalf("%q: %s is item %d of document %d in line %d, not %d of %d in %d", text, d.Name, d.Item, d.Index, d.Line, o.Item, o.Document, o.YNode().Line)
			}
			objects++
		}
	})
	if objects < 100 {
		t.Errorf("only %d objects compared", objects)
	}
}

func TestStream(t *testing.T) {
	if _, err := Load(context.Background(), Options{Path: Stdin, Stream: []byte("a: &a [*a]\n")}); err == nil || !strings.Contains(err.Error(), "line 1: an alias contains itself") {
		t.Errorf("got %v", err)
	}
	one := filepath.Join(writeFiles(t, map[string]string{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", "b.yaml": "x"}), "a.yaml")
	if text, read := load(t, one, ""); len(read.Files) != 1 || !strings.HasPrefix(text, "apiVersion") {
		t.Errorf("one file: %d files, %q", len(read.Files), text)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(context.DeadlineExceeded)
	if _, err := Load(ctx, Options{Path: one}); err != context.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
}

// TestHooksOfHelm: a hook may have the name of an object of the release.
func TestHooksOfHelm(t *testing.T) {
	const sa = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\n"
	hook := strings.Replace(sa, "{name: web}", "{name: web, annotations: {helm.sh/hook: pre-install}}", 1)
	for _, text := range []string{sa + "---\n" + hook, hook + "---\n" + sa} {
		got, err := Load(t.Context(), Options{Path: Stdin, Stream: []byte(text)})
		if err != nil || len(got.Objects) != 2 {
			t.Errorf("%v for\n%s", err, text)
		}
	}
	if _, err := Load(t.Context(), Options{Path: Stdin, Stream: []byte(sa + "---\n" + sa)}); err == nil {
		t.Error("the same object twice is taken")
	}
}

// FuzzPlain: whatever is read is printed as it was, and after a change of one
// object it is read again with all of them.
func FuzzPlain(f *testing.F) {
	f.Add(helm)
	f.Add("apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: &a s, namespace: *a}\n---\n# c\n---\napiVersion: v1\nkind: A\nmetadata: {name: b}")
	f.Fuzz(func(t *testing.T, text string) {
		read, err := Load(context.Background(), Options{Path: Stdin, Stream: []byte(text)})
		if err != nil || len(text) > 1<<16 {
			return
		}
		got, err := read.YAML()
		if err != nil {
			t.Fatal(err)
		}
		lists := false
		for _, d := range read.plain {
			lists = lists || d.list
		}
		if !lists && string(got) != text {
			t.Errorf("%q is printed as %q", text, got)
		}
		if len(read.Objects) == 0 || read.Objects[0].PipeE(yaml.SetAnnotation("x", "z")) != nil {
			return
		}
		if got, err = read.YAML(); err != nil {
			t.Fatal(err)
		}
		again, err := Load(context.Background(), Options{Path: Stdin, Stream: got})
		if err != nil || len(again.Objects) != len(read.Objects) {
			t.Errorf("%q became %q: %v", text, got, err)
		}
	})
}
