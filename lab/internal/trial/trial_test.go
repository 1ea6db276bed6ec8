// SPDX-License-Identifier: Apache-2.0

package trial

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outlast-ci/outlast/lab/internal/labstate"
)

// program writes a shell script that stands for outlast.
func program(t *testing.T, script string) *Trial {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "outlast")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, ".outlast"), 0o755); err != nil {
		t.Fatal(err)
	}
	return &Trial{Lab: labstate.State{Dir: dir, Region: "cn-northwest-1", Users: map[string]labstate.User{"deployer": {AccessKeyID: "AKIA"}}}, Outlast: path, Dir: dir}
}

func TestARunTellsHowItEnded(t *testing.T) {
	t.Setenv("OUTLAST_BRANCH", "of this machine")
	tr := program(t, `echo "$AWS_ACCESS_KEY_ID ${OUTLAST_BRANCH-none} $EXTRA $*"; echo one >&2; echo two >&2; echo '{"result":"failed","reason":"why"}' > .outlast/report.json; exit 7`)
	var seen []string
	run, err := tr.Run(t.Context(), Command{Args: []string{"deploy", "x"}, Env: []string{"EXTRA=more"}, Signal: func(line string) { seen = append(seen, line) }})
	if err != nil {
		t.Fatal(err)
	}
	if run.Exit != 7 || run.Stdout != "AKIA none more deploy x\n" || run.Stderr != "one\ntwo\n" || run.Report.Reason != "why" || run.Took <= 0 {
		t.Errorf("%+v", run)
	}
	if diff := cmp.Diff([]string{"one", "two"}, seen); diff != "" {
		t.Error(diff)
	}
}

func TestAnOldReportIsNotTakenForThisRuns(t *testing.T) {
	tr := program(t, "exit 0")
	if err := os.WriteFile(filepath.Join(tr.Dir, ".outlast", "report.json"), []byte(`{"result":"passed"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	run, err := tr.Run(t.Context(), Command{})
	if err != nil || run.Report.Result != "" {
		t.Errorf("%+v, %v", run, err)
	}
}

func TestARunIsInterrupted(t *testing.T) {
	tr := program(t, `trap 'exit 130' INT; echo waiting >&2; while :; do sleep 0.05; done`)
	stop := make(chan struct{})
	run, err := tr.Run(t.Context(), Command{Interrupt: stop, Signal: func(string) { close(stop) }})
	if err != nil || run.Exit != 130 {
		t.Errorf("%+v, %v", run, err)
	}
}

func TestWhoAnswersBehindABalancer(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "lb.example:"+strings.Split(r.Context().Value(http.LocalAddrContextKey).(interface{ String() string }).String(), ":")[1] {
			http.Error(w, r.Host, http.StatusMisdirectedRequest)
			return
		}
		w.Write([]byte("v2 pod-1\n"))
	}))
	defer s.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
	f := Front{URL: "http://lb.example:" + port + "/", Addresses: []string{"127.0.0.1"}}
	if v, err := f.Version(t.Context()); err != nil || v != "v2" {
		t.Errorf("%q, %v", v, err)
	}
	f.URL = "http://other.example:" + port + "/"
	if _, err := f.Version(t.Context()); err == nil || !strings.Contains(err.Error(), "421") {
		t.Errorf("an error of the balancer: %v", err)
	}
}
