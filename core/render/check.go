// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/live"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
	"github.com/outlast-ci/outlast/core/render/internal/source"
	"github.com/outlast-ci/outlast/core/render/internal/source/origin"
	"github.com/outlast-ci/outlast/core/render/internal/tree"
)

// Rule is one row of the table of rules: what docs/rules has a page for.
type Rule = problem.Rule

// Rules lists the rules. An id is never given to another rule.
func Rules() []Rule { return slices.Clone(problem.Table) }

// Live is what only the cluster and the balancer know.
type Live = live.Facts

// ALBAnnotations starts the keys of an Ingress's and a Service's annotations that are for
// the AWS Load Balancer Controller.
const ALBAnnotations = graph.ALBPrefix

// LiveGroup is one target group as it is.
type LiveGroup = live.Group

// MakerOf tells which kind of object the controller made a TargetGroupBinding of, by its
// labels, and how it calls what shares the load balancer; "" when they do not tell.
func MakerOf(labels map[string]string) (live.Maker, string) { return live.MakerOf(labels) }

// LivePod is one running pod.
type LivePod = live.Pod

// LiveMember is an Ingress that shares its load balancer with others.
type LiveMember = live.Member

// LiveContainer is one container of a running pod.
type LiveContainer = live.Container

// Report is what Check found.
type Report struct {
	Findings  []drain.Finding // by file and line, then by rule
	Workloads []Workload
	Objects   int
	Root      string // absolute folder that the files of Findings are relative to; empty: standard input
}

// Check judges the manifests at Options.Path as they are written, and changes
// nothing; Options.Policy is not read. live is nil offline. Findings carry the
// file and line of their field, or of what is nearest to it.
func Check(ctx context.Context, opt Options, live *Live) (Report, error) {
	read, err := load(ctx, opt)
	if err != nil {
		return Report{}, err
	}
	return (&Manifests{opt: opt, read: read}).Check(live)
}

// Check judges manifests that were prepared by the policy Off, which leaves them as they
// are written. It may be called again when more is known of the cluster.
func (m *Manifests) Check(live *Live) (Report, error) {
	ruleOptions := m.opt.rules(true)
	ruleOptions.Live = live
	workloads, problems, err := analyse(graph.New(nodes(m.read)), ruleOptions)
	if err != nil {
		return Report{}, fmt.Errorf("checking %s: %w", m.opt.subject(), err)
	}
	out := Report{Objects: len(m.read.Objects), Root: m.read.Root}
	for _, w := range workloads {
		out.Workloads = append(out.Workloads, workload(w, false))
	}
	places := newPlaces(m.read)
	for _, p := range problems {
		places.fill(&p)
		out.Findings = append(out.Findings, p.Finding)
	}
	slices.SortStableFunc(out.Findings, func(a, b drain.Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Field, b.Field))
	})
	return out, nil
}

// places finds where an object's fields are written.
type places struct {
	index *origin.Index               // of a kustomization's files
	plain map[*yaml.Node]*tree.Object // of plain YAML, whose nodes know their lines
	top   string                      // the kustomization; empty: plain YAML
}

func newPlaces(read *tree.Tree) places {
	p := places{plain: map[*yaml.Node]*tree.Object{}, top: read.Kustomization}
	if read.Kustomization == "" {
		for _, o := range read.Objects {
			p.plain[o.YNode()] = o
		}
		return p
	}
	var files []origin.File
	for _, f := range read.Files {
		files = append(files, origin.File{Name: f.Path, Text: f.Text})
	}
	p.index = origin.New(files, read.Kustomization)
	return p
}

// fill adds file and line to a problem. What kustomize generated stands nowhere: its
// place is the kustomization.
func (p places) fill(found *problem.Problem) {
	path, err := source.ParsePath(found.Field)
	on := cmp.Or(found.Near, found.On)
	if err != nil || found.Field == "" || on != found.On {
		path = source.Path{{Key: "(the whole)"}} // which nothing holds: the resource itself is the place
	}
	if o, ok := p.plain[on.YNode()]; ok {
		found.File = o.File
		found.Line, _, _ = source.Locate(source.Document{Node: o.YNode()}, path)
		return
	}
	if p.top == "" {
		return
	}
	found.File, found.Line = p.top, 1
	if place, ok := p.index.Field(on.GetKind(), on.GetNamespace(), on.GetName(), path); ok {
		found.File, found.Line = place.File, place.Line
	}
}
