// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/outlast-ci/outlast/core/drain"
)

// github gives workflow commands, one a line, and at the end a line that counts.
// GitHub shows ten of a level in a step and the rest in the log only
// (https://github.com/orgs/community/discussions/26680), so the worst come first.
func github(r Report, _ Options) ([]byte, error) {
	worst := slices.Clone(r.Findings)
	slices.SortStableFunc(worst, func(a, b drain.Finding) int { return cmp.Compare(rank(a.Severity), rank(b.Severity)) })
	names := r.names()
	var b strings.Builder
	for _, f := range worst {
		if f.Suppressed != "" {
			continue
		}
		file, line := place(f, r.Findings)
		message := plain(f.Message)
		if f.Field != "" {
			message = plain(f.Field) + ": " + message
		}
		if f.Fix != "" {
			message += "\nFix: " + plain(f.Fix)
		}
		message += "\nSee " + page(plain(f.Rule))
		fmt.Fprintf(&b, "::%s file=%s,line=%d,title=%s::%s\n", githubLevel(f.Severity),
			property(plain(file)), line, property(plain(title(f.Rule, names)+" "+f.Object)), data(message))
	}
	fmt.Fprintf(&b, "outlast check: %s: %s\n", r.Checked(), Count(r.Findings))
	return []byte(b.String()), nil
}

func githubLevel(s drain.Severity) string {
	switch s {
	case drain.Error:
		return "error"
	case drain.Warning:
		return "warning"
	}
	return "notice"
}

// data and property escape as GitHub's own toolkit does (actions/toolkit,
// packages/core/src/command.ts).
func data(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func property(s string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(data(s))
}
