// SPDX-License-Identifier: Apache-2.0

package core

import (
	"cmp"
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/apply"
	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/internal/handover"
	"github.com/outlast-ci/outlast/core/internal/live"
)

// steps makes the steps of a handover where one may be asked for, and lets the
// shipment be what is at rest after it; nil when none is.
func (p *pipeline) steps(s *shipment) (*handover.Steps, error) {
	if p.cfg.Rollout != Handover && p.cfg.Legacy != Handover {
		return nil, nil
	}
	var ids []string
	for _, w := range s.Workloads {
		if w.Behind && (w.Kind == "Deployment" || p.cfg.Rollout == Handover) && !w.NodeTargets {
			ids = append(ids, w.Kind+"/"+w.Namespace+"/"+w.Name)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	steps, err := handover.Make(s.yaml, ids)
	s.yaml = steps.Final
	return &steps, err
}

// handsOver decides whether this rollout is a handover: pods are replaced and, unless
// every rollout is one, some of them have no preStop. It remembers the Deployments as
// they are.
func (p *pipeline) handsOver(ctx context.Context, s shipment) (bool, error) {
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
	for _, w := range s.Workloads {
		namespace := cmp.Or(w.Namespace, "default")
		if !wanted || !w.Behind || w.Kind != "Deployment" || !replaces(w.Kind+"/"+namespace+"/"+w.Name) {
			continue
		}
		obj, err := p.cluster.Gate.Get(ctx, w.APIVersion, w.Kind, namespace, w.Name)
		if err != nil {
			return false, err
		}
		if obj != nil {
			before = append(before, obj)
		}
	}
	if len(before) == 0 {
		return false, nil
	}
	p.before, err = handover.Before(before)
	return true, err
}

// handOver goes on with a handover whose new pods have been made.
func (p *pipeline) handOver(ctx context.Context, s shipment, steps handover.Steps) (result gate.Result, err error) {
	rollout := *p.report.Rollout
	until := func(u gate.Until) func(context.Context) error {
		return func(ctx context.Context) (err error) {
			before := result.Probe
			result, err = p.wait(ctx, s, rollout, u)
			result.Probe = result.Probe.And(before)
			return err
		}
	}
	err = steps.Run(ctx, handover.World{
		Apply: func(ctx context.Context, manifests []byte) error {
			part, err := apply.Apply(ctx, p.cluster.Apply, manifests, p.options(ctx, s, nil)) // a part: only Prune minds what is missing
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
