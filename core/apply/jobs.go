// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"maps"
	"time"

	"github.com/outlast-ci/outlast/core/apply/internal/job"
	"github.com/outlast-ci/outlast/core/apply/internal/objects"
	"github.com/outlast-ci/outlast/core/event"
)

// runAnnotation on a pre-deploy Job says for which attempt and which manifests
// it runs.
const runAnnotation = "outlast/run"

// jobLimit is the longest run of a Job when nothing else is said.
const jobLimit = 10 * time.Minute

// run is what runAnnotation says in this Apply.
func (e *engine) run() string { return e.opt.Attempt + " " + e.digest }

// judgeJob decides about a pre-deploy Job that is there: it runs anew, unless
// this same attempt has started it already.
func (e *engine) judgeJob(_ context.Context, v verdict) (verdict, error) {
	done, succeeded, _ := job.Finished(v.live)
	mine := v.live.GetAnnotations()[runAnnotation] == e.run()
	switch {
	case mine && done && succeeded:
		v.note("it has succeeded in this attempt already")
	case mine && !done:
		v.change.Action = Configured
		v.note("this attempt has started it already")
	default:
		v.change.Action = Replaced
	}
	return v, nil
}

// runJob runs a pre-deploy Job to its end. One of that name that is there is
// replaced, never patched: what ran must be what the manifests say.
func (e *engine) runJob(ctx, waits context.Context, v *verdict) (err error) {
	limit := e.opt.JobTimeout
	if limit == 0 {
		limit = jobLimit
	}
	if v.live != nil && v.live.GetDeletionTimestamp() == nil {
		done, _, _ := job.Finished(v.live)
		if v.change.Action == Configured || !done { // ours, or one that an earlier attempt left running: a migration is not cut short
			err := e.waitJob(waits, v, limit)
			if v.change.Action == Configured {
				v.next = v.live
				return err
			}
			if waits.Err() != nil {
				return err
			}
		}
		if err := e.client.Delete(ctx, v.live); err != nil {
			return err
		}
	}
	if v.live != nil {
		if err := e.client.Gone(waits, v.live, goneLimit, e.progress(v)); err != nil {
			return err
		}
	}
	annotations := maps.Clone(v.obj.GetAnnotations())
	annotations[runAnnotation] = e.run()
	v.obj.SetAnnotations(annotations)
	if v.next, err = e.client.Write(ctx, v.obj, nil); err != nil {
		return err
	}
	v.live = v.next
	v.change.Object = objects.ID(v.next)
	return e.waitJob(waits, v, limit)
}

func (e *engine) waitJob(ctx context.Context, v *verdict, limit time.Duration) error {
	name := objects.ID(v.live)
	return job.Wait(ctx, e.cluster, e.opt.Logs, v.live, limit,
		func(pod, text string) { e.tell(event.Log, "Pod/"+v.live.GetNamespace()+"/"+pod, text) },
		func(text string) { e.tell(event.Progress, name, text) })
}
