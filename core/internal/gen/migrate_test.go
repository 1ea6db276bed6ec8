// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
)

// guide gives one of the files that the migration guides show.
func guide(t *testing.T, name string) string {
	t.Helper()
	text, err := plain("migrate/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return text + "\n"
}

// What the migration guides show as "after" is run here: by each CI's runner,
// with the real outlast, whose stages are narrowed to rendering by the job's
// variables.
func TestTheMigrationGuides(t *testing.T) {
	program := filepath.Join(t.TempDir(), "outlast")
	build := exec.Command("go", "build", "-o", program, "./core/cmd/outlast")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	env := []string{"OUTLAST_BINARY=" + program, "OUTLAST_FROM=render", "OUTLAST_TO=render", "OUTLAST_IMAGE=web=example.com/web@sha256:" + strings.Repeat("1", 64)}
	flags := func(flag string) (args []string) {
		for _, pair := range env {
			args = append(args, flag, pair)
		}
		return args
	}
	cases := map[string]struct {
		file, after string
		run         func(t *testing.T, m *machine, dir, branch string) (*exec.Cmd, string) // and the folder with .outlast
	}{
		"github": {".github/workflows/ci.yml", "github-after.yml", func(t *testing.T, m *machine, dir, branch string) (*exec.Cmd, string) {
			args := published(t, m)
			args[1] = strings.Replace(args[1], "@v1", "@main", 1)
			m.write("setup-go/action.yml", "name: x\ndescription: x\ninputs: {go-version: {description: x}}\nruns: {using: composite, steps: [{run: 'true', shell: sh}]}\n", 0o644)
			args = append(args, "--local-repository", "actions/setup-go@v5="+filepath.Join(m.dir, "setup-go"))
			args = append(append([]string{"push", "-P", "ubuntu-latest=-self-hosted", "--env", "OUTLAST_OUTPUT_DIR=" + filepath.Join(dir, ".outlast")}, args...), flags("--env")...)
			return exec.CommandContext(t.Context(), runner(t, "act"), args...), dir
		}},
		"gitlab": {".gitlab-ci.yml", "gitlab-after.yml", func(t *testing.T, m *machine, dir, branch string) (*exec.Cmd, string) {
			m.write("repo/templates/deploy/template.yml", string(generated(t, inputs.Table)[component]), 0o644)
			path := filepath.Join(dir, ".gitlab-ci.yml")
			text, err := os.ReadFile(path)
			here := strings.Replace(string(text), "/outlast/outlast/deploy@main", "/$CI_PROJECT_PATH/deploy@$CI_COMMIT_SHA", 1)
			if err != nil || here == string(text) {
				t.Fatal("the guide names another component")
			}
			m.write("repo/.gitlab-ci.yml", here, 0o644)
			out := filepath.Join(m.dir, "out")
			return gitlabRun(t, append(append([]string{"--out", out}, flags("--env")...), dir)...), out
		}},
		"circleci": {".circleci/config.yml", "circleci-after.yml", func(t *testing.T, m *machine, dir, branch string) (*exec.Cmd, string) {
			args := append([]string{"--orb", "outlast-ci/outlast=" + packed(t, m), "--source", dir, "--branch", branch}, flags("--env")...)
			return exec.CommandContext(t.Context(), runner(t, "circleci-run"), append(args, filepath.Join(dir, ".circleci/config.yml"))...), dir
		}},
		"codebuild": {"buildspec.yml", "codebuild-after.yml", func(t *testing.T, _ *machine, dir, branch string) (*exec.Cmd, string) {
			args := append([]string{"--source", dir, "--env", "PATH=" + filepath.Dir(program) + ":" + os.Getenv("PATH"), "--env", "OUTLAST_BRANCH=" + branch, "--env", "OUTLAST_REGION=cn-northwest-1"}, flags("--env")...)
			return exec.CommandContext(t.Context(), runner(t, "codebuild-run"), append(args, filepath.Join(dir, "buildspec.yml"))...), dir
		}},
		"jenkins": {"Jenkinsfile", "jenkins-after.groovy", func(t *testing.T, m *machine, dir, branch string) (*exec.Cmd, string) {
			cmd := declarative(t, m, dir)
			cmd.Env = append(cmd.Env, append(env, "JENKINS_URL=https://jenkins.example.com/", "BRANCH_NAME="+branch)...)
			return cmd, dir
		}},
	}
	for name, c := range cases {
		if lines := strings.Count(guide(t, c.after), "\n"); lines > 15 {
			t.Errorf("%s: %d lines are more than 15", c.after, lines)
		}
		for branch, environment := range map[string]string{"develop": "dev", "main": "prod"} {
			t.Run(name+" on "+branch, func(t *testing.T) {
				m := newMachine(t, "")
				dir := filepath.Join(m.dir, "repo")
				m.write("repo/"+c.file, guide(t, c.after), 0o644)
				m.write("repo/outlast.yaml", guide(t, "outlast.yaml"), 0o644)
				m.write("repo/Dockerfile", "FROM scratch\n", 0o644)
				for _, env := range []string{"dev", "prod"} {
					m.write("repo/deploy/overlays/"+env+"/kustomization.yaml", "namespace: "+env+"\nresources: [web.yaml]\n", 0o644)
					m.write("repo/deploy/overlays/"+env+"/web.yaml", unsafe, 0o644)
				}
				cmd, left := c.run(t, m, dir, branch)
				repository(t, dir)
				if out, err := exec.Command("git", "-C", dir, "checkout", "-q", "-B", branch).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				if cmd.Dir == "" {
					cmd.Dir = dir
				}
				cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH"), "HOME="+filepath.Join(m.dir, "home"))
				log, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, log)
				}
				var report struct {
					Result string
					Run    struct{ App, Environment, Branch, Region, Cluster string }
				}
				reports := find(t, left, "report.json")
				if len(reports) != 1 {
					t.Fatalf("reports: %q\n%s", reports, log)
				}
				text, err := os.ReadFile(reports[0])
				if err == nil {
					err = json.Unmarshal(text, &report)
				}
				if r := report.Run; err != nil || report.Result != "passed" || r.Environment != environment || r.Branch != branch || r.Region != "cn-northwest-1" || r.Cluster != environment {
					t.Errorf("the report says %+v (%v)\n%s", report, err, log)
				}
			})
		}
	}
}

