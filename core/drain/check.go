// SPDX-License-Identifier: Apache-2.0

package drain

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Margin is one inequality with its two sides: it holds when Seconds >= 0.
type Margin struct {
	ID      string  `json:"id"`      // F1 to F17, or strict
	Rule    string  `json:"rule"`    // the inequality in the symbols of the formulas
	Have    float64 `json:"have"`    // left side, seconds
	Need    float64 `json:"need"`    // right side, seconds
	Seconds float64 `json:"seconds"` // Have - Need
}

// Severity of a finding.
type Severity string

const (
	Error   Severity = "error"   // requests will be lost, or the object is refused
	Warning Severity = "warning" // fine as far as the timings go, but look at it
	Info    Severity = "info"
)

// Finding is one thing wrong, or worth knowing, with its numbers and the cure.
type Finding struct {
	Rule       string   `json:"rule"`                 // OL001, ... as docs/rules has them; the arithmetic's are OL0NN of FNN
	Inequality string   `json:"inequality,omitempty"` // F1 to F20, strict
	Severity   Severity `json:"severity"`
	Object     string   `json:"object,omitempty"` // Kind/namespace/name
	Field      string   `json:"field,omitempty"`
	Message    string   `json:"message"`              // what was seen, and what it causes
	Fix        string   `json:"fix,omitempty"`        // what to do
	Want       Seconds  `json:"want,omitempty"`       // nearest safe value, where one number cures it
	File       string   `json:"file,omitempty"`       // relative to the root, where it is known
	Line       int      `json:"line,omitempty"`       // of File, from 1
	Suppressed string   `json:"suppressed,omitempty"` // the author's reason to live with it
}

// Check judges timings that somebody wrote: every margin, and a finding for
// each inequality that does not hold. Mode strict adds the strict relation's
// finding; in mode auto and fast it is a margin only.
func Check(given Given, in Inputs) ([]Margin, []Finding, error) {
	if err := in.validate(); err != nil {
		return nil, nil, fmt.Errorf("checking drain timings: %w", err)
	}
	margins, findings := in.judge(given, in.Mode)
	return margins, findings, nil
}

// rule is one inequality of the formula set, have >= need.
type rule struct {
	id, text   string
	have, need time.Duration
	severity   Severity
	causes     string
	want       Seconds // nearest safe value of the field that the rule is about
	field      string
}

func (in Inputs) rules(g Given, mode Mode) []rule {
	l, p, r, m := in.ControllerLatency, in.Propagation, in.Request, in.Margin
	d, x, grace := g.DeregistrationDelay.Duration(), g.PreStop.Duration(), g.GracePeriod.Duration()
	var drains time.Duration // S_drain: how long the application goes on finishing requests
	if in.App == Graceful {
		drains = max(0, l+p+r+m-x) // F3a
	}
	strict := Info
	if mode == Strict {
		strict = Error
	}
	return []rule{
		{"F1", "preStop >= L + P + M", x, l + p + m, Error,
			"new requests reach a process that is gone (502), or an address that is (504 after 10 s)", ceil(l + p + m), "preStop"},
		{"F2", "deregistration delay >= P + R + M", d, p + r + m, Error,
			"the balancer aborts requests in flight when the delay ends (502)", ceil(p + r + m), "deregistration delay"},
		{"F3", "preStop + S_drain >= L + P + R + M", x + drains, l + p + r + m, Error,
			"the application closes connections with a request outstanding (502)", ceil(l + p + r + m), "preStop"},
		{"F4", "grace >= preStop + S_drain + S + S_sc + M", grace, x + drains + in.Shutdown + in.SidecarShutdown + m, Error,
			"SIGKILL comes in the middle of a request", ceil(x + drains + in.Shutdown + in.SidecarShutdown + m), "terminationGracePeriodSeconds"},
		{"F5", "grace > preStop", grace, x + time.Second, Error,
			"the hook is cut off and the application has 2 s to end", g.PreStop + 5, "terminationGracePeriodSeconds"},
		{"strict", "preStop >= L + deregistration delay + J + M", x, l + d + in.jitter() + m, strict,
			"the pod ends before its target can be seen to be unused", ceil(l + d + in.jitter() + m), "preStop"},
		{"F15", "grace <= cap", in.Cap, grace, Warning,
			"a node that drains may cut the grace short", ceil(in.Cap), "terminationGracePeriodSeconds"},
		{"F17", "preStop + C >= L + deregistration delay + J", x + in.IPCooldown, l + d + in.jitter(), Warning,
			"a new pod may get the address of a target that is still draining; keep free addresses in the subnets", 0, ""},
	}
}

func (in Inputs) judge(g Given, mode Mode) (margins []Margin, findings []Finding) {
	for _, r := range in.rules(g, mode) {
		have, need := r.have.Seconds(), r.need.Seconds()
		margin := (r.have - r.need).Seconds()
		margins = append(margins, Margin{ID: r.id, Rule: r.text, Have: have, Need: need, Seconds: margin})
		if margin >= 0 || r.severity == Info {
			continue
		}
		f := Finding{Rule: RuleOf(r.id), Inequality: r.id, Severity: r.severity, Field: r.field, Want: r.want}
		f.Message = fmt.Sprintf("%s does not hold: %gs against %gs, %gs short; %s", r.text, have, need, -margin, r.causes)
		switch {
		case r.id == "F15":
			f.Message += in.fits()
		case r.want > 0:
			f.Message += fmt.Sprintf("; set %s to at least %s", r.field, r.want)
		}
		findings = append(findings, f)
	}
	return margins, findings
}

// fits tells the longest request whose fast grace stays within the cap.
func (in Inputs) fits() string {
	r := in.Cap - (in.ControllerLatency + in.Propagation + in.Margin + in.Shutdown + in.SidecarShutdown + max(in.Margin, 5*time.Second))
	if r < 0 {
		return fmt.Sprintf("; no request fits a cap of %s", in.Cap)
	}
	return fmt.Sprintf("; the longest request that fits a cap of %s is %s", in.Cap, r.Truncate(time.Second))
}

// RuleOf names the rule of an inequality: OL001 of F1.
func RuleOf(inequality string) string {
	n, err := strconv.Atoi(strings.TrimRight(strings.TrimPrefix(inequality, "F"), "ab"))
	if err != nil {
		n = 0 // strict
	}
	return fmt.Sprintf("OL%03d", n)
}
