// SPDX-License-Identifier: Apache-2.0

package output

import (
	"fmt"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/gate"
)

// ganttPods is how many pods the chart shows: Mermaid refuses texts that are
// too long, and nobody reads more rows.
const ganttPods = 30

// gantt is the run as a Mermaid chart, which GitHub and GitLab draw in Markdown
// (timeline.svg, which both strip from it, has the details).
func gantt(r core.Report) string {
	var b strings.Builder
	b.WriteString("```mermaid\ngantt\n    dateFormat x\n    axisFormat %H:%M:%S\n    section stages\n")
	n := 0
	bar := func(name, mark string, from, to time.Time) {
		if from.IsZero() || !to.After(from) {
			return
		}
		if mark != "" {
			mark += ", "
		}
		n++
		fmt.Fprintf(&b, "    %s :%s%d, %d\n", task(name), mark, from.UnixMilli(), to.UnixMilli())
	}
	for _, s := range r.Stages {
		mark := "done"
		if s.Result == core.Failed || s.Result == core.Interrupted {
			mark = "crit"
		}
		bar(s.Name, mark, s.Started, s.Started.Add(time.Duration(s.Seconds*float64(time.Second))))
	}
	if r.Gate != nil {
		left := ganttPods
		for _, w := range r.Gate.Workloads {
			fmt.Fprintf(&b, "    section %s\n", task(w.Object))
			for _, p := range w.Pods[:min(left, len(w.Pods))] {
				pod(bar, p, r.Gate.Finished)
			}
			if left -= len(w.Pods); left <= 0 {
				break
			}
		}
	}
	if n == 0 {
		return ""
	}
	return b.String() + "```\n"
}

// pod draws a new pod until its target is healthy, and an old one from its
// deletion on: its target draining, then the time by which it outlasts that.
func pod(bar func(name, mark string, from, to time.Time), p gate.PodTimeline, end time.Time) {
	until := func(times ...time.Time) time.Time {
		for _, t := range times {
			if !t.IsZero() {
				return t
			}
		}
		return end
	}
	name := or(p.Name, p.UID)
	if p.New {
		bar(name+" until healthy", "active", p.Created, until(p.Healthy, p.Ready))
		return
	}
	if !p.Draining.IsZero() {
		bar(name+" target drains", "", p.Draining, until(p.Drained))
		bar(name+" outlasts it", "done", p.Drained, until(p.Ended, p.Gone))
		return
	}
	bar(name+" ends", "done", p.Deleted, until(p.Ended, p.Gone))
}

// task is a name without Mermaid's marks.
func task(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if strings.ContainsRune(":;#,%{}\"`<>\n", r) {
			return ' '
		}
		return r
	}, printable(s)))
}
