// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"fmt"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core/gate/internal/history"
	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

// Patience with what often cures itself.
const (
	pullPatience     = 45 * time.Second // registries and nodes have hiccups
	crashPatience    = 3                // restarts
	volumePatience   = 2 * time.Minute  // a volume is detached from another node first
	schedulePatience = 5 * time.Minute  // a node may have to be made
	refusedPatience  = time.Minute      // other deploys give their room back
	attachPatience   = 90 * time.Second // a new group is attached to its listener after it is made
	stalledPatience  = 10 * time.Second // a deadline that gets shorter, as at the end of a handover, is over until the next progress is counted
)

// cause is what a rollout may fail of. Due: waiting on is in vain.
type cause struct {
	reason  model.Reason
	problem string
	due     bool
}

// waits says what a pod may wait for, by the kubelet's and the scheduler's word, and for how long.
var waits = map[string]struct {
	reason   model.Reason
	patience time.Duration
}{
	"InvalidImageName":           {model.ImagePull, 0},
	"ErrImageNeverPull":          {model.ImagePull, pullPatience},
	"ErrImagePull":               {model.ImagePull, pullPatience}, // ImagePullBackOff is the same
	"ImageInspectError":          {model.ImagePull, pullPatience},
	"RegistryUnavailable":        {model.ImagePull, pullPatience},
	"SignatureValidationFailed":  {model.ImagePull, pullPatience},
	"CreateContainerConfigError": {model.ConfigError, pullPatience},
	"CreateContainerError":       {model.ConfigError, pullPatience},
	"RunContainerError":          {model.ConfigError, pullPatience},
	"PostStartHookError":         {model.ConfigError, pullPatience},
	"FailedMount":                {model.VolumeError, volumePatience},
	"FailedAttachVolume":         {model.VolumeError, volumePatience},
	"Unschedulable":              {model.Unschedulable, schedulePatience},
}

// doomed tells when waiting on is in vain. When the controller gives up, the first
// cause that is there counts, however short it has been: it is why.
func doomed(t *history.Track, now time.Time) (model.Reason, []string) {
	all := causes(t, now)
	for _, c := range all {
		if c.due {
			return c.reason, []string{c.problem}
		}
	}
	if t.Stalled.Held(now) < stalledPatience {
		return "", nil
	}
	reason, problems := model.ProgressDeadline, []string{t.Workload.ID() + ": " + t.Stalled.What}
	if len(all) > 0 {
		reason, problems = all[0].reason, append([]string{all[0].problem}, problems...)
	}
	for _, p := range t.Fresh() {
		problems = append(problems, newReady(t, p)...) // what kept it
	}
	return reason, problems
}

// causes lists what is wrong with new pods, the most telling first.
func causes(t *history.Track, now time.Time) (all []cause) {
	var targets []cause
	for _, p := range t.Fresh() {
		if c, ok := podCause(t, p, now); ok {
			all = append(all, c)
			continue
		}
		for _, g := range t.Groups {
			if tg := p.In[g.ARN]; tg != nil && g.Current && g.Known() {
				if c, ok := targetCause(t, p, g, tg, now); ok {
					targets = append(targets, c)
				}
			}
		}
	}
	if what := t.Refused.What; what != "" {
		c := cause{model.PodRefused, t.Workload.ID() + ": its pods cannot be created: " + what, t.Refused.Held(now) >= refusedPatience && !t.Leaving()}
		if strings.Contains(what, "exceeded quota") {
			c.reason = model.Quota
		}
		all = append(all, c)
	}
	return append(all, targets...)
}

// podCause says what keeps a pod from running.
func podCause(t *history.Track, p *history.Pod, now time.Time) (cause, bool) {
	detail := fmt.Sprintf("pod %s: %s: %s", p.Called(), p.Seen.Waiting, p.Seen.Detail)
	if p.Seen.Restarts > 0 && !p.Seen.ContainersReady && (p.Seen.Waiting == "CrashLoopBackOff" || p.Seen.Waiting == "") {
		if p.Seen.Waiting == "" {
			detail = fmt.Sprintf("pod %s: a container ended and was started again: %s", p.Called(), p.Seen.Detail)
		}
		return cause{model.CrashLoop, fmt.Sprintf("%s (%d restarts)", detail, p.Seen.Restarts), p.Seen.Waiting != "" && p.Seen.Restarts >= crashPatience}, true
	}
	w, ok := waits[p.Trouble.What]
	if !ok {
		return cause{}, false
	}
	due := p.Trouble.Held(now) >= w.patience
	if w.reason == model.Unschedulable {
		due = due && !t.Leaving()
	}
	return cause{w.reason, detail, due}, true
}

// targetCause says what keeps a pod's target from being healthy. An unhealthy one
// gets h (n_u + 1) after Kubernetes called its containers ready, and all the time
// there is where another new pod was healthy once.
func targetCause(t *history.Track, p *history.Pod, g *history.Group, tg *history.Target, now time.Time) (cause, bool) {
	problem := fmt.Sprintf("pod %s: target %s of group %s is %s for %s", p.Called(), tg.At, g.Binding, words(g, tg), seconds(now.Sub(tg.Since)))
	switch {
	case !p.Healthy.IsZero():
		return cause{}, false
	case tg.Reason == "Target.NotInUse":
		return cause{model.TargetNotInUse, problem, tg.Shown > attachPatience}, true
	case tg.Reason == "Target.IpUnusable":
		return cause{model.TargetIPUnusable, problem, tg.Shown > attachPatience}, true
	case tg.State == "unhealthy" && p.Seen.ContainersReady:
		held := min(tg.Shown, tg.Last.Sub(p.Checked))
		return cause{model.TargetUnhealthy, problem, !t.Healthy && held > checks(t, g)}, true
	}
	return cause{}, false
}

// checks is h (n_u + 1) of a group.
func checks(t *history.Track, g *history.Group) time.Duration {
	interval, _, unhealthy := t.Checks(g)
	return interval * time.Duration(unhealthy+1)
}
