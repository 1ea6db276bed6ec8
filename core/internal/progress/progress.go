// SPDX-License-Identifier: Apache-2.0

// Package progress shows a run's events to people: plain timestamped lines in
// a CI log, with a heartbeat so that no CI thinks the job is dead, or a live
// table in a terminal. Events in, text on one writer out.
package progress

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/outlast-ci/outlast/core/event"
)

// Options say where and how to show.
type Options struct {
	W         io.Writer
	Live      bool                // redraw a table; else plain lines
	Width     func() int          // of the terminal, in cells; nil: 100
	Stages    []string            // in order, for the table
	Mask      func(string) string // hides secrets; nil: nothing is hidden
	Heartbeat time.Duration       // longest silence of plain lines; 0: 20 s (CircleCI ends a job after 10 silent minutes)
	Now       func() time.Time    // nil: time.Now
	Open      func(stage string)  // called before a stage's plain lines, with the cluster when there are several: a CI's fold; nil: none
	Shut      func(stage string)  // called after them, before the line that tells how the stage ended
}

// Display shows events until Close.
type Display struct {
	opt   Options
	mu    sync.Mutex
	state state
	last  time.Time // of the last line written
	drawn int       // lines of the table on the screen
	stop  chan struct{}
	done  chan struct{}
}

// state is what is known of the run; the table is a pure function of it.
type state struct {
	stages  []stage
	objects []object
	logs    []string // the newest few log lines of the running stage
	note    string   // the newest line, repeated by the heartbeat
}

type stage struct {
	name       string
	start, end time.Time
	failed     string
}

type object struct{ name, text string }

// New starts to show.
func New(opt Options) *Display {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Mask == nil {
		opt.Mask = func(s string) string { return s }
	}
	if opt.Width == nil {
		opt.Width = func() int { return 100 }
	}
	if opt.Heartbeat == 0 {
		opt.Heartbeat = 20 * time.Second
	}
	d := &Display{opt: opt, last: opt.Now(), stop: make(chan struct{}), done: make(chan struct{})}
	for _, name := range opt.Stages {
		d.state.stages = append(d.state.stages, stage{name: name})
	}
	go d.tick()
	return d
}

// Close draws the last state and ends.
func (d *Display) Close() {
	close(d.stop)
	<-d.done
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.opt.Live {
		d.state.objects, d.state.logs = nil, nil
		d.draw(d.opt.Now())
	}
}

func (d *Display) tick() {
	defer close(d.done)
	every := time.Second
	if d.opt.Live {
		every = 200 * time.Millisecond
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-t.C:
		}
		d.mu.Lock()
		now := d.opt.Now()
		if d.opt.Live {
			d.draw(now)
		} else if s, running := d.state.running(); running && now.Sub(d.last) >= d.opt.Heartbeat {
			d.line(now, s.name, fmt.Sprintf("still at it after %s: %s", round(now.Sub(s.start)), d.state.note))
		}
		d.mu.Unlock()
	}
}

// Observe takes one event; it has the shape of event.Func.
func (d *Display) Observe(e event.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e.Time.IsZero() {
		e.Time = d.opt.Now()
	}
	e.Message, e.Object = d.clean(e.Message), d.clean(e.Subject())
	if e.Kind == event.Progress && e.Message != event.Running && !d.opt.Live && slices.Contains(d.state.objects, object{e.Object, e.Message}) {
		return // told already; the heartbeat repeats it
	}
	d.state.take(e)
	text := e.Message
	if e.Object != "" {
		text = e.Object + ": " + text
	}
	switch e.Kind {
	case event.Log:
		text = "| " + text
	case event.Warn:
		text = "warning: " + text
	case event.Start:
		text = strings.TrimSpace("started " + cmp.Or(e.Message, e.Object))
	case event.End:
		text = strings.TrimSpace(e.Object + " " + d.state.ended(e.Stage))
	}
	if !d.opt.Live {
		if e.Kind == event.Start && d.opt.Open != nil {
			d.opt.Open(strings.TrimSpace(e.Stage + " " + e.Cluster))
		}
		if e.Kind == event.End && d.opt.Shut != nil {
			d.opt.Shut(strings.TrimSpace(e.Stage + " " + e.Cluster))
		}
		if e.Kind != event.Progress || e.Message != event.Running {
			d.line(e.Time, e.Stage, text)
		}
		return
	}
	if e.Kind == event.Note || e.Kind == event.Warn {
		d.erase()
		d.line(e.Time, e.Stage, text)
		d.draw(e.Time)
	}
}

// clean makes foreign text harmless in a log: one line, no escapes, no
// secrets. Our own prefix keeps it from starting a CI's command (`::`, `##[`).
func (d *Display) clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case r < 0x20 || (r >= 0x7f && r < 0xa0):
			return -1
		}
		return r
	}, d.opt.Mask(s))
	return strings.TrimSpace(s)
}

func (d *Display) line(now time.Time, stage, text string) {
	d.last = now
	fmt.Fprintf(d.opt.W, "%s %-6s %s\n", now.UTC().Format("15:04:05"), stage, text)
}

func (s *state) take(e event.Event) {
	if e.Kind == event.Start && !slices.ContainsFunc(s.stages, func(st stage) bool { return st.name == e.Stage }) {
		s.stages = append(s.stages, stage{name: e.Stage}) // a rollback, which no run plans for
	}
	for i := range s.stages {
		if s.stages[i].name != e.Stage {
			continue
		}
		switch e.Kind {
		case event.Start:
			s.stages[i] = stage{name: e.Stage, start: e.Time} // again, in the next cluster
			s.objects, s.logs = nil, nil
		case event.End:
			s.stages[i].end, s.stages[i].failed = e.Time, e.Message
		}
	}
	switch e.Kind {
	case event.Log:
		s.logs = append(s.logs, e.Message)
		if len(s.logs) > 4 {
			s.logs = s.logs[len(s.logs)-4:]
		}
	case event.Progress:
		s.note = strings.TrimPrefix(e.Object+": "+e.Message, ": ")
		for i := range s.objects {
			if s.objects[i].name == e.Object {
				s.objects[i].text = e.Message
				return
			}
		}
		s.objects = append(s.objects, object{e.Object, e.Message})
	case event.Note, event.Warn:
		s.note = e.Message
	}
}

func (s *state) running() (stage, bool) {
	for _, st := range s.stages {
		if !st.start.IsZero() && st.end.IsZero() {
			return st, true
		}
	}
	return stage{}, false
}

func (s *state) ended(name string) string {
	for _, st := range s.stages {
		if st.name == name && st.failed != "" {
			return "failed after " + round(st.end.Sub(st.start)) + ": " + st.failed
		} else if st.name == name {
			return "done in " + round(st.end.Sub(st.start))
		}
	}
	return "done"
}

func round(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
