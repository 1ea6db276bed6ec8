// SPDX-License-Identifier: Apache-2.0

package ci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Pair is one output of a run: Name as a wrapper calls it (image-digest),
// Variable as a shell does (OUTLAST_OUT_IMAGE_DIGEST). Value is one line of
// plain words, which no reader takes for syntax.
type Pair struct{ Name, Variable, Value string }

// Result is what a CI is told of a run.
type Result struct {
	Facts       Facts
	App         string
	Environment string
	Pairs       []Pair
	Summary     string // Markdown
	Planned     bool   // the run looked what a deploy would do
	Deployed    bool   // the run was to change the environment, not only to render
	Status      Status
}

// mark finds the note or comment for an application and environment again.
func (r Result) mark() string {
	return fmt.Sprintf("<!-- outlast: %s to %s -->", r.App, r.Environment)
}

// source says which run a note is of.
func source(f Facts) string {
	if f.RunURL == "" {
		return ""
	}
	return fmt.Sprintf("\n[The job](%s) of commit %s\n", f.RunURL, f.Commit)
}

// Status is how a run ended.
type Status string

// The ways to end, as GitLab calls them.
const (
	Success  Status = "success"
	Failed   Status = "failed"
	Canceled Status = "canceled"
)

// summaryLimit is what GitHub takes of a step's summary; it drops longer ones
// whole. https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
const summaryLimit = 1 << 20

// Publish gives the outputs and the Markdown summary to the CI that runs us,
// where it has a place for them. What it could not do although the run went
// well is told in lines for people; an error is a fault.
func (w World) Publish(ctx context.Context, r Result) ([]string, error) {
	switch Detect(w.Getenv).Host {
	case "github":
		var lines strings.Builder
		for _, p := range r.Pairs { // values of one line: no delimiter that a value could hold
			fmt.Fprintf(&lines, "%s=%s\n", p.Name, p.Value)
		}
		said := w.tellGitHub(ctx, r)
		if len(r.Summary) > summaryLimit {
			r.Summary = "The summary is longer than GitHub takes; it is in summary.md of the output folder.\n"
		}
		return said, errors.Join(appendTo(w.Getenv("GITHUB_OUTPUT"), lines.String()), appendTo(w.Getenv("GITHUB_STEP_SUMMARY"), r.Summary))
	case "circleci":
		var lines strings.Builder
		for _, p := range r.Pairs {
			fmt.Fprintf(&lines, "export %s='%s'\n", p.Variable, p.Value)
		}
		return nil, appendTo(w.Getenv("BASH_ENV"), lines.String())
	case "gitlab":
		return w.tellGitLab(ctx, r), nil
	}
	return nil, nil
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
