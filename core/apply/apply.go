// SPDX-License-Identifier: Apache-2.0

// Package apply writes manifests to a cluster: YAML goes in, and what changed
// comes out, with the UIDs of the pods that the change will replace. It
// returns when its writes are accepted; waiting for their effect is the gate's
// work. Every object is judged first, by what the API server says that Outlast
// owns of it: one that would not change is not written at all. Where that does
// not tell, a dry run does, unless the object is ours already: then the write
// itself tells, which the server makes none if nothing changes. Diff judges
// only, always by dry runs. Prune deletes what no manifest has any more.
//
//	read (one list a kind) -> judge -> write, if it is still what was judged
package apply

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/apply/internal/access"
	"github.com/outlast-ci/outlast/core/apply/internal/objects"
)

// Phases are the names of the phases in the order of an Apply.
func Phases() []string { return objects.Phases() }

// Apply writes the manifests in the order of the phases. On an error the
// Rollout tells what was already done; a second Apply goes on from there. When
// ctx ends, nothing more is begun, and writes under way get a moment to end.
func Apply(ctx context.Context, cluster Cluster, manifests []byte, opt Options) (Rollout, error) {
	all, err := objects.Parse(manifests)
	if err != nil {
		return Rollout{}, err
	}
	e := newEngine(cluster, all, opt)
	rollout := Rollout{Started: time.Now()}
	err = e.apply(ctx, all)
	for _, obj := range all { // in the order of the manifests, not in that of the answers
		if c, ok := e.changes[obj]; ok {
			rollout.Changes = append(rollout.Changes, c)
		}
		if w, ok := e.workloads[obj]; ok {
			rollout.Workloads = append(rollout.Workloads, w)
		}
	}
	if err != nil {
		return rollout, fmt.Errorf("%w (%s; running again goes on from here)", err, rollout.written())
	}
	return rollout, nil
}

// Summary says in words what was written.
func (r Rollout) Summary() string {
	did := map[Action]int{}
	for _, c := range r.Changes {
		did[c.Action]++
	}
	return fmt.Sprintf("%d created, %d configured, %d unchanged", did[Created], did[Configured], did[Unchanged])
}

func (r Rollout) written() string {
	written := 0
	for _, c := range r.Changes {
		if c.Action != Unchanged && c.Action != Held {
			written++
		}
	}
	return fmt.Sprintf("%d objects were written before that", written)
}

// apply does all the phases.
func (e *engine) apply(ctx context.Context, all []*unstructured.Unstructured) error {
	for phase, name := range objects.Phases() {
		var group []*unstructured.Unstructured
		for _, obj := range all {
			if objects.PhaseOf(obj) == phase {
				group = append(group, obj)
			}
		}
		if len(group) > 0 && e.opt.Journal != nil {
			e.opt.Journal(name)
		}
		if err := e.parent(ctx, all, phase); err != nil {
			return err
		}
		if err := e.phase(ctx, group); err != nil {
			return err
		}
		if phase == objects.Routing {
			if err := e.delays(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// phase writes the objects of a phase.
func (e *engine) phase(ctx context.Context, group []*unstructured.Unstructured) error {
	if len(group) == 0 {
		return nil
	}
	lives, err := e.client.Read(ctx, group, true)
	if err != nil {
		return err
	}
	return access.Each(ctx, group, func(ctx, waits context.Context, obj *unstructured.Unstructured) error {
		return e.object(ctx, waits, obj, lives[obj])
	})
}

// Check looks whether Apply could work, without a write: the YAML is parsed,
// the server knows the kinds, and it accepts each object whose namespace
// exists as a dry run. A kind or namespace that comes with the manifests
// themselves need not be there yet.
func Check(ctx context.Context, cluster Cluster, manifests []byte, opt Options) error {
	_, err := survey(ctx, cluster, manifests, opt, false)
	return err
}

// Diff tells what Apply would do, and then Prune, without a write. It refuses
// what Check refuses.
func Diff(ctx context.Context, cluster Cluster, manifests []byte, opt Options) (Plan, error) {
	return survey(ctx, cluster, manifests, opt, true)
}

// tryCreate asks whether the server would take a new object.
func (e *engine) tryCreate(ctx context.Context, v *verdict) error {
	next, err := e.cluster.Apply(ctx, v.obj, true)
	if err != nil {
		return err
	}
	v.next, v.change.Object = next, objects.ID(next)
	v.next.SetUID("") // each dry run makes up another
	return nil
}

// survey judges all objects, and with what follows from that: the pods that
// would be replaced, and what would be pruned.
func survey(ctx context.Context, cluster Cluster, manifests []byte, opt Options, follow bool) (Plan, error) {
	all, err := objects.Parse(manifests)
	if err != nil {
		return Plan{}, err
	}
	e := newEngine(cluster, all, opt)
	e.asks = true
	lives, err := e.client.Read(ctx, all, false)
	if err != nil {
		return Plan{}, err
	}
	fresh := map[string]bool{} // namespaces that come with these manifests
	for _, obj := range all {
		if obj.GetKind() == "Namespace" && lives[obj] == nil {
			fresh[obj.GetName()] = true
		}
	}
	err = access.Each(ctx, all, func(ctx, _ context.Context, obj *unstructured.Unstructured) error {
		v, err := e.judge(ctx, obj, lives[obj])
		if err == nil && v.live == nil && !fresh[obj.GetNamespace()] {
			err = e.tryCreate(ctx, &v)
		}
		if meta.IsNoMatchError(err) && e.client.Own[obj.GroupVersionKind().GroupKind()] {
			err = nil
		}
		if err == nil && follow && v.next != nil && v.rolls() {
			v.pods, err = objects.PodsOf(ctx, e.cluster, v.live)
		}
		if err != nil {
			return objects.Hush(obj, err)
		}
		v.replaces()
		e.note(obj, v)
		return nil
	})
	if err != nil {
		return Plan{}, err
	}
	var plan Plan
	for _, obj := range all {
		plan.Changes = append(plan.Changes, e.changes[obj])
		if w, ok := e.workloads[obj]; ok {
			plan.Workloads = append(plan.Workloads, w)
		}
	}
	if follow && opt.Set != nil {
		gone, err := e.prunable(ctx, all)
		if err != nil {
			return Plan{}, err
		}
		for _, obj := range gone.prune {
			plan.Changes = append(plan.Changes, Change{Object: objects.ID(&obj), Action: Pruned})
		}
	}
	return plan, nil
}

// Moved says in words which objects would be treated otherwise now than in an earlier
// plan.
func Moved(was, now []Change) (words []string) {
	for _, c := range now {
		if !slices.ContainsFunc(was, func(w Change) bool { return fmt.Sprint(w) == fmt.Sprint(c) }) {
			words = append(words, fmt.Sprintf("%s would be %s otherwise than planned", c.Object, c.Action))
		}
	}
	return words
}

// Ground makes a namespace when the manifests bring it: that of the lock, which comes
// before everything else.
func Ground(ctx context.Context, cluster Cluster, manifests []byte, namespace string) error {
	live, err := cluster.Get(ctx, "v1", "Namespace", "", namespace)
	if err != nil || live != nil {
		return nil // it is there; or it may not be looked at, and taking the lock will tell
	}
	all, err := objects.Parse(manifests)
	if err != nil {
		return err
	}
	for _, obj := range all {
		if obj.GetKind() == "Namespace" && obj.GetName() == namespace {
			_, err := cluster.Apply(ctx, obj, false)
			return err
		}
	}
	return nil
}
