// SPDX-License-Identifier: Apache-2.0

package timing

import (
	"errors"
	"fmt"
	"slices"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/attribute"
	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
)

// Needs computes what the workload's target groups have to have, and notes it
// at the places where that is written.
func (a *Analysis) Needs(s *Subject) error {
	if !s.Behind() {
		return nil
	}
	in := s.inputs
	in.Groups = s.either(s.groups)
	plan, err := drain.Solve(in)
	if err := a.refused(s, err); err != nil || s.refused {
		return err
	}
	for i, t := range s.Groups {
		if key, ok := placeKey(t); ok && !plan.Groups[i].Untouched {
			a.delays[key] = max(a.delays[key], plan.Groups[i].DeregistrationDelay)
		}
	}
	return nil
}

// placeKey names where a group's delay is written.
func placeKey(t *graph.TargetGroup) (string, bool) {
	if len(t.Attributes.Places) == 0 {
		return "", false
	}
	p := t.Attributes.Places[0]
	return node.Identity(p.Object) + " " + node.Path(p.Path), true
}

// Judge solves for one workload and asks for what its objects lack.
func (a *Analysis) Judge(s *Subject) error {
	if !s.Behind() {
		return nil
	}
	if s.refused {
		return a.adopt(s)
	}
	in := s.inputs
	in.Groups = slices.Clone(s.groups)
	for i, t := range s.Groups {
		if key, ok := placeKey(t); ok && s.groups[i].Balancer != drain.Instance {
			d := a.delays[key]
			in.Groups[i].Delay = &d
		}
	}
	in.Groups = s.either(in.Groups)
	in.Mode = s.mode(in)
	least, err := drain.Solve(in)
	if err := a.refused(s, err); err != nil {
		return err
	}
	if s.refused {
		return a.adopt(s)
	}
	in.Floor, in.LongerHook = drain.Given{PreStop: s.shortest().Seconds}, s.longestHook()
	if s.grace != nil {
		in.Floor.GracePeriod = *s.grace
	}
	if s.minReady != nil {
		in.MinReady = *s.minReady
	}
	switch {
	case s.deadline != nil:
		in.ProgressDeadline = *s.deadline
	case s.GetKind() == "Deployment" || s.GetKind() == "Rollout":
		in.ProgressDeadline = defaultProgressDeadline
	}
	if s.Plan, err = drain.Solve(in); err != nil {
		return fmt.Errorf("%s: %w", s.ID(), err)
	}
	now := in
	now.Mode, now.Groups = a.Drain.Mode, s.either(s.known(a.Drain.Mode))
	if s.AsIs, err = drain.Adopt(s.effective(), now); err != nil {
		return fmt.Errorf("%s: %w", s.ID(), err)
	}
	a.pod(s, least)
	a.balancers(s)
	a.rollout(s)
	a.arithmetic(s)
	return nil
}

// known are the target groups as they are written. One that is made elsewhere, with a
// delay that nobody tells, has AWS's, unless it was asked for another (OL037).
func (s *Subject) known(mode drain.Mode) []drain.Group {
	groups := slices.Clone(s.groups)
	for i := range groups {
		if s.untold(i) {
			d := s.Plan.Groups[i].DeregistrationDelay
			if mode != drain.Strict {
				d = max(d, drain.DefaultDelay)
			}
			groups[i].Delay = &d
		}
	}
	return groups
}

// refused makes a problem of what no timing can make safe; other errors stay errors.
func (a *Analysis) refused(s *Subject, err error) error {
	var refusal *drain.Refusal
	if !errors.As(err, &refusal) {
		if err != nil {
			return fmt.Errorf("%s: %w", s.ID(), err)
		}
		return nil
	}
	f, on := refusal.Finding, s.RNode
	for _, t := range s.Groups { // of one of them, not of the pod
		if place := t.Attributes.Where(attribute.Delay); f.Object == t.Name() && place.Object != nil && !place.Make {
			on = place.Object
		}
	}
	f.Object, f.Field, s.refused = node.ID(on), s.field(f.Field, on), true
	a.All = append(a.All, problem.Problem{Finding: f, On: on})
	return nil
}

// adopt plans with what is written, where nothing better can be found.
func (a *Analysis) adopt(s *Subject) (err error) {
	in := s.inputs
	in.Groups, in.LongerHook = s.either(s.groups), s.longestHook()
	if in.Mode == drain.Strict {
		in.Mode = drain.Auto
	}
	if s.AsIs, err = drain.Adopt(s.effective(), in); err != nil {
		return fmt.Errorf("%s: %w", s.ID(), err)
	}
	s.Plan = s.AsIs
	return nil
}

// mode settles auto for this workload. A preStop that the author wrote and
// that is safe in fast mode stays, also where it is too short for strict.
func (s *Subject) mode(in drain.Inputs) drain.Mode {
	if in.Mode != drain.Auto {
		return in.Mode
	}
	for i, g := range s.groups {
		if s.untold(i) && g.Balancer != drain.Instance { // strict's preStop is reckoned from the delay
			return drain.Fast
		}
	}
	auto, err := drain.Solve(in)
	if err != nil || auto.Mode == drain.Fast {
		return in.Mode
	}
	in.Mode = drain.Fast
	fast, err := drain.Solve(in)
	if err != nil || len(s.hooks) == 0 {
		return drain.Auto
	}
	kept := false
	for _, h := range s.hooks {
		if h.Stated && h.Seconds >= fast.PreStop && h.Seconds < auto.PreStop { // nothing else could be written for it
			return drain.Fast
		}
	}
	for _, h := range s.hooks {
		if !h.Written && !h.Stated {
			return drain.Auto
		}
		if !h.Known || h.Sidecar {
			continue
		}
		if h.Seconds < fast.PreStop {
			return drain.Auto
		}
		kept = kept || h.Seconds < auto.PreStop
	}
	if kept {
		return drain.Fast
	}
	return drain.Auto
}
