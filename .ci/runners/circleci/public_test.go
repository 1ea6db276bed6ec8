// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// public are configurations of other people, as they come with their Go
// modules, byte for byte. Only the orbs that they use are stand-ins.
var public = []struct {
	module, branch, tag string
	folders             []string // that the real checkout has
	scripts             []string
}{
	{module: "github.com/prometheus/client_golang@v1.11.0"},
	{module: "github.com/hashicorp/memberlist@v0.3.0"},
	{module: "github.com/hashicorp/raft@v1.3.6"},
	{module: "github.com/hashicorp/go-retryablehttp@v0.7.0"},
	{module: "github.com/honeycombio/beeline-go@v1.3.1", tag: "v1.3.1"},
	{module: "github.com/hashicorp/terraform-plugin-sdk/v2@v2.10.1", scripts: []string{"scripts/gofmtcheck.sh", "scripts/release/release.sh"}},
	{module: "github.com/hashicorp/terraform-exec@v0.15.0", scripts: []string{"scripts/release/release.sh"}},
	{module: "github.com/prometheus/node_exporter@v1.3.1", branch: "master", folders: []string{".build"}},
	{module: "github.com/prometheus/common@v0.30.0", folders: []string{"sigv4"}},
	{module: "github.com/prometheus/procfs@v0.7.3", scripts: []string{"scripts/check_build_tags.sh"}},
	{module: "github.com/prometheus/exporter-toolkit@v0.7.0"},
	{module: "github.com/hashicorp/go-version@v1.3.0"},
	{module: "github.com/prometheus/blackbox_exporter@v0.19.0", branch: "master", folders: []string{".build"}},
	{module: "github.com/prometheus/alertmanager@v0.24.0", tag: "v0.24.0", folders: []string{"doc/alertmanager-mixin"}},
}

// tools are answered by a script that writes down how it was called.
var tools = []string{"go", "make", "gotestsum", "docker", "git", "sudo", "gofmt", "promu", "brew", "curl", "unzip", "tar", "pip", "codespell", "ghr", "circleci", "mv", "mkdir", "rm",
	"go-orb", "prometheus-orb", "slack-orb", "npm", "aws", "gox", "bash-login"}

const recorder = "#!/bin/sh\nprintf '%s' \"${0##*/}\" >> \"$RECORD\"\nfor a; do printf ' %s' \"$a\" >> \"$RECORD\"; done\necho >> \"$RECORD\"\n[ \"${0##*/} $1\" != 'go list' ] || echo example.com/a\n[ \"${0##*/} $1\" != 'circleci tests' ] || cat\n[ \"${0##*/}\" != sudo ] || cat >/dev/null\n"

// download gives the folder of a module.
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

func TestPublicConfigurations(t *testing.T) {
	bin := t.TempDir()
	for _, tool := range tools {
		if err := os.WriteFile(filepath.Join(bin, tool), []byte(recorder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range public {
		t.Run(p.module, func(t *testing.T) {
			dir, source := download(t, p.module), t.TempDir()
			for _, folder := range p.folders {
				if err := os.MkdirAll(filepath.Join(source, folder), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for _, script := range p.scripts {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(source, script)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(source, script), []byte(recorder), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			record := filepath.Join(t.TempDir(), "record")
			var log bytes.Buffer
			branch := p.branch
			if branch == "" && p.tag == "" {
				branch = "main"
			}
			r := &Runner{Out: &log, Environ: []string{"PATH=" + bin + ":/usr/bin:/bin", "HOME=" + source, "RECORD=" + record, "CIRCLE_BRANCH=" + branch, "CIRCLE_TAG=" + p.tag, "CIRCLE_NODE_TOTAL=1", "CIRCLE_NODE_INDEX=0"}}
			orbs := pairs{"circleci/go": "testdata/orbs/go.yml", "prometheus/prometheus": "testdata/orbs/prometheus.yml", "circleci/windows": "testdata/orbs/windows.yml", "circleci/slack": "testdata/orbs/slack.yml"}
			err := run(r, filepath.Join(dir, ".circleci", "config.yml"), source, branch, p.tag, orbs, pairs{}, false)
			if err != nil {
				t.Fatalf("%v\n%s", err, log.String())
			}
			text, err := os.ReadFile(record)
			if err != nil {
				t.Fatalf("nothing was called: %v\n%s", err, log.String())
			}
			var jobs []string
			for line := range strings.Lines(log.String()) {
				if strings.HasPrefix(line, "[circleci] job ") {
					jobs = append(jobs, strings.TrimPrefix(line, "[circleci] "))
				}
			}
			got := fmt.Sprintf("%s\ncalls:\n%s", strings.Join(jobs, ""), strings.ReplaceAll(string(text), source, "SOURCE"))
			name := strings.NewReplacer("/", "_", "@", "_").Replace(strings.TrimPrefix(p.module, "github.com/"))
			golden := filepath.Join("testdata", "calls", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || string(want) != got {
				t.Errorf("%v; got\n%s\nwant\n%s", err, got, want)
			}
		})
	}
}
