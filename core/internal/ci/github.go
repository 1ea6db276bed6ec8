// SPDX-License-Identifier: Apache-2.0

package ci

import "strings"

// github: https://docs.github.com/en/actions/reference/workflows-and-actions/variables
func github(getenv func(string) string) (Facts, bool) {
	if getenv("GITHUB_ACTIONS") != "true" {
		return Facts{}, false
	}
	f := Facts{Host: "github", Commit: getenv("GITHUB_SHA"), Actor: getenv("GITHUB_ACTOR")}
	if server, repo, run := getenv("GITHUB_SERVER_URL"), getenv("GITHUB_REPOSITORY"), getenv("GITHUB_RUN_ID"); server != "" && repo != "" && run != "" {
		f.RunURL = server + "/" + repo + "/actions/runs/" + run
	}
	ref := getenv("GITHUB_REF")
	switch {
	case strings.HasPrefix(ref, "refs/heads/"):
		f.Branch = strings.TrimPrefix(ref, "refs/heads/")
	case strings.HasPrefix(ref, "refs/tags/"):
		f.Tag = strings.TrimPrefix(ref, "refs/tags/")
	}
	if getenv("GITHUB_EVENT_NAME") == "pull_request_target" {
		f.Stranger = "pull_request_target gives the code of a pull request, maybe a stranger's, this repository's secrets; use pull_request"
	}
	// pull_request and pull_request_target; the second one has the target branch as its ref.
	if strings.HasPrefix(getenv("GITHUB_EVENT_NAME"), "pull_request") {
		f.PullRequest, f.Branch, f.Target = "unknown", getenv("GITHUB_HEAD_REF"), getenv("GITHUB_BASE_REF")
		if rest, ok := strings.CutPrefix(ref, "refs/pull/"); ok {
			f.PullRequest, _, _ = strings.Cut(rest, "/")
		}
	}
	return f, true
}
