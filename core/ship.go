// SPDX-License-Identifier: Apache-2.0

package core

import (
	"cmp"
	"context"
	"fmt"

	"github.com/outlast-ci/outlast/core/apply"
	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/internal/manifest"
	"github.com/outlast-ci/outlast/core/release"
)

// shipment is what is applied and waited for: manifests, and what rendering knows
// of them. A deploy has just rendered its own; a rollback finds that of an earlier
// release in the cluster.
type shipment struct {
	ManifestReport
	yaml []byte
}

// applyShipment writes a shipment to the cluster.
func (p *pipeline) applyShipment(ctx context.Context, s shipment) (apply.Rollout, error) {
	routed := map[string]apply.Route{}
	for _, w := range s.Workloads {
		routed[w.ID()] = apply.Route{Services: w.Services}
	}
	return apply.Apply(ctx, p.cluster.Apply, s.yaml, apply.Options{Routed: routed, Observe: p.cfg.Observe})
}

// ground makes the namespace of the records when the manifests bring it: the lock
// comes before everything else.
func (p *pipeline) ground(ctx context.Context, s shipment) error {
	live, err := p.cluster.Gate.Get(ctx, "v1", "Namespace", "", p.home())
	if err != nil || live != nil {
		return nil // it is there; or it may not be looked at, and taking the lock will tell
	}
	objects, err := manifest.Parse(s.yaml)
	if err != nil {
		return err
	}
	for _, obj := range objects {
		if obj.GetKind() == "Namespace" && obj.GetName() == p.home() {
			_, err := p.cluster.Apply.Apply(ctx, obj, false)
			return err
		}
	}
	return nil
}

// applied says in words what a rollout wrote.
func applied(r apply.Rollout) string {
	did := map[apply.Action]int{}
	for _, c := range r.Changes {
		did[c.Action]++
	}
	return fmt.Sprintf("%d created, %d configured, %d unchanged", did[apply.Created], did[apply.Configured], did[apply.Unchanged])
}

// wait waits for a rollout's effect.
func (p *pipeline) wait(ctx context.Context, s shipment, rollout apply.Rollout) (gate.Result, error) {
	opt := gate.Options{Timeout: p.cfg.Gate.Timeout, Interval: p.cfg.Gate.Interval, Observe: p.cfg.Observe}
	for _, w := range rollout.Workloads {
		opt.Workloads = append(opt.Workloads, s.gated(w))
	}
	result, err := gate.Wait(ctx, p.cluster.Gate, p.balancer, opt)
	for _, w := range result.Workloads {
		for _, pod := range w.Pods {
			if pod.Proof == gate.Broken {
				p.cfg.Observe.Emit(event.Event{Stage: "gate", Kind: event.Warn, Object: "pod " + pod.Name,
					Message: "it did not outlast its target: requests may have been lost; its timings were not those that are rendered now, or it was killed"})
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
	for _, planned := range s.Workloads {
		planned.Namespace = cmp.Or(planned.Namespace, "default") // what names none is the default one's, as the server told apply
		if planned.ID() == w.ID() {
			out.Behind, out.Plan, out.Images = planned.Behind && !planned.NodeTargets, planned.Plan, planned.Images
		}
	}
	return out
}

// settle does what waits for the gate's word: old revisions are deleted.
func (p *pipeline) settle(ctx context.Context) error {
	if p.attempt == nil || p.attempt.revision.State != release.Passed {
		return nil
	}
	if err := p.attempt.history.Trim(p.attempt.lock.Context(), p.cfg.Keep); err != nil {
		p.cfg.Observe.Emit(event.Event{Stage: "gate", Kind: event.Warn, Message: err.Error()})
	}
	return nil
}
