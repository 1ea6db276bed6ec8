// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/release/internal/lease"
)

// errReleased ends a lock's Context when its holder gives it up.
var errReleased = errors.New("the lock was released")

const (
	leaseVersion = "coordination.k8s.io/v1"
	leaseKind    = "Lease"
)

func (a App) leaseName() string { return "outlast-" + a.Name }

// tell reports something about the Lease.
func (l *Lock) tell(kind event.Kind, format string, args ...any) {
	object := leaseKind + "/" + l.app.Namespace + "/" + l.app.leaseName()
	l.opt.Observe.Emit(event.Event{Stage: "apply", Kind: kind, Object: object, Message: fmt.Sprintf(format, args...)})
}

// look reads the Lease.
func (l *Lock) look(ctx context.Context) (lease.Lease, error) {
	obj, err := l.store.Get(ctx, leaseVersion, leaseKind, l.app.Namespace, l.app.leaseName())
	if err != nil || obj == nil {
		return lease.Lease{}, err
	}
	return lease.Parse(obj), nil
}

// take writes the Lease as ours.
func (l *Lock) take(ctx context.Context, live lease.Lease) (err error) {
	obj := l.app.base(leaseVersion, leaseKind, l.app.leaseName())
	live.Take(obj, l.want, l.last)
	if live.Object == nil {
		obj, err = l.store.Create(ctx, obj)
	} else {
		obj, err = l.store.Update(ctx, obj)
	}
	if err == nil {
		l.lease = lease.Parse(obj)
	}
	return err
}

// start begins the renewal. It goes on when ctx ends: what a run does then, be
// it a rollback, is still under the lock.
func (l *Lock) start(ctx context.Context) {
	l.token = l.lease.Token
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	go func() {
		defer close(l.done)
		l.keep(keeping)
	}()
}

// keep renews until the lock is released or lost. A server that does not
// answer loses us nothing: nobody else can take the Lease there either.
func (l *Lock) keep(ctx context.Context) {
	rest, failed := l.opt.Renew, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(rest):
		}
		once, cancel := context.WithTimeout(ctx, l.opt.Renew)
		err := l.renew(once)
		cancel()
		var lost *LostError
		if errors.As(err, &lost) || ctx.Err() != nil {
			return
		}
		if err != nil && !failed {
			l.tell(event.Warn, "not renewed, and tried again: others may take it after %s without: %v", l.opt.TTL, err)
		}
		rest, failed = l.opt.Renew, err != nil
		if failed {
			rest = min(pause, l.opt.Renew)
		}
	}
}

// turn waits for the slot; give it back with done.
func (l *Lock) turn(ctx context.Context) (done func(), err error) {
	select {
	case l.slot <- struct{}{}:
		return func() { <-l.slot }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// renew writes the Lease's time.
func (l *Lock) renew(ctx context.Context) error {
	done, err := l.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	if _, over := l.state(); over != nil {
		return over
	}
	return l.write(ctx)
}

// write renews the Lease in its turn. A conflict may be no more than a label
// of somebody's, or a renewal of our own whose answer was lost.
func (l *Lock) write(ctx context.Context) error {
	for range tries {
		began := time.Now()
		obj, err := l.store.Update(ctx, l.lease.Renew(began, l.waited.Load()))
		switch {
		case err == nil:
			l.lease = lease.Parse(obj)
			l.mu.Lock()
			l.last = began
			l.mu.Unlock()
			return nil
		case apierrors.IsConflict(err), apierrors.IsNotFound(err):
			if err := l.read(ctx); err != nil {
				return err
			}
		default:
			return fmt.Errorf("renewing the lock of %s: %w", l.app, err)
		}
	}
	return fmt.Errorf("renewing the lock of %s: its Lease changes faster than it can be written", l.app)
}

// tries is how often a write is repeated that meets conflicts although the
// object is still ours.
const tries = 10

// read looks, in its turn, whose the Lease is.
func (l *Lock) read(ctx context.Context) error {
	live, err := l.look(ctx)
	if err != nil {
		return fmt.Errorf("looking whether the lock of %s is still ours: %w", l.app, err)
	}
	if live.Hold != l.want.Hold || live.Token != l.token || live.Object.GetUID() != l.lease.Object.GetUID() {
		lost := &LostError{App: l.app, Holder: live.Holder, RunURL: live.RunURL}
		l.end(lost)
		return lost
	}
	l.lease = live
	return nil
}

// end makes every later question be answered with why, and ends the Context.
func (l *Lock) end(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over == nil {
		l.over = why
		l.cancel(why)
	}
}

// prove asks until an answer is fresh when it has come: one that was long under
// way, or that a paused process wakes up with, proves nothing.
func (l *Lock) prove(ctx context.Context, always bool) error {
	if fresh, over := l.state(); over != nil || fresh && !always {
		return over
	}
	done, err := l.turn(ctx)
	if err != nil {
		return fmt.Errorf("looking whether the lock of %s is still ours: %w", l.app, err)
	}
	defer done()
	for range tries {
		fresh, over := l.state() // another caller may have just asked
		switch {
		case over != nil || fresh && !always:
			return over
		case always:
			always, err = false, l.read(ctx)
		default:
			err = l.write(ctx)
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("looking whether the lock of %s is still ours: each answer takes longer than %s", l.app, lease.Trust(l.opt.TTL))
}

// Release gives the lock up: the Lease stays, without a holder, and keeps the
// token. Of a lock that is lost, or released already, nothing is written. When
// the release fails, the Lease expires by itself.
func (l *Lock) Release(ctx context.Context) error {
	l.stop()
	<-l.done
	done, err := l.turn(ctx)
	if err != nil {
		return fmt.Errorf("releasing the lock of %s: %w", l.app, err)
	}
	defer done()
	_, over := l.state()
	l.end(errReleased)
	if over != nil {
		return nil
	}
	for range tries {
		_, err = l.store.Update(ctx, l.lease.Release())
		if err == nil || apierrors.IsNotFound(err) {
			return nil
		}
		if !apierrors.IsConflict(err) {
			break
		}
		var lost *LostError
		if look := l.read(ctx); errors.As(look, &lost) {
			return nil // ours no more, or cleared by an Update whose answer was lost
		}
	}
	return fmt.Errorf("releasing the lock of %s, which else expires after %s: %w", l.app, l.opt.TTL, err)
}
