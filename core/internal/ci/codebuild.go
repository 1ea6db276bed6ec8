// SPDX-License-Identifier: Apache-2.0

package ci

import "strings"

// onCodeBuild: https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html
//
// CodePipeline gives no branch: CODEBUILD_WEBHOOK_HEAD_REF is set for webhook
// builds only, and CODEBUILD_SOURCE_VERSION may be a branch, a commit or an
// object of the artifact store. Outlast's own branch input fills the gap.
func onCodeBuild(getenv func(string) string) (Facts, bool) {
	if getenv("CODEBUILD_BUILD_ID") == "" {
		return Facts{}, false
	}
	f := Facts{
		Host:   "codebuild",
		Commit: getenv("CODEBUILD_RESOLVED_SOURCE_VERSION"),
		RunURL: getenv("CODEBUILD_BUILD_URL"),
		Actor:  first(getenv("CODEBUILD_WEBHOOK_ACTOR_ACCOUNT_ID"), getenv("CODEBUILD_INITIATOR")),
	}
	ref := getenv("CODEBUILD_WEBHOOK_HEAD_REF")
	if branch, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		f.Branch = branch
	}
	if tag, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		f.Tag = tag
	}
	if pr, ok := strings.CutPrefix(getenv("CODEBUILD_WEBHOOK_TRIGGER"), "pr/"); ok {
		f.PullRequest = pr
		f.Target = strings.TrimPrefix(getenv("CODEBUILD_WEBHOOK_BASE_REF"), "refs/heads/")
	}
	return f, true
}
