// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/gate/internal/elb"
)

// track is the history of one workload: what Snapshots said so far.
type track struct {
	workload Workload
	groups   []Group
	pods     map[string]*PodTimeline // by UID
	order    []string                // UIDs as first seen
	last     Snapshot
	verdict  Verdict
	minimum  int
	sick     map[string]time.Time // since when a pod is in trouble, by UID and reason
	healthy  bool                 // some new pod's target has been healthy once
	evidence []Evidence
}

// Verdict is the judge's word after a Snapshot.
type Verdict struct {
	Done     bool
	Failed   Reason   // waiting on is in vain
	Problems []string // what is missing, or why it failed
}

func newTrack(w Workload) *track {
	t := &track{workload: w, pods: map[string]*PodTimeline{}, minimum: -1, sick: map[string]time.Time{}}
	for _, p := range w.Replaced {
		t.pods[p.UID] = &PodTimeline{UID: p.UID, Name: p.Name, IP: p.IP}
		t.order = append(t.order, p.UID)
	}
	return t
}

// state is a pod's target in a group, and whether it is listed.
func (g Group) state(p *PodTimeline, port int) (Target, bool) {
	for _, target := range g.Targets {
		if target.ID == p.IP && target.Port == port {
			return target, target.State != "unused" || target.Reason != "Target.NotRegistered"
		}
	}
	return Target{}, false
}

// take enters a Snapshot into the history.
func (t *track) take(s Snapshot) {
	t.last = s
	if !s.PodsKnown {
		return
	}
	here := map[string]bool{}
	for _, p := range s.Pods {
		here[p.UID] = true
		t.takePod(s, p)
	}
	for _, uid := range t.order {
		line := t.pods[uid]
		if !here[uid] && line.Gone.IsZero() {
			line.Gone = s.At
		}
	}
	t.takeTargets(s)
}

func (t *track) takePod(s Snapshot, p Pod) {
	line, ok := t.pods[p.UID]
	if !ok {
		line = &PodTimeline{UID: p.UID}
		t.pods[p.UID] = line
		t.order = append(t.order, p.UID)
	}
	line.Name, line.New, line.Created, line.Gone = p.Name, p.New, p.Created, time.Time{} // a stale read may have missed it
	if line.ports = p.Ports; p.IP != "" {
		line.IP = p.IP
	}
	first(&line.Ready, s.At, p.Ready)
	first(&line.Deleted, p.Deleted, !p.Deleted.IsZero())
	first(&line.Ended, p.Ended, !p.Ended.IsZero())
	if p.Ended.IsZero() {
		line.alive = s.At
	}
	line.Killed = line.Killed || p.Killed
	now := trouble(p)
	maps.DeleteFunc(t.sick, func(key string, _ time.Time) bool { return strings.HasPrefix(key, p.UID+" ") && key != now })
	if _, known := t.sick[now]; p.Waiting != "" && !known {
		t.sick[now] = s.At
	}
}

// trouble names what a pod waits for: the kubelet alternates between two words
// for an image that it cannot pull.
func trouble(p Pod) string {
	if p.Waiting == "ImagePullBackOff" {
		return p.UID + " ErrImagePull"
	}
	return p.UID + " " + p.Waiting
}

// first sets a time once.
func first(at *time.Time, when time.Time, seen bool) {
	if seen && at.IsZero() {
		*at = when
	}
}

// takeTargets follows each pod's targets through the groups; only a poll that
// read all groups counts.
func (t *track) takeTargets(s Snapshot) {
	if len(s.Groups) == 0 || slices.ContainsFunc(s.Groups, func(g Group) bool { return !g.Known }) {
		return
	}
	for _, g := range s.Groups {
		n := 0
		for _, target := range g.Targets {
			if target.State == "healthy" {
				n++
			}
		}
		if t.minimum < 0 || n < t.minimum {
			t.minimum = n
		}
	}
	for _, uid := range t.order {
		line := t.pods[uid]
		if line.IP == "" || t.reused(line) {
			continue
		}
		listed, healthy, draining := 0, 0, 0
		for _, g := range s.Groups {
			target, ok := g.state(line, g.port(Pod{Ports: line.ports}))
			if !ok {
				continue
			}
			listed++
			switch target.State {
			case "healthy":
				healthy++
			case "draining":
				draining++
			}
		}
		if listed > 0 {
			line.listed, line.Drained = s.At, time.Time{}
		}
		if listed > draining {
			line.serving, line.Draining = s.At, time.Time{}
		}
		first(&line.Registered, s.At, listed > 0)
		first(&line.Healthy, s.At, healthy == len(s.Groups))
		first(&line.Draining, s.At, draining > 0 && listed == draining)
		t.healthy = t.healthy || (line.New && healthy > 0)
		old := !line.New || !line.Deleted.IsZero()
		first(&line.Drained, s.At, listed == 0 && old && !line.Registered.IsZero())
	}
}

