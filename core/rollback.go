// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/apply"
	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/internal/manifest"
	"github.com/outlast-ci/outlast/core/release"
	"github.com/outlast-ci/outlast/core/render"
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
	under := p.attempt.lock.Context()
	var lost *release.LostError
	switch {
	case ctx.Err() != nil:
		brief, cancel := context.WithTimeout(context.WithoutCancel(ctx), last)
		defer cancel()
		p.mark(brief, release.Interrupted, "in "+stage)
		return err
	case under.Err() != nil && errors.As(context.Cause(under), &lost): // somebody else's turn: nothing more is written
		return errors.Join(lost, err)
	case p.attempt.revision.Number == 0: // nothing was applied
		return err
	}
	p.mark(under, release.Failed, err.Error())
	switch p.cfg.OnFailure {
	case Hold:
		return err
	case Pause:
		return errors.Join(err, p.pause(under))
	}
	target, lookErr := p.attempt.history.LastPassed(under, p.attempt.revision.Number)
	switch {
	case lookErr != nil:
		return &RolledBackError{Err: err, Undone: lookErr}
	case target == nil:
		p.note("apply", "", "there is no earlier release whose gate has passed, so there is nothing to roll back to: what was applied stays as it is")
		return err
	}
	failed := p.attempt.revision
	undone := p.restore(under, *target)
	if p.attempt.revision = failed; undone == nil {
		p.mark(under, release.RolledBack, err.Error())
	}
	return &RolledBackError{Err: err, To: target.Number, Undone: undone}
}

// restore applies the manifests of an earlier revision again, whole, and waits for
// them.
func (p *pipeline) restore(ctx context.Context, target release.Revision) (err error) {
	r := &RollbackReport{To: target.Number, Commit: target.Run.Commit, Started: time.Now()}
	p.report.Rollback = r
	p.cfg.Observe.Emit(event.Event{Stage: "rollback", Kind: event.Start, Message: fmt.Sprintf("to revision %d", target.Number)})
	defer func() {
		ended := event.Event{Stage: "rollback", Kind: event.End}
		if r.Finished, r.Passed = time.Now(), err == nil; err != nil {
			r.Error, ended.Message = err.Error(), err.Error()
			if p.attempt.revision.OfRevision == target.Number {
				p.mark(ctx, release.Failed, err.Error())
			}
		}
		p.cfg.Observe.Emit(ended)
	}()
	content, err := p.attempt.history.Content(ctx, target.Number)
	if err != nil {
		return err
	}
	s := shipment{yaml: content.Manifests}
	if err := json.Unmarshal(content.Report, &s.ManifestReport); err != nil {
		return fmt.Errorf("reading what revision %d knew of its manifests: %w", target.Number, err)
	}
	r.Manifests = &s.ManifestReport
	if p.balancer == nil && slices.ContainsFunc(s.Workloads, func(w render.Workload) bool { return w.Behind }) {
		if p.balancer, err = p.clients.Balancer(ctx); err != nil {
			return err
		}
	}
	if err := p.begin(ctx, s, target.Number); err != nil {
		return err
	}
	r.Revision = p.attempt.revision.Number
	rollout, err := p.applyShipment(ctx, s)
	if r.Rollout = &rollout; err != nil {
		return err
	}
	p.mark(ctx, release.Applied, "")
	result, err := p.wait(ctx, s, rollout)
	if r.Gate = &result; err != nil {
		return err
	}
	p.mark(ctx, release.Passed, "")
	return nil
}

// Rollback applies an earlier release again: revision to, or with 0 the newest
// whose gate has passed and that is not the one in force. namespace is that of the
// application's records.
func Rollback(ctx context.Context, cfg Config, clients Clients, to int) (Report, error) {
	p := newPipeline(cfg, clients, Report{})
	err := p.rollback(ctx, to)
	return p.finish(ctx, err)
}

func (p *pipeline) rollback(ctx context.Context, to int) error {
	if err := p.connect(ctx); err != nil {
		return &StageError{Stage: "rollback", Preflight: true, Err: err}
	}
	under, err := p.open(ctx)
	if err != nil {
		return &StageError{Stage: "rollback", Preflight: true, Err: err}
	}
	defer p.close(ctx)
	target, err := p.target(under, to)
	if err != nil {
		return &StageError{Stage: "rollback", Preflight: true, Err: err}
	}
	if err := p.restore(under, target); err != nil {
		return &StageError{Stage: "rollback", Err: err}
	}
	return nil
}

// target finds the revision to go back to.
func (p *pipeline) target(ctx context.Context, to int) (release.Revision, error) {
	list, err := p.attempt.history.List(ctx)
	if err != nil {
		return release.Revision{}, err
	}
	for i, r := range list {
		switch {
		case to == r.Number && r.State == release.Passed:
			return r, nil
		case to == r.Number:
			return r, fmt.Errorf("going back to revision %d: its gate has not passed (%s); name one that has, see outlast history", to, r.State)
		case to == 0 && r.State == release.Passed && (list[0].State != release.Passed || i > 0 && r.SHA256 != list[0].SHA256):
			return r, nil // of the newest attempt that passed, the one before it is meant
		}
	}
	if to > 0 {
		return release.Revision{}, fmt.Errorf("going back to revision %d: it is not among the %d that are kept, see outlast history", to, len(list))
	}
	return release.Revision{}, errors.New("there is no earlier release whose gate has passed, so there is nothing to go back to; see outlast history")
}

// pause stops the Deployments where they are: no more old pods go, and no more new
// ones come. The next deploy goes on.
func (p *pipeline) pause(ctx context.Context) error {
	objects, err := manifest.Parse(p.report.yaml)
	if err != nil {
		return err
	}
	for _, obj := range objects {
		if obj.GetKind() == "Deployment" {
			if err := unstructured.SetNestedField(obj.Object, true, "spec", "paused"); err != nil {
				return fmt.Errorf("pausing %s: %w", manifest.ID(obj), err)
			}
		}
	}
	s := shipment{ManifestReport: *p.report.Manifests}
	if s.yaml, err = manifest.Stream(objects); err != nil {
		return err
	}
	if _, err := p.applyShipment(ctx, s); err != nil {
		return fmt.Errorf("pausing the rollout: %w", err)
	}
	p.note("gate", "", "the rollout is paused (spec.paused), with the old pods that are left; the next deploy or rollback goes on")
	return nil
}
