// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// public are buildspecs of other people, as they come with their Go modules,
// byte for byte.
var public = []struct {
	module, file string
	scripts      []string
}{
	{"github.com/aws/aws-sdk-go-v2@v1.16.0", "buildspec.yml", nil},
	{"github.com/aws/amazon-ecs-cli@v1.21.0", "buildspec_canary.yml", []string{"bin/local/ecs-cli.test"}},
	{"github.com/aws/amazon-ecs-cli@v1.21.0", "buildspec_verify.yml", []string{"scripts/verify.sh"}},
	{"github.com/aws-cloudformation/cloudformation-cli-go-plugin@v1.2.0", "buildspec.yml", nil},
	{"github.com/stelligent/mu@v1.5.10", "examples/basic/buildspec.yml", nil},
	{"github.com/stelligent/mu@v1.5.10", "examples/pipeline-newman/buildspec.yml", nil},
	{"github.com/stelligent/mu@v1.5.10", "examples/pipeline-newman/buildspec-test.yml", nil},
	{"github.com/stelligent/mu@v1.5.10", "templates/assets/codebuild/buildspec.yml", nil},
	{"github.com/stelligent/mu@v1.5.10", "e2e/e2e-eks/buildspec.yml", nil},
	{"github.com/stelligent/mu@v1.5.10", "e2e/e2e-eks/buildspec-test.yml", []string{"mu-env.sh"}},
}

// tools are answered by a script that writes down how it was called.
var tools = []string{"go", "make", "git", "pip", "npm", "newman", "gradle", "mvn", "docker", "aws", "pre-commit", "curl", "apt-get", "rm", "cp", "mv", "mkdir", "bundle", "gem", "kubectl"}

const recorder = "#!/bin/sh\nprintf '%s' \"${0##*/}\" >> \"$RECORD\"\nfor a; do printf ' %s' \"$a\" >> \"$RECORD\"; done\necho >> \"$RECORD\"\nBASE_URL=http://web\n[ \"${0##*/}\" != curl ] || echo ok\n"

func download(t *testing.T, module string) string {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", module)
	cmd.Dir = t.TempDir()
	out, err := cmd.Output()
	var got struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &got); jsonErr != nil || got.Dir == "" {
		t.Skipf("%s cannot be fetched: %v %s", module, err, got.Error)
	}
	return got.Dir
}

func script(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o755)); err != nil {
		t.Fatal(err)
	}
}

func TestPublicBuildspecs(t *testing.T) {
	bin := t.TempDir()
	for _, tool := range tools {
		script(t, filepath.Join(bin, tool), recorder)
	}
	for _, p := range public {
		t.Run(p.module+" "+p.file, func(t *testing.T) {
			dir, source := download(t, p.module), t.TempDir()
			for _, s := range p.scripts {
				script(t, filepath.Join(source, s), recorder)
			}
			text, err := os.ReadFile(filepath.Join(dir, p.file))
			if err != nil {
				t.Fatal(err)
			}
			spec, err := Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			record := filepath.Join(t.TempDir(), "record")
			var log bytes.Buffer
			b := &Build{Spec: spec, Dir: source, Environ: []string{"PATH=" + bin + ":/usr/bin:/bin", "HOME=" + source, "RECORD=" + record}, Out: &log, Work: t.TempDir()}
			if err := b.Run(); err != nil {
				t.Fatalf("%v\n%s", err, log.String())
			}
			called, err := os.ReadFile(record)
			if err != nil {
				called = []byte("(none)\n")
			}
			var phases []string
			for line := range strings.Lines(log.String()) {
				if strings.HasPrefix(line, "[codebuild] ") {
					phases = append(phases, strings.TrimPrefix(line, "[codebuild] "))
				}
			}
			got := fmt.Sprintf("%s\ncalls:\n%s", strings.Join(phases, ""), strings.ReplaceAll(string(called), source, "SOURCE"))
			name := strings.NewReplacer("/", "_", "@", "_").Replace(strings.TrimPrefix(p.module, "github.com/") + "_" + p.file)
			golden := filepath.Join("testdata", "calls", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want, err := os.ReadFile(golden); err != nil || string(want) != got {
				t.Errorf("%v; got\n%s\nwant\n%s", err, got, want)
			}
		})
	}
}

// A buildspec that CodeBuild would refuse is refused here before anything runs.
func TestBrokenBuildspecs(t *testing.T) {
	build := "phases: {build: {commands: [touch ran]}}\n"
	cases := map[string]struct{ spec, said string }{
		"no version":                        {build, `version: "" is neither 0.2 nor 0.1`},
		"another version":                   {"version: 0.3\n" + build, `version: "0.3" is neither 0.2 nor 0.1`},
		"an unknown key":                    {"version: 0.2\nphase: {}\n" + build, "field phase not found"},
		"a phase with a wrong name":         {"version: 0.2\nphases: {prebuild: {commands: [a]}}", "field prebuild not found"},
		"an unknown key of a phase":         {"version: 0.2\nphases: {build: {command: [a]}}", "field command not found"},
		"no phase":                          {"version: 0.2\n", "phases: there are none"},
		"a phase without commands":          {"version: 0.2\nphases: {build: {}}", "phases.build: commands are missing"},
		"commands that are no list":         {"version: 0.2\nphases: {build: {commands: make}}", "cannot unmarshal"},
		"a command that is a mapping":       {"version: 0.2\nphases: {build: {commands: [{echo: hi}]}}", "cannot unmarshal"},
		"an unknown shell":                  {"version: 0.2\nenv: {shell: zsh}\n" + build, `env.shell: "zsh"`},
		"an unknown way to fail":            {"version: 0.2\nphases: {build: {on-failure: IGNORE, commands: [a]}}", `on-failure: "IGNORE"`},
		"a variable of AWS's exported":      {"version: 0.2\nenv: {exported-variables: [AWS_REGION]}\n" + build, "AWS_REGION may not be exported"},
		"a secret exported":                 {"version: 0.2\nenv: {parameter-store: {A: /a}, exported-variables: [A]}\n" + build, "A may not be exported"},
		"a name that is none":               {"version: 0.2\nenv: {variables: {A-B: x}}\n" + build, `"A-B" is no name`},
		"runtimes in another phase":         {"version: 0.2\nphases: {build: {runtime-versions: {go: 1}, commands: [a]}}", "belong to install"},
		"a report without files":            {"version: 0.2\nreports: {r: {base-directory: x}}\n" + build, "reports.r: files are missing"},
		"a report of an unknown format":     {"version: 0.2\nreports: {r: {files: x, file-format: TAP}}\n" + build, `"TAP" is unknown`},
		"artifacts without files":           {"version: 0.2\nartifacts: {name: x}\n" + build, "artifacts: files are missing"},
		"two documents":                     {"version: 0.2\n" + build + "---\n" + build, "more than one document"},
		"no YAML":                           {"version: [", "yaml"},
		"a parameter that is not there":     {"version: 0.2\nenv: {parameter-store: {A: /a}}\n" + build, "no parameter or secret /a"},
		"a command that ends the shell":     {"version: 0.2\nphases: {build: {commands: [exit 0, touch ran]}}", "ended the shell"},
		"a command that becomes the shell":  {"version: 0.2\nphases: {build: {commands: [exec true, touch ran]}}", "ended the shell"},
		"a command with a broken quotation": {"version: 0.2\nphases: {build: {commands: ['echo \"', touch ran]}}", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "buildspec.yml")
			if err := os.WriteFile(path, []byte(c.spec), 0o644); err != nil {
				t.Fatal(err)
			}
			err := run(path, dir, "", "", "", nil)
			if err == nil || !strings.Contains(err.Error(), c.said) {
				t.Errorf("error %v, want %q", err, c.said)
			}
			if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
				t.Error("a command ran")
			}
		})
	}
}

