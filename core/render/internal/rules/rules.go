// SPDX-License-Identifier: Apache-2.0

// Package rules puts the judges of manifests in order: timings, lint, and what
// the cluster knows. Objects go in, as a graph, and problems come out.
package rules

import (
	"time"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/lint"
	"github.com/outlast-ci/outlast/core/render/internal/live"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
	"github.com/outlast-ci/outlast/core/render/internal/timing"
)

// Options are what is known from outside the manifests.
type Options struct {
	timing.Options
	Pinned []string    // names of images that are pinned by digest later
	Live   *live.Facts // nil: nobody was asked
}

// Workload is one workload with its timings.
type Workload struct {
	*graph.Workload
	Replicas int
	Plan     drain.Plan // of what the edits make of it; zero when it is not behind a balancer
	AsIs     drain.Plan // of what is written
	Strategy drain.Strategy
}

// Analyse judges the objects of a graph. An error is one that no edit and no
// annotation helps against: timings that cannot be solved.
func Analyse(g *graph.Graph, opt Options) ([]Workload, []problem.Problem, error) {
	list := &problem.List{}
	if opt.Live != nil {
		opt.learn(g)
	}
	times := timing.New(list, g, opt.Options)
	var all []*timing.Subject
	for _, w := range g.Workloads {
		s, err := times.Subject(w)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, s)
	}
	for _, s := range all {
		if err := times.Needs(s); err != nil {
			return nil, nil, err
		}
	}
	checker := &lint.Checker{List: list, Graph: g, Pinned: opt.Pinned}
	if opt.Live != nil {
		checker.Zones = opt.Live.CountZones()
	}
	var out []Workload
	for _, s := range all {
		if err := times.Judge(s); err != nil {
			return nil, nil, err
		}
		if s.Behind() {
			checker.Workload(s.Workload, s.Least)
		} else {
			checker.Unbalanced(s.Workload)
		}
		out = append(out, Workload{Workload: s.Workload, Replicas: s.Replicas, Plan: s.Plan, AsIs: s.AsIs, Strategy: s.Strategy()})
	}
	checker.Objects()
	if opt.Live != nil {
		compare(list, g, opt.Live, out)
	}
	list.Settle(g.Objects)
	return out, list.All, nil
}

// learn takes over what the cluster knows better.
func (opt *Options) learn(g *graph.Graph) {
	if version := opt.Live.Oldest(); version != "" {
		opt.Kubelet = version
	}
	opt.Gated, opt.Nodes = opt.Live.Gated(), len(opt.Live.Kubelets)
	opt.IdleTimeouts = map[string]time.Duration{}
	for _, w := range g.Workloads {
		for _, t := range w.Groups {
			t.Settle(opt.Live.TargetType(t))
		}
		if idle := opt.Live.IdleTimeout(w); idle > 0 {
			opt.IdleTimeouts[w.ID()] = idle
		}
	}
}

func compare(list *problem.List, g *graph.Graph, facts *live.Facts, workloads []Workload) {
	c := &live.Checker{List: list, Facts: facts, Graph: g}
	for _, w := range workloads {
		in := w.Plan.Inputs
		c.Workload(w.Workload, w.Plan.DeregistrationDelay.Duration(), in.ControllerLatency+in.MaxPropagation()+in.Margin)
	}
	c.Members()
}
