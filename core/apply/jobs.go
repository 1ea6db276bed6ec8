// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/apply/internal/job"
	"github.com/outlast-ci/outlast/core/apply/internal/objects"
	"github.com/outlast-ci/outlast/core/event"
)

// runAnnotation on a pre-deploy Job says for which attempt it runs, and of what
// content it is.
const runAnnotation = "outlast/run"

// jobLimit is the longest run of a Job when nothing else is said.
const jobLimit = 10 * time.Minute

// run is what runAnnotation says in this Apply. Other objects of the attempt
// may be applied in several forms, a step at a time: they are no part of it.
func (e *engine) run(obj *unstructured.Unstructured) (string, error) {
	text, err := obj.MarshalJSON()
	sum := sha256.Sum256(text)
	return e.opt.Attempt + " " + hex.EncodeToString(sum[:]), err
}

// judgeJob decides about a pre-deploy Job that is there: it runs anew, unless
// this same attempt has started it already.
func (e *engine) judgeJob(v verdict) (verdict, error) {
	run, err := e.run(v.obj)
	if err != nil {
		return v, err
	}
	done, succeeded, _ := job.Finished(v.live)
	mine := v.live.GetAnnotations()[runAnnotation] == run
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
		if v.change.Action == Configured { // this attempt's own
			v.next = v.live
			return e.waitJob(waits, v, limit)
		}
		if err := e.endJob(ctx, waits, v, limit); err != nil {
			return err
		}
	}
	if v.live != nil {
		if err := e.client.Gone(waits, v.live, goneLimit, e.progress(v)); err != nil {
			return err
		}
	}
	run, err := e.run(v.obj)
	if err != nil {
		return err
	}
	annotations := maps.Clone(v.obj.GetAnnotations())
	annotations[runAnnotation] = run
	v.obj.SetAnnotations(annotations)
	if v.next, err = e.client.Write(ctx, v.obj, nil); err != nil {
		return err
	}
	v.live = v.next
	v.change.Object = objects.ID(v.next)
	return e.waitJob(waits, v, limit)
}

// endJob deletes a Job of an earlier attempt. One that runs still is not cut
// short: it may be in the middle of a migration.
func (e *engine) endJob(ctx, waits context.Context, v *verdict, limit time.Duration) error {
	if done, _, _ := job.Finished(v.live); !done {
		waited := e.waitJob(waits, v, limit)
		now, err := e.cluster.Get(ctx, v.live.GetAPIVersion(), v.live.GetKind(), v.live.GetNamespace(), v.live.GetName())
		if err != nil {
			return err
		}
		if now == nil {
			return nil
		}
		if done, _, _ := job.Finished(now); !done {
			return waited
		}
	}
	return e.client.Delete(ctx, v.live)
}

func (e *engine) waitJob(ctx context.Context, v *verdict, limit time.Duration) error {
	name := objects.ID(v.live)
	return job.Wait(ctx, e.cluster, e.opt.Logs, v.live, limit,
		func(pod, text string) { e.tell(event.Log, "Pod/"+v.live.GetNamespace()+"/"+pod, text) },
		func(text string) { e.tell(event.Progress, name, text) })
}
