// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"cmp"
	"time"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/gate/internal/history"
	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

// ending is what was seen of the end of a pod that was a target.
type ending struct {
	registered bool
	ended      time.Time // its first container finished; zero: nobody saw that
	alive      time.Time // last known to run
	gone       time.Time // first seen gone
	killed     bool      // by SIGKILL
	until      time.Time // the balancer had surely stopped sending; zero: nobody saw that
	before     time.Time // up to then it may have sent
}

// endingOf collects a pod's over its groups.
func endingOf(t *history.Track, p *history.Pod) ending {
	e := ending{registered: !p.Registered.IsZero(), ended: p.Ended, alive: p.Alive, gone: p.Gone}
	fast, open := t.Workload.Plan.Mode == drain.Fast, false
	e.killed = fast && p.Killed
	for _, g := range t.Groups {
		tg := p.In[g.ARN]
		if tg == nil || !tg.Registered {
			continue
		}
		before, until := tg.LastListed, tg.Absent
		if fast {
			before, until = time.Time{}, tg.Left
			if !tg.LastServing.IsZero() {
				before = tg.LastServing.Add(t.Quiet())
			}
		}
		if (fast || t.Short(g)) && !until.IsZero() {
			until = history.Latest(until, tg.Left.Add(t.Quiet()))
		}
		e.before, open = history.Latest(e.before, before), open || until.IsZero()
		e.until = history.Latest(e.until, until)
	}
	if open {
		e.until = time.Time{}
	}
	return e
}

// resolution is that of the kubelet's times: what it dates may be that much later.
const resolution = time.Second

// prove says whether a pod was seen to outlast its target. Strict: it ran when the
// target was gone. Fast: it ran until the balancer must have stopped sending, and
// was not killed. Times are those of polls, so where the truth may lie between two
// polls, nothing was observed. The margin is what was seen at least, in seconds.
func prove(e ending) (model.Proof, float64) {
	ended := e.ended
	if ended.IsZero() { // it vanished between two polls
		ended = e.alive
	}
	margin := 0.0
	if against := cmp.Or(e.until, e.before); !against.IsZero() {
		margin = ended.Sub(against).Seconds()
	}
	switch {
	case !e.registered:
		return model.NotObserved, 0
	case e.killed || (!e.ended.IsZero() && !e.ended.Add(resolution).After(e.before)) || !e.gone.After(e.before):
		return model.Broken, margin
	case !e.until.IsZero() && margin >= 0 && (!e.ended.IsZero() || margin > 0): // in one poll the pod is read before its target
		return model.Proven, margin
	}
	return model.NotObserved, 0
}
