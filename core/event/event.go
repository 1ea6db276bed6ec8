// SPDX-License-Identifier: Apache-2.0

// Package event is the one way the library says what it is doing: every stage
// takes an Observe function and calls it; the command line turns the events
// into a live table, log lines or CI groups. Nothing below cmd prints.
package event

import "time"

// Kind says how an event should be shown.
type Kind string

const (
	// Note is a fact worth a line: a decision, a finished step.
	Note Kind = "note"
	// Warn is a fact the user should act on, though the run goes on.
	Warn Kind = "warn"
	// Progress is the present state of one object; a later one replaces it.
	Progress Kind = "progress"
	// Log is a line of another program's output (build log, pod log).
	Log Kind = "log"
	// Start and End bracket a stage; End carries the error's text when it failed.
	Start Kind = "start"
	End   Kind = "end"
)

// Running is the message of a Progress event that says no more than that its
// object has begun: a live table shows it, plain lines wait for the outcome.
const Running = "running"

// Event is one thing that happened.
type Event struct {
	Time    time.Time         `json:"time"`              // zero: stamped by the receiver
	Stage   string            `json:"stage"`             // build, push, render, apply or gate
	Kind    Kind              `json:"kind"`              //
	Cluster string            `json:"cluster,omitempty"` // of several, the one that it happened in
	Object  string            `json:"object,omitempty"`  // what it is about: "Deployment/dev/web", "target 10.0.1.2:8080"
	Message string            `json:"message"`           // one line for people
	Fields  map[string]string `json:"fields,omitempty"`  // the same facts for machines
	Percent int               `json:"percent,omitempty"` // of a Progress event, 0 when unknown
}

// Subject is what the event is about, and where of several clusters.
func (e Event) Subject() string {
	switch {
	case e.Cluster == "":
		return e.Object
	case e.Object == "":
		return e.Cluster
	}
	return e.Cluster + ": " + e.Object
}

// Func receives events. It may be called from several goroutines at once and
// must not block for long. A nil Func is allowed everywhere: use Emit.
type Func func(Event)

// Emit calls f unless it is nil.
func (f Func) Emit(e Event) {
	if f != nil {
		f(e)
	}
}
