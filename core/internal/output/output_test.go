// SPDX-License-Identifier: Apache-2.0

package output

import (
	"encoding/json"
	"encoding/xml"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/push"
	"github.com/outlast-ci/outlast/core/render"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func at(seconds float64) time.Time {
	return time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

// passed is a rollout of two pods that went well.
func passed() core.Report {
	plan, err := drain.Solve(drain.Defaults())
	if err != nil {
		panic(err)
	}
	return core.Report{
		Schema: core.Schema, Started: at(0), Finished: at(125), Result: core.Passed, Reason: "ok",
		Run: core.Run{Version: "v1.0.0", App: "web", Environment: "dev", Commit: "0123456789abcdef0123456789abcdef01234567", Branch: "develop", Region: "cn-northwest-1", Cluster: "dev"},
		Stages: []core.StageRecord{
			{Name: "build", Started: at(0), Seconds: 4.25, Result: core.Passed, Note: "1 of 1 image built by buildkitd"},
			{Name: "push", Started: at(4), Seconds: 1, Result: core.Passed, Note: "1 image, 3 blobs uploaded"},
			{Name: "render", Started: at(5), Seconds: 0.01, Result: core.Passed, Note: "1 workload, 5 fields set"},
			{Name: "apply", Started: at(5), Seconds: 0.4, Result: core.Passed, Note: "0 created, 1 configured, 3 unchanged"},
			{Name: "gate", Started: at(5), Seconds: 119, Result: core.Passed, Note: "1 workload watched with 30 polls"},
		},
		Refs:      []push.Ref{{Name: "web", Repository: "111122223333.dkr.ecr.cn-northwest-1.amazonaws.com.cn/web", Digest: "sha256:" + strings.Repeat("a", 64), Tag: "0123456789abcdef0123456789abcdef01234567"}},
		Manifests: &core.ManifestReport{SHA256: strings.Repeat("b", 64), Workloads: []render.Workload{{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "dev", Name: "web", Behind: true, Plan: plan}}},
		Gate: &gate.Result{Started: at(5), Finished: at(124), Passed: true, Polls: 30, Workloads: []gate.WorkloadResult{{
			Object: "Deployment/dev/web", Desired: 1, MinHealthy: 1, Groups: []string{"arn:aws-cn:elasticloadbalancing:x"},
			Pods: []gate.PodTimeline{
				{UID: "u1", Name: "web-old-1", Created: at(-600), Ready: at(6), Registered: at(6), Healthy: at(6), Deleted: at(28), Draining: at(29), Drained: at(96), Ended: at(119), Gone: at(121), Proof: gate.Proven, Margin: 22.6},
				{UID: "u2", Name: "web-new-1", New: true, Created: at(6), Ready: at(12), Registered: at(14), Healthy: at(26)},
			},
		}}},
	}
}

// failed is one whose new pod says things that no reader must take for syntax.
func failed() core.Report {
	r := passed()
	r.Result, r.Reason, r.Error = core.Failed, "crash-loop", "gate: the rollout did not pass (crash-loop): pod web-new-1: <b>`exit 1` | $(reboot)\n\x1b[31mred"
	r.Run.Environment = "dev; rm -rf <x> & # \"'$HOME`id`\nEVIL=1"
	r.Stages[4].Result, r.Stages[4].Note = core.Failed, "a|b"
	r.Refs[0].Tag = "x\ny"
	w := &r.Gate.Workloads[0]
	w.Problems = []string{"pod web-new-1: crash loop | ]]> <script>alert(1)</script>"}
	w.Pods = w.Pods[1:]
	w.Pods[0].Healthy = time.Time{}
	r.Gate.Passed = false
	r.Gate.Evidence = []gate.Evidence{{Pod: "web-new-1 <x>", Events: []string{"Back-off restarting | failed\ncontainer"}, Logs: []gate.Log{{Container: "web", Previous: true, Lines: []string{"panic: ```\x00\x07", "</details><script>"}}}}}
	return r
}

func TestFilesOfARun(t *testing.T) {
	reports := map[string]core.Report{
		"passed": passed(), "failed": failed(),
		"preflight": {Schema: core.Schema, Started: at(0), Finished: at(1), Result: core.Failed, Reason: "build-failed", Error: "build: no Dockerfile", Run: core.Run{App: "web"}, Stages: []core.StageRecord{{Name: "build", Result: core.Pending}}},
	}
	for name, r := range reports {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := Write(dir, "", r); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name)
			for _, file := range []string{"outputs.env", "report.xml", "summary.md", "timeline.svg"} {
				got, err := os.ReadFile(filepath.Join(dir, file))
				if err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(golden, file)
				if *update {
					if err := os.MkdirAll(golden, 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(path, got, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), string(got)); diff != "" {
					t.Errorf("%s differs (-want +got):\n%s", path, diff)
				}
				if strings.HasSuffix(file, ".xml") || strings.HasSuffix(file, ".svg") {
					wellFormed(t, file, string(got))
				}
			}
			text, err := os.ReadFile(filepath.Join(dir, "report.json"))
			if err != nil {
				t.Fatal(err)
			}
			var back core.Report
			if err := json.Unmarshal(text, &back); err != nil {
				t.Fatal(err)
			}
			if again, err := json.MarshalIndent(back, "", "  "); err != nil || string(again)+"\n" != string(text) {
				t.Errorf("the report does not survive JSON: %v\n%s", err, cmp.Diff(string(text), string(again)))
			}
		})
	}
}

