// SPDX-License-Identifier: Apache-2.0

package build

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core/event"
)

// status is one line of --progress=rawjson: BuildKit's SolveStatus.
// https://github.com/moby/buildkit/blob/master/client/graph.go
type status struct {
	Vertexes []struct {
		Digest    string     `json:"digest"`
		Name      string     `json:"name"`
		Started   *time.Time `json:"started"`
		Completed *time.Time `json:"completed"`
		Cached    bool       `json:"cached"`
		Error     string     `json:"error"`
	} `json:"vertexes"`
	Logs []struct {
		Vertex string `json:"vertex"`
		Data   []byte `json:"data"`
	} `json:"logs"`
	Warnings []struct {
		Short []byte `json:"short"`
	} `json:"warnings"`
}

// step is one vertex of the build.
type step struct {
	name         string
	started, end time.Time
	cached       bool
	failed       string
	logs         []string // the newest
	partial      []byte   // of a log line whose end has not come
}

// maxLogs is how many lines of a step's log an error shows.
const maxLogs = 20

// progress follows a build.
type progress struct {
	image   string
	observe event.Func
	steps   map[string]*step
	text    []string // what the client said besides
}

func newProgress(opt Options) *progress {
	return &progress{image: opt.Name, observe: opt.Observe, steps: map[string]*step{}}
}

// read takes a client's stderr to its end: lines of JSON, and plain words.
func (p *progress) read(r io.Reader) {
	lines := bufio.NewReaderSize(r, 1<<16)
	for {
		line, err := lines.ReadBytes('\n')
		if line = bytes.TrimSpace(line); len(line) > 0 {
			p.line(line)
		}
		if err != nil {
			return
		}
	}
}

func (p *progress) line(line []byte) {
	var s status
	if bytes.HasPrefix(line, []byte("time=")) && bytes.Contains(line, []byte(" level=warning ")) {
		return // buildctl's own log, e.g. that the disk has no fsverity
	}
	if line[0] != '{' || json.Unmarshal(line, &s) != nil {
		p.text = append(p.text, string(line))
		if len(p.text) > maxLogs {
			p.text = p.text[1:]
		}
		return
	}
	for _, v := range s.Vertexes {
		st := p.step(v.Digest)
		st.name = v.Name
		before := *st
		if v.Started != nil {
			st.started = *v.Started
		}
		if v.Completed != nil {
			st.end = *v.Completed
		}
		st.cached, st.failed = st.cached || v.Cached, v.Error
		if st.changed(before) {
			p.tell(event.Progress, st.name, st.words(), p.percent())
		}
	}
	for _, l := range s.Logs {
		p.log(p.step(l.Vertex), l.Data)
	}
	for _, w := range s.Warnings {
		p.tell(event.Warn, "", string(w.Short), 0)
	}
}

func (p *progress) step(digest string) *step {
	st, ok := p.steps[digest]
	if !ok {
		st = &step{}
		p.steps[digest] = st
	}
	return st
}

func (p *progress) log(st *step, data []byte) {
	st.partial = append(st.partial, data...)
	for {
		line, rest, ok := bytes.Cut(st.partial, []byte("\n"))
		if !ok {
			return
		}
		st.partial = rest
		text := strings.TrimRight(string(line), "\r")
		st.logs = append(st.logs, text)
		if len(st.logs) > maxLogs {
			st.logs = st.logs[1:]
		}
		p.tell(event.Log, st.name, text, 0)
	}
}

func (p *progress) tell(kind event.Kind, object, message string, percent int) {
	p.observe.Emit(event.Event{Stage: "build", Kind: kind, Object: object, Message: message, Percent: percent})
}

func (s step) changed(before step) bool {
	return s.started.IsZero() != before.started.IsZero() || s.end.IsZero() != before.end.IsZero() || s.cached != before.cached || s.failed != before.failed
}

func (s step) words() string {
	switch {
	case s.failed != "":
		return "failed"
	case s.cached:
		return "from the cache"
	case !s.end.IsZero():
		return "done in " + s.end.Sub(s.started).Round(100*time.Millisecond).String()
	case !s.started.IsZero():
		return event.Running
	}
	return "waiting"
}

func (p *progress) percent() int {
	done := 0
	for _, s := range p.steps {
		if !s.end.IsZero() {
			done++
		}
	}
	return 100 * done / len(p.steps)
}

func (p *progress) cached() (n int) {
	for _, s := range p.steps {
		if s.cached {
			n++
		}
	}
	return n
}

// failure makes an error of what the step said that failed first.
func (p *progress) failure(err error) error {
	var first *step
	for _, s := range p.steps {
		if s.failed != "" && !strings.Contains(s.failed, "context canceled") && (first == nil || s.end.Before(first.end)) {
			first = s
		}
	}
	if first != nil {
		logs := first.logs
		if len(first.partial) > 0 {
			logs = append(slices.Clone(logs), string(first.partial))
		}
		text := fmt.Sprintf("%s: %s", first.name, first.failed)
		if len(logs) > 0 {
			text += "\n  | " + strings.Join(logs, "\n  | ")
		}
		return errors.New(text)
	}
	if len(p.text) > 0 {
		return fmt.Errorf("%w: %s", err, strings.Join(p.text, "; "))
	}
	return err
}
