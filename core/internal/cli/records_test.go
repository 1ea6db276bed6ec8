// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/internal/cli/run"
	"github.com/outlast-ci/outlast/core/internal/secret"
	"github.com/outlast-ci/outlast/core/release"
)

// empty is a cluster that nothing was deployed to; one that is away tells no list.
type empty struct {
	release.Store
	away error
}

func (e empty) List(context.Context, string, string, string, string) ([]unstructured.Unstructured, error) {
	return nil, e.away
}

func TestHistoriesOfSeveralClusters(t *testing.T) {
	target := func(name, region string, away error) core.Target {
		return core.Target{Run: core.Run{Cluster: name, Region: region}, Clients: core.Clients{Cluster: func(context.Context) (core.Cluster, error) {
			return core.Cluster{Records: empty{away: away}}, nil
		}}}
	}
	cfg := core.Config{Run: core.Run{App: "web", Environment: "prod"}, Namespace: "dev"}
	list := func(format string, targets ...core.Target) (string, error) {
		var out bytes.Buffer
		a := &app{&run.App{Env: Env{Stdout: &out}, Secrets: secret.New(nil)}}
		err := a.histories(t.Context(), cfg, targets, format)
		return out.String(), err
	}
	both := []core.Target{target("north", "cn-north-1", nil), target("lab", "", nil)}
	header := "REVISION  STATE  STARTED  TOOK  COMMIT  BY  WHY\n"
	if got, err := list("text", both...); err != nil || got != "# cluster north (cn-north-1)\n"+header+"# cluster lab\n"+header {
		t.Errorf("%v\n%s", err, got)
	}
	got, err := list("json", both...)
	var back []struct{ Cluster string }
	if err != nil || json.Unmarshal([]byte(got), &back) != nil || len(back) != 2 || back[1].Cluster != "lab" {
		t.Errorf("%v\n%s", err, got)
	}
	if got, err := list("text", both[0], target("lab", "", errors.New("it is away"))); err == nil || !strings.Contains(err.Error(), "cluster lab: ") || got != "" {
		t.Errorf("%v, %q", err, got)
	}
}