// reused tells whether another live pod has the address now: its target's
// state says nothing about this one any more.
func (t *track) reused(line *PodTimeline) bool {
	if line.Gone.IsZero() {
		return false
	}
	for _, other := range t.pods {
		if other != line && other.IP == line.IP && other.Gone.IsZero() && other.Created.After(line.Created) {
			return true
		}
	}
	return false
}

// closing tells whether before the next poll some pod's target may leave, or
// the pod end: what is seen then is the proof of the drain.
func (t *track) closing(pause time.Duration) bool {
	for _, p := range t.pods {
		if p.Gone.IsZero() && !p.Draining.IsZero() && t.last.At.Add(pause).After(p.Deleted.Add(t.workload.Plan.DeregistrationDelay.Duration())) {
			return true
		}
	}
	return false
}

// judge decides on what was seen; it makes no call and changes no history.
func (t *track) judge(s Snapshot) Verdict {
	id := t.workload.ID()
	switch {
	case len(s.Unknown) > 0:
		return Verdict{Problems: s.Unknown}
	case s.Missing:
		return Verdict{Failed: WorkloadGone, Problems: []string{id + " does not exist: somebody deleted it, or it was never applied"}}
	case s.Superseded != "":
		return Verdict{Failed: Superseded, Problems: []string{id + ": " + s.Superseded}}
	case s.Desired == 0 && t.workload.Behind:
		return Verdict{Failed: NothingToWaitFor, Problems: []string{id + " wants 0 replicas: there is no pod to prove anything with"}}
	}
	if reason, problem := t.doomed(s); reason != "" {
		problems := []string{problem}
		for _, p := range s.Pods {
			if reason == ProgressDeadline && p.New && p.Deleted.IsZero() {
				problems = append(problems, t.newPod(s, p)...) // what kept it
			}
		}
		return Verdict{Failed: reason, Problems: problems}
	}
	var problems []string
	if s.Complete != "" {
		problems = append(problems, id+": "+s.Complete)
	}
	fresh := 0
	for _, p := range s.Pods {
		if p.New && p.Deleted.IsZero() {
			fresh++
			problems = append(problems, t.newPod(s, p)...)
		}
	}
	if fresh < s.Desired {
		problems = append(problems, fmt.Sprintf("%s: %d of %d new pods exist", id, fresh, s.Desired))
	}
	if t.workload.Behind && len(s.Groups) == 0 {
		problems = append(problems, id+": no target group is bound to its Services")
	}
	for _, uid := range t.order {
		if line := t.pods[uid]; !line.New || !line.Deleted.IsZero() {
			problems = append(problems, t.oldPod(s, line)...)
		}
	}
	return Verdict{Done: len(problems) == 0, Problems: problems}
}

// newPod lists what a new pod lacks.
func (t *track) newPod(s Snapshot, p Pod) (problems []string) {
	name := "pod " + p.Name
	if !p.Ready {
		what := "is not ready"
		if p.Waiting != "" {
			what += " (" + strings.TrimSpace(p.Waiting+": "+p.Detail) + ")"
		}
		problems = append(problems, name+" "+what)
	}
	for _, gate := range slices.Sorted(maps.Keys(p.Gates)) {
		if p.Gates[gate] != "True" {
			problems = append(problems, fmt.Sprintf("%s: readiness gate %s is %q", name, gate, p.Gates[gate]))
		}
	}
	line := t.pods[p.UID]
	for _, g := range s.Groups {
		target, ok := g.state(line, g.port(p))
		switch {
		case !ok:
			problems = append(problems, fmt.Sprintf("%s: %s:%d is not registered in target group %s", name, p.IP, g.port(p), g.Binding))
		case target.State != "healthy":
			problems = append(problems, fmt.Sprintf("%s: target %s:%d is %s", name, p.IP, g.port(p), elb.Words(target.State, target.Reason, target.Description)))
		}
	}
	return problems
}

