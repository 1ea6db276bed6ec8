// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb"
	"github.com/outlast-ci/outlast/lab/internal/alb/watch"
	"github.com/outlast-ci/outlast/lab/internal/cloud"
	"github.com/outlast-ci/outlast/lab/internal/cluster"
	"github.com/outlast-ci/outlast/lab/internal/labstate"
	"github.com/outlast-ci/outlast/lab/internal/load"
	"github.com/outlast-ci/outlast/lab/internal/trial"
)

func TestARangeOfPropagation(t *testing.T) {
	cases := map[string]struct {
		least, most time.Duration
		ok          bool
	}{
		"15s-17s": {15 * time.Second, 17 * time.Second, true},
		"0s-0s":   {0, 1, true}, // as good as none, and not the default
		"17s-15s": {},
		"15s":     {},
		"a-b":     {},
		"-1s-2s":  {},
		"":        {},
	}
	for text, want := range cases {
		d, err := watch.ParseRange(text)
		if (err == nil) != want.ok || want.ok && (d.Min != want.least || d.Max != want.most) {
			t.Errorf("%q: %s, %s, %v", text, d.Min, d.Max, err)
		}
	}
}

func TestCommandsThatAreNoneChangeNothing(t *testing.T) {
	t.Setenv("LAB_DIR", t.TempDir())
	for _, args := range [][]string{{"upp"}, {"status"}, {"env"}, {"deploy"}, {"load"}, {"faults"}, {"faults", "order"}, {"logs"}, {"up", "--propagation", "soon"}, {"up", "--registration", "3s"}, {"up", "--jitter", "3s-1s"}, {"up", "--seed", "-1"}, {"up", "--speed", "2"}} {
		if err := dispatch(t.Context(), args); err == nil {
			t.Errorf("lab %s: no error", strings.Join(args, " "))
		} else if strings.Contains(err.Error(), "panic") {
			t.Error(err)
		}
	}
	for _, args := range [][]string{{}, {"help"}, {"down"}, {"up", "-h"}, {"faults", "-h"}, {"logs", "-h"}} {
		if err := dispatch(t.Context(), args); err != nil {
			t.Errorf("lab %s: %v", strings.Join(args, " "), err)
		}
	}
}

func TestARunningLabKeepsItsBalancersLags(t *testing.T) {
	is := labstate.State{Started: true, Seed: 7, Propagation: "15s-17s", Registration: "1s-3s", Jitter: "0s-15s"}
	for name, tt := range map[string]struct {
		args []string
		want string // in the error
	}{
		"nothing is asked for":   {nil, ""},
		"what it has":            {[]string{"--propagation", "15s-17s", "--registration", "1s-3s", "--jitter", "0s-15s", "--seed", "7"}, ""},
		"another propagation":    {[]string{"--propagation", "10s-17s"}, "a propagation of 15s-17s, not 10s-17s; take it down"},
		"another registration":   {[]string{"--registration", "0s-10s"}, "a registration of 1s-3s, not 0s-10s; take it down"},
		"another jitter":         {[]string{"--jitter", "0s-3s"}, "a jitter of 0s-15s, not 0s-3s; take it down"},
		"another seed":           {[]string{"--seed", "8"}, "a seed of 7, not 8; take it down"},
		"a registration of none": {[]string{"--registration", "soon"}, `--registration: reading the range "soon"`},
		"a jitter of none":       {[]string{"--jitter", "3s-1s"}, `--jitter: reading the range "3s-1s"`},
	} {
		t.Run(name, func(t *testing.T) {
			var opt cluster.Options
			if err := upFlags(&opt).Parse(tt.args); err != nil {
				t.Fatal(err)
			}
			said := ""
			if err := fits(opt, is); err != nil {
				said = err.Error()
			}
			if !strings.Contains(said, tt.want) || (said == "") != (tt.want == "") {
				t.Errorf("said %q, want %q", said, tt.want)
			}
			if err := fits(opt, labstate.State{}); err != nil && !strings.Contains(tt.want, "reading") {
				t.Errorf("a lab that is not up: %v", err)
			}
		})
	}
}

