// SPDX-License-Identifier: Apache-2.0

package drain

import (
	"github.com/outlast-ci/outlast/core/drain/timeline"
)

var kinds = []timeline.Kind{timeline.Rolling, timeline.StatefulSet, timeline.DaemonSet, timeline.Recreate, timeline.Handover}
