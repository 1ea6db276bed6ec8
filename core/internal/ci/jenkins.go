// SPDX-License-Identifier: Apache-2.0

package ci

import "strings"

// onJenkins: https://www.jenkins.io/doc/book/pipeline/jenkinsfile/#using-environment-variables,
// the git plugin's GIT_COMMIT and GIT_BRANCH, the multibranch plugin's BRANCH_NAME and CHANGE_ID.
func onJenkins(getenv func(string) string) (Facts, bool) {
	if getenv("JENKINS_URL") == "" {
		return Facts{}, false
	}
	return Facts{
		Host:        "jenkins",
		Commit:      getenv("GIT_COMMIT"),
		Branch:      first(getenv("CHANGE_BRANCH"), getenv("BRANCH_NAME"), strings.TrimPrefix(getenv("GIT_BRANCH"), "origin/")),
		Tag:         getenv("TAG_NAME"),
		PullRequest: getenv("CHANGE_ID"),
		RunURL:      getenv("BUILD_URL"),
		Actor:       first(getenv("BUILD_USER_ID"), getenv("CHANGE_AUTHOR")),
	}, true
}
