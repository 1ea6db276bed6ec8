// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/outlast-ci/outlast/core/apply/internal/objects"
)

// lease is a fence: whoever took it last may write. A deploy may sleep right
// after it was told that it may.
type lease struct {
	mu     sync.Mutex
	holder string
}

var errLost = errors.New("the lock is lost")

type holder struct {
	*lease
	name string
	ours func() // called at the end of each look
	asks int
}

func (l *lease) take(name string) *holder {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holder = name
	return &holder{lease: l, name: name}
}

func (h *holder) holds() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.holder != h.name {
		return errLost
	}
	return nil
}

func (h *holder) Ours(context.Context) error {
	err := h.holds()
	if err == nil && h.ours != nil {
		h.ours()
	}
	return err
}

func (h *holder) Recheck(context.Context) error {
	h.mu.Lock()
	h.asks++
	h.mu.Unlock()
	return h.holds()
}

// TestRebase: a controller writes a status between look and write, and the
// write is done all the same, once the lock is known to be ours.
func TestRebase(t *testing.T) {
	const key = "apps/v1 Deployment dev/web"
	newer := []byte(strings.Replace(web, "sha256:1", "sha256:2", 1))
	for name, tc := range map[string]struct {
		times  int // how often the object changes before a write
		change func(*unstructured.Unstructured)
		err    string
		want   []Field
	}{
		"a status":                               {3, func(o *unstructured.Unstructured) { o.Object["status"] = map[string]any{"replicas": int64(7)} }, "", nil},
		"a field that the manifests do not have": {2, func(o *unstructured.Unstructured) { o.Object["spec"].(map[string]any)["paused"] = true }, "", nil},
		"a field that the manifests have": {1, func(o *unstructured.Unstructured) {
			o.Object["metadata"].(map[string]any)["labels"] = map[string]any{"app": "other"}
		}, `conflict with "someone"`, nil},
		"without an end": {1000, func(o *unstructured.Unstructured) { o.Object["status"] = map[string]any{"replicas": int64(7)} }, "the object has been modified", nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, times := running(t, web), 0
				h := (&lease{}).take("a")
				s.before = func(_ context.Context, verb, kind, _ string) error {
					if verb == "apply" && kind == "Deployment" && times < tc.times {
						times++
						s.change(t, key, "someone", tc.change)
					}
					return nil
				}
				started := time.Now()
				rollout, err := Apply(t.Context(), s, newer, Options{Fence: h})
				if tc.err != "" {
					if err == nil || !strings.Contains(err.Error(), tc.err) || len(rollout.Changes) > 0 || time.Since(started) > 10*time.Second {
						t.Errorf("got %v after %s, want %q", err, time.Since(started), tc.err)
					}
					return
				}
				live := s.objects[key]
				if err != nil || h.asks != tc.times || !strings.Contains(fmt.Sprint(live.Object["spec"]), "sha256:2") || rollout.Changes[0].Action != Configured {
					t.Errorf("%v, asked the lock %d times: %v", err, h.asks, live.Object)
				}
				seen := live.DeepCopy()
				tc.change(seen)
				if !cmp.Equal(seen.Object, live.Object) {
					t.Errorf("what the other wrote is lost: %v", live.Object)
				}
			})
		})
	}
}

// TestLostAnswer: a write is accepted and its answer lost, so that it is sent
// again and refused: the Rollout tells what was done, and which pods go.
func TestLostAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		stock, manifests string
		want             Action
		pods             int
	}{
		"an object that is changed":        {web, web, Configured, 2},
		"one of which the write tells all": {counted.Replace(web), counted.Replace(web), Configured, 2},
		"an object that is created":        {configMap("other", "v"), web, Created, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, once := running(t, tc.stock), true
				s.after = func(_ context.Context, verb, kind, name string) error {
					if verb == "apply" && once {
						once = false
						return modified(s.objects["apps/v1 Deployment dev/web"])
					}
					return nil
				}
				rollout, err := Apply(t.Context(), s, []byte(strings.Replace(tc.manifests, "sha256:1", "sha256:2", 1)), Options{})
				if err != nil || len(s.writes) != 1 || (len(rollout.Changes[0].Fields) == 1) != (tc.want == Configured) || rollout.Changes[0].Action != tc.want || rollout.Workloads[0].Action != tc.want || len(rollout.Workloads[0].Replaced) != tc.pods {
					t.Errorf("%+v, %v with the writes %v", rollout, err, s.writes)
				}
				if w := rollout.Workloads[0]; w.UID != string(s.objects["apps/v1 Deployment dev/web"].GetUID()) || w.Generation != s.objects["apps/v1 Deployment dev/web"].GetGeneration() {
					t.Errorf("the workload is %+v", w)
				}
			})
		})
	}
}

