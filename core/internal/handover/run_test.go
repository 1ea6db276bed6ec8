// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// What a handover does, one step after the other, and what it takes back when one fails.
func TestRun(t *testing.T) {
	s := Steps{Narrow: []byte("narrow"), Finish: []byte("finish"), Widen: []byte("widen")}
	for fails, want := range map[string]string{
		"":       "ready narrow unused finish gone widen",
		"ready":  "ready",
		"narrow": "ready narrow back-widen", // it may have been accepted
		"unused": "ready narrow unused back-widen",
		"finish": "ready narrow unused finish back-widen",
		"gone":   "ready narrow unused finish gone back-widen",
		"widen":  "ready narrow unused finish gone widen",
	} {
		var did, said []string
		do := func(what string) error {
			did = append(did, what)
			if what == fails {
				return errors.New("no luck")
			}
			return nil
		}
		wait := func(what string) func(context.Context) error {
			return func(context.Context) error { return do(what) }
		}
		err := s.Run(t.Context(), World{
			Apply: func(_ context.Context, text []byte) error { return do(string(text)) },
			Back:  func(context.Context) error { return do("back-widen") },
			Ready: wait("ready"), Unused: wait("unused"), Gone: wait("gone"),
			Say: func(step string) { said = append(said, step) },
		})
		if (err != nil) != (fails != "") {
			t.Errorf("%s fails: got %v", fails, err)
		}
		if got := strings.Join(did, " "); got != want {
			t.Errorf("%s fails: did %s, want %s", fails, got, want)
		}
		if fails == "" && (len(said) != 6 || said[2] != "handover, step 3 of 6: the old pods drain while they run") {
			t.Errorf("said %q", said)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	back := false
	err := s.Run(ctx, World{
		Apply: func(context.Context, []byte) error { return nil },
		Back:  func(context.Context) error { back = true; return nil },
		Ready: func(context.Context) error { return nil }, Unused: func(context.Context) error { cancel(); return ctx.Err() },
		Say: func(string) {},
	})
	if err == nil || back {
		t.Errorf("an interrupted run writes nothing more: %v, %t", err, back)
	}
}

// What undoes a handover ends with the new pods' end; when that is not seen, the Services are
// widened all the same.
func TestRunOfAnUndo(t *testing.T) {
	s := Steps{Widen: []byte("widen"), undo: true}
	for fails, want := range map[string]string{"": "gone widen", "gone": "gone back-widen", "widen": "gone widen"} {
		var did []string
		do := func(what string) error {
			did = append(did, what)
			if what == fails {
				return errors.New("no luck")
			}
			return nil
		}
		err := s.Run(t.Context(), World{
			Apply: func(_ context.Context, text []byte) error { return do(string(text)) },
			Back:  func(context.Context) error { return do("back-widen") },
			Gone:  func(context.Context) error { return do("gone") },
			Say:   func(string) {},
		})
		if got := strings.Join(did, " "); got != want || (err != nil) != (fails != "") {
			t.Errorf("%s fails: did %s, want %s; %v", fails, got, want, err)
		}
	}
}