// oldPod lists why an old pod is not done with: its targets drained, itself gone.
func (t *track) oldPod(s Snapshot, line *PodTimeline) (problems []string) {
	name := line.Name
	if name == "" {
		name = line.UID
	}
	if t.workload.Behind && !t.drained(s, line) {
		problems = append(problems, fmt.Sprintf("old pod %s: target %s has not drained", name, line.IP))
	}
	if line.Gone.IsZero() {
		problems = append(problems, "old pod "+name+" is still there")
	}
	return problems
}

// drained: gone from every group, taken over by another pod, or, in fast mode,
// draining for longer than the balancer goes on sending. A pod that was never
// seen in a group while the groups were read has nothing to drain.
func (t *track) drained(s Snapshot, line *PodTimeline) bool {
	if !line.Drained.IsZero() || line.IP == "" || t.reused(line) {
		return true
	}
	in := t.workload.Plan.Inputs
	if t.workload.Plan.Mode == drain.Fast && !line.Draining.IsZero() && s.At.Sub(line.Draining) >= in.MaxPropagation()+in.Margin {
		return true
	}
	return line.Registered.IsZero() && len(s.Groups) > 0
}

// Patience with what often cures itself.
const (
	pullPatience   = 45 * time.Second // registries and nodes have hiccups
	crashPatience  = 3                // restarts
	attachPatience = 90 * time.Second // a new group is attached to its listener after it is made
)

// doomed tells when waiting on is in vain.
func (t *track) doomed(s Snapshot) (Reason, string) {
	for _, p := range s.Pods {
		if !p.New || !p.Deleted.IsZero() {
			continue
		}
		since, sick := t.sick[trouble(p)]
		long := sick && s.At.Sub(since) >= pullPatience
		detail := fmt.Sprintf("pod %s: %s: %s", p.Name, p.Waiting, p.Detail)
		switch p.Waiting {
		case "CrashLoopBackOff":
			if p.Restarts >= crashPatience {
				return CrashLoop, fmt.Sprintf("%s (%d restarts)", detail, p.Restarts)
			}
		case "InvalidImageName":
			return ImagePull, detail
		case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull":
			if long {
				return ImagePull, detail
			}
		case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
			if long {
				return ConfigError, detail
			}
		}
	}
	if reason, problem := t.doomedTarget(s); reason != "" {
		return reason, problem
	}
	if s.Stalled != "" {
		return ProgressDeadline, t.workload.ID() + ": " + s.Stalled
	}
	return "", ""
}

func (t *track) doomedTarget(s Snapshot) (Reason, string) {
	in := t.workload.Plan.Inputs
	patience := in.HealthInterval * time.Duration(in.UnhealthyCount+1)
	for _, p := range s.Pods {
		line := t.pods[p.UID]
		if !p.New || !p.Deleted.IsZero() || line.Registered.IsZero() || !line.Healthy.IsZero() {
			continue
		}
		for _, g := range s.Groups {
			target, _ := g.state(line, g.port(p))
			waited := s.At.Sub(line.Registered)
			problem := fmt.Sprintf("pod %s: target %s:%d of group %s is %s for %s", p.Name, p.IP, g.port(p), g.Binding, elb.Words(target.State, target.Reason, target.Description), waited.Round(time.Second))
			switch {
			case target.Reason == "Target.NotInUse" && waited > attachPatience:
				return TargetNotInUse, problem
			case target.Reason == "Target.IpUnusable" && waited > attachPatience:
				return TargetUnhealthy, problem
			case target.State == "unhealthy" && !t.healthy && p.Ready && waited > patience+attachPatience:
				return TargetUnhealthy, problem
			}
		}
	}
	return "", ""
}
