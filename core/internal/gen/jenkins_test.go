// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
)

// jenkins is what the harness saw of one call of the step.
type jenkins struct {
	Steps    []string
	Env      map[string]string
	Build    map[string]string
	Error    string
	Returned map[string]string
}

// callStep calls the step with Debian's Groovy, the version that Jenkins pins.
func callStep(t *testing.T, m *machine, arguments map[string]any, env ...string) (seen jenkins, log string) {
	t.Helper()
	groovy, java := runner(t, "groovy"), runner(t, "java")
	home, err := filepath.EvalSymlinks(java)
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range generated(t, inputs.Table) {
		m.write(path, string(text), 0o644)
	}
	text, err := json.Marshal(arguments)
	if err != nil {
		t.Fatal(err)
	}
	input, result := m.write("arguments.json", string(text), 0o644), filepath.Join(m.dir, "result.json")
	workspace := filepath.Join(m.dir, "workspace")
	if err := os.MkdirAll(workspace, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), groovy, "-cp", "testdata/jenkins", "testdata/jenkins/harness.groovy", filepath.Join(m.dir, "jenkins"), workspace, input, result)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(m.dir, "home"), "LC_ALL=C.UTF-8", "JAVA_HOME=" + filepath.Dir(filepath.Dir(home)), "JAVA_OPTS=-Dfile.encoding=UTF-8 -Dsun.jnu.encoding=UTF-8"}, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("groovy: %v\n%s", err, out)
	}
	text, err = os.ReadFile(result)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &seen); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return seen, string(out)
}

func TestTheJenkinsStep(t *testing.T) {
	for name, exit := range map[string]string{"a deploy that passes": "0", "a deploy that fails": "7"} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "")
			keep := filepath.Join(m.dir, "keep")
			arguments := map[string]any{"binary": m.write("fake", fakeCore, 0o755), "noCache": true, "set": []string{"P=20", "M=5"}}
			for name, value := range hostile {
				arguments[row{inputs.Input{Name: name}}.Camel()] = value
			}
			seen, log := callStep(t, m, arguments, "KEEP="+keep, "FAKE_EXIT="+exit, "OUTLAST_COMMIT=of-the-agent")
			kept := arrived(t, keep, log)
			for name, want := range map[string]string{"OUTLAST_NO_CACHE": "true", "OUTLAST_SET": "P=20\nM=5", "OUTLAST_COMMIT": "of-the-agent"} {
				if got := kept(name); got != want {
					t.Errorf("%s arrived as %q, want %q", name, got, want)
				}
			}
			if want := []string{"withEnv", "sh", "junit .outlast/report.xml", "archive .outlast/**"}; !slices.Equal(seen.Steps, want) {
				t.Errorf("steps %q, want %q", seen.Steps, want)
			}
			if want := "outlast: web to dev passed"; seen.Build["description"] != want {
				t.Errorf("description %q, want %q", seen.Build["description"], want)
			}
			if seen.Env["OUTLAST_OUT_IMAGE_DIGEST"] != "sha256:00" {
				t.Errorf("variables of the build: %v", seen.Env)
			}
			switch exit {
			case "0":
				if seen.Error != "" || seen.Returned["OUTLAST_OUT_RESULT"] != "passed" {
					t.Errorf("error %q, returned %v", seen.Error, seen.Returned)
				}
			default:
				if !strings.Contains(seen.Error, "outlast ended with exit code 7") {
					t.Errorf("error %q", seen.Error)
				}
			}
		})
	}
	t.Run("an unknown argument is an error before anything runs", func(t *testing.T) {
		seen, _ := callStep(t, newMachine(t, ""), map[string]any{"regoin": "x"})
		if !strings.Contains(seen.Error, "unknown argument regoin; known are ") || !strings.Contains(seen.Error, "clusterName") || len(seen.Steps) > 0 {
			t.Errorf("error %q, steps %v", seen.Error, seen.Steps)
		}
	})
}

func TestTheJenkinsStepKnowsEveryInput(t *testing.T) {
	made := generated(t, inputs.Table)
	step, help := string(made["jenkins/vars/outlast.groovy"]), string(made["jenkins/vars/outlast.txt"])
	for _, in := range renamed() {
		if !strings.Contains(step, "    "+row{in}.Camel()+": '"+in.Variable()+"',\n") || !strings.Contains(help, "<dt>"+row{in}.Camel()+"</dt>") {
			t.Errorf("%s is missing", in.Name)
		}
	}
	if strings.Contains(step, `"""`) || strings.Contains(step, `script: "`) {
		t.Error("a script is put together from text: a way in for anybody's")
	}
}
