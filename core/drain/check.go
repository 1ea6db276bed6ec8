// SPDX-License-Identifier: Apache-2.0

package drain

import (
	"fmt"
	"sort"
	"time"

	"github.com/outlast-ci/outlast/core/drain/internal/inequality"
)

// What is told of an inequality, and in which unit.
type (
	Margin   = inequality.Margin
	Finding  = inequality.Finding
	Severity = inequality.Severity
	Seconds  = inequality.Seconds
)

const (
	Error   Severity = "error"   // requests will be lost, or the object is refused
	Warning Severity = "warning" // fine as far as the timings go, but look at it
	Info    Severity = "info"
)

// Refusal is Solve's error where no timings are safe: why, and what to change.
type Refusal struct{ Finding Finding }

func (r *Refusal) Error() string { return r.Finding.Message + ": " + r.Finding.Fix }

func refuse(id, field, fix, format string, args ...any) *Refusal {
	return &Refusal{Finding{Rule: RuleOf(id), Inequality: id, Severity: Error, Field: field, Message: fmt.Sprintf(format, args...), Fix: fix}}
}

// Check judges timings that somebody wrote: every margin, and a finding for
// each inequality that does not hold. Given holds honest values: a 0 is a 0;
// Unwritten tells what absent fields mean. Mode strict adds the strict relation's
// finding; in mode auto and fast it is a margin only. F11 to F14 and F18 are
// judged as far as Inputs say what is written: MinReady, ProgressDeadline,
// GateTimeout. Want in the findings is one safe set: with all of them it holds.
func Check(given Given, in Inputs) ([]Margin, []Finding, error) {
	if in.Mode == Auto {
		in.Mode = Fast
	}
	p, err := Adopt(given, in)
	if err != nil {
		return nil, nil, err
	}
	return p.Margins, p.Findings, nil
}

// judge fills in the margins and the findings of a plan.
func (in Inputs) judge(p *Plan, groups []group, b bounds) {
	for _, r := range in.rules(*p, groups, b) {
		m := r.Margin()
		if !r.Unless {
			p.Margins = append(p.Margins, m)
		}
		if !m.Holds && r.Severity != "" {
			p.Findings = append(p.Findings, r.Finding())
		}
	}
}

// fits is the longest request, in whole seconds, whose grace stays within the
// cap; -1 when none does.
func (in Inputs) fits(mode Mode) int {
	return sort.Search(MaxDelay+1, func(r int) bool {
		try := in.unraised() // to be lowered, too
		try.Request, try.Cut = time.Duration(r)*time.Second, nil
		return try.timings(mode, try.groups()).GracePeriod.Duration() > in.Cap
	}) - 1
}

// RuleOf names the rule of an inequality: OL001 of F1.
func RuleOf(id string) string { return inequality.RuleOf(id) }
