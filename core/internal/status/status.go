// SPDX-License-Identifier: Apache-2.0

// Package status joins what a cluster remembers of an application's deploys with what
// runs: a look, which writes nothing and waits for nobody.
package status

import (
	"context"
	"errors"
	"slices"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/internal/record"
	"github.com/outlast-ci/outlast/core/release"
)

// Schema names the layout of a Status.
const Schema = "outlast.status/v1"

// Status is an application in one environment as it is now. What could not be read is
// in Unknown; it is not known to be absent.
type Status struct {
	Schema      string            `json:"schema"`
	App         string            `json:"app"`
	Environment string            `json:"environment,omitempty"`
	Namespace   string            `json:"namespace"`
	Release     *release.Revision `json:"release"`           // the last one whose gate has passed; null: none has
	Attempt     *release.Revision `json:"attempt,omitempty"` // the newest, when it came after that
	Lock        *release.Holder   `json:"lock"`              // the run that deploys now; null: none does
	Workloads   []Workload        `json:"workloads"`
	Unknown     []string          `json:"unknown,omitempty"`
}

// Workload is one of the application's.
type Workload struct {
	gate.Status
	Recorded *drain.Given `json:"recordedTimings,omitempty"` // of Release, where it stands behind a load balancer
}

// World is what is asked.
type World struct {
	Cluster  gate.Cluster
	Records  release.Store // read only
	Balancer gate.Balancer
}

// Read looks at an application. Its workloads are those of the newest release or, without
// one, all of the namespace. The error is that nothing could be asked.
func Read(ctx context.Context, w World, app release.App) (Status, error) {
	s := Status{Schema: Schema, Namespace: app.Namespace}
	history, err := release.Open(w.Records, app)
	if err != nil {
		return s, err
	}
	list, err := history.List(ctx)
	if err != nil {
		return s, err
	}
	if s.Lock, err = release.HolderOf(ctx, w.Records, app); err != nil {
		s.miss(err)
	}
	which := gate.Which{Namespace: app.Namespace, All: true}
	var recorded []record.Workload
	if len(list) > 0 {
		if i := slices.IndexFunc(list, func(r release.Revision) bool { return r.State == release.Passed }); i >= 0 {
			s.Release = &list[i]
		}
		if s.Release == nil || s.Release.Number != list[0].Number {
			s.Attempt = &list[0]
		}
		if recorded, err = record.Workloads(ctx, history, list[0].Number); err != nil {
			s.miss(err)
		}
		which.Refs = record.IDs(recorded)
	}
	s.look(ctx, w, which)
	switch {
	case s.Release == nil:
		return s, nil
	case s.Attempt != nil: // the newest is another
		if recorded, err = record.Workloads(ctx, history, s.Release.Number); err != nil {
			s.miss(err)
		}
	}
	s.compare(recorded)
	return s, nil
}

func (s *Status) miss(err error) {
	var none *gate.Error // here no verdict, but a workload that is not there
	if errors.As(err, &none) {
		s.Unknown = append(s.Unknown, none.Problems...)
		return
	}
	s.Unknown = append(s.Unknown, err.Error())
}

// look reads the workloads one by one: that one of them is not there is told.
func (s *Status) look(ctx context.Context, w World, which gate.Which) {
	asks := []gate.Which{which}
	if len(which.Refs) > 0 {
		asks = nil
		for _, ref := range which.Refs {
			asks = append(asks, gate.Which{Refs: []string{ref}, Namespace: which.Namespace})
		}
	}
	for _, ask := range asks {
		found, err := gate.Look(ctx, w.Cluster, w.Balancer, ask)
		if err != nil {
			s.miss(err)
		}
		for _, one := range found {
			s.Workloads = append(s.Workloads, Workload{Status: one})
		}
	}
}

// compare enters the timings that the release in force was made with.
func (s *Status) compare(recorded []record.Workload) {
	for i := range s.Workloads {
		for _, r := range recorded {
			if r.Behind && record.IDs([]record.Workload{r})[0] == s.Workloads[i].Object {
				s.Workloads[i].Recorded = new(r.Plan.Given())
			}
		}
	}
}
