// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"fmt"
	"time"

	"github.com/outlast-ci/outlast/core/apply"
	"github.com/outlast-ci/outlast/core/build"
	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/internal/live"
	"github.com/outlast-ci/outlast/core/internal/rights"
	"github.com/outlast-ci/outlast/core/push"
	"github.com/outlast-ci/outlast/core/release"
	"github.com/outlast-ci/outlast/core/render"
)

// Config is one run, with every default resolved.
type Config struct {
	Run     Run            // what the run is about; copied into the report
	From    string         // first stage; empty: build
	To      string         // last stage; empty: gate
	Images  []Image        // to build and push; may be empty when the manifests name all their images
	World   build.World    // where build's programs run
	Builder string         // buildkit or docker; empty: the first that answers
	Render  render.Options // Path, Root, Policy, Drain; the images are filled in from push
	Gate    Gate
	Observe event.Func

	Plan      *Plan     // to do exactly this, or to refuse; nil: whatever is to be done
	Rollout   Strategy  // empty: Rolling
	Legacy    Strategy  // of pods that have no preStop; empty: Rolling, with a warning
	OnFailure OnFailure // empty: RollBack
	Namespace string    // of the application's records; empty: that of the first workload
	Holder    string    // who this run is, for the lock: the same when a killed job is run again
	StealLock bool      // take the lock from a run that holds it
	Keep      int       // revisions to keep; 0: release.DefaultKeep
}

// Strategy is how the pods of Deployments behind a load balancer are replaced.
type Strategy string

const (
	Rolling  Strategy = "rolling"  // as the Deployment's own strategy has it
	Handover Strategy = "handover" // no old pod is deleted before its targets are seen to be unused
)

// Image is one image: how it is built and where it goes.
type Image struct {
	Build build.Options
	Push  push.Options
}

// Gate holds the user's own wishes for the wait. Zero: computed from the plan.
type Gate struct {
	Timeout  time.Duration // whole wait; zero: the plan's gate timeout
	Interval time.Duration // between polls of a target group; zero: 5 s, the ELB API's throttle in mind
	Probe    *gate.Probe   // requests to send during the wait; nil: none
	Alarms   []string      // names of CloudWatch alarms that fail the gate when they go to ALARM
}

// Run says what a run is about: who ships what where.
type Run struct {
	Version     string `json:"version"` // of outlast
	App         string `json:"app"`
	Environment string `json:"environment,omitempty"`
	Commit      string `json:"commit,omitempty"`
	Branch      string `json:"branch,omitempty"`
	RunURL      string `json:"runUrl,omitempty"`
	Actor       string `json:"actor,omitempty"`
	Region      string `json:"region,omitempty"`
	Cluster     string `json:"cluster,omitempty"`
}

// Where tells one of several clusters from the others.
func (r Run) Where() string {
	if r.Region == "" {
		return r.Cluster
	}
	return r.Cluster + " (" + r.Region + ")"
}

// Clients builds the clients of the stages when a stage that needs one runs,
// so that render asks for no login.
type Clients struct {
	ECR        func(context.Context) (push.ECR, error)
	Cluster    func(context.Context) (Cluster, error)
	Balancer   func(context.Context) (gate.Balancer, error)
	Attributes func(context.Context) (live.Attributes, error)
	Alarms     func(context.Context) (gate.Alarms, error)
	Glance     func(context.Context) (gate.Balancer, error) // a Balancer with a budget for a few questions at once, not for a wait
}

// Cluster is one API server as the two stages that talk to it see it, and as the
// keeper of the records.
type Cluster struct {
	Apply   apply.Cluster
	Gate    gate.Cluster
	Records release.Store
	Rights  rights.Asker // nil: permissions are not asked about beforehand
	Ping    func(context.Context) (version string, err error)
}

// StageError says in which stage a run ended. Preflight: nothing had been
// done yet, in any stage.
type StageError struct {
	Stage     string
	Preflight bool
	Err       error
}

func (e *StageError) Error() string { return fmt.Sprintf("%s: %v", e.Stage, e.Err) }
func (e *StageError) Unwrap() error { return e.Err }
