// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outlast-ci/outlast/lab/internal/alb"
	"github.com/outlast-ci/outlast/lab/internal/cloud"
	"github.com/outlast-ci/outlast/lab/internal/labstate"
	"github.com/outlast-ci/outlast/lab/internal/soak/book"
	"github.com/outlast-ci/outlast/lab/internal/trial"
)

// watching is an application whose outlast is a script, in a lab that has an AWS and
// nothing else. called tells what the AWS was asked for, and so does the script's file asked.
func watching(t *testing.T, script string) (a *app, called func() []string) {
	t.Helper()
	dir := t.TempDir()
	engine := alb.New(alb.Options{})
	t.Cleanup(func() { _ = engine.Close() })
	c, err := cloud.New(cloud.Config{Dir: filepath.Join(dir, "cloud"), Account: "123456789012", Region: "us-east-1", RegistryURL: "http://127.0.0.1:1", Engine: engine,
		Users: []cloud.User{{Name: "deployer", AccessKeyID: "AKIA", SecretAccessKey: "secret"}}, Cluster: cloud.Cluster{Name: "lab"}, VPC: cloud.VPC{NodeIP: "10.77.0.2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	var mu sync.Mutex
	var all []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		all = append(all, path.Base(r.URL.Path))
		err := os.WriteFile(filepath.Join(dir, "asked"), []byte(strings.Join(all, "\n")+"\n"), 0o644)
		mu.Unlock()
		if err != nil {
			t.Error(err)
		}
		c.API().ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	var port int
	if _, err := fmt.Sscanf(srv.URL, "http://127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	lab := labstate.State{Dir: dir, Region: "us-east-1", Ports: map[string]int{"api": port}, Users: map[string]labstate.User{"deployer": {AccessKeyID: "AKIA", SecretAccessKey: "secret"}}}
	program := filepath.Join(dir, "outlast")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"$@\" >> args\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"logs", ".outlast"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b := &bench{Options: Options{State: lab, Dir: dir, Profile: Fast}}
	return &app{bench: b, namespace: "soak-1", checkout: &trial.Trial{Lab: lab, Outlast: program, Dir: dir}, front: trial.Front{URL: "http://web.elb.example:1325/", Addresses: []string{"10.88.0.5", "10.88.0.6"}}}, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

func TestAnAlarmInTheMiddleOfARollout(t *testing.T) {
	const began = "echo '00:00:01 apply  started' >&2; echo '00:00:02 gate   started' >&2; "
	// Of the states that are set, the first fails, and the second is OK.
	const third = `for i in $(seq 400); do [ "$(grep -c SetAlarmState asked)" -lt 3 ] || break; sleep 0.05; done; `
	alone := []string{"SetAlarmState", "PutMetricAlarm", "SetAlarmState", "DeleteAlarms"}
	raised := slices.Insert(slices.Clone(alone), 3, "SetAlarmState")
	for name, x := range map[string]struct {
		script string
		called []string
		early  bool
		takes  float64 // seconds, a good deploy
	}{
		"it is raised while the gate waits":              {began + third + `echo '00:00:03 gate   started' >&2; echo '{"reason":"alarm"}' > .outlast/report.json; exit 9`, raised, false, 0.02},
		"the deploy was over before that":                {"exit 0", alone, true, 0.02},
		"or while the gate waited":                       {began + "exit 0", alone, true, 1000},
		"a deploy that fails before that is not excused": {"exit 6", alone, false, 0.02},
	} {
		t.Run(name, func(t *testing.T) {
			a, called := watching(t, x.script)
			a.all = []book.Record{{Kind: "good", Verdict: book.Passed, Seconds: x.takes}}
			at := &attempt{Trial: Trial{kind(t, "alarm"), 3}, command: trial.Command{Args: []string{"deploy"}}}
			at.draw = at.Draw(1, 1)
			began := time.Now()
			if err := a.alarmed(t.Context(), at); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(x.called, called()); diff != "" || at.seen.Early != x.early {
				t.Errorf("early: %v; after %s the AWS was asked for (-want +got):\n%s", at.seen.Early, time.Since(began), diff)
			}
			if args, err := os.ReadFile(filepath.Join(a.Dir, "args")); err != nil || string(args) != "deploy --alarm soak-1-alarm-03\n" {
				t.Errorf("outlast is called with %q, %v", args, err)
			}
		})
	}
}

// The alarm of a handover waits until its new pods serve.
func TestAnAlarmAmidAHandover(t *testing.T) {
	const narrows = "echo '00:00:02 gate   handover, step 2 of 6: the Services turn to the new pods' >&2; sleep 0.5; "
	for script, raised := range map[string]bool{
		narrows + "exit 0": false,
		narrows + "echo '00:00:03 gate   handover, step 3 of 6: the old pods drain while they run' >&2; sleep 2; exit 9": true,
	} {
		a, called := watching(t, script)
		at := &attempt{Trial: Trial{kind(t, "long-undone"), 1}, command: trial.Command{Args: []string{"deploy"}}}
		for seed := uint64(1); ; seed++ { // one that waits for less than a tenth of a second
			if at.draw = at.Draw(seed, 1); at.draw.Float64() < 0.01 {
				at.draw = at.Draw(seed, 1)
				break
			}
		}
		if err := at.step(a, t.Context(), at); err != nil {
			t.Fatal(err)
		}
		if got := slices.Equal(called(), []string{"SetAlarmState", "PutMetricAlarm", "SetAlarmState", "SetAlarmState", "DeleteAlarms"}); got != raised || at.seen.Early == raised {
			t.Errorf("%s: the AWS was asked for %v; early: %t", script, called(), at.seen.Early)
		}
	}
}

func TestADeployThatIsProbed(t *testing.T) {
	const probe = "--probe-url http://10.88.0.5:1325/cart --probe-host web.elb.example:1325 --probe-rate 10 --probe-timeout 10s --probe-status 200 --probe-body ^v[12] .* cart\n"
	for name, want := range map[string]string{"probe": "deploy " + probe, "probe-good": "deploy --alarm soak-1-probe-good-01 " + probe} {
		a, called := watching(t, "exit 0")
		at := &attempt{Trial: Trial{kind(t, name), 1}, command: trial.Command{Args: []string{"deploy"}}}
		if err := at.step(a, t.Context(), at); err != nil {
			t.Fatal(err)
		}
		if args, err := os.ReadFile(filepath.Join(a.Dir, "args")); err != nil || string(args) != want {
			t.Errorf("%s: outlast is called with %q, want %q, %v", name, args, want, err)
		}
		if asked := strings.Join(called(), " "); (asked != "") != (name == "probe-good") || asked != "" && !strings.HasSuffix(asked, "DeleteAlarms") {
			t.Errorf("%s: the AWS was asked for %s", name, asked)
		}
	}
}
