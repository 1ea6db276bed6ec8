// SPDX-License-Identifier: Apache-2.0

package drain

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/outlast-ci/outlast/core/drain/timeline"
)

var kinds = []timeline.Kind{timeline.Rolling, timeline.StatefulSet, timeline.DaemonSet, timeline.Recreate, timeline.Handover}

// ten is the rollout of the gate-time example: 10 pods in waves of 90 s, each old
// pod ends within 40 + 25 + 5 s, and its target is unused after 5 + 65 + 15 s.
func ten(t *testing.T, change func(*Inputs)) Plan {
	t.Helper()
	in := Defaults()
	in.Mode, in.App, in.Replicas, in.Surge = Fast, Graceful, 10, 3
	change(&in)
	p, err := Solve(in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPredict(t *testing.T) {
	for name, tc := range map[string]struct {
		change     func(*Inputs)
		strategy   Strategy
		waves      int
		seconds    int64
		pods, ips  int
		last       timeline.Wave
		exit, kill int64
	}{
		// The third wave comes at 180 s, when the first old pods are gone since 160 s, but their addresses are not free before 190 s.
		"a Deployment with surge 3": {func(*Inputs) {}, Strategy{Kind: timeline.Rolling, Surge: 3}, 4, 360 + 85, 16, 19,
			timeline.Wave{Start: 270, End: 430, New: 1, Old: 1, Created: 270, Ready: 360, Deleted: 360, Gone: 430}, 70, 80},
		"the same without room": {func(in *Inputs) { in.Tight = true }, Strategy{Kind: timeline.Rolling, Surge: 3}, 4, 3*160 + 90 + 85, 13, 16,
			timeline.Wave{Start: 480, End: 640, New: 1, Old: 1, Created: 480, Ready: 570, Deleted: 570, Gone: 640}, 70, 80},
		"one pod may be missing: one goes first, four come": {func(*Inputs) {}, Strategy{Kind: timeline.Rolling, Surge: 3, Unavailable: 1}, 3, 270 + 85, 17, 19,
			timeline.Wave{Start: 180, End: 340, New: 2, Old: 1, Created: 180, Ready: 270, Deleted: 270, Gone: 340}, 70, 80},
		"no surge at all": {func(in *Inputs) { in.Replicas, in.Surge = 2, 0 }, Strategy{Kind: timeline.Rolling}, 2, 180, 3, 4,
			timeline.Wave{Start: 90, End: 180, New: 1, Created: 90, Ready: 180, Deleted: 180, Gone: 180}, 70, 80},
		"a StatefulSet": {func(in *Inputs) { in.Surge = 0 }, Strategy{Kind: timeline.StatefulSet}, 10, 10 * 160, 10, 11,
			timeline.Wave{Start: 1440, End: 1600, New: 1, Old: 1, Deleted: 1440, Gone: 1510, Created: 1510, Ready: 1600}, 70, 80},
		"a StatefulSet, three at a time": {func(in *Inputs) { in.Surge = 0 }, Strategy{Kind: timeline.StatefulSet, Unavailable: 3}, 4, 4 * 160, 10, 13,
			timeline.Wave{Start: 480, End: 640, New: 1, Old: 1, Deleted: 480, Gone: 550, Created: 550, Ready: 640}, 70, 80},
		"a DaemonSet": {func(in *Inputs) { in.Surge = 0 }, Strategy{Kind: timeline.DaemonSet, Unavailable: 1}, 10, 10 * 160, 10, 11,
			timeline.Wave{Start: 1440, End: 1600, New: 1, Old: 1, Deleted: 1440, Gone: 1510, Created: 1510, Ready: 1600}, 70, 80},
		"a DaemonSet with surge": {func(*Inputs) {}, Strategy{Kind: timeline.DaemonSet, Surge: 3}, 4, 360 + 85, 16, 19,
			timeline.Wave{Start: 270, End: 430, New: 1, Old: 1, Created: 270, Ready: 360, Deleted: 360, Gone: 430}, 70, 80},
		"Recreate": {func(*Inputs) {}, Strategy{Kind: timeline.Recreate}, 1, 160, 10, 20,
			timeline.Wave{End: 160, New: 10, Old: 10, Gone: 70, Created: 70, Ready: 160}, 70, 80},
		"a handover": {func(*Inputs) {}, Strategy{Kind: timeline.Handover}, 1, 90 + 85 + 70, 20, 20,
			timeline.Wave{End: 245, New: 10, Old: 10, Ready: 90, Deleted: 175, Gone: 245}, 70, 80},
		"running pods that end by their own timings": {func(in *Inputs) { in.Running = &Given{300, 10, 30} }, Strategy{Kind: timeline.Rolling, Surge: 3}, 4, 360 + 5 + 300 + 15, 16, 16,
			timeline.Wave{Start: 270, End: 390, New: 1, Old: 1, Created: 270, Ready: 360, Deleted: 360, Gone: 390}, 30, 30},
		"running pods whose grace is their hook: the kubelet leaves 2 s": {func(in *Inputs) { in.Running = &Given{30, 40, 40} }, Strategy{Kind: timeline.Rolling, Surge: 3}, 4, 360 + 85, 16, 16,
			timeline.Wave{Start: 270, End: 402, New: 1, Old: 1, Created: 270, Ready: 360, Deleted: 360, Gone: 402}, 42, 42},
		"running pods that are killed in their hook": {func(in *Inputs) { in.Running = &Given{30, 60, 40} }, Strategy{Kind: timeline.Rolling, Surge: 3}, 4, 360 + 85, 16, 16,
			timeline.Wave{Start: 270, End: 402, New: 1, Old: 1, Created: 270, Ready: 360, Deleted: 360, Gone: 402}, 42, 42},
		"sidecars that end later": {func(in *Inputs) { in.SidecarShutdown = sec(8) }, Strategy{Kind: timeline.Rolling, Surge: 3}, 4, 360 + 85, 16, 19,
			timeline.Wave{Start: 270, End: 438, New: 1, Old: 1, Created: 270, Ready: 360, Deleted: 360, Gone: 438}, 78, 88},
		"one may be missing, and there is no room: those that go first make it": {func(in *Inputs) { in.Replicas, in.Tight = 4, true }, Strategy{Kind: timeline.Rolling, Surge: 1, Unavailable: 1}, 2, 70 + 90 + 70 + 90 + 85, 5, 7, // two addresses cool down when the last two pods come
			timeline.Wave{Start: 230, End: 390, New: 2, Old: 1, Created: 230, Ready: 320, Deleted: 320, Gone: 390}, 70, 80},
		"an abrupt application": {func(in *Inputs) { in.App = Abrupt }, Strategy{Kind: timeline.Rolling, Surge: 3}, 4, 360 + 85, 16, 19,
			timeline.Wave{Start: 270, End: 435, New: 1, Old: 1, Created: 270, Ready: 360, Deleted: 360, Gone: 435}, 75, 80},
	} {
		t.Run(name, func(t *testing.T) {
			line := Predict(ten(t, tc.change), tc.strategy)
			if len(line.Waves) != tc.waves || line.Seconds != tc.seconds || line.PeakPods != tc.pods || line.PeakIPs != tc.ips {
				t.Fatalf("%d waves, %d s, %d pods, %d addresses; want %d, %d, %d, %d", len(line.Waves), line.Seconds, line.PeakPods, line.PeakIPs, tc.waves, tc.seconds, tc.pods, tc.ips)
			}
			if last := line.Waves[tc.waves-1]; last != tc.last || line.Pod.Exit != tc.exit || line.Pod.Kill != tc.kill {
				t.Errorf("last wave %+v, exit %d, kill %d; want %+v, %d, %d", last, line.Pod.Exit, line.Pod.Kill, tc.last, tc.exit, tc.kill)
			}
		})
	}
	if line := Predict(ten(t, func(in *Inputs) { in.Replicas = 0 }), Strategy{Kind: timeline.Rolling, Surge: 1}); len(line.Waves) != 0 || line.Seconds != 0 || line.PeakPods != 0 {
		t.Errorf("without replicas: %+v", line)
	}
}

// TestTheGateWaitsLonger than the rollout is predicted to take, and each pod is
// replaced once.
func TestTheGateWaitsLonger(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInputs(t)
		in.Replicas = min(in.Replicas, 60)
		p, err := Solve(in)
		if err != nil {
			return
		}
		s := Strategy{Kind: rapid.SampledFrom([]timeline.Kind{timeline.Rolling, timeline.StatefulSet, timeline.DaemonSet}).Draw(t, "kind"), Surge: in.Surge, Unavailable: rapid.IntRange(0, 5).Draw(t, "unavailable")}
		line := Predict(p, s)
		if slow := s.Kind != timeline.StatefulSet || in.Surge == 0; slow && line.Seconds > line.GateBound {
			t.Fatalf("%+v takes %d s, the gate %d s", s, line.Seconds, line.GateBound)
		}
		fresh, old := 0, 0
		for _, w := range line.Waves {
			fresh, old = fresh+w.New, old+w.Old
			if w.Start > min(w.Created, w.Deleted) || w.End < max(w.Ready, w.Gone) || w.Ready < w.Created || w.Gone < w.Deleted {
				t.Fatalf("wave %+v", w)
			}
		}
		if fresh != in.Replicas || old != in.Replicas || line.PeakPods < in.Replicas || line.PeakIPs < line.PeakPods || line.PeakIPs > 2*in.Replicas {
			t.Fatalf("%d new and %d old pods of %d: %+v", fresh, old, in.Replicas, line)
		}
	})
}

