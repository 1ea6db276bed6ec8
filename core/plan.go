// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/outlast-ci/outlast/core/apply"
	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/drain/timeline"
	"github.com/outlast-ci/outlast/core/internal/live"
)

// PlanSchema names the layout of a plan. A reader refuses what it does not know.
const PlanSchema = "outlast.plan/v1"

// StandIn begins the reference that stands for an image whose digest is not known yet.
const StandIn = "preflight.invalid/"

// Plan is what a deploy would do now: nothing was written to make it. It survives
// JSON. Images that the deploy would build have a stand-in for their digest.
type Plan struct {
	Schema   string           `json:"schema"`
	Run      Run              `json:"run"`
	Made     time.Time        `json:"made"`
	SHA256   string           `json:"sha256"`             // of the manifests
	Changes  []apply.Change   `json:"changes"`            // objects written, adopted, pruned
	Orders   []live.Order     `json:"orders,omitempty"`   // when deregistration delays are written, before or after the pods
	Handover bool             `json:"handover,omitempty"` // old pods drain before they are deleted
	Rollouts []PlannedRollout `json:"rollouts,omitempty"`
	World    string           `json:"world"`              // digest of what the plan rests on: the manifests, and what differs from them
	Clusters []Plan           `json:"clusters,omitempty"` // of several clusters, each as if it were alone; then nothing else is here
}

// PlannedRollout is how one workload's pods are replaced, and how long that takes.
type PlannedRollout struct {
	Workload string         `json:"workload"`         // Kind/namespace/name
	Replaces int            `json:"replaces"`         // pods
	Unsure   bool           `json:"unsure,omitempty"` // whether it replaces them is not known
	Behind   bool           `json:"behind"`           // a load balancer; else what follows is not told
	Mode     drain.Mode     `json:"mode,omitempty"`
	Timings  drain.Given    `json:"timings,omitzero"`
	Timeline drain.Timeline `json:"timeline,omitzero"`
}

// MakePlan looks what a deploy would do, and writes nothing.
func MakePlan(ctx context.Context, cfg Config, clients Clients, prior Report) (Plan, error) {
	cfg.From, cfg.To = "render", "gate"
	p := newPipeline(cfg, clients, prior)
	p.selected = Stages() // an image that would be built has a stand-in
	for _, look := range []func(context.Context) error{p.checkRender, p.connect, p.look, p.checkGate} {
		if err := look(ctx); err != nil {
			return Plan{}, &StageError{Stage: "plan", Preflight: true, Err: err}
		}
	}
	plan, err := p.plan(ctx)
	if err != nil {
		return plan, &StageError{Stage: "plan", Preflight: true, Err: err}
	}
	return plan, nil
}

// plan compares what was rendered for the checks with the cluster.
func (p *pipeline) plan(ctx context.Context) (Plan, error) {
	s := shipment{ManifestReport{Workloads: p.prepared}, p.report.yaml}
	steps, err := p.steps(&s)
	if err != nil {
		return Plan{}, err
	}
	sum := sha256.Sum256(s.yaml)
	plan := Plan{Schema: PlanSchema, Run: p.cfg.Run, Made: time.Now(), SHA256: hex.EncodeToString(sum[:])}
	opt := p.options(ctx, s, nil)
	opt.Key = p.secret(ctx)
	diff, err := apply.Diff(ctx, p.cluster.Apply, s.yaml, opt)
	if err != nil {
		return plan, err
	}
	plan.Changes = diff.Changes
	if p.attributes != nil {
		plan.Orders = live.Orders(ctx, p.cluster.Gate, p.attributes, s.yaml, s.Workloads, p.cfg.Observe)
	}
	if steps != nil {
		if plan.Handover, err = p.handsOver(ctx, s); err != nil {
			return plan, err
		}
	}
	for _, w := range diff.Workloads {
		r := PlannedRollout{Workload: w.ID(), Replaces: len(w.Replaced), Unsure: w.Unsure}
		planned := s.gated(w)
		if r.Behind = planned.Behind; r.Behind && (len(w.Replaced) > 0 || w.Action == apply.Created) {
			strategy := s.planned(w).Strategy
			if plan.Handover {
				strategy.Kind = timeline.Handover
			}
			r.Mode, r.Timings, r.Timeline = planned.Plan.Mode, planned.Plan.Given(), drain.Predict(planned.Plan, strategy)
		}
		plan.Rollouts = append(plan.Rollouts, r)
	}
	plan.World, err = plan.world()
	return plan, err
}

// world digests what the plan rests on. Neither which pods there are nor when it was
// made counts.
func (plan Plan) world() (string, error) {
	type order struct {
		Workload, Group, When string
		From, To              drain.Seconds
	}
	var orders []order
	for _, o := range plan.Orders {
		orders = append(orders, order{o.Workload, o.Group, string(o.When), o.From, o.To})
	}
	text, err := json.Marshal([]any{plan.SHA256, plan.Changes, orders, plan.Handover})
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), err
}

// secret keys the hashes that stand for the data of Secrets. It is the same for each
// plan in a namespace, so that two can be compared, and known only to who may read the
// cluster; without leave to look, it is a random one.
func (p *pipeline) secret(ctx context.Context) []byte {
	ns, err := p.cluster.Gate.Get(ctx, "v1", "Namespace", "", p.home())
	if err != nil || ns == nil {
		return nil
	}
	return []byte("outlast plan " + ns.GetUID())
}

// MovedError is a plan that does not hold any more.
type MovedError struct {
	Made time.Time
	Now  []string // what differs, in words
}

func (e *MovedError) Error() string {
	return fmt.Sprintf("the plan of %s does not hold any more, and nothing was changed: %s; make a new plan", e.Made.UTC().Format(time.RFC3339), strings.Join(e.Now, "; "))
}

// holds says whether a plan that somebody agreed to is what would be done now. What the
// API server refuses of it, it took when the plan was made.
func (p *pipeline) holds(ctx context.Context, agreed Plan) error {
	now, err := p.plan(ctx)
	refused := apierrors.IsConflict(err) || apierrors.IsInvalid(err) || apierrors.IsNotFound(err)
	if err != nil && !refused || err == nil && now.World == agreed.World {
		return err
	}
	e := &MovedError{Made: agreed.Made}
	if now.SHA256 != agreed.SHA256 {
		e.Now = append(e.Now, "the manifests are others: another commit, other inputs, or another outlast")
	}
	if refused {
		e.Now = append(e.Now, err.Error())
		return e
	}
	e.Now = append(e.Now, apply.Moved(agreed.Changes, now.Changes)...)
	if len(e.Now) == 0 {
		e.Now = []string{"the order of the writes, or what is no longer to be done, is another"}
	}
	return e
}
