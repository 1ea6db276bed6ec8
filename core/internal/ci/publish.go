// SPDX-License-Identifier: Apache-2.0

package ci

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Pair is one output of a run: Name as a wrapper calls it (image-digest),
// Variable as a shell does (OUTLAST_OUT_IMAGE_DIGEST). Value is one line of
// plain words, which no reader takes for syntax.
type Pair struct{ Name, Variable, Value string }

// summaryLimit is what GitHub takes of a step's summary; it drops longer ones
// whole. https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
const summaryLimit = 1 << 20

// Publish gives the outputs and the Markdown summary to the CI that runs us,
// where it has a place for them.
func Publish(getenv func(string) string, pairs []Pair, summary string) error {
	switch Detect(getenv).Host {
	case "github":
		var lines strings.Builder
		for _, p := range pairs {
			fmt.Fprintf(&lines, "%s=%s\n", p.Name, p.Value)
		}
		if len(summary) > summaryLimit {
			summary = "The summary is longer than GitHub takes; it is in summary.md of the output folder.\n"
		}
		return errors.Join(appendTo(getenv("GITHUB_OUTPUT"), lines.String()), appendTo(getenv("GITHUB_STEP_SUMMARY"), summary))
	case "circleci":
		var lines strings.Builder
		for _, p := range pairs {
			fmt.Fprintf(&lines, "export %s='%s'\n", p.Variable, p.Value)
		}
		return appendTo(getenv("BASH_ENV"), lines.String())
	}
	return nil
}

// appendTo adds text to a file that the CI named; none was named: nothing to do.
func appendTo(path, text string) error {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("handing the outputs to the CI: %w", err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("handing the outputs to the CI: %w", err)
	}
	return nil
}