// TestDeletedMeanwhile: an object that somebody deletes between look and write
// is not brought back from what was seen of it, but made anew, and told.
func TestDeletedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := running(t, strings.Replace(web, "spec:\n", "spec:\n  paused: true\n", 1)), &recorder{}
		once := true
		s.before = func(_ context.Context, verb, kind, _ string) error {
			if verb == "apply" && kind == "Deployment" && once {
				once = false
				s.mu.Lock()
				delete(s.objects, "apps/v1 Deployment dev/web")
				s.mu.Unlock()
			}
			return nil
		}
		rollout, err := Apply(t.Context(), s, []byte(web), Options{Observe: r.observe})
		if err != nil || rollout.Changes[0].Action != Created || !strings.Contains(r.text(), "apply warn Deployment/dev/web: somebody deleted it during this deploy") {
			t.Errorf("%v, %v\n%s", rollout.Changes, err, r.text())
		}
		if live := s.objects["apps/v1 Deployment dev/web"]; live.GetUID() == "web-uid" || rollout.Workloads[0].UID != string(live.GetUID()) {
			t.Errorf("it has the UID %s, the Rollout says %s", live.GetUID(), rollout.Workloads[0].UID)
		}
	})
}

// TestBeingDeleted: an object whose finalizers run yet is waited for.
func TestBeingDeleted(t *testing.T) {
	dying := func(t *testing.T) *server {
		s := newServer(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: dev, finalizers: [a/b]}")
		if err := s.Delete(t.Context(), "v1", "ConfigMap", "dev", "c", s.objects["v1 ConfigMap dev/c"].GetUID()); err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Run("until they are done", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := dying(t)
			if plan, err := Diff(t.Context(), s, []byte(configMap("c", "v")), Options{}); err != nil || plan.Changes[0].Action != Created || plan.Changes[0].Note == "" {
				t.Errorf("the plan: %+v, %v", plan.Changes, err)
			}
			time.AfterFunc(4500*time.Millisecond, func() {
				s.mu.Lock()
				delete(s.objects, "v1 ConfigMap dev/c")
				s.mu.Unlock()
			})
			started := time.Now()
			rollout, err := Apply(t.Context(), s, []byte(configMap("c", "v")), Options{})
			if err != nil || rollout.Changes[0].Action != Created || time.Since(started) != 5*time.Second {
				t.Errorf("%v, %v after %s", rollout.Changes, err, time.Since(started))
			}
		})
	})
	t.Run("though not for ever", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := dying(t)
			_, err := Apply(t.Context(), s, []byte(configMap("c", "v")), Options{})
			if err == nil || !strings.Contains(err.Error(), "creating ConfigMap/dev/c: after 1m0s the object of that name is being deleted still; its finalizers are a/b") {
				t.Errorf("got %v", err)
			}
		})
	})
}

