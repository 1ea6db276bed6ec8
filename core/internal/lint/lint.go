// SPDX-License-Identifier: Apache-2.0

// Package lint writes what `outlast check` found: a Report goes in, and one of
// six formats comes out, for people and for the programs that show findings
// beside the code. Names and reasons come from manifests that a stranger may
// have written, so no format lets them become a command of the CI, a control
// character of a terminal, or markup.
package lint

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core/drain"
)

// Report is what was checked and what was found.
type Report struct {
	Findings  []drain.Finding
	Rules     []Rule        // all that were applied, found or not
	Root      string        // absolute folder that the files of Findings are relative to; empty: not told
	Version   string        // of Outlast
	Objects   int           // objects that were read
	Workloads int           // of these, workloads behind a load balancer
	Took      time.Duration // how long it took
}

// Rule is one rule of docs/rules.
type Rule struct {
	ID       string         `json:"id"`       // OL001
	Name     string         `json:"name"`     // pre-stop-too-short
	Summary  string         `json:"summary"`  // one sentence
	Severity drain.Severity `json:"severity"` // unless the finding says another
	Fixable  bool           `json:"fixable"`  // `outlast render` writes the cure
}

// Options say how; the zero value is right for a file.
type Options struct {
	Color  bool           // text: with the colours of a terminal
	Width  int            // text: columns; 0: 100
	FailOn drain.Severity // the least severity that fails (in junit a case), or Never; empty: error
}

// Never as Options.FailOn fails nothing.
const Never drain.Severity = "never"

// formats in the order of Formats.
var formats = []struct {
	name  string
	write func(Report, Options) ([]byte, error)
}{
	{"text", text},
	{"json", asJSON},
	{"sarif", sarif},
	{"junit", junit},
	{"github", github},
	{"gitlab", gitlab},
}

// Formats lists what Write knows: text for people, json for programs, sarif
// 2.1.0 for code scanning, junit for test reports, github for workflow commands
// in a job's log, and gitlab for its code quality report.
func Formats() []string {
	var names []string
	for _, f := range formats {
		names = append(names, f.name)
	}
	return names
}

// Write writes the report in a format of Formats. The order of Findings does
// not matter: equal reports give equal bytes.
func Write(w io.Writer, format string, r Report, o Options) error {
	for _, f := range formats {
		if f.name != format {
			continue
		}
		r.Findings = sorted(r.Findings)
		out, err := f.write(r, o)
		if err == nil {
			_, err = w.Write(out)
		}
		if err != nil {
			return fmt.Errorf("writing findings as %s: %w", format, err)
		}
		return nil
	}
	return fmt.Errorf("writing findings: no format %q; use one of %s", format, strings.Join(Formats(), ", "))
}

// Counts of a report. What the author suppressed counts as nothing else.
type Counts struct {
	Errors     int `json:"errors"`
	Warnings   int `json:"warnings"`
	Infos      int `json:"infos"`
	Suppressed int `json:"suppressed"`
}

// Count counts findings by severity.
func Count(findings []drain.Finding) (c Counts) {
	for _, f := range findings {
		switch {
		case f.Suppressed != "":
			c.Suppressed++
		case f.Severity == drain.Error:
			c.Errors++
		case f.Severity == drain.Warning:
			c.Warnings++
		default:
			c.Infos++
		}
	}
	return c
}

// String tells the counts in words: "1 error, 2 warnings".
func (c Counts) String() string {
	var parts []string
	for _, n := range []struct {
		n         int
		one, more string
	}{{c.Errors, "error", "errors"}, {c.Warnings, "warning", "warnings"}, {c.Infos, "info", "infos"}, {c.Suppressed, "suppressed", "suppressed"}} {
		if n.n > 0 {
			parts = append(parts, plural(n.n, n.one, n.more))
		}
	}
	if len(parts) == 0 {
		return "nothing found"
	}
	return strings.Join(parts, ", ")
}

func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// Checked tells what was looked at, so that silence is not taken for safety.
func (r Report) Checked() string {
	if r.Workloads == 0 {
		return plural(r.Objects, "object", "objects") + ", no workload behind a balancer, so no timings were judged"
	}
	return fmt.Sprintf("%s, %s behind a balancer", plural(r.Objects, "object", "objects"), plural(r.Workloads, "workload", "workloads"))
}

// Fails tells whether a finding is as severe as FailOn, and nobody lives with it.
func (o Options) Fails(f drain.Finding) bool {
	return f.Suppressed == "" && o.FailOn != Never && rank(f.Severity) <= rank(cmp.Or(o.FailOn, drain.Error))
}

// rank orders severities, the worst first.
func rank(s drain.Severity) int {
	switch s {
	case drain.Error:
		return 0
	case drain.Warning:
		return 1
	}
	return 2
}

// sorted copies findings in the order of all formats: by file, those without
// one last, then object, severity, rule, field and line.
func sorted(findings []drain.Finding) []drain.Finding {
	findings = slices.Clone(findings)
	slices.SortStableFunc(findings, func(a, b drain.Finding) int {
		return cmp.Or(
			compareBool(a.File == "", b.File == ""), cmp.Compare(a.File, b.File), cmp.Compare(a.Object, b.Object),
			cmp.Compare(rank(a.Severity), rank(b.Severity)), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Field, b.Field),
			cmp.Compare(a.Line, b.Line), cmp.Compare(a.Message, b.Message), cmp.Compare(a.Suppressed, b.Suppressed),
			cmp.Compare(a.Fix, b.Fix), cmp.Compare(a.Inequality, b.Inequality), cmp.Compare(a.Want, b.Want))
	})
	return findings
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// fingerprints name each finding by what it is about. Neither the line nor the
// numbers seen are part of it, so a finding keeps its name when code above it
// moves. Those that nothing else tells apart are counted.
func fingerprints(findings []drain.Finding) []string {
	seen := map[string]int{}
	prints := make([]string, len(findings))
	for i, f := range findings {
		about := strings.Join([]string{f.Rule, f.Inequality, f.File, f.Object, f.Field}, "\x00")
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", about, seen[about]))
		seen[about]++
		prints[i] = hex.EncodeToString(sum[:16])
	}
	return prints
}

// place is where to show a finding. Formats that need a file get the best guess
// for a finding without one: another finding's of the same object, else the
// settings that the check ran with. Readers match the path with the
// repository's, and find none that starts with "./".
func place(f drain.Finding, all []drain.Finding) (file string, line int) {
	if f.File != "" {
		return path.Clean(f.File), max(f.Line, 1)
	}
	for _, other := range all {
		if other.File != "" && other.Object == f.Object {
			return path.Clean(other.File), max(other.Line, 1)
		}
	}
	return "outlast.yaml", 1
}

// names maps the rules' ids to their names.
func (r Report) names() map[string]string {
	names := map[string]string{}
	for _, rule := range r.Rules {
		names[rule.ID] = rule.Name
	}
	return names
}

// title names a rule by id and, where it is known, name.
func title(id string, names map[string]string) string {
	return strings.TrimSpace(id + " " + names[id])
}

// page is the rule's page, relative to the root of Outlast's repository.
func page(id string) string { return "docs/rules/" + id + ".md" }

// pages is where the pages are read. Nothing is asked of it.
const pages = "https://github.com/outlast-ci/outlast"
