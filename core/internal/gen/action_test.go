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

	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/output"
)

// fakeCore stands for outlast: it keeps the variables it got, one file each,
// hands out outputs as the real one does, and ends as it is told.
const fakeCore = `#!/bin/sh
mkdir -p "$KEEP" && echo "$*" > "$KEEP/args"
for name in $(env | sed -n 's/^\(OUTLAST_[A-Z0-9_]*\)=.*/\1/p'); do
	eval "printf '%s' \"\${$name}\"" > "$KEEP/$name"
done
if [ -n "${GITHUB_OUTPUT:-}" ]; then
	echo "result=passed" >> "$GITHUB_OUTPUT"
	echo "image-digest=sha256:00" >> "$GITHUB_OUTPUT"
fi
if [ -n "${BASH_ENV:-}" ]; then
	printf "export OUTLAST_OUT_RESULT='passed'\nexport OUTLAST_OUT_IMAGE_DIGEST='sha256:00'\n" >> "$BASH_ENV"
fi
mkdir -p .outlast
printf 'OUTLAST_OUT_RESULT=passed\nOUTLAST_OUT_APP=web\nOUTLAST_OUT_ENVIRONMENT=dev\nOUTLAST_OUT_IMAGE_DIGEST=sha256:00\n' > .outlast/outputs.env
echo '<testsuite name="x" tests="0"></testsuite>' > .outlast/report.xml
exit "${FAKE_EXIT:-0}"
`

// hostile gives every input that a wrapper renames a value that a shell, a
// runner's commands or a reader of YAML might take for syntax. Left out are
// the ones that the tests themselves need.
var hostile = func() map[string]string {
	values := []string{
		`$(touch "$KEEP/executed")`,
		"`touch $KEEP/executed`",
		`'; touch "$KEEP/executed"; '`,
		`"quoted" 'twice' \back\slash`,
		"::set-output name=result::hacked",
		"A=1\nB=two words\nC=_GitHubActionsFileCommandDelimeter_\nEOF",
		"--leading-dash",
		"中文 %0A::error::x %25",
		"* ? [a-z] ~ $HOME ${PATH}",
		"#no comment: {a: b} - [c] | > & ! % @",
		"<<include(x.sh)>> $[[ inputs.x ]] }} ]] >>",
	}
	all := map[string]string{}
	for i, in := range renamed() {
		switch in.Name {
		case "binary", "working-directory", "output-dir", "no-cache", "set", "commit", "source", "profile": // profile: set by nobody
		default:
			all[in.Name] = values[i%len(values)]
		}
	}
	return all
}()

// workflow is a user's: every hostile value is an input, by way of a file that
// GitHub would give as an event's payload, so that YAML is not what is tested.
func workflow(t *testing.T, m *machine, exit string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("on: push\njobs:\n  deploy:\n    runs-on: ubuntu-latest\n    env: {OUTLAST_COMMIT: from-the-job, OUTLAST_REGION: of-the-job, FAKE_EXIT: '" + exit + "'}\n    steps:\n" +
		"      - uses: actions/checkout@v4\n      - id: ship\n        uses: ./actions\n        with:\n")
	for name, value := range hostile {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("          " + name + ": " + string(text) + "\n")
	}
	b.WriteString("          binary: " + filepath.Join(m.dir, "fake") + "\n")
	b.WriteString("      - if: always()\n        env: {RESULT: '${{ steps.ship.outputs.result }}', DIGEST: '${{ steps.ship.outputs.image-digest }}', OUTCOME: '${{ steps.ship.outcome }}'}\n        run: echo \"$RESULT $DIGEST $OUTCOME\" > \"$KEEP/outputs\"\n")
	return b.String()
}

// runner gives the path of a CI's own runner, which .ci/runners builds.
func runner(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(name + " is not on PATH: make runners builds it")
	}
	return path
}

func TestTheActionOnGitHubsRunner(t *testing.T) {
	act := runner(t, "act")
	cases := map[string]struct{ exit, outputs string }{
		"a deploy that passes": {"0", "passed sha256:00 success\n"},
		"a deploy that fails":  {"7", "passed sha256:00 failure\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "")
			keep := filepath.Join(m.dir, "keep")
			m.write("fake", fakeCore, 0o755)
			m.write("repo/.github/workflows/ci.yml", workflow(t, m, c.exit), 0o644)
			for path, text := range generated(t, inputs.Table) {
				m.write(filepath.Join("repo", path), string(text), 0o644)
			}
			log, err := actRun(t, act, m, keep)
			if (err == nil) != (c.exit == "0") {
				t.Fatalf("act: %v\n%s", err, log)
			}
			kept := arrived(t, keep, log)
			if got := kept("OUTLAST_COMMIT"); got != "from-the-job" {
				t.Errorf("a variable of the job that is no input arrived as %q", got)
			}
			if got := kept("OUTLAST_SOURCE"); !strings.HasSuffix(got, "/actions/..") {
				t.Errorf("the action's own checkout is %q", got)
			}
			if got := kept("outputs"); got != c.outputs {
				t.Errorf("the next step saw %q, want %q", got, c.outputs)
			}
		})
	}
}

