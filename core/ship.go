// SPDX-License-Identifier: Apache-2.0

package core

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/outlast-ci/outlast/core/apply"
	"github.com/outlast-ci/outlast/core/drain/change"
	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/internal/live"
	"github.com/outlast-ci/outlast/core/internal/record"
	"github.com/outlast-ci/outlast/core/release"
	"github.com/outlast-ci/outlast/core/render"
)

// shipment is what is applied and waited for: manifests, and what rendering knows
// of them. A deploy has just rendered its own; a rollback finds that of an earlier
// release in the cluster.
type shipment struct {
	ManifestReport
	yaml []byte
}

// home is the namespace of the records: that of the first workload.
func (p *pipeline) home() string {
	workloads := p.prepared // what the checks have rendered, before anything is reported
	if p.report.Manifests != nil {
		workloads = p.report.Manifests.Workloads
	}
	if p.cfg.Namespace == "" && len(workloads) > 0 {
		return cmp.Or(workloads[0].Namespace, "default")
	}
	return cmp.Or(p.cfg.Namespace, "default")
}

func (p *pipeline) app() release.App {
	return record.AppOf(p.cfg.Run.App, p.cfg.Run.Environment, p.home())
}

// look reads the records before anything is changed: an identity that may not is
// told before the build.
func (p *pipeline) look(ctx context.Context) error {
	history, err := release.Open(p.cluster.Records, p.app())
	if err != nil {
		return err
	}
	_, err = history.List(ctx)
	return err
}

// open takes the application's lock, and gives the context of all that is done under
// it.
func (p *pipeline) open(ctx context.Context) (context.Context, error) {
	if p.attempt == nil {
		attempt, err := record.Open(ctx, p.cluster.Records, p.app(), release.LockOptions{Holder: p.cfg.Holder, RunURL: p.cfg.Run.RunURL, Steal: p.cfg.StealLock, Observe: p.cfg.Observe})
		if err != nil {
			return ctx, err
		}
		p.attempt = attempt
	}
	return p.attempt.Lock.Context(), nil
}

// close gives the lock back.
func (p *pipeline) close(ctx context.Context) {
	if p.attempt != nil {
		p.attempt.Close(ctx)
		p.attempt = nil
	}
}

// begin records that a shipment is about to be applied; of is the revision that it
// comes from when a rollback applies it again.
func (p *pipeline) begin(ctx context.Context, s shipment, of release.Revision) error {
	report, err := json.Marshal(s.ManifestReport)
	if err != nil {
		return fmt.Errorf("recording the revision: %w", err)
	}
	run := p.cfg.Run
	return p.attempt.Begin(ctx, release.Revision{OfRevision: of.Number,
		Run: release.Run{Version: run.Version, Commit: cmp.Or(of.Run.Commit, run.Commit), Branch: cmp.Or(of.Run.Branch, run.Branch), RunURL: run.RunURL, Actor: run.Actor, Environment: run.Environment}},
		release.Content{Manifests: s.yaml, Report: report})
}

// options say how a shipment is applied under the lock; hold lists the objects whose
// deregistration delay is written later.
func (p *pipeline) options(ctx context.Context, s shipment, hold []string) apply.Options {
	opt := apply.Options{Routed: map[string]apply.Route{}, Hold: hold, Undo: p.report.Rollback != nil, Logs: p.cluster.Gate, Observe: p.cfg.Observe}
	for _, w := range s.Workloads {
		route := apply.Route{Services: w.Services}
		if w.Behind && !w.NodeTargets && len(hold) == 0 && len(w.Plan.Groups) < 2 && live.Writes(s.yaml, w) { // groups of several delays are not told apart by their Services
			route.Delay = w.Plan.DeregistrationDelay.Duration()
		}
		opt.Routed[w.ID()] = route
	}
	if p.attributes != nil {
		opt.Groups = live.Groups{Of: p.attributes}
	}
	app := p.app()
	opt.Set = &apply.Set{Name: "outlast-" + app.Name, Namespace: app.Namespace}
	if a := p.attempt; a != nil {
		opt.Fence, opt.Attempt = a.Lock, strconv.Itoa(a.Revision.Number)
		opt.Journal = func(phase string) { a.Journal(ctx, phase) }
	}
	return opt
}

// behind tells whether some workload stands behind a load balancer.
func behind(workloads []render.Workload) bool {
	return slices.ContainsFunc(workloads, func(w render.Workload) bool { return w.Behind })
}

