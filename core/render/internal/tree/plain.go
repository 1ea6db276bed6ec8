// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"bytes"
	"fmt"
	"path"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/tree/limit"
)

// document is a piece of a file: a `---` line and what follows it.
type document struct {
	limit.Chunk
	file    string
	index   int // of the document in the file, from 0; empty ones count
	objects []*Object
	list    bool // the objects are those of a List
}

// place is where an object stands.
type place struct {
	file string
	line int
}

// String leaves out the name of standard input: the caller says it.
func (p place) String() string {
	if p.file == Stdin {
		return fmt.Sprintf("line %d", p.line)
	}
	return fmt.Sprintf("%s:%d", p.file, p.line)
}

// parse reads plain YAML.
func (t *Tree) parse(files []File) error {
	t.Files = files
	seen := map[string]place{}
	for _, f := range files {
		if len(files) > 1 && bystander(f) {
			continue
		}
		index := 0
		for _, chunk := range limit.Split(f.Text) {
			d := document{Chunk: chunk, file: f.Path, index: index}
			if err := d.parse(); err != nil {
				return err
			}
			index = d.index + 1
			for _, o := range d.objects {
				at := place{f.Path, o.YNode().Line}
				group, _ := resid.ParseGroupVersion(o.GetApiVersion())
				id := strings.Join([]string{group, o.GetKind(), o.GetNamespace(), o.GetName()}, "\x00")
				if o.GetAnnotations()["helm.sh/hook"] != "" { // runs and goes; the release may hold one of its name
					continue
				}
				if first, ok := seen[id]; ok {
					return fmt.Errorf("%s: %s %s is there a second time, first at %s; leave one", at, o.GetKind(), o.GetName(), first)
				}
				seen[id] = at
			}
			t.Objects = append(t.Objects, d.objects...)
			t.plain = append(t.plain, d)
		}
	}
	return nil
}

// bystander tells whether a file of a folder is none of the manifests: Outlast's own
// settings, or JSON that is no object, such as a package.json.
func bystander(f File) bool {
	json := path.Ext(f.Path) == ".json"
	if path.Base(f.Path) != "outlast.yaml" && !json {
		return false
	}
	if json && !bytes.Contains(f.Text, []byte(`"apiVersion"`)) && !bytes.Contains(f.Text, []byte(`"kind"`)) {
		return true // nor need it be JSON that a reader of YAML takes: some has comments, or a value a line
	}
	docs, err := limit.Decode(f.Text)
	if err != nil || len(docs) != 1 {
		return false
	}
	n := yaml.NewRNode(docs[0])
	return json && n.YNode().Kind == yaml.SequenceNode ||
		n.YNode().Kind == yaml.MappingNode && n.GetApiVersion() == "" && n.GetKind() == ""
}

// parse reads the objects of a document; one that is empty or a comment has
// none.
func (d *document) parse() error {
	if rest := bytes.TrimSpace(bytes.TrimPrefix(d.Separator, []byte("---"))); len(rest) > 0 && rest[0] != '#' {
		return fmt.Errorf("%s: a line of --- has more behind it; break the line there", place{d.file, d.Line - 1}) // which may be a Secret
	}
	docs, err := limit.Decode(d.Text)
	if err != nil {
		return d.malformed(err)
	}
	switch marked := bytes.HasPrefix(d.Text, []byte("---")); {
	case len(docs) > 1 && !yaml.IsYNodeEmptyDoc(docs[1]): // by a line break that only YAML knows
		return fmt.Errorf("%s: another document follows in line %d; put a line of its own with --- between", place{d.file, d.Line}, d.Line-1+docs[1].Line)
	case d.Separator == nil && len(docs) == 0 && !marked:
		d.index-- // a comment before the first document
	case d.Separator != nil && marked:
		d.index++ // between two lines of --- there is one, too
	}
	if len(docs) == 0 || yaml.IsYNodeEmptyDoc(docs[0]) {
		return nil
	}
	doc := docs[0]
	shift(doc, d.Line-1)
	if err := d.repeated(doc); err != nil {
		return err
	}
	n := yaml.NewRNode(doc)
	if err := n.DeAnchor(); err != nil {
		return fmt.Errorf("%s: %w", place{d.file, n.YNode().Line}, err)
	}
	return d.add(n, 0)
}

