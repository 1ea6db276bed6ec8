// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/outlast-ci/outlast/lab/internal/load"
)

// send starts the load: a tenth of it slow, a quarter on fresh connections.
func (w *world) send(t *testing.T) (stop func(), sent <-chan load.Report) {
	t.Helper()
	return w.sendTo(t, nil)
}

// sendTo tells of each finished request, too.
func (w *world) sendTo(t *testing.T, observe func(load.Sample)) (stop func(), sent <-chan load.Report) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan load.Report, 1)
	go func() {
		defer close(done)
		r, err := load.Run(ctx, load.Options{URL: w.front.URL, Addresses: w.front.Addresses, Rate: rate, SlowShare: 0.1, SlowPath: "/slow?ms=2000", Observe: observe})
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	t.Cleanup(cancel)
	return cancel, done
}

func (w *world) buildctl(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), w.Lab.Path("bin", "buildctl"), append([]string{"--addr", "unix://" + w.Lab.Path("buildkit", "buildkitd.sock")}, args...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("buildctl %s: %v: %s", args[0], err, errs.String())
	}
	return strings.TrimSpace(string(out))
}
