// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

// stream is a file of several documents, and where the one to edit is.
type stream struct {
	text   []byte
	doc    Document
	object object
	at     map[string]span
	breaks string
}

// streams draws objects and prints them.
func streams() *rapid.Generator[stream] {
	return rapid.Custom(func(t *rapid.T) stream {
		s := stream{object: objects(4).Filter(func(o object) bool { return len(o) > 0 }).Draw(t, "object"), breaks: "\n"}
		p := &printer{t: t, line: 1, at: map[string]span{}, quiet: rapid.Bool().Draw(t, "quiet")}
		for p.coin("before") {
			p.put(rapid.SampledFrom([]string{"---\n", "--- # c\na: 1 # d\n", "---\n- x\n", "--- {b: c,\n  d: e}\n"}).Draw(t, "document"))
			s.doc.Index++
		}
		if s.doc.Index > 0 || p.coin("mark") {
			p.put("---")
			p.eol()
		}
		whole, root := any(s.object), ""
		if p.coin("list") {
			s.doc.Item, root = 2, "/items/1"
			whole = object{{"kind", "List"}, {"items", []any{1, s.object, object{}}}}
		}
		if p.coin("flow") {
			p.flow(whole, "", 0, false)
			p.eol()
		} else {
			p.between(0)
			p.object(whole.(object), "", 0, false)
		}
		for !p.calm && p.coin("after") {
			p.put(rapid.SampledFrom([]string{"---\n", "...\n", "---\na: 1\n", "# c\n"}).Draw(t, "document"))
		}
		s.at = map[string]span{}
		for path, lines := range p.at {
			if rest, ok := strings.CutPrefix(path, root); ok {
				s.at[rest] = lines
			}
		}
		text := p.b.String()
		if p.coin("unended") && !strings.Contains(text, "|") {
			text = strings.TrimSuffix(text, "\n")
		}
		if p.coin("crlf") {
			text, s.breaks = strings.ReplaceAll(text, "\n", "\r\n"), "\r\n"
		}
		if p.coin("bom") {
			text = "\ufeff" + text
		}
		s.text = []byte(text)
		return s
	})
}

// decode reads every document; the one that is edited as a plain value.
func decode(t *rapid.T, text []byte, doc Document) (all []any, object any) {
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var v any
		if err := dec.Decode(&v); err != nil {
			if err.Error() != "EOF" {
				t.Fatalf("decoding: %v\n%s", err, text)
			}
			break
		}
		all = append(all, v)
	}
	object = all[doc.Index]
	all[doc.Index] = nil
	if doc.Item > 0 {
		object = object.(map[string]any)["items"].([]any)[doc.Item-1]
	}
	return all, stringKeys(object)
}

// field is one that is there.
type field struct {
	path  Path
	where string // of span
	value any
}

// fields lists all fields of a value that a path leads to.
func fields(v any, path Path, where string) (all []field) {
	add := func(step Step, name string, e any) {
		f := field{path: append(slices.Clone(path), step), where: where + "/" + name, value: e}
		all = append(append(all, f), fields(e, f.path, f.where)...)
	}
	switch v := v.(type) {
	case object:
		for _, e := range v {
			add(Step{e.key, true}, e.key, e.value)
		}
	case []any:
		for i, e := range v {
			add(Step{strconv.Itoa(i), true}, strconv.Itoa(i), e)
		}
	}
	return all
}

// siblings counts what stays in the parent of a field.
func siblings(v any, path Path) int {
	for _, step := range path[:len(path)-1] {
		switch parent := v.(type) {
		case object:
			v = parent[slices.IndexFunc(parent, func(e entry) bool { return e.key == step.Key })].value
		case []any:
			i, _ := strconv.Atoi(step.Key)
			v = parent[i]
		}
	}
	return reflect.ValueOf(v).Len() - 1
}

// unique keeps the fields whose indexes are not also names of something.
func unique(s stream, all []field) []field {
	return slices.DeleteFunc(all, func(f field) bool {
		n := yaml.Node{}
		if err := n.Encode(plain(s.object)); err != nil {
			return true
		}
		at := &n
		for i, step := range f.path {
			index, double := step.child(at)
			if index < 0 || double || at.Kind == yaml.SequenceNode && strconv.Itoa(index) != step.Key {
				return true
			}
			if at = at.Content[index]; i == len(f.path)-1 && double {
				return true
			}
		}
		return false
	})
}

// with gives the model with a field set; gone deletes it.
func with(v any, path Path, to any, gone bool) any {
	switch v := v.(type) {
	case object:
		o := slices.Clone(v)
		i := slices.IndexFunc(o, func(e entry) bool { return e.key == path[0].Key })
		switch {
		case i < 0 && len(path) == 1:
			return append(o, entry{path[0].Key, to})
		case i < 0:
			return append(o, entry{path[0].Key, with(object{}, path[1:], to, gone)})
		case len(path) == 1 && gone:
			return slices.Delete(o, i, i+1)
		case len(path) == 1:
			o[i].value = to
		default:
			o[i].value = with(o[i].value, path[1:], to, gone)
		}
		return o
	case []any:
		l := slices.Clone(v)
		i, _ := strconv.Atoi(path[0].Key)
		switch {
		case len(path) == 1 && gone:
			return slices.Delete(l, i, i+1)
		case len(path) == 1:
			l[i] = to
		default:
			l[i] = with(l[i], path[1:], to, gone)
		}
		return l
	}
	return with(object{}, path, to, gone)
}

