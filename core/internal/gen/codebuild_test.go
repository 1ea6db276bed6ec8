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

// One shell runs all commands, then those of finally, whatever became of them.
func TestTheBuildspecsCommands(t *testing.T) {
	for name, exit := range map[string]string{"a deploy that passes": "0", "a deploy that fails": "7"} {
		t.Run(name, func(t *testing.T) {
			b, m := theBuildspec(t), newMachine(t, "")
			keep, work := filepath.Join(m.dir, "keep"), filepath.Join(m.dir, "work")
			if err := os.MkdirAll(work, 0o755); err != nil {
				t.Fatal(err)
			}
			var script strings.Builder
			script.WriteString("failed=0\n")
			for _, c := range b.Phases.Build.Commands {
				script.WriteString("if [ $failed = 0 ]; then\n" + c + "\nfailed=$?\nfi\n")
			}
			script.WriteString(strings.Join(b.Phases.Build.Finally, "\n"))
			script.WriteString("\nfor name in " + strings.Join(b.Env.Exported, " ") + "; do eval \"echo $name=\\${$name:-}\"; done > \"$KEEP/exported\"\nexit $failed\n")
			cmd := exec.CommandContext(t.Context(), "sh", "-c", script.String())
			cmd.Dir = work
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.dir, "KEEP=" + keep, "FAKE_EXIT=" + exit}
			given := map[string]string{"OUTLAST_BINARY": m.write("fake", fakeCore, 0o755)}
			for name, value := range hostile {
				given[inputs.Input{Name: name}.Variable()] = value
			}
			for name, value := range b.Env.Variables { // the project's win over the buildspec's
				if v, ok := given[name]; ok {
					value = v
				}
				cmd.Env = append(cmd.Env, name+"="+value)
			}
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != int(exit[0]-'0') {
				t.Fatalf("%v\n%s", err, out)
			}
			kept := arrived(t, keep, string(out))
			if got := kept("exported"); !strings.Contains(got, "OUTLAST_OUT_RESULT=passed\n") || !strings.Contains(got, "OUTLAST_OUT_IMAGE_DIGEST=sha256:00\n") {
				t.Errorf("exported:\n%s", got)
			}
		})
	}
}
