// SPDX-License-Identifier: Apache-2.0

package ci

import "strings"

// onJenkins: https://www.jenkins.io/doc/book/pipeline/jenkinsfile/#using-environment-variables,
// the git plugin's GIT_COMMIT and GIT_BRANCH, the multibranch plugin's BRANCH_NAME, TAG_NAME and CHANGE_*.
func onJenkins(getenv func(string) string) (Facts, bool) {
	if getenv("JENKINS_URL") == "" {
		return Facts{}, false
	}
	f := Facts{
		Host:        "jenkins",
		Commit:      getenv("GIT_COMMIT"),
		Branch:      first(getenv("CHANGE_BRANCH"), getenv("BRANCH_NAME"), strings.TrimPrefix(getenv("GIT_BRANCH"), "origin/")),
		Tag:         getenv("TAG_NAME"),
		PullRequest: getenv("CHANGE_ID"),
		Target:      getenv("CHANGE_TARGET"),
		RunURL:      getenv("BUILD_URL"),
		Actor:       first(getenv("BUILD_USER_ID"), getenv("CHANGE_AUTHOR")),
	}
	if f.Tag != "" { // BRANCH_NAME is the tag then
		f.Branch = ""
	}
	if fork := getenv("CHANGE_FORK"); fork != "" {
		f.Stranger = "the change request comes from the fork " + fork
	}
	return f, true
}
