// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/apply/internal/access"
	"github.com/outlast-ci/outlast/core/apply/internal/diff"
	"github.com/outlast-ci/outlast/core/apply/internal/objects"
	"github.com/outlast-ci/outlast/core/apply/internal/owner"
	"github.com/outlast-ci/outlast/core/apply/internal/route"
	"github.com/outlast-ci/outlast/core/apply/internal/set"
	"github.com/outlast-ci/outlast/core/event"
)

// engine is one Apply, Diff or Prune.
type engine struct {
	cluster  Cluster
	opt      Options
	client   access.Client // the same cluster, behind the fence
	asks     bool          // it writes nothing, so only a question tells what would change
	set      *set.Set
	managers []string // whose objects are adopted
	parented bool     // the parent of the set is written

	mu        sync.Mutex
	changes   map[*unstructured.Unstructured]Change
	workloads map[*unstructured.Unstructured]Workload
}

func newEngine(cluster Cluster, all []*unstructured.Unstructured, opt Options) *engine {
	e := &engine{cluster: cluster, opt: opt, client: access.Client{Cluster: cluster, Fence: opt.Fence, Own: objects.Defined(all)},
		changes: map[*unstructured.Unstructured]Change{}, workloads: map[*unstructured.Unstructured]Workload{}}
	if opt.Set != nil {
		e.set = &set.Set{Name: opt.Set.Name, Namespace: opt.Set.Namespace}
	}
	if len(opt.Key) == 0 {
		e.opt.Key = []byte(rand.Text())
	}
	if opt.Attempt == "" {
		e.opt.Attempt = rand.Text()
	}
	e.managers = append(owner.Defaults(), opt.Adopt...)
	return e
}

// verdict is what is to be done with one object.
type verdict struct {
	obj      *unstructured.Unstructured // what is to be sent
	live     *unstructured.Unstructured // what it was judged against; nil: it is not there
	next     *unstructured.Unstructured // what it will be; nil: not asked
	adopt    []string                   // managers to take it over from, first
	done     bool                       // there is nothing left to do
	unsure   bool                       // whether pods are replaced is not known
	change   Change
	pods     objects.Pods // of what was judged, before the write
	replaced []Pod
}

// rolls tells whether the write replaces pods, or may.
func (v verdict) rolls() bool {
	return v.live != nil && objects.RunsPods(v.obj.GetKind()) && (v.next == nil || !objects.SameTemplate(v.live, v.next))
}

// judge decides what is to be done with one object. It writes nothing. While
// others write the object, it is looked at anew.
func (e *engine) judge(ctx context.Context, manifest, live *unstructured.Unstructured) (verdict, error) {
	for try := 0; ; try++ {
		v, err := e.look(ctx, manifest, live)
		if !access.Stale(err) || try == access.Attempts {
			return v, err
		}
		if live, err = e.client.Again(ctx, v.obj, err, try); err != nil {
			return v, err
		}
	}
}

// look judges an object as it was read.
func (e *engine) look(ctx context.Context, manifest, live *unstructured.Unstructured) (v verdict, err error) {
	v = verdict{obj: manifest.DeepCopy(), live: live, change: Change{Object: objects.ID(manifest), Action: Created}}
	if e.set != nil {
		e.set.Label(v.obj)
	}
	if live == nil {
		return v, nil
	}
	v.change = Change{Object: objects.ID(live), Action: Unchanged}
	if live.GetDeletionTimestamp() != nil {
		v.change.Action, v.change.Note = Created, "it is being deleted, and created when it is gone"
		return v, nil
	}
	if e.set != nil && set.Joins(v.obj) {
		if err := e.set.Free(live); err != nil {
			return v, err
		}
	}
	if done, err := e.hold(&v); done || err != nil {
		return v, err
	}
	if objects.IsPreDeploy(manifest) {
		return e.judgeJob(v)
	}
	if !objects.Shared(manifest.GetKind()) { // of these others own fields that must not go
		v.adopt = owner.Others(live, e.managers)
	}
	switch {
	case len(v.adopt) > 0:
		err = e.adoption(ctx, &v)
	case owner.Covers(live, v.obj):
		return v, nil
	case e.asks || !owner.Ours(live) || objects.LeavesReplicas(v.obj):
		err = e.ask(ctx, &v)
	default: // the write tells, and is none when nothing changes
		v.change.Action = Configured
	}
	return v, err
}

