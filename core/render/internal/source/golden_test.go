// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// edit is the head of a golden file, in YAML.
type edit struct {
	Set, Delete    string // the path
	To             any
	Node           yaml.Node // the same with its style
	Once           bool      // the path leads elsewhere after the edit
	Document, Item int
	Text           []string // what a golden file cannot show: bom, crlf, cr, unended
}

func (c edit) bytes(text []byte) []byte {
	if slices.Contains(c.Text, "unended") {
		text = bytes.TrimSuffix(text, []byte("\n"))
	}
	if slices.Contains(c.Text, "crlf") {
		text = bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
	}
	if slices.Contains(c.Text, "cr") {
		text = bytes.ReplaceAll(text, []byte("\n"), []byte("\r"))
	}
	if slices.Contains(c.Text, "bom") {
		text = append([]byte("\ufeff"), text...)
	}
	return text
}

// shown undoes bytes, so that what the edit did to them is seen.
func (c edit) shown(text []byte) []byte {
	if slices.Contains(c.Text, "bom") {
		text = bytes.Replace(text, []byte("\ufeff"), nil, 1)
	}
	if slices.Contains(c.Text, "crlf") {
		text = bytes.ReplaceAll(text, []byte("\n"), []byte("\n!"))
		text = bytes.ReplaceAll(text, []byte("\r\n!"), []byte("\n"))
	}
	if slices.Contains(c.Text, "cr") {
		text = bytes.ReplaceAll(text, []byte("\n"), []byte("\n!"))
		text = bytes.ReplaceAll(text, []byte("\r"), []byte("\n"))
	}
	if slices.Contains(c.Text, "unended") {
		text = append(bytes.Clone(text), '\n')
	}
	return text
}

func (c edit) do(t testing.TB, text []byte) ([]byte, error) {
	t.Helper()
	doc := Document{Index: c.Document, Item: c.Item}
	if c.Delete != "" {
		return Delete(text, doc, path(t, c.Delete))
	}
	if c.Node.Kind != 0 {
		return Set(text, doc, path(t, c.Set), &c.Node)
	}
	return Set(text, doc, path(t, c.Set), c.To)
}

func path(t testing.TB, text string) Path {
	t.Helper()
	p, err := ParsePath(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestGolden: each file has an edit, the text before it, and the text after it
// or the error. Done again, an edit changes nothing.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var c edit
			if err := yaml.Unmarshal(a.Comment, &c); err != nil || len(a.Files) == 0 {
				t.Fatalf("no case: %v", err)
			}
			got := txtar.File{Name: "after"}
			after, err := c.do(t, c.bytes(a.Files[0].Data))
			if err != nil {
				got = txtar.File{Name: "error", Data: []byte(err.Error() + "\n")}
			} else {
				got.Data = c.shown(after)
				if again, err := c.do(t, after); !c.Once && (err != nil || !bytes.Equal(again, after)) {
					t.Errorf("done again: %v\n%s", err, again)
				}
			}
			all := txtar.Format(&txtar.Archive{Comment: a.Comment, Files: []txtar.File{a.Files[0], got}})
			if *update {
				if err := os.WriteFile(file, all, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(txtar.Format(a)), string(all)); diff != "" && !*update {
				t.Errorf("differs from %s:\n%s", file, diff)
			}
		})
	}
}
