// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	leaseAPI  = "coordination.k8s.io/v1"
	leaseKind = "Lease"
	// annotationHold is the id of one hold: it tells our own write, whose answer
	// was lost, from that of another process of the same name.
	annotationHold = "outlast/hold"
	microTime      = "2006-01-02T15:04:05.000000Z07:00" // as metav1.MicroTime has it
)

func (a App) leaseName() string { return "outlast-" + a.Name }

// lease is a Lease as it was read; the zero lease stands for none.
type lease struct {
	obj     *unstructured.Unstructured
	holder  string
	id      string // of the hold
	runURL  string
	token   int64
	ttl     time.Duration // zero: not written
	renewed string        // by the holder's clock, and only ever compared
	since   time.Time
}

// String is how messages name it.
func (l lease) String() string {
	return leaseKind + "/" + l.obj.GetNamespace() + "/" + l.obj.GetName()
}

// readLease reads the application's Lease.
func readLease(ctx context.Context, store Reader, app App) (lease, error) {
	obj, err := store.Get(ctx, leaseAPI, leaseKind, app.Namespace, app.leaseName())
	if err != nil || obj == nil {
		return lease{}, err
	}
	return parseLease(obj), nil
}

// parseLease takes what it finds: a Lease that a hand has damaged is a Lease
// that nobody renews.
func parseLease(obj *unstructured.Unstructured) lease {
	text := func(field string) string {
		s, _, _ := unstructured.NestedString(obj.Object, "spec", field)
		return s
	}
	number := func(field string) int64 {
		n, _, _ := unstructured.NestedInt64(obj.Object, "spec", field)
		return n
	}
	l := lease{
		obj: obj, holder: text("holderIdentity"), renewed: text("renewTime"), token: number("leaseTransitions"),
		ttl: time.Duration(number("leaseDurationSeconds")) * time.Second,
		id:  obj.GetAnnotations()[annotationHold], runURL: obj.GetAnnotations()[annotationRunURL],
	}
	l.since, _ = time.Parse(time.RFC3339Nano, text("acquireTime"))
	return l
}

// take gives the Lease as its new holder writes it.
func (l lease) take(app App, opt LockOptions, id string, now time.Time) *unstructured.Unstructured {
	obj := app.base(leaseAPI, leaseKind, app.leaseName())
	if l.obj != nil {
		obj.SetResourceVersion(l.obj.GetResourceVersion())
		obj.SetUID(l.obj.GetUID())
	}
	annotate(obj, annotationHold, id)
	annotate(obj, annotationRunURL, opt.RunURL)
	obj.Object["spec"] = map[string]any{
		"holderIdentity": opt.Holder, "leaseTransitions": l.token + 1, "leaseDurationSeconds": int64((opt.TTL + time.Second - 1) / time.Second),
		"acquireTime": now.UTC().Format(microTime), "renewTime": now.UTC().Format(microTime),
	}
	return obj
}

// renew gives the Lease with a new time.
func (l lease) renew(now time.Time) *unstructured.Unstructured {
	obj := l.obj.DeepCopy()
	obj.Object["spec"].(map[string]any)["renewTime"] = now.UTC().Format(microTime)
	return obj
}

// release gives the Lease without a holder. The token stays, so that the next
// holder's is higher.
func (l lease) release() *unstructured.Unstructured {
	obj := l.obj.DeepCopy()
	delete(obj.Object["spec"].(map[string]any), "holderIdentity")
	annotate(obj, annotationHold, "")
	annotate(obj, annotationRunURL, "")
	return obj
}

// verdict is what an acquirer does about a Lease.
type verdict int

const (
	free  verdict = iota // nobody's, our own, or abandoned: take it
	steal                // take it from one who may live
	wait                 // look again
	held                 // its holder lives
)

// rival is another's Lease as an acquirer has watched it.
type rival struct {
	seen  lease
	since time.Time // when its present content was first seen
	ttl   time.Duration
	told  bool
}

// judge looks at the Lease once more. Times that are written in it are never
// compared with a clock: they are another machine's.
func (r *rival) judge(live lease, opt LockOptions, now time.Time) verdict {
	if live.holder == "" || live.holder == opt.Holder {
		return free
	}
	if live.ttl <= 0 {
		live.ttl = opt.TTL
	}
	known := r.seen.holder != ""
	changed := live.renewed != r.seen.renewed || live.id != r.seen.id || live.token != r.seen.token
	if !known || changed {
		r.seen, r.since, r.ttl = live, now, live.ttl
	}
	switch {
	case opt.Steal:
		return steal
	case known && changed:
		return held
	case now.Sub(r.since) >= r.ttl:
		return free
	}
	return wait
}

// held says who has it.
func (r *rival) held(app App) *HeldError {
	return &HeldError{App: app, Holder: r.seen.holder, RunURL: r.seen.runURL, Since: r.seen.since, Expires: r.since.Add(r.ttl)}
}
