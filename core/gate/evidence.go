// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core/event"
)

// How much is kept of what failing pods said.
const (
	evidencePods  = 5
	evidenceLines = 20
	evidenceTime  = 20 * time.Second
)

// evidence gathers events and log ends of the new pods that lack something,
// before anything is undone.
func (w *waiting) evidence(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, evidenceTime)
	defer cancel()
	for _, t := range w.tracks {
		if len(t.verdict.Problems) == 0 {
			continue
		}
		events := w.events(ctx, t.workload.Namespace)
		failing := slices.DeleteFunc(slices.Clone(t.last.Pods), func(p Pod) bool { return !p.New || !p.Deleted.IsZero() || len(t.newPod(t.last, p)) == 0 })
		for _, p := range failing[:min(len(failing), evidencePods)] {
			e := Evidence{Pod: t.workload.Namespace + "/" + p.Name, Events: append(events[""], events[p.Name]...)}
			for _, c := range p.Containers {
				for _, previous := range []bool{true, false} {
					if text, err := w.cluster.Logs(ctx, t.workload.Namespace, p.Name, c, evidenceLines, previous); err == nil && text != "" {
						e.Logs = append(e.Logs, Log{Container: c, Previous: previous, Lines: strings.Split(strings.TrimRight(text, "\n"), "\n")})
					}
				}
			}
			t.evidence = append(t.evidence, e)
			w.show(e)
		}
	}
}

func (w *waiting) show(e Evidence) {
	for _, text := range e.Events {
		w.opt.Observe.Emit(event.Event{Stage: "gate", Kind: event.Note, Object: "pod " + e.Pod, Message: "event: " + text})
	}
	for _, l := range e.Logs {
		for _, text := range l.Lines {
			w.opt.Observe.Emit(event.Event{Stage: "gate", Kind: event.Log, Object: "pod " + e.Pod + " " + l.Container, Message: text})
		}
	}
}

// events lists the namespace's newest events by the name of their object.
func (w *waiting) events(ctx context.Context, namespace string) map[string][]string {
	list, err := w.cluster.List(ctx, "v1", "Event", namespace, "")
	if err != nil {
		return map[string][]string{"": {"events cannot be read: " + err.Error()}}
	}
	out := map[string][]string{}
	for _, e := range list {
		name := str(e.Object, "involvedObject", "name")
		count := max(1, num(e.Object, "count"))
		out[name] = append(out[name], fmt.Sprintf("%s %s: %s (x%d)", str(e.Object, "type"), str(e.Object, "reason"), strings.TrimSpace(str(e.Object, "message")), count))
	}
	for name, lines := range out {
		out[name] = lines[max(0, len(lines)-10):]
	}
	return out
}