// actRun commits the machine's folder repo and runs its workflow there.
func actRun(t *testing.T, act string, m *machine, keep string, args ...string) (log string, err error) {
	t.Helper()
	repo := filepath.Join(m.dir, "repo")
	git := exec.Command("sh", "-c", "git init -q -b develop . && git add . && git -c user.name=a -c user.email=a@example.com commit -q -m x")
	git.Dir = repo
	if out, err := git.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), act, append([]string{"push", "-P", "ubuntu-latest=-self-hosted", "--env", "KEEP=" + keep}, args...)...)
	cmd.Dir = repo
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(m.dir, "home"), "XDG_CACHE_HOME=" + filepath.Join(m.dir, "cache")}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

// arrived checks what the fake core kept: called as it should be, every hostile
// input unchanged, nothing executed.
func arrived(t *testing.T, keep, log string) (kept func(name string) string) {
	t.Helper()
	kept = func(name string) string {
		text, err := os.ReadFile(filepath.Join(keep, name))
		if err != nil {
			t.Errorf("%v\n%s", err, log)
		}
		return string(text)
	}
	if args := kept("args"); args != "deploy\n" {
		t.Errorf("outlast was called with %q", args)
	}
	for name, want := range hostile {
		if got := kept(inputs.Input{Name: name}.Variable()); got != want {
			t.Errorf("%s arrived as %q, want %q", name, got, want)
		}
	}
	// Not beside outlast.yaml, wherever that is: the CI collects it from the job's folder.
	if out := kept("OUTLAST_OUTPUT_DIR"); !filepath.IsAbs(out) || filepath.Base(out) != ".outlast" {
		t.Errorf("outputs go to %q", out)
	}
	if _, err := os.Stat(filepath.Join(keep, "executed")); err == nil {
		t.Error("an input was executed")
	}
	return kept
}

func TestActionlintKnowsTheAction(t *testing.T) {
	lint := runner(t, "actionlint")
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range generated(t, inputs.Table) {
		write(path, string(text))
	}
	lintWorkflow := func(with string) (string, error) {
		write(".github/workflows/ci.yml", "on: push\njobs:\n  deploy:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n      - id: ship\n        uses: ./actions\n        with: {"+with+"}\n      - run: echo ${{ steps.ship.outputs."+output.Outputs()[7].Name+" }}\n")
		if out, err := exec.Command("git", "init", "-q", dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		cmd := exec.Command(lint, "-shellcheck=", "-no-color")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := lintWorkflow("region: cn-northwest-1"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := lintWorkflow("regoin: x"); err == nil || !strings.Contains(out, `input "regoin" is not defined in action`) {
		t.Errorf("a misspelt input passes: %v\n%s", err, out)
	}
}

// zizmor knows how actions are attacked; nothing at medium or above.
func TestZizmorFindsNothing(t *testing.T) {
	zizmor, m := runner(t, "zizmor"), newMachine(t, "")
	audit := func(name string) (string, error) {
		cmd := exec.CommandContext(t.Context(), zizmor, "--offline", "--no-progress", "--min-severity", "medium", filepath.Join(m.dir, name))
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.dir}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for path, text := range generated(t, inputs.Table) {
		if strings.HasPrefix(path, "actions/") {
			m.write(path, string(text), 0o644)
		}
	}
	if out, err := audit("actions"); err != nil || !strings.Contains(out, "No findings to report") {
		t.Errorf("%v\n%s", err, out)
	}
	m.write("bad/action.yml", "name: x\ndescription: x\ninputs: {a: {description: x}}\nruns:\n  using: composite\n  steps:\n    - shell: bash\n      run: echo ${{ inputs.a }}\n", 0o644)
	if out, err := audit("bad"); err == nil || !strings.Contains(out, "template-injection") {
		t.Errorf("an action that is open to attack passes: %v\n%s", err, out)
	}
}