// applyShipment writes a shipment to the cluster; new deregistration delays that
// the running pods would not outlast are left for settle.
func (p *pipeline) applyShipment(ctx context.Context, s shipment) (rollout apply.Rollout, err error) {
	var hold []string
	if p.attributes != nil {
		p.report.Orders = live.Orders(ctx, p.cluster.Gate, p.attributes, s.yaml, s.Workloads, p.cfg.Observe)
		if hold, err = live.Hold(s.yaml, s.Workloads, p.report.Orders); err != nil {
			return rollout, err
		}
	}
	return apply.Apply(ctx, p.cluster.Apply, s.yaml, p.options(ctx, s, hold))
}

// wait waits for a rollout's effect.
func (p *pipeline) wait(ctx context.Context, s shipment, rollout apply.Rollout, until gate.Until) (gate.Result, error) {
	var workloads []gate.Workload
	for _, w := range rollout.Workloads {
		wanted := s.gated(w)
		wanted.Until = until
		workloads = append(workloads, wanted)
	}
	return p.watch(ctx, workloads)
}

// watch waits for workloads, and tells which of their pods lost requests.
func (p *pipeline) watch(ctx context.Context, workloads []gate.Workload) (gate.Result, error) {
	opt := gate.Options{Workloads: workloads, Timeout: p.cfg.Gate.Timeout, Interval: p.cfg.Gate.Interval, Probe: p.cfg.Gate.Probe, Alarms: p.alarms, Observe: p.cfg.Observe}
	result, err := gate.Wait(ctx, p.cluster.Gate, p.balancer, opt)
	p.served = p.served || result.Served()
	for _, w := range result.Workloads {
		for _, pod := range w.Pods {
			if pod.Proof == gate.Broken {
				p.cfg.Observe.Emit(event.Event{Stage: "gate", Kind: event.Warn, Object: "pod " + pod.Name,
					Message: "it did not outlast its target: requests may have been lost; its timings were others than the newest ones, or it was killed"})
			}
		}
	}
	return result, err
}

// gated joins what apply wrote with what render planned for it.
func (s shipment) gated(w apply.Workload) gate.Workload {
	out := gate.Workload{APIVersion: w.APIVersion, Kind: w.Kind, Namespace: w.Namespace, Name: w.Name, Generation: w.Generation, UID: w.UID}
	for _, pod := range w.Replaced {
		out.Replaced = append(out.Replaced, gate.Replaced{UID: pod.UID, Name: pod.Name, IP: pod.IP})
	}
	if planned := s.planned(w); planned != nil {
		out.Behind, out.Plan, out.Images = planned.Behind && !planned.NodeTargets, planned.Plan, planned.Images
	}
	return out
}

// planned finds what rendering knows of a workload; nil when it does not.
func (s shipment) planned(w apply.Workload) *render.Workload {
	for _, planned := range s.Workloads {
		planned.Namespace = cmp.Or(planned.Namespace, "default") // what names none is the default one's, as the server told apply
		if planned.ID() == w.ID() {
			return &planned
		}
	}
	return nil
}

// settle does what waits for the gate's word: delays that were held are written, what
// the manifests no longer have is deleted, and so are old revisions.
func (p *pipeline) settle(ctx context.Context, s shipment) error {
	if slices.ContainsFunc(p.report.Orders, func(o live.Order) bool { return o.When == change.After }) {
		if _, err := apply.Apply(ctx, p.cluster.Apply, s.yaml, p.options(ctx, s, nil)); err != nil {
			return fmt.Errorf("writing the deregistration delay after the pods were replaced: %w", err)
		}
	}
	pruned, err := apply.Prune(ctx, p.cluster.Apply, s.yaml, p.options(ctx, s, nil))
	p.report.Pruned = append(p.report.Pruned, pruned...)
	if err != nil {
		p.warn("gate", "", "what the manifests no longer have could not all be deleted, and the next deploy tries again: %v", err)
	}
	if err := p.attempt.History.Trim(ctx, p.cfg.Keep); err != nil {
		p.warn("gate", "", "%v", err)
	}
	return nil
}

func (p *pipeline) warn(stage, object, format string, args ...any) {
	p.cfg.Observe.Emit(event.Event{Stage: stage, Kind: event.Warn, Object: object, Message: fmt.Sprintf(format, args...)})
}
