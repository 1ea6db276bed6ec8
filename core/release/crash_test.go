// SPDX-License-Identifier: Apache-2.0

package release

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestTrim(t *testing.T) {
	good := func(n int) []State { return slices.Repeat([]State{Passed}, n) }
	for name, tc := range map[string]struct {
		states []State
		keep   int
		want   string
	}{
		"nothing":                     {nil, 0, ""},
		"fewer than are kept":         {good(3), 0, "3 passed, 2 passed, 1 passed"},
		"ten unless told otherwise":   {good(12), 0, "12 passed, 11 passed, 10 passed, 9 passed, 8 passed, 7 passed, 6 passed, 5 passed, 4 passed, 3 passed"},
		"as many as told":             {good(5), 2, "5 passed, 4 passed"},
		"the newest always":           {[]State{Passed, Failed}, 1, "2 failed, 1 passed"},
		"less than one is one":        {good(3), -1, "3 passed"},
		"the last that passed always": {[]State{Passed, Passed, Failed, RolledBack, Interrupted, Applying}, 2, "6 applying, 5 interrupted, 2 passed"},
		"only the last that passed":   {[]State{Passed, Passed, Passed, Failed}, 1, "4 failed, 3 passed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer()
			h := history(t, s, tc.states...)
			if err := h.Trim(t.Context(), tc.keep); err != nil {
				t.Fatal(err)
			}
			list := listed(t, h)
			if got := inShort(list); got != tc.want {
				t.Errorf("kept %q, want %q", got, tc.want)
			}
			for _, r := range list {
				if _, err := h.Content(t.Context(), r.Number); err != nil {
					t.Error(err)
				}
			}
			if names := s.names(); len(names) != 2*len(list) {
				t.Errorf("objects %v", names)
			}
		})
	}
	t.Run("a record of a newer outlast that passed is kept too", func(t *testing.T) {
		s := newServer()
		h := history(t, s, Passed, Failed)
		spoil(t, s, 1)
		if err := h.Trim(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if got := inShort(listed(t, h)); got != "2 failed, 1 unreadable" || len(s.names()) != 4 {
			t.Errorf("kept %q, %v", got, s.names())
		}
	})
	t.Run("what was put in a Secret's place is not deleted", func(t *testing.T) {
		s := newServer()
		h := history(t, s, Passed, Passed)
		h.store = &wire{server: s, before: func(_ context.Context, verb string) error {
			if verb == "delete" && s.objects["Secret/dev/outlast-web.v1"].GetUID() != "new" {
				s.objects["Secret/dev/outlast-web.v1"].SetUID("new")
			}
			return nil
		}}
		if err := h.Trim(t.Context(), 1); err != nil {
			t.Error(err)
		}
		if s.objects["Secret/dev/outlast-web.v1"] == nil {
			t.Error("it is deleted")
		}
	})
	t.Run("an error is told", func(t *testing.T) {
		for _, verb := range []string{"list", "delete"} {
			s := newServer()
			history(t, s, Passed, Passed)
			has(t, opened(t, &wire{server: s, before: nth(1, verb, errLost)}).Trim(t.Context(), 1), "deleting old revisions of dev/web: connection reset")
		}
	})
}

// spoil makes a revision's record one that this outlast cannot read.
func spoil(t *testing.T, s *server, number int) {
	t.Helper()
	obj := s.objects["Secret/dev/"+web.headName(number)]
	if obj == nil {
		t.Fatalf("no revision %d", number)
	}
	obj.Object["data"] = map[string]any{}
}

