// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb/accesslog"
	"github.com/outlast-ci/outlast/lab/internal/cloud/trouble"
)

func TestFaultsAreOrderedListedAndCleared(t *testing.T) {
	srv := httptest.NewServer(trouble.New(trouble.AWSLimits(), time.Now).Control())
	defer srv.Close()
	var out bytes.Buffer
	c := control{trouble.Client{Base: srv.URL}, &out}
	for _, step := range []struct {
		do   string
		want string // in what is printed, or in the error
		ok   bool
	}{
		{"add throttle --service elasticloadbalancing --operation Describe* --resource arn:x --rate 0.5 --for 1m --count 3", "fault 1 is ordered; end it by: lab faults clear 1", true},
		{"add latency --delay 200ms --after 2s", "fault 2 is ordered", true},
		{"list", "1   throttle        elasticloadbalancing  Describe*  arn:x     50%           3        1m0s    0\n2   latency 200 ms  any", true},
		{"add fire", "want throttle, 5xx, latency or reset", false},
		{"add", "want one kind, before the flags", false},
		{"add latency", "milliseconds 0", false},
		{"clear 7", "there is none with that id", false},
		{"clear 1", "", true},
		{"list", "HITS\n2 ", true},
		{"clear", "", true},
		{"list", "HITS\n", true},
		{"list all", "takes no argument", false},
		{"clear 1 2", "takes one ID", false},
		{"limits", "Describe*                           40     10\n", true},
		{"limits none", "Describe*                           no limit", true},
		{"limits aws", "RegisterTargets, DeregisterTargets  20     4\n", true},
		{"limits some", "want aws, none or nothing", false},
	} {
		out.Reset()
		args := strings.Fields(step.do)
		err := map[string]func() error{
			"list":   func() error { return listFaults(t.Context(), c, args[1:]) },
			"add":    func() error { return addFault(t.Context(), c, args[1:]) },
			"clear":  func() error { return clearFaults(t.Context(), c, args[1:]) },
			"limits": func() error { return limits(t.Context(), c, args[1:]) },
		}[args[0]]()
		said := out.String()
		if err != nil {
			said = err.Error()
		}
		if (err == nil) != step.ok || !strings.Contains(said, step.want) || step.want == "HITS\n" && !strings.HasSuffix(said, step.want) {
			t.Errorf("lab faults %s: %v\n%s", step.do, err, said)
		}
	}
	srv.Close()
	if err := listFaults(t.Context(), c, nil); err == nil || !strings.Contains(err.Error(), "is it up? see lab status") {
		t.Errorf("without an AWS: %v", err)
	}
}

func TestLogsTellWhyRequestsFailed(t *testing.T) {
	at := time.Date(2026, 11, 29, 4, 5, 6, 0, time.UTC)
	entries := []accesslog.Entry{
		{Status: 200, TargetStatus: 200, Target: "10.0.0.1:80", Created: at, Time: at, Request: "GET http://a:80/ HTTP/1.1"},
		{Status: 504, Target: "10.0.0.2:80", RequestTime: -1, TargetTime: -1, ResponseTime: -1, Created: at, Time: at.Add(10 * time.Second), Request: "GET http://a:80/b HTTP/1.1"},
	}
	var out bytes.Buffer
	if err := printLogs(&out, entries, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"04:05:06.000  10.000 s  504     10.0.0.2:80  -           connect-timeout  GET http://a:80/b HTTP/1.1", "connect-timeout  1         the address was gone", "ok               1         answered"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "GET http://a:80/ ") {
		t.Errorf("a good request is among the failed ones:\n%s", out.String())
	}
	out.Reset()
	if err := printLogs(&out, entries, true); err != nil || !strings.Contains(out.String(), "GET http://a:80/ ") {
		t.Errorf("all lines: %v\n%s", err, out.String())
	}
	for _, c := range []accesslog.Class{accesslog.OK, accesslog.ConnectReset, accesslog.ConnectTimeout, accesslog.IdleTimeout, accesslog.TargetClosed, accesslog.DelayExpired, accesslog.NoTarget, accesslog.ClientGone, accesslog.Application, accesslog.Other} {
		if causes[c] == "" {
			t.Errorf("class %q has no meaning", c)
		}
	}
}
