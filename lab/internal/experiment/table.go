// SPDX-License-Identifier: Apache-2.0

package experiment

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/experiment/observe"
	"github.com/outlast-ci/outlast/lab/internal/experiment/plan"
)

// Table prints the settings, and below the loss curves, as Markdown, which reads
// well in a terminal, too.
func (e Experiment) Table(w io.Writer) {
	var main [][]string
	rollouts := 0
	for _, r := range e.Results {
		rollouts += len(r.Rollouts)
		if r.Kind.Point() {
			continue
		}
		main = append(main, []string{
			r.Title, r.Timings.String(), r.Propagation, fmt.Sprint(len(r.Rollouts)), fmt.Sprint(r.Requests), fmt.Sprint(r.Failed), string(r.Expect), causes(r.Causes), fmt.Sprintf("%d of %d", r.MinHealthy, e.Replicas),
			r.after(func(s observe.Story) time.Time { return s.Draining }), r.after(func(s observe.Story) time.Time { return s.LastRequest }),
			r.after(func(s observe.Story) time.Time { return s.Unused }), r.after(func(s observe.Story) time.Time { return s.Exited }), r.remark(),
		})
	}
	write(w, []string{"setting", "grace/preStop/delay", "propagation", "rollouts", "requests", "failed", "expected", "cause by the access log", "fewest healthy", "to draining", "to last request", "to unused", "to exit", "remark"}, main)
	e.points(w, plan.Shorter, "preStop", func(t plan.Timings) int { return t.PreStop })
	e.points(w, plan.Delayed, "deregistration delay", func(t plan.Timings) int { return t.DeregistrationDelay })
	fmt.Fprintf(w, "\n%d rollouts in %d settings, %d applications at a time, %d minutes; %s\n", rollouts, len(e.Results), e.Parallel, (e.Seconds+30)/60, e.Origin)
	fmt.Fprintf(w, "\n%d CPUs, %.0f %% busy in the mean, %.0f %% in the busiest 5 seconds; %s\n", e.Machine.CPUs, 100*e.Machine.BusyMean, 100*e.Machine.BusyMax, e.lateness())
	for _, r := range e.Retried {
		with := ""
		if now, ok := e.Of(r.Name); ok && now.Again != "" {
			with = " with commit " + now.Again
		}
		fmt.Fprintf(w, "\nmade again%s: %s, in which %d of %d requests failed%s\n", with, r.Title, r.Failed, r.Requests, strings.TrimSuffix(": "+r.remark(), ": "))
	}
}

// points prints a loss curve, if it was measured: a row for each value of a timing.
func (e Experiment) points(w io.Writer, kind plan.Kind, what string, of func(plan.Timings) int) {
	rows := map[int][]string{}
	for _, r := range e.Results {
		if r.Kind != kind {
			continue
		}
		x := of(r.Timings)
		if rows[x] == nil {
			rows[x] = []string{fmt.Sprintf("%d s", x), "", "", "", "", "", ""}
		}
		at := 1
		if r.Propagation == plan.Planned {
			at = 4
		}
		rows[x][at], rows[x][at+1], rows[x][at+2] = r.perRollout(), string(r.Expect), causes(r.Causes)
	}
	var curve [][]string
	for _, x := range slices.Sorted(maps.Keys(rows)) {
		curve = append(curve, rows[x])
	}
	if len(curve) > 0 {
		fmt.Fprintln(w)
		write(w, []string{what, "failed in each rollout, " + plan.Measured, "expected", "cause", "failed in each rollout, " + plan.Planned, "expected", "cause"}, curve)
	}
}

// lateness is that of the generator, all settings together.
func (e Experiment) lateness() string {
	sent, late, lag := 0, 0, 0.0
	for _, r := range e.Results {
		sent, late, lag = sent+r.Requests, late+r.Load.Late, max(lag, r.Load.MaxLag)
	}
	return fmt.Sprintf("of %d requests %d were sent more than 50 ms after their time, the latest %.0f ms", sent, late, 1000*lag)
}

// after is the time from pods' deletion to something, least and most.
func (r Result) after(what func(observe.Story) time.Time) string {
	var list []time.Duration
	for _, o := range r.Rollouts {
		for _, s := range o.Pods {
			if at := what(s); !s.Deleted.IsZero() && !at.IsZero() {
				list = append(list, at.Sub(s.Deleted))
			}
		}
	}
	if len(list) == 0 {
		return "-"
	}
	least, most := slices.Min(list).Seconds(), slices.Max(list).Seconds()
	if most-least < 0.05 {
		return fmt.Sprintf("%.1f s", least)
	}
	return fmt.Sprintf("%.1f-%.1f s", max(0, least), most)
}

func (r Result) perRollout() string {
	if r.Invalid != "" {
		return "invalid"
	}
	var words []string
	for _, o := range r.Rollouts {
		words = append(words, fmt.Sprint(o.Failed))
	}
	if u := r.Unexpected(); u != "" {
		words = append(words, "UNEXPECTED")
	}
	return strings.Join(words, ", ")
}

func (r Result) remark() string {
	if r.Invalid != "" {
		return "invalid: " + r.Invalid
	}
	if u := r.Unexpected(); u != "" {
		return "UNEXPECTED: " + u
	}
	return ""
}

func causes(n map[string]int) string {
	var words []string
	for _, c := range slices.Sorted(maps.Keys(n)) {
		words = append(words, fmt.Sprintf("%d × %s", n[c], c))
	}
	return strings.Join(words, ", ")
}

// write prints rows under a head, with columns as wide as they need.
func write(w io.Writer, head []string, rows [][]string) {
	wide := make([]int, len(head))
	all := append([][]string{head}, rows...)
	for _, row := range all {
		for i, cell := range row {
			wide[i] = max(wide[i], len([]rune(cell)))
		}
	}
	for n, row := range all {
		for i, cell := range row {
			fmt.Fprintf(w, "| %s%s ", cell, strings.Repeat(" ", wide[i]-len([]rune(cell))))
		}
		fmt.Fprintln(w, "|")
		if n == 0 {
			for i := range head {
				fmt.Fprintf(w, "|%s", strings.Repeat("-", wide[i]+2))
			}
			fmt.Fprintln(w, "|")
		}
	}
}
