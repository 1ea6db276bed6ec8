// SPDX-License-Identifier: Apache-2.0

package record

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/outlast-ci/outlast/core/release"
)

// TestBack: histories are written oldest first, each revision as its content, with what
// it goes back to and, when its gate did not pass, a state.
func TestBack(t *testing.T) {
	for name, tc := range map[string]struct {
		history string
		to      int
		want    string
	}{
		"the one before": {"A B C", 0, "2"},
		"the same content again is no other release":       {"A B B", 0, "1"},
		"a deploy that failed":                             {"A B C:failed", 0, "2"},
		"a deploy that failed and was rolled back":         {"A B C:rolled-back B=2", 0, "1"},
		"again: further back, and not to what was left":    {"Z A B A=2", 0, "1"},
		"again and again":                                  {"Y Z A B A=3 Z=2", 0, "1"},
		"again, when that was reached by going back, too":  {"Z A B A=2 C A=4", 0, "1"},
		"back by deploying the older commit":               {"A B A", 0, "2"},
		"again, and nothing is before that":                {"A B A=1", 0, "there is no earlier release"},
		"a rollback that failed leads to what passed last": {"Z A B A=2:failed", 0, "3"},
		"a number, also of what was left":                  {"Z A B A=2", 3, "3"},
		"a number whose gate has not passed":               {"A B:failed", 2, "its gate has not passed (failed)"},
		"a number that is not kept":                        {"A B", 7, "it is not among the 2 that are kept"},
		"no history":                                       {"", 0, "there is no earlier release"},
	} {
		t.Run(name, func(t *testing.T) {
			var list []release.Revision
			for i, word := range strings.Fields(tc.history) {
				r := release.Revision{Number: i + 1, State: release.Passed}
				content, state, ended := strings.Cut(word, ":")
				if ended {
					r.State = release.State(state)
				}
				content, of, back := strings.Cut(content, "=")
				if r.SHA256 = content; back {
					if _, err := fmt.Sscan(of, &r.OfRevision); err != nil {
						t.Fatal(err)
					}
				}
				list = append(list, r)
			}
			slices.Reverse(list)
			r, err := Back(list, tc.to)
			if got := fmt.Sprint(r.Number); err == nil && got != tc.want || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("revision %s, %v; want %s", got, err, tc.want)
			}
		})
	}
}
