// SPDX-License-Identifier: Apache-2.0

package model

import (
	"fmt"
	"strings"
	"time"
)

// WorkloadResult is one workload's part of the result.
type WorkloadResult struct {
	Object     string        `json:"object"`
	Desired    int           `json:"desired"`
	MinHealthy int           `json:"minHealthy"` // fewest of its pods that were healthy in any of its groups; -1: no group was read
	Floor      int           `json:"floor"`      // desired less maxUnavailable: how many should be healthy all the time
	Problems   []string      `json:"problems,omitempty"`
	Warnings   []string      `json:"warnings,omitempty"` // what was odd, though it ended well
	Groups     []string      `json:"groups,omitempty"`   // ARNs of the target groups
	Pods       []PodTimeline `json:"pods"`
}

// PodTimeline is what became of one pod and its targets. Zero times were not seen.
type PodTimeline struct {
	UID        string           `json:"uid"`
	Name       string           `json:"name"`
	IP         string           `json:"ip,omitempty"`
	New        bool             `json:"new"`
	Created    time.Time        `json:"created,omitzero"`
	Ready      time.Time        `json:"ready,omitzero"`      // first seen Ready
	Registered time.Time        `json:"registered,omitzero"` // first seen in a target group
	Healthy    time.Time        `json:"healthy,omitzero"`    // first seen healthy in all its groups
	Deleted    time.Time        `json:"deleted,omitzero"`    // when the API server accepted its deletion
	Draining   time.Time        `json:"draining,omitzero"`   // first seen draining in all the groups that list it
	Drained    time.Time        `json:"drained,omitzero"`    // first seen gone from all its groups
	Ended      time.Time        `json:"ended,omitzero"`      // its first container finished
	Gone       time.Time        `json:"gone,omitzero"`       // first seen gone from the cluster
	Killed     bool             `json:"killed,omitempty"`    // a container ended by SIGKILL (137)
	Proof      Proof            `json:"proof,omitempty"`     // of the drain, for old pods behind a balancer
	Margin     float64          `json:"marginSeconds,omitempty"`
	Targets    []TargetTimeline `json:"targets,omitempty"` // in each of its groups
}

// TargetTimeline is a pod's target in one group, as it was seen last.
type TargetTimeline struct {
	Group  string    `json:"group"`  // TargetGroupBinding
	Target string    `json:"target"` // address:port
	State  string    `json:"state"`  // of ELBv2, or absent
	Reason string    `json:"reason,omitempty"`
	Words  string    `json:"words"` // both, for people
	Since  time.Time `json:"since"` // when the state was seen first
}

// Proof says whether a pod was seen to outlast its target.
type Proof string

const (
	Proven      Proof = "proven"
	Broken      Proof = "broken"
	NotObserved Proof = "not observed"
)

// Evidence is what a failing pod, or its workload, said.
type Evidence struct {
	Pod     string   `json:"pod"` // namespace/name, or Kind/namespace/name of the workload
	Events  []string `json:"events,omitempty"`
	Targets []string `json:"targets,omitempty"` // states of its targets, in words
	Logs    []Log    `json:"logs,omitempty"`
}

// Log is the end of one container's output.
type Log struct {
	Container string   `json:"container"`
	Previous  bool     `json:"previous,omitempty"` // of the run before its last restart
	Lines     []string `json:"lines"`
}

// Reason is the word that says why the gate failed. docs/exit-codes.md lists them.
type Reason string

const (
	ProgressDeadline Reason = "progress-deadline"
	CrashLoop        Reason = "crash-loop"
	ImagePull        Reason = "image-pull"
	ConfigError      Reason = "config-error"
	VolumeError      Reason = "volume-error"
	Unschedulable    Reason = "unschedulable"
	Quota            Reason = "quota"
	PodRefused       Reason = "pod-refused"
	TargetUnhealthy  Reason = "target-unhealthy"
	TargetNotInUse   Reason = "target-not-in-use"
	TargetIPUnusable Reason = "target-ip-unusable"
	NoTargetGroup    Reason = "no-target-group"
	ProbeFailed      Reason = "probe-failed"
	AlarmRaised      Reason = "alarm"
	WorkloadGone     Reason = "workload-gone"
	Superseded       Reason = "superseded"
	NothingToWaitFor Reason = "nothing-to-wait-for"
	TimedOut         Reason = "timeout"
)

// Error is a gate that did not pass.
type Error struct {
	Reason   Reason
	TimedOut bool // it gave up waiting; else it saw that waiting is in vain
	Problems []string
}

func (e *Error) Error() string {
	return fmt.Sprintf("the rollout did not pass (%s): %s", e.Reason, strings.Join(e.Problems, "; "))
}
