// SPDX-License-Identifier: Apache-2.0

// Package soak deploys the example to the lab again and again, good images and bad
// ones, under load, with outlast killed on the way, and counts. In go a profile, a
// seed and a folder; the folder holds a record of every trial, to which a second run
// adds what the first one has not got to.
//
// Everything is seen from outside: requests by the clients that sent them, the rest
// by outlast's exit code, its report and the pods that are there.
package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/cluster"
	"github.com/outlast-ci/outlast/lab/internal/labstate"
	"github.com/outlast-ci/outlast/lab/internal/soak/book"
	"github.com/outlast-ci/outlast/lab/internal/trial"
)

// Options of Run. State, Product, Dir, Out and Profile are needed.
type Options struct {
	State    labstate.State
	Product  string // the product's folder
	Dir      string // for checkouts and what outlast says
	Out      string // folder of the records
	Profile  Profile
	Seed     uint64
	Parallel int            // applications side by side; 0: 3
	Rate     float64        // requests per second to each; 0: 100
	Counts   map[string]int // of trials by kind; nil: the profile's
	Again    bool           // failed trials are made again, too
	Log      func(format string, args ...any)
}

// mostTries of a trial that comes out void.
const mostTries = 6

// versions of the images: each deploy goes from one to the other.
var versions = []string{"v1", "v2"}

// bench is one run of the soak.
type bench struct {
	Options
	root    *trial.Trial
	images  []string // by digest
	version string   // of outlast

	mu     sync.Mutex
	all    []book.Record
	queue  []Trial
	failed []error
}

// Run makes the trials that have no record yet, and returns all records.
func Run(ctx context.Context, o Options) ([]book.Record, error) {
	if o.Parallel == 0 {
		o.Parallel = 3
	}
	if o.Rate == 0 {
		o.Rate = 100
	}
	b := &bench{Options: o}
	plan, err := Plan(o.Profile, o.Seed, o.Counts)
	if err != nil {
		return nil, err
	}
	if b.all, err = book.Read(o.Out); err != nil {
		return nil, err
	}
	b.queue = left(plan, b.all, o.Again)
	o.Log("%d trials of the profile %s, of which %d are left", len(plan), o.Profile.Name, len(b.queue))
	if len(b.queue) == 0 {
		return b.all, nil
	}
	if err := b.prepare(ctx); err != nil {
		return b.all, fmt.Errorf("preparing the soak: %w", err)
	}
	var running sync.WaitGroup
	for n := range min(o.Parallel, len(b.queue)) {
		running.Go(func() {
			if err := b.serve(ctx, fmt.Sprintf("%s%d", prefix, n+1)); err != nil {
				b.mu.Lock()
				b.failed = append(b.failed, err)
				b.mu.Unlock()
			}
		})
	}
	running.Wait()
	return b.all, errors.Join(errors.Join(b.failed...), ctx.Err(), b.leave(context.WithoutCancel(ctx)))
}

// prepare makes a checkout of the example and its images.
func (b *bench) prepare(ctx context.Context) error {
	for _, dir := range []string{filepath.Join(b.Dir, "logs"), b.Out} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	var err error
	if b.root, err = trial.New(ctx, b.State, b.Product, filepath.Join(b.Dir, "web")); err != nil {
		return err
	}
	program := filepath.Join(b.Dir, "outlast")
	if err := keepProgram(b.root.Outlast, program); err != nil {
		return err
	}
	b.root.Outlast = program
	if b.version, err = commit(ctx, b.Product); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.root.Dir, "soak.yaml"), []byte(config), 0o644); err != nil {
		return err
	}
	for _, version := range versions {
		if err := b.root.Commit(ctx, "Make "+version); err != nil {
			return err
		}
		run, err := b.root.Run(ctx, trial.Command{Args: []string{"deploy", "--config", "soak.yaml", "--to", "push", "--build-arg", "VERSION=" + version}})
		if err != nil {
			return err
		}
		if run.Exit != 0 || len(run.Report.Refs) != 1 {
			return fmt.Errorf("building the image of %s: exit %d: %s", version, run.Exit, run.Stderr)
		}
		b.images = append(b.images, run.Report.Refs[0].Repository+"@"+run.Report.Refs[0].Digest)
	}
	return b.leave(ctx) // what an earlier run that was broken off has left
}

// commit is the newest one that changed the product, with "-dirty" when its files do.
func commit(ctx context.Context, product string) (string, error) {
	git := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir = product
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("asking git which outlast this is: %w", err)
		}
		return strings.TrimSpace(string(out)), nil
	}
	of, err := git("log", "-1", "--format=%h", "--", "core")
	if err != nil {
		return "", err
	}
	changed, err := git("status", "--porcelain", "--", "core")
	if changed != "" {
		of += "-dirty"
	}
	return of, err
}

// serve makes trials with one application until none is left.
func (b *bench) serve(ctx context.Context, namespace string) error {
	checkout, err := b.root.Clone(ctx, filepath.Join(b.Dir, namespace))
	if err != nil {
		return err
	}
	a, sound := &app{bench: b, namespace: namespace, checkout: checkout}, false
	for ctx.Err() == nil {
		t, try, ok := b.next()
		if !ok {
			return nil
		}
		if !sound {
			if err := a.install(ctx); err != nil {
				return fmt.Errorf("installing %s: %w", namespace, err)
			}
		}
		var r book.Record
		if r, sound = a.try(ctx, t, try); ctx.Err() != nil {
			break // what was broken off is no record
		}
		if err := b.keep(t, r); err != nil {
			return err
		}
	}
	return nil
}

// next takes a trial out of the queue, and tells how often it was tried already,
// and once more.
func (b *bench) next() (Trial, int, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		return Trial{}, 0, false
	}
	t := b.queue[0]
	b.queue = b.queue[1:]
	return t, b.tries(t) + 1, true
}

func (b *bench) tries(t Trial) int {
	n := 0
	for _, r := range b.all {
		if r.ID == t.ID() {
			n++
		}
	}
	return n
}

// keep writes a record down, and puts a void trial to the end of the queue.
func (b *bench) keep(t Trial, r book.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, r)
	if r.Verdict == book.Void && b.tries(t) < mostTries {
		b.queue = append(b.queue, t)
	}
	b.Log("%s", r.Line())
	return book.Append(b.Out, r)
}

// typical is how long a deploy of a kind takes: the mean of those that passed.
func (b *bench) typical(kind string) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	sum, n := 0.0, 0.0
	for _, r := range b.all {
		if r.Kind == kind && r.Verdict == book.Passed {
			sum, n = sum+r.Seconds, n+1
		}
	}
	if n == 0 {
		return b.Profile.Typical
	}
	return seconds(sum / n)
}

// leave deletes the namespaces of the soak.
func (b *bench) leave(ctx context.Context) error {
	names, err := cluster.Namespaces(ctx, b.State, prefix)
	if err != nil {
		return err
	}
	return cluster.DeleteNamespaces(ctx, b.State, names...)
}
