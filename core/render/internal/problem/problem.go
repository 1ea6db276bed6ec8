// SPDX-License-Identifier: Apache-2.0

// Package problem holds what is wrong with manifests: the table of rules, and a
// list of problems, each with the rule that found it and, where one can be
// written, the edit that cures it. It changes nothing: what to do with a problem is the caller's policy.
package problem

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// Rule is one row of the table: what docs/rules has a page for.
type Rule struct {
	ID       string         // OL001; those up to OL020 are the inequalities F1 to F20
	Name     string         // a slug
	Summary  string         // one line
	Severity drain.Severity // of its findings, unless the case says otherwise
	Fixable  bool           // an edit cures it
}

// Problem is one thing wrong, on one object.
type Problem struct {
	drain.Finding
	On   *yaml.RNode // the object; its annotations may suppress the problem
	Near *yaml.RNode // where it is shown, when On is not among the manifests yet
	Edit *Edit       // the cure; nil: none that can be written

	Unproven bool // the timings rest on what nobody has told: they are not called safe
}

// Edit is one field to set. Edits of one place are merged: the longest
// deregistration delay wins, since it serves all.
type Edit struct {
	Object   *yaml.RNode
	Add      bool // Object is not among the manifests yet
	Path     []string
	Value    *yaml.RNode // nil: the field is taken away
	From, To string      // for people; From "" was not there
	Why      string
	Weight   int64 // seconds that it gives; of two edits of one place the heavier stays
}

// Apply makes the edit in its object.
func (e Edit) Apply() error {
	if e.Value == nil {
		return node.Clear(e.Object, e.Path...)
	}
	return node.Set(e.Object, e.Value.Copy(), e.Path...)
}

// List collects problems.
type List struct{ All []Problem }

// Find adds a problem that no edit cures.
func (l *List) Find(rule string, on *yaml.RNode, field, message, fix string) *Problem {
	l.All = append(l.All, Problem{On: on, Finding: drain.Finding{
		Rule: rule, Inequality: inequality(rule), Severity: severityOf(rule), Object: node.ID(on), Field: field, Message: message, Fix: fix}})
	return &l.All[len(l.All)-1]
}

// Edit adds a problem and its cure.
func (l *List) Edit(rule string, on *yaml.RNode, message string, e Edit) *Problem {
	fix := "set " + last(e.Path) + " to " + e.To
	if e.Value == nil {
		fix = "leave the field out"
	}
	p := l.Find(rule, on, node.Path(e.Path), message, fix)
	if e.Object == nil {
		e.Object = on
	}
	if e.Why == "" {
		e.Why = message
	}
	p.Edit, p.Want = &e, drain.Seconds(e.Weight)
	return p
}

// last names a field by the end of its path.
func last(path []string) string {
	name := path[len(path)-1]
	if _, err := strconv.Atoi(name); err == nil && len(path) > 1 { // a word of a command
		name = path[len(path)-2]
	}
	return name
}

func inequality(rule string) string {
	n := strings.TrimLeft(strings.TrimPrefix(rule, "OL"), "0")
	switch {
	case n == "":
		return "strict"
	case len(n) == 1 || n <= "20":
		return "F" + n
	}
	return ""
}

func severityOf(rule string) drain.Severity {
	for _, r := range Table {
		if r.ID == rule {
			return r.Severity
		}
	}
	return drain.Warning
}

// Settle drops what was found twice, keeps one edit a place, and reads the
// authors' reasons to live with a problem.
func (l *List) Settle(objects []*yaml.RNode) {
	var out []Problem
	byPlace := map[string]int{}
	seen := map[string]bool{}
	for _, p := range l.All {
		if p.Edit != nil {
			key := node.Identity(p.Edit.Object) + " " + node.Path(p.Edit.Path)
			if i, ok := byPlace[key]; ok {
				if out[i].Edit.Weight < p.Edit.Weight {
					out[i] = p
				}
				continue
			}
			byPlace[key] = len(out)
		} else if key := p.Rule + " " + node.Identity(p.On) + " " + p.Field + " " + p.Message; seen[key] {
			continue
		} else {
			seen[key] = true
		}
		out = append(out, p)
	}
	l.All = out
	l.suppress(objects)
}

const ignorePrefix = node.OwnPrefix + "ignore."

// Reason is why the author of an object lives with what breaks a rule, or "".
func Reason(on *yaml.RNode, rule string) string {
	reason, _ := node.Annotation(on, ignorePrefix+rule)
	return strings.TrimSpace(reason)
}

// suppress marks what an annotation of the object says to live with. It needs
// a reason: without one it does not count.
func (l *List) suppress(objects []*yaml.RNode) {
	for i := range l.All {
		p := &l.All[i]
		if reason := Reason(p.On, p.Rule); reason != "" {
			p.Suppressed, p.Edit = reason, nil
		}
	}
	for _, n := range objects {
		annotations := node.Strings(n, "metadata", "annotations")
		for _, key := range slices.Sorted(maps.Keys(annotations)) {
			rule, ok := strings.CutPrefix(key, ignorePrefix)
			reason := annotations[key]
			field := node.Path([]string{"metadata", "annotations", key})
			switch known := slices.ContainsFunc(Table, func(r Rule) bool { return r.ID == rule }); {
			case !ok:
			case !known:
				l.Find("OL043", n, field, "no rule is called "+rule, "name a rule of docs/rules, e.g. "+ignorePrefix+"OL031")
			case strings.TrimSpace(reason) == "":
				l.Find("OL043", n, field, "the rule stays in force: the annotation gives no reason", "write why it is fine here")
			}
		}
	}
}
