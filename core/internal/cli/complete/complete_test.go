// SPDX-License-Identifier: Apache-2.0

package complete

import (
	"regexp"
	"testing"

	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
)

// What completes to files is what the table says is one: a new row of that kind
// cannot be forgotten, and none here may be without a row.
func TestPlacesAreInTheTable(t *testing.T) {
	known := map[string]bool{}
	place := regexp.MustCompile(`(?i)\b(folder|file|directory|build context|dockerfile|report\.json)\b`)
	for _, in := range inputs.All() {
		known[in.Name] = true
		if _, ok := places[in.Name]; !ok && in.Kind == inputs.Text && in.ReadBy("deploy") && place.MatchString(in.Doc) {
			t.Errorf("%s (%s) is a file or folder, but does not complete to any", in.Name, in.Doc)
		}
	}
	for name := range places {
		if !known[name] {
			t.Errorf("%s is in no row of the table", name)
		}
	}
}
