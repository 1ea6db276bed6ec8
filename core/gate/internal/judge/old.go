// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"fmt"
	"time"

	"github.com/outlast-ci/outlast/core/gate/internal/history"
	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

// oldDone lists why the old pods are not done with, as far as they are waited for.
func oldDone(t *history.Track, now time.Time) (problems []string) {
	for _, p := range t.All() {
		switch {
		case t.Workload.Until == model.Ready:
		case t.Workload.Until == model.Unused && !p.New && p.Gone.IsZero():
			problems = append(problems, unused(t, p, now)...)
		case t.Workload.Until == model.End && (!p.New || !p.Deleted.IsZero()):
			problems = append(problems, oldDrained(t, p, now)...)
		}
	}
	return problems
}

// unused lists why an old pod that still runs may not be deleted yet: a target of its
// is listed, or was serving so lately that a node of the balancer may not know better, or
// that a request of then may not have ended.
func unused(t *history.Track, p *history.Pod, now time.Time) (problems []string) {
	in := t.Workload.Plan.Inputs
	quiet := max(t.Quiet(), in.MaxPropagation()+in.Request+in.Margin)
	for _, g := range t.Groups {
		switch tg := p.In[g.ARN]; {
		case p.IP == "":
		case tg == nil:
			problems = append(problems, fmt.Sprintf("old pod %s: target group %s has not been read yet", p.Called(), g.Binding))
		case tg.Listed():
			problems = append(problems, fmt.Sprintf("old pod %s: its target is %s", p.Called(), words(g, tg)))
		case !tg.Left.IsZero() && now.Sub(tg.Left) < quiet:
			problems = append(problems, fmt.Sprintf("old pod %s: the balancer may use it for another %s", p.Called(), seconds(quiet-now.Sub(tg.Left))))
		}
	}
	return problems
}