func TestTimelineIsJSON(t *testing.T) {
	text, err := json.Marshal(Predict(ten(t, func(in *Inputs) { in.Replicas = 1 }), Strategy{Kind: timeline.Rolling, Surge: 1}))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"strategy":{"kind":"rolling","surge":1,"unavailable":0},"waves":[{"start":0,"end":160,"new":1,"old":1,"created":0,"ready":90,"deleted":90,"gone":160}],` +
		`"seconds":175,"peakPods":2,"peakIPs":2,"gateBound":180,"pod":{"deregistered":5,"lastRequest":35,"served":65,"cut":70,"unused":85,"term":40,"exit":70,"kill":80}}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

var update = flag.Bool("update", false, "rewrite what the tests compare with")

// TestCharts: what people see, in testdata/charts.txt.
func TestCharts(t *testing.T) {
	surge := Strategy{Kind: timeline.Rolling, Surge: 3}
	var got strings.Builder
	for _, tc := range []struct{ name, chart string }{
		{"a rollout", Predict(ten(t, func(*Inputs) {}), surge).Chart(80)},
		{"many waves", Predict(ten(t, func(in *Inputs) { in.Replicas = 100 }), surge).Chart(80)},
		{"as many waves as fit", Predict(ten(t, func(in *Inputs) { in.Replicas = 24 }), surge).Chart(80)},
		{"one after the other", Predict(ten(t, func(in *Inputs) { in.Replicas, in.Surge = 3, 0 }), Strategy{Kind: timeline.StatefulSet}).Chart(80)},
		{"nothing to replace", Predict(ten(t, func(in *Inputs) { in.Replicas = 0 }), surge).Chart(80)},
		{"an old pod", Predict(ten(t, func(*Inputs) {}), surge).Pod.Chart(80)},
		{"an old pod that takes an hour", Predict(ten(t, func(in *Inputs) { in.Request = sec(3500) }), surge).Pod.Chart(80)},
		{"an old pod behind instance targets, in 60 columns", Predict(ten(t, func(in *Inputs) { in.Balancer = Instance }), surge).Pod.Chart(60)},
	} {
		fmt.Fprintf(&got, "-- %s --\n%s", tc.name, tc.chart)
		for text := range strings.Lines(tc.chart) {
			if len(text) > 81 || strings.HasSuffix(text, " \n") {
				t.Errorf("%s: too wide, or blanks at the end: %q", tc.name, text)
			}
		}
		if n := strings.Count(tc.chart, "\n"); n > 12 {
			t.Errorf("%s: %d lines", tc.name, n)
		}
	}
	if *update {
		if err := os.WriteFile("testdata/charts.txt", []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/charts.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got\n%s", got.String())
	}
}
