// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"fmt"
	"strings"
	"time"
)

// Ending is what happens to one old pod and its target, in seconds from its
// deletion.
type Ending struct {
	Deregistered int64 `json:"deregistered"` // L: the balancer is told
	LastRequest  int64 `json:"lastRequest"`  // L + P: no node of the balancer sends a new request any more
	Served       int64 `json:"served"`       // L + P + R: the last one is answered
	Cut          int64 `json:"cut"`          // L + D: the balancer closes what is left; 0: it never does
	Unused       int64 `json:"unused"`       // L + D + J: the API is seen to say so; 0: it never does
	Term         int64 `json:"term"`         // X: the hook ends, SIGTERM
	Exit         int64 `json:"exit"`         // the application and its sidecars have ended, at the latest
	Kill         int64 `json:"kill"`         // G: SIGKILL for what is left
}

// scale is a time axis: seconds to columns.
type scale struct {
	end   int64
	width int
}

func (s scale) column(at int64) int {
	if s.end <= 0 {
		return 0
	}
	return int((2*at*int64(s.width) + s.end) / (2 * s.end))
}

// bar draws what lasts from a to b, at least one column wide.
func (s scale) bar(line []byte, a, b int64, mark byte) {
	from, to := s.column(a), s.column(b)
	if to == from && b > a {
		to++
	}
	for i := max(0, from); i < min(to, len(line)); i++ {
		line[i] = mark
	}
}

// ticks labels the axis at round times.
func (s scale) ticks() string {
	line := []byte(strings.Repeat(" ", s.width+8))
	every := int64(1)
	for _, every = range []int64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18000, 36000, 86400, 864000, 8640000, 86400000} {
		if s.end/every <= int64(s.width)/8 {
			break
		}
	}
	for at := int64(0); at <= s.end; at += every {
		copy(line[s.column(at):], Clock(at))
	}
	return strings.TrimRight(string(line), " ")
}

// Clock writes seconds as a person does: 90s, 6m40s, 2h.
func Clock(seconds int64) string {
	if seconds < 120 {
		return fmt.Sprintf("%ds", seconds)
	}
	text := (time.Duration(seconds) * time.Second).String()
	if text = strings.TrimSuffix(text, "0s"); !strings.HasSuffix(text, "m") {
		return (time.Duration(seconds) * time.Second).String()
	}
	if short := strings.TrimSuffix(text, "h0m"); short != text {
		return short + "h"
	}
	return text
}

// Chart draws the ending, for people: a line for each thing that lasts.
func (e Ending) Chart(width int) string {
	const label = 34
	s := scale{max(e.Kill, e.Unused, e.Served, e.Exit), max(20, width-label-6)}
	var b strings.Builder
	fmt.Fprintf(&b, "%-*s%s\n", label, "", s.ticks())
	row := func(what, until string, from, to int64) {
		line := []byte(strings.Repeat(" ", s.width))
		s.bar(line, from, to, '#')
		b.WriteString(strings.TrimRight(fmt.Sprintf("%-21s%-*s%s", what, label-21, until, line), " ") + "\n")
	}
	until := func(at int64) string { return "until " + Clock(at) }
	if e.Unused > 0 {
		row("new requests", until(e.LastRequest), 0, e.LastRequest)
		row("requests in flight", until(e.Served), 0, e.Served)
		row("target draining", until(e.Unused), e.Deregistered, e.Unused)
	}
	row("preStop hook", until(e.Term), 0, e.Term)
	row("SIGTERM, shutdown", until(e.Exit), e.Term, e.Exit)
	row("grace, SIGKILL", "at "+Clock(e.Kill), 0, e.Kill)
	return b.String()
}

// shown waves of a chart: the first ones, and the last.
const shown = 7

// Chart draws the rollout, for people: a line for each wave, of at most 12 in all.
func (t Timeline) Chart(width int) string {
	const label = 18
	s := scale{t.Seconds, max(20, width-label-6)}
	var b strings.Builder
	fmt.Fprintf(&b, "%5s %5s %5s %s\n", "wave", "new", "old", s.ticks())
	for i, w := range t.Waves {
		if last := len(t.Waves) - 1; len(t.Waves) > shown+1 && i >= shown-1 && i < last {
			if i == shown-1 {
				fmt.Fprintf(&b, "%5s %d more like these, to wave %d\n", "...", last-i, last)
			}
			continue
		}
		line := []byte(strings.Repeat(" ", s.width))
		s.bar(line, w.Created, w.Ready, '=')
		s.bar(line, w.Deleted, w.Gone, '-')
		b.WriteString(strings.TrimRight(fmt.Sprintf("%5d %+5d %+5d %s", i+1, w.New, -w.Old, line), " ") + "\n")
	}
	b.WriteString("      = new pods start and become available     - old pods drain and end\n")
	return b.String()
}
