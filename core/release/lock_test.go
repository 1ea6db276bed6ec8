// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/event"
)

var first = LockOptions{Holder: "run 1", RunURL: "https://ci.example/1"}
var second = LockOptions{Holder: "run 2", RunURL: "https://ci.example/2"}

func acquired(t *testing.T, store Store, opt LockOptions) *Lock {
	t.Helper()
	l, err := Acquire(t.Context(), store, web, opt)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// killed ends a lock's process without a word.
func killed(l *Lock) {
	l.stop()
	<-l.done
}

func released(t *testing.T, l *Lock) {
	t.Helper()
	if err := l.Release(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

func (s *server) lease(t *testing.T) (holder string, holds int64) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	obj := s.objects["Lease/dev/outlast-web"]
	if obj == nil {
		t.Fatal("there is no Lease")
	}
	holder, _, _ = unstructured.NestedString(obj.Object, "spec", "holderIdentity")
	holds, _, _ = unstructured.NestedInt64(obj.Object, "spec", "leaseTransitions")
	return holder, holds
}

// TestAcquire: what an acquirer gets, and how long that takes, by what it finds.
func TestAcquire(t *testing.T) {
	for name, tc := range map[string]struct {
		found   func(t *testing.T, s *server) (end func()) // another run's doing
		opt     LockOptions
		after   time.Duration // until Acquire returns
		holds   int64         // then
		refused []string      // parts of a HeldError
	}{
		"a lock that never was is ours at once": {nil, second, 0, 1, nil},
		"a lock that was released is ours at once": {func(t *testing.T, s *server) func() {
			released(t, acquired(t, s, first))
			return nil
		}, second, 0, 2, nil},
		"a killed run's lock is ours after a minute of silence": {func(t *testing.T, s *server) func() {
			killed(acquired(t, s, first))
			return nil
		}, second, time.Minute, 2, nil},
		"a lock whose silence began long ago is watched for a minute all the same": {func(t *testing.T, s *server) func() {
			killed(acquired(t, s, first))
			time.Sleep(time.Hour)
			return nil
		}, second, time.Minute, 2, nil},
		"a holder that waits longer for silence decides": {func(t *testing.T, s *server) func() {
			killed(acquired(t, s, LockOptions{Holder: "run 1", TTL: 3 * time.Minute}))
			return nil
		}, second, 3 * time.Minute, 2, nil},
		"a killed run's lock is the same run's at once": {func(t *testing.T, s *server) func() {
			killed(acquired(t, s, second))
			return nil
		}, second, 0, 2, nil},
		"a Lease without a duration is watched as long as ours": {func(t *testing.T, s *server) func() {
			killed(acquired(t, s, first))
			s.touch(t, "Lease", "outlast-web", func(obj *unstructured.Unstructured) {
				unstructured.RemoveNestedField(obj.Object, "spec", "leaseDurationSeconds")
			})
			return nil
		}, second, time.Minute, 2, nil},
		"a Lease whose clock is ten minutes ahead is watched for a minute": {func(t *testing.T, s *server) func() {
			killed(acquired(t, s, first))
			s.touch(t, "Lease", "outlast-web", func(obj *unstructured.Unstructured) {
				obj.Object["spec"].(map[string]any)["renewTime"] = time.Now().Add(10 * time.Minute).Format(microTime)
			})
			return nil
		}, second, time.Minute, 2, nil},
		"a Lease that only had its labels changed is silent": {func(t *testing.T, s *server) func() {
			killed(acquired(t, s, first))
			time.AfterFunc(31*time.Second, func() {
				s.touch(t, "Lease", "outlast-web", func(obj *unstructured.Unstructured) { annotate(obj, "someone/was", "here") })
			})
			return nil
		}, second, time.Minute, 2, nil},
		"a lock that is released while it is watched is ours": {func(t *testing.T, s *server) func() {
			l := acquired(t, s, first)
			time.AfterFunc(5*time.Second, func() { released(t, l) })
			return nil
		}, second, 6 * time.Second, 2, nil},
		"a live run's lock is refused at its next renewal": {func(t *testing.T, s *server) func() {
			l := acquired(t, s, first)
			time.Sleep(time.Second)
			return func() { released(t, l) }
		}, second, 10 * time.Second, 1, []string{
			`locking dev/web: dev/web is being deployed by "run 1" (https://ci.example/1) since 2000-01-01T00:00:00Z, which has just renewed its lock`,
			"(it would expire at 2000-01-01T00:01:11Z)", "wait until it ends or cancel it, or take the lock from it with --steal-lock",
		}},
		"a live run whose clock is wrong lives": {func(t *testing.T, s *server) func() {
			l := acquired(t, &skewed{Store: s, by: func() time.Duration { return -10 * time.Minute }}, first)
			time.Sleep(time.Second)
			return func() { released(t, l) }
		}, second, 10 * time.Second, 1, []string{"since 1999-12-31T23:50:00Z", "(it would expire at 2000-01-01T00:01:11Z)"}},
		"a live run's lock is stolen, and returned when it must have seen that": {func(t *testing.T, s *server) func() {
			l := acquired(t, s, first)
			return func() { released(t, l) }
		}, LockOptions{Holder: "run 2", Steal: true}, 20 * time.Second, 2, nil},
		"a lock whose thief gave up at once is returned when the first holder must have seen that": {func(t *testing.T, s *server) func() {
			l := acquired(t, s, first)
			gaveUp(t, s)
			return func() { released(t, l) }
		}, second, 20 * time.Second, 3, nil},
		"so it is when the thief has not waited to the end, but is run again": {func(t *testing.T, s *server) func() {
			l := acquired(t, s, first)
			updates := 0
			gaveUp(t, &wire{server: s, before: func(_ context.Context, verb string) error {
				if verb == "update" {
					updates++
				}
				if updates > 1 {
					return errLost // killed before it could release
				}
				return nil
			}})
			return func() { released(t, l) }
		}, LockOptions{Holder: "thief"}, 20 * time.Second, 3, nil},
		"once a thief has waited, nobody else has to": {func(t *testing.T, s *server) func() {
			l := acquired(t, s, first)
			thief := acquired(t, s, LockOptions{Holder: "thief", Steal: true})
			time.Sleep(11 * time.Second)
			released(t, thief)
			return func() { released(t, l) }
		}, second, 0, 3, nil},
		"nothing is stolen where nobody holds anything": {func(t *testing.T, s *server) func() {
			released(t, acquired(t, s, first))
			return nil
		}, LockOptions{Holder: "run 2", Steal: true}, 0, 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				if tc.found != nil {
					if end := tc.found(t, s); end != nil {
						defer end()
					}
				}
				began := time.Now()
				l, err := Acquire(t.Context(), s, web, tc.opt)
				if took := time.Since(began); took != tc.after {
					t.Errorf("it took %s, want %s", took, tc.after)
				}
				if holder, holds := s.lease(t); holds != tc.holds || tc.refused == nil && holder != tc.opt.Holder {
					t.Errorf("the Lease says %q, %d", holder, holds)
				}
				if tc.refused != nil {
					has(t, err, tc.refused...)
					if held := (*HeldError)(nil); !errors.As(err, &held) || l != nil {
						t.Errorf("got %v, %v", l, err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := l.Ours(t.Context()); err != nil {
					t.Error(err)
				}
				released(t, l)
				if holder, holds := s.lease(t); holder != "" || holds != tc.holds {
					t.Errorf("once released, the Lease says %q, %d", holder, holds)
				}
			})
		})
	}
}

const microTime = "2006-01-02T15:04:05.000000Z07:00"

// annotate sets an annotation, as somebody else would.
func annotate(obj *unstructured.Unstructured, key, value string) {
	all := obj.GetAnnotations()
	if all == nil {
		all = map[string]string{}
	}
	all[key] = value
	obj.SetAnnotations(all)
}

// skewed is the way to the server of a process whose clock is wrong.
type skewed struct {
	Store
	by func() time.Duration
}

func (s *skewed) skew(obj *unstructured.Unstructured, fields ...string) *unstructured.Unstructured {
	obj = obj.DeepCopy()
	for _, field := range fields {
		text, found, _ := unstructured.NestedString(obj.Object, "spec", field)
		if at, err := time.Parse(microTime, text); found && err == nil {
			obj.Object["spec"].(map[string]any)[field] = at.Add(s.by()).Format(microTime)
		}
	}
	return obj
}

func (s *skewed) Create(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	return s.Store.Create(ctx, s.skew(obj, "acquireTime", "renewTime"))
}

func (s *skewed) Update(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	return s.Store.Update(ctx, s.skew(obj, "renewTime"))
}

// TestHold: what becomes of a lock that is held for long.
func TestHold(t *testing.T) {
	for name, tc := range map[string]func(t *testing.T, s *server, w *wire, l *Lock){
		"it is renewed every ten seconds, and to ask costs nothing": func(t *testing.T, s *server, _ *wire, l *Lock) {
			_, n := s.since(0)
			time.Sleep(time.Hour + time.Second)
			for range 100 {
				if err := l.Ours(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			calls, _ := s.since(n)
			if len(calls) != 360 || slices.ContainsFunc(calls, func(c string) bool { return c != "update Lease/outlast-web" }) {
				t.Errorf("%d calls: %v", len(calls), calls[:min(5, len(calls))])
			}
		},
		"to make sure asks the server": func(t *testing.T, s *server, _ *wire, l *Lock) {
			_, n := s.since(0)
			if err := l.Recheck(t.Context()); err != nil {
				t.Error(err)
			}
			if calls, _ := s.since(n); !slices.Equal(calls, []string{"get Lease/outlast-web"}) {
				t.Errorf("calls %v", calls)
			}
		},
		"it outlives the end of its context, for what comes then": func(t *testing.T, s *server, _ *wire, _ *Lock) {
			ctx, cancel := context.WithCancel(t.Context())
			l, err := Acquire(ctx, s, App{"dev", "other"}, first)
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			if l.Context().Err() == nil {
				t.Error("the lock's context goes on")
			}
			time.Sleep(time.Hour)
			if fresh, _ := l.state(); !fresh {
				t.Error("it was not renewed")
			}
			released(t, l)
		},
		"a server that is away for five minutes takes nothing away": func(t *testing.T, s *server, w *wire, l *Lock) {
			w.before = func(context.Context, string) error { return errLost }
			time.Sleep(5 * time.Minute)
			if l.Context().Err() != nil {
				t.Error("the lock's context has ended")
			}
			has(t, l.Ours(t.Context()), "renewing the lock of dev/web: connection reset by peer") // but nobody knows
			w.before = nil
			if err := l.Ours(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"a renewal that fails is tried again soon": func(t *testing.T, s *server, w *wire, l *Lock) {
			w.before = nth(1, "update", errLost)
			time.Sleep(10*time.Second + pause + time.Second)
			if fresh, _ := l.state(); !fresh || time.Since(l.last) != time.Second {
				t.Errorf("last renewed %s ago", time.Since(l.last))
			}
		},
		"a look that was long under way proves nothing by itself": func(t *testing.T, s *server, w *wire, l *Lock) {
			w.after = slowAndGone(s, l, w, "get")
			if lost := (*LostError)(nil); !errors.As(l.Recheck(t.Context()), &lost) {
				t.Error("not lost")
			}
		},
		"nor does a renewal": func(t *testing.T, s *server, w *wire, l *Lock) {
			killed(l)
			time.Sleep(20 * time.Second)
			w.after = slowAndGone(s, l, w, "update")
			if lost := (*LostError)(nil); !errors.As(l.Ours(t.Context()), &lost) {
				t.Error("not lost")
			}
		},
		"a server whose every answer takes too long proves nothing": func(t *testing.T, s *server, w *wire, l *Lock) {
			killed(l)
			w.after = func(context.Context, string) error { time.Sleep(20 * time.Second); return nil }
			has(t, l.Recheck(t.Context()), "looking whether the lock of dev/web is still ours: each answer takes longer than 20s")
		},
		"a renewal under way keeps nobody waiting": func(t *testing.T, s *server, w *wire, l *Lock) {
			w.before = func(context.Context, string) error { time.Sleep(5 * time.Second); return nil }
			time.Sleep(11 * time.Second)
			began := time.Now()
			if err := l.Ours(t.Context()); err != nil || time.Since(began) > 0 {
				t.Errorf("%v after %s", err, time.Since(began))
			}
		},
		"a label of somebody's is no loss": func(t *testing.T, s *server, _ *wire, l *Lock) {
			s.touch(t, "Lease", "outlast-web", func(obj *unstructured.Unstructured) { annotate(obj, "someone/was", "here") })
			time.Sleep(15 * time.Second)
			if err := l.Recheck(t.Context()); err != nil || l.Context().Err() != nil {
				t.Error(err, context.Cause(l.Context()))
			}
			if fresh, _ := l.state(); !fresh {
				t.Error("it was not renewed")
			}
		},
		"a renewal whose answer was lost is no loss": func(t *testing.T, s *server, w *wire, l *Lock) {
			w.after = nth(1, "update", errLost)
			time.Sleep(25 * time.Second)
			if err := l.Recheck(t.Context()); err != nil || l.Context().Err() != nil {
				t.Error(err, context.Cause(l.Context()))
			}
		},
		"a Lease that is deleted is a loss": func(t *testing.T, s *server, _ *wire, l *Lock) {
			s.remove("Lease", "outlast-web")
			time.Sleep(11 * time.Second)
			err := context.Cause(l.Context())
			if has(t, err, "the lock of dev/web is lost: its Lease was deleted or cleared by hand; nothing more is written"); l.Ours(t.Context()) != err {
				t.Errorf("then %v", l.Ours(t.Context()))
			}
		},
		"a Lease that was deleted and made anew is a loss": func(t *testing.T, s *server, _ *wire, l *Lock) {
			obj, err := s.Get(t.Context(), leaseVersion, leaseKind, "dev", "outlast-web")
			if err != nil {
				t.Fatal(err)
			}
			s.remove("Lease", "outlast-web")
			obj.SetResourceVersion("")
			if _, err := s.Create(t.Context(), obj); err != nil { // all of it but the UID, as a restored backup
				t.Fatal(err)
			}
			if lost := (*LostError)(nil); !errors.As(l.Recheck(t.Context()), &lost) {
				t.Errorf("got %v", l.Recheck(t.Context()))
			}
		},
		"a thief is named, and nothing is written after": func(t *testing.T, s *server, _ *wire, l *Lock) {
			stolen := second
			stolen.Steal = true
			thief := acquired(t, s, stolen)
			defer released(t, thief)
			has(t, context.Cause(l.Context()), `the lock of dev/web is lost to "run 2" (https://ci.example/2); nothing more is written`)
			_, n := s.since(0)
			has(t, l.Ours(t.Context()), "lost to")
			has(t, l.Recheck(t.Context()), "lost to")
			released(t, l)
			if calls, _ := s.since(n); len(calls) > 0 {
				t.Errorf("calls after the loss: %v", calls)
			}
			if holder, holds := s.lease(t); holder != "run 2" || holds != 2 || thief.Token() != l.Token()+1 {
				t.Errorf("the Lease says %q, %d; tokens %d and %d", holder, holds, l.Token(), thief.Token())
			}
		},
		"a run that was paused learns that another took over": func(t *testing.T, s *server, w *wire, l *Lock) {
			awake := make(chan struct{})
			w.before = func(context.Context, string) error { <-awake; return nil }
			other := acquired(t, s, second) // after a minute of silence
			defer released(t, other)
			close(awake)
			if lost := (*LostError)(nil); !errors.As(l.Ours(t.Context()), &lost) || lost.Holder != "run 2" {
				t.Errorf("got %v", lost)
			}
			if holder, _ := s.lease(t); holder != "run 2" {
				t.Errorf("the Lease says %q", holder)
			}
		},
		"many that ask at once after a pause ask the server once": func(t *testing.T, s *server, w *wire, l *Lock) {
			killed(l)
			time.Sleep(21 * time.Second)
			_, n := s.since(0)
			w.before = func(context.Context, string) error { time.Sleep(time.Second); return nil }
			errs := make(chan error)
			for range 16 {
				go func() { errs <- l.Ours(t.Context()) }()
			}
			for range 16 {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
			if calls, _ := s.since(n); len(calls) != 1 {
				t.Errorf("calls %v", calls)
			}
		},
		"released twice, it is released": func(t *testing.T, s *server, _ *wire, l *Lock) {
			released(t, l)
			next := acquired(t, s, second)
			defer released(t, next)
			released(t, l)
			if holder, _ := s.lease(t); holder != "run 2" {
				t.Errorf("the Lease says %q", holder)
			}
			has(t, l.Ours(t.Context()), "the lock was released")
			if cause := context.Cause(l.Context()); !errors.Is(cause, errReleased) {
				t.Errorf("cause %v", cause)
			}
		},
		"a release whose answer is lost releases": func(t *testing.T, s *server, w *wire, l *Lock) {
			w.after = func(context.Context, string) error { w.after = nil; return fakeConflict() } // as a client that tries again gets it
			released(t, l)
			if holder, _ := s.lease(t); holder != "" {
				t.Errorf("the Lease says %q", holder)
			}
		},
		"a release that meets a label releases": func(t *testing.T, s *server, _ *wire, l *Lock) {
			s.touch(t, "Lease", "outlast-web", func(obj *unstructured.Unstructured) { annotate(obj, "someone/was", "here") })
			released(t, l)
			if holder, _ := s.lease(t); holder != "" {
				t.Errorf("the Lease says %q", holder)
			}
		},
		"a release that cannot be written says when the lock expires": func(t *testing.T, s *server, w *wire, l *Lock) {
			w.before = func(context.Context, string) error { return errLost }
			has(t, l.Release(t.Context()), "releasing the lock of dev/web, which else expires after 1m0s: connection reset by peer")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				w := &wire{server: s}
				l := acquired(t, w, first)
				tc(t, s, w, l)
				w.before, w.after = nil, nil
				released(t, l)
			})
		})
	}
}

// gaveUp steals the lock and is told to stop in the same moment.
func gaveUp(t *testing.T, s Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if _, err := Acquire(ctx, s, web, LockOptions{Holder: "thief", Steal: true}); err == nil {
		t.Error("the thief got the lock at once")
	}
}

// slowAndGone makes one answer of a verb take as long as a renewal is
// believed, and the Lease be gone when it comes.
func slowAndGone(s *server, l *Lock, w *wire, verb string) func(context.Context, string) error {
	return func(_ context.Context, v string) error {
		if v == verb {
			w.after = nil
			killed(l)
			time.Sleep(20 * time.Second)
			s.remove("Lease", "outlast-web")
		}
		return nil
	}
}

// TestAcquireOverABadWire: each single request of Acquire is lost, before or
// after it was carried out.
func TestAcquireOverABadWire(t *testing.T) {
	for _, stock := range []bool{false, true} {
		for _, verb := range []string{"create", "update"} {
			if stock != (verb == "update") {
				continue
			}
			for name, lost := range map[string]error{"an error of the network": errLost, "a conflict": fakeConflict()} {
				t.Run(fmt.Sprintf("the answer to %s is %s", verb, name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := newServer()
						if stock {
							released(t, acquired(t, s, first))
						}
						l := acquired(t, &wire{server: s, after: nth(1, verb, lost)}, second)
						if holder, _ := s.lease(t); holder != "run 2" || l.Token() == 0 {
							t.Errorf("the Lease says %q, token %d", holder, l.Token())
						}
						if err := l.Recheck(t.Context()); err != nil {
							t.Error(err)
						}
						released(t, l)
					})
				})
			}
			t.Run("a "+verb+" that never arrives is an error", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newServer()
					if stock {
						released(t, acquired(t, s, first))
					}
					_, err := Acquire(t.Context(), &wire{server: s, before: nth(1, verb, errLost)}, web, second)
					has(t, err, "locking dev/web: connection reset by peer")
				})
			})
		}
	}
	t.Run("a server that refuses all writes as stale is left", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, err := Acquire(t.Context(), &wire{server: newServer(), before: func(_ context.Context, verb string) error {
				if verb == "create" {
					return fakeConflict()
				}
				return nil
			}}, web, first)
			has(t, err, "locking dev/web: ", "has been modified")
		})
	})
}

