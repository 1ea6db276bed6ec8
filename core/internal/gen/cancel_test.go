// SPDX-License-Identifier: Apache-2.0

//go:build unix

package gen

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
)

// A builder that never comes to an end: it stands for any stage that a cancelled
// job is in. deaf: it does not heed signals either.
const endless = `#!/bin/sh
case " $* " in *" workers "*) exit 0 ;; esac
echo $$ > "$MARK"
if [ -n "$DEAF" ]; then trap '' TERM INT; fi
while :; do sleep 0.2; done
`

// victim is a project whose build never ends, and the real outlast to be
// cancelled in it.
func victim(t *testing.T) (m *machine, dir string, env []string) {
	t.Helper()
	m = newMachine(t, "")
	program := filepath.Join(m.dir, "outlast")
	build := exec.Command("go", "build", "-o", program, "./core/cmd/outlast")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	m.write("tools/buildctl", endless, 0o755)
	m.write("repo/outlast.yaml", "app: web\nimages:\n  - name: web\n    repository: registry.example.com/web\nenvironments:\n  dev: {branches: [develop]}\n", 0o644)
	m.write("repo/Dockerfile", "FROM scratch\n", 0o644)
	m.write("repo/.dockerignore", ".outlast\n", 0o644)
	dir = filepath.Join(m.dir, "repo")
	return m, dir, []string{"PATH=" + filepath.Join(m.dir, "tools") + ":" + os.Getenv("PATH"), "HOME=" + m.dir, "MARK=" + filepath.Join(m.dir, "mark"), "BUILDKIT_HOST=unix:///nowhere",
		"OUTLAST_BINARY=" + program, "OUTLAST_TO=build"}
}

// building waits until the build has begun, and gives its process.
func building(t *testing.T, m *machine, log *bytes.Buffer) int {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if text, err := os.ReadFile(filepath.Join(m.dir, "mark")); err == nil && strings.HasSuffix(string(text), "\n") {
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatalf("the build did not begin:\n%s", log)
	return 0
}

// truthful says what is wrong with what a cancelled run left: its report, its outputs, and no process.
func truthful(dir, reason string, pid int) (wrong error) {
	var report struct{ Result, Reason string }
	text, err := os.ReadFile(filepath.Join(dir, ".outlast/report.json"))
	if err == nil {
		err = json.Unmarshal(text, &report)
	}
	if err != nil || report.Result != "interrupted" || report.Reason != reason {
		wrong = errors.Join(wrong, fmt.Errorf("the report says %+v (%v), want %s", report, err, reason))
	}
	if text, err := os.ReadFile(filepath.Join(dir, ".outlast/outputs.env")); err != nil || !strings.Contains(string(text), "OUTLAST_OUT_RESULT=interrupted\n") {
		wrong = errors.Join(wrong, fmt.Errorf("outputs %q (%v)", text, err))
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		wrong = errors.Join(wrong, fmt.Errorf("the builder is still there: %v", err))
	}
	return wrong
}

// GitHub's runner signals the step's first process: SIGINT, SIGTERM after 7.5
// seconds, SIGKILL 2.5 seconds later. That act kills at once is why this is no act.
// https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-cancellation
func TestACancelledJobOnGitHub(t *testing.T) {
	for name, deaf := range map[string]string{"a builder that heeds signals": "", "a deaf one": "1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, dir, env := victim(t)
			repository(t, dir)
			m.write("action/run.sh", string(generated(t, inputs.Table)["actions/run.sh"]), 0o644)
			m.write("step.sh", "exec sh \"$ACTION_PATH/run.sh\"\n", 0o644) // the action's own line
			if !strings.Contains(string(generated(t, inputs.Table)["actions/action.yml"]), "run: exec sh \"$ACTION_PATH/run.sh\"\n") {
				t.Fatal("the action's step is another one")
			}
			var log bytes.Buffer
			cmd := exec.Command("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", filepath.Join(m.dir, "step.sh"))
			cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &log, &log
			output := filepath.Join(m.dir, "output")
			cmd.Env = append(env, "DEAF="+deaf, "ACTION_PATH="+filepath.Join(m.dir, "action"), "GITHUB_ACTIONS=true", "GITHUB_REF=refs/heads/develop", "GITHUB_OUTPUT="+output)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			builder := building(t, m, &log)
			began := time.Now()
			var err error
		steps:
			for _, step := range []struct {
				signal syscall.Signal
				wait   time.Duration
			}{{syscall.SIGINT, 7500 * time.Millisecond}, {syscall.SIGTERM, 2500 * time.Millisecond}, {syscall.SIGKILL, time.Minute}} {
				if err := cmd.Process.Signal(step.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
					t.Fatal(err)
				}
				select {
				case err = <-ended:
					break steps
				case <-time.After(step.wait):
				}
			}
			t.Logf("ended %s after the first signal", time.Since(began).Round(10*time.Millisecond))
			if cmd.ProcessState.ExitCode() != 130 {
				t.Fatalf("%v\n%s", err, log.String())
			}
			if err := truthful(dir, "interrupted", builder); err != nil {
				t.Error(err)
			}
			if text, err := os.ReadFile(output); err != nil || !strings.Contains(string(text), "result=interrupted\n") {
				t.Errorf("outputs of the step: %q (%v)", text, err)
			}
		})
	}
}

