// SPDX-License-Identifier: Apache-2.0

package print

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// fast writes an object without kustomize's way.
func fast(n *kyaml.RNode) (string, bool) {
	w := writer{}
	ok := n.YNode().Kind == kyaml.MappingNode && w.mapping(n.YNode(), 0, false)
	return string(w.b), ok
}

const deployment = `# a web server
apiVersion: apps/v1
kind: Deployment # of pods
metadata:
  name: web
  labels: {app: web, "y": "yes", a10: x, a9: x, A: x, a_b: x, a-b: x, a.b: x, 1a: x}
  annotations:
    alb.ingress.kubernetes.io/target-type: ip
    text: "it's 12:30: #1, [x] {y} & *z"
spec:
  replicas: 3
  paused: false
  empty: {}
  none: []
  nothing: null
  template:
    spec:
      containers:
      - name: web
        image: registry.example.com:5000/web:1.0@sha256:00
        args: ["--port=80", "-v", "100m", "1.5", "0x1F", "1_000", "12e3", "1.2.3.4", "08", "true", "n", "no", "~", "", "- a", "a: b", "a #b", "?x", "@x", "%x", " x", "x ", "...", "---a", "2020-01-01"]
        # why
        resources: {limits: {memory: 1Gi}}
      - - nested
        - [list, {a: b}]
      - a:
        - b
data:
  file: |
    one
      two

    three
  bare: |-
    one
    two
`

func TestYAML(t *testing.T) {
	n := kyaml.MustParse(deployment)
	if _, err := Slow(n); err != nil {
		t.Fatal(err)
	}
	if got, _ := fast(n); strings.Contains(got, "2020") {
		t.Error("dates are not left to kustomize's way")
	}
	n = kyaml.MustParse(strings.Replace(deployment, `, "2020-01-01"`, "", 1))
	want, err := Slow(n)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := fast(n); got != string(want) || !ok {
		t.Errorf("got, %v:\n%s\nwant:\n%s", ok, got, want)
	}
}

