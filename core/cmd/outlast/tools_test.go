// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

const top = "../../.."

// TestTools runs outlast the way Helm, kustomize and kpt run it: the examples of
// docs/render.md, as they are, in the tools themselves. A tool that is not on
// PATH skips its script.
func TestTools(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:             "testdata/tools",
		UpdateScripts:   *update,
		ContinueOnError: true,
		Setup: func(env *testscript.Env) error {
			api := httptest.NewServer(http.HandlerFunc(serveDryRun))
			env.Defer(api.Close)
			bin := filepath.Join(env.WorkDir, "bin")
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("HELM_KUBEAPISERVER", api.URL)
			return orErr(os.Mkdir(bin, 0o755), os.CopyFS(filepath.Join(env.WorkDir, "render"), os.DirFS(top+"/examples/render")))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"as":    as,
		},
	})
}

// as NAME PROGRAM: from now on NAME runs what is PROGRAM on PATH.
func as(ts *testscript.TestScript, _ bool, args []string) {
	path, err := exec.LookPath(args[1])
	ts.Check(err)
	ts.Check(os.Symlink(path, ts.MkAbs(ts.Getenv("WORK")+"/bin/"+args[0])))
}

// serveDryRun is an API server as far as Helm asks one before it would install:
// what kinds there are, and that nothing of the release is there yet.
func serveDryRun(rw http.ResponseWriter, r *http.Request) {
	groups := map[string][2]string{"": {"services", "Service"}, "apps": {"deployments", "Deployment"}, "batch": {"jobs", "Job"}, "networking.k8s.io": {"ingresses", "Ingress"}}
	rw.Header().Set("Content-Type", "application/json")
	group, ok := strings.CutPrefix(strings.TrimSuffix(r.URL.Path, "/v1"), "/apis/")
	if r.URL.Path == "/api/v1" {
		group, ok = "", true
	}
	switch kind, known := groups[group]; {
	case ok && known:
		fmt.Fprintf(rw, `{"kind":"APIResourceList","groupVersion":%q,"resources":[{"name":%q,"namespaced":true,"kind":%q,"verbs":["get","create"]}]}`, strings.TrimPrefix(group+"/v1", "/"), kind[0], kind[1])
	case r.URL.Path == "/version":
		fmt.Fprint(rw, `{"major":"1","minor":"37","gitVersion":"v1.37.2"}`)
	case r.URL.Path == "/api":
		fmt.Fprint(rw, `{"kind":"APIVersions","versions":["v1"]}`)
	case r.URL.Path == "/apis":
		var list []string
		for name := range groups {
			if name != "" {
				list = append(list, fmt.Sprintf(`{"name":%q,"versions":[{"groupVersion":"%[1]s/v1","version":"v1"}]}`, name))
			}
		}
		fmt.Fprintf(rw, `{"kind":"APIGroupList","apiVersion":"v1","groups":[%s]}`, strings.Join(list, ","))
	case strings.HasSuffix(r.URL.Path, "/secrets"): // the releases
		fmt.Fprint(rw, `{"kind":"SecretList","apiVersion":"v1","items":[]}`)
	default:
		rw.WriteHeader(http.StatusNotFound)
		fmt.Fprint(rw, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
	}
}

// TestTheGuideRuns: the commands of docs/render.md are commands of a script, and
// its files are files of an example.
func TestTheGuideRuns(t *testing.T) {
	guide := read(t, top+"/docs/render.md")
	var scripts, examples strings.Builder
	for _, pattern := range []string{"testdata/tools/*.txtar", "testdata/script/render.txtar"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatal(pattern, err)
		}
		for _, path := range paths {
			scripts.WriteString(read(t, path))
		}
	}
	err := filepath.WalkDir(top+"/examples/render", func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			examples.WriteString(read(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	commands, files := 0, 0
	for i, block := range strings.Split(guide, "```") {
		kind, text, _ := strings.Cut(block, "\n")
		switch {
		case i%2 == 0: // between two blocks
		case kind == "sh":
			for line := range strings.Lines(text) {
				line, _, _ = strings.Cut(line, "#")
				if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "kubectl ") {
					continue
				}
				commands++
				if !strings.Contains(scripts.String(), line) {
					t.Errorf("no script runs this command of the guide: %s", line)
				}
			}
		case kind == "yaml":
			files++
			if !strings.Contains(examples.String(), text) {
				t.Errorf("no example holds this part of the guide:\n%s", text)
			}
		default:
			t.Errorf("a block is neither sh nor yaml: %q", kind)
		}
	}
	if commands < 8 || files < 3 {
		t.Errorf("the guide has %d commands and %d files", commands, files)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
