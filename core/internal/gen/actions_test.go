// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/outlast-ci/outlast/core/internal/ci"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/scaffold"
)

// published stands for a checkout of the project as GitHub makes it for
// `uses: outlast-ci/outlast/actions@v1`.
func published(t *testing.T, m *machine) []string {
	t.Helper()
	for path, text := range generated(t, inputs.Table) {
		m.write(filepath.Join("published", path), string(text), 0o644)
	}
	return []string{"--local-repository", "outlast-ci/outlast@v1=" + filepath.Join(m.dir, "published")}
}

// By the name that users write, each action is found with its script and the
// checkout around it.
func TestTheActionsByTheirPublishedName(t *testing.T) {
	act := runner(t, "act")
	m := newMachine(t, "")
	keep := filepath.Join(m.dir, "keep")
	fake := m.write("other name", fakeCore, 0o755)
	args := published(t, m)
	m.write("repo/.github/workflows/ci.yml", fmt.Sprintf(`on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - id: deploy
        uses: outlast-ci/outlast/actions@v1
        with: {binary: %q, region: eu-west-1}
      - run: mv "$KEEP" "$KEEP.deploy"
      - id: check
        uses: outlast-ci/outlast/actions/check@v1
        with: {binary: %q, longest-request: 12s}
      - run: mv "$KEEP" "$KEEP.check"
      - id: setup
        uses: outlast-ci/outlast/actions/setup@v1
        with: {binary: %q}
      - env: {BINARY: '${{ steps.setup.outputs.binary }}', RESULT: '${{ steps.deploy.outputs.result }} ${{ steps.check.outputs.result }}'}
        run: outlast gate of a later step; echo "$BINARY $RESULT" > "$KEEP/outputs"
`, fake, fake, fake), 0o644)
	log, err := actRun(t, act, m, keep, args...)
	if err != nil {
		t.Fatalf("act: %v\n%s", err, log)
	}
	for file, want := range map[string]string{
		".deploy/args": "deploy\n", ".deploy/OUTLAST_REGION": "eu-west-1",
		".check/args": "check\n", ".check/OUTLAST_LONGEST_REQUEST": "12s",
		"/args": "gate of a later step\n", "/outputs": fake + " passed passed\n",
	} {
		if got, err := os.ReadFile(keep + file); err != nil || string(got) != want {
			t.Errorf("%s: %q %v, want %q", file, got, err, want)
		}
	}
	for _, step := range []string{".deploy", ".check"} {
		source, err := os.ReadFile(keep + step + "/OUTLAST_SOURCE")
		if err != nil {
			t.Fatal(err)
		}
		if want := map[string]string{".deploy": "/actions/..", ".check": "/actions/check/../.."}[step]; !strings.HasSuffix(string(source), want) {
			t.Errorf("%s: the action's own checkout is %q", step, source)
		}
	}
	if t.Failed() {
		t.Log(log)
	}
}

