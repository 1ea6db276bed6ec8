// SPDX-License-Identifier: Apache-2.0

package output

import (
	"strings"
	"testing"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/apply"
)

// TestPlanSaysWhatIsNotKnown: without the right to ask, nothing is called lost or
// replaced that may stay.
func TestPlanSaysWhatIsNotKnown(t *testing.T) {
	for name, tc := range map[string]struct {
		unsure    bool
		want, not []string
	}{
		"known": {false, []string{"spec.paused: true -> taken away: the other tool had set it", "Deployment/dev/web: replaces 2 pods"}, []string{"not known"}},
		"not known": {true, []string{"spec.paused: true -> not known: taken away, unless it is a default of the server's", "Deployment/dev/web: it is not known whether it replaces 2 pods"},
			[]string{"-> taken away", "web: replaces"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := Plan(core.Plan{
				Changes:  []apply.Change{{Object: "Deployment/dev/web", Action: apply.Adopted, Was: "helm", Lost: []apply.Field{{Path: "spec.paused", From: "true"}}, Unsure: tc.unsure}},
				Rollouts: []core.PlannedRollout{{Workload: "Deployment/dev/web", Replaces: 2, Unsure: tc.unsure}},
			})
			for _, words := range tc.want {
				if !strings.Contains(text, words) {
					t.Errorf("%s\nlacks %q", text, words)
				}
			}
			for _, words := range tc.not {
				if strings.Contains(text, words) {
					t.Errorf("%s\nsays %q", text, words)
				}
			}
		})
	}
}