// TestTokens: they grow with each hold, and although the Lease was deleted.
func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, last := newServer(), int64(0)
		for i := range 20 {
			l := acquired(t, s, LockOptions{Holder: fmt.Sprint(i)})
			if l.Token() <= last {
				t.Errorf("hold %d has token %d, after %d", i, l.Token(), last)
			}
			last = l.Token()
			time.Sleep(5 * time.Second)
			released(t, l)
			if i%5 == 4 {
				s.remove("Lease", "outlast-web")
			}
		}
	})
}

func TestAcquireRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		app  App
		opt  LockOptions
		want string
	}{
		"nobody":                                 {web, LockOptions{}, "the lock needs the name of its holder"},
		"a lock that ends before it is renewed":  {web, LockOptions{Holder: "h", TTL: 30 * time.Second}, "a lock that is renewed every 10s must last for more than three times as long, not 30s"},
		"an application that cannot have a name": {App{"dev", "Web_App"}, first, `the application is called "Web_App", but its Lease and Secrets need a name of lower-case letters, digits and '-', at most 63: `},
		"an application whose name is too long":  {App{"dev", strings.Repeat("a", 64)}, first, "must be no more than 63"},
		"an application without a name":          {App{"dev", ""}, first, `the application is called ""`},
		"a name with a dot":                      {App{"dev", "web.v1"}, first, `the application is called "web.v1"`},
		"a namespace that is none":               {App{"", "web"}, first, `the namespace is called ""`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer()
			_, err := Acquire(t.Context(), s, tc.app, tc.opt)
			has(t, err, tc.want)
			if calls, _ := s.since(0); len(calls) > 0 {
				t.Errorf("calls %v", calls)
			}
		})
	}
}

