// SPDX-License-Identifier: Apache-2.0

// Package inequality is one row of the formula set: two sides, the margin
// between them, and the finding when they are the wrong way round.
package inequality

import (
	"cmp"
	"fmt"
	"slices"
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

// Finding is one thing wrong, or worth knowing, with its numbers and the cure.
type Finding struct {
	Rule       string   `json:"rule"`                 // OL001, ... as docs/rules has them; the arithmetic's are OL0NN of FNN
	Inequality string   `json:"inequality,omitempty"` // F1 to F20, strict
	Severity   Severity `json:"severity"`
	Object     string   `json:"object,omitempty"` // Kind/namespace/name
	Field      string   `json:"field,omitempty"`
	Message    string   `json:"message"`              // what was seen, and what it causes
	Fix        string   `json:"fix,omitempty"`        // what to do
	Want       Seconds  `json:"want,omitempty"`       // nearest safe value, where one number cures it; of replicas a count
	File       string   `json:"file,omitempty"`       // relative to the root, where it is known
	Line       int      `json:"line,omitempty"`       // of File, from 1
	Suppressed string   `json:"suppressed,omitempty"` // the author's reason to live with it
}

// Seconds is a whole number of seconds, as Kubernetes and AWS want them.
type Seconds int64

// String writes seconds the way a person says them: 40s.
func (s Seconds) String() string { return strconv.FormatInt(int64(s), 10) + "s" }

// Duration converts to the standard type.
func (s Seconds) Duration() time.Duration { return time.Duration(s) * time.Second }

// Terms are added up.
type Terms = []time.Duration

// Rule is one inequality of the formula set, Have >= the sum of Need.
type Rule struct {
	ID, Text string
	Have     time.Duration // of a count: as many seconds
	Need     Terms
	Strictly bool     // Have > Need
	Unless   bool     // shown only when it is broken
	Severity Severity // of the finding when it is broken; empty: none
	Causes   string
	Field    string
	Want     Seconds // nearest safe value of the field
	Fix      string  // when it is not: set the field to at least Want
	Unit     string  // of Have, Need and Want when it is not seconds
	Group    string
}

func (r Rule) sum() (need time.Duration) {
	for _, term := range r.Need {
		need += term
	}
	return need
}

// Margin tells by how much the inequality holds, or does not.
func (r Rule) Margin() Margin {
	need := r.sum()
	return Margin{ID: r.ID, Rule: r.Text, Have: r.Have.Seconds(), Need: need.Seconds(), Seconds: (r.Have - need).Seconds(),
		Holds: r.Have > need || r.Have == need && !r.Strictly, Unit: r.Unit, Group: r.Group}
}

// Finding says the inequality, the numbers, what it causes and the cure.
func (r Rule) Finding() Finding {
	var terms []string
	for _, term := range r.Need {
		terms = append(terms, symbols.Decimal(term).String())
	}
	need, have, short := strings.Join(terms, " + "), symbols.Decimal(r.Have).String(), symbols.Decimal(r.sum()-r.Have).String()
	if len(terms) > 1 {
		need += " = " + symbols.Decimal(r.sum()).String()
	}
	want := strconv.FormatInt(int64(r.Want), 10)
	if r.Unit == "" {
		need, have, short, want = need+"s", have+"s", short+"s", r.Want.String()
	} else {
		need += " " + r.Unit
	}
	switch {
	case r.Have == r.sum():
		short = "and it has to be more"
	case strings.Contains(r.Text, "<="):
		have, need, short = need, have, short+" too much"
	default:
		short += " short"
	}
	f := Finding{Rule: RuleOf(r.ID), Inequality: r.ID, Severity: r.Severity, Object: r.Group, Field: r.Field, Fix: r.Fix, Want: r.Want}
	if f.Message = fmt.Sprintf("%s does not hold: %s against %s, %s; %s", r.Text, have, need, short, r.Causes); len(r.Need) == 0 {
		f.Message = r.Text + ": " + r.Causes // a fact, without numbers
	}
	if f.Fix == "" && r.Want > 0 {
		f.Fix = fmt.Sprintf("set %s to at least %s", r.Field, want)
	}
	return f
}

// RuleOf names the rule of an inequality: OL001 of F1.
func RuleOf(id string) string {
	n, err := strconv.Atoi(strings.TrimRight(strings.TrimPrefix(id, "F"), "ab"))
	if err != nil {
		n = 0 // strict
	}
	return fmt.Sprintf("OL%03d", n)
}

// Sort puts rules in the order of their numbers, the strict relation after F5.
func Sort(rules []Rule) {
	number := func(r Rule) int {
		if n, err := strconv.Atoi(strings.TrimPrefix(r.ID, "F")); err == nil {
			return 10 * n
		}
		return 55
	}
	slices.SortStableFunc(rules, func(a, b Rule) int { return cmp.Compare(number(a), number(b)) })
}