// declarative gives the command that runs a folder's Jenkinsfile.
func declarative(t *testing.T, m *machine, dir string) *exec.Cmd {
	t.Helper()
	for path, text := range generated(t, inputs.Table) {
		if strings.HasPrefix(path, "jenkins/") {
			m.write(path, string(text), 0o644)
		}
	}
	java, err := filepath.EvalSymlinks(runner(t, "java"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), runner(t, "groovy"), "-cp", "testdata/jenkins", "testdata/jenkins/declarative.groovy", filepath.Join(m.dir, "jenkins"), dir, filepath.Join(dir, "Jenkinsfile"), filepath.Join(m.dir, "seen.json"))
	cmd.Dir, cmd.Env = ".", []string{"JAVA_HOME=" + filepath.Dir(filepath.Dir(java))}
	return cmd
}

// A declarative pipeline: what is no word of it is refused, and a step that
// fails is followed by what the pipeline has for that.
func TestADeclarativePipeline(t *testing.T) {
	pipeline := func(body string) string {
		return "@Library('outlast@main') _\npipeline {\n  agent any\n" + body + "\n}\n"
	}
	deploy := "  stages { stage('deploy') { steps { outlast(binary: \"BINARY\") } } }\n"
	cases := map[string]struct {
		text  string
		error string
		steps string
		post  string
	}{
		"a step that passes": {pipeline(deploy + "  post { success { echo 'good' }\n failure { echo 'bad' }\n always { echo 'done' } }"), "", "stage deploy, outlast, sh, junit .outlast/report.xml, archive .outlast/**, echo good, echo done", "success always"},
		"a step that fails": {pipeline(strings.Replace(deploy, "BINARY\"", "BINARY\", tag: 'fail'", 1) + "  post { success { echo 'good' }\n failure { echo 'bad' } }"), "outlast ended with exit code 7",
			"stage deploy, outlast, sh, junit .outlast/report.xml, archive .outlast/**, echo bad", "failure"},
		"an unknown argument":    {pipeline("  stages { stage('deploy') { steps { outlast(regoin: 'x') } } }"), "unknown argument regoin", "stage deploy, outlast", ""},
		"an unknown step":        {pipeline("  stages { stage('deploy') { steps { outlest() } } }"), "steps does not know outlest", "stage deploy", ""},
		"an unknown section":     {pipeline("  stage('deploy') { }"), "pipeline does not know stage", "", ""},
		"a step outside steps":   {pipeline("  stages { stage('deploy') { outlast() } }"), "stage does not know outlast", "stage deploy", ""},
		"an unknown condition":   {pipeline(deploy + "  post { sometimes { echo 'x' } }"), "post does not know sometimes", "stage deploy, outlast, sh, junit .outlast/report.xml, archive .outlast/**", ""},
		"an unknown option":      {pipeline("  options { fast() }\n" + deploy), "options does not know fast", "", ""},
		"no stages":              {pipeline(""), "agent and stages are required", "", ""},
		"no agent":               {"@Library('outlast@main') _\npipeline {\n" + deploy + "}\n", "agent and stages are required", "", ""},
		"no library":             {"pipeline {\n  agent any\n" + deploy + "}\n", "does not load the library", "", ""},
		"no pipeline":            {"@Library('outlast@main') _\n", "there is no pipeline", "", ""},
		"a stage without a name": {pipeline("  stages { stage { steps { outlast() } } }"), "stage wants a name", "", ""},
	}
	fake := strings.Replace(fakeCore, `exit "${FAKE_EXIT:-0}"`, `[ -z "${OUTLAST_TAG:-}" ] || exit 7`, 1)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, "")
			m.write("repo/Jenkinsfile", strings.ReplaceAll(c.text, "BINARY", m.write("fake", fake, 0o755)), 0o644)
			cmd := declarative(t, m, filepath.Join(m.dir, "repo"))
			cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH"), "HOME="+m.dir, "KEEP="+filepath.Join(m.dir, "keep"))
			log, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, log)
			}
			var seen struct {
				Steps, Posted []string
				Error         *string
			}
			text, err := os.ReadFile(filepath.Join(m.dir, "seen.json"))
			if err == nil {
				err = json.Unmarshal(text, &seen)
			}
			said := ""
			if seen.Error != nil {
				said = *seen.Error
			}
			if err != nil || !strings.Contains(said, c.error) || (said == "") != (c.error == "") || strings.Join(seen.Steps, ", ") != c.steps || strings.Join(seen.Posted, " ") != c.post {
				t.Errorf("%v: error %q, steps %q, post %q\n%s", err, said, seen.Steps, seen.Posted, log)
			}
		})
	}
}
