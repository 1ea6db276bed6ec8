// SPDX-License-Identifier: Apache-2.0

package ci

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/sethvargo/go-githubactions"
)

// onGitHub: https://docs.github.com/en/actions/reference/workflows-and-actions/variables
func onGitHub(getenv func(string) string) (Facts, bool) {
	if getenv("GITHUB_ACTIONS") != "true" {
		return Facts{}, false
	}
	read := func(getenv func(string) string) (*githubactions.GitHubContext, error) {
		return githubactions.New(githubactions.WithGetenv(getenv)).Context()
	}
	run, err := read(getenv)
	if err != nil { // an event's payload that cannot be read matters for pull requests only
		var again error
		if run, again = read(func(name string) string {
			if name == "GITHUB_EVENT_PATH" {
				return ""
			}
			return getenv(name)
		}); again != nil {
			return Facts{Host: "github", Stranger: fmt.Sprintf("the runner's variables cannot be read: %v", again)}, true
		}
	}
	f := Facts{Host: "github", Commit: run.SHA, Actor: run.Actor}
	if run.Repository != "" && run.RunID != 0 {
		f.RunURL = fmt.Sprintf("%s/%s/actions/runs/%d", run.ServerURL, run.Repository, run.RunID)
	}
	switch {
	case strings.HasPrefix(run.Ref, "refs/heads/"):
		f.Branch = strings.TrimPrefix(run.Ref, "refs/heads/")
	case strings.HasPrefix(run.Ref, "refs/tags/"):
		f.Tag = strings.TrimPrefix(run.Ref, "refs/tags/")
	}
	// pull_request and pull_request_target; the second one has the target branch as its ref.
	if strings.HasPrefix(run.EventName, "pull_request") {
		f.PullRequest, f.Branch, f.Target = "unknown", run.HeadRef, run.BaseRef
		if rest, ok := strings.CutPrefix(run.Ref, "refs/pull/"); ok {
			f.PullRequest, _, _ = strings.Cut(rest, "/")
		}
		if err != nil {
			f.Stranger = fmt.Sprintf("whose pull request this is cannot be read: %v", err)
		}
		if from := text(run.Event, "pull_request", "head", "repo", "full_name"); from != text(run.Event, "pull_request", "base", "repo", "full_name") {
			f.Stranger = "the pull request comes from the fork " + from
		}
	}
	if run.EventName == "pull_request_target" {
		f.Stranger = "pull_request_target gives the code of a pull request, maybe a stranger's, this repository's secrets; use pull_request"
	}
	return f, true
}

// text walks down an event's payload.
func text(from map[string]any, path ...string) string {
	for _, name := range path[:len(path)-1] {
		from, _ = from[name].(map[string]any)
	}
	s, _ := from[path[len(path)-1]].(string)
	return s
}

// githubLines gives what a workflow command writes. The library panics when
// its writer fails, and a buffer's never does.
func githubLines(fields map[string]string, command func(*githubactions.Action)) string {
	var b bytes.Buffer
	command(githubactions.New(githubactions.WithWriter(&b), githubactions.WithGetenv(func(string) string { return "" })).WithFieldsMap(fields))
	return b.String()
}
