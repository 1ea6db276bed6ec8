// SPDX-License-Identifier: Apache-2.0

package experiment

import (
	"context"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/cloud/trouble"
	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
	"github.com/outlast-ci/outlast/lab/internal/experiment/plan"
	"github.com/outlast-ci/outlast/lab/internal/labstate"
)

func TestTheControllerIsLateOnceARolloutAndWithOneGroupOnly(t *testing.T) {
	aws := trouble.New(trouble.Limits{}, time.Now)
	srv := httptest.NewServer(aws.Control())
	defer srv.Close()
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	hook, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	a := &app{
		bench: &bench{Options: Options{State: labstate.State{Ports: map[string]int{"hook": hook}}}}, group: "arn:mine",
		Setting: plan.Setting{Latency: 3600},
	}
	// A caller that has no time sees whether it would have to wait, however slow this machine is.
	none, cancel := context.WithCancel(t.Context())
	cancel()
	waits := func(operation, group string) bool {
		_, done := aws.Meet(nil, httptest.NewRequestWithContext(none, "POST", "/", nil), wire.Call{Service: "elasticloadbalancing", Operation: operation, Resources: []string{group}})
		return done
	}
	told, err := a.late(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []trouble.Fault
	if err := (trouble.Client{Base: srv.URL}).Ask(t.Context(), "GET", "faults", nil, &all); err != nil || len(all) != 1 || all[0].Milliseconds != 3_600_000 {
		t.Errorf("ordered %+v, %v", all, err)
	}
	if waits("DeregisterTargets", "arn:other") || waits("DescribeTargetHealth", "arn:mine") {
		t.Error("other calls wait")
	}
	if first, second := waits("DeregisterTargets", "arn:mine"), waits("DeregisterTargets", "arn:mine"); !first || second {
		t.Errorf("of the two calls of a rollout the first waits: %t, and the second: %t", first, second)
	}
	if err := told(); err != nil {
		t.Error(err)
	}
	if told, err = a.late(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := told(); err == nil || !strings.Contains(err.Error(), "0 calls were delayed") {
		t.Errorf("a rollout in which the controller was not late: %v", err)
	}
	a.Latency = 0
	if told, err = a.late(t.Context()); err != nil || told() != nil {
		t.Errorf("a setting without: %v", err)
	}
	if waits("DeregisterTargets", "arn:mine") {
		t.Error("a fault is left")
	}
}
