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

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/outlast-ci/outlast/core"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// read takes a report from a file, as the next job of a CI does: passed.json is
// a rollout of one pod that went well, and failed.json one whose new pod says
// things that no reader must take for syntax.
func read(t interface {
	Helper()
	Fatal(...any)
}, name string) (r core.Report) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// several is a roll that ended at the second of three clusters.
func several(passed, failed core.Report) core.Report {
	r := failed
	r.Run.Cluster, r.Gate = "north,south,west", nil
	r.Error = "cluster south (cn-northwest-1): " + r.Error + "; passed before it, and left as they are: north (cn-northwest-1); not begun: west (cn-north-1)"
	passed.Run.Cluster, failed.Run.Cluster = "north", "south"
	left := core.Report{Run: core.Run{App: "web", Cluster: "west", Region: "cn-north-1"}, Result: core.Pending}
	for _, s := range r.Stages {
		left.Stages = append(left.Stages, core.StageRecord{Name: s.Name, Result: core.Pending})
	}
	r.Clusters = []core.Report{passed, failed, left}
	return r
}

func TestFilesOfARun(t *testing.T) {
	reports := map[string]core.Report{
		"passed": read(t, "passed"), "failed": read(t, "failed"),
		"preflight": {Schema: core.Schema, Result: core.Failed, Reason: "build-failed", Error: "build: no Dockerfile", Run: core.Run{App: "web"}, Stages: []core.StageRecord{{Name: "build", Result: core.Pending}}},
	}
	reports["several"] = several(reports["passed"], reports["failed"])
	for name, r := range reports {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := Write(dir, "", r, nil); err != nil {
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
	if err := Write(dir, "", read(t, "failed"), nil); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(sh, "-c", `set -eu; set -a; . ./outputs.env; env | grep -c '^OUTLAST_OUT_'; env | grep EVIL= || true; echo "$OUTLAST_OUT_REASON"`)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines := strings.Count(Env(read(t, "failed")), "\n")
	if want := "13\ncrash-loop\n"; string(out) != want || lines != 13 {
		t.Errorf("the shell saw %q of %d lines, want %q", out, lines, want)
	}
}

func TestOutputsOfAnyRunArePlainAndShort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := read(t, "passed")
		text := rapid.StringN(0, 2000, -1)
		r.Run.App, r.Run.Environment, r.Run.Commit, r.Reason, r.Run.Cluster = text.Draw(t, "app"), text.Draw(t, "env"), text.Draw(t, "commit"), text.Draw(t, "reason"), text.Draw(t, "cluster")
		for range rapid.IntRange(0, 12).Draw(t, "images") {
			ref := r.Refs[0]
			ref.Repository = text.Draw(t, "repository")
			r.Refs = append(r.Refs, ref)
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
	r := read(t, "passed")
	r.Run = core.Run{App: long, Environment: long, Commit: long, Region: long, Cluster: long}
	r.Reason, r.Manifests.SHA256 = long, long
	ref := &r.Refs[0]
	ref.Repository, ref.Digest, ref.Tag = long, long, long
	r.Refs = append(r.Refs, *ref)
	if env := Env(r); len(env) > 5000 {
		t.Errorf("%d bytes", len(env))
	}
}

func TestSecretsLeaveOnlyAHash(t *testing.T) {
	in := "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n  annotations: {kubectl.kubernetes.io/last-applied-configuration: '{\"stringData\":{\"b\":\"hunter2\"}}', kept: yes}\ndata: {a: aHVudGVyMg==}\nstringData: {b: hunter2}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: plain}\n"
	out := string(redact([]byte(in)))
	if strings.Contains(out, "hunter2") || strings.Contains(out, "aHVudGVyMg") || !strings.Contains(out, "plain") || !strings.Contains(out, "kind: Secret") || !strings.Contains(out, "kept: yes") {
		t.Errorf("redacted:\n%s", out)
	}
	if broken := redact([]byte("kind: Secret\ndata: {a: [\n")); strings.Contains(string(broken), "[") {
		t.Errorf("what cannot be read must not be written: %q", broken)
	}
}
