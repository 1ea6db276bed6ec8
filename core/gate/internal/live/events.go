// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

// Events say why a pod is not there, or does not start, where no status does. They are many,
// so they are read only when something has been lacking for a while.
const (
	lacking    = 20 * time.Second // a pod that is wanted, or its start
	eventsEach = 15 * time.Second
)

// newest holds the newest event of each object of a namespace, by UID.
type newest struct {
	at    time.Time
	byUID map[string]unstructured.Unstructured
}

// troubles finds out why pods are refused, or wait for their volumes.
func (r *Reader) troubles(ctx context.Context, obj *unstructured.Unstructured, s *model.Snapshot) {
	now, fresh := time.Now(), 0
	slow := func(p model.Pod) bool {
		return p.New && p.Deleted.IsZero() && p.Waiting == "" && p.Restarts == 0 && p.IP == "" && now.Sub(p.Created) > lacking
	}
	ask := false
	for _, p := range s.Pods {
		if p.New && p.Deleted.IsZero() {
			fresh++
		}
		ask = ask || slow(p)
	}
	missing := fresh < s.Desired && s.Refused == "" && obj.GetKind() != "Deployment"
	if !ask && !missing {
		return
	}
	events := r.newestEvents(ctx, obj.GetNamespace(), now)
	if e, ok := events[string(obj.GetUID())]; ok && missing && str(e.Object, "reason") == "FailedCreate" {
		s.Refused = str(e.Object, "message")
	}
	for i, p := range s.Pods {
		e, ok := events[p.UID]
		if reason := str(e.Object, "reason"); ok && slow(p) && (reason == "FailedMount" || reason == "FailedAttachVolume") {
			s.Pods[i].Waiting, s.Pods[i].Detail = reason, str(e.Object, "message")
		}
	}
}

// newestEvents lists them by the UID of their object. What cannot be read tells nothing.
func (r *Reader) newestEvents(ctx context.Context, namespace string, now time.Time) map[string]unstructured.Unstructured {
	if known := r.events[namespace]; now.Sub(known.at) < eventsEach {
		return known.byUID
	}
	all, _ := r.Cluster.List(ctx, "v1", "Event", namespace, "")
	n := newest{now, map[string]unstructured.Unstructured{}}
	for _, e := range all {
		uid := str(e.Object, "involvedObject", "uid")
		if last, ok := n.byUID[uid]; !ok || !seen(e).Before(seen(last)) {
			n.byUID[uid] = e
		}
	}
	r.events[namespace] = n
	return n.byUID
}

// seen is when an event was seen last.
func seen(e unstructured.Unstructured) time.Time {
	for _, path := range [][]string{{"series", "lastObservedTime"}, {"lastTimestamp"}, {"eventTime"}, {"metadata", "creationTimestamp"}} {
		if at := when(str(e.Object, path...)); !at.IsZero() {
			return at
		}
	}
	return time.Time{}
}

// How much is kept of what failing pods said.
const (
	evidenceLines  = 20
	evidenceEvents = 10
)

// Evidence gathers what a pod said, and what the cluster says of it: the newest
// events, and the ends of its containers' logs, those of the runs before their last restart too.
func (r *Reader) Evidence(ctx context.Context, namespace string, p model.Pod, events Events) model.Evidence {
	e := model.Evidence{Pod: namespace + "/" + p.Name, Events: events.Of(p.UID, time.Time{})}
	for _, c := range p.Containers {
		for _, previous := range []bool{true, false} {
			if text, err := r.Cluster.Logs(ctx, namespace, p.Name, c, evidenceLines, previous); err == nil && text != "" {
				e.Logs = append(e.Logs, model.Log{Container: c, Previous: previous, Lines: strings.Split(strings.TrimRight(text, "\n"), "\n")})
			}
		}
	}
	return e
}

// Events are a namespace's, in words, by the UID of their object and the oldest first; under the
// empty UID is why they could not be read.
type Events map[string][]said

// said is one event, and when it was seen last.
type said struct {
	at   time.Time
	text string
}

// Of lists an object's newest events since a time.
func (e Events) Of(uid string, since time.Time) (lines []string) {
	for _, s := range append(slices.Clone(e[""]), e[uid]...) {
		if !s.at.Before(since) {
			lines = append(lines, s.text)
		}
	}
	return lines[max(0, len(lines)-evidenceEvents):]
}

// ReadEvents lists a namespace's events.
func (r *Reader) ReadEvents(ctx context.Context, namespace string) Events {
	all, err := r.Cluster.List(ctx, "v1", "Event", namespace, "")
	if err != nil {
		return Events{"": {{time.Now(), "events cannot be read: " + err.Error()}}}
	}
	out := Events{}
	for _, e := range all {
		uid := str(e.Object, "involvedObject", "uid")
		count := max(1, num(e.Object, "count"), num(e.Object, "series", "count"))
		out[uid] = append(out[uid], said{seen(e), fmt.Sprintf("%s %s: %s (x%d)", str(e.Object, "type"), str(e.Object, "reason"), strings.TrimSpace(str(e.Object, "message")), count)})
	}
	for _, lines := range out {
		slices.SortStableFunc(lines, func(a, b said) int { return a.at.Compare(b.at) })
	}
	return out
}