func wellFormed(t *testing.T, file, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Errorf("%s: %v", file, err)
			return
		}
	}
}

// A shell that reads outputs.env runs nothing, and gets one line a pair.
func TestAShellCanReadTheOutputs(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh here")
	}
	dir := t.TempDir()
	if err := Write(dir, "", failed()); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(sh, "-c", `set -eu; set -a; . ./outputs.env; env | grep -c '^OUTLAST_OUT_'; env | grep EVIL= || true; echo "$OUTLAST_OUT_REASON"`)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines := strings.Count(Env(failed()), "\n")
	if want := "12\ncrash-loop\n"; string(out) != want || lines != 12 {
		t.Errorf("the shell saw %q of %d lines, want %q", out, lines, want)
	}
}

func TestOutputsOfAnyRunArePlainAndShort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := passed()
		text := rapid.StringN(0, 2000, -1)
		r.Run.App, r.Run.Environment, r.Run.Commit, r.Reason, r.Run.Cluster = text.Draw(t, "app"), text.Draw(t, "env"), text.Draw(t, "commit"), text.Draw(t, "reason"), text.Draw(t, "cluster")
		for range rapid.IntRange(0, 12).Draw(t, "images") {
			r.Refs = append(r.Refs, push.Ref{Repository: text.Draw(t, "repository"), Digest: "sha256:" + strings.Repeat("c", 64)})
		}
		env := Env(r)
		if len(env) > 5000 || strings.Count(env, "\n") > 20 {
			t.Fatalf("%d bytes in %d lines", len(env), strings.Count(env, "\n"))
		}
		for line := range strings.Lines(env) {
			name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			if !ok || !strings.HasPrefix(name, "OUTLAST_OUT_") || strings.ContainsAny(value, " \t$`\"'\\;&|<>(){}[]*?~#!\r\n") {
				t.Fatalf("line %q", line)
			}
		}
	})
}

func TestTheLongestOutputsFit(t *testing.T) {
	long := strings.Repeat("x", 9000)
	r := passed()
	r.Run = core.Run{App: long, Environment: long, Commit: long, Region: long, Cluster: long}
	r.Reason, r.Manifests.SHA256 = long, long
	r.Refs = []push.Ref{{Repository: long, Digest: long, Tag: long}, {Repository: long, Digest: long}}
	if env := Env(r); len(env) > 5000 {
		t.Errorf("%d bytes", len(env))
	}
}

func TestSecretsLeaveOnlyAHash(t *testing.T) {
	in := "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: aHVudGVyMg==}\nstringData: {b: hunter2}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: plain}\n"
	out := string(redact([]byte(in)))
	if strings.Contains(out, "hunter2") || strings.Contains(out, "aHVudGVyMg") || !strings.Contains(out, "plain") || !strings.Contains(out, "kind: Secret") {
		t.Errorf("redacted:\n%s", out)
	}
	if broken := redact([]byte("kind: Secret\ndata: {a: [\n")); strings.Contains(string(broken), "[") {
		t.Errorf("what cannot be read must not be written: %q", broken)
	}
}
