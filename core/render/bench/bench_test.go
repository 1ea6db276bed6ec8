// SPDX-License-Identifier: Apache-2.0

// Package bench measures rendering against kustomize itself, side by side: this
// test's own program runs as the one or the other, each time anew.
package bench

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/outlast-ci/outlast/core/render"
)

// The variables that make this program render instead of testing.
const (
	asWhom = "OUTLAST_BENCH_AS" // ours or peer
	atPath = "OUTLAST_BENCH_PATH"
)

var (
	sizes = flag.String("sizes", "10,100,1000,5000", "numbers of resources")
	only  = flag.String("layout", "", "the one layout to measure, such as full/files")
)

func TestMain(m *testing.M) {
	if who := os.Getenv(asWhom); who != "" {
		err := run(who, os.Getenv(atPath))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		if peak() != nil || err != nil {
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	if err := flag.Set("test.benchtime", "1x"); err != nil { // each repeats itself as it needs
		panic(err)
	}
	os.Exit(m.Run())
}

// run prints a kustomization to standard output.
func run(who, path string) error {
	var text []byte
	var err error
	if who == "peer" {
		text, err = peer(path)
	} else {
		text, err = ours(path)
	}
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}

// peak prints to standard error the most memory that this program has taken. The
// kernel's ru_maxrss is of no use: a child starts with its parent's.
func peak() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	_, err = fmt.Fprintf(os.Stderr, "\npeak %s\n", bytes.Fields(rest)[0])
	return err
}

func ours(path string) ([]byte, error) {
	opt := render.Options{Path: path, Root: filepath.Dir(filepath.Dir(path)), Policy: render.Off, TextOnly: true}
	r, err := render.Render(context.Background(), opt)
	return r.YAML, err
}

func peer(path string) ([]byte, error) {
	opt := &krusty.Options{Reorder: krusty.ReorderOptionUnspecified, LoadRestrictions: types.LoadRestrictionsRootOnly, PluginConfig: types.DisabledPluginConfig()}
	m, err := krusty.MakeKustomizer(opt).Run(filesys.MakeFsOnDisk(), path)
	if err != nil {
		return nil, err
	}
	return m.AsYaml()
}

// figures are of one run.
type figures struct {
	wall, user time.Duration
	peak       float64 // MiB
}

// measure runs a renderer once. Without a text it has refused, and said why.
func measure(b *testing.B, who, path string) (f figures, text []byte, said string) {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asWhom+"="+who, atPath+"="+path)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	start := time.Now()
	if err := cmd.Run(); err != nil {
		out.Reset()
	}
	f.wall, f.user = time.Since(start), cmd.ProcessState.UserTime()
	said, peak, _ := strings.Cut(errs.String(), "\npeak ")
	kib, err := strconv.Atoi(strings.TrimSpace(peak))
	if err != nil {
		b.Fatalf("%s: %v: %s", who, err, errs.Bytes())
	}
	f.peak = float64(kib) / 1024
	return f, out.Bytes(), strings.TrimSpace(said)
}

// median of what get gives for each run.
func median[T cmp.Ordered](runs []figures, get func(figures) T) T {
	all := make([]T, len(runs))
	for i, r := range runs {
		all[i] = get(r)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// BenchmarkRender prints the medians of alternating runs and their ratios.
func BenchmarkRender(b *testing.B) {
	fmt.Printf("%-12s %5s %4s %19s %19s %17s   %s\n", "layout", "N", "runs", "wall ms ours/peer", "user ms ours/peer", "MiB ours/peer", "ratios of wall, user, memory")
	for _, size := range strings.Split(*sizes, ",") {
		n, err := strconv.Atoi(size)
		if err != nil {
			b.Fatal(err)
		}
		for _, l := range layouts {
			if *only != "" && *only != l.overlay+"/"+l.base || *only == "" && n >= 5000 && l.base != "files" {
				continue
			}
			b.Run(fmt.Sprintf("%s/%s/%d", l.overlay, l.base, n), func(b *testing.B) { compare(b, l, n) })
		}
	}
}

func compare(b *testing.B, l layout, n int) {
	path := filepath.Join(l.write(b, n), "overlays", l.overlay)
	ours, want, said1 := measure(b, "ours", path)
	peer, got, said2 := measure(b, "peer", path)
	if !bytes.Equal(got, want) || len(got) == 0 {
		b.Fatalf("ours prints %d bytes, kustomize %d, and they differ: %s %s", len(want), len(got), said1, said2)
	}
	rounds := 5 // of two runs each
	switch {
	case n >= 5000:
		rounds = 0 // the two above are all
	case n >= 1000 && l.base != "files":
		rounds = 2
	}
	all := map[string][]figures{}
	for range rounds {
		for _, who := range []string{"ours", "peer", "peer", "ours"} {
			f, _, _ := measure(b, who, path)
			all[who] = append(all[who], f)
		}
	}
	if rounds == 0 {
		all = map[string][]figures{"ours": {ours}, "peer": {peer}}
	}
	ms := func(who string, get func(figures) time.Duration) float64 {
		return float64(median(all[who], get).Microseconds()) / 1000
	}
	wall := func(f figures) time.Duration { return f.wall }
	user := func(f figures) time.Duration { return f.user }
	mib := func(who string) float64 { return median(all[who], func(f figures) float64 { return f.peak }) }
	fmt.Printf("%-12s %5d %4d %9.0f/%9.0f %9.0f/%9.0f %8.1f/%8.1f   %.3f %.3f %.2f\n", l.overlay+"/"+l.base, n, len(all["ours"]),
		ms("ours", wall), ms("peer", wall), ms("ours", user), ms("peer", user), mib("ours"), mib("peer"),
		ms("ours", wall)/ms("peer", wall), ms("ours", user)/ms("peer", user), mib("ours")/mib("peer"))
	b.ReportMetric(ms("ours", wall), "ours-ms")
	b.ReportMetric(ms("peer", wall), "peer-ms")
	b.ReportMetric(ms("ours", wall)/ms("peer", wall), "ratio")
	b.ReportMetric(0, "ns/op")
}
