// SPDX-License-Identifier: Apache-2.0

package origin

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"

	"github.com/outlast-ci/outlast/core/render/internal/source"
)

// scope is what kustomizations, from one outward, do to the names of what they hold.
type scope struct{ prefix, suffix, space string }

func (s scope) within(k *yaml.Node) scope {
	in := scope{s.prefix + text(k, "namePrefix"), text(k, "nameSuffix") + s.suffix, s.space}
	if in.space == "" {
		in.space = text(k, "namespace")
	}
	return in
}

// inner is the name that an object of the output had where the scope begins.
func (s scope) inner(kind, space, name string) (string, bool) {
	switch {
	case kind == "Namespace": // gets no prefix, but may get the namespace as its name
		return name, true
	case s.space != "" && space != "" && s.space != space, len(name) <= len(s.prefix)+len(s.suffix):
		return "", false
	}
	rest, before := strings.CutPrefix(name, s.prefix)
	rest, behind := strings.CutSuffix(rest, s.suffix)
	return rest, before && behind
}

// target says which objects a document is laid over.
type target struct{ kind, space, name func(string) bool }

// takes tells it of an object of a kind that is the target's.
func (t target) takes(space string, names []string) bool {
	return t.space(space) && slices.ContainsFunc(names, t.name)
}

// is takes the one word.
func is(word string) func(string) bool { return func(s string) bool { return s == word } }

// matching reads a word of a target as kustomize does: as an expression that fits the
// whole, and anything when it is empty. What is no expression fits nothing.
func matching(text string) func(string) bool {
	if regexp.QuoteMeta(text) == text && text != "" {
		return is(text)
	}
	if text != "" {
		text = "^(?:" + text + ")$"
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return func(string) bool { return false }
	}
	return re.MatchString
}

// walker follows kustomizations from the outermost to what they hold, and lists the
// documents in the order in which kustomize puts them over one another.
type walker struct {
	files map[string]File
	index *Index
	docs  map[string][]source.Document // of files
	busy  map[string]bool
}

// kustomization finds the kustomization of a folder.
func (w walker) kustomization(dir string) (File, bool) {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		if f, ok := w.files[path.Join(dir, name)]; ok {
			return f, true
		}
	}
	return File{}, false
}

func (w walker) walk(f File, outer scope) {
	if w.busy[f.Name] { // kustomize has refused a cycle
		return
	}
	w.busy[f.Name] = true
	defer delete(w.busy, f.Name)
	var doc yaml.Node
	if yaml.Unmarshal(f.Text, &doc) != nil || len(doc.Content) == 0 {
		return
	}
	k, dir := doc.Content[0], path.Dir(f.Name)
	in := outer.within(k)
	for _, field := range []string{"resources", "bases", "components"} {
		for _, e := range list(k, field) {
			at := path.Join(dir, e.Value)
			if inner, ok := w.kustomization(at); ok {
				w.walk(inner, in)
			} else if file, ok := w.files[at]; ok {
				w.documents(file, in)
			}
		}
	}
	w.patches(f, k, in)
	w.fields(f, k, in)
}

// documents adds the resources of a file.
func (w walker) documents(f File, in scope) {
	docs, ok := w.docs[f.Name] // a base may be there more than once
	if !ok {
		docs, _ = source.Documents(f.Text) // what does not parse, kustomize has refused
		w.docs[f.Name] = docs
	}
	for _, d := range docs {
		if d.Name != "" {
			w.index.add(indexed{file: f.Name, doc: d, scope: in, at: as})
		}
	}
}

// patches adds those of a kustomization: in files or in itself, merges or operations.
func (w walker) patches(f File, k *yaml.Node, in scope) {
	for _, e := range list(k, "patchesStrategicMerge") {
		if file, ok := w.files[path.Join(path.Dir(f.Name), e.Value)]; ok {
			w.patch(file, as, in, nil)
		} else {
			w.inline(f, e, in, nil)
		}
	}
	for _, field := range []string{"patches", "patchesJson6902"} {
		for _, e := range list(k, field) {
			var only *target
			if t := child(e, "target"); t != nil {
				if child(t, "labelSelector") != nil || child(t, "annotationSelector") != nil {
					continue // what they select, nobody can tell by names
				}
				only = &target{matching(text(t, "kind")), matching(text(t, "namespace")), matching(text(t, "name"))}
				if in.space != "" { // which is given behind the patch
					only.space = matching("")
				}
			}
			if file, ok := w.files[path.Join(path.Dir(f.Name), text(e, "path"))]; ok && text(e, "path") != "" {
				w.patch(file, as, in, only)
			} else if body := child(e, "patch"); body != nil {
				w.inline(f, body, in, only)
			}
		}
	}
}

