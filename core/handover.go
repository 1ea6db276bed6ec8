// SPDX-License-Identifier: Apache-2.0

package core

import (
	"cmp"
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/apply"
	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/internal/handover"
	"github.com/outlast-ci/outlast/core/internal/live"
	"github.com/outlast-ci/outlast/core/release"
)

// steps makes the steps of a handover where one may be asked for, and lets the
// shipment be what is at rest after it; nil when none is.
func (p *pipeline) steps(s *shipment) (*handover.Steps, error) {
	ids := handover.IDs(s.Workloads, p.cfg.Rollout == Handover)
	if len(ids) == 0 || p.cfg.Rollout != Handover && p.cfg.Legacy != Handover {
		return nil, nil
	}
	steps, err := handover.Make(s.yaml, ids)
	s.yaml = steps.Final
	return &steps, err
}

// handsOver decides whether this rollout is a handover: pods are replaced and, unless
// every rollout is one, some of them have no preStop; or one was killed in the middle.
// It remembers the Deployments as they are, and whether one is amid a handover.
func (p *pipeline) handsOver(ctx context.Context, s shipment) (hands bool, err error) {
	plan, err := apply.Diff(ctx, p.cluster.Apply, s.yaml, p.options(ctx, s, nil))
	if err != nil {
		return false, err
	}
	replaces := func(id string) bool {
		return slices.ContainsFunc(plan.Workloads, func(w apply.Workload) bool { return w.ID() == id && len(w.Replaced) > 0 })
	}
	wanted := p.cfg.Rollout == Handover
	if !wanted && p.attributes != nil {
		orders := live.Orders(ctx, p.cluster.Gate, p.attributes, s.yaml, s.Workloads, nil)
		wanted = slices.ContainsFunc(orders, func(o live.Order) bool { return o.Unhooked > 0 })
	}
	var before []*unstructured.Unstructured
	p.halfway = false
	for _, w := range s.Workloads {
		if !w.Behind || w.Kind != "Deployment" {
			continue
		}
		namespace := cmp.Or(w.Namespace, "default")
		obj, err := p.cluster.Gate.Get(ctx, w.APIVersion, w.Kind, namespace, w.Name)
		switch {
		case err != nil:
			return false, err
		case obj == nil:
		case handover.Halfway(obj):
			hands, p.halfway = true, true
		case wanted && replaces(w.Kind+"/"+namespace+"/"+w.Name):
			hands, before = true, append(before, obj)
		}
	}
	if len(before) > 0 {
		p.before, err = handover.Before(before)
	}
	return hands, err
}

// back makes the steps of a handover to an earlier release, and lets the shipment be what
// is at rest after it; nil when it is applied as usual, or amid a handover: its pods run still.
func (p *pipeline) back(ctx context.Context, s *shipment) (*handover.Steps, error) {
	marked := *s
	steps, err := p.steps(&marked)
	if err != nil {
		p.warn("rollback", "", "it is no handover: %v", err)
	}
	if err != nil || steps == nil {
		return nil, nil
	}
	if hands, err := p.handsOver(ctx, marked); err != nil || !hands {
		return nil, err
	}
	if p.halfway {
		if err := p.turnBack(ctx, *s, *steps); err != nil {
			return nil, err
		}
		return p.undo(ctx, *s, steps.Workloads)
	}
	*s = marked
	return steps, nil
}

// undo makes the last steps that undo a handover, once the Services have turned to the old pods
// and the new ones have drained while they run; nil when these may go by their own timings.
func (p *pipeline) undo(ctx context.Context, s shipment, ids []string) (*handover.Steps, error) {
	if p.cfg.Rollout != Handover || p.report.Gate != nil && !p.served {
		return nil, nil
	}
	steps, err := p.standAside(ctx, s, ids)
	if err != nil { // the Services are written as they are at rest next
		p.warn("rollback", "", "the new pods go by their own timings: %v", err)
		return nil, context.Cause(ctx)
	}
	if _, err := p.watch(ctx, stay(steps, gate.UntilUnused)); err != nil && ctx.Err() == nil {
		p.warn("rollback", "", "the new pods have not been seen to drain, and go by their own timings: %v", err)
	}
	return &steps, context.Cause(ctx)
}

