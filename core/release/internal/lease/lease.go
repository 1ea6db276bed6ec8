// SPDX-License-Identifier: Apache-2.0

// Package lease reads and writes the Lease of a lock, and judges whether
// another's may be taken. It asks nothing of a server.
package lease

import (
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// RunURL is the annotation that says where to look at the holder's run.
	RunURL = "outlast/run-url"
	// Hold is the annotation with the id of one hold: it tells our own write,
	// whose answer was lost, from that of another process of the same name.
	Hold = "outlast/hold"
	// owed is the annotation of a Lease that was stolen, until its holder has
	// waited: for how many seconds any holder has to, before it writes.
	owed = "outlast/owed"

	microTime = "2006-01-02T15:04:05.000000Z07:00" // as metav1.MicroTime has it
)

// Lease is a Lease as it was read; the zero Lease stands for none.
type Lease struct {
	Object *unstructured.Unstructured
	Holder string // empty: nobody
	Hold   string
	RunURL string
	Token  int64
	TTL    time.Duration
	Since  time.Time // by the holder's clock
	Owed   time.Duration

	renewed string // by the holder's clock, and only ever compared with itself
	holds   int64  // leaseTransitions
}

// Parse takes what it finds: a Lease that a hand has damaged is one that
// nobody renews.
func Parse(obj *unstructured.Unstructured) Lease {
	text := func(field string) string {
		s, _, _ := unstructured.NestedString(obj.Object, "spec", field)
		return s
	}
	number := func(field string) int64 {
		n, _, _ := unstructured.NestedInt64(obj.Object, "spec", field)
		return n
	}
	l := Lease{
		Object: obj, Holder: text("holderIdentity"), TTL: time.Duration(number("leaseDurationSeconds")) * time.Second,
		Hold: obj.GetAnnotations()[Hold], RunURL: obj.GetAnnotations()[RunURL], renewed: text("renewTime"), holds: number("leaseTransitions"),
	}
	l.Token = l.holds
	if created := obj.GetCreationTimestamp(); !created.IsZero() { // so that tokens grow, too, when the Lease was deleted and is made anew
		l.Token += created.Unix()
	}
	seconds, _ := strconv.Atoi(obj.GetAnnotations()[owed])
	l.Owed = min(time.Duration(seconds)*time.Second, time.Hour)
	l.Since, _ = time.Parse(time.RFC3339Nano, text("acquireTime"))
	return l
}

// Renewed is when its holder renewed it last, by the holder's clock.
func (l Lease) Renewed() time.Time {
	at, _ := time.Parse(time.RFC3339Nano, l.renewed) // a damaged one was renewed at no time
	return at
}

// Take turns obj, which has a name and labels, into the Lease as its next
// holder writes it: after this one, with one more transition.
func (l Lease) Take(obj *unstructured.Unstructured, next Lease, now time.Time) {
	if l.Object != nil {
		obj.SetResourceVersion(l.Object.GetResourceVersion())
		obj.SetUID(l.Object.GetUID())
	}
	notes := map[string]string{Hold: next.Hold}
	if next.RunURL != "" {
		notes[RunURL] = next.RunURL
	}
	if next.Owed > 0 {
		notes[owed] = strconv.Itoa(int((next.Owed + time.Second - 1) / time.Second))
	}
	obj.SetAnnotations(notes)
	written := now.UTC().Format(microTime)
	obj.Object["spec"] = map[string]any{
		"holderIdentity": next.Holder, "leaseTransitions": l.holds + 1, "leaseDurationSeconds": int64((next.TTL + time.Second - 1) / time.Second),
		"acquireTime": written, "renewTime": written,
	}
}

// Renew gives the Lease with a new time. Nothing is owed any longer when its
// holder has waited.
func (l Lease) Renew(now time.Time, waited bool) *unstructured.Unstructured {
	obj := l.Object.DeepCopy()
	if waited {
		unstructured.RemoveNestedField(obj.Object, "metadata", "annotations", owed)
	}
	obj.Object["spec"].(map[string]any)["renewTime"] = now.UTC().Format(microTime)
	return obj
}

// Release gives the Lease without a holder. The token stays, so that the next
// holder's is higher.
func (l Lease) Release() *unstructured.Unstructured {
	obj := l.Object.DeepCopy()
	delete(obj.Object["spec"].(map[string]any), "holderIdentity")
	unstructured.RemoveNestedField(obj.Object, "metadata", "annotations", Hold)
	unstructured.RemoveNestedField(obj.Object, "metadata", "annotations", RunURL)
	return obj
}

// Trust is how long a holder may believe its last renewal without a look. It
// ends long before others may take the Lease, so that a write that began in
// time is over by then; and a thief has to wait no longer than this.
func Trust(ttl time.Duration) time.Duration { return ttl / 3 }

// Verdict is what an acquirer does about a Lease.
type Verdict int

const (
	Wait  Verdict = iota // look again
	Free                 // nobody's, our own, or abandoned: take it
	Steal                // take it from one who may live
	Held                 // its holder lives
)

// Rival is another's Lease as an acquirer has watched it.
type Rival struct {
	Lease
	Seen time.Time // when its present content was first seen
}

// Judge looks at the Lease once more, for one who would hold it as want.
// Times that are written in it are never compared with a clock: they are
// another machine's.
func (r *Rival) Judge(live, want Lease, steal bool, now time.Time) Verdict {
	if live.Holder == "" || live.Holder == want.Holder {
		return Free
	}
	if live.TTL <= 0 {
		live.TTL = want.TTL
	}
	known := r.Holder != ""
	changed := live.renewed != r.renewed || live.Hold != r.Hold || live.Token != r.Token
	if !known || changed {
		r.Lease, r.Seen = live, now
	}
	switch {
	case steal:
		return Steal
	case known && changed:
		return Held
	case now.Sub(r.Seen) >= r.TTL:
		return Free
	}
	return Wait
}
