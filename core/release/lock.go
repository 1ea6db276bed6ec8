// SPDX-License-Identifier: Apache-2.0

package release

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/release/internal/lease"
)

// LockOptions say who wants the lock and how it is kept.
type LockOptions struct {
	Holder  string        // who deploys: unique to a run, and the same when a killed job is run again
	RunURL  string        // where to look at the run; may be empty
	Steal   bool          // take it from a holder that lives
	TTL     time.Duration // silence after which others may take it; zero: 60 s
	Renew   time.Duration // time between renewals, less than a third of TTL; zero: 10 s
	Observe event.Func
}

func (o LockOptions) defaults() (LockOptions, error) {
	o.TTL, o.Renew = cmp.Or(o.TTL, time.Minute), cmp.Or(o.Renew, 10*time.Second)
	if o.Holder == "" {
		return o, errors.New("the lock needs the name of its holder: the CI's run, or a user and host")
	}
	if o.Renew <= 0 || 3*o.Renew >= o.TTL {
		return o, fmt.Errorf("a lock that is renewed every %s must last for more than three times as long, not %s", o.Renew, o.TTL)
	}
	return o, nil
}

// HeldError is a lock that another run holds and renews.
type HeldError struct {
	App     App
	Holder  string
	RunURL  string    // may be empty
	Since   time.Time // by the holder's clock
	Expires time.Time // when others may take it unless the holder renews it; by our clock, from when we saw the last renewal
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("%s is being deployed by %s since %s, which has just renewed its lock (it would expire at %s): wait until it ends or cancel it, or take the lock from it with --steal-lock",
		e.App, who(e.Holder, e.RunURL), e.Since.UTC().Format(time.RFC3339), e.Expires.UTC().Format(time.RFC3339))
}

// LostError is a lock that is no longer ours. Nothing may be written after it.
type LostError struct {
	App    App
	Holder string // who has it now; empty: nobody
	RunURL string
}

func (e *LostError) Error() string {
	if e.Holder == "" {
		return fmt.Sprintf("the lock of %s is lost: its Lease was deleted or cleared by hand; nothing more is written", e.App)
	}
	return fmt.Sprintf("the lock of %s is lost to %s; nothing more is written", e.App, who(e.Holder, e.RunURL))
}

func who(holder, url string) string {
	if url == "" {
		return fmt.Sprintf("%q", holder)
	}
	return fmt.Sprintf("%q (%s)", holder, url)
}

// Lock is a Lease that this process holds and renews until Release.
type Lock struct {
	store Store
	app   App
	opt   LockOptions
	want  lease.Lease // as we write it

	ctx    context.Context // ends with the caller's, or when the lock is lost
	cancel context.CancelCauseFunc
	stop   context.CancelFunc // ends the renewal
	done   chan struct{}      // the renewal has ended
	slot   chan struct{}      // one request at a time
	lease  lease.Lease        // as last written or read; whoever has the slot may touch it
	token  int64
	waited atomic.Bool // until whoever the lock was stolen from must have seen that

	mu   sync.Mutex
	last time.Time // before the newest renewal was sent
	over error     // lost or released
}

// Acquire takes the application's lock, and keeps it until Release, which must
// be called even when ctx has ended.
//
// A lock that nobody holds, or that this very Holder held when it was killed,
// is ours at once. Another's is watched: as soon as it is renewed, a HeldError
// comes back; after a TTL of silence, by our clock from what we saw ourselves,
// it is taken over. With Steal it is taken at once, but Acquire returns only
// when the former holder must have seen that, a third of its TTL later.
func Acquire(ctx context.Context, store Store, app App, opt LockOptions) (*Lock, error) {
	opt, err := opt.defaults()
	if err == nil {
		err = app.Check()
	}
	if err != nil {
		return nil, err
	}
	l := &Lock{store: store, app: app, opt: opt, slot: make(chan struct{}, 1), done: make(chan struct{}),
		want: lease.Lease{Holder: opt.Holder, Hold: rand.Text(), RunURL: opt.RunURL, TTL: opt.TTL}}
	if err := l.acquire(ctx); err != nil {
		return nil, fmt.Errorf("locking %s: %w", app, err)
	}
	l.start(ctx)
	select {
	case <-l.ctx.Done():
		err := errors.Join(context.Cause(l.ctx), l.Release(context.WithoutCancel(ctx)))
		return nil, fmt.Errorf("locking %s: %w", app, err)
	case <-time.After(l.want.Owed):
		l.waited.Store(true)
		return l, nil
	}
}

// acquire makes the Lease ours.
func (l *Lock) acquire(ctx context.Context) error {
	rival, refused := lease.Rival{}, error(nil)
	for left := tries; ; {
		live, err := l.look(ctx)
		if err != nil {
			return errors.Join(refused, err)
		}
		if live.Hold == l.want.Hold { // written, though the answer was lost
			l.lease = live
			return nil
		}
		if left == 0 || refused != nil && !apierrors.IsConflict(refused) && !apierrors.IsAlreadyExists(refused) {
			return refused
		}
		known := rival.Holder != ""
		verdict := rival.Judge(live, l.want, l.opt.Steal, time.Now())
		switch verdict {
		case lease.Held:
			return &HeldError{App: l.app, Holder: rival.Holder, RunURL: rival.RunURL, Since: rival.Since, Expires: rival.Seen.Add(rival.TTL)}
		case lease.Wait:
			if !known {
				l.tell(event.Progress, "held by %s; watching for up to %s whether it is still renewed", who(rival.Holder, rival.RunURL), rival.TTL)
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("watching whether %s still renews it: %w", who(rival.Holder, rival.RunURL), context.Cause(ctx))
			case <-time.After(pause):
			}
			continue
		}
		l.want.Owed = live.Owed // a thief before us may not have waited to the end
		if verdict == lease.Steal {
			l.want.Owed = max(live.Owed, lease.Trust(rival.TTL))
			l.tell(event.Warn, "the lock is taken from %s; waiting %s until it must have seen that", who(rival.Holder, rival.RunURL), l.want.Owed)
		}
		l.last = time.Now()
		if refused = l.take(ctx, live); refused == nil {
			return nil
		}
		left--
	}
}

// pause is the time between two looks at another's Lease, and before a
// renewal that failed is tried again.
const pause = 2 * time.Second

// Context ends when the caller's does or, with a LostError as its cause, when
// the lock is lost. It is that of every write under the lock.
func (l *Lock) Context() context.Context { return l.ctx }

// Token is the fencing token: each hold of the application's lock has a higher
// one than all before it. It is the Lease's leaseTransitions, counted from its
// creation in seconds by the server's clock.
func (l *Lock) Token() int64 { return l.token }

// Ours says nil when a write may begin now. That costs nothing while renewals
// succeed; else the Lease is renewed first. A run that was paused for so
// long that another took over gets a LostError.
func (l *Lock) Ours(ctx context.Context) error { return l.prove(ctx, false) }

// Recheck is Ours with a look at the Lease in any case, for after a write that
// met a conflict.
func (l *Lock) Recheck(ctx context.Context) error { return l.prove(ctx, true) }

// state tells whether the last renewal can be believed, or that all is over.
func (l *Lock) state() (fresh bool, over error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	// The monotonic clock stands still while a machine sleeps, the other jumps.
	age := max(now.Sub(l.last), now.Round(0).Sub(l.last.Round(0)))
	return age < lease.Trust(l.opt.TTL), l.over
}
