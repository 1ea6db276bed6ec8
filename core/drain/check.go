// SPDX-License-Identifier: Apache-2.0

package drain

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core/drain/internal/symbols"
)

// Margin is one inequality with its two sides.
type Margin struct {
	ID      string  `json:"id"`             // F1 to F18, or strict
	Rule    string  `json:"rule"`           // the inequality in the symbols of the formulas
	Have    float64 `json:"have"`           // the side that should be the larger one, in seconds
	Need    float64 `json:"need"`           // the other side
	Seconds float64 `json:"seconds"`        // Have - Need: negative when it does not hold
	Holds   bool    `json:"holds"`          // of a strict inequality, 0 is not enough
	Unit    string  `json:"unit,omitempty"` // when it is not seconds: pods
	Group   string  `json:"group,omitempty"`
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

// Refusal is Solve's error where no timings are safe: why, and what to change.
type Refusal struct{ Finding Finding }

func (r *Refusal) Error() string { return r.Finding.Message + ": " + r.Finding.Fix }

func refuse(id, field, fix, format string, args ...any) error {
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

// rule is one inequality of the formula set, have >= the sum of need.
type rule struct {
	id, text string
	have     time.Duration
	need     []time.Duration
	strictly bool     // have > need
	unless   bool     // shown only when it is broken
	severity Severity // of the finding when it is broken; empty: none
	causes   string
	field    string
	want     Seconds // nearest safe value of the field
	fix      string  // when it is not: set the field to at least want
	unit     string  // of have and need when it is not seconds
	group    string
}

func (r rule) sum() (need time.Duration) {
	for _, term := range r.need {
		need += term
	}
	return need
}

func (r rule) holds() bool {
	need := r.sum()
	return r.have > need || r.have == need && !r.strictly
}

// judge fills in the margins and the findings of a plan.
func (in Inputs) judge(p *Plan, groups []group, b bounds) {
	for _, r := range in.rules(*p, groups, b) {
		need, holds := r.sum(), r.holds()
		if !r.unless {
			p.Margins = append(p.Margins, Margin{ID: r.id, Rule: r.text, Have: r.have.Seconds(), Need: need.Seconds(), Seconds: (r.have - need).Seconds(), Holds: holds, Unit: r.unit, Group: r.group})
		}
		if !holds && r.severity != "" {
			p.Findings = append(p.Findings, r.finding())
		}
	}
}

// finding says the inequality, the numbers, what it causes and the cure.
func (r rule) finding() Finding {
	var terms []string
	for _, term := range r.need {
		terms = append(terms, symbols.Decimal(term).String())
	}
	need, have, short := strings.Join(terms, " + "), symbols.Decimal(r.have).String(), symbols.Decimal(r.sum()-r.have).String()
	if len(terms) > 1 {
		need += " = " + symbols.Decimal(r.sum()).String()
	}
	if r.unit == "" {
		need, have, short = need+"s", have+"s", short+"s"
	} else {
		need += " " + r.unit
	}
	switch {
	case r.have == r.sum():
		short = "and it has to be more"
	case strings.Contains(r.text, "<="):
		have, need, short = need, have, short+" too much"
	default:
		short += " short"
	}
	f := Finding{Rule: RuleOf(r.id), Inequality: r.id, Severity: r.severity, Object: r.group, Field: r.field, Fix: r.fix, Want: r.want}
	if f.Message = fmt.Sprintf("%s does not hold: %s against %s, %s; %s", r.text, have, need, short, r.causes); len(r.need) == 0 {
		f.Message = r.text + ": " + r.causes // a fact, without numbers
	}
	if f.Fix == "" && r.want > 0 {
		f.Fix = fmt.Sprintf("set %s to at least %s", r.field, r.want)
	}
	return f
}

// fits is the longest request, in whole seconds, whose grace stays within the
// cap; -1 when none does.
func (in Inputs) fits(mode Mode) int {
	return sort.Search(maxDelay+1, func(r int) bool {
		try := in
		try.Request, try.Cut = time.Duration(r)*time.Second, nil
		return try.timings(mode, try.groups()).GracePeriod.Duration() > in.Cap
	}) - 1
}

// RuleOf names the rule of an inequality: OL001 of F1.
func RuleOf(inequality string) string {
	n, err := strconv.Atoi(strings.TrimRight(strings.TrimPrefix(inequality, "F"), "ab"))
	if err != nil {
		n = 0 // strict
	}
	return fmt.Sprintf("OL%03d", n)
}

// sorted puts rules in the order of their numbers, the strict relation after F5.
func sorted(rules []rule) []rule {
	number := func(r rule) int {
		if n, err := strconv.Atoi(strings.TrimPrefix(r.id, "F")); err == nil {
			return 10 * n
		}
		return 55
	}
	slices.SortStableFunc(rules, func(a, b rule) int { return cmp.Compare(number(a), number(b)) })
	return rules
}
