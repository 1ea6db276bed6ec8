// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
)

// A user of any CI begins with at most 15 lines, and finds the same chapters.
func TestTheREADMEsOfTheWrappers(t *testing.T) {
	found := 0
	for path, text := range generated(t, inputs.Table) {
		if !strings.HasSuffix(path, "README.md") {
			continue
		}
		found++
		start := 0
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "    ") {
				start++
			} else if start > 0 && strings.TrimSpace(line) != "" {
				break
			}
		}
		if start == 0 || start > 15 {
			t.Errorf("%s begins with %d lines of configuration", path, start)
		}
		for _, words := range []string{"## Outputs", "## Moving from a hand-written pipeline", "docs/exit-codes.md", "docs/aws.md", "OUTLAST_ID_TOKEN"} {
			if !strings.Contains(string(text), words) {
				t.Errorf("%s does not have %q", path, words)
			}
		}
		for _, link := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(path), link[1])); err != nil {
				t.Errorf("%s: a link leads nowhere: %v", path, err)
			}
		}
	}
	if found != 5 {
		t.Errorf("%d READMEs", found)
	}
}
