// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"testing"

	"github.com/outlast-ci/outlast/core/internal/ci"
)

// TestNoTwoLiveRunsAreOneHolder: what runs side by side under one address is two
// holders; the same job again is the same one.
func TestNoTwoLiveRunsAreOneHolder(t *testing.T) {
	holder := func(environ ...string) string {
		c := Call{Env: Env{Environ: environ}, Facts: ci.Facts{RunURL: "https://ci.example.com/runs/7"}}
		return c.holder()
	}
	for name, pair := range map[string][2][]string{
		"legs of a GitHub matrix":     {{"GITHUB_JOB=deploy", "RUNNER_NAME=GitHub Actions 1"}, {"GITHUB_JOB=deploy", "RUNNER_NAME=GitHub Actions 2"}},
		"two jobs of a GitHub run":    {{"GITHUB_JOB=web", "RUNNER_NAME=r"}, {"GITHUB_JOB=api", "RUNNER_NAME=r"}},
		"nodes of a CircleCI job":     {{"CIRCLE_NODE_INDEX=0"}, {"CIRCLE_NODE_INDEX=1"}},
		"parallel stages of Jenkins":  {{"STAGE_NAME=web", "NODE_NAME=a"}, {"STAGE_NAME=api", "NODE_NAME=a"}},
		"executors of a Jenkins node": {{"NODE_NAME=a", "EXECUTOR_NUMBER=0"}, {"NODE_NAME=a", "EXECUTOR_NUMBER=1"}},
	} {
		if a, b := holder(pair[0]...), holder(pair[1]...); a == b {
			t.Errorf("%s: both are %q", name, a)
		}
		if a, b := holder(pair[0]...), holder(pair[0]...); a != b {
			t.Errorf("%s: the same is %q and %q", name, a, b)
		}
	}
}
