// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/output"
)

// buildspec is the part of the grammar 0.2 that the wrapper uses; other keys
// are an error.
type buildspec struct {
	Version string
	Env     struct {
		Variables map[string]string
		Exported  []string `yaml:"exported-variables"`
	}
	Phases struct {
		Build struct{ Commands, Finally []string }
	}
	Reports map[string]struct {
		Files  []string
		Base   string `yaml:"base-directory"`
		Format string `yaml:"file-format"`
	}
	Artifacts struct {
		Name  string
		Base  string `yaml:"base-directory"`
		Files []string
	}
}

func theBuildspec(t *testing.T) (b buildspec) {
	t.Helper()
	dec := yaml.NewDecoder(bytes.NewReader(generated(t, inputs.Table)["codebuild/buildspec.yml"]))
	dec.KnownFields(true)
	if err := dec.Decode(&b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTheBuildspec(t *testing.T) {
	b := theBuildspec(t)
	if b.Version != "0.2" || b.Reports["outlast"].Format != "JUNITXML" || b.Reports["outlast"].Base != ".outlast" {
		t.Errorf("%+v", b)
	}
	for _, in := range renamed() {
		if v, ok := b.Env.Variables[in.Variable()]; !ok || v != "" {
			t.Errorf("%s: %q, %t; no default may live in a wrapper", in.Variable(), v, ok)
		}
	}
	for i, o := range output.Outputs() {
		if b.Env.Exported[i] != o.Variable() || strings.HasPrefix(o.Variable(), "AWS_") {
			t.Errorf("exported: %v", b.Env.Exported)
		}
	}
}

// A pipeline's action wants an artifact, also where outlast wrote none.
func TestTheBuildspecLeavesAnArtifactWhateverHappens(t *testing.T) {
	codebuild := runner(t, "codebuild-run")
	m := newMachine(t, "")
	spec := m.write("buildspec.yml", string(generated(t, inputs.Table)["codebuild/buildspec.yml"]), 0o644)
	m.write("work/empty", "", 0o644)
	cmd := exec.CommandContext(t.Context(), codebuild, "--source", filepath.Join(m.dir, "work"), "--stored", filepath.Join(m.dir, "stored"), "--env", "OUTLAST_BINARY=/absent", spec)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.dir}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "phase build failed: exit status 4") {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(m.dir, "stored"))
	if err != nil || !strings.Contains(string(text), "artifact primary none.txt\n") {
		t.Errorf("stored %q (%v)\n%s", text, err, out)
	}
}

// The buildspec is run by an evaluator of ours: one shell for all commands, then
// those of finally, whatever became of them.
func TestTheBuildspecOnOurEvaluator(t *testing.T) {
	codebuild := runner(t, "codebuild-run")
	for name, exit := range map[string]string{"a deploy that passes": "0", "a deploy that fails": "7"} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "")
			keep, work := filepath.Join(m.dir, "keep"), filepath.Join(m.dir, "work")
			if err := os.MkdirAll(work, 0o755); err != nil {
				t.Fatal(err)
			}
			spec := m.write("buildspec.yml", string(generated(t, inputs.Table)["codebuild/buildspec.yml"]), 0o644)
			args := []string{"--source", work, "--exported", filepath.Join(m.dir, "exported"), "--stored", filepath.Join(m.dir, "stored"),
				"--env", "KEEP=" + keep, "--env", "FAKE_EXIT=" + exit, "--env", "OUTLAST_BINARY=" + m.write("fake", fakeCore, 0o755)}
			for name, value := range hostile {
				args = append(args, "--env", inputs.Input{Name: name}.Variable()+"="+value)
			}
			cmd := exec.CommandContext(t.Context(), codebuild, append(args, spec)...)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.dir}
			out, err := cmd.CombinedOutput()
			if (err == nil) != (exit == "0") || exit != "0" && !strings.Contains(string(out), "phase build failed: exit status 7") {
				t.Fatalf("%v\n%s", err, out)
			}
			arrived(t, keep, string(out))
			text, err := os.ReadFile(filepath.Join(m.dir, "exported"))
			if err != nil || !strings.Contains(string(text), "OUTLAST_OUT_RESULT=passed\n") || !strings.Contains(string(text), "OUTLAST_OUT_IMAGE_DIGEST=sha256:00\n") {
				t.Errorf("exported %q (%v)", text, err)
			}
			text, err = os.ReadFile(filepath.Join(m.dir, "stored"))
			if err != nil || !strings.Contains(string(text), "report outlast report.xml\n") || !strings.Contains(string(text), "artifact primary outputs.env\n") {
				t.Errorf("stored %q (%v)", text, err)
			}
		})
	}
}
