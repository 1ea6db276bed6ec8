// SPDX-License-Identifier: Apache-2.0

package output

import (
	"cmp"
	"fmt"
	"net"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/internal/status"
	"github.com/outlast-ci/outlast/core/release"
)

// Status tells people how an application is by now.
func Status(s status.Status, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, environment %s, in namespace %s\n", printable(s.App), printable(cmp.Or(s.Environment, "(none)")), s.Namespace)
	fmt.Fprintf(&b, "release  %s\n", revision(s.Release, "none whose gate has passed"))
	if s.Attempt != nil {
		fmt.Fprintf(&b, "attempt  %s\n", revision(s.Attempt, ""))
	}
	lock := "nobody deploys"
	if l := s.Lock; l != nil {
		lock = fmt.Sprintf("held by %s since %s, renewed %s ago", printable(strings.TrimSpace(l.Name+" "+l.RunURL)), l.Since.UTC().Format(time.RFC3339), now.Sub(l.Renewed).Round(time.Second))
		if l.Name == l.RunURL {
			lock = strings.Replace(lock, " "+l.RunURL, "", 1)
		}
	}
	fmt.Fprintf(&b, "lock     %s\n", lock)
	table(&b, "WORKLOAD\tDESIRED\tREADY\tNEW\tOLD\tROLLOUT", s.Workloads, workloadRow)
	table(&b, "TARGET GROUP\tTARGET\tPOD\tSTATE", s.Workloads, targetRows)
	table(&b, "TIMINGS\t\tDELAY\tPRESTOP\tGRACE", s.Workloads, timingRows)
	for _, w := range s.Workloads {
		s.Unknown = append(s.Unknown, w.Unknown...)
	}
	for i, text := range s.Unknown {
		if i == 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "not known: %s\n", printable(text))
	}
	return b.String()
}

func revision(r *release.Revision, none string) string {
	if r == nil {
		return none
	}
	text := fmt.Sprintf("revision %d, %s", r.Number, r.State)
	if r.Finished.IsZero() {
		text += ", since " + r.Started.UTC().Format(time.RFC3339)
	} else {
		text += " at " + r.Finished.UTC().Format(time.RFC3339)
	}
	if r.OfRevision > 0 {
		text += fmt.Sprintf(", a rollback to revision %d", r.OfRevision)
	}
	for _, part := range [][2]string{{"phase ", r.Journal.Phase}, {"commit ", r.Run.Commit[:min(12, len(r.Run.Commit))]}, {"by ", r.Run.Actor}, {"", r.Run.RunURL}, {"", r.Reason}} {
		if part[1] != "" && (part[0] != "phase " || r.Finished.IsZero()) {
			text += ", " + part[0] + part[1]
		}
	}
	return printable(text)
}

// table writes rows in columns under a head; nothing without any.
func table(b *strings.Builder, head string, all []status.Workload, rows func(status.Workload) []string) {
	var lines []string
	for _, w := range all {
		lines = append(lines, rows(w)...)
	}
	if len(lines) == 0 {
		return
	}
	w := tabwriter.NewWriter(b, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "\n%s\n%s\n", head, strings.Join(lines, "\n"))
	w.Flush() //nolint:errcheck // a Builder takes all
}

func workloadRow(w status.Workload) []string {
	state := cmp.Or(w.Stalled, w.Lacks, "complete")
	return []string{fmt.Sprintf("%s\t%d\t%d\t%d\t%d\t%s", w.Object, w.Desired, w.Ready, w.New, w.Old, printable(state))}
}

func targetRows(w status.Workload) (rows []string) {
	for _, g := range w.Groups {
		for _, t := range g.Targets {
			rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s", g.Name, net.JoinHostPort(t.ID, strconv.Itoa(t.Port)), podOf(w, t), printable(t.Words)))
		}
		if len(g.Targets) == 0 {
			rows = append(rows, g.Name+"\t-\t-\tno targets are known")
		}
	}
	return rows
}

// podOf says whose a target is.
func podOf(w status.Workload, t gate.TargetStatus) string {
	for _, p := range w.Pods {
		switch {
		case p.Name != t.Pod:
		case !p.Deleted.IsZero():
			return p.Name + " (being deleted)"
		case p.New:
			return p.Name + " (new)"
		default:
			return p.Name + " (old)"
		}
	}
	return "(of no pod of it)"
}

func timingRows(w status.Workload) (rows []string) {
	if !w.Behind {
		return nil
	}
	row := func(name, what string, g drain.Given, delay string) {
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%s", name, what, cmp.Or(delay, g.DeregistrationDelay.String()), g.PreStop, g.GracePeriod))
	}
	unread := ""
	for _, g := range w.Groups {
		if g.Delay == nil {
			unread = "?"
		}
	}
	row(w.Object, "live", w.Timings, unread)
	if r := w.Recorded; r != nil && *r != w.Timings {
		row("", "recorded, and not the same", *r, "")
	} else if r != nil {
		rows[0] = strings.Replace(rows[0], "\tlive\t", "\tlive, as recorded\t", 1)
	}
	others, order := map[drain.Given]int{}, []drain.Given(nil)
	for _, p := range w.Pods {
		g := drain.Given{PreStop: p.PreStop, GracePeriod: p.GracePeriod}
		if g.PreStop == w.Timings.PreStop && g.GracePeriod == w.Timings.GracePeriod {
			continue
		}
		if others[g]++; others[g] == 1 {
			order = append(order, g)
		}
	}
	for _, g := range order {
		row("", fmt.Sprintf("of %d of the %d pods", others[g], len(w.Pods)), g, "-")
	}
	return rows
}
