// SPDX-License-Identifier: Apache-2.0

// Package record keeps one run's record in the cluster, under the application's lock:
// who holds it, what was applied, how far it came.
package record

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/release"
)

// AppOf names the application whose records a run reads and writes. Two environments
// in one namespace are two applications.
func AppOf(app, environment, namespace string) release.App {
	name := strings.ToLower(strings.Join(strings.FieldsFunc(app+"-"+environment, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	}), "-"))
	return release.App{Namespace: cmp.Or(namespace, "default"), Name: strings.Trim(name[:min(len(name), 50)], "-")} // what is added to it has to fit into 63
}

// Attempt is one run that holds the lock.
type Attempt struct {
	App      release.App
	Lock     *release.Lock
	History  *release.History
	Revision release.Revision // zero until Begin or Resume
	observe  event.Func
}

// Open takes the application's lock.
func Open(ctx context.Context, store release.Store, app release.App, opt release.LockOptions) (*Attempt, error) {
	history, err := release.Open(store, app)
	if err != nil {
		return nil, err
	}
	lock, err := release.Acquire(ctx, store, app, opt)
	if err != nil {
		return nil, err
	}
	return &Attempt{App: app, Lock: lock, History: history, observe: opt.Observe}, nil
}

// Begin records that manifests are about to be applied. A run that was killed before
// is recorded as interrupted: this one goes on from what it finds.
func (a *Attempt) Begin(ctx context.Context, r release.Revision, c release.Content) error {
	left, err := a.History.Unfinished(ctx)
	if err != nil {
		return err
	}
	if left != nil {
		a.say(event.Note, left.Number, fmt.Sprintf("its run was ended before it was done (%s); this run goes on from what it left", left.State))
		left.State, left.Token, left.Finished = release.Interrupted, a.Lock.Token(), time.Now()
		left.Reason = cmp.Or(left.Reason, "killed")
		if err := a.History.Update(ctx, *left); err != nil {
			return err
		}
	}
	r.Token = a.Lock.Token()
	a.Revision, err = a.History.Begin(ctx, r, c)
	return err
}

// SupersededError is a revision after which another one came.
type SupersededError struct{ Ours, Newest release.Revision }

func (e *SupersededError) Error() string {
	return fmt.Sprintf("revision %d, by %s, came after this run's revision %d", e.Newest.Number, cmp.Or(e.Newest.Run.RunURL, e.Newest.Run.Actor, "another run"), e.Ours.Number)
}

// Resume goes on with the revision that an earlier job of this run began. One that is
// not the newest any more gives a SupersededError.
func (a *Attempt) Resume(ctx context.Context, number int) error {
	list, err := a.History.List(ctx)
	if err != nil {
		return err
	}
	if len(list) > 0 && list[0].Number != number {
		return &SupersededError{Ours: release.Revision{Number: number}, Newest: list[0]}
	}
	if len(list) == 0 {
		return fmt.Errorf("the cluster has no revision %d, which the report given with --report says that it applied; is it the same cluster and namespace?", number)
	}
	a.Revision = list[0]
	a.Revision.Token = a.Lock.Token()
	return nil
}

// Journal notes how far the run is. That it cannot be written is told, and does not
// end the run: the cluster itself shows what was done.
func (a *Attempt) Journal(ctx context.Context, phase string) {
	if a.Revision.Journal.Phase != phase {
		a.Revision.Journal.Phase = phase
		a.Mark(ctx, a.Revision.State, a.Revision.Reason)
	}
}

// Mark records a state of the revision.
func (a *Attempt) Mark(ctx context.Context, state release.State, reason string) {
	r := &a.Revision
	if r.Number == 0 {
		return
	}
	if r.State, r.Reason = state, reason; state != release.Applying && state != release.Applied {
		r.Finished = time.Now()
	}
	if err := a.History.Update(ctx, *r); err != nil {
		a.say(event.Warn, r.Number, "its state could not be recorded: "+err.Error())
	}
}

// last is how long a record may take when the run has been told to end: GitHub
// kills 2.5 s after its second signal.
const last = 2 * time.Second

