// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"time"

	"github.com/outlast-ci/outlast/core/gate/internal/history"
	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

// Line is the present state of one object, for the progress view. A StatefulSet's
// pods have the names of those before them: the UID tells them apart.
type Line struct{ UID, Object, Text string }

// Unread begins the text of a workload of which something cannot be read: one state, though
// each failure may word itself anew.
const Unread = "cannot tell: "

// Lines tells the present state of the workload, and of each pod with its targets.
func Lines(t *history.Track, v Verdict) []Line {
	s := t.Last
	state := s.Complete
	switch unread := unread(t); {
	case len(s.Unknown) > 0:
		state = Unread + s.Unknown[0]
	case v.Failed != "":
		state = "failed: " + string(v.Failed)
	case len(unread) > 0:
		state = Unread + unread[0]
	case state == "" && v.Done:
		state = "rollout complete, old pods gone"
	case state == "":
		state = "rollout complete"
	}
	out := []Line{{"", t.Workload.ID(), state}}
	for _, p := range t.All() {
		if p.Name != "" {
			out = append(out, Line{p.UID, "pod " + p.Name, podWords(t, p)})
		}
	}
	return out
}

func podWords(t *history.Track, p *history.Pod) string {
	kind, state := "old", "running"
	if p.New {
		kind, state = "new", "starting"
	}
	switch {
	case !p.Gone.IsZero():
		state = "gone"
	case !p.Ended.IsZero():
		state = "ended"
	case !p.Deleted.IsZero():
		state = "terminating"
	case p.Seen.Ready:
		state = "ready"
	}
	text := kind + ", " + state
	for _, tg := range timelines(t, p) {
		text += ", target"
		if len(t.Groups) > 1 {
			text += " in " + tg.Group
		}
		text += " " + tg.Words + " since " + tg.Since.UTC().Format(time.TimeOnly)
	}
	return text
}

// timelines are a pod's targets, as they were seen last.
func timelines(t *history.Track, p *history.Pod) (out []model.TargetTimeline) {
	for _, g := range t.Groups {
		tg := p.In[g.ARN]
		if tg == nil || !tg.Registered && (!g.Current || !p.New) {
			continue
		}
		line := model.TargetTimeline{Group: g.Binding, Target: tg.At, State: tg.State, Reason: tg.Reason, Words: words(g, tg), Since: tg.Since}
		switch {
		case tg.Listed():
		case tg.Registered && (!p.New || !p.Deleted.IsZero()):
			line.State, line.Words = "absent", "drained"
		default:
			line.State, line.Words = "absent", "not registered"
		}
		out = append(out, line)
	}
	return out
}

// Result is the workload's part of the gate's.
func Result(t *history.Track, v Verdict) model.WorkloadResult {
	r := model.WorkloadResult{Object: t.Workload.ID(), Desired: t.Last.Desired, MinHealthy: t.Floor.Minimum, Floor: t.Floor.Least, Warnings: Warnings(t)}
	if !v.Done {
		r.Problems = v.Problems
	}
	for _, g := range t.Groups {
		r.Groups = append(r.Groups, g.ARN)
	}
	for _, p := range t.All() {
		line := p.PodTimeline
		line.Targets = timelines(t, p)
		if t.Workload.Behind && !p.Deleted.IsZero() && !p.Gone.IsZero() {
			line.Proof, line.Margin = prove(endingOf(t, p))
		}
		r.Pods = append(r.Pods, line)
	}
	return r
}

// Failing lists the new pods that lack something, with the states of their targets.
func Failing(t *history.Track, now time.Time) (pods []model.Pod, targets map[string][]string) {
	targets = map[string][]string{}
	for _, p := range t.Fresh() {
		if len(newReady(t, p)) == 0 {
			continue
		}
		pods = append(pods, p.Seen)
		for _, tg := range timelines(t, p) {
			targets[p.UID] = append(targets[p.UID], tg.Group+": "+tg.Target+" is "+tg.Words+" for "+seconds(now.Sub(tg.Since)).String())
		}
	}
	return pods, targets
}
