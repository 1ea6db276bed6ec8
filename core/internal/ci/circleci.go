// SPDX-License-Identifier: Apache-2.0

package ci

// onCircleCI: https://circleci.com/docs/reference/variables/
func onCircleCI(getenv func(string) string) (Facts, bool) {
	if getenv("CIRCLECI") != "true" {
		return Facts{}, false
	}
	f := Facts{
		Host:   "circleci",
		Commit: getenv("CIRCLE_SHA1"),
		Branch: getenv("CIRCLE_BRANCH"),
		Tag:    getenv("CIRCLE_TAG"),
		// CIRCLE_PULL_REQUEST is no sign of one: a push to develop has it, too, while
		// a pull request from develop is open. This one is there for forks only.
		PullRequest: getenv("CIRCLE_PR_NUMBER"),
		RunURL:      getenv("CIRCLE_BUILD_URL"),
		Actor:       getenv("CIRCLE_USERNAME"),
	}
	if f.PullRequest != "" {
		f.Stranger = "the pull request comes from the fork " + getenv("CIRCLE_PR_USERNAME") + "/" + getenv("CIRCLE_PR_REPONAME")
	}
	return f, true
}
