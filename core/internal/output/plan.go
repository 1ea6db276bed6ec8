// SPDX-License-Identifier: Apache-2.0

package output

import (
	"fmt"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/apply"
	"github.com/outlast-ci/outlast/core/drain/change"
)

// signs are what a plan's lines begin with.
var signs = map[apply.Action]string{apply.Created: "+", apply.Configured: "~", apply.Adopted: "~", apply.Replaced: "±", apply.Pruned: "-", apply.Held: "~"}

// Plan tells people what a deploy would do.
func Plan(p core.Plan) string {
	var b strings.Builder
	for i, one := range p.Clusters {
		fmt.Fprintf(&b, "%s# cluster %s\n\n%s", strings.Repeat("\n", min(i, 1)), printable(one.Run.Where()), Plan(one))
	}
	if len(p.Clusters) > 0 {
		return b.String()
	}
	did := map[apply.Action]int{}
	for _, c := range p.Changes {
		if did[c.Action]++; c.Action == apply.Unchanged {
			continue
		}
		fmt.Fprintf(&b, "%s %s: %s", signs[c.Action], printable(c.Object), c.Action)
		if c.Was != "" {
			fmt.Fprintf(&b, ", its fields taken over from %s", printable(c.Was))
		}
		if c.Note != "" {
			fmt.Fprintf(&b, " (%s)", printable(c.Note))
		}
		b.WriteString("\n")
		for _, f := range c.Fields {
			fmt.Fprintf(&b, "    %s: %s -> %s\n", printable(f.Path), short(f.From), short(f.To))
		}
		for _, f := range c.Lost {
			what := "taken away: the other tool had set it, and the manifests do not have it"
			if c.Unsure {
				what = "not known: taken away, unless it is a default of the server's; who may update the object can tell"
			}
			fmt.Fprintf(&b, "    %s: %s -> %s\n", printable(f.Path), short(f.From), what)
		}
	}
	if b.Len() == 0 {
		b.WriteString("No object would change.\n")
	}
	fmt.Fprintf(&b, "\n%d to create, %d to change, %d to adopt, %d to replace, %d to delete; %d unchanged\n",
		did[apply.Created], did[apply.Configured]+did[apply.Held], did[apply.Adopted], did[apply.Replaced], did[apply.Pruned], did[apply.Unchanged])
	for _, o := range p.Orders {
		if o.When != change.Unchanged {
			fmt.Fprintf(&b, "\n%s: the deregistration delay goes from %s to %s %s the pods are replaced: %s\n", o.Workload, o.From, o.To, o.When, o.Why)
		}
		if o.Unhooked > 0 && !p.Handover {
			fmt.Fprintf(&b, "\n%s: %d of %d running pods have no preStop: a rolling update that replaces them loses requests\n", o.Workload, o.Unhooked, o.Running)
		}
	}
	for _, r := range p.Rollouts {
		b.WriteString(rollout(r, p.Handover))
	}
	return b.String()
}

// rollout predicts one workload's.
func rollout(r core.PlannedRollout, handover bool) string {
	does := "replaces"
	if r.Unsure {
		does = "it is not known whether it replaces"
	}
	if r.Timeline.Seconds == 0 {
		if r.Replaces == 0 {
			return ""
		}
		return fmt.Sprintf("\n%s: %s %d pods\n", r.Workload, does, r.Replaces)
	}
	how := string(r.Timeline.Strategy.Kind)
	if handover {
		how = "handover: no old pod is deleted before its targets are seen to be unused"
	}
	return fmt.Sprintf("\n%s: %s %d pods (%s)\n    %s mode: grace %s, preStop %s, deregistration delay %s\n    about %s, at most %d pods and %d addresses at a time\n",
		r.Workload, does, r.Replaces, how, r.Mode, r.Timings.GracePeriod, r.Timings.PreStop, r.Timings.DeregistrationDelay,
		time.Duration(r.Timeline.Seconds)*time.Second, r.Timeline.PeakPods, r.Timeline.PeakIPs)
}

// short keeps a value to a line's length.
func short(json string) string {
	if json == "" {
		return "(not set)"
	}
	if strings.HasPrefix(json, `"`+core.StandIn) {
		return "(the image that the deploy builds)"
	}
	if json = printable(json); len(json) > 100 {
		return strings.ToValidUTF8(json[:97], "") + "..."
	}
	return json
}

// PlanSummary is a plan in Markdown, as CI hosts show it.
func PlanSummary(p core.Plan) string {
	return fmt.Sprintf("## outlast plan: %s to %s\n\n```diff\n%s```\n", cell(p.Run.App), cell(or(p.Run.Environment, p.Run.Cluster)), strings.ReplaceAll(Plan(p), "```", "` ` `"))
}

// NoPlan tells in its place why there is none.
func NoPlan(r core.Report) string {
	return fmt.Sprintf("## ❌ outlast plan: %s to %s\n\n**%s** %s\n", cell(r.Run.App), cell(or(r.Run.Environment, r.Run.Cluster)), cell(r.Reason), cell(r.Error))
}
