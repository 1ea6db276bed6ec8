// SPDX-License-Identifier: Apache-2.0

package experiment

import (
	"context"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"github.com/outlast-ci/outlast/lab/internal/cluster"
	"github.com/outlast-ci/outlast/lab/internal/experiment/plan"
	"github.com/outlast-ci/outlast/lab/internal/trial"
)

// Origin is what one must know to make an experiment again. The ranges are
// MIN-MAX; each setting has a propagation of its own.
type Origin struct {
	Commit       string            `json:"commit"` // of outlast and the lab; +dirty: with changes
	Versions     map[string]string `json:"versions"`
	Seed         uint64            `json:"seed"`         // of all draws of the balancers
	Registration string            `json:"registration"` // until nodes know a new target
	Jitter       string            `json:"jitter"`       // from the end of a deregistration delay until the target is unused
	Requeue      string            `json:"requeue"`      // of the controller's look at readiness gates
}

// origin asks the checkout, the cluster and the programs.
func (b *bench) origin(ctx context.Context) (Origin, error) {
	o := Origin{
		Seed: b.State.Seed, Registration: b.State.Registration, Jitter: plan.Jitter, Requeue: b.State.Requeue,
		Versions: map[string]string{"go": runtime.Version()},
	}
	var err error
	if o.Commit, err = trial.Revision(ctx, b.Product); err != nil {
		o.Commit = "unknown" // sources may come without their history
		b.Log("%v", err)
	}
	text, err := cluster.Kubectl(ctx, b.State, nil, "version", "-o", "json")
	if err != nil {
		return o, err
	}
	var kube struct{ ServerVersion struct{ GitVersion string } }
	if err := json.Unmarshal([]byte(text), &kube); err != nil {
		return o, fmt.Errorf("reading the API server's version: %w", err)
	}
	o.Versions["kubernetes"] = kube.ServerVersion.GitVersion
	const controller = "aws-load-balancer-controller"
	built, err := buildinfo.ReadFile(b.State.Tools[controller])
	if err != nil {
		return o, fmt.Errorf("reading the controller's version: %w", err)
	}
	o.Versions[controller] = built.Main.Version
	runtime, err := exec.CommandContext(ctx, "containerd", "--version").Output()
	if err != nil {
		return o, fmt.Errorf("reading containerd's version: %w", err)
	}
	if f := strings.Fields(string(runtime)); len(f) > 2 { // containerd MODULE VERSION COMMIT
		o.Versions["containerd"] = f[2]
	}
	return o, nil
}

// String is one line for the table.
func (o Origin) String() string {
	words := []string{"commit " + o.Commit, fmt.Sprintf("seed %d", o.Seed), "registration " + o.Registration, "jitter " + o.Jitter, "requeue " + o.Requeue}
	for _, name := range slices.Sorted(maps.Keys(o.Versions)) {
		words = append(words, name+" "+o.Versions[name])
	}
	return strings.Join(words, ", ")
}