// TestLostLockWritesNothing: a deploy whose lock was taken writes nothing more,
// of no kind: neither what it creates, nor what it changes, adopts or deletes.
func TestLostLockWritesNothing(t *testing.T) {
	old := strings.Replace(web, "name: web, namespace", "name: old, namespace", 1)
	set := &Set{Name: "outlast-shop", Namespace: "dev"}
	s := newServer(t, "")
	if _, err := Apply(t.Context(), s, []byte(old), Options{Set: set}); err != nil {
		t.Fatal(err)
	}
	s.created(t, "helm", web)
	h := (&lease{}).take("a")
	h.take("b")
	version := s.version
	job := "---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: j, namespace: dev, annotations: {outlast/phase: pre-deploy}}\n"
	for name, manifests := range map[string]string{"an object": web, "another": configMap("c", "v"), "a Job": job} {
		if _, err := Apply(t.Context(), s, []byte(manifests), Options{Fence: h}); !errors.Is(err, errLost) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Apply(t.Context(), s, []byte(manifests), Options{Fence: h, Set: set}); !errors.Is(err, errLost) {
			t.Errorf("%s of a set: %v", name, err)
		}
	}
	if _, err := Prune(t.Context(), s, []byte(web), Options{Fence: h, Set: set}); !errors.Is(err, errLost) {
		t.Errorf("pruning: %v", err)
	}
	if s.version != version || len(s.deleted)+len(s.adopted) > 0 {
		t.Errorf("wrote %v, deleted %v, adopted %v", s.writes, s.deleted, s.adopted)
	}
}

// TestTwoDeploysNeverMix: one deploy stops anywhere, after it has looked
// whether it may write; another takes the lock and applies all of its own; the
// first wakes up. What is there then is the second's alone.
func TestTwoDeploysNeverMix(t *testing.T) {
	shape := func(rt *rapid.T, name, value string) (string, int) {
		var docs []string
		for i := range rapid.IntRange(1, 6).Draw(rt, name+" objects") {
			if rapid.Bool().Draw(rt, fmt.Sprintf("%s has %d", name, i)) {
				docs = append(docs, configMap(fmt.Sprintf("c%d", i), value))
			}
		}
		docs = append(docs, strings.Replace(web, "sha256:1", "sha256:"+value, 1))
		return strings.Join(docs, "---\n"), len(docs)
	}
	rapid.Check(t, func(rt *rapid.T) {
		s, l := newServer(t, ""), &lease{}
		if rapid.Bool().Draw(rt, "something is there") {
			before, _ := shape(rt, "before", "0")
			if _, err := Apply(t.Context(), s, []byte(before), Options{}); err != nil {
				rt.Fatal(err)
			}
		}
		first, n := shape(rt, "first", "a")
		second, _ := shape(rt, "second", "b")
		at, looks := rapid.IntRange(1, n).Draw(rt, "the look after which the first stops"), 0
		a := l.take("a")
		var thief sync.Mutex
		a.ours = func() {
			thief.Lock()
			defer thief.Unlock()
			if looks++; looks != at {
				return
			}
			b := l.take("b")
			if _, err := Apply(t.Context(), s, []byte(second), Options{Fence: b}); err != nil {
				rt.Error(err)
			}
			s.mu.Lock()
			s.writes = nil
			s.mu.Unlock()
		}
		_, err := Apply(t.Context(), s, []byte(first), Options{Fence: a})
		stopped := looks >= at
		for _, obj := range objectsOf(t, second) {
			live := s.objects[s.key(obj)]
			if live == nil || stopped && !strings.Contains(fmt.Sprint(live.Object), map[string]string{"ConfigMap": "k:b", "Deployment": "sha256:b"}[obj.GetKind()]) {
				rt.Fatalf("%s is %v, though the second deploy won (the first says %v)", objects.ID(obj), live, err)
			}
		}
	})
}

// TestWritesEnd: a write that is under way when the run is told to end gets a
// moment, and no new one is begun.
func TestWritesEnd(t *testing.T) {
	for name, tc := range map[string]struct {
		lasts  time.Duration
		writes int
		took   time.Duration
	}{
		"one that ends soon is known to have been done": {2 * time.Second, 16, 2 * time.Second},
		"one that hangs is given up":                    {time.Hour, 0, 6 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, "")
				s.before = func(ctx context.Context, verb, _, _ string) error {
					if verb != "apply" {
						return nil
					}
					select {
					case <-ctx.Done():
						return context.Cause(ctx)
					case <-time.After(tc.lasts):
						return nil
					}
				}
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel(errors.New("terminated")) })
				var docs []string
				for i := range 40 {
					docs = append(docs, configMap(fmt.Sprintf("c%d", i), "v"))
				}
				started := time.Now()
				rollout, err := Apply(ctx, s, []byte(strings.Join(docs, "---\n")), Options{})
				if took := time.Since(started); err == nil || !strings.Contains(err.Error(), "terminated") || took != tc.took || len(s.writes) != tc.writes || len(rollout.Changes) != tc.writes {
					t.Errorf("%v after %s: %d writes, %d told", err, took, len(s.writes), len(rollout.Changes))
				}
			})
		})
	}
}