// standAside turns the Services to the old pods, once these serve.
func (p *pipeline) standAside(ctx context.Context, s shipment, ids []string) (steps handover.Steps, err error) {
	plan, err := apply.Diff(ctx, p.cluster.Apply, s.yaml, p.options(ctx, s, nil))
	if err != nil {
		return steps, err
	}
	m := handover.Middle{Manifests: s.yaml, Workloads: s.Workloads, IDs: ids}
	for _, w := range plan.Workloads {
		for _, pod := range w.Replaced {
			m.Leaving = append(m.Leaving, pod.UID)
		}
	}
	if p.report.Manifests != nil {
		m.Newest = p.report.Manifests.Workloads
	}
	if steps, err = handover.Undo(ctx, p.cluster.Gate, m); err != nil {
		return steps, err
	}
	p.note("gate", "", "the Services turn to the old pods, and the new ones, which may have served, drain while they run")
	if _, err = p.watch(ctx, stay(steps, gate.UntilReady)); err == nil {
		_, err = apply.Apply(ctx, p.cluster.Apply, steps.Narrow, p.options(ctx, s, steps.Held()))
	}
	return steps, err
}

// stay are the workloads of an undo, whose old pods count as new ones.
func stay(steps handover.Steps, until gate.Until) (all []gate.Workload) {
	for _, w := range steps.Old {
		all = append(all, gate.Workload{APIVersion: w.APIVersion, Kind: w.Kind, Namespace: cmp.Or(w.Namespace, "default"), Name: w.Name,
			Behind: true, Plan: w.Plan, Until: until, Stays: gate.Mark{Label: handover.HashLabel, Value: w.Hash}})
	}
	return all
}

// start writes a shipment, or the first step of its handover.
func (p *pipeline) start(ctx context.Context, s shipment, steps *handover.Steps) (apply.Rollout, error) {
	if steps != nil {
		s.yaml = steps.Raise
	}
	rollout, err := p.applyShipment(ctx, s)
	if err == nil {
		p.attempt.Mark(ctx, release.Applied, "")
	}
	return rollout, err
}

// end sees a rollout through that start began.
func (p *pipeline) end(ctx context.Context, s shipment, rollout apply.Rollout, steps *handover.Steps) (gate.Result, error) {
	if steps != nil {
		return p.handOver(ctx, s, rollout, *steps)
	}
	return p.wait(ctx, s, rollout, gate.UntilEnd)
}

// turnBack writes Services as they are at rest, amid a handover. When that turns them to
// pods that they were turned away from, it waits until those must be in rotation again,
// since others may be deleted next.
func (p *pipeline) turnBack(ctx context.Context, s shipment, steps handover.Steps) error {
	turned, err := apply.Apply(ctx, p.cluster.Apply, steps.Widen, p.options(ctx, s, steps.Held()))
	if err != nil || !slices.ContainsFunc(turned.Changes, func(c apply.Change) bool { return c.Action == apply.Configured }) {
		return err
	}
	wait := handover.Rejoined(s.Workloads)
	p.note("gate", "", "the Services turn to all pods again: waiting %s until the old ones must be in rotation", wait)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(wait.Duration()):
		return nil
	}
}

// handOver goes on with a handover whose new pods have been made by the rollout.
func (p *pipeline) handOver(ctx context.Context, s shipment, rollout apply.Rollout, steps handover.Steps) (result gate.Result, err error) {
	until := func(u gate.Until) func(context.Context) error {
		return func(ctx context.Context) (err error) {
			before := result.Probe
			result, err = p.wait(ctx, s, rollout, u)
			result.Probe = result.Probe.And(before)
			return err
		}
	}
	err = steps.Run(ctx, handover.World{
		Back: func(ctx context.Context) error { return p.turnBack(ctx, s, steps) },
		Apply: func(ctx context.Context, manifests []byte) error {
			part, err := apply.Apply(ctx, p.cluster.Apply, manifests, p.options(ctx, s, steps.Held())) // a part: only Prune minds what is missing
			for _, w := range part.Workloads {
				for i := range rollout.Workloads {
					if rollout.Workloads[i].ID() == w.ID() {
						rollout.Workloads[i].Generation = w.Generation
					}
				}
			}
			return err
		},
		Ready: until(gate.UntilReady), Unused: until(gate.UntilUnused), Gone: until(gate.UntilEnd),
		Say: func(step string) { p.note("gate", "", "%s", step) },
	})
	return result, err
}
