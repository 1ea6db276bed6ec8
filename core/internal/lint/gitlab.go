// SPDX-License-Identifier: Apache-2.0

package lint

import "github.com/outlast-ci/outlast/core/drain"

// gitlab gives a code quality report, for artifacts:reports:codequality:
// https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format.
// It has no word for what is suppressed, so that is left out.
func gitlab(r Report, _ Options) ([]byte, error) {
	type lines struct {
		Begin int `json:"begin"`
	}
	type location struct {
		Path  string `json:"path"`
		Lines lines  `json:"lines"`
	}
	type issue struct {
		Description string   `json:"description"`
		CheckName   string   `json:"check_name"`
		Fingerprint string   `json:"fingerprint"`
		Severity    string   `json:"severity"`
		Location    location `json:"location"`
	}
	prints := fingerprints(r.Findings)
	names := r.names()
	issues := []issue{}
	for i, f := range r.Findings {
		if f.Suppressed != "" {
			continue
		}
		file, line := place(f, r.Findings)
		issues = append(issues, issue{
			Description: or(sentence(f), f.Rule), CheckName: title(f.Rule, names), Fingerprint: prints[i], Severity: gitlabSeverity(f.Severity),
			Location: location{Path: file, Lines: lines{line}},
		})
	}
	return marshal(issues)
}

// gitlabSeverity: blocker is kept for nothing, since only the pipeline blocks.
func gitlabSeverity(s drain.Severity) string {
	switch s {
	case drain.Error:
		return "critical"
	case drain.Warning:
		return "minor"
	}
	return "info"
}

// sentence tells a finding in one line, for readers that show nothing else.
func sentence(f drain.Finding) string {
	s := f.Message
	if f.Object != "" {
		s = f.Object + ": " + s
	}
	if f.Fix != "" {
		s += ". Fix: " + f.Fix
	}
	return plain(s)
}
