// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
	"sigs.k8s.io/kustomize/kyaml/kio"
)

// bomb is nine lists, each of nine aliases of the one before.
func bomb() string {
	text := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		p := string(c - 1)
		text += string(c) + ": &" + string(c) + " [*" + strings.Join(strings.Split(strings.Repeat(p, 9), ""), ",*") + "]\n"
	}
	return text
}

func TestCheck(t *testing.T) {
	deep := strings.Repeat("[", 99) + strings.Repeat("]", 99)
	for name, tc := range map[string]struct {
		text string
		line int // 0: fine
		want string
	}{
		"a manifest":                        {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", 0, ""},
		"an anchor used twice":              {"a: &a {b: c}\nd: *a\ne: *a\n", 0, ""},
		"a bomb":                            {bomb(), 6, "500000 values"},
		"a bomb behind a document":          {"a: b\n---\n" + bomb(), 8, "500000 values"},
		"a bomb before broken YAML":         {bomb() + "---\na: [\n", 6, "500000 values"},
		"a bomb behind broken YAML":         {"a: [\n---\n" + bomb(), 8, "500000 values"},
		"a bomb of one long text":           {"a: &a " + strings.Repeat("x", 1<<20) + "\nb: [" + strings.Repeat("*a,", 60) + "]\n", 2, "500000 values"},
		"a bomb by merge keys":              {"a: &a {x: [1,2,3,4,5,6,7,8,9]}\n" + strings.ReplaceAll(strings.ReplaceAll(bomb()[26:], "*a", "{<<: *a}"), "b: &b", "b: &b"), 6, "500000 values"},
		"many values without an alias":      {strings.Repeat("- a\n", 600_000), 500_000, "500000 values"},
		"not quite as many":                 {strings.Repeat("- a\n", 400_000), 0, ""},
		"brackets":                          {deep, 0, ""},
		"too many brackets":                 {"\n\na: [[" + deep + "]]", 3, "deeper than 100"},
		"columns":                           {columns(48), 0, ""},
		"too many columns":                  {columns(101), 100, "deeper than 100"},
		"too many columns, of other breaks": {strings.ReplaceAll(columns(101), "\n", "\u0085"), 100, "deeper than 100"},
		"lists in one line":                 {strings.Repeat("- ", 101) + "a\n", 1, "deeper than 100"},
		"too many brackets, line by line":   {strings.Repeat("[\n---a, ", 101), 0, ""}, // broken YAML
		"brackets of many documents":        {strings.Repeat("a: [[[[]]]]\n---\n", 50), 0, ""},
		"depth behind aliases":              {"a: &a " + strings.Repeat("[", 60) + strings.Repeat("]", 60) + "\nb: " + strings.Repeat("[", 60) + "*a" + strings.Repeat("]", 60), 2, "deeper than 100"},
		"an alias of itself":                {"a: &a [*a]\n", 1, "an alias contains itself"},
		"no YAML":                           {"\x00\x01", 0, ""},
		"nothing":                           {"", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			err := Check([]byte(tc.text))
			var e *Error
			if tc.line == 0 && err != nil || tc.line > 0 && (!errors.As(err, &e) || e.Line != tc.line || !strings.Contains(e.What, tc.want)) {
				t.Errorf("got %v, want line %d and %q", err, tc.line, tc.want)
			}
			if took := time.Since(start); took > 20*time.Second { // a bomb takes all memory; a busy machine, some seconds
				t.Errorf("took %s", took)
			}
		})
	}
}

func columns(n int) string {
	text := ""
	for i := range n {
		text += strings.Repeat(" ", i) + "a:\n"
	}
	return text
}

// TestHarmless: what the bytes alone let through is indeed within the limits.
func TestHarmless(t *testing.T) {
	passed := 0
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom([]string{
			"a", ": ", "- ", "? ", "\n", "  ", "[", "]", "{", "}", ",", "'", `"`, "\\", "#", "|\n", "\u0085", "\u2028", "\r", "---", "\n---\n", "- - - - - ", "[[[[[[[[[[[[[[[[", "                ",
		}), 0, 60).Draw(t, "words")
		text := []byte(strings.Repeat(strings.Join(words, ""), rapid.IntRange(1, 20).Draw(t, "times")))
		if !harmless(text) {
			return
		}
		passed++
		dec := yaml.NewDecoder(bytes.NewReader(text))
		for {
			doc := new(yaml.Node)
			if dec.Decode(doc) != nil {
				return
			}
			if d := height(doc); d > Depth {
				t.Fatalf("%q passed with %d levels", text, d)
			}
		}
	})
	if passed < 20 { // 71 in the mean, of 100
		t.Errorf("only %d texts passed", passed)
	}
}

func height(n *yaml.Node) (levels int) {
	for _, c := range n.Content {
		levels = max(levels, 1+height(c))
	}
	return levels
}

// TestSplit: cut apart and read one by one, a file gives what kustomize reads.
func TestSplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"---", "\n", "\r\n", " ", "# x", "a: 1", "a: |\n  b", "--- # c", "...", "  ---"}), 0, 12).Draw(t, "words"), "")
		whole, err := kio.FromBytes([]byte(text))
		if err != nil {
			return
		}
		var got []string
		var joined []byte
		for _, c := range Split([]byte(text)) {
			joined = append(append(joined, c.Separator...), c.Text...)
			nodes, err := kio.FromBytes(c.Text)
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			for _, n := range nodes {
				got = append(got, n.MustString())
			}
		}
		var want []string
		for _, n := range whole {
			want = append(want, n.MustString())
		}
		if strings.Join(got, "---\n") != strings.Join(want, "---\n") {
			t.Fatalf("%q: got %q, want %q", text, got, want)
		}
		if string(joined) != text {
			t.Fatalf("%q became %q", text, joined)
		}
	})
}

func TestLines(t *testing.T) {
	text := "# top\n---\na: 1\n\n---\n---\nb: 2\n--- # three\nc: 3"
	lines := strings.Split(text, "\n")
	for _, c := range Split([]byte(text)) {
		first, _, _ := strings.Cut(string(c.Text), "\n")
		if lines[c.Line-1] != first {
			t.Errorf("chunk %q is said to be at line %d, which is %q", c.Text, c.Line, lines[c.Line-1])
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(bomb()))
	f.Add([]byte("a: &a {b: c}\n<<: *a\n---\n- - ? x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<16 {
			return
		}
		start := time.Now()
		checked := Check(text) == nil
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("took %s", took)
		}
		if !checked {
			return
		}
		// What passed is small for kustomize, too.
		nodes, err := kio.FromBytes(text)
		if err != nil {
			return
		}
		size := 0
		for _, n := range nodes {
			if levels := height(n.YNode()); levels > Depth {
				t.Errorf("%d levels", levels)
			}
			size += count(n.YNode())
		}
		if size > Values {
			t.Errorf("%d values", size)
		}
	})
}

func count(n *yaml.Node) int {
	total := 1
	for _, c := range n.Content {
		total += count(c)
	}
	return total
}
