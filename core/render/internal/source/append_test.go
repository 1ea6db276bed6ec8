// SPDX-License-Identifier: Apache-2.0

package source

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAppend(t *testing.T) {
	entry := map[string]any{"path": "new.yaml", "target": map[string]any{"kind": "Deployment"}}
	for name, tc := range map[string]struct{ before, after, err string }{
		"under the dashes of the others, with their comments": {
			before: "# top\npatches: # ours\n  - path: a.yaml # three of them\n  # the next\n  - path: b.yaml\n    target: {kind: X} # end\nimages: []\n",
			after:  "# top\npatches: # ours\n  - path: a.yaml # three of them\n  # the next\n  - path: b.yaml\n    target: {kind: X} # end\n  - path: new.yaml\n    target:\n      kind: Deployment\nimages: []\n"},
		"dashes at the column of the key": {
			before: "patches:\n- path: a.yaml\n", after: "patches:\n- path: a.yaml\n- path: new.yaml\n  target:\n    kind: Deployment\n"},
		"lines that end as Windows ends them": {
			before: "patches:\r\n- path: a.yaml\r\n", after: "patches:\r\n- path: a.yaml\r\n- path: new.yaml\r\n  target:\r\n    kind: Deployment\r\n"},
		"a text without a last line break": {
			before: "patches:\n- path: a.yaml", after: "patches:\n- path: a.yaml\n- path: new.yaml\n  target:\n    kind: Deployment"},
		"a patch in lines of text": {
			before: "patches:\n- patch: |-\n    a: b\n    c: d\n", after: "patches:\n- patch: |-\n    a: b\n    c: d\n- path: new.yaml\n  target:\n    kind: Deployment\n"},
		"a list that is not there": {
			before: "resources: [a]\n", after: "resources: [a]\npatches:\n- path: new.yaml\n  target:\n    kind: Deployment\n"},
		"an empty list": {
			before: "patches: []\n", after: "patches:\n- path: new.yaml\n  target:\n    kind: Deployment\n"},
		"a key without a value": {
			before: "patches:\nresources: [a]\n", after: "patches:\n- path: new.yaml\n  target:\n    kind: Deployment\nresources: [a]\n"},
		"what is no list":         {before: "patches: {a: b}\n", err: "adding to patches: line 1: it is no list"},
		"an alias of another key": {before: "a: &x [1]\npatches: *x\n", err: "adding to patches: line 2:"},
	} {
		t.Run(name, func(t *testing.T) {
			docs, err := Documents([]byte(tc.before))
			if err != nil {
				t.Fatal(err)
			}
			got, err := Append([]byte(tc.before), docs[0], Path{{Key: "patches"}}, entry)
			if tc.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tc.err) {
					t.Errorf("got %v and %q, want an error with %q", err, got, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.after, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
	docs, err := Documents([]byte("resources: [a, b] # both\n"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Append([]byte("resources: [a, b] # both\n"), docs[0], Path{{Key: "resources"}}, "c")
	if err != nil || string(got) != "resources: [a, b, c] # both\n" {
		t.Errorf("a list in one line: %q, %v", got, err)
	}
}
