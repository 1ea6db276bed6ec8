// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestUndoSparesJobs: what a failed deploy's migration left is there to be looked at
// after the rollback, until a deploy goes well.
func TestUndoSparesJobs(t *testing.T) {
	s, r := newServer(t, ""), &recorder{}
	opt := Options{Set: shop, Observe: r.observe}
	manifests := web
	jobs := map[string]string{"failed": "Failed", "running": "", "done": "Complete", "plain": "Failed"}
	for name := range jobs {
		manifests += "---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: " + name + ", namespace: dev}\nspec: {template: {spec: {containers: [{name: main, image: i}]}}}\n"
	}
	if _, err := Apply(t.Context(), s, []byte(manifests), opt); err != nil {
		t.Fatal(err)
	}
	for name, ended := range jobs {
		s.change(t, "batch/v1 Job dev/"+name, "controller", func(live *unstructured.Unstructured) {
			if name != "plain" {
				live.SetAnnotations(map[string]string{"outlast/phase": "pre-deploy"})
			}
			live.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": ended, "status": "True"}}}
		})
	}
	opt.Undo = true
	for _, want := range [][]string{{"Job/dev/done", "Job/dev/plain"}, nil} {
		s.deleted = nil
		if _, err := Prune(t.Context(), s, []byte(web), opt); err != nil {
			t.Fatal(err)
		}
		if slices.Sort(s.deleted); !slices.Equal(s.deleted, want) {
			t.Errorf("deleted %v, want %v", s.deleted, want)
		}
	}
	if !strings.Contains(r.text(), "Job/dev/failed: no manifest has it, and it stays: it did not succeed") {
		t.Errorf("told %s", r.text())
	}
	opt.Undo, s.deleted = false, nil
	if _, err := Prune(t.Context(), s, []byte(web), opt); err != nil {
		t.Fatal(err)
	}
	if slices.Sort(s.deleted); !slices.Equal(s.deleted, []string{"Job/dev/failed", "Job/dev/running"}) {
		t.Errorf("the next deploy deleted %v", s.deleted)
	}
}