func TestTheBalancersLagAsTheStateSays(t *testing.T) {
	s := labstate.State{Seed: 7, Propagation: "15s-17s", Registration: "1s-3s", Jitter: "0s-0s"}
	got, err := balancing(s)
	sec := time.Second
	if err != nil || got.Seed != 7 || got.Deregister != (alb.Delay{Min: 15 * sec, Max: 17 * sec}) || got.Registration != (alb.Delay{Min: sec, Max: 3 * sec}) || got.Jitter != (alb.Delay{Max: 1}) {
		t.Errorf("%+v, %v", got, err)
	}
	if said := lagging(s); said != "seed 7, propagation 15s-17s, registration 1s-3s, jitter 0s-0s" {
		t.Error(said)
	}
	s.Jitter = ""
	if _, err := balancing(s); err == nil || !strings.Contains(err.Error(), "the lab's jitter") {
		t.Errorf("without a jitter: %v", err)
	}
}

// The demo must not call a run a success in which requests failed, or none were sent.
func TestTheDemoFailsWithItsRequests(t *testing.T) {
	tr := &trial.Trial{Dir: t.TempDir()}
	cases := map[string]struct {
		sent load.Report
		said string
	}{
		"all is well":       {load.Report{Sent: 10}, ""},
		"one failed":        {load.Report{Sent: 10, Failed: 1, Status: map[int]int{502: 1}}, "1 requests of 10 failed"},
		"none was sent":     {load.Report{}, "0 requests were sent"},
		"some were skipped": {load.Report{Sent: 10, Missed: 3}, "3 were not"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if err := demoTable(tr, trial.Run{}, c.sent); (err == nil) != (c.said == "") || err != nil && !strings.Contains(err.Error(), c.said) {
				t.Errorf("error: %v", err)
			}
		})
	}
}

func TestWhatBecameOfAPod(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1e9+int64(s), 0) }
	if got := podWords(trial.Pod{New: true, Created: at(0), Healthy: at(7)}); got != "healthy at the balancer 7 s after it was made" {
		t.Error(got)
	}
	old := trial.Pod{Deleted: at(0), Drained: at(23), Gone: at(30), Proof: "proven", Margin: 6}
	if got := podWords(old); got != "target drained after 23 s, pod gone after 30 s; outlasted it by at least 6 s" {
		t.Error(got)
	}
	old.Proof = "broken"
	if got := podWords(old); strings.Contains(got, "outlasted") {
		t.Error(got)
	}
}

// TestWhatTheLabItselfAsksForIsServed: a load balancer that is not there is refused by what
// was asked, and not because nobody serves it.
func TestWhatTheLabItselfAsksForIsServed(t *testing.T) {
	engine := alb.New(alb.Options{})
	defer engine.Close()
	c, err := cloud.New(cloud.Config{Dir: t.TempDir(), Account: "111122223333", Region: "cn-northwest-1", Engine: engine, Cluster: cloud.Cluster{Name: "lab"}, VPC: cloud.VPC{NodeIP: "127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(private(c, engine, &watch.Hub{}))
	defer srv.Close()
	lab := watch.Client{Base: srv.URL}
	for what, err := range map[string]error{
		"propagation": lab.SetPropagation(t.Context(), "arn:none", "1s-2s"),
		"jitter":      lab.SetJitter(t.Context(), "arn:none", "1s-2s"),
	} {
		if err == nil || !strings.Contains(err.Error(), alb.ErrLoadBalancerNotFound.Error()) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for path, want := range map[string]string{"GET /_lab/faults": "200 OK", "POST /_lab/access-logs": "200 OK", "GET /nodes": "200 OK", "GET /_lab/nothing": "404 Not Found"} {
		method, path, _ := strings.Cut(path, " ")
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil || res.Body.Close() != nil || res.Status != want {
			t.Errorf("%s %s: %v, %v, want %s", method, path, res.Status, err, want)
		}
	}
}