// TestOrphans: chunks that a killed Begin left are deleted, but not those of a
// Begin that is under way, nor another application's.
func TestOrphans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		h := history(t, s, Passed)
		killed := opened(t, &wire{server: s, before: nth(3, "create", errLost)})
		killed.room = little
		_, err := killed.Begin(t.Context(), Revision{}, large(2*little))
		has(t, err, "connection reset")
		other, err := Open(s, App{"dev", "other"})
		if err != nil {
			t.Fatal(err)
		}
		other.store = &wire{server: s, before: nth(2, "create", errLost)}
		_, err = other.Begin(t.Context(), Revision{}, small)
		has(t, err, "connection reset")
		for wait, want := range map[time.Duration]int{59 * time.Minute: 5} {
			time.Sleep(wait)
			if err := h.Trim(t.Context(), 0); err != nil || len(s.names()) != want {
				t.Errorf("%v; after %s there are %v", err, wait, s.names())
			}
		}
		time.Sleep(2 * time.Minute)
		if err := h.Trim(t.Context(), 0); err != nil || len(s.names()) != 3 {
			t.Errorf("%v; in the end there are %v", err, s.names())
		}
		if got := inShort(listed(t, h)); got != "1 passed" {
			t.Errorf("listed %s", got)
		}
		for _, labels := range [][]string{{labelContent, "x"}, {labelContent, "x", labelChunk, "0"}} {
			obj := web.secret(fmt.Sprintf("of-others-%d", len(labels)), nil, labels...)
			if len(labels) > 2 {
				obj.Object["type"] = "Opaque"
			}
			if _, err := s.Create(t.Context(), obj); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Hour)
		if err := h.Trim(t.Context(), 0); err != nil || len(s.names()) != 5 {
			t.Errorf("%v; of others' there are %v", err, s.names())
		}
	})
}

// little room in a Secret makes several of little content.
const little = 1000

var errKilled = errors.New("killed")

// dying lets a process make so many writes; the last may be carried out
// although the process is gone.
func dying(s *server, writes int, done bool) *wire {
	w := &wire{server: s}
	w.before = func(_ context.Context, verb string) error {
		if verb == "get" || verb == "list" {
			if writes <= 0 {
				return errKilled
			}
			return nil
		}
		if writes--; writes < 0 || writes == 0 && !done {
			return errKilled
		}
		return nil
	}
	w.after = func(_ context.Context, verb string) error {
		if writes <= 0 && verb != "get" && verb != "list" {
			return errKilled
		}
		return nil
	}
	return w
}

// ledger is what the cluster must hold, from what was carried out for sure.
type ledger struct {
	known map[int]State // revisions that were recorded; the state is the last that was
	texts map[int][]byte
}

// TestKilledAnywhere: wherever runs are killed in Begin, Update and Trim, what
// List shows is whole, no number is given twice, the last that passed stays,
// and the next run goes on as if nothing had happened.
func TestKilledAnywhere(t *testing.T) {
	kills := 0
	rapid.Check(t, func(rt *rapid.T) {
		s, book := newServer(), ledger{map[int]State{}, map[int][]byte{}}
		var problem error
		plan := rapid.SliceOfN(rapid.Custom(drawAttempt), 1, 6).Draw(rt, "attempts")
		synctest.Test(t, func(t *testing.T) {
			for i, a := range plan {
				kills += a.run(t.Context(), s, i, book)
				time.Sleep(2 * time.Hour)
				if problem = book.check(t.Context(), s); problem != nil {
					problem = fmt.Errorf("after attempt %d: %w", i, problem)
					return
				}
			}
			problem = book.goesOn(t.Context(), s)
		})
		if problem != nil {
			rt.Fatal(problem)
		}
	})
	if kills < 50 {
		t.Errorf("only %d runs were killed: that proves nothing", kills)
	}
}

// attempt is one run: it begins, tells how far it is, and tidies up, until it
// is killed.
type attempt struct {
	Writes int // until it is killed
	Done   bool
	States []State
	Keep   int
	Chunks int
}

func drawAttempt(rt *rapid.T) attempt {
	return attempt{
		Writes: rapid.IntRange(1, 12).Draw(rt, "writes"), Done: rapid.Bool().Draw(rt, "the last is carried out"),
		States: rapid.SliceOfN(rapid.SampledFrom(states), 0, 3).Draw(rt, "states"), Keep: rapid.IntRange(1, 3).Draw(rt, "keep"),
		Chunks: rapid.IntRange(1, 3).Draw(rt, "chunks"),
	}
}

