// SPDX-License-Identifier: Apache-2.0

package release

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/release/internal/pack"
)

func opened(t *testing.T, store Store) *History {
	t.Helper()
	h, err := Open(store, web)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func begun(t *testing.T, h *History, r Revision, c Content) Revision {
	t.Helper()
	r, err := h.Begin(t.Context(), r, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func listed(t *testing.T, h *History) []Revision {
	t.Helper()
	list, err := h.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// states tells a list in short: "3 passed, 2 failed".
func inShort(list []Revision) string {
	var all []string
	for _, r := range list {
		all = append(all, fmt.Sprintf("%d %s", r.Number, r.State))
	}
	return strings.Join(all, ", ")
}

var small = Content{Manifests: []byte("kind: ConfigMap\n"), Report: json.RawMessage(`{"schema":"outlast.report/v1"}`)}

// large gives content that no compression makes small, always the same.
func large(n int) Content {
	raw := make([]byte, n)
	src := rand.New(rand.NewPCG(1, 2))
	for i := range raw {
		raw[i] = byte(src.Uint32())
	}
	return Content{Manifests: raw, Report: small.Report}
}

// history makes revisions of such states, numbered from 1.
func history(t *testing.T, s *server, all ...State) *History {
	t.Helper()
	h := opened(t, s)
	for _, state := range all {
		begun(t, h, Revision{State: state}, small)
	}
	return h
}

// TestRevision: all that is recorded of an attempt comes back, to another process too.
func TestRevision(t *testing.T) {
	s := newServer()
	h := opened(t, s)
	h.room = little
	for name, tc := range map[string]struct {
		content Content
		chunks  int
	}{
		"small":                     {small, 1},
		"without a report":          {Content{Manifests: []byte("kind: ConfigMap\n")}, 1},
		"as large as it may be":     {large(pack.MaxChunks*little - 100), 5},
		"a little over one Secret":  {large(little), 2},
		"that compresses very well": {Content{Manifests: []byte(strings.Repeat("kind: ConfigMap\n", 1e4))}, 1},
	} {
		t.Run("content "+name, func(t *testing.T) {
			want := Revision{
				Run: Run{Version: "v1", Commit: "c0ffee", Branch: "main", RunURL: "https://ci.example/1", Actor: "ann", Environment: "prod"}, OfRevision: 3, Token: 7,
				Reason: "because", Journal: Journal{Phase: "workloads", Step: "2 of 3", Objects: []Object{{ID: "Deployment/dev/web", UID: "u", ResourceVersion: "12", Note: "configured"}}},
			}
			_, calls := s.since(0)
			got := begun(t, h, want, tc.content)
			want.Number, want.State, want.SHA256, want.Started = got.Number, Applying, digest(tc.content.Manifests), got.Started
			if got.Number == 0 || time.Since(got.Started) > time.Minute {
				t.Errorf("number %d, started %s", got.Number, got.Started)
			}
			if made, _ := s.since(calls); len(made) != 2+tc.chunks { // a list, the chunks, the head
				t.Errorf("calls %v", made)
			}
			for _, reader := range []*History{h, opened(t, s)} {
				if diff := cmp.Diff(want, listed(t, reader)[0]); diff != "" {
					t.Error(diff)
				}
				c, err := reader.Content(t.Context(), got.Number)
				if err != nil || !bytes.Equal(c.Manifests, tc.content.Manifests) || !bytes.Equal(c.Report, tc.content.Report) {
					t.Errorf("%v, manifests %.30q, report %q", err, c.Manifests, c.Report)
				}
			}
		})
	}
	t.Run("a server takes a Secret that is full", func(t *testing.T) {
		s := newServer()
		h, want := opened(t, s), large(pack.Room)
		begun(t, h, Revision{}, want)
		if c, err := h.Content(t.Context(), 1); err != nil || !bytes.Equal(c.Manifests, want.Manifests) || len(s.names()) != 3 {
			t.Errorf("%v, %v", err, s.names())
		}
	})
	t.Run("what a Secret is called and labelled", func(t *testing.T) {
		s := newServer()
		r := begun(t, opened(t, s), Revision{Run: Run{RunURL: "https://ci.example/1"}}, small)
		head := s.objects["Secret/dev/outlast-web.v1"]
		id := head.GetLabels()["outlast/content"]
		for name, want := range map[string]map[string]string{
			"outlast-web.v1":                   {"app.kubernetes.io/managed-by": "outlast", "outlast/app": "web", "outlast/revision": "1", "outlast/state": "applying", "outlast/content": id},
			"outlast-web.content-" + id + ".0": {"app.kubernetes.io/managed-by": "outlast", "outlast/app": "web", "outlast/content": id, "outlast/chunk": "0"},
		} {
			obj := s.objects["Secret/dev/"+name]
			if obj == nil {
				t.Fatalf("no Secret %s among %v", name, s.names())
			}
			if diff := cmp.Diff(want, obj.GetLabels()); diff != "" || obj.Object["type"] != "outlast/revision" {
				t.Errorf("%s of type %s: %s", name, obj.Object["type"], diff)
			}
		}
		if head.GetAnnotations()["outlast/run-url"] != r.Run.RunURL || len(s.objects) != 2 {
			t.Errorf("annotations %v, objects %v", head.GetAnnotations(), s.names())
		}
	})
}

func TestBeginRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		r    Revision
		c    Content
		want string
	}{
		"no manifests":                 {Revision{}, Content{Report: small.Report}, "recording a revision of dev/web: there are no manifests"},
		"a report that is none":        {Revision{}, Content{Manifests: small.Manifests, Report: json.RawMessage("{")}, "the report is no JSON"},
		"a state that is none":         {Revision{State: "fine"}, small, `"fine" is no state of a revision; they are [applying applied passed failed rolled-back interrupted]`},
		"the state of a broken record": {Revision{State: Unreadable}, small, `"unreadable" is no state`},
		"manifests that are too large": {Revision{}, large(pack.MaxChunks*little + 1),
			"the manifests and the report: packed, it takes 5 KiB, more than the 5 KiB that are kept: split the application, or take large files out of its ConfigMaps"},
		"manifests that are too large unpacked": {Revision{}, Content{Manifests: make([]byte, 64<<20+1)}, "manifests.yaml.gz: 65537 KiB are more than the 65536 KiB that are kept"},
		"a journal that is too large": {Revision{Journal: Journal{Step: base64.StdEncoding.EncodeToString(large(pack.Room + 5000).Manifests)}}, small,
			"KiB, more than the 960 KiB of a Secret: note less of each object"},
		"a token older than the newest revision's": {Revision{Token: 4}, small, "token 4 is older than revision 1's, 5: a later run holds the lock"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer()
			h := opened(t, s)
			h.room = little
			if strings.Contains(name, "token") {
				begun(t, h, Revision{Token: 5}, small)
			}
			before := s.names()
			_, err := h.Begin(t.Context(), tc.r, tc.c)
			if has(t, err, tc.want); errors.Is(err, ErrFenced) != strings.Contains(name, "token") {
				t.Errorf("%v is fenced: %t", err, errors.Is(err, ErrFenced))
			}
			if diff := cmp.Diff(before, s.names()); diff != "" {
				t.Errorf("something was written: %s", diff)
			}
		})
	}
	t.Run("an application that cannot have a name", func(t *testing.T) {
		_, err := Open(newServer(), App{"dev", "My App"})
		has(t, err, `the application is called "My App", but its Lease and Secrets need a name of lower-case letters`)
	})
}

// TestBeginAtOnce: of two runs that begin in the same moment, each gets a
// number of its own.
func TestBeginAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		history(t, s, Passed)
		const runs = 10
		numbers := make(chan int)
		for i := range runs {
			h := opened(t, &wire{server: s, before: func(_ context.Context, verb string) error {
				if verb == "create" {
					time.Sleep(time.Second) // all have listed before one creates
				}
				return nil
			}})
			go func() {
				r, err := h.Begin(t.Context(), Revision{Reason: fmt.Sprint(i)}, Content{Manifests: fmt.Appendf(nil, "n: %d", i)})
				if err != nil {
					t.Error(err)
				}
				numbers <- r.Number
			}()
		}
		var got []int
		for range runs {
			got = append(got, <-numbers)
		}
		slices.Sort(got)
		if diff := cmp.Diff([]int{2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, got); diff != "" {
			t.Error(diff)
		}
		h := opened(t, s)
		for _, r := range listed(t, h)[:runs] {
			if c, err := h.Content(t.Context(), r.Number); err != nil || string(c.Manifests) != "n: "+r.Reason {
				t.Errorf("revision %d of run %s: %q, %v", r.Number, r.Reason, c.Manifests, err)
			}
		}
	})
}

