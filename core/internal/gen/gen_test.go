// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/output"
)

const root = "../../.."

func generated(t *testing.T, table []inputs.Group) map[string][]byte {
	t.Helper()
	pinned, err := Pins()
	if err != nil {
		t.Fatal(err)
	}
	made, err := Files(table, pinned)
	if err != nil {
		t.Fatal(err)
	}
	if len(made) == 0 {
		t.Fatal("nothing is generated")
	}
	return made
}

func TestTheRepositoryHoldsWhatIsGenerated(t *testing.T) {
	for path, want := range generated(t, inputs.Table) {
		got, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Errorf("%v; run: go run ./core/cmd/gen", err)
			continue
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not what is generated; run: go run ./core/cmd/gen (-want +got):\n%s", path, diff)
		}
	}
}

// One more row in the table is one more input of every wrapper, with its text
// unharmed.
func TestARowIsAllThatAnInputTakes(t *testing.T) {
	doc := `new "input": {{x}} ${{ y }} $(z) 'q' # no comment — 新`
	table := append(slices.Clone(inputs.Table), inputs.Group{Title: "More", Inputs: []inputs.Input{
		{Name: "brand-new", Kind: inputs.Choice, Choices: []string{"a", "b"}, Stages: "all", Doc: doc, Unset: "a"}}})
	made := generated(t, table)
	var action struct {
		Inputs map[string]struct{ Description string }
		Runs   struct {
			Steps []struct{ Env map[string]string }
		}
	}
	if err := yaml.Unmarshal(made["actions/action.yml"], &action); err != nil {
		t.Fatal(err)
	}
	want := "N" + doc[1:] + ". One of a, b. Unset: a."
	if got := action.Inputs["brand-new"].Description; got != want {
		t.Errorf("description %q, want %q", got, want)
	}
	if got := string(made[component]); !strings.Contains(got, "    brand_new:\n      description: ") || !strings.Contains(got, "    INPUT_BRAND_NEW:\n      value: \"$[[ inputs.brand_new ]]\"\n      expand: false\n") {
		t.Error("the GitLab component does not have it")
	}
	if !strings.Contains(string(made["jenkins/vars/outlast.groovy"]), "    brandNew: 'OUTLAST_BRAND_NEW',\n") {
		t.Error("the Jenkins step does not have it")
	}
	if !strings.Contains(string(made["codebuild/buildspec.yml"]), "    OUTLAST_BRAND_NEW: \"\"\n") {
		t.Error("the buildspec does not have it")
	}
	for _, path := range []string{"commands/rollout.yml", "jobs/rollout.yml"} {
		if !strings.Contains(string(made[orb+path]), "  brand_new:\n    description: ") {
			t.Errorf("the orb's %s does not have it", path)
		}
	}
	if !strings.Contains(string(made["actions/README.md"]), "| `brand-new` | N"+doc[1:]+". One of a, b. Unset: a. |") {
		t.Error("the README does not have it")
	}
	if got := action.Runs.Steps[0].Env["OUTLAST_BRAND_NEW"]; got != "${{ inputs.brand-new || env.OUTLAST_BRAND_NEW }}" {
		t.Errorf("variable %q", got)
	}
}

