// SPDX-License-Identifier: Apache-2.0

package ci

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEachCIGetsTheOutputsItsWay(t *testing.T) {
	pairs := []Pair{{"result", "OUTLAST_OUT_RESULT", "passed"}, {"image-digest", "OUTLAST_OUT_IMAGE_DIGEST", "sha256:00"}, {"image", "OUTLAST_OUT_IMAGE", ""}}
	cases := map[string]struct {
		env     map[string]string // a value that begins with / is a file below the test's folder
		summary string
		want    map[string]string
	}{
		"GitHub": {map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": "/output", "GITHUB_STEP_SUMMARY": "/summary"}, "## passed\n",
			map[string]string{"/output": "before=1\nresult=passed\nimage-digest=sha256:00\nimage=\n", "/summary": "before=1\n## passed\n"}},
		"GitHub, with more than it takes": {map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": "/summary"}, strings.Repeat("x", 1<<20+1),
			map[string]string{"/summary": "before=1\nThe summary is longer than GitHub takes; it is in summary.md of the output folder.\n"}},
		"CircleCI": {map[string]string{"CIRCLECI": "true", "BASH_ENV": "/env"}, "x",
			map[string]string{"/env": "before=1\nexport OUTLAST_OUT_RESULT='passed'\nexport OUTLAST_OUT_IMAGE_DIGEST='sha256:00'\nexport OUTLAST_OUT_IMAGE=''\n"}},
		"a terminal, whatever is set": {map[string]string{"GITHUB_OUTPUT": "/output", "BASH_ENV": "/env"}, "x", map[string]string{"/output": "before=1\n", "/env": "before=1\n"}},
		"GitHub without files":        {map[string]string{"GITHUB_ACTIONS": "true"}, "x", nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file := range c.want {
				if err := os.WriteFile(filepath.Join(dir, file), []byte("before=1\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			var env []string
			for name, v := range c.env {
				if strings.HasPrefix(v, "/") {
					v = filepath.Join(dir, v)
				}
				env = append(env, name+"="+v)
			}
			lines, err := World{Environ: env}.Publish(t.Context(), Result{Pairs: pairs, Summary: c.summary})
			if err != nil || len(lines) > 0 {
				t.Fatal(lines, err)
			}
			for file, want := range c.want {
				if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != want {
					t.Errorf("%s: %q, %v", file, got, err)
				}
			}
		})
	}
	_, err := World{Environ: []string{"GITHUB_ACTIONS=true", "GITHUB_OUTPUT=/absent/folder/file"}}.Publish(t.Context(), Result{Pairs: pairs})
	if err == nil || !strings.Contains(err.Error(), "/absent/folder/file") {
		t.Errorf("a file that cannot be written: %v", err)
	}
}
