// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/outlast-ci/outlast/core/apply"
	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/internal/manifest"
	"github.com/outlast-ci/outlast/core/internal/record"
	"github.com/outlast-ci/outlast/core/internal/rights"
	"github.com/outlast-ci/outlast/core/release"
)

// OnFailure says what a deploy does when its apply or gate fails.
type OnFailure string

const (
	RollBack OnFailure = "rollback" // apply the last release whose gate passed, whole
	Hold     OnFailure = "hold"     // leave everything as it is
	Pause    OnFailure = "pause"    // stop the rollout where it is, with the old pods that are left
)

// RollbackReport is what a rollback did.
type RollbackReport struct {
	To        int             `json:"to"`       // the revision whose manifests were applied again
	Revision  int             `json:"revision"` // the record of doing so
	Commit    string          `json:"commit,omitempty"`
	Started   time.Time       `json:"started"`
	Finished  time.Time       `json:"finished"`
	Passed    bool            `json:"passed"`
	Manifests *ManifestReport `json:"manifests,omitempty"`
	Rollout   *apply.Rollout  `json:"rollout,omitempty"`
	Gate      *gate.Result    `json:"gate,omitempty"`
	Error     string          `json:"error,omitempty"`
}

// RolledBackError is a deploy that failed and was rolled back: Err says why it
// failed. Undone says why the rollback failed, too; nil when it passed.
type RolledBackError struct {
	Err    error
	To     int
	Undone error
}

func (e *RolledBackError) Error() string {
	if e.Undone != nil {
		return fmt.Sprintf("%v; and the rollback to revision %d failed: %v", e.Err, e.To, e.Undone)
	}
	return fmt.Sprintf("%v; rolled back to revision %d, whose gate has passed again", e.Err, e.To)
}

func (e *RolledBackError) Unwrap() []error { return []error{e.Err, e.Undone} }

// fail does what the user wants of a failure under the lock, and gives the error
// that the run ends with.
func (p *pipeline) fail(ctx context.Context, stage string, err error) error {
	a := p.attempt
	under := a.Lock.Context()
	switch lost := a.Lost(); {
	case ctx.Err() != nil:
		a.Interrupt(ctx, stage)
		return err
	case lost != nil: // somebody else's turn: nothing more is written
		return errors.Join(lost, err)
	case a.Revision.Number == 0: // nothing was applied
		return err
	}
	a.Mark(under, release.Failed, err.Error())
	switch p.cfg.OnFailure {
	case Hold:
		return err
	case Pause:
		return errors.Join(err, p.pause(under))
	}
	target, lookErr := a.History.LastPassed(under, a.Revision.Number)
	switch {
	case lookErr != nil:
		return &RolledBackError{Err: err, Undone: lookErr}
	case target == nil && p.before != nil:
		_, undone := apply.Apply(under, p.cluster.Apply, p.before, p.options(under, shipment{}, nil))
		p.note("apply", "", "there is no earlier release whose gate has passed: the Deployments get back what they had before the handover")
		return errors.Join(err, undone)
	case target == nil:
		p.note("apply", "", "there is no earlier release whose gate has passed, so there is nothing to roll back to: what was applied stays as it is")
		return err
	}
	failed := a.Revision
	undone := p.restore(under, *target)
	if a.Revision = failed; undone == nil {
		a.Mark(under, release.RolledBack, err.Error())
	}
	return &RolledBackError{Err: err, To: target.Number, Undone: undone}
}

// restore applies the manifests of an earlier revision again, whole, and waits for
// them.
func (p *pipeline) restore(ctx context.Context, target release.Revision) (err error) {
	a := p.attempt
	p.cfg.Gate.Probe, p.alarms = nil, nil // the service may fail already: that is what a rollback is for
	r := &RollbackReport{To: target.Number, Commit: target.Run.Commit, Started: time.Now()}
	p.report.Rollback = r
	p.cfg.Observe.Emit(event.Event{Stage: "rollback", Kind: event.Start, Message: fmt.Sprintf("to revision %d", target.Number)})
	defer func() {
		ended := event.Event{Stage: "rollback", Kind: event.End}
		if r.Finished, r.Passed = time.Now(), err == nil; err != nil {
			r.Error, ended.Message = err.Error(), err.Error()
			if a.Revision.OfRevision == target.Number {
				a.Mark(ctx, release.Failed, err.Error())
			}
		}
		p.cfg.Observe.Emit(ended)
	}()
	content, err := a.History.Content(ctx, target.Number)
	if err != nil {
		return err
	}
	s := shipment{yaml: content.Manifests}
	if err := json.Unmarshal(content.Report, &s.ManifestReport); err != nil {
		return fmt.Errorf("reading what revision %d knew of its manifests: %w", target.Number, err)
	}
	if r.Manifests = &s.ManifestReport; behind(s.Workloads) {
		if err := p.dial(ctx); err != nil {
			return err
		}
	}
	steps, err := p.back(ctx, &s)
	if err != nil {
		return err
	}
	if err := p.begin(ctx, s, target); err != nil {
		return err
	}
	r.Revision = a.Revision.Number
	rollout, err := p.start(ctx, s, steps)
	if r.Rollout = &rollout; err != nil {
		return err
	}
	result, err := p.end(ctx, s, rollout, steps)
	if r.Gate = &result; err != nil {
		return err
	}
	if err := p.settle(ctx, s); err != nil {
		return err
	}
	a.Mark(ctx, release.Passed, "")
	return nil
}

// Rollback applies an earlier release again: revision to, or with 0 the newest
// whose gate has passed and that is not the one in force. cfg.Namespace is that of
// the application's records.
func Rollback(ctx context.Context, cfg Config, clients Clients, to int) (Report, error) {
	p := newPipeline(cfg, clients, Report{})
	return p.finish(ctx, p.rollback(ctx, to))
}

func (p *pipeline) rollback(ctx context.Context, to int) error {
	refused := func(err error) error { return &StageError{Stage: "rollback", Preflight: true, Err: err} }
	if err := p.connect(ctx); err != nil {
		return refused(err)
	}
	_, content, err := record.Target(ctx, p.cluster.Records, p.app(), to)
	if err == nil {
		err = rights.Preflight(ctx, p.cluster.Rights, content.Manifests, p.home(), "outlast-"+p.app().Name, p.cfg.Observe)
	}
	if err != nil {
		return refused(err)
	}
	under, err := p.open(ctx)
	if err != nil {
		return refused(err)
	}
	defer p.close(ctx)
	list, err := p.attempt.History.List(under)
	if err != nil {
		return refused(err)
	}
	target, err := record.Back(list, to)
	if err != nil {
		return refused(err)
	}
	if err := p.restore(under, target); err != nil {
		return &StageError{Stage: "rollback", Err: err}
	}
	return nil
}

// pause stops the Deployments where they are: no more old pods go, and no more new
// ones come. The next deploy goes on.
func (p *pipeline) pause(ctx context.Context) error {
	paused, err := manifest.Paused(p.report.yaml)
	if err != nil {
		return fmt.Errorf("pausing the rollout: %w", err)
	}
	s := shipment{*p.report.Manifests, paused}
	if _, err := p.applyShipment(ctx, s); err != nil {
		return fmt.Errorf("pausing the rollout: %w", err)
	}
	p.note("gate", "", "the rollout is paused (spec.paused), with the old pods that are left; the next deploy or rollback goes on")
	return nil
}
