// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"errors"
	"slices"

	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/internal/fleet"
)

// Target is one of several clusters that a deploy rolls through. In Run, cluster and
// region are its own.
type Target struct {
	Run     Run
	Clients Clients
}

// ErrParted is a run that would write to several clusters without waiting for each.
var ErrParted = errors.New("several clusters are rolled one after another, each to the end of its gate: apply and gate belong into one run; or choose one cluster")

// DeployAll is Deploy for several clusters. Building, pushing and rendering are done
// once, with clients. Then targets are rolled one after another, each under its own
// lock and with its own history, until one fails; those before it stay as they are.
// All checks of all targets come before the first stage.
func DeployAll(ctx context.Context, cfg Config, clients Clients, targets []Target, prior Report) (Report, error) {
	selected, err := selectStages(cfg.From, cfg.To)
	if err != nil {
		return prior, err
	}
	p := newPipeline(cfg, clients, prior)
	return p.finish(ctx, p.roll(ctx, selected, targets))
}

func (p *pipeline) roll(ctx context.Context, selected []stage, targets []Target) error {
	at := slices.IndexFunc(selected, func(s stage) bool { return s.name == "apply" })
	if at < 0 || selected[len(selected)-1].name != "gate" {
		return ErrParted
	}
	shared, each := selected[:at], selected[at:]
	for _, s := range selected {
		p.selected = append(p.selected, s.name)
	}
	if err := p.check(ctx, shared); err != nil {
		return err
	}
	if !p.selects("render") {
		if err := p.rerender(ctx); err != nil {
			return &StageError{Stage: "apply", Preflight: true, Err: err}
		}
	}
	var members []fleet.Member
	var rendered Report // once it is
	sections := make([]Report, len(targets))
	for i, t := range targets {
		q := p.beside(t)
		sections[i] = *q.report
		members = append(members, fleet.Member{Name: t.Run.Where(),
			Check: func(ctx context.Context) error { return q.check(ctx, each) },
			Run: func(ctx context.Context) (err error) {
				q.report = newPipeline(q.cfg, q.clients, rendered).report
				sections[i], err = q.finish(ctx, q.run(ctx, each))
				p.report.Stages = sections[i].Stages
				return err
			}})
	}
	err := fleet.Check(ctx, members)
	if err == nil {
		err = p.run(ctx, shared)
		rendered = *p.report
	}
	if err == nil {
		err = fleet.Roll(ctx, members)
	}
	p.report.Clusters = sections
	return err
}

// beside makes the run of one target, with what was rendered for all.
func (p *pipeline) beside(t Target) *pipeline {
	cfg := p.cfg
	cfg.Run = t.Run
	cfg.Observe = func(e event.Event) {
		e.Cluster = t.Run.Where()
		p.cfg.Observe.Emit(e)
	}
	if agreed := p.cfg.Plan; agreed != nil {
		cfg.Plan = &Plan{Made: agreed.Made}
		for _, plan := range agreed.Clusters {
			if plan.Run.Where() == t.Run.Where() {
				cfg.Plan = &plan
			}
		}
	}
	q := newPipeline(cfg, t.Clients, *p.report)
	q.report.Result = Pending
	q.selected, q.manifests, q.prepared, q.behind = p.selected, p.manifests, p.prepared, p.behind
	return q
}
