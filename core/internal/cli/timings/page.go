// SPDX-License-Identifier: Apache-2.0

package timings

import "github.com/outlast-ci/outlast/core/drain"

// Page tells of a plan that manifests led to what the page of outlast timings
// tells: every inequality with its margin, how an old pod ends, and the rollout.
func Page(plan drain.Plan, strategy drain.Strategy) string {
	return answer{Plan: plan, Findings: plan.Findings, Timeline: drain.Predict(plan, strategy)}.text()
}
