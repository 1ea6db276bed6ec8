// SPDX-License-Identifier: Apache-2.0

// Package timing sets the drain timings of workloads behind a load balancer: it
// reads what their authors wrote, solves, and asks for what is missing or
// unsafe.
package timing

import (
	"errors"
	"time"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/attribute"
	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
)

// Options are what is known from outside the manifests.
type Options struct {
	Drain     drain.Inputs
	Kubelet   string // oldest kubelet's version; "": 1.30 or newer
	Shell     string // shell that every image has; "": none
	Nodes     int    // of the cluster, for DaemonSets; 0: not counted
	AsWritten bool   // judge what is written, not what the edits make of it

	IdleTimeouts map[string]time.Duration // of the load balancers as they are, by workload
	Gated        map[string]bool          // Namespaces of the cluster, and whether they carry the label for readiness gates
}

// Analysis adds to a list of problems. Call Subject for all workloads, then
// Needs for all of them, then Judge: one annotation may hold the deregistration
// delay of several workloads' target groups.
type Analysis struct {
	*problem.List
	Graph *graph.Graph
	Options

	delays map[string]drain.Seconds // by place, the longest that is asked for there
	cured  map[*yaml.RNode]bool     // objects with an edit, among the problems that are read
	read   int                      // problems
}

// New begins an analysis.
func New(list *problem.List, g *graph.Graph, opt Options) *Analysis {
	return &Analysis{List: list, Graph: g, Options: opt, delays: map[string]drain.Seconds{}, cured: map[*yaml.RNode]bool{}}
}

// malformed turns a value that the controller refuses into a problem; other
// errors stay errors.
func (a *Analysis) malformed(err error) error {
	var place *attribute.Malformed
	if !errors.As(err, &place) {
		return err
	}
	a.Find("OL046", place.Object, place.Field, place.Err.Error()+": the controller refuses it and updates nothing of this load balancer", "write KEY=VALUE pairs with commas between them, whole seconds as numbers")
	return nil
}