// Jenkins sends SIGTERM to the processes of a step, whose result a shell of its own
// keeps.
func TestACancelledBuildOnJenkins(t *testing.T) {
	for name, youngest := range map[string]bool{"the step first": false, "its youngest process first, as Jenkins does": true} {
		t.Run(name, func(t *testing.T) {
			for range 5 {
				took, wrong := cancelledByJenkins(t, youngest)
				if wrong == nil {
					return
				}
				// For a second outlast waits to hear why its builder ended. A machine that stood still so
				// long shows nothing.
				if !youngest || took < 900*time.Millisecond {
					t.Fatal(wrong)
				}
				t.Logf("the signals took %s: %v", took, wrong)
			}
			t.Error("each time the signals took too long")
		})
	}
}

// cancelledByJenkins says what is wrong with a cancelled build, and how long it took from the
// first signal to its end.
func cancelledByJenkins(t *testing.T, youngest bool) (took time.Duration, wrong error) {
	t.Helper()
	m, dir, env := victim(t)
	repository(t, dir)
	script := m.write("script.sh", string(generated(t, inputs.Table)["jenkins/resources/outlast/run.sh"]), 0o755)
	var log bytes.Buffer
	cmd := exec.Command("sh", "-c", `"$0"; code=$?; echo $code > "$0.result"; exit $code`, script) // as durable-task keeps the result
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = dir, &log, &log, append(env, "JENKINS_URL=https://jenkins.example.com/", "BRANCH_NAME=develop")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	builder := building(t, m, &log)
	step := child(t, cmd.Process.Pid)
	began := time.Now()
	if youngest {
		if err := syscall.Kill(builder, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		for !errors.Is(syscall.Kill(builder, 0), syscall.ESRCH) { // until outlast has seen it end
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(300 * time.Millisecond)
	}
	killed := syscall.Kill(step, syscall.SIGTERM)
	err := cmd.Wait()
	took = time.Since(began)
	if killed != nil || cmd.ProcessState.ExitCode() != 143 {
		return took, fmt.Errorf("%v, %v\n%s", killed, err, log.String())
	}
	return took, truthful(dir, "terminated", builder)
}

// child gives the one child of a process.
func child(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(pid) + "/children")
	if err != nil {
		t.Skipf("this test finds no children here: %v", err)
	}
	all := strings.Fields(string(text))
	if len(all) != 1 {
		t.Fatalf("children of the step: %q", all)
	}
	n, err := strconv.Atoi(all[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// GitLab's own runner sends SIGTERM. A job that is being canceled hands its
// report in; one that is canceled for good does not.
func TestACancelledJobOnGitLabsRunner(t *testing.T) {
	for as, uploads := range map[string]bool{"canceled": false, "canceling": true} {
		t.Run(as, func(t *testing.T) {
			t.Parallel()
			m, dir, env := victim(t)
			m.write("repo/templates/deploy/template.yml", string(generated(t, inputs.Table)[component]), 0o644)
			m.write("repo/.gitlab-ci.yml", "stages: [deploy]\ninclude:\n  - local: templates/deploy/template.yml\n", 0o644)
			repository(t, dir)
			out := filepath.Join(m.dir, "out")
			args := []string{"--out", out, "--cancel-after", "build  started", "--cancel-as", as}
			for _, pair := range env {
				args = append(args, "--env", pair)
			}
			log, err := gitlabRun(t, append(args, dir)...).CombinedOutput()
			if err == nil || !strings.Contains(string(log), "canceled: true") {
				t.Fatalf("%v\n%s", err, log)
			}
			builder := building(t, m, bytes.NewBuffer(log))
			reports, err := filepath.Glob(filepath.Join(out, "builds/*/*/acme/web/.outlast/report.json"))
			if err != nil || len(reports) != 1 {
				reports = find(t, filepath.Join(out, "builds"), "report.json")
			}
			if len(reports) != 1 {
				t.Fatalf("reports: %q\n%s", reports, log)
			}
			if err := truthful(filepath.Dir(filepath.Dir(reports[0])), "terminated", builder); err != nil {
				t.Error(err)
			}
			_, err = os.Stat(filepath.Join(out, "outlast", "archive.zip"))
			if (err == nil) != uploads {
				t.Errorf("artifacts uploaded: %v, want %v\n%s", err == nil, uploads, log)
			}
		})
	}
}

// find lists files of a name.
func find(t *testing.T, dir, name string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == name {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
