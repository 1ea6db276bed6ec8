// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"fmt"
	"slices"

	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/internal/record"
	"github.com/outlast-ci/outlast/core/release"
)

// Await waits for what somebody else rolls out: kubectl, Helm, a GitOps controller. It
// writes nothing and needs nothing that Outlast left in the cluster. When which names
// nothing, the workloads of the application's newest release are meant, and without
// one all of the namespace.
func Await(ctx context.Context, cfg Config, clients Clients, which gate.Which) (Report, error) {
	p := newPipeline(cfg, clients, Report{Stages: []StageRecord{{Name: "gate", Result: Pending}}})
	found, err := p.find(ctx, which)
	if err != nil {
		return p.finish(ctx, &StageError{Stage: "gate", Preflight: true, Err: err})
	}
	err = p.runStage(ctx, stage{name: "gate", run: func(p *pipeline, ctx context.Context) (string, error) {
		result, err := p.watch(ctx, found)
		p.report.Gate = &result
		return watched(result), err
	}})
	if err != nil {
		err = &StageError{Stage: "gate", Err: err}
	}
	return p.finish(ctx, err)
}

// find reads what is to be waited for, and logs in to AWS when that stands behind a
// load balancer.
func (p *pipeline) find(ctx context.Context, which gate.Which) ([]gate.Workload, error) {
	if err := p.connect(ctx); err != nil {
		return nil, err
	}
	if err := p.openAlarms(ctx); err != nil {
		return nil, err
	}
	if which.Namespace = p.home(); len(which.Refs) == 0 && which.Selector == "" {
		newest, recorded, err := record.Newest(ctx, p.cluster.Records, p.app())
		switch {
		case err != nil:
			p.warn("gate", "", "what the newest release of %s has cannot be read, so all of the namespace is waited for: %v", p.app(), err)
		case newest.State == release.Applied:
			p.warn("gate", fmt.Sprintf("revision %d", newest.Number), "it was applied, and its own gate is still to pass: this one is not recorded; for that, give the report of the apply with --report")
		}
		which.All, which.Refs = true, record.IDs(recorded)
	}
	lazy := gate.Lazy(func(ctx context.Context) (gate.Balancer, error) {
		err := p.dial(ctx)
		return p.balancer, err
	})
	found, err := gate.Find(ctx, p.cluster.Gate, lazy, which)
	if err == nil && slices.ContainsFunc(found, func(w gate.Workload) bool { return w.Behind }) {
		err = p.dial(ctx)
	}
	for _, w := range found {
		if w.Behind && err == nil {
			p.note("gate", w.ID(), "%s", w.Plan.Words())
		}
	}
	return found, err
}

// openAlarms reads the alarms that the gate is to watch, if any.
func (p *pipeline) openAlarms(ctx context.Context) error {
	if len(p.cfg.Gate.Alarms) == 0 {
		return nil
	}
	source, err := p.clients.Alarms(ctx)
	if err == nil {
		p.alarms, err = gate.OpenAlarms(ctx, source, p.cfg.Gate.Alarms, p.cfg.Observe)
	}
	return err
}

// watched says in words what a gate did.
func watched(r gate.Result) string {
	return fmt.Sprintf("%s watched with %s and %s of target groups", count(len(r.Workloads), "workload"), count(r.Looks, "look"), count(r.Polls, "poll"))
}
