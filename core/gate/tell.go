// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/gate/internal/history"
	"github.com/outlast-ci/outlast/core/gate/internal/judge"
	"github.com/outlast-ci/outlast/core/gate/internal/live"
)

// emit tells of an object.
func (w *waiting) emit(kind event.Kind, object, message string) {
	now := time.Now()
	w.spoke = now
	w.opt.Observe.Emit(event.Event{Time: now, Stage: "gate", Kind: kind, Object: object, Message: message})
}

// tell emits what changed, and a heartbeat when nothing did.
func (w *waiting) tell(t *watched) {
	for _, line := range judge.Lines(t.Track, t.verdict) {
		key := line.UID + line.Object
		said := w.said[key]
		if said != line.Text && !(strings.HasPrefix(said, judge.Unread) && strings.HasPrefix(line.Text, judge.Unread)) {
			w.said[key] = line.Text
			w.emit(event.Progress, line.Object, line.Text)
		}
	}
	for _, text := range judge.Warnings(t.Track) {
		if key := "warning " + text; w.said[key] == "" {
			w.said[key] = text
			w.emit(event.Warn, t.Workload.ID(), text)
		}
	}
	problems := append(slices.Clone(t.verdict.Problems), w.opt.Alarms.Unread())
	if now := time.Now(); now.Sub(w.spoke) >= w.opt.Heartbeat && problems[0] != "" {
		left := (w.total - now.Sub(w.started)).Round(time.Second)
		w.emit(event.Progress, t.Workload.ID(), fmt.Sprintf("waiting, %s left: %s", left, problems[0]))
	}
}

// tellProbe emits what the probe counts when a request has failed, at the end, and as a
// heartbeat.
func (w *waiting) tellProbe(end bool) {
	r := w.probe.Result()
	if key := fmt.Sprint(r.Failed); end || w.said["probe"] != key || time.Since(w.probed) >= w.opt.Heartbeat {
		w.said["probe"], w.probed = key, time.Now()
		w.emit(event.Progress, "probe "+r.URL, r.Words())
	}
}

func (w *waiting) result(passed bool) Result {
	r := Result{Started: w.started, Finished: time.Now(), Passed: passed, Looks: w.looks, Polls: w.polls, Alarms: w.opt.Alarms.States(), Evidence: w.evidence}
	for _, t := range w.all {
		r.Workloads = append(r.Workloads, judge.Result(t.Track, t.verdict))
	}
	if w.probe != nil {
		w.probe.Stop()
		w.tellProbe(true)
		seen := w.probe.Result()
		r.Probe = &seen
	}
	return r
}

// How much evidence is gathered.
const (
	evidencePods   = 5
	evidenceTime   = 20 * time.Second
	evidenceBefore = 30 * time.Second // of the gate: what was applied, by clocks that are not ours
)

// gather collects what the new pods that lack something said, and their workloads,
// before anything is undone.
func (w *waiting) gather(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, evidenceTime)
	defer cancel()
	byNamespace := map[string]live.Events{}
	for _, t := range w.all {
		if len(t.verdict.Problems) == 0 {
			continue
		}
		namespace := t.Workload.Namespace
		events, ok := byNamespace[namespace]
		if !ok {
			events = w.reader.ReadEvents(ctx, namespace)
			byNamespace[namespace] = events
		}
		failing, targets := judge.Failing(t.Track, time.Now())
		for _, p := range failing[:min(len(failing), evidencePods)] {
			e := w.reader.Evidence(ctx, namespace, p, events)
			e.Targets = targets[p.UID]
			w.show(e)
		}
		since := w.started.Add(-evidenceBefore)
		for _, p := range failing { // whose rollout may have begun before anybody looked
			since = history.Earliest(since, p.Created)
		}
		if own := (Evidence{Pod: t.Workload.ID(), Events: events.Of(t.Workload.UID, since)}); len(events[t.Workload.UID]) > 0 && len(own.Events) > 0 {
			w.show(own)
		}
	}
}

// show keeps a piece of evidence and tells it.
func (w *waiting) show(e Evidence) {
	w.evidence = append(w.evidence, e)
	object := e.Pod
	if strings.Count(object, "/") == 1 {
		object = "pod " + object
	}
	for _, text := range e.Events {
		w.emit(event.Note, object, "event: "+text)
	}
	for _, text := range e.Targets {
		w.emit(event.Note, object, "target group "+text)
	}
	for _, l := range e.Logs {
		for _, text := range l.Lines {
			w.emit(event.Log, object+" "+l.Container, text)
		}
	}
}
