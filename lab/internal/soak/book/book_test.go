// SPDX-License-Identifier: Apache-2.0

package book

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outlast-ci/outlast/lab/internal/load"
)

func TestABrokenRecordIsNamed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, File), []byte("{\"id\":\"good-01\"}\n{\"id\":\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), File+":2:") {
		t.Errorf("%v", err)
	}
	if all, err := Read(filepath.Join(dir, "absent")); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestARecordTellsOfTheLoad(t *testing.T) {
	var r Record
	failures := make([]load.Sample, 9)
	for i := range failures {
		failures[i] = load.Sample{Status: 502, Path: "/"}
	}
	r.Sent(load.Report{Sent: 1000, Failed: 9, Achieved: 99.9, MaxLag: 1500 * time.Millisecond, Failures: failures})
	if r.Requests != 1000 || r.Failed != 9 || r.MaxLag != 1.5 || len(r.Failures) != keptFailures || !strings.Contains(r.Failures[0], "/: status 502") {
		t.Errorf("%+v", r)
	}
	r.ID, r.Verdict, r.Why = "good-01", Failed, []string{"9 requests failed"}
	if line := r.Line(); !strings.Contains(line, "1000 requests, 9 failed: 9 requests failed") {
		t.Error(line)
	}
}

func TestTable(t *testing.T) {
	asked := []Asked{{"good", "passes, no request fails", 2}, {"kill", "passes", 1}, {"crash-loop", "rolled back", 1}}
	all := []Record{
		{ID: "good-01", Kind: "good", Try: 1, Verdict: Passed, Requests: 4000, Seconds: 40},
		{ID: "good-02", Kind: "good", Try: 1, Verdict: Void, Requests: 9999},
		{ID: "good-02", Kind: "good", Try: 2, Verdict: Failed, Requests: 4000, Failed: 3, Outlast: "abc", Why: []string{"3 requests failed"}},
		{ID: "good-02", Kind: "good", Try: 3, Verdict: Passed, Requests: 5000, Seconds: 50, Outlast: "def"},
		{ID: "kill-01", Kind: "kill", Try: 1, Verdict: Failed, Requests: 1000, Failed: 1, Outlast: "abc", Why: []string{"1 requests failed"}},
	}
	rows := Rows(asked, all)
	holds := map[string]bool{}
	for _, r := range rows {
		holds[r.Kind] = r.Holds()
	}
	if diff := cmp.Diff(map[string]bool{"good": true, "kill": false, "crash-loop": false}, holds); diff != "" {
		t.Error(diff)
	}
	var out bytes.Buffer
	Table(&out, rows, all)
	for _, want := range []string{
		"| good | passes, no request fails | 2 | 2 | 9,000 | 0 | 45 | 2 | met |",
		"| 1 | 0 | 1,000 | 1 | 0 | 0 | **not met** |",
		"| all | | 4 | 2 | 10,000 | 1 | | 2 | |",
		"- good-02, try 2, with abc: 3 requests failed (made again with def: passed)",
		"- kill-01, try 1, with abc: 1 requests failed\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, out.String())
		}
	}
	if rows := Rows(asked, nil); len(rows) != 3 || rows[0].Holds() {
		t.Errorf("without records: %+v", rows)
	}
	if got := thousands(1234567); got != "1,234,567" {
		t.Error(got)
	}
}
