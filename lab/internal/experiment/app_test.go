// SPDX-License-Identifier: Apache-2.0

package experiment

import (
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
		Setting: plan.Setting{Latency: 0.3},
	}
	took := func(operation, group string) time.Duration {
		began := time.Now()
		aws.Meet(nil, httptest.NewRequest("POST", "/", nil), wire.Call{Service: "elasticloadbalancing", Operation: operation, Resources: []string{group}})
		return time.Since(began)
	}
	told, err := a.late(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := took("DeregisterTargets", "arn:other") + took("DescribeTargetHealth", "arn:mine"); d > 250*time.Millisecond {
		t.Errorf("other calls took %s", d)
	}
	if first, second := took("DeregisterTargets", "arn:mine"), took("DeregisterTargets", "arn:mine"); first < 300*time.Millisecond || second > 250*time.Millisecond {
		t.Errorf("the two calls of a rollout took %s and %s", first, second)
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
	if d := took("DeregisterTargets", "arn:mine"); d > 250*time.Millisecond {
		t.Errorf("a fault is left: %s", d)
	}
}