// One shell, its order, and what is left of a failed build.
func TestHowABuildGoes(t *testing.T) {
	cases := map[string]struct{ spec, log, exported, failed string }{
		"variables, folders and secrets stay": {`
version: 0.2
env: {shell: bash, variables: {A: one}, secrets-manager: {S: web:key}, exported-variables: [B, C, D]}
phases:
  install: {commands: ['B="$A $S"; mkdir in && cd in']}
  build: {commands: ['export B; echo "secret $S"; pwd | grep -o "in$"', 'export C="two words"']}
`, "secret ***\nin\n", "B=one top-secret\nC=two words\n", ""},
		"post_build follows a failed build, and knows": {`
version: 0.2
phases:
  build: {commands: ['false', 'echo not'], finally: [echo at last]}
  post_build: {commands: ['echo succeeding $CODEBUILD_BUILD_SUCCEEDING']}
`, "at last\nsucceeding 0\n", "", "the build failed"},
		"nothing follows a failed pre_build": {`
version: 0.2
phases:
  pre_build: {commands: ['false']}
  build: {commands: ['echo not']}
  post_build: {commands: ['echo not']}
`, "", "", "the build failed"},
		"version 0.1 has a shell for each command": {`
version: 0.1
phases:
  build: {commands: ['A=1; cd /', 'echo "[$A]"; [ "$PWD" != / ]']}
`, "[]\n", "", ""},
		"a phase may go on": {`
version: 0.2
phases:
  pre_build: {on-failure: CONTINUE, commands: ['false']}
  build: {commands: ['echo built']}
`, "built\n", "", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			spec, err := Parse([]byte(c.spec))
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			b := &Build{Spec: spec, Dir: t.TempDir(), Environ: []string{"PATH=" + os.Getenv("PATH")}, Out: &out, Work: t.TempDir(), Secrets: map[string]string{"web:key": "top-secret"}}
			err = b.Run()
			if (err == nil) != (c.failed == "") || err != nil && err.Error() != c.failed {
				t.Errorf("error %v, want %q", err, c.failed)
			}
			var log strings.Builder
			for line := range strings.Lines(out.String()) {
				if !strings.HasPrefix(line, "[codebuild]") {
					log.WriteString(line)
				}
			}
			exported := ""
			for _, n := range []string{"A", "B", "C", "D"} {
				if v, ok := b.Exported[n]; ok {
					exported += n + "=" + v + "\n"
				}
			}
			if log.String() != c.log || exported != c.exported {
				t.Errorf("log %q, want %q; exported %q, want %q", log.String(), c.log, exported, c.exported)
			}
		})
	}
}