// add takes an object, or those of a list; item: it is the one at that place of
// the outermost list.
func (d *document) add(n *yaml.RNode, item int) error {
	at := place{d.file, n.YNode().Line}
	if n.YNode().Kind != yaml.MappingNode {
		return fmt.Errorf("%s: this is no Kubernetes object but a single value or a list", at)
	}
	if err := Shaped(n.YNode()); err != nil {
		return fmt.Errorf("%s: this is no Kubernetes object: %w", at, err)
	}
	kind := n.GetKind()
	switch items := n.Field("items"); {
	case n.GetApiVersion() == "" || kind == "":
		return fmt.Errorf("%s: this is no Kubernetes object: it lacks apiVersion or kind", at)
	case strings.HasSuffix(kind, "List") && items != nil:
		d.list = true
		if yaml.IsMissingOrNull(items.Value) {
			return nil
		}
		if items.Value.YNode().Kind != yaml.SequenceNode {
			return fmt.Errorf("%s: the items of a %s are no list", at, kind)
		}
		for i, n := range items.Value.Content() {
			at := item
			if at == 0 {
				at = i + 1
			}
			if err := d.add(yaml.NewRNode(n), at); err != nil {
				return err
			}
		}
		return nil
	case n.GetName() == "":
		return fmt.Errorf("%s: this %s lacks metadata.name", at, kind)
	}
	d.objects = append(d.objects, &Object{RNode: n, File: d.file, Document: d.index, Item: item, print: fingerprint(n.Document())})
	return nil
}

// malformed puts the line in the file into the parser's words.
func (d *document) malformed(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if _, scanErr := fmt.Sscanf(text, "line %d:", &line); scanErr == nil {
		_, text, _ = strings.Cut(text, ": ")
	}
	return fmt.Errorf("%s: %s", place{d.file, d.Line - 1 + line}, text)
}

// repeated refuses a key that is there twice: which one counts depends on who
// reads it.
func (d *document) repeated(n *yaml.Node) error {
	if n.Kind == yaml.MappingNode {
		seen := make(map[string]int, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if first, ok := seen[key.Value]; ok && key.Kind == yaml.ScalarNode {
				return fmt.Errorf("%s: the key %q is there a second time, first in line %d", place{d.file, key.Line}, key.Value, first)
			}
			seen[key.Value] = key.Line
		}
	}
	for _, child := range n.Content {
		if err := d.repeated(child); err != nil {
			return err
		}
	}
	return nil
}

// shift makes lines of a document those of the file.
func shift(n *yaml.Node, lines int) {
	n.Line += lines
	for _, child := range n.Content {
		shift(child, lines)
	}
}

// plainYAML prints every document that is as it was read by its own bytes. The
// objects of lists become documents, since not every reader knows lists;
// objects that the caller took away or added are left out or come last.
func (t *Tree) plainYAML() ([]byte, error) {
	here := make(map[*Object]bool, len(t.Objects))
	for _, o := range t.Objects {
		here[o] = true
	}
	var b bytes.Buffer
	last := ""
	for _, d := range t.plain {
		if err := d.print(&b, here, d.file != last); err != nil {
			return nil, err
		}
		last = d.file
	}
	for _, o := range t.Objects {
		if here[o] { // of no document
			newDocument(&b, nil)
			text, err := o.String()
			if err != nil {
				return nil, fmt.Errorf("writing the YAML: %w", err)
			}
			b.WriteString(text)
		}
	}
	return b.Bytes(), nil
}

// newDocument separates what was printed from what comes next, which may bring
// its own line of ---.
func newDocument(b *bytes.Buffer, next []byte) {
	if b.Len() > 0 && b.Bytes()[b.Len()-1] != '\n' {
		b.WriteByte('\n')
	}
	if b.Len() > 0 && !bytes.HasPrefix(next, []byte("---")) {
		b.WriteString(separator)
	}
}

// print takes the document's objects out of here; first: it is the file's first.
func (d *document) print(b *bytes.Buffer, here map[*Object]bool, first bool) error {
	same := !d.list
	for _, o := range d.objects {
		same = same && here[o] && o.print == fingerprint(o.RNode.Document())
	}
	if same {
		if first {
			newDocument(b, d.Text)
		}
		b.Write(d.Separator)
		b.Write(d.Text)
	}
	style := yaml.SequenceIndentStyle(yaml.DeriveSeqIndentStyle(string(d.Text)))
	separator := d.Separator
	for _, o := range d.objects {
		if !here[o] {
			continue
		}
		delete(here, o)
		if same {
			continue
		}
		newDocument(b, separator)
		b.Write(separator)
		separator = nil
		text, err := yaml.MarshalWithOptions(o.RNode.Document(), &yaml.EncoderOptions{SeqIndent: style})
		if err != nil {
			return fmt.Errorf("writing the YAML of %s: %w", place{d.file, o.YNode().Line}, err)
		}
		if bytes.Contains(d.Text, []byte("\r\n")) {
			text = bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
		}
		b.Write(text)
	}
	return nil
}