// ask asks the server by a dry run.
func (e *engine) ask(ctx context.Context, v *verdict) (err error) {
	if v.next, err = e.cluster.Apply(ctx, v.obj, true); err != nil {
		return err
	}
	if v.next.GetResourceVersion() != v.live.GetResourceVersion() { // else what others wrote meanwhile looks like ours
		now, err := e.cluster.Get(ctx, v.obj.GetAPIVersion(), v.obj.GetKind(), v.obj.GetNamespace(), v.obj.GetName())
		if err != nil {
			return err
		}
		if now != nil && now.GetUID() == v.live.GetUID() {
			v.live = now
		}
	}
	if objects.KeepReplicas(v.obj, v.live, v.next) {
		if v.next, err = e.cluster.Apply(ctx, v.obj, true); err != nil {
			return err
		}
	}
	e.compare(v)
	return nil
}

// compare tells what changes from what is there to what will be.
func (e *engine) compare(v *verdict) {
	v.change.Action = Unchanged
	switch v.change.Fields = e.fields(v.live, v.next); {
	case !objects.Same(v.live, v.next):
		v.change.Action = Configured
	case owner.Moves(v.live, v.next):
		v.change.Action = Configured
		v.note("no value changes, only which fields Outlast owns")
	}
}

func (v *verdict) note(text string) {
	if v.change.Note != "" {
		text = v.change.Note + "; " + text
	}
	v.change.Note = text
}

func (e *engine) fields(from, to *unstructured.Unstructured) []Field {
	return diff.Fields(objects.Content(from), objects.Content(to), e.opt.Key)
}

// hold keeps the deregistration delay of an object that is to be held.
func (e *engine) hold(v *verdict) (done bool, err error) {
	if !slices.Contains(e.opt.Hold, objects.ID(v.live)) {
		return false, nil
	}
	if route.Whole(v.obj.GetKind()) {
		v.change.Action, v.change.Note = Held, "it is left as it is until the pods are replaced"
		return true, nil
	}
	held, err := route.Hold(v.obj, v.live)
	if held {
		v.note("its deregistration delay stays as it is until the pods are replaced")
	}
	return false, err
}

// replaces names the pods that the write replaces.
func (v *verdict) replaces() {
	v.replaced = nil
	for _, p := range v.pods.Replaced(v.next) {
		ip, _, _ := unstructured.NestedString(p.Object, "status", "podIP")
		v.replaced = append(v.replaced, Pod{UID: string(p.GetUID()), Name: p.GetName(), IP: ip})
	}
}

// note takes down what becomes of an object.
func (e *engine) note(manifest *unstructured.Unstructured, v verdict) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.changes[manifest] = v.change
	obj := v.next
	if obj == nil {
		obj = v.live
	}
	if obj == nil {
		obj = v.obj
	}
	if objects.RunsPods(obj.GetKind()) {
		e.workloads[manifest] = Workload{
			APIVersion: obj.GetAPIVersion(), Kind: obj.GetKind(), Namespace: obj.GetNamespace(), Name: obj.GetName(),
			UID: string(obj.GetUID()), Generation: obj.GetGeneration(), Action: v.change.Action, Replaced: v.replaced, Unsure: v.unsure && len(v.replaced) > 0,
		}
	}
}

// done takes down what became of an object, and tells it.
func (e *engine) done(manifest *unstructured.Unstructured, v verdict) {
	e.note(manifest, v)
	words := []string{string(v.change.Action)}
	if v.change.Was != "" {
		words = append(words, "from "+v.change.Was)
	}
	if len(v.replaced) > 0 {
		words = append(words, fmt.Sprintf("replaces %d pods", len(v.replaced)))
	}
	if v.change.Note != "" {
		words = append(words, v.change.Note)
	}
	e.tell(event.Progress, v.change.Object, strings.Join(words, ", "))
}

func (e *engine) tell(kind event.Kind, object, message string) {
	e.opt.Observe.Emit(event.Event{Stage: "apply", Kind: kind, Object: object, Message: message})
}

// progress tells how a wait for an object goes.
func (e *engine) progress(v *verdict) func(string) {
	return func(text string) { e.tell(event.Progress, v.change.Object, text) }
}
