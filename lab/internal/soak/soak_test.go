// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outlast-ci/outlast/lab/internal/alb/watch"
	"github.com/outlast-ci/outlast/lab/internal/soak/book"
)

func kind(t *testing.T, name string) Kind {
	t.Helper()
	all := Kinds()
	i := slices.IndexFunc(all, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		t.Fatalf("no kind is called %s", name)
	}
	return all[i]
}

func ids(list []Trial) (out []string) {
	for _, t := range list {
		out = append(out, t.ID())
	}
	return out
}

func TestThePlanHasTheCountsThatAreAskedFor(t *testing.T) {
	plan, err := Plan(Fast, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, tr := range plan {
		got[tr.Name]++
	}
	want := map[string]int{
		"good": 30, "never-ready": 10, "crash-loop": 10, "missing-image": 10, "wrong-port": 10, "health-500": 10, "slow-start": 10, "alarm": 10, "probe": 10, "probe-good": 10, "kill": 50, "kill-rollback": 5,
		"legacy-rolling": 10, "legacy-handover": 10, "legacy-kill": 10, "handover-bad": 3, "handover-kill": 10, "handover-back": 5, "long-rolling": 1, "long-handover": 3, "long-undone": 3,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if real, err := Plan(Real, 1, nil); err != nil || len(real) != 3+8+5 {
		t.Errorf("%d trials in real time, %v", len(real), err)
	}
	if few, err := Plan(Fast, 1, map[string]int{"kill": 2}); err != nil || !slices.Equal(slices.Sorted(slices.Values(ids(few))), []string{"kill-01", "kill-02"}) {
		t.Errorf("%v, %v", ids(few), err)
	}
	for _, counts := range []map[string]int{{"kil": 1, "good": 1}, {}} {
		if _, err := Plan(Fast, 1, counts); err == nil {
			t.Errorf("%v is planned", counts)
		}
	}
}

func TestWhatIsRolledBack(t *testing.T) {
	if diff := cmp.Diff([]string{"never-ready", "crash-loop", "missing-image", "wrong-port", "health-500", "slow-start", "alarm", "probe"}, RolledBack()); diff != "" {
		t.Error(diff)
	}
}

func TestTheSeedDecides(t *testing.T) {
	one, err := Plan(Fast, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	same, _ := Plan(Fast, 1, nil)
	other, _ := Plan(Fast, 2, nil)
	if !slices.Equal(ids(one), ids(same)) || slices.Equal(ids(one), ids(other)) {
		t.Error("the order does not depend on the seed, or not on it alone")
	}
	k := Trial{kind(t, "kill"), 7}
	first := k.Draw(1, 1).Float64()
	if first != k.Draw(1, 1).Float64() {
		t.Error("the same seed gives another moment")
	}
	for name, n := range map[string]float64{"seed": k.Draw(2, 1).Float64(), "try": k.Draw(1, 2).Float64(), "trial": Trial{k.Kind, 8}.Draw(1, 1).Float64()} {
		if n == first {
			t.Errorf("another %s gives the same moment", name)
		}
	}
}

func TestProfiles(t *testing.T) {
	for name, p := range Profiles() {
		d, err := watch.ParseRange(p.Propagation)
		if err != nil || d.Min < 2*time.Second {
			t.Errorf("%s: propagation %s, %v", name, p.Propagation, err)
		}
		if p.Settle <= d.Max {
			t.Errorf("%s: the load ends %s after a deploy, and a request may be lost for %s", name, p.Settle, d.Max)
		}
	}
	if !slices.Contains(Fast.Planning, "P=4s") || Fast.Health != 5 || Fast.Deadline != 60 || Fast.Requeue != "1s" {
		t.Errorf("%+v", Fast)
	}
}

func TestJudge(t *testing.T) {
	good := book.Record{Requests: 1000, Rate: 100, Reason: "ok"}
	bad := book.Record{Requests: 1000, Rate: 100, Exit: 9, Reason: "crash-loop"}
	four := func(release string, more ...string) []string {
		return append([]string{release, release, release, release}, more...)
	}
	fine := Seen{Answers: "v2", Want: "v2", Release: "r", Pods: four("r")}
	for name, c := range map[string]struct {
		kind    string
		record  book.Record
		edit    func(*book.Record, *Seen)
		verdict book.Verdict
		why     string
	}{
		"a good deploy that passed":                      {"good", good, nil, book.Passed, ""},
		"a good image that was refused":                  {"good", bad, nil, book.Failed, `exit 9, want 0; reason "crash-loop", want "ok"`},
		"one lost request":                               {"good", good, func(r *book.Record, _ *Seen) { r.Failed = 1 }, book.Failed, "1 requests failed"},
		"the old version still answers":                  {"good", good, func(_ *book.Record, s *Seen) { s.Answers = "v1" }, book.Failed, `"v1", want "v2"`},
		"an old pod is left after exit 0":                {"good", good, func(_ *book.Record, s *Seen) { s.Pods = four("r", "before leaving") }, book.Failed, "a pod of release before leaving is there"},
		"a pod is missing":                               {"good", good, func(_ *book.Record, s *Seen) { s.Pods = s.Pods[1:] }, book.Failed, "3 pods of release r"},
		"a pod of the release leaves":                    {"good", good, func(_ *book.Record, s *Seen) { s.Pods[3] = "r leaving" }, book.Failed, "3 pods of release r"},
		"a bad deploy that was rolled back":              {"crash-loop", bad, nil, book.Passed, ""},
		"bad pods may still be leaving":                  {"crash-loop", bad, func(_ *book.Record, s *Seen) { s.Pods = four("r", "bad leaving") }, book.Passed, ""},
		"a bad image that passed":                        {"crash-loop", good, nil, book.Failed, "exit 0, want 9"},
		"the wrong reason":                               {"crash-loop", bad, func(r *book.Record, _ *Seen) { r.Reason = "timeout" }, book.Failed, `reason "timeout"`},
		"a control that lost requests":                   {"legacy-rolling", good, func(r *book.Record, _ *Seen) { r.Failed = 9 }, book.Passed, ""},
		"a control that lost none":                       {"legacy-rolling", good, nil, book.Failed, "could not see a loss"},
		"outlast could not be run":                       {"good", book.Record{}, func(_ *book.Record, s *Seen) { s.Tool = errors.New("gone") }, book.Failed, "gone"},
		"the deploy was quicker than the kill":           {"kill", good, func(_ *book.Record, s *Seen) { s.Early = true }, book.Void, "over before"},
		"the same, but a request was lost":               {"kill", good, func(r *book.Record, s *Seen) { s.Early, r.Failed = true, 1 }, book.Failed, "1 requests failed"},
		"a generator that was late":                      {"good", good, func(r *book.Record, _ *Seen) { r.Late = 101 }, book.Void, "101 of 1000"},
		"a little late is no matter":                     {"good", good, func(r *book.Record, _ *Seen) { r.Late = 100 }, book.Passed, ""},
		"one request far behind":                         {"good", good, func(r *book.Record, _ *Seen) { r.MaxLag = 2.5 }, book.Void, "2.5 s late"},
		"too slow a generator":                           {"good", good, func(r *book.Record, _ *Seen) { r.Rate = 96 }, book.Void, "96 requests a second"},
		"requests that were not sent":                    {"good", good, func(r *book.Record, _ *Seen) { r.Missed = 1 }, book.Void, "were not sent"},
		"no request at all":                              {"good", good, func(r *book.Record, _ *Seen) { r.Requests = 0 }, book.Void, "no request"},
		"a late generator does not excuse lost requests": {"good", good, func(r *book.Record, _ *Seen) { r.MaxLag, r.Failed = 2.5, 3 }, book.Failed, "3 requests failed"},
		"nor is a late control one":                      {"legacy-rolling", good, func(r *book.Record, _ *Seen) { r.MaxLag, r.Failed = 2.5, 3 }, book.Void, "2.5 s late"},
	} {
		t.Run(name, func(t *testing.T) {
			seen := fine
			seen.Pods = slices.Clone(fine.Pods)
			if c.edit != nil {
				c.edit(&c.record, &seen)
			}
			verdict, why := judge(kind(t, c.kind), c.record, seen, 100)
			if text := strings.Join(why, "; "); verdict != c.verdict || !strings.Contains(text, c.why) || c.why == "" && text != "" {
				t.Errorf("%s: %q, want %s: %q", verdict, text, c.verdict, c.why)
			}
		})
	}
}

func TestASecondRunGoesOnWhereTheFirstEnded(t *testing.T) {
	dir := t.TempDir()
	b := &bench{Options: Options{Out: dir, Log: t.Logf}}
	plan, err := Plan(Fast, 1, map[string]int{"good": 4})
	if err != nil {
		t.Fatal(err)
	}
	b.queue = slices.Clone(plan)
	for i, verdict := range []book.Verdict{book.Passed, book.Failed, book.Void} {
		tr, try, ok := b.next()
		if !ok || try != 1 {
			t.Fatalf("%v, %d", ok, try)
		}
		if err := b.keep(tr, book.Record{ID: tr.ID(), Kind: "good", Try: try, Verdict: verdict, Requests: i}); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(ids(b.queue), []string{plan[3].ID(), plan[2].ID()}) {
		t.Errorf("a void trial is not at the end of the queue: %v", ids(b.queue))
	}
	all, err := book.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.all, all); diff != "" {
		t.Error(diff)
	}
	if got := ids(left(plan, all, false)); !slices.Equal(got, []string{plan[2].ID(), plan[3].ID()}) {
		t.Errorf("left are %v", got)
	}
	if got := ids(left(plan, all, true)); !slices.Equal(got, []string{plan[1].ID(), plan[2].ID(), plan[3].ID()}) {
		t.Errorf("left again are %v", got)
	}
	for try := 2; try <= mostTries; try++ {
		if err := b.keep(plan[2], book.Record{ID: plan[2].ID(), Kind: "good", Try: try, Verdict: book.Void}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(b.queue); n != 2+mostTries-2 {
		t.Errorf("a trial that is void every time is tried on and on: %d in the queue", n)
	}
}

func TestTheTypicalDeployIsThatOfThoseThatPassed(t *testing.T) {
	b := &bench{Options: Options{Profile: Fast}}
	if got := b.typical("good"); got != Fast.Typical {
		t.Errorf("before any: %s", got)
	}
	b.all = []book.Record{{Kind: "good", Verdict: book.Passed, Seconds: 40}, {Kind: "good", Verdict: book.Passed, Seconds: 50}, {Kind: "good", Verdict: book.Failed, Seconds: 900}, {Kind: "kill", Verdict: book.Passed, Seconds: 5}}
	if got := b.typical("good"); got != 45*time.Second {
		t.Errorf("%s", got)
	}
}

func TestManifestsOfEachKind(t *testing.T) {
	for name, c := range map[string]struct {
		kind string
		has  []string
		not  []string
	}{
		"a good one":              {"good", []string{`maxSurge: "100%"`, `release: "r1"`, "port: http", "env: []", "progressDeadlineSeconds: 60", `interval-seconds: "5"`, "name: soak-9"}, []string{"Grace", "deregistration", "idle"}},
		"never ready":             {"never-ready", []string{`{name: READY_AFTER, value: "never"}`}, nil},
		"later than the deadline": {"slow-start", []string{`{name: READY_AFTER, value: "1m30s"}`}, nil},
		"another port":            {"wrong-port", []string{`{name: ADDR, value: ":8080"}`, "port: 8080"}, nil},
		"wrong on another page":   {"probe", []string{`{name: CART_STATUS, value: "500"}`, "port: http"}, []string{"HEALTH"}},
		"crashing":                {"crash-loop", []string{`{name: ADDR, value: "nowhere"}`, "port: http"}, nil},
		"longer than its grace":   {"long-handover", []string{"terminationGracePeriodSeconds: 60", "timeout_seconds=160", "idle_timeout.timeout_seconds=300", `{name: ON_SIGTERM, value: "exit"}`}, []string{"preStop"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := write(dir, Fast, "soak-9", "r1", kind(t, c.kind).pods); err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			for file := range maps.Keys(files) {
				part, err := os.ReadFile(filepath.Join(dir, folder, file))
				if err != nil {
					t.Fatal(err)
				}
				text.Write(part)
			}
			for _, want := range c.has {
				if !strings.Contains(text.String(), want) {
					t.Errorf("there is no %q in\n%s", want, text.String())
				}
			}
			for _, not := range c.not {
				if strings.Contains(text.String(), not) {
					t.Errorf("there is %q in\n%s", not, text.String())
				}
			}
		})
	}
}
