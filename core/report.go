// SPDX-License-Identifier: Apache-2.0

package core

import (
	"time"

	"github.com/outlast-ci/outlast/core/apply"
	"github.com/outlast-ci/outlast/core/build"
	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/internal/live"
	"github.com/outlast-ci/outlast/core/push"
	"github.com/outlast-ci/outlast/core/render"
)

// Schema names the layout of a report. A reader refuses what it does not know.
const Schema = "outlast.report/v1"

// Report is what each stage left behind and what the next one reads. It
// survives JSON, so that a CI can split the stages over jobs, and comes back
// with the error too: a failed run explains itself.
type Report struct {
	Schema    string          `json:"schema"`
	Run       Run             `json:"run"`
	Started   time.Time       `json:"started"`
	Finished  time.Time       `json:"finished"`
	Result    Result          `json:"result"`
	Reason    string          `json:"reason"` // one word of the documented list, "ok" when all passed
	Error     string          `json:"error,omitempty"`
	Stages    []StageRecord   `json:"stages"`
	Images    []build.Image   `json:"images,omitempty"`
	Refs      []push.Ref      `json:"refs,omitempty"`
	Manifests *ManifestReport `json:"manifests,omitempty"`
	Rollout   *apply.Rollout  `json:"rollout,omitempty"`
	Gate      *gate.Result    `json:"gate,omitempty"`
	Orders    []live.Order    `json:"orders,omitempty"`   // when deregistration delays were written
	Pruned    []apply.Change  `json:"pruned,omitempty"`   // what the manifests no longer had
	Handover  bool            `json:"handover,omitempty"` // old pods drain before they are deleted
	Revision  int             `json:"revision,omitempty"` // of the application, in the cluster's history
	Rollback  *RollbackReport `json:"rollback,omitempty"` // of a run that failed
	Clusters  []Report        `json:"clusters,omitempty"` // of several clusters, in order: each as if it had been alone; "pending" was not begun

	yaml []byte // rendered manifests: may hold Secrets, so they never enter the JSON
}

// YAML is what was rendered and applied, byte for byte.
func (r Report) YAML() []byte { return r.yaml }

// Result is how a run or a stage ended.
type Result string

const (
	Passed      Result = "passed"
	Failed      Result = "failed"
	Interrupted Result = "interrupted"
	Skipped     Result = "skipped"
	Pending     Result = "pending" // not reached
)

// StageRecord is one line of the report's table.
type StageRecord struct {
	Name    string    `json:"name"`
	Started time.Time `json:"started,omitzero"`
	Seconds float64   `json:"seconds"`
	Result  Result    `json:"result"`
	Note    string    `json:"note,omitempty"` // what it did, or why it was skipped, in a few words
}

// ManifestReport is what rendering decided, without the manifests themselves.
type ManifestReport struct {
	SHA256    string            `json:"sha256"` // of the YAML
	Workloads []render.Workload `json:"workloads"`
	Changes   []render.Change   `json:"changes,omitempty"`
	Findings  []drain.Finding   `json:"findings,omitempty"`
}

// started is when a stage began, in this run or an earlier one.
func (r Report) started(name string) (at time.Time) {
	for _, s := range r.Stages {
		if s.Name == name {
			at = s.Started
		}
	}
	return at
}
