// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v3"
)

// FuzzSet edits any text: either an error, or a text in which the field has the
// value and no other document has changed, by the decoder's word.
func FuzzSet(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var c edit
		if err := yaml.Unmarshal(a.Comment, &c); err != nil {
			f.Fatal(err)
		}
		to, err := yaml.Marshal(c.To)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(c.bytes(a.Files[0].Data), c.Set+c.Delete, string(to), uint8(c.Document), uint8(c.Item), c.Delete != "")
	}
	f.Fuzz(func(t *testing.T, text []byte, where, to string, document, item uint8, del bool) {
		p, err := ParsePath(where)
		var value yaml.Node
		if err != nil || yaml.Unmarshal([]byte(to), &value) != nil {
			return
		}
		doc := Document{Index: int(document), Item: int(item)}
		kept := bytes.Clone(text)
		var after []byte
		if del {
			after, err = Delete(text, doc, p)
		} else {
			after, err = Set(text, doc, p, &value)
		}
		if !bytes.Equal(kept, text) {
			t.Fatal("the text was written to")
		}
		if err != nil {
			return
		}
		if bytes.Equal(after, text) && !del {
			return
		}
		before, others := decoded(t, text, doc), decoded(t, after, doc)
		if !reflect.DeepEqual(before, others) {
			t.Fatalf("another document changed:\n%q\n%q", text, after)
		}
		e, err := open(after, doc)
		if err != nil {
			t.Fatalf("the text is no longer to be edited: %v\n%q", err, after)
		}
		n := e.find(p)
		if x, y := rest(text, doc, p), rest(after, doc, p); x != nil && y != nil && !strings.Contains(where, "[") && !reflect.DeepEqual(x, y) {
			t.Fatalf("another field than %s changed:\n%q\n%q", p, text, after)
		}
		switch {
		case strings.Contains(where, "["): // may lead elsewhere now
		case del && n != nil:
			t.Fatalf("%s is still there:\n%q", p, after)
		case !del && (n == nil || !same(n, &value) && !isNaN(&value)):
			t.Fatalf("%s does not read as %q:\n%q", p, to, after)
		}
	})
}

// rest is the document that was edited, its aliases written out, without the
// field and the parents that have nothing else.
func rest(text []byte, doc Document, p Path) any {
	docs, err := parse(text)
	if err != nil {
		return nil
	}
	var v any
	if docs[doc.Index].Decode(&v) != nil || !wordKeys(docs[doc.Index]) {
		return nil
	}
	if doc.Item > 0 {
		p = append(Path{{"items", false}, {"", true}}, p...)
	}
	return without(v, p, doc.Item-1)
}

// wordKeys: no key is a number or the like, which the decoder spells its own way.
func wordKeys(n *yaml.Node) bool {
	for i, c := range n.Content {
		if !wordKeys(c) || n.Kind == yaml.MappingNode && i%2 == 0 && c.ShortTag() != "!!str" && c.ShortTag() != "!!merge" {
			return false
		}
	}
	return true
}

func without(v any, p Path, item int) any {
	switch v := v.(type) {
	case []any:
		if p[0].Bracket && item >= 0 && item < len(v) {
			v[item] = without(v[item], p[1:], -1)
		}
		return v
	case map[string]any:
		inner, ok := v[p[0].Key]
		if ok && len(p) > 1 {
			inner = without(inner, p[1:], item)
		}
		if ok && (len(p) == 1 || inner == nil) {
			delete(v, p[0].Key)
		} else if ok {
			v[p[0].Key] = inner
		}
		if len(v) == 0 {
			return nil
		}
	}
	return v
}

// isNaN: a value that has one is not equal to itself.
func isNaN(n *yaml.Node) bool { return !same(n, n) }

// decoded reads all documents but one.
func decoded(t *testing.T, text []byte, doc Document) (all []string) {
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var n yaml.Node
		if err := dec.Decode(&n); err != nil && err.Error() == "EOF" {
			break
		} else if err != nil {
			t.Fatalf("decoding: %v\n%q", err, text)
		}
		out, err := yaml.Marshal(&n)
		if err != nil {
			out = []byte(err.Error())
		}
		all = append(all, string(out))
	}
	return append(all[:doc.Index], all[doc.Index+1:]...)
}

// FuzzParsePath: what reads as a path prints as one that reads as the same.
func FuzzParsePath(f *testing.F) {
	for _, text := range []string{"a.b", "a[b.c/d][0]", `a["\"]\x00"].b`, "a[b=c]", "[a]", "a[", "a.", "a[b]c"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePath(text)
		if err != nil {
			return
		}
		if again, err := ParsePath(p.String()); err != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("%q reads as %v, which prints as %s: %v, %v", text, p, p, again, err)
		}
	})
}
