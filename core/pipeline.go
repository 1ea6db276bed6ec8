// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/internal/live"
	"github.com/outlast-ci/outlast/core/internal/record"
	"github.com/outlast-ci/outlast/core/push"
	"github.com/outlast-ci/outlast/core/render"
)

// stage is one step of the pipeline: check looks without touching anything,
// before any stage runs; run does the work and says in a few words what it did.
type stage struct {
	name  string
	check func(*pipeline, context.Context) error
	run   func(*pipeline, context.Context) (note string, err error)
}

// stages is the product, in order.
var stages = []stage{
	{"build", (*pipeline).checkBuild, (*pipeline).build},    // Dockerfile -> OCI layout on disk
	{"push", (*pipeline).checkPush, (*pipeline).push},       // layout -> digest in ECR, or any OCI registry
	{"render", (*pipeline).checkRender, (*pipeline).render}, // kustomization + digests + drain timings -> YAML
	{"apply", (*pipeline).checkApply, (*pipeline).apply},    // YAML -> cluster; the pods to replace are known by UID
	{"gate", (*pipeline).checkGate, (*pipeline).gate},       // new pods healthy at the balancer, old ones drained and gone
}

// Stages lists the names of the stages in order.
func Stages() []string {
	var names []string
	for _, s := range stages {
		names = append(names, s.name)
	}
	return names
}

// pipeline is one run in progress.
type pipeline struct {
	cfg        Config
	clients    Clients
	report     *Report
	selected   []string // names of the stages that run
	ecr        push.ECR // once built, like the next two
	cluster    *Cluster
	balancer   gate.Balancer
	manifests  *render.Manifests   // once rendered
	prepared   []render.Workload   // of the manifests, once checked
	behind     bool                // some workload stands behind a load balancer
	attributes live.Attributes     // of target groups, where the balancer is asked
	alarms     *gate.AlarmWatch    // nil: none are watched
	attempt    *record.Attempt     // once the lock is ours
	before     []byte              // Deployments as they were before a handover
	halfway    bool                // a handover was found that ended in the middle
	served     bool                // new pods may have, as far as a gate saw
	reused     map[string]push.Ref // images whose commit tag is in the registry already
}

// Deploy runs the stages from cfg.From to cfg.To. The earlier ones' results
// come in with prior, the report of the run that did them; an empty Report
// otherwise. All selected stages are checked before the first one runs, so
// that bad input is found before anything has changed. The report comes back
// with the error, too.
func Deploy(ctx context.Context, cfg Config, clients Clients, prior Report) (Report, error) {
	selected, err := selectStages(cfg.From, cfg.To)
	if err != nil {
		return prior, err
	}
	p := newPipeline(cfg, clients, prior)
	return p.finish(ctx, p.deploy(ctx, selected))
}

func newPipeline(cfg Config, clients Clients, prior Report) *pipeline {
	report := prior
	report.Schema, report.Run, report.Started = Schema, cfg.Run, time.Now()
	report.Stages = slices.Clone(prior.Stages)
	if len(report.Stages) == 0 {
		for _, s := range stages {
			report.Stages = append(report.Stages, StageRecord{Name: s.name, Result: Pending})
		}
	}
	return &pipeline{cfg: cfg, clients: clients, report: &report, reused: map[string]push.Ref{}}
}

// finish ends the report.
func (p *pipeline) finish(ctx context.Context, err error) (Report, error) {
	p.report.Finished = time.Now()
	switch {
	case err == nil:
		p.report.Result, p.report.Error = Passed, ""
	case ctx.Err() != nil:
		p.report.Result, p.report.Error = Interrupted, err.Error()
	default:
		p.report.Result, p.report.Error = Failed, err.Error()
	}
	return *p.report, err
}

func (p *pipeline) deploy(ctx context.Context, selected []stage) error {
	for _, s := range selected {
		p.selected = append(p.selected, s.name)
	}
	if err := p.check(ctx, selected); err != nil {
		return err
	}
	return p.run(ctx, selected)
}

// check looks for each stage, and changes nothing.
func (p *pipeline) check(ctx context.Context, selected []stage) error {
	for _, s := range selected {
		if err := s.check(p, ctx); err != nil {
			return &StageError{Stage: s.name, Preflight: true, Err: err}
		}
	}
	return nil
}

// run does the stages; what a failure calls for is done, too.
func (p *pipeline) run(ctx context.Context, selected []stage) error {
	defer p.close(ctx)
	for _, s := range selected {
		err := p.runStage(ctx, s)
		if err != nil && p.attempt != nil {
			err = p.fail(ctx, s.name, err)
		}
		if err != nil {
			return &StageError{Stage: s.name, Err: err}
		}
	}
	return nil
}

func (p *pipeline) runStage(ctx context.Context, s stage) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	i := slices.IndexFunc(p.report.Stages, func(r StageRecord) bool { return r.Name == s.name })
	started := time.Now()
	p.cfg.Observe.Emit(event.Event{Time: started, Stage: s.name, Kind: event.Start})
	note, err := s.run(p, ctx)
	ended := event.Event{Time: time.Now(), Stage: s.name, Kind: event.End}
	record := StageRecord{Name: s.name, Started: started, Seconds: time.Since(started).Seconds(), Result: Passed, Note: note}
	switch {
	case err != nil && ctx.Err() != nil:
		record.Result, ended.Message = Interrupted, "interrupted"
	case err != nil:
		record.Result, ended.Message = Failed, err.Error()
	}
	p.report.Stages[i] = record
	p.cfg.Observe.Emit(ended)
	return err
}

// selects tells whether a stage is among those that run.
func (p *pipeline) selects(name string) bool { return slices.Contains(p.selected, name) }

// selectStages gives the part of the list from..to, ends included.
func selectStages(from, to string) ([]stage, error) {
	index := func(name string, unset int) (int, error) {
		if name == "" {
			return unset, nil
		}
		if i := slices.IndexFunc(stages, func(s stage) bool { return s.name == name }); i >= 0 {
			return i, nil
		}
		return 0, fmt.Errorf("selecting stages: no stage is called %q; they are %v", name, Stages())
	}
	first, err := index(from, 0)
	if err != nil {
		return nil, err
	}
	last, err := index(to, len(stages)-1)
	if err != nil {
		return nil, err
	}
	if first > last {
		return nil, fmt.Errorf("selecting stages: %s comes after %s", from, to)
	}
	return stages[first : last+1], nil
}

func (p *pipeline) note(stage, object, format string, args ...any) {
	p.cfg.Observe.Emit(event.Event{Stage: stage, Kind: event.Note, Object: object, Message: fmt.Sprintf(format, args...)})
}

// count says how many, in words: 1 image, 2 images.
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
