// SPDX-License-Identifier: Apache-2.0

package core

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/release"
)

// attempt is one run's record in the cluster, and the lock under which it writes.
type attempt struct {
	lock     *release.Lock
	history  *release.History
	revision release.Revision
}

// AppOf names the application whose records a run reads and writes: two
// environments in one namespace are two applications. namespace is where its first
// workload lives.
func AppOf(run Run, namespace string) release.App {
	name := strings.ToLower(strings.Join(strings.FieldsFunc(run.App+"-"+run.Environment, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	}), "-"))
	return release.App{Namespace: cmp.Or(namespace, "default"), Name: strings.Trim(name[:min(len(name), 50)], "-")} // what is added to it has to fit into 63
}

// home is the namespace of the records.
func (p *pipeline) home() string {
	if p.cfg.Namespace != "" || p.report.Manifests == nil || len(p.report.Manifests.Workloads) == 0 {
		return cmp.Or(p.cfg.Namespace, "default")
	}
	return cmp.Or(p.report.Manifests.Workloads[0].Namespace, "default")
}

// look reads the records before anything is changed: an identity that may not is
// told before the build.
func (p *pipeline) look(ctx context.Context) error {
	history, err := release.Open(p.cluster.Records, AppOf(p.cfg.Run, p.home()))
	if err != nil {
		return err
	}
	_, err = history.List(ctx)
	return err
}

// open takes the application's lock.
func (p *pipeline) open(ctx context.Context) (context.Context, error) {
	if p.attempt != nil {
		return p.attempt.lock.Context(), nil
	}
	app := AppOf(p.cfg.Run, p.home())
	history, err := release.Open(p.cluster.Records, app)
	if err != nil {
		return ctx, err
	}
	lock, err := release.Acquire(ctx, p.cluster.Records, app, release.LockOptions{Holder: p.cfg.Holder, RunURL: p.cfg.Run.RunURL, Steal: p.cfg.StealLock, Observe: p.cfg.Observe})
	if err != nil {
		return ctx, err
	}
	p.attempt = &attempt{lock: lock, history: history}
	return lock.Context(), nil
}

// begin records that the manifests are about to be applied; of says whose they are
// when a rollback applies them again. A run that was killed before is recorded as
// interrupted: this one goes on from what it finds.
func (p *pipeline) begin(ctx context.Context, s shipment, of int) error {
	a := p.attempt
	left, err := a.history.Unfinished(ctx)
	if err != nil {
		return err
	}
	if left != nil {
		p.note("apply", fmt.Sprintf("revision %d", left.Number), "its run was ended before it was done (%s); this run goes on from what it left", left.State)
		left.State, left.Token, left.Finished = release.Interrupted, a.lock.Token(), time.Now()
		left.Reason = cmp.Or(left.Reason, "killed")
		if err := a.history.Update(ctx, *left); err != nil {
			return err
		}
	}
	report, err := json.Marshal(s.ManifestReport)
	if err != nil {
		return fmt.Errorf("recording the revision: %w", err)
	}
	run := p.cfg.Run
	a.revision, err = a.history.Begin(ctx, release.Revision{Token: a.lock.Token(), OfRevision: of,
		Run: release.Run{Version: run.Version, Commit: run.Commit, Branch: run.Branch, RunURL: run.RunURL, Actor: run.Actor, Environment: run.Environment}},
		release.Content{Manifests: s.yaml, Report: report})
	p.report.Revision = a.revision.Number
	return err
}

// resume goes on with the revision that the apply stage of an earlier job began.
func (p *pipeline) resume(ctx context.Context) error {
	list, err := p.attempt.history.List(ctx)
	if err != nil {
		return err
	}
	for _, r := range list {
		if r.Number == p.report.Revision {
			p.attempt.revision = r
			p.attempt.revision.Token = p.attempt.lock.Token()
			return nil
		}
		return &gate.Error{Reason: gate.Superseded, Problems: []string{fmt.Sprintf("revision %d, by %s, came after this run's revision %d", r.Number, cmp.Or(r.Run.RunURL, r.Run.Actor, "another run"), p.report.Revision)}}
	}
	return fmt.Errorf("the cluster has no revision %d, which the report given with --report says that it applied; is it the same cluster and namespace?", p.report.Revision)
}

// journal notes how far the apply stage is. That it cannot be written is told, and
// does not end the run: the cluster itself shows what was done.
func (p *pipeline) journal(ctx context.Context, phase string) {
	if p.attempt.revision.Journal.Phase == phase {
		return
	}
	p.attempt.revision.Journal.Phase = phase
	p.mark(ctx, p.attempt.revision.State, "")
}

// mark records a state of the revision.
func (p *pipeline) mark(ctx context.Context, state release.State, reason string) {
	r := &p.attempt.revision
	if r.Number == 0 {
		return
	}
	r.State, r.Reason = state, reason
	if state != release.Applying && state != release.Applied {
		r.Finished = time.Now()
	}
	if err := p.attempt.history.Update(ctx, *r); err != nil {
		p.cfg.Observe.Emit(event.Event{Stage: "apply", Kind: event.Warn, Object: fmt.Sprintf("revision %d", r.Number), Message: "its state could not be recorded: " + err.Error()})
	}
}

// last is how long a record may take when the run has been told to end: GitHub
// kills 2.5 s after its second signal.
const last = 2 * time.Second

// close gives the lock back.
func (p *pipeline) close(ctx context.Context) {
	if p.attempt == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), last)
	defer cancel()
	if err := p.attempt.lock.Release(ctx); err != nil {
		p.cfg.Observe.Emit(event.Event{Stage: "apply", Kind: event.Warn, Message: "the lock could not be given back, and the next deploy waits until it expires: " + err.Error()})
	}
	p.attempt = nil
}