// TestAcquireTells: what an acquirer that waits says, and how it is stopped.
func TestAcquireTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		killed(acquired(t, s, first))
		var said []string
		opt := second
		opt.Observe = func(e event.Event) {
			said = append(said, fmt.Sprintf("%s %s %s: %s", time.Now().Format("05"), e.Kind, e.Object, e.Message))
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), 30*time.Second, errors.New("SIGTERM"))
		defer cancel()
		_, err := Acquire(ctx, s, web, opt)
		has(t, err, `locking dev/web: watching whether "run 1" (https://ci.example/1) still renews it: SIGTERM`)
		want := []string{`00 progress Lease/dev/outlast-web: held by "run 1" (https://ci.example/1); watching for up to 1m0s whether it is still renewed`}
		opt.Steal = true
		l := acquired(t, s, opt)
		want = append(want, `30 warn Lease/dev/outlast-web: the lock is taken from "run 1" (https://ci.example/1); waiting 20s until it must have seen that`)
		released(t, l)
		if !slices.Equal(said, want) {
			t.Errorf("said %q\nwant %q", said, want)
		}
	})
}

// TestStealIsInterrupted: a thief that is told to stop before it may write gives the lock back.
func TestStealIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		killed(acquired(t, s, first))
		ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Second, errors.New("SIGTERM"))
		defer cancel()
		opt := second
		opt.Steal = true
		l, err := Acquire(ctx, s, web, opt)
		if has(t, err, "locking dev/web: SIGTERM"); l != nil {
			t.Error("a lock came with it")
		}
		if holder, holds := s.lease(t); holder != "" || holds != 2 {
			t.Errorf("the Lease says %q, %d", holder, holds)
		}
	})
}
