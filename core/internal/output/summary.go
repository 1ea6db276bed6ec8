// SPDX-License-Identifier: Apache-2.0

package output

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/gate"
)

// Summary tells the run in Markdown, as CI hosts show it.
func Summary(r core.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s %s to %s: %s\n\n", or(marks[r.Result], "❌"), cell(r.Run.App), cell(or(r.Run.Environment, r.Run.Cluster)), r.Result)
	if r.Error != "" {
		fmt.Fprintf(&b, "**%s** %s\n\n", cell(r.Reason), cell(r.Error))
	}
	b.WriteString("| stage | result | seconds | |\n|---|---|---:|---|\n")
	for _, s := range r.Stages {
		fmt.Fprintf(&b, "| %s | %s | %.1f | %s |\n", s.Name, s.Result, s.Seconds, cell(s.Note))
	}
	if chart := gantt(r); chart != "" {
		b.WriteString("\n" + chart)
	}
	for _, ref := range r.Refs {
		fmt.Fprintf(&b, "\nImage `%s` (tag `%s`)\n", cell(ref.String()), cell(ref.Tag))
	}
	if r.Manifests != nil {
		for _, w := range r.Manifests.Workloads {
			if w.Behind {
				fmt.Fprintf(&b, "\n%s: %s mode, grace %s, preStop %s, deregistration delay %s\n", w.ID(), w.Plan.Mode, w.Plan.GracePeriod, w.Plan.PreStop, w.Plan.DeregistrationDelay)
			}
		}
	}
	if r.Gate != nil {
		pods(&b, *r.Gate)
	}
	for _, one := range r.Clusters {
		cluster(&b, one)
	}
	return b.String()
}

// marks are what a result looks like.
var marks = map[core.Result]string{core.Passed: "✅", core.Pending: "⏸️"}

// cluster tells of one of several.
func cluster(b *strings.Builder, r core.Report) {
	words := string(r.Result)
	if r.Result == core.Pending {
		words = "not begun"
	}
	fmt.Fprintf(b, "\n## %s cluster %s: %s\n\n", or(marks[r.Result], "❌"), cell(r.Run.Where()), words)
	if r.Error != "" {
		fmt.Fprintf(b, "**%s** %s\n\n", cell(r.Reason), cell(r.Error))
	}
	if r.Result == core.Pending {
		return
	}
	for _, s := range ownStages(r) {
		fmt.Fprintf(b, "- %s %s in %.1f s: %s\n", s.Name, s.Result, s.Seconds, cell(s.Note))
	}
	r.Stages = ownStages(r)
	if chart := gantt(r); chart != "" {
		b.WriteString("\n" + chart)
	}
	if r.Gate != nil {
		pods(b, *r.Gate)
	}
}

// ownStages are those that one of several clusters has for itself.
func ownStages(r core.Report) []core.StageRecord {
	all := slices.Clone(r.Stages)
	return slices.DeleteFunc(all, func(s core.StageRecord) bool { return s.Name != "apply" && s.Name != "gate" })
}

func pods(b *strings.Builder, g gate.Result) {
	for _, w := range g.Workloads {
		fmt.Fprintf(b, "\n### %s\n\n", cell(w.Object))
		if w.MinHealthy >= 0 {
			fmt.Fprintf(b, "Fewest healthy targets seen: %d of %d wanted.\n\n", w.MinHealthy, w.Desired)
		}
		b.WriteString("| pod | | ready | healthy | deleted | draining | drained | ended | outlasted its target |\n|---|---|---|---|---|---|---|---|---|\n")
		for _, p := range w.Pods {
			kind := "old"
			if p.New {
				kind = "new"
			}
			proof := string(p.Proof)
			if p.Proof == gate.Proven {
				proof = fmt.Sprintf("yes, by %.0f s", p.Margin)
			}
			fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", cell(or(p.Name, p.UID)), kind,
				clock(p.Ready), clock(p.Healthy), clock(p.Deleted), clock(p.Draining), clock(p.Drained), clock(p.Ended), proof)
		}
		for _, problem := range w.Problems {
			fmt.Fprintf(b, "\n- %s", cell(problem))
		}
	}
	if p := g.Probe; p != nil {
		fmt.Fprintf(b, "\nProbe of %s: %s.\n", cell(p.URL), cell(p.Words()))
		for _, f := range p.First {
			fmt.Fprintf(b, "\n- %s: %s", clock(f.At), cell(f.What))
		}
	}
	for _, a := range g.Alarms {
		fmt.Fprintf(b, "\nAlarm %s: %s", cell(a.Name), cell(a.Words()))
	}
	for _, e := range g.Evidence {
		fmt.Fprintf(b, "\n\n<details><summary>%s</summary>\n\n", cell(e.Pod))
		for _, text := range e.Events {
			fmt.Fprintf(b, "- %s\n", cell(text))
		}
		for _, l := range e.Logs {
			fmt.Fprintf(b, "\n%s:\n\n", cell(l.Container))
			for _, line := range l.Lines {
				fmt.Fprintf(b, "    %s\n", printable(line))
			}
		}
		b.WriteString("\n</details>\n")
	}
}

func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("15:04:05")
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// cell makes text harmless inside a Markdown table.
func cell(s string) string {
	s = strings.Join(strings.Fields(printable(s)), " ")
	return strings.NewReplacer("|", "\\|", "<", "&lt;", "`", "'").Replace(s)
}