// check compares the text after an edit with the model, and with the text before
// it outside the lines that may change.
func check(t *rapid.T, s stream, after []byte, want any, lines span) {
	others, _ := decode(t, s.text, s.doc)
	same, got := decode(t, after, s.doc)
	if !reflect.DeepEqual(got, plain(want)) {
		t.Fatalf("reads as\n%#v, want\n%#v\n%s", got, plain(want), after)
	}
	if !reflect.DeepEqual(others, same) {
		t.Fatalf("another document changed: %v, %v", others, same)
	}
	old := strings.SplitAfter(string(s.text), s.breaks)
	above := strings.Join(old[:lines.first-1], "")
	below := strings.Join(old[min(lines.last, len(old)):], "")
	if !strings.HasPrefix(string(after), above) || !strings.HasSuffix(string(after), below) {
		t.Fatalf("lines outside %d to %d changed:\n%s\n%s", lines.first, lines.last, s.text, after)
	}
	if bytes.Contains(s.text, []byte("\r")) && bytes.Count(after, []byte("\n")) != bytes.Count(after, []byte("\r\n")) {
		t.Fatalf("a break is no CRLF: %q", after)
	}
}

// comments sees that none is lost.
func comments(t *rapid.T, s stream, after []byte) {
	for _, c := range []string{"# c", "# above: x", "# below", "# 'x: {"} {
		if had, has := bytes.Count(s.text, []byte(c)), bytes.Count(after, []byte(c)); had != has {
			t.Fatalf("%d comments %q, and %d after the edit:\n%s\n%s", had, c, has, s.text, after)
		}
	}
}

// ends compares the ends of the texts.
func ends(t *rapid.T, s stream, after []byte) {
	if strings.HasSuffix(string(s.text), s.breaks) != strings.HasSuffix(string(after), s.breaks) {
		t.Fatalf("the end changed: %q, want that of %q", after, s.text)
	}
}

func TestSetReadsBackAndTouchesNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := streams().Draw(t, "stream")
		if _, got := decode(t, s.text, s.doc); !reflect.DeepEqual(got, plain(s.object)) {
			t.Fatalf("the printer is wrong: %#v, want %#v\n%s", got, plain(s.object), s.text)
		}
		all := unique(s, fields(s.object, nil, ""))
		f := rapid.SampledFrom(all).Draw(t, "field")
		if out, err := Set(s.text, s.doc, f.path, plain(f.value)); err != nil || !bytes.Equal(out, s.text) {
			t.Fatalf("setting what is there: %v\n%s\n%s", err, s.text, out)
		}
		value := values(2).Draw(t, "value")
		after, err := Set(s.text, s.doc, f.path, plain(value))
		if err != nil {
			t.Fatalf("%v\n%s", err, s.text)
		}
		check(t, s, after, with(s.object, f.path, value, false), s.at[f.where])
		ends(t, s, after)
		if old := reflect.ValueOf(f.value); old.Kind() != reflect.Slice { // a scalar has none inside
			comments(t, s, after)
		}
		if again, err := Set(after, s.doc, f.path, plain(value)); err != nil || !bytes.Equal(again, after) {
			t.Fatalf("again: %v\n%s\n%s", err, after, again)
		}
	})
}

func TestSetOfANewFieldAndDeleteGiveTheSameText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := streams().Draw(t, "stream")
		parents := append([]field{{value: s.object}}, unique(s, fields(s.object, nil, ""))...)
		parents = slices.DeleteFunc(parents, func(f field) bool {
			_, isObject := f.value.(object)
			return !isObject && f.value != nil
		})
		f := rapid.SampledFrom(parents).Draw(t, "parent")
		lines, ok := s.at[f.where]
		if !ok {
			lines = span{1, bytes.Count(s.text, []byte("\n")) + 1, false}
		}
		steps := Path{{"new", false}}
		if rapid.Bool().Draw(t, "deep") {
			steps = append(steps, Step{"labels", false}, Step{"a.b/c", true})
		}
		path := append(slices.Clone(f.path), steps...)
		value := values(2).Draw(t, "value")
		after, err := Set(s.text, s.doc, path, plain(value))
		if err != nil {
			t.Fatalf("%v\n%s", err, s.text)
		}
		check(t, s, after, with(s.object, path, value, false), lines)
		ends(t, s, after)
		back, err := Delete(after, s.doc, path[:len(f.path)+1])
		if err != nil {
			t.Fatalf("%v\n%s", err, after)
		}
		if o, _ := f.value.(object); len(o) > 0 && !bytes.Equal(back, s.text) {
			t.Fatalf("set and deleted:\n%s\nwant\n%s", back, s.text)
		}
		if f.value == nil {
			s.object = with(s.object, f.path, object{}, false).(object)
		}
		check(t, s, back, s.object, lines)
	})
}

func TestDeleteTouchesNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := streams().Draw(t, "stream")
		f := rapid.SampledFrom(unique(s, fields(s.object, nil, ""))).Draw(t, "field")
		after, err := Delete(s.text, s.doc, f.path)
		if err != nil && strings.Contains(err.Error(), "would change, too") && bytes.Contains(s.text, []byte("|+")) {
			t.Skip("the empty lines behind it would become the text's before it")
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, s.text)
		}
		parent, ok := s.at[strings.TrimSuffix(f.where, "/"+f.path[len(f.path)-1].Key)]
		if !ok {
			parent = span{1, bytes.Count(s.text, []byte("\n")) + 1, false}
		}
		lines := s.at[f.where]
		if siblings(s.object, f.path) == 0 || lines.flow || lines.first == parent.first || len(f.path) == 1 && s.doc.Item > 0 || !bytes.HasSuffix(s.text, []byte(s.breaks)) {
			lines = parent // {} stands there, or what follows a dash or a comma moves
		}
		check(t, s, after, with(s.object, f.path, nil, true), lines)
	})
}
