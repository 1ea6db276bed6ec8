// SPDX-License-Identifier: Apache-2.0

// Package alarm watches CloudWatch alarms while pods are replaced. One that goes to
// ALARM after the rollout began tells against it; one that was there before does not, until
// it has been OK.
package alarm

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core/event"
)

// Alarm is what CloudWatch says of one.
type Alarm struct {
	Name  string    `json:"name"`
	State string    `json:"state"`           // OK, ALARM or INSUFFICIENT_DATA
	Since time.Time `json:"since,omitzero"`  // when it got into this state, by CloudWatch's clock
	Why   string    `json:"why,omitempty"`   // CloudWatch's reason
	Spent bool      `json:"spent,omitempty"` // it was in ALARM before the rollout and has not been OK since: it tells nothing
}

// Raised tells whether the alarm tells against the rollout.
func (a Alarm) Raised() bool { return a.State == "ALARM" && !a.Spent }

// Words say the state, for people.
func (a Alarm) Words() string {
	text := a.State
	if !a.Since.IsZero() {
		text += " since " + a.Since.UTC().Format(time.TimeOnly)
	}
	if a.Spent {
		text += ", from before the rollout"
	}
	return text
}

// Source is what is needed of CloudWatch.
type Source interface {
	// Alarms tells the states of metric and composite alarms; those that do not exist are left out.
	Alarms(ctx context.Context, names []string) ([]Alarm, error)
}

// Pauses and patience.
const (
	every = 15 * time.Second // between two looks; the shortest period of an alarm is 10 s
	limit = 10 * time.Second // of one look
)

// Watch follows alarms over all the waits of a rollout. Its methods may be called on nil, which
// watches nothing.
type Watch struct {
	source  Source
	observe event.Func
	names   []string
	began   time.Time // the rollout
	seen    map[string]Alarm
	next    time.Time
	unread  string // why the newest look told nothing
	warned  bool
}

// Open reads the alarms before anything is changed. One that does not exist, or an answer
// that does not come, is an error.
func Open(ctx context.Context, source Source, names []string, observe event.Func) (*Watch, error) {
	w := &Watch{source: source, observe: observe, names: names, seen: map[string]Alarm{}}
	found, err := source.Alarms(ctx, names)
	if err != nil {
		return nil, err
	}
	if lost := missing(names, found); len(lost) > 0 {
		return nil, fmt.Errorf("reading the alarms of gate.alarms: there is no metric or composite alarm called %s in this account and region; check the names, the region and the account", strings.Join(lost, ", "))
	}
	w.began = time.Now()
	for _, a := range found {
		a.Since = time.Time{} // whatever CloudWatch's clock shows: what is in ALARM is so already
		w.take(a)
	}
	return w, nil
}

// Begin says when the rollout began; what an alarm did until then is not its fault.
func (w *Watch) Begin(at time.Time) {
	if w == nil || at.IsZero() {
		return
	}
	w.began = at
	for name, a := range w.seen {
		a.Spent = false
		w.seen[name] = a
	}
}

// Due is when to look again.
func (w *Watch) Due() time.Time {
	if w == nil {
		return time.Now().AddDate(1, 0, 0) // never
	}
	return w.next
}

// Look reads the alarms.
func (w *Watch) Look(ctx context.Context) {
	if w == nil {
		return
	}
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	found, err := w.source.Alarms(timed, w.names)
	if ctx.Err() != nil {
		return
	}
	w.next, w.unread = time.Now().Add(every), ""
	for _, a := range found {
		w.take(a)
	}
	switch lost := missing(w.names, found); {
	case err != nil:
		w.unread = "CloudWatch's alarms cannot be read: " + err.Error()
	case len(lost) > 0:
		w.unread = "CloudWatch has no alarm called " + strings.Join(lost, ", ") + " any more"
	}
	if w.unread != "" && !w.warned {
		w.warned = true
		w.emit(event.Warn, "", w.unread+"; until they can be, they neither fail the gate nor let it pass")
	}
}

// take enters the state of one alarm, and tells it when it changed.
func (w *Watch) take(a Alarm) {
	before := w.seen[a.Name]
	a.Spent = a.State != "OK" && before.Spent || a.State == "ALARM" && !a.Since.After(w.began)
	w.seen[a.Name] = a
	switch {
	case a.State == before.State:
	case a.Spent && !before.Spent:
		w.emit(event.Warn, a.Name, "it was in ALARM before the rollout began, and tells nothing about it until it has been OK: "+a.Why)
	case before.State+a.State != "OK": // as it should be from the start
		w.emit(event.Progress, a.Name, strings.TrimSuffix(a.State+": "+a.Why, ": "))
	}
}

func (w *Watch) emit(kind event.Kind, name, message string) {
	w.observe.Emit(event.Event{Time: time.Now(), Stage: "gate", Kind: kind, Object: strings.TrimSpace("alarm " + name), Message: message})
}

// Problem says which alarm tells against the rollout; nothing when none does.
func (w *Watch) Problem() string {
	for _, a := range w.States() {
		if a.Raised() {
			return fmt.Sprintf("alarm %s went to ALARM at %s, after the rollout began: %s", a.Name, a.Since.UTC().Format(time.TimeOnly), a.Why)
		}
	}
	return ""
}

// Unread says why the newest look told nothing, so that it is not known whether an alarm tells
// against the rollout; nothing when it told all.
func (w *Watch) Unread() string {
	if w == nil {
		return ""
	}
	return w.unread
}

// States are those of the last look that told them, in the order of their names.
func (w *Watch) States() (all []Alarm) {
	if w == nil {
		return nil
	}
	for _, name := range slices.Sorted(slices.Values(w.names)) {
		if a, ok := w.seen[name]; ok {
			all = append(all, a)
		}
	}
	return all
}

func missing(names []string, found []Alarm) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.ContainsFunc(found, func(a Alarm) bool { return a.Name == name })
	})
}