func (a attempt) run(ctx context.Context, s *server, i int, book ledger) (killed int) {
	h, err := Open(dying(s, a.Writes, a.Done), web)
	if err != nil {
		panic(err)
	}
	h.room = little
	text := append(fmt.Appendf(nil, "# %d\n", i), large((a.Chunks-1)*little).Manifests...)
	r, err := h.Begin(ctx, Revision{Token: int64(i)}, Content{Manifests: text})
	if r.Number > 0 {
		book.known[r.Number], book.texts[r.Number] = Applying, text
	}
	for _, state := range a.States {
		if err == nil {
			r.State = state
			book.known[r.Number] = "" // unless it is answered, either may be true
			if err = h.Update(ctx, r); err == nil {
				book.known[r.Number] = state
			}
		}
	}
	if err == nil {
		err = h.Trim(ctx, a.Keep)
	}
	if err != nil {
		killed = 1
	}
	return killed
}

// check compares what a new process sees with the book.
func (b ledger) check(ctx context.Context, s *server) error {
	h, err := Open(s, web)
	if err != nil {
		return err
	}
	list, err := h.List(ctx)
	if err != nil {
		return err
	}
	passed := 0
	for n, state := range b.known {
		if state == Passed {
			passed = max(passed, n)
		}
	}
	for i, r := range list {
		if r.State == Unreadable || i > 0 && r.Number >= list[i-1].Number {
			return fmt.Errorf("listed %s: %s", inShort(list), r.Reason)
		}
		c, err := h.Content(ctx, r.Number)
		if err != nil {
			return err
		}
		if text, ok := b.texts[r.Number]; ok && !bytes.Equal(text, c.Manifests) {
			return fmt.Errorf("revision %d has the content of another: a number was given twice", r.Number)
		}
	}
	last, err := h.LastPassed(ctx, 0)
	if err == nil && passed > 0 && (last == nil || last.Number < passed) {
		return fmt.Errorf("the last that passed is %v, not %d", last, passed)
	}
	return err
}

// goesOn lets one more run work to the end; then nothing is left of the killed ones.
func (b ledger) goesOn(ctx context.Context, s *server) error {
	h, err := Open(s, web)
	if err != nil {
		return err
	}
	r, err := h.Begin(ctx, Revision{Token: 1000}, small)
	if err != nil {
		return err
	}
	for n := range b.known {
		if n >= r.Number {
			return fmt.Errorf("the next is %d, but there was %d", r.Number, n)
		}
	}
	r.State = Passed
	if err := errors.Join(h.Update(ctx, r), h.Trim(ctx, 1)); err != nil {
		return err
	}
	if names := s.names(); len(names) != 2 || !strings.HasSuffix(names[1], ".v"+fmt.Sprint(r.Number)) {
		return fmt.Errorf("left are %v, of revision %d", names, r.Number)
	}
	return nil
}

// FuzzParse: whatever a record says, it is a revision or there is a reason why
// it is none; and what is read is written the same.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`{"layout":"outlast.revision/v1","number":1,"state":"passed","run":{"version":"v1","runUrl":"u"},"started":"2026-11-29T08:00:00Z","token":7,"sha256":"ab","journal":{},"content":{"id":"x","chunks":1}}`,
		`{"layout":"outlast.revision/v1","number":1,"state":"failed","reason":"r","ofRevision":2,"started":"2026-11-29T08:00:00.5+08:00","finished":"2026-11-29T08:00:00Z",
		  "journal":{"phase":"p","step":"s","objects":[{"id":"Deployment/dev/web","uid":"u","resourceVersion":"1","note":"n"}]},"content":{"id":"x","chunks":5}}`,
		`{"layout":"outlast.revision/v2"}`, `{"number":"1"}`, `[]`, ``,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := parse(1, text)
		if err != nil {
			if got.Number != 0 {
				t.Errorf("got %+v with %v", got, err)
			}
			return
		}
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := parse(1, again)
		if err != nil {
			t.Fatalf("read, written, and not read: %v", err)
		}
		if diff := cmp.Diff(got.Revision, twice.Revision, cmpopts.EquateEmpty()); diff != "" || twice.Content != got.Content {
			t.Error(diff)
		}
	})
}
