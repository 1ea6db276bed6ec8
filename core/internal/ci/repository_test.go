// SPDX-License-Identifier: Apache-2.0

package ci

import (
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRemote(t *testing.T) {
	for remote, want := range map[string][2]string{
		"https://github.com/team/web.git":           {"github.com", "team/web"},
		"https://token:secret@GitHub.com/team/web/": {"github.com", "team/web"},
		"git@jihulab.com:group/sub/web.git":         {"jihulab.com", "group/sub/web"},
		"gitlab.cn:web":                             {"gitlab.cn", "web"},
		"ssh://git@gitlab.com:22/team/web.git":      {"gitlab.com", "team/web"},
		"/srv/git/web.git":                          {"", ""},
		"../web:old":                                {"", ""},
		"":                                          {"", ""},
	} {
		if host, path := parseRemote(remote); host != want[0] || path != want[1] {
			t.Errorf("%s: host %q, path %q, want %q", remote, host, path, want)
		}
	}
}

func TestReadRepository(t *testing.T) {
	environ := []string{"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "PATH=/usr/bin:/bin", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com"}
	const commit = "git commit -q --allow-empty -m x; "
	for name, tc := range map[string]struct {
		script string
		want   Repository
	}{
		"no checkout":                  {"true", Repository{}},
		"a branch without a commit":    {"git init -q -b trunk", Repository{Default: "trunk", Branches: []string{"trunk"}}},
		"main and another checked out": {"git init -q -b main; " + commit + "git checkout -q -b topic", Repository{Default: "main", Branches: []string{"main", "topic"}}},
		"the remote's word counts":     {"git init -q -b main; " + commit + "git remote add origin git@github.com:team/web.git; git update-ref refs/remotes/origin/develop HEAD; git update-ref refs/remotes/origin/main HEAD; git symbolic-ref refs/remotes/origin/HEAD refs/remotes/origin/develop", Repository{Host: "github.com", Path: "team/web", Default: "develop", Branches: []string{"develop", "main"}}},
		"one remote of another name":   {"git init -q -b main; git remote add upstream https://gitlab.com/team/web", Repository{Host: "gitlab.com", Path: "team/web", Default: "main", Branches: []string{"main"}}},
		"a detached head":              {"git init -q -b trunk; " + commit + "git checkout -q --detach", Repository{Branches: []string{"trunk"}}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.Command("sh", "-ec", tc.script)
			cmd.Dir, cmd.Env = dir, environ
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			got := ReadRepository(t.Context(), dir, environ)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
