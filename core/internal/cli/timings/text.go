// SPDX-License-Identifier: Apache-2.0

package timings

import (
	"encoding/json"
	"fmt"
	"math"
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

// head is the verdict and the numbers, the three first.
func (a answer) head(b *strings.Builder) {
	in := a.Inputs
	three := fmt.Sprintf("%d/%d/%d", a.GracePeriod, a.PreStop, a.DeregistrationDelay)
	switch broken := a.broken(); {
	case len(broken) > 0:
		fmt.Fprintf(b, "NOT SAFE: %s breaks %s.\n", three, strings.Join(broken, ", "))
		if n := a.near; n != nil {
			fmt.Fprintf(b, "Safe, and near it: %d/%d/%d (grace/preStop/deregistration delay).\n", n.GracePeriod, n.PreStop, n.DeregistrationDelay)
		}
	case a.checked:
		fmt.Fprintf(b, "SAFE: %s breaks no inequality that protects requests (mode %s).\n", three, a.Mode)
	case a.Mode == drain.Strict:
		fmt.Fprintf(b, "Mode strict: grace %s > preStop %s > deregistration delay %s.\nEvery target is seen to be unused before its pod gets SIGTERM.\n", a.GracePeriod, a.PreStop, a.DeregistrationDelay)
	case in.Balancer == drain.Instance:
		fill(b, "", "", "Best effort: behind instance targets a pod is never deregistered, so nothing can be proven. Use targets of type ip.")
	case in.Mode == drain.Auto:
		fill(b, "", "", fmt.Sprintf("Mode fast, since strict's grace is over the cap of %ds: the pod outlives the last request, but its target need not be seen to be unused before that.", int64(in.Cap.Seconds())))
	default:
		fill(b, "", "", "Mode fast: the pod outlives the last request, but its target need not be seen to be unused before that.")
	}
	delay := "target group attribute"
	if in.Balancer == drain.Instance {
		delay = "left alone: instance targets"
	}
	row := func(name string, n drain.Seconds, note string) {
		b.WriteString(strings.TrimRight(fmt.Sprintf("  %-38s%6d   %s", name, n, note), " ") + "\n")
	}
	b.WriteString("\n")
	row("terminationGracePeriodSeconds", a.GracePeriod, "pod")
	row("lifecycle.preStop.sleep.seconds", a.PreStop, "every container that serves")
	row("deregistration_delay.timeout_seconds", a.DeregistrationDelay, delay)
	if !a.checked {
		b.WriteString("\n")
		row("minReadySeconds", a.MinReady, "workload")
		row("progressDeadlineSeconds", a.ProgressDeadline, "workload")
		row("gate timeout", a.GateTimeout, fmt.Sprintf("at least %d", a.GateTimeoutLowerBound))
	}
	b.WriteString("\n")
	app := "an application that exits at once on SIGTERM"
	if in.App == drain.Graceful {
		app = "an application that finishes its requests after SIGTERM"
	}
	fill(b, "For ", "    ", fmt.Sprintf("%s, behind %s: %s", app, map[drain.Balancer]string{drain.ALB: "an ALB", drain.NLB: "an NLB", drain.Instance: "instance targets"}[in.Balancer], symbols(in)))
}

// symbols are the inputs that the timings depend on.
func symbols(in drain.Inputs) string {
	var all []string
	add := func(name string, seconds float64) {
		all = append(all, name+"="+strconv.FormatFloat(seconds, 'f', -1, 64))
	}
	text, err := in.MarshalJSON() // knows every symbol, and what J is
	if err != nil {
		return ""
	}
	known := values(text)
	for _, name := range []string{"R", "R_cut", "L", "n_tgb_queued", "n_calls", "P", "M", "S", "S_sc", "J", "A", "K", "I", "cap"} {
		http := strings.Contains("A K I", name)
		if v, ok := known[name]; ok && (v != 0 || !strings.HasPrefix(name, "n_")) && !(http && in.Balancer == drain.NLB) {
			add(name, v)
		}
	}
	return strings.Join(all, " ")
}

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
		if seen[m.ID] = true; m.ID == "F14" && a.checked && a.Inputs.GateTimeout == 0 {
			continue // nobody gave one
		}
		text, mark := wrap(m.Rule, 47), " "
		switch {
		case m.Holds:
		case m.ID == "strict" && a.Mode == drain.Fast:
			mark, note = "*", "* not asked for in mode fast\n"
		default:
			mark = "!"
		}
		if strings.Contains(m.Rule, "<=") {
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
		if !seen[u.id] && a.Inputs.Balancer != drain.NLB {
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
