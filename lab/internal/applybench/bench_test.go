// SPDX-License-Identifier: Apache-2.0

// Package applybench compares our apply with `kubectl apply --server-side` on a
// real API server behind a line of 20 ms, and cuts the line under both.
package applybench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	objects   = 1000
	roundTrip = 20 * time.Millisecond
	bar       = 0.2 // of kubectl's time
)

func median(runs []run) run {
	slices.SortFunc(runs, func(a, b run) int { return int(1000 * (a.seconds - b.seconds)) })
	return runs[len(runs)/2]
}

// BenchmarkReal has our program check on the API server what the code believes
// of one: it is no matter of time.
func BenchmarkReal(b *testing.B) {
	w := newWorld(b, true)
	for range b.N {
		cmd := exec.CommandContext(b.Context(), w.ours, "-test.run", "TestReal", "-test.v")
		cmd.Env = append(os.Environ(), "OUTLAST_BENCH_KUBECONFIG="+filepath.Join(w.dir, "pki", "admin.kubeconfig"), "OUTLAST_BENCH_KUBECTL="+w.kubectl)
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(string(out), "SKIP") || !strings.Contains(string(out), "--- PASS: TestReal/the_objects_of_helm") {
			b.Fatalf("%v\n%s", err, out)
		}
	}
}

// BenchmarkApply: kubectl and we apply the same objects by turns, each to a
// namespace of its own: first they are new, then nothing changes, then all do. The bar is
// of an API server and etcd. With controllers beside them, which take from the same cores
// for each object, it is shown how much of that is left.
func BenchmarkApply(b *testing.B) {
	for range b.N {
		w := newWorld(b, false)
		w.compare("", 10, 5)
		for what, ratio := range w.compare("", objects, 3) {
			if ratio > bar {
				b.Errorf("%s: %.3f of kubectl's time, at most %.1f is allowed", what, ratio, bar)
			}
		}
		newWorld(b, true).compare("with controllers", objects, 1)
	}
}

// compare prints how long both take, and gives the ratios.
func (w *world) compare(how string, n, rounds int) map[string]float64 {
	w.Helper()
	w.line.set(func() { w.line.delay = roundTrip })
	times, ratios := map[string][]run{}, map[string]float64{}
	for i := range rounds {
		order := []string{"kubectl", "ours"}
		if i%2 == 1 {
			slices.Reverse(order)
		}
		for _, who := range order {
			w.round(times, who, fmt.Sprintf("%s-%d-%d", who, n, i), n)
		}
	}
	for _, what := range []string{"new", "unchanged", "changed"} {
		theirs, ours := median(times["kubectl "+what]), median(times["ours "+what])
		ratios[what] = ours.seconds / theirs.seconds
		fmt.Printf("%-10s %5d objects, %d runs: kubectl %6.2f s (%5.2f s CPU, %3d MiB), ours %5.2f s (%5.2f s CPU, %3d MiB), ratio %.3f  %s\n",
			what, n, rounds, theirs.seconds, theirs.cpu, theirs.mib, ours.seconds, ours.cpu, ours.mib, ratios[what], how)
	}
	return ratios
}

// round is one program's three applies.
func (w *world) round(times map[string][]run, who, namespace string, n int) {
	w.Helper()
	for _, what := range []string{"new", "unchanged", "changed"} {
		value := "a"
		before := ""
		switch what {
		case "unchanged":
			before = w.versions(namespace)
		case "changed":
			value = "b"
		}
		r := w.apply(who, manifests(namespace, n, value))
		if r.code != 0 {
			w.Fatalf("%s, %s: exit %d\n%s", who, what, r.code, r.out)
		}
		if what == "unchanged" && who == "ours" {
			if after := w.versions(namespace); after != before || strings.Count(before, "\n") != n-1 {
				w.Errorf("%d objects: a run that changes nothing wrote:\n%s\nbefore:\n%s", strings.Count(before, "\n")+1, after, before)
			}
			if !strings.Contains(r.out, fmt.Sprintf(`"unchanged":%d}`, n+1)) {
				w.Errorf("it says %s", r.out)
			}
		}
		times[who+" "+what] = append(times[who+" "+what], r)
	}
}

// BenchmarkCut: the API server refuses connections for 3 s, or resets them for
// 1 s, in the middle of an apply.
func BenchmarkCut(b *testing.B) {
	w := newWorld(b, true)
	w.line.set(func() { w.line.delay = roundTrip })
	for range b.N {
		for name, cut := range map[string]func() error{
			"3 s refused": func() error { return w.line.away(3 * time.Second) },
			"1 s reset":   func() error { return w.line.resets(time.Second) },
		} {
			for _, who := range []string{"kubectl", "ours"} {
				namespace := who + "-" + strings.ReplaceAll(name, " ", "-")
				after := 4 * time.Second
				if who == "ours" {
					after = time.Second
				}
				done := make(chan error, 1)
				time.AfterFunc(after, func() { done <- cut() })
				r := w.apply(who, manifests(namespace, objects, "a"))
				if err := <-done; err != nil {
					b.Fatal(err)
				}
				there := strings.Count(w.versions(namespace), "\n") + 1
				fmt.Printf("%s: %-7s exit %d after %5.2f s, %4d of %d objects are there\n", name, who, r.code, r.seconds, there, objects)
				if who == "ours" && (r.code != 0 || there != objects) {
					b.Errorf("%s: exit %d, %d of %d objects\n%s", name, r.code, there, objects, r.out)
				}
			}
		}
	}
}
