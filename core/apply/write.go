// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/apply/internal/objects"
	"github.com/outlast-ci/outlast/core/event"
)

const (
	// attempts is how often an object that changes meanwhile is written anew:
	// with the pauses between, controllers that write a status settle.
	attempts = 12
	// graceful is how long a write may go on after the run was told to end:
	// less than what any CI leaves between its signals.
	graceful = 5 * time.Second
	// absent is a version that no object ever has: the server creates what is
	// sent with it, and refuses it when there is an object already.
	absent = "1"
)

// object brings one object to what the manifests say. What was written by
// somebody else since it was judged is judged again.
func (e *engine) object(ctx, waits context.Context, manifest, live *unstructured.Unstructured) error {
	var adopted *Change
	for try := 0; ; try++ {
		v, err := e.judge(ctx, manifest, live)
		if err != nil {
			return objects.Hush(manifest, err)
		}
		if adopted != nil {
			v.change.Action, v.change.Was, v.change.Lost = Adopted, adopted.Was, adopted.Lost
		}
		err = e.perform(ctx, waits, &v)
		if err == nil {
			e.done(manifest, v)
			return nil
		}
		if !stale(err) || try == attempts {
			return objects.Hush(manifest, err)
		}
		if v.change.Action == Adopted && len(v.adopt) == 0 {
			adopted = &v.change
		}
		if live, err = e.again(ctx, &v, err, try); err != nil {
			return err
		}
	}
}

// perform does what was judged. A stale error means that nothing was written.
func (e *engine) perform(ctx, waits context.Context, v *verdict) (err error) {
	switch {
	case v.change.Action == Unchanged, v.change.Action == Held:
		return nil
	case objects.IsPreDeploy(v.obj):
		return e.runJob(ctx, waits, v)
	case v.live != nil && v.live.GetDeletionTimestamp() != nil:
		if err := e.gone(waits, v.live, time.Minute); err != nil {
			return err
		}
		v.live = nil
	}
	if v.live == nil {
		if err := e.bound(waits, v.obj); err != nil {
			return err
		}
	}
	if v.rolls() {
		if v.replaced, err = e.pods(ctx, *v); err != nil {
			return err
		}
	}
	if err := e.takeOver(ctx, v); err != nil {
		return err
	}
	v.next, err = e.write(ctx, v.obj, v.live)
	if err == nil && v.change.Action == Created {
		v.change.Object = objects.ID(v.next)
	}
	return err
}

// write sends an object, provided that what is there is still live.
func (e *engine) write(ctx context.Context, obj, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if err := e.ours(ctx); err != nil {
		return nil, err
	}
	body := obj.DeepCopy()
	body.SetResourceVersion(absent)
	if live != nil {
		body.SetResourceVersion(live.GetResourceVersion())
		body.SetUID(live.GetUID()) // a server creates an object that is gone anew, but not one with a UID
	}
	ctx, cancel := finishing(ctx)
	defer cancel()
	return e.cluster.Apply(ctx, body, false)
}

func (e *engine) ours(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if e.opt.Fence == nil {
		return nil
	}
	return e.opt.Fence.Ours(ctx)
}

// finishing is a context for a write: it outlives ctx for a moment.
func finishing(ctx context.Context) (context.Context, context.CancelFunc) {
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-own.Done():
		case <-time.After(graceful):
			cancel(context.Cause(ctx))
		}
	})
	return own, func() {
		stop()
		cancel(nil)
	}
}

// stale tells that an object changed between look and write.
func stale(err error) bool {
	return apierrors.IsConflict(err) && !isFieldConflict(err)
}

// again reads an object that somebody else wrote meanwhile: a controller its
// status, or another deploy, which the fence tells.
func (e *engine) again(ctx context.Context, v *verdict, cause error, try int) (*unstructured.Unstructured, error) {
	if e.opt.Fence != nil {
		if err := e.opt.Fence.Recheck(ctx); err != nil {
			return nil, fmt.Errorf("%w (%s was written by somebody else: %w)", err, v.change.Object, cause)
		}
	}
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(min(10*time.Millisecond<<try, time.Second)):
	}
	live, err := e.cluster.Get(ctx, v.obj.GetAPIVersion(), v.obj.GetKind(), v.obj.GetNamespace(), v.obj.GetName())
	if err != nil {
		return nil, err
	}
	if v.live != nil && (live == nil || live.GetUID() != v.live.GetUID()) {
		e.tell(event.Warn, v.change.Object, "somebody deleted it during this deploy; it is made anew from the manifests")
	}
	return live, nil
}

// gone waits until an object that is being deleted is not there any more.
func (e *engine) gone(ctx context.Context, live *unstructured.Unstructured, limit time.Duration) error {
	ended := time.Now().Add(limit)
	for {
		now, err := e.cluster.Get(ctx, live.GetAPIVersion(), live.GetKind(), live.GetNamespace(), live.GetName())
		if err != nil {
			return err
		}
		if now == nil || now.GetUID() != live.GetUID() {
			return nil
		}
		if time.Now().After(ended) {
			return fmt.Errorf("creating %s: after %s the object of that name is being deleted still; its finalizers are %v: is what removes them running?", objects.ID(live), limit, strings.Join(now.GetFinalizers(), ", "))
		}
		e.tell(event.Progress, objects.ID(live), "waiting until it is deleted")
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}