// TestSame: on random objects, the fast way is kustomize's, or gives up.
func TestSame(t *testing.T) {
	scalars := []string{
		"a", "abc/def", "12", "-3", "0", "007", "0o7", "0x1f", "1.5", "1e3", ".5", "1_0", "true", "false", "True", "yes", "n", "null", "~", "", "2020-01-02", "12:30", "1:2:3", "<<", ".inf",
		"a b", "a: b", "a:", ":a", "a #b", "#a", "- a", "-", "?", "? a", "!x", "&x", "*x", "%x", "@x", "`x", "|", ">", "'", "\"", "it's", "\\", "a\\nb", "...", "---", "--- a", " a", "a ", "=", "é", "\u00a0", "\t", "a\tb", "\u2028",
		"one\ntwo", "one\ntwo\n", "one\n\n", "\none", " one\ntwo", "one \ntwo", "one\n two\n", "one\n\ntwo\n", "one\ntwo ", "one\r\ntwo", "a long text of many words that goes on and on until it is longer than a line of eighty columns",
		strings.Repeat("x", 200), "a " + strings.Repeat("x", 100), "100m", "1Gi", "10.0.0.0/8", "0b11", "-0b1", "+1", "+.inf", "0.", "1e", "0x", "99999999999999999999",
	}
	keys := append([]string{"a", "b", "a1", "a2", "a10", "a01", "aB", "b-c", "b_c", "b.c/d", "1", "true", "y", "a b", "x:", "ab", "A"}, scalars...)
	styles := []kyaml.Style{0, 0, 0, kyaml.DoubleQuotedStyle, kyaml.SingleQuotedStyle, kyaml.LiteralStyle, kyaml.FoldedStyle}
	tags := []string{"!!str", "!!str", "!!str", "", "!!int", "!!bool", "!!null", "!!float"}
	var node func(t *rapid.T, depth int) *kyaml.Node
	node = func(t *rapid.T, depth int) *kyaml.Node {
		n := &kyaml.Node{}
		kind := rapid.IntRange(0, 4).Draw(t, "kind")
		if depth == 0 || kind > 2 {
			kind = 2
		}
		if rapid.IntRange(0, 9).Draw(t, "flow") == 0 && kind < 2 {
			n.Style = kyaml.FlowStyle
		}
		switch kind {
		case 0:
			n.Kind, n.Tag = kyaml.MappingNode, "!!map"
			for range rapid.IntRange(0, 4).Draw(t, "keys") {
				key := &kyaml.Node{Kind: kyaml.ScalarNode, Tag: "!!str", Value: rapid.SampledFrom(keys).Draw(t, "key")}
				n.Content = append(n.Content, key, node(t, depth-1))
			}
		case 1:
			n.Kind, n.Tag = kyaml.SequenceNode, "!!seq"
			for range rapid.IntRange(0, 3).Draw(t, "items") {
				n.Content = append(n.Content, node(t, depth-1))
			}
		default:
			n.Kind, n.Tag, n.Style = kyaml.ScalarNode, rapid.SampledFrom(tags).Draw(t, "tag"), rapid.SampledFrom(styles).Draw(t, "style")
			n.Value = rapid.SampledFrom(scalars).Draw(t, "value")
		}
		if rapid.IntRange(0, 9).Draw(t, "comment") == 0 {
			n.LineComment = rapid.SampledFrom([]string{"# c", "# c\n# d", "#"}).Draw(t, "text")
		}
		return n
	}
	written := 0
	rapid.Check(t, func(t *rapid.T) {
		n := node(t, 3)
		if n.Kind != kyaml.MappingNode {
			n = &kyaml.Node{Kind: kyaml.MappingNode, Tag: "!!map", Content: []*kyaml.Node{{Kind: kyaml.ScalarNode, Tag: "!!str", Value: "key"}, n}}
		}
		object := kyaml.NewRNode(n)
		got, ok := fast(object)
		if !ok {
			return
		}
		written++
		want, err := Slow(object)
		if err != nil || string(want) != got {
			t.Fatalf("got %q, want %q, %v", got, want, err)
		}
		if again, err := reprint(got); again != got && !strings.Contains(got, "<<") { // as a key it merges what is behind it
			t.Fatalf("%q, read and written again, is %q, %v", got, again, err)
		}
	})
	t.Logf("%d written the fast way", written)
	if written < 10 {
		t.Errorf("only %d were written the fast way", written)
	}
}

// FuzzYAML compares both ways on whatever parses.
func FuzzYAML(f *testing.F) {
	f.Add(deployment)
	f.Add("a: b # c\n")
	f.Fuzz(func(t *testing.T, text string) {
		n, err := kyaml.Parse(text)
		if err != nil || n.YNode() == nil || n.YNode().Kind != kyaml.MappingNode || n.DeAnchor() != nil {
			return
		}
		got, ok := fast(n)
		if !ok {
			return
		}
		want, err := Slow(n)
		if err != nil || string(want) != got {
			t.Errorf("%q: got %q, want %q, %v", text, got, want, err)
		}
		if again, err := reprint(got); again != got && !strings.Contains(got, "<<") { // as a key it merges what is behind it
			t.Errorf("%q, read and written again, is %q, %v", got, again, err)
		}
	})
}

// reprint reads what was printed and prints it.
func reprint(text string) (string, error) {
	n, err := kyaml.Parse(text)
	if err != nil {
		return "", err
	}
	again, err := YAML(n)
	return string(again), err
}

func BenchmarkYAML(b *testing.B) {
	n := kyaml.MustParse(strings.Replace(deployment, `, "2020-01-01"`, "", 1))
	for name, f := range map[string]func(*kyaml.RNode) ([]byte, error){"fast": YAML, "slow": Slow} {
		b.Run(fmt.Sprint(name), func(b *testing.B) {
			for b.Loop() {
				if _, err := f(n); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