func TestTheAction(t *testing.T) {
	made := generated(t, inputs.Table)
	var action struct {
		Name, Description, Author string
		Branding                  struct{ Icon, Color string }
		Inputs                    map[string]struct {
			Description string
			Required    bool
			Default     *string
		}
		Outputs map[string]struct{ Description, Value string }
		Runs    struct {
			Using string
			Steps []struct {
				ID, Shell, Run string
				Env            map[string]string
			}
		}
	}
	dec := yaml.NewDecoder(strings.NewReader(string(made["actions/action.yml"])))
	dec.KnownFields(true)
	if err := dec.Decode(&action); err != nil {
		t.Fatal(err)
	}
	step := action.Runs.Steps[0]
	for _, in := range renamed() {
		got, ok := action.Inputs[in.Name]
		if !ok || got.Required || got.Default != nil || !strings.Contains(got.Description, "Unset: "+in.Unset) {
			t.Errorf("input %s: %+v; no default may live in a wrapper", in.Name, got)
		}
		if !strings.HasPrefix(step.Env[in.Variable()], "${{ inputs."+in.Name+" || env."+in.Variable()) { // a job may set the variable, too
			t.Errorf("%s=%q", in.Variable(), step.Env[in.Variable()])
		}
	}
	if len(action.Inputs) != len(renamed()) || len(step.Env) != len(renamed())+2 { // the action's own folder, and GitHub's token
		t.Errorf("%d inputs, %d variables, %d rows", len(action.Inputs), len(step.Env), len(renamed()))
	}
	if got := step.Env["OUTLAST_GITHUB_TOKEN"]; got != "${{ env.OUTLAST_GITHUB_TOKEN || github.token }}" {
		t.Errorf("OUTLAST_GITHUB_TOKEN=%q", got)
	}
	for _, o := range output.Outputs() {
		if action.Outputs[o.Name].Value != "${{ steps.outlast.outputs."+o.Name+" }}" {
			t.Errorf("output %s: %+v", o.Name, action.Outputs[o.Name])
		}
	}
	if strings.Contains(step.Run, "${{") {
		t.Errorf("an expression in run is a way in for anybody's text: %s", step.Run)
	}
}

// The run script becomes the program: nothing stands between it and signals.
func TestTheRunScriptBecomesOutlast(t *testing.T) {
	m := newMachine(t, "v1.2.3")
	made, err := Files(inputs.Table, Release{Version: "v1.2.3", Releases: m.fetch, Sums: []Sum{{m.asset, m.sum}}})
	if err != nil {
		t.Fatal(err)
	}
	m.script = m.write("run.sh", string(made["actions/run.sh"]), 0o644)
	m.run("OUTLAST_BINARY="+m.write("fake", "#!/bin/sh\necho \"$$ $* [$OUTLAST_REGION]\"; exit 7\n", 0o755), "OUTLAST_REGION=$(reboot) '\"\nx")
	pid, rest, _ := strings.Cut(m.stdout, " ")
	if m.code != 7 || rest != "deploy [$(reboot) '\"\nx]\n" || pid == "" {
		t.Errorf("exit %d, %q, %s", m.code, m.stdout, m.stderr)
	}
	m.run()
	if m.code != 0 || m.stdout != "ran deploy\n" {
		t.Errorf("a release: exit %d, %q, %s", m.code, m.stdout, m.stderr)
	}
	m.served, m.env = nil, append(m.env, "OUTLAST_CACHE="+m.dir+"/empty")
	m.run()
	if m.code != 4 || !strings.Contains(m.stderr, "no outlast program was found") {
		t.Errorf("none: exit %d, %q, %s", m.code, m.stdout, m.stderr)
	}
	if check, err := exec.LookPath("shellcheck"); err == nil {
		if out, err := exec.Command(check, "--shell=sh", m.script).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// renamed are the inputs that wrappers rename: all but the secrets, which are
// variables only.
func renamed() []inputs.Input {
	return slices.DeleteFunc(inputs.All(), func(in inputs.Input) bool { return in.Secret })
}

func TestASecretIsAVariableAndNoInput(t *testing.T) {
	made := generated(t, append(slices.Clone(inputs.Table), inputs.Group{Title: "More", Inputs: []inputs.Input{
		{Name: "brand-new", Kind: inputs.Text, Stages: "all", Doc: "new", Unset: "none", Secret: true}}}))
	for path, text := range made {
		if readme := strings.HasSuffix(path, "README.md"); readme != strings.Contains(string(text), "OUTLAST_BRAND_NEW") {
			t.Errorf("%s: named: %v", path, !readme)
		}
		for _, name := range []string{"brand-new", "brand_new", "brandNew", "INPUT_BRAND_NEW", " BRAND_NEW"} {
			if strings.Contains(string(text), name) {
				t.Errorf("%s has it as %s", path, name)
			}
		}
	}
}
