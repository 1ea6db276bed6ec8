// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/outlast-ci/outlast/core/internal/ci"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/scaffold"
)

// written gives what outlast init writes for a CI, for a project below the top.
func written(t *testing.T, m *machine, name, file string) []byte {
	t.Helper()
	m.write("repo/services/it's web/deploy/all.yaml", unsafe, 0o644)
	below := "services/it's web"
	if name == "codebuild" { // whose commands would need quoting
		m.write("repo/services/web/deploy/all.yaml", unsafe, 0o644)
		below = "services/web"
	}
	plan, err := scaffold.New(t.Context(), scaffold.Options{Dir: filepath.Join(m.dir, "repo", below), Top: filepath.Join(m.dir, "repo"), CI: name,
		Repository: ci.Repository{Default: "main", Branches: []string{"main"}}, Scalars: inputs.ScalarKeys()})
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.Write(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(m.dir, "repo", file))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Every input that a file of outlast init names is one of the wrapper's, and
// says which folder the project is in.
func TestWhatInitWritesFitsTheWrappers(t *testing.T) {
	made := generated(t, inputs.Table)
	t.Run("gitlab", func(t *testing.T) {
		var component struct {
			Spec struct{ Inputs map[string]any }
		}
		spec, _, _ := strings.Cut(string(made["gitlab/templates/deploy/template.yml"]), "\n---\n")
		var file struct {
			Include []struct {
				Component string
				Inputs    map[string]string
			}
		}
		if err := yaml.Unmarshal([]byte(spec), &component); err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(written(t, newMachine(t, ""), "gitlab", ".gitlab-ci.yml"), &file); err != nil {
			t.Fatal(err)
		}
		checkInputs(t, component.Spec.Inputs, file.Include[0].Inputs, "working_directory")
	})
	t.Run("circleci", func(t *testing.T) {
		var job struct{ Parameters map[string]any }
		if err := yaml.Unmarshal(made[orb+"jobs/rollout.yml"], &job); err != nil {
			t.Fatal(err)
		}
		var file struct {
			Version   any
			Orbs      map[string]string
			Workflows map[string]struct {
				Jobs []map[string]map[string]any
			}
		}
		if err := yaml.Unmarshal(written(t, newMachine(t, ""), "circleci", ".circleci/config.yml"), &file); err != nil {
			t.Fatal(err)
		}
		given := map[string]string{}
		for k, v := range file.Workflows["outlast"].Jobs[0]["outlast/rollout"] {
			if k != "context" && k != "filters" { // which every job of a workflow takes
				given[k], _ = v.(string)
			}
		}
		checkInputs(t, job.Parameters, given, "working_directory")
	})
	t.Run("jenkins", func(t *testing.T) {
		text := written(t, newMachine(t, ""), "jenkins", "Jenkinsfile")
		if !strings.Contains(string(text), `outlast(workingDirectory: 'services/it\'s web')`) || !strings.Contains(string(made["jenkins/vars/outlast.groovy"]), "    workingDirectory: ") {
			t.Errorf("the Jenkinsfile:\n%s", text)
		}
		groovy := runner(t, "groovy")
		m := newMachine(t, "")
		file := m.write("Jenkinsfile", string(text), 0o644)
		script := m.write("parse.groovy", "def u = new org.codehaus.groovy.control.CompilationUnit(); u.addSource(new File(args[0])); u.compile(org.codehaus.groovy.control.Phases.CONVERSION)\n", 0o644)
		java, err := filepath.EvalSymlinks(runner(t, "java"))
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), groovy, script, file)
		cmd.Env = append(os.Environ(), "JAVA_HOME="+filepath.Dir(filepath.Dir(java)))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("Groovy does not read it: %v\n%s", err, out)
		}
	})
}

func checkInputs(t *testing.T, known map[string]any, given map[string]string, folder string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, ok := known[name]; !ok {
			t.Errorf("%s is no input of the wrapper", name)
		}
	}
	if given[folder] != "services/it's web" {
		t.Errorf("the project's folder is %q", given[folder])
	}
}

// The buildspec of outlast init runs the program, and hands on its outputs.
func TestTheBuildspecThatInitWrites(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not on PATH")
	}
	m := newMachine(t, "")
	keep := filepath.Join(m.dir, "keep")
	m.write("bin2/outlast", strings.Replace(fakeCore, "mkdir -p .outlast", "cd services/web && mkdir -p .outlast", 1), 0o755)
	var file buildspec
	dec := yaml.NewDecoder(strings.NewReader(string(written(t, m, "codebuild", "buildspec.yml"))))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		t.Fatal(err)
	}
	build := file.Phases.Build
	script := strings.Join(slices.Concat(build.Commands, build.Finally, []string{`echo "$OUTLAST_OUT_RESULT" > "$KEEP/outputs"`}), "\n")
	cmd := exec.CommandContext(t.Context(), bash, "-c", script)
	cmd.Dir = filepath.Join(m.dir, "repo")
	cmd.Env = []string{"PATH=" + filepath.Join(m.dir, "bin2") + ":" + os.Getenv("PATH"), "KEEP=" + keep}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, want := range map[string]string{"args": "deploy --working-directory services/web\n", "outputs": "passed\n"} {
		if got, err := os.ReadFile(filepath.Join(keep, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q %v, want %q", name, got, err, want)
		}
	}
	if r := file.Reports["outlast"]; r.Base != "services/web/.outlast" {
		t.Errorf("reports are looked for in %q", r.Base)
	}
}