// TestAnyCrashPoint: a run that ends at any request, by an error or because it
// is told to, is completed by the next one: what is there is what the
// manifests say, and a third run writes nothing.
func TestAnyCrashPoint(t *testing.T) {
	set := &Set{Name: "outlast-shop", Namespace: "fresh"}
	before := strings.ReplaceAll(web, "dev", "fresh") + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: fresh}\n---\n" + strings.Replace(configMap("gone", "v"), "dev", "fresh", 1)
	after := strings.NewReplacer("sha256:1", "sha256:2", "gone", "new").Replace(before) + "---\n" + strings.Replace(configMap("other", "v"), "dev", "fresh", 1)
	rapid.Check(t, func(rt *rapid.T) {
		s := newServer(t, "")
		how := rapid.SampledFrom([]string{"nothing", "ours", "kubectl-client-side-apply"}).Draw(rt, "what is there")
		switch how {
		case "ours":
			if _, err := Apply(t.Context(), s, []byte(before), Options{Set: set}); err != nil {
				rt.Fatal(err)
			}
		case "kubectl-client-side-apply":
			s.add(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: fresh}")
			s.created(t, how, strings.ReplaceAll(web, "dev", "fresh"))
		}
		for range rapid.IntRange(1, 3).Draw(rt, "crashes") {
			at, n := rapid.IntRange(0, 30).Draw(rt, "crash at request"), 0
			told, late := rapid.Bool().Draw(rt, "told to end"), rapid.Bool().Draw(rt, "the answer is lost")
			ctx, cancel := context.WithCancel(t.Context())
			crash := func(context.Context, string, string, string) error {
				s.mu.Lock()
				defer s.mu.Unlock()
				if n++; n <= at {
					return nil
				}
				if told {
					cancel()
				}
				return errors.New("crashed")
			}
			if s.before, s.after = crash, nil; late {
				s.before, s.after = nil, crash
			}
			_, err := Apply(ctx, s, []byte(after), Options{Set: set})
			if err == nil {
				_, _ = Prune(ctx, s, []byte(after), Options{Set: set}) //nolint:errcheck // it may crash as well
			}
			cancel()
		}
		s.before, s.after = nil, nil
		if _, err := Apply(t.Context(), s, []byte(after), Options{Set: set}); err != nil {
			rt.Fatal(err)
		}
		if _, err := Prune(t.Context(), s, []byte(after), Options{Set: set}); err != nil {
			rt.Fatal(err)
		}
		clean := newServer(t, "")
		if _, err := Apply(t.Context(), clean, []byte(after), Options{Set: set}); err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(contents(clean), contents(s)); diff != "" {
			rt.Errorf("a clean run and this one differ: %s", diff)
		}
		version := s.version
		if again, err := Apply(t.Context(), s, []byte(after), Options{Set: set}); err != nil || s.version != version || slices.ContainsFunc(again.Changes, func(c Change) bool { return c.Action != Unchanged }) {
			rt.Errorf("once more: %+v, %v", again.Changes, err)
		}
		if gone, err := Prune(t.Context(), s, []byte(after), Options{Set: set}); err != nil || len(gone) > 0 || s.version != version {
			rt.Errorf("pruning once more: %v, %v", gone, err)
		}
	})
}

// contents is what a server has, without what only the server gives.
func contents(s *server) map[string]any {
	all := map[string]any{}
	for key, obj := range s.objects {
		c := objects.Content(obj)
		delete(c["metadata"].(map[string]any), "uid")
		all[key] = c
	}
	return all
}
