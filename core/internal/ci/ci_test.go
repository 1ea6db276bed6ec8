// SPDX-License-Identifier: Apache-2.0

package ci

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDetect(t *testing.T) {
	for name, tc := range map[string]struct {
		env  map[string]string
		want Facts
	}{
		"no CI": {map[string]string{"CI": "true"}, Facts{}},
		"a push on GitHub": {
			map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_SHA": "abc", "GITHUB_REF": "refs/heads/main", "GITHUB_EVENT_NAME": "push",
				"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "o/r", "GITHUB_RUN_ID": "7", "GITHUB_ACTOR": "mei"},
			Facts{Host: "github", Commit: "abc", Branch: "main", RunURL: "https://github.com/o/r/actions/runs/7", Actor: "mei"},
		},
		"a tag on GitHub": {
			map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/tags/v1"}, Facts{Host: "github", Tag: "v1"},
		},
		"a pull request on GitHub": {
			map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/pull/12/merge", "GITHUB_EVENT_NAME": "pull_request", "GITHUB_HEAD_REF": "fix"},
			Facts{Host: "github", PullRequest: "12", Branch: "fix"},
		},
		"a pull request of a fork on GitHub": {
			map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/pull/12/merge", "GITHUB_EVENT_NAME": "pull_request", "GITHUB_HEAD_REF": "fix", "GITHUB_EVENT_PATH": "testdata/fork.json"},
			Facts{Host: "github", PullRequest: "12", Branch: "fix", Stranger: "the pull request comes from the fork evil/web"},
		},
		"a pull request of the same repository": {
			map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/pull/12/merge", "GITHUB_EVENT_NAME": "pull_request", "GITHUB_HEAD_REF": "fix", "GITHUB_BASE_REF": "main", "GITHUB_EVENT_PATH": "testdata/own.json"},
			Facts{Host: "github", PullRequest: "12", Branch: "fix", Target: "main"},
		},
		"a pull request whose payload is broken": {
			map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/pull/12/merge", "GITHUB_EVENT_NAME": "pull_request", "GITHUB_HEAD_REF": "fix", "GITHUB_EVENT_PATH": "testdata/broken.json"},
			Facts{Host: "github", PullRequest: "12", Branch: "fix", Stranger: "whose pull request this is cannot be read: failed to unmarshal event payload: unexpected end of JSON input"},
		},
		"a push whose payload is broken": {
			map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/heads/main", "GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": "testdata/broken.json"},
			Facts{Host: "github", Branch: "main"},
		},
		"variables of GitHub's that are none": {
			map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/heads/main", "GITHUB_RUN_ID": "seven"},
			Facts{Host: "github", Stranger: `the runner's variables cannot be read: strconv.ParseInt: parsing "seven": invalid syntax`},
		},
		"pull_request_target, whose ref is the target branch": {
			map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/heads/main", "GITHUB_EVENT_NAME": "pull_request_target", "GITHUB_HEAD_REF": "evil"},
			Facts{Host: "github", PullRequest: "unknown", Branch: "evil", Stranger: "pull_request_target gives the code of a pull request, maybe a stranger's, this repository's secrets; use pull_request"},
		},
		"a branch on GitLab": {
			map[string]string{"GITLAB_CI": "true", "CI_COMMIT_SHA": "abc", "CI_COMMIT_BRANCH": "develop", "CI_JOB_URL": "https://gitlab.cn/j/1", "GITLAB_USER_LOGIN": "li"},
			Facts{Host: "gitlab", Commit: "abc", Branch: "develop", RunURL: "https://gitlab.cn/j/1", Actor: "li"},
		},
		"a merge request on GitLab": {
			map[string]string{"GITLAB_CI": "true", "CI_MERGE_REQUEST_IID": "3", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "fix"},
			Facts{Host: "gitlab", PullRequest: "3", Branch: "fix"},
		},
		"a merge request of a fork on GitLab": {
			map[string]string{"GITLAB_CI": "true", "CI_MERGE_REQUEST_IID": "3", "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "evil/web", "CI_MERGE_REQUEST_PROJECT_PATH": "acme/web"},
			Facts{Host: "gitlab", PullRequest: "3", Stranger: "the merge request comes from the fork evil/web"},
		},
		"a push on CircleCI while a pull request from the branch is open": {
			map[string]string{"CIRCLECI": "true", "CIRCLE_SHA1": "abc", "CIRCLE_BRANCH": "develop", "CIRCLE_PULL_REQUEST": "https://github.com/o/r/pull/7"},
			Facts{Host: "circleci", Commit: "abc", Branch: "develop"},
		},
		"a pull request of a fork on CircleCI": {
			map[string]string{"CIRCLECI": "true", "CIRCLE_BRANCH": "pull/7", "CIRCLE_PR_NUMBER": "7", "CIRCLE_PR_USERNAME": "evil", "CIRCLE_PR_REPONAME": "web"},
			Facts{Host: "circleci", Branch: "pull/7", PullRequest: "7", Stranger: "the pull request comes from the fork evil/web"},
		},
		"CircleCI": {
			map[string]string{"CIRCLECI": "true", "CIRCLE_SHA1": "abc", "CIRCLE_BRANCH": "main", "CIRCLE_BUILD_URL": "https://circleci.com/1"},
			Facts{Host: "circleci", Commit: "abc", Branch: "main", RunURL: "https://circleci.com/1"},
		},
		"a webhook on CodeBuild": {
			map[string]string{"CODEBUILD_BUILD_ID": "p:1", "CODEBUILD_RESOLVED_SOURCE_VERSION": "abc", "CODEBUILD_WEBHOOK_HEAD_REF": "refs/heads/main", "CODEBUILD_WEBHOOK_TRIGGER": "branch/main"},
			Facts{Host: "codebuild", Commit: "abc", Branch: "main"},
		},
		"a pull request on CodeBuild": {
			map[string]string{"CODEBUILD_BUILD_ID": "p:1", "CODEBUILD_WEBHOOK_TRIGGER": "pr/5", "CODEBUILD_WEBHOOK_HEAD_REF": "refs/heads/fix", "CODEBUILD_WEBHOOK_BASE_REF": "refs/heads/main"},
			Facts{Host: "codebuild", Branch: "fix", PullRequest: "5", Target: "main"},
		},
		"Jenkins with the git plugin": {
			map[string]string{"JENKINS_URL": "https://j/", "GIT_COMMIT": "abc", "GIT_BRANCH": "origin/main", "BUILD_URL": "https://j/1"},
			Facts{Host: "jenkins", Commit: "abc", Branch: "main", RunURL: "https://j/1"},
		},
		"a change request on Jenkins": {
			map[string]string{"JENKINS_URL": "https://j/", "BRANCH_NAME": "PR-4", "CHANGE_ID": "4", "CHANGE_BRANCH": "fix", "CHANGE_TARGET": "main"},
			Facts{Host: "jenkins", Branch: "fix", PullRequest: "4", Target: "main"},
		},
		"a change request of a fork on Jenkins": {
			map[string]string{"JENKINS_URL": "https://j/", "BRANCH_NAME": "PR-4", "CHANGE_ID": "4", "CHANGE_BRANCH": "fix", "CHANGE_TARGET": "main", "CHANGE_FORK": "evil"},
			Facts{Host: "jenkins", Branch: "fix", PullRequest: "4", Target: "main", Stranger: "the change request comes from the fork evil"},
		},
		"a tag on Jenkins": {
			map[string]string{"JENKINS_URL": "https://j/", "BRANCH_NAME": "v1", "TAG_NAME": "v1"}, Facts{Host: "jenkins", Tag: "v1"},
		},
		"a GitHub runner inside CodeBuild": {
			map[string]string{"CODEBUILD_BUILD_ID": "p:1", "GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/heads/main"}, Facts{Host: "github", Branch: "main"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Detect(func(k string) string { return tc.env[k] })); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadGit(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	env := append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
		"GIT_COMMITTER_DATE=1700000000 +0000", "GIT_AUTHOR_DATE=1700000000 +0000")
	if _, err := ReadGit(ctx, dir, env); !errors.Is(err, ErrNoGit) {
		t.Errorf("an empty folder: %v, want ErrNoGit", err)
	}
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir}, args...)...)
		cmd.Env = env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	git("init", "-q", "-b", "trunk")
	write("a", "1")
	write(".gitignore", "ignored\n")
	git("add", ".")
	git("commit", "-qm", "one")
	write("ignored", "x")
	g, err := ReadGit(ctx, dir, env)
	if err != nil || g.Branch != "trunk" || g.Dirty || len(g.Commit) != 40 || g.Seconds != "1700000000" {
		t.Errorf("a clean checkout: %+v, %v", g, err)
	}
	write("a", "2")
	if g, err := ReadGit(ctx, dir, env); err != nil || !g.Dirty {
		t.Errorf("a changed file: %+v, %v, want dirty", g, err)
	}
	git("checkout", "-q", "--detach", "-f")
	write("new", "x")
	if g, err := ReadGit(ctx, dir, env); err != nil || !g.Dirty || g.Branch != "" {
		t.Errorf("an untracked file on a detached head: %+v, %v, want dirty and no branch", g, err)
	}
}
