// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/labstate"
	"github.com/outlast-ci/outlast/lab/internal/node"
	"github.com/outlast-ci/outlast/lab/internal/proc"
)

// Down ends all that Up started, by pid, and removes what it made, by name.
// The logs, the certificates and the built programs stay; purge also forgets
// the state, so that the next Up starts from nothing but the programs.
func Down(ctx context.Context, dir string, purge bool, log func(string, ...any)) error {
	s, err := labstate.Load(dir)
	if errors.Is(err, labstate.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	s.Started = false
	errs := []error{s.Save()}
	for _, name := range slices.Backward(Programs) {
		if p, running := proc.Find(dir, name); running {
			log("stopping %s (pid %d)", name, p.PID)
		}
		errs = append(errs, proc.Stop(dir, name, 10*time.Second))
	}
	errs = append(errs, node.Sweep(dir), node.Down(ctx, dir))
	node.RemoveCgroups()
	// The cluster's own memory goes with its pods: a new control plane over an
	// old etcd would look for pods that no node has.
	for _, gone := range []string{"etcd", "node", "cloud/state.json", "cloud/targets.json"} {
		errs = append(errs, os.RemoveAll(s.Path(gone)))
	}
	if purge {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}
