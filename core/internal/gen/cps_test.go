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

// The step on JenkinsPipelineUnit, which transforms it and the pipeline to
// continuation-passing style: what Jenkins could not suspend fails here.
func TestTheJenkinsStepInContinuationPassingStyle(t *testing.T) {
	jars, err := filepath.Glob(filepath.Join(root, ".ci/runners/jenkins/lib/*.jar"))
	if err != nil || len(jars) == 0 {
		t.Skip("JenkinsPipelineUnit is not installed: make runners does it")
	}
	java := runner(t, "java")
	cases := map[string]struct {
		call, exit string
		error      string
		steps      []string
	}{
		"a deploy that passes": {"keep(outlast(binary: 'BINARY', region: '$(touch executed)', noCache: true, set: ['P=20', 'M=5']))", "0", "",
			[]string{"withEnv", "sh", "junit .outlast/report.xml", "archive .outlast/**"}},
		"a deploy that fails":               {"keep(outlast(binary: 'BINARY'))", "7", "outlast ended with exit code 7", []string{"withEnv", "sh", "junit .outlast/report.xml", "archive .outlast/**"}},
		"a deploy that is aborted":          {"keep(outlast(binary: 'BINARY'))", "abort", "aborted", []string{"withEnv", "sh", "junit .outlast/report.xml", "archive .outlast/**"}},
		"nothing that ran":                  {"keep(outlast(binary: '/absent'))", "0", "outlast ended with exit code 4 (see its output)", []string{"withEnv", "sh", "archive .outlast/**"}},
		"an unknown argument":               {"outlast(regoin: 'x')", "0", "unknown argument regoin; known are ", nil},
		"a folder of its own":               {"keep(outlast(binary: 'BINARY', workingDirectory: 'service', outputDir: 'out'))", "0", "", []string{"withEnv", "sh", "archive service/out/**"}},
		"a list that the pipeline makes":    {"def all = []\nfor (s in ['P=20', 'M=5']) { all << s }\nkeep(outlast(binary: 'BINARY', set: all))", "0", "", []string{"withEnv", "sh", "junit .outlast/report.xml", "archive .outlast/**"}},
		"a text that the pipeline fills in": {"def n = 20\nkeep(outlast(binary: 'BINARY', set: \"P=${n}\\nM=5\"))", "0", "", []string{"withEnv", "sh", "junit .outlast/report.xml", "archive .outlast/**"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "")
			for path, text := range generated(t, inputs.Table) {
				if strings.HasPrefix(path, "jenkins/") {
					m.write(path, string(text), 0o644)
				}
			}
			keep, seenFile := filepath.Join(m.dir, "keep"), filepath.Join(m.dir, "seen.json")
			m.write("repo/Jenkinsfile", "@Library('outlast@main') _\n"+strings.ReplaceAll(c.call, "BINARY", m.write("fake", fakeCore, 0o755))+"\n", 0o644)
			// What an earlier build left in the workspace is not this one's.
			m.write("repo/.outlast/outputs.env", "OUTLAST_OUT_RESULT=stale\nOUTLAST_OUT_APP=stale\n", 0o644)
			m.write("repo/.outlast/report.xml", "<testsuites/>", 0o644)
			cmd := exec.CommandContext(t.Context(), java, "-cp", strings.Join(jars, ":"), "groovy.ui.GroovyMain", filepath.Join(root, ".ci/runners/jenkins/cps.groovy"),
				filepath.Join(m.dir, "jenkins"), filepath.Join(m.dir, "repo"), "Jenkinsfile", seenFile)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.dir, "KEEP=" + keep, "FAKE_EXIT=" + c.exit}
			log, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, log)
			}
			var seen struct {
				Steps    []string
				Error    *string
				Env      map[string]string
				Build    map[string]string
				Returned map[string]string
			}
			text, err := os.ReadFile(seenFile)
			if err == nil {
				err = json.Unmarshal(text, &seen)
			}
			said := ""
			if seen.Error != nil {
				said = *seen.Error
			}
			if err != nil || (said == "") != (c.error == "") || !strings.Contains(said, c.error) || !slices.Equal(seen.Steps, c.steps) {
				t.Fatalf("%v: error %q, steps %q\n%s", err, said, seen.Steps, log)
			}
			if strings.Contains(string(text), "stale") {
				t.Errorf("outputs of an earlier build: %s", text)
			}
			if len(c.steps) < 4 {
				return
			}
			if seen.Env["OUTLAST_OUT_IMAGE_DIGEST"] != "sha256:00" || seen.Build["description"] != "outlast: web to dev passed" || (c.error == "") != (seen.Returned["OUTLAST_OUT_RESULT"] == "passed") {
				t.Errorf("env %v, build %v, returned %v", seen.Env, seen.Build, seen.Returned)
			}
			if got, err := os.ReadFile(filepath.Join(keep, "OUTLAST_SET")); strings.Contains(c.call, "set:") && (err != nil || string(got) != "P=20\nM=5") {
				t.Errorf("the list arrived as %q (%v)", got, err)
			}
			if _, err := os.Stat(filepath.Join(m.dir, "repo", "executed")); err == nil {
				t.Error("an argument was executed")
			}
		})
	}
}
