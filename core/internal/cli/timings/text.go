// SPDX-License-Identifier: Apache-2.0

package timings

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/drain/timeline"
)

// width of a page.
const width = 80

// text is the answer for people.
func (a answer) text() string {
	var b strings.Builder
	a.head(&b)
	a.inequalities(&b)
	a.findings(&b)
	fmt.Fprintf(&b, "\nAN OLD POD AND ITS TARGET, from the pod's deletion\n\n%s", a.Timeline.Pod.Chart(width))
	if t := a.Timeline; len(t.Waves) > 0 {
		surge := ""
		if t.Strategy.Kind == timeline.Rolling || t.Strategy.Surge > 0 {
			surge = fmt.Sprintf(", surge %d", t.Strategy.Surge)
		}
		b.WriteString("\n")
		fill(&b, "A ROLLOUT ", "          ", fmt.Sprintf("of %s%s: within %s, up to %s and %s",
			count(a.Inputs.Replicas, "pod"), surge, timeline.Clock(t.Seconds), count(t.PeakPods, "pod"), count(t.PeakIPs, "address")))
		b.WriteString("\n" + t.Chart(width))
	}
	return b.String()
}

func count(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "s"):
		return fmt.Sprintf("%d %ses", n, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// kinds are the balancers in front, each once.
func (a answer) kinds() (all []drain.Balancer) {
	if len(a.Inputs.Groups) == 0 {
		return []drain.Balancer{a.Inputs.Balancer}
	}
	for _, g := range a.Inputs.Groups {
		if b := cmp.Or(g.Balancer, a.Inputs.Balancer); !slices.Contains(all, b) {
			all = append(all, b)
		}
	}
	return all
}

// verdict says in a sentence what the numbers are.
func (a answer) verdict(b *strings.Builder) {
	kinds := a.kinds()
	three := fmt.Sprintf("%d/%d/%d", a.GracePeriod, a.PreStop, a.DeregistrationDelay)
	const fast = "the pod outlives the last request, but its target need not be seen to be unused before that."
	switch broken := a.broken(); {
	case len(broken) > 0:
		fmt.Fprintf(b, "NOT SAFE: %s breaks %s.\n", three, strings.Join(broken, ", "))
		if n := a.near; n != nil {
			what, rest := "Safe, and near it:", ""
			switch left := strings.Join(a.left, ", "); len(a.left) {
			case 0:
			case 1:
				what, rest = "Nearest timings:", ", with which "+left+" still needs another cure"
			default:
				what, rest = "Nearest timings:", ", with which "+left+" still need other cures"
			}
			fill(b, "", "", fmt.Sprintf("%s %d/%d/%d (grace/preStop/deregistration delay)%s.", what, n.GracePeriod, n.PreStop, n.DeregistrationDelay, rest))
		}
	case a.checked:
		fmt.Fprintf(b, "SAFE: %s breaks no inequality that protects requests (mode %s).\n", three, a.Mode)
	case a.Mode == drain.Strict:
		fmt.Fprintf(b, "Mode strict: grace %s > preStop %s > deregistration delay %s.\nEvery target is seen to be unused before its pod gets SIGTERM.\n", a.GracePeriod, a.PreStop, a.DeregistrationDelay)
	case len(kinds) == 1 && kinds[0] == drain.Instance:
		fill(b, "", "", "Best effort: behind instance targets a pod is never deregistered, so nothing can be proven. Use targets of type ip.")
	case a.Inputs.Mode == drain.Auto && !slices.Contains(kinds, drain.Instance):
		fill(b, "", "", fmt.Sprintf("Mode fast, since strict's grace is over the cap of %ds: %s", int64(a.Inputs.Cap.Seconds()), fast))
	default:
		fill(b, "", "", "Mode fast: "+fast)
	}
}

// head is the verdict and the numbers, the three first.
func (a answer) head(b *strings.Builder) {
	a.verdict(b)
	row := func(name string, n drain.Seconds, note string) {
		fill(b, fmt.Sprintf("  %-38s%6d   ", name, n), strings.Repeat(" ", 49), note)
	}
	b.WriteString("\n")
	row("terminationGracePeriodSeconds", a.GracePeriod, "pod")
	row("lifecycle.preStop.sleep.seconds", a.PreStop, "every container that serves")
	if a.Inputs.LongerHook > a.PreStop {
		row("longest preStop", a.Inputs.LongerHook, "one container's, which the grace covers")
	}
	groups := a.Groups
	if len(groups) == 0 {
		groups = []drain.GroupPlan{{Name: "target group attribute", DeregistrationDelay: a.DeregistrationDelay, Untouched: a.Inputs.Balancer == drain.Instance}}
	}
	for _, g := range groups {
		note := g.Name
		if g.Untouched {
			note = strings.TrimPrefix(strings.TrimSuffix(note, "target group attribute")+", left alone: instance targets", ", ")
		}
		row("deregistration_delay.timeout_seconds", g.DeregistrationDelay, note)
	}
	if !a.checked {
		b.WriteString("\n")
		row("minReadySeconds", a.MinReady, "workload")
		if a.deadline() {
			row("progressDeadlineSeconds", a.ProgressDeadline, "workload")
		}
		row("gate timeout", a.GateTimeout, fmt.Sprintf("at least %d", a.GateTimeoutLowerBound))
	}
	b.WriteString("\n")
	app := "an application that exits at once on SIGTERM"
	if a.Inputs.App == drain.Graceful {
		app = "an application that finishes its requests after SIGTERM"
	}
	words := map[drain.Balancer]string{drain.ALB: "an ALB", drain.NLB: "an NLB", drain.Instance: "instance targets"}
	var behind []string
	for _, k := range a.kinds() {
		behind = append(behind, words[k])
	}
	fill(b, "For ", "    ", fmt.Sprintf("%s, behind %s: %s", app, strings.Join(behind, " and "), a.symbols()))
}

// symbols are the inputs that the timings depend on.
func (a answer) symbols() string {
	in := a.Inputs
	in.Propagation = in.MaxPropagation()
	text, err := in.MarshalJSON() // knows every symbol, and what J is
	if err != nil {
		return ""
	}
	known := values(text)
	var all []string
	for _, name := range []string{"R", "R_cut", "L", "n_tgb_queued", "n_calls", "P", "X_node", "M", "S", "S_sc", "J", "A", "K", "I", "cap"} {
		v, ok := known[name]
		if !ok || v == 0 && strings.HasPrefix(name, "n_") || name == "X_node" && !slices.Contains(a.kinds(), drain.Instance) || !a.http() && slices.Contains([]string{"A", "K", "I"}, name) {
			continue
		}
		all = append(all, name+"="+strconv.FormatFloat(v, 'f', -1, 64))
	}
	return strings.Join(all, " ")
}

// deadline tells whether the workload has progressDeadlineSeconds, as only a Deployment
// and a Rollout do.
func (a answer) deadline() bool {
	kind := a.Timeline.Strategy.Kind
	return kind != timeline.StatefulSet && kind != timeline.DaemonSet
}

// http tells whether some balancer knows requests.
func (a answer) http() bool { return !slices.Equal(a.kinds(), []drain.Balancer{drain.NLB}) }

// values reads the numbers of a JSON object.
func values(text []byte) map[string]float64 {
	var raw map[string]any
	if json.Unmarshal(text, &raw) != nil {
		return nil
	}
	out := map[string]float64{}
	for name, v := range raw {
		if n, ok := v.(float64); ok {
			out[name] = n
		}
	}
	return out
}

// unknown are the inequalities that need what the user alone knows.
var unknown = []struct{ id, what, flag string }{
	{"F6", "the application's keep-alive timeout", "--keep-alive"},
	{"F7", "the longest silence inside a request", "--set R_silent="},
	{"F8", "the application's request timeout", "--request-timeout"},
	{"F9", "the clients' timeout", "--set T_client="},
}

func (a answer) inequalities(b *strings.Builder) {
	fmt.Fprintf(b, "\n%-56s%7s%8s%8s\n", "INEQUALITY", "HAVE", "NEED", "MARGIN")
	seen := map[string]bool{}
	note := ""
	for _, m := range a.Margins {
		if seen[m.ID] = true; m.ID == "F13" && !a.deadline() {
			continue
		}
		swap := strings.Contains(m.Rule, "<=")
		if len(a.Groups) > 1 && m.Group != "" {
			m.Rule += ", of " + m.Group
		}
		text, mark := wrap(m.Rule, 47), " "
		switch {
		case m.Holds:
		case m.ID == "strict" && a.Mode == drain.Fast:
			mark, note = "*", "* not asked for in mode fast\n"
		default:
			mark = "!"
		}
		if swap {
			m.Have, m.Need = m.Need, m.Have // as it is written
		}
		fmt.Fprintf(b, "%s%-7s%-48s%7s%8s%8s\n", mark, m.ID, text[0], number(m.Have), number(m.Need), signed(m.Seconds))
		for _, rest := range text[1:] {
			fmt.Fprintf(b, "%-8s%s\n", "", rest)
		}
	}
	b.WriteString(note)
	var open []string
	for _, u := range unknown {
		if !seen[u.id] && a.http() {
			open = append(open, fmt.Sprintf("%s, %s (%s)", u.id, u.what, u.flag))
		}
	}
	if len(open) > 0 {
		b.WriteString("\n")
		fill(b, "Not known: ", "           ", strings.Join(open, "; "))
	}
}

func (a answer) findings(b *strings.Builder) {
	if len(a.Findings) == 0 {
		return
	}
	b.WriteString("\nFINDINGS\n")
	for _, f := range a.Findings {
		fill(b, fmt.Sprintf("%-8s%-7s", f.Severity, f.Inequality), "               ", f.Message)
		if a.Groups != nil && f.Object != "" {
			fill(b, "           of: ", "               ", f.Object)
		}
		fill(b, "          fix: ", "               ", f.Fix)
	}
}

// number writes seconds with at most three digits after the point, large ones
// with none.
func number(v float64) string {
	digits := 1000.0
	if math.Abs(v) >= 1000 {
		digits = 1
	}
	return strconv.FormatFloat(math.Round(v*digits)/digits, 'f', -1, 64)
}

func signed(v float64) string {
	if v > 0 {
		return "+" + number(v)
	}
	return number(v)
}

// fill writes text behind a prefix in lines of a page.
func fill(b *strings.Builder, first, rest, text string) {
	for i, line := range wrap(text, width-len(first)) {
		prefix := rest
		if i == 0 {
			prefix = first
		}
		b.WriteString(prefix + line + "\n")
	}
}

// wrap breaks text between words, into lines of at most n bytes when words allow.
func wrap(text string, n int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > n:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
