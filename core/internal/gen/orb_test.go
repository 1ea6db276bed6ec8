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
		name := row{in}.Snake()
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

// The command's step, with its parameters filled in the way CircleCI does: in
// the text of each value.
func TestTheOrbsStep(t *testing.T) {
	for name, exit := range map[string]string{"a deploy that passes": "0", "a deploy that fails": "7"} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "")
			keep, work := filepath.Join(m.dir, "keep"), filepath.Join(m.dir, "work")
			if err := os.MkdirAll(work, 0o755); err != nil {
				t.Fatal(err)
			}
			command := orbFile[element](t, "commands/rollout.yml")
			var step runStep
			if err := command.Steps[0].Decode(&step); err != nil {
				t.Fatal(err)
			}
			given := map[string]string{"binary": m.write("fake", fakeCore, 0o755)}
			for name, value := range hostile {
				given[row{inputs.Input{Name: name}}.Snake()] = value
			}
			script, ok := strings.CutPrefix(strings.TrimSuffix(step.Run.Command, ")>>"), "<<include(")
			if !ok {
				t.Fatalf("command %q", step.Run.Command)
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", string(generated(t, inputs.Table)[orb+script]))
			cmd.Dir = work
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.dir, "KEEP=" + keep, "FAKE_EXIT=" + exit, "OUTLAST_COMMIT=of-the-project", "OUTLAST_REGION=of-the-project"}
			for name, value := range step.Run.Environment {
				for p, about := range command.Parameters {
					text, ok := given[p]
					if !ok {
						text = about.Default
					}
					value = strings.ReplaceAll(value, "<<parameters."+p+">>", text)
				}
				cmd.Env = append(cmd.Env, name+"="+value)
			}
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != int(exit[0]-'0') {
				t.Fatalf("%v\n%s", err, out)
			}
			if got := arrived(t, keep, string(out))("OUTLAST_COMMIT"); got != "of-the-project" {
				t.Errorf("a variable of the project that is no input arrived as %q", got)
			}
		})
	}
}
