// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
)

const orb = "circleci-orb/src/"

type parameter struct {
	Description, Type string
	Default           string
}

// element is a command, a job or an executor.
type element struct {
	Description string
	Executor    string
	Parameters  map[string]parameter
	Machine     map[string]string
	Steps       []yaml.Node
}

type runStep struct {
	Run *struct {
		Name, Command string
		Environment   map[string]string
	}
}

func orbFile[T any](t *testing.T, path string) (out T) {
	t.Helper()
	dec := yaml.NewDecoder(bytes.NewReader(generated(t, inputs.Table)[orb+path]))
	dec.KnownFields(true)
	if err := dec.Decode(&out); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return out
}

// The rules of CircleCI's review of orbs that need no network: RC006 and RC007 fetch URLs.
func TestTheOrbPassesTheReview(t *testing.T) {
	head := orbFile[struct {
		Version     float64
		Description string
		Display     map[string]string
	}](t, "@orb.yml")
	if head.Display["source_url"] == "" {
		t.Error("RC001: no source_url")
	}
	if len(head.Description) < 64 {
		t.Error("RC005: the orb's description is short")
	}
	t.Log("RC006, RC007: skipped, they fetch the orb's URLs")
	example := orbFile[struct {
		Description string
		Usage       struct {
			Version   float64
			Orbs      map[string]string
			Workflows map[string]any
		}
	}](t, "examples/deploy_branches.yml")
	if example.Description == "" || len(example.Usage.Workflows) == 0 {
		t.Error("RC002, RC003: no example with a description")
	}
	if !strings.HasSuffix(example.Usage.Orbs["outlast"], "@1") {
		t.Error("RC011: the example shows another major version")
	}
	snake := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	for path := range generated(t, inputs.Table) {
		rest, ok := strings.CutPrefix(path, orb)
		dir, file := filepath.Split(rest)
		name := strings.TrimSuffix(file, ".yml")
		if !ok || dir == "" || dir == "scripts/" {
			continue
		}
		if strings.Contains(name, "example") || !snake.MatchString(name) || name == "deploy" {
			t.Errorf("RC004, RC010: %s; and deploy is a step of CircleCI's own", rest)
		}
		if dir == "examples/" {
			continue
		}
		e := orbFile[element](t, rest)
		if e.Description == "" {
			t.Errorf("RC002: %s has no description", rest)
		}
		for p, about := range e.Parameters {
			if !snake.MatchString(p) || about.Description == "" || about.Type == "env_var_name" || strings.HasPrefix(about.Default, "$") {
				t.Errorf("RC010, RC012: parameter %s of %s: %+v", p, rest, about)
			}
		}
		for _, node := range e.Steps {
			var step runStep
			if node.Kind != yaml.MappingNode || node.Decode(&step) != nil || step.Run == nil {
				continue
			}
			if step.Run.Name == "" || len(step.Run.Command) > 64 && !strings.HasPrefix(step.Run.Command, "<<include(") {
				t.Errorf("RC008, RC009: %+v", step.Run)
			}
		}
	}
}

func TestTheOrbKnowsEveryInput(t *testing.T) {
	command, job := orbFile[element](t, "commands/rollout.yml"), orbFile[element](t, "jobs/rollout.yml")
	var handed struct{ Rollout map[string]string }
	if err := job.Steps[1].Decode(&handed); err != nil {
		t.Fatal(err)
	}
	for _, in := range renamed() {
		name := row{in}.Orb()
		for _, e := range []element{command, job} {
			if p := e.Parameters[name]; p.Type != "string" || p.Default != "" || !strings.Contains(p.Description, "Unset: "+in.Unset) {
				t.Errorf("parameter %s: %+v", name, p)
			}
		}
		if handed.Rollout[name] != "<<parameters."+name+">>" {
			t.Errorf("the job does not hand %s to the command", name)
		}
	}
	if len(command.Parameters) != len(renamed()) || len(job.Parameters) != len(renamed())+1 {
		t.Errorf("%d and %d parameters for %d rows", len(command.Parameters), len(job.Parameters), len(renamed()))
	}
}

// packed is the orb in one file, made by CircleCI's own program.
func packed(t *testing.T, m *machine) string {
	t.Helper()
	for path, text := range generated(t, inputs.Table) {
		if strings.HasPrefix(path, orb) {
			m.write(path, string(text), 0o644)
		}
	}
	cmd := exec.CommandContext(t.Context(), runner(t, "circleci"), "orb", "pack", "--skip-update-check", filepath.Join(m.dir, orb))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(m.dir, "home")}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("circleci orb pack: %v: %s", err, stderr.String())
	}
	return m.write("orb.yml", string(out), 0o644)
}

// A project's configuration with the orb's job: what CircleCI's own program packs
// is run by an evaluator of ours.
func TestTheOrbOnOurEvaluator(t *testing.T) {
	circleci := runner(t, "circleci-run")
	for name, exit := range map[string]string{"a deploy that passes": "0", "a deploy that fails": "7"} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "")
			keep, work, stored := filepath.Join(m.dir, "keep"), filepath.Join(m.dir, "work"), filepath.Join(m.dir, "stored")
			if err := os.MkdirAll(work, 0o755); err != nil {
				t.Fatal(err)
			}
			given := map[string]any{"binary": m.write("fake", fakeCore, 0o755),
				"post-steps": []any{map[string]any{"run": map[string]any{"name": "Look", "when": "always", "command": `echo "$OUTLAST_OUT_RESULT $OUTLAST_OUT_IMAGE_DIGEST" > "$KEEP/outputs"`}}}}
			for _, in := range renamed() {
				if value, ok := hostile[in.Name]; ok {
					given[row{in}.Orb()] = value
				}
			}
			config, err := yaml.Marshal(map[string]any{"version": 2.1, "orbs": map[string]any{"outlast": "outlast/outlast@1.0.0"},
				"workflows": map[string]any{"ship": map[string]any{"jobs": []any{map[string]any{"outlast/rollout": given}}}}})
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), circleci, "--orb", "outlast/outlast="+packed(t, m), "--source", work, "--stored", stored, "--branch", "develop",
				"--env", "KEEP="+keep, "--env", "FAKE_EXIT="+exit, "--env", "OUTLAST_COMMIT=of-the-project", "--env", "OUTLAST_REGION=of-the-project", m.write("config.yml", string(config), 0o644))
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.dir}
			out, err := cmd.CombinedOutput()
			if (err == nil) != (exit == "0") || exit != "0" && !strings.Contains(string(out), "exit code 7") {
				t.Fatalf("%v\n%s", err, out)
			}
			kept := arrived(t, keep, string(out))
			if got := kept("OUTLAST_COMMIT"); got != "of-the-project" {
				t.Errorf("a variable of the project that is no input arrived as %q", got)
			}
			if got := kept("outputs"); got != "passed sha256:00\n" {
				t.Errorf("the next step saw %q", got)
			}
			if got, err := os.ReadFile(stored); err != nil || string(got) != "store_test_results .outlast\nstore_artifacts .outlast\n" {
				t.Errorf("stored %q (%v)", got, err)
			}
		})
	}
}
