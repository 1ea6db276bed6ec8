// SPDX-License-Identifier: Apache-2.0

package source

import (
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestVerify: only the one change passes, of a and to 2.
func TestVerify(t *testing.T) {
	set := change{[]int{1, 0}, func(parent *yaml.Node) {
		parent.Content[1] = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: "2"}
	}}
	const before = "x: 0\n---\na: 1\nb: &b {c: 3}\nd: &d {c: 3}\ne: *b\nf: [4, \"5\"]\ng: [&g x, *g]\n"
	for name, tc := range map[string]struct{ after, want string }{
		"the change":                {"x: 0\n---\na: 2\nb: &b {c: 3}\nd: &d {c: 3}\ne: *b\nf: [4, \"5\"]\ng: [&g x, *g]\n", ""},
		"the change in other words": {"x: 0\n---\na: 2 # c\nb: &b\n  'c': 3\nd: &d {c: 3}\ne: *b\nf: [4, '5']\ng: [&g x, *g]\n", ""},
		"no change":                 {before, "line 3 would change, too; change it by hand"},
		"another value":             {"x: 0\n---\na: 3\nb: &b {c: 3}\nd: &d {c: 3}\ne: *b\nf: [4, \"5\"]\ng: [&g x, *g]\n", "line 3 would change, too; change it by hand"},
		"a string":                  {"x: 0\n---\na: \"2\"\nb: &b {c: 3}\nd: &d {c: 3}\ne: *b\nf: [4, \"5\"]\ng: [&g x, *g]\n", "line 3 would change, too; change it by hand"},
		"another field":             {"x: 0\n---\na: 2\nb: &b {c: 4}\nd: &d {c: 3}\ne: *b\nf: [4, \"5\"]\ng: [&g x, *g]\n", "line 4 would change, too; change it by hand"},
		"another key":               {"x: 0\n---\na: 2\nb: &b {d: 3}\nd: &d {c: 3}\ne: *b\nf: [4, \"5\"]\ng: [&g x, *g]\n", "line 4 would change, too; change it by hand"},
		"another kind":              {"x: 0\n---\na: 2\nb: &b [c, 3]\nd: &d {c: 3}\ne: *b\nf: [4, \"5\"]\ng: [&g x, *g]\n", "line 4 would change, too; change it by hand"},
		"another type":              {"x: 0\n---\na: 2\nb: &b {c: 3}\nd: &d {c: 3}\ne: *b\nf: [4, 5]\ng: [&g x, *g]\n", "line 7 would change, too; change it by hand"},
		"an entry more":             {"x: 0\n---\na: 2\nb: &b {c: 3}\nd: &d {c: 3}\ne: *b\nf: [4, \"5\", 6]\ng: [&g x, *g]\n", "line 7 would change, too; change it by hand"},
		"an entry less":             {"x: 0\n---\na: 2\nb: &b {c: 3}\nd: &d {c: 3}\ne: *b\n", "line 3 would change, too; change it by hand"},
		"another order":             {"x: 0\n---\na: 2\nd: &d {c: 3}\nb: &b {c: 3}\ne: *b\nf: [4, \"5\"]\ng: [&g x, *g]\n", "line 4 would change, too; change it by hand"},
		"no anchor":                 {"x: 0\n---\na: 2\nb: &b {c: 3}\nd: {c: 3}\ne: *b\nf: [4, \"5\"]\ng: [&g x, *g]\n", "line 5 would change, too; change it by hand"},
		"an alias of another":       {"x: 0\n---\na: 2\nb: &b {c: 3}\nd: &d {c: 3}\ne: *d\nf: [4, \"5\"]\ng: [&g x, *g]\n", "line 6 would change, too; change it by hand"},
		"no alias":                  {"x: 0\n---\na: 2\nb: &b {c: 3}\nd: &d {c: 3}\ne: {c: 3}\nf: [4, \"5\"]\ng: [&g x, *g]\n", "line 6 would change, too; change it by hand"},
		"no alias of a word":        {"x: 0\n---\na: 2\nb: &b {c: 3}\nd: &d {c: 3}\ne: *b\nf: [4, \"5\"]\ng: [&g x, g]\n", "line 8 would change, too; change it by hand"},
		"another document":          {"x: 1\n---\na: 2\nb: &b {c: 3}\nd: &d {c: 3}\ne: *b\nf: [4, \"5\"]\ng: [&g x, *g]\n", "line 1 would change, too; change it by hand"},
		"a document more":           {"x: 0\n---\na: 2\nb: &b {c: 3}\nd: &d {c: 3}\ne: *b\nf: [4, \"5\"]\ng: [&g x, *g]\n---\n", "the file would have 3 documents instead of 2; change it by hand"},
		"no YAML":                   {"x: [\n", "the text would not parse any more (yaml: line 1: did not find expected node content); change it by hand"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := verify([]byte(before), []byte(tc.after), set); err != nil {
				got = err.Error()
			}
			if got != tc.want {
				t.Errorf("says %q, want %q", got, tc.want)
			}
		})
	}
}

func TestApart(t *testing.T) {
	for name, tc := range map[string][3]string{
		"a value":              {`{"a": {"b": 1}, "c": 2}`, `{"a": {"b": 2}, "c": 2}`, "a.b"},
		"a key that is gone":   {`{"a": {"b": 1}}`, `{"a": {}}`, "a.b"},
		"a key that is new":    {`{"a": {}}`, `{"a": {"b.c": 1}}`, "a[b.c]"},
		"an element of a list": {`{"a": [1, 2]}`, `{"a": [1, 3]}`, "a"},
		"a list and a mapping": {`{"a": [1, 2]}`, `{"a": {}}`, "a"},
		"nothing":              {`{"a": 1}`, `{"a": 1}`, ""},
	} {
		if got := Apart([]byte(tc[0]), []byte(tc[1])).String(); got != tc[2] {
			t.Errorf("%s: %q, want %q", name, got, tc[2])
		}
	}
}
