// SPDX-License-Identifier: Apache-2.0

package release

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/release/internal/pack"
)

// ErrFenced is a write by a run whose lock is lost: a later run, of a higher
// token, has written since. Nothing more may be written.
var ErrFenced = errors.New("a later run holds the lock")

// History is an application's revisions. Safe for concurrent use.
type History struct {
	store Store
	app   App
	room  int           // bytes in a Secret
	slot  chan struct{} // one at a time
	heads map[int]head  // as last written or read; whoever has the slot may touch it
}

// Open gives an application's history; it asks nothing yet.
func Open(store Store, app App) (*History, error) {
	if err := app.Check(); err != nil {
		return nil, err
	}
	return &History{store: store, app: app, room: pack.Room, slot: make(chan struct{}, 1), heads: map[int]head{}}, nil
}

// turn waits until nobody else uses the history.
func (h *History) turn(ctx context.Context) (done func(), err error) {
	select {
	case h.slot <- struct{}{}:
		return func() { <-h.slot }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Begin records that an attempt begins: its content first, and then, in one
// write that makes it a revision, the rest. It gets the number after the
// highest; two that begin at once get two. Set State (empty: Applying), Run,
// Token and what the journal has so far; Number and SHA256 are given, and
// Started unless it is set.
func (h *History) Begin(ctx context.Context, r Revision, c Content) (Revision, error) {
	done, err := h.turn(ctx)
	if err != nil {
		return Revision{}, err
	}
	defer done()
	if r, err = h.begin(ctx, r, c); err != nil {
		return Revision{}, fmt.Errorf("recording a revision of %s: %w", h.app, err)
	}
	return r, nil
}

func (h *History) begin(ctx context.Context, r Revision, c Content) (Revision, error) {
	if len(c.Manifests) == 0 {
		return Revision{}, errors.New("there are no manifests")
	}
	if len(c.Report) > 0 && !json.Valid(c.Report) {
		return Revision{}, errors.New("the report is no JSON")
	}
	r.SHA256, r.State = digest(c.Manifests), cmp.Or(r.State, Applying)
	if r.Started.IsZero() {
		r.Started = time.Now().UTC().Round(0)
	}
	chunks, err := c.chunks(h.room)
	if err != nil {
		return Revision{}, err
	}
	list, err := h.list(ctx)
	if err != nil {
		return Revision{}, err
	}
	if len(list) > 0 {
		if list[0].Token > r.Token {
			return Revision{}, fmt.Errorf("token %d is older than revision %d's, %d: %w", r.Token, list[0].Number, list[0].Token, ErrFenced)
		}
		r.Number = list[0].Number
	}
	next := head{Revision: r, Content: contentRef{ID: strings.ToLower(rand.Text()), Chunks: len(chunks)}}
	if _, err := next.secret(h.app); err != nil {
		return Revision{}, err
	}
	for i, data := range chunks {
		if err := h.createChunk(ctx, next.Content.ID, i, data); err != nil {
			return Revision{}, err
		}
	}
	taken := true
	for taken && err == nil {
		next.Number++
		taken, err = h.create(ctx, next)
	}
	return next.Revision, err
}

func (h *History) createChunk(ctx context.Context, content string, i int, data map[string][]byte) error {
	obj := h.app.secret(h.app.chunkName(content, i), data, labelContent, content, labelChunk, strconv.Itoa(i))
	if _, err := h.store.Create(ctx, obj); err != nil && !apierrors.IsAlreadyExists(err) { // nobody else makes one of this name
		return err
	}
	return nil
}

// create writes a new head. That its number is taken is no error.
func (h *History) create(ctx context.Context, next head) (taken bool, err error) {
	obj, err := next.secret(h.app)
	if err != nil {
		return false, err
	}
	got, err := h.store.Create(ctx, obj)
	if err != nil { // it may have been created, and the answer lost
		live, lookErr := h.get(ctx, next.Number)
		switch {
		case lookErr != nil:
			return false, errors.Join(err, lookErr)
		case live != nil && live.Content == next.Content:
			return false, nil
		case apierrors.IsAlreadyExists(err): // another's revision, or a Secret that only has its name
			return true, nil
		}
		return false, err
	}
	next.obj = got
	h.heads[next.Number] = next
	return false, nil
}

// get reads one head; nil without an error when there is none.
func (h *History) get(ctx context.Context, number int) (*head, error) {
	obj, err := h.store.Get(ctx, secretVersion, secretKind, h.app.Namespace, h.app.headName(number))
	if err != nil || obj == nil || h.app.number(obj) != number {
		return nil, err
	}
	found := decode(number, obj)
	h.heads[number] = found
	return &found, nil
}

// list reads all heads, the newest first.
func (h *History) list(ctx context.Context) ([]head, error) {
	all, err := h.store.List(ctx, secretVersion, secretKind, h.app.Namespace, labelApp+"="+h.app.Name+","+labelRevision)
	if err != nil {
		return nil, err
	}
	return h.take(all), nil
}

// take remembers the heads among Secrets.
func (h *History) take(all []unstructured.Unstructured) (list []head) {
	for i := range all {
		if n := h.app.number(&all[i]); n > 0 {
			h.heads[n] = decode(n, &all[i])
			list = append(list, h.heads[n])
		}
	}
	slices.SortFunc(list, func(a, b head) int { return cmp.Compare(b.Number, a.Number) })
	return list
}

// Update writes how far a revision came: usually one small request. When a
// later run has taken the revision over, by a higher Token, the error is
// ErrFenced. Number, Started, SHA256 and the content stay what they are.
func (h *History) Update(ctx context.Context, r Revision) error {
	done, err := h.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := h.update(ctx, r); err != nil {
		return fmt.Errorf("recording revision %d of %s as %s: %w", r.Number, h.app, r.State, err)
	}
	return nil
}

func (h *History) update(ctx context.Context, r Revision) error {
	now, known := h.heads[r.Number]
	for range tries {
		if !known {
			live, err := h.get(ctx, r.Number)
			if err != nil {
				return err
			}
			if live == nil {
				return errors.New("there is no such revision")
			}
			now = *live
		}
		switch {
		case now.State == Unreadable:
			return errors.New(now.Reason)
		case now.Token > r.Token:
			return fmt.Errorf("token %d is older than %d: %w", r.Token, now.Token, ErrFenced)
		}
		next := now
		next.Revision = r
		next.Started, next.SHA256 = now.Started, now.SHA256
		obj, err := next.secret(h.app)
		if err != nil {
			return err
		}
		got, err := h.store.Update(ctx, obj)
		if err == nil {
			next.obj = got
			h.heads[r.Number] = next
			return nil
		}
		if known = false; !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return errors.New("it changes faster than it can be written")
}

// List reads the revisions, the newest first. One whose record is broken comes
// as Unreadable, with the reason.
func (h *History) List(ctx context.Context) ([]Revision, error) {
	done, err := h.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	heads, err := h.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the revisions of %s: %w", h.app, err)
	}
	var list []Revision
	for _, found := range heads {
		list = append(list, found.Revision)
	}
	return list, nil
}

// LastPassed finds the newest revision whose gate passed, older than the one
// numbered before (0: of all); nil without an error when there is none.
func (h *History) LastPassed(ctx context.Context, before int) (*Revision, error) {
	list, err := h.List(ctx)
	for _, r := range list {
		if r.State == Passed && (before == 0 || r.Number < before) {
			return &r, err
		}
	}
	return nil, err
}

// Unfinished finds the newest revision if its run did not bring it to an end:
// killed while it applied or waited, or interrupted. It is nil without an
// error when the newest one is finished, or there is none.
func (h *History) Unfinished(ctx context.Context) (*Revision, error) {
	list, err := h.List(ctx)
	if len(list) > 0 && slices.Contains([]State{Applying, Applied, Interrupted}, list[0].State) {
		return &list[0], err
	}
	return nil, err
}

// Content reads what a revision applied, and makes sure that it is whole.
func (h *History) Content(ctx context.Context, number int) (Content, error) {
	done, err := h.turn(ctx)
	if err != nil {
		return Content{}, err
	}
	defer done()
	c, err := h.content(ctx, number)
	if err != nil {
		return Content{}, fmt.Errorf("reading what revision %d of %s applied: %w", number, h.app, err)
	}
	return c, nil
}

func (h *History) content(ctx context.Context, number int) (Content, error) {
	found, err := h.get(ctx, number)
	if err != nil {
		return Content{}, err
	}
	if found == nil {
		return Content{}, errors.New("there is no such revision; only the newest are kept")
	}
	if found.State == Unreadable {
		return Content{}, errors.New(found.Reason)
	}
	var chunks []*unstructured.Unstructured
	for i := range found.Content.Chunks {
		name := h.app.chunkName(found.Content.ID, i)
		obj, err := h.store.Get(ctx, secretVersion, secretKind, h.app.Namespace, name)
		if err != nil {
			return Content{}, err
		}
		if obj == nil {
			return Content{}, fmt.Errorf("the Secret %s/%s, chunk %d of %d, is gone: choose another revision", h.app.Namespace, name, i+1, found.Content.Chunks)
		}
		chunks = append(chunks, obj)
	}
	c, err := join(chunks)
	if err != nil {
		return Content{}, fmt.Errorf("its Secrets are broken (%w): choose another revision", err)
	}
	if got := digest(c.Manifests); got != found.SHA256 {
		return Content{}, fmt.Errorf("its manifests have the sha256 %s, not %s, and were changed: choose another revision", got, found.SHA256)
	}
	return c, nil
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
