// SPDX-License-Identifier: Apache-2.0

package ci

// onGitLab: https://docs.gitlab.com/ci/variables/predefined_variables/ ; the same
// on gitlab.cn (JiHu) and self-managed instances.
func onGitLab(getenv func(string) string) (Facts, bool) {
	if getenv("GITLAB_CI") != "true" {
		return Facts{}, false
	}
	f := Facts{
		Host:        "gitlab",
		Commit:      getenv("CI_COMMIT_SHA"),
		Branch:      first(getenv("CI_COMMIT_BRANCH"), getenv("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME")),
		Tag:         getenv("CI_COMMIT_TAG"),
		PullRequest: getenv("CI_MERGE_REQUEST_IID"),
		Target:      getenv("CI_MERGE_REQUEST_TARGET_BRANCH_NAME"),
		RunURL:      first(getenv("CI_JOB_URL"), getenv("CI_PIPELINE_URL")),
		Actor:       getenv("GITLAB_USER_LOGIN"),
	}
	if from, to := getenv("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH"), getenv("CI_MERGE_REQUEST_PROJECT_PATH"); from != to {
		f.Stranger = "the merge request comes from the fork " + from
	}
	return f, true
}