// The workflow that outlast init writes runs as it is: the action finds the
// project's folder, after the steps that give it Go and credentials.
func TestTheWorkflowThatInitWrites(t *testing.T) {
	act := runner(t, "act")
	m := newMachine(t, "")
	keep := filepath.Join(m.dir, "keep")
	m.write("bin2/outlast", fakeCore, 0o755)
	t.Setenv("PATH", filepath.Join(m.dir, "bin2")+":"+os.Getenv("PATH"))
	args := published(t, m)
	args[1] = strings.Replace(args[1], "@v1", "@main", 1)
	for name, with := range map[string][]string{"actions/setup-go@v5": {"go-version"}} {
		text := "name: x\ninputs:\n"
		env, run := "", ""
		for i, in := range with {
			text += "  " + in + ": {required: true, description: x}\n"
			env += fmt.Sprintf("        V%d: ${{ inputs.%s }}\n", i, in)
			run += fmt.Sprintf("mkdir -p \"$KEEP\"; printf %%s \"$V%d\" > \"$KEEP/%s\"; ", i, in)
		}
		dir := filepath.Join("others", filepath.Base(name))
		m.write(filepath.Join(dir, "action.yml"), text+"runs:\n  using: composite\n  steps:\n    - shell: bash\n      env:\n"+env+"      run: "+run+"\n", 0o644)
		args = append(args, "--local-repository", name+"="+filepath.Join(m.dir, dir))
	}
	m.write("repo/services/web/deploy/all.yaml", unsafe, 0o644)
	role := "arn:aws-cn:iam::111122223333:role/deployer"
	plan, err := scaffold.New(t.Context(), scaffold.Options{Dir: filepath.Join(m.dir, "repo/services/web"), Top: filepath.Join(m.dir, "repo"), CI: "github",
		Repository: ci.Repository{Default: "develop", Branches: []string{"develop"}}, Region: "cn-northwest-1", RoleARN: role, Scalars: inputs.ScalarKeys()})
	if err == nil {
		err = plan.Write()
	}
	if err != nil {
		t.Fatal(err)
	}
	log, err := actRun(t, act, m, keep, args...)
	if err != nil {
		t.Fatalf("act: %v\n%s", err, log)
	}
	for file, want := range map[string]string{"args": "deploy\n", "OUTLAST_WORKING_DIRECTORY": "services/web", "OUTLAST_ROLE_ARN": role, "OUTLAST_REGION": "cn-northwest-1", "go-version": "1.26"} {
		if got, err := os.ReadFile(filepath.Join(keep, file)); err != nil || string(got) != want {
			t.Errorf("%s: %q %v, want %q\n%s", file, got, err, want, log)
		}
	}
	if lint, err := exec.LookPath("actionlint"); err == nil {
		if out, err := exec.Command(lint, "-no-color", filepath.Join(m.dir, "repo/.github/workflows/outlast.yml")).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

const unsafe = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {ingressClassName: alb, defaultBackend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
data: {key: dG9wLXNlY3JldC10ZXh0}
`

// With the real program: unsafe timings fail the job with exit code 5, what a
// deploy would write passes, and no Secret is in the log.
func TestTheCheckOnGitHubsRunner(t *testing.T) {
	act := runner(t, "act")
	outlast := filepath.Join(t.TempDir(), "outlast")
	build := exec.Command("go", "build", "-o", outlast, "../../cmd/outlast")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, c := range map[string]struct {
		safe          bool
		config        string
		exit, outputs string
	}{
		"timings that lose requests":              {false, "", "5", "failed findings failure\n"},
		"a file that turns the policy off":        {false, "drain: {policy: 'off'}\n", "5", "failed findings failure\n"},
		"what a deploy would have written passes": {true, "", "0", "passed ok success\n"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "")
			keep := filepath.Join(m.dir, "keep")
			if err := os.Mkdir(keep, 0o755); err != nil {
				t.Fatal(err)
			}
			args := published(t, m)
			m.write("repo/outlast.yaml", "app: web\n"+c.config, 0o644)
			manifests := m.write("repo/deploy/all.yaml", unsafe, 0o644)
			m.write("repo/deploy/kustomization.yaml", "resources: [all.yaml]\n", 0o644)
			if c.safe {
				render := exec.Command(outlast, "render", "--manifests", "deploy", "--output-dir", t.TempDir())
				render.Dir = filepath.Dir(filepath.Dir(manifests))
				safe, err := render.Output()
				if err != nil || !strings.Contains(string(safe), "preStop") {
					t.Fatalf("%v: %s", err, safe)
				}
				m.write("repo/deploy/all.yaml", string(safe), 0o644)
			}
			m.write("repo/.github/workflows/ci.yml", `on: push
jobs:
  timings:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: outlast-ci/outlast/actions/setup@v1
        with: {binary: `+outlast+`}
      - id: check
        uses: outlast-ci/outlast/actions/check@v1
      - if: always()
        env: {OUT: '${{ steps.check.outputs.result }} ${{ steps.check.outputs.reason }} ${{ steps.check.outcome }}'}
        run: echo "$OUT" > "$KEEP/outputs"
`, 0o644)
			log, err := actRun(t, act, m, keep, args...)
			if (err == nil) != (c.exit == "0") || c.exit != "0" && !strings.Contains(log, "exit status "+c.exit+"\n") {
				t.Errorf("act: %v, want exit code %s\n%s", err, c.exit, log)
			}
			if got, err := os.ReadFile(filepath.Join(keep, "outputs")); err != nil || string(got) != c.outputs {
				t.Errorf("outputs %q %v, want %q\n%s", got, err, c.outputs, log)
			}
			if c.exit == "5" && !strings.Contains(log, "OL001 pre-stop-too-short") {
				t.Errorf("the log does not tell what is unsafe:\n%s", log)
			}
			if strings.Contains(log, "dG9wLXNlY3JldC10ZXh0") || strings.Contains(log, "kind: Deployment") {
				t.Errorf("the manifests are in the log:\n%s", log)
			}
		})
	}
}

// No default lives in the smaller actions either, and each row is an input of
// the action whose stages read it.
func TestTheSmallerActions(t *testing.T) {
	made := generated(t, inputs.Table)
	for name, has := range map[string]func(in inputs.Input) bool{
		"setup": inputs.Input.ForGetOutlast,
		"check": func(in inputs.Input) bool {
			return in.ForGetOutlast() || in.ReadBy("check")
		},
	} {
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
		dec := yaml.NewDecoder(strings.NewReader(string(made["actions/"+name+"/action.yml"])))
		dec.KnownFields(true)
		if err := dec.Decode(&action); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		step, want := action.Runs.Steps[0], 0
		for _, in := range inputs.All() {
			got, ok := action.Inputs[in.Name]
			if ok != has(in) || got.Required || got.Default != nil {
				t.Errorf("%s: input %s: %v %+v", name, in.Name, ok, got)
			}
			if !has(in) {
				continue
			}
			want++
			if !strings.HasPrefix(step.Env[in.Variable()], "${{ inputs."+in.Name+" || env."+in.Variable()) {
				t.Errorf("%s: %s=%q", name, in.Variable(), step.Env[in.Variable()])
			}
		}
		if len(action.Inputs) != want || want == 0 || strings.Contains(step.Run, "${{") || action.Branding.Icon == "" {
			t.Errorf("%s: %d inputs, want %d; run %q", name, len(action.Inputs), want, step.Run)
		}
	}
}

// What the runner's files cannot hold, or the machine cannot run, is refused.
func TestSetupRefuses(t *testing.T) {
	m := newMachine(t, "")
	m.script = m.write("setup.sh", string(generated(t, inputs.Table)["actions/setup/setup.sh"]), 0o644)
	m.link("ln")
	path, out := m.write("path", "", 0o644), m.write("out", "", 0o644)
	m.env = append(m.env, "GITHUB_PATH="+path, "GITHUB_OUTPUT="+out, "RUNNER_TEMP="+m.dir)
	for name, c := range map[string]struct {
		binary, want string
		code         int
	}{
		"a path with a line break":  {m.write("a\nb/outlast", program, 0o755), "has a line break", 2},
		"no program":                {m.dir + "/absent", "no outlast program was found", 4},
		"a program that cannot run": {m.write("c/outlast", "#!/bin/sh\nexit 3\n", 0o755), "it is no outlast", 4},
	} {
		m.run("OUTLAST_BINARY=" + c.binary)
		if m.code != c.code || !strings.Contains(m.stderr, c.want) {
			t.Errorf("%s: exit %d, want %d: %s", name, m.code, c.code, m.stderr)
		}
		for _, file := range []string{path, out} {
			if text, err := os.ReadFile(file); err != nil || len(text) > 0 {
				t.Errorf("%s: %s holds %q (%v)", name, filepath.Base(file), text, err)
			}
		}
	}
	named := m.write("d e/outlast", program, 0o755)
	m.run("OUTLAST_BINARY=" + named)
	if text, err := os.ReadFile(path); err != nil || string(text) != filepath.Dir(named)+"\n" {
		t.Errorf("exit %d, PATH %q %v: %s", m.code, text, err, m.stderr)
	}
	if check, err := exec.LookPath("shellcheck"); err == nil {
		if out, err := exec.Command(check, "--shell=sh", m.script).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}