// Interrupt records that the run was told to end, and how far it was.
func (a *Attempt) Interrupt(ctx context.Context, where string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), last)
	defer cancel()
	a.Mark(ctx, release.Interrupted, "in "+where)
}

// Lost tells whether another run has the lock now: then nothing more may be written.
func (a *Attempt) Lost() error {
	var lost *release.LostError
	if errors.As(context.Cause(a.Lock.Context()), &lost) {
		return lost
	}
	return nil
}

// Close gives the lock back.
func (a *Attempt) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), last)
	defer cancel()
	if err := a.Lock.Release(ctx); err != nil {
		a.observe.Emit(event.Event{Stage: "apply", Kind: event.Warn, Message: "the lock could not be given back, and the next deploy waits until it expires: " + err.Error()})
	}
}

func (a *Attempt) say(kind event.Kind, number int, text string) {
	a.observe.Emit(event.Event{Stage: "apply", Kind: kind, Object: fmt.Sprintf("revision %d", number), Message: text})
}

// Back finds the revision to go back to: to, or with 0 the newest whose gate has
// passed and that is not in force. What is in force because somebody went back to it
// is as old as what it came from: what they left is no earlier release.
func Back(list []release.Revision, to int) (release.Revision, error) {
	before := math.MaxInt
	for _, r := range list {
		passed := r.State == release.Passed
		inForce := passed && list[0].State == release.Passed && r.SHA256 == list[0].SHA256
		switch {
		case to == r.Number && passed:
			return r, nil
		case to == r.Number:
			return r, fmt.Errorf("going back to revision %d: its gate has not passed (%s); name one that has, see outlast history", to, r.State)
		case inForce && r.OfRevision > 0:
			before = min(before, r.OfRevision)
		case to == 0 && passed && !inForce && r.Number < before:
			return r, nil
		}
	}
	if to > 0 {
		return release.Revision{}, fmt.Errorf("going back to revision %d: it is not among the %d that are kept, see outlast history", to, len(list))
	}
	return release.Revision{}, errors.New("there is no earlier release whose gate has passed, so there is nothing to go back to; see outlast history")
}

// Target reads the revision that Back finds, and what it is made of, before anything is locked.
func Target(ctx context.Context, store release.Store, app release.App, to int) (r release.Revision, content release.Content, err error) {
	history, err := release.Open(store, app)
	if err != nil {
		return r, content, err
	}
	list, err := history.List(ctx)
	if err != nil {
		return r, content, err
	}
	if r, err = Back(list, to); err == nil {
		content, err = history.Content(ctx, r.Number)
	}
	return r, content, err
}

// Workload is one that a release has, with its timings when it stands behind a load
// balancer.
type Workload struct {
	Kind      string     `json:"kind"`
	Namespace string     `json:"namespace"`
	Name      string     `json:"name"`
	Behind    bool       `json:"behind"`
	Plan      drain.Plan `json:"plan"`
}

// Workloads are those of a revision.
func Workloads(ctx context.Context, history *release.History, number int) ([]Workload, error) {
	content, err := history.Content(ctx, number)
	if err != nil {
		return nil, err
	}
	var report struct{ Workloads []Workload }
	if err := json.Unmarshal(content.Report, &report); err != nil {
		return nil, fmt.Errorf("reading what revision %d knew of its manifests: %w", number, err)
	}
	for i := range report.Workloads {
		report.Workloads[i].Namespace = cmp.Or(report.Workloads[i].Namespace, "default")
	}
	return report.Workloads, nil
}

// Newest is an application's newest revision with its workloads; none without an error
// when it has no records.
func Newest(ctx context.Context, store release.Store, app release.App) (r release.Revision, all []Workload, err error) {
	history, err := release.Open(store, app)
	if err != nil {
		return r, nil, nil // whatever cannot have records has none
	}
	list, err := history.List(ctx)
	if err != nil || len(list) == 0 {
		return r, nil, err
	}
	all, err = Workloads(ctx, history, list[0].Number)
	return list[0], all, err
}

// IDs name workloads: Kind/namespace/name.
func IDs(all []Workload) (ids []string) {
	for _, w := range all {
		ids = append(ids, w.Kind+"/"+w.Namespace+"/"+w.Name)
	}
	return ids
}
