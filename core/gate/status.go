// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/gate/internal/elb"
	"github.com/outlast-ci/outlast/core/gate/internal/history"
	"github.com/outlast-ci/outlast/core/gate/internal/live"
	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

// Status is one workload as it is now. What could not be read is in Unknown.
type Status struct {
	Object  string        `json:"object"`            // Kind/namespace/name
	Desired int           `json:"desired"`           // pods
	Ready   int           `json:"ready"`             // pods, new and old, that are not being deleted
	New     int           `json:"new"`               // pods of the newest template that are not being deleted
	Old     int           `json:"old"`               // all others: of older templates, or being deleted
	Lacks   string        `json:"lacks,omitempty"`   // what the rollout lacks, in words; empty: it is complete
	Stalled string        `json:"stalled,omitempty"` // why its controller gave up or waits
	Behind  bool          `json:"behind"`            // a load balancer
	Timings drain.Given   `json:"timings"`           // of the newest template; the delay is the longest of its groups
	Pods    []PodStatus   `json:"pods"`
	Groups  []GroupStatus `json:"groups,omitempty"`
	Unknown []string      `json:"unknown,omitempty"`
}

// PodStatus is one pod as it is now.
type PodStatus struct {
	Name        string        `json:"name"`
	IP          string        `json:"ip,omitempty"`
	New         bool          `json:"new"`
	Ready       bool          `json:"ready"`
	Waiting     string        `json:"waiting,omitempty"`  // for what, in the kubelet's words
	Deleted     time.Time     `json:"deleted,omitzero"`   // when its deletion was accepted
	PreStop     drain.Seconds `json:"preStopSeconds"`     // as far as it can be told
	GracePeriod drain.Seconds `json:"gracePeriodSeconds"` // it is killed after
}

// GroupStatus is one target group of a workload as it is now.
type GroupStatus struct {
	Name    string         `json:"name"` // of its TargetGroupBinding, or its own
	ARN     string         `json:"arn"`
	Delay   *drain.Seconds `json:"deregistrationDelaySeconds,omitempty"` // nil: not read
	Targets []TargetStatus `json:"targets"`
}

// TargetStatus is one target of a group as it is now.
type TargetStatus struct {
	Target
	Pod   string `json:"pod,omitempty"` // whose address it is; empty: of none of the workload's
	Words string `json:"words"`         // state and reason, for people
}

// Look reads workloads and the targets in front of them once, and waits for nothing. Without
// a balancer the targets are Unknown.
func Look(ctx context.Context, cluster Cluster, balancer Balancer, which Which) ([]Status, error) {
	objects, err := which.objects(ctx, cluster)
	if err != nil {
		return nil, err
	}
	reader := live.NewReader(cluster, balancer)
	var out []Status
	for _, obj := range objects {
		s := Status{Object: obj.GetKind() + "/" + obj.GetNamespace() + "/" + obj.GetName()}
		seen, err := reader.Read(ctx, &obj)
		if err != nil {
			s.Unknown = append(s.Unknown, err.Error())
		}
		s.take(seen)
		for _, g := range seen.Groups {
			s.Groups = append(s.Groups, s.group(ctx, reader, g, seen.Pods))
		}
		out = append(out, s)
	}
	return out, nil
}

// take enters what the cluster says.
func (s *Status) take(seen live.Workload) {
	s.Desired, s.Lacks, s.Stalled, s.Behind = seen.Snapshot.Desired, seen.Snapshot.Complete, seen.Snapshot.Stalled, len(seen.Groups) > 0 || seen.Expected
	if !seen.Observed {
		s.Lacks = "its controller has not seen the newest template yet"
	}
	s.Timings = drain.Given{PreStop: whole(seen.PreStop), GracePeriod: whole(seen.Grace)}
	s.Unknown = append(s.Unknown, seen.Warnings...)
	for _, p := range seen.Pods {
		s.Pods = append(s.Pods, PodStatus{Name: p.Name, IP: p.IP, New: p.New, Ready: p.Ready, Waiting: p.Waiting, Deleted: p.Deleted, PreStop: whole(p.PreStop), GracePeriod: whole(p.Grace)})
		switch {
		case p.New && p.Deleted.IsZero():
			s.New++
		default:
			s.Old++
		}
		if p.Ready && p.Deleted.IsZero() {
			s.Ready++
		}
	}
}

// group reads the targets of a group.
func (s *Status) group(ctx context.Context, reader *live.Reader, g model.Group, pods []model.Pod) GroupStatus {
	out := GroupStatus{Name: g.Binding, ARN: g.ARN, Delay: g.Info.Delay}
	if g.Info.Delay != nil {
		s.Timings.DeregistrationDelay = max(s.Timings.DeregistrationDelay, *g.Info.Delay)
	}
	balancer, err := reader.Finder.For(ctx, g)
	var targets []Target
	if err == nil {
		targets, err = balancer.TargetHealth(ctx, g.ARN)
	}
	if err != nil {
		s.Unknown = append(s.Unknown, fmt.Sprintf("the targets of %s: %s", g.Binding, err))
	}
	for _, t := range targets {
		st := TargetStatus{Target: t, Words: elb.Words(t.State, t.Reason, t.Description)}
		if i := slices.IndexFunc(pods, func(p model.Pod) bool { return history.Has(p, t.ID) }); i >= 0 {
			st.Pod = pods[i].Name
		} else if g.Shared {
			continue // another cluster's
		}
		out.Targets = append(out.Targets, st)
	}
	return out
}