// TestBeginOverABadWire: an answer that is lost makes no second revision, and
// a request that never arrives no revision.
func TestBeginOverABadWire(t *testing.T) {
	for name, tc := range map[string]struct {
		wire wire
		want string // then listed
		err  string
	}{
		"the answer to the chunk is lost":                   {wire{after: nth(1, "create", errLost)}, "", "connection reset"},
		"the answer to the head is lost":                    {wire{after: nth(2, "create", errLost)}, "1 applying", ""},
		"the answer to the head is that it is there":        {wire{after: nth(2, "create", fakeExists())}, "1 applying", ""},
		"the answer to the chunk is that it is there":       {wire{after: nth(1, "create", fakeExists())}, "1 applying", ""},
		"the head never arrives":                            {wire{before: nth(2, "create", errLost)}, "", "recording a revision of dev/web: connection reset"},
		"the answer to the head is lost, and the next look": {wire{after: nth(2, "create", errLost), before: nth(1, "get", errors.New("and the look"))}, "1 applying", "and the look"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer()
			tc.wire.server = s
			h := opened(t, &tc.wire)
			r, err := h.Begin(t.Context(), Revision{}, small)
			if tc.err == "" && (err != nil || r.Number != 1 || r.State != Applying) {
				t.Errorf("got %+v, %v", r, err)
			} else if tc.err != "" {
				has(t, err, tc.err)
			}
			if got := inShort(listed(t, opened(t, s))); got != tc.want {
				t.Errorf("listed %q, want %q", got, tc.want)
			}
			if err != nil {
				return
			}
			r.State = Passed
			if err := h.Update(t.Context(), r); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("a Secret that only has the next one's name is left alone", func(t *testing.T) {
		s := newServer()
		if _, err := s.Create(t.Context(), web.base(secretVersion, secretKind, web.headName(1))); err != nil {
			t.Fatal(err)
		}
		if r := begun(t, opened(t, s), Revision{}, small); r.Number != 2 {
			t.Errorf("number %d", r.Number)
		}
	})
}

func TestUpdate(t *testing.T) {
	for name, do := range map[string]func(t *testing.T, s *server, w *wire, h *History, r Revision){
		"one request, each time": func(t *testing.T, s *server, _ *wire, h *History, r Revision) {
			_, n := s.since(0)
			for _, state := range []State{Applied, Applied, Passed} {
				r.State = state
				if err := h.Update(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
			if calls, _ := s.since(n); !slices.Equal(calls, slices.Repeat([]string{"update Secret/outlast-web.v1"}, 3)) {
				t.Errorf("calls %v", calls)
			}
		},
		"what belongs to the attempt cannot be changed, the rest can": func(t *testing.T, s *server, _ *wire, h *History, r Revision) {
			next := r
			next.Started, next.SHA256 = time.Now().Add(time.Hour), "0"
			next.State, next.Finished, next.Reason, next.Token = RolledBack, r.Started.Add(time.Hour), "crash-loop", 9
			next.Journal = Journal{Phase: "gate", Objects: []Object{{ID: "Deployment/dev/web"}}}
			if err := h.Update(t.Context(), next); err != nil {
				t.Fatal(err)
			}
			next.Started, next.SHA256 = r.Started, r.SHA256
			if diff := cmp.Diff(next, listed(t, opened(t, s))[0]); diff != "" {
				t.Error(diff)
			}
			if _, err := h.Content(t.Context(), 1); err != nil {
				t.Error(err)
			}
			if state := s.objects["Secret/dev/outlast-web.v1"].GetLabels()["outlast/state"]; state != "rolled-back" {
				t.Errorf("label %s", state)
			}
		},
		"a process that has not read it does": func(t *testing.T, s *server, _ *wire, h *History, r Revision) {
			r.State, r.Token = Interrupted, 8
			if err := opened(t, s).Update(t.Context(), r); err != nil {
				t.Error(err)
			}
		},
		"an answer that is lost is written over": func(t *testing.T, s *server, w *wire, h *History, r Revision) {
			w.after = nth(1, "update", errLost)
			r.State = Applied
			has(t, h.Update(t.Context(), r), "recording revision 1 of dev/web as applied: connection reset")
			r.State = Passed
			if err := h.Update(t.Context(), r); err != nil {
				t.Error(err)
			}
		},
		"a conflict with a label of somebody's is none": func(t *testing.T, s *server, _ *wire, h *History, r Revision) {
			s.touch(t, "Secret", "outlast-web.v1", func(obj *unstructured.Unstructured) { annotate(obj, "someone/was", "here") })
			r.State = Passed
			if err := h.Update(t.Context(), r); err != nil {
				t.Error(err)
			}
		},
		"a later run has taken it over": func(t *testing.T, s *server, _ *wire, h *History, r Revision) {
			other := r
			other.Token, other.State = r.Token+1, Interrupted
			if err := opened(t, s).Update(t.Context(), other); err != nil {
				t.Fatal(err)
			}
			r.State = Passed
			err := h.Update(t.Context(), r)
			if has(t, err, "recording revision 1 of dev/web as passed: token 7 is older than 8: a later run holds the lock"); !errors.Is(err, ErrFenced) {
				t.Errorf("%v is no ErrFenced", err)
			}
			if got := inShort(listed(t, h)); got != "1 interrupted" {
				t.Errorf("listed %s", got)
			}
		},
		"there is no such revision": func(t *testing.T, s *server, _ *wire, h *History, r Revision) {
			r.Number = 2
			has(t, h.Update(t.Context(), r), "recording revision 2 of dev/web as applying: there is no such revision")
		},
		"the revision was deleted meanwhile": func(t *testing.T, s *server, _ *wire, h *History, r Revision) {
			s.remove("Secret", "outlast-web.v1")
			has(t, h.Update(t.Context(), r), "recording revision 1 of dev/web as applying: there is no such revision")
		},
		"a state that is none": func(t *testing.T, s *server, _ *wire, h *History, r Revision) {
			r.State = "fine"
			has(t, h.Update(t.Context(), r), `"fine" is no state of a revision`)
		},
		"a record that is broken stays as it is": func(t *testing.T, s *server, _ *wire, h *History, r Revision) {
			s.touch(t, "Secret", "outlast-web.v1", func(obj *unstructured.Unstructured) { delete(obj.Object, "data") })
			has(t, h.Update(t.Context(), r), "Secret dev/outlast-web.v1 cannot be read: revision.json.gz: it is missing")
		},
		"one that changes without end": func(t *testing.T, s *server, w *wire, h *History, r Revision) {
			w.before = func(_ context.Context, verb string) error {
				if verb == "update" {
					return fakeConflict()
				}
				return nil
			}
			has(t, h.Update(t.Context(), r), "it changes faster than it can be written")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer()
			w := &wire{server: s}
			h := opened(t, w)
			do(t, s, w, h, begun(t, h, Revision{Token: 7}, small))
		})
	}
}

// TestQuestions: what the next run asks of a history.
func TestQuestions(t *testing.T) {
	for name, tc := range map[string]struct {
		states     []State
		before     int
		lastPassed int
		unfinished int
	}{
		"an empty history":                             {nil, 0, 0, 0},
		"a first deploy that was killed":               {[]State{Applying}, 0, 0, 1},
		"one that was killed while it waited":          {[]State{Passed, Applied}, 0, 1, 2},
		"one that was interrupted":                     {[]State{Passed, Interrupted}, 0, 1, 2},
		"one that failed is finished":                  {[]State{Passed, Failed}, 0, 1, 0},
		"what was killed before the newest is history": {[]State{Applying, Passed}, 0, 2, 0},
		"good, bad, bad: the good one":                 {[]State{Passed, RolledBack, Failed}, 0, 1, 0},
		"not merely the one before":                    {[]State{Passed, Passed, Failed, RolledBack, Applying}, 5, 2, 5},
		"before a good one, the good one before":       {[]State{Passed, Failed, Passed}, 3, 1, 0},
		"nothing passed before the first":              {[]State{Passed, Passed}, 1, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := history(t, newServer(), tc.states...)
			number := func(r *Revision, err error) int {
				if err != nil {
					t.Error(err)
				}
				if r == nil {
					return 0
				}
				return r.Number
			}
			if got := number(h.LastPassed(t.Context(), tc.before)); got != tc.lastPassed {
				t.Errorf("last passed before %d: %d, want %d", tc.before, got, tc.lastPassed)
			}
			if got := number(h.Unfinished(t.Context())); got != tc.unfinished {
				t.Errorf("unfinished: %d, want %d", got, tc.unfinished)
			}
		})
	}
	t.Run("more than nine are in the order of numbers", func(t *testing.T) {
		h := history(t, newServer(), slices.Repeat([]State{Passed}, 12)...)
		if got := inShort(listed(t, h)); !strings.HasPrefix(got, "12 passed, 11 passed, 10 passed, 9 passed") || !strings.HasSuffix(got, ", 2 passed, 1 passed") {
			t.Errorf("listed %s", got)
		}
	})
	t.Run("other applications and other Secrets are none of ours", func(t *testing.T) {
		s := newServer()
		history(t, s, Passed)
		other, err := Open(s, App{"dev", "web-v1"})
		if err != nil {
			t.Fatal(err)
		}
		begun(t, other, Revision{State: Failed}, small)
		for _, change := range []func(obj *unstructured.Unstructured){
			func(obj *unstructured.Unstructured) { obj.SetName("copy-of-it") },
			func(obj *unstructured.Unstructured) {
				obj.SetName("outlast-web.v2")
				obj.SetLabels(map[string]string{labelApp: "web", labelRevision: "2"})
				obj.Object["type"] = "Opaque"
			},
			func(obj *unstructured.Unstructured) { obj.SetName("outlast-web.v3") },
			func(obj *unstructured.Unstructured) {
				obj.SetName("outlast-web.v-4")
				obj.SetLabels(map[string]string{labelApp: "web", labelRevision: "-4"})
			},
		} {
			obj, err := s.Get(t.Context(), secretVersion, secretKind, "dev", "outlast-web.v1")
			if err != nil {
				t.Fatal(err)
			}
			obj.SetResourceVersion("")
			change(obj)
			if obj.GetName() == "outlast-web.v-4" {
				s.objects["Secret/dev/outlast-web.v-4"] = obj // a real server would not take the label
			} else if _, err := s.Create(t.Context(), obj); err != nil {
				t.Fatal(err)
			}
		}
		if got := inShort(listed(t, opened(t, s))); got != "1 passed" {
			t.Errorf("listed %s", got)
		}
		if got := inShort(listed(t, other)); got != "1 failed" {
			t.Errorf("of the other: %s", got)
		}
	})
	t.Run("an error is no empty history", func(t *testing.T) {
		h := opened(t, &wire{server: newServer(), before: nth(1, "list", errLost)})
		list, err := h.List(t.Context())
		if has(t, err, "reading the revisions of dev/web: connection reset"); list != nil {
			t.Errorf("got %v", list)
		}
		for _, ask := range []func(h *History) (*Revision, error){
			func(h *History) (*Revision, error) { return h.LastPassed(t.Context(), 0) },
			func(h *History) (*Revision, error) { return h.Unfinished(t.Context()) },
		} {
			if r, err := ask(opened(t, &wire{server: newServer(), before: nth(1, "list", errLost)})); r != nil || err == nil {
				t.Errorf("got %v, %v", r, err)
			}
		}
	})
}

// TestContentBroken: what hands have done to the Secrets is told, and not applied.
func TestContentBroken(t *testing.T) {
	encode := func(t *testing.T, raw string) string {
		packed, err := pack.Pack([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(packed)
	}
	for name, tc := range map[string]struct {
		harm func(t *testing.T, s *server, chunk string)
		want string
	}{
		"a chunk is gone": {func(t *testing.T, s *server, chunk string) { s.remove("Secret", chunk) },
			".1, chunk 2 of 3, is gone: choose another revision"},
		"a chunk was emptied": {func(t *testing.T, s *server, chunk string) {
			s.touch(t, "Secret", chunk, func(obj *unstructured.Unstructured) { delete(obj.Object, "data") })
		}, "its Secrets are broken (manifests.yaml.gz: unpacking: "},
		"a chunk is no base64": {func(t *testing.T, s *server, chunk string) {
			s.touch(t, "Secret", chunk, func(obj *unstructured.Unstructured) {
				obj.Object["data"] = map[string]any{keyManifests: "s3cret!"}
			})
		}, "its Secrets are broken (chunk 2 of 3: manifests.yaml.gz is no base64): choose another revision"},
		"a chunk is no text": {func(t *testing.T, s *server, chunk string) {
			s.touch(t, "Secret", chunk, func(obj *unstructured.Unstructured) {
				obj.Object["data"] = map[string]any{keyManifests: int64(7)}
			})
		}, "chunk 2 of 3: manifests.yaml.gz is no text"},
		"the manifests were changed": {func(t *testing.T, s *server, chunk string) {
			first := strings.TrimSuffix(chunk, "1") + "0"
			for _, name := range []string{first, chunk, strings.TrimSuffix(chunk, "1") + "2"} {
				s.touch(t, "Secret", name, func(obj *unstructured.Unstructured) {
					data := obj.Object["data"].(map[string]any)
					if delete(data, keyManifests); name == first {
						data[keyManifests] = encode(t, "kind: Evil")
					}
				})
			}
		}, "and were changed: choose another revision"},
		"the report was changed": {func(t *testing.T, s *server, chunk string) {
			s.touch(t, "Secret", strings.TrimSuffix(chunk, "1")+"2", func(obj *unstructured.Unstructured) {
				obj.Object["data"].(map[string]any)[keyReport] = encode(t, "s3cret!")
			})
		}, "its Secrets are broken (report.json.gz is no JSON)"},
		"the head is gone": {func(t *testing.T, s *server, _ string) { s.remove("Secret", "outlast-web.v1") }, "there is no such revision; only the newest are kept"},
		"the head is broken": {func(t *testing.T, s *server, _ string) {
			s.touch(t, "Secret", "outlast-web.v1", func(obj *unstructured.Unstructured) {
				obj.Object["data"] = map[string]any{keyRevision: encode(t, "s3cret!")}
			})
		}, "Secret dev/outlast-web.v1 cannot be read: revision.json.gz is not what outlast writes"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer()
			h := opened(t, s)
			h.room = little
			begun(t, h, Revision{}, large(2*little+100))
			chunk := web.chunkName(s.objects["Secret/dev/outlast-web.v1"].GetLabels()[labelContent], 1)
			tc.harm(t, s, chunk)
			c, err := h.Content(t.Context(), 1)
			if has(t, err, "reading what revision 1 of dev/web applied: ", tc.want); c.Manifests != nil || strings.Contains(fmt.Sprint(err), "s3cret") {
				t.Errorf("got %.20s, %v", c.Manifests, err)
			}
		})
	}
}

// TestUnreadable: a record that this outlast cannot read keeps its number and
// says why; the others are not hidden by it.
func TestUnreadable(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"of a newer outlast":   {`{"layout":"outlast.revision/v2","number":2}`, `its layout is "outlast.revision/v2", and this outlast reads "outlast.revision/v1": use the version that wrote it`},
		"of another revision":  {`{"layout":"outlast.revision/v1","number":1,"state":"passed","content":{"id":"x","chunks":1}}`, "it says to be revision 1"},
		"of an unknown state":  {`{"layout":"outlast.revision/v1","number":2,"state":"fine","content":{"id":"x","chunks":1}}`, `its state "fine" is unknown`},
		"without content":      {`{"layout":"outlast.revision/v1","number":2,"state":"passed"}`, `it names 0 chunks of content ""`},
		"with too much of it":  {`{"layout":"outlast.revision/v1","number":2,"state":"passed","content":{"id":"x","chunks":6}}`, `it names 6 chunks of content "x"`},
		"that is no JSON":      {`kind: Evil`, "revision.json.gz is not what outlast writes"},
		"of other types":       {`{"layout":7}`, "revision.json.gz is not what outlast writes"},
		"of a state read only": {`{"layout":"outlast.revision/v1","number":2,"state":"unreadable","content":{"id":"x","chunks":1}}`, `its state "unreadable" is unknown`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer()
			h := history(t, s, Passed, Passed, Failed)
			packed, err := pack.Pack([]byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			s.touch(t, "Secret", "outlast-web.v2", func(obj *unstructured.Unstructured) {
				obj.Object["data"] = map[string]any{keyRevision: base64.StdEncoding.EncodeToString(packed)}
			})
			list := listed(t, h)
			if got := inShort(list); got != "3 failed, 2 unreadable, 1 passed" {
				t.Errorf("listed %s", got)
			}
			has(t, errors.New(list[1].Reason), "Secret dev/outlast-web.v2 cannot be read: "+tc.want)
			if r, err := h.LastPassed(t.Context(), 0); err != nil || r.Number != 1 {
				t.Errorf("last passed %v, %v", r, err)
			}
			if r := begun(t, h, Revision{}, small); r.Number != 4 {
				t.Errorf("the next is %d", r.Number)
			}
		})
	}
}
