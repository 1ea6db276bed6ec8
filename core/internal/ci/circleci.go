// SPDX-License-Identifier: Apache-2.0

package ci

// circleci: https://circleci.com/docs/reference/variables/
func circleci(getenv func(string) string) (Facts, bool) {
	if getenv("CIRCLECI") != "true" {
		return Facts{}, false
	}
	return Facts{
		Host:        "circleci",
		Commit:      getenv("CIRCLE_SHA1"),
		Branch:      getenv("CIRCLE_BRANCH"),
		Tag:         getenv("CIRCLE_TAG"),
		PullRequest: first(getenv("CIRCLE_PULL_REQUEST"), getenv("CIRCLE_PR_NUMBER")),
		RunURL:      getenv("CIRCLE_BUILD_URL"),
		Actor:       getenv("CIRCLE_USERNAME"),
	}, true
}