// as is what a line of a file is called.
func as(line int) int { return line }

// inline adds a patch that is a text of the kustomization: in lines below its sign, or
// all of it at one line.
func (w walker) inline(f File, body *yaml.Node, in scope, only *target) {
	at := func(line int) int { return body.Line + line }
	if body.Style&yaml.LiteralStyle == 0 {
		at = func(int) int { return body.Line }
	}
	if body.Kind == yaml.ScalarNode {
		w.patch(File{f.Name, []byte(body.Value)}, at, in, only)
	}
}

// patch adds the documents of a patch, whose lines are called otherwise in the file.
func (w walker) patch(f File, at func(int) int, in scope, only *target) {
	var doc yaml.Node
	if yaml.Unmarshal(f.Text, &doc) != nil || len(doc.Content) == 0 {
		return
	}
	if doc.Content[0].Kind == yaml.SequenceNode {
		for _, op := range doc.Content[0].Content {
			if n := operation(op); n != nil && only != nil {
				w.index.add(indexed{file: f.Name, doc: source.Document{Node: n, Line: n.Line}, scope: in, target: only, at: at})
			}
		}
		return
	}
	docs, err := source.Documents(f.Text)
	for _, d := range docs {
		of := only
		if of == nil {
			of = &target{is(d.Kind), matching(""), is(d.Name)}
		}
		if err == nil {
			w.index.add(indexed{file: f.Name, doc: d, scope: in, target: of, at: at})
		}
	}
}

// operation gives the mapping that an operation of a JSON patch (RFC 6902) writes, or
// nil: of an element of a list nobody can tell which one it is by the patch alone, but of
// one that is added.
func operation(op *yaml.Node) *yaml.Node {
	value := child(op, "value")
	if what := text(op, "op"); value == nil || what != "add" && what != "replace" {
		return nil
	}
	steps := strings.Split(strings.TrimPrefix(text(op, "path"), "/"), "/")
	for _, step := range slices.Backward(steps) {
		switch {
		case step == "-":
			value = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: value.Line, Content: []*yaml.Node{value}}
		case strings.Trim(step, "0123456789") == "":
			return nil
		default:
			value = field(strings.NewReplacer("~1", "/", "~0", "~").Replace(step), value, op.Line)
		}
	}
	return value
}

// fields adds what a kustomization writes into objects itself.
func (w walker) fields(f File, k *yaml.Node, in scope) {
	add := func(kind, name func(string) bool, n *yaml.Node) {
		w.index.add(indexed{file: f.Name, doc: source.Document{Node: n, Line: n.Line}, scope: in, target: &target{kind, matching(""), name}, at: as})
	}
	for _, of := range [][2]string{{"namespace", "namespace"}, {"commonAnnotations", "annotations"}, {"commonLabels", "labels"}} {
		if n := child(k, of[0]); n != nil {
			add(matching(""), matching(""), field("metadata", field(of[1], n, n.Line), n.Line))
		}
	}
	for _, e := range list(k, "replicas") {
		if n := child(e, "count"); n != nil {
			add(matching("Deployment|StatefulSet|ReplicaSet|ReplicationController"), is(text(e, "name")), field("spec", field("replicas", n, n.Line), n.Line))
		}
	}
}

func field(key string, value *yaml.Node, line int) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: line, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: key, Line: line}, value}}
}

// child gives a field of a mapping, or nil.
func child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; n != nil && n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func text(n *yaml.Node, key string) string {
	if c := child(n, key); c != nil && c.Kind == yaml.ScalarNode {
		return c.Value
	}
	return ""
}

func list(n *yaml.Node, key string) []*yaml.Node {
	if c := child(n, key); c != nil && c.Kind == yaml.SequenceNode {
		return c.Content
	}
	return nil
}
